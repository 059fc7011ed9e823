"""Tokens per second, joules, cost and revenue: by hand, and by what must hold of any point and price."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector
from ciyuan.factory.cost import (
    capital_usd_per_mtok,
    cost_per_mtok,
    energy_usd_per_mtok,
    gpus_within,
    joules_per_token,
    revenue_per_mw_hour,
    site_gpus,
    tokens_per_second,
)
from tests.factory.points import SHORT, SITE

STANDARD_PER_S = 521.0


def test_rates_by_hand():
    rates = tokens_per_second(SHORT, 8)
    assert (rates.input, rates.output) == (800.0, 800.0)
    assert rates.standard == pytest.approx(8 * STANDARD_PER_S)
    assert tokens_per_second(SHORT, 0).standard == 0.0
    assert tokens_per_second(SHORT, 1, ConversionVector(100, 20, 300, 50)).standard == pytest.approx(400.0)


def test_joules_by_hand():
    assert joules_per_token(SHORT) == pytest.approx(1000 / STANDARD_PER_S)
    assert joules_per_token(SHORT, 1.3) == pytest.approx(1300 / STANDARD_PER_S)


def test_cost_by_hand():
    # 1 kW at PUE 1.25 for an hour is 1.25e-3 MWh, at 80 USD 0.10 USD; the hour makes 521 x 3600 tokens = 1.8756 MTok.
    cost = cost_per_mtok(SHORT, 80.0, 1.25, 2.0, 0.5)
    assert cost.energy == pytest.approx(0.10 / 1.8756)
    assert cost.capital == pytest.approx(2.0 / (1.8756 * 0.5))
    assert cost.total == pytest.approx(cost.energy + cost.capital)
    assert (cost.input, cost.cached, cost.output) == pytest.approx(
        (cost.total, 0.20 * cost.total, 4.21 * cost.total)
    )
    assert all(
        type(figure) is float
        for figure in (cost.energy, cost.capital, cost.total, cost.input, cost.cached, cost.output)
    )


def test_the_legs_of_a_request_pay_its_cost():
    cost = cost_per_mtok(SHORT, 80.0, 1.25, 2.0, 1.0)
    standard = (1000 * 100 + 1000 * 421) / 100
    assert 1000 * cost.input + 1000 * cost.output == pytest.approx(standard * cost.total)


def test_prices_come_as_arrays_of_any_shape_and_may_be_negative():
    prices = np.array([[80.0, 0.0], [-40.0, 4191.66]])
    cost = cost_per_mtok(SHORT, prices, 1.25, 2.0, 0.5)
    assert np.shape(cost.total) == (2, 2)
    for index in np.ndindex(2, 2):
        alone = cost_per_mtok(SHORT, float(prices[index]), 1.25, 2.0, 0.5)
        assert np.asarray(cost.total)[index] == pytest.approx(alone.total)
        assert np.asarray(cost.output)[index] == pytest.approx(alone.output)
    assert np.asarray(cost.energy)[1, 0] < 0


@given(price=st.floats(-500, 5000), pue=st.floats(1, 2), capital=st.floats(0, 20), use=st.floats(0.01, 1))
def test_cost_rises_with_what_it_is_made_of(price: float, pue: float, capital: float, use: float):
    cost = cost_per_mtok(SHORT, price, pue, capital, use)
    assert cost.total == pytest.approx(cost.energy + cost.capital)
    assert cost_per_mtok(SHORT, price + 1, pue, capital, use).energy > cost.energy
    assert cost_per_mtok(SHORT, price, pue, capital + 1, use).capital > cost.capital
    assert cost_per_mtok(SHORT, price, pue, capital, use / 2).capital == pytest.approx(2 * cost.capital)
    assert cost_per_mtok(
        replace(SHORT, output_tokens_per_s=200.0), price, pue, capital, use
    ).total == pytest.approx(cost.total / 2)


def test_revenue_by_hand():
    # A megawatt at the meter feeds 800 of these GPUs: 800 x 1.8756 MTok an hour.
    assert revenue_per_mw_hour(SHORT, 0.95, 1.25) == pytest.approx(0.95 * 800 * 1.8756)
    assert revenue_per_mw_hour(SHORT, 0.95, 1.25, 0.5) == pytest.approx(0.95 * 400 * 1.8756)


@given(megawatts=st.floats(0, 1000), pue=st.floats(1, 2))
def test_gpus_fit_the_power_in_whole_replicas(megawatts: float, pue: float):
    gpus = gpus_within(megawatts, SHORT, pue)
    assert gpus % SHORT.gpus_per_replica == 0
    draw = SHORT.it_watts_per_gpu * pue / 1e6
    assert gpus * draw <= megawatts * (1 + 1e-12)
    assert (gpus + SHORT.gpus_per_replica) * draw > megawatts * (1 - 1e-12)


def test_a_site_runs_what_is_asked_for_or_all_that_its_power_feeds():
    assert site_gpus(SITE, SHORT) == 800
    assert site_gpus(SITE, SHORT, 796) == 796


def test_more_power_than_the_site_has_is_refused_in_megawatts():
    with pytest.raises(Malformed) as refused:
        site_gpus(SITE, SHORT, 804)
    assert refused.value.thing == "site here, GPUs"
    assert refused.value.found == "804 GPUs, 1.005 MW"
    assert refused.value.expected == "at most 800 GPUs within its 1 MW"
    with pytest.raises(Malformed):
        site_gpus(SITE, SHORT, -4)


def test_half_a_replica_and_a_foreign_chip_are_refused():
    with pytest.raises(Malformed, match="whole replicas of 4"):
        site_gpus(SITE, SHORT, 6)
    with pytest.raises(Malformed, match="chip"):
        site_gpus(replace(SITE, chip="chip_b"), SHORT)


@pytest.mark.parametrize("use", [0.0, -0.1, 1.0001, float("nan")])
def test_utilisation_is_a_share(use):
    for call in (lambda: capital_usd_per_mtok(SHORT, 2.0, use), lambda: revenue_per_mw_hour(SHORT, 1.0, 1.3, use),
                 lambda: cost_per_mtok(SHORT, 80.0, 1.3, 2.0, use)):  # fmt: skip
        with pytest.raises(Malformed, match="utilisation"):
            call()


def test_what_is_not_a_figure_is_refused():
    with pytest.raises(Malformed, match="power price"):
        energy_usd_per_mtok(SHORT, [80.0, float("nan")], 1.3)
    with pytest.raises(Malformed, match="PUE"):
        energy_usd_per_mtok(SHORT, 80.0, 0.9)
    with pytest.raises(Malformed, match="PUE"):
        gpus_within(1.0, SHORT, float("inf"))
    with pytest.raises(Malformed, match="power in MW"):
        gpus_within(float("nan"), SHORT, 1.3)
    with pytest.raises(Malformed, match="capital"):
        capital_usd_per_mtok(SHORT, -1.0, 0.5)
    with pytest.raises(Malformed, match="GPUs"):
        tokens_per_second(SHORT, -1)
