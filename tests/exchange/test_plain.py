"""The plain exchange by itself, its orders and accounts: rules of docs/spec/exchange.md in a few lines each (§2.5, §3, §5)."""

import pytest

from ciyuan.basics.rows import kind_word
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.exchange import (
    AccountFlag,
    AmendFlag,
    CancelCause,
    ContractKind,
    Effect,
    ExchangeEvent,
    FillFlag,
    Level,
    OrderFlag,
    Permission,
    Refusal,
    SelfTrade,
    SessionState,
    account_row,
    amend_row,
    cancel_row,
    close_day_row,
    credit_row,
    disconnect_row,
    kill_row,
    mass_cancel_row,
    order_row,
    position_row,
    quota_row,
    reduce_row,
    risk_row,
    session_row,
)
from ciyuan.exchange.messages import LEFT_BEFORE_SHIFT
from ciyuan.exchange.room import Room
from tests.exchange.listings import FIRST_DAY, contract
from tests.exchange.pit import (
    ANN,
    BEN,
    BUY,
    CEM,
    DAN,
    EVE,
    FAR,
    NEAR,
    SELL,
    SPOT,
    SPREAD,
    Pit,
)

# --- §3.1, §3.2: orders ---


def test_better_prices_trade_first_then_earlier_orders_and_levels_are_said_as_the_work_leaves_them(pit):
    pit.order(ANN, SELL, 101, 2)
    pit.order(BEN, SELL, 100, 2)
    pit.order(CEM, SELL, 100, 2)
    pit.order(DAN, BUY, 101, 5)
    assert pit.fills() == [
        (BEN, 100, 2),
        (DAN, 100, 2),
        (CEM, 100, 2),
        (DAN, 100, 2),
        (ANN, 101, 1),
        (DAN, 101, 1),
    ]
    assert [row[1:4] for row in pit.said(ExchangeEvent.LEVEL)] == [(100, 0, 0), (101, 1, 1)]
    assert pit.queue(SELL) == [(ANN, 101, 1)]


@pytest.mark.parametrize(
    ("kind", "given", "lots", "cause", "left"),
    [
        (OrderFlag.FAK, {}, 5, CancelCause.FAK_REMAINDER, 2),
        (OrderFlag.FAK, {"min_lots": 4}, 5, CancelCause.MINIMUM_NOT_FILLED, 5),
        (OrderFlag.FOK, {}, 4, CancelCause.FOK_NOT_FILLED, 4),
        (OrderFlag.POST_ONLY, {}, 5, CancelCause.POST_ONLY, 5),
    ],
)
def test_what_may_not_rest_is_cancelled(pit, kind, given, lots, cause, left):
    pit.order(ANN, SELL, 100, 3)
    pit.order(BEN, BUY, 100, lots, kind=kind, **given)
    assert pit.causes() == [(BEN, cause, left)]


def test_a_market_order_has_the_opposite_limit(pit):
    pit.order(ANN, SELL, 110, 1)
    pit.order(BEN, BUY, 0, 2, kind=OrderFlag.MARKET)
    assert pit.said(ExchangeEvent.ACCEPTED) == [(BEN, 1, NEAR, 120, 2, 0)]
    assert pit.causes() == [(BEN, CancelCause.MARKET_REMAINDER, 1)]


def test_an_iceberg_shows_its_lots_again_behind_the_others(pit):
    pit.order(ANN, SELL, 100, 5, kind=OrderFlag.ICEBERG, shown_lots=2)
    pit.order(BEN, SELL, 100, 1)
    assert pit.exchange.book(NEAR).levels(SELL) == [Level(100, 3, 2)]
    names = pit.order(CEM, BUY, 100, 2)
    assert names == ["ACCEPTED", "FILLED", "FILLED", "RELOADED"]
    assert pit.said(ExchangeEvent.RELOADED) == [(ANN, 1, NEAR, 100, 2, 3)]
    assert pit.queue(SELL) == [(BEN, 100, 1), (ANN, 100, 3)]


def test_stops_are_triggered_in_order_and_trigger_more(pit):
    pit.order(ANN, BUY, 104, 1, kind=OrderFlag.STOP, trigger_ticks=102)
    pit.order(BEN, BUY, 104, 1, kind=OrderFlag.STOP, trigger_ticks=101)
    for price in (101, 102, 103):
        pit.order(CEM, SELL, price, 1)
    pit.order(DAN, BUY, 101, 1)
    assert [(row[0], row[3]) for row in pit.said(ExchangeEvent.TRIGGERED)] == [(BEN, 101), (ANN, 102)]
    assert pit.fills()[-1] == (ANN, 103, 1)
    assert pit.order(EVE, SELL, 90, 1, kind=OrderFlag.STOP, trigger_ticks=104)[:2] == [
        "ACCEPTED",
        "TRIGGERED",
    ]


def test_lasting_orders_outlive_the_day_until_they_expire_or_the_limits_leave_them(pit):
    pit.order(ANN, BUY, 81, 1, kind=OrderFlag.GTC)
    pit.order(BEN, BUY, 95, 1, last_day=FIRST_DAY)
    pit.order(CEM, BUY, 96, 1)
    pit.order(DAN, BUY, 97, 1, last_day=FIRST_DAY + 1)
    pit.close()
    ended = [CancelCause.DAY_END, CancelCause.EXPIRED, CancelCause.PRICE_LIMIT]
    assert [cause for _, cause, _ in pit.causes()] == ended
    assert pit.queue(BUY) == [(DAN, 97, 1)]


def test_fewer_lots_keep_the_place_and_anything_else_loses_it(pit):
    pit.order(ANN, BUY, 100, 5)
    pit.order(BEN, BUY, 100, 5)
    pit.hear(amend_row(pit.now, ANN, 1, 100, 3))
    assert pit.flags(ExchangeEvent.AMENDED) == [AmendFlag.KEPT]
    assert pit.said(ExchangeEvent.AMENDED) == [(ANN, 1, NEAR | 5 << LEFT_BEFORE_SHIFT, 100, 3, 3)]
    assert pit.queue(BUY) == [(ANN, 100, 3), (BEN, 100, 5)]
    pit.hear(amend_row(pit.now, ANN, 1, 100, 4))
    assert pit.queue(BUY) == [(BEN, 100, 5), (ANN, 100, 4)]
    pit.hear(amend_row(pit.now, ANN, 1, 100, 4))
    assert pit.names() == ["REPEATED"]


def test_an_amended_order_trades_like_one_that_arrives(pit):
    pit.order(ANN, SELL, 101, 2)
    pit.order(BEN, BUY, 100, 3)
    pit.hear(amend_row(pit.now, BEN, 1, 101, 4))
    assert pit.said(ExchangeEvent.AMENDED) == [(BEN, 1, NEAR | 3 << LEFT_BEFORE_SHIFT, 101, 4, 4)]
    assert pit.queue(BUY) == [(BEN, 101, 2)]
    pit.hear(amend_row(pit.now, BEN, 1, 101, 2))
    assert pit.refusal() == Refusal.LOTS_ALREADY_FILLED


# --- §3.3: self-trades ---


@pytest.mark.parametrize(
    ("mode", "causes", "book"),
    [
        (SelfTrade.CANCEL_NEWEST, [(ANN, 5)], [(ANN, 100, 3), (BEN, 100, 9)]),
        (SelfTrade.CANCEL_OLDEST, [(ANN, 3)], [(BEN, 100, 4)]),
        (SelfTrade.CANCEL_BOTH, [(ANN, 3), (ANN, 5)], [(BEN, 100, 9)]),
        (SelfTrade.DECREMENT, [(ANN, 3)], [(BEN, 100, 7)]),
    ],
)
def test_no_account_trades_with_itself(pit, mode, causes, book):
    pit.hear(account_row(pit.now, ANN, flags=AccountFlag.UNCHECKED, self_trade=mode))
    pit.order(ANN, SELL, 100, 3)
    pit.order(BEN, SELL, 100, 9)
    pit.order(ANN, BUY, 100, 5)
    assert pit.causes() == [(account, CancelCause.SELF_TRADE, lots) for account, lots in causes]
    assert pit.queue(SELL) == book


def test_the_larger_order_is_amended_under_decrement(pit):
    pit.hear(account_row(pit.now, ANN, flags=AccountFlag.UNCHECKED, self_trade=SelfTrade.DECREMENT))
    pit.order(ANN, SELL, 100, 8)
    assert pit.order(ANN, BUY, 100, 5) == ["ACCEPTED", "AMENDED", "CANCELLED"]
    assert pit.flags(ExchangeEvent.AMENDED) == [AmendFlag.SIDE_SELL | AmendFlag.KEPT | AmendFlag.SELF_TRADE]
    assert pit.said(ExchangeEvent.AMENDED) == [(ANN, 1, NEAR | 8 << LEFT_BEFORE_SHIFT, 100, 3, 3)]
    assert pit.queue(SELL) == [(ANN, 100, 3)]


def test_own_orders_never_cross_in_an_auction():
    pit = Pit()
    pit.bell(SessionState.AUCTION_ENTRY)
    pit.hear(account_row(pit.now, ANN, flags=AccountFlag.UNCHECKED, self_trade=SelfTrade.CANCEL_OLDEST))
    pit.order(ANN, SELL, 100, 3)
    pit.order(ANN, SELL, 99, 3)
    pit.order(ANN, SELL, 103, 3)
    pit.order(ANN, BUY, 101, 3)
    assert [row[1] for row in pit.said(ExchangeEvent.CANCELLED)] == [2, 1]
    assert pit.queue(SELL) == [(ANN, 103, 3)]


# --- §3.4: gross accounts ---


def test_a_gross_account_holds_both_sides_and_closes_what_it_says(pit):
    pit.hear(account_row(pit.now, ANN, flags=AccountFlag.GROSS | AccountFlag.UNCHECKED))
    pit.order(BEN, SELL, 100, 4)
    assert pit.order(ANN, BUY, 100, 4) == ["REFUSED"]
    assert pit.refusal() == Refusal.EFFECT_NOT_ALLOWED
    pit.order(ANN, BUY, 100, 4, effect=Effect.OPEN)
    pit.order(ANN, SELL, 101, 1, effect=Effect.CLOSE)
    assert pit.refusal() == Refusal.NOTHING_TO_CLOSE
    pit.order(ANN, SELL, 101, 3, effect=Effect.CLOSE_TODAY)
    pit.order(ANN, SELL, 101, 2, effect=Effect.CLOSE_TODAY)
    assert pit.refusal() == Refusal.NOTHING_TO_CLOSE
    pit.order(CEM, BUY, 101, 3)
    held = pit.position(ANN)
    assert (held["long"], held["long_today"], held["short"]) == (1, 1, 0)
    pit.close()
    assert pit.position(ANN)["long_today"] == 0


def test_a_net_account_closes_earlier_lots_first(pit):
    pit.hear(position_row(pit.now, ANN, NEAR, 2, 0, 200))
    pit.order(BEN, SELL, 100, 2)
    pit.order(ANN, BUY, 100, 2)
    pit.order(BEN, BUY, 100, 7)
    pit.order(ANN, SELL, 100, 3)
    held = pit.position(ANN)
    assert (held["long"], held["long_today"], held["basis"]) == (1, 1, 100)
    pit.order(ANN, SELL, 100, 4)
    held = pit.position(ANN)
    assert (held["long"], held["short"], held["short_today"]) == (0, 3, 3)


# --- §3.5 to §3.7: refusals, repeats, mass cancels ---


@pytest.mark.parametrize(
    ("row", "refusal"),
    [
        ((316, -1, *[0] * 6), Refusal.TIME_BACKWARDS),
        ((300, *[0] * 7), Refusal.UNKNOWN_COMMAND),
        ((kind_word(316, 1), *[0] * 7), Refusal.UNKNOWN_COMMAND),
        ((316, 0, 1, *[0] * 5), Refusal.UNUSED_WORD_NOT_ZERO),
        (order_row(0, 6, 1, NEAR, BUY, 100, 1), Refusal.UNKNOWN_ACCOUNT),
        (order_row(0, ANN, 1, SPOT, BUY, 100, 1), Refusal.UNKNOWN_CONTRACT),
        (order_row(0, ANN, 1, NEAR, BUY, 100, 1), Refusal.WRONG_STATE),
        (cancel_row(0, ANN, 1), Refusal.UNKNOWN_ORDER),
        (session_row(0, NEAR, SessionState.SUSPENDED, FIRST_DAY), Refusal.UNKNOWN_STATE),
        (session_row(0, NEAR, SessionState.CONTINUOUS, FIRST_DAY - 1), Refusal.WRONG_DAY),
        (session_row(0, NEAR, SessionState.BREAK, FIRST_DAY), Refusal.WRONG_STATE),
        (close_day_row(0, 0, FIRST_DAY), Refusal.WRONG_DAY),
        (credit_row(0, ANN, 5, NEAR), Refusal.VALUE_OUT_OF_RANGE),
        (quota_row(0, ANN, NEAR, 5, hedge=True), Refusal.VALUE_OUT_OF_RANGE),
        (reduce_row(0, NEAR), Refusal.WRONG_STATE),
    ],
)
def test_a_refused_command_says_why_and_changes_nothing(row, refusal):
    pit = Pit()
    before = pit.exchange.state_hash()
    pit.hear(row)
    assert (pit.names(), pit.refusal()) == (["REFUSED"], refusal)
    assert pit.exchange.state_hash() == before


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"kind": OrderFlag.FAK | OrderFlag.FOK}, Refusal.TYPE_UNKNOWN),
        ({"kind": OrderFlag.FAK | OrderFlag.GTC}, Refusal.LIFETIME_NOT_ALLOWED),
        ({"last_day": FIRST_DAY - 1}, Refusal.LIFETIME_NOT_ALLOWED),
        ({"effect": Effect.OPEN}, Refusal.EFFECT_NOT_ALLOWED),
        ({"price": 0}, Refusal.PRICE_NOT_POSITIVE),
        ({"kind": OrderFlag.MARKET}, Refusal.PRICE_ON_MARKET_ORDER),
        ({"lots": 0}, Refusal.LOTS_NOT_POSITIVE),
        ({"min_lots": 1}, Refusal.MIN_LOTS_NOT_ALLOWED),
        ({"kind": OrderFlag.ICEBERG}, Refusal.SHOWN_LOTS_NOT_ALLOWED),
        ({"lots": 13}, Refusal.LOTS_OVER_MAXIMUM),
        ({"price": 121}, Refusal.PRICE_LIMIT),
        ({"kind": OrderFlag.STOP, "trigger_ticks": 79}, Refusal.PRICE_LIMIT),
    ],
)
def test_a_malformed_order_is_refused(pit, given, refusal):
    price, lots = given.pop("price", 100), given.pop("lots", 5)
    pit.order(ANN, BUY, price, lots, **given)
    assert pit.refusal() == refusal


def test_an_order_is_taken_exactly_once(pit):
    first = order_row(pit.now, ANN, 4, NEAR, BUY, 100, 5)
    pit.hear(first)
    pit.hear(amend_row(pit.now, ANN, 4, 99, 3))
    pit.hear(first)
    assert pit.names() == ["REPEATED"]
    pit.hear(order_row(pit.now, ANN, 4, NEAR, SELL, 100, 5))
    assert pit.refusal() == Refusal.ID_USED_WITH_OTHER_SIDE
    pit.hear(order_row(pit.now, ANN, 4, NEAR, BUY, 100, 6))
    assert pit.refusal() == Refusal.ID_USED_WITH_OTHER_LOTS
    pit.close()
    pit.bell(SessionState.CONTINUOUS)
    pit.hear(first)
    assert pit.refusal() == Refusal.ID_OF_PAST_DAY


def test_a_cancel_ends_an_order_once(pit):
    pit.order(ANN, BUY, 100, 5)
    pit.hear(cancel_row(pit.now, ANN, 1))
    assert pit.causes() == [(ANN, CancelCause.REQUEST, 5)]
    pit.hear(cancel_row(pit.now, ANN, 1))
    assert pit.names() == ["REPEATED"]
    pit.order(ANN, BUY, 100, 5, kind=OrderFlag.FAK)
    pit.hear(cancel_row(pit.now, ANN, 2))
    assert pit.refusal() == Refusal.ORDER_NOT_OPEN


def test_a_mass_cancel_takes_what_the_states_let_it(legs):
    for number, price in ((NEAR, 99), (NEAR, 101), (FAR, 99)):
        legs.order(ANN, BUY, price, 1, number)
    legs.order(ANN, SELL, 105, 1)
    legs.bell(SessionState.CLOSING, FAR)
    legs.hear(mass_cancel_row(legs.now, ANN))
    assert [row[1] for row in legs.said(ExchangeEvent.CANCELLED)] == [2, 1, 4]
    assert legs.said(ExchangeEvent.MASS_CANCELLED) == [(ANN, 0, 3, 1, CancelCause.MASS_CANCEL, 0)]


def test_a_disconnect_cancels_for_those_who_asked(pit):
    pit.hear(account_row(pit.now, ANN, flags=AccountFlag.CANCEL_ON_DISCONNECT | AccountFlag.UNCHECKED))
    for account in (ANN, BEN):
        pit.order(account, BUY, 100, 5)
        pit.hear(disconnect_row(pit.now, account))
        assert pit.said(ExchangeEvent.MASS_CANCELLED)[0][2] == (account == ANN)
    assert pit.queue(BUY) == [(BEN, 100, 5)]


def test_a_killed_account_may_only_reduce(pit):
    pit.hear(position_row(pit.now, ANN, NEAR, 3, 0, 300))
    pit.hear(kill_row(pit.now, ANN))
    pit.order(ANN, BUY, 100, 1)
    assert pit.refusal() == Refusal.ACCOUNT_KILLED
    assert pit.order(ANN, SELL, 100, 3) == ["ACCEPTED"]
    pit.order(ANN, SELL, 100, 1)
    assert pit.refusal() == Refusal.ACCOUNT_KILLED
    pit.hear(kill_row(pit.now, ANN))
    assert pit.names() == ["REPEATED"]


# --- §5: admission ---


def member(pit: Pit, account: int, *, credit: int = 0, **given) -> None:
    pit.hear(account_row(pit.now, account, **given))
    pit.hear(credit_row(pit.now, account, credit))


def test_the_worst_case_is_covered_with_margin_and_fees():
    pit = Pit(everyone=False)
    member(pit, ANN, credit=1_009)
    pit.hear(risk_row(pit.now, NEAR, margin_lot_micro=100, fee_lot_micro=1))
    pit.bell(SessionState.CONTINUOUS)
    assert pit.order(ANN, BUY, 100, 9) == ["ACCEPTED"]
    assert pit.order(ANN, SELL, 110, 9) == ["ACCEPTED"], "918 for nine lots either way"
    pit.order(ANN, BUY, 100, 1)
    assert pit.refusal() == Refusal.MARGIN
    pit.order(BEN, BUY, 100, 1)
    assert pit.refusal() == Refusal.UNKNOWN_ACCOUNT


def test_spot_is_paid_and_delivered_at_once():
    pit = Pit(contract(SPOT, ContractKind.SPOT), everyone=False)
    member(pit, ANN, credit=5_000_000)
    member(pit, BEN, permissions=Permission.FUTURES)
    member(pit, CEM)
    pit.hear(credit_row(pit.now, CEM, 3, SPOT))
    pit.bell(SessionState.CONTINUOUS)
    pit.order(BEN, BUY, 100, 1, SPOT)
    assert pit.refusal() == Refusal.NOT_PERMITTED
    pit.order(CEM, SELL, 100, 4, SPOT)
    assert pit.refusal() == Refusal.MARGIN
    pit.order(CEM, SELL, 100, 3, SPOT)
    pit.order(ANN, BUY, 101, 5, SPOT)
    assert pit.refusal() == Refusal.MARGIN
    pit.order(ANN, BUY, 101, 4, SPOT)
    accounts = {row[0]: row[5] for row in pit.exchange.snapshot()["accounts"].tolist()}
    assert (accounts[ANN], accounts[CEM]) == (2_000_000, 3_000_000)
    assert pit.position(ANN, SPOT)["receipts"] == 3


def test_positions_are_limited_and_large_ones_reported(pit):
    pit.hear(risk_row(pit.now, NEAR, limit_lots=10, hedger_limit_lots=20))
    pit.hear(quota_row(pit.now, BEN, NEAR, 4))
    pit.order(CEM, SELL, 100, 10)
    pit.order(BEN, BUY, 99, 5)
    assert pit.refusal() == Refusal.POSITION_LIMIT
    assert pit.order(ANN, BUY, 100, 8) == ["ACCEPTED", "FILLED", "FILLED", "REPORTED", "REPORTED"]
    assert pit.said(ExchangeEvent.REPORTED) == [(CEM, NEAR, 0, 8, 10, 0), (ANN, NEAR, 8, 0, 10, 0)]
    pit.order(ANN, BUY, 99, 3)
    assert pit.refusal() == Refusal.POSITION_LIMIT


def test_orders_are_counted_by_the_second(pit):
    pit.hear(account_row(pit.now, ANN, flags=AccountFlag.UNCHECKED, orders_per_second_max=2))
    pit.order(ANN, BUY, 100, 2)
    pit.hear(amend_row(pit.now, ANN, 1, 100, 1))
    pit.order(ANN, BUY, 100, 2)
    pit.hear(amend_row(pit.now, ANN, 2, 101, 2))
    assert pit.refusal() == Refusal.ORDER_RATE
    pit.now += NS_PER_SECOND
    assert pit.order(ANN, BUY, 100, 2) == ["ACCEPTED"]


def test_orders_beyond_the_room_are_refused():
    pit = Pit(room=Room(accounts=5, orders=1, ladder_ticks=512))
    pit.bell(SessionState.CONTINUOUS)
    pit.order(ANN, BUY, 100, 2)
    pit.order(ANN, BUY, 100, 2)
    assert pit.refusal() == Refusal.ORDERS_FULL


# --- §2.5: calendar spreads ---


def test_two_spread_orders_trade_in_both_legs(legs):
    legs.order(ANN, BUY, -3, 2, SPREAD)
    names = legs.order(BEN, SELL, -3, 2, SPREAD)
    assert names == ["ACCEPTED", *["FILLED"] * 4, "SPREAD_TRADED"]
    assert legs.fills() == [(ANN, 97, 2), (BEN, 97, 2), (ANN, 100, 2), (BEN, 100, 2)]
    assert all(flags & FillFlag.LEG for flags in legs.flags(ExchangeEvent.FILLED))
    assert legs.exchange.last(NEAR) == 0, "nobody named these prices"
    assert (legs.position(ANN)["long"], legs.position(ANN, FAR)["short"]) == (2, 2)


def test_a_spread_order_trades_with_its_legs(legs):
    legs.order(ANN, SELL, 98, 2)
    legs.order(BEN, BUY, 100, 3, FAR)
    names = legs.order(CEM, BUY, -2, 5, SPREAD)
    assert names == ["ACCEPTED", *["FILLED"] * 4, "SPREAD_TRADED"]
    assert legs.fills() == [(ANN, 98, 2), (CEM, 98, 2), (BEN, 100, 2), (CEM, 100, 2)]
    assert legs.said(ExchangeEvent.SPREAD_TRADED) == [(SPREAD, -2, 2, 1, 2, 0)]
    assert [row[:2] for row in legs.said(ExchangeEvent.LEVEL)] == [(NEAR, 98), (FAR, 100), (SPREAD, -2)]


def test_an_outright_trades_through_a_spread(legs):
    legs.order(ANN, SELL, -2, 4, SPREAD)
    legs.order(BEN, SELL, 101, 3, FAR)
    legs.order(CEM, SELL, 100, 1)
    legs.order(DAN, BUY, 100, 3)
    assert legs.fills() == [(ANN, 99, 3), (DAN, 99, 3), (BEN, 101, 3), (ANN, 101, 3)]
    flags = legs.flags(ExchangeEvent.FILLED)
    assert flags[0] == FillFlag.LEG | FillFlag.SIDE_SELL
    assert flags[3] == FillFlag.LEG | FillFlag.TAKER
    assert legs.exchange.last(NEAR) == 99


def test_what_is_implied_is_worked_off_when_continuous_trading_begins(legs):
    legs.order(ANN, BUY, 0, 3, SPREAD)
    legs.bell(SessionState.AUCTION_ENTRY, NEAR)
    legs.order(BEN, SELL, 98, 2)
    legs.order(CEM, BUY, 99, 2, FAR)
    legs.bell(SessionState.AUCTION_MATCH, NEAR)
    names = legs.bell(SessionState.CONTINUOUS, NEAR)
    assert names == ["SESSION_CHANGED", *["FILLED"] * 4, "SPREAD_TRADED"]
    assert legs.queue(BUY, SPREAD) == [(ANN, 0, 1)]
    assert legs.said(ExchangeEvent.LEVEL)[-1][:4] == (SPREAD, 0, 1, 1)
