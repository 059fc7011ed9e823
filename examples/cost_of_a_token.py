"""What a million standard tokens cost to make at each site of the catalogue, and what power has to do with it.

Run it from the project's folder:  .venv/bin/python examples/cost_of_a_token.py
Facts and their sources: src/ciyuan/data; the formulas: docs/spec/factory.md.
"""

import numpy as np

from ciyuan.dispatch.plan import dispatch_hours
from ciyuan.dispatch.supply import marginal_cost, supply_of
from ciyuan.factory.cost import cost_per_mtok, joules_per_token, site_gpus, tokens_per_second
from ciyuan.services.catalog import grades, power_profiles, site_point, sites, sizes

UTILISATION = 0.6  # tokens delivered as a share of full load: capital is spent whether or not anyone asks
DEMAND_MTOK = 9_000  # asked for in each hour of the day, in the second table


def main() -> None:
    grade, size, profiles = grades()["KIMI26"], sizes()["azure_2023_conv"], power_profiles()
    vector = grade.grade.vector
    chosen = list(sites().values())
    points = [site_point(site, grade, size) for site in chosen]
    gpus = [site_gpus(site, point) for site, point in zip(chosen, points, strict=True)]

    print(
        f"{grade.grade.name}: USD per MTok of standard tokens, {UTILISATION:.0%} of full load, mean power price"
    )
    print(
        f"{'site':<18} {'GPUs':>5} {'MTok/h':>7} {'J/token':>8} {'USD/MWh':>8} {'energy':>7} {'capital':>8} {'total':>6}"
    )
    for site, point, count in zip(chosen, points, gpus, strict=True):
        power = profiles[site.zone].mean
        cost = cost_per_mtok(point, power, site.pue, site.capital_usd_per_gpu_hour, UTILISATION, vector)
        made = tokens_per_second(point, count, vector).standard * 3600 / 1e6
        joules = joules_per_token(point, site.pue, vector)
        print(f"{site.title:<18} {count:>5} {made:>7,.0f} {joules:>8.2f} {power:>8.1f} {cost.energy:>7.4f} {cost.capital:>8.3f} "
              f"{cost.total:>6.3f}")  # fmt: skip

    prices = np.array([profiles[site.zone].by_utc_hour for site in chosen]).T
    demand = np.full(24, DEMAND_MTOK * 10**6)
    plan = dispatch_hours(
        demand, supply_of(chosen, points, gpus, vector), marginal_cost(chosen, points, prices, vector)
    )
    print(f"\nwhere {DEMAND_MTOK:,} MTok an hour are made, by hour of the day (UTC), cheapest energy first")
    print(f"{'hour':<6}" + "".join(f"{site.name:>12}" for site in chosen))
    for hour in range(0, 24, 4):
        print(
            f"{hour:02d}:00 "
            + "".join(f"{tokens / 1e6:>12,.0f}" for tokens in plan.allocation[hour].tolist())
        )
    print(f"energy for the day: {plan.cost_usd.sum():,.0f} USD; unserved: {int(plan.unserved.sum())} tokens")


if __name__ == "__main__":
    main()
