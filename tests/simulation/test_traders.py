"""Makers, noise traders, hedgers and sellers before a market that stands still: what each writes on its pad."""

from itertools import pairwise

import numpy as np
import pytest

from ciyuan.basics.rows import FLAG_SHIFT, Row, row
from ciyuan.exchange.messages import CancelCause, OrderFlag
from ciyuan.simulation.chance import stream
from ciyuan.simulation.crowd import HEDGE_STEPS, RECEIPT_LOTS, Crowd
from ciyuan.simulation.makers import HALF_SPREAD_TICKS, LEVEL_STEP_TICKS, SKEW_TICKS_MAX, Glance, Maker
from ciyuan.simulation.pad import OrderPad
from ciyuan.simulation.scenario import Scenario
from ciyuan.simulation.traders import LOTS_MAX, OPEN_ORDERS_MAX, Hedger, NoiseTrader, ReceiptSeller
from tests.simulation.fakes import NOV, OCT, SPOT, FakeMarket, cancels, filled, orders

MARKET = FakeMarket(bids={OCT: 998, SPOT: 997}, asks={OCT: 1002, SPOT: 1003})


def blank() -> list[Row]:
    """A sheet to write rows on."""
    return []


# --- the pad ---


def test_a_pad_numbers_its_orders_and_keeps_limit_orders_as_open():
    pad, rows = OrderPad(7), blank()
    first = pad.order(rows, 5, OCT, True, 1000, 3, tag=9)
    second = pad.order(rows, 5, OCT, False, 1001, 2, kind=OrderFlag.FAK)
    assert (first, second) == (1, 2)
    assert list(pad.open) == [1]
    assert (pad.open[1].contract, pad.open[1].is_sell, pad.open[1].price_ticks, pad.open[1].tag) == (
        OCT,
        True,
        1000,
        9,
    )
    assert rows[0] == (301 + 1 | OrderFlag.SIDE_SELL << FLAG_SHIFT, 5, 7, 1, OCT, 1000, 3, 0)
    assert rows[1][0] >> FLAG_SHIFT == OrderFlag.FAK
    pad.cancel(rows, 6, 1)
    assert rows[2] == (303, 6, 7, 1, 0, 0, 0, 0)
    assert not pad.open


def test_a_pad_follows_its_position_from_fills():
    pad, rows = OrderPad(7), blank()
    order_id = pad.order(rows, 5, OCT, True, 1000, 3)
    pad.on_fill(filled(7, order_id, OCT, 1000, 2, sells=True))
    assert pad.position == {OCT: -2}
    assert order_id in pad.open
    pad.on_fill(filled(7, order_id, OCT, 1000, 1, sells=True, done=True))
    assert pad.position == {OCT: -3}
    assert not pad.open
    pad.on_fill(filled(7, 99, OCT, 1000, 5))
    assert pad.position == {OCT: 2}


def test_a_pad_forgets_what_was_cancelled_or_refused():
    pad, rows = OrderPad(7), blank()
    order_id = pad.order(rows, 5, OCT, True, 1000, 3)
    pad.on_gone(row(356, 6, (7, order_id, OCT, CancelCause.DAY_END, 3)))
    pad.on_gone(row(354, 6, (7, 55)))
    assert not pad.open


# --- makers ---


def maker(levels: int = 2, bias: int = 0) -> Maker:
    return Maker(7, {OCT: 10, SPOT: 20}, levels, SPOT, bias)


def test_a_maker_quotes_both_sides_around_the_value():
    rows: list[Row] = []
    maker().act(rows, 5, {OCT: 1000}, MARKET)
    inner, outer = HALF_SPREAD_TICKS, HALF_SPREAD_TICKS + LEVEL_STEP_TICKS
    assert orders(rows) == [(OCT, False, 1000 - inner, 10), (OCT, True, 1000 + inner, 10),
                            (OCT, False, 1000 - outer, 10), (OCT, True, 1000 + outer, 10)]  # fmt: skip


def test_a_maker_renews_only_what_has_to_move():
    agent, rows = maker(), blank()
    agent.act(rows, 5, {OCT: 1000}, MARKET)
    rows.clear()
    agent.act(rows, 6, {OCT: 1000}, MARKET)
    assert rows == []
    agent.act(rows, 7, {OCT: 1001}, MARKET)
    assert sorted(cancels(rows)) == [1, 2, 3, 4]
    assert [price for _, _, price, _ in orders(rows)] == [999, 1003, 997, 1005]
    rows.clear()
    agent.pad.on_fill(filled(7, 5, OCT, 999, 10, done=True))
    agent.act(rows, 8, {OCT: 1001}, MARKET)
    assert (cancels(rows), orders(rows)[0]) == ([6, 7, 8], (OCT, False, 998, 10)), (
        "a bought lot is leaned against"
    )


@pytest.mark.parametrize(
    ("held", "lean"),
    [(0, 0), (40, -1), (39, -1), (-40, 1), (10_000, -SKEW_TICKS_MAX), (-10_000, SKEW_TICKS_MAX)],
)
def test_a_maker_leans_against_its_inventory(held, lean):
    agent, rows = maker(1), blank()
    agent.pad.position[OCT] = held
    agent.act(rows, 5, {OCT: 1000}, MARKET)
    assert [price for _, _, price, _ in orders(rows)] == [1000 + lean - 2, 1000 + lean + 2]


def test_a_maker_stays_within_the_days_limits():
    rows: list[Row] = []
    maker(1, bias=5).act(rows, 5, {OCT: 1100}, MARKET)
    assert [price for _, _, price, _ in orders(rows)] == [1100, 1100]


def test_a_maker_sells_only_the_receipts_that_it_has():
    agent, rows = maker(), blank()
    agent.act(rows, 5, {SPOT: 1000}, MARKET)
    assert not any(sells for _, sells, _, _ in orders(rows))
    rows.clear()
    agent.pad.position[SPOT] = 25
    agent.act(rows, 6, {SPOT: 1000}, MARKET)
    assert [sells for _, sells, _, _ in orders(rows)].count(True) == 1


# --- noise traders ---


def noise(seed: int = 1) -> NoiseTrader:
    return NoiseTrader(9, SPOT, stream(seed, "trader"))


def test_noise_is_as_much_as_asked_for_and_within_bounds():
    agent, rows = noise(), blank()
    agent.act(rows, 5, {OCT: 1000, NOV: 1000}, MARKET, 200, False)
    written = orders(rows)
    assert len(written) == 200
    assert {contract for contract, *_ in written} == {OCT, NOV}
    assert {sells for _, sells, _, _ in written} == {False, True}
    assert all(1 <= lots <= LOTS_MAX for *_, lots in written)
    kinds = [order[0] >> FLAG_SHIFT & ~OrderFlag.SIDE_SELL for order in rows if order[0] & 0xFFFF == 302]
    assert set(kinds) == {OrderFlag.LIMIT, OrderFlag.FAK, OrderFlag.MARKET, OrderFlag.FOK}
    for kind, (_, _, price, _) in zip(kinds, written, strict=True):
        assert price == 0 if kind == OrderFlag.MARKET else MARKET.lower <= price <= MARKET.upper


def test_noise_takes_back_its_oldest_orders():
    agent, rows = noise(), blank()
    agent.act(rows, 5, {OCT: 1000}, MARKET, 60, False)
    assert len(agent.pad.open) == OPEN_ORDERS_MAX
    assert cancels(rows) == sorted(cancels(rows))
    assert min(agent.pad.open) > max(cancels(rows))


def test_noise_in_an_auction_is_limit_orders_that_stay():
    agent, rows = noise(), blank()
    agent.act(rows, 5, {OCT: 1000}, MARKET, 60, True)
    assert len(agent.pad.open) == 60
    assert not cancels(rows)


def test_noise_sells_no_receipts_that_it_has_not():
    agent, rows = noise(), blank()
    agent.act(rows, 5, {SPOT: 1000}, MARKET, 100, True)
    assert not any(sells for _, sells, _, _ in orders(rows))


def test_noise_leans_back_towards_flat():
    long, short = noise(), noise()
    long.pad.position[OCT], short.pad.position[OCT] = 60, -60
    for agent, least, most in ((long, 0.8, 1.0), (short, 0.0, 0.2)):
        rows: list[Row] = []
        agent.act(rows, 5, {OCT: 1000}, MARKET, 300, True)
        share = np.mean([sells for _, sells, _, _ in orders(rows)])
        assert least <= share <= most


@pytest.mark.parametrize(("values", "count"), [({}, 5), ({OCT: 1000}, 0)])
def test_noise_without_a_market_or_a_whim_is_silent(values, count):
    rows: list[Row] = []
    noise().act(rows, 5, values, MARKET, count, False)
    assert rows == []


def test_an_empty_book_is_priced_at_the_value():
    rows: list[Row] = []
    noise().act(rows, 5, {NOV: 1000}, FakeMarket(), 50, False)
    assert all(price == 0 or abs(price - 1000) < 60 for _, _, price, _ in orders(rows))


# --- hedgers and sellers ---


def test_a_hedger_takes_a_slice_at_the_best_opposite_price_until_it_is_done():
    agent, rows = Hedger(4, {OCT: 7}, 3), blank()
    for _ in range(4):
        before = len(rows)
        agent.act(rows, 5, frozenset({OCT}), MARKET)
        for order in rows[before:]:
            agent.pad.on_fill(filled(4, order[3], OCT, order[5], order[6], done=True))
    assert orders(rows) == [(OCT, False, 1002, 3), (OCT, False, 1002, 3), (OCT, False, 1002, 1)]
    assert {order[0] >> FLAG_SHIFT for order in rows} == {int(OrderFlag.FAK)}
    assert agent.pad.position == {OCT: 7}
    assert not agent.pad.open


def test_a_hedger_sells_to_the_best_bid():
    rows: list[Row] = []
    Hedger(4, {OCT: -2}, 3).act(rows, 5, frozenset({OCT}), MARKET)
    assert orders(rows) == [(OCT, True, 998, 2)]


@pytest.mark.parametrize(
    ("target", "trading"), [({OCT: 7}, frozenset()), ({NOV: 7}, {NOV}), ({OCT: 0}, {OCT}), ({}, {OCT})]
)
def test_a_hedger_waits_for_a_market(target, trading):
    rows: list[Row] = []
    Hedger(4, target, 3).act(rows, 5, frozenset(trading), MARKET)
    assert rows == []


def test_a_seller_keeps_one_offer_at_the_value_and_a_little():
    pad, rows = OrderPad(3), blank()
    seller = ReceiptSeller(pad, SPOT, 20, 1)
    seller.act(rows, 5, {SPOT: 1000}, MARKET)
    assert rows == [], "it has nothing to sell"
    pad.position[SPOT] = 50
    seller.act(rows, 5, {SPOT: 1000}, MARKET)
    seller.act(rows, 6, {SPOT: 1000}, MARKET)
    seller.act(rows, 7, {OCT: 1000}, MARKET)
    assert orders(rows) == [(SPOT, True, 1001, 20)]
    seller.act(rows, 8, {SPOT: 1200}, MARKET)
    assert cancels(rows) == [1]
    assert orders(rows)[1:] == [(SPOT, True, 1100, 20)]
    pad.on_fill(filled(3, 2, SPOT, 1100, 20, sells=True, done=True))
    pad.on_fill(filled(3, 9, SPOT, 1100, 11, sells=True, done=True))
    seller.act(rows, 9, {SPOT: 1000}, MARKET)
    assert len(orders(rows)) == 2, "19 are left: less than an offer"


# --- the crowd ---


def crowd(**changes: object) -> Crowd:
    scenario = Scenario(noise_orders_per_minute=40.0)
    given = {
        "makers": (10, 11),
        "traders": (12, 13),
        "hedges": {5: {OCT: 600}, 1: {OCT: -600}},
        "sellers": (1,),
    } | changes
    return Crowd(scenario, (SPOT, OCT, NOV), SPOT, **given)  # type: ignore[arg-type]


def test_a_glance_asks_a_market_once():
    market = FakeMarket(bids={OCT: 998}, asks={OCT: 1002})
    glance = Glance(market)
    assert (glance.best_bid(OCT), glance.best_ask(OCT), glance.limits(OCT)) == (998, 1002, (900, 1100))
    market.bids[OCT], market.asks[OCT], market.lower = 1, 2, 3
    assert (glance.best_bid(OCT), glance.best_ask(OCT), glance.limits(OCT)) == (998, 1002, (900, 1100))
    assert Glance(market).best_bid(OCT) == 1


def test_everyone_in_the_crowd_acts_and_has_one_pad():
    group, rows = crowd(), blank()
    issued = np.array([(656, 1, 9, 1, 1, 500, 202610, 0)], dtype=np.int64)
    group.hear(issued)
    group.act(rows, 5, {SPOT: 1000, OCT: 1000}, MARKET, frozenset())
    assert {order[2] for order in rows} == {1, 5, 10, 11, 12, 13}
    assert group.pads[1] is group.sellers[0].pad
    assert [pad.account for pad in group.pads.values()] == list(group.pads)
    assert (SPOT, True, 1001, RECEIPT_LOTS) in orders([order for order in rows if order[2] == 1])
    assert {lots for contract, _, _, lots in orders([order for order in rows if order[2] == 5])} == {
        600 // HEDGE_STEPS
    }
    for account in group.pads:
        ids = [order[3] for order in rows if order[2] == account and order[0] & 0xFFFF == 302]
        assert ids == sorted(set(ids))
        assert all(after - before == 1 for before, after in pairwise(ids))


def test_hedgers_wait_for_the_auction_to_end():
    group, rows = crowd(), blank()
    group.act(rows, 5, {OCT: 1000}, MARKET, frozenset({OCT}))
    assert 5 not in {order[2] for order in rows}
    kinds = {order[0] >> FLAG_SHIFT & ~OrderFlag.SIDE_SELL for order in rows if order[2] in (12, 13)}
    assert kinds == {int(OrderFlag.LIMIT)}


def test_the_crowd_hears_of_its_orders():
    group, rows = crowd(hedges={}, sellers=()), blank()
    group.act(rows, 5, {OCT: 1000}, MARKET, frozenset())
    first = next(order for order in rows if order[2] == 10)
    told = [
        filled(10, first[3], OCT, first[5], first[6], done=True),
        row(354, 6, (10, first[3] + 1, OCT, 0, 0, 42)),
        row(351, 6, (OCT, 5, 20_000)),
    ]
    group.hear(np.array(told, dtype=np.int64))
    assert group.pads[10].position == {OCT: first[6]}
    assert group.pads[10].refused == 1
    assert not {first[3], first[3] + 1} & set(group.pads[10].open)
