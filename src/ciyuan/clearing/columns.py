"""The register's matrices: which word of a member, a market, a position stands in which column.

| matrix | a row | columns |
|---|---|---|
| members | participant's number (row 0 unused) | `MEMBER_COLUMNS`, to whole cache lines |
| markets | a contract that positions are held in, by number | `MARKET_COLUMNS` |
| hot | a position: what an order, a fill, a settlement touches | `HOT_COLUMNS`: one cache line |
| cold | the same position: whose it is, and its profit by entry price | `COLD_COLUMNS` |
| slots (int32) | by participant and place: the position's row in hot and cold; 0 is none | one |
| legs | contract number: rows of its first and second market, -1 for none | two |
| scalars | positions that were begun, the highest participant, the margin day | one |

A *place* is twice a market's row, plus 1 for the hedging position of a gross member: so places are in order of contract and
hedge. The words are those of `positions.py`, whatever they are; what the kernels need of them has its name here. Compiled code
sees the matrices as one record of tables (`ciyuan.exchange.tables`), by the directory of their addresses.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numba import types
from numpy.typing import NDArray

from ciyuan.clearing.positions import MARKET_WORDS, MEMBER_WORDS, POSITION_WORDS
from ciyuan.exchange.tables import RecordType, TableType, record_of

Matrix: TypeAlias = NDArray[np.int64]
Words: TypeAlias = NDArray[np.int64]
Slots: TypeAlias = NDArray[np.int32]

LINE_WORDS, LINE_BYTES = 8, 64
"""A cache line."""


def _joined(words: tuple[str, ...], *others: str) -> tuple[str, ...]:
    return (*words, *(name for name in others if name not in words))


MEMBER_COLUMNS = _joined(MEMBER_WORDS, "ladder_micro", "reserved_micro", "known")
"""`known` is 1 once the participant is a member."""
MARKET_COLUMNS = _joined(
    MARKET_WORDS, "long_lots", "listed_number", "listed_spot",
    "listed_tick_value", "listed_lot_mtok", "fee_maker_lot", "fee_taker_lot", "fee_maker_ppm", "fee_taker_ppm", "fee_today_lot",
    "fee_today_ppm",
)  # fmt: skip
"""`long_lots` is the open interest, kept with every position; `listed_*` and `fee_*` are the contract's and its fees'."""
HOT_COLUMNS = (
    "long",
    "short",
    "long_today",
    "short_today",
    "buys",
    "sells",
    "basis",
    "charge_micro",
)
COLD_COLUMNS = ("member", "place", *(word for word in POSITION_WORDS if word not in HOT_COLUMNS))


def _width(columns: tuple[str, ...]) -> int:
    return -(-len(columns) // LINE_WORDS) * LINE_WORDS


MEMBER_WIDTH, MARKET_WIDTH = _width(MEMBER_COLUMNS), _width(MARKET_COLUMNS)
HOT_WIDTH, COLD_WIDTH = _width(HOT_COLUMNS), _width(COLD_COLUMNS)

(
    CASH, ROLE, FLAGS, ACCRUED, MAKER_LOTS, TAKER_LOTS, FILLS, OWED, CALLED_FOR, DEADLINE, STANDING, OPENING, VARIATION_SUM,
    FEES_PAID, BOUGHT, SOLD, RECEIPTS_BOUGHT, RECEIPTS_SOLD, LENT_SUM, FUND_MOVED, PENALTIES, SCENARIO, ADJUSTMENT, COLLATERAL,
    CHANGED, LOOKS, LADDER, KNOWN,
) = (
    MEMBER_COLUMNS.index(name)
    for name in (
        "cash", "role", "flags", "accrued_micro", "maker_lots", "taker_lots", "fills", "owed_micro", "called_micro",
        "deadline_ns", "standing", "opening_micro", "variation_micro", "fees_micro", "bought_micro", "sold_micro",
        "receipts_bought", "receipts_sold", "lent_micro", "fund_moved_micro", "penalties_micro", "scenario_micro",
        "adjustment_micro", "collateral_micro", "changed", "looks", "ladder_micro", "known",
    )
)  # fmt: skip
"""Columns of `members`."""
(
    MARK_TICKS, REVIEW_TICKS, MARGIN_LOT, FEE_LOT, LONG_LOTS, NUMBER, IS_SPOT, TICK_VALUE, LOT_MTOK,
    FEE_MAKER_LOT, FEE_TAKER_LOT, FEE_MAKER_PPM, FEE_TAKER_PPM, FEE_TODAY_LOT, FEE_TODAY_PPM,
) = (
    MARKET_COLUMNS.index(name)
    for name in (
        "mark_ticks", "review_ticks", "margin_lot_micro", "fee_lot_micro", "long_lots",
        "listed_number", "listed_spot", "listed_tick_value", "listed_lot_mtok", "fee_maker_lot", "fee_taker_lot",
        "fee_maker_ppm", "fee_taker_ppm", "fee_today_lot", "fee_today_ppm",
    )
)  # fmt: skip
"""Columns of `markets`."""
LONG, SHORT, LONG_TODAY, SHORT_TODAY, BUYS, SELLS, BASIS, CHARGE = range(HOT_WIDTH)
"""Columns of `hot`."""
MEMBER, PLACE, LONG_COST, SHORT_COST, REALISED, SINCE_DAY = (
    COLD_COLUMNS.index(name)
    for name in ("member", "place", "long_cost", "short_cost", "realised", "since_day")
)
"""Columns of `cold`."""
POSITIONS, MEMBER_TOP, MARGIN_DAY = range(3)
"""Places in `scalars`. POSITIONS: rows of hot and cold in use, row 0 among them."""


class Tables(NamedTuple):
    """The matrices of one register; in compiled code their tables."""

    scalars: Words
    members: Matrix
    markets: Matrix
    hot: Matrix
    cold: Matrix
    slots: Slots
    legs: Matrix


def directory_of(tables: Tables) -> Matrix:
    """Where the matrices are: (address, rows) of each. It holds while they are kept and none is put in another's place."""
    return np.array([(matrix.ctypes.data, len(matrix)) for matrix in tables], dtype=np.int64)


tables_at: Callable[[Matrix], Tables] = record_of(
    RecordType(
        "Register",
        (
            ("scalars", TableType(types.int64, 1)),
            ("members", TableType(types.int64, MEMBER_WIDTH)),
            ("markets", TableType(types.int64, MARKET_WIDTH)),
            ("hot", TableType(types.int64, HOT_WIDTH)),
            ("cold", TableType(types.int64, COLD_WIDTH)),
            ("slots", TableType(types.int32, 1)),
            ("legs", TableType(types.int64, 2)),
        ),
    )
)
"""The tables of a directory, in compiled code."""


def lines(rows: int, columns: int) -> Matrix:
    """A zero matrix whose rows begin at cache lines, if they are whole ones: memory that the system gives when it is touched."""
    words = np.zeros(rows * columns + LINE_WORDS, dtype=np.int64)
    first = -words.ctypes.data % LINE_BYTES // words.itemsize
    return words[first : first + rows * columns].reshape(rows, columns)


def empty_lines(rows: int, columns: int) -> Matrix:
    """The same, of whatever the memory held."""
    words = np.empty(rows * columns + LINE_WORDS, dtype=np.int64)
    first = -words.ctypes.data % LINE_BYTES // words.itemsize
    return words[first : first + rows * columns].reshape(rows, columns)
