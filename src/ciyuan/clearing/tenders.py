"""Receipts that shorts have tendered for delivery, and who gets them (§9.2). What is done with them is in `delivery.py`.

| function | gives |
|---|---|
| `assigned` | the lots that each long is assigned of those tendered: pro rata, what is left over by ones to the oldest |
| `matched` | who delivers to whom: givers and takers, each in their order, walked along together |
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Lots = tuple[int, int]
"""A participant and its lots, 1 or more."""


class Tender:
    """What one short has tendered of one contract: `lots` lots, their receipts held by the ledger's hold `key`."""

    __slots__ = ("key", "lots")

    def __init__(self, lots: int, key: int) -> None:
        self.lots = lots
        self.key = key


@dataclass(frozen=True, slots=True)
class Holder:
    """A member that comes to delivery: `lots` net, negative if short, and the day on which its oldest such position began."""

    number: int
    lots: int
    since_day: int


def assigned(tendered: int, longs: Sequence[Holder]) -> dict[int, int]:
    """The lots that each long is assigned of `tendered`, by participant in number order; at most its own.

    Each has tendered x its lots / all long lots, rounded down. Of those that were rounded the oldest positions have one more,
    of one day the lowest numbers, until all is assigned. `tendered` is at most the sum of the longs' lots.
    """
    total = sum(long.lots for long in longs)
    parts = {long.number: tendered * long.lots // total for long in longs}
    rest = tendered - sum(parts.values())
    rounded = [long for long in longs if tendered * long.lots % total]
    for long in sorted(rounded, key=lambda at: (at.since_day, at.number))[:rest]:
        parts[long.number] += 1
    return parts


def matched(givers: Sequence[Lots], takers: Sequence[Lots]) -> Iterator[tuple[int, int, int]]:
    """(giver, taker, lots) until either side has no more: the first giver with the first taker, and so on."""
    left, waiting = [list(giver) for giver in givers], [list(taker) for taker in takers]
    give = take = 0
    while give < len(left) and take < len(waiting):
        lots = min(left[give][1], waiting[take][1])
        yield left[give][0], waiting[take][0], lots
        left[give][1] -= lots
        waiting[take][1] -= lots
        give += not left[give][1]
        take += not waiting[take][1]
