"""Redemption (§9.3): receipts become standard tokens, served through the meter exactly once; who fails to serve is replaced."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector
from ciyuan.basics.rows import Row, code_of
from ciyuan.basics.tokens import MTOK, Legs
from ciyuan.exchange.messages import SessionState, session_row
from ciyuan.gateway.messages import (
    MeterEvent,
    MeterRefusal,
    deliver_row,
    hold_row,
    parties_word,
    void_row,
)
from ciyuan.index.messages import Leg, fix_row
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, Reason, VenueCommand, VenueEvent, VenueRefusal
from tests.venue.market import (
    ADA,
    BO,
    CY,
    DAY,
    DEE,
    EVE,
    KIMI,
    MONTH,
    OCT,
    QWEN,
    SECOND,
    SPOT,
    TERMS,
    USD,
    Market,
    grade,
    matrix,
)

C, E, R = VenueCommand, VenueEvent, VenueRefusal
CHART = TERMS.chart
PACK = 2**32


class Redeemers(Market):
    """A market in which dee and eve hold ada's receipts: 40 and 10 of the 1,000 that she issued."""

    def __init__(self, terms=TERMS) -> None:
        super().__init__(terms)
        self.join()
        self.ask(C.BOND, self.new_key(), ADA, 2_000 * USD)
        self.receipts().open()
        for number, lots in ((DEE, 40), (EVE, 10)):
            self.order(ADA, SPOT, -lots, 1500)
            self.order(number, SPOT, lots, 1500)
        assert (self.held_receipts(DEE), self.held_receipts(EVE)) == (40, 10)

    def redeem(
        self, number: int, receipts: int, issuer: int = ADA, month: int = MONTH
    ) -> VenueEvent | VenueRefusal:
        return self.own(C.REDEEM, self.new_key(), number, KIMI, receipts, issuer, month)

    def substitute(self, failing: int, other: int, receipts: int, price: int) -> VenueEvent | VenueRefusal:
        return self.own(C.SUBSTITUTE, self.new_key(), failing, KIMI, receipts, other * PACK + MONTH, price)

    def own(self, command: VenueCommand, *words: int) -> VenueEvent | VenueRefusal:
        """The venue's answer to a command: the event that repeats its key, as a refusal if it is one."""
        said = [event for event in self.ask(command, *words) if event[2] == words[0] and event[0] >= 651]
        code = VenueEvent(code_of(said[0][0]))
        return VenueRefusal(said[0][7]) if code == E.REFUSED else code

    def tokens(self, number: int) -> int:
        return self.venue.ledger.posted(CHART.standard_tokens(number, KIMI))

    def free_tokens(self, number: int) -> int:
        return self.venue.ledger.available(CHART.standard_tokens(number, KIMI))

    def served(self, number: int) -> int:
        return self.venue.ledger.posted(CHART.served(number, KIMI))

    def parties(self, number: int, issuer: int = ADA) -> int:
        return parties_word(CHART.holder(number, KIMI), CHART.issuer(issuer, KIMI), KIMI)

    def ask_for(self, number: int, tokens_in: int, tokens_out: int, cached: int = 0, *, issuer: int = ADA,
                batch: bool = False) -> Row:  # fmt: skip
        """Hold and deliver one request; returns the last answer."""
        self.request += 1
        parties = self.parties(number, issuer)
        held = hold_row(self.tick(), self.request, parties, tokens_in, tokens_out, 60 * SECOND)
        done = deliver_row(self.tick(), self.request, parties, tokens_in, cached, tokens_out, batch=batch)
        return self.tell(held, done)[-1]

    def check(self) -> None:
        """Every asset sums to zero, nobody is overdrawn, and every receipt and standard token is accounted for."""
        ledger = self.venue.ledger
        ledger.check()
        rows = ledger.accounts[1:]
        for asset in set(rows[:, 0].tolist()):
            held = rows[rows[:, 0] == asset]
            assert held[:, 3].sum() == held[:, 5].sum()
        people = self.venue._books.participants
        capacity = self.venue.snapshot()["venue.capacity"]
        of_kimi = capacity[capacity[:, 1] == KIMI]
        issued, redeemed = int(of_kimi[:, 4].sum()), int(of_kimi[:, 5].sum())
        held = sum(self.held_receipts(number) for number in people)
        lapsed = sum(event[5] for event in self.of(E.LAPSED) if event[2] == KIMI)
        assert issued == held + redeemed + lapsed
        assert redeemed == sum(event[5] for event in self.of(E.REDEEMED) if event[4] == KIMI)
        waiting = sum(self.tokens(number) for number in people)
        served = sum(self.served(number) for number in people)
        gone = sum(event[5] for event in [*self.of(E.TOKENS_LAPSED), *self.of(E.SERVED)] if event[2] == KIMI)
        assert redeemed * MTOK == waiting + served + gone
        assert ledger.posted(CHART.tokens(KIMI)) == -(waiting + served)
        assert ledger.posted(CHART.issuance(KIMI)) == -held


# --- redeeming ---


def test_receipts_become_standard_tokens():
    market = Redeemers()
    assert market.redeem(DEE, 3) == E.REDEEMED
    assert (market.held_receipts(DEE), market.tokens(DEE)) == (37, 3 * MTOK)
    assert market.codes()[-3:] == [MeterEvent.ENROLLED, MeterEvent.PRICED, E.REDEEMED]
    assert market.redeem(DEE, 1) == E.REDEEMED
    assert market.codes()[-1:] == [E.REDEEMED]
    assert market.codes().count(MeterEvent.PRICED) == 1
    market.check()


def test_the_meter_charges_standard_tokens_and_carries_what_is_less_than_one():
    """100 in (40 of them cached) and 10 out: 60 + 8 + 42.1 = 110.1; ten of them are 1,101."""
    market = Redeemers()
    market.redeem(DEE, 1)
    charges = [market.ask_for(DEE, 100, 10, 40)[7] for _ in range(10)]
    assert sum(charges) == 1101
    assert set(charges) == {110, 111}
    assert (market.tokens(DEE), market.served(ADA)) == (MTOK - 1101, 1101)
    market.check()


def test_a_batch_is_charged_half():
    market = Redeemers()
    market.redeem(DEE, 1)
    assert market.ask_for(DEE, 100, 100, batch=True)[7] == 260
    assert market.ask_for(DEE, 100, 100, batch=True)[7] == 261
    assert market.served(ADA) == 521


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(0, 20_000), st.integers(0, 9000), st.booleans()),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_what_is_charged_is_the_grades_vector_exactly(requests):
    market, exact = Redeemers(), 0
    market.redeem(DEE, 2)
    vector = ConversionVector()
    for tokens_in, cached, tokens_out, batch in requests:
        answer = market.ask_for(DEE, tokens_in, tokens_out, min(cached, tokens_in), batch=batch)
        assert code_of(answer[0]) == MeterEvent.SETTLED
        legs = Legs(tokens_in, min(cached, tokens_in), tokens_out)
        exact += vector.standard_centitokens(legs) * (vector.batch if batch else 100)
        assert market.served(ADA) == exact // 10_000
        assert market.tokens(DEE) + market.served(ADA) == 2 * MTOK
    market.check()


def test_no_more_is_served_than_there_is_and_each_request_once():
    market = Redeemers()
    market.redeem(DEE, 1)
    assert market.ask_for(DEE, MTOK, 0)[7] == MeterRefusal.REQUEST_UNKNOWN
    assert market.of(MeterEvent.REFUSED)[-2][7] == MeterRefusal.INSUFFICIENT_BALANCE
    answer = market.ask_for(DEE, MTOK - 1, 0)
    assert (code_of(answer[0]), answer[7]) == (MeterEvent.SETTLED, MTOK - 1)
    again = deliver_row(market.tick(), market.request, market.parties(DEE), MTOK - 1, 0, 0)
    assert market.codes(market.tell(again)) == [MeterEvent.REPEATED]
    assert (market.tokens(DEE), market.served(ADA)) == (1, MTOK - 1)
    market.check()


def test_what_a_request_holds_comes_back_when_it_is_void_or_late():
    market = Redeemers()
    market.redeem(DEE, 1)
    market.tell(hold_row(market.tick(), 1, market.parties(DEE), 1000, 0))
    assert market.free_tokens(DEE) == MTOK - 1001
    market.tell(void_row(market.tick(), 1))
    assert market.free_tokens(DEE) == MTOK
    market.tell(hold_row(market.tick(), 2, market.parties(DEE), 1000, 0, SECOND))
    market.now += 2 * SECOND
    said = market.tell(deliver_row(market.tick(), 2, market.parties(DEE), 1000, 0, 0))
    assert market.codes(said) == [MeterEvent.EXPIRED, MeterEvent.REFUSED]
    assert market.free_tokens(DEE) == MTOK


def test_a_holder_pays_no_money_and_an_issuer_earns_none():
    market = Redeemers()
    market.redeem(DEE, 1)
    before = [market.money(number, purse) for number in (ADA, DEE) for purse in (0, 1, 2)]
    market.ask_for(DEE, 5000, 5000)
    assert before == [market.money(number, purse) for number in (ADA, DEE) for purse in (0, 1, 2)]


def test_tokens_pay_for_nobody_who_is_paid_in_money():
    market = Redeemers()
    market.listed()
    market.redeem(DEE, 1)
    for customer, supplier in ((CHART.holder(DEE, KIMI), ADA), (DEE, CHART.issuer(ADA, KIMI))):
        held = hold_row(market.tick(), 77, parties_word(customer, supplier, KIMI), 10, 0)
        assert market.tell(held)[0][7] == MeterRefusal.ASSETS_DIFFER


def test_what_is_redeemed_is_no_price():
    """Neither what was served nor the list of an issuer in tokens is seen by the index: the three lists in money are."""
    market = Redeemers()
    market.listed()
    market.at("15:10")
    market.redeem(DEE, 1)
    market.ask_for(DEE, 5000, 5000)
    assert market.observations() == []
    market.at("16:01")
    market.tell(fix_row(market.tick(), KIMI, DAY, Leg.STANDARD))
    fixing = market.venue.index.fixing(KIMI, DAY, Leg.STANDARD)
    assert fixing is not None
    assert (fixing.sellers, fixing.observations) == (3, 3 * 12)


def test_a_redemption_happens_once_under_its_key():
    market = Redeemers()
    assert market.own(C.REDEEM, 700, DEE, KIMI, 3, ADA, MONTH) == E.REDEEMED
    before = market.venue.ledger.transfer_count
    assert market.own(C.REDEEM, 700, DEE, KIMI, 3, ADA, MONTH) == E.REPEATED
    assert market.own(C.REDEEM, 700, DEE, KIMI, 3, ADA, MONTH + 1) == R.KEY_USED_OTHERWISE
    assert market.own(C.REDEEM, 700, EVE, KIMI, 3, ADA, MONTH) == R.KEY_USED_OTHERWISE
    assert market.venue.ledger.transfer_count == before


REDEEMS = [
    (R.UNKNOWN_PARTICIPANT, (99, KIMI, 1, ADA, MONTH)),
    (R.UNKNOWN_PARTICIPANT, (DEE, KIMI, 1, 99, MONTH)),
    (R.UNKNOWN_GRADE, (DEE, 99, 1, ADA, MONTH)),
    (R.NOT_PERMITTED, (DEE, KIMI, 1, EVE, MONTH)),
    (R.AMOUNT_NOT_POSITIVE, (DEE, KIMI, 0, ADA, MONTH)),
    (R.OVER_CAPACITY, (DEE, KIMI, 1, BO, MONTH)),
    (R.OVER_CAPACITY, (DEE, KIMI, 1001, ADA, MONTH)),
    (R.OVER_CAPACITY, (DEE, KIMI, 1, ADA, 0)),
    (R.INSUFFICIENT_BALANCE, (DEE, KIMI, 41, ADA, MONTH)),
    (R.UNKNOWN_MONTH, (DEE, KIMI, 1, ADA, MONTH + 1)),
]


@pytest.mark.parametrize(("refusal", "words"), REDEEMS)
def test_a_redemption_is_refused_for_its_fault_and_changes_nothing(refusal, words):
    market = Redeemers()
    market.ask(C.CAPACITY, ADA, KIMI, MONTH + 1, 5)
    market.ask(C.ISSUE, market.new_key(), ADA, KIMI, 5, MONTH + 1)
    before = market.venue.snapshot()
    assert market.own(C.REDEEM, 700, *words) == refusal
    after = market.venue.snapshot()
    changed = {name for name in before if before[name].tolist() != after[name].tolist()}
    assert changed <= {"clock", "ledger.clock"}
    if refusal != R.UNKNOWN_PARTICIPANT:
        assert market.own(C.REDEEM, 2**60, DEE, KIMI, 1, ADA, MONTH) == R.KEY_OUT_OF_RANGE


def test_what_is_pledged_or_offered_is_not_redeemed():
    market = Redeemers()
    market.tell((413, market.tick(), DEE, KIMI, 25, 0, 0, 0))
    market.order(DEE, SPOT, -5, 1550)
    assert market.redeem(DEE, 11) == R.INSUFFICIENT_BALANCE
    assert market.redeem(DEE, 10) == E.REDEEMED


def test_more_tokens_than_can_be_counted_are_refused_not_wrapped():
    market = Redeemers()
    market.ask(C.CAPACITY, ADA, KIMI, MONTH, 2**62)
    market.ask(C.ISSUE, market.new_key(), ADA, KIMI, 2**61, MONTH)
    assert market.redeem(ADA, 2**60) == R.AMOUNT_OVERFLOW
    assert market.redeem(ADA, 2**63 // MTOK - 20) == E.REDEEMED
    assert market.redeem(DEE, 30) == R.AMOUNT_OVERFLOW
    market.check()


# --- the month's end ---


def test_at_the_months_end_tokens_lapse_and_those_served_are_burned():
    market = Redeemers()
    market.redeem(DEE, 3)
    market.redeem(EVE, 2)
    market.ask_for(DEE, 5000, 0)
    market.tell(hold_row(market.tick(), 99, market.parties(EVE), 999, 0, 60 * SECOND))
    said = market.ask(C.LAPSE, KIMI, MONTH)
    assert [event[2:6] for event in market.of(E.TOKENS_LAPSED, said)] == [
        (KIMI, MONTH, DEE, 3 * MTOK - 5000),
        (KIMI, MONTH, EVE, 2 * MTOK - 1000),
    ]
    assert [event[2:6] for event in market.of(E.SERVED, said)] == [(KIMI, MONTH, ADA, 5000)]
    assert [event[4:6] for event in market.of(E.LAPSED, said)] == [(ADA, 950), (DEE, 37), (EVE, 8)]
    market.check()
    assert market.tokens(EVE) == 1000
    market.tell(deliver_row(market.tick(), 99, market.parties(EVE), 999, 0, 0))
    assert market.served(ADA) == 999
    assert market.redeem(DEE, 1) == R.INSUFFICIENT_BALANCE
    market.check()


def test_a_lapsed_month_is_not_redeemed():
    market = Redeemers()
    market.order(ADA, SPOT, -1, 1500)
    market.ask(C.LAPSE, KIMI, MONTH)
    market.order(DEE, SPOT, 1, 1500)
    assert market.redeem(DEE, 1) == R.UNKNOWN_MONTH


# --- bonds ---

BONDED = replace(TERMS, bond_bp=1000)
"""A tenth of 1.50 a receipt: 2,000 dollars are enough for 13,333 receipts."""


def test_receipts_need_a_bond():
    market = Redeemers(BONDED)
    market.ask(C.CAPACITY, ADA, KIMI, MONTH, 20_000)
    assert market.own(C.ISSUE, 700, ADA, KIMI, 12_334, MONTH) == R.OVER_CAPACITY
    assert market.own(C.ISSUE, 700, ADA, KIMI, 12_333, MONTH) == E.ISSUED
    assert market.own(C.UNBOND, 701, ADA, 50_001) == R.OVER_CAPACITY
    assert market.own(C.UNBOND, 701, ADA, 50_000) == E.UNBONDED
    market.ask(C.LAPSE, KIMI, MONTH)
    assert market.own(C.UNBOND, 702, ADA, 1_999_950_001) == R.INSUFFICIENT_BALANCE
    assert market.own(C.UNBOND, 702, ADA, 1_999_950_000) == E.UNBONDED
    assert market.money(ADA, Purse.BOND) == 0
    market.check()


def test_a_bond_is_of_the_last_fixing():
    market = Redeemers(BONDED)
    market.listed()
    market.at("16:01")
    market.tell(session_row(market.tick(), 0, SessionState.BREAK, DAY))
    market.tell(fix_row(market.tick(), KIMI, DAY, Leg.STANDARD))
    fixing = market.venue.index.fixing(KIMI, DAY, Leg.STANDARD)
    assert fixing is not None
    assert fixing.value_micro
    free = 2_000 * USD - -(-1000 * fixing.value_micro // 10)
    assert market.own(C.UNBOND, 700, ADA, free + 1) == R.OVER_CAPACITY
    assert market.own(C.UNBOND, 700, ADA, free) == E.UNBONDED


def test_bonds_are_money_of_their_own():
    market = Market().join()
    assert market.ask(C.BOND, 700, ADA, 300 * USD)[-1][0] == E.BONDED
    assert (market.money(ADA), market.money(ADA, Purse.BOND)) == (9_700 * USD, 300 * USD)
    assert market.ask(C.BOND, 700, ADA, 300 * USD)[-1][0] == E.REPEATED
    for command, words, refusal in (
        (C.BOND, (701, 99, 1), R.UNKNOWN_PARTICIPANT),
        (C.BOND, (701, EVE, 1), R.NOT_PERMITTED),
        (C.UNBOND, (701, ADA, 0), R.AMOUNT_NOT_POSITIVE),
        (C.UNBOND, (0, ADA, 1), R.KEY_OUT_OF_RANGE),
        (C.BOND, (700, ADA, 1), R.KEY_USED_OTHERWISE),
        (C.UNBOND, (701, ADA, 301 * USD), R.INSUFFICIENT_BALANCE),
        (C.BOND, (701, ADA, 9_701 * USD), R.NEEDED_AS_MARGIN),
        (C.BOND, (701, BO, 1), R.INSUFFICIENT_BALANCE),
        (C.MOVE, (701, ADA, Purse.BOND, 1, Purse.CASH), R.UNKNOWN_PURSE),
        (C.DEPOSIT, (701, ADA, Purse.BOND, 1), R.UNKNOWN_PURSE),
    ):
        assert market.ask(command, *words)[-1][7] == refusal
    assert market.ask(C.UNBOND, 701, ADA, 300 * USD)[-1][0] == E.UNBONDED
    assert market.money(ADA) == 10_000 * USD


# --- who fails ---


def waiting() -> Redeemers:
    """Ada has 2,000 of bond, and has served 1.5 of the 8 receipts that were redeemed of her; bo has room for 500."""
    market = Redeemers()
    market.ask(C.CAPACITY, BO, KIMI, MONTH, 500)
    market.redeem(DEE, 6)
    market.redeem(EVE, 2)
    market.ask_for(DEE, 1_500_000, 0)
    return market


def test_another_answers_and_is_paid_and_so_are_the_holders():
    """10 receipts at 3.00: 30 to bo, and 1.50 shared by dee and eve, for whom 4.5 and 2 receipts of tokens wait."""
    market = waiting()
    before = [market.money(number) for number in (DEE, EVE)]
    assert market.substitute(ADA, BO, 10, 3_000_000) == E.SUBSTITUTED
    said = [event[2:] for event in market.of(E.COMPENSATED)]
    assert said == [
        (ADA, BO, KIMI, 30 * USD, 0, Reason.BUY_IN),
        (ADA, DEE, KIMI, 1_038_462, 0, Reason.PENALTY),
        (ADA, EVE, KIMI, 461_538, 0, Reason.PENALTY),
    ]
    assert market.money(BO, Purse.REVENUE) == 30 * USD
    assert [market.money(n) - start for n, start in zip((DEE, EVE), before, strict=True)] == [
        1_038_462,
        461_538,
    ]
    assert market.money(ADA, Purse.BOND) == 1_968_500_000
    capacity = market.venue.snapshot()["venue.capacity"].tolist()
    assert [row[3:] for row in capacity if row[1] == KIMI] == [[1000, 990, 1], [500, 10, 7]]
    market.check()
    answer = market.ask_for(DEE, 1000, 0, issuer=BO)
    assert (code_of(answer[0]), market.served(BO)) == (MeterEvent.SETTLED, 1000)
    market.check()


def test_what_the_bond_does_not_pay_the_cash_does_as_far_as_margin_leaves_it():
    market = waiting()
    market.ask(C.UNBOND, market.new_key(), ADA, 1_990 * USD)
    market.order(EVE, OCT, 20, 1500)
    market.order(ADA, OCT, -20, 1500)
    free = market.venue.clearing.excess_micro(ADA)
    price = (10 * USD + free) // 105
    assert market.substitute(ADA, BO, 100, price + 1) == R.INSUFFICIENT_BALANCE
    assert market.substitute(ADA, BO, 100, price) == E.SUBSTITUTED
    assert market.money(ADA, Purse.BOND) == 0
    assert 0 <= market.venue.clearing.excess_micro(ADA) < 105
    market.check()


def test_without_waiting_tokens_the_penalty_is_the_receipts_holders():
    market = Redeemers()
    market.ask(C.CAPACITY, BO, KIMI, MONTH, 500)
    assert market.substitute(ADA, BO, 10, 1_000_000) == E.SUBSTITUTED
    assert [event[3:6] for event in market.of(E.COMPENSATED)][1:] == [
        (DEE, KIMI, 400_000),
        (EVE, KIMI, 100_000),
    ]


def test_without_holders_there_is_no_penalty():
    market = Market().join().receipts()
    market.ask(C.BOND, 700, ADA, 100 * USD)
    market.ask(C.CAPACITY, BO, KIMI, MONTH, 500)
    said = market.ask(C.SUBSTITUTE, 701, ADA, KIMI, 10, BO * PACK + MONTH, USD)
    assert market.codes(said) == [MeterEvent.ENROLLED, MeterEvent.PRICED, E.SUBSTITUTED, E.COMPENSATED]


SUBSTITUTES = [
    (R.UNKNOWN_PARTICIPANT, (99, KIMI, 1, BO, 1)),
    (R.UNKNOWN_PARTICIPANT, (ADA, KIMI, 1, 99, 1)),
    (R.UNKNOWN_GRADE, (ADA, 99, 1, BO, 1)),
    (R.NOT_PERMITTED, (ADA, KIMI, 1, EVE, 1)),
    (R.NOT_PERMITTED, (ADA, KIMI, 1, ADA, 1)),
    (R.AMOUNT_NOT_POSITIVE, (ADA, KIMI, 0, BO, 1)),
    (R.AMOUNT_NOT_POSITIVE, (ADA, KIMI, 1, BO, 0)),
    (R.OVER_CAPACITY, (ADA, KIMI, 999, BO, 1)),
    (R.OVER_CAPACITY, (ADA, KIMI, 501, BO, 1)),
    (R.OVER_CAPACITY, (ADA, KIMI, 1, CY, 1)),
    (R.INSUFFICIENT_BALANCE, (ADA, KIMI, 500, BO, 2**40)),
]


@pytest.mark.parametrize(("refusal", "words"), SUBSTITUTES)
def test_a_substitution_is_refused_for_its_fault_and_changes_nothing(refusal, words):
    market = waiting()
    failing, of, receipts, other, price = words
    before = market.venue.snapshot()
    assert market.own(C.SUBSTITUTE, 700, failing, of, receipts, other * PACK + MONTH, price) == refusal
    after = market.venue.snapshot()
    changed = {name for name in before if before[name].tolist() != after[name].tolist()}
    assert changed <= {"clock", "ledger.clock"}


def test_a_substitution_happens_once_and_of_no_lapsed_month():
    market = waiting()
    words = (ADA, KIMI, 10, BO * PACK + MONTH, 3_000_000)
    assert market.own(C.SUBSTITUTE, 700, *words) == E.SUBSTITUTED
    assert market.own(C.SUBSTITUTE, 700, *words) == E.REPEATED
    assert market.own(C.SUBSTITUTE, 700, *words[:-1], 3_000_001) == R.KEY_USED_OTHERWISE
    market.ask(C.LAPSE, KIMI, MONTH)
    assert market.own(C.SUBSTITUTE, 701, *words) == R.UNKNOWN_MONTH


# --- laws ---

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("redeem", "serve", "hold", "void", "substitute", "trade", "issue", "bond", "unbond", "lapse", "wait")),
        st.integers(0, 10**6),
    ),
    min_size=1, max_size=40,
)  # fmt: skip


def played(steps: list[tuple[str, int]], terms=BONDED) -> Redeemers:
    """Redemptions, requests, failures, bonds, trades and a lapse, as drawn."""
    market = Redeemers(terms)
    for number in (BO, CY):
        market.ask(C.CAPACITY, number, KIMI, MONTH, 300)
        market.ask(C.DEPOSIT, market.new_key(), number, Purse.CASH, 500 * USD)
        market.ask(C.BOND, market.new_key(), number, 100 * USD)
    for step, drawn in steps:
        holder, issuer = (DEE, EVE, ADA)[drawn % 3], (ADA, ADA, BO, CY)[drawn // 3 % 4]
        size = drawn // 9 % 60
        if step == "redeem":
            market.redeem(holder, size, issuer)
        elif step == "serve":
            market.ask_for(holder, size * 9000, size * 500, size * 100, issuer=issuer, batch=drawn % 2 == 0)
        elif step == "hold":
            row = hold_row(
                market.tick(), 10**6 + drawn % 4, market.parties(holder, issuer), size * 9000, 0, SECOND
            )
            market.tell(row)
        elif step == "void":
            market.tell(void_row(market.tick(), 10**6 + drawn % 4))
        elif step == "substitute":
            market.substitute(issuer, (BO, CY, ADA)[drawn // 540 % 3], size, 1 + drawn % 10**7)
        elif step == "trade":
            market.order(holder, SPOT, size // 6 * (-1) ** drawn, 1500)
        elif step == "issue":
            market.ask(C.ISSUE, market.new_key(), issuer, KIMI, size, MONTH)
        elif step in ("bond", "unbond"):
            command = C.BOND if step == "bond" else C.UNBOND
            market.ask(command, market.new_key(), issuer, drawn * 3000)
        elif step == "lapse" and drawn % 4 == 0:
            market.ask(C.LAPSE, KIMI, MONTH)
        elif step == "wait":
            market.now += 2 * SECOND
    return market


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_every_receipt_and_token_is_accounted_for_whatever_comes(steps):
    market = played(steps)
    market.check()
    market.venue.clearing.check()
    for _, of, _, proved, issued, redeemed in market.venue.snapshot()["venue.capacity"].tolist():
        assert of == KIMI
        assert 0 <= redeemed <= issued <= proved


@settings(max_examples=20, deadline=None)
@given(STEPS, STEPS)
def test_a_snapshot_has_the_same_future(before, after):
    market = played(before)
    resumed = Venue(BONDED)
    resumed.restore(market.venue.snapshot())
    assert resumed.state_hash() == market.venue.state_hash()
    later = played(after)
    count = len(market.rows)
    rows = [(row[0], market.now + row[1] - later.rows[0][1], *row[2:]) for row in later.rows]
    said = market.tell(*rows)
    resumed_said = resumed.apply(matrix(market.rows[count:])).tolist()
    assert [tuple(event) for event in resumed_said] == said
    assert resumed.state_hash() == market.venue.state_hash()


def test_the_steps_reach_what_they_should():
    reached: set[int] = set()
    names = (
        "redeem",
        "serve",
        "hold",
        "void",
        "substitute",
        "trade",
        "issue",
        "bond",
        "unbond",
        "lapse",
        "wait",
    )
    for seed in range(30):
        chance = Random(seed)  # noqa: S311 (drawn, not a secret)
        market = played([(chance.choice(names), chance.randrange(10**6)) for _ in range(60)])
        market.check()
        reached |= set(market.codes())
    assert {
        MeterEvent.SETTLED,
        MeterEvent.VOIDED,
        MeterEvent.EXPIRED,
        *range(655, 658),
        *range(659, 668),
    } <= reached


def test_a_vector_that_no_price_list_can_say_is_malformed():
    odd = replace(grade(KIMI, "KIMI"), vector=ConversionVector(batch=0))
    with pytest.raises(Malformed, match="batch"):
        Venue(replace(TERMS, grades=(odd, grade(QWEN, "QWEN"))))
