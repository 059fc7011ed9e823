"""The split of a plant as a linear programme over points of the tiers' curves; what it stands for is in `allocation`.

Everything is counted in shares, so that a plant of any size is as well conditioned: of each chip's GPUs, of the site's watts,
of what a tier could be made of at most.

| rows | say | right-hand side |
|---|---|---|
| chips | GPUs at work + spare = all | 1 |
| power | watts at work + spare = the site's | 1 |
| tiers | tokens sold + unsold - short = made | 0 |
| tiers | weights of the curve's points sum to | 1 |
"""

from collections.abc import Sequence

import numpy as np

from ciyuan.factory.demand import MTOK_PER_HOUR, DemandCurve, SteppedDemand
from ciyuan.factory.linear import TOLERANCE, Flags, Reals, Vertex, Wholes
from ciyuan.factory.tiers import TierRates

POINTS = 17
"""Points of a smooth curve to start from."""
BEYOND = 1.25
"""Curves go on beyond what the plant can make of a tier, or their ends would seem to be a limit that no GPU could lift."""


class TierProgramme:
    """The programme and its growing columns: work (chip by chip), what is spare or unsold, tokens short of a promise (each in the
    order of the rows), then points of the curves."""

    def __init__(
        self, rates: TierRates, demand: Sequence[DemandCurve], gpus: Reals, watts: float, promised: Reals
    ) -> None:
        self.rates, self.demand, self.gpus, self.watts = rates, tuple(demand), gpus, watts
        self.chips, self.tiers = rates.tokens_per_s.shape
        could = gpus @ rates.tokens_per_s
        self.full: Reals = np.where(could > 0, could, 1.0)
        best = np.array([curve.tokens_per_s_best for curve in self.demand])
        self.least = promised
        self.most: Reals = np.maximum(np.minimum(best, could * BEYOND), promised)
        self.scale = self._scale()
        self.bounds = np.concatenate([np.ones(self.chips + 1), np.zeros(self.tiers), np.ones(self.tiers)])
        self.columns, self.gains = self._plain_columns()
        plain = len(self.gains)
        self.short: Flags = np.arange(plain) >= plain - self.tiers
        self.barred: Flags = self.short.copy()
        self.barred[: self.chips * self.tiers] = (rates.tokens_per_s == 0).ravel()
        self.point_tier: Wholes = np.full(plain, -1)
        self.point_tokens_per_s = np.zeros(plain)
        for tier, curve in enumerate(self.demand):
            self._add(tier, _first_points(curve, self.least[tier], self.most[tier]))

    def _scale(self) -> float:
        """The USD an hour that gains are counted in: the most that a tier could earn, or that a chip's running costs."""
        sold = [
            float(curve.revenue_usd_per_hour(most))
            for curve, most in zip(self.demand, self.most, strict=True)
        ]
        running = float((np.abs(self.rates.usd_per_hour) * self.gpus[:, None]).max())
        return max(*sold, running, 1e-9)

    def _plain_columns(self) -> tuple[Reals, Reals]:
        chips, tiers, rows = self.chips, self.tiers, self.chips + 1 + 2 * self.tiers
        place = np.arange(chips * tiers)
        chip, tier = np.divmod(place, tiers)
        work = np.zeros((rows, chips * tiers))
        work[chip, place] = 1.0
        work[chips, place] = (self.rates.watts * self.gpus[:, None]).ravel() / self.watts
        work[chips + 1 + tier, place] = -(self.rates.tokens_per_s * self.gpus[:, None] / self.full).ravel()
        spare = np.eye(rows, chips + 1 + tiers)
        short = -np.eye(rows, tiers, k=-(chips + 1))
        gains = -(self.rates.usd_per_hour * self.gpus[:, None]).ravel() / self.scale
        return np.hstack([work, spare, short]), np.concatenate([gains, np.zeros(chips + 1 + 2 * tiers)])

    def _add(self, tier: int, tokens_per_s: Reals) -> None:
        """Add points of a tier's curve."""
        columns = np.zeros((len(self.bounds), len(tokens_per_s)))
        columns[self.chips + 1 + tier] = tokens_per_s / self.full[tier]
        columns[self.chips + 1 + self.tiers + tier] = 1.0
        gains = self.demand[tier].revenue_usd_per_hour(tokens_per_s) / self.scale
        never = np.zeros(len(gains), dtype=np.bool_)
        self.columns = np.hstack([self.columns, columns])
        self.gains = np.concatenate([self.gains, gains])
        self.short = np.concatenate([self.short, never])
        self.barred = np.concatenate([self.barred, never])
        self.point_tier = np.concatenate([self.point_tier, np.full(len(gains), tier)])
        self.point_tokens_per_s = np.concatenate([self.point_tokens_per_s, tokens_per_s])

    def work(self, vertex: Vertex) -> Reals:
        """GPUs at work, (chips, tiers)."""
        amounts = vertex.amounts[: self.chips * self.tiers]
        return amounts.reshape(self.chips, self.tiers) * self.gpus[:, None]

    def sold(self, vertex: Vertex) -> Reals:
        """Tokens/s sold, (tiers,): within what demand takes, which a weight of 1 + 1e-16 would exceed."""
        points = self.point_tier >= 0
        weighed = (vertex.amounts * self.point_tokens_per_s)[points]
        sold = np.bincount(self.point_tier[points], weighed, minlength=self.tiers)
        return np.minimum(sold, self.most)

    def token_usd_per_mtok(self, vertex: Vertex) -> Reals:
        """What one more token of each tier is worth, (tiers,), in USD per MTok."""
        duals = vertex.duals[self.chips + 1 : self.chips + 1 + self.tiers]
        return duals * self.scale / self.full / MTOK_PER_HOUR

    def wanted(self, vertex: Vertex) -> tuple[Reals, Reals]:
        """At the vertex' prices: the quantity that each tier would sell, (tiers,), and the USD an hour that it gains by it."""
        worth = self.token_usd_per_mtok(vertex)
        wanted = np.array(
            [curve.quantity_at_marginal(price) for curve, price in zip(self.demand, worth, strict=True)]
        )
        wanted = np.clip(wanted, self.least, self.most)
        revenue = np.array(
            [float(curve.revenue_usd_per_hour(q)) for curve, q in zip(self.demand, wanted, strict=True)]
        )
        in_hand = vertex.duals[self.chips + 1 + self.tiers :] * self.scale
        return wanted, np.maximum(revenue - worth * wanted * MTOK_PER_HOUR - in_hand, 0.0)

    def add_points(self, vertex: Vertex) -> bool:
        """Add what the tiers would rather sell; False if none gains by it."""
        wanted, gained = self.wanted(vertex)
        better = np.flatnonzero(gained > TOLERANCE * self.scale)
        for tier in better:
            self._add(int(tier), wanted[tier : tier + 1])
        return len(better) > 0


def _first_points(curve: DemandCurve, least: float, most: float) -> Reals:
    """Quantities of a curve to start from, the least first: a stepped curve's own corners, else points over its range."""
    if isinstance(curve, SteppedDemand):
        inner: Reals = np.cumsum(curve.tokens_per_s)
    else:
        inner = least + (most - least) * np.linspace(0.0, 1.0, POINTS) ** 2
    inside = inner[(inner > least) & (inner < most)]
    return np.unique(np.concatenate([[least], inside, [most]]))
