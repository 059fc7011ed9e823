"""The split of a plant over its tiers that earns the most, and what one more megawatt or GPU would earn.

With x GPUs of chip c in tier t, r their tokens/s, w their watts at the meter, e their running cost an hour, and q tokens/s sold:

    maximise    sum_t R_t(q_t) - sum_ct e_ct x_ct                  R_t: the tier's revenue at the quantity (demand.py)
    subject to  q_t <= sum_c r_ct x_ct                        v_t    what one more token of the tier is worth
                sum_t x_ct <= GPUs of c                       g_c    shadow price of a GPU
                sum_ct w_ct x_ct <= watts of the site         m      shadow price of power
                promised_t <= q_t <= the demand's best quantity

Each R_t is concave up to its best quantity, so this is a concave programme, and a split is optimal exactly if prices v, g, m >= 0
exist with which nobody would move anything (the conditions of Karush, Kuhn and Tucker):

    r_ct v_t <= e_ct + g_c + m w_ct, with equality where x_ct > 0      a GPU earns its keep, and nowhere more
    MR_t(q_t) = v_t within the tier's limits                           the last token brings what it costs
    g_c = 0 where GPUs are left over, m = 0 where watts are            what is left over is worth nothing

How it is solved: column generation. A linear programme (tier_programme.py, linear.py) mixes for each tier points (q, R_t(q))
of its curve; its prices v tell which quantity each tier would rather sell, MR_t(q) = v_t in closed form, and these join the
points until the bound by duality is met to 1e-9. Flat and stepped curves are exact at once. `Split.gap` is the certificate:
no split whatever earns more by more than it. At a corner of the optimum a shadow price is not unique: any between what one
more brings and what one fewer loses is right, and one of them is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.factory.demand import MTOK_PER_HOUR, DemandCurve
from ciyuan.factory.linear import Reals, Vertex, maximise
from ciyuan.factory.tier_programme import TierProgramme
from ciyuan.factory.tiers import TierRates

WATTS_PER_MW = 1e6
ROUNDS_MAX = 60
GAP = 1e-9
SHORT = 1e-7
"""The share of a promise that may be missing before it is called broken."""
JUST_BELOW = 1.0 - 1e-9


@dataclass(frozen=True, slots=True)
class Split:
    """The split of a plant over its tiers; arrays are (chips, tiers), (tiers,) or (chips,).

    `gpus` (chips, tiers) at work; `made` and `sold` (tiers,) output tokens/s; `revenue` and `running` (tiers,) USD an hour.
    Shadow prices: `token_usd_per_mtok` (tiers,), what one more token costs in gains forgone, infinite for a tier that no chip
    serves; `gpu_usd_per_hour` (chips,) and
    `mw_usd_per_hour`, what one more GPU, or megawatt at the meter, earns an hour, capital not deducted; `demand_usd_per_mtok`
    (tiers,), what one more token of demand earns where demand is the limit; `promise_usd_per_mtok` (tiers,), what the last
    promised token loses. `gap` is by how much at most a better split earns more, as a share of the largest tier's revenue.
    """

    gpus: Reals
    made: Reals
    sold: Reals
    revenue: Reals
    running: Reals
    token_usd_per_mtok: Reals
    gpu_usd_per_hour: Reals
    mw_usd_per_hour: float
    demand_usd_per_mtok: Reals
    promise_usd_per_mtok: Reals
    gap: float

    @property
    def contribution(self) -> float:
        """Revenue less running cost, USD an hour: what is left to pay for capital and upkeep."""
        return float(self.revenue.sum() - self.running.sum())


def split_plant(
    rates: TierRates, demand: Sequence[DemandCurve], gpus: Reals, watts: float, promised: Reals | None = None
) -> Split:
    """The split of `gpus` (chips,) GPUs within `watts` at the meter that earns the most.

    `demand` is one curve a tier, `promised` (tiers,) output tokens/s that are made whatever they earn (none if left out).
    Raises Malformed for a promise that the plant cannot keep, with what it can make of that tier.
    """
    promised = np.zeros(len(demand)) if promised is None else promised
    _expect_plant(rates, demand, gpus, watts, promised)
    programme = TierProgramme(rates, demand, gpus, watts, promised)
    _expect_promises(programme)
    for _ in range(ROUNDS_MAX):
        vertex = maximise(programme.columns, programme.gains, programme.bounds, programme.barred)
        split = _read(programme, vertex)
        if split.gap <= GAP or not programme.add_points(vertex):
            return split
    raise InvariantBroken("the split converges", f"no gap of {GAP:g} after {ROUNDS_MAX} rounds")


def _expect_plant(
    rates: TierRates, demand: Sequence[DemandCurve], gpus: Reals, watts: float, promised: Reals
) -> None:
    chips, tiers = rates.tokens_per_s.shape
    if (len(gpus), len(demand), len(promised)) != (chips, tiers, tiers):
        raise Malformed("split of a plant", found=f"{len(gpus)} chips, {len(demand)} demands, {len(promised)} promises",
                        expected=f"{chips} chips and {tiers} tiers, as in the rates",
                        remedy="Give one figure for each.")  # fmt: skip
    if not (watts > 0 and np.isfinite(watts) and np.isfinite(gpus).all() and (gpus > 0).all()):
        raise Malformed("split of a plant", found=f"{watts} W, GPUs {gpus}", expected="watts and GPUs above 0",
                        remedy="Give the plant its power and its chips.")  # fmt: skip


def _expect_promises(programme: TierProgramme) -> None:
    """Refuse (Malformed) promises that cannot all be kept."""
    if not (programme.least > 0).any():
        return
    losses = -programme.short.astype(np.float64)
    vertex = maximise(programme.columns, losses, programme.bounds, programme.barred & ~programme.short)
    short = vertex.amounts[programme.short] * programme.full
    for tier in np.flatnonzero(short > SHORT * programme.least):
        raise Malformed(f"tier {programme.rates.tiers[tier]}, promised tokens/s", found=f"{programme.least[tier]:,.0f}",
                        expected=f"at most {programme.least[tier] - short[tier]:,.0f}, what the plant can make of it "
                        "with the other promises kept",
                        remedy="Promise less, add GPUs or power, or lower the tier's speed.")  # fmt: skip


def _read(programme: TierProgramme, vertex: Vertex) -> Split:
    """The split that a vertex stands for, with its certificate."""
    rates, demand, chips = programme.rates, programme.demand, programme.chips
    duals = np.maximum(vertex.duals[: chips + 1], 0.0) * programme.scale
    gpu_usd, watt_usd = duals[:chips] / programme.gpus, float(duals[chips]) / programme.watts
    worth = _cost_of_tokens(rates, gpu_usd, watt_usd)
    sold = programme.sold(vertex)
    gpus = _without_waste(rates, programme.work(vertex), sold)
    revenue = np.array([float(curve.revenue_usd_per_hour(q)) for curve, q in zip(demand, sold, strict=True)])
    running = (gpus * rates.usd_per_hour).sum(axis=0)
    last = np.array(
        [float(curve.marginal_usd_per_mtok(q * JUST_BELOW)) for curve, q in zip(demand, sold, strict=True)]
    )
    following = np.array(
        [float(curve.marginal_usd_per_mtok(q)) for curve, q in zip(demand, sold, strict=True)]
    )
    at_least = (programme.least > 0) & (sold <= programme.least * (1 + SHORT))
    bound = vertex.objective * programme.scale + float(programme.wanted(vertex)[1].sum())
    return Split(
        gpus=gpus,
        made=(gpus * rates.tokens_per_s).sum(axis=0),
        sold=sold,
        revenue=revenue,
        running=running,
        token_usd_per_mtok=worth,
        gpu_usd_per_hour=gpu_usd,
        mw_usd_per_hour=watt_usd * WATTS_PER_MW,
        demand_usd_per_mtok=np.where(at_least, 0.0, np.maximum(last - worth, 0.0)),
        promise_usd_per_mtok=np.where(at_least, np.maximum(worth - following, 0.0), 0.0),
        gap=max(0.0, bound - float(revenue.sum() - running.sum())) / programme.scale,
    )


def _cost_of_tokens(rates: TierRates, gpu_usd_per_hour: Reals, watt_usd_per_hour: float) -> Reals:
    """USD per MTok that a token of each tier costs at these shadow prices, on the chip that makes it cheapest, (tiers,)."""
    keep = rates.usd_per_hour + gpu_usd_per_hour[:, None] + watt_usd_per_hour * rates.watts
    serves = rates.tokens_per_s > 0
    cost = (
        np.where(serves, keep / np.where(serves, rates.tokens_per_s, 1.0), np.inf).min(axis=0) / MTOK_PER_HOUR
    )
    return np.asarray(np.maximum(cost, 0.0), dtype=np.float64)


def _without_waste(rates: TierRates, gpus: Reals, sold: Reals) -> Reals:
    """The same split without GPUs that make what nobody buys, unless they are paid to run: the costliest stops first."""
    gpus = gpus.copy()
    for tier in range(len(sold)):
        rate, cost = rates.tokens_per_s[:, tier], rates.usd_per_hour[:, tier]
        unsold = float(gpus[:, tier] @ rate - sold[tier])
        at_work = np.flatnonzero((gpus[:, tier] > 0) & (rate > 0) & (cost >= 0))
        for chip in at_work[np.argsort(-cost[at_work] / rate[at_work], kind="stable")]:
            stopped = min(gpus[chip, tier], max(unsold, 0.0) / rate[chip])
            gpus[chip, tier] -= stopped
            unsold -= stopped * rate[chip]
    return gpus
