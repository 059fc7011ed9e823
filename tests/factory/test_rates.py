"""Rates: a request's legs sum to its GPU-seconds, whatever the rates came from."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.messages import Provenance
from ciyuan.factory.model import Precision
from ciyuan.factory.operating import OperatingPoints
from ciyuan.factory.rates import (
    CACHED_WEIGHT,
    PREFILL_SHARE_MAX,
    operating_rates,
    prefill_share,
    serving_rates,
)
from ciyuan.services.catalog_factory import models
from tests.factory.cases import CHIP, POWER, RATES
from tests.factory.points import SHORT

MODEL = models()["Qwen/Qwen3-30B-A3B"]
POINT = replace(SHORT, precision="fp8")


@given(
    st.floats(0.0, 1.0), st.floats(0.0, 0.95), st.floats(1.0, 1e5), st.floats(1.0, 1e4), st.floats(0.1, 1e5)
)
def test_legs_sum_to_the_gpus_time(cached: float, share: float, taken: float, given: float, rate: float):
    rates = replace(
        RATES,
        cached_share=cached,
        prefill_share=share,
        input_tokens=taken,
        output_tokens=given,
        output_tokens_per_s=rate,
    )
    busy = sum(each * seconds for each, seconds in zip(rates.tokens_per_s, rates.gpu_seconds, strict=True))
    assert busy == pytest.approx(1.0)


def test_a_cached_token_costs_a_fifth_of_a_fresh_one():
    fresh, cached, _ = RATES.gpu_seconds
    assert cached / fresh == pytest.approx(CACHED_WEIGHT) == pytest.approx(0.2)


def test_faster_software_makes_more_at_the_same_watts():
    twice = RATES.faster(2.0)
    assert twice.tokens_per_s == tuple(2 * rate for rate in RATES.tokens_per_s)
    assert twice.busy_w == RATES.busy_w


def test_prefill_takes_its_arithmetic():
    share = prefill_share(
        CHIP, MODEL, Precision.FP8, fresh_tokens=1000.0, output_tokens=500.0, output_tokens_per_s=1000.0
    )
    flops = 1000 * MODEL.flops_per_token + float(MODEL.prefill_attention_flops(1000.0))
    assert share == pytest.approx(flops / 1e15 * 1000.0 / 500.0)
    most = prefill_share(
        CHIP, MODEL, Precision.FP8, fresh_tokens=1e6, output_tokens=1.0, output_tokens_per_s=1000.0
    )
    assert most == PREFILL_SHARE_MAX


def test_a_measured_point_stays_measured_until_something_is_changed():
    plain = serving_rates(POWER, CHIP, MODEL, Precision.FP8, POINT)
    assert plain.provenance is POINT.provenance
    assert plain.output_tokens_per_s == POINT.output_tokens_per_s
    cached = serving_rates(POWER, CHIP, MODEL, Precision.FP8, POINT, cached_share=0.5)
    assert cached.output_tokens_per_s > plain.output_tokens_per_s
    assert cached.prefill_share < plain.prefill_share
    held = serving_rates(POWER, CHIP, MODEL, Precision.FP8, POINT, cap_w=plain.busy_w * 0.8)
    assert held.busy_w == pytest.approx(plain.busy_w * 0.8, abs=0.01)
    assert held.output_tokens_per_s < plain.output_tokens_per_s
    assert {cached.provenance, held.provenance} == {Provenance.CALIBRATED}


def test_an_operating_point_gives_rates_too():
    two = np.array([0.3, 0.5])
    points = OperatingPoints("chip_a", MODEL.code, "fp8", "engine", 2, 1000.0, 500.0, 0.4, np.array([8.0, 64.0]),
                             np.array([0.01, 0.02]), two, np.array([400.0, 1600.0]), two, two, np.array([0.05, 0.1]), two, two,
                             two, Provenance.EXTRAPOLATED)  # fmt: skip
    rates = operating_rates(POWER, CHIP, MODEL, points, 1)
    assert rates.output_tokens_per_s == 1600
    assert rates.tokens_per_s_per_user == pytest.approx(50.0)
    assert rates.cached_share == 0.4
    assert rates.provenance is Provenance.EXTRAPOLATED
    assert operating_rates(POWER, CHIP, MODEL, points, 1, cap_w=400.0).output_tokens_per_s < 1600


def test_rates_that_make_no_sense_are_refused():
    with pytest.raises(Malformed, match="output_tokens_per_s"):
        replace(RATES, output_tokens_per_s=0.0)
    with pytest.raises(Malformed, match="cached_share"):
        replace(RATES, cached_share=1.2)
