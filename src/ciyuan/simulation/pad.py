"""An order pad: what every simulated trader writes its orders on, and how it learns what became of them.

The pad numbers the trader's orders, keeps those that are open, and follows its position from the exchange's events.
It knows nothing of the machines: rows go out, events come in.
"""

from dataclasses import dataclass

from ciyuan.basics.rows import FLAG_SHIFT, Row
from ciyuan.exchange.messages import ExchangeCommand, FillFlag, OrderFlag

SELL = int(OrderFlag.SIDE_SELL)
_SELL_BIT = SELL << FLAG_SHIFT
_DONE_BIT = int(FillFlag.DONE) << FLAG_SHIFT


@dataclass(slots=True)
class OpenOrder:
    """An order that may still trade. `tag` is the trader's own (a quote's place, say)."""

    order_id: int
    contract: int
    is_sell: bool
    price_ticks: int
    tag: int


class OrderPad:
    """The orders and positions of one account."""

    def __init__(self, account: int) -> None:
        self.account = account
        self.open: dict[int, OpenOrder] = {}
        self.position: dict[int, int] = {}
        self.refused = 0
        self._next_id = 1

    def order(self, rows: list[Row], time_ns: int, contract: int, is_sell: bool, price_ticks: int, lots: int, *,
              kind: OrderFlag = OrderFlag.LIMIT, tag: int = 0) -> int:  # fmt: skip
        """Write an ORDER row; a limit order is kept as open until an event says otherwise. Returns its id."""
        order_id = self._next_id
        self._next_id += 1
        flags = int(kind) | (SELL if is_sell else 0)
        word = int(ExchangeCommand.ORDER) | flags << FLAG_SHIFT
        rows.append((word, time_ns, self.account, order_id, contract, price_ticks, lots, 0))
        if kind == OrderFlag.LIMIT:
            self.open[order_id] = OpenOrder(order_id, contract, is_sell, price_ticks, tag)
        return order_id

    def cancel(self, rows: list[Row], time_ns: int, order_id: int) -> None:
        """Write a CANCEL row for an open order."""
        del self.open[order_id]
        rows.append((int(ExchangeCommand.CANCEL), time_ns, self.account, order_id, 0, 0, 0, 0))

    def on_fill(self, event: Row) -> None:
        """Take in a FILLED row of this account."""
        signed = -event[6] if event[0] & _SELL_BIT else event[6]
        self.position[event[4]] = self.position.get(event[4], 0) + signed
        if event[0] & _DONE_BIT:
            self.open.pop(event[3], None)

    def on_gone(self, event: Row) -> None:
        """Take in a CANCELLED or REFUSED row of this account: the order is no longer open."""
        self.open.pop(event[3], None)
