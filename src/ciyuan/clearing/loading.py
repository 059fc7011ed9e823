"""The register's members and positions as a snapshot's parts, and back, a column at a time.

The parts are those of `snapshot.py`, row for row; here they are made of whole columns, since a million members with all their
positions are too many for a loop over views.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ciyuan.clearing.columns import (
    COLD_COLUMNS,
    HOT_COLUMNS,
    KNOWN,
    LONG_LOTS,
    MEMBER,
    MEMBER_TOP,
    NUMBER,
    PLACE,
    POSITIONS,
    Matrix,
    Words,
)
from ciyuan.clearing.commands import PARTICIPANT_MAX
from ciyuan.clearing.marking import slots_by_place
from ciyuan.clearing.positions import MARKET_WORDS, MEMBER_WORDS, POSITION_WORDS
from ciyuan.clearing.register import Register, RegisterBooks
from ciyuan.clearing.section import not_a_section
from ciyuan.clearing.snapshot import SECTIONS, WIDTHS, check_shapes, restored
from ciyuan.clearing.snapshot_words import check_words

LOADED = ("members", "positions")
PLACE_WORDS = 3
"""Words of a position's row before its own: participant, contract, hedge."""


def members_part(register: Register) -> Matrix:
    """The snapshot's members."""
    numbers = register.numbers()
    return np.column_stack((numbers, register.tables.members[numbers, : len(MEMBER_WORDS)]))


def positions_part(register: Register) -> Matrix:
    """The snapshot's positions: those of which anything is not 0."""
    tables = register.tables
    slots = tables.slots[: (register.top + 1) * register.places]
    slots = slots[slots != 0]
    part = np.empty((len(slots), WIDTHS["positions"]), dtype=np.int64)
    part[:, 0] = tables.cold[slots, MEMBER]
    place = tables.cold[slots, PLACE]
    part[:, 1], part[:, 2] = tables.markets[place // 2, NUMBER], place % 2
    for column, word in enumerate(POSITION_WORDS, start=PLACE_WORDS):
        hot = word in HOT_COLUMNS
        part[:, column] = (
            tables.hot[slots, HOT_COLUMNS.index(word)]
            if hot
            else tables.cold[slots, COLD_COLUMNS.index(word)]
        )
    kept = part[:, PLACE_WORDS:].any(axis=1)
    return part if kept.all() else part[kept]


def parts_of_register(books: RegisterBooks) -> dict[str, Matrix]:
    """The snapshot of these books, as `snapshot.parts_of` makes it."""
    receipts = [
        (number, *pair)
        for number, accounts in sorted(books.receipts.items())
        for pair in sorted(accounts.items())
    ]
    orders = [
        (*place, at.market.number, at.is_sell, at.price_ticks, at.left, at.key)
        for place, at in sorted(books.orders.items(), key=lambda entry: entry[0])
    ]
    numbers = np.array(sorted(books.register.rows), dtype=np.int64)
    rows: dict[str, Sequence[Sequence[int]]] = {
        "days": [(books.margin_day, books.settled_day, books.teller.key, books.uncovered_micro)],
        "receipts": receipts,
        "orders": orders,
        **{section.name: section.rows(books) for section in SECTIONS},
    }
    made = {
        "contracts": np.column_stack(
            (numbers, books.register.tables.markets[: len(numbers), : len(MARKET_WORDS)])
        ),
        "members": members_part(books.register),
        "positions": positions_part(books.register),
    }
    made |= {
        name: np.array([tuple(row) for row in found], dtype=np.int64).reshape(-1, WIDTHS[name])
        for name, found in rows.items()
    }
    return {name: made[name] for name in WIDTHS}


def load(books: RegisterBooks, parts: Mapping[str, Matrix]) -> None:
    """Fill new `books` with a snapshot's parts. Raises Malformed for parts that are not a snapshot of them."""
    check_shapes(parts)
    check_words(books, parts)
    load_members(books.register, parts["members"])
    load_positions(books.register, parts["positions"])
    restored(books, {**parts, **{name: parts[name][:0] for name in LOADED}})
    books.reckon_every()


def load_members(register: Register, part: Matrix) -> None:
    """Take a snapshot's members into a new register."""
    numbers = part[:, 0]
    if len(numbers) and not (
        0 < numbers[0] <= numbers[-1] <= PARTICIPANT_MAX and (numbers[1:] > numbers[:-1]).all()
    ):
        raise not_a_section(
            "members", f"{len(numbers)} numbers", f"1 to {PARTICIPANT_MAX}, in order, each once"
        )
    if len(numbers):
        register.reserve_members(int(numbers[-1]))
        members = register.tables.members
        members[numbers, : len(MEMBER_WORDS)] = part[:, 1:]
        members[numbers, KNOWN] = 1
        register.tables.scalars[MEMBER_TOP] = numbers[-1]


def load_positions(register: Register, part: Matrix) -> None:
    """Take a snapshot's positions into a register that has its members; their charges are not reckoned. A position that is there
    twice, or in no listed contract, or of nobody, is Malformed, and so are lots or bases that do not sum to zero.
    """
    numbers, places = part[:, 0], _places(register, part)
    tables = register.tables
    of_members = (numbers > 0) & (numbers <= register.top)
    if not of_members.all() or not tables.members[numbers, KNOWN].all():
        raise not_a_section("positions", "a position of nobody", "positions of members")
    register.reserve(len(part))
    tables, first = register.tables, register.positions
    slots_by_place(register.places, numbers, places, tables.slots, first)
    end = first + len(part)
    hot, cold = tables.hot[first:end], tables.cold[first:end]
    cold[:, MEMBER], cold[:, PLACE] = numbers, places
    for column, word in enumerate(POSITION_WORDS, start=PLACE_WORDS):
        into = hot if word in HOT_COLUMNS else cold
        into[:, (HOT_COLUMNS if word in HOT_COLUMNS else COLD_COLUMNS).index(word)] = part[:, column]
    tables.scalars[POSITIONS] = end
    if not (tables.slots[numbers * register.places + places] == np.arange(first, end)).all():
        raise not_a_section("positions", "one of them twice", "each position once")
    _check_sums(register, part, places // 2)


def _places(register: Register, part: Matrix) -> Words:
    """The place of each position's row. Raises Malformed for a contract or a hedge that there is not."""
    listed = np.array(sorted(register.rows), dtype=np.int64)
    rows = np.searchsorted(listed, part[:, 1])
    if len(part) and (not len(listed) or (listed[np.minimum(rows, len(listed) - 1)] != part[:, 1]).any()):
        raise not_a_section("positions", "a contract that is not listed", f"one of {listed.tolist()}")
    if not np.isin(part[:, 2], (0, 1)).all():
        raise not_a_section("positions", "another hedge", "0, or 1 for a hedging position")
    return 2 * rows + part[:, 2]


def _check_sums(register: Register, part: Matrix, rows: Words) -> None:
    """Keep each market's open interest; raise Malformed if lots or bases do not sum to zero."""
    long, short, basis = (
        part[:, PLACE_WORDS + POSITION_WORDS.index(word)] for word in ("long", "short", "basis")
    )
    sums = np.zeros((len(register.tables.markets), 3), dtype=np.int64)
    for column, words in enumerate((long, long - short, basis)):
        np.add.at(sums[:, column], rows, words)
    register.tables.markets[:, LONG_LOTS] += sums[:, 0]
    if sums[:, 1:].any():
        raise not_a_section(
            "positions", sums[:, 1:].tolist(), "lots and bases of every contract that sum to zero"
        )
