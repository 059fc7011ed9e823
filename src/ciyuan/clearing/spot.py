"""Spot: delivery against payment (§2.1), each trade by itself, through the ledger.

    order accepted    buy: HOLD money at the limit price          sell: HOLD receipts
    each fill         in one chain, all or none:
                        POST  money of the buyer's hold      -> house
                        POST  receipts of the seller's hold  -> house
                        money    house -> seller
                        receipts house -> buyer
    last fill         the POST releases what its hold still holds: a better price comes back
    cancelled         VOID the hold

Nothing is promised that is not already held, so no spot trade can fail, and the house's two accounts are at zero after each.
"""

from dataclasses import dataclass

from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.books import Books
from ciyuan.clearing.messages import Reason
from ciyuan.clearing.positions import Market, Member
from ciyuan.clearing.teller import Step, post, transfer


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a trade: whose order it was, and whether the fill was its last."""

    member: Member
    order_id: int
    done: bool


class SpotDesk:
    """The holds of open spot orders. `holds` maps (participant, order id) to the ledger key of the order's hold."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.holds: dict[tuple[int, int], int] = {}

    def covered(self, member: Member, market: Market, lots: int) -> bool:
        """Whether the member's receipts, less those held, cover a sell order (§5.1)."""
        account = member.receipts[market.contract.grade]
        return self._books.teller.ledger.available(account) >= lots * market.contract.lot_mtok

    def on_accepted(
        self,
        time_ns: int,
        member: Member,
        market: Market,
        order_id: int,
        is_sell: bool,
        price_ticks: int,
        lots: int,
    ) -> None:
        """Hold what the order may have to deliver or pay."""
        teller, house, grade = self._books.teller, self._books.terms.house, market.contract.grade
        if is_sell:
            reason, account, of_house = (
                Reason.SPOT_RECEIPTS_HELD,
                member.receipts[grade],
                self._books.spot_receipts[grade],
            )
            amount = lots * market.contract.lot_mtok
        else:
            reason, account, of_house = Reason.SPOT_MONEY_HELD, member.cash, house.spot_money
            amount = price_ticks * market.tick_value_micro * lots
        self.holds[member.number, order_id] = teller.hold(time_ns, reason, account, of_house, amount)

    def on_cancelled(self, time_ns: int, member: Member, order_id: int) -> None:
        """Release what the order still holds."""
        self._books.teller.void(time_ns, Reason.SPOT_RELEASED, self._take(member, order_id, done=True))

    def on_trade(
        self, time_ns: int, market: Market, buyer: Side, seller: Side, price_ticks: int, lots: int
    ) -> None:
        """Deliver `lots` from seller to buyer against payment, in one chain."""
        money = price_ticks * market.tick_value_micro * lots
        receipts = lots * market.contract.lot_mtok
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
        money_hold = self._take(buyer.member, buyer.order_id, done=buyer.done)
        receipts_hold = self._take(seller.member, seller.order_id, done=seller.done)
        return (
            post(Reason.SPOT_PAYMENT, money_hold, money, keep=not buyer.done),
            post(Reason.SPOT_DELIVERY, receipts_hold, receipts, keep=not seller.done),
            transfer(Reason.SPOT_PAYMENT, house_money, seller.member.cash, money),
            transfer(Reason.SPOT_DELIVERY, house_receipts, buyer.member.receipts[grade], receipts),
        )

    def _take(self, member: Member, order_id: int, *, done: bool) -> int:
        """The key of the order's hold, which is forgotten if the order is done."""
        place = (member.number, order_id)
        if place not in self.holds:
            raise InvariantBroken(
                "a spot order holds what it may owe", f"member {member.number}, order {order_id}"
            )
        return self.holds.pop(place) if done else self.holds[place]
