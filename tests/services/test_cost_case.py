"""From an order to a case: rates from the source that is asked for, a refusal that names what was measured where nothing was."""

from dataclasses import replace
from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.losses import Duty
from ciyuan.factory.messages import Provenance
from ciyuan.factory.plant import Cooling, PriceList, Purchase, Rental, ServiceOrder, Upkeep
from ciyuan.factory.rates import Rates
from ciyuan.factory.shocks import Case, estimate
from ciyuan.services.cost_case import CaseOrder, case_facts, case_of, measured_rates, plant_orders, rates_of
from ciyuan.services.plant_file import read_plant
from ciyuan.services.rate_source import RateSource
from tests.factory.cases import RATES

FACTS = case_facts()
SERVICE = ServiceOrder("deepseek-ai/DeepSeek-R1", "fp8", "", None, 8192.0, 1024.0, 0.0)
ORDER = CaseOrder("h200_sxm", SERVICE, 40.0, PriceList(0.55, 0.14, 2.19), 60.0, Cooling(pue=1.3), Duty(0.6))
PLANT = Path(__file__).parents[2] / "examples" / "plant.toml"


def test_a_measured_rate_is_the_best_that_is_fast_enough():
    rates = measured_rates(ORDER, FACTS)
    assert rates.provenance is Provenance.MEASURED
    assert rates.tokens_per_s_per_user >= 40
    slow = measured_rates(replace(ORDER, tokens_per_s_per_user_min=20.0), FACTS)
    assert slow.output_tokens_per_s > rates.output_tokens_per_s


def test_a_shape_between_two_is_calibrated_and_a_cache_helps():
    between = replace(ORDER, service=replace(SERVICE, input_tokens=4096.0))
    plain = measured_rates(between, FACTS)
    assert plain.provenance is Provenance.CALIBRATED
    cached = measured_rates(replace(between, service=replace(between.service, cached_share=0.5)), FACTS)
    assert cached.output_tokens_per_s > plain.output_tokens_per_s


def test_what_nobody_measured_is_refused_naming_what_was():
    with pytest.raises(Malformed, match=r"h200_sxm fp8 8192/1024 at medium"):
        measured_rates(replace(ORDER, chip="b200_sxm"), FACTS)
    with pytest.raises(Malformed, match="nothing of this model"):
        measured_rates(replace(ORDER, service=replace(SERVICE, model="Qwen/Qwen3-8B")), FACTS)
    with pytest.raises(Malformed, match="900 tokens/s"):
        measured_rates(replace(ORDER, tokens_per_s_per_user_min=900.0), FACTS)


def test_the_source_decides_and_physics_steps_in_where_nothing_was_measured():
    asked = []

    def physics(order: CaseOrder, *_: object) -> Rates:
        asked.append(order.chip)
        return RATES

    unmeasured = replace(ORDER, chip="b200_sxm")
    assert rates_of(ORDER, FACTS, RateSource.PHYSICS, physics) is RATES
    assert rates_of(unmeasured, FACTS, RateSource.MIXED, physics) is RATES
    assert rates_of(ORDER, FACTS, RateSource.MIXED, physics) == measured_rates(ORDER, FACTS)
    assert asked == ["h200_sxm", "b200_sxm"]
    with pytest.raises(Malformed, match="h200_sxm fp8"):
        rates_of(unmeasured, FACTS, RateSource.MEASURED, physics)


def case(order: CaseOrder) -> Case:
    return case_of(order, FACTS, measured_rates(order, FACTS))


def test_a_cap_slows_and_one_below_idle_is_refused():
    free = case(ORDER)
    held = case(replace(ORDER, gpu_cap_w=350.0))
    assert held.rates.busy_w <= 350.01
    assert held.rates.output_tokens_per_s < free.rates.output_tokens_per_s
    with pytest.raises(Malformed, match="power cap"):
        case(replace(ORDER, gpu_cap_w=60.0))


def test_capital_is_rent_annuity_or_the_catalogues_cost():
    assert case(ORDER).terms.capital_usd_per_gpu_hour == FACTS.chips["h200_sxm"].cost_usd_per_hour
    assert case(replace(ORDER, capital=Rental(2.5))).terms.capital_usd_per_gpu_hour == 2.5
    bought = Purchase(35_040.0, 4.0, 0.0, 0.0)
    assert case(replace(ORDER, capital=bought)).terms.capital_usd_per_gpu_hour == pytest.approx(1.0)


def test_staff_is_by_the_megawatt():
    staffed = case(replace(ORDER, upkeep=Upkeep(0.05, 87_600.0)))
    assert staffed.terms.staff_usd_per_gpu_hour == pytest.approx(10 * staffed.site.meter_w_max / 1e6)
    assert staffed.terms.network_usd_per_gpu_hour == 0.05


def test_a_plants_fleets_become_orders():
    plant = read_plant(PLANT)
    orders = plant_orders(plant, None)
    assert [order.chip for order in orders] == [fleet.chip for fleet in plant.fleets]
    sold = next(tier for tier in plant.tiers if tier.list_usd_per_mtok > 0)
    assert {order.tokens_per_s_per_user_min for order in orders} == {sold.tokens_per_s_per_user_min}
    with pytest.raises(Malformed, match="tier"):
        plant_orders(plant, "nobody")


def test_negative_power_prices_make_tokens_cheaper():
    dear, paid = (estimate(case(replace(ORDER, power_usd_per_mwh=price))) for price in (60.0, -60.0))
    assert paid.energy_usd_per_mtok == pytest.approx(-dear.energy_usd_per_mtok)
    assert paid.cost_usd_per_mtok < dear.cost_usd_per_mtok


def test_watts_say_how_they_are_known():
    """No energy of an H200 was measured: its watts are extrapolated, though its tokens were measured."""
    rates = measured_rates(ORDER, FACTS)
    assert rates.watts_provenance is Provenance.EXTRAPOLATED
    assert rates.watts_low < 1 < rates.watts_high


def test_under_a_cap_a_point_that_stays_fast_enough_is_taken():
    """A cap that slows the chosen point below the tier's speed asks for a faster one."""
    free = measured_rates(ORDER, FACTS)
    held = measured_rates(replace(ORDER, gpu_cap_w=400.0), FACTS)
    assert held.tokens_per_s_per_user >= ORDER.tokens_per_s_per_user_min
    assert held.output_tokens_per_s < free.output_tokens_per_s
