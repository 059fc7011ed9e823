"""The plan of a plant: what each megawatt, chip and tier makes, sells, costs and leaves, and what one more of each would earn.

    GPUs of a fleet     = as given, or share x MW x 1e6 / (PUE x IT watts that a GPU is provisioned with)
    tokens/s on average = GPUs x rate at full load x utilisation
    revenue             = tokens per watt x watts x price                      (losses.py names what is lost in between)
    margin              = revenue - energy - capital and network - staff

GPUs that no tier needs are switched off; their capital is spent all the same and stands in a row of its own. What a GPU-hour or a
megawatt-hour is worth is before capital: the plan compares it with what that GPU costs.

| scenario | split | sold |
|---|---|---|
| optimal | the one that earns most | at the price that demand pays for the quantity |
| equal | the same share of every chip for each tier | the same; what earns more unsold stays unsold |
| keynote | the same share of every chip for each tier | all of it at list price |
| unlimited | the one that earns most, promises forgotten | any amount at list price |
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.allocation import WATTS_PER_MW, Split, split_plant
from ciyuan.factory.demand import MTOK_PER_HOUR, DemandCurve
from ciyuan.factory.losses import Duty, Link, chain
from ciyuan.factory.messages import Scenario
from ciyuan.factory.plant import HOURS_PER_YEAR, Fleet, Plant
from ciyuan.factory.tiers import Reals, TierCell, TierRate, TierRates, equal_split, unlimited_demand

TierGrid = Sequence[Sequence[TierCell]]
"""What each chip does in each tier, (fleets, tiers)."""


@dataclass(frozen=True, slots=True)
class Powering:
    """How watts reach the GPUs: facility over IT power, and by chip the IT watts that a GPU is provisioned with."""

    pue: float
    provisioned_w: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PlannedTier:
    """One tier of the plan. Tokens are output tokens; money is USD an hour on average over time.

    `gpus` by chip (chips,) are at work for it; `power_mw` is their average draw at the meter. `price_factor` is price over the
    list price (None for a list price of 0). `token_usd_per_mtok` is what the last token costs in gains forgone,
    `demand_usd_per_mtok` what one more token of demand would earn, `promise_usd_per_mtok` what the last promised token
    loses; they are None where the split was given, not found, and where no chip serves the tier.
    """

    name: str
    gpus: Reals
    power_mw: float
    made_tokens_per_s: float
    sold_tokens_per_s: float
    price_usd_per_mtok: float
    price_factor: float | None
    revenue: float
    energy: float
    capital: float
    margin: float
    token_usd_per_mtok: float | None
    demand_usd_per_mtok: float | None
    promise_usd_per_mtok: float | None


@dataclass(frozen=True, slots=True)
class PlannedChip:
    """One chip of the plan: GPUs installed and at work, the MW at the meter that these draw when all are busy, what a GPU-hour
    costs (capital and network), and what one more would earn (None where the split was given)."""

    name: str
    installed: int
    at_work: float
    peak_mw: float
    usd_per_gpu_hour: float
    worth_usd_per_gpu_hour: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a plant under a scenario. Money is USD an hour on average; `power_mw` is the average draw at the meter.

    `links` are the losses from meter to token of all GPUs at work, in watts. `idle_capital` is the capital of GPUs that no tier
    needs. `mw_usd_per_hour` is what one more megawatt would earn with the GPUs as they are, `grown_mw_usd_per_hour` with
    those that fleets given by share would add, before their capital (`grown_mw_cost_usd_per_hour`). `gap` bounds what a better
    split could earn more, as a share of the largest tier's revenue.
    """

    plant: Plant
    scenario: Scenario
    pue: float
    cells: tuple[tuple[TierCell, ...], ...]
    tiers: tuple[PlannedTier, ...]
    chips: tuple[PlannedChip, ...]
    links: tuple[Link, ...]
    power_mw: float
    peak_mw: float
    revenue: float
    energy: float
    capital: float
    idle_capital: float
    staff: float
    margin: float
    mw_usd_per_hour: float | None
    grown_mw_usd_per_hour: float | None
    grown_mw_cost_usd_per_hour: float
    gap: float | None

    @property
    def sold_tokens_per_s(self) -> float:
        """Output tokens sold a second, all tiers."""
        return sum(tier.sold_tokens_per_s for tier in self.tiers)

    @property
    def tokens_per_joule(self) -> float:
        """Output tokens sold per joule at the meter, which is tokens/s per watt; 0 for a plant that stands still."""
        return self.sold_tokens_per_s / (self.power_mw * WATTS_PER_MW) if self.power_mw else 0.0

    @property
    def usd_per_mtok(self) -> float:
        """What a million output tokens brought on average, with the input that goes with them; 0 if none was sold."""
        sold = self.sold_tokens_per_s
        return self.revenue / (sold * MTOK_PER_HOUR) if sold else 0.0

    @property
    def margin_usd_per_mw_year(self) -> float:
        """Margin of a year per megawatt of the connection."""
        return self.margin * HOURS_PER_YEAR / self.plant.power_mw

    @property
    def revenue_usd_per_mw_year(self) -> float:
        """Revenue of a year per megawatt of the connection."""
        return self.revenue * HOURS_PER_YEAR / self.plant.power_mw


def installed_gpus(plant: Plant, powering: Powering) -> Reals:
    """GPUs by fleet, (chips,), whole. Raises Malformed for a share that does not feed one."""
    return np.array([_installed(plant, fleet, powering) for fleet in plant.fleets], dtype=np.float64)


def _installed(plant: Plant, fleet: Fleet, powering: Powering) -> int:
    if fleet.gpus is not None:
        return fleet.gpus
    watts = powering.provisioned_w[fleet.chip] * powering.pue
    gpus = int(plant.power_mw * WATTS_PER_MW * (fleet.share or 0.0) / watts)
    if gpus < 1:
        raise Malformed(f"plant {plant.name}, fleet of {fleet.chip}", found=f"{plant.power_mw:g} MW x {fleet.share:g}",
                        expected=f"at least the {watts:,.0f} W of one GPU at the meter",
                        remedy="Give it a larger share or more megawatts.")  # fmt: skip
    return gpus


def _over_grid(cells: TierGrid, figure: Callable[[TierRate], float]) -> Reals:
    """A figure of each cell, (chips, tiers); 0 where a chip cannot serve."""
    return np.array([[figure(cell) if isinstance(cell, TierRate) else 0.0 for cell in row] for row in cells])


def rates_of(plant: Plant, cells: TierGrid) -> TierRates:
    """What the split needs of a grid of cells: average tokens, peak watts, average cost of energy."""
    busy = plant.utilisation
    mean_w = _over_grid(cells, lambda cell: cell.site.meter_w(busy))
    return TierRates(
        tuple(fleet.chip for fleet in plant.fleets),
        tuple(tier.name for tier in plant.tiers),
        _over_grid(cells, lambda cell: cell.rates.output_tokens_per_s * busy),
        _over_grid(cells, lambda cell: cell.site.meter_w_max),
        mean_w / WATTS_PER_MW * plant.power_usd_per_mwh,
    )


def plan_plant(
    plant: Plant, powering: Powering, cells: TierGrid, scenario: Scenario = Scenario.OPTIMAL
) -> Plan:
    """The plan of a plant.

    Raises Malformed for a plant that no tier can be made in, with the reasons, and for promises that it cannot keep.
    """
    rates, gpus = rates_of(plant, cells), installed_gpus(plant, powering)
    if not (rates.tokens_per_s > 0).any():
        whys = sorted(
            {f"{cell.chip}: {cell.why}" for row in cells for cell in row if not isinstance(cell, TierRate)}
        )
        raise Malformed(f"plant {plant.name}", found="no chip that can serve any tier", expected="one at least",
                        remedy=f"Choose other chips, models or speeds: {'; '.join(whys)}")  # fmt: skip
    at_list = scenario in (Scenario.KEYNOTE, Scenario.UNLIMITED)
    demand = unlimited_demand(plant.tiers) if at_list else tuple(tier.demand for tier in plant.tiers)
    watts = plant.power_mw * WATTS_PER_MW
    if scenario in (Scenario.EQUAL, Scenario.KEYNOTE):
        split = _given(rates, gpus, watts, demand)
    else:
        promised = np.array([0.0 if at_list else tier.tokens_per_s_min for tier in plant.tiers])
        split = split_plant(rates, demand, gpus, watts, promised)
    return _planned(plant, powering, cells, scenario, split, gpus)


def _given(rates: TierRates, gpus: Reals, watts: float, demand: Sequence[DemandCurve]) -> Split:
    """The equal split, within the watts; shadow prices, which it has not, are not a number."""
    work = equal_split(rates, gpus)
    work *= min(1.0, watts / max(float((work * rates.watts).sum()), 1e-300))
    made = (work * rates.tokens_per_s).sum(axis=0)
    sold = np.array([min(q, curve.tokens_per_s_best) for curve, q in zip(demand, made, strict=True)])
    revenue = np.array([float(curve.revenue_usd_per_hour(q)) for curve, q in zip(demand, sold, strict=True)])
    unknown, chips = np.full(len(demand), np.nan), np.full(len(gpus), np.nan)
    running = (work * rates.usd_per_hour).sum(axis=0)
    return Split(work, made, sold, revenue, running, unknown, chips, np.nan, unknown, unknown, np.nan)


def _planned(
    plant: Plant, powering: Powering, cells: TierGrid, scenario: Scenario, split: Split, gpus: Reals
) -> Plan:
    hourly = (
        np.array([fleet.capital.usd_per_gpu_hour for fleet in plant.fleets])
        + plant.upkeep.network_usd_per_gpu_hour
    )
    mean_mw = _over_grid(cells, lambda cell: cell.site.meter_w(plant.utilisation)) / WATTS_PER_MW
    peak_mw = (split.gpus * _over_grid(cells, lambda cell: cell.site.meter_w_max)).sum(axis=1) / WATTS_PER_MW
    revenue, energy = float(split.revenue.sum()), float(split.running.sum())
    capital, staff = (
        float(gpus @ hourly),
        plant.upkeep.staff_usd_per_mw_year * plant.power_mw / HOURS_PER_YEAR,
    )
    grown = np.array([_gpus_per_mw(fleet, powering) for fleet in plant.fleets])
    chips = [
        PlannedChip(fleet.chip, int(gpus[chip]), float(split.gpus[chip].sum()), float(peak_mw[chip]), float(hourly[chip]),
                    _known(split.gpu_usd_per_hour[chip]))
        for chip, fleet in enumerate(plant.fleets)
    ]  # fmt: skip
    return Plan(
        plant=plant,
        scenario=scenario,
        pue=powering.pue,
        cells=tuple(tuple(row) for row in cells),
        tiers=tuple(_tier(plant, split, tier, hourly, mean_mw) for tier in range(len(plant.tiers))),
        chips=tuple(chips),
        links=_links(plant, cells, split.gpus),
        power_mw=float((split.gpus * mean_mw).sum()),
        peak_mw=float(peak_mw.sum()),
        revenue=revenue,
        energy=energy,
        capital=capital,
        idle_capital=float(np.maximum(gpus - split.gpus.sum(axis=1), 0.0) @ hourly),
        staff=staff,
        margin=revenue - energy - capital - staff,
        mw_usd_per_hour=_known(split.mw_usd_per_hour),
        grown_mw_usd_per_hour=_known(split.mw_usd_per_hour + float(split.gpu_usd_per_hour @ grown)),
        grown_mw_cost_usd_per_hour=float(hourly @ grown)
        + plant.upkeep.staff_usd_per_mw_year / HOURS_PER_YEAR,
        gap=_known(split.gap),
    )


def _tier(plant: Plant, split: Split, tier: int, hourly: Reals, mean_mw: Reals) -> PlannedTier:
    order, gpus, sold = plant.tiers[tier], split.gpus[:, tier], float(split.sold[tier])
    revenue, energy, capital = float(split.revenue[tier]), float(split.running[tier]), float(gpus @ hourly)
    price = revenue / (sold * MTOK_PER_HOUR) if sold > 0 else 0.0
    return PlannedTier(
        name=order.name,
        gpus=gpus,
        power_mw=float(gpus @ mean_mw[:, tier]),
        made_tokens_per_s=float(split.made[tier]),
        sold_tokens_per_s=sold,
        price_usd_per_mtok=price,
        price_factor=price / order.list_usd_per_mtok if order.list_usd_per_mtok and sold > 0 else None,
        revenue=revenue,
        energy=energy,
        capital=capital,
        margin=revenue - energy - capital,
        token_usd_per_mtok=_known(split.token_usd_per_mtok[tier]),
        demand_usd_per_mtok=_known(split.demand_usd_per_mtok[tier]),
        promise_usd_per_mtok=_known(split.promise_usd_per_mtok[tier]),
    )


def _links(plant: Plant, cells: TierGrid, gpus: Reals) -> tuple[Link, ...]:
    """The losses of all cells at work, link by link; none for a plant that stands still."""
    at_work = [
        chain(cell.site, cell.rates, Duty(plant.utilisation), float(gpus[chip, tier])).links
        for chip, row in enumerate(cells)
        for tier, cell in enumerate(row)
        if isinstance(cell, TierRate) and gpus[chip, tier] > 0
    ]
    return tuple(
        Link(
            links[0].name,
            links[0].says,
            sum(link.watts_before for link in links),
            sum(link.watts_after for link in links),
        )
        for links in zip(*at_work, strict=True)
    )


def _gpus_per_mw(fleet: Fleet, powering: Powering) -> float:
    """GPUs that one more megawatt of the site adds to a fleet."""
    share = fleet.share or 0.0
    return share * WATTS_PER_MW / (powering.provisioned_w[fleet.chip] * powering.pue) if share else 0.0


def _known(value: float) -> float | None:
    """A figure, or None for what has none: not a number, or infinite."""
    return float(value) if np.isfinite(value) else None
