"""A default through the whole venue: what the exchange must be told of it, and in which states (§10.1, §10.2). Contracts are the
busy market's without its breaker: a tick of a lot is 1 USD, and a lot of November asks for 225 USD at 1,500.
"""

from dataclasses import replace

import pytest

from ciyuan.basics.rows import flags_of
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingFlag,
    ClearingTerms,
    DefaultTerms,
    Fees,
    MemberFlag,
    MemberRole,
    ScenarioTerms,
    Standing,
    review_row,
)
from ciyuan.exchange.messages import (
    CancelCause,
    Effect,
    ExchangeEvent,
    OrderFlag,
    SessionState,
    Side,
    cancel_row,
    close_day_row,
    order_row,
    session_row,
)
from ciyuan.simulation.auditor import Auditor
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, VenueCommand
from ciyuan.venue.terms import VenueTerms, house_accounts
from tests.venue.market import BUSY, DAY, GRADES, NOV, OCT, SECOND, SPREAD, TRADER, USD, Market, matrix

POOR, RICH, MAKER, OTHER = 1, 2, 3, 4
MINUTE = 60 * SECOND
OPEN, CLOSE_TODAY, HEDGE = Effect.OPEN, Effect.CLOSE_TODAY, Effect.HEDGE
AT_ONCE = DefaultTerms(call_ns=MINUTE, slices_max=0, auction_ns=MINUTE)
IN_SLICES = replace(AT_ONCE, slices_max=3, slip_bp=1_000)


def terms(default: DefaultTerms = AT_ONCE, review_move_bp: int = 0, fees: Fees | None = None) -> VenueTerms:
    """The busy market's terms without a breaker."""
    clearing = ClearingTerms(
        house_accounts(GRADES),
        futures_fees=fees or Fees(),
        default=default,
        scenario=ScenarioTerms(review_move_bp=review_move_bp),
    )
    contracts = tuple(replace(contract, breaker_bp=0, breaker_minutes=0) for contract in BUSY.contracts)
    return replace(BUSY, contracts=contracts, clearing=clearing)


class Floor:
    """A market with a poor and a rich gross member, and two rich net ones; the auditor hears it."""

    def __init__(self, of: VenueTerms | None = None) -> None:
        self.market = Market(of or terms())
        for number in (POOR, RICH, MAKER, OTHER):
            flags = int(MemberFlag.GROSS) if number in (POOR, RICH) else 0
            self.market.ask(
                VenueCommand.PARTICIPANT, number, int(TRADER), 0, int(MemberRole.SPECULATOR), flags
            )
            money = 1_000 if number == POOR else 100_000
            self.market.ask(VenueCommand.DEPOSIT, self.market.new_key(), number, Purse.CASH, money * USD)
        self.market.open()

    def order(
        self, account: int, lots: int, price: int, effect: Effect = OPEN, of: int = NOV,
        kind: OrderFlag = OrderFlag.LIMIT,
    ) -> int:  # fmt: skip
        """Buy `lots`, or sell if negative; the effect is a gross member's. Returns the order's id."""
        market = self.market
        market.order_id += 1
        side = Side.SELL if lots < 0 else Side.BUY
        effect = effect if account in (POOR, RICH) else Effect.NET
        market.tell(
            order_row(
                market.tick(), account, market.order_id, of, side, price, abs(lots), kind=kind, effect=effect
            )
        )
        return market.order_id

    def trade(self, price: int) -> None:
        """A trade of the two net members: the mark moves."""
        self.order(MAKER, 1, price)
        self.order(OTHER, -1, price)

    def review(self, later_ns: int = 0) -> list:
        """A review, so much later; returns what was said."""
        self.market.now += later_ns
        return self.market.tell(review_row(self.market.tick()))

    def session(self, *states: SessionState) -> list:
        """All contracts go from state to state."""
        return [
            event
            for state in states
            for event in self.market.tell(session_row(self.market.tick(), 0, state, DAY))
        ]

    def opens(self, effect: Effect = OPEN) -> None:
        """The poor member buys four lots of November of the rich one."""
        self.order(RICH, -4, 1_500, effect)
        self.order(POOR, 4, 1_500, effect)

    def falls(self) -> None:
        """The poor member, long four lots, is called at 1,400 and does not pay."""
        self.trade(1_400)
        self.review()
        assert [event[2] for event in self.market.of(ClearingEvent.MARGIN_CALL)] == [POOR]

    def check(self) -> None:
        """Everything adds up."""
        auditor = Auditor(self.market.venue)
        auditor.hear(matrix(self.market.rows), matrix(self.market.said))
        auditor.check()
        self.market.venue.clearing.check()

    def resume(self) -> "Floor":
        """Go on in another venue, from a snapshot."""
        other = Venue(self.market.venue.terms)
        other.restore(self.market.venue.snapshot())
        self.market.venue = other
        return self


def hedging() -> Floor:
    """Poor and rich hold four lots of November for hedging, and the rich one has an order to close its own."""
    floor = Floor()
    floor.opens(OPEN | HEDGE)
    floor.order(RICH, 4, 1_300, CLOSE_TODAY | HEDGE)
    floor.falls()
    return floor


def spreading() -> Floor:
    """Poor and rich hold four lots of November, rich four of October too, with a spread order to close both of its own."""
    floor = Floor()
    floor.opens()
    floor.order(RICH, 4, 1_500, of=OCT)
    floor.order(MAKER, -4, 1_500, of=OCT)
    floor.order(RICH, -4, 50, CLOSE_TODAY, of=SPREAD)
    floor.falls()
    return floor


def test_a_tear_up_ends_the_orders_that_would_close_what_it_closed():
    """The order is of a hedging position, of a member that never had a speculative one."""
    floor = hedging()
    assert ClearingEvent.AUCTION_OPENED in floor.market.codes(floor.review(MINUTE))
    said = floor.review(MINUTE)
    moved = floor.market.of(ClearingEvent.TRANSFERRED, said)
    assert [event[2:7] for event in moved] == [(RICH, POOR, NOV, 1_500, 3), (OTHER, POOR, NOV, 1_500, 1)]
    flags = [ClearingFlag.HEDGE | ClearingFlag.SELLER_HEDGE, ClearingFlag.SELLER_HEDGE]
    assert [flags_of(event[0]) for event in moved] == flags
    (ended,) = floor.market.of(ExchangeEvent.CANCELLED, said)
    assert (ended[2], ended[5]) == (RICH, CancelCause.MASS_CANCEL)
    floor.check()
    floor.market.close()
    floor.check()


def test_a_tear_up_of_hedging_lots_leaves_speculative_lots_of_today():
    """The exchange is told the one position, not the other: its lots of today can still be closed as such."""
    floor = hedging()
    floor.order(RICH, 2, 1_400)
    floor.order(MAKER, -2, 1_400)
    floor.review(MINUTE)
    assert floor.market.codes(floor.review(MINUTE)).count(ClearingEvent.TRANSFERRED) == 2
    closes = floor.order(RICH, -2, 1_400, CLOSE_TODAY)
    assert floor.market.of(ExchangeEvent.ACCEPTED)[-1][2:4] == (RICH, closes)
    floor.check()


def test_a_tear_up_ends_the_spread_orders_that_would_close_what_it_closed():
    floor = spreading()
    floor.review(MINUTE)
    said = floor.review(MINUTE)
    assert RICH in [event[2] for event in floor.market.of(ClearingEvent.TRANSFERRED, said)]
    assert [event[4] for event in floor.market.of(ExchangeEvent.CANCELLED, said)] == [SPREAD]
    floor.check()


@pytest.mark.parametrize("cut", range(3))
def test_a_position_that_is_empty_makes_no_difference(cut: int):
    """A snapshot does not have it: what is said of a tear-up is the same with it and without."""
    floor = hedging()
    empty = floor.order(RICH, 1, 1_300)
    floor.market.tell(cancel_row(floor.market.tick(), RICH, empty))
    plain = Floor()
    plain.market.tell(*floor.market.rows[len(plain.market.rows) :])
    said = []
    for place in range(3):
        said += (floor.resume() if place == cut else floor).review(MINUTE)
    plain.market.now = floor.market.rows[-4][1]
    assert said == [event for row in floor.market.rows[-3:] for event in plain.market.tell(row)]
    assert plain.market.venue.state_hash() == floor.market.venue.state_hash()


def test_a_slice_that_moves_the_price_far_enough_makes_the_next_review_due():
    floor = Floor(terms(IN_SLICES, review_move_bp=300))
    floor.opens()
    floor.falls()
    floor.order(MAKER, 10, 1_340)
    said = floor.market.codes(floor.review(MINUTE))
    told = (ClearingEvent.SLICED, ExchangeEvent.FILLED, ClearingEvent.REVIEWED)
    assert [code for code in said if code in told] == [told[0], told[2], told[1], told[1], told[2]]
    before = floor.market.venue.state_hash()
    assert floor.resume().market.venue.state_hash() == before
    assert ClearingEvent.REVIEWED not in floor.market.codes(floor.session(SessionState.BREAK))
    floor.check()


def test_what_a_defaulter_has_left_standing_ends_when_it_can():
    """At the close no order is cancelled; the day ends, and with it what would outlive it of a member in default."""
    floor = Floor()
    floor.opens()
    stands = floor.order(POOR, -1, 1_550, kind=OrderFlag.GTC)
    floor.falls()
    floor.session(SessionState.CLOSING)
    said = floor.review(MINUTE)
    (told,) = floor.market.of(ExchangeEvent.MASS_CANCELLED, said)
    assert (told[2], *told[4:6]) == (POOR, 0, 1)
    assert floor.market.venue.clearing.standing(POOR) == Standing.DEFAULTED
    floor.session(SessionState.SETTLEMENT)
    floor.market.tell(close_day_row(floor.market.tick(), 0, DAY))
    ended = floor.market.of(ExchangeEvent.CANCELLED, floor.session(SessionState.CLOSED))
    assert [event[2:4] for event in ended] == [(POOR, stands)]
    floor.check()


def test_an_auction_waits_while_orders_cannot_be_cancelled():
    floor = hedging()
    floor.review(MINUTE)
    floor.session(SessionState.CLOSING)
    assert ClearingEvent.AUCTION_CLOSED not in floor.market.codes(floor.review(MINUTE))
    floor.session(SessionState.SETTLEMENT)
    floor.market.tell(close_day_row(floor.market.tick(), 0, DAY))
    floor.session(SessionState.CLOSED)
    assert ClearingEvent.TRANSFERRED in floor.market.codes(floor.review())
    floor.check()


def test_an_auction_waits_while_orders_of_a_spread_cannot_be_cancelled():
    """The spread closes before its months."""
    floor = spreading()
    floor.review(MINUTE)
    floor.market.tell(session_row(floor.market.tick(), SPREAD, SessionState.CLOSING, DAY))
    assert ClearingEvent.AUCTION_CLOSED not in floor.market.codes(floor.review(MINUTE))
    assert ClearingEvent.AUCTION_CLOSED not in floor.market.codes(floor.resume().review())
    floor.market.close()
    assert ClearingEvent.TRANSFERRED in floor.market.codes(floor.review())
    floor.check()


def test_the_auditor_knows_the_fees_of_lots_of_today():
    floor = Floor(terms(fees=Fees(2, 7, 50, 100, today_lot_micro=3, today_turnover_ppm=10)))
    for lots, effect in ((4, OPEN), (-1, CLOSE_TODAY)):
        floor.order(RICH, lots, 1_500, effect)
        floor.order(MAKER, -lots, 1_500)
    floor.market.close()
    (fee,) = [event[3] for event in floor.market.of(ClearingEvent.FEE) if event[2] == RICH]
    assert fee == 4 * 2 + 4 * 75_000 + 3 + 15_000
    floor.check()
