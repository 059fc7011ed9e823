"""The arrays that the exchange's kernel works on. They are made once, for a `Room`; the kernel itself never
allocates.

| array | shape | holds |
|---|---|---|
| scalars | (16,) | the clock, counts and strides, places below |
| markets | (contracts, 80) | by contract, in order of number: figures, bests, terms |
| orders | (room + 1, 16) | by slot; slot 0 is unused. A slot is an order until it is forgotten, then free again |
| levels | (contracts x 4 x ticks, 4) | by contract, ladder and tick: first and last slot, lots shown, orders |
| bits | (contracts x 4 x words,) | by contract and ladder: which ticks have orders, in three levels of 64 |
| heads | (2^k,) int32 | hash index: slot of the first order of a chain, by account and order id; 0 is none |
| accounts | (room + 1, 16) | by account number |
| positions | (accounts x contracts x 2, 24) | by account, contract, hedging or not |
| minutes | (contracts x 16, 3) | by contract and minute of the clock mod 16: minute, lowest and highest trade |
| places | (highest number + 1,) | contract number -> row of `markets`, -1 for none |

A contract has four ladders: buyers, sellers, buyers' stops, sellers' stops, of which the last two are by trigger. A
tick is a price less the contract's BASE, its lower limit. An order's first 64 bytes are what matching touches, the
rest is what it was sent as. Room is asked of the system but touched only when used, so a wide room costs nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numba import types
from numpy.typing import NDArray

from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.room import Room
from ciyuan.exchange.state import CONTRACT_COLUMNS
from ciyuan.exchange.tables import RecordType, TableType, record_of

Matrix: TypeAlias = NDArray[np.int64]
Words: TypeAlias = NDArray[np.int64]
Slots: TypeAlias = NDArray[np.int32]

(
    CLOCK, NUMBERS, TRADES, FREE, FRESH, OPEN_ORDERS, PARTS, HASH_MASK, TICKS, MID_WORDS, LADDER_WORDS, EVERYONE,
    NEXT_DUE, AUCTIONS, ACCOUNT_TOP, EVENTS_NEEDED,
) = range(16)  # fmt: skip
"""Places in `scalars`. FREE: first free slot (chained by NEXT), FRESH: first slot never used; PARTS: parts that open
icebergs will show; TICKS: ticks of a ladder; MID_WORDS, LADDER_WORDS: words of a bitset's middle level and of all
three; NEXT_DUE: end of the first breaker's auction; AUCTIONS: contracts in an auction's entry or freeze; ACCOUNT_TOP:
highest account with anything in it.
"""

FIGURES = len(CONTRACT_COLUMNS)
(
    NUMBER, STATE, DAY, REFERENCE, SETTLEMENT, SETTLED_DAY, SETTLED_METHOD, LOWER, UPPER, RATE_BP, NOTICE_BP, VOLUME,
    TURNOVER, DAY_TRADES, OPEN_TICKS, HIGH, LOW, LAST, BOTH_SINCE, CLOSING_NS, LOCK_SIDE, LOCK_SINCE, LOCK_DAYS,
    LOCK_DIRECTION, LOCK_TICKS, SUSPEND, DUE, OPEN_INTEREST, MARGIN_LOT, FEE_LOT, LIMIT_LOTS, HEDGER_LIMIT, SHARE_BP,
    SEQUENCE, INDICATIVE_TICKS, INDICATIVE_LOTS, INDICATIVE_SURPLUS,
) = range(FIGURES)  # fmt: skip
"""Columns of `markets` that are its state, as `state.CONTRACT_COLUMNS`."""
(
    BASE, BEST_BUY, BEST_SELL, BEST_BUY_STOP, BEST_SELL_STOP, TAKES, CANCELS, CONTRACT_KIND, TICK_VALUE, MAX_LOTS,
    FIRST_DAY, LAST_DAY, MONTH, GRADE, CONTRACT_RATE, INITIAL, PERMISSION, NEAR, FAR, SPREADS, BREAKER_BP,
    BREAKER_MINUTES, BAND_MINUTE, BAND_LOWER, BAND_UPPER, INDICATIVE_SEEN, ICEBERGS, SPREAD_ORDERS, LIMIT_NOW,
    HEDGER_LIMIT_NOW, IS_FUTURE,
) = range(FIGURES, FIGURES + 31)  # fmt: skip
"""Columns of `markets` that follow from its state or its listing. BEST_*: the best tick of each ladder, NONE_LOW or
NONE_HIGH if empty; TAKES, CANCELS: what the state takes; NEAR, FAR: legs of a spread, -1; SPREADS: how many spreads
the contract is a leg of; BAND_*: the breaker's, valid in BAND_MINUTE; SPREAD_ORDERS: standing orders of spreads that
it is a leg of; *_NOW: the limits in force; IS_FUTURE: neither spot nor a spread.
"""
MARKET_WORDS = 80

(
    LEFT, SHOWN, PRICE, NEXT, PREV, ACCOUNT, KIND, PRIORITY, ORDER_ID, CONTRACT, SENT_PRICE, SENT_LOTS, SECOND, LOTS, END,
    CHAIN,
) = range(16)  # fmt: skip
"""Columns of `orders`. KIND: flags in bits 0-7, effect in 8-15, WAS_TRIGGERED, place of the contract from bit 24 up."""
WAS_TRIGGERED = 1 << 16
EFFECT_SHIFT, PLACE_SHIFT = 8, 24

ORDER_WORDS = 16

HEAD, TAIL, LEVEL_LOTS, LEVEL_ORDERS = range(4)
"""Columns of `levels`."""
LEVEL_WORDS = 4
LADDERS = 4
BUYS, SELLS, BUY_STOPS, SELL_STOPS = range(LADDERS)
NONE_LOW, NONE_HIGH = -1, 1 << 40
"""Best tick of an empty ladder: of buyers and sellers' stops, of sellers and buyers' stops."""

(
    A_FLAGS, A_PERMISSIONS, A_CREDIT, A_REQUIREMENT, A_KILLED, A_RATE, A_SELF_TRADE, A_SECOND, A_SECOND_ORDERS,
) = range(9)  # fmt: skip
"""Columns of `accounts`."""
ACCOUNT_WORDS = 16

(
    LONG, SHORT, OPEN_BUYS, OPEN_SELLS, CHARGE, PAST_ID, MESSAGES, CANCELLED_ORDERS, LONG_TODAY, SHORT_TODAY, BASIS,
    FILLS, IS_REPORTED, QUOTA_LOTS, RESERVED, RECEIPTS, SPOKEN_LONG, SPOKEN_LONG_TODAY, SPOKEN_SHORT, SPOKEN_SHORT_TODAY,
    LOCK_LOTS,
) = range(21)  # fmt: skip
"""Columns of `positions`. SPOKEN_*: lots that open orders are to close, of earlier days and of today."""
POSITION_WORDS = 24

MINUTE, MINUTE_LOW, MINUTE_HIGH = range(3)
MINUTE_WORDS = 3
MINUTES = 16


class Book(NamedTuple):
    """The matrices of one exchange; in compiled code their tables (`tables.py`), as every kernel function takes them."""

    scalars: Words
    markets: Matrix
    orders: Matrix
    levels: Matrix
    bits: Words
    heads: Slots
    accounts: Matrix
    positions: Matrix
    minutes: Matrix
    places: Words


def directory_of(book: Book) -> Matrix:
    """Where the matrices of a book are: (address, rows) of each. It holds while the book is kept and nothing is put
    in its place.
    """
    return np.array([(matrix.ctypes.data, len(matrix)) for matrix in book], dtype=np.int64)


book_at: Callable[[Matrix], Book] = record_of(
    RecordType(
        "Book",
        (
            ("scalars", TableType(types.int64, 1)),
            ("markets", TableType(types.int64, MARKET_WORDS)),
            ("orders", TableType(types.int64, ORDER_WORDS)),
            ("levels", TableType(types.int64, LEVEL_WORDS)),
            ("bits", TableType(types.int64, 1)),
            ("heads", TableType(types.int32, 1)),
            ("accounts", TableType(types.int64, ACCOUNT_WORDS)),
            ("positions", TableType(types.int64, POSITION_WORDS)),
            ("minutes", TableType(types.int64, MINUTE_WORDS)),
            ("places", TableType(types.int64, 1)),
        ),
    )
)
"""The book of a directory, in compiled code."""


def empty_book(contracts: Sequence[Contract], room: Room, *, everyone: bool) -> Book:
    """A book of these contracts (in order of number) at time 0, with nothing in it yet; `bells.open_books` makes it ready."""
    count = len(contracts)
    low_words = -(-room.ladder_ticks // 64)
    mid_words = -(-low_words // 64)
    ladder_words = 1 + mid_words + low_words
    heads = 1 << max(10, (room.orders - 1).bit_length())
    scalars = np.zeros(16, dtype=np.int64)
    scalars[[FRESH, HASH_MASK, TICKS, MID_WORDS, LADDER_WORDS, EVERYONE]] = (
        1, heads - 1, room.ladder_ticks, mid_words, ladder_words, int(everyone),
    )  # fmt: skip
    scalars[NEXT_DUE] = np.iinfo(np.int64).max
    places = np.full(max((contract.number for contract in contracts), default=0) + 1, -1, dtype=np.int64)
    markets = np.zeros((count, MARKET_WORDS), dtype=np.int64)
    for place, contract in enumerate(contracts):
        places[contract.number] = place
    for place, contract in enumerate(contracts):
        _list(markets[place], contract, places)
    for place in range(count):
        legs = markets[:, NEAR] == place, markets[:, FAR] == place
        markets[place, SPREADS] = int(legs[0].sum() + legs[1].sum())
    return Book(
        scalars=scalars,
        markets=markets,
        orders=np.zeros((room.orders + 1, ORDER_WORDS), dtype=np.int64),
        levels=np.zeros((count * LADDERS * room.ladder_ticks, LEVEL_WORDS), dtype=np.int64),
        bits=np.zeros(count * LADDERS * ladder_words, dtype=np.int64),
        heads=np.zeros(heads, dtype=np.int32),
        accounts=np.zeros((room.accounts + 1, ACCOUNT_WORDS), dtype=np.int64),
        positions=np.zeros(((room.accounts + 1) * count * 2, POSITION_WORDS), dtype=np.int64),
        minutes=np.zeros((count * MINUTES, MINUTE_WORDS), dtype=np.int64),
        places=places,
    )


def _list(market: Words, contract: Contract, places: Words) -> None:
    """What a contract's listing says, into its row."""
    legs = (places[contract.near], places[contract.far]) if contract.is_spread else (-1, -1)
    listed = {
        NUMBER: contract.number,
        CONTRACT_KIND: contract.kind,
        TICK_VALUE: contract.tick_value_micro,
        MAX_LOTS: contract.max_lots_per_order,
        FIRST_DAY: contract.first_day,
        LAST_DAY: contract.last_day,
        MONTH: contract.month,
        GRADE: contract.grade,
        CONTRACT_RATE: contract.limit_rate_bp,
        INITIAL: contract.initial_price_ticks,
        PERMISSION: contract.permission,
        IS_FUTURE: int(contract.kind not in (ContractKind.SPOT, ContractKind.SPREAD)),
        NEAR: legs[0],
        FAR: legs[1],
        BREAKER_BP: contract.breaker_bp,
        BREAKER_MINUTES: contract.breaker_minutes,
    }
    for column, value in listed.items():
        market[column] = value
