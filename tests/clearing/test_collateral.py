"""Collateral (§6.5): receipts pledged stand behind margin after a haircut, and become money when their owner is in default."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import parse_micro
from ciyuan.basics.rows import Row, code_of
from ciyuan.clearing.collateral import COLLATERAL_MAX_MICRO, Pledges
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingRefusal,
    ClearingTerms,
    DeliveryTerms,
    Permission,
    Standing,
    pledge_row,
    release_row,
)
from ciyuan.clearing.settlement import Settlement
from ciyuan.exchange.messages import Refusal
from tests.clearing.dock import KINDS, LAST, LOT_MTOK, PHYSICAL, Dock, at_delivery
from tests.clearing.floor import (
    CONTRACTS,
    HOUSE,
    KIMI,
    NO_FEES,
    OCT,
    RECEIVABLES,
    SPOT,
    USD,
    Floor,
    receipts_contract,
)
from tests.clearing.watch import of
from tests.sources import table, text_of

R = ClearingRefusal
PLEDGED = ClearingEvent.PLEDGED


def words(events: list[Row], code: int) -> list[tuple[int, ...]]:
    return [event[2:7] for event in of(events, code)]


@pytest.mark.parametrize("kind", KINDS)
def test_receipts_are_worth_their_price_less_the_haircut(kind):
    """500 receipts at 1.500 are worth 750; 30% are taken off."""
    dock = Dock(machine=kind)
    equity = dock.house.equity_micro(1)
    said = dock.tell(pledge_row(dock.tick(), 1, KIMI, 500))
    assert words(said, PLEDGED) == [(1, KIMI, 500, 525 * USD, 0)]
    assert dock.house.collateral_micro(1) == 525 * USD
    assert dock.house.equity_micro(1) == equity + 525 * USD
    assert (dock.held_receipts(1), dock.free_receipts(1)) == (1000, 500)
    dock.next_day(SPOT=1600)
    assert dock.house.collateral_micro(1) == 560 * USD
    dock.check()


def test_the_value_is_rounded_down():
    terms = ClearingTerms(HOUSE, delivery=DeliveryTerms(haircut_bp=3333))
    dock = Dock(terms=terms)
    dock.pledge(1, 1)
    assert dock.house.collateral_micro(1) == 1_500_000 * 6667 // 10_000 == 1_000_050
    dock.next_day(SPOT=1)
    assert dock.house.collateral_micro(1) == 666


def test_a_pledge_is_a_total():
    dock = Dock()
    assert dock.pledge(1, 400) is None
    assert dock.pledge(1, 400) == ClearingEvent.REPEATED
    assert dock.pledge(1, 1000) is None
    assert dock.free_receipts(1) == 0
    assert dock.pledge(1, 100) is None
    assert dock.free_receipts(1) == 900
    assert dock.pledge(1, 0) is None
    assert (dock.free_receipts(1), dock.house.collateral_micro(1)) == (1000, 0)
    assert dock.pledge(1, 0) == ClearingEvent.REPEATED
    dock.check()


def test_an_order_may_stand_on_collateral_and_then_it_is_needed():
    """A lot of 1,000 MTok at 1.500 asks for 12%: 180. 100 dollars and 200 receipts (210 after the haircut) are enough for one."""
    dock = Dock(cash_usd=(100, 1000), receipts=1000)
    assert dock.order(1, OCT, 1, 1500) == Refusal.MARGIN
    dock.pledge(1, 200)
    order = dock.placed(1, OCT, 1, 1500)
    needed = dock.house.excess_micro(1) // (1_500_000 * 7 // 10)
    assert dock.pledge(1, 200 - needed - 1) == R.NOT_COVERED
    assert dock.pledge(1, 0) == R.NOT_COVERED
    assert dock.pledge(1, 200 - needed) is None
    dock.cancel(order)
    assert dock.pledge(1, 0) is None
    dock.check()


def test_a_call_is_met_by_a_pledge_at_once():
    dock = Dock(cash_usd=(460, 10_000))
    dock.trade(1, 2, OCT, 2, 1500)
    dock.next_day(OCT=1400)
    assert dock.house.standing(1) == Standing.CALLED
    said = dock.tell(pledge_row(dock.tick(), 1, KIMI, 900))
    assert of(said, ClearingEvent.CALL_MET)
    assert dock.house.standing(1) == Standing.GOOD


PLEDGES = [
    (R.PARTICIPANT_NOT_POSITIVE, (0, KIMI, 5)),
    (R.PARTICIPANT_NOT_POSITIVE, (-1, KIMI, 0)),
    (R.UNKNOWN_MEMBER, (99, KIMI, 5)),
    (R.UNKNOWN_GRADE, (1, 99, 5)),
    (R.LOTS_OUT_OF_RANGE, (1, KIMI, -1)),
    (R.NOT_COVERED, (1, KIMI, 1001)),
]


@pytest.mark.parametrize(("refusal", "words"), PLEDGES)
def test_a_pledge_is_refused_for_its_fault_and_changes_nothing(refusal, words):
    dock = Dock()
    before = dock.house.state_hash()
    assert dock.refusal(pledge_row(dock.tick(), *words)) == refusal
    assert dock.house.state_hash() == before


def test_a_grade_without_a_spot_contract_is_no_collateral():
    dock = Dock(contracts=CONTRACTS[1:])
    assert dock.pledge(1, 5) == R.UNKNOWN_GRADE


def test_what_is_offered_or_tendered_cannot_be_pledged_too():
    dock = at_delivery()
    dock.placed(2, SPOT, -100, 1500)
    dock.tender(2, 32)
    assert dock.pledge(2, 1000 - 100 - 320 + 1) == R.NOT_COVERED
    assert dock.pledge(2, 1000 - 100 - 320) is None
    assert dock.free_receipts(2) == 0
    assert dock.tender(2, 32) == ClearingEvent.REPEATED
    dock.check()


def test_a_grade_that_lapses_is_given_back_needed_or_not():
    dock = at_delivery(cash_usd=(10_000, 125, 10_000, 10_000))
    dock.pledge(2, 100)
    dock.pledge(1, 50)
    dock.tender(2, 32)
    said = dock.tell(release_row(dock.tick(), KIMI))
    assert words(said, PLEDGED) == [(1, KIMI, 0, 0, 0), (2, KIMI, 0, 0, 0)]
    assert words(said, ClearingEvent.TENDERED) == [(2, PHYSICAL, 0, 0, 0)]
    assert dock.free_receipts(2) == dock.free_receipts(1) == 1000
    assert dock.house.collateral_micro(2) == 0
    assert dock.tell(release_row(dock.tick(), KIMI)) == []
    dock.check()


def test_receipts_count_for_no_more_than_can_be_reckoned_with():
    dock = Dock(receipts=2**61)
    assert dock.pledge(1, 2**61) is None
    assert dock.house.collateral_micro(1) == COLLATERAL_MAX_MICRO
    dock.next_day(SPOT=10_000)
    assert dock.house.collateral_micro(1) == COLLATERAL_MAX_MICRO


# --- default ---


def realised(dock: Dock, number: int) -> list[Row]:
    """What is said when the clearing house turns a member's pledges into money."""
    before = len(dock.said)
    books = dock.house._books
    Pledges(books, Settlement(books)).realise(books.members[number], dock.tick(), dock.said)
    return dock.said[before:]


def indebted(kind: type = KINDS[0], *, cash_usd: tuple[int, ...] = (100, 10_000, 40, 20)) -> Dock:
    """Member 1 has pledged 100 receipts (105 after the haircut), has lost its 100 dollars and 60 more, and owes the 60."""
    terms = ClearingTerms(HOUSE, futures_fees=NO_FEES, spot_fees=NO_FEES)
    dock = Dock(cash_usd=cash_usd, receipts=100, machine=kind, terms=terms)
    dock.pledge(1, 100)
    dock.trade(1, 2, PHYSICAL, 40, 1500)
    dock.price(PHYSICAL, 1100)
    dock.close()
    return dock


@pytest.mark.parametrize("kind", KINDS)
def test_a_defaulters_receipts_are_sold_to_who_can_pay_as_far_as_it_owes(kind):
    """60 dollars and a micro-dollar of fees are owed. At 1.05 a receipt that is 58, and there are three members to buy them."""
    dock = indebted(kind)
    owed = dock.house.owed_micro(1)
    assert owed == 60 * USD + 1
    rooms = [min(dock.house.excess_micro(n), dock.money(n)) // 1_050_000 for n in (2, 3, 4)]
    before = [dock.money(number) for number in dock.members]
    said = realised(dock, 1)
    assert words(said, PLEDGED) == [(1, KIMI, 0, 0, 0)]
    sold = words(said, ClearingEvent.DELIVERED)
    assert {found[1:4] for found in sold} == {(1, SPOT, 1050)}
    assert sum(found[4] for found in sold) == -(-owed // 1_050_000) == 58
    assert all(found[4] <= room for found, room in zip(sold, rooms, strict=False))
    assert dock.money(1) == 58 * 1_050_000 >= owed
    assert sum(before) == sum(dock.money(number) for number in dock.members)
    assert dock.held_receipts(1) == dock.free_receipts(1) == 42
    assert (dock.house.collateral_micro(1), sum(map(dock.held_receipts, dock.members))) == (0, 400)
    dock.check()
    dock.check_statements()


def test_nobodys_margin_is_touched_and_what_nobody_buys_is_the_defaulters():
    dock = indebted(cash_usd=(100, 10_000, 40, 20))
    for number in (2, 3, 4):
        dock.deposit(number, -max(0, min(dock.money(number), dock.house.excess_micro(number) - 2 * USD)))
    before = {number: dock.house.excess_micro(number) for number in (2, 3, 4)}
    sold = words(realised(dock, 1), ClearingEvent.DELIVERED)
    assert [found[4] for found in sold] == [1] * len(sold)
    assert all(dock.house.excess_micro(number) >= min(0, start) for number, start in before.items())
    assert dock.free_receipts(1) == 100 - len(sold)
    dock.check()


def test_who_owes_nothing_gets_its_pledge_back():
    dock = Dock()
    dock.pledge(1, 100)
    said = realised(dock, 1)
    assert [code_of(event[0]) for event in said] == [PLEDGED]
    assert (dock.free_receipts(1), dock.money(1)) == (1000, 100_000 * USD)


def test_who_may_not_trade_spot_or_is_called_buys_nothing():
    dock = Dock(permissions=Permission.FUTURES)
    dock.pledge(1, 100)
    dock.trade(1, 2, PHYSICAL, 1, 1500)
    dock.deposit(1, -(dock.money(1) - 2 * USD))
    dock.price(PHYSICAL, 1100)
    dock.close()
    assert dock.house.owed_micro(1) > 0
    assert not of(realised(dock, 1), ClearingEvent.DELIVERED)
    assert dock.free_receipts(1) == 1000
    assert dock.ledger.posted(RECEIVABLES) == -dock.house.owed_micro(1)


def test_a_defaulter_gives_and_takes_no_more():
    dock = indebted()
    dock.open(dock.house.trading_day)
    dock.review()
    dock.review(minutes=61)
    assert dock.house.standing(1) >= Standing.DEFAULTED
    assert dock.pledge(1, 10) == R.IN_DEFAULT
    assert dock.tender(1, 10) == R.IN_DEFAULT


# --- laws ---

STEPS = st.lists(
    st.tuples(st.sampled_from(("pledge", "tender", "offer", "trade", "day", "lapse")), st.integers(0, 10**4)),
    min_size=1,
    max_size=25,
)


def played(steps: list[tuple[str, int]], kind: type = KINDS[0]) -> Dock:
    """Pledges, tenders, offers and trades as drawn, from a few days before the last one on."""
    dock = Dock(cash_usd=(300, 500, 1000), receipts=200, machine=kind)
    dock.open(LAST - 7)
    for step, number in steps:
        who, size = 1 + number % 3, number // 3 % 220
        if step == "pledge":
            dock.pledge(who, size)
        elif step == "tender":
            dock.tender(who, size // 10)
        elif step == "offer":
            dock.order(who, SPOT, -(1 + size // 4), 1500)
        elif step == "lapse":
            dock.tell(release_row(dock.tick(), KIMI))
        elif step == "day" and dock.day < LAST:
            dock.price(PHYSICAL, 1400 + size)
            dock.next_day(SPOT=1400 + size)
        elif step == "trade":
            ask = dock.order(who, PHYSICAL, -(1 + size // 20), 1500)
            bid = dock.order(1 + who % 3, PHYSICAL, 1 + size // 20, 1500) if ask > 1000 else 0
            if bid > 1000:
                dock.fill(ask, bid, 1 + size // 20)
    return dock


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_pledges_and_tenders_are_held_and_nothing_is_overdrawn(steps):
    dock = played(steps)
    dock.check()
    value = sum(row[2] for row in dock.house.snapshot()["pledges"].tolist())
    price = dock.house.settlement_ticks(SPOT) * 1000
    collateral = [dock.house.collateral_micro(number) for number in dock.members]
    assert 0 <= sum(collateral) <= value * price * 7 // 10
    assert value * price * 7 // 10 - sum(collateral) < len(dock.members)
    assert sum(map(dock.held_receipts, dock.members)) == 600
    dock.check_statements()


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_both_kinds_of_clearing_house_and_a_restored_one_say_the_same(steps):
    plain, register = (played(steps, kind) for kind in KINDS)
    assert plain.said == register.said
    assert plain.house.state_hash() == register.house.state_hash()
    before = register.house.state_hash()
    register.house.restore(register.house.snapshot())
    assert register.house.state_hash() == before
    command = release_row(plain.tick(), KIMI)
    assert plain.tell(command) == register.tell(command)


@pytest.mark.parametrize(("place", "word"), [(0, 99), (1, 99), (2, 0), (3, 1), (3, 2**62 + 10**6)])
def test_pledges_that_cannot_be_are_malformed(place, word):
    dock = Dock()
    dock.pledge(1, 5)
    parts = dock.house.snapshot()
    parts["pledges"][0, place] = word
    with pytest.raises(Malformed, match="pledges"):
        dock.house.restore(parts)


def test_a_lot_is_ten_receipts():
    assert LOT_MTOK == 10
    assert Dock().contracts[-1].lot_mtok == LOT_MTOK


PAGE_ROWS = table(
    text_of("docs/spec/clearing.md"),
    "receipts",
    "settlement price, USD per MTok",
    "haircut, bp",
    "collateral, USD",
)


@pytest.mark.parametrize("cells", PAGE_ROWS, ids=lambda cells: " ".join(cells[:3]))
def test_collateral_is_as_the_page_says(cells: list[str]):
    receipts, price, haircut, due = cells
    terms = ClearingTerms(HOUSE, delivery=DeliveryTerms(haircut_bp=int(haircut)))
    floor = Floor(
        terms=terms, contracts=(receipts_contract(price_ticks=parse_micro(price) // 1000), *CONTRACTS[1:])
    )
    floor.tell(pledge_row(floor.tick(), 1, KIMI, int(receipts)))
    assert floor.house.collateral_micro(1) == parse_micro(due)
