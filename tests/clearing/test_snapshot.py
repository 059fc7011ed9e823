"""Snapshots: complete, canonical, and refused when they are not what they claim."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import LEDGER_KEY_BASE, collect_row
from ciyuan.clearing.snapshot import WIDTHS
from tests.clearing.floor import CALENDAR, CONTRACTS, NOV, OCT, SPOT, USD, Floor

Parts = dict[str, NDArray[np.int64]]


def a_floor() -> Floor:
    """Positions, a debt, a call, unpaid fees, open orders of every kind."""
    floor = Floor(cash_usd=(100_000, 3_000, 50_000), capital_usd=700)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.next_day(OCT=2000)
    floor.trade(1, 3, NOV, 4, 1490)
    floor.trade(3, 1, OCT, 2, 1995)  # the later contract came first
    floor.placed(1, NOV, -3, 1600)
    floor.placed(3, NOV, 3, 1400)
    floor.fill(floor.placed(1, SPOT, 20, 1490), floor.placed(3, SPOT, -30, 1480), 15)
    return floor


def test_a_restored_house_goes_on_as_if_nothing_had_been():
    floor, other = a_floor(), a_floor()
    assert floor.house.state_hash() == other.house.state_hash()
    again = ClearingHouse(other.ledger, CONTRACTS, CALENDAR, other.terms)
    again.restore(other.house.snapshot())
    other.house = again
    for each in (floor, other):
        each.next_day(OCT=1900, NOV=1510)
        each.deposit(2, 5_000 * USD)
        each.tell(collect_row(each.tick(), 2))
    assert floor.said == other.said
    assert floor.house.state_hash() == other.house.state_hash()


def test_what_is_flat_leaves_no_trace():
    """Equal states give equal snapshots, however they came about: a round trip and a cancel leave fees and keys only."""
    one, other = Floor(), Floor()
    one.cancel(one.placed(1, OCT, 5, 1500))
    assert one.house.state_hash() == other.house.state_hash()


def test_each_part_is_there():
    """What a default, a delivery or a model leaves is in the snapshots of their own tests."""
    parts = a_floor().house.snapshot()
    assert {name: part.shape[1] for name, part in parts.items()} == WIDTHS
    assert all(
        len(parts[name]) for name in ("days", "contracts", "members", "receipts", "positions", "orders")
    )
    assert all(part.dtype == np.int64 for part in parts.values())


def without(name: str) -> Callable[[Parts], None]:
    def spoil(parts: Parts) -> None:
        del parts[name]

    return spoil


def changed(name: str, row: int, column: int, value: int) -> Callable[[Parts], None]:
    def spoil(parts: Parts) -> None:
        parts[name] = parts[name].copy()
        parts[name][row, column] = value

    return spoil


def narrow(parts: Parts) -> None:
    parts["members"] = parts["members"][:, :3]


def floats(parts: Parts) -> None:
    parts["members"] = parts["members"].astype(np.float64).view(np.int64).astype(np.int32)


def twice(parts: Parts) -> None:
    parts["members"] = np.concatenate((parts["members"], parts["members"]))


SPOILT = {
    "names": without("orders"),
    "members, shape": narrow,
    "members, type": floats,
    "members, each once": twice,
    "contracts, numbers": changed("contracts", 0, 0, 99),
    "contracts, life": changed("contracts", 0, 1, 7),
    "receipts, member": changed("receipts", 0, 0, 99),
    "positions, member": changed("positions", 0, 0, 99),
    "positions, contract": changed("positions", 0, 1, 99),
    "positions, sum of lots": changed("positions", 0, 2, 11),
    "positions, sum of bases": changed("positions", 0, 3, 11),
    "orders, member": changed("orders", 0, 0, 99),
    "orders, contract": changed("orders", 0, 2, 99),
    "orders, lots left": changed("orders", 0, 5, 0),
    "orders, key": changed("orders", -1, 6, LEDGER_KEY_BASE),
    "days, key": changed("days", 0, 2, 5),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_what_is_no_snapshot_is_malformed_and_changes_nothing(spoil: Callable[[Parts], None]):
    floor = a_floor()
    before = floor.house.state_hash()
    parts = dict(floor.house.snapshot())
    spoil(parts)
    with pytest.raises(Malformed, match="clearing snapshot"):
        floor.house.restore(parts)
    assert floor.house.state_hash() == before
    assert floor.placed(1, OCT, 1, 1500)
