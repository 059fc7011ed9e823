"""The month as a list of steps: when the world pauses to act, and what the venue's clock says there.

On a business day the venue's sessions cut the day into one-minute steps while anything trades; at all other times a
step is at most an hour. A step carries the rows that the venue's own clock sends at its start (session changes, the
day's close, the fixings).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Bell:
    """A moment of the trading day: at `clock` (venue time) the contracts of `group` enter `state` (exchange.SessionState)."""

    clock: str
    group: str
    state: int


@dataclass(frozen=True, slots=True)
class Step:
    """An interval start_ns <= t < end_ns of venue day `day`. `bells` ring at its start; `trading` says whether agents
    act in it.
    """

    start_ns: int
    end_ns: int
    day: int
    bells: tuple[Bell, ...]
    trading: bool


def steps_of_day(
    calendar: Calendar, day: int, bells: tuple[Bell, ...], trading_states: frozenset[int]
) -> Iterator[Step]:
    """The steps of one venue day, in order, without gaps. On a day off there are no bells."""
    ringing = (
        sorted(((calendar.ns_at(day, bell.clock), bell) for bell in bells), key=lambda pair: pair[0])
        if calendar.is_business(day)
        else []
    )
    at, end = calendar.start_ns(day), calendar.start_ns(day + 1)
    state: dict[str, int] = {}
    while at < end:
        now = tuple(bell for moment, bell in ringing if moment == at)
        state.update({bell.group: bell.state for bell in now})
        trading = any(held in trading_states for held in state.values())
        next_bell = min((moment for moment, _ in ringing if moment > at), default=end)
        until = min(at + NS_PER_MINUTE if trading else at - at % NS_PER_HOUR + NS_PER_HOUR, next_bell, end)
        yield Step(at, until, day, now, trading)
        at = until
