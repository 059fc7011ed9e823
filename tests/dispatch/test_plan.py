"""The plan: exact against enumeration, optimal by exchange and by duality, honest about what it could not serve."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.dispatch.messages import Plan, Supply
from ciyuan.dispatch.plan import dispatch_hours

FREE = np.inf


def supply(capacity, joules=None, power=None) -> Supply:
    capacity = np.array(capacity, dtype=np.int64)
    sites = capacity.shape[-1]
    return Supply(
        capacity,
        np.full(sites, 1.0) if joules is None else np.array(joules, dtype=np.float64),
        np.full(sites, FREE) if power is None else np.array(power, dtype=np.float64),
    )


def plan_one(demand: int, capacity, cost, **more) -> Plan:
    return dispatch_hours(np.array([demand]), supply(capacity), np.array([cost], dtype=np.float64), **more)


def test_the_cheapest_sites_are_filled_first():
    plan = plan_one(25, [10, 20, 30], [3.0, 1.0, 2.0])
    assert plan.allocation.tolist() == [[0, 20, 5]]
    assert plan.unserved.tolist() == [0]
    assert plan.cost_usd.tolist() == [[0.0, 20 * 1.0 / 1e6, 5 * 2.0 / 1e6]]
    assert plan.last_usd_per_mtok.tolist() == [2.0]
    assert plan.shadow_usd_per_mtok.tolist() == [[0.0, 1.0, 0.0]]


def test_a_negative_cost_is_cheaper_than_none():
    assert plan_one(5, [10, 10], [0.0, -3.5]).allocation.tolist() == [[0, 5]]


def test_equal_costs_are_filled_in_the_given_order():
    assert plan_one(15, [10, 10, 10], [2.0, 2.0, 2.0]).allocation.tolist() == [[10, 5, 0]]


def test_unserved_demand_is_said():
    plan = plan_one(100, [10, 20], [1.0, 2.0])
    assert plan.allocation.tolist() == [[10, 20]]
    assert plan.unserved.tolist() == [70]
    assert plan.last_usd_per_mtok.tolist() == [np.inf]
    assert plan.shadow_usd_per_mtok.tolist() == [[np.inf, np.inf]]
    valued = plan_one(100, [10, 20], [1.0, 2.0], unserved_usd_per_mtok=9.0)
    assert valued.shadow_usd_per_mtok.tolist() == [[8.0, 7.0]]


def test_an_hour_without_demand_costs_nothing_and_values_nothing():
    plan = plan_one(0, [10, 20], [1.0, 2.0])
    assert plan.allocation.tolist() == [[0, 0]]
    assert np.isnan(plan.last_usd_per_mtok).all()
    assert plan.shadow_usd_per_mtok.tolist() == [[0.0, 0.0]]


def test_no_hours_make_an_empty_plan():
    plan = dispatch_hours(np.zeros(0, dtype=np.int64), supply([10, 20]), np.zeros((0, 2)))
    assert plan.allocation.shape == (0, 2)
    assert plan.unserved.shape == (0,)


def test_power_caps_bind_by_the_hour():
    # 3.6 J a token: an hour at 1 MW makes 1e9 tokens.
    limits = supply([5 * 10**9, 5 * 10**9], joules=[3.6, 7.2], power=[[1.0, FREE], [2.0, 1.0]])
    plan = dispatch_hours(np.array([3 * 10**9, 3 * 10**9]), limits, np.array([[1.0, 2.0], [1.0, 2.0]]))
    assert plan.allocation.tolist() == [[10**9, 2 * 10**9], [2 * 10**9, 5 * 10**8]]
    assert plan.unserved.tolist() == [0, 5 * 10**8]
    assert plan.power_mw == pytest.approx(np.array([[1.0, 4.0], [2.0, 1.0]]))


def test_every_small_case_is_the_best_of_all_allocations():
    """Enumerated: three sites, capacities to 3, costs in any order with ties, demand beyond what there is."""
    for capacity in product(range(4), repeat=3):
        served_by = list(product(*(range(most + 1) for most in capacity)))
        for cost in ((1.0, 2.0, 3.0), (2.0, 2.0, -1.0), (3.0, 1.0, 1.0)):
            for demand in range(11):
                plan = plan_one(demand, capacity, cost)
                served = min(demand, sum(capacity))
                best = min(np.dot(tried, cost) for tried in served_by if sum(tried) == served)
                assert int(plan.allocation.sum()) == served
                assert np.dot(plan.allocation[0], cost) == best
                assert plan.unserved.tolist() == [demand - served]


@st.composite
def cases(draw):
    """Hours and sites with any capacities (0 included), costs with ties and negative ones, power caps that bind or not."""
    hours, sites = draw(st.integers(1, 6)), draw(st.integers(1, 5))

    def grid(values):
        drawn = draw(st.lists(values, min_size=hours * sites, max_size=hours * sites))
        return np.array(drawn).reshape(hours, sites)

    capacity = grid(st.integers(0, 10**12))
    cost = grid(st.sampled_from([-5.0, 0.0, 0.25, 1.0, 1.5, 40.0]))
    power = grid(st.sampled_from([0.0, 0.5, 3.0, np.inf]))
    joules = np.array(draw(st.lists(st.floats(0.01, 10), min_size=sites, max_size=sites)))
    demand = np.array(draw(st.lists(st.integers(0, 3 * 10**12), min_size=hours, max_size=hours)))
    return demand, Supply(capacity, joules, power), cost


@given(case=cases())
def test_every_token_is_accounted_for_within_capacity_and_power(case):
    demand, limits, cost = case
    plan = dispatch_hours(demand, limits, cost)
    assert (plan.allocation.sum(axis=1) + plan.unserved == demand).all()
    assert (plan.allocation >= 0).all()
    assert (plan.allocation <= limits.tokens_per_hour_max).all()
    assert (plan.power_mw <= limits.power_mw_max * (1 + 1e-12)).all()
    assert (plan.cost_usd == plan.allocation * cost / 1e6).all()


@given(case=cases())
def test_no_exchange_of_a_token_between_two_sites_lowers_the_cost(case):
    demand, limits, cost = case
    plan = dispatch_hours(demand, limits, cost)
    one_more = dispatch_hours(
        plan.allocation.sum(axis=1) + 10**15, limits, cost
    ).allocation  # what there is room for
    has_room, gives = plan.allocation < one_more, plan.allocation > 0
    for hour, site in zip(*np.nonzero(gives), strict=True):
        assert (cost[hour][has_room[hour]] >= cost[hour, site]).all()
        assert plan.unserved[hour] == 0 or not has_room[hour].any()


@given(case=cases())
def test_shadow_prices_prove_the_optimum_by_duality(case):
    """Served in full: cost of the plan = price of the last token x demand - capacity at its shadow price."""
    demand, limits, cost = case
    plan = dispatch_hours(demand, limits, cost)
    room = dispatch_hours(np.full(len(demand), 10**15), limits, cost).allocation
    for hour in np.flatnonzero((plan.unserved == 0) & (demand > 0)):
        primal = float((plan.allocation[hour] * cost[hour]).sum())
        dual = float(
            demand[hour] * plan.last_usd_per_mtok[hour] - (room[hour] * plan.shadow_usd_per_mtok[hour]).sum()
        )
        assert primal == pytest.approx(dual, rel=1e-9, abs=1e-3)
        assert (plan.last_usd_per_mtok[hour] - plan.shadow_usd_per_mtok[hour] <= cost[hour]).all()


@given(case=cases(), data=st.data())
def test_a_shadow_price_is_what_one_more_token_of_capacity_saves(case, data):
    demand, limits, cost = case
    free = Supply(
        np.asarray(limits.tokens_per_hour_max), limits.joules_per_token, np.full(cost.shape[1], np.inf)
    )
    plan = dispatch_hours(demand, free, cost, unserved_usd_per_mtok=99.0)
    site = data.draw(st.integers(0, cost.shape[1] - 1))
    wider = np.array(free.tokens_per_hour_max)
    wider[:, site] += 1
    more = dispatch_hours(demand, Supply(wider, free.joules_per_token, free.power_mw_max), cost)
    spent = [(p.allocation * cost).sum(axis=1) + p.unserved * 99.0 for p in (plan, more)]
    assert spent[0] - spent[1] == pytest.approx(plan.shadow_usd_per_mtok[:, site], abs=0.02)


def test_a_year_of_fifty_sites_is_the_same_as_hour_by_hour():
    luck = np.random.default_rng(7)
    hours, sites = 8760, 50
    cost, capacity = luck.normal(50, 40, (hours, sites)), luck.integers(0, 10**9, (hours, sites))
    demand = luck.integers(0, 3 * 10**10, hours)
    limits = Supply(capacity, np.full(sites, 1.0), np.full(sites, np.inf))
    plan = dispatch_hours(demand, limits, cost)
    for hour in range(0, hours, 97):
        left = int(demand[hour])
        for site in np.argsort(cost[hour], kind="stable").tolist():
            taken = min(left, int(capacity[hour, site]))
            assert plan.allocation[hour, site] == taken
            left -= taken
        assert plan.unserved[hour] == left


@pytest.mark.parametrize(
    ("demand", "cost", "thing"),
    [
        (np.array([1.5]), np.ones((1, 2)), "demand"),
        (np.array([[1]]), np.ones((1, 2)), "demand"),
        (np.array([-1]), np.ones((1, 2)), "demand"),
        (np.array([2**62]), np.ones((1, 2)), "demand"),
        (np.array([1]), np.ones((1, 3)), "marginal cost"),
        (np.array([1]), np.ones(2), "marginal cost"),
        (np.array([1]), np.array([[1.0, np.nan]]), "marginal cost"),
    ],
)
def test_what_is_no_demand_or_no_cost_is_refused(demand, cost, thing):
    with pytest.raises(Malformed) as refused:
        dispatch_hours(demand, supply([10, 20]), cost)
    assert refused.value.thing == thing
