"""Snapshots that are none: each part spoiled in each way it can be, refused by name, with the ledger left as it was."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.ledger import HoldStatus, close_row, hold_row, post_row, tick_row, transfer_row
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.plain import PlainLedger
from tests.ledger.flows import POOR, RICH, AnyLedger, opened, say

Parts = dict[str, NDArray[np.int64]]


def standing() -> Parts:
    ledger = opened(Ledger())
    say(
        ledger,
        hold_row(1, 1, RICH, POOR, 50, 9),
        hold_row(1, 2, RICH, POOR, 60),
        post_row(2, 3, 2, 5),
        tick_row(4),
        transfer_row(4, 7, RICH, POOR, 3),
        close_row(4, 7, 9),
        close_row(4, 30, 40),
    )
    return ledger.snapshot()


def _set(part: str, at: tuple[int, int], value: int) -> Callable[[Parts], None]:
    def spoil(parts: Parts) -> None:
        parts[part][at] = value

    return spoil


def _replace(part: str, make: Callable[[Any], Any]) -> Callable[[Parts], None]:
    def spoil(parts: Parts) -> None:
        parts[part] = make(parts[part])

    return spoil


SPOILED: dict[str, tuple[str, Callable[[Parts], None]]] = {
    "a part is missing": ("names", lambda parts: parts.__delitem__("holds")),
    "a part too many": ("names", lambda parts: parts.__setitem__("extra", parts["clock"])),
    "floats": ("accounts", _replace("accounts", lambda part: part.astype(np.float64))),
    "seven columns": ("transfers", _replace("transfers", lambda part: part[:, :7])),
    "a flat part": ("holds", _replace("holds", np.ravel)),
    "two clocks": ("clock", _replace("clock", lambda part: np.vstack((part, part)))),
    "a negative clock": ("clock", _set("clock", (0, 0), -1)),
    "an account out of balance": ("accounts", _set("accounts", (0, 3), 1)),
    "a guarded account overdrawn": ("accounts", _set("accounts", (0, 1), 1)),
    "a TICK among the transfers": ("transfers", _set("transfers", (0, 0), 106)),
    "a key twice": ("transfers", _set("transfers", (0, 2), 1)),
    "a key of 0": ("transfers", _set("transfers", (0, 2), 0)),
    "a transfer from the future": ("transfers", _set("transfers", (5, 1), 5)),
    "transfers out of order": ("transfers", _set("transfers", (0, 1), 3)),
    "an account that is not open": ("transfers", _set("transfers", (0, 4), 7)),
    "accounts of two assets": ("transfers", _set("transfers", (0, 4), 5)),
    "a negative amount": ("transfers", _set("transfers", (0, 5), -1)),
    "a negative timeout": ("transfers", _set("transfers", (3, 7), -1)),
    "a closed range that is empty": ("closed", _set("closed", (0, 1), 7)),
    "closed ranges that touch": ("closed", _set("closed", (0, 1), 30)),
    "closed ranges out of order": ("closed", _replace("closed", lambda part: part[::-1])),
    "nine closed ranges": ("closed", _replace("closed", lambda part: np.arange(50, 68).reshape(9, 2) * 2)),
    "a closed key that is known": ("closed", _set("closed", (0, 0), 3)),
    "a hold's row missing": ("holds", _replace("holds", lambda part: part[1:])),
    "a hold that is no HOLD": ("holds", _set("holds", (0, 0), 2)),
    "an unknown status": ("holds", _set("holds", (1, 1), 4)),
    "a pending hold of nothing": ("holds", _set("holds", (0, 2), 0)),
    "more held than was": ("holds", _set("holds", (0, 2), 51)),
    "held though posted": ("holds", _set("holds", (1, 2), 1)),
    "pending sums that differ": ("accounts", _set("holds", (0, 2), 49)),
    "an ended hold still in the sums": (
        "accounts",
        _replace("holds", lambda part: part * [1, 1, 0] + [0, 1, 0]),
    ),
    "more posted than in the sums": ("accounts", _set("transfers", (0, 5), 9_999)),
    "more in the sums than posted, with nothing closed": (
        "accounts",
        _replace("closed", lambda part: part[:0]),
    ),
}


@pytest.mark.parametrize("make", [Ledger, PlainLedger])
@pytest.mark.parametrize("spoiled", SPOILED)
def test_what_is_not_a_snapshot_is_refused_and_changes_nothing(make: Callable[[], AnyLedger], spoiled: str):
    ledger = opened(make())
    before = ledger.state_hash()
    part, spoil = SPOILED[spoiled]
    parts = standing()
    spoil(parts)
    with pytest.raises(Malformed, match=f"ledger snapshot, {part}: .*Take the snapshot again"):
        ledger.restore(parts)
    assert ledger.state_hash() == before
    say(ledger, transfer_row(1, 1, RICH, POOR, 1))
    assert ledger.posted(POOR) == 1


def test_a_snapshot_is_taken_whatever_its_memory_order():
    parts = {name: np.asfortranarray(part) for name, part in standing().items()}
    ledger, twin = Ledger(), PlainLedger()
    ledger.restore(parts)
    twin.restore(parts)
    assert ledger.state_hash() == twin.state_hash()
    assert ledger.snapshot()["holds"].tolist() == [[3, HoldStatus.PENDING, 50], [4, HoldStatus.POSTED, 0]]
    assert ledger.closed.tolist() == twin.closed.tolist() == [[7, 9], [30, 40]]


def test_an_empty_ledger_has_a_snapshot_too():
    ledger = opened(Ledger())
    ledger.restore(Ledger().snapshot())
    assert ledger.state_hash() == Ledger().state_hash() == PlainLedger().state_hash()
    assert ledger.account_count == ledger.transfer_count == 0
