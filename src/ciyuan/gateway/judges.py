"""The kernel's judges: plain integers in, 0 or a `MeterRefusal` out. Compiled into the loop, they cost a few
comparisons.

Within each, and from each to the next in the order of this page, the tests stand in the order in which `MeterRefusal`
declares them. `plain_faults` says the same at more length.
"""

from numba import njit

from ciyuan.basics.rows import INT64_MAX
from ciyuan.gateway.messages import (
    CUSTOMER_MAX,
    GRADE_MAX,
    LIMIT_MAX,
    OFFSET_MAX_NS,
    PIECE_PRICE_MAX,
    PIECES_MAX,
    PRICE_MAX,
    RATE_MAX,
    REQUEST_MAX,
    STEPS_MAX,
    SUPPLIER_MAX,
    TOKENS_MAX,
    LimitUnit,
    LimitWindow,
    MeterCommand,
    MeterFlag,
    MeterRefusal,
    PartyRole,
    RequestState,
)
from ciyuan.gateway.usage import LEGS, Leg
from ciyuan.ledger.messages import Event as LedgerEvent
from ciyuan.ledger.messages import Refusal as LedgerRefusal

KIND_BITS = 40
"""Bits of a kind word; whatever stands above them makes the kind unknown."""


@njit(cache=True)
def fault_of_form(
    kind: int, code: int, flags: int, reason: int, w2: int, w3: int, w4: int, w5: int, w6: int, w7: int
) -> int:
    """What is wrong with the words of any row; `w2` to `w7` are its words 2 to 7."""
    if kind >> KIND_BITS or code < MeterCommand.ENROL or code > MeterCommand.CLOSE:
        return MeterRefusal.KIND_UNKNOWN
    if flags and (code != MeterCommand.DELIVER or flags != MeterFlag.BATCH):
        return MeterRefusal.FLAG_NOT_ALLOWED
    if reason > (100 if code == MeterCommand.PRICES else 0):
        return MeterRefusal.REASON_NOT_ALLOWED
    if _unused(code, w2, w3, w4, w5, w6, w7):
        return MeterRefusal.UNUSED_WORD_NOT_ZERO
    if code == MeterCommand.CLOSE:
        if w2 < 1 or w2 > REQUEST_MAX or w3 < 1 or w3 > REQUEST_MAX + 1:
            return MeterRefusal.REQUEST_OUT_OF_RANGE
        return MeterRefusal.RANGE_EMPTY if w2 >= w3 else 0
    of_a_request = (code >= MeterCommand.HOLD and code <= MeterCommand.VOID) or code == MeterCommand.LEG_USED
    return MeterRefusal.REQUEST_OUT_OF_RANGE if of_a_request and (w2 < 1 or w2 > REQUEST_MAX) else 0


@njit(cache=True)
def _unused(code: int, w2: int, w3: int, w4: int, w5: int, w6: int, w7: int) -> int:
    """What stands in the words that a command does not use; 0 if nothing does."""
    if code == MeterCommand.HOLD or code == MeterCommand.PRICES:
        return 0
    if code == MeterCommand.DELIVER or code == MeterCommand.LIMIT:
        return w7
    if code == MeterCommand.LEG_PRICE:
        return w6 if w4 >= 0 and w4 < Leg.IMAGES else 0
    if code == MeterCommand.VOID:
        return w3 | w4 | w5 | w6 | w7
    if code == MeterCommand.TICK:
        return w2 | w3 | w4 | w5 | w6 | w7
    return w5 | w6 | w7 | (w4 if code == MeterCommand.CLOSE else 0)


@njit(cache=True)
def fault_of_party(role: int, number: int) -> int:
    """Of an ENROL."""
    if role != PartyRole.CUSTOMER and role != PartyRole.SUPPLIER:
        return MeterRefusal.ROLE_UNKNOWN
    most = CUSTOMER_MAX if role == PartyRole.CUSTOMER else SUPPLIER_MAX
    return MeterRefusal.PARTY_OUT_OF_RANGE if number < 1 or number > most else 0


@njit(cache=True)
def fault_of_limit(number: int, unit: int, window: int, most: int, offset: int) -> int:
    """Of a LIMIT."""
    if number < 1 or number > LIMIT_MAX:
        return MeterRefusal.LIMIT_OUT_OF_RANGE
    if unit < LimitUnit.MONEY or unit > LimitUnit.REQUESTS:
        return MeterRefusal.UNIT_UNKNOWN
    if window < LimitWindow.MINUTE or window > LimitWindow.EVER:
        return MeterRefusal.WINDOW_UNKNOWN
    rate = window <= LimitWindow.HOUR
    if most < 0 or (rate and most > RATE_MAX):
        return MeterRefusal.MOST_OUT_OF_RANGE
    furthest = OFFSET_MAX_NS if window >= LimitWindow.DAY and window <= LimitWindow.YEAR else 0
    return MeterRefusal.OFFSET_OUT_OF_RANGE if offset < -furthest or offset > furthest else 0


@njit(cache=True)
def fault_of_leg_price(supplier: int, grade: int, leg: int, step: int, price: int, bound: int) -> int:
    """Of a LEG_PRICE. What a list's first prices are of, PRICES says."""
    if supplier < 1 or supplier > SUPPLIER_MAX or grade < 1 or grade > GRADE_MAX:
        return MeterRefusal.PARTY_OUT_OF_RANGE
    if leg >= LEGS or (step == 0 and is_of_deliver(leg)):
        return MeterRefusal.LEG_OUT_OF_RANGE
    if step < 0 or step > STEPS_MAX:
        return MeterRefusal.STEP_OUT_OF_RANGE
    if step == 0 and leg >= Leg.IMAGES and (bound < 0 or bound > PIECES_MAX):
        return MeterRefusal.PIECES_OUT_OF_RANGE
    if step > 0 and bound < 0:
        return MeterRefusal.TOKENS_NEGATIVE
    if step > 0 and bound > TOKENS_MAX:
        return MeterRefusal.TOKENS_OVER_LIMIT
    if price < 0:
        return MeterRefusal.PRICE_NEGATIVE
    return (
        MeterRefusal.PRICE_OVER_LIMIT if price > (PIECE_PRICE_MAX if leg >= Leg.IMAGES else PRICE_MAX) else 0
    )


@njit(cache=True)
def fault_of_leg_used(leg: int, count: int) -> int:
    """Of a LEG_USED."""
    if leg < 0 or leg >= LEGS or is_of_deliver(leg):
        return MeterRefusal.LEG_OUT_OF_RANGE
    if count < 0:
        return MeterRefusal.TOKENS_NEGATIVE
    return MeterRefusal.TOKENS_OVER_LIMIT if count > TOKENS_MAX else 0


@njit(cache=True)
def is_of_deliver(leg: int) -> bool:
    """Whether a leg is one of the three that DELIVER has a word for."""
    return bool(leg == Leg.INPUT or leg == Leg.CACHE_READ or leg == Leg.OUTPUT)


@njit(cache=True)
def fault_of_prices(supplier: int, grade: int, price_in: int, price_cached: int, price_out: int) -> int:
    """Of PRICES."""
    if supplier < 1 or supplier > SUPPLIER_MAX or grade < 1 or grade > GRADE_MAX:
        return MeterRefusal.PARTY_OUT_OF_RANGE
    if min(price_in, price_cached, price_out) < 0:
        return MeterRefusal.PRICE_NEGATIVE
    return MeterRefusal.PRICE_OVER_LIMIT if max(price_in, price_cached, price_out) > PRICE_MAX else 0


@njit(cache=True)
def fault_of_tokens(tokens_in: int, tokens_cached: int, tokens_out: int) -> int:
    """Of a DELIVER; a HOLD has no cached tokens."""
    if min(tokens_in, tokens_cached, tokens_out) < 0:
        return MeterRefusal.TOKENS_NEGATIVE
    if max(tokens_in, tokens_cached, tokens_out) > TOKENS_MAX:
        return MeterRefusal.TOKENS_OVER_LIMIT
    return MeterRefusal.CACHED_EXCEEDS_INPUT if tokens_cached > tokens_in else 0


@njit(cache=True)
def fault_of_held_again(
    parties: bool, tokens_in: bool, tokens_out: bool, timeout: bool, spender: bool
) -> int:
    """From what differs between a HOLD and the one accepted under its key. 0: it is a repeat."""
    if parties:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_PARTIES
    if tokens_in:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_IN
    if tokens_out:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_OUT
    if timeout:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_TIMEOUT
    return MeterRefusal.EXISTS_WITH_DIFFERENT_SPENDER if spender else 0


@njit(cache=True)
def fault_of_limit_again(spender: bool, unit: bool, window: bool, offset: bool) -> int:
    """From what differs between a LIMIT and the one of its number, but for the most. 0: it is a repeat, or changes that."""
    if spender:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_SPENDER
    if unit:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_UNIT
    if window:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_WINDOW
    return MeterRefusal.EXISTS_WITH_DIFFERENT_OFFSET if offset else 0


@njit(cache=True)
def fault_of_delivered_again(
    parties: bool, tokens_in: bool, tokens_cached: bool, tokens_out: bool, batch: bool
) -> int:
    """From what differs between a DELIVER and the one that settled its request. 0: it is a repeat."""
    if parties:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_PARTIES
    if tokens_in:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_IN
    if tokens_cached:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_CACHED
    if tokens_out:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_OUT
    return MeterRefusal.EXISTS_WITH_DIFFERENT_BATCH if batch else 0


@njit(cache=True)
def fault_of_priced_again(price_in: bool, price_cached: bool, price_out: bool, hundredths: bool) -> int:
    """From what differs between PRICES and the list of the same supplier, grade and moment. 0: it is a repeat."""
    if price_in:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_PRICE_IN
    if price_cached:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_PRICE_CACHED
    if price_out:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_PRICE_OUT
    return MeterRefusal.EXISTS_WITH_DIFFERENT_DISCOUNT if hundredths else 0


@njit(cache=True)
def fault_of_delivery(parties_differ: bool, state: int, exceeds: bool, legs_exceed: bool) -> int:
    """Why a request that is not settled cannot be now."""
    if parties_differ:
        return MeterRefusal.HOLD_HAS_DIFFERENT_PARTIES
    if state == RequestState.VOIDED:
        return MeterRefusal.HOLD_VOIDED
    if state == RequestState.EXPIRED:
        return MeterRefusal.HOLD_EXPIRED
    if exceeds:
        return MeterRefusal.EXCEEDS_HOLD
    return MeterRefusal.LEGS_EXCEED_WHOLE if legs_exceed else 0


@njit(cache=True)
def fault_of_void(state: int) -> int:
    """Why a request that is not voided cannot be now."""
    if state == RequestState.SETTLED:
        return MeterRefusal.HOLD_SETTLED
    return MeterRefusal.HOLD_EXPIRED if state == RequestState.EXPIRED else 0


@njit(cache=True)
def fault_of_who(customer: int, supplier: int, book: int, prices: int) -> int:
    """From the rows of a new hold's customer, supplier, book and list; -1 where there is none."""
    if customer < 0:
        return MeterRefusal.CUSTOMER_UNKNOWN
    if supplier < 0:
        return MeterRefusal.SUPPLIER_UNKNOWN
    if book < 0:
        return MeterRefusal.GRADE_UNKNOWN
    return MeterRefusal.NO_PRICE_LIST if prices < 0 else 0


@njit(cache=True)
def fault_of_spender(spender: int, of_another: bool) -> int:
    """From the row of a new hold's spender, -1 where there is none, and whether another customer has it."""
    if spender < 0:
        return MeterRefusal.SPENDER_UNKNOWN
    return MeterRefusal.SPENDER_OF_ANOTHER_CUSTOMER if of_another else 0


@njit(cache=True)
def fault_of_amount(
    time: int, timeout: int, tokens_in: int, dearest: int, tokens_out: int, price_out: int, pieces: int
) -> int:
    """Whether the moment of expiry or the worst cost is beyond int64, found without going there; `pieces` is below 2^62."""
    if timeout > INT64_MAX - time:
        return MeterRefusal.TIMEOUT_OVERFLOW
    rest = INT64_MAX - pieces
    if dearest > 0 and tokens_in > rest // dearest:
        return MeterRefusal.AMOUNT_OVERFLOW
    rest -= tokens_in * dearest
    return MeterRefusal.AMOUNT_OVERFLOW if price_out > 0 and tokens_out > rest // price_out else 0


@njit(cache=True)
def refusal_of_ledger(code: int, fault: int) -> int:
    """What an answer of the ledger means here. A row that it has already is not this meter's own."""
    if code == LedgerEvent.REPEATED:
        return MeterRefusal.LEDGER_REFUSED
    if code != LedgerEvent.REFUSED:
        return 0
    if fault == LedgerRefusal.OVERDRAWN:
        return MeterRefusal.INSUFFICIENT_BALANCE
    if fault == LedgerRefusal.DEBITS_OVERFLOW or fault == LedgerRefusal.CREDITS_OVERFLOW:
        return MeterRefusal.BALANCE_OVERFLOW
    return MeterRefusal.LEDGER_REFUSED
