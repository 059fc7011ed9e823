"""The clearing house's state as integer matrices, and back.

| part | a row |
|---|---|
| days | the one row: margin day, settled day, last ledger key, losses that nobody covered |
| contracts | number and `MARKET_WORDS` |
| members | number and `MEMBER_WORDS` |
| receipts | participant, grade, ledger account |
| positions | participant, contract, hedge and `POSITION_WORDS`; those that are all 0 are left out |
| orders | participant, order id, contract, 1 if it sells, limit, lots left, ledger key of its hold: open orders of receipts |

Rows are in order of their first words, so equal states give equal matrices. Charges and requirements are derived.
"""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ciyuan.clearing import coverage, delivery, model, review
from ciyuan.clearing.books import Books, SpotOrder
from ciyuan.clearing.messages import LEDGER_KEY_BASE, Life
from ciyuan.clearing.positions import MARKET_WORDS, MEMBER_WORDS, POSITION_WORDS, Position
from ciyuan.clearing.section import Section, not_a_section
from ciyuan.clearing.snapshot_words import check_words

WIDTHS = {
    "days": 4,
    "contracts": 1 + len(MARKET_WORDS),
    "members": 1 + len(MEMBER_WORDS),
    "receipts": 3,
    "positions": 3 + len(POSITION_WORDS),
    "orders": 7,
}
SECTIONS: tuple[Section, ...] = (*model.SECTIONS, *coverage.SECTIONS, *review.SECTIONS, *delivery.SECTIONS)
WIDTHS |= {section.name: section.width for section in SECTIONS}

T = TypeVar("T")


def parts_of(books: Books) -> dict[str, NDArray[np.int64]]:
    """The snapshot of these books."""
    markets = [books.markets[number] for number in sorted(books.markets)]
    members = books.members_in_order()
    rows = {
        "days": [(books.margin_day, books.settled_day, books.teller.key, books.uncovered_micro)],
        "contracts": [
            (market.number, *(getattr(market, name) for name in MARKET_WORDS)) for market in markets
        ],
        "members": [(member.number, *(getattr(member, name) for name in MEMBER_WORDS)) for member in members],
        "receipts": [
            (member.number, *pair) for member in members for pair in sorted(member.receipts.items())
        ],
        "positions": [row for row in map(_position_row, books.all_positions()) if any(row[3:])],
        "orders": [
            (*place, at.market.number, at.is_sell, at.price_ticks, at.left, at.key)
            for place, at in sorted(books.orders.items(), key=lambda entry: entry[0])
        ],
    }
    rows |= {section.name: [tuple(row) for row in section.rows(books)] for section in SECTIONS}
    return {name: np.array(rows[name], dtype=np.int64).reshape(-1, width) for name, width in WIDTHS.items()}


def _position_row(at: Position) -> tuple[int, ...]:
    return (at.member.number, at.market.number, at.hedge, *(getattr(at, name) for name in POSITION_WORDS))


def check_shapes(parts: Mapping[str, NDArray[np.int64]]) -> None:
    """Raise Malformed unless these are all the parts, each of its width."""
    if set(parts) != set(WIDTHS):
        raise not_a_section("names", sorted(parts), str(sorted(WIDTHS)))
    for name, width in WIDTHS.items():
        part = parts[name]
        if part.dtype != np.int64 or part.ndim != 2 or part.shape[1] != width:
            raise not_a_section(name, f"{part.dtype} {part.shape}", f"an (n, {width}) int64 matrix")


def restored(books: Books, parts: Mapping[str, NDArray[np.int64]]) -> None:
    """Fill new `books` with a snapshot's parts. Raises Malformed for parts that are not a snapshot of them."""
    check_shapes(parts)
    check_words(books, parts)
    rows = {name: parts[name].tolist() for name in WIDTHS}
    _restore_markets(books, rows["contracts"])
    _restore_members(books, rows["members"], rows["receipts"])
    _restore_positions(books, rows["positions"])
    if len(rows["days"]) != 1 or rows["days"][0][2] < LEDGER_KEY_BASE:
        raise not_a_section("days", rows["days"], f"one row, its key {LEDGER_KEY_BASE} or more")
    margin_day, books.settled_day, books.teller.key, books.uncovered_micro = rows["days"][0]
    _restore_orders(books, rows["orders"])
    for section in SECTIONS:
        section.restore(books, rows[section.name])
    books.margin_day = margin_day


def _restore_markets(books: Books, rows: list[list[int]]) -> None:
    numbers = [row[0] for row in rows]
    if numbers != sorted(books.markets):
        raise not_a_section("contracts", numbers, f"the contracts {sorted(books.markets)}")
    for number, *values in rows:
        if values[0] not in frozenset(Life):
            raise not_a_section("contracts", values[0], "a state of `Life`")
        market = books.markets[number]
        for name, value in zip(MARKET_WORDS, values, strict=True):
            setattr(market, name, value)
        market.life = Life(values[0])


def _restore_members(books: Books, rows: list[list[int]], receipts: list[list[int]]) -> None:
    numbers = [row[0] for row in rows]
    if numbers != sorted(set(numbers)) or (numbers and numbers[0] < 1):
        raise not_a_section("members", numbers, "participants of 1 or more, in order, each once")
    for number, *values in rows:
        member = books.new_member(number)
        for name, value in zip(MEMBER_WORDS, values, strict=True):
            setattr(member, name, value)
    for number, grade, account in receipts:
        _known(books.members, number, "receipts").receipts[grade] = account


def _restore_positions(books: Books, rows: list[list[int]]) -> None:
    sums = {number: [0, 0] for number in books.markets}
    for number, contract, hedge, *values in rows:
        market = _known(books.markets, contract, "positions")
        if hedge not in (0, 1):
            raise not_a_section("positions", hedge, "0, or 1 for a hedging position")
        position = _known(books.members, number, "positions").position(market, hedge)
        for name, value in zip(POSITION_WORDS, values, strict=True):
            setattr(position, name, value)
        position.reckon()
        sums[contract][0] += position.lots
        sums[contract][1] += position.basis
    if any(any(pair) for pair in sums.values()):
        raise not_a_section("positions", sums, "lots and bases of every contract that sum to zero")


def _restore_orders(books: Books, rows: list[list[int]]) -> None:
    for number, order_id, contract, is_sell, price_ticks, left, key in rows:
        member, market = (
            _known(books.members, number, "orders"),
            _known(books.markets, contract, "orders"),
        )
        if left < 1 or not market.is_spot:
            raise not_a_section("orders", (contract, left), "lots left, 1 or more, of a spot contract")
        if not LEDGER_KEY_BASE < key <= books.teller.key:
            raise not_a_section("orders", key, "a key that the clearing house has used")
        order = SpotOrder(market, is_sell != 0, price_ticks, left)
        order.key = key
        order.saved = not order.is_sell
        if not order.is_sell:
            member.reserved_micro += price_ticks * market.tick_value_micro * left
        books.orders[number, order_id] = order


def _known(things: Mapping[int, T], number: int, part: str) -> T:
    if number not in things:
        raise not_a_section(part, number, f"one of {sorted(things)}")
    return things[number]
