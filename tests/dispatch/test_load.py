"""Load: demand in standard tokens, and whole things shared by the largest remainder."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector
from ciyuan.basics.tokens import Legs
from ciyuan.dispatch.load import share_out, standard_demand

VECTOR = ConversionVector()


@given(
    legs=st.lists(
        st.tuples(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12)), max_size=5
    )
)
def test_demand_is_the_grade_s_own_conversion_rounded_up(legs):
    legs = [(max(a, b), min(a, b), c) for a, b, c in legs]
    columns = np.array(legs, dtype=np.int64).reshape(-1, 3).T
    expected = [-(-VECTOR.standard_centitokens(Legs(*row)) // 100) for row in legs]
    assert standard_demand(columns[0], columns[1], columns[2], VECTOR).tolist() == expected


@pytest.mark.parametrize(
    "legs",
    [
        ([1], [2], [3]),
        ([1], [-1], [3]),
        ([1], [0], [-3]),
        ([1.0], [0], [3]),
        ([1, 2], [0], [3]),
        ([2**60], [0], [2**60]),
    ],
)
def test_what_is_no_demand_by_leg_is_refused(legs):
    with pytest.raises(Malformed, match="demand by leg"):
        standard_demand(np.array(legs[0]), np.array(legs[1]), np.array(legs[2]), VECTOR)


def test_shares_by_hand():
    assert share_out(np.array([10, 1, 7]), np.array([[1, 1, 1], [5, 5, 0], [0, 0, 3]])).tolist() == [
        [4, 3, 3],
        [1, 0, 0],
        [0, 0, 7],
    ]
    assert share_out(np.array([0]), np.array([[0, 0]])).tolist() == [[0, 0]]


@given(data=st.data(), most=st.sampled_from([10, 10**6, 2**62]))
def test_shares_sum_exactly_and_stay_within_one_of_their_quota(data, most):
    hours, sites = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    counts = data.draw(st.lists(st.integers(0, most), min_size=hours, max_size=hours))
    weights = data.draw(
        st.lists(
            st.lists(st.integers(0, min(most, 2**60)), min_size=sites, max_size=sites).filter(any),
            min_size=hours,
            max_size=hours,
        )
    )
    shares = share_out(np.array(counts, dtype=np.int64), np.array(weights, dtype=np.int64)).tolist()
    for count, row, given_weights in zip(counts, shares, weights, strict=True):
        assert sum(row) == count
        for share, weight in zip(row, given_weights, strict=True):
            assert abs(share - Fraction(count * weight, sum(given_weights))) < 1
            assert share == 0 or weight > 0


@pytest.mark.parametrize(
    ("counts", "weights"),
    [
        ([1], [[0, 0]]),
        ([-1], [[1, 1]]),
        ([1], [[1, -1]]),
        ([1, 1], [[1, 1]]),
        ([1.0], [[1, 1]]),
        ([1], [[1.0, 1.0]]),
        ([1], [1]),
    ],
)
def test_what_cannot_be_shared_is_refused(counts, weights):
    with pytest.raises(Malformed, match="shares"):
        share_out(np.array(counts), np.array(weights))
