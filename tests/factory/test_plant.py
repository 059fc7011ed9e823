"""A plant's orders: what they work out themselves, and what makes no sense is refused, naming it."""

from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.demand import FlatDemand
from ciyuan.factory.plant import (
    HOURS_PER_YEAR,
    Cooling,
    Fleet,
    Plant,
    PriceList,
    Purchase,
    Rental,
    ServiceOrder,
    TierOrder,
    Upkeep,
)

SERVICE = ServiceOrder("model_a", "fp8", "engine", None, 3000.0, 1000.0, 0.5)
TIER = TierOrder("medium", PriceList(1.0, 0.2, 4.0), 40.0, 2.0, SERVICE, FlatDemand(5.8, 1e6))
PLANT = Plant("here", 100.0, 50.0, 0.7, Cooling(pue=1.2), (Fleet("chip_a", 800, None, Rental(2.0)),), (TIER,))


def test_a_price_list_is_blended_over_the_request():
    """3 input tokens for each output token, half of them cached: 4 + 1.5 x 1 + 1.5 x 0.2."""
    assert TIER.list_usd_per_mtok == pytest.approx(5.8)


def test_rent_is_by_the_hour_and_a_purchase_is_a_level_payment():
    assert Rental(2.05).usd_per_gpu_hour == 2.05
    straight = Purchase(43_800.0, 5.0, 0.1, 0.0)
    assert straight.usd_per_gpu_hour == pytest.approx(43_800.0 * 0.9 / (5 * HOURS_PER_YEAR))
    assert replace(straight, wacc=1e-9).usd_per_gpu_hour == pytest.approx(straight.usd_per_gpu_hour, rel=1e-6)


@given(st.floats(1e3, 1e5), st.integers(1, 12), st.floats(0.0, 1.0), st.floats(0.001, 0.4))
def test_the_payments_of_a_purchase_are_worth_its_price(
    price: float, years: int, residual: float, wacc: float
):
    bought = Purchase(price, float(years), residual, wacc)
    yearly = bought.usd_per_gpu_hour * HOURS_PER_YEAR
    discounted = sum(yearly / (1 + wacc) ** year for year in range(1, years + 1))
    assert discounted + price * residual / (1 + wacc) ** years == pytest.approx(price, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Rental(-0.1), "usd_per_gpu_hour"),
        (lambda: Purchase(1e4, 0.0, 0.1, 0.1), "life_years"),
        (lambda: Purchase(1e4, 5.0, 1.1, 0.1), "residual_share"),
        (lambda: Purchase(nan, 5.0, 0.1, 0.1), "usd_per_gpu"),
        (lambda: Fleet("chip_a", 8, 0.5, Rental(2.0)), "both"),
        (lambda: Fleet("chip_a", None, None, Rental(2.0)), "neither"),
        (lambda: Fleet("chip_a", 0, None, Rental(2.0)), "fleet of chip_a, gpus"),
        (lambda: Fleet("chip_a", None, 1.2, Rental(2.0)), "fleet of chip_a, share"),
        (Cooling, "a PUE, or a method"),
        (lambda: Cooling(pue=1.2, method="air"), "a PUE, or a method"),
        (lambda: Cooling(method="air", dry_bulb_c=20.0), "a PUE, or a method"),
        (lambda: Cooling(pue=0.9), "pue"),
        (lambda: Cooling(method="ice", dry_bulb_c=20.0, relative_humidity_pct=50.0), "'ice'"),  # type: ignore[arg-type]
        (lambda: Cooling(method="air", dry_bulb_c=99.0, relative_humidity_pct=50.0), "dry_bulb_c"),
        (
            lambda: Cooling(method="air", dry_bulb_c=20.0, relative_humidity_pct=101.0),
            "relative_humidity_pct",
        ),
        (lambda: Upkeep(-1.0, 0.0), "network_usd_per_gpu_hour"),
        (lambda: replace(SERVICE, cached_share=1.5), "cached_share"),
        (lambda: replace(SERVICE, output_tokens=0.0), "output_tokens"),
        (lambda: PriceList(1.0, -0.2, 4.0), "cached_usd_per_mtok"),
        (lambda: replace(TIER, tokens_per_s_per_user_min=0.0), "tier medium, tokens_per_s_per_user_min"),
        (lambda: replace(TIER, ttft_s_max=inf), "tier medium, ttft_s_max"),
        (lambda: replace(TIER, tokens_per_s_min=2e6), "at most the demand's bound"),
        (lambda: replace(PLANT, power_mw=0.0), "plant here, power_mw"),
        (lambda: replace(PLANT, power_usd_per_mwh=nan), "power_usd_per_mwh"),
        (lambda: replace(PLANT, utilisation=1.01), "utilisation"),
        (lambda: replace(PLANT, gpu_cap_w=0.0), "gpu_cap_w"),
        (lambda: replace(PLANT, fleets=()), "[[fleet]]"),
        (lambda: replace(PLANT, tiers=()), "[[tier]]"),
        (lambda: replace(PLANT, tiers=(TIER, TIER)), "medium twice"),
        (lambda: replace(PLANT, fleets=PLANT.fleets * 2), "chip_a twice"),
    ],
)
def test_what_makes_no_sense_is_refused(make: object, named: str):
    with pytest.raises(Malformed) as caught:
        make()  # type: ignore[operator]
    assert named in str(caught.value)


def test_shares_of_the_megawatts_sum_to_one_at_most():
    fleets = tuple(
        Fleet(chip, None, share, Rental(2.0)) for chip, share in (("chip_a", 0.7), ("chip_b", 0.4))
    )
    with pytest.raises(Malformed, match="shares of the fleets"):
        replace(PLANT, fleets=fleets)


def test_a_negative_power_price_is_legal():
    assert replace(PLANT, power_usd_per_mwh=-12.0).power_usd_per_mwh == -12.0
