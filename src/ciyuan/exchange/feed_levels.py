"""Levels of a book as anybody may follow them: a snapshot with its sequence number, then the deltas with a higher one.

| | |
|---|---|
| `LevelDelta` | a LEVEL: what a price shows from now on; 0 lots take it away |
| `LevelSnapshot` | all prices of a contract, as its deltas up to `sequence` left them |
| `LevelBook` | follows them: a delta that is in the book already is passed over, one that comes too soon is `Malformed` |

So who joins late listens first, keeps what comes, asks for a snapshot, restores it, and then hears what was kept.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass

from ciyuan.basics.errors import Malformed
from ciyuan.exchange.messages import Level, Side


@dataclass(frozen=True, slots=True)
class LevelDelta:
    """What a price of a book shows from `time_ns` on. `sequence` counts 1, 2, 3 ... in each contract."""

    time_ns: int
    contract: int
    sequence: int
    side: Side
    price_ticks: int
    lots: int
    orders: int


@dataclass(frozen=True, slots=True)
class LevelSnapshot:
    """All levels of a contract, best first, as the deltas up to `sequence` left them."""

    contract: int
    sequence: int
    buys: tuple[Level, ...]
    sells: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Top:
    """The best bid and the best ask of a contract; None where nobody stands."""

    contract: int
    bid: Level | None = None
    ask: Level | None = None

    def of(self, side: Side) -> Level | None:
        """The best level of one side."""
        return self.ask if side else self.bid


class LevelBook:
    """The levels of one contract. A price may be any number: that of a spread may be negative."""

    __slots__ = ("_levels", "_prices", "contract", "sequence")

    def __init__(self, contract: int) -> None:
        self.contract = contract
        self.sequence = 0
        self._prices: tuple[list[int], list[int]] = ([], [])
        self._levels: tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]] = ({}, {})

    def hear(self, delta: LevelDelta) -> bool:
        """Take a delta; whether it was news. Raises Malformed, and changes nothing, if one before it is missing."""
        if delta.contract != self.contract:
            raise Malformed("levels, contract", found=delta.contract, expected=str(self.contract),
                            remedy="Hand each contract's deltas to its own book.")  # fmt: skip
        if delta.sequence <= self.sequence:
            return False
        check_sequence(self.contract, self.sequence + 1, delta.sequence)
        self.change(delta.sequence, delta.side, delta.price_ticks, delta.lots, delta.orders)
        return True

    def change(self, sequence: int, side: int, price_ticks: int, lots: int, orders: int) -> None:
        """Show `lots` in `orders` orders at a price from now on, whatever the sequence was before."""
        prices, levels = self._prices[side], self._levels[side]
        if lots:
            if price_ticks not in levels:
                insort(prices, price_ticks)
            levels[price_ticks] = (lots, orders)
        elif levels.pop(price_ticks, None) is not None:
            del prices[bisect_left(prices, price_ticks)]
        self.sequence = sequence

    def levels(self, side: Side, depth: int = 0) -> list[Level]:
        """The levels of a side, best first; the first `depth` of them, or (0) all."""
        prices, levels = self._prices[side], self._levels[side]
        count = min(depth, len(prices)) if depth else len(prices)
        best_first = prices[:count] if side else prices[: -count - 1 : -1]
        return [Level(price, *levels[price]) for price in best_first]

    def top(self) -> Top:
        """The best of both sides."""
        bid, ask = self.levels(Side.BUY, 1), self.levels(Side.SELL, 1)
        return Top(self.contract, bid[0] if bid else None, ask[0] if ask else None)

    def snapshot(self) -> LevelSnapshot:
        """All levels, and the sequence number of the last delta that is in them."""
        return LevelSnapshot(
            self.contract, self.sequence, tuple(self.levels(Side.BUY)), tuple(self.levels(Side.SELL))
        )

    def restore(self, snapshot: LevelSnapshot) -> None:
        """Put a snapshot in the place of what the book holds. Raises Malformed, and changes nothing, if it is not one."""
        if snapshot.contract != self.contract:
            raise Malformed("snapshot of levels, contract", found=snapshot.contract, expected=str(self.contract),
                            remedy="Restore the snapshot of this contract.")  # fmt: skip
        for side in (snapshot.buys, snapshot.sells):
            prices = [level.price_ticks for level in side]
            if len({*prices}) < len(prices) or any(level.lots < 1 or level.orders < 1 for level in side):
                raise Malformed(f"snapshot of contract {self.contract}", found=side, expected="each price once, with lots",
                                remedy="Ask for another snapshot.")  # fmt: skip
        self.sequence = snapshot.sequence
        for number, side in enumerate((snapshot.buys, snapshot.sells)):
            self._prices[number][:] = sorted(level.price_ticks for level in side)
            self._levels[number].clear()
            self._levels[number].update({level.price_ticks: (level.lots, level.orders) for level in side})


def check_sequence(contract: int, expected: int, found: int) -> None:
    """Raise Malformed if a delta is not the next one of its contract."""
    if found != expected:
        raise Malformed(f"levels of contract {contract}, sequence", found=found, expected=str(expected),
                        remedy="Restore a snapshot of the contract, then hear the deltas after its sequence number.")  # fmt: skip
