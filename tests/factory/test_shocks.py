"""A shock goes through the whole chain, and what it does not touch stays."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.losses import Duty
from ciyuan.factory.shocks import SHOCKS, Shock, elasticities, estimate
from tests.factory.cases import CASE, at_power

BEFORE = estimate(CASE)


def test_nothing_changes_under_no_shock():
    assert estimate(CASE.under(Shock())) == BEFORE


def test_dearer_power_changes_energy_and_no_token():
    after = estimate(CASE.under(Shock(power=2)))
    assert after.energy_usd_per_mtok == pytest.approx(2 * BEFORE.energy_usd_per_mtok)
    assert after.cost_usd_per_mtok - BEFORE.cost_usd_per_mtok == pytest.approx(BEFORE.energy_usd_per_mtok)
    assert after.tokens_per_s_per_mw == BEFORE.tokens_per_s_per_mw


def test_better_software_divides_all_costs():
    after = estimate(CASE.under(Shock(software=2)))
    assert after.joules_per_token == pytest.approx(BEFORE.joules_per_token / 2)
    assert after.cost_usd_per_mtok == pytest.approx(BEFORE.cost_usd_per_mtok / 2)
    assert after.cost_usd_per_mw_year == pytest.approx(BEFORE.cost_usd_per_mw_year)
    assert after.revenue_usd_per_mw_year == pytest.approx(2 * BEFORE.revenue_usd_per_mw_year)


def test_dearer_chips_change_capital_alone():
    after = estimate(CASE.under(Shock(chip=1.3)))
    capital = 2.0 / (200 * 3600 / 1e6 * CASE.duty.busy)
    assert after.cost_usd_per_mtok - BEFORE.cost_usd_per_mtok == pytest.approx(0.3 * capital)
    assert after.energy_usd_per_mtok == BEFORE.energy_usd_per_mtok


def test_energy_in_cost_is_joules_times_price():
    """The waterfall's energy (idle time's too) and the chain's joules are two ways to one figure."""
    free = estimate(at_power(0.0))
    assert BEFORE.cost_usd_per_mtok - free.cost_usd_per_mtok == pytest.approx(BEFORE.energy_usd_per_mtok)


def test_less_overhead_fits_more_gpus_into_a_megawatt():
    after = estimate(CASE.under(Shock(overhead=0.5)))
    assert after.tokens_per_s_per_mw == pytest.approx(BEFORE.tokens_per_s_per_mw * 1.15 / 1.075)


@given(st.sampled_from([name for name in SHOCKS if name != "price"]), st.floats(0.98, 1.02))
def test_elasticities_foretell_small_shocks(name: str, factor: float):
    foretold = 1 + elasticities(CASE)[name] * (factor - 1)
    after = estimate(CASE.under(replace(Shock(), **{name: factor})))
    assert after.cost_usd_per_mtok / BEFORE.cost_usd_per_mtok == pytest.approx(foretold, abs=5e-4)


def test_elasticities_of_causes_that_share_the_cost_sum():
    """Software divides everything: -1. Power and chip multiply parts of it; network, staff and upkeep are the rest."""
    found = elasticities(CASE)
    assert found["software"] == pytest.approx(-1.0, abs=1e-3)
    others = 0.10 / (BEFORE.cost_usd_per_mtok * 200 * 3600 / 1e6 * CASE.duty.busy)
    assert found["power"] + found["chip"] + others == pytest.approx(1.0, abs=1e-3)


def test_at_full_use_the_elasticity_is_taken_from_below():
    full = replace(CASE, duty=Duty(1.0))
    assert elasticities(full)["utilisation"] < 0
    with pytest.raises(Malformed, match="utilisation"):
        full.under(Shock(utilisation=1.1))


def test_negative_power_prices_are_legal():
    assert estimate(at_power(-500.0).under(Shock(power=2))).energy_usd_per_mtok < 0


def test_without_revenue_there_is_no_margin():
    free = estimate(replace(CASE, price_usd_per_mtok=0.0))
    assert free.margin_usd_per_mw_year == -free.cost_usd_per_mw_year
    assert free.margin_share == -float("inf")
    assert BEFORE.margin_share == pytest.approx(
        BEFORE.margin_usd_per_mw_year / BEFORE.revenue_usd_per_mw_year
    )


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan")])
def test_a_shock_that_is_no_multiple_is_refused(factor: float):
    with pytest.raises(Malformed, match="shock, chip"):
        Shock(chip=factor)


def test_a_cost_of_nothing_has_no_elasticity():
    nothing = replace(CASE, terms=replace(CASE.terms, power_usd_per_mwh=0.0, capital_usd_per_gpu_hour=0.0,
                                          network_usd_per_gpu_hour=0.0, staff_usd_per_gpu_hour=0.0,
                                          maintenance_usd_per_gpu_hour=0.0))  # fmt: skip
    with pytest.raises(Malformed, match="elasticity"):
        elasticities(nothing)
