"""Many steps in closed form are the sum of the steps, and one step is what `step` says."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ciyuan.factory.scheduler_clock import after_steps, mixed_s, steps_until, sum_of_roots
from ciyuan.factory.scheduler_state import EXACT_STEPS_DEFAULT, opened
from ciyuan.factory.scheduler_terms import TOKEN_PARTS, Cluster, EngineTerms
from ciyuan.factory.step import StepTime
from tests.factory.scheduler_worlds import STEP, even

SUM_TOLERANCE = 1e-8
small = st.floats(0.0, 1e-2, allow_subnormal=False)
coefficients = st.builds(
    lambda **some: replace(STEP, **some),
    weights_s=small, experts_s=small, expert_miss=st.floats(0, 1), context_s=st.floats(0, 1e-6), decode_s=st.floats(0, 1e-3),
    attention_s=st.floats(0, 1e-6), transfer_s=st.floats(0, 1e-5), sequence_s=st.floats(0, 1e-4), fixed_s=small,
)  # fmt: skip


def cost_of(step: StepTime) -> np.ndarray:
    return np.asarray(opened(even(1, 1.0, 1, 1), Cluster(EngineTerms(step))).cost[0])


@given(coefficients, st.integers(0, 300), st.integers(0, 400_000), st.integers(0, 4000), st.floats(0, 1e9))
def test_one_step_is_the_formula_of_step(
    step: StepTime, places: int, context: int, prompt: int, attended: float
):
    if places + prompt:
        here = mixed_s(cost_of(step), 1, places, context * TOKEN_PARTS, prompt, attended)
        assert here == pytest.approx(float(step.seconds(places, context, prompt, attended)), rel=1e-12)


@settings(max_examples=400, deadline=None)
@given(
    coefficients,
    st.integers(1, 4),
    st.integers(1, 300),
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.integers(1024, 4096),
)
@example(replace(STEP, weights_s=0.0, experts_s=0.0, decode_s=1e-3, attention_s=0.0), 1, 1, 1, 3000, 1024)
@example(replace(STEP, context_s=0.0, attention_s=0.0), 1, 3, 10, 50, 1024)
def test_many_steps_are_the_sum_of_the_steps(
    step: StepTime, positions: int, places: int, context_each: int, steps: int, parts: int
):
    cost, context, grown = cost_of(step), places * (context_each + 1) * TOKEN_PARTS, places * parts
    jumped = after_steps(cost, positions, places, context, grown, 0.0, steps, EXACT_STEPS_DEFAULT)
    one_by_one = after_steps(cost, positions, places, context, grown, 0.0, steps, steps)
    assert jumped == pytest.approx(one_by_one, rel=SUM_TOLERANCE)
    added = sum(mixed_s(cost, positions, places, context + j * grown, 0, 0.0) for j in range(steps))
    assert one_by_one == pytest.approx(added, rel=1e-12)


@given(small, small, st.floats(0, 1e-3), st.floats(0, 1e-3), st.integers(1, 5000))
def test_a_sum_of_roots_after_its_first_steps(m: float, a: float, dm: float, da: float, n: int):
    """The first steps, where the root bends, are added one by one; from there on the closed form holds."""
    m, a = m + EXACT_STEPS_DEFAULT * dm, a + EXACT_STEPS_DEFAULT * da
    j = np.arange(n)
    assert sum_of_roots(m, a, dm, da, n) == pytest.approx(
        float(np.hypot(m + j * dm, a + j * da).sum()), rel=SUM_TOLERANCE, abs=1e-300
    )


@given(coefficients, st.integers(1, 50), st.integers(2, 2000), st.floats(0, 1), st.sampled_from([8, 1 << 60]))
def test_an_arrival_interrupts_at_the_first_boundary_not_before_it(
    step: StepTime, places: int, steps: int, share: float, exact: int
):
    cost, context, grown = (
        cost_of(replace(step, fixed_s=step.fixed_s + 1e-6)),
        places * 100 * TOKEN_PARTS,
        places * TOKEN_PARTS,
    )

    def after(count: int) -> float:
        return after_steps(cost, 1, places, context, grown, 5.0, count, exact)

    until = 5.0 + share * (after(steps) - 5.0)
    found, end = steps_until(cost, 1, places, context, grown, 5.0, steps, exact, after(steps), until)
    assert 1 <= found <= steps
    assert end == after(found)
    assert end >= until or found == steps
    assert found == 1 or after(found - 1) < until
