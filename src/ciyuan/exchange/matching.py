"""Matching: an incoming order against the book, and a whole book at the auction price. Both append their FILLED rows to `out`.

A trade is always at the standing order's price, or at the auction price. Of its two rows the first is the order that stood first
(in an auction, the one that arrived first), the second is the taker's.
"""

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import FLAG_SHIFT, Row
from ciyuan.exchange.auction import AuctionPrice
from ciyuan.exchange.book import FILLED, Ladder, Order
from ciyuan.exchange.market import Market
from ciyuan.exchange.messages import ExchangeEvent, FillFlag

FILL_KINDS = tuple(ExchangeEvent.FILLED | flags << FLAG_SHIFT for flags in range(16))
"""The kind word of FILLED by its flags."""
TAKER, AUCTION, DONE = map(int, (FillFlag.TAKER, FillFlag.AUCTION, FillFlag.DONE))


def crosses(order: Order, price_ticks: int) -> bool:
    """Whether an order would trade with the other side at a price."""
    return price_ticks >= order.limit_ticks if order.is_sell else price_ticks <= order.limit_ticks


def match(market: Market, order: Order, time_ns: int, trades: int, out: list[Row]) -> tuple[int, bool]:
    """Trade an incoming order as far as its limit goes, best price first, then time. `trades` is the last trade's id.

    Returns the last trade's id now, and whether the order met one of its own account and stopped there (§3.3).
    """
    ladder = market.buys if order.is_sell else market.sells
    maker_flag, taker_flag = 1 - order.is_sell, order.is_sell | TAKER
    contract = market.number
    while order.left and ladder.best and crosses(order, ladder.best):
        maker = ladder.first()
        if maker.account == order.account:
            return trades, True
        price = ladder.best
        lots = min(maker.left, order.left)
        ladder.fill_first(maker, lots)
        order.left -= lots
        trades += 1
        maker_done = 0 if maker.left else DONE
        taker_done = 0 if order.left else DONE
        out.append(
            (FILL_KINDS[maker_flag | maker_done], time_ns, maker.account, maker.order_id, contract, price, lots, trades)
        )  # fmt: skip
        out.append(
            (FILL_KINDS[taker_flag | taker_done], time_ns, order.account, order.order_id, contract, price, lots, trades)
        )  # fmt: skip
        if maker_done:
            end_filled(maker)
        market.note_trade(price, lots)
    return trades, False


def end_filled(order: Order) -> None:
    """Note that an order that was open is filled."""
    order.end = FILLED
    del order.owner.open[order.order_id]


def fillable(ladder: Ladder, order: Order, lots_wanted: int) -> bool:
    """Whether `lots_wanted` of an incoming order would trade at once, before it met an order of its own account."""
    lots = 0
    for price in ladder.prices():
        if not crosses(order, price):
            return False
        for maker in ladder.levels[price].orders.values():
            if maker.account == order.account:
                return False
            lots += maker.left
            if lots >= lots_wanted:
                return True
    return False


def meets_own(market: Market, order: Order) -> bool:
    """Whether an order that arrives for an auction could trade with an open one of its own account (§3.3)."""
    return any(
        own.contract == market.number and own.is_sell != order.is_sell and crosses(order, own.limit_ticks)
        for own in order.owner.open.values()
    )


def uncross(market: Market, auction: AuctionPrice, time_ns: int, trades: int, out: list[Row]) -> int:
    """Trade the book at the auction price: on each side best price first, then time. Returns the last trade's id."""
    left = auction.lots
    while left:
        buy, sell = market.buys.first(), market.sells.first()
        if buy.account == sell.account:
            raise InvariantBroken(
                "no account's orders cross in an auction",
                f"account {buy.account}: {buy.order_id}, {sell.order_id}",
            )
        lots = min(left, buy.left, sell.left)
        market.buys.fill_first(buy, lots)
        market.sells.fill_first(sell, lots)
        left -= lots
        trades += 1
        for place, order in enumerate(sorted((buy, sell), key=lambda side: side.number)):
            flags = order.is_sell | (TAKER if place else 0) | AUCTION | (0 if order.left else DONE)
            out.append(
                (FILL_KINDS[flags], time_ns, order.account, order.order_id, market.number, auction.price_ticks, lots, trades)
            )  # fmt: skip
            if not order.left:
                end_filled(order)
        market.note_trade(auction.price_ticks, lots)
    return trades
