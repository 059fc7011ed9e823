"""What the desk says of a run: the hedging buyers' reports, the largest one's days, and the factories' hours, as tables."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import month_days
from ciyuan.basics.tokens import MTOK
from ciyuan.desk.exposure import exposure_of
from ciyuan.desk.hedge import hedge_ratio
from ciyuan.desk.messages import CENTI_PER_MTOK, FuturesResult, FuturesTrade, HedgeReport, Use
from ciyuan.desk.report import hedge_report
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.index.messages import Leg, MonthMean
from ciyuan.services.summary import BuyerBill, MeasuredRatio
from ciyuan.services.tables import write_table
from ciyuan.simulation.month import Month
from ciyuan.simulation.world import World
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Role


class DeskOfRun:
    """The desk's view of a played month: its use, its fixings, and each buyer's report."""

    def __init__(self, month: Month, venue: Venue) -> None:
        self._month = month
        self._world = month.world
        self._contract = next(
            entry
            for entry in self._world.contracts
            if entry.kind == ContractKind.CASH_FUTURE and entry.month == self._world.scenario.month
        )
        grade, leg = self._world.grade.number, Leg.STANDARD
        self.mean: MonthMean | None = venue.index.month_mean(grade, self._world.scenario.month, leg)
        self.business_days = self._world.calendar.business_days(*month_days(self._world.scenario.month))
        known = {day: venue.index.fixing(grade, day, leg) for day in self.business_days}
        self.fixings = {
            day: fixing.value_micro
            for day, fixing in known.items()
            if fixing and fixing.value_micro is not None
        }

    @property
    def contract(self) -> Contract:
        """The future of the month."""
        return self._contract

    def report(self, buyer: int) -> HedgeReport:
        """What a buyer's month cost, and what its futures did."""
        tally = self._month.tally
        days = tally.first_day + np.arange(tally.centitokens.shape[1], dtype=np.int64)
        one = slice(buyer, buyer + 1)
        use = Use(np.array([buyer], dtype=np.int64), days, tally.centitokens[one], tally.charged_micro[one])
        exposure = exposure_of(use, buyer, self._world.scenario.month)
        mean = self.mean.mean_micro if self.mean else None
        return hedge_report(exposure, self.fixings, self._futures(buyer), mean, len(self.business_days))

    def _futures(self, buyer: int) -> FuturesResult:
        tally, contract = self._month.tally, self._contract
        trades = tuple(
            FuturesTrade(ticks * contract.tick_micro, lots * contract.lot_mtok)
            for _, ticks, lots in tally.bought.get((buyer, contract.number), ())
        )
        variation = sum(
            amount
            for (who, of, _), amount in tally.variation_micro.items()
            if (who, of) == (buyer, contract.number)
        )
        fees = sum(amount for (who, _), amount in tally.fees_micro.items() if who == buyer)
        final = self.mean.mean_micro if self.mean and trades else None
        return FuturesResult(trades, variation, fees, final, self.mean.rule if self.mean else 0)

    def ratio(self) -> MeasuredRatio:
        """The ratio that the month showed: all buyers' price per standard MTok against the fixing, by business day."""
        tally = self._month.tally
        tokens, charged = (
            tally.centitokens.sum(axis=0).astype(np.float64),
            tally.charged_micro.sum(axis=0).astype(np.float64),
        )
        places = np.array(self.business_days, dtype=np.int64) - tally.first_day
        paid = np.full(len(places), np.nan)
        used = tokens[places] > 0
        paid[used] = charged[places][used] * CENTI_PER_MTOK / tokens[places][used]
        reference = np.array([self.fixings.get(day, np.nan) for day in self.business_days], dtype=np.float64)
        found = hedge_ratio(paid, reference)
        return MeasuredRatio(found.ratio, found.points, found.r_squared, found.finding)


def write_site_hours(folder: Path, world: World) -> None:
    """`site_hours.parquet`: power price, cost, plan and power of each factory in each hour of the month."""
    first, _ = month_days(world.scenario.month)
    hours, plant = len(world.plant.power_usd_per_mwh), world.plant
    start_s = world.calendar.start_ns(first) // 10**9
    stamps = (start_s + 3600 * np.arange(hours)).astype("datetime64[s]")
    names = [site.name for site in plant.sites]
    columns: dict[str, NDArray[np.generic]] = {
        "hour": np.tile(stamps, len(names)),
        "site": np.repeat(np.array(names, dtype=object), hours),
        "power_usd_per_mwh": plant.power_usd_per_mwh.T.ravel(),
        "cost_usd_per_mtok": plant.cost_usd_per_mtok.T.ravel(),
        "planned_mtok": plant.plan.allocation.T.ravel() / MTOK,
        "power_mw": plant.plan.power_mw.T.ravel(),
    }
    write_table(folder / "site_hours.parquet", columns)


def write_participants(folder: Path, world: World) -> None:
    """`participants.parquet`: the number by which deliveries name a participant, its name and its roles."""
    everyone = world.cast.everyone
    columns: dict[str, NDArray[np.generic]] = {
        "participant": np.array([one.number for one in everyone], dtype=np.int32),
        "name": np.array([one.name for one in everyone], dtype=object),
        "customer": np.array([bool(one.roles & Role.CUSTOMER) for one in everyone]),
        "supplier": np.array([bool(one.roles & Role.SUPPLIER) for one in everyone]),
        "trades": np.array([bool(one.roles & (Role.FUTURES | Role.SPOT)) for one in everyone]),
    }
    write_table(folder / "participants.parquet", columns)


def write_hedge_tables(folder: Path, desk: DeskOfRun, world: World) -> tuple[BuyerBill, ...]:
    """`hedges.parquet` and `hedge_days.parquet` (the largest hedging buyer's), if anyone hedged; returns the bills."""
    reports = {buyer: desk.report(buyer) for buyer in world.hedges.planned_mtok}
    bills = tuple(
        _bill(world.cast.names[buyer], world.hedges.planned_mtok[buyer], report, desk.contract.lot_mtok)
        for buyer, report in reports.items()
    )
    if bills:
        rows = [asdict(bill) for bill in bills]
        plain = [name for name in rows[0] if name != "findings"]
        write_table(folder / "hedges.parquet", {name: _column([row[name] for row in rows]) for name in plain})
        days = max(reports.values(), key=lambda report: report.exposure.total_centitokens).bills
        planned = days.unhedged_micro if days.locked_micro is None else days.locked_micro
        columns: dict[str, NDArray[np.generic]] = {
            "day": days.days.astype("datetime64[D]"),
            "unhedged_micro": days.unhedged_micro,
            "hedged_micro": days.hedged_micro,
            "planned_micro": planned,
        }
        write_table(folder / "hedge_days.parquet", columns)
    return bills


def _column(values: list[object]) -> NDArray[np.generic]:
    """A column of one kind; absent numbers stay absent (object, which Arrow writes as null)."""
    return np.array(values, dtype=object) if None in values else np.array(values)


def _bill(name: str, planned_mtok: int, report: HedgeReport, lot_mtok: int) -> BuyerBill:
    futures, parts, locked = report.futures, report.decomposition, report.bills.locked_micro
    return BuyerBill(
        buyer=name,
        planned_mtok=planned_mtok,
        used_mtok=report.exposure.total_centitokens // CENTI_PER_MTOK,
        lots=futures.net_mtok // lot_mtok,
        entry_micro=futures.locked_price_micro,
        unhedged_micro=report.unhedged_micro,
        futures_micro=futures.variation_micro - futures.fees_micro,
        hedged_micro=report.hedged_micro,
        locked_micro=None if locked is None else int(locked.sum()),
        cost_micro=parts.locked_micro if parts else None,
        volume_micro=parts.volume_micro if parts else None,
        basis_micro=parts.basis_micro if parts else None,
        settlement_micro=parts.settlement_micro if parts else None,
        fees_micro=futures.fees_micro,
        basis_micro_per_mtok=report.basis.mean_micro,
        price_variance_reduction=report.price_variance_reduction,
        findings=tuple(report.findings),
    )
