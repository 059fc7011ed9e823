"""The meter in plain Python: the twin that says what the kernel must do.

It favours being obvious over being fast: dictionaries, every rule once, holds that are due found by looking at all of
them, price lists by looking through all of them. What is wrong with a row stands in `plain_faults`, what is
remembered in `plain_state`. `gateway.machine.Meter` gives the same events and the same state hash after every
command.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.money import carry_charge
from ciyuan.basics.price import PriceList
from ciyuan.basics.rows import CODE_MASK, KIND, ROW_WORDS, TIME, Row, code_of, flags_of, kind_word
from ciyuan.basics.rows import row as row_of
from ciyuan.basics.state import state_hash
from ciyuan.basics.tokens import Legs
from ciyuan.gateway.edge import NEVER_HELD, checked_batch, checked_parts
from ciyuan.gateway.leg_prices import cost_pico
from ciyuan.gateway.messages import (
    ACCOUNT,
    AMOUNT,
    COUNT,
    CUSTOMER,
    END,
    FIRST,
    KEY,
    LEG,
    LEG_BOUND,
    LEG_PRICE,
    LIMIT,
    LIMITED,
    MEASURE,
    MOST,
    OFFSET,
    PARENT,
    PARTIES,
    PARTY,
    PRICE_CACHED,
    PRICE_IN,
    PRICE_OUT,
    ROLE,
    SPENDER,
    SPENDER_OF_HOLD,
    SUPPLIER,
    TIMEOUT,
    TOKENS_CACHED,
    TOKENS_IN,
    TOKENS_IN_MAX,
    TOKENS_OUT,
    TOKENS_OUT_MAX,
    VALID_FROM,
    WINDOW_SHIFT,
    MeterCommand,
    MeterEvent,
    MeterFlag,
    MeterRefusal,
    PartyRole,
    RequestState,
    customer_of,
    grade_of,
    supplier_of,
)
from ciyuan.gateway.messages import GRADE as GRADE_WORD
from ciyuan.gateway.plain_faults import (
    Faults,
    LedgerLike,
    batch_hundredths,
    faults_of,
    limits_that_refuse,
    list_for,
    worst_cost,
)
from ciyuan.gateway.plain_leg_faults import leg_and_step
from ciyuan.gateway.plain_legs import SaidLegs, leg_prices_of, usage_of
from ciyuan.gateway.plain_spenders import Limit, Spender
from ciyuan.gateway.plain_state import Party, Request, State
from ciyuan.gateway.rating import hold_micro
from ciyuan.ledger.messages import REFUSAL as LEDGER_REFUSAL
from ciyuan.ledger.messages import Event as LedgerEvent
from ciyuan.ledger.messages import Refusal as LedgerRefusal
from ciyuan.ledger.messages import close_row as ledger_close_row
from ciyuan.ledger.messages import hold_row, post_row, tick_row, void_row

REFUSED_AS = {
    LedgerRefusal.DEBITS_OVERFLOW: MeterRefusal.BALANCE_OVERFLOW,
    LedgerRefusal.CREDITS_OVERFLOW: MeterRefusal.BALANCE_OVERFLOW,
    LedgerRefusal.OVERDRAWN: MeterRefusal.INSUFFICIENT_BALANCE,
}
"""What the ledger's refusals are called here; every other is LEDGER_REFUSED."""


class PlainMeter:
    """The meter, one command at a time. See docs/spec/meter.md for the rules and `Meter` for the same interface, fast."""

    def __init__(self, ledger: LedgerLike) -> None:
        self.ledger = ledger
        self._state = State()

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply an (n, 8) int64 batch of commands; returns the (m, 8) events. Raises Malformed for any other shape or type."""
        events: list[Row] = []
        for words in checked_batch(rows).tolist():
            row = row_of(words[KIND], words[TIME], words[2:])
            self._arrive(row[TIME], events)
            refusal = next(self.faults(row), None)
            events.append(self._refuse(row, refusal) if refusal else self._commit(row))
        return np.array(events, dtype=np.int64).reshape(-1, ROW_WORDS)

    def faults(self, row: Row) -> Faults:
        """Every fault of a row that can be seen before the ledger is asked, in the order of precedence."""
        return faults_of(self._state, self.ledger, row)

    def _refuse(self, row: Row, refusal: MeterRefusal) -> Row:
        """The answer to a row with a fault; a limit's says which one it was."""
        answer = _answer(MeterEvent.REFUSED, row, refusal)
        if refusal not in (MeterRefusal.RATE_LIMITED, MeterRefusal.BUDGET_SPENT):
            return answer
        _, limit = limits_that_refuse(self._state, row)[0]
        return row_of(kind_word(MeterEvent.REFUSED, 0, limit), row[TIME], answer[2:])

    # --- the clock ---

    def _arrive(self, time_ns: int, events: list[Row]) -> None:
        """Move the clock to a row's time and let what is due expire, here and in the ledger."""
        if time_ns < max(self._state.clock_ns, self.ledger.clock_ns):
            return
        self._state.clock_ns = time_ns
        due = [
            (request.expires_ns, place, request)
            for place, request in enumerate(self._state.requests.values())
            if request.state == RequestState.HELD and 0 < request.expires_ns <= time_ns
        ]
        for expires_ns, _, request in sorted(due):
            request.state = RequestState.EXPIRED
            self._give_back(request, expires_ns, request.held_micro, request.tokens_max, 1)
            events.append(_about(MeterEvent.EXPIRED, expires_ns, request))
        if due:
            self._tell(tick_row(time_ns))

    def _tell(self, row: Row) -> MeterRefusal | None:
        """Put one row to the ledger; returns what stands against it. A row that is there already is not ours."""
        answer = self.ledger.apply(np.array([row], dtype=np.int64))[-1].tolist()
        if code_of(answer[KIND]) == LedgerEvent.REFUSED:
            return REFUSED_AS.get(LedgerRefusal(answer[LEDGER_REFUSAL]), MeterRefusal.LEDGER_REFUSED)
        return MeterRefusal.LEDGER_REFUSED if code_of(answer[KIND]) == LedgerEvent.REPEATED else None

    # --- what a row without a fault does ---

    def _commit(self, row: Row) -> Row:
        code = code_of(row[KIND])
        if code == MeterCommand.TICK:
            self._tell(tick_row(row[TIME]))
            return _answer(MeterEvent.TICKED, row, 0)
        if code == MeterCommand.ENROL:
            return self._enrol(row)
        if code == MeterCommand.PRICES:
            return self._price(row)
        if code == MeterCommand.HOLD:
            return self._hold(row)
        if code == MeterCommand.DELIVER:
            return self._settle(row)
        return self._void(row) if code == MeterCommand.VOID else self._commit_rarer(row, code)

    def _commit_rarer(self, row: Row, code: int) -> Row:
        if code == MeterCommand.SPENDER:
            return self._add_spender(row)
        if code == MeterCommand.LIMIT:
            return self._set_limit(row)
        if code == MeterCommand.LEG_PRICE:
            return self._price_leg(row)
        return self._tell_leg(row) if code == MeterCommand.LEG_USED else self._close(row)

    def _enrol(self, row: Row) -> Row:
        who = (row[ROLE], row[PARTY])
        if who in self._state.parties:
            return _answer(MeterEvent.REPEATED, row, 0)
        self._state.parties[who] = Party(row[ROLE], row[PARTY], row[ACCOUNT])
        return _answer(MeterEvent.ENROLLED, row, 0)

    def _price(self, row: Row) -> Row:
        supplier, grade, valid_from_ns = row[SUPPLIER], row[GRADE_WORD], row[VALID_FROM]
        if self._state.list_from(supplier, grade, valid_from_ns) is not None:
            return _answer(MeterEvent.REPEATED, row, valid_from_ns)
        hundredths = batch_hundredths(row)
        prices = (row[PRICE_IN], row[PRICE_CACHED], row[PRICE_OUT])
        self._state.lists.append((PriceList(supplier, grade, valid_from_ns, *prices, hundredths), row[TIME]))
        self._state.books.setdefault((supplier, grade), NEVER_HELD)
        return row_of(kind_word(MeterEvent.PRICED, 0, hundredths), row[TIME], row[2:])

    def _hold(self, row: Row) -> Row:
        state, key, parties, timeout_ns = self._state, row[KEY], row[PARTIES], row[TIMEOUT]
        if key in state.requests:
            return _answer(MeterEvent.REPEATED, row, state.requests[key].held_micro)
        prices = list_for(state, row)
        if prices is None:
            raise InvariantBroken("a hold is rated by a list", f"request {key} has none")
        held = hold_micro(worst_cost(state, prices, row))
        customer, supplier = self._parties_of(parties)
        accounts = (customer.account, supplier.account)
        refusal = self._tell(
            hold_row(row[TIME], 4 * key, *accounts, held, timeout_ns, reason=MeterCommand.HOLD)
        )
        if refusal:
            return _answer(MeterEvent.REFUSED, row, refusal)
        expires_ns = row[TIME] + timeout_ns if timeout_ns else 0
        most = (row[TOKENS_IN_MAX], row[TOKENS_OUT_MAX])
        request = Request(key, parties, *most, timeout_ns, expires_ns, held, state.number_of(prices))
        state.requests[key] = request
        self._count_in(request, row)
        state.books[supplier_of(parties), grade_of(parties)] = row[TIME]
        return _about(MeterEvent.HELD, row[TIME], state.requests[key])

    def _settle(self, row: Row) -> Row:
        request = self._state.requests[row[KEY]]
        if request.used is not None:
            return _answer(MeterEvent.REPEATED, row, request.charge_micro)
        legs = Legs(
            row[TOKENS_IN], row[TOKENS_CACHED], row[TOKENS_OUT], batch=flags_of(row[KIND]) == MeterFlag.BATCH
        )
        customer, supplier = self._parties_of(request.parties)
        prices, _ = self._state.lists[request.list_number - 1]
        charge, carry = carry_charge(self._cost_pico(request, prices, legs), customer.carry_pico)
        hold_key = 4 * request.key
        refusal = self._tell(post_row(row[TIME], hold_key + 1, hold_key, charge, reason=MeterCommand.DELIVER))
        if refusal:
            return _answer(MeterEvent.REFUSED, row, refusal)
        request.state, request.used, request.charge_micro = RequestState.SETTLED, legs, charge
        customer.carry_pico = carry
        customer.add(legs, charge)
        supplier.add(legs, charge)
        unused = request.tokens_max - legs.input - legs.output
        self._give_back(request, row[TIME], request.held_micro - charge, unused, 0)
        kind = kind_word(MeterEvent.SETTLED, flags_of(row[KIND]), request.list_number)
        return row_of(kind, row[TIME], (*row[2:AMOUNT], charge))

    def _void(self, row: Row) -> Row:
        request = self._state.requests[row[KEY]]
        if request.state == RequestState.VOIDED:
            return _answer(MeterEvent.REPEATED, row, request.held_micro)
        refusal = self._tell(
            void_row(row[TIME], 4 * request.key + 2, 4 * request.key, reason=MeterCommand.VOID)
        )
        if refusal:
            return _answer(MeterEvent.REFUSED, row, refusal)
        request.state = RequestState.VOIDED
        self._give_back(request, row[TIME], request.held_micro, request.tokens_max, 1)
        return _about(MeterEvent.VOIDED, row[TIME], request)

    def _parties_of(self, parties: int) -> tuple[Party, Party]:
        known = self._state.parties
        customer = known[PartyRole.CUSTOMER, customer_of(parties)]
        return customer, known[PartyRole.SUPPLIER, supplier_of(parties)]

    def _cost_pico(self, request: Request, prices: PriceList, legs: Legs) -> int:
        said = self._state.legs.get(request.list_number)
        if said is None and request.told is None:
            return prices.cost_pico(legs)
        usage = usage_of(legs.input, legs.cached, legs.output, request.told or {})
        return cost_pico(usage, leg_prices_of(prices, said or SaidLegs()), batch=legs.batch)

    # --- spenders, limits, legs, closed keys ---

    def _count_in(self, request: Request, row: Row) -> None:
        """Count an accepted hold in every limit of its spender and of those above."""
        if not row[SPENDER_OF_HOLD]:
            return
        request.spender, request.held_ns = row[SPENDER_OF_HOLD], row[TIME]
        for bit, limit in self._state.tree.limits_on(request.spender):
            limit.add(limit.counts(request.held_micro, request.tokens_max, 1), row[TIME])
            request.counted |= bit

    def _give_back(self, request: Request, time_ns: int, micro: int, tokens: int, requests: int) -> None:
        """Give what a request did not use back to the limits that counted it."""
        for bit, limit in self._state.tree.limits_on(request.spender):
            amount = limit.counts(micro, tokens, requests)
            if bit & request.counted and amount:
                limit.give_back(amount, request.held_ns, time_ns)

    def _add_spender(self, row: Row) -> Row:
        spenders = self._state.tree.spenders
        if row[SPENDER] in spenders:
            return _answer(MeterEvent.REPEATED, row, 0)
        spenders[row[SPENDER]] = Spender(row[SPENDER], row[PARENT], row[CUSTOMER])
        return _answer(MeterEvent.SPENDER_ADDED, row, 0)

    def _set_limit(self, row: Row) -> Row:
        tree, time_ns = self._state.tree, row[TIME]
        known = tree.limits.get(row[LIMIT])
        if known is None:
            unit, window = row[MEASURE] % (1 << WINDOW_SHIFT), row[MEASURE] >> WINDOW_SHIFT
            new = Limit(row[LIMIT], row[LIMITED], unit, window, row[MOST], row[OFFSET], began=-(2**63))
            new.begin(time_ns)
            new.used = 0
            tree.put(new)
        elif known.most == row[MOST]:
            return _answer(MeterEvent.REPEATED, row, 0)
        else:
            if known.is_rate:
                known.begin(time_ns)
            known.most = row[MOST]
        return _answer(MeterEvent.LIMIT_SET, row, 0)

    def _price_leg(self, row: Row) -> Row:
        known = self._state.list_from(row[SUPPLIER], row[GRADE_WORD], row[VALID_FROM])
        if known is None:
            raise InvariantBroken("a leg's price completes a list", f"supplier {row[SUPPLIER]} has none")
        leg, step = leg_and_step(row)
        said = self._state.legs.setdefault(self._state.number_of(known), SaidLegs())
        if (step, leg) in said.prices:
            return _answer(MeterEvent.REPEATED, row, row[VALID_FROM])
        said.say(step, leg, row[LEG_PRICE], row[LEG_BOUND])
        return _answer(MeterEvent.LEG_PRICED, row, row[VALID_FROM])

    def _tell_leg(self, row: Row) -> Row:
        request = self._state.requests[row[KEY]]
        if (request.told or {}).get(row[LEG], 0) == row[COUNT]:
            return _answer(MeterEvent.REPEATED, row, 0)
        if request.told is None:
            request.told = {}
            self._state.told.append(request.key)
        request.told[row[LEG]] = row[COUNT]
        return _answer(MeterEvent.LEG_TOLD, row, 0)

    def _close(self, row: Row) -> Row:
        state, first, end = self._state, row[FIRST], row[END]
        if state.is_closed(first) and state.is_closed(end - 1):
            return _answer(MeterEvent.REPEATED, row, 0)
        refusal = self._tell(ledger_close_row(row[TIME], 4 * first, 4 * end, reason=MeterCommand.CLOSE))
        if refusal:
            return _answer(MeterEvent.REFUSED, row, refusal)
        state.closed = (state.closed[0] if state.closed else first, end)
        state.requests = {key: request for key, request in state.requests.items() if not first <= key < end}
        state.told = [key for key in state.told if key in state.requests]
        return _answer(MeterEvent.CLOSED, row, 0)

    # --- what can be asked ---

    @property
    def clock_ns(self) -> int:
        """Time of the latest row, in nanoseconds."""
        return self._state.clock_ns

    @property
    def parties(self) -> NDArray[np.int64]:
        """(n, 8), as in a snapshot."""
        return self.snapshot()["parties"]

    @property
    def price_lists(self) -> NDArray[np.int64]:
        """(n, 8), as in a snapshot."""
        return self.snapshot()["price_lists"]

    @property
    def requests(self) -> NDArray[np.int64]:
        """(n, 8), as in a snapshot."""
        return self.snapshot()["requests"]

    @property
    def deliveries(self) -> NDArray[np.int64]:
        """(n, 4), as in a snapshot."""
        return self.snapshot()["deliveries"]

    # --- snapshot ---

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state as the matrices that `gateway.edge` describes."""
        return self._state.parts()

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take the state of a snapshot; the ledger is restored apart. Raises Malformed, changing nothing, if it is none."""
        self._state = State.of(checked_parts(parts))

    def state_hash(self) -> str:
        """The fingerprint of the snapshot."""
        return state_hash(self.snapshot())


def _answer(event: MeterEvent, row: Row, word: int) -> Row:
    return row_of(row[KIND] & ~CODE_MASK | event, row[TIME], (*row[2:AMOUNT], word))


def _about(event: MeterEvent, time_ns: int, request: Request) -> Row:
    return row_of(kind_word(event, 0, request.list_number), time_ns, request.words())
