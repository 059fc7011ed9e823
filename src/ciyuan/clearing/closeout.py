"""A default in progress: what is left to close, and the auctions of it. Data only; what is done with it is in `default.py`.

| name | is | ends |
|---|---|---|
| `CloseOut` | a member in default | when its loss is shared |
| `Closing` | one side of one of its positions | when nothing is left of it |
| `Auction` | the lots of a closing that the market did not take | when its time has come |
| `Bid` | what a member offers for some of an auction's lots | with the auction |

A net member has one side of a position at a time; of a gross one each side, hedging and speculative, is closed by itself.
"""

from dataclasses import dataclass, field

from ciyuan.exchange.messages import Side

SLICE_ID_BASE = 2**62
"""The order ids of slices are this, plus 1, 2 ...: above every id that a member or its firm gives."""


@dataclass(slots=True)
class Closing:
    """One side of a defaulter's position: `side` SELL closes long lots, BUY short ones.

    `size_lots` is what there was when it began, `slices` how many were sent, `next_ns` the time before which nothing
    more is done, `auction` the number of its auction (0: none yet).
    """

    contract: int
    hedge: int
    side: Side
    size_lots: int
    slices: int = 0
    next_ns: int = 0
    auction: int = 0


@dataclass(slots=True)
class CloseOut:
    """A member in default, from the default until its loss is shared. `orders` counts the slices' order ids."""

    participant: int
    begun_ns: int
    orders: int = 0
    closings: dict[tuple[int, int, int], Closing] = field(default_factory=dict)
    """By contract, hedge and side."""

    def next_order_id(self) -> int:
        """The order id of its next slice."""
        self.orders += 1
        return SLICE_ID_BASE + self.orders


@dataclass(frozen=True, slots=True)
class Bid:
    """What a member offers: a price, for so many lots; `place` is where it stands among the auction's bids by time."""

    participant: int
    price_ticks: int
    lots: int
    place: int


@dataclass(slots=True)
class Auction:
    """Lots of a defaulter, offered to members until `closes_ns`. `side` is the defaulter's: SELL if it is long.

    `bids` are those that stand, by participant; `places` counts all that were taken.
    """

    number: int
    participant: int
    contract: int
    hedge: int
    side: Side
    lots: int
    settle_ticks: int
    closes_ns: int
    places: int = 0
    bids: dict[int, Bid] = field(default_factory=dict)

    def best_first(self) -> list[Bid]:
        """The standing bids: best price first (for a long defaulter the highest, for a short one the lowest), then by time."""
        sign = -1 if self.side == Side.SELL else 1
        return sorted(self.bids.values(), key=lambda bid: (sign * bid.price_ticks, bid.place))
