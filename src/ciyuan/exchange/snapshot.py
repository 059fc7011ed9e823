"""The kernel's book as a snapshot's parts, and back (columns: `state.py`)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_MINUTE
from ciyuan.exchange.book import (
    A_CREDIT,
    A_FLAGS,
    A_KILLED,
    A_PERMISSIONS,
    A_RATE,
    A_SECOND,
    A_SECOND_ORDERS,
    A_SELF_TRADE,
    ACCOUNT,
    ACCOUNT_TOP,
    BASIS,
    BREAKER_MINUTES,
    CANCELLED_ORDERS,
    CLOCK,
    CONTRACT,
    EFFECT_SHIFT,
    END,
    FIGURES,
    FILLS,
    FRESH,
    IS_REPORTED,
    KIND,
    LEFT,
    LOCK_LOTS,
    LONG,
    LONG_TODAY,
    LOTS,
    MESSAGES,
    MINUTE,
    MINUTE_LOW,
    MINUTES,
    NUMBER,
    NUMBERS,
    ORDER_ID,
    PAST_ID,
    PLACE_SHIFT,
    PRICE,
    PRIORITY,
    QUOTA_LOTS,
    RECEIPTS,
    SECOND,
    SENT_LOTS,
    SENT_PRICE,
    SHORT,
    SHORT_TODAY,
    SHOWN,
    TICKS,
    TRADES,
    WAS_TRIGGERED,
    Book,
    Matrix,
    directory_of,
    empty_book,
)
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import CONTRACT_MASK, LAST_DAY_SHIFT, SessionState
from ciyuan.exchange.restoring import open_at, place_orders
from ciyuan.exchange.room import Room
from ciyuan.exchange.session import STOP
from ciyuan.exchange.state import CONTRACT_COLUMNS, ORDER_COLUMNS, PART_COLUMNS, check_words

REMEDY = "Restore from a snapshot that an exchange of this version made."
ACCOUNT_PLACES = [
    A_FLAGS, A_SELF_TRADE, A_RATE, A_PERMISSIONS, A_CREDIT, A_KILLED, A_SECOND, A_SECOND_ORDERS,
]  # fmt: skip
"""Columns of the book's accounts in the order of `state.ACCOUNT_COLUMNS`, after the account itself."""
POSITION_PLACES = [
    LONG,
    SHORT,
    LONG_TODAY,
    SHORT_TODAY,
    BASIS,
    PAST_ID,
    MESSAGES,
    CANCELLED_ORDERS,
    FILLS,
    IS_REPORTED,
    QUOTA_LOTS,
    RECEIPTS,
    LOCK_LOTS,
]
"""The same of positions and `state.POSITION_COLUMNS`, after account, contract and hedge."""


def parts_of(book: Book) -> dict[str, Matrix]:
    """The state as named int64 matrices; equal states give equal matrices."""
    return {
        "clock": book.scalars[[CLOCK, NUMBERS, TRADES]].reshape(1, 3),
        "contracts": book.markets[:, :FIGURES].copy(),
        "orders": _orders(book),
        "accounts": _accounts(book),
        "positions": _positions(book),
        "minutes": _minutes(book),
    }


def _orders(book: Book) -> Matrix:
    used = book.orders[1 : int(book.scalars[FRESH])]
    used = used[used[:, PRIORITY] != 0]
    used = used[np.argsort(used[:, PRIORITY], kind="stable")]
    kind = used[:, KIND]
    return np.column_stack(
        [
            used[:, PRIORITY], used[:, ACCOUNT], used[:, ORDER_ID], used[:, CONTRACT] & CONTRACT_MASK, kind & 0xFF,
            kind >> EFFECT_SHIFT & 7, used[:, PRICE], used[:, LOTS], used[:, LEFT], used[:, SHOWN], used[:, SECOND],
            used[:, SENT_PRICE], used[:, SENT_LOTS], used[:, CONTRACT] >> LAST_DAY_SHIFT, used[:, END],
            (kind & WAS_TRIGGERED) // WAS_TRIGGERED,
        ]
    )  # fmt: skip


def _accounts(book: Book) -> Matrix:
    told = book.accounts[: int(book.scalars[ACCOUNT_TOP]) + 1, ACCOUNT_PLACES]
    numbers = np.flatnonzero(told.any(axis=1))
    return np.column_stack([numbers, told[numbers]])


def _positions(book: Book) -> Matrix:
    contracts = len(book.markets)
    held = book.positions[: (int(book.scalars[ACCOUNT_TOP]) + 1) * contracts * 2, POSITION_PLACES]
    rows = np.flatnonzero(held.any(axis=1))
    places = rows // 2 % max(1, contracts)
    numbers = book.markets[places, NUMBER]
    return np.column_stack([rows // 2 // max(1, contracts), numbers, rows % 2, held[rows]])


def _minutes(book: Book) -> Matrix:
    now = int(book.scalars[CLOCK]) // NS_PER_MINUTE
    places = np.arange(len(book.minutes)) // MINUTES
    fresh = book.minutes[:, MINUTE] > now - book.markets[places, BREAKER_MINUTES]
    rows = np.flatnonzero(fresh & (book.minutes[:, MINUTE_LOW] > 0))
    rows = rows[np.lexsort((book.minutes[rows, MINUTE], places[rows]))]
    return np.column_stack([book.markets[places[rows], NUMBER], book.minutes[rows]])


def book_of(
    contracts: Sequence[Contract], room: Room, everyone: bool, parts: Mapping[str, NDArray[np.int64]]
) -> Book:
    """The book of a snapshot's parts. Raises Malformed for parts that are not of an exchange of these contracts and this room."""
    book = empty_book(contracts, room, everyone=everyone)
    open_at(directory_of(book))
    _check(book, parts)
    book.markets[:, :FIGURES] = parts["contracts"]
    book.scalars[[CLOCK, NUMBERS, TRADES]] = parts["clock"][0]
    accounts, positions, minutes = parts["accounts"], parts["positions"], parts["minutes"]
    for column, place in enumerate(ACCOUNT_PLACES, start=1):
        book.accounts[accounts[:, 0], place] = accounts[:, column]
    rows = (positions[:, 0] * len(contracts) + book.places[positions[:, 1]]) * 2 + positions[:, 2]
    for column, place in enumerate(POSITION_PLACES, start=3):
        book.positions[rows, place] = positions[:, column]
    book.minutes[book.places[minutes[:, 0]] * MINUTES + minutes[:, 1] % MINUTES] = minutes[:, 1:]
    numbers = [*accounts[:, 0].tolist(), *positions[:, 0].tolist(), *parts["orders"][:, 1].tolist()]
    book.scalars[ACCOUNT_TOP] = max(numbers, default=0)
    place_orders(directory_of(book), _order_rows(book, parts["orders"]))
    return book


def _order_rows(book: Book, orders: Matrix) -> Matrix:
    """Orders of a snapshot as rows of the book."""
    given = {name: orders[:, column] for column, name in enumerate(ORDER_COLUMNS)}
    rows = np.zeros((len(orders), book.orders.shape[1]), dtype=np.int64)
    rows[:, KIND] = (
        given["flags"]
        | given["effect"] << EFFECT_SHIFT
        | given["triggered"] * WAS_TRIGGERED
        | book.places[given["contract"]] << PLACE_SHIFT
    )
    rows[:, CONTRACT] = given["contract"] | given["last_day"] << LAST_DAY_SHIFT
    for column, name in {
        LEFT: "left", SHOWN: "shown", PRICE: "limit_ticks", ACCOUNT: "account", PRIORITY: "number", ORDER_ID: "order_id",
        SENT_PRICE: "sent_price", SENT_LOTS: "sent_lots", SECOND: "second", LOTS: "lots", END: "end",
    }.items():  # fmt: skip
        rows[:, column] = given[name]
    return rows


def _check(book: Book, parts: Mapping[str, NDArray[np.int64]]) -> None:
    """Names, types and shapes; and that what refers to a contract, a state or an account names one."""
    if sorted(parts) != sorted(PART_COLUMNS):
        raise Malformed(
            "snapshot", found=sorted(parts), expected=f"the parts {sorted(PART_COLUMNS)}", remedy=REMEDY
        )
    for name, columns in PART_COLUMNS.items():
        part = parts[name]
        if part.dtype != np.int64 or part.ndim != 2 or part.shape[1] != len(columns):
            raise Malformed(f"snapshot, {name}", found=f"{part.dtype} {part.shape}", expected=f"int64 (n, {len(columns)})",
                            remedy=REMEDY)  # fmt: skip
    if len(parts["clock"]) != 1:
        raise Malformed("snapshot, clock", found=len(parts["clock"]), expected="one row", remedy=REMEDY)
    numbers = parts["contracts"][:, 0].tolist()
    if numbers != book.markets[:, NUMBER].tolist():
        raise Malformed("snapshot, contracts", found=numbers, expected=f"contracts {book.markets[:, NUMBER].tolist()}",
                        remedy="Restore into an exchange of the same contracts.")  # fmt: skip
    _check_references(book, parts, numbers)
    _check_orders(book, parts)


def _check_references(book: Book, parts: Mapping[str, NDArray[np.int64]], numbers: list[int]) -> None:
    named = np.concatenate([parts["orders"][:, 3], parts["positions"][:, 1], parts["minutes"][:, 0]])
    if not np.isin(named, numbers).all():
        raise Malformed("snapshot, contracts that its parts name", found=sorted({*named.tolist()} - {*numbers}),
                        expected="contracts that are in it", remedy=REMEDY)  # fmt: skip
    states = parts["contracts"][:, CONTRACT_COLUMNS.index("state")]
    if not np.isin(states, list(SessionState)).all():
        raise Malformed("snapshot, state", found=states.tolist(), expected="session states", remedy=REMEDY)
    for name, key in (("accounts", 1), ("positions", 3), ("minutes", 2)):
        keys = list(map(tuple, parts[name][:, :key].tolist()))
        if any(later <= earlier for earlier, later in pairwise(keys)):
            raise Malformed(f"snapshot, {name}", found=keys, expected="each once, in order", remedy=REMEDY)
    accounts = np.concatenate([parts["accounts"][:, 0], parts["positions"][:, 0], parts["orders"][:, 1]])
    most = len(book.accounts) - 1
    if len(accounts) and not (accounts.min() >= 1 and accounts.max() <= most):
        raise Malformed("snapshot, accounts", found=f"{accounts.min()} to {accounts.max()}", expected=f"1 to {most}",
                        remedy="Restore into an exchange with room for them.")  # fmt: skip


def _check_orders(book: Book, parts: Mapping[str, NDArray[np.int64]]) -> None:
    """That every open order stands within its contract's limits, and that there is room for all."""
    orders, figures = parts["orders"], parts["contracts"]
    if len(orders) >= len(book.orders):
        raise Malformed("snapshot, orders", found=len(orders), expected=f"at most {len(book.orders) - 1}",
                        remedy="Restore into an exchange with room for them.")  # fmt: skip
    given = {name: orders[:, column] for column, name in enumerate(ORDER_COLUMNS)}
    numbers = [0, *given["number"].tolist(), int(parts["clock"][0, 1]) + 1]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise Malformed("snapshot, priority numbers", found=numbers[1:-1], expected=f"1 to {numbers[-1] - 1}, rising",
                        remedy=REMEDY)  # fmt: skip
    check_words(parts)
    places = book.places[given["contract"]]
    lower, upper = (figures[places, CONTRACT_COLUMNS.index(name)] for name in ("lower_ticks", "upper_ticks"))
    waits = (given["flags"] & STOP != 0) & (given["triggered"] == 0)
    within = ~waits | ((given["second"] >= lower) & (given["second"] <= upper))
    within &= upper - lower < int(book.scalars[TICKS])
    stands = within & (given["limit_ticks"] >= lower) & (given["limit_ticks"] <= upper) & (given["left"] > 0)
    wrong = np.flatnonzero((given["end"] == 0) & ~stands)
    if len(wrong):
        at = int(wrong[0])
        raise Malformed(f"snapshot, open order {given['order_id'][at]} of account {given['account'][at]}",
                        found=f"{given['left'][at]} lots at {given['limit_ticks'][at]}",
                        expected=f"lots at {lower[at]} to {upper[at]}", remedy=REMEDY)  # fmt: skip
