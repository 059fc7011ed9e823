"""Every standing order, without a name: the public order is a number, a price, the lots it shows, and its place in the queue.

An order's number counts the ACCEPTED events, so neither account nor order id is told; its place is a count too, of all that
gives a place, and the lower of two at one price trades first.

| event | the order |
|---|---|
| ACCEPTED | gets number and place; a stop is shown to nobody until TRIGGERED, and then takes a new place |
| FILLED | less those lots; of a spread order only the near leg counts |
| RELOADED | shows lots again, in a new place; in an auction it keeps its place |
| AMENDED | has those lots left; unless KEPT a new price and place, and an iceberg shows its part again |
| CANCELLED, or its last lot filled | is gone |
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import FLAG_SHIFT
from ciyuan.exchange.messages import CONTRACT_MASK, AmendFlag, FillFlag, OrderFlag, Side

_STOP, _ICEBERG = int(OrderFlag.STOP), int(OrderFlag.ICEBERG)
_KEPT = int(AmendFlag.KEPT)
_LEG, _TAKER, _AUCTION = int(FillFlag.LEG), int(FillFlag.TAKER), int(FillFlag.AUCTION)


@dataclass(frozen=True, slots=True)
class StandingOrder:
    """An order in a book. `lots` are those it shows; 0 says that it is gone. Of two at a price the lower `priority` is first."""

    number: int
    contract: int
    side: Side
    price_ticks: int
    lots: int
    priority: int


class _Order:
    """An open order as the feed knows it; `part` is what an iceberg shows at most, else 0; `told` is what was said of it last."""

    __slots__ = (
        "contract",
        "left",
        "number",
        "part",
        "price_ticks",
        "priority",
        "shown",
        "side",
        "told",
        "waits",
    )

    def __init__(
        self, number: int, contract: int, side: int, price_ticks: int, left: int, part: int, *, waits: bool
    ) -> None:
        self.number = self.priority = number
        self.contract = contract
        self.side = side
        self.price_ticks = price_ticks
        self.left = left
        self.part = part
        self.shown = 0
        self.waits = waits
        self.told: StandingOrder | None = None
        self.show_part()

    def show_part(self) -> None:
        """Show as an order does that has just arrived."""
        self.shown = min(self.part, self.left) if self.part else self.left

    def public(self) -> StandingOrder:
        """What anybody may know of it."""
        lots = 0 if self.waits else self.shown
        return StandingOrder(
            self.number, self.contract, Side(self.side), self.price_ticks, lots, self.priority
        )


class OrderQueue:
    """The open orders of all contracts. `near_of` gives the near leg of each spread.

    `whole` says that every order was heard from its ACCEPTED on; then one that is not known is Malformed, else it is passed over.
    """

    __slots__ = ("_near_of", "_open", "_places", "_standing", "_touched", "accepted", "whole")

    def __init__(self, near_of: Mapping[int, int]) -> None:
        self._near_of = near_of
        self._open: dict[tuple[int, int], _Order] = {}
        self._standing: dict[tuple[int, int], dict[int, _Order]] = {}
        self._touched: dict[int, _Order] = {}
        self._places = 0
        self.accepted = 0
        self.whole = True

    def accept(
        self, kind: int, account: int, order_id: int, word: int, price_ticks: int, lots: int, second: int
    ) -> None:
        """ACCEPTED."""
        flags = kind >> FLAG_SHIFT
        self.accepted += 1
        part = second if flags & _ICEBERG else 0
        order = _Order(
            self.accepted, word & CONTRACT_MASK, flags & 1, price_ticks, lots, part, waits=bool(flags & _STOP)
        )
        self._place(order)
        self._open[account, order_id] = order
        self._stand(order)

    def fill(self, kind: int, account: int, order_id: int, contract: int, lots: int) -> None:
        """FILLED of an order; forced reduction fills none. A leg's other half may come when the order is gone already."""
        flags = kind >> FLAG_SHIFT
        order = self._open.get((account, order_id)) if flags & _LEG else self._find(account, order_id)
        if order is None or contract not in (order.contract, self._near_of.get(order.contract)):
            return
        order.left -= lots
        if not order.part or (flags & _TAKER and not flags & _AUCTION):
            order.show_part()
        else:
            order.shown = max(order.shown - lots, 0)
        self._touched[order.number] = order
        if not order.left:
            self._drop(account, order_id, order)

    def reload(self, account: int, order_id: int, shown: int, left: int, *, keeps_place: bool) -> None:
        """RELOADED."""
        order = self._find(account, order_id)
        if order is not None:
            order.shown, order.left = shown, left
            self._touched[order.number] = order
            if not keeps_place:
                self._place(order)

    def amend(self, kind: int, account: int, order_id: int, price_ticks: int, left: int) -> None:
        """AMENDED."""
        order = self._find(account, order_id)
        if order is None:
            return
        order.left = left
        self._touched[order.number] = order
        if kind >> FLAG_SHIFT & _KEPT:
            order.shown = min(order.shown, left)
            return
        order.price_ticks = price_ticks
        order.show_part()
        self._place(order)

    def trigger(self, account: int, order_id: int, price_ticks: int) -> None:
        """TRIGGERED: a stop is an order like any other from now on, at a limit of `price_ticks`."""
        order = self._find(account, order_id)
        if order is not None:
            order.waits = False
            order.price_ticks = price_ticks
            self._place(order)
            self._stand(order)

    def cancel(self, account: int, order_id: int) -> None:
        """CANCELLED: what was left of it is gone."""
        order = self._find(account, order_id)
        if order is not None:
            order.left = order.shown = 0
            self._touched[order.number] = order
            self._drop(account, order_id, order)

    def standing(self, contract: int, side: Side) -> list[StandingOrder]:
        """The orders that stand on a side, in the order in which they would trade."""
        worth = 1 if side else -1
        found = [order.public() for order in self._standing.get((contract, side), {}).values()]
        return sorted(found, key=lambda order: (order.price_ticks * worth, order.priority))

    def take_changes(self) -> tuple[StandingOrder, ...]:
        """What is to be said of the orders since the last time, by number; not of one that came and went meanwhile."""
        changes = []
        for _, order in sorted(self._touched.items()):
            now = order.public()
            if now != order.told and (now.lots or order.told is not None):
                changes.append(now)
                order.told = now if now.lots else None
        self._touched.clear()
        return tuple(changes)

    def _place(self, order: _Order) -> None:
        self._places += 1
        order.priority = self._places
        self._touched[order.number] = order

    def _stand(self, order: _Order) -> None:
        if not order.waits:
            self._standing.setdefault((order.contract, order.side), {})[order.number] = order

    def _drop(self, account: int, order_id: int, order: _Order) -> None:
        del self._open[account, order_id]
        if not order.waits:
            del self._standing[order.contract, order.side][order.number]

    def _find(self, account: int, order_id: int) -> _Order | None:
        order = self._open.get((account, order_id))
        if order is None and self.whole and order_id:
            raise Malformed("event of an order", found=f"one not known, after {self.accepted} ACCEPTED", expected="an open order",
                            remedy="Build the feed anew and hear the events from the first.")  # fmt: skip
        return order
