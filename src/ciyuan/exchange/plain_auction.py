"""Auctions of the plain exchange: what one would come to, and the trades when it is held (§4.2)."""

from ciyuan.basics.errors import InvariantBroken
from ciyuan.exchange.auction import AuctionPrice, auction_price
from ciyuan.exchange.messages import ExchangeEvent, FillFlag, SessionState
from ciyuan.exchange.plain_book import first, say_level, say_reloaded, standing
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_state import Order
from ciyuan.exchange.plain_trade import fill_standing, party, trade

TAKING = frozenset({SessionState.AUCTION_ENTRY, SessionState.AUCTION_FREEZE})
"""The states in which an auction takes orders."""


def price_now(market: Market) -> AuctionPrice:
    """What an auction would come to now; price 0 without a trade. Hidden lots count."""
    lots: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for sell in (0, 1):
        for order in standing(market, sell):
            lots[sell][order.limit_ticks] = lots[sell].get(order.limit_ticks, 0) + order.left
    return auction_price(lots[0], lots[1], market.reference_ticks) or AuctionPrice(0, 0, 0)


def hold_auction(floor: Floor, market: Market) -> None:
    """Price the auction and trade at the price; without a price nothing trades, which is said too."""
    priced = price_now(market)
    words = (market.number, priced.price_ticks, priced.lots, priced.surplus_lots)
    floor.say(ExchangeEvent.AUCTION_PRICED, *words)
    changed: dict[tuple[int, int], None] = {}
    left = priced.lots
    while left:
        buy, sell = first(market, 0), first(market, 1)
        if buy is None or sell is None or buy.account == sell.account:
            raise InvariantBroken("an auction's buyers and sellers are of two accounts", f"{buy}, {sell}")
        lots = min(left, buy.left, sell.left)
        changed[0, buy.limit_ticks] = changed[1, sell.limit_ticks] = None
        _trade(floor, market, priced.price_ticks, lots, (buy, sell))
        left -= lots
    for side, price in sorted(changed, key=lambda place: (place[0], place[1] if place[0] else -place[1])):
        say_level(floor, market, side, price)


def _trade(floor: Floor, market: Market, price_ticks: int, lots: int, orders: tuple[Order, Order]) -> None:
    """One trade; the order that came first is told first."""
    in_order = sorted(orders, key=lambda order: order.number)
    reloads = [_fill(floor, order, lots) for order in in_order]
    before, after = (party(order, int(FillFlag.AUCTION)) for order in in_order)
    trade(floor, market, price_ticks, lots, before, after)
    market.note_trade(price_ticks, lots, floor.now)
    for order, reloaded in zip(in_order, reloads, strict=True):
        if reloaded:
            say_reloaded(floor, order)


def _fill(floor: Floor, order: Order, lots: int) -> bool:
    """Fill an order, hidden lots too. Whether it shows its shown lots again, because what it showed was used up."""
    used_up = lots >= order.shown
    still_shown = order.shown - lots
    fill_standing(floor, order, lots)
    if not order.left:
        return False
    if used_up:
        order.show()
    else:
        order.shown = still_shown
    return used_up


def say_indicative(floor: Floor) -> None:
    """INDICATIVE of every auction that would come to something else than was said last."""
    for market in floor.markets.values():
        if market.state not in TAKING or market.is_spread:
            continue
        now = price_now(market)
        figures = (now.price_ticks, now.lots, now.surplus_lots)
        if figures != (market.indicative_ticks, market.indicative_lots, market.indicative_surplus):
            market.indicative_ticks, market.indicative_lots, market.indicative_surplus = figures
            floor.say(ExchangeEvent.INDICATIVE, market.number, *figures)


def forget_indicative(market: Market) -> None:
    """Outside an auction's entry and freeze nothing is indicated."""
    if market.state not in TAKING:
        market.indicative_ticks = market.indicative_lots = market.indicative_surplus = 0
