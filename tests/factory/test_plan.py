"""A plan adds up: megawatts, tokens, money; and says what one more of each would earn."""

from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.demand import FlatDemand
from ciyuan.factory.messages import Scenario
from ciyuan.factory.plan import Plan, installed_gpus, plan_plant, rates_of
from ciyuan.factory.tiers import Unserved
from tests.factory.plants import CELLS, PLANT, POWERING, promising


def check_sums(plan: Plan) -> None:
    """What must add up in any plan."""
    tiers = plan.tiers
    assert sum(tier.power_mw for tier in tiers) == pytest.approx(plan.power_mw)
    assert plan.power_mw <= plan.peak_mw + 1e-12 <= plan.plant.power_mw + 1e-9
    assert sum(tier.revenue for tier in tiers) == pytest.approx(plan.revenue)
    assert sum(tier.margin for tier in tiers) - plan.idle_capital - plan.staff == pytest.approx(plan.margin)
    assert sum(tier.capital for tier in tiers) + plan.idle_capital == pytest.approx(plan.capital)
    at_work = np.array([tier.gpus for tier in tiers]).sum(axis=0)
    assert at_work.tolist() == pytest.approx([chip.at_work for chip in plan.chips])
    assert all(chip.at_work <= chip.installed + 1e-6 for chip in plan.chips)
    assert all(tier.sold_tokens_per_s <= tier.made_tokens_per_s * (1 + 1e-9) for tier in tiers)
    assert plan.tokens_per_joule * plan.power_mw * 1e6 * plan.usd_per_mtok * 3600 / 1e6 == pytest.approx(
        plan.revenue
    )
    if plan.links:
        assert plan.links[0].watts_before == pytest.approx(plan.power_mw * 1e6)
        assert all(one.watts_after == pytest.approx(two.watts_before) for one, two in pairwise(plan.links))
        assert 0 < prod(link.passed for link in plan.links) < 1


@pytest.mark.parametrize("scenario", list(Scenario))
def test_every_scenario_adds_up(scenario: Scenario):
    check_sums(plan_plant(PLANT, POWERING, CELLS, scenario))


def test_gpus_are_as_given_or_what_their_share_of_the_megawatts_feeds():
    """Half a megawatt over 1,600 W x 1.25."""
    assert installed_gpus(PLANT, POWERING).tolist() == [250.0, 100.0]
    tiny = replace(PLANT, power_mw=0.003)
    with pytest.raises(Malformed, match="2,000 W of one GPU"):
        installed_gpus(tiny, POWERING)


def test_rates_by_hand():
    """Half of the time busy; energy of a busy half and a waiting half at 40 USD/MWh, PUE 1.25."""
    rates = rates_of(PLANT, CELLS)
    assert rates.tokens_per_s[0].tolist() == pytest.approx([1000.0, 500.0, 10.0])
    assert rates.tokens_per_s[1, 2] == rates.watts[1, 2] == 0.0
    assert rates.watts[0].tolist() == pytest.approx([2000.0, 1500.0, 1000.0])
    assert rates.usd_per_hour[0, 0] == pytest.approx(1600.0 * (0.5 + 0.5 * 0.25) * 1.25 / 1e6 * 40.0)


def test_the_best_split_is_better_than_the_equal_one():
    best, equal = (
        plan_plant(PLANT, POWERING, CELLS, scenario) for scenario in (Scenario.OPTIMAL, Scenario.EQUAL)
    )
    assert best.margin > equal.margin
    assert best.tiers[2].sold_tokens_per_s == pytest.approx(200.0), "the dear tier is sold out"
    assert best.tiers[2].demand_usd_per_mtok is not None
    assert best.tiers[2].demand_usd_per_mtok > 0
    assert best.tiers[0].gpus.sum() == 0.0, "what earns nothing gets nothing"
    assert best.gap is not None
    assert best.gap <= 1e-9
    assert equal.mw_usd_per_hour is None
    assert equal.gap is None


def test_endless_demand_puts_each_chip_into_one_tier():
    """New chips earn 90 x 10 in ultra and 2 x 500 in medium an hour; old ones cannot serve ultra."""
    endless = plan_plant(PLANT, POWERING, CELLS, Scenario.UNLIMITED)
    assert [sum(tier.gpus[chip] > 0 for tier in endless.tiers) for chip in (0, 1)] == [1, 1]
    keynote = plan_plant(PLANT, POWERING, CELLS, Scenario.KEYNOTE)
    assert endless.revenue > keynote.revenue
    per_gpu = np.array([[0.0, 2.0 * 500.0, 90.0 * 10.0], [0.0, 2.0 * 100.0, 0.0]]) * 3600 / 1e6
    assert endless.revenue == pytest.approx(250 * per_gpu[0].max() + 100 * per_gpu[1].max())
    assert keynote.revenue == pytest.approx((250 * per_gpu[0].sum() + 100 * per_gpu[1].sum()) / 3)


def test_a_promise_costs_margin_and_says_so():
    free, bound = plan_plant(PLANT, POWERING, CELLS), plan_plant(promising(200_000.0), POWERING, CELLS)
    assert bound.margin < free.margin
    assert bound.tiers[0].sold_tokens_per_s == pytest.approx(200_000.0)
    assert bound.tiers[0].promise_usd_per_mtok is not None
    assert bound.tiers[0].promise_usd_per_mtok > 0
    with pytest.raises(Malformed, match="tier free, promised"):
        plan_plant(promising(2e6), POWERING, CELLS)


def test_one_more_megawatt_earns_what_a_larger_plant_earns_more():
    plan = plan_plant(PLANT, POWERING, CELLS)
    larger = plan_plant(replace(PLANT, power_mw=1.02), POWERING, CELLS)
    gained = (larger.revenue - larger.energy) - (plan.revenue - plan.energy)
    assert plan.grown_mw_usd_per_hour is not None
    assert gained / 0.02 == pytest.approx(plan.grown_mw_usd_per_hour, rel=0.05)
    assert plan.grown_mw_cost_usd_per_hour == pytest.approx(0.5e6 / 2000.0 * 2.1 + 1.0)


def test_a_plant_without_buyers_stands_still_and_pays_for_its_chips():
    nobody = replace(PLANT, tiers=tuple(replace(tier, demand=FlatDemand(2.0, 0.0)) for tier in PLANT.tiers))
    plan = plan_plant(nobody, POWERING, CELLS)
    check_sums(plan)
    assert plan.power_mw == plan.revenue == plan.tokens_per_joule == plan.usd_per_mtok == 0.0
    assert plan.margin == pytest.approx(-(250 * 2.1 + 100 * 1.1) - 1.0)


def test_power_that_is_paid_for_pays_for_idle_chips():
    nobody = replace(PLANT, power_usd_per_mwh=-30.0,
                     tiers=tuple(replace(tier, demand=FlatDemand(2.0, 0.0)) for tier in PLANT.tiers))  # fmt: skip
    plan = plan_plant(nobody, POWERING, CELLS)
    check_sums(plan)
    assert plan.energy < 0
    assert plan.peak_mw > 0.5


def test_a_plant_that_can_serve_nothing_is_refused_with_the_reasons():
    none = tuple(
        tuple(Unserved(chip, "any", f"{chip} is too slow") for _ in range(3)) for chip in ("new", "old")
    )
    with pytest.raises(Malformed, match="new is too slow; old: old is too slow"):
        plan_plant(PLANT, POWERING, none)
