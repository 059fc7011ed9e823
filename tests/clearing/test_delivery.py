"""Delivery (§9.2): tendered, assigned, delivered against payment in one command; who fails pays; all of it adds up."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import Row, code_of, reason_of
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingRefusal,
    DeliveryTerms,
    Life,
    Reason,
    Standing,
    tender_row,
)
from ciyuan.clearing.plain import PlainClearingHouse
from ciyuan.clearing.tenders import Holder, assigned, matched
from tests.clearing.dock import (
    FIRST_OF_MONTH,
    KINDS,
    LAST,
    LOT_MTOK,
    PHYSICAL,
    Dock,
    at_delivery,
    physical,
)
from tests.clearing.floor import CONTRACTS, OCT, SPOT, USD
from tests.clearing.watch import of

R = ClearingRefusal
DELIVERED, FAILED, VARIATION = (
    ClearingEvent.DELIVERED,
    ClearingEvent.NOT_DELIVERED,
    ClearingEvent.VARIATION,
)


def words(events: list[Row], code: int) -> list[tuple[int, ...]]:
    return [event[2:7] for event in of(events, code)]


# --- who gets what ---


def test_longs_are_assigned_pro_rata_and_the_oldest_gets_what_is_left_over():
    """30 and 2 lots share 20: 18.75 and 1.25, so the odd lot goes to whoever is older."""
    assert assigned(20, [Holder(1, 30, 5), Holder(3, 2, 5)]) == {1: 19, 3: 1}
    assert assigned(20, [Holder(1, 30, 5), Holder(3, 2, 4)]) == {1: 18, 3: 2}


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 9)), min_size=1, max_size=8), st.integers(0, 10**6)
)
def test_what_is_assigned_adds_up_and_is_nobodys_too_much(held, drawn):
    longs = [Holder(number, lots, since) for number, (lots, since) in enumerate(held, start=1)]
    total = sum(long.lots for long in longs)
    tendered = drawn % (total + 1)
    parts = assigned(tendered, longs)
    assert sum(parts.values()) == tendered
    for long in longs:
        exact = tendered * long.lots
        assert exact // total <= parts[long.number] <= min(long.lots, -(-exact // total))


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=6), st.lists(st.integers(1, 20), min_size=1, max_size=6)
)
def test_matching_gives_everybody_its_own(gives, takes):
    pairs = list(matched(list(enumerate(gives)), list(enumerate(takes))))
    assert sum(lots for *_, lots in pairs) == min(sum(gives), sum(takes))
    for number, lots in enumerate(gives):
        assert sum(part for giver, _, part in pairs if giver == number) <= lots
    for number, lots in enumerate(takes):
        assert sum(part for _, taker, part in pairs if taker == number) <= lots
    assert len({(giver, taker) for giver, taker, _ in pairs}) == len(pairs)


# --- a delivery ---


@pytest.mark.parametrize("kind", KINDS)
def test_receipts_go_to_the_longs_and_money_to_the_shorts(kind):
    dock = at_delivery(kind)
    assert dock.tender(2, 32) is None
    assert dock.free_receipts(2) == 1000 - 320
    dock.end_trading(1520)
    before = [dock.money(number) for number in dock.members]
    said = dock.deliver()
    assert words(said, DELIVERED) == [(1, 2, PHYSICAL, 1520, 30), (3, 2, PHYSICAL, 1520, 2)]
    assert [event[2:7] for event in of(said, VARIATION)] == [
        (1, PHYSICAL, 0, 30, 1_520_000),
        (2, PHYSICAL, 0, -32, 1_520_000),
        (3, PHYSICAL, 0, 2, 1_520_000),
    ]
    assert not of(said, FAILED)
    assert [dock.held_receipts(number) for number in dock.members] == [1300, 680, 1020, 1000]
    paid = [dock.money(number) - start for number, start in zip(dock.members, before, strict=True)]
    assert paid == [-456 * USD, 486_400_000, -30_400_000, 0]
    assert dock.house.life(PHYSICAL) == Life.SETTLED
    assert all(dock.house.position(number, PHYSICAL) == 0 for number in dock.members)
    assert code_of(said[-2][0]) == ClearingEvent.FINAL_SETTLED
    assert said[-2][2:7] == (PHYSICAL, 1_520_000, LAST, 0, 32)
    assert {reason_of(event[0]) for event in of(said, DELIVERED)} == {Reason.DELIVERY}
    dock.check()
    dock.check_statements()


def test_delivery_before_the_days_settlement_is_a_part_of_the_days_statement():
    """The same money as after it; and the price is that of the day that ends."""
    early, late = at_delivery(), at_delivery()
    for dock in (early, late):
        dock.tender(2, 20)
        dock.price(PHYSICAL, 1520)
    late.close()
    late.deliver()
    early.deliver()
    early.close()
    assert [early.money(number) for number in early.members] == [
        late.money(number) for number in late.members
    ]
    counts = [
        len(of(dock.said, ClearingEvent.STATEMENT_MONEY)) // len(dock.members) for dock in (early, late)
    ]
    assert counts == [1, 2]
    for dock in (early, late):
        dock.check()
        dock.check_statements()


def test_the_last_variation_is_to_the_settlement_price():
    dock = at_delivery()
    dock.tender(2, 32)
    dock.price(PHYSICAL, 1510)
    said = dock.deliver()
    assert [event[4] for event in of(said, VARIATION)] == [3 * USD, -3_200_000, 200_000]
    assert dock.money(4) == 100_000 * USD
    dock.check()


def test_a_short_that_tendered_too_little_makes_good():
    """20 of 32 lots are there. Receipts cost 0.08 more in the market: a lot of 10 costs 0.80 more, and 5% of 15.20 is 0.76."""
    dock = at_delivery()
    dock.tender(2, 20)
    dock.end_trading(1520, spot_ticks=1600)
    said = dock.deliver()
    assert words(said, DELIVERED) == [(1, 2, PHYSICAL, 1520, 19), (3, 2, PHYSICAL, 1520, 1)]
    assert words(said, FAILED) == [(2, 1, PHYSICAL, 11, 17_160_000), (2, 3, PHYSICAL, 1, 1_560_000)]
    (statement,) = (event for event in of(said, ClearingEvent.STATEMENT_FUND) if event[2] == 2)
    assert statement[5] == 18_720_000
    assert {reason_of(event[0]) for event in of(said, FAILED)} == {Reason.PENALTY}
    dock.check()
    dock.check_statements()


def test_nothing_is_owed_for_receipts_that_are_cheaper_in_the_market():
    dock = at_delivery()
    dock.end_trading(1520, spot_ticks=1400)
    assert words(dock.deliver(), FAILED) == [(2, 1, PHYSICAL, 30, 22_800_000), (2, 3, PHYSICAL, 2, 1_520_000)]


def test_without_a_spot_contract_there_is_no_buy_in_to_pay():
    dock = Dock(contracts=(*CONTRACTS[1:], physical()))
    dock.open(LAST)
    dock.trade(1, 2, PHYSICAL, 10, 1500)
    dock.price(PHYSICAL, 1500)
    dock.close()
    assert words(dock.deliver(), FAILED) == [(2, 1, PHYSICAL, 10, 7_500_000)]


def test_who_cannot_buy_in_is_lent_it_and_owes():
    dock = at_delivery(cash_usd=(1000, 100, 1000, 1000), trades=((1, 2, 20),))
    dock.end_trading(1520, spot_ticks=10_000)
    said = dock.deliver()
    owed = 20 * (LOT_MTOK * 8_480_000 + 760_000)
    assert words(said, FAILED) == [(2, 1, PHYSICAL, 20, owed)]
    assert dock.house.owed_micro(2) > 0
    assert [event[2] for event in of(said, ClearingEvent.LENT)] == [2]
    assert [event[2] for event in of(said, ClearingEvent.MARGIN_CALL)] == [2]
    dock.check()
    dock.check_statements()


def test_a_long_is_delivered_what_its_cash_pays_and_pays_for_the_rest():
    """60 dollars of margin were enough for 20 lots; 15.20 a lot is not: three lots are paid, for 17 it pays 5%."""
    dock = at_delivery(cash_usd=(100, 1000, 1000, 1000), trades=((1, 2, 20), (3, 2, 5)))
    dock.tender(2, 25)
    dock.end_trading(1520)
    dock.deposit(1, 50 * USD - dock.money(1))
    said = dock.deliver()
    assert words(said, DELIVERED) == [(1, 2, PHYSICAL, 1520, 3), (3, 2, PHYSICAL, 1520, 5)]
    assert words(said, FAILED) == [(1, 2, PHYSICAL, 17, 17 * 760_000)]
    assert dock.held_receipts(1) == 1030
    assert dock.free_receipts(2) == dock.held_receipts(2) == 1000 - 80
    assert dock.house.owed_micro(1) == 17 * 760_000 - 4_400_000
    dock.check()
    dock.check_statements()


def test_a_delivery_waits_for_the_auction_of_a_defaulters_lots():
    dock = at_delivery(cash_usd=(1000, 10_000, 1000, 1000), trades=((1, 2, 20), (3, 2, 5)))
    dock.tender(2, 25)
    dock.end_trading(1490)
    dock.deposit(1, -dock.money(1))
    dock.review()
    dock.review(minutes=61)
    assert dock.house.standing(1) == Standing.DEFAULTED
    assert dock.deliver_refused() == R.NOT_DELIVERING
    dock.review(minutes=31)
    assert dock.house.position(2, PHYSICAL) == -5
    assert words(dock.deliver(), DELIVERED) == [(3, 2, PHYSICAL, 1490, 5)]
    dock.check()


def test_long_and_short_lots_of_a_member_are_set_off():
    """Member 2 has sold 32 and bought 12 from member 4: 20 is all that it has to tender, and all that comes to delivery of it."""
    dock = at_delivery(trades=((1, 2, 32), (2, 4, 12)))
    assert dock.tender(2, 21) == R.NOT_SHORT
    assert (dock.tender(2, 20), dock.tender(4, 12)) == (None, None)
    dock.end_trading(1500)
    assert words(dock.deliver(), DELIVERED) == [(1, 2, PHYSICAL, 1500, 20), (1, 4, PHYSICAL, 1500, 12)]
    dock.check()


def test_a_tender_of_more_than_is_still_short_goes_back():
    dock = at_delivery(trades=((1, 2, 30),))
    dock.tender(2, 30)
    dock.trade(2, 1, PHYSICAL, 25, 1500)
    dock.end_trading(1500)
    assert words(dock.deliver(), DELIVERED) == [(1, 2, PHYSICAL, 1500, 5)]
    assert dock.free_receipts(2) == dock.held_receipts(2) == 950
    dock.check()


def test_a_contract_that_nobody_holds_is_delivered_too():
    dock = at_delivery(trades=())
    dock.end_trading(1500)
    assert [code_of(event[0]) for event in dock.deliver()][-2:] == [
        ClearingEvent.FINAL_SETTLED,
        ClearingEvent.CONTRACT_STATE,
    ]
    assert dock.house.life(PHYSICAL) == Life.SETTLED


# --- tenders ---


def test_a_tender_is_a_total_and_holds_its_receipts():
    dock = at_delivery()
    assert dock.tender(2, 20) is None
    assert (dock.free_receipts(2), dock.held_receipts(2)) == (800, 1000)
    assert dock.tender(2, 20) == ClearingEvent.REPEATED
    assert dock.tender(2, 32) is None
    assert dock.free_receipts(2) == 680
    assert dock.tender(2, 0) is None
    assert dock.free_receipts(2) == 1000
    assert dock.tender(2, 0) == ClearingEvent.REPEATED
    dock.check()


def test_tenders_are_taken_from_the_first_day_of_the_month_on():
    dock = Dock()
    dock.trade(1, 2, PHYSICAL, 10, 1500)
    assert dock.tender(2, 5) == R.NOT_DELIVERING
    while dock.day < FIRST_OF_MONTH:
        dock.price(PHYSICAL, 1500)
        dock.close()
        dock.open(dock.house.trading_day)
    assert dock.tender(2, 5) is None
    dock.check()


def test_a_contract_that_ends_before_its_month_takes_tenders_once_it_has_ended():
    dock = Dock(contracts=(*CONTRACTS, replace(physical(202611), last_day=LAST)))
    dock.open(LAST)
    dock.trade(1, 2, PHYSICAL, 10, 1500)
    assert dock.tender(2, 10) == R.NOT_DELIVERING
    dock.end_trading(1500)
    assert dock.tender(2, 10) is None
    assert words(dock.deliver(), DELIVERED) == [(1, 2, PHYSICAL, 1500, 10)]


TENDERS = [
    (R.UNKNOWN_MEMBER, (99, PHYSICAL, 1)),
    (R.UNKNOWN_CONTRACT, (2, 99, 1)),
    (R.LOTS_OUT_OF_RANGE, (2, PHYSICAL, -1)),
    (R.NOT_COVERED, (2, PHYSICAL, 101)),
    (R.NOT_PHYSICAL, (2, SPOT, 1)),
    (R.NOT_PHYSICAL, (4, OCT, 1)),
    (R.NOT_SHORT, (1, PHYSICAL, 1)),
    (R.NOT_SHORT, (2, PHYSICAL, 33)),
]


@pytest.mark.parametrize(("refusal", "words"), TENDERS)
def test_a_tender_is_refused_for_its_fault_and_changes_nothing(refusal, words):
    number, contract, lots = words
    dock = at_delivery(receipts=1000 if refusal != R.NOT_PHYSICAL else 10_000)
    before = dock.house.state_hash()
    assert dock.refusal(tender_row(dock.tick(), number, contract, lots)) == refusal
    assert dock.house.state_hash() == before


def test_what_was_delivered_takes_no_tenders():
    dock = at_delivery()
    dock.end_trading(1500)
    dock.deliver()
    assert dock.tender(2, 1) == R.NOT_SHORT
    assert dock.tender(2, 0) == R.NOT_DELIVERING


# --- when ---


def test_a_delivery_is_refused_for_its_fault():
    dock = at_delivery()
    assert dock.deliver_refused(contract=99) == R.UNKNOWN_CONTRACT
    assert dock.deliver_refused() == R.NOT_SETTLING
    assert dock.deliver_refused(contract=SPOT) == R.NOT_SETTLING
    dock.end_trading(1500)
    assert dock.deliver_refused(contract=OCT) == R.NOT_PHYSICAL
    assert dock.deliver_refused(day=LAST - 1) == R.DAY_ALREADY_PAST
    assert dock.deliver_refused(day=LAST + 30) == R.DAY_NOT_OPEN


def test_a_delivery_happens_once():
    dock = at_delivery()
    dock.tender(2, 32)
    dock.end_trading(1500)
    dock.deliver()
    before = dock.house.state_hash()
    assert dock.deliver_refused() == ClearingEvent.REPEATED
    assert dock.deliver_refused(day=LAST + 1) == R.SETTLED_ON_OTHER_DAY
    assert dock.house.state_hash() == before
    dock.delist(PHYSICAL)
    assert dock.deliver_refused() == ClearingEvent.REPEATED


def test_a_physical_contract_is_not_settled_at_a_mean():
    dock = at_delivery()
    dock.end_trading(1500)
    assert dock.final(PHYSICAL, 1_500_000)[0][7] == R.UNKNOWN_CONTRACT


# --- laws, whatever comes ---


def drawn(seed_of: list[int], kind: type[PlainClearingHouse] | None = None) -> Dock:
    """A dock with trades, tenders and cash that a list of numbers draws, just before delivery."""
    numbers = iter(seed_of)

    def upto(most: int) -> int:
        return next(numbers, 7) % (most + 1)

    cash = [20 + upto(900) for _ in range(5)]
    dock = at_delivery(kind or PlainClearingHouse, cash_usd=cash, trades=(), receipts=40 * (1 + upto(5)))
    for _ in range(8):
        buyer, seller = 1 + upto(4), 1 + upto(4)
        lots = 1 + upto(9)
        if buyer != seller:
            first = dock.order(seller, PHYSICAL, -lots, 1500)
            second = dock.order(buyer, PHYSICAL, lots, 1500) if first > 1000 else 0
            if second > 1000:
                dock.fill(first, second, lots)
            elif first > 1000:
                dock.cancel(first)
    for number in dock.members:
        dock.tender(number, upto(20))
    dock.end_trading(1300 + upto(400), 1300 + upto(400))
    for number in dock.members:
        dock.deposit(number, -(dock.money(number) * upto(4) // 4))
    return dock


def test_the_draws_reach_what_they_should():
    """Deliveries, failures of both sides, and loans."""
    reached = set[tuple[int, bool]]()
    for seed in range(40):
        chance = Random(seed)  # noqa: S311 (drawn, not a secret)
        dock = drawn([chance.randrange(10**4) for _ in range(60)])
        long = {number: dock.house.position(number, PHYSICAL) > 0 for number in dock.members}
        said = dock.deliver()
        reached |= {(code_of(event[0]), long[event[2]]) for event in said if event[2] in long}
    assert {(DELIVERED, True), (FAILED, True), (FAILED, False), (ClearingEvent.LENT, False)} <= reached


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**4), min_size=20, max_size=60))
def test_money_and_receipts_are_conserved_and_statements_explain_them(numbers):
    dock = drawn(numbers)
    lots = {number: dock.house.position(number, PHYSICAL) for number in dock.members}
    receipts = {number: dock.held_receipts(number) for number in dock.members}
    said = dock.deliver()
    moved = dict.fromkeys(dock.members, 0)
    settled = dict.fromkeys(dock.members, 0)
    for buyer, seller, _, _, count in words(said, DELIVERED):
        moved[buyer] += count * LOT_MTOK
        moved[seller] -= count * LOT_MTOK
        settled[buyer] += count
        settled[seller] -= count
    shortfall = {
        frozenset(found[:2]): sum(other[3] for other in words(said, FAILED) if {*other[:2]} == {*found[:2]})
        for found in words(said, FAILED)
    }
    assert {n: dock.held_receipts(n) - receipts[n] for n in dock.members} == moved
    open_lots = sum(held for held in lots.values() if held > 0)
    assert sum(count for *_, count in words(said, DELIVERED)) + sum(shortfall.values()) == open_lots
    assert all(abs(settled[n]) <= abs(lots[n]) and settled[n] * lots[n] >= 0 for n in dock.members)
    assert all(dock.house.position(number, PHYSICAL) == 0 for number in dock.members)
    dock.check()
    dock.check_statements()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 10**4), min_size=20, max_size=60))
def test_both_kinds_of_clearing_house_deliver_the_same(numbers):
    plain, register = (drawn(numbers, kind) for kind in KINDS)  # type: ignore[arg-type]
    assert plain.deliver() == register.deliver()
    assert plain.house.state_hash() == register.house.state_hash()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 10**4), min_size=20, max_size=60))
def test_a_snapshot_before_delivery_has_the_same_future(numbers):
    dock, resumed = drawn(numbers), drawn(numbers)
    resumed.house.restore(resumed.house.snapshot())
    assert dock.deliver() == resumed.deliver()
    assert dock.house.state_hash() == resumed.house.state_hash()


@pytest.mark.parametrize(("place", "word"), [(0, OCT), (0, 99), (1, 99), (2, 0), (3, 1), (3, 2**62 + 10**6)])
def test_tenders_that_cannot_be_are_malformed(place, word):
    dock = at_delivery()
    dock.tender(2, 5)
    parts = dock.house.snapshot()
    parts["tenders"][0, place] = word
    with pytest.raises(Malformed, match="tenders"):
        dock.house.restore(parts)


def test_penalties_are_terms():
    dock = at_delivery(delivery=DeliveryTerms(penalty_bp=0))
    dock.end_trading(1500)
    assert {found[4] for found in words(dock.deliver(), FAILED)} == {0}
