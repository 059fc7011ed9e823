"""Spot: delivery against payment (§2.1), each trade by itself, through the ledger.

    order accepted    buy: HOLD money at the limit price          sell: HOLD receipts
    each fill         in one chain, all or none:
                        POST  money of the buyer's hold      -> house
                        POST  receipts of the seller's hold  -> house
                        money    house -> seller
                        receipts house -> buyer
    last fill         the POST releases what its hold still holds: a better price comes back
    amended           VOID the hold, HOLD what is left of the order
    cancelled         VOID the hold

Nothing is promised that is not already held, so no spot trade can fail, and the house's two accounts are at zero after each.
"""

from dataclasses import dataclass

from ciyuan.clearing.books import Books, SpotOrder
from ciyuan.clearing.messages import Reason
from ciyuan.clearing.positions import Market, Member
from ciyuan.clearing.teller import Step, post, transfer


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a trade: whose order it is, as it is after the fill."""

    member: Member
    order: SpotOrder


class SpotDesk:
    """Holds what open spot orders may owe, and delivers against payment."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def hold(self, time_ns: int, member: Member, order: SpotOrder) -> None:
        """Hold what the order may have to deliver or pay."""
        teller, market = self._books.teller, order.market
        grade = market.contract.grade
        if order.is_sell:
            reason, account = Reason.SPOT_RECEIPTS_HELD, member.receipts[grade]
            of_house, amount = self._books.spot_receipts[grade], order.left * market.contract.lot_mtok
        else:
            reason, account = Reason.SPOT_MONEY_HELD, member.cash
            of_house, amount = (
                self._books.terms.house.spot_money,
                _cost(market, order.price_ticks, order.left),
            )
            member.reserved_micro += amount
        order.key = teller.hold(time_ns, reason, account, of_house, amount)
        order.saved = False

    def release(self, time_ns: int, member: Member, order: SpotOrder) -> None:
        """Release what the order still holds."""
        if not order.is_sell:
            member.reserved_micro -= _cost(order.market, order.price_ticks, order.left)
        self._books.teller.void(time_ns, Reason.SPOT_RELEASED, order.key)

    def on_trade(
        self, time_ns: int, market: Market, buyer: Side, seller: Side, price_ticks: int, lots: int
    ) -> None:
        """Deliver `lots` from seller to buyer against payment, in one chain."""
        money, receipts = _cost(market, price_ticks, lots), lots * market.contract.lot_mtok
        buyer.member.reserved_micro -= _cost(market, buyer.order.price_ticks, lots)
        buyer.order.saved |= price_ticks < buyer.order.price_ticks
        self._books.teller.chain(time_ns, self._steps(market, buyer, seller, money, receipts))
        buyer.member.bought_micro += money
        buyer.member.receipts_bought += receipts
        seller.member.sold_micro += money
        seller.member.receipts_sold += receipts

    def _steps(
        self, market: Market, buyer: Side, seller: Side, money: int, receipts: int
    ) -> tuple[Step, ...]:
        grade = market.contract.grade
        house_money, house_receipts = self._books.terms.house.spot_money, self._books.spot_receipts[grade]
        buys, sells = buyer.order, seller.order
        return (
            post(Reason.SPOT_PAYMENT, buys.key, money, keep=buys.left > 0),
            post(Reason.SPOT_DELIVERY, sells.key, receipts, keep=sells.left > 0),
            transfer(Reason.SPOT_PAYMENT, house_money, seller.member.cash, money),
            transfer(Reason.SPOT_DELIVERY, house_receipts, buyer.member.receipts[grade], receipts),
        )


def _cost(market: Market, price_ticks: int, lots: int) -> int:
    """The money that lots cost at a price, in micro-units."""
    return price_ticks * market.tick_value_micro * lots
