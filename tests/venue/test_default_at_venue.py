"""A default as the exchange meets it (§10.1): what the member may still do, and what is done in its name."""

from dataclasses import replace

import pytest

from ciyuan.basics.rows import Row, code_of
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingTerms,
    DefaultTerms,
    Standing,
    pledge_row,
    review_row,
)
from ciyuan.exchange.messages import ExchangeEvent, OrderFlag, Refusal, Side, kill_row, order_row
from ciyuan.venue.machine import HOUSE_ORDER_IDS
from ciyuan.venue.messages import Purse, VenueCommand, VenueEvent, VenueRefusal
from ciyuan.venue.terms import house_accounts
from tests.venue.market import ADA, EVE, GRADES, KIMI, OCT, SPOT, TERMS, TRADER, USD, Market

POOR = 7
CLOSE_OUT = DefaultTerms(
    call_ns=1, slice_bp=10_000, slice_ns=1, slices_max=2, slip_bp=900, auction_ns=60 * 10**9
)


class Failing(Market):
    """A market in which a seventh member is 4 lots long and has nothing to spare when the price falls by a tenth."""

    def __init__(self, default: DefaultTerms = CLOSE_OUT) -> None:
        super().__init__(replace(TERMS, clearing=ClearingTerms(house_accounts(GRADES), default=default)))
        self.join()
        self.ask(VenueCommand.PARTICIPANT, POOR, int(TRADER), 0, 2, 0)
        self.ask(VenueCommand.DEPOSIT, self.new_key(), POOR, Purse.CASH, 10_000 * USD)
        self.open()
        self.order(ADA, OCT, -4, 1500)
        self.order(POOR, OCT, 4, 1500)
        spare = self.venue.clearing.excess_micro(POOR) - USD
        assert (
            self.answer(VenueCommand.WITHDRAW, self.new_key(), POOR, Purse.CASH, spare)
            == VenueEvent.WITHDRAWN
        )

    def fall(self) -> None:
        """A trade at 1.400, after which the poor member is short."""
        self.order(ADA, OCT, -1, 1400)
        self.order(EVE, OCT, 1, 1400)

    def review(self, wait_ns: int = 0) -> list[Row]:
        self.now += wait_ns
        return self.tell(review_row(self.tick()))

    def default(self) -> list[Row]:
        self.fall()
        self.review()
        said = self.review(10)
        assert self.venue.clearing.standing(POOR) == Standing.DEFAULTED
        return said

    def refusal(self, said: list[Row]) -> Refusal | None:
        found = [event for event in said if code_of(event[0]) == ExchangeEvent.REFUSED]
        return Refusal(found[0][7]) if found else None


def test_a_slice_trades_with_who_bids_and_closes_the_position():
    market = Failing()
    market.order(EVE, OCT, 4, 1350)
    said = market.default()
    sliced = [event for event in said if code_of(event[0]) == ClearingEvent.SLICED]
    assert [(event[2], event[4]) for event in sliced] == [(POOR, -4)]
    assert market.venue.clearing.position(POOR, OCT) == 0
    assert market.venue.exchange.requirement_micro(POOR) == 0


@pytest.mark.parametrize("lots", [-4, 4])
def test_who_is_in_default_trades_nothing_itself(lots: int):
    """Not even to close: an order far from the market would stand in the way of the slices, and could turn the position."""
    market = Failing()
    market.default()
    assert market.refusal(market.order(POOR, OCT, lots, 1650 if lots < 0 else 1350)) == Refusal.NOT_PERMITTED
    market.tell(kill_row(market.tick(), POOR, on=False))
    assert market.refusal(market.order(POOR, OCT, lots, 1400)) == Refusal.NOT_PERMITTED


def test_who_is_in_default_takes_no_money_out():
    market = Failing()
    market.default()
    market.ask(VenueCommand.DEPOSIT, market.new_key(), POOR, Purse.CASH, 9_000 * USD)
    taken = market.answer(VenueCommand.WITHDRAW, market.new_key(), POOR, Purse.CASH, USD)
    assert taken == VenueRefusal.NEEDED_AS_MARGIN


def test_the_venues_order_ids_are_not_for_others():
    market = Failing()
    row = order_row(market.tick(), EVE, HOUSE_ORDER_IDS, OCT, Side.BUY, 1400, 1, kind=OrderFlag.LIMIT)
    (said,) = market.tell(row)
    assert (code_of(said[0]), said[7]) == (VenueEvent.REFUSED, VenueRefusal.UNKNOWN_COMMAND)
    below = order_row(market.tick(), EVE, HOUSE_ORDER_IDS - 1, OCT, Side.BUY, 1400, 1, kind=OrderFlag.LIMIT)
    assert market.refusal(market.tell(below)) is None


def test_a_slice_is_as_many_orders_as_the_contract_needs():
    contracts = tuple(
        replace(contract, max_lots_per_order=3) if contract.number == OCT else contract
        for contract in TERMS.contracts
    )
    market = Failing.__new__(Failing)
    Market.__init__(
        market,
        replace(
            TERMS, contracts=contracts, clearing=ClearingTerms(house_accounts(GRADES), default=CLOSE_OUT)
        ),
    )
    market.join()
    market.ask(VenueCommand.PARTICIPANT, POOR, int(TRADER), 0, 2, 0)
    market.ask(VenueCommand.DEPOSIT, market.new_key(), POOR, Purse.CASH, 10_000 * USD)
    market.open()
    for lots in (3, 3, 1):
        market.order(ADA, OCT, -lots, 1500)
        market.order(POOR, OCT, lots, 1500)
    spare = market.venue.clearing.excess_micro(POOR) - USD
    market.answer(VenueCommand.WITHDRAW, market.new_key(), POOR, Purse.CASH, spare)
    said = market.default()
    sliced = [event for event in said if code_of(event[0]) == ClearingEvent.SLICED]
    assert [event[4] for event in sliced] == [-3, -3, -1]
    assert market.refusal(said) is None


def test_collateral_does_not_pay_for_receipts():
    """What the exchange admits is paid when it is accepted: a spot buy needs cash, whatever stands behind futures."""
    market = Market()
    market.join()
    market.receipts(ADA)
    market.open()
    market.tell(pledge_row(market.tick(), ADA, KIMI, 900))
    cash = market.venue.ledger.available(TERMS.chart.purse(ADA, Purse.CASH))
    assert (
        market.answer(VenueCommand.WITHDRAW, market.new_key(), ADA, Purse.CASH, cash - USD)
        == VenueEvent.WITHDRAWN
    )
    refused = [
        event for event in market.order(ADA, SPOT, 400, 1500) if code_of(event[0]) == ExchangeEvent.REFUSED
    ]
    assert [event[7] for event in refused] == [Refusal.MARGIN]
    assert not [
        event for event in market.order(ADA, OCT, 1, 1500) if code_of(event[0]) == ExchangeEvent.REFUSED
    ]
