"""Saturated throughput and its correction."""

from dataclasses import replace

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.constants import GUESSES
from ciyuan.factory.model import Precision
from ciyuan.factory.offline import (
    SLOPES,
    Submission,
    fit_factors,
    saturated,
    shape_of,
    years_before,
)
from ciyuan.factory.work import Shape
from tests.factory.factory_shapes import chip, model, sparse_model

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


def test_the_best_layout_is_no_worse_than_any_and_says_where_time_goes():
    best = saturated(chip(), sparse_model(), Precision.FP8, Shape(500, 200), GUESSES)
    one = saturated(chip(), sparse_model(), Precision.FP8, Shape(500, 200), GUESSES, gpus_max=2)
    assert best.tokens_per_s_per_gpu >= one.tokens_per_s_per_gpu > 0
    assert set(best.shares) | {"years"} == set(SLOPES)
    assert all(0 <= share <= 1 for share in best.shares.values())
    assert saturated(
        chip(memory_tb_s=3.0), model(), Precision.FP8, Shape(500, 200), GUESSES
    ).tokens_per_s_per_gpu > (
        saturated(chip(), model(), Precision.FP8, Shape(500, 200), GUESSES).tokens_per_s_per_gpu
    )


def test_beams_cost_more_than_one_and_less_than_as_many_requests():
    one, four = (
        saturated(chip(), model(), Precision.FP8, Shape(900, 70), GUESSES, beams=beams).tokens_per_s_per_gpu
        for beams in (1, 4)
    )
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


def test_rounds_have_an_age_and_benchmarks_a_shape():
    assert years_before("v4.1") < years_before("v5.1") < 0 == years_before("v9.9")
    assert shape_of("llama3_1-405b") == shape_of("llama3.1-405b") == Shape(9428, 684)
    assert shape_of("llama2-70b-99.9") == Shape(294, 294)
    assert shape_of("whisper") is None


def test_a_model_for_no_server_is_refused():
    with pytest.raises(Malformed):
        saturated(chip(memory_gb=5.0), model(), Precision.FP8, Shape(500, 200), GUESSES)
    with pytest.raises(Malformed):
        replace(GUESSES, memory=0.0)
