"""A trace is cut, stretched, dealt out and repeated without losing or inventing anything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler_trace import Trace, trace_of
from tests.factory.scheduler_worlds import even, traces


@given(traces())
def test_a_slice_keeps_each_requests_blocks(trace: Trace):
    middle = trace.span_s / 2
    parts = [part for part in (cut(trace, 0, middle), cut(trace, middle, np.inf)) if part is not None]
    assert sum(part.requests for part in parts) == trace.requests
    np.testing.assert_array_equal(np.concatenate([part.blocks for part in parts]), trace.blocks)
    np.testing.assert_array_equal(np.concatenate([part.input_tokens for part in parts]), trace.input_tokens)


def cut(trace: Trace, since: float, until: float) -> Trace | None:
    try:
        return trace.between(since, until)
    except Malformed:
        return None


def test_a_rate_changes_the_clock_only():
    trace = trace_of([3.0, 4.0, 8.0], [1, 2, 3], [4, 5, 6]).at_rate(10.0)
    np.testing.assert_allclose(trace.arrival_s, [0.0, 0.04, 0.2])
    assert trace.requests_per_s == pytest.approx(10.0)
    assert trace.input_tokens.tolist() == [1, 2, 3]


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5))
def test_tiers_are_dealt_in_their_shares_at_every_moment(weights: list[float]):
    shares = np.array(weights) / sum(weights)
    tier = even(300, 1.0, 1, 1).with_tiers(shares.tolist()).tier
    for number, share in enumerate(shares):
        so_far = np.cumsum(tier == number)
        assert np.all(np.abs(so_far - share * np.arange(1, 301)) < len(shares))


def test_rounds_have_their_own_blocks():
    trace = trace_of([0, 1], [20, 10], [1, 1], None, [["a", "b"], ["a"]], 10).repeated(2)
    assert trace.arrival_s.tolist() == [0, 1, 2, 3]
    assert trace.blocks.tolist() == [0, 1, 0, 2, 3, 2]
    assert trace.block_count == 4


def test_requests_are_sorted_with_their_hashes():
    trace = trace_of([2, 1], [10, 20], [1, 2], [1, 0], [["x"], ["y", "x"]], 10)
    assert trace.input_tokens.tolist() == [20, 10]
    assert trace.tier.tolist() == [0, 1]
    assert trace.blocks.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        (([], [], []), "no request"),
        (([0.0], [0], [1]), "input_tokens"),
        (([0.0], [1], [0]), "output_tokens"),
        (([0.0], [1, 2], [1, 2]), "input_tokens"),
        (([float("nan")], [1], [1]), "arrival_s"),
        (([0.0], [1], [1], [-1]), "tier"),
        (([0.0], [30], [1], None, [["a"]], 10), "3 blocks of 10"),
    ],
)
def test_what_is_no_trace_is_refused(columns: tuple, what: str):
    with pytest.raises(Malformed, match=what):
        trace_of(*columns)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_is_above_nothing(rate: float):
    with pytest.raises(Malformed, match="rate of a trace"):
        even(3, 1.0, 1, 1).at_rate(rate)


def test_what_comes_all_at_once_has_no_rhythm_to_stretch():
    with pytest.raises(Malformed, match="a span of time"):
        even(3, 0.0, 1, 1).at_rate(1.0)


@pytest.mark.parametrize("shares", [[], [0.5], [1.5, -0.5]])
def test_shares_sum_to_one(shares: list[float]):
    with pytest.raises(Malformed, match="shares of tiers"):
        even(3, 1.0, 1, 1).with_tiers(shares)
