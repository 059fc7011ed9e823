"""Rates by physics, for what was measured and what was not."""

from dataclasses import replace

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.losses import Duty
from ciyuan.factory.messages import Provenance
from ciyuan.factory.plant import Cooling, PriceList, ServiceOrder
from ciyuan.factory.rates import Rates
from ciyuan.services.cost_case import CaseOrder, case_facts, rates_of
from ciyuan.services.physics_rates import physics_rates
from ciyuan.services.rate_source import RateSource

FACTS = case_facts()
SERVICE = ServiceOrder("Qwen/Qwen3-32B", "bf16", "", None, 2048.0, 512.0, 0.0)
ORDER = CaseOrder("a100_sxm", SERVICE, 30.0, PriceList(0.1, 0.05, 0.4), 60.0, Cooling(pue=1.3), Duty(0.6))

PHYSICS = physics_rates(FACTS)


def rates(order: CaseOrder) -> Rates:
    return rates_of(order, FACTS, RateSource.PHYSICS, PHYSICS)


def test_an_old_chip_that_nobody_measured_has_rates():
    old = rates(ORDER)
    assert old.provenance is not Provenance.MEASURED
    assert old.tokens_per_s_per_user >= 30
    assert old.busy_w < 400
    faster = rates(replace(ORDER, chip="b200_sxm"))
    assert faster.output_tokens_per_s > 2 * old.output_tokens_per_s


def test_more_speed_a_cap_and_no_cache_cost_tokens():
    free = rates(ORDER).output_tokens_per_s
    assert rates(replace(ORDER, tokens_per_s_per_user_min=60.0)).output_tokens_per_s < free
    capped = rates(replace(ORDER, gpu_cap_w=250.0))
    assert capped.output_tokens_per_s < free
    assert capped.tokens_per_s_per_user >= 30
    cached = replace(ORDER, service=replace(SERVICE, cached_share=0.5))
    assert rates(cached).output_tokens_per_s > free


def test_what_cannot_be_is_refused():
    with pytest.raises(Malformed, match="the fastest"):
        rates(replace(ORDER, tokens_per_s_per_user_min=5_000.0))
    with pytest.raises(Malformed, match="precision"):
        rates(replace(ORDER, service=replace(SERVICE, precision="fp8")))
    too_large = replace(ORDER, chip="l4", service=replace(SERVICE, model="moonshotai/Kimi-K2.5"))
    with pytest.raises(Malformed, match="needed per GPU"):
        rates(too_large)


def test_a_name_that_is_no_engine_is_refused_as_that():
    with pytest.raises(Malformed, match="serving engine: found 'nosuch'"):
        rates(replace(ORDER, service=replace(SERVICE, software="nosuch")))
