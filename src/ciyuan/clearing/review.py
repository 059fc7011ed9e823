"""The review (§6.4): margin in the course of the day, calls and their deadlines, and the next steps of every default (§10).

A REVIEW does, in this order:

| step | of whom |
|---|---|
| scenario margin anew | members whose positions have changed since the last review |
| a call, or a call met | members with a requirement, a debt or a call; only what is new is said |
| default | members whose deadline has passed and who are still short |
| slices, auctions | defaults, by member |
| the waterfall | defaults whose positions are closed and settled |
"""

from collections.abc import Mapping, Sequence

from ciyuan.clearing.books import Answer, Books, Command, Handler, Out, say
from ciyuan.clearing.closeout import Auction, Bid, CloseOut, Closing
from ciyuan.clearing.collateral import Pledges
from ciyuan.clearing.default import Defaults
from ciyuan.clearing.messages import ClearingCommand, ClearingEvent, Reason, Standing
from ciyuan.clearing.section import Section, not_a_section
from ciyuan.clearing.settlement import Settlement
from ciyuan.exchange.messages import SessionState, Side


class Reviews:
    """The handlers of REVIEW and BID."""

    def __init__(self, books: Books, settlement: Settlement) -> None:
        self._books, self._settlement = books, settlement
        self._defaults = Defaults(books, settlement, Pledges(books, settlement).realise)
        self.handlers: Mapping[int, Handler] = {
            ClearingCommand.REVIEW: self._review,
            ClearingCommand.BID: self._defaults.auctions.bid,
        }

    def _review(self, row: Command, out: Out) -> Answer:
        time_ns, day = row[1], self._books.margin_day
        changed = self._settlement.margin_changed()
        called = 0
        for member, excess in self._settlement.excesses():
            self._settlement.call(out, time_ns, day, member, excess, new_only=True)
            if member.standing == Standing.CALLED and member.deadline_ns <= time_ns:
                self._defaults.begin(out, time_ns, member, excess)
            called += member.standing == Standing.CALLED
        self._defaults.step(out, time_ns)
        words = (changed, called, len(self._books.closeouts), 0, 0, day)
        say(out, ClearingEvent.REVIEWED, Reason.REVIEW, time_ns, words)
        return None


# --- snapshot ---


def _closeout_rows(books: Books) -> list[tuple[int, ...]]:
    return [
        (closeout.participant, closeout.begun_ns, closeout.orders)
        for _, closeout in sorted(books.closeouts.items())
    ]


def _restore_closeouts(books: Books, rows: Sequence[Sequence[int]]) -> None:
    for participant, begun_ns, orders in rows:
        if participant not in books.members or not books.members[participant].is_in_default:
            raise not_a_section("closeouts", participant, "a member in default")
        books.closeouts[participant] = CloseOut(participant, begun_ns, orders)


def _closing_rows(books: Books) -> list[tuple[int, ...]]:
    return [
        (number, *place, of.size_lots, of.slices, of.next_ns, of.auction)
        for number, closeout in sorted(books.closeouts.items())
        for place, of in sorted(closeout.closings.items())
    ]


def _restore_closings(books: Books, rows: Sequence[Sequence[int]]) -> None:
    for number, contract, hedge, side, *rest in rows:
        if (
            number not in books.closeouts
            or contract not in books.markets
            or side not in (Side.BUY, Side.SELL)
        ):
            raise not_a_section("closings", (number, contract, side), "a side of a defaulter's position")
        of = Closing(contract, hedge, Side(side), *rest)
        books.closeouts[number].closings[contract, hedge, of.side] = of


def _auction_rows(books: Books) -> list[tuple[int, ...]]:
    """The count of all auctions as auction 0, then those that are open."""
    count = [(0, books.auction_count, *(0,) * 7)] if books.auction_count else []
    return [
        *count,
        *(
            (of.number, of.participant, of.contract, of.hedge, of.side, of.lots, of.settle_ticks, of.closes_ns, of.places)
            for _, of in sorted(books.auctions.items())
        ),
    ]  # fmt: skip


def _restore_auctions(books: Books, rows: Sequence[Sequence[int]]) -> None:
    for number, participant, contract, hedge, side, lots, settle_ticks, closes_ns, places in rows:
        if number == 0:
            books.auction_count = participant
        elif participant not in books.closeouts or not number <= books.auction_count:
            raise not_a_section("auctions", (number, participant), "auctions of members in default, counted")
        elif contract not in books.markets or side not in (Side.BUY, Side.SELL):
            raise not_a_section("auctions", (contract, side), "a side of a listed contract")
        else:
            place, told = (contract, hedge, Side(side)), (lots, settle_ticks, closes_ns, places)
            books.auctions[number] = Auction(number, participant, *place, *told)


def _bid_rows(books: Books) -> list[tuple[int, ...]]:
    return [
        (number, participant, bid.price_ticks, bid.lots, bid.place)
        for number, auction in sorted(books.auctions.items())
        for participant, bid in sorted(auction.bids.items())
    ]


def _restore_bids(books: Books, rows: Sequence[Sequence[int]]) -> None:
    for number, participant, *rest in rows:
        if number not in books.auctions or participant not in books.members:
            raise not_a_section("bids", (number, participant), "a member's bid in an open auction")
        books.auctions[number].bids[participant] = Bid(participant, *rest)


def _spread_rows(books: Books) -> list[tuple[int, int]]:
    return sorted(books.spread_states.items())


def _restore_spreads(books: Books, rows: Sequence[Sequence[int]]) -> None:
    for spread, state in rows:
        if spread in books.markets or spread not in books.legs or state not in tuple(SessionState):
            raise not_a_section("spreads", (spread, state), "a state of a listed spread")
        books.spread_states[spread] = state


SECTIONS = (
    Section("spreads", 2, _spread_rows, _restore_spreads),
    Section("closeouts", 3, _closeout_rows, _restore_closeouts),
    Section("closings", 8, _closing_rows, _restore_closings),
    Section("auctions", 9, _auction_rows, _restore_auctions),
    Section("bids", 5, _bid_rows, _restore_bids),
)
