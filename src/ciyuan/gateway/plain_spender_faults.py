"""What is wrong with the rows of spenders, limits and closed keys, in plain Python: every fault, in the order of precedence."""

from collections.abc import Iterator

from ciyuan.basics.rows import Row
from ciyuan.gateway.messages import (
    CUSTOMER,
    DEPTH_MAX,
    END,
    FIRST,
    LIMIT,
    LIMIT_MAX,
    LIMITED,
    LIMITS_OF_SPENDER_MAX,
    MEASURE,
    MOST,
    OFFSET,
    OFFSET_MAX_NS,
    PARENT,
    RATE_MAX,
    REQUEST_MAX,
    SPENDER,
    SPENDER_MAX,
    WINDOW_SHIFT,
    LimitUnit,
    LimitWindow,
    MeterRefusal,
    PartyRole,
    RequestState,
)
from ciyuan.gateway.plain_spenders import RATES, Tree
from ciyuan.gateway.plain_state import State

Faults = Iterator[MeterRefusal]


def of_spender(state: State, row: Row) -> Faults:
    """Faults of a SPENDER."""
    number, parent, customer = row[SPENDER], row[PARENT], row[CUSTOMER]
    if not 1 <= number <= SPENDER_MAX:
        yield MeterRefusal.SPENDER_OUT_OF_RANGE
    known = state.tree.spenders.get(number)
    if known is not None:
        if known.parent != parent:
            yield MeterRefusal.EXISTS_WITH_DIFFERENT_PARENT
        if known.customer != customer:
            yield MeterRefusal.EXISTS_WITH_DIFFERENT_CUSTOMER
        return
    if (PartyRole.CUSTOMER, customer) not in state.parties:
        yield MeterRefusal.CUSTOMER_UNKNOWN
    if parent == 0:
        return
    if parent not in state.tree.spenders:
        yield MeterRefusal.SPENDER_UNKNOWN
        return
    if state.tree.spenders[parent].customer != customer:
        yield MeterRefusal.SPENDER_OF_ANOTHER_CUSTOMER
    if len(list(state.tree.line(parent))) >= DEPTH_MAX:
        yield MeterRefusal.SPENDER_TOO_DEEP


def of_limit(state: State, row: Row) -> Faults:
    """Faults of a LIMIT."""
    unit, window = row[MEASURE] % (1 << WINDOW_SHIFT), row[MEASURE] >> WINDOW_SHIFT
    if not 1 <= row[LIMIT] <= LIMIT_MAX:
        yield MeterRefusal.LIMIT_OUT_OF_RANGE
    if unit not in tuple(LimitUnit):
        yield MeterRefusal.UNIT_UNKNOWN
    if window not in tuple(LimitWindow):
        yield MeterRefusal.WINDOW_UNKNOWN
        return
    if row[MOST] < 0 or (window in RATES and row[MOST] > RATE_MAX):
        yield MeterRefusal.MOST_OUT_OF_RANGE
    bordered = window in (LimitWindow.DAY, LimitWindow.MONTH, LimitWindow.YEAR)
    if abs(row[OFFSET]) > (OFFSET_MAX_NS if bordered else 0):
        yield MeterRefusal.OFFSET_OUT_OF_RANGE
    known = state.tree.limits.get(row[LIMIT])
    if known is not None:
        for new, old, refusal in (
            (row[LIMITED], known.spender, MeterRefusal.EXISTS_WITH_DIFFERENT_SPENDER),
            (unit, known.unit, MeterRefusal.EXISTS_WITH_DIFFERENT_UNIT),
            (window, known.window, MeterRefusal.EXISTS_WITH_DIFFERENT_WINDOW),
            (row[OFFSET], known.offset_ns, MeterRefusal.EXISTS_WITH_DIFFERENT_OFFSET),
        ):
            if new != old:
                yield refusal
        return
    spender = state.tree.spenders.get(row[LIMITED])
    if spender is None:
        yield MeterRefusal.SPENDER_UNKNOWN
    elif len(spender.limits) >= LIMITS_OF_SPENDER_MAX:
        yield MeterRefusal.LIMITS_FULL


def of_holds_spender(tree: Tree, number: int, customer: int) -> Faults:
    """Faults of a new hold's spender."""
    if number == 0:
        return
    if number not in tree.spenders:
        yield MeterRefusal.SPENDER_UNKNOWN
    elif tree.spenders[number].customer != customer:
        yield MeterRefusal.SPENDER_OF_ANOTHER_CUSTOMER


def of_limits(
    tree: Tree, spender: int, time_ns: int, micro: int, tokens: int
) -> Iterator[tuple[MeterRefusal, int]]:
    """What keeps a hold from a spender, rates before budgets, each with the limit's number, from the spender up."""
    full = [
        limit
        for _, limit in tree.limits_on(spender)
        if not limit.fits(limit.counts(micro, tokens, 1), time_ns)
    ]
    yield from ((MeterRefusal.RATE_LIMITED, limit.number) for limit in full if limit.is_rate)
    yield from ((MeterRefusal.BUDGET_SPENT, limit.number) for limit in full if not limit.is_rate)


def of_close(state: State, row: Row) -> Faults:
    """Faults of a CLOSE."""
    first, end = row[FIRST], row[END]
    if not (1 <= first <= REQUEST_MAX and 1 <= end <= REQUEST_MAX + 1):
        yield MeterRefusal.REQUEST_OUT_OF_RANGE
    if first >= end:
        yield MeterRefusal.RANGE_EMPTY
    if state.is_closed(first) and state.is_closed(end - 1):
        return
    if state.closed is not None and first != state.closed[1]:
        yield MeterRefusal.CLOSE_NOT_NEXT
    held = (key for key, request in state.requests.items() if request.state == RequestState.HELD)
    if any(first <= key < end for key in held):
        yield MeterRefusal.REQUEST_HELD
