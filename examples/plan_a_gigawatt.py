"""A gigawatt over three generations of chips: what to make of it, tier by tier, and what one more megawatt would earn.

Run it from the project's folder:  .venv/bin/python examples/plan_a_gigawatt.py
The plant: examples/plant_1gw.toml; the method: docs/spec/factory_tiers.md.
"""

from dataclasses import replace
from pathlib import Path

from ciyuan.factory.messages import Scenario
from ciyuan.factory.plan import Plan, plan_plant
from ciyuan.factory.plant import HOURS_PER_YEAR
from ciyuan.services.plan_rates import plan_cells, plan_facts, plant_power
from ciyuan.services.plant_file import read_plant

YEARLY = HOURS_PER_YEAR / 1e6  # million USD a year, per USD an hour


def main() -> None:
    plant = read_plant(Path(__file__).parent / "plant_1gw.toml")
    facts = plan_facts()
    powering, cells = plant_power(plant, facts), plan_cells(plant, facts)

    print(f"{plant.name}: {plant.power_mw:,.0f} MW at the meter, PUE {powering.pue:.3f}")
    print(f"{'split':<10} {'revenue':>9} {'margin':>9}   MW by tier, million USD a year")
    for scenario in Scenario:
        plan = plan_plant(plant, powering, cells, scenario)
        split = ", ".join(f"{tier.name} {tier.power_mw:,.0f}" for tier in plan.tiers)
        print(f"{scenario:<10} {plan.revenue * YEARLY:>9,.0f} {plan.margin * YEARLY:>9,.0f}   {split}")

    print("\nthe best split, link by link: megawatts from the meter to sold output")
    best = plan_plant(plant, powering, cells)
    for link in best.links:
        print(
            f"  {link.name:<16} {link.watts_before / 1e6:>8,.1f} -> {link.watts_after / 1e6:>8,.1f}   {link.says}"
        )

    print("\nwhat one more earns, USD an hour, before its capital")
    print_shadow_prices(best)

    print("\nthe same chips, other sizes: when does one more megawatt, with its GPUs, no longer pay?")
    for mw in (500.0, 1000.0, 1500.0, 2000.0):
        sized = plan_plant(replace(plant, power_mw=mw), powering, cells)
        earns, costs = sized.grown_mw_usd_per_hour or 0.0, sized.grown_mw_cost_usd_per_hour
        print(
            f"  {mw:>6,.0f} MW   earns {earns:>9,.0f}   costs {costs:>6,.0f}   {'build' if earns > costs else 'stop'}"
        )


def print_shadow_prices(plan: Plan) -> None:
    for chip in plan.chips:
        worth = chip.worth_usd_per_gpu_hour or 0.0
        print(f"  one GPU, {chip.name:<12} {worth:>9.2f}   it costs {chip.usd_per_gpu_hour:.2f}")
    for tier in plan.tiers:
        if tier.token_usd_per_mtok is not None:
            cost, more = tier.token_usd_per_mtok, tier.demand_usd_per_mtok or 0.0
            print(
                f"  a million tokens, {tier.name:<8} cost {cost:>7.2f} at the margin; more demand earns {more:.2f}"
            )


if __name__ == "__main__":
    main()
