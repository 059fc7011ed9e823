"""A meter's book as the parts of a snapshot, and back: indexes, chains, blocks of legs and the heap are derived anew."""

from collections.abc import Mapping

import numpy as np

from ciyuan.basics.rows import CODE_MASK
from ciyuan.gateway.book import (
    ABOVE,
    BEGAN,
    BLOCK,
    BLOCK_COUNT,
    BOOK_GRADE,
    BOOK_KEY,
    BOOK_SUPPLIER,
    CLOCK,
    CLOSED_END,
    CLOSED_FIRST,
    COUNTED,
    DEPTH,
    ENDS_NS,
    EXPIRES_NS,
    FIRST_LIMIT,
    GRADE,
    HELD_NS,
    LATEST,
    LIMITED,
    LIMITS_HERE,
    LIST_COUNT,
    NUMBER,
    OFFSET_NS,
    OLDER,
    PARENT,
    PARENT_ROW,
    PARTY_KEY,
    PIECES_MOST,
    REQUEST,
    ROLE,
    SAID,
    SPENDER,
    SPENDER_ROW,
    STATUS,
    STEPS,
    STEPS_OF_BLOCK,
    SUPPLIER,
    VALID_FROM,
    WINDOW,
    Matrix,
    MeterBook,
)
from ciyuan.gateway.closing import index_legs
from ciyuan.gateway.edge import PART_WIDTHS
from ciyuan.gateway.growth import TABLES, empty_book, with_heap
from ciyuan.gateway.legs import FIRST_PIECE, fill_base, work_out_all
from ciyuan.gateway.lookup import index_all
from ciyuan.gateway.messages import LimitWindow, RequestState
from ciyuan.gateway.usage import LEGS
from ciyuan.gateway.windows import borders

AS_THEY_ARE = (
    "parties",
    "price_lists",
    "books",
    "requests",
    "deliveries",
    "spenders",
    "limits",
    "leg_counts",
)
"""The tables whose first columns are the part of that name."""


def parts_of(book: MeterBook) -> dict[str, Matrix]:
    """The parts of a snapshot: what is not derived from the rest."""
    parts = {}
    for name in AS_THEY_ARE:
        rows = getattr(book, name)[: int(book.scalars[TABLES[name].count]), : PART_WIDTHS[name]]
        parts[name] = rows.copy()
    closed = book.scalars[CLOSED_FIRST : CLOSED_END + 1].reshape(1, 2)
    return parts | {
        "spends": _spends_of(book),
        "leg_prices": _leg_prices_of(book),
        "closed": closed[closed[:, 1] > 0].copy(),
        "clock": book.scalars[CLOCK : CLOCK + 1].reshape(1, 1).copy(),
    }


def _spends_of(book: MeterBook) -> Matrix:
    count = int(book.scalars[TABLES["requests"].count])
    own = np.flatnonzero(book.deliveries[:count, SPENDER_ROW])
    spent = book.deliveries[own]
    keys, spenders = book.requests[own, REQUEST], book.spenders[spent[:, SPENDER_ROW] - 1, SPENDER]
    return np.column_stack((keys, spenders, spent[:, HELD_NS], spent[:, COUNTED]))


def _leg_prices_of(book: MeterBook) -> Matrix:
    """What was said of legs, by list, step and leg."""
    rows = []
    for at in np.flatnonzero(book.price_lists[: int(book.scalars[LIST_COUNT]), BLOCK]).tolist():
        first = STEPS_OF_BLOCK * (int(book.price_lists[at, BLOCK]) - 1)
        block = book.leg_steps[first : first + STEPS_OF_BLOCK].tolist()
        for step, row in enumerate(block[: block[0][STEPS] + 1]):
            for leg in range(LEGS):
                if row[SAID] >> leg & 1:
                    most = block[0][PIECES_MOST + leg - FIRST_PIECE] if leg >= FIRST_PIECE else 0
                    rows.append((at + 1, step, leg, row[leg], row[ABOVE] if step else most))
    return np.array(rows, np.int64).reshape(-1, PART_WIDTHS["leg_prices"])


def book_of(parts: Mapping[str, Matrix]) -> MeterBook:
    """The book of a snapshot's parts, which are right (`edge.checked_parts`)."""
    lists_with_legs = np.unique(parts["leg_prices"][:, 0])
    entries = {name: len(parts[name]) for name in AS_THEY_ARE} | {"leg_steps": len(lists_with_legs)}
    book = empty_book(entries | {"books": len(parts["price_lists"])})
    for name in AS_THEY_ARE:
        getattr(book, name)[: len(parts[name]), : PART_WIDTHS[name]] = parts[name]
        book.scalars[TABLES[name].count] = len(parts[name])
    book.scalars[CLOCK] = parts["clock"][0, 0]
    if len(parts["closed"]):
        book.scalars[CLOSED_FIRST : CLOSED_END + 1] = parts["closed"][0]
    book.parties[:, PARTY_KEY] = book.parties[:, ROLE] << 32 | book.parties[:, NUMBER]
    book.books[:, BOOK_KEY] = book.books[:, BOOK_SUPPLIER] << 16 | book.books[:, BOOK_GRADE]
    for name, table in TABLES.items():
        if table.slots:
            slots = getattr(book, table.slots)
            index_all(getattr(book, name), entries[name], table.key, slots, int(book.scalars[table.bits]))
    _chain_lists(book)
    _lay_out_legs(book, parts["leg_prices"], lists_with_legs)
    _raise_tree(book, entries["spenders"], entries["limits"])
    _give_spenders(book, parts["spends"])
    index_legs(book)
    timed = (book.requests[:, STATUS] & CODE_MASK == RequestState.HELD) & (book.requests[:, EXPIRES_NS] > 0)
    places = np.flatnonzero(timed)
    return with_heap(book, np.column_stack((book.requests[places, EXPIRES_NS], places)), 0)


def _chain_lists(book: MeterBook) -> None:
    """Link each list to the next older of its book, and each book to its latest."""
    count = int(book.scalars[LIST_COUNT])
    lists = book.price_lists[:count]
    keys = lists[:, SUPPLIER] << 16 | lists[:, GRADE]
    order = np.lexsort((lists[:, VALID_FROM], keys))
    same = keys[order][1:] == keys[order][:-1]
    lists[order[1:], OLDER] = np.where(same, order[:-1], -1)
    lists[order[:1], OLDER] = -1
    latest = order[np.concatenate((~same, [True]))] if count else order
    place_of = {int(key): place for place, key in enumerate(book.books[:, BOOK_KEY]) if key}
    for place in latest.tolist():
        book.books[place_of[int(keys[place])], LATEST] = place


def _lay_out_legs(book: MeterBook, said: Matrix, lists: Matrix) -> None:
    """Write what was said of legs into blocks, and work these out."""
    first_of = {}
    for block, number in enumerate(lists.tolist()):
        book.price_lists[number - 1, BLOCK] = block + 1
        first_of[number] = STEPS_OF_BLOCK * block
        fill_base(book.leg_steps, STEPS_OF_BLOCK * block, book.price_lists, number - 1)
    for number, step, leg, price, bound in said.tolist():
        first = first_of[number]
        book.leg_steps[first + step, SAID] |= 1 << leg
        book.leg_steps[first + step, leg] = price
        if step:
            book.leg_steps[first, STEPS] = max(book.leg_steps[first, STEPS], step)
            book.leg_steps[first + step, ABOVE] = bound
        elif leg >= FIRST_PIECE:
            book.leg_steps[first, PIECES_MOST + leg - FIRST_PIECE] = bound
    book.scalars[BLOCK_COUNT] = len(lists)
    work_out_all(book.leg_steps, len(lists))


def _raise_tree(book: MeterBook, spenders: int, limits: int) -> None:
    """Link spenders to their parents and to their limits, and say when the budgets' windows end."""
    row_of = {number: at for at, number in enumerate(book.spenders[:spenders, SPENDER].tolist())}
    for at, parent in enumerate(book.spenders[:spenders, PARENT].tolist()):
        above = row_of[parent] if parent else -1
        depth = book.spenders[above, DEPTH] + 1 if parent else 1
        book.spenders[at, PARENT_ROW], book.spenders[at, DEPTH] = above, depth
    for at, (owner, window, began, offset) in enumerate(
        book.limits[:limits, [LIMITED, WINDOW, BEGAN, OFFSET_NS]].tolist()
    ):
        spender = book.spenders[row_of[owner]]
        spender[FIRST_LIMIT + spender[LIMITS_HERE]] = at
        spender[LIMITS_HERE] += 1
        if window > LimitWindow.HOUR:
            book.limits[at, ENDS_NS] = borders(window, max(began, 0), offset)[1]


def _give_spenders(book: MeterBook, spends: Matrix) -> None:
    """Write whose each request is beside it."""
    row_of = {number: at for at, number in enumerate(book.spenders[:, SPENDER].tolist()) if number}
    place_of = {key: at for at, key in enumerate(book.requests[:, REQUEST].tolist()) if key}
    for key, spender, held_ns, counted in spends.tolist():
        delivery = book.deliveries[place_of[key]]
        delivery[SPENDER_ROW], delivery[HELD_NS], delivery[COUNTED] = row_of[spender] + 1, held_ns, counted
