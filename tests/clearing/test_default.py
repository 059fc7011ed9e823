"""A default, step by step: slices, what waits, what cannot be closed, and the laws that hold whatever the market does."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.rows import Row, flags_of, reason_of
from ciyuan.clearing.closeout import SLICE_ID_BASE
from ciyuan.clearing.default import slice_limit_ticks
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingFlag,
    ClearingTerms,
    DefaultTerms,
    FundTerms,
    Reason,
    Standing,
    review_row,
)
from ciyuan.exchange.messages import Refusal, SessionState
from ciyuan.ledger.machine import Ledger
from tests.clearing.floor import DEC, HOUSE, NO_FEES, NOV, OCT, RECEIVABLES, USD
from tests.clearing.test_properties import Flow
from tests.clearing.watch import Watch, of

FREE = ClearingTerms(HOUSE, futures_fees=NO_FEES)


def defaulted(terms: ClearingTerms = FREE, **price_ticks: int) -> Watch:
    """Member 2 is short 10 OCT and long 4 NOV, and past its deadline; nothing is sliced as no session is continuous."""
    watch = Watch(cash_usd=(100_000, 3_500, 100_000), terms=terms)
    watch.trade(1, 2, OCT, 10, 1500)
    watch.trade(2, 1, NOV, 4, 1500)
    watch.next_day(**(price_ticks or {"OCT": 1700}))
    watch.session(SessionState.BREAK)
    watch.review(60)
    assert watch.house.standing(2) == Standing.DEFAULTED
    return watch


def slices(events: Sequence[Row]) -> list[tuple[int, ...]]:
    return [event[3:8] for event in of(events, ClearingEvent.SLICED)]


def test_the_orders_of_a_defaulter_are_cancelled():
    watch = Watch(cash_usd=(100_000, 3_000), terms=FREE)
    watch.trade(1, 2, OCT, 10, 1500)
    watch.placed(2, OCT, 3, 1400)
    watch.next_day(OCT=1600)
    watch.placed(2, OCT, 4, 1450)
    watch.session(SessionState.BREAK)
    watch.review()
    assert watch.house.open_lots(2, OCT) == (0, 0)
    watch.check()


def test_slices_wait_for_a_continuous_session():
    watch = defaulted()
    assert not slices(watch.said)
    assert not slices(watch.review(5))
    watch.session(SessionState.CONTINUOUS)
    assert len(slices(watch.review())) == 2


def test_the_largest_charge_comes_first_and_a_slice_is_a_share_of_the_size_at_the_default():
    """Limits are 3% from the marks, rounded away from them: 1,700 x 1.03 = 1,751, 1,500 x 0.97 = 1,455."""
    watch = defaulted()
    watch.session(SessionState.CONTINUOUS)
    assert slices(watch.review()) == [
        (OCT, 2, 1751, SLICE_ID_BASE + 1, 1),
        (NOV, -1, 1455, SLICE_ID_BASE + 2, 1),
    ]
    assert [reason_of(event[0]) for event in watch.events(ClearingEvent.SLICED)] == [Reason.DEFAULT] * 2
    assert Reason.DEFAULT.rule == "§10.1"


def test_of_equal_charges_the_lower_contract_comes_first():
    watch = Watch(cash_usd=(100_000, 3_000), terms=FREE)
    watch.trade(1, 2, DEC, 7, 1500)
    watch.trade(1, 2, NOV, 7, 1500)
    watch.next_day(NOV=1700, DEC=1700)
    said = watch.review(60)
    assert [event[0] for event in slices(said)] == [NOV, DEC]


def test_a_slice_comes_no_sooner_than_its_time_and_is_capped_at_what_is_left():
    watch = defaulted()
    watch.session(SessionState.CONTINUOUS)
    watch.placed(3, OCT, -9, 1701)
    watch.review()
    assert not slices(watch.review())
    lots = [[event[1] for event in slices(watch.review(1)) if event[0] == OCT] for _ in range(3)]
    assert lots == [[2], [2], [2]]
    assert watch.house.position(2, OCT) == -2
    watch.placed(3, OCT, -1, 1701)
    watch.review(1)
    watch.placed(3, OCT, -1, 1701)
    watch.review(1)
    assert watch.house.position(2, OCT) == 0
    watch.check()


@pytest.mark.parametrize(
    ("mark", "lower", "upper", "slip_bp", "buy", "sell"),
    [
        (1500, 1300, 1700, 300, 1545, 1455),
        (
            1501,
            1300,
            1700,
            300,
            1547,
            1455,
        ),  # 1,546.03 and 1,455.97, each rounded to where it trades more easily
        (1690, 1300, 1700, 300, 1700, 1639),
        (1305, 1300, 1700, 300, 1345, 1300),
        (7, 1, 9, 0, 7, 7),
        (1, 1, 2, 9_999, 2, 1),
    ],
)
def test_a_slices_limit(mark: int, lower: int, upper: int, slip_bp: int, buy: int, sell: int):
    market = Watch().house._books.markets[OCT]
    market.mark_ticks, market.lower_ticks, market.upper_ticks = mark, lower, upper
    assert slice_limit_ticks(market, False, slip_bp) == buy
    assert slice_limit_ticks(market, True, slip_bp) == sell


def test_after_the_last_slice_what_is_left_is_auctioned():
    watch = defaulted(ClearingTerms(HOUSE, futures_fees=NO_FEES, default=DefaultTerms(slices_max=2)))
    watch.session(SessionState.CONTINUOUS)
    watch.placed(3, OCT, -3, 1700)
    said = [*watch.review(), *watch.review(1)]
    assert [event[1] for event in slices(said)] == [2, -1, 2, -1]
    assert not of(said, ClearingEvent.AUCTION_OPENED)
    opened = of(watch.review(1), ClearingEvent.AUCTION_OPENED)
    assert [event[2:7] for event in opened] == [(1, 2, OCT, -7, 1700), (2, 2, NOV, 4, 1500)]


def test_what_trades_no_more_is_auctioned_at_once():
    watch = defaulted()
    while watch.house.life(OCT) < 4:
        watch.next_day()
        watch.session(SessionState.BREAK)
    opened = of(watch.review(), ClearingEvent.AUCTION_OPENED)
    assert [event[3:6] for event in opened] == [(2, OCT, -10)]


def test_a_default_ends_when_its_variation_is_settled():
    """All is closed at 1,701 within the day; only the day's settlement says what that has cost."""
    watch = defaulted(ClearingTerms(HOUSE, futures_fees=NO_FEES, default=DefaultTerms(slice_bp=10_000)))
    watch.session(SessionState.CONTINUOUS)
    watch.placed(3, OCT, -10, 1701)
    watch.placed(3, NOV, 4, 1499)
    watch.review()
    assert [watch.house.position(2, number) for number in (OCT, NOV)] == [0, 0]
    assert not of(watch.review(5), ClearingEvent.CLOSED_OUT)
    watch.next_day()
    (closed,) = of(watch.review(), ClearingEvent.CLOSED_OUT)
    assert closed[2:5] == (2, 0, 0)
    assert watch.money(2) == (3_500 - 2_000 - 10 - 4) * USD - 4
    assert not watch.review()[:-1]
    assert of(watch.said, ClearingEvent.REVIEWED)[-1][4] == 0


def test_no_default_ends_while_its_auction_is_open():
    watch = defaulted(ClearingTerms(HOUSE, futures_fees=NO_FEES, default=DefaultTerms(slices_max=0)))
    watch.review()
    watch.next_day()
    while watch.house.life(OCT) < 4:
        watch.next_day()
    watch.time_ns -= 10  # the venue's clock stands before the auction's end in this test
    watch.house._books.auctions[1].closes_ns = watch.house._books.auctions[2].closes_ns = (
        watch.time_ns + 10**12
    )
    watch.final(OCT, 1_700_000)
    assert not of(watch.review(), ClearingEvent.CLOSED_OUT)
    watch.house.restore(watch.house.snapshot())
    said = watch.review(60)
    assert [event[5:8] for event in of(said, ClearingEvent.AUCTION_CLOSED)] == [(0, 0, 0), (0, 4, 0)]


# --- long and short, hedging and speculation, apart ---


def gross() -> Watch:
    """Member 2 is gross: long 4 and short 6 in its speculative, long 2 in its hedging position, 1 and 3 of them of today."""
    watch = Watch(cash_usd=(100_000, 6_000, 100_000), terms=FREE)
    watch.make_gross(2)
    watch.gross_trade(2, 1, OCT, 3, 1500)
    watch.gross_trade(2, 1, OCT, -3, 1500)
    watch.gross_trade(2, 1, OCT, 2, 1500, hedge=True)
    watch.next_day(OCT=1500)
    watch.gross_trade(2, 1, OCT, 1, 1500)
    watch.gross_trade(2, 1, OCT, -3, 1500)
    watch.deposit(2, -watch.money(2) + 900 * USD)
    watch.review()
    return watch


def test_each_side_of_a_gross_position_is_closed_by_itself_todays_lots_first():
    watch = gross()
    watch.placed(1, OCT, 9, 1500)
    watch.placed(3, OCT, -9, 1500)
    said = watch.review(60)
    told = [(event[4], flags_of(event[0])) for event in of(said, ClearingEvent.SLICED)]
    assert told == [(-1, ClearingFlag.TODAY), (1, ClearingFlag.TODAY), (-1, ClearingFlag.HEDGE)]
    today = [watch.house.positions(2, OCT)[0].long_today, watch.house.positions(2, OCT)[0].short_today]
    assert today == [0, 2]
    for _ in range(6):
        watch.review(1)
    assert all(held.is_flat for held in watch.house.positions(2, OCT))
    watch.check()


def test_a_gross_defaulters_own_two_sides_are_torn_up_against_each_other_too():
    watch = gross()
    watch.session(SessionState.BREAK)
    watch.review(60)
    assert not watch.events(ClearingEvent.SLICED)
    while watch.house.life(OCT) < 4:
        watch.next_day()
        watch.session(SessionState.BREAK)
    watch.review()
    said = watch.review(31)
    torn = of(said, ClearingEvent.TRANSFERRED)
    assert {reason_of(event[0]) for event in torn} == {Reason.TEAR_UP}
    assert all(held.is_flat for held in watch.house.positions(2, OCT))
    assert any(event[2] == event[3] == 2 for event in torn)
    watch.check()


# --- whatever happens ---

TERMS = (
    ClearingTerms(
        HOUSE, fund=FundTerms(least_micro=200 * USD), default=DefaultTerms(call_ns=0, slices_max=2)
    ),
    ClearingTerms(HOUSE, default=DefaultTerms(call_ns=10**9, slice_bp=10_000, slices_max=1, auction_ns=0)),
    ClearingTerms(
        HOUSE,
        fund=FundTerms(least_micro=1_000 * USD, slack_bp=0),
        default=DefaultTerms(call_ns=0, slice_ns=0, slices_max=0, assessment_bp=3_333),
    ),
)


POOR = (6_000, 3_000, 9_000, 4_000)


class DefaultFlow(Flow):
    """A flow with reviews, bids and breaks; who is in default sends no orders."""

    def __init__(self, watch: Watch, seed: int, restores: int = 0) -> None:
        super().__init__(watch, seed)
        self.watch = watch
        self.restores = Random(restores) if restores else None  # noqa: S311
        mine = (*(self.trade,) * 8, *(self.review,) * 6, *(self.bid,) * 4, self.session)
        self.all_moves = (*self.moves, *mine)

    def step(self) -> None:
        self.chance.choice(self.all_moves)()
        if self.restores and self.restores.random() < 0.3:
            self.watch.house.restore(self.watch.house.snapshot())

    def member(self) -> int:
        house = self.floor.house
        able = [n for n in self.floor.members if house.standing(n) < Standing.DEFAULTED]
        return self.chance.choice(able or [1])

    def trade(self) -> None:
        """A trade of two members, if both have the margin."""
        contract, lots = self.chance.choice((OCT, NOV)), self.chance.randint(1, 9)
        price = max(1, self.floor.house.settlement_ticks(contract) + self.chance.randint(-20, 20))
        buyer, seller = self.member(), self.member()
        ask = self.floor.order(seller, contract, -lots, price)
        bid = self.floor.order(buyer, contract, lots, price)
        if isinstance(ask, Refusal) or isinstance(bid, Refusal):
            for order in (ask, bid):
                if not isinstance(order, Refusal):
                    self.floor.cancel(order)
        else:
            self.floor.fill(ask, bid, lots)

    def session(self) -> None:
        self.watch.session(self.chance.choice((SessionState.BREAK, SessionState.CONTINUOUS)))

    def bid(self) -> None:
        auctions = sorted(self.floor.house._books.auctions) or [1]
        number = self.chance.choice(auctions)
        self.watch.bid(self.member(), number, self.chance.randint(1, 3000), self.chance.randint(0, 9))

    def review(self) -> None:
        """A review; right after it, before its slices trade, no assessed survivor's own payment left it short."""
        watch = self.watch
        watch.wait(self.chance.choice((0, 1, 40)))
        events = watch.tell(review_row(watch.tick()))
        lent: dict[int, int] = {}
        for event in of(events, ClearingEvent.LENT):
            lent[event[2]] = lent.get(event[2], 0) + event[3]
        for event in of(events, ClearingEvent.ASSESSED):
            if event[3] > lent.get(event[2], 0):
                assert watch.house.excess_micro(event[2]) + lent.get(event[2], 0) >= 0
        for event in events:
            watch.obey(event)


@pytest.mark.parametrize("terms", TERMS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=15)
def test_whatever_happens_in_a_default_the_books_balance(terms: ClearingTerms, seed: int):
    watch = Watch(cash_usd=POOR, receipts=40, capital_usd=500, terms=terms)
    flow = DefaultFlow(watch, seed)
    for _ in range(100):
        flow.step()
        watch.check()
    check_losses(watch)


def check_losses(watch: Watch) -> None:
    """Each loss is what was covered of it and what was not; receivables are missing what is owed and what was not covered."""
    covered: dict[int, int] = {}
    for event in watch.events(ClearingEvent.LOSS_COVERED):
        covered[event[2]] = covered.get(event[2], 0) + event[5]
    uncovered = 0
    for event in watch.events(ClearingEvent.CLOSED_OUT):
        _, _, number, loss, not_covered, *_ = event
        assert covered.get(number, 0) + not_covered == loss
        uncovered += not_covered
    owed = sum(watch.house.owed_micro(number) for number in watch.members)
    assert uncovered + owed == -watch.ledger.posted(RECEIVABLES)


def test_the_random_flows_reach_every_step():
    seen: set[str] = set()
    for seed in range(6):
        for terms in TERMS:
            watch = Watch(cash_usd=POOR, receipts=40, capital_usd=500, terms=terms)
            flow = DefaultFlow(watch, seed)
            for _ in range(150):
                flow.step()
            seen |= {
                ClearingEvent(event[0] & 0xFFFF).name for event in watch.said if event[0] & 0xFFFF in EVENTS
            }
    assert seen == {ClearingEvent(code).name for code in EVENTS}


EVENTS = frozenset(range(ClearingEvent.REVIEWED, ClearingEvent.ASSESSED + 1))


@pytest.mark.parametrize("terms", TERMS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=5)
def test_both_clearing_houses_close_out_alike(terms: ClearingTerms, seed: int):
    """The same flow, on plain objects and on matrices: the same events, the same state."""
    plain = Watch(cash_usd=POOR, receipts=40, capital_usd=500, terms=terms)
    other = Watch(
        cash_usd=POOR, receipts=40, capital_usd=500, terms=terms, ledger=Ledger(), machine=ClearingHouse
    )
    flows = [DefaultFlow(watch, seed) for watch in (plain, other)]
    for _ in range(100):
        for flow in flows:
            flow.step()
        assert len(plain.said) == len(other.said)
    assert plain.said == other.said
    assert plain.house.state_hash() == other.house.state_hash()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_a_snapshot_in_the_middle_has_the_same_future(seed: int):
    """One floor is restored from its own snapshot again and again, the other never: both say the same."""
    floors = []
    for restores in (0, 1):
        watch = Watch(cash_usd=POOR, receipts=40, capital_usd=500, terms=TERMS[0])
        flow = DefaultFlow(watch, seed, restores)
        for _ in range(100):
            flow.step()
        floors.append(watch)
    assert floors[0].said == floors[1].said
    assert floors[0].house.state_hash() == floors[1].house.state_hash()
