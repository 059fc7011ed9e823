"""The scenario's token factories: what they can make each hour, what it costs, and which of them serves which request.

Demand is the month's requests in standard tokens, hour by hour. Dispatch sends each hour's demand to the cheapest sites that have
room; a request goes to a site with the probability that the plan gives the site in the request's hour, so what is metered
follows the plan up to the luck of the draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector
from ciyuan.basics.time import NS_PER_HOUR
from ciyuan.dispatch.load import standard_demand
from ciyuan.dispatch.messages import Plan
from ciyuan.dispatch.plan import dispatch_hours
from ciyuan.dispatch.supply import marginal_cost, supply_of
from ciyuan.factory.cost import cost_per_mtok
from ciyuan.factory.messages import ServingPoint, Site
from ciyuan.simulation.chance import stream
from ciyuan.simulation.scenario import Scenario
from ciyuan.simulation.traffic import Traffic


@dataclass(frozen=True, slots=True, eq=False)
class Plant:
    """The factories of a month of H hours and S sites.

    `power_usd_per_mwh`, `cost_usd_per_mtok` (energy and capital at full load): (H, S). `plan`: what each site makes in each hour.
    `capacity_tokens`: (S,) standard tokens an hour. `supplier`: (n,) the site that serves each request, counted from 0.
    """

    sites: tuple[Site, ...]
    gpus: tuple[int, ...]
    power_usd_per_mwh: NDArray[np.float64]
    cost_usd_per_mtok: NDArray[np.float64]
    capacity_tokens: NDArray[np.int64]
    demand_tokens: NDArray[np.int64]
    plan: Plan
    supplier: NDArray[np.int64]


def build_plant(
    scenario: Scenario,
    sites: Sequence[Site],
    points: Sequence[ServingPoint],
    gpus: Sequence[int],
    power_usd_per_mwh: NDArray[np.float64],
    traffic: Traffic,
    first_ns: int,
    vector: ConversionVector,
) -> Plant:
    """Plan the month that starts at `first_ns`. Raises Malformed, naming the hour, if the sites cannot serve the traffic."""
    hours = len(power_usd_per_mwh)
    hour = (traffic.time_ns - first_ns) // NS_PER_HOUR
    asked, cached, output = (
        np.bincount(hour, weights=leg, minlength=hours).astype(np.int64)
        for leg in (traffic.input, traffic.cached, traffic.output)
    )
    demand = standard_demand(asked, cached, output, vector)
    supply = supply_of(sites, points, gpus, vector)
    plan = dispatch_hours(demand, supply, marginal_cost(sites, points, power_usd_per_mwh, vector))
    if plan.unserved.any():
        worst = int(np.argmax(plan.unserved))
        room = int(plan.allocation[worst].sum())
        raise Malformed(f"scenario, hour {worst} of the month", found=f"{int(demand[worst]):,} standard tokens asked for",
                        expected=f"at most the {room:,} that the sites can make in it",
                        remedy="Ask for fewer requests or smaller bundles, or give the sites more power.")  # fmt: skip
    cost = [cost_per_mtok(point, power_usd_per_mwh[:, column], site.pue, site.capital_usd_per_gpu_hour, 1.0, vector).total
            for column, (site, point) in enumerate(zip(sites, points, strict=True))]  # fmt: skip
    share = np.cumsum(plan.allocation, axis=1) / np.maximum(plan.allocation.sum(axis=1), 1)[:, None]
    draw = stream(scenario.seed, "supplier").random(len(traffic))
    supplier = np.minimum((draw[:, None] >= share[hour]).sum(axis=1), len(sites) - 1).astype(np.int64)
    capacity = np.broadcast_to(supply.tokens_per_hour_max, (len(sites),)).astype(np.int64)
    return Plant(
        tuple(sites), tuple(gpus), power_usd_per_mwh, np.stack(cost, axis=1), capacity, demand, plan, supplier
    )
