"""The clearing house's state as integer matrices, and back.

| part | a row |
|---|---|
| days | the one row: margin day, settled day, last ledger key |
| contracts | number and the fields of `MARKET_FIELDS` |
| members | number and the fields of `MEMBER_FIELDS` |
| receipts | participant, grade, ledger account |
| positions | participant, contract, lots, basis; flat ones are left out |
| orders | participant, order id, contract, 1 if it sells, limit, lots left, ledger key of the hold (spot, else 0): open orders |

Rows are in order of their first words, so equal states give equal matrices. Open lots, margins, charges and requirements are
derived.
"""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.clearing.books import Books, OpenOrder
from ciyuan.clearing.messages import LEDGER_KEY_BASE, Life
from ciyuan.clearing.positions import Market, Member

MARKET_FIELDS = (
    "life", "settle_ticks", "mark_ticks", "upper_ticks", "priced_ticks", "priced_upper_ticks", "priced_day",
    "final_micro", "final_day", "final_rule", "lock_rate_bp", "notice_rate_bp",
)  # fmt: skip
MEMBER_FIELDS = (
    "cash", "permissions", "role", "accrued_micro", "maker_lots", "taker_lots", "fills", "owed_micro", "called_micro",
    "opening_micro", "variation_micro", "fees_micro", "bought_micro", "sold_micro",
    "receipts_bought", "receipts_sold", "lent_micro",
)  # fmt: skip
WIDTHS = {
    "days": 3,
    "contracts": 1 + len(MARKET_FIELDS),
    "members": 1 + len(MEMBER_FIELDS),
    "receipts": 3,
    "positions": 4,
    "orders": 7,
}
REMEDY = "Take the snapshot again, from a clearing house with the same contracts and terms."

T = TypeVar("T")


def parts_of(books: Books) -> dict[str, NDArray[np.int64]]:
    """The snapshot of these books."""
    markets = [books.markets[number] for number in sorted(books.markets)]
    members = books.members_in_order()
    held = [member.positions[number] for member in members for number in sorted(member.positions)]
    rows = {
        "days": [(books.margin_day, books.settled_day, books.teller.key)],
        "contracts": [
            (market.number, *(getattr(market, name) for name in MARKET_FIELDS)) for market in markets
        ],
        "members": [
            (member.number, *(getattr(member, name) for name in MEMBER_FIELDS)) for member in members
        ],
        "receipts": [
            (member.number, *pair) for member in members for pair in sorted(member.receipts.items())
        ],
        "positions": [
            (at.member.number, at.market.number, at.lots, at.basis) for at in held if at.lots or at.basis
        ],
        "orders": [
            (*place, at.contract, at.is_sell, at.price_ticks, at.left // len(at.legs), at.key)
            for place, at in sorted(books.orders.items(), key=lambda entry: entry[0])
        ],
    }
    return {name: np.array(rows[name], dtype=np.int64).reshape(-1, width) for name, width in WIDTHS.items()}


def restored(books: Books, parts: Mapping[str, NDArray[np.int64]]) -> None:
    """Fill new `books` with a snapshot's parts. Raises Malformed for parts that are not a snapshot of them."""
    if set(parts) != set(WIDTHS):
        raise _not_a_snapshot("names", sorted(parts), str(sorted(WIDTHS)))
    for name, width in WIDTHS.items():
        part = parts[name]
        if part.dtype != np.int64 or part.ndim != 2 or part.shape[1] != width:
            raise _not_a_snapshot(name, f"{part.dtype} {part.shape}", f"an (n, {width}) int64 matrix")
    rows = {name: parts[name].tolist() for name in WIDTHS}
    _restore_markets(books, rows["contracts"])
    _restore_members(books, rows["members"], rows["receipts"])
    _restore_positions(books, rows["positions"])
    if len(rows["days"]) != 1 or rows["days"][0][2] < LEDGER_KEY_BASE:
        raise _not_a_snapshot("days", rows["days"], f"one row, its key {LEDGER_KEY_BASE} or more")
    margin_day, books.settled_day, books.teller.key = rows["days"][0]
    _restore_orders(books, rows["orders"])
    if margin_day:
        books.set_margin_day(margin_day)


def _restore_markets(books: Books, rows: list[list[int]]) -> None:
    numbers = [row[0] for row in rows]
    if numbers != sorted(books.markets):
        raise _not_a_snapshot("contracts", numbers, f"the contracts {sorted(books.markets)}")
    for number, *values in rows:
        if values[0] not in frozenset(Life):
            raise _not_a_snapshot("contracts", values[0], "a state of `Life`")
        market = books.markets[number]
        for name, value in zip(MARKET_FIELDS, values, strict=True):
            setattr(market, name, value)
        market.life = Life(values[0])


def _restore_members(books: Books, rows: list[list[int]], receipts: list[list[int]]) -> None:
    numbers = [row[0] for row in rows]
    if numbers != sorted(set(numbers)) or (numbers and numbers[0] < 1):
        raise _not_a_snapshot("members", numbers, "participants of 1 or more, in order, each once")
    for number, *values in rows:
        member = Member(number, cash=0, permissions=0, role=0)
        for name, value in zip(MEMBER_FIELDS, values, strict=True):
            setattr(member, name, value)
        books.members[number] = member
    for number, grade, account in receipts:
        _known(books.members, number, "receipts").receipts[grade] = account


def _restore_positions(books: Books, rows: list[list[int]]) -> None:
    sums = {number: [0, 0] for number in books.markets}
    for number, contract, lots, basis in rows:
        market: Market = _known(books.markets, contract, "positions")
        position = _known(books.members, number, "positions").position(market)
        position.lots, position.basis = lots, basis
        position.reckon()
        sums[contract][0] += lots
        sums[contract][1] += basis
    if any(any(pair) for pair in sums.values()):
        raise _not_a_snapshot("positions", sums, "lots and bases of every contract that sum to zero")


def _restore_orders(books: Books, rows: list[list[int]]) -> None:
    for number, order_id, contract, is_sell, price_ticks, left, key in rows:
        member = _known(books.members, number, "orders")
        order = OpenOrder(contract, _known(books.legs, contract, "orders"), is_sell != 0, price_ticks)
        if left < 1:
            raise _not_a_snapshot("orders", left, "lots left, 1 or more")
        if order.spot and not LEDGER_KEY_BASE < key <= books.teller.key:
            raise _not_a_snapshot("orders", key, "a key that the clearing house has used")
        order.leave(member, left)
        order.key = key
        order.saved = order.spot is not None and not order.is_sell
        if order.spot and not order.is_sell:
            member.reserved_micro += price_ticks * order.spot.tick_value_micro * left
        books.orders[number, order_id] = order


def _known(things: Mapping[int, T], number: int, part: str) -> T:
    if number not in things:
        raise _not_a_snapshot(part, number, f"one of {sorted(things)}")
    return things[number]


def _not_a_snapshot(part: str, found: object, expected: str) -> Malformed:
    return Malformed(f"clearing snapshot, {part}", found=found, expected=expected, remedy=REMEDY)
