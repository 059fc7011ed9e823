"""Orders and their trades as the exchange tells of them: open lots, novation, fees of the fills.

| event | open lots | held lots | fee |
|---|---|---|---|
| ACCEPTED, AMENDED, CANCELLED | become what is left of the order | | |
| FILLED | less | more | maker's or taker's |
| FILLED, LEG: of a spread order, in one of its months | less, in that month | more | the same |
| FILLED, FORCED: by forced reduction, of no order (§4.5) | | more | none |

An order of a spread is open in both of its months: on its side in the near one, on the other in the far one (§2.5). A trade whose
price nobody named (two spread orders, a forced reduction) is no mark.
"""

from collections.abc import Sequence

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import FLAG_SHIFT, REASON_SHIFT
from ciyuan.clearing.books import Books, OpenOrder, Out
from ciyuan.clearing.margin import fill_fee_micro
from ciyuan.clearing.messages import ClearingEvent, Reason
from ciyuan.clearing.positions import Position
from ciyuan.clearing.spot import Side, SpotDesk
from ciyuan.exchange.messages import CONTRACT_MASK, FillFlag

SIDE_SELL, TAKER, LEG, FORCED = (
    int(flag) << FLAG_SHIFT for flag in (FillFlag.SIDE_SELL, FillFlag.TAKER, FillFlag.LEG, FillFlag.FORCED)
)
UNPRICED = LEG | FORCED
NOVATED = ClearingEvent.NOVATED | Reason.NOVATION << REASON_SHIFT


class Orders:
    """What happens to orders. `half` is the first side of a trade whose second has not come yet."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._members, self._open = books.members, books.orders
        self._spot = SpotDesk(books)
        self.half: Sequence[int] | None = None

    def on_accepted(self, row: Sequence[int], out: Out) -> None:
        """An order may trade from now on."""
        kind, time_ns, account, order_id, contract, price_ticks, lots, _ = row
        number, member = contract & CONTRACT_MASK, self._members[account]
        order = OpenOrder(number, self._books.legs[number], kind & SIDE_SELL != 0, price_ticks)
        order.leave(member, lots)
        self._open[account, order_id] = order
        if order.spot:
            self._spot.hold(time_ns, member, order.spot, order)

    def on_amended(self, row: Sequence[int], out: Out) -> None:
        """An open order has another limit, or other lots left."""
        _, time_ns, account, order_id, _, price_ticks, _, left = row
        order, member = self._known(account, order_id), self._members[account]
        if order.spot:
            self._spot.release(time_ns, member, order.spot, order)
        order.price_ticks = price_ticks
        order.leave(member, left)
        if order.spot:
            self._spot.hold(time_ns, member, order.spot, order)

    def on_cancelled(self, row: Sequence[int], out: Out) -> None:
        """What was left of an order may trade no longer."""
        _, time_ns, account, order_id, _, _, lots, _ = row
        order, member = self._known(account, order_id), self._members[account]
        if order.left != lots * len(order.legs):
            raise InvariantBroken(
                "what ends is what was left", f"member {account}, order {order_id}: {lots}, {order.left} left"
            )
        if order.spot:
            self._spot.release(time_ns, member, order.spot, order)
        order.leave(member, 0)
        del self._open[account, order_id]

    def on_filled(self, row: Sequence[int], out: Out) -> None:
        """One side of a trade: the second one makes it a trade."""
        if self.half is None:
            self.half = row
        else:
            first, self.half = self.half, None
            self._novate(first, row, out)

    def _novate(self, first: Sequence[int], second: Sequence[int], out: Out) -> None:
        """Both sides of a trade now face the house (§7.1)."""
        buy, sell = (second, first) if first[0] & SIDE_SELL else (first, second)
        _, time_ns, buyer, _, contract, price_ticks, lots, trade_id = buy
        if sell[4:8] != buy[4:8] or buy[0] & SIDE_SELL or not sell[0] & SIDE_SELL:
            raise InvariantBroken("a trade has two sides", f"{tuple(first)} and {tuple(second)}")
        market = self._books.markets[contract]
        buys, sells = self._fill(buy), self._fill(sell)
        if not first[0] & second[0] & UNPRICED:
            market.mark_ticks = price_ticks
        out.append((NOVATED, time_ns, trade_id, buyer, sell[2], contract, price_ticks, lots))
        if market.is_spot and buys and sells:
            sides = Side(self._members[buyer], buys), Side(self._members[sell[2]], sells)
            self._spot.on_trade(time_ns, market, *sides, price_ticks, lots)

    def _fill(self, row: Sequence[int]) -> OpenOrder | None:
        """One side: open lots become held lots at their price, and a fee accrues (§7.3). Returns its order, if there is one."""
        kind, _, account, order_id, contract, price_ticks, lots, _ = row
        is_sell = kind & SIDE_SELL != 0
        position = self._members[account].position(self._books.markets[contract])
        if not position.market.is_spot:
            signed = -lots if is_sell else lots
            position.lots += signed
            position.basis += signed * price_ticks
        if kind & FORCED:
            position.reckon()
            return None
        _accrue(position, kind & TAKER != 0, price_ticks, lots)
        position.open_order(is_sell, -lots)
        order = self._known(account, order_id)
        order.left -= lots
        if order.left < 0:
            raise InvariantBroken("no order is filled beyond its lots", f"member {account}, order {order_id}")
        if not order.left:
            del self._open[account, order_id]
        return order

    def _known(self, account: int, order_id: int) -> OpenOrder:
        order = self._open.get((account, order_id))
        if order is None:
            raise InvariantBroken("only an accepted order trades", f"member {account}, order {order_id}")
        return order


def _accrue(position: Position, taker: bool, price_ticks: int, lots: int) -> None:
    """The fee of one side of a fill (§7.3)."""
    member, market = position.member, position.market
    fees, turnover = market.fees, price_ticks * market.tick_value_micro * lots
    if taker:
        member.taker_lots += lots
        fee = fill_fee_micro(turnover, lots, fees.taker_lot_micro, fees.taker_turnover_ppm)
    else:
        member.maker_lots += lots
        fee = fill_fee_micro(turnover, lots, fees.maker_lot_micro, fees.maker_turnover_ppm)
    member.accrued_micro += fee
    member.fills += 1
