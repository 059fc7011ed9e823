"""The best split is proved best three ways (its prices, duality, every small split), and behaves as a plant does."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.allocation import Split, split_plant
from ciyuan.factory.demand import MTOK_PER_HOUR, DemandCurve, FlatDemand, LinearDemand, SteppedDemand
from ciyuan.factory.tiers import TierRates
from tests.factory.curves import plant_of

SEEDS = st.integers(0, 100_000)
SIZES = st.integers(1, 5)


def one_chip(rates: list[float], usd_per_hour: float = 0.0, watts: float = 1000.0) -> TierRates:
    """One chip that costs and draws the same in every tier."""
    shape = (1, len(rates))
    return TierRates(("chip",), tuple(f"tier {place}" for place in range(len(rates))), np.array([rates]),
                     np.full(shape, watts), np.full(shape, usd_per_hour))  # fmt: skip


def contribution(rates: TierRates, demand: list[DemandCurve], gpus: np.ndarray) -> float:
    """USD an hour of any split, selling no more than is best."""
    made = (gpus * rates.tokens_per_s).sum(axis=0)
    sold = [min(q, curve.tokens_per_s_best) for curve, q in zip(demand, made, strict=True)]
    revenue = sum(float(curve.revenue_usd_per_hour(q)) for curve, q in zip(demand, sold, strict=True))
    return revenue - float((gpus * rates.usd_per_hour).sum())


def check_conditions(
    rates: TierRates, demand: list[DemandCurve], gpus: np.ndarray, watts: float, split: Split
) -> None:
    """The conditions of Karush, Kuhn and Tucker, each to a millionth of the largest gain of a GPU-hour."""
    worth = np.where(rates.tokens_per_s.any(axis=0), split.token_usd_per_mtok, 0.0) * MTOK_PER_HOUR
    keep = rates.usd_per_hour + split.gpu_usd_per_hour[:, None] + split.mw_usd_per_hour / 1e6 * rates.watts
    gain = rates.tokens_per_s * worth - keep
    scale = 1e-6 * max(float(keep.max()), 1e-6)
    works = split.gpus > 1e-6 * gpus[:, None]
    assert (gain[rates.tokens_per_s > 0] <= scale).all(), "no GPU would gain by working elsewhere"
    assert (np.abs(gain[works]) <= scale).all(), "a GPU that works earns its keep"
    idle = gpus - split.gpus.sum(axis=1)
    spare = watts - float((split.gpus * rates.watts).sum())
    assert (idle >= -1e-6 * gpus).all()
    assert spare >= -1e-6 * watts
    assert (split.gpu_usd_per_hour[idle > 1e-5 * gpus] <= scale).all(), "a GPU too many is worth nothing"
    assert spare <= 1e-5 * watts or split.mw_usd_per_hour <= 1e3 * scale, "a watt too many is worth nothing"
    assert (split.sold <= split.made * (1 + 1e-7) + 1e-6).all()
    most = [float(curve.revenue_usd_per_hour(min(curve.tokens_per_s_best, could)))
            for curve, could in zip(demand, gpus @ rates.tokens_per_s, strict=True)]  # fmt: skip
    for curve, sold, cost in zip(demand, split.sold, worth / MTOK_PER_HOUR, strict=True):
        wanted = min(curve.quantity_at_marginal(cost), float(gpus.sum() * rates.tokens_per_s.max()))
        left = [float(curve.revenue_usd_per_hour(q)) - cost * q * MTOK_PER_HOUR for q in (wanted, sold)]
        assert cost == 0 or left[0] <= left[1] + 1e-7 * max(most), (
            "no tier would rather sell another quantity"
        )


@settings(max_examples=80, deadline=None)
@given(SEEDS, SIZES, SIZES)
def test_prices_and_duality_prove_the_split(seed: int, chips: int, tiers: int):
    rates, demand, gpus, watts = plant_of(seed, chips, tiers)
    split = split_plant(rates, demand, gpus, watts)
    assert split.gap <= 1e-9
    check_conditions(rates, demand, gpus, watts, split)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_no_split_on_a_grid_is_better(seed: int):
    """Every split of two chips over two tiers in fortieths, idle GPUs included."""
    rates, demand, gpus, watts = plant_of(seed, 2, 2)
    split = split_plant(rates, demand, gpus, watts)
    steps = np.linspace(0.0, 1.0, 41)
    shares = np.array([(one, two) for one, two in product(steps, steps) if one + two <= 1.0 + 1e-12])
    one, two = (gpus[chip] * shares * (rates.tokens_per_s[chip] > 0) for chip in (0, 1))
    made = (one * rates.tokens_per_s[0])[:, None] + (two * rates.tokens_per_s[1])[None]
    watts_of_all = (one @ rates.watts[0])[:, None] + (two @ rates.watts[1])[None]
    earned = -((one @ rates.usd_per_hour[0])[:, None] + (two @ rates.usd_per_hour[1])[None])
    for tier, curve in enumerate(demand):
        earned = earned + curve.revenue_usd_per_hour(np.minimum(made[:, :, tier], curve.tokens_per_s_best))
    best = float(earned[watts_of_all <= watts].max())
    assert best <= split.contribution + 1e-9 * abs(split.contribution) + 1e-9


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIZES, SIZES)
def test_no_exchange_of_a_few_gpus_gains(seed: int, chips: int, tiers: int):
    rates, demand, gpus, watts = plant_of(seed, chips, tiers)
    split = split_plant(rates, demand, gpus, watts)
    for chip, here, there in product(range(chips), range(tiers), range(tiers)):
        moved = min(split.gpus[chip, here], 0.01 * gpus[chip]) if rates.tokens_per_s[chip, there] else 0.0
        work = split.gpus.copy()
        work[chip, here] -= moved
        work[chip, there] += moved
        if (work * rates.watts).sum() <= watts:
            assert (
                contribution(rates, demand, work)
                <= split.contribution + 1e-8 * abs(split.contribution) + 1e-9
            )


def test_two_tiers_by_hand():
    """One chip, two lines: marginal revenue per GPU-hour is the same in both.

    10 - 20 q / 1000 per MTok at 1 token/s a GPU, 40 - 80 q / 100 at a tenth: 10 - 0.02 x = 4 - 0.008 y, x + y = 500.
    """
    rates = one_chip([1.0, 0.1])
    demand: list[DemandCurve] = [LinearDemand(10.0, 1000.0), LinearDemand(40.0, 100.0)]
    split = split_plant(rates, demand, np.array([500.0]), 1e9)
    assert split.gpus[0] == pytest.approx([10.0 / 0.028, 500.0 - 10.0 / 0.028], rel=1e-4)
    marginal = 10.0 - 0.02 * 10.0 / 0.028
    assert split.token_usd_per_mtok == pytest.approx([marginal, 10 * marginal], rel=1e-3)
    assert split.gpu_usd_per_hour[0] == pytest.approx(marginal * MTOK_PER_HOUR, rel=1e-3)
    assert split.mw_usd_per_hour == 0.0


def test_when_demand_is_met_the_rest_stands_idle():
    rates = one_chip([2.0, 1.0], usd_per_hour=0.1)
    demand: list[DemandCurve] = [SteppedDemand((1000.0,), (100.0,)), FlatDemand(5000.0, 30.0)]
    split = split_plant(rates, demand, np.array([500.0]), 1e9)
    assert split.gpus[0] == pytest.approx([50.0, 30.0])
    assert split.gpu_usd_per_hour[0] == pytest.approx(0.0, abs=1e-12)
    running = np.array([0.1 / 2.0, 0.1]) / MTOK_PER_HOUR
    assert split.token_usd_per_mtok == pytest.approx(running)
    assert split.demand_usd_per_mtok == pytest.approx(np.array([1000.0, 5000.0]) - running)


def test_a_plant_that_nobody_asks_stands_still():
    split = split_plant(
        one_chip([2.0, 1.0], 0.1), [FlatDemand(5.0, 0.0), FlatDemand(0.0)], np.array([500.0]), 1e9
    )
    assert split.gpus.sum() == split.sold.sum() == split.contribution == split.mw_usd_per_hour == 0.0


def test_power_that_is_paid_for_is_used_without_buyers():
    rates = one_chip([2.0, 1.0], usd_per_hour=-0.1)
    split = split_plant(rates, [FlatDemand(5.0, 0.0), FlatDemand(0.0, 0.0)], np.array([500.0]), 300_000.0)
    assert split.gpus.sum() == pytest.approx(300.0)
    assert split.contribution == pytest.approx(30.0)
    assert split.sold.tolist() == [0.0, 0.0]
    assert split.mw_usd_per_hour == pytest.approx(100.0)


def test_endless_demand_puts_everything_into_one_tier():
    rates = one_chip([1000.0, 100.0, 10.0], usd_per_hour=0.05)
    demand: list[DemandCurve] = [FlatDemand(3.0), FlatDemand(6.0), FlatDemand(450.0)]
    split = split_plant(rates, demand, np.array([64.0]), 1e9)
    assert split.gpus[0] == pytest.approx([0.0, 0.0, 64.0]), "10 x 450 is more than 1000 x 3"
    assert split.token_usd_per_mtok[2] == pytest.approx(450.0)


def test_a_tier_that_no_chip_serves_gets_nothing_and_harms_nobody():
    demand: list[DemandCurve] = [FlatDemand(3.0, 50.0), FlatDemand(900.0, 50.0)]
    split = split_plant(one_chip([1.0, 0.0]), demand, np.array([64.0]), 1e9)
    assert split.sold.tolist() == pytest.approx([50.0, 0.0])
    assert split.gpus[0, 1] == 0.0
    assert split.token_usd_per_mtok[1] == np.inf
    assert split.demand_usd_per_mtok[1] == 0.0, "more demand for it earns nothing"


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIZES)
def test_more_megawatts_never_lower_the_margin_and_are_worth_ever_less(seed: int, tiers: int):
    rates, demand, gpus, watts = plant_of(seed, 2, tiers)
    splits = [split_plant(rates, demand, gpus, watts * share) for share in (0.2, 0.5, 0.8, 1.1, 1.4)]
    for less, more in pairwise(splits):
        assert more.contribution >= less.contribution * (1 - 1e-8) - 1e-8
        assert more.mw_usd_per_hour <= less.mw_usd_per_hour * (1 + 1e-6) + 1e-6


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIZES, SIZES)
def test_a_shadow_price_is_what_one_more_brings_or_one_fewer_loses(seed: int, chips: int, tiers: int):
    rates, demand, gpus, watts = plant_of(seed, chips, tiers)
    split = split_plant(rates, demand, gpus, watts)
    slack = 1e-5 * abs(split.contribution) + 1e-9
    step = 1e-3
    more = split_plant(rates, demand, gpus, watts * (1 + step)).contribution - split.contribution
    fewer = split.contribution - split_plant(rates, demand, gpus, watts * (1 - step)).contribution
    assert more - slack <= split.mw_usd_per_hour * watts / 1e6 * step <= fewer + slack
    for chip in range(chips):
        some = gpus * (1 + step * (np.arange(chips) == chip))
        less = gpus * (1 - step * (np.arange(chips) == chip))
        more = split_plant(rates, demand, some, watts).contribution - split.contribution
        fewer = split.contribution - split_plant(rates, demand, less, watts).contribution
        assert more - slack <= split.gpu_usd_per_hour[chip] * gpus[chip] * step <= fewer + slack


def test_a_promise_is_kept_at_a_loss_and_its_price_is_told():
    rates = one_chip([10.0, 1.0])
    demand: list[DemandCurve] = [FlatDemand(0.0), FlatDemand(20.0)]
    free = split_plant(rates, demand, np.array([100.0]), 1e9)
    kept = split_plant(rates, demand, np.array([100.0]), 1e9, np.array([400.0, 0.0]))
    assert kept.sold == pytest.approx([400.0, 60.0])
    assert free.contribution - kept.contribution == pytest.approx(40.0 * 20.0 * MTOK_PER_HOUR)
    assert kept.promise_usd_per_mtok == pytest.approx([2.0, 0.0])


def test_a_promise_that_cannot_be_kept_is_refused_with_what_can():
    demand: list[DemandCurve] = [FlatDemand(0.0), FlatDemand(20.0)]
    with pytest.raises(Malformed, match=r"tier 0.*'1,200'.*at most 1,000"):
        split_plant(one_chip([10.0, 1.0]), demand, np.array([100.0]), 1e9, np.array([1200.0, 0.0]))
    with pytest.raises(Malformed, match="tier 1"):
        split_plant(one_chip([10.0, 0.0]), demand, np.array([100.0]), 1e9, np.array([0.0, 5.0]))


def test_equal_plants_split_equally():
    rates, demand, gpus, watts = plant_of(11, 6, 5)
    one, two = (split_plant(rates, demand, gpus, watts) for _ in range(2))
    assert (one.gpus == two.gpus).all()
    assert one.mw_usd_per_hour == two.mw_usd_per_hour


def test_a_plant_that_does_not_match_its_rates_is_refused():
    rates = one_chip([1.0])
    for gpus, watts, demand in (
        (np.array([1.0, 1.0]), 1e6, [FlatDemand(1.0)]),
        (np.array([1.0]), 0.0, [FlatDemand(1.0)]),
        (np.array([0.0]), 1e6, [FlatDemand(1.0)]),
        (np.array([1.0]), 1e6, []),
    ):
        with pytest.raises(Malformed, match="split of a plant"):
            split_plant(rates, demand, gpus, watts)
