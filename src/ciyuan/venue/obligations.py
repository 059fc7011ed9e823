"""Market makers' obligations (§7.3), seen in the book: both sides quoted, close enough together, and large enough.

A SAMPLE of a future looks at every maker once, and tells the clearing house what it saw; while the contract does not trade
continuously nobody is looked at.
"""

from collections.abc import Mapping, Sequence

from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import MakerTerms, MemberRole, presence_row
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import SessionState, Side
from ciyuan.venue.books import Books, Out
from ciyuan.venue.messages import Role, VenueEvent

BP = 10_000
Best = tuple[int, int]
"""Price in ticks, and lots at it."""


class Obligations:
    """Looks at makers' quotes."""

    def __init__(self, books: Books, exchange: Exchange, clearing: ClearingHouse, terms: MakerTerms) -> None:
        self._books, self._exchange, self._clearing, self._terms = books, exchange, clearing, terms

    def sample(self, row: Sequence[int], out: Out) -> None:
        """SAMPLE of a future: say how many makers met their obligation, and count it for each of them."""
        _, time_ns, number, *_ = row
        book, met = self._exchange.book(number), 0
        if book.state == SessionState.CONTINUOUS:
            buys, sells = (best_quotes(book.queue(side)) for side in (Side.BUY, Side.SELL))
            for maker in self._makers():
                meets = is_met(buys.get(maker), sells.get(maker), self._terms)
                met += meets
                self._clearing.apply_one(presence_row(time_ns, maker, number, met=meets), out)
        out.append((int(VenueEvent.SAMPLED), time_ns, number, met, 0, 0, 0, 0))

    def _makers(self) -> list[int]:
        return [
            number
            for number, (roles, _, role, *_) in sorted(self._books.participants.items())
            if role == MemberRole.MAKER and roles & Role.FUTURES
        ]


def best_quotes(queue: Sequence[Sequence[int]]) -> Mapping[int, Best]:
    """Each account's best price of one side and its lots there, from the side's (account, order id, price, lots left)
    in order.
    """
    best: dict[int, Best] = {}
    for account, _, price, lots in queue:
        held = best.setdefault(account, (price, 0))
        if held[0] == price:
            best[account] = (price, held[1] + lots)
    return best


def is_met(buy: Best | None, sell: Best | None, terms: MakerTerms) -> bool:
    """Whether two best quotes meet the obligation: both there, close enough, large enough."""
    if buy is None or sell is None or min(buy[1], sell[1]) < terms.size_lots:
        return False
    return (sell[0] - buy[0]) * 2 * BP <= terms.spread_bp * (sell[0] + buy[0])
