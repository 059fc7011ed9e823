"""Lots that change hands without the market (§10.2): awarded in an auction, or torn up pro rata at the settlement price.

Neither side pays a fee, no order is filled, and no mark is set: a transfer is between two members and the house only. A
net member's lots close what it holds on the other side and open the rest. Of a gross member the defaulter's side and a
torn-up holder's are closed, a bidder's lots are opened in its speculative position.
"""

from dataclasses import dataclass

from ciyuan.clearing.books import Books, Out, say
from ciyuan.clearing.closeout import Auction
from ciyuan.clearing.messages import ClearingEvent, ClearingFlag, Reason
from ciyuan.clearing.positions import CLOSE, OPEN, Market, Position
from ciyuan.clearing.shares import pro_rata
from ciyuan.exchange.messages import Side


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a transfer: whose position, and what the lots do to it (an `Effect`'s direction; 0: a net member's)."""

    position: Position
    direction: int


def closing_party(position: Position) -> Party:
    """The side whose lots are closed."""
    return Party(position, CLOSE if position.member.is_gross else 0)


def taking_party(position: Position) -> Party:
    """The side that takes lots over."""
    return Party(position, OPEN if position.member.is_gross else 0)


def held_lots(position: Position | None, side: Side) -> int:
    """The lots of a position that a defaulter on `side` has to close: SELL the long ones, BUY the short ones."""
    if position is None:
        return 0
    return position.long if side == Side.SELL else position.short


class Transfers:
    """Moves lots between members outside of the market."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def move(
        self,
        out: Out,
        time_ns: int,
        auction: Auction,
        reason: Reason,
        other: Party,
        price_ticks: int,
        lots: int,
    ) -> None:
        """Let the auction's defaulter sell (or buy) `lots` to (from) the other, at a price."""
        market = self._books.markets[auction.contract]
        own = closing_party(self._books.members[auction.participant].position(market, auction.hedge))
        seller, buyer = (own, other) if auction.side == Side.SELL else (other, own)
        day = self._books.margin_day
        seller.position.trade(seller.direction, True, lots, price_ticks, day)
        buyer.position.trade(buyer.direction, False, lots, price_ticks, day)
        for position in (seller.position, buyer.position):
            position.long_today = position.short_today = (
                0  # the exchange is told them as lots of earlier days
            )
            position.reckon()
        numbers = buyer.position.member.number, seller.position.member.number
        words = (*numbers, market.number, price_ticks, lots, auction.number)
        flags = ClearingFlag.HEDGE * buyer.position.hedge | ClearingFlag.SELLER_HEDGE * seller.position.hedge
        say(out, ClearingEvent.TRANSFERRED, reason, time_ns, words, int(flags))

    def tear_up(self, out: Out, time_ns: int, auction: Auction, lots: int) -> None:
        """Close `lots` of the defaulter against all who hold the other side, in proportion, at the settlement price.

        There are always enough: long and short lots are equal, and the defaulter's own other side counts too.
        """
        market = self._books.markets[auction.contract]
        holders = self._holders(market, auction)
        parts = pro_rata(lots, [held for _, held in holders])
        for (holder, _), part in zip(holders, parts, strict=True):
            if part:
                party = closing_party(holder)
                self.move(out, time_ns, auction, Reason.TEAR_UP, party, market.settle_ticks, part)

    def _holders(self, market: Market, auction: Auction) -> list[tuple[Position, int]]:
        """Who holds the other side, by member and hedge, with how much."""
        other = Side.BUY if auction.side == Side.SELL else Side.SELL
        found = [(position, held_lots(position, other)) for position in self._books.positions_of(market)]
        return [(position, lots) for position, lots in found if lots]
