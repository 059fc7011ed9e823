"""Tiers: what one GPU of each chip does in each of them, and the two splits that need no optimiser.

`equal_split` gives each tier the same share of every chip's GPUs, as the keynote of 2026 drew it (25% of the power to each of
four tiers). `unlimited_demand` lets every tier sell any amount at its list price: the best split then puts each chip into the one
tier that earns most per GPU-hour (or per watt, where power is short). It is there to show why a plan needs demand curves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.factory.demand import DemandCurve, FlatDemand
from ciyuan.factory.losses import GpuSite
from ciyuan.factory.plant import TierOrder
from ciyuan.factory.rates import Rates

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TierRate:
    """What one GPU of a chip does in a tier at full load, at the fullest batch that still gives the tier's speed.

    `rates` are its tokens, `site` its watts with its share of server and hall, busy and waiting. The true rate lies between
    `low` and `high` times the given one as often as the calibration says (1 and 1: measured).
    """

    tier: str
    rates: Rates
    site: GpuSite
    low: float = 1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.low <= 1 <= self.high:
            raise Malformed(f"rate of {self.rates.chip} in tier {self.tier}, band", found=(self.low, self.high),
                            expected="factors about 1", remedy="Work the rate out again.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unserved:
    """A chip that cannot serve a tier, and `why`."""

    chip: str
    tier: str
    why: str


TierCell = TierRate | Unserved


@dataclass(frozen=True, slots=True)
class TierRates:
    """What one GPU of each chip does in each tier, all arrays (chips, tiers).

    `tokens_per_s`: output tokens/s on average, 0 where the chip cannot give the tier's speed. `watts`: at the meter while it
    works. `usd_per_hour`: what running it costs an hour (energy, not capital; negative where power is).
    """

    chips: tuple[str, ...]
    tiers: tuple[str, ...]
    tokens_per_s: Reals
    watts: Reals
    usd_per_hour: Reals

    def __post_init__(self) -> None:
        shape = (len(self.chips), len(self.tiers))
        for name, least in (("tokens_per_s", 0.0), ("watts", 0.0), ("usd_per_hour", -np.inf)):
            values = getattr(self, name)
            if values.shape != shape or not (np.isfinite(values).all() and (values >= least).all()):
                raise Malformed(f"tier rates, {name}", found=values, expected=f"finite numbers, at least {least:g}, {shape}",
                                remedy="Give one figure for each chip and tier.")  # fmt: skip


def equal_split(rates: TierRates, gpus: Reals) -> Reals:
    """GPUs at work (chips, tiers) when each tier gets the same share of each chip's `gpus` (chips,).

    The share of a tier that a chip cannot serve stands idle: that is what an equal split means.
    """
    each = np.broadcast_to(gpus[:, None] / len(rates.tiers), rates.tokens_per_s.shape)
    return np.where(rates.tokens_per_s > 0, each, 0.0)


def unlimited_demand(tiers: Sequence[TierOrder]) -> tuple[DemandCurve, ...]:
    """The tiers' demand if each sold any amount at its list price."""
    return tuple(FlatDemand(tier.list_usd_per_mtok) for tier in tiers)
