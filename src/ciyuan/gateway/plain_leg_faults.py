"""What is wrong with the rows of legs, in plain Python: every fault, in the order of precedence."""

from collections.abc import Iterator

from ciyuan.basics.rows import Row
from ciyuan.gateway.edge import NEVER_HELD
from ciyuan.gateway.messages import (
    COUNT,
    GRADE,
    GRADE_MAX,
    KEY,
    LEG,
    LEG_AND_STEP,
    LEG_BOUND,
    LEG_PRICE,
    PIECE_PRICE_MAX,
    PIECES_MAX,
    PRICE_MAX,
    STEP_SHIFT,
    STEPS_MAX,
    SUPPLIER,
    SUPPLIER_MAX,
    TOKENS_MAX,
    VALID_FROM,
    MeterRefusal,
    RequestState,
)
from ciyuan.gateway.plain_legs import PIECES, TOLD, SaidLegs
from ciyuan.gateway.plain_state import State
from ciyuan.gateway.usage import Leg

Faults = Iterator[MeterRefusal]


def leg_and_step(row: Row) -> tuple[int, int]:
    """Which leg a LEG_PRICE is of, and in which step."""
    return row[LEG_AND_STEP] % (1 << STEP_SHIFT), row[LEG_AND_STEP] >> STEP_SHIFT


def of_leg_price(state: State, row: Row) -> Faults:
    """Faults of a LEG_PRICE."""
    supplier, grade, bound = row[SUPPLIER], row[GRADE], row[LEG_BOUND]
    leg, step = leg_and_step(row)
    if not (1 <= supplier <= SUPPLIER_MAX and 1 <= grade <= GRADE_MAX):
        yield MeterRefusal.PARTY_OUT_OF_RANGE
    if leg not in (TOLD if step == 0 else tuple(Leg)):
        yield MeterRefusal.LEG_OUT_OF_RANGE
    if not 0 <= step <= STEPS_MAX:
        yield MeterRefusal.STEP_OUT_OF_RANGE
    elif step > 0:
        if bound < 0:
            yield MeterRefusal.TOKENS_NEGATIVE
        if bound > TOKENS_MAX:
            yield MeterRefusal.TOKENS_OVER_LIMIT
    elif leg in PIECES and not 0 <= bound <= PIECES_MAX:
        yield MeterRefusal.PIECES_OUT_OF_RANGE
    if row[LEG_PRICE] < 0:
        yield MeterRefusal.PRICE_NEGATIVE
    if row[LEG_PRICE] > (PIECE_PRICE_MAX if leg >= Leg.IMAGES else PRICE_MAX):
        yield MeterRefusal.PRICE_OVER_LIMIT
    if leg in tuple(Leg) and 0 <= step <= STEPS_MAX:
        yield from _of_what_is_known(state, row, leg, step)


def _of_what_is_known(state: State, row: Row, leg: int, step: int) -> Faults:
    supplier, grade, bound = row[SUPPLIER], row[GRADE], row[LEG_BOUND]
    known = state.list_from(supplier, grade, row[VALID_FROM])
    if known is None:
        yield MeterRefusal.NO_PRICE_LIST
        return
    said = state.legs.get(state.number_of(known), SaidLegs())
    price = said.prices.get((step, leg))
    if price is not None and row[LEG_PRICE] != price:
        yield MeterRefusal.EXISTS_WITH_DIFFERENT_PRICE
    if price is not None and step == 0 and bound != said.bound(step, leg):
        yield MeterRefusal.EXISTS_WITH_DIFFERENT_PIECES
    if 0 < step <= len(said.above) and bound != said.above[step - 1]:
        yield MeterRefusal.EXISTS_WITH_DIFFERENT_STEP
    if price is not None:
        return
    last_hold_ns = state.books.get((supplier, grade), NEVER_HELD)
    if last_hold_ns != NEVER_HELD and row[VALID_FROM] <= last_hold_ns:
        yield MeterRefusal.PRICES_BACKDATED
    if step > len(said.above) and (step != len(said.above) + 1 or (said.above and bound <= said.above[-1])):
        yield MeterRefusal.STEP_NOT_NEXT


def of_leg_used(state: State, row: Row) -> Faults:
    """Faults of a LEG_USED."""
    if row[LEG] not in TOLD:
        yield MeterRefusal.LEG_OUT_OF_RANGE
    if row[COUNT] < 0:
        yield MeterRefusal.TOKENS_NEGATIVE
    if row[COUNT] > TOKENS_MAX:
        yield MeterRefusal.TOKENS_OVER_LIMIT
    if state.is_closed(row[KEY]):
        yield MeterRefusal.REQUEST_CLOSED
        return
    request = state.requests.get(row[KEY])
    if request is None:
        yield MeterRefusal.REQUEST_UNKNOWN
    elif request.state == RequestState.SETTLED:
        if (request.told or {}).get(row[LEG], 0) != row[COUNT]:
            yield MeterRefusal.EXISTS_WITH_DIFFERENT_COUNT
    elif request.state == RequestState.VOIDED:
        yield MeterRefusal.HOLD_VOIDED
    elif request.state == RequestState.EXPIRED:
        yield MeterRefusal.HOLD_EXPIRED
