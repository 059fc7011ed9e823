"""The plan of a gigawatt: the split of three chips over five tiers, and its rates by physics, in CPU seconds."""

from pathlib import Path

from benchmarks.record import Result, cpu_time
from ciyuan.factory.plan import plan_plant
from ciyuan.services.plan_rates import plan_cells, plan_facts, plant_power
from ciyuan.services.plant_file import read_plant

PLANT = Path(__file__).parents[1] / "examples" / "plant_1gw.toml"
PLAN_S, ROUNDS = 0.2, 9


def run() -> list[Result]:
    """The plan with rates at hand, and its rates."""
    plant, facts = read_plant(PLANT), plan_facts()
    powering, cells = plant_power(plant, facts), plan_cells(plant, facts)
    plan_s = cpu_time(lambda: plan_plant(plant, powering, cells), ROUNDS)
    rates_s = cpu_time(lambda: plan_cells(plant, facts), 3)
    mix = f"{PLANT.name}: {len(plant.fleets)} chips, {len(plant.tiers)} tiers"
    return [
        Result("tiers, a plan", plan_s, "s", f"{mix}, the split that earns most, its shadow prices and losses",
               "reading files, rates by physics (below)", at_most=PLAN_S),
        Result("tiers, rates by physics", rates_s, "s", f"{mix}, all layouts, with and without drafts", "reading files"),
    ]  # fmt: skip


if __name__ == "__main__":
    for result in run():
        print(f"{result.name}: {result.value:,.4g} {result.unit}")
