"""The floor: all that the exchange knows between two commands, and the rows in which it answers for the floor."""

from collections.abc import Iterable, Sequence

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import FLAG_MASK, FLAG_SHIFT, Row
from ciyuan.exchange.book import Order, Participant
from ciyuan.exchange.market import Market
from ciyuan.exchange.messages import CancelCause, Contract, ExchangeEvent, Refusal

_FLAGS = FLAG_MASK << FLAG_SHIFT
_REFUSED, _REPEATED, _CANCELLED = map(
    int, (ExchangeEvent.REFUSED, ExchangeEvent.REPEATED, ExchangeEvent.CANCELLED)
)


class Floor:
    """Markets by contract number (in order), participants by account, the clock, and how many orders and trades there were."""

    __slots__ = ("arrivals", "markets", "participants", "time_ns", "trades")

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self.markets: dict[int, Market] = {}
        for contract in sorted(contracts, key=lambda listed: listed.number):
            if contract.number in self.markets:
                raise Malformed("contracts", found=f"two with number {contract.number}", expected="a number for each",
                                remedy="Renumber one of them.")  # fmt: skip
            self.markets[contract.number] = Market(contract)
        self.participants: dict[int, Participant] = {}
        self.time_ns = self.arrivals = self.trades = 0

    def participant(self, account: int) -> Participant:
        """The participant of an account; one without orders if it had none."""
        found = self.participants.get(account)
        if found is None:
            found = self.participants[account] = Participant(account)
        return found


def refused(row: Sequence[int], refusal: Refusal) -> Row:
    """REFUSED: the command's words, and why."""
    kind, time_ns, a, b, c, d, e, _ = row
    return (_REFUSED | kind & _FLAGS, time_ns, a, b, c, d, e, int(refusal))


def repeated(row: Sequence[int]) -> Row:
    """REPEATED: the command's words."""
    kind, time_ns, a, b, c, d, e, f = row
    return (_REPEATED | kind & _FLAGS, time_ns, a, b, c, d, e, f)


def end_cancelled(order: Order, cause: CancelCause, time_ns: int) -> Row:
    """End an open order that is in no book any more, and the CANCELLED row that says so."""
    left = order.left
    order.left = 0
    order.end = int(cause)
    del order.owner.open[order.order_id]
    kind = _CANCELLED | order.is_sell << FLAG_SHIFT
    return (kind, time_ns, order.account, order.order_id, order.contract, order.end, left, 0)
