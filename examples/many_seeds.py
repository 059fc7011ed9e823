"""Is one month luck? The path of a standard token's value over 400 seeds, against what it was before each month.

Run it from the project's folder:  .venv/bin/python examples/many_seeds.py
A buyer who hedges locks about the value before the month and settles at about the month's mean: where the mean is higher, the
hedge paid; where it is lower, it cost. No market is played here, only the value that a played market moves around.
"""

import numpy as np

from ciyuan.basics.calendar import month_days
from ciyuan.services.catalog_venue import calendar
from ciyuan.simulation.scenario import Scenario, scenario_from
from ciyuan.simulation.valuation import daily_values

SEEDS = range(1, 401)


def month_against_before(scenario: Scenario) -> float:
    """The mean value over the month's business days, against the mean over the prologue's, less one."""
    days = calendar()
    first, last = month_days(scenario.month)
    before = days.business_days(first - 10 - 2 * scenario.prologue_days, first - 1)[-scenario.prologue_days :]
    values = daily_values(scenario, 1.0, last - before[0] + 2)
    in_month, in_prologue = (
        np.mean([values[day - before[0]] for day in chosen])
        for chosen in (days.business_days(first, last), before)
    )
    return float(in_month / in_prologue - 1)


def main() -> None:
    default = Scenario()
    print(f"seed {default.seed}, the default: {month_against_before(default):+.1%}")
    changes = np.array([month_against_before(scenario_from({"seed": seed})) for seed in SEEDS])
    low, high = np.percentile(changes, [5, 95])
    print(f"{len(SEEDS)} seeds: mean {changes.mean():+.1%}, nine in ten between {low:+.1%} and {high:+.1%}")
    print(f"the month's mean is above the value before it in {np.mean(changes > 0):.0%} of them")
    print(
        "lowest and highest: "
        + ", ".join(
            f"seed {SEEDS[place]} {changes[place]:+.1%}" for place in (changes.argmin(), changes.argmax())
        )
    )
    calm = np.array(
        [
            month_against_before(scenario_from({"seed": seed, "drift_year": 0.0, "jumps_year": 0.0}))
            for seed in SEEDS
        ]
    )
    print(f"without drift and jumps: mean {calm.mean():+.1%}, above in {np.mean(calm > 0):.0%}")


if __name__ == "__main__":
    main()
