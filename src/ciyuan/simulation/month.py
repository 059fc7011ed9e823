"""The month: the world that plays on a venue, step by step.

Theory of operation. The world sends rows and hears events, and of the market it knows what a trader can see (best prices and
limits). Each step first sends the venue clock's own rows (sessions, closes, fixings), then the step's meter rows and orders
as one batch. All chance is drawn from the scenario's seed, so the same inputs give the same rows, to the bit: a run that was
interrupted is resumed by playing it again, with the journal standing in for what was sent already.

Invariants: time never runs backwards from row to row; a row is sent once; every listener hears every event, in order.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import month_days
from ciyuan.basics.money import MICRO
from ciyuan.basics.price import PriceList
from ciyuan.basics.rows import ROW_WORDS, Row
from ciyuan.clearing.messages import ClearingCommand
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.messages import SessionState
from ciyuan.gateway.messages import parties_word
from ciyuan.simulation.clockwork import Clockwork
from ciyuan.simulation.crowd import Crowd
from ciyuan.simulation.makers import Market
from ciyuan.simulation.opening import opening_rows
from ciyuan.simulation.risk_desk import RiskDesk, Treasurers
from ciyuan.simulation.schedule import Step, steps_of_day
from ciyuan.simulation.tally import Tally
from ciyuan.simulation.traffic import MeterRows
from ciyuan.simulation.treasury import Treasury, need_of_day, price_row, scaled_list
from ciyuan.simulation.valuation import DAYS_IN_YEAR, daily_values, expected_growth_year, within_day
from ciyuan.simulation.world import World

TRADING_STATES = frozenset({int(SessionState.AUCTION_ENTRY), int(SessionState.CONTINUOUS)})
Submit = Callable[[NDArray[np.int64]], NDArray[np.int64]]
Listener = Callable[[NDArray[np.int64], NDArray[np.int64]], None]


class Month:
    """One playing of a world on a venue. `submit` hands rows over and returns the events; `market` is what traders can see."""

    def __init__(
        self, world: World, submit: Submit, market: Market, listeners: tuple[Listener, ...] = ()
    ) -> None:
        scenario, calendar = world.scenario, world.calendar
        self.world = world
        self.first_day, self.last_day = world.days
        self.tally = Tally(
            calendar,
            self.first_day,
            self.last_day - self.first_day + 1,
            len(world.cast.everyone),
            world.grade.vector,
        )
        self._submit = submit
        self._market = market
        self._listeners = listeners
        self._spot = next(contract for contract in world.contracts if contract.kind == ContractKind.SPOT)
        self._clock = Clockwork(calendar, world.contracts, world.grade.number)
        self._crowd = Crowd(scenario, [contract.number for contract in world.contracts], self._spot.number, world.cast.makers,
                            world.cast.traders, world.hedges.targets, world.cast.factories)  # fmt: skip
        self._treasury = Treasury(world.cast.buyers, scenario.thrifty_buyers)
        self._values = daily_values(scenario, world.start_usd_per_mtok, self.last_day - self.first_day + 2)
        self._meter = MeterRows(world.traffic, self._parties(), calendar.start_ns(self.last_day + 1) - 1)
        self._risk_desk = RiskDesk(scenario, world.contracts, self.first_day)
        self._treasurers = Treasurers()
        self._next_key = 1

    def play(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Play the whole month. `progress` is told each step's end."""
        opening, self._next_key = opening_rows(self.world, self.world.calendar.start_ns(self.first_day))
        self._send(opening)
        for day in range(self.first_day, self.last_day + 1):
            self._morning(day)
            steps = list(steps_of_day(self.world.calendar, day, self.world.bells, TRADING_STATES))
            place = day - self.first_day
            values = within_day(
                self.world.scenario, day, self._values[place], self._values[place + 1], len(steps)
            )
            for step, value in zip(steps, values.tolist(), strict=True):
                self._step(step, value)
                progress(step.end_ns)
        end_ns = self.world.calendar.start_ns(self.last_day + 1) - 1
        self._send([self._clock.lapse(end_ns, self.last_day)])

    def _parties(self) -> NDArray[np.int64]:
        world = self.world
        customers = np.array(world.cast.buyers, dtype=np.int64)[world.traffic.customer]
        suppliers = np.array(world.cast.factories, dtype=np.int64)[world.plant.supplier]
        return customers << 32 | suppliers << 16 | parties_word(0, 0, world.grade.number)

    def _lists(self, day: int, valid_from_ns: int) -> list[PriceList]:
        factor = self._values[day - self.first_day] / self._values[0]
        return [scaled_list(base, factor, valid_from_ns) for base in self.world.factory_lists]

    def _morning(self, day: int) -> None:
        """Before a day: the factories' lists of the day, and what the buyers pay in."""
        calendar = self.world.calendar
        start, end = calendar.start_ns(day), calendar.start_ns(day + 1)
        lists = self._lists(day, start)
        rows = [price_row(start, entry) for entry in lists] if day > self.first_day else []
        held_at = self._lists(
            max(day - 1, self.first_day), start
        )  # what still runs was held at yesterday's lists
        need = need_of_day(self.world.traffic, start, end, lists + held_at, len(self.world.cast.buyers))
        charged = self.tally.charged_micro.sum(axis=1)[list(self.world.cast.buyers)]
        deposits = self._treasury.top_up(start, self._next_key, need, charged)
        self._next_key += len(deposits)
        self._send(rows + deposits)

    def _step(self, step: Step, value: float) -> None:
        paid = self._treasurers.rows(step.start_ns, self._next_key)
        self._next_key += len(paid)
        rows = self._clock.rows(step)
        self._send(paid + rows)
        if any(row[0] == ClearingCommand.SETTLE_DAY for row in rows):
            self._send(self._risk_desk.rows(step.start_ns, step.day))
        meter = self._meter.between(step.start_ns, step.end_ns)
        orders: list[Row] = []
        open_now = {number: state for number, state in self._clock.state.items() if state in TRADING_STATES}
        if step.trading and open_now:
            auction = frozenset(
                number for number, state in open_now.items() if state == SessionState.AUCTION_ENTRY
            )
            self._crowd.act(
                orders, step.end_ns - 1, self._value_ticks(step, value, open_now), self._market, auction
            )
        self._send(orders, meter)

    def _value_ticks(self, step: Step, value: float, open_now: Mapping[int, int]) -> dict[int, int]:
        """What each contract that takes orders is worth now, in ticks: spot the value, a future the mean of its
        month's values.
        """
        worth: dict[int, int] = {}
        for contract in self.world.contracts:
            if contract.number in open_now and contract.first_day <= step.day <= contract.last_day:
                ahead = (
                    value
                    if contract.kind == ContractKind.SPOT
                    else self._expected_mean(contract.month, step.day, value)
                )
                worth[contract.number] = max(1, round(ahead * MICRO / contract.tick_micro))
        return worth

    def _expected_mean(self, month: int, day: int, value: float) -> float:
        """The mean that a month's fixings should come to: those behind us as they were, the others as the value should grow."""
        days = self.world.calendar.business_days(*month_days(month))
        behind = [self._values[past - self.first_day] for past in days if self.first_day <= past < day]
        ahead = np.array([at - day for at in days if at >= day], dtype=np.float64) / DAYS_IN_YEAR
        grown = value * np.exp(expected_growth_year(self.world.scenario) * ahead)
        seen = len(behind) + len(ahead)
        return float((sum(behind) + grown.sum()) / seen) if seen else value

    def _send(self, rows: list[Row], meter: NDArray[np.int64] | None = None) -> None:
        """Hand over the meter's rows and then `rows` as one batch, and tell everyone what came of it."""
        batch = np.array(rows, dtype=np.int64).reshape(-1, ROW_WORDS)
        if meter is not None and len(meter):
            batch = np.concatenate([meter, batch])
        if not len(batch):
            return
        events = self._submit(batch)
        for hearer in (self._crowd, self.tally, self._risk_desk, self._treasurers):
            hearer.hear(events)
        for listener in self._listeners:
            listener(batch, events)
