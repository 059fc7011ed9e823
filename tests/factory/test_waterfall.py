"""The parts and legs of a token's cost sum to what the plant spends."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.losses import Duty
from ciyuan.factory.waterfall import PARTS, Terms, gpu_hour_parts, waterfall
from tests.factory.cases import CASE, RATES, site

PRICES = st.floats(-200.0, 500.0)
MONEY = st.floats(0.0, 10.0)


@given(PRICES, MONEY, MONEY, st.floats(0.05, 1.0), st.floats(0.0, 0.5), st.floats(0.0, 1.0))
def test_parts_and_legs_sum_to_what_is_spent(
    price: float, capital: float, staff: float, busy: float, failed: float, cached: float
):
    """Tokens of an hour x their cost = meter watts x price + what the GPU costs, whatever the shares."""
    terms, duty = Terms(price, capital, 0.01, staff, 0.02), Duty(busy, failed)
    rates = replace(RATES, cached_share=cached)
    fall = waterfall(terms, site(), rates, duty)
    hourly = [rate * 3600 * duty.busy / 1e6 for rate in rates.tokens_per_s]
    told = sum(mtok * usd for mtok, usd in zip(hourly, fall.by_leg.values(), strict=True))
    spent = site().meter_w(duty.busy) / 1e6 * price + capital + 0.03 + staff
    assert told == pytest.approx(spent, abs=1e-9)
    assert sum(gpu_hour_parts(terms, site(), duty).values()) == pytest.approx(spent, abs=1e-9)
    assert fall.blended_usd_per_mtok * hourly[-1] == pytest.approx(spent, abs=1e-9)
    assert fall.all_tokens_usd_per_mtok * sum(hourly) == pytest.approx(spent, abs=1e-9)


def test_parts_by_hand():
    """Busy all the time, one GPU-hour makes 0.72 MTok of output: 2 USD of capital are 2 / 0.72 of an output token's million."""
    fall = waterfall(Terms(0.0, 2.0), site(), RATES, Duty(1.0))
    assert fall.blended["capital"] == pytest.approx(2.0 / 0.72)
    assert {part for part, usd in fall.blended.items() if usd} == {"capital"}
    assert tuple(fall.blended) == PARTS


def test_idle_time_costs_capital_and_energy():
    half = gpu_hour_parts(Terms(100.0, 2.0), site(), Duty(0.5))
    assert half["capital"] == 1.0
    assert half["idle"] == pytest.approx(1.0 + 0.5 * float(site().waiting.it_w) * 1e-4)


def test_negative_power_prices_pay():
    fall = waterfall(Terms(-50.0, 0.0), site(), RATES, Duty(0.8))
    assert fall.blended_usd_per_mtok < 0
    assert fall.blended["energy"] < 0


def test_a_leg_that_takes_no_time_costs_nothing():
    fall = waterfall(CASE.terms, site(), replace(RATES, prefill_share=0.0), CASE.duty)
    assert fall.by_leg["input"] == fall.by_leg["cached"] == 0.0


def test_terms_that_make_no_sense_are_refused():
    with pytest.raises(Malformed, match="power price"):
        Terms(float("nan"), 1.0)
    with pytest.raises(Malformed, match="staff"):
        Terms(1.0, 1.0, 0.0, -1.0)
