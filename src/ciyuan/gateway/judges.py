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
    PRICE_MAX,
    REQUEST_MAX,
    SUPPLIER_MAX,
    TOKENS_MAX,
    MeterCommand,
    MeterFlag,
    MeterRefusal,
    PartyRole,
    RequestState,
)
from ciyuan.ledger.messages import Event as LedgerEvent
from ciyuan.ledger.messages import Refusal as LedgerRefusal

KIND_BITS = 40
"""Bits of a kind word; whatever stands above them makes the kind unknown."""


@njit(cache=True)
def fault_of_form(
    kind: int, code: int, flags: int, reason: int, w2: int, w3: int, w4: int, w5: int, w6: int, w7: int
) -> int:
    """What is wrong with the words of any row; `w2` to `w7` are its words 2 to 7."""
    if kind >> KIND_BITS or code < MeterCommand.ENROL or code > MeterCommand.TICK:
        return MeterRefusal.KIND_UNKNOWN
    if flags and (code != MeterCommand.DELIVER or flags != MeterFlag.BATCH):
        return MeterRefusal.FLAG_NOT_ALLOWED
    if reason > (100 if code == MeterCommand.PRICES else 0):
        return MeterRefusal.REASON_NOT_ALLOWED
    unused = 0 if code == MeterCommand.PRICES else w7
    if code == MeterCommand.ENROL:
        unused |= w5 | w6
    elif code >= MeterCommand.VOID:
        unused |= w3 | w4 | w5 | w6 | (w2 if code == MeterCommand.TICK else 0)
    if unused:
        return MeterRefusal.UNUSED_WORD_NOT_ZERO
    of_a_request = code >= MeterCommand.HOLD and code <= MeterCommand.VOID
    return MeterRefusal.REQUEST_OUT_OF_RANGE if of_a_request and (w2 < 1 or w2 > REQUEST_MAX) else 0


@njit(cache=True)
def fault_of_party(role: int, number: int) -> int:
    """Of an ENROL."""
    if role != PartyRole.CUSTOMER and role != PartyRole.SUPPLIER:
        return MeterRefusal.ROLE_UNKNOWN
    most = CUSTOMER_MAX if role == PartyRole.CUSTOMER else SUPPLIER_MAX
    return MeterRefusal.PARTY_OUT_OF_RANGE if number < 1 or number > most else 0


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
def fault_of_held_again(parties: bool, tokens_in: bool, tokens_out: bool, timeout: bool) -> int:
    """From what differs between a HOLD and the one accepted under its key. 0: it is a repeat."""
    if parties:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_PARTIES
    if tokens_in:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_IN
    if tokens_out:
        return MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_OUT
    return MeterRefusal.EXISTS_WITH_DIFFERENT_TIMEOUT if timeout else 0


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
def fault_of_delivery(parties_differ: bool, state: int, exceeds: bool) -> int:
    """Why a request that is not settled cannot be now."""
    if parties_differ:
        return MeterRefusal.HOLD_HAS_DIFFERENT_PARTIES
    if state == RequestState.VOIDED:
        return MeterRefusal.HOLD_VOIDED
    if state == RequestState.EXPIRED:
        return MeterRefusal.HOLD_EXPIRED
    return MeterRefusal.EXCEEDS_HOLD if exceeds else 0


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
def fault_of_amount(
    time: int, timeout: int, tokens_in: int, dearest: int, tokens_out: int, price_out: int
) -> int:
    """Whether the moment of expiry or the worst cost is beyond int64, found without going there."""
    if timeout > INT64_MAX - time:
        return MeterRefusal.TIMEOUT_OVERFLOW
    if dearest > 0 and tokens_in > INT64_MAX // dearest:
        return MeterRefusal.AMOUNT_OVERFLOW
    rest = INT64_MAX - tokens_in * dearest
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
