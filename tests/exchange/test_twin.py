"""The exchange and its naive twin hear the same commands and say and hold the same, after every one."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, Row
from ciyuan.exchange import (
    CancelCause,
    ExchangeEvent,
    FillFlag,
    Refusal,
    SessionState,
    SettlementMethod,
    Side,
)
from ciyuan.exchange.machine import Exchange
from tests.exchange.flows import CONTRACTS, FIRST_DAY, Gate, Move, Player, moves, moves_of
from tests.exchange.naive import NaiveExchange


class Twins:
    """Both exchanges, and what was said so far."""

    def __init__(self) -> None:
        self.real = Exchange(CONTRACTS, Gate())
        self.naive = NaiveExchange(CONTRACTS, Gate())
        self.player = Player(self.naive)
        self.rows: list[Row] = []
        self.events: list[Row] = []

    def play(self, move: Move) -> None:
        row = self.player.row(move)
        said: list[Row] = []
        self.real.apply_one(row, said)
        assert said == self.naive.apply_one(row), f"command {len(self.rows)}: {row}"
        self.rows.append(row)
        self.events += said
        self.check_state()

    def check_state(self) -> None:
        for number, market in self.naive.markets.items():
            view = self.real.book(number)
            assert (view.state, view.trading_day, view.limits) == (market.state, market.day, market.limits)
            for side in Side:
                book = self.naive.book(market, sell=bool(side))
                assert view.queue(side) == [(o.account, o.order_id, o.limit, o.left) for o in book]
                levels = Counter[int]()
                for order in book:
                    levels[order.limit] += order.left
                assert [(level.price_ticks, level.lots) for level in view.levels(side)] == list(
                    levels.items()
                )
            trades = market.trades.get(market.day, [])
            assert view.volume == sum(lots for _, lots in trades)
            assert view.turnover == sum(price * lots for price, lots in trades)
            if market.state == SessionState.CONTINUOUS and view.best_ask:
                assert view.best_bid < view.best_ask


@settings(max_examples=40, deadline=None)
@given(st.lists(moves, min_size=20, max_size=100))
def test_the_twins_agree_after_every_command(played):
    twins = Twins()
    for move in played:
        twins.play(move)
    assert twins.real.apply(np.empty((0, 8), dtype=np.int64)).shape == (0, 8)


@pytest.fixture(scope="module")
def flows():
    """Flows of several days each, played on both."""
    played = []
    for seed in range(5):
        twins = Twins()
        for move in moves_of(seed, 1_600):
            twins.play(move)
        played.append(twins)
    return played


def said(flows: list[Twins], event: ExchangeEvent, word: int) -> set[int]:
    """What a word of an event ever was."""
    return {row[word] for twins in flows for row in twins.events if row[0] & CODE_MASK == event}


def test_the_twins_agree_over_many_days(flows):
    for twins in flows:
        days = [twins.real.book(number).trading_day for number in (1, 2, 3, 4)]
        assert max(days) > FIRST_DAY + 1, "a flow of several days"


def test_the_flows_say_everything_there_is_to_say(flows):
    assert {row[0] & CODE_MASK for twins in flows for row in twins.events} == set(ExchangeEvent)
    assert said(flows, ExchangeEvent.CANCELLED, 5) == set(CancelCause)
    assert said(flows, ExchangeEvent.SETTLEMENT_PRICE, 5) == set(SettlementMethod)
    assert said(flows, ExchangeEvent.SESSION_CHANGED, 3) == set(SessionState)
    assert len(said(flows, ExchangeEvent.REFUSED, 7)) > len(Refusal) * 4 // 5


def test_a_batch_is_its_rows_one_by_one(flows):
    twins = flows[0]
    rows = np.array(twins.rows, dtype=np.int64)
    whole, cut = Exchange(CONTRACTS, Gate()), Exchange(CONTRACTS, Gate())
    events = whole.apply(rows)
    pieces = [cut.apply(piece) for piece in np.array_split(rows, 37)]
    assert events.tolist() == np.concatenate(pieces).tolist() == [list(event) for event in twins.events]
    assert whole.state_hash() == cut.state_hash() == twins.real.state_hash()


@pytest.mark.parametrize("every", [97, 211])
def test_a_restored_exchange_has_the_same_future(flows, every):
    for twins in flows[:2]:
        exchange = Exchange(CONTRACTS, Gate())
        events: list[Row] = []
        for count, row in enumerate(twins.rows):
            exchange.apply_one(row, events)
            if count % every == 0:
                other = Exchange(CONTRACTS, Gate())
                other.restore(exchange.snapshot())
                assert other.state_hash() == exchange.state_hash()
                exchange = other
        assert events == twins.events
        assert exchange.state_hash() == twins.real.state_hash()


def test_every_lot_is_filled_left_or_cancelled(flows):
    for twins in flows:
        lots = Counter[tuple[int, int, int]]()
        for kind, _, account, order_id, contract, _, some, _ in twins.events:
            match kind & CODE_MASK:
                case ExchangeEvent.ACCEPTED:
                    lots[account, order_id, contract] += some
                case ExchangeEvent.FILLED | ExchangeEvent.CANCELLED:
                    lots[account, order_id, contract] -= some
        left = Counter[tuple[int, int, int]]()
        for number in (1, 2, 3, 4):
            for side in Side:
                for account, order_id, _, some in twins.real.book(number).queue(side):
                    left[account, order_id, number] += some
        assert +lots == left
        assert min(lots.values()) == 0


def test_trades_are_numbered_and_have_two_sides_of_two_accounts(flows):
    for twins in flows:
        fills = [row for row in twins.events if row[0] & CODE_MASK == ExchangeEvent.FILLED]
        pairs = list(zip(fills[::2], fills[1::2], strict=True))
        assert [first[7] for first, _ in pairs] == list(range(1, len(pairs) + 1))
        for first, second in pairs:
            assert first[4:] == second[4:]
            assert first[2] != second[2]
            flags = [FillFlag(row[0] >> FLAG_SHIFT) for row in (first, second)]
            assert [bool(flag & FillFlag.TAKER) for flag in flags] == [False, True]
            assert bool(flags[0] & FillFlag.SIDE_SELL) != bool(flags[1] & FillFlag.SIDE_SELL)
