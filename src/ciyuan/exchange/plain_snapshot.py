"""The plain exchange's whole state as the matrices of `state`, and back."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import SessionState
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_state import OPEN, Account, Order, Position
from ciyuan.exchange.room import Room
from ciyuan.exchange.state import (
    ACCOUNT_COLUMNS,
    CONTRACT_COLUMNS,
    ORDER_COLUMNS,
    PART_COLUMNS,
    POSITION_COLUMNS,
    check_words,
)

Parts = Mapping[str, NDArray[np.int64]]
REMEDY = "Restore from a snapshot that an exchange of this version made."
STATES = frozenset(map(int, SessionState))

_CONTRACT, _ORDER, _ACCOUNT, _POSITION = (
    attrgetter(*columns) for columns in (CONTRACT_COLUMNS, ORDER_COLUMNS, ACCOUNT_COLUMNS, POSITION_COLUMNS)
)


def parts_of(floor: Floor) -> dict[str, NDArray[np.int64]]:
    """The state as named int64 matrices; equal states give equal matrices."""
    markets = floor.markets.values()
    rows: dict[str, Sequence[tuple[int, ...]]] = {
        "clock": [(floor.time_ns, floor.numbers, floor.trades)],
        "contracts": [_CONTRACT(market) for market in markets],
        "orders": sorted(_ORDER(order) for order in floor.orders.values()),
        "accounts": _used((_ACCOUNT(account) for account in floor.accounts.values()), 1),
        "positions": _used((_POSITION(position) for position in floor.positions.values()), 3),
        "minutes": [
            (market.number, minute, low, high)
            for market in markets
            for minute, (low, high) in sorted(market.minutes_at(floor.time_ns).items())
        ],
    }
    return {name: _matrix(rows[name], len(columns)) for name, columns in PART_COLUMNS.items()}


def _matrix(rows: Sequence[tuple[int, ...]], width: int) -> NDArray[np.int64]:
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64).reshape(len(rows), width)


def _used(rows: Iterable[tuple[int, ...]], keys: int) -> list[tuple[int, ...]]:
    """The rows of which anything is not 0 but the keys they begin with, in order of these."""
    return sorted(row for row in rows if any(row[keys:]))


def floor_of(contracts: Iterable[Contract], room: Room, parts: Parts, *, everyone: bool) -> Floor:
    """A floor in the state that the matrices hold. Raises Malformed for parts that are no snapshot of such an exchange."""
    _check_shapes(parts)
    check_words(parts)
    floor = Floor(contracts, room, everyone=everyone)
    rows = {name: part.tolist() for name, part in parts.items()}
    floor.time_ns, floor.numbers, floor.trades = rows["clock"][0]
    _check_rows(floor, rows)
    for market, figures in zip(floor.markets.values(), rows["contracts"], strict=True):
        for name, figure in zip(CONTRACT_COLUMNS, figures, strict=True):
            setattr(market, name, figure)
    for row in rows["orders"]:
        order = Order(*row)
        floor.orders[order.account, order.order_id] = order
        if order.end == OPEN:
            _check_open(floor, order)
            floor.markets[order.contract].open.append(order)
    floor.accounts = {row[0]: Account(*row) for row in rows["accounts"]}
    floor.positions = {(row[0], row[1], row[2]): Position(*row) for row in rows["positions"]}
    for number, minute, low, high in rows["minutes"]:
        floor.markets[number].minutes[minute] = (low, high)
    return floor


def _check_shapes(parts: Parts) -> None:
    if sorted(parts) != sorted(PART_COLUMNS):
        raise Malformed(
            "snapshot", found=sorted(parts), expected=f"the parts {sorted(PART_COLUMNS)}", remedy=REMEDY
        )
    for name, columns in PART_COLUMNS.items():
        part, width = parts[name], len(columns)
        if part.dtype != np.int64 or part.ndim != 2 or part.shape[1] != width:
            raise Malformed(f"snapshot, {name}", found=f"{part.dtype} {part.shape}", expected=f"int64 (n, {width})",
                            remedy=REMEDY)  # fmt: skip
    if len(parts["clock"]) != 1:
        raise Malformed("snapshot, clock", found=len(parts["clock"]), expected="one row", remedy=REMEDY)


def _check_rows(floor: Floor, rows: Mapping[str, list[list[int]]]) -> None:
    """That rows are in order, each once, and name what there is here."""
    numbers = [row[0] for row in rows["contracts"]]
    if numbers != list(floor.markets):
        raise Malformed("snapshot, contracts", found=numbers, expected=f"contracts {list(floor.markets)}",
                        remedy="Restore into an exchange of the same contracts.")  # fmt: skip
    states = [row[1] for row in rows["contracts"]]
    if not STATES.issuperset(states):
        raise Malformed("snapshot, state", found=states, expected="session states", remedy=REMEDY)
    for name, keys in (("orders", 1), ("accounts", 1), ("positions", 3), ("minutes", 2)):
        found = [row[:keys] for row in rows[name]]
        if any(one >= next_one for one, next_one in pairwise(found)):
            raise Malformed(
                f"snapshot, {name}", found="rows out of order", expected="each once, in order", remedy=REMEDY
            )
    for name, column in (("orders", 3), ("positions", 1), ("minutes", 0)):
        unlisted = {row[column] for row in rows[name]} - {*numbers}
        if unlisted:
            raise Malformed(
                f"snapshot, {name}",
                found=sorted(unlisted),
                expected="contracts that are listed",
                remedy=REMEDY,
            )
    accounts = {row[0] for name in ("accounts", "positions") for row in rows[name]} | {
        row[1] for row in rows["orders"]
    }
    if accounts and not 1 <= min(accounts) <= max(accounts) <= floor.room.accounts:
        raise Malformed("snapshot, accounts", found=(min(accounts), max(accounts)), expected=f"1 to {floor.room.accounts}",
                        remedy="Restore into an exchange of the same room.")  # fmt: skip
    if len(rows["orders"]) > floor.room.orders or len({(row[1], row[2]) for row in rows["orders"]}) < len(
        rows["orders"]
    ):
        raise Malformed("snapshot, orders", found=len(rows["orders"]), expected=f"{floor.room.orders} at most, each id once",
                        remedy=REMEDY)  # fmt: skip


def _check_open(floor: Floor, order: Order) -> None:
    """That an open order has lots, and stands or waits within its contract's limits."""
    market = floor.markets[order.contract]
    ticks = order.second if order.waits else order.limit_ticks
    if not (
        0 < order.shown <= order.left <= order.lots
        and market.in_limits(ticks)
        and 0 < order.number <= floor.numbers
    ):
        raise Malformed(f"snapshot, open order {order.order_id} of account {order.account}",
                        found=f"{order.shown} of {order.left} lots at {ticks}",
                        expected=f"lots at {market.lower_ticks} to {market.upper_ticks}", remedy=REMEDY)  # fmt: skip
