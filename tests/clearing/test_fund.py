"""The default fund (§10.4): its size against a count by hand, its shares, and what is moved when."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.rows import reason_of
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingTerms,
    DefaultTerms,
    FundTerms,
    Reason,
    Standing,
    collect_row,
    liquidity_row,
    model_row,
    moves_rows,
    statements,
)
from tests.clearing.floor import DEC, DEFAULT_FUND, HOUSE, MONDAY, NO_FEES, NOV, OCT, USD
from tests.clearing.watch import Watch, of

FUTURES = (OCT, NOV, DEC)


def with_fund(
    least_usd: int = 0,
    slack_bp: int = 0,
    cash_usd: tuple[int, ...] = (100_000, 100_000, 100_000),
    capital_usd: int = 0,
) -> Watch:
    terms = ClearingTerms(
        HOUSE,
        futures_fees=NO_FEES,
        fund=FundTerms(least_usd * USD, slack_bp),
        default=DefaultTerms(call_ns=10**18),
    )
    return Watch(cash_usd=cash_usd, capital_usd=capital_usd, terms=terms)


def take_model(watch: Watch, stressed: list[list[int]]) -> None:
    """A model of one filtered scenario without a move, and these stressed moves, in ticks, of OCT, NOV, DEC."""
    for place, contract in enumerate(FUTURES):
        moves = [0, *(row[place] for row in stressed)]
        for row in moves_rows(watch.tick(), contract, moves):
            watch.tell(row)
        watch.tell(liquidity_row(watch.tick(), contract, 0, 0, 0))
    (*_, told) = watch.tell(model_row(watch.tick(), 1, len(stressed), watch.day))
    assert told[0] & 0xFFFF == ClearingEvent.MODEL_TAKEN


def shares(watch: Watch) -> list[int]:
    return [watch.house.fund_micro(number) for number in watch.members]


def test_without_a_least_share_and_a_model_there_is_no_fund():
    watch = with_fund()
    watch.trade(1, 2, OCT, 10, 1500)
    said = watch.close()
    assert not of(said, ClearingEvent.FUND_SIZED)
    assert not watch.house._books.teller.ledger.posted(DEFAULT_FUND)


def test_who_has_a_requirement_holds_the_least_share_and_gets_it_back_when_it_has_none():
    watch = with_fund(1_000)
    watch.trade(1, 2, OCT, 10, 1500)
    said = watch.next_day()
    assert [event[2:7] for event in of(said, ClearingEvent.FUND_SIZED)] == [(0, 0, 0, 0, 0)]
    moved = of(said, ClearingEvent.FUND_MOVED)
    assert [event[2:] for event in moved] == [
        (number, 1_000 * USD, 1_000 * USD, 1_000 * USD, 0, MONDAY) for number in (1, 2)
    ]
    assert {Reason(reason_of(event[0])).rule for event in moved} == {"§10.4"}
    assert (shares(watch), watch.ledger.posted(DEFAULT_FUND)) == ([1_000 * USD, 1_000 * USD, 0], 2_000 * USD)
    assert not of(watch.next_day(), ClearingEvent.FUND_MOVED)
    watch.trade(2, 1, OCT, 10, 1500)
    said = watch.next_day()
    assert [event[2:6] for event in of(said, ClearingEvent.FUND_MOVED)] == [
        (1, -1_000 * USD, 0, 0), (2, -1_000 * USD, 0, 0)
    ]  # fmt: skip
    assert watch.ledger.posted(DEFAULT_FUND) == 0
    assert watch.money(1) == 100_000 * USD - 2
    watch.check()


def test_the_fund_is_a_line_of_the_statement():
    watch = with_fund(1_000)
    watch.trade(1, 2, OCT, 10, 1500)
    mine = [told for told in statements(watch.close(OCT=1510)) if told.participant == 1]
    assert [told.fund_micro for told in mine] == [1_000 * USD]
    assert all(told.explained_micro == told.closing_micro for told in mine)


def test_who_cannot_pay_its_share_is_lent_it():
    watch = with_fund(1_000, cash_usd=(100_000, 2_500))
    watch.trade(1, 2, OCT, 10, 1500)
    watch.deposit(2, -250 * USD)
    said = watch.close(OCT=1700)
    assert [event[2:4] for event in of(said, ClearingEvent.LENT)] == [(2, 750 * USD + 1)]
    assert shares(watch)[1] == 1_000 * USD
    assert watch.house.owed_micro(2) == 750 * USD + 1
    watch.check()
    watch.deposit(2, 800 * USD)
    watch.tell(collect_row(watch.tick(), 2))
    assert watch.house.owed_micro(2) == 0


def test_the_fund_covers_the_two_largest_stressed_losses_beyond_requirements():
    """1 is long 10 OCT, 2 short 6 and 3 short 4; the ladder asks 225 a lot, the model at most half as much more.

    At + 600 the shorts lose 3,600 and 2,400, 1 gains; at - 500 only 1 loses, 5,000.
    """
    watch = with_fund()
    watch.trade(1, 2, OCT, 6, 1500)
    watch.trade(1, 3, OCT, 4, 1500)
    take_model(watch, [[600, 0, 0], [-500, 0, 0], [0, 900, 900]])
    requirement = [watch.house.requirement_micro(number) for number in watch.members]
    (sized,) = of(watch.close(), ClearingEvent.FUND_SIZED)
    beyond = [3_600 * USD - requirement[1], 2_400 * USD - requirement[2]]
    alone = 5_000 * USD - requirement[0]
    assert alone > 0 < beyond[1]
    if alone > sum(beyond):
        assert sized[2:7] == (alone, 1, alone, 0, 0)
    else:
        assert sized[2:7] == (sum(beyond), 2, beyond[0], 3, beyond[1])
    size = sized[2]
    due = [-(-size * asked // sum(requirement)) for asked in requirement]
    assert shares(watch) == due
    assert 0 <= watch.ledger.posted(DEFAULT_FUND) - size < 3
    watch.check()


@given(
    lots=st.lists(st.integers(-9, 9), min_size=6, max_size=6),
    moves=st.lists(st.lists(st.integers(-700, 700), min_size=3, max_size=3), min_size=1, max_size=5),
)
@settings(max_examples=25)
def test_its_size_is_what_counting_by_hand_gives(lots: list[int], moves: list[list[int]]):
    watch = with_fund(cash_usd=(10**6,) * 4)
    for place, size in enumerate(lots):
        buyer, seller = (1 + place % 3, 4) if size > 0 else (4, 1 + place % 3)
        if size:
            watch.trade(buyer, seller, FUTURES[place // 2], abs(size), 1500)
    take_model(watch, moves)
    worst = 0
    for row in moves:
        beyond = [
            max(
                0,
                -sum(watch.house.position(n, c) * move for c, move in zip(FUTURES, row, strict=True)) * USD
                - watch.house.requirement_micro(n),
            )
            for n in watch.members
        ]
        worst = max(worst, sum(sorted(beyond)[-2:]))
    sized = of(watch.close(), ClearingEvent.FUND_SIZED)
    assert [event[2] for event in sized] == ([worst] if worst else [])
    for event in sized:
        assert event[4] + event[6] == worst
        assert event[4] >= event[6] >= 0
    watch.check()


def test_a_share_that_is_nearly_right_stays():
    """Due moves by the requirement's 5%; a slack of 10% leaves it, one of 1% does not."""
    for slack_bp, moved in ((1_000, 0), (100, 2)):
        watch = with_fund(slack_bp=slack_bp)
        watch.trade(1, 2, OCT, 100, 1500)
        take_model(watch, [[700, 0, 0], [-700, 0, 0]])
        watch.next_day()
        held = shares(watch)
        assert min(held[:2]) > 0
        watch.trade(1, 2, OCT, 5, 1500)
        watch.review()
        assert len(of(watch.close(), ClearingEvent.FUND_MOVED)) == moved


def test_when_the_model_goes_the_fund_goes_back():
    watch = with_fund()
    watch.trade(1, 2, OCT, 10, 1500)
    take_model(watch, [[700, 0, 0], [-700, 0, 0]])
    watch.next_day()
    assert sum(shares(watch)) > 0
    watch.tell(model_row(watch.tick(), 0, 0, watch.day))
    assert len(of(watch.next_day(), ClearingEvent.FUND_SIZED)) == 1
    assert sum(shares(watch)) == watch.ledger.posted(DEFAULT_FUND) == 0
    assert not of(watch.next_day(), ClearingEvent.FUND_SIZED)


def test_a_member_in_default_keeps_its_share_until_its_loss_is_known():
    terms = ClearingTerms(
        HOUSE, futures_fees=NO_FEES, fund=FundTerms(500 * USD), default=DefaultTerms(slices_max=0)
    )
    watch = Watch(cash_usd=(100_000, 3_500, 100_000), terms=terms)
    watch.trade(1, 2, OCT, 10, 1500)
    watch.next_day(OCT=1700)
    watch.review(60)
    watch.bid(3, 1, 1710, 10)
    watch.review(30)
    assert watch.house.position(2, OCT) == 0
    said = watch.next_day()
    assert shares(watch) == [500 * USD] * 3
    assert [event[2:4] for event in of(said, ClearingEvent.FUND_MOVED)] == [(3, 500 * USD)]
    (closed,) = of(watch.review(), ClearingEvent.CLOSED_OUT)
    assert closed[3:5] == (0, 0)
    assert shares(watch) == [500 * USD, 0, 500 * USD]
    assert watch.money(2) == 1_400 * USD - 1
    assert np.array_equal(watch.house.snapshot()["closeouts"], np.zeros((0, 3)))
    watch.check()


def test_nothing_is_returned_while_a_default_is_being_closed():
    """Without the defaulter's position the fund would shrink just before it is needed."""
    watch = Watch(
        cash_usd=(100_000, 5_000, 100_000),
        terms=ClearingTerms(
            HOUSE,
            futures_fees=NO_FEES,
            fund=FundTerms(1_000 * USD, 0),
            default=DefaultTerms(call_ns=0, slices_max=0, auction_ns=3 * 86_400 * 10**9),
        ),
    )
    watch.trade(1, 2, OCT, 10, 1500)
    watch.trade(3, 1, OCT, 10, 1500)
    watch.next_day(OCT=1700)
    held = shares(watch)
    assert held[1:] == [1_000 * USD] * 2
    assert of(watch.review(), ClearingEvent.DEFAULTED)
    watch.trade(1, 3, OCT, 10, 1700)
    watch.next_day(OCT=1700)
    assert watch.house.requirement_micro(3) == 0
    assert shares(watch)[2] == 1_000 * USD
    assert watch.house.standing(2) == Standing.DEFAULTED
