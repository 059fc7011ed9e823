"""What a replay needs of a file of orders, whatever its form: a survey of all of it, then its commands batch by batch.

The survey reads every row and changes nothing, so a file with a fault in its last line is refused before anything is written.
It also says what the market must be like: how many orders and accounts, and between which prices.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ciyuan.basics.calendar import Calendar
from ciyuan.exchange.contract import Contract
from ciyuan.services.exchange_files import Ints, OrderFile

UTC_DAYS = Calendar()
Show = Callable[[int, int], None]
"""Called with how much is done, and the rows read so far."""


@dataclass(slots=True)
class Prices:
    """The prices at which a contract is ordered, in units of the file: lowest, highest, and what all are multiples of."""

    lowest: int = 0
    highest: int = 0
    step: int = 0
    middles: list[int] = field(default_factory=list)

    def take(self, prices: Ints) -> None:
        """Take in a batch of prices; 0 is none, and only those over 0 count for anything but the step."""
        self.step = int(np.gcd(self.step, np.gcd.reduce(prices)))
        prices = prices[prices > 0]
        if not len(prices):
            return
        low, high = int(prices.min()), int(prices.max())
        self.lowest = min(low, self.lowest) if self.lowest else low
        self.highest = max(high, self.highest)
        self.middles.append(int(np.sort(prices)[len(prices) // 2]))

    @property
    def typical(self) -> int:
        """The median of the batches' medians: what a few stray prices do not move."""
        return sorted(self.middles)[len(self.middles) // 2] if self.middles else 0


@dataclass(slots=True)
class Survey:
    """What a file of orders holds. `prices` by contract as the file names it, in order of appearance ("" where it names none);
    they are in ticks if `in_ticks`, else in micro-units of money. `days` are the trading days that its session rows name."""

    rows: int = 0
    orders: int = 0
    accounts: int = 1
    first_ns: int = 0
    last_ns: int = 0
    in_ticks: bool = False
    days: set[int] = field(default_factory=set)
    prices: dict[str, Prices] = field(default_factory=dict)

    @property
    def has_sessions(self) -> bool:
        """Whether the file itself opens and closes its contracts."""
        return bool(self.days)

    @property
    def first_day(self) -> int:
        """The first trading day: of the session rows, else the UTC day of the first row; from 1, as nothing trades on day 0."""
        return max(min(self.days) if self.days else UTC_DAYS.day_of(self.first_ns), 1)

    def take_times(self, times_ns: Ints) -> None:
        """Take in the times of a batch."""
        if len(times_ns):
            self.first_ns = int(times_ns[0]) if not self.rows else self.first_ns
            self.last_ns = max(self.last_ns, int(times_ns.max()))
            self.rows += len(times_ns)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Of the lots that a recorded execution took in the replay: how many were of the very order that the record names."""

    recorded_lots: int
    as_recorded_lots: int


class OrderSource(Protocol):
    """A file of orders as commands of an exchange."""

    file: OrderFile
    left_out: Counter[str]
    """Rows that are not replayed, by why."""

    def survey(self, show: Show) -> Survey:
        """Read the whole file. Raises Malformed at its first fault."""
        ...

    def check(self, contracts: tuple[Contract, ...], survey: Survey) -> None:
        """Raises Malformed if the file, as surveyed, does not go with these contracts."""
        ...

    def commands(self, contracts: tuple[Contract, ...]) -> Iterator[Ints]:
        """The file's commands as (n, 8) rows, batch by batch, for these contracts."""
        ...

    def hear(self, fills: Ints) -> None:
        """Hear the FILLED rows that came of the commands given last."""
        ...

    def fidelity(self) -> Fidelity | None:
        """How near the replay came to what was recorded; None if the file records no executions."""
        ...
