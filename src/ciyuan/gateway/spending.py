"""Spenders and their limits in the kernel: a tree of who spends, and what each may, with all below it.

A HOLD looks at every limit from its spender up to the root, and writes to none unless all let it through and the ledger holds
the money: so a limit is never passed, not even for a moment between two rows. Which limits counted a hold is kept with it, as
bits, and the hold gives back to just these.
"""

from numba import njit

from ciyuan.basics.rows import INT64_MAX, TIME
from ciyuan.gateway.book import (
    BEGAN,
    COUNTED,
    CUSTOMER,
    DEPTH,
    ENDS_NS,
    FIRST_LIMIT,
    HELD_MICRO,
    HELD_NS,
    IN_MAX,
    LIMIT,
    LIMIT_BITS,
    LIMIT_COUNT,
    LIMITED,
    LIMITS_HERE,
    MOST,
    OFFSET_NS,
    OUT_MAX,
    PARENT,
    PARENT_ROW,
    SPENDER,
    SPENDER_BITS,
    SPENDER_COUNT,
    SPENDER_ROW,
    UNIT,
    USED,
    WINDOW,
    Matrix,
    MeterBook,
    Words,
)
from ciyuan.gateway.judges import fault_of_limit, fault_of_limit_again
from ciyuan.gateway.lookup import party_row, row_of_spender, seek
from ciyuan.gateway.messages import (
    DEPTH_MAX,
    LIMITS_OF_SPENDER_MAX,
    SPENDER_MAX,
    WINDOW_SHIFT,
    LimitUnit,
    LimitWindow,
    MeterEvent,
    MeterRefusal,
    PartyRole,
)
from ciyuan.gateway.windows import TICKS, borders, level_at, tick_of

RATE_LIMITED, BUDGET_SPENT = int(MeterRefusal.RATE_LIMITED), int(MeterRefusal.BUDGET_SPENT)


@njit(cache=True)
def add_spender(book: MeterBook, row: Words, event: Words) -> int:
    """Take a SPENDER row in, unless it is refused."""
    number, parent, customer = row[2], row[3], row[4]
    if number < 1 or number > SPENDER_MAX:
        return MeterRefusal.SPENDER_OUT_OF_RANGE
    spenders = book.spenders
    slot, known = seek(spenders, SPENDER, book.spender_slots, book.scalars[SPENDER_BITS], number)
    if known >= 0:
        event[0] = MeterEvent.REPEATED
        if spenders[known, PARENT] != parent:
            return MeterRefusal.EXISTS_WITH_DIFFERENT_PARENT
        return MeterRefusal.EXISTS_WITH_DIFFERENT_CUSTOMER if spenders[known, CUSTOMER] != customer else 0
    if party_row(book, PartyRole.CUSTOMER, customer) < 0:
        return MeterRefusal.CUSTOMER_UNKNOWN
    above = -1
    if parent != 0:
        above = row_of_spender(book, parent)
        if above < 0:
            return MeterRefusal.SPENDER_UNKNOWN
        if spenders[above, CUSTOMER] != customer:
            return MeterRefusal.SPENDER_OF_ANOTHER_CUSTOMER
        if spenders[above, DEPTH] == DEPTH_MAX:
            return MeterRefusal.SPENDER_TOO_DEEP
    place = book.scalars[SPENDER_COUNT]
    spender = spenders[place]
    spender[SPENDER], spender[PARENT], spender[CUSTOMER], spender[PARENT_ROW] = (
        number,
        parent,
        customer,
        above,
    )
    spender[DEPTH] = spenders[above, DEPTH] + 1 if above >= 0 else 1
    spender[LIMITS_HERE] = 0
    book.spender_slots[slot] = place + 1
    book.scalars[SPENDER_COUNT] = place + 1
    event[0] = MeterEvent.SPENDER_ADDED
    return 0


@njit(cache=True)
def set_limit(book: MeterBook, row: Words, event: Words) -> int:
    """Take a LIMIT row in, unless it is refused: a new limit, or another `most` of a known one."""
    time, number, spender, most, offset = row[TIME], row[2], row[3], row[5], row[6]
    unit, window = row[4] & (1 << WINDOW_SHIFT) - 1, row[4] >> WINDOW_SHIFT
    fault = fault_of_limit(number, unit, window, most, offset)
    if fault != 0:
        return fault
    limits, spenders = book.limits, book.spenders
    slot, known = seek(limits, LIMIT, book.limit_slots, book.scalars[LIMIT_BITS], number)
    if known >= 0:
        return _set_again(limits, known, time, spender, unit, window, most, offset, event)
    owner = row_of_spender(book, spender)
    if owner < 0:
        return MeterRefusal.SPENDER_UNKNOWN
    here = spenders[owner, LIMITS_HERE]
    if here == LIMITS_OF_SPENDER_MAX:
        return MeterRefusal.LIMITS_FULL
    place = book.scalars[LIMIT_COUNT]
    limit = limits[place]
    limit[LIMIT], limit[LIMITED], limit[UNIT], limit[WINDOW] = number, spender, unit, window
    limit[MOST], limit[OFFSET_NS], limit[USED] = most, offset, 0
    if window <= LimitWindow.HOUR:
        limit[BEGAN], limit[ENDS_NS] = tick_of(window, time), 0
    else:
        limit[BEGAN], limit[ENDS_NS] = borders(window, time, offset)
    spenders[owner, FIRST_LIMIT + here] = place
    spenders[owner, LIMITS_HERE] = here + 1
    book.limit_slots[slot] = place + 1
    book.scalars[LIMIT_COUNT] = place + 1
    event[0] = MeterEvent.LIMIT_SET
    return 0


@njit(cache=True)
def _set_again(
    limits: Matrix,
    at: int,
    time: int,
    spender: int,
    unit: int,
    window: int,
    most: int,
    offset: int,
    event: Words,
) -> int:
    event[0] = MeterEvent.REPEATED
    fault = fault_of_limit_again(
        limits[at, LIMITED] != spender,
        limits[at, UNIT] != unit,
        limits[at, WINDOW] != window,
        limits[at, OFFSET_NS] != offset,
    )
    if fault == 0 and limits[at, MOST] != most:
        if window <= LimitWindow.HOUR:
            tick = tick_of(window, time)
            limits[at, USED] = level_at(limits[at, USED], limits[at, BEGAN], limits[at, MOST], tick)
            limits[at, BEGAN] = tick
        limits[at, MOST] = most
        event[0] = MeterEvent.LIMIT_SET
    return fault


# --- what a hold asks of them, and what it does to them ---


@njit(cache=True)
def fault_of_limits(book: MeterBook, spender: int, time: int, micro: int, tokens: int) -> tuple[int, int]:
    """What keeps a hold of so much from a spender (its row), and the limit's number: the first rate, else the first budget,
    from the spender up."""
    spenders, limits = book.spenders, book.limits
    budget = 0
    while spender >= 0:
        for place in range(spenders[spender, LIMITS_HERE]):
            at = spenders[spender, FIRST_LIMIT + place]
            window, most, used = limits[at, WINDOW], limits[at, MOST], limits[at, USED]
            amount = _amount(limits[at, UNIT], micro, tokens, 1)
            if window <= LimitWindow.HOUR:
                level = level_at(used, limits[at, BEGAN], most, tick_of(window, time))
                if amount > most or level > (most - amount) * TICKS:
                    return RATE_LIMITED, limits[at, LIMIT]
            elif budget == 0 and amount > most - (0 if _is_over(limits, at, time) else used):
                budget = limits[at, LIMIT]
        spender = spenders[spender, PARENT_ROW]
    return (BUDGET_SPENT if budget > 0 else 0), budget


@njit(cache=True)
def count_in(book: MeterBook, spender: int, time: int, micro: int, tokens: int) -> int:
    """Count a hold in every limit from a spender up; returns the bits of those."""
    spenders, limits = book.spenders, book.limits
    counted = first_bit = 0
    while spender >= 0:
        for place in range(spenders[spender, LIMITS_HERE]):
            at = spenders[spender, FIRST_LIMIT + place]
            window, amount = limits[at, WINDOW], _amount(limits[at, UNIT], micro, tokens, 1)
            if window <= LimitWindow.HOUR:
                tick = tick_of(window, time)
                level = level_at(limits[at, USED], limits[at, BEGAN], limits[at, MOST], tick)
                limits[at, BEGAN], limits[at, USED] = tick, level + amount * TICKS
            else:
                if _is_over(limits, at, time):
                    limits[at, BEGAN], limits[at, ENDS_NS] = borders(window, time, limits[at, OFFSET_NS])
                    limits[at, USED] = 0
                limits[at, USED] += amount
            counted |= 1 << first_bit + place
        spender = spenders[spender, PARENT_ROW]
        first_bit += LIMITS_OF_SPENDER_MAX
    return counted


@njit(cache=True)
def _is_over(limits: Matrix, at: int, time: int) -> bool:
    """Whether a budget's window has ended; the last of all never does."""
    over: bool = limits[at, ENDS_NS] <= time and limits[at, ENDS_NS] != INT64_MAX
    return over


@njit(cache=True)
def release(book: MeterBook, place: int, time: int) -> None:
    """Give all that an unused request held back to the limits that count it."""
    if book.deliveries[place, COUNTED] != 0:
        tokens = book.requests[place, IN_MAX] + book.requests[place, OUT_MAX]
        give_back(book, place, time, book.requests[place, HELD_MICRO], tokens, 1)


@njit(cache=True)
def give_back(book: MeterBook, place: int, time: int, micro: int, tokens: int, requests: int) -> None:
    """Give what the request in row `place` did not use back to the limits that count it: to a budget if it is still in the window
    of the hold, to a rate as far as its bucket is not empty."""
    spenders, limits = book.spenders, book.limits
    spender, counted = book.deliveries[place, SPENDER_ROW] - 1, book.deliveries[place, COUNTED]
    held_ns, first_bit = book.deliveries[place, HELD_NS], 0
    while spender >= 0:
        for slot in range(spenders[spender, LIMITS_HERE]):
            at = spenders[spender, FIRST_LIMIT + slot]
            window, amount = limits[at, WINDOW], _amount(limits[at, UNIT], micro, tokens, requests)
            if amount == 0 or not counted >> first_bit + slot & 1:
                continue
            if window <= LimitWindow.HOUR:
                tick = tick_of(window, time)
                level = level_at(limits[at, USED], limits[at, BEGAN], limits[at, MOST], tick)
                limits[at, BEGAN], limits[at, USED] = tick, max(level - amount * TICKS, 0)
            elif held_ns >= limits[at, BEGAN]:
                limits[at, USED] -= amount
        spender = spenders[spender, PARENT_ROW]
        first_bit += LIMITS_OF_SPENDER_MAX


@njit(cache=True)
def _amount(unit: int, micro: int, tokens: int, requests: int) -> int:
    """What of a request a limit counts."""
    if unit == LimitUnit.MONEY:
        return micro
    return tokens if unit == LimitUnit.TOKENS else requests
