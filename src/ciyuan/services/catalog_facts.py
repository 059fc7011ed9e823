"""What the catalogue knows that no stage has a word of its own for: dated facts with their sources, frozen."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import Grade
from ciyuan.basics.time import NS_PER_HOUR

HOURS_PER_DAY = 24
GOLDEN_SHARE = 0.6180339887498949
"""The fraction of the golden ratio: its multiples fill 0..1 most evenly (Weyl), without chance."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A model as a provider of the price catalogue names it."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class GradeFacts:
    """A grade and what it rests on.

    `weights` names the open weights and `weight_bits_min` their least precision. `serving_model` is the model of the
    serving table that stands for it, and `serving_source` says why. `listings` are the providers that sell it.
    """

    grade: Grade
    weights: str
    weight_bits_min: int
    serving_model: str
    serving_source: str
    listings: tuple[Listing, ...]
    source: str
    observed_on: str


@dataclass(frozen=True, slots=True)
class PowerProfile:
    """A zone's power prices as means by the hour of the day, in USD/MWh; `by_utc_hour` has 24 of them.

    `usd_per_unit` is the fixed exchange rate of `currency` that was used. The spread of the real hours is in the
    other figures: the profile itself has none of their spikes.
    """

    zone: str
    name: str
    kind: str
    currency: str
    usd_per_unit: float
    window_from: str
    window_hours: int
    mean: float
    std: float
    least: float
    most: float
    negative_share: float
    by_utc_hour: tuple[float, ...]
    source: str
    observed_on: str


def profile_prices(profiles: Sequence[PowerProfile], first_ns: int, hours: int) -> NDArray[np.float64]:
    """USD/MWh of Z zones for `hours` hours from the hour of `first_ns` on, shape (hours, Z): the profiles, day after day."""
    clock = (first_ns // NS_PER_HOUR + np.arange(hours)) % HOURS_PER_DAY
    return (
        np.array([profile.by_utc_hour for profile in profiles], dtype=np.float64)
        .reshape(-1, HOURS_PER_DAY)
        .T[clock]
    )


@dataclass(frozen=True)
class SizeFacts:
    """Sizes of one call: quantiles of input and of output tokens at `permille`, and how the two go together."""

    code: str
    name: str
    requests: int
    input_total: int
    output_total: int
    input_mean: float
    output_mean: float
    rank_correlation: float
    permille: tuple[int, ...]
    input_tokens: tuple[int, ...]
    output_tokens: tuple[int, ...]
    licence: str
    source: str
    observed_on: str

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """The quantiles' shares of the requests, from 0 to 1."""
        return np.array(self.permille) / 1000

    def sample(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`count` pairs of input and output tokens with these facts, (count,) int64 each; the same every time.

        Each size is read off its quantiles (straight between them) at evenly spread ranks; a normal copula ties the
        ranks by their correlation. Means come within a percent of the facts' for a thousand pairs or more.
        """
        if count < 1:
            raise Malformed(
                "number of sizes", found=count, expected="1 or more", remedy="Ask for a thousand or so."
            )
        normal = NormalDist()
        rho = 2 * np.sin(
            np.pi * self.rank_correlation / 6
        )  # Pearson's of the normals whose Spearman's is given
        ranks = (np.arange(count) + 0.5) / count
        other = (np.arange(count) * GOLDEN_SHARE + 0.5) % 1.0
        mixed = [
            normal.cdf(rho * normal.inv_cdf(rank) + np.sqrt(1 - rho**2) * normal.inv_cdf(free))
            for rank, free in zip(ranks.tolist(), np.clip(other, 1e-12, 1 - 1e-12).tolist(), strict=True)
        ]
        return self._read_off(ranks, self.input_tokens), self._read_off(np.array(mixed), self.output_tokens)

    def _read_off(self, ranks: NDArray[np.float64], quantiles: Sequence[int]) -> NDArray[np.int64]:
        return np.rint(np.interp(ranks, self.shares, quantiles)).astype(np.int64)
