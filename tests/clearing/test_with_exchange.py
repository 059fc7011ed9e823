"""The clearing house behind the real exchange: whole days of orders, auctions, closes and settlements, to a contract's end."""

from collections import Counter
from random import Random

import pytest

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.rows import Row, code_of, flags_of
from ciyuan.clearing.messages import ClearingEvent, Life, final_row, settle_day_row, statements
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import (
    ExchangeEvent,
    FillFlag,
    OrderFlag,
    Refusal,
    SessionState,
    Side,
    cancel_row,
    close_day_row,
    mass_cancel_row,
    order_row,
    session_row,
)
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.plain import PlainLedger
from tests.clearing.floor import CALENDAR, CONTRACTS, DEC, NOV, OCT, SPOT, USD
from tests.clearing.recount import Recount, agrees
from tests.venue.chain import Chain

KINDS = (*(OrderFlag.LIMIT,) * 6, OrderFlag.MARKET, OrderFlag.FAK, OrderFlag.FOK)
MEAN = 1_503_217
FIRST, LAST = day_from_iso("2026-10-26"), day_from_iso("2026-10-30")


class Market:
    """An exchange and a clearing house over one ledger; orders are drawn from a seed."""

    def __init__(self, ledger: PlainLedger | Ledger, seed: int) -> None:
        cash = (40_000, 25_000, 60_000, 8_000, 4_000)
        self.floor = Chain(cash_usd=cash, receipts=60, capital_usd=1_000, ledger=ledger, contracts=CONTRACTS)
        self.chance = Random(seed)  # noqa: S311 (a flow is drawn, not a secret)
        self.ids = 0
        self.heard: list[Row] = []
        self.counts: Counter[str] = Counter()
        self.end(self.floor.day)
        self.heard.clear()

    @property
    def exchange(self) -> Exchange:
        return self.floor.exchange

    def say(self, command: Row) -> None:
        """One command to the exchange; the clearing house hears what it says."""
        said = [event for event in self.floor.say(command) if 300 < code_of(event[0]) < 400]
        for event in said:
            self.counts[ExchangeEvent(code_of(event[0])).name] += 1
            if code_of(event[0]) == ExchangeEvent.REFUSED:
                self.counts[Refusal(event[7]).name] += 1
        self.heard += said
        assert not self.floor.differences()

    def session(self, state: SessionState) -> None:
        self.say(session_row(self.floor.tick(), 0, state, self.floor.day))

    def end(self, day: int) -> None:
        """The exchange's part of a day's end."""
        self.session(SessionState.CLOSING)
        self.session(SessionState.SETTLEMENT)
        self.say(close_day_row(self.floor.tick(), 0, day))
        self.session(SessionState.CLOSED)

    def order(self, kinds: tuple[OrderFlag, ...] = KINDS) -> None:
        chance, contract = self.chance, self.chance.choice((SPOT, OCT, NOV, DEC))
        kind, side = chance.choice(kinds), chance.choice((Side.BUY, Side.SELL))
        price = self.floor.house.settlement_ticks(contract) + chance.randint(-12, 12)
        self.ids += 1
        price = 0 if kind == OrderFlag.MARKET else price
        command = order_row(
            self.floor.tick(),
            chance.randint(1, 6),
            self.ids,
            contract,
            side,
            price,
            chance.randint(1, 9),
            kind=kind,
        )
        for _ in range(chance.choice((1, 1, 1, 2))):
            self.say(command)

    def trade(self, orders: int) -> None:
        for _ in range(orders):
            self.order()
            if self.chance.random() < 0.2:
                self.say(
                    cancel_row(self.floor.tick(), self.chance.randint(1, 5), self.chance.randint(1, self.ids))
                )
            if self.chance.random() < 0.02:
                self.say(mass_cancel_row(self.floor.tick(), self.chance.randint(1, 5)))

    def day(self, day: int, orders: int) -> None:
        """An auction, continuous trading, the close, the settlement."""
        self.floor.day, self.floor.time_ns = day, CALENDAR.ns_at(day, "09:00")
        self.session(SessionState.AUCTION_ENTRY)
        for _ in range(orders // 4):
            self.order((OrderFlag.LIMIT,))
        self.session(SessionState.AUCTION_MATCH)
        self.session(SessionState.CONTINUOUS)
        self.trade(orders)
        self.floor.house.check()
        self.end(day)
        assert self.floor.tell(settle_day_row(self.floor.tick(), day))


def played(ledger: PlainLedger | Ledger, seed: int, orders: int = 120) -> Market:
    market = Market(ledger, seed)
    for day in CALENDAR.business_days(FIRST, LAST):
        market.day(day, orders)
        market.floor.house.check()
    market.floor.tell(final_row(market.floor.tick(), OCT, MEAN, LAST))
    return market


@pytest.fixture(scope="module")
def market() -> Market:
    return played(PlainLedger(), 7)


def test_every_kind_of_thing_happened(market: Market):
    for name in (
        "ACCEPTED",
        "FILLED",
        "CANCELLED",
        "AUCTION_PRICED",
        "SETTLEMENT_PRICE",
        "REPEATED",
        "UNKNOWN_ACCOUNT",
        "MARGIN",
    ):
        assert market.counts[name] > 3, name
    said = Counter(
        ClearingEvent(code).name
        for code in map(code_of, (event[0] for event in market.floor.said))
        if code in frozenset(ClearingEvent)
    )
    assert min(said[name] for name in ("NOVATED", "VARIATION", "FEE", "MARGIN_CALL", "FINAL_SETTLED")) > 0


def test_positions_are_what_was_filled(market: Market):
    lots: Counter[tuple[int, int]] = Counter()
    for event in market.heard:
        if code_of(event[0]) == ExchangeEvent.FILLED:
            lots[event[2], event[4]] += -event[6] if flags_of(event[0]) & FillFlag.SIDE_SELL else event[6]
    house = market.floor.house
    for number in market.floor.members:
        assert [house.position(number, contract) for contract in (OCT, NOV, DEC)] == [
            0,
            lots[number, NOV],
            lots[number, DEC],
        ]
        assert market.floor.ledger.posted(market.floor.purse(number)) == 60 + lots[number, SPOT]
    assert house.life(OCT) == Life.SETTLED


def test_after_the_close_nothing_is_open_and_nothing_held(market: Market):
    house, ledger = market.floor.house, market.floor.ledger
    assert not any(
        any(house.open_lots(number, contract))
        for number in market.floor.members
        for contract in (SPOT, OCT, NOV, DEC)
    )
    assert not any(ledger.account(account).debits_pending for account in range(1, ledger.account_count + 1))
    assert len(house.snapshot()["orders"]) == 0


def test_every_statement_reconciles_and_all_money_is_there(market: Market):
    found = list(statements(market.floor.said))
    assert all(told.explained_micro == told.closing_micro for told in found)
    assert len(found) == 6 * 5
    last = {told.participant: told.closing_micro for told in found}
    assert last == {number: market.floor.money(number) for number in market.floor.members}
    assert sum(told.bought_micro - told.sold_micro for told in found) == 0
    assert sum(told.variation_micro for told in found) == 0
    deposited = sum(told.transferred_micro for told in found)
    assert deposited == (40_000 + 25_000 + 60_000 + 8_000 + 4_000) * USD
    assert deposited == sum(last.values()) + sum(told.fees_micro - told.lent_micro for told in found)


def test_every_statement_is_the_textbooks(market: Market):
    """Fills, prices and the ledger alone give the same statements, the final settlement's too."""
    found, floor = list(statements(market.floor.said)), market.floor
    moves = floor.ledger.transfers.tolist()
    prices: dict[int, dict[int, int]] = {}
    for event in market.heard:
        if code_of(event[0]) == ExchangeEvent.SETTLEMENT_PRICE:
            prices.setdefault(event[4], {})[event[2]] = event[3]
    times = sorted({event[1] for event in floor.events(ClearingEvent.STATEMENT_CLOSING)})
    assert len(times) == len(prices) + 1
    for number in floor.members:
        recount = Recount(number, floor.cash(number), floor.contracts, floor.terms)
        mine = [told for told in found if told.participant == number]
        for time_ns, told in zip(times, mine, strict=True):
            last = time_ns == times[-1]
            heard = [event for event in market.heard if event[1] <= time_ns]
            moved = [move for move in moves if move[1] <= time_ns]
            lines = recount.day(
                heard, moved, {} if last else prices[told.trading_day], {OCT: MEAN} if last else {}
            )
            assert agrees(lines, told), (lines, told)


@pytest.mark.parametrize("seed", [11, 12])
def test_over_the_compiled_ledger_it_is_the_same(seed: int):
    plain, compiled = played(PlainLedger(), seed, 60), played(Ledger(), seed, 60)
    assert plain.floor.said == compiled.floor.said
    assert plain.heard == compiled.heard
    for one, other in ((plain.floor.house, compiled.floor.house), (plain.exchange, compiled.exchange)):
        assert one.state_hash() == other.state_hash()
    assert plain.floor.ledger.state_hash() == compiled.floor.ledger.state_hash()
