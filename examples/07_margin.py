"""Margin of two months against each other, and why. Run it from the project's folder:  .venv/bin/python examples/07_margin.py"""

import numpy as np

from ciyuan.clearing.scenario_margin import MarginModel, by_scenario
from ciyuan.clearing.scenarios import FilterTerms, scenario_set
from ciyuan.simulation.price_paths import PathTerms, month_paths

LEGS = {"100 December": (100, 0), "-60 January": (0, -60), "both": (100, -60)}


def main() -> None:
    prices = month_paths(7, 750, 2, PathTerms(launch_days=(300,)))  # simulated; give your own history instead
    present = np.floor(prices[-1] * 1000 + 0.5).astype(np.int64)  # ticks of 0.001 USD per MTok
    moves, none = scenario_set(prices, present, FilterTerms()), np.zeros(2, dtype=np.int64)
    tick_value_micro = np.array([1_000_000, 1_000_000])  # a tick is 1 USD on a lot of 1,000 MTok
    model = MarginModel(moves.filtered, moves.stressed, tick_value_micro, none, none, none)
    print(f"{len(moves.filtered)} filtered and {len(moves.stressed)} stressed scenarios")
    asked = {name: by_scenario(np.array(lots), model) for name, lots in LEGS.items()}
    for name, margin in asked.items():
        ordinary, stress = margin.filtered.shortfall_micro / 1e6, margin.stressed.shortfall_micro / 1e6
        print(
            f"{name:12} {margin.margin_micro / 1e6:10,.2f} USD   filtered {ordinary:10,.2f}, stressed {stress:10,.2f}"
        )
    *alone, both = (margin.margin_micro for margin in asked.values())
    print(f"the offset saves {sum(alone) / 1e6 - both / 1e6:,.2f} USD, {1 - both / sum(alone):.0%}")
    for number, loss in zip(
        asked["both"].filtered.scenarios[:3], asked["both"].filtered.losses_micro, strict=False
    ):
        december, january = moves.filtered[number].tolist()
        print(
            f"scenario {number:3}: December {december:+d}, January {january:+d} ticks: lost {loss / 1e6:,.0f} USD"
        )


if __name__ == "__main__":
    main()
