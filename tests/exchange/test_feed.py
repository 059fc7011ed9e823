"""The feed on hand-made events. What it makes of a live exchange is in test_feed_live.py."""

import pytest

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import Row, kind_word, row
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.exchange import (
    AmendFlag,
    Contract,
    ContractKind,
    ExchangeEvent,
    FillFlag,
    Level,
    OrderFlag,
    SessionState,
    SettlementMethod,
    Side,
)
from ciyuan.exchange.auction import AuctionPrice
from ciyuan.exchange.feed import Feed
from ciyuan.exchange.feed_levels import LevelBook, LevelDelta, Top
from ciyuan.exchange.feed_orders import StandingOrder
from ciyuan.exchange.feed_status import LimitLock, Settlement
from ciyuan.exchange.feed_tape import Bar, DayFigures, Trade, TradeFlag
from ciyuan.exchange.messages import LEFT_BEFORE_SHIFT

BUY, SELL = Side.BUY, Side.SELL
DAY = day_from_iso("2026-10-12")
NOW = 10**18
NEAR, FAR, SPREAD, OTHER = 1, 2, 3, 4
ALICE, BOB, CAROL = 7_000_001, 7_000_002, 7_000_003


def listed(number: int, **given: int) -> Contract:
    kind = ContractKind.SPREAD if given.get("near") else ContractKind.CASH_FUTURE
    return Contract(
        number, f"C{number}", kind, 1, 1000, 1000, DAY - 7, DAY + 70, 202609 + number, 1000, 100, 50, **given
    )


CONTRACTS = (listed(NEAR), listed(FAR), listed(SPREAD, near=NEAR, far=FAR), listed(OTHER))


def accepted(account: int, order_id: int, contract: int, side: Side, price: int, lots: int, *,
             flags: OrderFlag = OrderFlag.LIMIT, second: int = 0, last_day: int = 0) -> Row:  # fmt: skip
    words = (account, order_id, contract | last_day << 32, price, lots, second)
    return row(kind_word(ExchangeEvent.ACCEPTED, side | flags), NOW, words)


def filled(
    flags: int,
    account: int,
    order_id: int,
    contract: int,
    price: int,
    lots: int,
    trade: int,
    now: int = NOW,
) -> Row:
    return row(kind_word(ExchangeEvent.FILLED, flags), now, (account, order_id, contract, price, lots, trade))


def cancelled(account: int, order_id: int, contract: int, left: int) -> Row:
    return row(kind_word(ExchangeEvent.CANCELLED), NOW, (account, order_id, contract, 1, left))


def amended(
    flags: int, account: int, order_id: int, contract: int, price: int, lots: int, left: int, before: int
) -> Row:
    word = contract | before << LEFT_BEFORE_SHIFT
    return row(kind_word(ExchangeEvent.AMENDED, flags), NOW, (account, order_id, word, price, lots, left))


def level(contract: int, side: Side, price: int, lots: int, orders: int, sequence: int) -> Row:
    return row(kind_word(ExchangeEvent.LEVEL, side), NOW, (contract, price, lots, orders, sequence))


def session(
    contract: int, state: SessionState, day: int = DAY, lower: int = 90, upper: int = 110, end: int = 0
) -> Row:
    return row(kind_word(ExchangeEvent.SESSION_CHANGED), NOW, (contract, state, day, lower, upper, end))


def event(code: ExchangeEvent, *words: int, flags: int = 0) -> Row:
    return row(kind_word(code, flags), NOW, words)


def trade(contract: int, price: int, lots: int, trade_id: int, now: int = NOW, *, flags: int = 0,
          first_leg: bool = False, second_leg: bool = False) -> list[Row]:  # fmt: skip
    """A trade of two orders that the feed need not know, for feeds that joined late: a seller comes to a buyer."""
    leg = FillFlag.LEG
    return [
        filled(flags | leg * first_leg, ALICE, 1, contract, price, lots, trade_id, now),
        filled(
            flags | FillFlag.SIDE_SELL | FillFlag.TAKER | leg * second_leg,
            BOB,
            1,
            contract,
            price,
            lots,
            trade_id,
            now,
        ),
    ]


def late_feed() -> Feed:
    """A feed that does not ask where an order came from."""
    feed = Feed(CONTRACTS)
    for contract in CONTRACTS:
        feed.restore(LevelBook(contract.number).snapshot())
    return feed


def numbers(feed: Feed, contract: int, side: Side) -> list[tuple[int, int, int]]:
    return [(order.number, order.price_ticks, order.lots) for order in feed.orders(contract, side)]


class TestLevels:
    def test_the_best_of_both_sides_and_the_levels_behind(self):
        feed = Feed(CONTRACTS)
        assert feed.top(NEAR) == Top(NEAR)
        feed.hear([
            level(NEAR, BUY, 99, 5, 2, 1),
            level(NEAR, SELL, 101, 4, 1, 2),
            level(NEAR, BUY, 98, 7, 3, 3),
            level(NEAR, SELL, 103, 1, 1, 4),
        ])  # fmt: skip
        assert feed.top(NEAR) == Top(NEAR, Level(99, 5, 2), Level(101, 4, 1))
        assert feed.top(NEAR).of(SELL) == Level(101, 4, 1)
        assert feed.levels(NEAR, BUY) == [Level(99, 5, 2), Level(98, 7, 3)]
        assert feed.levels(NEAR, SELL, 1) == [Level(101, 4, 1)]
        feed.hear([level(NEAR, BUY, 99, 0, 0, 5), level(NEAR, SELL, 101, 2, 1, 6)])
        assert feed.top(NEAR) == Top(NEAR, Level(98, 7, 3), Level(101, 2, 1))
        assert feed.top(FAR) == Top(FAR)

    def test_a_price_of_a_spread_may_be_negative_or_nothing(self):
        feed = Feed(CONTRACTS)
        feed.hear([level(SPREAD, side, price, 1, 1, 2 * place + side + 1)
                   for place, price in enumerate((-3, 0, -1)) for side in (BUY, SELL)])  # fmt: skip
        assert [shown.price_ticks for shown in feed.levels(SPREAD, BUY)] == [0, -1, -3]
        assert [shown.price_ticks for shown in feed.levels(SPREAD, SELL)] == [-3, -1, 0]

    def test_what_was_said_before_may_be_said_again(self):
        feed = Feed(CONTRACTS)
        feed.hear([level(NEAR, BUY, 99, 5, 2, 1)])
        news = feed.hear([level(NEAR, BUY, 99, 5, 2, 2), level(NEAR, SELL, 101, 0, 0, 3)])
        assert news.tops == ()
        assert [delta.sequence for delta in news.levels] == [2, 3]

    def test_who_joins_late_reaches_the_same_book(self):
        feed, client = Feed(CONTRACTS), LevelBook(NEAR)
        kept: list[LevelDelta] = []
        snapshot = feed.snapshot(NEAR)
        for sequence, price in enumerate((95, 99, 97, 95, 99, 96), 1):
            side, lots = Side(sequence % 2), sequence % 4
            kept += feed.hear([level(NEAR, side, price, lots, min(lots, 1), sequence)]).levels
            if sequence == 3:
                snapshot = feed.snapshot(NEAR)
        assert snapshot.sequence == 3
        client.restore(snapshot)
        assert [client.hear(delta) for delta in kept] == [False] * 3 + [True] * 3
        assert client.snapshot() == feed.snapshot(NEAR)

    def test_a_gap_is_malformed_and_names_both_numbers(self):
        client = LevelBook(NEAR)
        client.hear(LevelDelta(NOW, NEAR, 1, BUY, 99, 5, 1))
        with pytest.raises(Malformed, match=r"levels of contract 1, sequence: found 4, expected 2\. Restore"):
            client.hear(LevelDelta(NOW, NEAR, 4, BUY, 98, 5, 1))
        with pytest.raises(Malformed, match="levels, contract: found 2, expected 1"):
            client.hear(LevelDelta(NOW, FAR, 2, BUY, 98, 5, 1))
        assert (client.sequence, client.levels(BUY)) == (1, [Level(99, 5, 1)])

    def test_a_feed_that_misses_a_level_changes_nothing(self):
        feed = Feed(CONTRACTS)
        feed.hear([level(NEAR, BUY, 99, 5, 1, 1)])
        with pytest.raises(Malformed, match=r"contract 1, sequence: found 4, expected 3"):
            feed.hear(
                [
                    accepted(ALICE, 1, NEAR, BUY, 98, 5),
                    level(NEAR, BUY, 98, 5, 1, 2),
                    level(NEAR, BUY, 97, 5, 1, 4),
                ]
            )
        assert feed.snapshot(NEAR).sequence == 1
        assert feed.orders(NEAR, BUY) == []
        assert feed.hear([]).number == 2

    def test_a_snapshot_that_is_none_is_malformed(self):
        client, other = LevelBook(NEAR), LevelBook(FAR)
        with pytest.raises(Malformed, match="snapshot of levels, contract"):
            client.restore(other.snapshot())
        other.change(5, BUY, 99, 1, 1)
        twice = type(other.snapshot())(NEAR, 5, (Level(99, 1, 1), Level(99, 2, 1)), ())
        with pytest.raises(Malformed, match="each price once"):
            client.restore(twice)
        assert client.sequence == 0

    def test_a_contract_that_is_not_listed_is_malformed(self):
        feed = Feed(CONTRACTS)
        with pytest.raises(Malformed, match="contract: found 9"):
            feed.top(9)
        with pytest.raises(Malformed, match="contract: found 9"):
            feed.hear([level(9, BUY, 99, 1, 1, 1)])
        with pytest.raises(Malformed, match="contract: found 9"):
            feed.hear(trade(9, 99, 1, 1))


class TestOrders:
    def test_orders_are_numbered_and_queue_by_price_and_time(self):
        feed = Feed(CONTRACTS)
        feed.hear([
            accepted(ALICE, 11, NEAR, BUY, 98, 5),
            accepted(BOB, 11, NEAR, BUY, 99, 2, last_day=DAY),
            accepted(CAROL, 11, NEAR, BUY, 99, 3, flags=OrderFlag.GTC),
            accepted(ALICE, 12, NEAR, SELL, 101, 4),
            accepted(ALICE, 13, FAR, BUY, 90, 1),
        ])  # fmt: skip
        assert numbers(feed, NEAR, BUY) == [(2, 99, 2), (3, 99, 3), (1, 98, 5)]
        assert numbers(feed, NEAR, SELL) == [(4, 101, 4)]
        assert feed.orders(NEAR, SELL) == [StandingOrder(4, NEAR, SELL, 101, 4, 4)]

    def test_fills_and_cancels_take_lots_away(self):
        feed = Feed(CONTRACTS)
        feed.hear([accepted(ALICE, 1, NEAR, BUY, 99, 5), accepted(BOB, 1, NEAR, BUY, 99, 5)])
        news = feed.hear([
            accepted(CAROL, 1, NEAR, SELL, 99, 7),
            filled(FillFlag.DONE, ALICE, 1, NEAR, 99, 5, 1),
            filled(FillFlag.SIDE_SELL | FillFlag.TAKER, CAROL, 1, NEAR, 99, 5, 1),
            filled(0, BOB, 1, NEAR, 99, 2, 2),
            filled(FillFlag.SIDE_SELL | FillFlag.TAKER | FillFlag.DONE, CAROL, 1, NEAR, 99, 2, 2),
        ])  # fmt: skip
        assert numbers(feed, NEAR, BUY) == [(2, 99, 3)]
        assert feed.orders(NEAR, SELL) == []
        assert [(order.number, order.lots) for order in news.orders] == [(1, 0), (2, 3)], (
            "the taker never stood"
        )
        assert feed.hear([cancelled(BOB, 1, NEAR, 3)]).orders == (StandingOrder(2, NEAR, BUY, 99, 0, 2),)
        assert feed.orders(NEAR, BUY) == []

    def test_an_iceberg_shows_a_part_and_goes_to_the_back(self):
        feed = Feed(CONTRACTS)
        feed.hear([
            accepted(ALICE, 1, NEAR, SELL, 101, 10, flags=OrderFlag.ICEBERG, second=3),
            accepted(BOB, 1, NEAR, SELL, 101, 4),
        ])  # fmt: skip
        assert numbers(feed, NEAR, SELL) == [(1, 101, 3), (2, 101, 4)]
        feed.hear([
            accepted(CAROL, 1, NEAR, BUY, 101, 3),
            filled(FillFlag.SIDE_SELL, ALICE, 1, NEAR, 101, 3, 1),
            filled(FillFlag.TAKER | FillFlag.DONE, CAROL, 1, NEAR, 101, 3, 1),
            event(ExchangeEvent.RELOADED, ALICE, 1, NEAR, 101, 3, 7, flags=1),
        ])  # fmt: skip
        assert numbers(feed, NEAR, SELL) == [(2, 101, 4), (1, 101, 3)]
        feed.hear([amended(SELL | AmendFlag.KEPT, ALICE, 1, NEAR, 101, 5, 2, 7)])
        assert numbers(feed, NEAR, SELL) == [(2, 101, 4), (1, 101, 2)]

    def test_an_iceberg_that_arrives_shows_a_part_of_what_is_left(self):
        feed = Feed(CONTRACTS)
        feed.hear([
            accepted(ALICE, 1, NEAR, BUY, 101, 4),
            accepted(BOB, 1, NEAR, SELL, 101, 10, flags=OrderFlag.ICEBERG, second=5),
            filled(FillFlag.DONE, ALICE, 1, NEAR, 101, 4, 1),
            filled(FillFlag.SIDE_SELL | FillFlag.TAKER, BOB, 1, NEAR, 101, 4, 1),
        ])  # fmt: skip
        assert numbers(feed, NEAR, SELL) == [(2, 101, 5)]

    def test_an_iceberg_keeps_its_place_in_an_auction(self):
        feed = Feed(CONTRACTS)
        feed.hear([
            session(NEAR, SessionState.AUCTION_ENTRY),
            accepted(ALICE, 1, NEAR, SELL, 101, 10, flags=OrderFlag.ICEBERG, second=3),
            accepted(BOB, 1, NEAR, SELL, 101, 4),
            accepted(CAROL, 1, NEAR, BUY, 101, 8),
            session(NEAR, SessionState.AUCTION_MATCH),
            filled(FillFlag.SIDE_SELL | FillFlag.AUCTION, ALICE, 1, NEAR, 101, 8, 1),
            filled(FillFlag.TAKER | FillFlag.AUCTION | FillFlag.DONE, CAROL, 1, NEAR, 101, 8, 1),
            event(ExchangeEvent.RELOADED, ALICE, 1, NEAR, 101, 2, 2, flags=1),
        ])  # fmt: skip
        assert numbers(feed, NEAR, SELL) == [(1, 101, 2), (2, 101, 4)]

    @pytest.mark.parametrize(("flags", "queue"), [(AmendFlag.KEPT, [1, 2]), (AmendFlag(0), [2, 1])])
    def test_an_amended_order_keeps_its_place_or_not(self, flags, queue):
        feed = Feed(CONTRACTS)
        feed.hear([accepted(ALICE, 1, NEAR, BUY, 99, 5), accepted(BOB, 1, NEAR, BUY, 99, 5)])
        feed.hear([amended(flags, ALICE, 1, NEAR, 99, 4, 4, 5)])
        assert [number for number, _, _ in numbers(feed, NEAR, BUY)] == queue
        assert sum(lots for _, _, lots in numbers(feed, NEAR, BUY)) == 9

    def test_an_amended_order_moves_to_its_new_price(self):
        feed = Feed(CONTRACTS)
        feed.hear([accepted(ALICE, 1, NEAR, BUY, 97, 5), accepted(BOB, 1, NEAR, BUY, 98, 5)])
        feed.hear([amended(0, ALICE, 1, NEAR, 99, 8, 8, 5)])
        assert numbers(feed, NEAR, BUY) == [(1, 99, 8), (2, 98, 5)]

    def test_a_stop_is_shown_once_it_is_triggered(self):
        feed = Feed(CONTRACTS)
        news = feed.hear([
            accepted(ALICE, 1, NEAR, BUY, 103, 5, flags=OrderFlag.STOP, second=102),
            amended(0, ALICE, 1, NEAR, 104, 6, 6, 5),
            accepted(BOB, 1, NEAR, BUY, 104, 2),
        ])  # fmt: skip
        assert numbers(feed, NEAR, BUY) == [(2, 104, 2)]
        assert [order.number for order in news.orders] == [2]
        news = feed.hear([event(ExchangeEvent.TRIGGERED, ALICE, 1, NEAR, 102, 104)])
        assert numbers(feed, NEAR, BUY) == [(2, 104, 2), (1, 104, 6)]
        assert [order.number for order in news.orders] == [1]
        feed.hear(
            [
                accepted(CAROL, 1, NEAR, SELL, 90, 5, flags=OrderFlag.STOP, second=95),
                cancelled(CAROL, 1, NEAR, 5),
            ]
        )
        assert feed.orders(NEAR, SELL) == []

    def test_a_spread_order_loses_the_lots_of_its_near_leg(self):
        feed = Feed(CONTRACTS)
        leg, taker = FillFlag.LEG, FillFlag.TAKER
        feed.hear([
            accepted(ALICE, 1, SPREAD, BUY, -2, 5),
            accepted(BOB, 1, SPREAD, SELL, -2, 3),
            filled(leg, ALICE, 1, NEAR, 98, 3, 1),
            filled(leg | taker | FillFlag.SIDE_SELL | FillFlag.DONE, BOB, 1, NEAR, 98, 3, 1),
            filled(leg | FillFlag.SIDE_SELL, ALICE, 1, FAR, 100, 3, 2),
            filled(leg | taker | FillFlag.DONE, BOB, 1, FAR, 100, 3, 2),
            event(ExchangeEvent.SPREAD_TRADED, SPREAD, -2, 3, 1, 2, flags=1),
        ])  # fmt: skip
        assert numbers(feed, SPREAD, BUY) == [(1, -2, 2)]
        assert feed.orders(SPREAD, SELL) == []

    def test_an_order_of_which_nothing_was_heard_is_malformed(self):
        with pytest.raises(Malformed, match="event of an order"):
            Feed(CONTRACTS).hear([cancelled(ALICE, 1, NEAR, 3)])

    def test_who_joined_late_does_not_show_orders(self):
        feed = late_feed()
        feed.hear([cancelled(ALICE, 1, NEAR, 3)])
        with pytest.raises(Malformed, match="joined late"):
            feed.orders(NEAR, BUY)


class TestTape:
    def test_a_trade_is_told_without_names(self):
        feed = late_feed()
        news = feed.hear(trade(NEAR, 99, 3, 41))
        assert news.trades == (Trade(NOW, NEAR, 41, 99, 3, SELL),)
        assert feed.trades(NEAR) == [Trade(NOW, NEAR, 41, 99, 3, SELL)]
        assert feed.trades(FAR) == []

    def test_no_one_is_the_aggressor_of_an_auction_or_of_forced_reduction(self):
        feed = late_feed()
        feed.hear(
            [*trade(NEAR, 99, 3, 1, flags=FillFlag.AUCTION), *trade(NEAR, 90, 2, 2, flags=FillFlag.FORCED)]
        )
        auction, forced = feed.trades(NEAR)
        assert (auction.aggressor, auction.flags, auction.counts) == (None, TradeFlag.AUCTION, True)
        assert (forced.aggressor, forced.flags, forced.counts) == (None, TradeFlag.FORCED, False)
        assert feed.day(NEAR).volume == 3

    def test_forced_reduction_fills_no_order(self):
        feed = Feed(CONTRACTS)
        feed.hear([accepted(ALICE, 1, NEAR, BUY, 99, 5)])
        feed.hear([
            filled(FillFlag.FORCED, ALICE, 0, NEAR, 90, 2, 1),
            filled(FillFlag.FORCED | FillFlag.SIDE_SELL | FillFlag.TAKER, BOB, 0, NEAR, 90, 2, 1),
        ])  # fmt: skip
        assert numbers(feed, NEAR, BUY) == [(1, 99, 5)]

    def test_trades_of_two_spread_orders_count_in_the_spread_alone(self):
        feed = late_feed()
        feed.hear([
            *trade(NEAR, 98, 3, 1, first_leg=True, second_leg=True),
            *trade(FAR, 100, 3, 2, first_leg=True, second_leg=True),
            event(ExchangeEvent.SPREAD_TRADED, SPREAD, -2, 3, 1, 2, flags=1),
        ])  # fmt: skip
        assert [trade.flags for trade in feed.trades(NEAR) + feed.trades(FAR)] == [TradeFlag.LEG] * 2
        assert feed.bars(NEAR, NS_PER_MINUTE) == []
        assert feed.day(NEAR).trades == 0
        assert feed.trades(SPREAD) == [Trade(NOW, SPREAD, 1, -2, 3, SELL, far_trade_id=2)]
        assert feed.day(SPREAD) == DayFigures(0, -2, -2, -2, -2, 3, -6, 1)

    @pytest.mark.parametrize(
        ("first_leg", "second_leg", "aggressor"), [(False, True, SELL), (True, False, BUY)]
    )
    def test_the_aggressor_of_an_implied_trade_is_who_came(self, first_leg, second_leg, aggressor):
        """A spread order that sells: it came to two orders, or it stood when an order came for one of its legs."""
        feed = late_feed()
        feed.hear([
            *trade(NEAR, 98, 3, 1, first_leg=first_leg, second_leg=second_leg),
            *trade(FAR, 100, 3, 2, second_leg=True),
            event(ExchangeEvent.SPREAD_TRADED, SPREAD, -2, 3, 1, 2, flags=1),
        ])  # fmt: skip
        assert feed.trades(SPREAD)[0].aggressor == aggressor
        assert feed.trades(NEAR)[0].flags == TradeFlag.IMPLIED
        assert feed.day(NEAR).volume == feed.day(FAR).volume == 3

    def test_bars(self):
        feed = late_feed()
        start = NOW - NOW % NS_PER_MINUTE
        at = [
            start,
            start + 30 * NS_PER_SECOND,
            start + NS_PER_MINUTE - 1,
            start + NS_PER_MINUTE,
            start + NS_PER_HOUR,
        ]
        for trade_id, (now, price, lots) in enumerate(
            zip(at, (99, 102, 98, 100, 97), (1, 2, 3, 4, 5), strict=True), 1
        ):
            feed.hear(trade(NEAR, price, lots, trade_id, now))
        feed.hear(trade(NEAR, 90, 9, 6, at[-1], flags=FillFlag.FORCED))
        turnover = 99 + 2 * 102 + 3 * 98
        assert feed.bars(NEAR, NS_PER_MINUTE) == [
            Bar(start, start + NS_PER_MINUTE, 99, 102, 98, 98, 6, turnover, 3),
            Bar(start + NS_PER_MINUTE, start + 2 * NS_PER_MINUTE, 100, 100, 100, 100, 4, 400, 1),
            Bar(at[-1], at[-1] + NS_PER_MINUTE, 97, 97, 97, 97, 5, 485, 1),
        ]
        (hours,) = [bar for bar in feed.bars(NEAR, 4 * NS_PER_HOUR, 8 * NS_PER_HOUR) if bar.start_ns <= start]
        assert (hours.start_ns + 8 * NS_PER_HOUR) % (4 * NS_PER_HOUR) == 0
        with pytest.raises(Malformed, match="interval"):
            feed.bars(NEAR, 0)

    def test_the_figures_are_the_days(self):
        feed = late_feed()
        feed.hear([session(NEAR, SessionState.CONTINUOUS), *trade(NEAR, 99, 3, 1), *trade(NEAR, 97, 2, 2)])
        assert feed.day(NEAR) == DayFigures(DAY, 99, 99, 97, 97, 5, 99 * 3 + 97 * 2, 2)
        feed.hear([session(NEAR, SessionState.CLOSING), session(NEAR, SessionState.CLOSED)])
        assert feed.day(NEAR).volume == 5
        feed.hear([session(NEAR, SessionState.CONTINUOUS, DAY + 1)])
        assert feed.day(NEAR) == DayFigures(DAY + 1, last_ticks=97)
        assert len(feed.trades(NEAR)) == 2

    def test_the_tape_may_be_cut(self):
        feed = late_feed()
        feed.hear(trade(NEAR, 99, 3, 1) + trade(NEAR, 97, 2, 2, NOW + 5))
        feed.forget_trades(NOW + 1)
        assert [trade.trade_id for trade in feed.trades(NEAR)] == [2]
        assert feed.day(NEAR).volume == 5

    def test_a_missing_trade_is_malformed(self):
        feed = late_feed()
        feed.hear(trade(NEAR, 99, 3, 41))
        with pytest.raises(Malformed, match="trade id: found 43, expected 42"):
            feed.hear(trade(NEAR, 99, 3, 43))
        with pytest.raises(Malformed, match="trade id: found 43, expected 42"):
            feed.hear([*trade(NEAR, 99, 3, 42)[:1], *trade(NEAR, 99, 3, 43)])
        feed.hear(trade(NEAR, 99, 3, 42)[:1])
        assert feed.hear(trade(NEAR, 99, 3, 42)[1:]).trades[0].trade_id == 42


class TestStatus:
    def test_the_session_and_its_limits(self):
        feed = Feed(CONTRACTS)
        assert feed.status(NEAR).state == SessionState.CLOSED
        news = feed.hear([session(NEAR, SessionState.AUCTION_ENTRY, end=NOW + 5)])
        (status,) = news.statuses
        assert status == feed.status(NEAR)
        assert (status.state, status.trading_day, status.auction_end_ns) == (
            SessionState.AUCTION_ENTRY,
            DAY,
            NOW + 5,
        )
        assert (status.lower_ticks, status.upper_ticks) == (90, 110)
        feed.hear([event(ExchangeEvent.LIMITS, NEAR, 85, 115, 1500)])
        assert (feed.status(NEAR).lower_ticks, feed.status(NEAR).upper_ticks) == (85, 115)

    def test_an_auction_is_indicated_then_priced(self):
        feed = Feed(CONTRACTS)
        feed.hear(
            [session(NEAR, SessionState.AUCTION_ENTRY), event(ExchangeEvent.INDICATIVE, NEAR, 99, 5, -2)]
        )
        assert feed.status(NEAR).indicative == AuctionPrice(99, 5, -2)
        feed.hear([session(NEAR, SessionState.AUCTION_FREEZE)])
        assert feed.status(NEAR).indicative == AuctionPrice(99, 5, -2)
        feed.hear([event(ExchangeEvent.INDICATIVE, NEAR, 0, 0, 0)])
        assert feed.status(NEAR).indicative is None
        feed.hear([
            event(ExchangeEvent.INDICATIVE, NEAR, 100, 6, 0),
            session(NEAR, SessionState.AUCTION_MATCH),
            event(ExchangeEvent.AUCTION_PRICED, NEAR, 100, 6, 0),
            session(NEAR, SessionState.CONTINUOUS),
        ])  # fmt: skip
        status = feed.status(NEAR)
        assert (status.indicative, status.auctioned) == (None, AuctionPrice(100, 6, 0))

    def test_the_settlement_price_and_a_lock(self):
        feed = Feed(CONTRACTS)
        feed.hear([
            session(NEAR, SessionState.SETTLEMENT),
            event(ExchangeEvent.SETTLEMENT_PRICE, NEAR, 110, DAY, SettlementMethod.TRADES, 125, 95),
            event(ExchangeEvent.LIMIT_LOCKED, NEAR, 1, 2, 1300, 1500, DAY),
        ])  # fmt: skip
        status = feed.status(NEAR)
        assert status.settlement == Settlement(110, DAY, SettlementMethod.TRADES)
        assert (status.lower_ticks, status.upper_ticks) == (95, 125)
        assert status.lock == LimitLock(1, 2, 1300, 1500, DAY)
        feed.hear([event(ExchangeEvent.REDUCED, NEAR, 125, 10, 2, 3)])
        assert feed.status(NEAR).lock is None
        feed.hear([event(ExchangeEvent.LIMIT_LOCKED, NEAR, 1, 2, 1300, 1500, DAY)])
        feed.hear([event(ExchangeEvent.SETTLEMENT_PRICE, NEAR, 110, DAY, SettlementMethod.TRADES, 125, 95)])
        assert feed.status(NEAR).lock is None


class TestImplied:
    def feed(self, *states: SessionState) -> Feed:
        feed = Feed(CONTRACTS)
        states = states or (SessionState.CONTINUOUS,) * 3
        feed.hear([session(number, state) for number, state in zip((NEAR, FAR, SPREAD), states, strict=True)])
        feed.hear([
            level(NEAR, BUY, 98, 4, 2, 1), level(NEAR, SELL, 101, 3, 1, 2),
            level(FAR, BUY, 102, 5, 1, 1), level(FAR, SELL, 104, 7, 3, 2),
            level(SPREAD, BUY, -5, 2, 1, 1), level(SPREAD, SELL, -2, 6, 2, 2),
        ])  # fmt: skip
        return feed

    def test_the_table_of_the_rule(self):
        feed = self.feed()
        assert feed.implied(SPREAD) == Top(SPREAD, Level(98 - 104, 4, 0), Level(101 - 102, 3, 0))
        assert feed.implied(NEAR) == Top(NEAR, Level(-5 + 102, 2, 0), Level(-2 + 104, 6, 0))
        assert feed.implied(FAR) == Top(FAR, Level(98 + 2, 4, 0), Level(101 + 5, 2, 0))
        assert feed.implied(OTHER) == Top(OTHER)

    def test_only_while_all_three_trade(self):
        for place in range(3):
            states = [SessionState.CONTINUOUS] * 3
            states[place] = SessionState.BREAK
            feed = self.feed(*states)
            assert [feed.implied(number) for number in (NEAR, FAR, SPREAD)] == [
                Top(NEAR),
                Top(FAR),
                Top(SPREAD),
            ]

    def test_nothing_is_implied_of_nobody_nor_outside_the_limits(self):
        feed = self.feed()
        feed.hear(
            [
                level(FAR, SELL, 104, 0, 0, 3),
                level(SPREAD, BUY, -5, 0, 0, 3),
                level(SPREAD, BUY, -15, 1, 1, 4),
            ]
        )
        assert feed.implied(NEAR) == Top(NEAR), "no far ask; 87 is under the limit"
        assert feed.implied(SPREAD) == Top(SPREAD, None, Level(-1, 3, 0))
        assert feed.implied(FAR).ask is None, "116 is over the limit"

    def test_of_several_spreads_the_best_and_at_one_price_all(self):
        contracts = (*CONTRACTS, listed(5, near=NEAR, far=OTHER))
        feed = Feed(contracts)
        feed.hear([session(contract.number, SessionState.CONTINUOUS) for contract in contracts])
        feed.hear([
            level(FAR, BUY, 102, 5, 1, 1), level(SPREAD, BUY, -5, 2, 1, 1),
            level(OTHER, BUY, 103, 3, 1, 1), level(5, BUY, -6, 9, 1, 1),
        ])  # fmt: skip
        assert feed.implied(NEAR) == Top(NEAR, Level(97, 5, 0), None)
        feed.hear([level(OTHER, BUY, 104, 1, 1, 2)])
        assert feed.implied(NEAR).bid == Level(98, 1, 0)


def test_the_news_names_nobody():
    feed = Feed(CONTRACTS)
    order_id = 8_123_456_789
    news = feed.hear([
        accepted(ALICE, order_id, NEAR, BUY, 99, 5),
        level(NEAR, BUY, 99, 5, 1, 1),
        accepted(BOB, order_id, NEAR, SELL, 99, 3),
        filled(0, ALICE, order_id, NEAR, 99, 3, 1),
        filled(FillFlag.SIDE_SELL | FillFlag.TAKER | FillFlag.DONE, BOB, order_id, NEAR, 99, 3, 1),
        level(NEAR, BUY, 99, 2, 1, 2),
    ])  # fmt: skip
    told = repr((news, feed.orders(NEAR, BUY), feed.trades(NEAR), feed.snapshot(NEAR), feed.status(NEAR)))
    assert news.tops
    assert news.orders
    assert news.trades
    assert not [name for name in (ALICE, BOB, order_id) if str(name) in told]
