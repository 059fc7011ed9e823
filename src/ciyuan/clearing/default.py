"""Default (§10.1, §10.2): from a call whose deadline has passed to a loss that is shared.

    CALLED, past its deadline and still short
      -> DEFAULTED: no new risk, its orders are cancelled at the exchange
      -> slices in the market, largest charge first, one a position and step, while its session is continuous
      -> what is left after the last slice, or when trading has ended for good: an auction, then a tear-up
      -> flat, and its variation settled with a day or a contract: the waterfall
      -> CLOSED_OUT

A step of a position comes at least `slice_ns` after the one before. The clearing house says a slice (SLICED) and the
exchange gets it as an order of the defaulter that fills at once as far as it can, or as several, if it is more than one order may
have; the fills come back like any others. A
slice's limit is `slip_bp` from the mark, rounded to the side that trades more easily, within the day's limits. Of a gross
member lots of today are closed as such, before those of earlier days: an order names one of the two (§3.4).
"""

from ciyuan.basics.money import div_ceil
from ciyuan.clearing.auction import Auctions
from ciyuan.clearing.books import Books, Out, say
from ciyuan.clearing.closeout import CloseOut, Closing
from ciyuan.clearing.life import TRADABLE
from ciyuan.clearing.margin import BP
from ciyuan.clearing.messages import ClearingEvent, ClearingFlag, Reason, Standing
from ciyuan.clearing.positions import Market, Member, Position
from ciyuan.clearing.settlement import Settlement
from ciyuan.clearing.tear_up import held_lots
from ciyuan.clearing.waterfall import Realise, Waterfall
from ciyuan.exchange.messages import SessionState, Side


class Defaults:
    """Begins defaults and takes their next steps."""

    def __init__(self, books: Books, settlement: Settlement, realise: Realise) -> None:
        self._books, self._settlement = books, settlement
        self.auctions = Auctions(books)
        self._waterfall = Waterfall(books, realise)

    def begin(self, out: Out, time_ns: int, member: Member, excess: int) -> None:
        """A member is past its deadline and short of margin by -`excess`."""
        member.standing = Standing.DEFAULTED
        self._books.closeouts[member.number] = CloseOut(member.number, time_ns)
        words = (
            member.number,
            -excess,
            member.owed_micro,
            member.requirement_micro,
            0,
            self._books.margin_day,
        )
        say(out, ClearingEvent.DEFAULTED, Reason.DEFAULT, time_ns, words)

    def step(self, out: Out, time_ns: int) -> None:
        """The next slices and auctions of every default, by member; auctions that end; losses that are known."""
        self.auctions.close_due(out, time_ns)
        for number in sorted(self._books.closeouts):
            self._close_positions(out, time_ns, self._books.closeouts[number])
        for number in sorted(self._books.closeouts):
            member = self._books.members[number]
            if self._is_settled(member):
                assessed = self._waterfall.fall(out, time_ns, member)
                del self._books.closeouts[number]
                self._settlement.recall(out, time_ns, assessed)

    # --- positions ---

    def _close_positions(self, out: Out, time_ns: int, closeout: CloseOut) -> None:
        member = self._books.members[closeout.participant]
        held = sorted(member.held(), key=lambda at: (-at.charge_micro, at.market.number, at.hedge))
        for position in held:
            for side in (Side.SELL, Side.BUY):
                lots = held_lots(position, side)
                if lots:
                    self._close(out, time_ns, closeout, position, side)

    def _close(self, out: Out, time_ns: int, closeout: CloseOut, position: Position, side: Side) -> None:
        """The next step of one side of a position, if it is due."""
        place, lots = (position.market.number, position.hedge, side), held_lots(position, side)
        closing = closeout.closings.setdefault(place, Closing(*place, lots))
        terms, market = self._books.terms.default, position.market
        if closing.auction or time_ns < closing.next_ns:
            return
        if market.life not in TRADABLE or closing.slices >= terms.slices_max:
            self.auctions.open(out, time_ns, closeout.participant, closing, lots)
        elif market.state == SessionState.CONTINUOUS:
            self._slice(out, time_ns, closeout, closing, position)

    def _slice(
        self, out: Out, time_ns: int, closeout: CloseOut, closing: Closing, position: Position
    ) -> None:
        terms, sells = self._books.terms.default, closing.side == Side.SELL
        held, today = (
            (position.long, position.long_today) if sells else (position.short, position.short_today)
        )
        of_today = position.member.is_gross and today > 0
        size = max(1, closing.size_lots * terms.slice_bp // BP)
        lots = min(size, today if of_today else held)
        closing.slices += 1
        closing.next_ns = time_ns + terms.slice_ns
        limit = slice_limit_ticks(position.market, sells, terms.slip_bp)
        number, most = position.market.number, position.market.contract.max_lots_per_order
        flags = int(ClearingFlag.HEDGE * closing.hedge | ClearingFlag.TODAY * of_today)
        while lots:
            part = min(lots, most)
            lots -= part
            order = (limit, closeout.next_order_id(), closing.slices)
            words = (closeout.participant, number, -part if sells else part, *order)
            say(out, ClearingEvent.SLICED, Reason.DEFAULT, time_ns, words, flags)

    # --- the end ---

    def _is_settled(self, member: Member) -> bool:
        """Whether it is flat, has nothing open, and no variation or fee that is still to be settled."""
        books = self._books
        offered = any(auction.participant == member.number for auction in books.auctions.values())
        if offered or books.carried(member) or member.accrued_micro:
            return False
        found = (member.find(number, hedge) for number in books.markets for hedge in (0, 1))
        if any(at is not None and (at.buys or at.sells) for at in found):
            return False
        return not any(participant == member.number for participant, _ in books.orders)


def slice_limit_ticks(market: Market, sells: bool, slip_bp: int) -> int:
    """A slice's limit: `slip_bp` from the mark, rounded away from it, within the day's limits."""
    mark = market.mark_ticks
    limit = mark * (BP - slip_bp) // BP if sells else div_ceil(mark * (BP + slip_bp), BP)
    return max(1, market.lower_ticks, min(limit, market.upper_ticks))
