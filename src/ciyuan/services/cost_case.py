"""From what an operator asks (a plant file, or options) to the case that cost, shocks and values are worked out of.

Rates come from calibrated physics, as a plan's do, or from the measured serving points of the catalogue: of those of the chip,
model and precision that are fast enough, at the request's shape or between two that were measured, the one of most tokens per
GPU. Points were measured on one software at one time: chips are compared on equal terms by physics only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from ciyuan.basics.errors import Malformed
from ciyuan.factory.cost import WATTS_PER_MW
from ciyuan.factory.facility import CoolingMethod, Hall, Server, plant_overhead, server_power
from ciyuan.factory.losses import Duty, GpuSite
from ciyuan.factory.messages import Chip, ServingPoint
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.plant import (
    HOURS_PER_YEAR,
    Capital,
    Cooling,
    Fleet,
    Plant,
    PriceList,
    Rental,
    ServiceOrder,
    TierOrder,
    Upkeep,
)
from ciyuan.factory.power import PowerModel, idle_watts
from ciyuan.factory.rates import Rates, serving_rates
from ciyuan.factory.serving import at_shape
from ciyuan.factory.shocks import Case
from ciyuan.factory.waterfall import Terms
from ciyuan.services.catalog import chips, expect_figure, serving_points
from ciyuan.services.catalog_factory import Names, names
from ciyuan.services.catalog_power import hall, power_model, server_for, servers
from ciyuan.services.rate_source import RateSource


@dataclass(frozen=True, slots=True)
class CaseOrder:
    """One chip at one plant, serving one model at one speed. `capital` None: the chip's cost of ownership in the catalogue.

    `ttft_s_max` bounds the mean time to first token of rates by physics.
    """

    chip: str
    service: ServiceOrder
    tokens_per_s_per_user_min: float
    prices: PriceList
    power_usd_per_mwh: float
    cooling: Cooling
    duty: Duty
    capital: Capital | None = None
    upkeep: Upkeep = field(default_factory=Upkeep)
    maintenance_usd_per_gpu_hour: float = 0.0
    gpu_cap_w: float | None = None
    ttft_s_max: float = inf


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What the catalogue knows that a case needs."""

    chips: Mapping[str, Chip]
    names: Names
    power: PowerModel
    servers: Mapping[str, Server]
    hall: Hall
    points: tuple[ServingPoint, ...]


RatesByPhysics = Callable[[CaseOrder, Chip, Model, Precision], Rates]
"""Rates of an order's chip, model and precision. Raises Malformed where they cannot be."""


def case_facts() -> CaseFacts:
    """The facts of the catalogue."""
    return CaseFacts(chips(), names(), power_model(), servers(), hall(), serving_points())


def plant_orders(plant: Plant, tier_name: str | None) -> tuple[CaseOrder, ...]:
    """An order for each fleet of a plant, at one tier: the named one, else the first that is sold for money."""
    tier = _tier(plant, tier_name)
    return tuple(fleet_order(plant, fleet, tier) for fleet in plant.fleets)


def fleet_order(plant: Plant, fleet: Fleet, tier: TierOrder) -> CaseOrder:
    """The order of one fleet of a plant at one of its tiers."""
    service = tier.service if fleet.precision is None else replace(tier.service, precision=fleet.precision)
    return CaseOrder(
        chip=fleet.chip,
        service=service,
        tokens_per_s_per_user_min=tier.tokens_per_s_per_user_min,
        prices=tier.prices,
        power_usd_per_mwh=plant.power_usd_per_mwh,
        cooling=plant.cooling,
        duty=Duty(plant.utilisation),
        capital=fleet.capital,
        upkeep=plant.upkeep,
        gpu_cap_w=plant.gpu_cap_w,
        ttft_s_max=tier.ttft_s_max,
    )


def _tier(plant: Plant, name: str | None) -> TierOrder:
    found = [tier for tier in plant.tiers if (tier.name == name if name else tier.list_usd_per_mtok > 0)]
    if not found:
        raise Malformed(f"plant {plant.name}, tier", found=name or "none that is sold for money",
                        expected=f"one of {', '.join(tier.name for tier in plant.tiers)}",
                        remedy="Name one with --tier.")  # fmt: skip
    return found[0]


def case_of(order: CaseOrder, facts: CaseFacts, rates: Rates) -> Case:
    """The case of an order with its rates. Raises Malformed for what the catalogue lacks, or a cap that cannot be held."""
    chip = facts.names.chip(order.chip)
    site = site_of(order, facts, chip, rates.busy_w)
    hourly = order.capital or Rental(
        expect_figure(chip, chip.cost_usd_per_hour, "cost_usd_per_gpu_hour", "capital")
    )
    staff = order.upkeep.staff_usd_per_mw_year * site.meter_w_max / WATTS_PER_MW / HOURS_PER_YEAR
    terms = Terms(
        power_usd_per_mwh=order.power_usd_per_mwh,
        capital_usd_per_gpu_hour=hourly.usd_per_gpu_hour,
        network_usd_per_gpu_hour=order.upkeep.network_usd_per_gpu_hour,
        staff_usd_per_gpu_hour=staff,
        maintenance_usd_per_gpu_hour=order.maintenance_usd_per_gpu_hour,
    )
    return Case(terms, site, rates, order.duty, order.prices.blend(order.service))


def site_of(order: CaseOrder, facts: CaseFacts, chip: Chip, busy_w: float) -> GpuSite:
    """One GPU of the chip in its server and hall, busy at `busy_w` watts."""
    method = CoolingMethod(order.cooling.method) if order.cooling.method else None
    server = server_for(facts.servers, chip, method)
    waiting = server_power(server, chip, idle_watts(facts.power, chip))
    return GpuSite(server_power(server, chip, busy_w), waiting, plant_overhead(facts.hall, order.cooling))


def rates_of(order: CaseOrder, facts: CaseFacts, source: RateSource, physics: RatesByPhysics) -> Rates:
    """What a GPU of the order delivers, from that source. Raises Malformed for what it does not know."""
    chip, model = facts.names.chip(order.chip), facts.names.model(order.service.model)
    if source is not RateSource.PHYSICS:
        try:
            return measured_rates(order, facts)
        except Malformed:
            if source is RateSource.MEASURED:
                raise
    return physics(order, chip, model, facts.names.precision(order.service.precision, model))


def measured_rates(order: CaseOrder, facts: CaseFacts) -> Rates:
    """Of the measured points that are fast enough, under the order's power cap if it has one, the one of most tokens per GPU.

    Raises Malformed if there is none, naming what was measured.
    """
    chip, model = facts.names.chip(order.chip), facts.names.model(order.service.model)
    precision = facts.names.precision(order.service.precision, model)
    points = sorted(_measured(order, facts, chip, model, precision), key=lambda one: -one.output_tokens_per_s)
    for point in points:
        rates = serving_rates(
            facts.power, chip, model, precision, point, order.service.cached_share, order.gpu_cap_w
        )
        if rates.tokens_per_s_per_user >= order.tokens_per_s_per_user_min:
            return rates
    raise _nobody_measured(order, facts, model)


def _measured(
    order: CaseOrder, facts: CaseFacts, chip: Chip, model: Model, precision: Precision
) -> list[ServingPoint]:
    """A point for each tier of the table that was measured, fast enough, at the order's shape or between two."""
    wanted = (chip.code, model.code, str(precision))
    by_tier: dict[str, list[ServingPoint]] = {}
    for point in facts.points:
        its = facts.names.model(point.model)
        if (point.chip, its.code, str(facts.names.precision(point.precision, its))) == wanted:
            by_tier.setdefault(point.tier, []).append(point)
    found = []
    for points in by_tier.values():
        at = _at_shape(points, order.service)
        if at is not None and at.tokens_per_s_per_user >= order.tokens_per_s_per_user_min:
            found.append(at)
    return found


def _at_shape(points: Sequence[ServingPoint], service: ServiceOrder) -> ServingPoint | None:
    """The point at a request's shape, or None where it lies outside those that were measured or they contradict each other."""
    try:
        return at_shape(points, service.input_tokens, service.output_tokens)
    except Malformed:
        return None


def _nobody_measured(order: CaseOrder, facts: CaseFacts, model: Model) -> Malformed:
    known = sorted({
        f"{point.chip} {point.precision} {point.input_tokens:g}/{point.output_tokens:g} at {point.tier}"
        for point in facts.points
        if facts.names.model(point.model).code == model.code
    })  # fmt: skip
    service = order.service
    shape = f"{service.input_tokens:g}/{service.output_tokens:g}"
    return Malformed(
        f"rates of {model.code} on {order.chip}",
        found=f"{service.precision} {shape} at {order.tokens_per_s_per_user_min:g} tokens/s per user",
        expected=f"what was measured, or between two shapes of it: {'; '.join(known) or 'nothing of this model'}",
        remedy="Choose another chip, precision, shape or speed.",
    )
