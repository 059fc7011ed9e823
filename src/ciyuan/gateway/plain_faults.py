"""What is wrong with a row, in plain Python.

Each function yields *every* fault that it sees, in the order in which `MeterRefusal` declares them: the first is the
answer, and a test that takes them all sees that the order is kept. What the ledger will say is not known here; its
refusals are declared last.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.price import PriceList
from ciyuan.basics.rows import INT64_MAX, KIND, TIME, Row, code_of, flags_of, reason_of
from ciyuan.gateway.edge import NEVER_HELD
from ciyuan.gateway.messages import (
    ACCOUNT,
    BATCH_HUNDREDTHS,
    CUSTOMER_MAX,
    GRADE_MAX,
    KEY,
    LEG_AND_STEP,
    LEG_BOUND,
    PARTIES,
    PARTY,
    PRICE_LISTS_MAX,
    PRICE_MAX,
    REQUEST_MAX,
    ROLE,
    SPENDER_OF_HOLD,
    SUPPLIER,
    SUPPLIER_MAX,
    TIMEOUT,
    TOKENS_CACHED,
    TOKENS_IN,
    TOKENS_IN_MAX,
    TOKENS_MAX,
    TOKENS_OUT,
    TOKENS_OUT_MAX,
    VALID_FROM,
    MeterCommand,
    MeterFlag,
    MeterRefusal,
    PartyRole,
    RequestState,
    customer_of,
    grade_of,
    supplier_of,
)
from ciyuan.gateway.plain_leg_faults import of_leg_price, of_leg_used
from ciyuan.gateway.plain_legs import exceed_whole, leg_prices_of, too_many_pieces, usage_of
from ciyuan.gateway.plain_spender_faults import of_close, of_holds_spender, of_limit, of_limits, of_spender
from ciyuan.gateway.plain_state import Request, State
from ciyuan.gateway.rating import hold_micro, worst_cost_by_legs, worst_cost_pico
from ciyuan.gateway.usage import Leg
from ciyuan.ledger.messages import AccountFlag, AccountView

KIND_WORD_END = 1 << 40
"""A kind word uses 40 bits; anything above makes the kind unknown."""
UNUSED = {
    MeterCommand.ENROL: (5, 6, 7),
    MeterCommand.PRICES: (),
    MeterCommand.HOLD: (),
    MeterCommand.DELIVER: (7,),
    MeterCommand.VOID: (3, 4, 5, 6, 7),
    MeterCommand.TICK: (2, 3, 4, 5, 6, 7),
    MeterCommand.SPENDER: (5, 6, 7),
    MeterCommand.LIMIT: (7,),
    MeterCommand.LEG_PRICE: (),
    MeterCommand.LEG_USED: (5, 6, 7),
    MeterCommand.CLOSE: (4, 5, 6, 7),
}
OF_A_REQUEST = (MeterCommand.HOLD, MeterCommand.DELIVER, MeterCommand.VOID, MeterCommand.LEG_USED)
RARER: Mapping[MeterCommand, Callable[[State, Row], Iterator[MeterRefusal]]] = {
    MeterCommand.SPENDER: of_spender,
    MeterCommand.LIMIT: of_limit,
    MeterCommand.LEG_PRICE: of_leg_price,
    MeterCommand.LEG_USED: of_leg_used,
    MeterCommand.CLOSE: of_close,
}
Faults = Iterator[MeterRefusal]


class LedgerLike(Protocol):
    """What the meter asks of a ledger; `PlainLedger` and `Ledger` both give it."""

    @property
    def clock_ns(self) -> int:
        """Time of the latest row."""

    @property
    def account_count(self) -> int:
        """Accounts opened, numbered from 1."""

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply an (n, 8) batch; returns the (m, 8) events."""

    def account(self, number: int) -> AccountView:
        """An account as it stands."""


def faults_of(state: State, ledger: LedgerLike, row: Row) -> Faults:
    """Every fault of a row that can be seen before the ledger is asked, in the order of precedence."""
    if row[TIME] < max(state.clock_ns, ledger.clock_ns):
        yield MeterRefusal.TIME_BACKWARDS
    code = code_of(row[KIND])
    if not 0 <= row[KIND] < KIND_WORD_END or code not in UNUSED:
        yield MeterRefusal.KIND_UNKNOWN
        return
    if flags_of(row[KIND]) & ~(MeterFlag.BATCH if code == MeterCommand.DELIVER else 0):
        yield MeterRefusal.FLAG_NOT_ALLOWED
    if reason_of(row[KIND]) > (100 if code == MeterCommand.PRICES else 0):
        yield MeterRefusal.REASON_NOT_ALLOWED
    if any(row[word] for word in _unused(code, row)):
        yield MeterRefusal.UNUSED_WORD_NOT_ZERO
    if code in OF_A_REQUEST and not 1 <= row[KEY] <= REQUEST_MAX:
        yield MeterRefusal.REQUEST_OUT_OF_RANGE
    if code == MeterCommand.ENROL:
        yield from _of_enrol(state, ledger, row)
    elif code == MeterCommand.PRICES:
        yield from _of_prices(state, row)
    elif code == MeterCommand.HOLD:
        yield from _of_hold(state, ledger, row)
    elif code == MeterCommand.DELIVER:
        yield from _of_delivery(state, row)
    elif code == MeterCommand.VOID:
        yield from _of_void(state, row)
    elif code in RARER:
        yield from RARER[MeterCommand(code)](state, row)


def _unused(code: int, row: Row) -> tuple[int, ...]:
    """The words that a row does not use. Without a step, only a piece has a bound."""
    if code == MeterCommand.LEG_PRICE and 0 <= row[LEG_AND_STEP] < Leg.IMAGES:
        return (LEG_BOUND,)
    return UNUSED[MeterCommand(code)]


def list_for(state: State, row: Row) -> PriceList | None:
    """The list that rates a HOLD row."""
    return state.list_in_force(supplier_of(row[PARTIES]), grade_of(row[PARTIES]), row[TIME])


def batch_hundredths(row: Row) -> int:
    """The batch price of a PRICES row in hundredths of its price."""
    return reason_of(row[KIND]) or BATCH_HUNDREDTHS


def _of_enrol(state: State, ledger: LedgerLike, row: Row) -> Faults:
    number, account, role = row[PARTY], row[ACCOUNT], row[ROLE]
    if role not in (PartyRole.CUSTOMER, PartyRole.SUPPLIER):
        yield MeterRefusal.ROLE_UNKNOWN
        return
    if not 1 <= number <= (CUSTOMER_MAX if role == PartyRole.CUSTOMER else SUPPLIER_MAX):
        yield MeterRefusal.PARTY_OUT_OF_RANGE
    party = state.parties.get((role, number))
    if party is not None:
        if party.account != account:
            yield MeterRefusal.EXISTS_WITH_DIFFERENT_ACCOUNT
    elif not 1 <= account <= ledger.account_count:
        yield MeterRefusal.ACCOUNT_UNKNOWN
    elif role == PartyRole.CUSTOMER and not ledger.account(account).flags & AccountFlag.NO_OVERDRAFT:
        yield MeterRefusal.ACCOUNT_MAY_BE_OVERDRAWN


def _of_prices(state: State, row: Row) -> Faults:
    supplier, grade, *prices = row[SUPPLIER:VALID_FROM]
    if not (1 <= supplier <= SUPPLIER_MAX and 1 <= grade <= GRADE_MAX):
        yield MeterRefusal.PARTY_OUT_OF_RANGE
    if min(prices) < 0:
        yield MeterRefusal.PRICE_NEGATIVE
    if max(prices) > PRICE_MAX:
        yield MeterRefusal.PRICE_OVER_LIMIT
    known = state.list_from(supplier, grade, row[VALID_FROM])
    if known is not None:
        yield from _differences(
            (prices[0], known.input, MeterRefusal.EXISTS_WITH_DIFFERENT_PRICE_IN),
            (prices[1], known.cached, MeterRefusal.EXISTS_WITH_DIFFERENT_PRICE_CACHED),
            (prices[2], known.output, MeterRefusal.EXISTS_WITH_DIFFERENT_PRICE_OUT),
            (batch_hundredths(row), known.batch_hundredths, MeterRefusal.EXISTS_WITH_DIFFERENT_DISCOUNT),
        )
        return
    if (PartyRole.SUPPLIER, supplier) not in state.parties:
        yield MeterRefusal.SUPPLIER_UNKNOWN
    last_hold_ns = state.books.get((supplier, grade), NEVER_HELD)
    if last_hold_ns != NEVER_HELD and row[VALID_FROM] <= last_hold_ns:
        yield MeterRefusal.PRICES_BACKDATED
    if len(state.lists) >= PRICE_LISTS_MAX:
        yield MeterRefusal.PRICE_LISTS_FULL


def _of_hold(state: State, ledger: LedgerLike, row: Row) -> Faults:
    tokens_in, tokens_out, timeout_ns = row[TOKENS_IN_MAX : TIMEOUT + 1]
    if min(tokens_in, tokens_out) < 0:
        yield MeterRefusal.TOKENS_NEGATIVE
    if max(tokens_in, tokens_out) > TOKENS_MAX:
        yield MeterRefusal.TOKENS_OVER_LIMIT
    if timeout_ns < 0:
        yield MeterRefusal.TIMEOUT_NEGATIVE
    if state.is_closed(row[KEY]):
        yield MeterRefusal.REQUEST_CLOSED
        return
    known = state.requests.get(row[KEY])
    if known is not None:
        yield from _differences(
            (row[PARTIES], known.parties, MeterRefusal.EXISTS_WITH_DIFFERENT_PARTIES),
            (tokens_in, known.tokens_in_max, MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_IN),
            (tokens_out, known.tokens_out_max, MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_OUT),
            (timeout_ns, known.timeout_ns, MeterRefusal.EXISTS_WITH_DIFFERENT_TIMEOUT),
            (row[SPENDER_OF_HOLD], known.spender, MeterRefusal.EXISTS_WITH_DIFFERENT_SPENDER),
        )
        return
    yield from _of_parties(state, ledger, row)
    yield from of_holds_spender(state.tree, row[SPENDER_OF_HOLD], customer_of(row[PARTIES]))
    if row[TIME] + timeout_ns > INT64_MAX:
        yield MeterRefusal.TIMEOUT_OVERFLOW
    prices = list_for(state, row)
    if prices is not None and worst_cost(state, prices, row) > INT64_MAX:
        yield MeterRefusal.AMOUNT_OVERFLOW
    yield from (refusal for refusal, _ in limits_that_refuse(state, row))


def limits_that_refuse(state: State, row: Row) -> list[tuple[MeterRefusal, int]]:
    """The refusals of a new HOLD by limits, the first of them first, each with the limit's number."""
    prices, spender = list_for(state, row), row[SPENDER_OF_HOLD]
    tokens = row[TOKENS_IN_MAX] + row[TOKENS_OUT_MAX]
    if prices is None or spender not in state.tree.spenders or row[KEY] in state.requests:
        return []
    if min(row[TOKENS_IN_MAX], row[TOKENS_OUT_MAX]) < 0:
        return []
    return list(of_limits(state.tree, spender, row[TIME], hold_micro(worst_cost(state, prices, row)), tokens))


def worst_cost(state: State, prices: PriceList, row: Row) -> int:
    """The most that a HOLD row can cost by a list, in pico-units."""
    said = state.legs.get(state.number_of(prices))
    most = (row[TOKENS_IN_MAX], row[TOKENS_OUT_MAX])
    if said is None:
        return worst_cost_pico(prices, *most)
    return worst_cost_by_legs(leg_prices_of(prices, said), *most, said.most)


def _of_parties(state: State, ledger: LedgerLike, row: Row) -> Faults:
    """Faults of a new hold's customer, supplier and grade, and of their accounts."""
    parties = row[PARTIES]
    customer = state.parties.get((PartyRole.CUSTOMER, customer_of(parties)))
    supplier = state.parties.get((PartyRole.SUPPLIER, supplier_of(parties)))
    if customer is None:
        yield MeterRefusal.CUSTOMER_UNKNOWN
    if supplier is None:
        yield MeterRefusal.SUPPLIER_UNKNOWN
    if (supplier_of(parties), grade_of(parties)) not in state.books:
        yield MeterRefusal.GRADE_UNKNOWN
    elif list_for(state, row) is None:
        yield MeterRefusal.NO_PRICE_LIST
    if customer is None or supplier is None:
        return
    if customer.account == supplier.account:
        yield MeterRefusal.ACCOUNTS_SAME
    if ledger.account(customer.account).asset != ledger.account(supplier.account).asset:
        yield MeterRefusal.ASSETS_DIFFER


def _of_delivery(state: State, row: Row) -> Faults:
    tokens_in, cached, tokens_out = row[TOKENS_IN : TOKENS_OUT + 1]
    if min(tokens_in, cached, tokens_out) < 0:
        yield MeterRefusal.TOKENS_NEGATIVE
    if max(tokens_in, cached, tokens_out) > TOKENS_MAX:
        yield MeterRefusal.TOKENS_OVER_LIMIT
    if cached > tokens_in:
        yield MeterRefusal.CACHED_EXCEEDS_INPUT
    if state.is_closed(row[KEY]):
        yield MeterRefusal.REQUEST_CLOSED
        return
    request = state.requests.get(row[KEY])
    if request is None:
        yield MeterRefusal.REQUEST_UNKNOWN
        return
    if request.used is not None:
        yield from _differences(
            (row[PARTIES], request.parties, MeterRefusal.EXISTS_WITH_DIFFERENT_PARTIES),
            (tokens_in, request.used.input, MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_IN),
            (cached, request.used.cached, MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_CACHED),
            (tokens_out, request.used.output, MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_OUT),
            (flags_of(row[KIND]), int(request.used.batch), MeterRefusal.EXISTS_WITH_DIFFERENT_BATCH),
        )
        return
    if row[PARTIES] != request.parties:
        yield MeterRefusal.HOLD_HAS_DIFFERENT_PARTIES
    if request.state == RequestState.VOIDED:
        yield MeterRefusal.HOLD_VOIDED
    if request.state == RequestState.EXPIRED:
        yield MeterRefusal.HOLD_EXPIRED
    yield from _of_what_was_held(state, request, row)


def _of_what_was_held(state: State, request: Request, row: Row) -> Faults:
    """Whether a delivery is more than was held, or what was told of its legs more than it."""
    many = row[TOKENS_IN] > request.tokens_in_max or row[TOKENS_OUT] > request.tokens_out_max
    whole = True
    if request.told is not None:
        usage, said = (
            usage_of(row[TOKENS_IN], row[TOKENS_CACHED], row[TOKENS_OUT], request.told),
            state.legs.get(request.list_number),
        )
        if said is not None:
            many |= too_many_pieces(leg_prices_of(state.lists[request.list_number - 1][0], said), said, usage)
        whole = not exceed_whole(usage)
    if many:
        yield MeterRefusal.EXCEEDS_HOLD
    if not whole:
        yield MeterRefusal.LEGS_EXCEED_WHOLE


def _of_void(state: State, row: Row) -> Faults:
    if state.is_closed(row[KEY]):
        yield MeterRefusal.REQUEST_CLOSED
        return
    request = state.requests.get(row[KEY])
    if request is None:
        yield MeterRefusal.REQUEST_UNKNOWN
    elif request.state == RequestState.SETTLED:
        yield MeterRefusal.HOLD_SETTLED
    elif request.state == RequestState.EXPIRED:
        yield MeterRefusal.HOLD_EXPIRED


def _differences(*fields: tuple[int, int, MeterRefusal]) -> Faults:
    """The refusals of the fields in which a row differs from what is known under its key."""
    return (refusal for new, known, refusal in fields if new != known)
