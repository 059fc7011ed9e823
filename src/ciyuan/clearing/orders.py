"""Orders and their trades as the exchange tells of them: open lots, novation, fees of the fills.

| event | open lots | held lots | fee |
|---|---|---|---|
| ACCEPTED, AMENDED, CANCELLED | more, other or fewer | | |
| FILLED | fewer | more | maker's or taker's |
| FILLED, LEG: of a spread order, in one of its months | fewer, in that month | more | the same |
| FILLED, FORCED: by forced reduction, of no order (§4.5) | | more | none |

An order of a spread is open in both of its months: on its side in the near one, on the other in the far one (§2.5).
An order that closes lots of a gross member is open in none: it asks for nothing. A trade whose price nobody named
(two spread orders, a forced reduction) is no mark.
"""

from collections.abc import Sequence

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import FLAG_SHIFT, REASON_SHIFT
from ciyuan.clearing.books import Books, Out, SpotOrder
from ciyuan.clearing.margin import BP, fill_fee_micro
from ciyuan.clearing.messages import ClearingEvent, Fees, Reason
from ciyuan.clearing.positions import CLOSE_TODAY, CLOSING, DIRECTION, Market, Member
from ciyuan.clearing.spot import Side, SpotDesk
from ciyuan.exchange.messages import CONTRACT_MASK, LAST_DAY_SHIFT, Effect, FillFlag

SIDE_SELL, TAKER, LEG, FORCED = (
    int(flag) << FLAG_SHIFT for flag in (FillFlag.SIDE_SELL, FillFlag.TAKER, FillFlag.LEG, FillFlag.FORCED)
)
UNPRICED = LEG | FORCED
HEDGES = int(Effect.HEDGE)
NOVATED = ClearingEvent.NOVATED | Reason.NOVATION << REASON_SHIFT


class Orders:
    """What happens to orders. `half` is the first side of a trade whose second has not come yet."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._spot = SpotDesk(books)
        self.half: Sequence[int] | None = None

    def on_accepted(self, row: Sequence[int], out: Out) -> None:
        """An order may trade from now on."""
        _, time_ns, account, order_id, _, price_ticks, lots, _ = row
        market = self._open(row, lots)
        if market.is_spot:
            order = SpotOrder(market, row[0] & SIDE_SELL != 0, price_ticks, lots)
            self._books.orders[account, order_id] = order
            self._spot.hold(time_ns, self._books.members[account], order)

    def on_amended(self, row: Sequence[int], out: Out) -> None:
        """An open order has another limit, or other lots left."""
        _, time_ns, account, order_id, contract, price_ticks, _, left = row
        before = contract >> LAST_DAY_SHIFT
        market = self._open(row, left - before)
        if market.is_spot:
            order, member = self._known(account, order_id), self._books.members[account]
            self._spot.release(time_ns, member, order)
            order.price_ticks, order.left = price_ticks, left
            self._spot.hold(time_ns, member, order)

    def on_cancelled(self, row: Sequence[int], out: Out) -> None:
        """What was left of an order may trade no longer."""
        _, time_ns, account, order_id, _, _, lots, _ = row
        market = self._open(row, -lots)
        if market.is_spot:
            order = self._known(account, order_id)
            if order.left != lots:
                raise InvariantBroken(
                    "what ends is what was left",
                    f"member {account}, order {order_id}: {lots}, {order.left} left",
                )
            self._spot.release(time_ns, self._books.members[account], order)
            del self._books.orders[account, order_id]

    def on_filled(self, row: Sequence[int], out: Out) -> None:
        """One side of a trade: the second one makes it a trade."""
        if self.half is None:
            self.half = row
        else:
            first, self.half = self.half, None
            self._novate(first, row, out)

    def _open(self, row: Sequence[int], lots: int) -> Market:
        """So many lots more are open, in each of the order's months; returns the first of them."""
        kind, _, account, _, contract, *_ = row
        effect, is_sell = kind >> REASON_SHIFT, kind & SIDE_SELL != 0
        legs = self._books.legs[contract & CONTRACT_MASK]
        if effect & DIRECTION not in CLOSING:
            member = self._books.members[account]
            for market, other_side in legs:
                position = member.position(market, int(effect & HEDGES != 0))
                position.open_order(is_sell != other_side, lots)
        return legs[0][0]

    def _novate(self, first: Sequence[int], second: Sequence[int], out: Out) -> None:
        """Both sides of a trade now face the house (§7.1)."""
        buy, sell = (second, first) if first[0] & SIDE_SELL else (first, second)
        _, time_ns, buyer, _, contract, price_ticks, lots, trade_id = buy
        if sell[4:8] != buy[4:8] or buy[0] & SIDE_SELL or not sell[0] & SIDE_SELL:
            raise InvariantBroken("a trade has two sides", f"{tuple(first)} and {tuple(second)}")
        market = self._books.markets[contract]
        for side in (buy, sell):
            self._fill(side, market)
        if not first[0] & second[0] & UNPRICED:
            market.mark_ticks = price_ticks
        out.append((NOVATED, time_ns, trade_id, buyer, sell[2], contract, price_ticks, lots))
        if market.is_spot:
            buys, sells = self._spot_side(buy, lots), self._spot_side(sell, lots)
            self._spot.on_trade(time_ns, market, buys, sells, price_ticks, lots)

    def _fill(self, row: Sequence[int], market: Market) -> None:
        """One side: open lots become held lots at their price, and a fee accrues (§7.3)."""
        kind, _, account, _, _, price_ticks, lots, _ = row
        effect, is_sell = kind >> REASON_SHIFT, kind & SIDE_SELL != 0
        member, direction = self._books.members[account], effect & DIRECTION
        position = member.position(market, int(effect & HEDGES != 0))
        if not market.is_spot:
            position.trade(direction, is_sell, lots, price_ticks, self._books.margin_day)
        if kind & FORCED:
            position.reckon()
            return
        accrue(member, market, direction == CLOSE_TODAY, kind & TAKER != 0, price_ticks, lots)
        if direction in CLOSING:
            position.reckon()
        else:
            position.open_order(is_sell, -lots)

    def _spot_side(self, row: Sequence[int], lots: int) -> Side:
        """The order of receipts that was filled, with what is left of it."""
        account, order_id = row[2], row[3]
        order = self._known(account, order_id)
        order.left -= lots
        if order.left < 0:
            raise InvariantBroken("no order is filled beyond its lots", f"member {account}, order {order_id}")
        if not order.left:
            del self._books.orders[account, order_id]
        return Side(self._books.members[account], order)

    def _known(self, account: int, order_id: int) -> SpotOrder:
        order = self._books.orders.get((account, order_id))
        if order is None:
            raise InvariantBroken("only an accepted order trades", f"member {account}, order {order_id}")
        return order


def rates_of(fees: Fees, closes_today: bool, taker: bool) -> tuple[int, int]:
    """(per lot in micro-units, ppm of turnover) that one side of a fill pays (§7.3)."""
    lot, ppm = (
        (fees.taker_lot_micro, fees.taker_turnover_ppm)
        if taker
        else (fees.maker_lot_micro, fees.maker_turnover_ppm)
    )
    if closes_today and fees.today_lot_micro >= 0:
        lot = fees.today_lot_micro
    if closes_today and fees.today_turnover_ppm >= 0:
        ppm = fees.today_turnover_ppm
    return lot, ppm


def accrue(
    member: Member, market: Market, closes_today: bool, taker: bool, price_ticks: int, lots: int
) -> None:
    """The fee of one side of a fill (§7.3)."""
    lot, ppm = rates_of(market.fees, closes_today, taker)
    turnover = price_ticks * market.tick_value_micro * lots
    if taker:
        member.taker_lots += lots
    else:
        member.maker_lots += lots
    member.accrued_micro += fill_fee_micro(turnover, lots, lot, ppm)
    member.fills += 1


def is_moved(market: Market, move_bp: int) -> bool:
    """Whether a market's mark has moved so far since the last review that the next one is due (§6.4)."""
    moved = abs(market.mark_ticks - market.review_ticks)
    return 0 < move_bp <= moved * BP // max(1, market.review_ticks)
