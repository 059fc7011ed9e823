"""Demand falls; revenue, marginal revenue and worth are what their definitions say, for every curve."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.demand import (
    MTOK_PER_HOUR,
    DemandCurve,
    ElasticDemand,
    FlatDemand,
    LinearDemand,
    SteppedDemand,
)
from tests.factory.curves import curves


@given(curves())
def test_a_price_never_rises_with_the_quantity(curve: DemandCurve):
    quantities = np.linspace(0.0, 1.2 * curve.tokens_per_s_max, 500)
    assert (np.diff(curve.price(quantities)) <= 1e-9 * (1 + curve.price(0.0))).all()


@given(curves())
def test_nobody_pays_for_more_than_is_asked_for(curve: DemandCurve):
    assert float(curve.price(1.0001 * curve.tokens_per_s_max)) == 0.0


@given(curves())
def test_revenue_is_highest_at_the_best_quantity_and_concave_up_to_it(curve: DemandCurve):
    best = curve.tokens_per_s_best
    revenue = curve.revenue_usd_per_hour(np.linspace(0.0, best, 300))
    highest = float(curve.revenue_usd_per_hour(best))
    everywhere = curve.revenue_usd_per_hour(np.linspace(0.0, 0.999999 * curve.tokens_per_s_max, 300))
    assert (np.diff(revenue, 2) <= 1e-9 * (1 + highest)).all()
    assert everywhere.max() <= highest * (1 + 1e-6) + 1e-12


@given(curves(), st.floats(0.01, 0.98))
def test_marginal_revenue_is_the_slope_of_revenue(curve: DemandCurve, share: float):
    quantity = share * curve.tokens_per_s_best
    step = 1e-5 * quantity
    around = curve.revenue_usd_per_hour(np.array([quantity - step, quantity + step]))
    slope = (around[1] - around[0]) / (2 * step) / MTOK_PER_HOUR
    marginal = curve.marginal_usd_per_mtok(np.array([quantity - step, quantity + step]))
    assert marginal[1] * (1 - 1e-4) - 1e-6 <= slope <= marginal[0] * (1 + 1e-4) + 1e-6


@given(curves(), st.floats(0.0, 1.0))
def test_worth_is_the_integral_of_the_price(curve: DemandCurve, share: float):
    quantity = share * curve.tokens_per_s_max
    edges = np.linspace(0.0, quantity, 20_001)
    middle = float((curve.price((edges[1:] + edges[:-1]) / 2) * np.diff(edges)).sum()) * MTOK_PER_HOUR
    assert float(curve.worth_usd_per_hour(quantity)) == pytest.approx(middle, rel=2e-3, abs=1e-9)


@given(curves(), st.floats(0.0, 1.0))
def test_buyers_never_pay_more_than_it_is_worth_to_them(curve: DemandCurve, share: float):
    quantity = share * curve.tokens_per_s_max
    assert (
        float(curve.revenue_usd_per_hour(quantity))
        <= float(curve.worth_usd_per_hour(quantity)) * (1 + 1e-9) + 1e-12
    )


@settings(max_examples=200, deadline=None)
@given(curves(), st.floats(0.0, 250.0))
def test_the_quantity_at_a_marginal_revenue_is_what_a_seller_wants_at_that_cost(
    curve: DemandCurve, cost: float
):
    """No other quantity within the best leaves more after paying `cost` for each token."""

    def left(quantity: np.ndarray) -> np.ndarray:
        return np.asarray(curve.revenue_usd_per_hour(quantity)) - cost * np.asarray(quantity) * MTOK_PER_HOUR

    wanted = curve.quantity_at_marginal(cost)
    others = left(np.linspace(0.0, curve.tokens_per_s_best, 400))
    scale = (
        float(curve.revenue_usd_per_hour(curve.tokens_per_s_best))
        + cost * curve.tokens_per_s_best * MTOK_PER_HOUR
    )
    assert 0.0 <= wanted <= curve.tokens_per_s_best * (1 + 1e-12)
    assert float(left(np.array(wanted))) >= others.max() - 1e-9 * scale - 1e-12


def test_a_unit_elastic_curve_earns_the_same_at_every_price():
    curve = ElasticDemand(2.0, 1000.0, 1.0, 8.0, 5000.0)
    revenue = curve.revenue_usd_per_hour(np.array([250.0, 1000.0, 5000.0]))
    assert revenue == pytest.approx([2.0 * 1000.0 * MTOK_PER_HOUR] * 3)
    assert curve.tokens_per_s_best == pytest.approx(250.0)
    assert float(curve.worth_usd_per_hour(5000.0)) == pytest.approx(
        8.0 * 250.0 * (1 + np.log(20.0)) * MTOK_PER_HOUR
    )


def test_a_line_by_hand():
    curve = LinearDemand(10.0, 1000.0)
    assert float(curve.price(250.0)) == 7.5
    assert float(curve.revenue_usd_per_hour(250.0)) == pytest.approx(7.5 * 250.0 * 0.0036)
    assert float(curve.marginal_usd_per_mtok(250.0)) == 5.0
    assert curve.quantity_at_marginal(5.0) == 250.0
    assert curve.quantity_at_marginal(-4.0) == 500.0


def test_contracts_by_hand():
    curve = SteppedDemand((9.0, 4.0), (100.0, 300.0))
    assert curve.price(np.array([100.0, 100.1, 400.0, 400.1])).tolist() == [9.0, 4.0, 4.0, 0.0]
    assert float(curve.revenue_usd_per_hour(200.0)) == pytest.approx((9.0 * 100 + 4.0 * 100) * 0.0036)
    assert curve.marginal_usd_per_mtok(np.array([99.0, 100.0, 400.0])).tolist() == [9.0, 4.0, 0.0]
    assert [curve.quantity_at_marginal(cost) for cost in (10.0, 9.0, 5.0, 4.0)] == [0.0, 100.0, 100.0, 400.0]


def test_a_flat_demand_may_be_endless_or_none():
    assert FlatDemand(3.0).tokens_per_s_best == inf
    assert float(FlatDemand(3.0, 0.0).revenue_usd_per_hour(5.0)) == 0.0
    assert FlatDemand(3.0, 70.0).quantity_at_marginal(3.0) == 70.0
    assert FlatDemand(3.0, 70.0).quantity_at_marginal(3.1) == 0.0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: FlatDemand(-1.0), "usd_per_mtok"),
        (lambda: FlatDemand(1.0, float("nan")), "tokens_per_s_max"),
        (lambda: LinearDemand(0.0, 5.0), "usd_per_mtok_max"),
        (lambda: LinearDemand(1.0, inf), "tokens_per_s_max"),
        (lambda: ElasticDemand(1.0, 5.0, 0.0, 2.0, 9.0), "elasticity"),
        (lambda: ElasticDemand(3.0, 5.0, 1.5, 2.0, 9.0), "usd_per_mtok_max"),
        (lambda: ElasticDemand(1.0, 5.0, 1.5, 2.0, 4.0), "tokens_per_s_max"),
        (lambda: SteppedDemand((), ()), "0 prices"),
        (lambda: SteppedDemand((2.0, 1.0), (5.0,)), "2 prices, 1 quantities"),
        (lambda: SteppedDemand((1.0, 2.0), (5.0, 5.0)), "best block first"),
        (lambda: SteppedDemand((2.0, 1.0), (5.0, 0.0)), "tokens_per_s"),
    ],
)
def test_what_is_no_curve_is_refused(make: object, named: str):
    with pytest.raises(Malformed) as caught:
        make()  # type: ignore[operator]
    assert named in str(caught.value)
