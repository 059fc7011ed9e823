"""What can be asked of a meter's limits: which there are, how much of each is used, and when there is room again."""

from dataclasses import dataclass

from ciyuan.basics.money import div_ceil
from ciyuan.basics.rows import INT64_MAX
from ciyuan.gateway.book import (
    BEGAN,
    CUSTOMER,
    FIRST_LIMIT,
    LIMIT,
    LIMIT_BITS,
    LIMITED,
    LIMITS_HERE,
    MOST,
    OFFSET_NS,
    PARENT,
    UNIT,
    USED,
    WINDOW,
    MeterBook,
)
from ciyuan.gateway.lookup import row_of_spender, seek
from ciyuan.gateway.messages import LimitUnit, LimitWindow
from ciyuan.gateway.windows import TICKS, borders, level_at, tick_of

TICK_NS: dict[int, int] = {LimitWindow.MINUTE: 1_000, LimitWindow.HOUR: 60_000}


@dataclass(frozen=True, slots=True)
class LimitView:
    """A limit at a moment. `used` is what is held and charged in the window, in micro-units, tokens or requests; of a rate: what
    is in its bucket, rounded up. `resets_ns` is when nothing is used any more, if nothing is added: the window's end, or when the
    bucket is empty; None if never.
    """

    number: int
    spender: int
    unit: LimitUnit
    window: LimitWindow
    most: int
    offset_ns: int
    used: int
    resets_ns: int | None
    level: int
    now_ns: int

    @property
    def left(self) -> int:
        """What still fits; 0 if more is used than a lowered limit lets through."""
        return max(self.most - self.used, 0)

    def fits_at_ns(self, amount: int) -> int | None:
        """When so much fits, if nothing else is added: the moment itself, or a later one; None if never."""
        if amount > self.most:
            return None
        if self.window not in TICK_NS:
            return self.now_ns if amount <= self.most - self.used else self.resets_ns
        over = self.level - (self.most - amount) * TICKS
        if over <= 0:
            return self.now_ns
        if self.most == 0:
            return None
        step = TICK_NS[self.window]
        return (self.now_ns // step + div_ceil(over, self.most)) * step


@dataclass(frozen=True, slots=True)
class SpenderView:
    """A spender: who is above it (0: nobody), whose money it spends, and the numbers of the limits on it, the oldest first."""

    number: int
    parent: int
    customer: int
    limits: tuple[int, ...]


def limit_view(book: MeterBook, number: int, now_ns: int) -> LimitView | None:
    """The limit of a number at a moment; None if there is none."""
    _, at = seek(book.limits, LIMIT, book.limit_slots, book.scalars[LIMIT_BITS], number)
    if at < 0:
        return None
    limit = book.limits[at].tolist()
    window, most, level = (
        limit[WINDOW],
        limit[MOST],
        0,
    )  # a plain integer: an enumeration's would cost compiled code 100 us
    resets_ns: int | None
    if window in TICK_NS:
        tick = tick_of(window, now_ns)
        level = level_at(limit[USED], limit[BEGAN], most, tick)
        used = div_ceil(level, TICKS)
        resets_ns = (tick + div_ceil(level, most)) * TICK_NS[window] if most else None
    else:
        began, ends = borders(window, now_ns, limit[OFFSET_NS])
        used, resets_ns = limit[USED] if began == limit[BEGAN] else 0, None if ends == INT64_MAX else ends
    who, unit, offset = limit[LIMITED], LimitUnit(limit[UNIT]), limit[OFFSET_NS]
    return LimitView(number, who, unit, LimitWindow(window), most, offset, used, resets_ns, level, now_ns)


def spender_view(book: MeterBook, number: int) -> SpenderView | None:
    """The spender of a number; None if there is none."""
    at = row_of_spender(book, number)
    if at < 0:
        return None
    row = book.spenders[at].tolist()
    limits = row[FIRST_LIMIT : FIRST_LIMIT + row[LIMITS_HERE]]
    return SpenderView(number, row[PARENT], row[CUSTOMER], tuple(book.limits[limits, LIMIT].tolist()))
