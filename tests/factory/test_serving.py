"""Serving points: Little's law, look-up without guessing, and shapes between two that were measured."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.messages import Provenance
from ciyuan.factory.serving import at_shape, leg_seconds, output_rate, points_at
from tests.factory.points import LONG, SHORT


def test_little_s_law_by_hand():
    # 8 requests in service, each 1 s to the first of its 101 tokens and 10 ms to each further one: 2 s; so 4 requests a second.
    assert output_rate(8, 101, 1000.0, 10.0, 1) == pytest.approx(404.0)
    assert output_rate(8, 101, 1000.0, 10.0, 4) == pytest.approx(101.0)


def test_a_point_is_looked_up_by_all_four_names():
    other = replace(SHORT, tier="high")
    assert points_at([SHORT, LONG, other], "chip_a", "model_a", "fp4", "medium") == (SHORT, LONG)
    assert points_at(iter([SHORT, other]), "chip_a", "model_a", "fp4", "high") == (other,)


@pytest.mark.parametrize(
    ("wanted", "named", "measured"),
    [
        (("chip_a", "nobody's", "fp4", "medium"), "model", "model_a"),
        (("chip_z", "model_a", "fp4", "medium"), "chip", "chip_a"),
        (("chip_a", "model_a", "fp8", "medium"), "precision", "fp4"),
        (("chip_a", "model_a", "fp4", "ultra"), "tier", "medium"),
    ],
)
def test_what_was_not_measured_is_refused_and_what_was_is_named(wanted, named, measured):
    with pytest.raises(Malformed) as refused:
        points_at([SHORT, LONG], *wanted)
    assert refused.value.thing.endswith(f", {named}")
    assert measured in refused.value.expected


def test_leg_times_solve_the_two_shapes():
    legs = leg_seconds([SHORT, LONG])
    assert legs.input == pytest.approx(10 / 7000)
    assert legs.output == pytest.approx(60 / 7000)
    assert (leg_seconds([LONG, SHORT]).input, leg_seconds([LONG, SHORT]).output) == pytest.approx(
        (legs.input, legs.output)
    )


def test_one_shape_cannot_tell_the_legs_apart():
    with pytest.raises(Malformed, match="two request shapes"):
        leg_seconds([SHORT])
    with pytest.raises(Malformed, match="two request shapes"):
        leg_seconds([SHORT, replace(SHORT, input_tokens=2000, output_tokens=2000)])


def test_shapes_that_contradict_each_other_are_refused():
    faster_with_more_input = replace(LONG, output_tokens_per_s=200.0)
    with pytest.raises(Malformed, match="whose times agree"):
        leg_seconds([SHORT, faster_with_more_input])


def test_a_measured_shape_comes_back_as_it_is():
    assert at_shape([SHORT, LONG], 8000, 1000) is LONG
    assert at_shape([SHORT], 1000, 1000) is SHORT


def test_a_shape_between_is_calibrated_and_cautious():
    point = at_shape([SHORT, LONG], 400, 100)
    assert point.provenance is Provenance.CALIBRATED
    assert point.output_tokens_per_s == pytest.approx(100 / (400 * 10 / 7000 + 100 * 60 / 7000))
    assert (point.tokens_per_s_per_user, point.ttft_ms) == (45.0, 900.0)
    assert (point.gpus_per_replica, point.software, point.observed_on) == (
        8,
        "engine 1 | engine 2",
        "2026-02-01",
    )


@given(ratio=st.floats(1.0, 8.0), output=st.floats(1.0, 1e5))
def test_a_calibrated_rate_lies_between_the_measured_ones_and_knows_no_scale(ratio: float, output: float):
    point = at_shape([SHORT, LONG], ratio * output, output)
    assert (
        LONG.output_tokens_per_s * (1 - 1e-9)
        <= point.output_tokens_per_s
        <= SHORT.output_tokens_per_s * (1 + 1e-9)
    )
    assert point.output_tokens_per_s == pytest.approx(
        at_shape([SHORT, LONG], ratio * 7, 7.0).output_tokens_per_s
    )


@pytest.mark.parametrize(("shape_in", "shape_out"), [(900, 1000), (8001, 1000), (100, 0)])
def test_a_shape_beyond_the_measured_ratios_is_refused(shape_in, shape_out):
    with pytest.raises(Malformed, match="from 1 to 8"):
        at_shape([SHORT, LONG], shape_in, shape_out)


def test_points_of_two_kinds_are_not_mixed():
    with pytest.raises(Malformed, match="one chip, model, precision and tier"):
        at_shape([SHORT, replace(LONG, chip="chip_b")], 4000, 1000)
    with pytest.raises(Malformed, match="one chip, model, precision and tier"):
        at_shape([], 4000, 1000)
