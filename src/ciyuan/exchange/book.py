"""The book: orders in time priority on a ladder of prices.

| noun | is |
|---|---|
| `Order` | one accepted order, open or ended; kept until its contract's day is closed, so that a repeat is known (§3.6) |
| `Participant` | one account's orders of the day, and which of them are open |
| `Level` | the orders at one price, first come first: a linked mapping, so first, append and cancel each take one step |
| `Ladder` | one side: levels by price, and one big integer with a bit per tick, whose outermost bit is the best price |

The day's price limits bound the ladder, so that integer is short. Prices are ticks; 0 is no price.
"""

from collections import OrderedDict
from collections.abc import Iterator

OPEN = 0
"""`Order.end` of an order that may still trade; otherwise a `CancelCause`, or FILLED."""
FILLED = -1


class Participant:
    """One account: its orders of the day by id, ended ones too, and those of them that are open, in order of arrival."""

    __slots__ = ("account", "open", "orders")

    def __init__(self, account: int) -> None:
        self.account = account
        self.orders: dict[int, Order] = {}
        self.open: dict[int, Order] = {}


class Order:
    """One accepted order. `number` is its place in the exchange's order of arrival, which is its time priority.

    `flags` are its `OrderFlag`s, `limit_ticks` the worst price it trades at (of a market order too), `lots` what was ordered,
    `left` what has neither traded nor been cancelled.
    """

    __slots__ = (
        "account", "contract", "end", "flags", "is_sell", "left", "limit_ticks", "lots", "min_lots", "number", "order_id",
        "owner",
    )  # fmt: skip

    def __init__(
        self,
        owner: Participant,
        order_id: int,
        contract: int,
        flags: int,
        limit_ticks: int,
        lots: int,
        min_lots: int,
        number: int,
    ) -> None:
        self.owner = owner
        self.account = owner.account
        self.order_id = order_id
        self.contract = contract
        self.flags = flags
        self.is_sell = flags & 1
        self.limit_ticks = limit_ticks
        self.lots = self.left = lots
        self.min_lots = min_lots
        self.number = number
        self.end = OPEN


class Level:
    """The orders at one price by number, in time priority; `lots` is the sum of what they have left."""

    __slots__ = ("lots", "orders")

    def __init__(self) -> None:
        self.orders: OrderedDict[int, Order] = OrderedDict()
        self.lots = 0


class Ladder:
    """One side of a book. `best` is the highest price of buyers or the lowest of sellers, 0 if the side is empty.

    `base` is the price of bit 0: no price on the ladder may be lower.
    """

    __slots__ = ("base", "best", "bits", "is_sell", "levels")

    def __init__(self, is_sell: int, base: int) -> None:
        self.is_sell = is_sell
        self.base = base
        self.bits = 0
        self.best = 0
        self.levels: dict[int, Level] = {}

    def add(self, order: Order) -> None:
        """Put an order last at its price."""
        price = order.limit_ticks
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = Level()
            self.bits |= 1 << price - self.base
            self._find_best()
        level.orders[order.number] = order
        level.lots += order.left

    def remove(self, order: Order) -> None:
        """Take an order, with what it has left, out of the book."""
        level = self.levels[order.limit_ticks]
        level.lots -= order.left
        del level.orders[order.number]
        if not level.orders:
            self._drop(order.limit_ticks)

    def first(self) -> Order:
        """The order that trades next. The side must not be empty."""
        return next(iter(self.levels[self.best].orders.values()))

    def fill_first(self, order: Order, lots: int) -> None:
        """Fill `lots` of the order that is first; filled whole, it leaves the book."""
        level = self.levels[self.best]
        level.lots -= lots
        order.left -= lots
        if not order.left:
            del level.orders[order.number]
            if not level.orders:
                self._drop(self.best)

    def prices(self) -> Iterator[int]:
        """The prices of the side, best first. The side must not change meanwhile."""
        bits = self.bits
        while bits:
            place = (bits & -bits if self.is_sell else bits).bit_length() - 1
            yield place + self.base
            bits ^= 1 << place

    def _drop(self, price: int) -> None:
        del self.levels[price]
        self.bits ^= 1 << price - self.base
        self._find_best()

    def _find_best(self) -> None:
        bits = self.bits
        if self.is_sell:
            bits &= -bits
        self.best = bits.bit_length() - 1 + self.base if bits else 0
