"""What a million tokens cost, by leg and by part; the parts sum to what the plant spends, exactly.

USD per installed GPU-hour, with u the busy share of all GPUs' time and e the price of energy:

| part | USD per GPU-hour |
|---|---|
| energy | u x IT watts while busy x e |
| cooling, distribution | mean IT watts x the hall's share x e |
| capital | u x USD per GPU-hour: the rent, or the annuity of `plant.Purchase` |
| network, staff, maintenance | as given |
| idle | (1 - u) x (USD per GPU-hour + IT watts while waiting x e): capital and energy of unused time |

A token of a leg takes GPU-seconds (`rates.Rates.gpu_seconds`), of which u x 3600 are sold in a GPU-hour, so its cost is its
seconds' share of the sum. A power price may be negative, and so may then be the energy parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.factory.cost import SECONDS_PER_HOUR, TOKENS_PER_MTOK, WATTS_PER_MW
from ciyuan.factory.losses import Duty, GpuSite
from ciyuan.factory.rates import LEGS, Rates

Reals = NDArray[np.float64]
PARTS = ("energy", "cooling", "distribution", "capital", "network", "staff", "maintenance", "idle")


@dataclass(frozen=True, slots=True)
class Terms:
    """What things cost: energy, and what each installed GPU costs an hour in capital and upkeep, busy or not."""

    power_usd_per_mwh: float
    capital_usd_per_gpu_hour: float
    network_usd_per_gpu_hour: float = 0.0
    staff_usd_per_gpu_hour: float = 0.0
    maintenance_usd_per_gpu_hour: float = 0.0

    def __post_init__(self) -> None:
        if not np.isfinite(self.power_usd_per_mwh):
            raise Malformed("power price in USD/MWh", found=self.power_usd_per_mwh,
                            expected="a finite number, negative ones included", remedy="Mend the price.")  # fmt: skip
        for name in ("capital", "network", "staff", "maintenance"):
            value = getattr(self, f"{name}_usd_per_gpu_hour")
            if not (value >= 0 and np.isfinite(value)):
                raise Malformed(f"terms, {name}_usd_per_gpu_hour", found=value, expected="a finite number of 0 or more",
                                remedy="Mend the figure.")  # fmt: skip

    @property
    def usd_per_watt_hour(self) -> float:
        """The price of energy."""
        return self.power_usd_per_mwh / WATTS_PER_MW


@dataclass(frozen=True, slots=True)
class Waterfall:
    """`usd_per_mtok`: (parts, legs) float64, USD per million tokens of each leg; `tokens_per_s` of one busy GPU by leg."""

    usd_per_mtok: Reals
    tokens_per_s: tuple[float, float, float]

    @property
    def by_leg(self) -> Mapping[str, float]:
        """USD per million tokens of each leg, all parts."""
        return dict(zip(LEGS, self.usd_per_mtok.sum(axis=0).tolist(), strict=True))

    @property
    def blended(self) -> Mapping[str, float]:
        """USD by part for a million output tokens with the input that goes with them."""
        shares = np.array(self.tokens_per_s) / self.tokens_per_s[-1]
        return dict(zip(PARTS, (self.usd_per_mtok @ shares).tolist(), strict=True))

    @property
    def blended_usd_per_mtok(self) -> float:
        """USD for a million output tokens with the input that goes with them."""
        return sum(self.blended.values())

    @property
    def all_tokens_usd_per_mtok(self) -> float:
        """USD per million tokens of any leg, as they come."""
        return self.blended_usd_per_mtok * self.tokens_per_s[-1] / sum(self.tokens_per_s)


def gpu_hour_parts(terms: Terms, site: GpuSite, duty: Duty) -> Mapping[str, float]:
    """USD that one installed GPU costs in an hour, by part."""
    busy, price = duty.busy, terms.usd_per_watt_hour
    it_mean_w = site.mean("it_w", busy)
    waiting = (1.0 - busy) * float(site.waiting.it_w) * price
    values = (
        busy * float(site.busy.it_w) * price,
        it_mean_w * float(site.overhead.cooling) * price,
        it_mean_w * float(site.overhead.distribution) * price,
        busy * terms.capital_usd_per_gpu_hour,
        terms.network_usd_per_gpu_hour,
        terms.staff_usd_per_gpu_hour,
        terms.maintenance_usd_per_gpu_hour,
        (1.0 - busy) * terms.capital_usd_per_gpu_hour + waiting,
    )
    return dict(zip(PARTS, values, strict=True))


def waterfall(terms: Terms, site: GpuSite, rates: Rates, duty: Duty) -> Waterfall:
    """The cost of a million tokens of each leg, by part."""
    parts = np.array(list(gpu_hour_parts(terms, site, duty).values()))
    per_second = parts / (duty.busy * SECONDS_PER_HOUR)
    return Waterfall(np.outer(per_second, rates.gpu_seconds) * TOKENS_PER_MTOK, rates.tokens_per_s)
