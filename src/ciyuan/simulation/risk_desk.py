"""The venue's risk desk and the members' treasurers, as the simulated market has them.

Each evening, once the day is settled, the risk desk works out the scenarios that margin will stand on (§6.2) by
filtered historical simulation and says them to the venue: MOVES and LIQUIDITY of each future, and MODEL. Its history
is the market's own settlement prices as they come; what went before the simulated month is drawn from the same
process as the month's values, from the seed: a world's past, not a real one. A month's price follows the slow part of
the value whole, and of the fast part what is left of it by then.

Who is called for margin pays by the next step of the simulation: in the default world nobody is short for long.
"""

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import month_days
from ciyuan.basics.rows import Row
from ciyuan.clearing.messages import ClearingEvent, liquidity_row, model_row, moves_rows
from ciyuan.clearing.scenarios import FilterTerms, scenario_set
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import ExchangeEvent
from ciyuan.simulation.chance import stream
from ciyuan.simulation.hearing import Sieve
from ciyuan.simulation.scenario import Scenario
from ciyuan.simulation.treasury import deposit_row
from ciyuan.simulation.valuation import DAYS_IN_YEAR, paths
from ciyuan.venue.messages import Purse

PAST_DAYS = 500
FILTER = FilterTerms(filtered=400, stressed=100)
HALF_SPREAD_BP, IMPACT_BP = 10, 20
"""What closing a lot costs, and how much more each lot over the free ones: this world's choice."""
FREE_LOTS = 500
BP = 10_000
PRICED = Sieve((ExchangeEvent.SETTLEMENT_PRICE,))
CALLED = Sieve((ClearingEvent.MARGIN_CALL,))


class RiskDesk:
    """Keeps the history of each future's settlement prices, and says the evening's model."""

    def __init__(self, scenario: Scenario, contracts: tuple[Contract, ...], first_day: int) -> None:
        self._futures = [
            entry for entry in contracts if entry.kind != ContractKind.SPOT and not entry.is_spread
        ]
        past = self._past(scenario, first_day)
        self._logs = {entry.number: past[:, place].tolist() for place, entry in enumerate(self._futures)}
        self._settled = {entry.number: 0 for entry in self._futures}

    def _past(self, scenario: Scenario, first_day: int) -> NDArray[np.float64]:
        """Logarithms of the futures' prices on the days before the first, (PAST_DAYS + 1, futures), but for their level."""
        slow, fast = paths(scenario, stream(scenario.seed, "past"), PAST_DAYS + 1)
        ahead = [max(0, sum(month_days(entry.month)) // 2 - first_day) for entry in self._futures]
        kept = np.exp(-scenario.reversion_year * np.array(ahead) / DAYS_IN_YEAR)
        logs: NDArray[np.float64] = slow[:, None] + fast[:, None] * kept[None, :]
        return logs

    def hear(self, events: NDArray[np.int64]) -> None:
        """Take in the day's settlement prices."""
        for event in events[PRICED.of(events)].tolist():
            number, ticks = event[2], event[3]
            if number in self._logs:
                log = float(np.log(ticks))
                if not self._settled[number]:  # the past ends at the first price
                    past = self._logs[number]
                    self._logs[number] = [entry + log - past[-1] for entry in past]
                else:
                    self._logs[number].append(log)
                self._settled[number] = ticks

    def rows(self, time_ns: int, day: int) -> list[Row]:
        """The rows that make the evening's model of every future that trades on; none before all of them were settled once."""
        living = [entry for entry in self._futures if day < entry.last_day]
        if not living or any(not self._settled[entry.number] for entry in living):
            return []
        length = min(len(self._logs[entry.number]) for entry in living)
        history = np.column_stack([self._logs[entry.number][-length:] for entry in living])
        present = np.array([self._settled[entry.number] for entry in living], dtype=np.int64)
        moves = scenario_set(np.exp(history), present, FILTER)
        rows: list[Row] = []
        for place, entry in enumerate(living):
            said = [*moves.filtered[:, place].tolist(), *moves.stressed[:, place].tolist()]
            rows += moves_rows(time_ns, entry.number, said)
            worth = int(present[place]) * entry.tick_value_micro
            costs = -(-worth * HALF_SPREAD_BP // BP), FREE_LOTS, -(-worth * IMPACT_BP // BP)
            rows.append(liquidity_row(time_ns, entry.number, *costs))
        rows.append(model_row(time_ns, len(moves.filtered), len(moves.stressed), day))
        return rows


class Treasurers:
    """Members' treasurers: what is called is paid."""

    def __init__(self) -> None:
        self._called: dict[int, int] = {}

    def hear(self, events: NDArray[np.int64]) -> None:
        """Take in margin calls."""
        for event in events[CALLED.of(events)].tolist():
            self._called[event[2]] = event[3]

    def rows(self, time_ns: int, next_key: int) -> list[Row]:
        """Deposits of what was called since the last time."""
        called, self._called = self._called, {}
        return [
            deposit_row(time_ns, next_key + place, participant, Purse.CASH, amount)
            for place, (participant, amount) in enumerate(sorted(called.items()))
        ]
