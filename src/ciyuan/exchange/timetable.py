"""The trading day as rows (§4.1): bells and a calendar are data, and SESSION and CLOSE_DAY follow from them.

| a bell | rings |
|---|---|
| of the day | at its clock on the trading day |
| of the night, from 12:00 to 24:00 | on the evening of the business day before |
| of the night, before 12:00 | on the calendar day after that evening, whether or not it is a business day |

So a night session belongs to the trading day that follows it: Friday's evening, and Saturday's first hours, are Monday's. After
a holiday there is none: if a day between that evening and the trading day is in the calendar's holidays, the trading day has its
day session only, as at the Chinese futures exchanges. A plain weekend is no holiday. Breaks are bells like any other.

Bells are checked when the timetable is made: they ring in order, each state may follow the one before (`session.FOLLOWS`), from
CLOSED to CLOSED, also on a day without its night.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import TIME, Row
from ciyuan.basics.time import NS_PER_DAY, NS_PER_HOUR
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import SessionState, close_day_row, session_row
from ciyuan.exchange.session import FOLLOWS

_NOON_NS = 12 * NS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Bell:
    """At `clock` (hh:mm of the venue) contracts enter `state`; `night` says that it is of the session on the evening before."""

    clock: str
    state: SessionState
    night: bool = False


NIGHT_BELLS = (
    Bell("20:55", SessionState.AUCTION_ENTRY, night=True),
    Bell("20:59", SessionState.AUCTION_FREEZE, night=True),
    Bell("21:00", SessionState.AUCTION_MATCH, night=True),
    Bell("21:00", SessionState.CONTINUOUS, night=True),
    Bell("02:30", SessionState.BREAK, night=True),
)
"""The night session of §4.1, to be put before the bells of a day."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """The bells of a trading day, in the order in which they ring, and the calendar that says on which days they do.

    Raises Malformed for bells that cannot be.
    """

    calendar: Calendar
    bells: tuple[Bell, ...]

    def __post_init__(self) -> None:
        self._check_order()
        self._check_states(self.bells)
        self._check_states(tuple(bell for bell in self.bells if not bell.night))

    def night_of(self, day: int) -> int | None:
        """The venue day on whose evening the night session of a trading day is held; None if it has none."""
        if not any(bell.night for bell in self.bells) or not self.calendar.is_business(day):
            return None
        evening = self.calendar.previous_business(day)
        holiday = any(between in self.calendar.holidays for between in range(evening + 1, day))
        return None if holiday else evening

    def moments(self, day: int) -> tuple[tuple[int, SessionState], ...]:
        """The moments (ns) of a trading day and the state that each begins, in order; none on a day off."""
        if not self.calendar.is_business(day):
            return ()
        evening = self.night_of(day)
        rung = []
        for bell in self.bells:
            base = evening if bell.night else day
            if base is not None:
                rung.append((self.calendar.start_ns(base) + self._since_midnight_ns(bell), bell.state))
        return tuple(rung)

    def rows(self, day: int, contracts: Iterable[Contract]) -> list[Row]:
        """SESSION rows of a trading day, in order of time, for those of the contracts that are listed on it.

        At each bell outrights come in order of number, then spreads; after SETTLEMENT their CLOSE_DAY rows, in the same order.
        """
        listed = [contract for contract in contracts if contract.first_day <= day <= contract.last_day]
        numbers = [
            c.number for c in sorted(listed, key=lambda contract: (contract.is_spread, contract.number))
        ]
        rows: list[Row] = []
        for moment, state in self.moments(day):
            rows += [session_row(moment, number, state, day) for number in numbers]
            if state == SessionState.SETTLEMENT:
                rows += [close_day_row(moment, number, day) for number in numbers]
        return rows

    def _since_midnight_ns(self, bell: Bell) -> int:
        """How long after the midnight before the evening (of a bell of the day: before the day) it rings."""
        since = self.calendar.ns_at(0, bell.clock) - self.calendar.start_ns(0)
        return since + NS_PER_DAY if bell.night and since < _NOON_NS else since

    def _check_order(self) -> None:
        """In order of time, also where the evening is that of the day before, and none before the last close."""
        since = [self._since_midnight_ns(bell) + NS_PER_DAY * (not bell.night) for bell in self.bells]
        for index, (before, after) in enumerate(pairwise(since), 1):
            if after < before:
                raise Malformed(f"bell {index + 1}, clock", found=self.bells[index].clock,
                                expected=f"no earlier than the {self.bells[index - 1].clock} before it",
                                remedy="Put the bells in order of time, those of the night first.")  # fmt: skip
        if since and since[-1] - since[0] > NS_PER_DAY:
            raise Malformed("bell 1, clock", found=self.bells[0].clock, expected=f"{self.bells[-1].clock} or later",
                            remedy="Let the night begin when the day before it is closed.")  # fmt: skip

    @staticmethod
    def _check_states(bells: Sequence[Bell]) -> None:
        """From CLOSED to CLOSED, by what may follow what."""
        if not bells:
            raise Malformed("bells", found="none of the day", expected="bells from an opening to closed",
                            remedy="Give the bells of the day.")  # fmt: skip
        before = SessionState.CLOSED
        for place, bell in enumerate(bells, 1):
            may_follow = bell.state in FOLLOWS[before]
            if not may_follow or (bell.state == SessionState.CLOSED) != (place == len(bells)):
                names = " or ".join(state.name.lower() for state in sorted(FOLLOWS[before]))
                raise Malformed(f"bell {bell.clock}, state", found=bell.state.name.lower(),
                                expected=f"what may follow {before.name.lower()}: {names}; closed at the end, and only there",
                                remedy="Mend the bells; they are to hold on a day without its night too.")  # fmt: skip
            before = bell.state


def day_rows(day: int, plan: Iterable[tuple[Timetable, Iterable[Contract]]]) -> list[Row]:
    """The rows of a trading day over several timetables, each with its contracts, in order of time."""
    rows = [row for timetable, contracts in plan for row in timetable.rows(day, contracts)]
    return sorted(rows, key=lambda row: row[TIME])
