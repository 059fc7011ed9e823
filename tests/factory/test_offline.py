"""Saturated throughput and its correction."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.constants import GUESSES
from ciyuan.factory.layout import Engine, sequences_held
from ciyuan.factory.model import Precision
from ciyuan.factory.offline import (
    SLOPES,
    Benchmark,
    Submission,
    benchmark_of,
    fit_factors,
    length_scale,
    saturated,
    tensor_only_in,
    years_before,
)
from ciyuan.factory.work import Shape
from tests.factory.factory_shapes import chip, model, sparse_model

LONG = Benchmark(Shape(500, 200), 1000, 20_000)
FLAT = dict.fromkeys(SLOPES, 0.0) | {"one": 1.0}


def submission(**changes):
    words = {
        "architecture": "hopper",
        "chip": "a",
        "precision": "fp8",
        "round": "v5.1",
        "family": "x",
        "columns": FLAT,
    }
    return Submission(**(words | changes))


def rate(chip_, model_, benchmark=LONG, **options):
    return saturated(chip_, model_, Precision.FP8, benchmark, GUESSES, **options).tokens_per_s_per_gpu


def test_the_best_layout_is_no_worse_than_any():
    best = saturated(chip(), sparse_model(), Precision.FP8, LONG, GUESSES)
    assert best.tokens_per_s_per_gpu >= rate(chip(), sparse_model(), gpus=2) > 0
    assert 0 < best.sequence_share < 1
    assert rate(chip(memory_tb_s=3.0), model()) > rate(chip(), model())
    grouped = saturated(chip(), sparse_model(), Precision.FP8, LONG, GUESSES, tensor_only=True)
    assert grouped.layout.decode.data == grouped.layout.decode.expert == 1
    assert grouped.tokens_per_s_per_gpu <= best.tokens_per_s_per_gpu


def test_a_model_too_large_for_a_tensor_group_is_cut_into_stages():
    lone = chip(scale_up_gpus=1, memory_gb=12.0)
    assert sequences_held(lone, model(), Precision.FP8, Engine(), LONG.shape.tokens) < 1
    found = saturated(lone, model(), Precision.FP8, LONG, GUESSES)
    assert found.layout.decode.pipeline > 1
    alone = saturated(lone, model(), Precision.FP8, LONG, GUESSES, tensor_only=True)
    assert alone.layout.decode.pipeline == 1 < alone.layout.decode.tensor
    assert alone.tokens_per_s_per_gpu < found.tokens_per_s_per_gpu
    with pytest.raises(Malformed):
        saturated(lone, model(), Precision.FP8, LONG, GUESSES, gpus=1)


def test_a_run_keeps_less_the_fewer_its_requests_and_all_where_answers_are_alike():
    kept = [
        saturated(chip(), model(), Precision.FP8, replace(LONG, samples=samples), GUESSES).kept
        for samples in (20_000, 2_000_000)
    ]
    assert 0 < kept[0] < kept[1] <= 1
    alike = Benchmark(Shape(500, 200), 200, 20_000)
    assert saturated(chip(), model(), Precision.FP8, alike, GUESSES).kept == pytest.approx(1.0)


@given(st.floats(2.0, 5000.0), st.floats(0.001, 1000.0))
def test_lengths_have_their_mean_once_they_are_cut(mean, spare):
    most = mean * (1.0 + spare)
    scale = length_scale(mean, most)
    assert -scale * np.expm1(-most / scale) == pytest.approx(mean, rel=1e-6)
    assert length_scale(most, mean) == np.inf


def test_beams_cost_more_than_one_and_less_than_as_many_requests():
    one, four = (rate(chip(), model(), Benchmark(Shape(900, 70), 128, 10_000, beams)) for beams in (1, 4))
    assert one / 4 < four < one


def test_factors_are_learnt_shrunk_and_widen_for_new_families():
    many = [submission(chip=name, family=family) for name in "ab" for family in "xyz"] * 3
    errors = np.array([0.2 if one.chip == "a" else -0.1 for one in many])
    found = fit_factors(many, errors)
    known, new = submission(family="x"), submission(family="new")
    assert 0.1 < found.log_factor(known) <= 0.21
    assert found.log_factor(submission(chip="b", family="x")) < 0
    assert found.band(new) > found.band(known) > 1
    assert fit_factors(many[:1], errors[:1]).log_factor(many[0]) < 0.2


def test_half_of_what_one_round_says_of_a_family_is_expected_of_the_next():
    measured = [submission(chip=name, family="slow") for name in "abcd"]
    others = [submission(chip=name, family=family) for name in "abcd" for family in "xyz"]
    found = fit_factors(measured + others, np.array([-0.6] * 4 + [0.0] * 12))
    known, later = (found.log_factor(submission(family="slow", round=name)) for name in ("v5.1", "v6.0"))
    assert known < -0.4
    assert later == pytest.approx(known / 2, abs=0.1)


def test_rounds_have_an_age_and_benchmarks_a_name():
    assert years_before("v4.1") < years_before("v5.1") < 0 == years_before("v9.9")
    assert benchmark_of("llama3_1-405b") is benchmark_of("llama3.1-405b")
    chat, beams = benchmark_of("llama2-70b-99.9"), benchmark_of("gptj-99")
    assert chat is not None
    assert beams is not None
    assert chat.shape == Shape(294, 294)
    assert beams.beams == 4
    assert benchmark_of("whisper") is None
    assert tensor_only_in("v4.1")
    assert not tensor_only_in("v5.1")
    assert not tensor_only_in("v9.9")


def test_a_model_for_no_server_is_refused():
    with pytest.raises(Malformed):
        saturated(chip(memory_gb=3.5), model(), Precision.FP8, LONG, GUESSES)
    with pytest.raises(Malformed):
        replace(GUESSES, memory=0.0)
