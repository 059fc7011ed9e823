"""A plant's rates by physics: each with a band and a provenance, fewer tokens at faster tiers, a reason where nothing fits."""

from dataclasses import replace

import pytest

from ciyuan.factory.demand import FlatDemand
from ciyuan.factory.messages import Provenance
from ciyuan.factory.model import Precision
from ciyuan.factory.plant import PriceList, ServiceOrder, TierOrder
from ciyuan.services.plan_physics import Found, Physics
from ciyuan.services.plan_rates import plan_facts

SERVICE = ServiceOrder("deepseek-ai/DeepSeek-R1", "fp8", "sglang", None, 1024.0, 1024.0, 0.0)


def tier(speed: float, ttft_s: float = 10.0, service: ServiceOrder = SERVICE) -> TierOrder:
    return TierOrder("any", PriceList(0.0, 0.0, 1.0), speed, ttft_s, service, FlatDemand(1.0))


@pytest.fixture(scope="module")
def physics() -> Physics:
    return Physics(plan_facts())


def best(
    physics: Physics, chip: str, order: TierOrder, precision: Precision, cap_w: float | None = None
) -> Found | str:
    speed = order.tokens_per_s_per_user_min
    return physics.best(physics.facts.chips[chip], order.service, precision, speed, order.ttft_s_max, cap_w)


def found(
    physics: Physics,
    chip: str,
    order: TierOrder,
    precision: Precision = Precision.FP8,
    cap_w: float | None = None,
) -> Found:
    answer = best(physics, chip, order, precision, cap_w)
    assert isinstance(answer, Found), answer
    return answer


def test_faster_tiers_make_fewer_tokens_and_say_how_sure(physics: Physics):
    points = [found(physics, "h200_sxm", tier(speed)) for speed in (20.0, 40.0, 75.0)]
    made = [point.rates.output_tokens_per_s for point in points]
    assert made == sorted(made, reverse=True)
    assert all(point.low < 1 < point.high for point in points)
    assert all(point.rates.provenance is Provenance.CALIBRATED for point in points)
    assert all(
        point.rates.tokens_per_s_per_user >= speed for point, speed in zip(points, (20, 40, 75), strict=True)
    )


def test_software_that_nobody_measured_is_extrapolated(physics: Physics):
    other = replace(SERVICE, software="pytorch")
    assert found(physics, "h200_sxm", tier(20.0, service=other)).rates.provenance is Provenance.EXTRAPOLATED


def test_drafts_are_named_and_taken_where_they_were_measured(physics: Physics):
    """A GB300 was run on SGLang without drafts only, a B200 with them."""
    plain = found(physics, "gb300_nvl72", tier(75.0), Precision.FP4).rates
    assert "with drafts" not in plain.software
    drafted = found(physics, "b200_sxm", tier(75.0), Precision.FP4).rates
    assert "with drafts" in drafted.software
    assert {plain.provenance, drafted.provenance} == {Provenance.CALIBRATED}


def test_a_cap_slows(physics: Physics):
    free, held = (found(physics, "b200_sxm", tier(40.0), cap_w=cap) for cap in (None, 600.0))
    assert held.rates.output_tokens_per_s < free.rates.output_tokens_per_s
    assert held.rates.tokens_per_s_per_user >= 40.0 * (1 - 1e-9)
    assert held.rates.busy_w <= 600.0 + 1e-6


def test_a_cache_of_prompts_helps(physics: Physics):
    long = replace(SERVICE, input_tokens=8192.0)
    cold, warm = (
        found(physics, "h200_sxm", tier(40.0, service=replace(long, cached_share=share)))
        for share in (0.0, 0.8)
    )
    assert warm.rates.output_tokens_per_s > cold.rates.output_tokens_per_s


@pytest.mark.parametrize(
    ("chip", "order", "precision", "why"),
    [
        ("h200_sxm", tier(20.0), Precision.FP4, "precision"),
        ("l4", tier(20.0), Precision.FP8, "GB needed per GPU"),
        ("h200_sxm", tier(5000.0), Precision.FP8, "no layout gives 5000"),
        ("h200_sxm", tier(20.0, ttft_s=1e-4), Precision.FP8, "first token in time"),
        ("h200_sxm", tier(20.0, service=replace(SERVICE, input_tokens=1e6)), Precision.FP8, "tokens"),
    ],
)
def test_what_cannot_be_served_says_why(
    physics: Physics, chip: str, order: TierOrder, precision: Precision, why: str
):
    answer = best(physics, chip, order, precision)
    assert isinstance(answer, str)
    assert why in answer
