"""Default auctions (§10.2): what the market did not take of a defaulter's position is offered to the other members.

| step | rule |
|---|---|
| opened | for `auction_ns`, at the settlement price of the time: bids are 1 to twice that price |
| bid | one a member, the last one stands; it takes its place in time anew with each change |
| closed | while the contract takes cancels; best price first, then by time; each pays what it bid |
| covered | a bidder gets as many lots as leave its excess at zero or more, or no worse; the rest of its bid is passed over |
| left | torn up pro rata at the settlement price, against those who hold the other side |

A bidder's excess after n lots is concave in n: its charge is convex, its running loss concave. So what it can cover is
found by halving. (An offset of scenario margin is lost with the first lot that reduces, as in the market: §6.2.)
"""

from ciyuan.clearing.books import Answer, Books, Command, Out, say
from ciyuan.clearing.closeout import Auction, Bid, Closing
from ciyuan.clearing.messages import ClearingEvent, ClearingFlag, ClearingRefusal, Permission, Reason
from ciyuan.clearing.positions import Member, Position
from ciyuan.clearing.tear_up import Transfers, held_lots, taking_party
from ciyuan.exchange.messages import Side
from ciyuan.exchange.session import CANCELLING
from ciyuan.exchange.state import EXPOSURE_MAX

MAY_CANCEL = frozenset({0, *map(int, CANCELLING)})
"""The states of a contract (0: none yet) in which an auction may close: orders of who is torn up against may have to go."""
PRICE_MOST = 2
"""A bid is at most so many times the settlement price."""


class Auctions:
    """Opens auctions, takes bids, and closes auctions whose time has come."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._transfers = Transfers(books)

    def open(self, out: Out, time_ns: int, participant: int, closing: Closing, lots: int) -> None:
        """Offer `lots` of a defaulter's closing."""
        books = self._books
        books.auction_count += 1
        closing.auction = number = books.auction_count
        settle_ticks = books.markets[closing.contract].settle_ticks
        closes_ns = time_ns + books.terms.default.auction_ns
        place = (closing.contract, closing.hedge, closing.side)
        books.auctions[number] = Auction(number, participant, *place, lots, settle_ticks, closes_ns)
        signed = lots if closing.side == Side.SELL else -lots
        words = (number, participant, closing.contract, signed, settle_ticks, closes_ns)
        flags = int(ClearingFlag.HEDGE * closing.hedge)
        say(out, ClearingEvent.AUCTION_OPENED, Reason.AUCTION, time_ns, words, flags)

    def bid(self, row: Command, out: Out) -> Answer:
        """BID: in the place of the member's bid before; 0 lots take it back."""
        _, time_ns, number, auction_number, price_ticks, lots, *_ = row
        answer = self._refusal_of(time_ns, number, auction_number, price_ticks, lots)
        if answer is not None:
            return answer
        auction = self._books.auctions[auction_number]
        stands = auction.bids.get(number)
        if (stands is None and not lots) or (
            stands is not None and (stands.price_ticks, stands.lots) == (price_ticks, lots)
        ):
            return ClearingEvent.REPEATED
        auction.places += 1
        if lots:
            auction.bids[number] = Bid(number, price_ticks, lots, auction.places)
        else:
            del auction.bids[number]
        say(
            out, ClearingEvent.BID_TAKEN, Reason.AUCTION, time_ns, (number, auction_number, price_ticks, lots)
        )
        return None

    def _refusal_of(
        self, time_ns: int, number: int, auction_number: int, price_ticks: int, lots: int
    ) -> ClearingRefusal | None:
        """The first refusal that applies; a price is not looked at in a bid that is taken back."""
        books = self._books
        member, auction = books.members.get(number), books.auctions.get(auction_number)
        if member is None:
            return ClearingRefusal.UNKNOWN_MEMBER
        ended = auction is None or time_ns >= auction.closes_ns
        most = price_ticks if auction is None or ended else PRICE_MOST * auction.settle_ticks
        refusals = (
            (ClearingRefusal.PRICE_OUT_OF_RANGE, lots != 0 and not 1 <= price_ticks <= most),
            (ClearingRefusal.UNKNOWN_AUCTION, not 1 <= auction_number <= books.auction_count),
            (ClearingRefusal.AUCTION_ENDED, ended),
            (ClearingRefusal.NOT_PERMITTED, not member.permissions & Permission.FUTURES),
            (ClearingRefusal.IN_DEFAULT, member.is_in_default),
            (ClearingRefusal.LOTS_OUT_OF_RANGE, auction is not None and not 0 <= lots <= auction.lots),
        )
        return next((refusal for refusal, applies in refusals if applies), None)

    def close_due(self, out: Out, time_ns: int) -> None:
        """Close the auctions whose time has come, by number."""
        for number in sorted(self._books.auctions):
            auction = self._books.auctions[number]
            if auction.closes_ns <= time_ns and self._may_cancel(auction.contract):
                self._close(out, time_ns, self._books.auctions.pop(number))

    def _may_cancel(self, contract: int) -> bool:
        """Whether orders in a contract, and in the spreads that it is a month of, may be cancelled now."""
        market, legs = self._books.markets[contract], self._books.legs
        spreads = (
            state
            for spread, state in self._books.spread_states.items()
            if any(leg is market for leg, _ in legs[spread])
        )
        return all(state in MAY_CANCEL for state in (market.state, *spreads))

    def _close(self, out: Out, time_ns: int, auction: Auction) -> None:
        """Award what is still held to the bidders, and tear up the rest. What comes to be held after it is closed anew."""
        place = (auction.contract, auction.hedge, auction.side)
        self._books.closeouts[auction.participant].closings.pop(place, None)
        defaulter = self._books.members[auction.participant]
        left = min(auction.lots, held_lots(defaulter.find(auction.contract, auction.hedge), auction.side))
        offered = left
        for bid in auction.best_first():
            left -= self._award(out, time_ns, auction, bid, left)
        words = (
            auction.number,
            auction.participant,
            auction.contract,
            offered - left,
            left,
            len(auction.bids),
        )
        say(out, ClearingEvent.AUCTION_CLOSED, Reason.AUCTION, time_ns, words)
        if left:
            self._transfers.tear_up(out, time_ns, auction, left)

    def _award(self, out: Out, time_ns: int, auction: Auction, bid: Bid, left: int) -> int:
        """Give a bidder what it bid for, can cover, and is left; returns how many lots."""
        member = self._books.members[bid.participant]
        if member.is_in_default or not left:
            return 0
        position = member.position(self._books.markets[auction.contract])
        buys = auction.side == Side.SELL
        lots = covered_lots(self._books, position, buys, bid.price_ticks, min(bid.lots, left))
        if lots:
            party = taking_party(position)
            self._transfers.move(out, time_ns, auction, Reason.AUCTION, party, bid.price_ticks, lots)
        return lots


def covered_lots(books: Books, position: Position, buys: bool, price_ticks: int, lots: int) -> int:
    """How many of `lots`, bought or sold at a price, the position's member may take over: as many as leave its excess at
    zero or more, or no worse than it is, if it is short of margin already.
    """
    floor_micro = min(0, books.excess_micro(position.member))
    held = position.long + position.buys if buys else position.short + position.sells
    least, most = 0, min(lots, max(0, EXPOSURE_MAX - held))
    while least < most:
        middle = (least + most + 1) // 2
        if excess_after(books, position, buys, price_ticks, middle) >= floor_micro:
            least = middle
        else:
            most = middle - 1
    return least


def excess_after(books: Books, position: Position, buys: bool, price_ticks: int, lots: int) -> int:
    """The member's excess in micro-units if the position takes `lots` more over, bought or sold at a price."""
    member, market = position.member, position.market
    sign = 1 if buys else -1
    if member.is_gross:
        long, short = position.long + position.buys, position.short + position.sells
        worst = max(long + lots, short) if buys else max(long, short + lots)
        reduces = False
    else:
        held = position.lots + sign * lots
        worst = max(held + position.buys, position.sells - held)
        reduces = lots > 0 and position.lots * sign < 0
    charge = worst * market.margin_lot_micro + (position.buys + position.sells) * market.fee_lot_micro
    adjustment = max(0, member.adjustment_micro) if reduces else member.adjustment_micro
    requirement = member.ladder_micro + charge - position.charge_micro + adjustment
    gained = _gained_micro(books, member)
    gained_after = gained + sign * lots * (market.mark_ticks - price_ticks) * market.tick_value_micro
    equity = books.equity_micro(member) - min(0, gained) + min(0, gained_after)
    return equity - requirement


def _gained_micro(books: Books, member: Member) -> int:
    """The running variation at the marks, gains too."""
    return sum(held.variation_micro(held.market.mark_ticks) for held in books.carried(member))
