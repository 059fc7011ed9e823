"""Spenders and limits as the plain meter remembers them: a calendar of the standard library's, a bucket by its definition."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from ciyuan.basics.rows import Row
from ciyuan.gateway.messages import LIMITS_OF_SPENDER_MAX, LimitUnit, LimitWindow

DAY_NS = 86_400 * 10**9
EPOCH = date(1970, 1, 1).toordinal()
TICKS = 60_000_000
RATES = (LimitWindow.MINUTE, LimitWindow.HOUR)
TICK_NS = {LimitWindow.MINUTE: 60 * 10**9 // TICKS, LimitWindow.HOUR: 3_600 * 10**9 // TICKS}


def window_start_ns(window: int, time_ns: int, offset_ns: int) -> int:
    """When the window of a budget that a time lies in began."""
    if window == LimitWindow.EVER:
        return 0
    day = date.fromordinal(EPOCH + (time_ns + offset_ns) // DAY_NS)
    if window != LimitWindow.DAY:
        day = day.replace(day=1, month=1 if window == LimitWindow.YEAR else day.month)
    return (day.toordinal() - EPOCH) * DAY_NS - offset_ns


@dataclass(slots=True)
class Limit:
    """A limit. `used` is what is held and charged in the window that began at `began`; of a rate, the level at that tick."""

    number: int
    spender: int
    unit: int
    window: int
    most: int
    offset_ns: int
    began: int = 0
    used: int = 0

    @property
    def is_rate(self) -> bool:
        """Whether it is a rate, not a budget."""
        return self.window in RATES

    def row(self) -> Row:
        """The limit's row of the snapshot."""
        settings = (self.spender, self.unit, self.window, self.most, self.offset_ns)
        return (self.number, *settings, self.began, self.used)

    def counts(self, micro: int, tokens: int, requests: int) -> int:
        """What of a request it counts."""
        return {LimitUnit.MONEY: micro, LimitUnit.TOKENS: tokens, LimitUnit.REQUESTS: requests}[
            LimitUnit(self.unit)
        ]

    def begin(self, time_ns: int) -> None:
        """Go on to the window, or the tick, of a time."""
        if self.is_rate:
            tick = time_ns // TICK_NS[LimitWindow(self.window)]
            self.began, self.used = tick, max(self.used - (tick - self.began) * self.most, 0)
        elif window_start_ns(self.window, time_ns, self.offset_ns) > self.began:
            self.began, self.used = window_start_ns(self.window, time_ns, self.offset_ns), 0

    def fits(self, amount: int, time_ns: int) -> bool:
        """Whether so much more is let through at a time."""
        then = Limit(*self.row())
        then.begin(time_ns)
        unit = TICKS if self.is_rate else 1
        return then.used + amount * unit <= self.most * unit

    def add(self, amount: int, time_ns: int) -> None:
        """Count what is held."""
        self.begin(time_ns)
        self.used += amount * (TICKS if self.is_rate else 1)

    def give_back(self, amount: int, held_ns: int, time_ns: int) -> None:
        """Take back what was held and not used, as far as it still counts."""
        if self.is_rate:
            self.begin(time_ns)
            self.used = max(self.used - amount * TICKS, 0)
        elif held_ns >= self.began:
            self.used -= amount


@dataclass(slots=True)
class Spender:
    """Someone who spends a customer's money, below `parent` (0: nobody), with the limits on it."""

    number: int
    parent: int
    customer: int
    limits: list[Limit] = field(default_factory=list)


@dataclass(slots=True)
class Tree:
    """All spenders and limits, by number."""

    spenders: dict[int, Spender] = field(default_factory=dict)
    limits: dict[int, Limit] = field(default_factory=dict)

    def line(self, number: int) -> Iterator[Spender]:
        """A spender and those above it, up to the root; nobody for 0."""
        while number:
            yield self.spenders[number]
            number = self.spenders[number].parent

    def limits_on(self, number: int) -> list[tuple[int, Limit]]:
        """The limits that a hold of a spender must fit, from itself up, each with its bit."""
        return [
            (1 << LIMITS_OF_SPENDER_MAX * level + place, limit)
            for level, spender in enumerate(self.line(number))
            for place, limit in enumerate(spender.limits)
        ]

    def put(self, limit: Limit) -> None:
        """Enter a new limit."""
        self.limits[limit.number] = limit
        self.spenders[limit.spender].limits.append(limit)
