"""The Pareto front: nothing beats it, it falls, and between its points it is monotone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.calibration import UNCALIBRATED
from ciyuan.factory.calibration_fit import Fitted
from ciyuan.factory.campaigns import NOBODY
from ciyuan.factory.constants import GUESSES
from ciyuan.factory.front import Software, front_of, steffen, sweep
from ciyuan.factory.layout import Engine, Layout
from ciyuan.factory.messages import Provenance
from ciyuan.factory.model import Precision
from ciyuan.factory.prefill import LOAD_MAX
from ciyuan.factory.work import Shape
from tests.factory.factory_shapes import chip, model, sparse_model

FITTED = Fitted(GUESSES, UNCALIBRATED, NOBODY)
ANY = Software("vllm", "", "")


@pytest.fixture(scope="module")
def swept():
    return sweep(chip(), sparse_model(), Precision.FP8, Shape(1024, 256), ANY, FITTED)


def test_no_point_beats_the_front(swept):
    front = front_of(swept)
    assert (np.diff(front.tokens_per_s_per_user) > 0).all()
    assert (np.diff(front.output_tokens_per_s_per_gpu) < 0).all()
    for one in swept:
        for speed, rate in zip(
            one.points.tokens_per_s_per_user, one.points.output_tokens_per_s_per_gpu, strict=True
        ):
            faster = front.tokens_per_s_per_user >= speed * (1 - 1e-12)
            assert faster.any()
            assert front.output_tokens_per_s_per_gpu[faster].max() >= rate * (1 - 1e-12)


def test_points_of_the_front_are_points_of_layouts(swept):
    front = front_of(swept)
    for at, (place, load) in enumerate(zip(front.places, front.loads, strict=True)):
        points = swept[place].points
        assert points.tokens_per_s_per_user[load] == pytest.approx(front.tokens_per_s_per_user[at])
        assert points.output_tokens_per_s_per_gpu[load] == front.output_tokens_per_s_per_gpu[at]


def test_below_the_front_the_rate_is_clamped_and_above_it_nothing(swept):
    front = front_of(swept)
    slow, fast = front.tokens_per_s_per_user[[0, -1]]
    assert front.rate_at(slow / 2) == front.output_tokens_per_s_per_gpu[0]
    assert front.rate_at(fast) == pytest.approx(front.output_tokens_per_s_per_gpu[-1])
    assert front.rate_at(fast * 1.001) == 0.0
    assert front.per_mw(1000.0) == pytest.approx(front.output_tokens_per_s_per_gpu * 1000)


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 10)), min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_interpolation_is_monotone_and_meets_its_points(steps):
    x = np.cumsum([step for step, _ in steps])
    y = 100.0 - np.cumsum([drop for _, drop in steps])
    assert steffen(x, y, x) == pytest.approx(y)
    fine = steffen(x, y, np.linspace(x[0], x[-1], 200))
    assert (np.diff(fine) <= 1e-9).all()
    assert steffen(x[:1], y[:1], np.array([3.0])) == pytest.approx(y[0])


def test_first_tokens_wait_longer_under_load_and_in_the_tail(swept):
    for one in swept:
        assert (one.ttft_mean_s >= one.points.ttft_s).all()
        assert (one.ttft_p99_s >= one.ttft_p95_s).all()
        assert (one.ttft_p95_s >= one.points.ttft_s).all()
        assert np.isfinite(one.ttft_p99_s).all()
    assert 0 < LOAD_MAX < 1


def test_what_nobody_measured_says_so_and_carries_a_band(swept):
    for one in swept:
        assert one.points.provenance is Provenance.EXTRAPOLATED
        assert (one.points.low < 1).all()
        assert (one.points.high > 1).all()
        assert one.points.low * one.points.high == pytest.approx(1.0)


def test_named_layouts_alone_are_swept():
    layouts = (Layout(Engine(2)), Layout(Engine(4)))
    found = sweep(chip(), model(), Precision.FP8, Shape(1000, 100), ANY, FITTED, layouts=layouts, loads=5)
    assert [one.layout for one in found] == list(layouts)
    assert all(len(one.points.tpot_s) == 5 for one in found)
    with pytest.raises(Malformed, match="layouts"):
        sweep(chip(), model(), Precision.FP8, Shape(1000, 100), ANY, FITTED, layouts=())


def test_a_model_that_does_not_fit_is_refused():
    with pytest.raises(Malformed, match="No layout"):
        sweep(chip(memory_gb=3.4), model(), Precision.FP8, Shape(1000, 100), ANY, FITTED)


def test_a_slower_calibration_moves_the_whole_front(swept):
    slower = replace(GUESSES, step_s=GUESSES.step_s * 20)
    other = sweep(
        chip(), sparse_model(), Precision.FP8, Shape(1024, 256), ANY, replace(FITTED, constants=slower)
    )
    assert front_of(other).tokens_per_s_per_user[-1] < front_of(swept).tokens_per_s_per_user[-1]
