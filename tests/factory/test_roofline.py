"""The physics: what must rise, what must bound what, and that a scheduler's step is the same step."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.constants import GUESSES
from ciyuan.factory.layout import Engine, Layout
from ciyuan.factory.model import Precision
from ciyuan.factory.roofline import Roofline, step_time
from ciyuan.factory.work import Shape, Work, as_column, stacked, taken, work_of
from tests.factory.factory_shapes import chip, model, sparse_model

FP8 = Precision.FP8
SHAPE = Shape(1024, 512)
MIXED, APART = Layout(Engine(4)), Layout(Engine(4), 2, Engine(4), 1)


def roofline(layout=MIXED, shape=SHAPE, made=None, speculative=False, **chips):
    return Roofline(
        work_of(chip(**chips), made or model(), FP8, layout, shape, speculative=speculative), GUESSES
    )


@given(st.lists(st.floats(1, 500), min_size=2, max_size=20, unique=True))
@settings(max_examples=40, deadline=None)
def test_more_sequences_make_each_slower_and_all_together_faster(loads):
    loads = np.array(sorted(loads))
    for one in (roofline(), roofline(made=sparse_model()), roofline(APART)):
        times = one.times(loads)
        assert (np.diff(times.tpot) > 0).all()
        assert (np.diff(loads / times.tpot) > 0).all()


def test_the_parts_make_the_step_and_the_fast_path_agrees():
    loads = np.array([1.0, 7.0, 64.0])
    one = roofline(made=sparse_model(), layout=Layout(Engine(data=4, expert=4)))
    times = one.times(loads)
    step = np.hypot(times.memory, times.arithmetic) + times.transfer + times.overhead + times.sequence
    assert times.step == pytest.approx(step)
    assert one.tpot(loads) == pytest.approx(times.tpot)
    assert times.tpot == pytest.approx(times.step + times.prompts_per_token)


def test_nothing_runs_faster_than_the_peaks():
    one = roofline()
    times = one.times(np.array([1.0, 100.0]))
    work = one.work
    assert (times.step > work.weights_s).all()
    memory, arithmetic = one.uses(times.sequences, times.tpot)
    for use in (memory, arithmetic):
        assert ((use > 0) & (use < 1)).all()


def test_a_faster_memory_or_a_narrower_precision_is_faster():
    slow = roofline().times(8.0).tpot
    assert (roofline(memory_tb_s=2.0).times(8.0).tpot < slow).all()
    wide = Roofline(work_of(chip(), model(), Precision.BF16, MIXED, SHAPE), GUESSES)
    assert (wide.times(8.0).tpot > slow).all()


def test_prompts_read_apart_do_not_slow_decoding_but_bound_it():
    assert (roofline(APART).times(32.0).prompts_per_token == 0).all()
    assert (roofline().times(32.0).prompts_per_token > 0).all()
    starved = roofline(Layout(Engine(4), 8, Engine(4), 1), Shape(8192, 64))
    times = starved.times(200.0)
    assert starved.requests_per_s(times.sequences, times.tpot) == pytest.approx(1 / starved.prompt)


def test_a_cached_prompt_costs_less():
    cached = roofline(shape=Shape(1024, 512, cached_share=0.5))
    assert (cached.prompt < roofline().prompt).all()


@given(st.floats(1, 5000))
@settings(max_examples=40, deadline=None)
def test_a_closed_loop_keeps_its_requests(concurrency):
    for one in (roofline(), roofline(APART)):
        running = one.sequences_at(concurrency)
        assert (running <= np.minimum(concurrency / one.work.decoders, one.work.held) + 1e-9).all() or (
            running == 0.3
        ).all()
        more = one.sequences_at(concurrency * 1.5)
        assert (more >= running * (1 - 1e-6)).all()


def test_drafts_pay_at_small_loads():
    plain, drafted = roofline(made=sparse_model()), roofline(made=sparse_model(), speculative=True)
    assert (drafted.times(2.0).tpot < plain.times(2.0).tpot).all()
    with pytest.raises(Malformed, match="speculative"):
        roofline(speculative=True)


def test_groups_beyond_the_scale_up_domain_pay_for_the_slower_link():
    inside = work_of(chip(), sparse_model(), FP8, Layout(Engine(data=8, expert=8)), SHAPE)
    beyond = work_of(chip(), sparse_model(), FP8, Layout(Engine(data=16, expert=16)), SHAPE)
    wide = work_of(chip(scale_up_gpus=72), sparse_model(), FP8, Layout(Engine(data=16, expert=16)), SHAPE)
    assert beyond.exchange_s > 4 * wide.exchange_s
    assert inside.exchange_s > wide.exchange_s


def test_a_schedulers_step_is_the_physics_step():
    for layout in (MIXED, Layout(Engine(2, expert=2))):
        work = work_of(chip(), sparse_model(), FP8, layout, SHAPE)
        step = step_time(work, GUESSES, SHAPE.context)
        for sequences in (1.0, 30.0):
            told = step.seconds(sequences, sequences * SHAPE.context)
            assert told == pytest.approx(float(Roofline(work, GUESSES).times(sequences).step[0]))
        prompt = step.prefill_s * 1024 + step.prefill_attention_s * 1024**2 / 2 + step.transfer_s * 1024
        assert prompt == pytest.approx(float(Roofline(work, GUESSES).prompt[0]), rel=0.02)


def test_rows_are_stacked_and_taken():
    works = [work_of(chip(), model(), FP8, layout, SHAPE) for layout in (MIXED, APART, Layout(Engine(8)))]
    table = stacked(works)
    again = taken(table, np.array([1]))
    for field in fields(Work):
        assert getattr(again, field.name) == pytest.approx(getattr(works[1], field.name))
    grid = Roofline(as_column(table), GUESSES).tpot(np.ones((3, 5)))
    assert grid.shape == (3, 5)


def test_shapes_that_mean_nothing_are_refused():
    for wrong in ((0, 1, 0), (1, 0, 0), (10, 10, 1.0), (10, 10, -0.1)):
        with pytest.raises(Malformed):
            Shape(*wrong)
