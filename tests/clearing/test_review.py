"""REVIEW: calls in the course of the day, deadlines, and a snapshot at any step of a default."""

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingTerms,
    DefaultTerms,
    Standing,
    collect_row,
)
from tests.clearing.floor import HOUSE, MONDAY, NO_FEES, NOV, OCT, USD
from tests.clearing.watch import MINUTE, Watch, of

FREE = ClearingTerms(HOUSE, futures_fees=NO_FEES)


def short_of_margin(terms: ClearingTerms = FREE) -> Watch:
    """Member 2 has 2,450 and is short 10 lots at 1.500: 2,250 are asked, which a mark of 1.540 leaves it 200 short of."""
    watch = Watch(cash_usd=(100_000, 2_450, 100_000), terms=terms)
    watch.trade(1, 2, OCT, 10, 1500)
    watch.trade(1, 3, OCT, 1, 1540)
    return watch


def test_who_is_short_at_the_marks_is_called_with_a_deadline():
    watch = short_of_margin()
    said = watch.review()
    (call,) = of(said, ClearingEvent.MARGIN_CALL)
    deadline = call[1] + 60 * MINUTE
    assert call[2:] == (2, 200 * USD + 1, 0, 2_250 * USD, deadline, MONDAY)
    assert watch.house.standing(2) == Standing.CALLED
    (told,) = of(said, ClearingEvent.REVIEWED)
    assert told[2:] == (3, 1, 0, 0, 0, MONDAY)


def test_a_call_is_said_again_only_when_it_grows():
    watch = short_of_margin()
    watch.review()
    assert not of(watch.review(1), ClearingEvent.MARGIN_CALL)
    watch.trade(1, 3, OCT, 1, 1530)
    assert not of(watch.review(1), ClearingEvent.MARGIN_CALL)
    watch.trade(1, 3, OCT, 1, 1541)
    first, again = (
        [event[3] for event in watch.events(ClearingEvent.MARGIN_CALL)],
        of(watch.review(1), ClearingEvent.MARGIN_CALL),
    )
    assert [event[3] for event in again] == [first[0] + 10 * USD]


def test_a_later_call_does_not_put_the_deadline_off():
    watch = short_of_margin()
    (first,) = of(watch.review(), ClearingEvent.MARGIN_CALL)
    watch.trade(1, 3, OCT, 1, 1545)
    (second,) = of(watch.review(30), ClearingEvent.MARGIN_CALL)
    assert second[6] == first[6]
    assert not of(watch.review(29), ClearingEvent.DEFAULTED)
    assert [event[2] for event in of(watch.review(1), ClearingEvent.DEFAULTED)] == [2]


def test_a_call_is_met_by_a_deposit_or_by_the_market():
    for relief in ("deposit", "market", "collect"):
        watch = short_of_margin()
        watch.review()
        if relief == "market":
            watch.trade(1, 3, OCT, 1, 1500)
        else:
            watch.deposit(2, 200 * USD + 1)
        said = watch.tell(collect_row(watch.tick(), 2)) if relief == "collect" else watch.review(1)
        assert [event[2] for event in of(said, ClearingEvent.CALL_MET)] == [2], relief
        assert watch.house.standing(2) == Standing.GOOD
        assert not of(watch.review(90), ClearingEvent.DEFAULTED)


def test_a_call_of_the_settlement_runs_out_at_a_review():
    watch = Watch(cash_usd=(100_000, 2_450), terms=FREE)
    watch.trade(1, 2, OCT, 10, 1500)
    said = watch.next_day(OCT=1540)
    (call,) = of(said, ClearingEvent.MARGIN_CALL)
    said = watch.review()
    (event,) = of(said, ClearingEvent.DEFAULTED)
    requirement = 10 * 231 * USD  # 15% of 1,540, the month before the last
    assert event[2:7] == (2, requirement - 2_050 * USD + 1, 0, requirement, 0)
    assert call[6] <= event[1]
    assert of(said, ClearingEvent.REVIEWED)[0][4] == 1


def test_no_time_to_pay_is_no_time():
    terms = ClearingTerms(HOUSE, futures_fees=NO_FEES, default=DefaultTerms(call_ns=0))
    said = short_of_margin(terms).review()
    assert [len(of(said, code)) for code in (ClearingEvent.MARGIN_CALL, ClearingEvent.DEFAULTED)] == [1, 1]


def test_who_has_nothing_is_not_looked_at():
    said = Watch().review()
    assert [event[2:5] for event in said] == [(0, 0, 0)]


def test_a_review_sees_the_prices_and_what_has_changed():
    watch = short_of_margin()
    market, members = watch.house._books.markets[OCT], watch.house._books.members
    assert (market.review_ticks, members[1].changed, members[3].changed) == (1500, 1, 1)
    watch.review()
    assert (market.review_ticks, members[1].changed, members[3].changed) == (1540, 0, 0)
    watch.trade(1, 3, NOV, 1, 1500)
    assert of(watch.review(), ClearingEvent.REVIEWED)[0][2] == 2


def test_a_member_in_default_is_not_called():
    watch = short_of_margin()
    watch.review()
    watch.review(60)
    calls = len(watch.events(ClearingEvent.MARGIN_CALL))
    watch.next_day(OCT=1650)
    watch.review(60)
    assert len(watch.events(ClearingEvent.MARGIN_CALL)) == calls


# --- snapshot ---


def in_the_middle() -> Watch:
    """A default with a slice behind it, an auction open, and bids in it."""
    terms = ClearingTerms(HOUSE, futures_fees=NO_FEES, default=DefaultTerms(slices_max=1))
    watch = Watch(cash_usd=(100_000, 2_450, 100_000), terms=terms)
    watch.trade(1, 2, OCT, 10, 1500)
    watch.next_day(OCT=1600)
    watch.review()
    watch.review(1)
    watch.bid(1, 1, 1500, 2)
    watch.bid(3, 1, 1590, 4)
    watch.bid(1, 1, 1600, 1)
    return watch


def test_a_default_in_the_middle_is_kept_whole():
    watch = in_the_middle()
    parts = watch.house.snapshot()
    assert [len(parts[name]) for name in ("closeouts", "closings", "auctions", "bids")] == [1, 1, 2, 2]
    again = in_the_middle()
    again.house.restore(parts)
    assert again.house.state_hash() == watch.house.state_hash()
    assert again.review(30) == watch.review(30)
    assert of(watch.said, ClearingEvent.AUCTION_CLOSED)[0][2:] == (1, 2, OCT, 5, 5, 2)


@pytest.mark.parametrize(
    ("part", "row", "column", "value"),
    [
        ("closeouts", 0, 0, 3),
        ("closeouts", 0, 0, 99),
        ("closings", 0, 0, 1),
        ("closings", 0, 1, 99),
        ("closings", 0, 3, 2),
        ("auctions", 1, 0, 2),
        ("auctions", 1, 1, 3),
        ("auctions", 1, 2, 99),
        ("auctions", 1, 4, 2),
        ("bids", 0, 0, 2),
        ("bids", 0, 1, 99),
    ],
)
def test_what_cannot_be_a_default_is_malformed(part: str, row: int, column: int, value: int):
    watch = in_the_middle()
    before, parts = watch.house.state_hash(), dict(watch.house.snapshot())
    parts[part] = parts[part].copy()
    parts[part][row, column] = value
    with pytest.raises(Malformed, match="clearing snapshot"):
        watch.house.restore(parts)
    assert watch.house.state_hash() == before
