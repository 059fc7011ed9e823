"""The same plant at other sizes: margin and shadow prices against megawatts.

Fleets given by share grow with the site; those given in GPUs stay, and demand stays: the sweep shows where more megawatts
stop to pay.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.messages import Scenario
from ciyuan.factory.plan import Plan, Powering, TierGrid, plan_plant
from ciyuan.factory.plant import Plant

STEPS_MAX = 400


def megawatts_of(text: str) -> tuple[float, ...]:
    """The sizes that FROM:TO:STEPS means, evenly spaced, both ends included."""
    parts = text.split(":")
    try:
        first, last, steps = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        first, last, steps = 0.0, 0.0, 0
    if len(parts) != 3 or not (0 < first < last and np.isfinite(last) and 2 <= steps <= STEPS_MAX):
        raise Malformed("sweep of megawatts", found=text, expected=f"FROM:TO:STEPS, rising, of 2 to {STEPS_MAX} steps",
                        remedy="Write it like 100:2000:20.")  # fmt: skip
    return tuple(float(mw) for mw in np.linspace(first, last, steps))


def swept(
    plant: Plant, powering: Powering, cells: TierGrid, scenario: Scenario, sizes: Sequence[float]
) -> tuple[Plan, ...]:
    """The plan at each size in MW. Raises Malformed for a size at which a promise cannot be kept."""
    return tuple(plan_plant(replace(plant, power_mw=mw), powering, cells, scenario) for mw in sizes)
