"""Looks at many positions, compiled: marking to market, charges, running losses, large positions.

One look goes over members in order of number and over each member's places in order, so what it says is in the order of the
plain twin's. It works out, of each position, what `Position` says of one:

| what | is |
|---|---|
| variation (§7.2) | (lots x settlement price - basis) x tick value; then basis is lots x settlement price |
| charge (§5.1) | worst case x margin of a lot + open lots x fee of a lot, at the terms of the day to come |
| gain | (lots x mark - basis) x tick value: of what the running loss is the sum |
| large (§5.2) | the larger side is `report_bp` of the limit or more |

A position is one cache line (`columns.py`), read and written once. The lines of the member to come are asked for while one is
worked on, since positions stand in the order in which they were begun.
"""

from numba import njit

from ciyuan.basics.rows import FLAG_SHIFT, REASON_SHIFT
from ciyuan.clearing.columns import (
    ADJUSTMENT,
    BASIS,
    BUYS,
    CHANGED,
    CHARGE,
    FEE_LOT,
    FLAGS,
    IS_SPOT,
    KNOWN,
    LADDER,
    LONG,
    LONG_COST,
    LONG_LOTS,
    LONG_TODAY,
    LOT_MTOK,
    MARGIN_LOT,
    MARK_TICKS,
    MEMBER_TOP,
    NUMBER,
    REALISED,
    ROLE,
    SELLS,
    SHORT,
    SHORT_COST,
    SHORT_TODAY,
    SINCE_DAY,
    TICK_VALUE,
    Matrix,
    Slots,
    Tables,
    Words,
    tables_at,
)
from ciyuan.clearing.margin import BP
from ciyuan.clearing.messages import ClearingEvent, ClearingFlag, MemberFlag, MemberRole, Reason
from ciyuan.exchange.tables import fetch, table

T_SETTLE, T_MARK, T_TICK_VALUE, T_MARGIN_LOT, T_FEE_LOT, T_LIMIT, T_HEDGER_LIMIT, T_IS_SPOT = range(8)
"""Columns of a look's terms: a row for each market."""
TERM_WORDS = 8
NET, NEXT_LADDER, GAINED, LARGE, HELD = range(5)
"""Columns of what a look finds of each member: sum of variation, ladder at the terms, gain, large positions, ladder of the lots
held alone.
"""
FOUND_WORDS = 5
GROSS, HEDGER = int(MemberFlag.GROSS), int(MemberRole.HEDGER)
VARIATION = ClearingEvent.VARIATION | Reason.VARIATION << REASON_SHIFT
HEDGE_BIT, FINAL_BIT = ClearingFlag.HEDGE << FLAG_SHIFT, ClearingFlag.FINAL << FLAG_SHIFT
FINAL_EVENT = int(ClearingEvent.VARIATION | FINAL_BIT)


@njit(cache=True)
def look_over(
    directory: Matrix,
    places: int,
    given_terms: Matrix,
    report_bp: int,
    given_found: Matrix,
    marks: bool,
    given_events: Matrix,
    time: int,
    day: int,
) -> tuple[int, int, int]:
    """Reckon every charge at `given_terms` and fill a row of `given_found` for each member; with `marks`, mark every future
    first and say so. Ladders are left to the caller. Returns (events, sum of all variation, large positions).
    """
    tables, events = tables_at(directory), table(given_events, 8)
    terms, found = table(given_terms, 8), table(given_found, 5)
    members, hot, slots = tables.members, tables.hot, tables.slots
    top, said, total, all_large = tables.scalars[MEMBER_TOP], 0, 0, 0
    for number in range(1, top + 1):
        if members[number, KNOWN] == 0:
            continue
        if number < top:
            _ask(tables, number + 1, places)
        gross, hedges = members[number, FLAGS] & GROSS != 0, members[number, ROLE] == HEDGER
        net = ladder = gained = large = held = 0
        for place in range(places):
            slot = slots[number * places + place]
            if slot == 0:
                continue
            at = terms[place >> 1]
            long, short = hot[slot, LONG], hot[slot, SHORT]
            lots, basis = long - short, hot[slot, BASIS]
            if at[T_IS_SPOT] == 0:
                if marks:
                    price = at[T_SETTLE]
                    amount = (lots * price - basis) * at[T_TICK_VALUE]
                    basis = lots * price
                    hot[slot, BASIS] = basis
                    hot[slot, LONG_TODAY] = hot[slot, SHORT_TODAY] = 0
                    net += amount
                    if long != 0 or short != 0 or amount != 0:
                        _say_variation(
                            tables, events, said, VARIATION, time, number, place, amount, lots, price, day
                        )
                        said += 1
                gained += (lots * at[T_MARK] - basis) * at[T_TICK_VALUE]
            charge = _charge(hot, slot, gross, at[T_MARGIN_LOT], at[T_FEE_LOT])
            hot[slot, CHARGE] = charge
            ladder += charge
            held += (max(long, short) if gross else abs(lots)) * at[T_MARGIN_LOT]
            limit, size = at[T_HEDGER_LIMIT] if hedges else at[T_LIMIT], max(long, short)
            large += size != 0 and limit != 0 and size * BP >= limit * report_bp
        found[number, NET], found[number, NEXT_LADDER] = net, ladder
        found[number, GAINED], found[number, LARGE], found[number, HELD] = gained, large, held
        total += net
        all_large += large
    return said, total, all_large


@njit(cache=True, forceinline=True)
def _ask(tables: Tables, number: int, places: int) -> None:
    """Have a member's positions at hand soon."""
    for place in range(places):
        slot = tables.slots[number * places + place]
        if slot != 0:
            fetch(tables.hot, slot + 0, 0)


@njit(cache=True, forceinline=True)
def _charge(hot: Matrix, slot: int, gross: bool, margin_lot: int, fee_lot: int) -> int:
    """What a position asks for (`Position.reckon`)."""
    long, short, buys, sells = hot[slot, LONG], hot[slot, SHORT], hot[slot, BUYS], hot[slot, SELLS]
    worst = max(long + buys, short + sells) if gross else max(long - short + buys, sells - long + short)
    return worst * margin_lot + (buys + sells) * fee_lot


@njit(cache=True, forceinline=True)
def reckon(tables: Tables, number: int, slot: int, market: int) -> None:
    """Work out a charge anew and pass the change to the member."""
    gross = tables.members[number, FLAGS] & GROSS != 0
    charge = _charge(
        tables.hot, slot, gross, tables.markets[market, MARGIN_LOT], tables.markets[market, FEE_LOT]
    )
    tables.members[number, LADDER] += charge - tables.hot[slot, CHARGE]
    tables.hot[slot, CHARGE] = charge


@njit(cache=True, forceinline=True)
def _say_variation(
    tables: Tables,
    events: Matrix,
    said: int,
    kind: int,
    time: int,
    number: int,
    place: int,
    amount: int,
    lots: int,
    price: int,
    day: int,
) -> None:
    events[said, 0] = kind | (HEDGE_BIT if place & 1 else 0)
    events[said, 1] = time
    events[said, 2] = number
    events[said, 3] = tables.markets[place >> 1, NUMBER]
    events[said, 4] = amount
    events[said, 5] = lots
    events[said, 6] = price
    events[said, 7] = day


@njit(cache=True)
def mark_final(
    directory: Matrix,
    places: int,
    market: int,
    price_micro: int,
    reason: int,
    given_found: Matrix,
    given_events: Matrix,
    time: int,
    day: int,
) -> tuple[int, int]:
    """Mark a contract's positions at its last price, in micro-units per MTok, and close them; say so. Returns (events, sum)."""
    tables, events, found = tables_at(directory), table(given_events, 8), table(given_found, 5)
    members, hot, cold = tables.members, tables.hot, tables.cold
    tick_value, lot_mtok = tables.markets[market, TICK_VALUE], tables.markets[market, LOT_MTOK]
    kind, said, total = FINAL_EVENT | reason << REASON_SHIFT, 0, 0
    for number in range(1, tables.scalars[MEMBER_TOP] + 1):
        if members[number, KNOWN] == 0:
            continue
        net, closed = 0, False
        for place in range(2 * market, 2 * market + 2):
            slot = tables.slots[number * places + place]
            if slot == 0:
                continue
            long, short = hot[slot, LONG], hot[slot, SHORT]
            lots = long - short
            amount = lots * price_micro * lot_mtok - hot[slot, BASIS] * tick_value
            closed = closed or long != 0 or short != 0
            hot[slot, LONG] = hot[slot, SHORT] = hot[slot, LONG_TODAY] = hot[slot, SHORT_TODAY] = 0
            hot[slot, BASIS] = cold[slot, LONG_COST] = cold[slot, SHORT_COST] = 0
            cold[slot, REALISED] = cold[slot, SINCE_DAY] = 0
            reckon(tables, number, slot + 0, market)
            net += amount
            if long != 0 or short != 0 or amount != 0:
                _say_variation(
                    tables, events, said, kind, time, number, place, amount, lots, price_micro, day
                )
                said += 1
        if closed:
            _suspend(tables, number)
        found[number, NET] = net
        total += net
    tables.markets[market, LONG_LOTS] = 0
    return said, total


@njit(cache=True)
def reckon_market(directory: Matrix, places: int, market: int) -> None:
    """Reckon every charge in a market anew."""
    tables = tables_at(directory)
    for number in range(1, tables.scalars[MEMBER_TOP] + 1):
        for place in range(2 * market, 2 * market + 2):
            slot = tables.slots[number * places + place]
            if slot != 0:
                reckon(tables, number, slot + 0, market)


@njit(cache=True)
def open_lots(directory: Matrix, number: int, slot: int, market: int, sells: bool, lots: int) -> bool:
    """`Position.open_order` of a slot; False if more is closed than was open."""
    tables = tables_at(directory)
    column = SELLS if sells else BUYS
    left = tables.hot[slot, column] + lots
    if left < 0:
        return False
    tables.hot[slot, column] = left
    reckon(tables, number, slot, market)
    return True


@njit(cache=True)
def gained_micro(directory: Matrix, places: int, number: int) -> int:
    """What a member has won since the last settlement, at the last trades, in micro-units."""
    tables, gained = tables_at(directory), 0
    for place in range(places):
        slot, market = tables.slots[number * places + place], place >> 1
        if slot != 0 and tables.markets[market, IS_SPOT] == 0:
            lots = tables.hot[slot, LONG] - tables.hot[slot, SHORT]
            ticks = lots * tables.markets[market, MARK_TICKS] - tables.hot[slot, BASIS]
            gained += ticks * tables.markets[market, TICK_VALUE]
    return gained


@njit(cache=True)
def suspend_all(directory: Matrix, places: int, market: int) -> None:
    """Take what scenario margin has taken off a member's ladder away, of all that have positions, in one market or (-1) any."""
    tables = tables_at(directory)
    first, last = (0, places) if market < 0 else (2 * market, 2 * market + 2)
    for number in range(1, tables.scalars[MEMBER_TOP] + 1):
        there = False
        for place in range(first, last):
            slot = tables.slots[number * places + place] + 0
            if slot != 0 and not there:
                held = tables.hot[slot, LONG] | tables.hot[slot, SHORT]
                there = held | tables.hot[slot, BUYS] | tables.hot[slot, SELLS] != 0
        if there:
            _suspend(tables, number)


@njit(cache=True, forceinline=True)
def _suspend(tables: Tables, number: int) -> None:
    tables.members[number, ADJUSTMENT] = max(0, tables.members[number, ADJUSTMENT])
    tables.members[number, CHANGED] = 1


@njit(cache=True)
def net_lots(directory: Matrix, places: int, numbers: Words, columns: Words, lots: Matrix) -> None:
    """Add up members' net lots by the column of each market (-1: none), speculative and hedging together."""
    tables = tables_at(directory)
    for at in range(len(numbers)):
        for place in range(places):
            slot, column = tables.slots[numbers[at] * places + place], columns[place >> 1]
            if slot != 0 and column >= 0:
                lots[at, column] += tables.hot[slot, LONG] - tables.hot[slot, SHORT]


@njit(cache=True)
def slots_by_place(places: int, numbers: Words, given_places: Words, slots: Slots, first: int) -> None:
    """Enter new positions of these members and places, in rows from `first` on."""
    for at in range(len(numbers)):
        slots[numbers[at] * places + given_places[at]] = first + at
