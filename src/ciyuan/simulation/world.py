"""The world: all that a month is played from, facts and drawn traffic; put together by `ciyuan.services.world`."""

from dataclasses import dataclass

from ciyuan.basics.calendar import Calendar, month_days
from ciyuan.basics.grade import Grade
from ciyuan.basics.price import PriceList
from ciyuan.exchange.contract import Contract
from ciyuan.simulation.cast import Cast, Provider
from ciyuan.simulation.hedging import HedgePlan
from ciyuan.simulation.plant import Plant
from ciyuan.simulation.scenario import Scenario
from ciyuan.simulation.schedule import Bell
from ciyuan.simulation.traffic import Traffic


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """All that a month is played from: facts and drawn traffic; nothing in it changes while it is played."""

    scenario: Scenario
    calendar: Calendar
    grade: Grade
    contracts: tuple[Contract, ...]
    bells: tuple[Bell, ...]
    cast: Cast
    plant: Plant
    traffic: Traffic
    factory_lists: tuple[PriceList, ...]
    providers: tuple[Provider, ...]
    hedges: HedgePlan
    start_usd_per_mtok: float
    bond_bp: int = 0

    @property
    def days(self) -> tuple[int, int]:
        """The first day of the prologue and the last day of the month."""
        first, last = month_days(self.scenario.month)
        before = first
        for _ in range(self.scenario.prologue_days):
            before = self.calendar.previous_business(before)
        return before, last
