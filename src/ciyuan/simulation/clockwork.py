"""The venue's own clock as rows: sessions, closes, quote samples, fixings, settlement, the month's end.

On a venue in service these rows come from a scheduler; here from the schedule. Who rings the bell is not the machines' affair.
"""

from collections.abc import Mapping, Sequence

from ciyuan.basics.calendar import Calendar, month_of
from ciyuan.basics.rows import Row
from ciyuan.basics.time import NS_PER_MINUTE
from ciyuan.clearing.messages import ClearingCommand, review_row
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import ExchangeCommand, SessionState
from ciyuan.index.messages import IndexCommand, Leg
from ciyuan.simulation.schedule import Step
from ciyuan.venue.messages import VenueCommand

WINDOW_FROM, WINDOW_TO = "15:00", "16:00"
SAMPLE_EVERY_NS = 5 * NS_PER_MINUTE
REVIEW_EVERY_NS = 30 * NS_PER_MINUTE


class Clockwork:
    """Rows of the venue's clock for the contracts of one grade."""

    def __init__(self, calendar: Calendar, contracts: Sequence[Contract], grade: int) -> None:
        self._calendar = calendar
        self._groups: Mapping[str, list[Contract]] = {
            "spot": [contract for contract in contracts if contract.kind == ContractKind.SPOT],
            "futures": [contract for contract in contracts if contract.kind != ContractKind.SPOT],
        }
        self._grade = grade
        self.state: dict[int, int] = {contract.number: int(SessionState.CLOSED) for contract in contracts}

    def rows(self, step: Step) -> list[Row]:
        """The rows that are due at the start of a step."""
        rows: list[Row] = []
        at = step.start_ns
        for bell in step.bells:
            for contract in self._living(bell.group, step.day):
                rows.append(
                    (int(ExchangeCommand.SESSION), at, contract.number, bell.state, step.day, 0, 0, 0)
                )
                self.state[contract.number] = bell.state
                if bell.state == SessionState.SETTLEMENT:
                    rows.append((int(ExchangeCommand.CLOSE_DAY), at, contract.number, 0, step.day, 0, 0, 0))
        if at % REVIEW_EVERY_NS == 0 and any(self._is_open(contract) for contract in self._groups["futures"]):
            rows.append(review_row(at))
            rows += [
                (int(VenueCommand.SAMPLE), at, contract.number, 0, 0, 0, 0, 0)
                for contract in self._groups["futures"]
                if self._is_open(contract)
            ]
        if self._calendar.is_business(step.day):
            rows += self._window(step)
        if any(bell.group == "spot" and bell.state == SessionState.CLOSED for bell in step.bells):
            rows += self._evening(step)
        return rows

    def _is_open(self, contract: Contract) -> bool:
        return self.state[contract.number] == SessionState.CONTINUOUS

    def _living(self, group: str, day: int) -> list[Contract]:
        return [
            contract for contract in self._groups[group] if contract.first_day <= day <= contract.last_day
        ]

    def _window(self, step: Step) -> list[Row]:
        opens, closes = (self._calendar.ns_at(step.day, clock) for clock in (WINDOW_FROM, WINDOW_TO))
        at = step.start_ns
        if opens <= at < closes and (at - opens) % SAMPLE_EVERY_NS == 0:
            return [
                (int(VenueCommand.SAMPLE), at, contract.number, 0, 0, 0, 0, 0)
                for contract in self._groups["spot"]
            ]
        if at != closes:
            return []
        return [(int(IndexCommand.FIX), at, self._grade, step.day, int(leg), 0, 0, 0) for leg in Leg]

    def _evening(self, step: Step) -> list[Row]:
        """After the last close of the day: the day is settled, and a future whose last day it was, finally."""
        at = step.start_ns
        rows: list[Row] = [(int(ClearingCommand.SETTLE_DAY), at, step.day, 0, 0, 0, 0, 0)]
        for contract in self._groups["futures"]:
            if contract.last_day == step.day:
                rows.append((int(VenueCommand.FINALISE), at, contract.number, step.day, 0, 0, 0, 0))
                rows.append((int(ClearingCommand.DELIST), at, contract.number, 0, 0, 0, 0, 0))
        return rows

    def lapse(self, time_ns: int, last_day: int) -> Row:
        """The row that lapses the month's receipts."""
        return (int(VenueCommand.LAPSE), time_ns, self._grade, month_of(last_day), 0, 0, 0, 0)
