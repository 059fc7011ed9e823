"""Time to first token: the queue grows with load, and its tail with the quantile."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.constants import GUESSES
from ciyuan.factory.layout import Engine, Layout
from ciyuan.factory.model import Precision
from ciyuan.factory.prefill import (
    ROUND_FIGURES,
    FirstToken,
    Prompting,
    closed_loop_seconds,
    first_token,
    unqueued_seconds,
)
from ciyuan.factory.roofline import Roofline
from ciyuan.factory.work import Shape, work_of
from tests.factory.factory_shapes import chip, model

LOADS = np.array([1.0, 8.0, 64.0])


def at(layout, shape=None):
    work = work_of(chip(), model(), Precision.FP8, layout, shape or Shape(2048, 256))
    roofline = Roofline(work, GUESSES)
    times = roofline.times(LOADS)
    return roofline, times, first_token(roofline, times, times.tpot, ROUND_FIGURES)


@pytest.mark.parametrize("layout", [Layout(Engine(4)), Layout(Engine(4), 1, Engine(2), 1)])
def test_a_fuller_engine_waits_longer(layout):
    _, times, token = at(layout)
    assert (np.diff(token.load) >= 0).all()
    assert (np.diff(token.mean_s) > 0).all()
    assert (token.unqueued_s > times.prompt).all()


def test_longer_prompts_take_longer_and_cached_ones_less():
    short, long, cached = (
        at(Layout(Engine(4)), shape)[2].unqueued_s
        for shape in (Shape(1000, 256), Shape(20_000, 256), Shape(20_000, 256, 0.9))
    )
    assert (short < cached).all() or (cached < long).all()
    assert (cached < long).all()


@given(st.floats(0.01, 0.98), st.floats(0.001, 10))
@settings(max_examples=60, deadline=None)
def test_the_tail_of_the_queue_has_the_mean_of_the_queue(load, scale):
    token = FirstToken(np.zeros(1), np.array([load]), np.array([scale]))
    shares = (np.arange(20_000) + 0.5) / 20_000
    waits = np.array([np.maximum(np.log(load / (1 - shares)), 0.0) * scale]).mean()
    assert token.mean_s[0] == pytest.approx(waits, rel=0.01, abs=1e-6)
    assert token.quantile_s(0.5)[0] <= token.quantile_s(0.99)[0]


def test_a_closed_loop_waits_for_its_wave():
    roofline, times, _ = at(Layout(Engine(4)))
    alone = unqueued_seconds(roofline.work, times, ROUND_FIGURES)
    waves = [closed_loop_seconds(roofline.work, times, ROUND_FIGURES, np.full(3, n)) for n in (1.0, 100.0)]
    assert (alone < waves[0]).all()
    assert (waves[0] < waves[1]).all()


def test_constants_below_nothing_are_refused():
    with pytest.raises(Malformed, match="burst"):
        Prompting(0.1, 1.0, 1.0, 0.0)
