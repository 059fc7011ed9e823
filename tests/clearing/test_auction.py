"""Default auctions: who may bid what, who wins, what a bidder can cover, and what is torn up."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.rows import Row, code_of, reason_of
from ciyuan.clearing.auction import covered_lots, excess_after
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingRefusal,
    ClearingTerms,
    DefaultTerms,
    Permission,
    Reason,
    bid_row,
    member_row,
)
from tests.clearing.floor import HOUSE, NO_FEES, NOV, OCT, SPECULATOR, USD
from tests.clearing.watch import MINUTE, Watch, of

TERMS = ClearingTerms(HOUSE, futures_fees=NO_FEES, default=DefaultTerms(slices_max=0))


def auctioned(
    cash_usd: tuple[int, ...] = (100_000, 3_000, 100_000, 100_000, 100_000), lots: int = -10
) -> Watch:
    """Member 2's 10 lots of OCT, short or (`lots` 10) long, are in auction 1 at a settlement price 200 against it."""
    watch = Watch(cash_usd=cash_usd, terms=TERMS)
    if lots < 0:
        watch.trade(1, 2, OCT, 6, 1500)
        watch.trade(3, 2, OCT, 4, 1500)
    else:
        watch.trade(2, 1, OCT, 6, 1500)
        watch.trade(2, 3, OCT, 4, 1500)
    watch.next_day(OCT=1700 if lots < 0 else 1300)
    said = watch.review(60)
    (opened,) = of(said, ClearingEvent.AUCTION_OPENED)
    assert opened[2:7] == (1, 2, OCT, lots, 1700 if lots < 0 else 1300)
    assert opened[7] == opened[1] + 30 * MINUTE
    return watch


def transferred(events: Sequence[Row]) -> list[tuple[int, ...]]:
    """(buyer, seller, price, lots) of each transfer."""
    return [(*event[2:4], *event[5:7]) for event in of(events, ClearingEvent.TRANSFERRED)]


def test_the_lowest_offers_take_a_shorts_lots_then_the_earliest_and_each_is_paid_its_own():
    watch = auctioned()
    for member, price, lots in ((3, 1720, 4), (4, 1710, 3), (5, 1720, 4), (1, 1800, 10)):
        assert watch.bid(member, 1, price, lots) is None
    said = watch.review(30)
    assert transferred(said) == [(2, 4, 1710, 3), (2, 3, 1720, 4), (2, 5, 1720, 3)]
    assert {event[7] for event in of(said, ClearingEvent.TRANSFERRED)} == {1}
    assert of(said, ClearingEvent.AUCTION_CLOSED)[0][2:] == (1, 2, OCT, 10, 0, 4)
    assert [watch.house.position(number, OCT) for number in watch.members] == [6, 0, 0, -3, -3]
    watch.check()
    watch.close(OCT=1700)
    paid = {event[2]: event[4] for event in watch.events(ClearingEvent.VARIATION) if event[7] == watch.day}
    assert paid[2] == -(3 * 10 + 7 * 20) * USD
    assert (paid[3], paid[4], paid[5]) == (80 * USD, 30 * USD, 60 * USD)
    assert not [event for event in watch.events(ClearingEvent.FEE) if event[7] == watch.day]


def test_the_highest_bids_take_a_longs_lots():
    watch = auctioned(lots=10)
    for member, price, lots in ((3, 1250, 4), (4, 1290, 3), (5, 1250, 9)):
        assert watch.bid(member, 1, price, lots) is None
    assert transferred(watch.review(30)) == [(4, 2, 1290, 3), (3, 2, 1250, 4), (5, 2, 1250, 3)]
    watch.check()


def test_a_changed_bid_takes_its_place_in_time_anew():
    watch = auctioned()
    watch.bid(4, 1, 1710, 6)
    watch.bid(5, 1, 1710, 6)
    watch.bid(4, 1, 1710, 7)
    assert transferred(watch.review(30))[:2] == [(2, 5, 1710, 6), (2, 4, 1710, 4)]


def test_a_bid_taken_back_is_none():
    watch = auctioned()
    assert watch.bid(4, 1, 1710, 10) is None
    assert watch.bid(4, 1, 0, 0) is None
    said = watch.review(30)
    assert of(said, ClearingEvent.AUCTION_CLOSED)[0][5:] == (0, 10, 0)


def test_what_nobody_bids_for_is_torn_up_pro_rata_at_the_settlement_price():
    """7 lots against 6 and 4: 4.2 and 2.8."""
    watch = auctioned()
    watch.bid(4, 1, 1710, 3)
    said = watch.review(30)
    torn = of(said, ClearingEvent.TRANSFERRED)[1:]
    assert transferred(torn) == [(2, 1, 1700, 4), (2, 3, 1700, 3)]
    assert {reason_of(event[0]) for event in torn} == {Reason.TEAR_UP}
    assert Reason.TEAR_UP.rule == "§10.2"
    assert [watch.house.position(number, OCT) for number in watch.members] == [2, 0, 1, -3, 0]
    watch.check()


def test_a_torn_up_holder_has_what_the_settlement_price_gives_it():
    watch = auctioned()
    watch.review(30)
    watch.next_day(OCT=1900)
    assert [watch.house.position(number, OCT) for number in watch.members] == [0] * 5
    assert watch.money(1) == (100_000 + 6 * 200) * USD - 1
    assert watch.money(3) == (100_000 + 4 * 200) * USD - 1


def test_a_bidder_gets_as_many_lots_as_it_can_cover():
    """Member 4 has 1,000: three lots of 255 each, at a price of 1,700 that is the mark; member 5 takes the rest."""
    watch = auctioned((100_000, 3_000, 100_000, 1_000, 100_000))
    watch.bid(4, 1, 1700, 10)
    watch.bid(5, 1, 1750, 10)
    assert transferred(watch.review(30)) == [(2, 4, 1700, 3), (2, 5, 1750, 7)]
    watch.check()


def test_who_covers_nothing_is_passed_over():
    watch = auctioned((100_000, 3_000, 100_000, 200, 100_000))
    watch.bid(4, 1, 1700, 10)
    said = watch.review(30)
    assert 4 not in {number for event in transferred(said) for number in event[:2]}
    assert of(said, ClearingEvent.AUCTION_CLOSED)[0][7] == 1


def test_lots_that_reduce_free_the_margin_that_covers_others():
    """Member 3 is long 4 and has nothing left over. Each lot it sells at 1.650 costs it 50 to the mark, and four free 255 each:
    4 x 255 - 6 x 50 - 2 x 255 = 210 are left after six, 4 x 255 - 7 x 50 - 3 x 255 < 0 after seven.
    """
    watch = auctioned()
    watch.deposit(3, -watch.house.excess_micro(3))
    watch.bid(3, 1, 1650, 10)
    assert transferred(watch.review(30))[0] == (2, 3, 1650, 6)
    watch.check()


def test_who_is_short_of_margin_may_take_what_makes_it_no_worse():
    watch = auctioned()
    watch.deposit(3, -watch.house.excess_micro(3))
    watch.trade(1, 5, OCT, 1, 1650)
    short = watch.house.excess_micro(3)
    assert short == -4 * 50 * USD
    watch.bid(3, 1, 1650, 10)
    assert transferred(watch.review(30))[0] == (2, 3, 1650, 8)
    assert watch.house.excess_micro(3) == short
    watch.check()


def test_a_bidder_that_is_itself_in_default_by_then_gets_nothing():
    watch = auctioned((100_000, 3_000, 100_000, 2_000, 100_000))
    watch.trade(1, 4, NOV, 8, 1500)
    watch.bid(4, 1, 1700, 1)
    watch.trade(1, 3, NOV, 1, 1690)
    watch.house._books.auctions[1].closes_ns += 10**14
    watch.review()
    watch.review(60)
    watch.wait(2000)
    said = watch.review()
    (closed,) = [event for event in of(said, ClearingEvent.AUCTION_CLOSED) if event[2] == 1]
    assert closed[5:] == (0, 10, 1)


def test_two_auctions_that_end_together_share_a_bidders_cover():
    watch = Watch(cash_usd=(100_000, 5_500, 100_000, 1_000), terms=TERMS)
    watch.trade(1, 2, OCT, 10, 1500)
    watch.trade(3, 2, NOV, 10, 1500)
    watch.next_day(OCT=1700, NOV=1500)
    watch.review(60)
    assert (watch.bid(4, 1, 1700, 2), watch.bid(4, 2, 1500, 9)) == (None, None)
    said = watch.review(30)
    taken = [event for event in of(said, ClearingEvent.TRANSFERRED) if event[3] == 4]
    assert [event[4:7] for event in taken] == [(OCT, 1700, 2), (NOV, 1500, 2)]  # 2 x 255 + 2 x 225 of 1,000
    watch.check()


def test_a_gross_bidder_opens_lots_and_a_gross_holder_closes_them():
    watch = Watch(cash_usd=(100_000, 3_000, 100_000), terms=TERMS)
    watch.make_gross(3)
    watch.trade(1, 2, OCT, 6, 1500)
    watch.gross_trade(3, 2, OCT, 4, 1500, hedge=True)
    watch.next_day(OCT=1700)
    watch.review(60)
    watch.bid(3, 1, 1690, 2)
    said = watch.review(30)
    assert transferred(said) == [(2, 3, 1690, 2), (2, 1, 1700, 5), (2, 3, 1700, 3)]  # 8 against 6 and 4
    spec, hedge = watch.house.positions(3, OCT)
    assert ((spec.long, spec.short), (hedge.long, hedge.short)) == ((0, 2), (1, 0))
    watch.check()


# --- refusals ---


@pytest.mark.parametrize(
    ("participant", "auction", "price", "lots", "refusal"),
    [
        (99, 1, 0, 99, ClearingRefusal.UNKNOWN_MEMBER),
        (1, 1, 0, 1, ClearingRefusal.PRICE_OUT_OF_RANGE),
        (1, 1, 3401, 1, ClearingRefusal.PRICE_OUT_OF_RANGE),
        (1, 2, 1700, 1, ClearingRefusal.UNKNOWN_AUCTION),
        (1, 0, 1700, 1, ClearingRefusal.UNKNOWN_AUCTION),
        (6, 1, 1700, 11, ClearingRefusal.NOT_PERMITTED),
        (2, 1, 1700, 11, ClearingRefusal.IN_DEFAULT),
        (1, 1, 1700, 11, ClearingRefusal.LOTS_OUT_OF_RANGE),
        (1, 1, 1700, -1, ClearingRefusal.LOTS_OUT_OF_RANGE),
        (1, 1, 1, 1, None),
        (1, 1, 3400, 10, None),
    ],
)
def test_a_bid_that_cannot_be_is_refused(
    participant: int, auction: int, price: int, lots: int, refusal: ClearingRefusal | None
):
    watch = auctioned()
    watch.tell(member_row(watch.tick(), 6, watch.cash(1), watch.purse(1), Permission.SPOT, SPECULATOR))
    before = watch.house.state_hash()
    assert watch.bid(participant, auction, price, lots) == refusal
    assert (watch.house.state_hash() == before) == (refusal is not None)


def test_an_auction_whose_time_is_over_takes_no_bid_closed_or_not():
    watch = auctioned()
    watch.wait(30)
    assert watch.bid(1, 1, 1700, 1) == ClearingRefusal.AUCTION_ENDED
    watch.review()
    assert watch.bid(1, 1, 1700, 1) == ClearingRefusal.AUCTION_ENDED


def test_the_same_bid_again_is_repeated():
    watch = auctioned()
    row = bid_row(watch.tick(), 1, 1, 1700, 2)
    assert code_of(watch.tell(row)[0][0]) == ClearingEvent.BID_TAKEN
    before = watch.house.state_hash()
    again = [watch.tell(row), watch.tell(bid_row(watch.tick(), 3, 1, 0, 0))]
    assert [code_of(told[0][0]) for told in again] == [ClearingEvent.REPEATED] * 2
    assert watch.house.state_hash() == before


# --- cover ---


@given(
    held=st.integers(-9, 9), cash=st.integers(0, 5_000), price=st.integers(1, 3000), mark=st.integers(1300, 1700),
    lots=st.integers(1, 12), buys=st.booleans(), open_lots=st.integers(-3, 3), adjustment=st.integers(-300, 300),
)  # fmt: skip
@settings(max_examples=150)
def test_cover_is_what_trying_out_each_number_of_lots_gives(
    held: int, cash: int, price: int, mark: int, lots: int, buys: bool, open_lots: int, adjustment: int
):
    """Each number of lots is tried on the books themselves; the next one more is too much."""

    def books() -> Watch:
        watch = Watch(cash_usd=(100_000, 50_000, 100_000), terms=TERMS)
        if held:
            watch.trade(*((2, 1) if held > 0 else (1, 2)), OCT, abs(held), 1500)
        if open_lots:
            watch.placed(2, OCT, open_lots, 1500)
        watch.trade(1, 3, OCT, 1, mark)
        watch.deposit(2, -watch.money(2) + cash * USD)
        member = watch.house._books.members[2]
        member.adjustment_micro = max(adjustment * USD, -member.ladder_micro)
        return watch

    def after(number: int) -> int:
        watch = books()
        position = watch.house._books.members[2].position(watch.house._books.markets[OCT])
        predicted = excess_after(watch.house._books, position, buys, price, number)
        if number:
            position.trade(0, not buys, number, price, watch.day)
            position.reckon()
        assert watch.house.excess_micro(2) == predicted
        return predicted

    watch = books()
    position = watch.house._books.members[2].position(watch.house._books.markets[OCT])
    found = covered_lots(watch.house._books, position, buys, price, lots)
    assert 0 <= found <= lots
    least = min(0, after(0))
    assert after(found) >= least
    if found < lots and position.member.adjustment_micro >= 0:
        assert after(found + 1) < least
