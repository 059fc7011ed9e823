"""The exchange's events as they concern orders and trades of futures, compiled: what `orders.Orders` does, many at a time.

`hear_rows` takes events in from a place on, and stops before the first one that is not its own: another event that concerns the
clearing house (`concerning`), one of receipts, half a trade whose other half is not there, or anything that breaks an invariant.
That one is for the shared code, which says what is wrong with it; the loop has changed nothing for it.

| event | what it does |
|---|---|
| ACCEPTED, AMENDED, CANCELLED | open lots of a position, of a spread's two; its charge |
| two FILLED | two positions change, two fees accrue, NOVATED is said |

All that is worked out is `Position`'s and `orders.accrue`'s, without ever leaving 64 bits: where they divide a product, the
product is taken apart first.
"""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, REASON_SHIFT
from ciyuan.clearing.columns import (
    ACCRUED,
    ADJUSTMENT,
    BASIS,
    BUYS,
    CHANGED,
    FEE_MAKER_LOT,
    FEE_MAKER_PPM,
    FEE_TAKER_LOT,
    FEE_TAKER_PPM,
    FEE_TODAY_LOT,
    FEE_TODAY_PPM,
    FILLS,
    IS_SPOT,
    KNOWN,
    LONG,
    LONG_COST,
    LONG_LOTS,
    LONG_TODAY,
    MAKER_LOTS,
    MARGIN_DAY,
    MARK_TICKS,
    MEMBER,
    MEMBER_TOP,
    PLACE,
    POSITIONS,
    REALISED,
    SELLS,
    SHORT,
    SHORT_COST,
    SHORT_TODAY,
    SINCE_DAY,
    TAKER_LOTS,
    TICK_VALUE,
    Matrix,
    Tables,
    Words,
    tables_at,
)
from ciyuan.clearing.margin import PPM
from ciyuan.clearing.marking import reckon
from ciyuan.clearing.orders import FORCED, HEDGES, NOVATED, SIDE_SELL, TAKER, UNPRICED
from ciyuan.clearing.positions import CLOSE, CLOSE_TODAY, DIRECTION, OPEN
from ciyuan.exchange.messages import CONTRACT_MASK, LEFT_BEFORE_SHIFT, ExchangeEvent
from ciyuan.exchange.tables import fetch, table

FIRST_EVENT = int(min(ExchangeEvent))
ACCEPTED, FILLED, CANCELLED, AMENDED = map(
    int, (ExchangeEvent.ACCEPTED, ExchangeEvent.FILLED, ExchangeEvent.CANCELLED, ExchangeEvent.AMENDED)
)
POSITIONS_OF_A_ROW = 2
"""At most so many positions are begun by a row."""
FAR_AHEAD, AHEAD, NEAR_AHEAD = 12, 8, 4
"""How many rows ahead the index, the position's place in it, and the position are asked for."""


@njit(cache=True)
def hear_rows(
    directory: Matrix,
    places: int,
    concerning: int,
    given_rows: Matrix,
    start: int,
    half: bool,
    given_events: Matrix,
    given_after: Words,
    said: int,
) -> tuple[int, int]:
    """Take in the (n, 8) events from `start` on. With `half` the first side of a trade has been heard. What is said goes to
    `given_events` from `said` on, and to `given_after` the number of rows that were heard before it was. Returns (rows done in
    all, events in all).
    """
    tables, rows, events = tables_at(directory), table(given_rows, 8), table(given_events, 8)
    total, at = len(rows), start
    while at < total:
        if at + FAR_AHEAD < total:
            _look_ahead(tables, places, rows, at)
        code = rows[at, 0] & CODE_MASK
        if code == ACCEPTED:
            if not _open(tables, places, rows, at, rows[at, 6]):
                break
        elif code == FILLED:
            if half or at + 1 == total or rows[at + 1, 0] & CODE_MASK != FILLED:
                break
            if not _novate(tables, places, rows, at, events, said):
                break
            at += 1
            given_after[said] = at + 1
            said += 1
        elif code == CANCELLED:
            if not _open(tables, places, rows, at, -rows[at, 6]):
                break
        elif code == AMENDED:
            if not _open(tables, places, rows, at, rows[at, 7] - (rows[at, 4] >> LEFT_BEFORE_SHIFT)):
                break
        elif 0 <= code - FIRST_EVENT < 63 and concerning >> (code - FIRST_EVENT) & 1:
            break
        at += 1
    return at, said


@njit(cache=True, forceinline=True)
def _is_member(tables: Tables, number: int) -> bool:
    known: bool = 0 < number <= tables.scalars[MEMBER_TOP] and tables.members[number, KNOWN] != 0
    return known


@njit(cache=True, forceinline=True)
def _slot(tables: Tables, places: int, number: int, place: int) -> int:
    """The row of a position, which is begun if there is none."""
    slot = tables.slots[number * places + place] + 0
    if slot == 0:
        slot = tables.scalars[POSITIONS]
        tables.scalars[POSITIONS] = slot + 1
        tables.cold[slot, MEMBER], tables.cold[slot, PLACE] = number, place
        tables.slots[number * places + place] = slot
    return slot


@njit(cache=True, forceinline=True)
def _open(tables: Tables, places: int, rows: Matrix, at: int, lots: int) -> bool:
    """So many lots more are open, in each of the order's months; False, and nothing done, if they cannot be."""
    kind, number, contract = rows[at, 0], rows[at, 2], rows[at, 4] & CONTRACT_MASK
    if not _is_member(tables, number) or contract >= len(tables.legs) or tables.legs[contract, 0] < 0:
        return False
    near, far = tables.legs[contract, 0], tables.legs[contract, 1]
    if tables.markets[near, IS_SPOT] != 0:
        return False
    effect = kind >> REASON_SHIFT
    if effect & DIRECTION == CLOSE or effect & DIRECTION == CLOSE_TODAY:
        return True
    hedge = 1 if effect & HEDGES else 0
    side = SELLS if kind & SIDE_SELL else BUYS
    slot = _slot(tables, places, number, 2 * near + hedge)
    if tables.hot[slot, side] + lots < 0:
        return False
    if far >= 0:
        other, other_side = _slot(tables, places, number, 2 * far + hedge), SELLS + BUYS - side
        if tables.hot[other, other_side] + lots < 0:
            return False
        tables.hot[other, other_side] += lots
        reckon(tables, number, other, far)
    tables.hot[slot, side] += lots
    reckon(tables, number, slot, near)
    return True


@njit(cache=True, forceinline=True)
def _novate(tables: Tables, places: int, rows: Matrix, at: int, events: Matrix, said: int) -> bool:
    """A trade of two rows; False, and nothing done, if it cannot be."""
    buy, sell = (at + 1, at) if rows[at, 0] & SIDE_SELL else (at, at + 1)
    contract, price, lots = rows[buy, 4], rows[buy, 5], rows[buy, 6]
    whole = rows[buy, 0] & SIDE_SELL == 0 and rows[sell, 0] & SIDE_SELL != 0
    for word in range(4, 8):
        whole = whole and rows[buy, word] == rows[sell, word]
    if not whole or not 0 <= contract < len(tables.legs):
        return False
    market = tables.legs[contract, 0]
    if market < 0 or tables.legs[contract, 1] >= 0 or tables.markets[market, IS_SPOT] != 0:
        return False
    buyer, seller = rows[buy, 2], rows[sell, 2]
    if not _is_member(tables, buyer) or not _is_member(tables, seller):
        return False
    bought = _slot(tables, places, buyer, 2 * market + (1 if rows[buy, 0] >> REASON_SHIFT & HEDGES else 0))
    sold = _slot(tables, places, seller, 2 * market + (1 if rows[sell, 0] >> REASON_SHIFT & HEDGES else 0))
    if bought == sold or not (
        _is_possible(tables, bought, rows[buy, 0], False, lots)
        and _is_possible(tables, sold, rows[sell, 0], True, lots)
    ):
        return False
    _fill(tables, buyer, bought, market, rows[buy, 0], False, price, lots)
    _fill(tables, seller, sold, market, rows[sell, 0], True, price, lots)
    if not rows[at, 0] & rows[at + 1, 0] & UNPRICED:
        tables.markets[market, MARK_TICKS] = price
    events[said, 0], events[said, 1] = NOVATED, rows[buy, 1]
    events[said, 2], events[said, 3], events[said, 4] = rows[buy, 7], buyer, seller
    events[said, 5], events[said, 6], events[said, 7] = contract, price, lots
    return True


@njit(cache=True, forceinline=True)
def _is_possible(tables: Tables, slot: int, kind: int, sells: bool, lots: int) -> bool:
    """Whether there is what a side of a trade closes, and its order was open."""
    direction = kind >> REASON_SHIFT & DIRECTION
    if direction in (CLOSE, CLOSE_TODAY):
        held = tables.hot[slot, LONG if sells else SHORT]
        return 0 < lots <= held
    opened: bool = lots > 0 and (kind & FORCED != 0 or tables.hot[slot, SELLS if sells else BUYS] >= lots)
    return opened


@njit(cache=True, forceinline=True)
def _fill(
    tables: Tables, number: int, slot: int, market: int, kind: int, sells: bool, price: int, lots: int
) -> None:
    """One side of a trade (`Orders._fill`)."""
    direction = kind >> REASON_SHIFT & DIRECTION
    _trade(tables, number, slot, market, direction, sells, price, lots)
    if kind & FORCED == 0:
        _accrue(tables, number, market, direction == CLOSE_TODAY, kind & TAKER != 0, price, lots)
        if direction != CLOSE and direction != CLOSE_TODAY:
            tables.hot[slot, SELLS if sells else BUYS] -= lots
    reckon(tables, number, slot, market)


@njit(cache=True, forceinline=True)
def _trade(
    tables: Tables, number: int, slot: int, market: int, direction: int, sells: bool, price: int, lots: int
) -> None:
    """`Position.trade`."""
    hot, cold = tables.hot[slot], tables.cold[slot]
    before, long_before = hot[LONG] - hot[SHORT], hot[LONG]
    was_flat = hot[LONG] == 0 and hot[SHORT] == 0
    if sells:
        closed = _close(hot, cold, direction, lots, price, 1, LONG, LONG_TODAY, LONG_COST)
        opened, basis = lots - closed, -lots * price
        hot[SHORT] += opened
        hot[SHORT_TODAY] += opened
        cold[SHORT_COST] += opened * price
    else:
        closed = _close(hot, cold, direction, lots, price, -1, SHORT, SHORT_TODAY, SHORT_COST)
        opened, basis = lots - closed, lots * price
        hot[LONG] += opened
        hot[LONG_TODAY] += opened
        cold[LONG_COST] += opened * price
    hot[BASIS] += basis
    tables.markets[market, LONG_LOTS] += hot[LONG] - long_before
    after = hot[LONG] - hot[SHORT]
    if hot[LONG] == 0 and hot[SHORT] == 0:
        cold[SINCE_DAY] = 0
    elif was_flat or (direction == 0 and ((before > 0 and after < 0) or (before < 0 and after > 0))):
        cold[SINCE_DAY] = tables.scalars[MARGIN_DAY]
    tables.members[number, CHANGED] = 1
    if closed > 0 and tables.members[number, ADJUSTMENT] < 0:
        tables.members[number, ADJUSTMENT] = 0


@njit(cache=True, forceinline=True)
def _close(
    hot: Words,
    cold: Words,
    direction: int,
    lots: int,
    price: int,
    won: int,
    side: int,
    side_today: int,
    side_cost: int,
) -> int:
    """Close lots of one side with their part of its cost (`Position._close`); returns how many. `won` is +1 where a higher price
    wins.
    """
    held, today, cost = hot[side], hot[side_today], cold[side_cost]
    if direction == OPEN:
        return 0
    closed = lots if direction != 0 else min(lots, held)
    if closed == 0:
        return 0
    of_today = min(closed, today) if direction == CLOSE_TODAY else max(closed - (held - today), 0)
    part = cost // held * closed + cost % held * closed // held
    hot[side], hot[side_today], cold[side_cost] = held - closed, today - of_today, cost - part
    cold[REALISED] += won * (closed * price - part)
    return closed


@njit(cache=True, forceinline=True)
def _accrue(
    tables: Tables, number: int, market: int, closes_today: bool, taker: bool, price: int, lots: int
) -> None:
    """The fee of one side of a fill (`orders.accrue`)."""
    terms, member = tables.markets[market], tables.members[number]
    lot, ppm = terms[FEE_MAKER_LOT], terms[FEE_MAKER_PPM]
    if taker:
        lot, ppm = terms[FEE_TAKER_LOT], terms[FEE_TAKER_PPM]
    if closes_today and terms[FEE_TODAY_LOT] >= 0:
        lot = terms[FEE_TODAY_LOT]
    if closes_today and terms[FEE_TODAY_PPM] >= 0:
        ppm = terms[FEE_TODAY_PPM]
    turnover = price * terms[TICK_VALUE] * lots
    rate = turnover // PPM * ppm + (2 * (turnover % PPM) * ppm + PPM) // (2 * PPM)
    if taker:
        member[TAKER_LOTS] += lots
    else:
        member[MAKER_LOTS] += lots
    member[ACCRUED] += max(1, lots * lot + rate)
    member[FILLS] += 1


@njit(cache=True, forceinline=True)
def _look_ahead(tables: Tables, places: int, rows: Matrix, at: int) -> None:
    """Ask for what the rows to come will touch. What is wrong about a row is not known yet, so nothing here may rely on it."""
    place = _place_of(tables, places, rows, at + FAR_AHEAD)
    if place >= 0:
        fetch(tables.slots, place, 0)
        fetch(tables.members, rows[at + FAR_AHEAD, 2], 0)
    place = _place_of(tables, places, rows, at + AHEAD)
    if place >= 0:
        slot = tables.slots[place] + 0
        fetch(tables.hot, slot, 0)
        fetch(tables.cold, slot, 0)


@njit(cache=True, forceinline=True)
def _place_of(tables: Tables, places: int, rows: Matrix, at: int) -> int:
    """Where a row's position stands in the index; -1 if it names none."""
    number, contract = rows[at, 2], rows[at, 4] & CONTRACT_MASK
    if not 0 < number <= tables.scalars[MEMBER_TOP] or not contract < len(tables.legs):
        return -1
    near = tables.legs[contract, 0]
    if near < 0:
        return -1
    return number * places + 2 * near + (rows[at, 0] >> REASON_SHIFT & HEDGES) // HEDGES
