from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.index.weights import cap_of, median_doubled, multipliers, weighted_median_doubled
from tests.index.naive import capped, weighted_median

VOLUMES = st.lists(st.one_of(st.integers(1, 100), st.integers(1, 2**62)), min_size=1, max_size=9)
CAPS = st.sampled_from((1, 1_000, 2_500, 3_000, 3_333, 3_334, 5_000, 9_999, 10_000))


@pytest.mark.parametrize(
    ("values", "doubled"),
    [
        ([7], 14),
        ([3, 1], 4),
        ([1, 2], 3),
        ([9, 1, 5], 10),
        ([4, 4, 1, 9], 8),
        ([2**63, 2**63 - 1], 2**64 - 1),
    ],
)
def test_the_median_of_an_even_number_is_the_middle_of_two(values: list[int], doubled: int):
    assert median_doubled(values) == doubled


@pytest.mark.parametrize(
    ("pairs", "doubled"),
    [
        ([(5, 1)], 10),
        ([(1, 1), (9, 1)], 10),  # exactly half: the middle
        ([(1, 1), (9, 2)], 18),
        ([(1, 3), (9, 2)], 2),
        ([(9, 1), (1, 1), (5, 2)], 10),
        ([(1, 2), (4, 1), (9, 1)], 5),  # half is reached exactly at 1: the middle of 1 and 4
        ([(4, 1), (4, 1), (9, 2)], 13),
    ],
)
def test_the_weighted_median_is_where_half_of_the_weight_is_reached(
    pairs: list[tuple[int, int]], doubled: int
):
    assert weighted_median_doubled(pairs) == doubled


def test_there_is_no_median_of_nothing():
    with pytest.raises(ValueError, match="no weight"):
        weighted_median_doubled([])


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 10**6)), min_size=1, max_size=12))
def test_the_weighted_median_is_the_naive_one(pairs: list[tuple[int, int]]) -> None:
    naive = weighted_median([(Fraction(price), Fraction(weight)) for price, weight in pairs])
    assert weighted_median_doubled(pairs) == 2 * naive


@pytest.mark.parametrize(
    ("sellers", "cap"), [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (3_000, 10_000)), (9, (3_000, 10_000))]
)
def test_the_cap_is_an_equal_part_where_that_is_more(sellers: int, cap: tuple[int, int]):
    assert cap_of(sellers, 3_000) == cap


@pytest.mark.parametrize(
    ("volumes", "shares"),
    [
        ([50, 30, 20], [(1, 3), (1, 3), (1, 3)]),
        ([3, 3, 2], [(1, 3), (1, 3), (1, 3)]),
        ([97, 1, 1, 1], [(3, 10), (7, 30), (7, 30), (7, 30)]),
        ([1_000, 1_000, 1_000, 1], [(3, 10), (3, 10), (3, 10), (1, 10)]),
        ([25, 25, 25, 25], [(1, 4), (1, 4), (1, 4), (1, 4)]),
        ([30, 28, 22, 20], [(30, 100), (28, 100), (22, 100), (20, 100)]),
        ([31, 28, 21, 20], [(3, 10), (7 * 28, 690), (7 * 21, 690), (7 * 20, 690)]),
        ([60, 30, 5, 5], [(3, 10), (3, 10), (1, 5), (1, 5)]),
    ],
)
def test_the_cap_is_30_percent_of_what_is_left_of_the_weight(
    volumes: list[int], shares: list[tuple[int, int]]
):
    weights = [volume * weigh for volume, weigh in zip(volumes, multipliers(volumes, 3_000), strict=True)]
    assert [Fraction(weight, sum(weights)) for weight in weights] == [Fraction(*share) for share in shares]


@given(VOLUMES, CAPS)
def test_nobody_weighs_more_than_the_cap_and_the_others_keep_their_proportions(
    volumes: list[int], cap_bp: int
) -> None:
    weights = [volume * weigh for volume, weigh in zip(volumes, multipliers(volumes, cap_bp), strict=True)]
    total = sum(weights)
    cap = max(Fraction(cap_bp, 10_000), Fraction(1, len(volumes)))
    shares = [Fraction(weight, total) for weight in weights]
    assert min(weights) > 0
    assert max(shares) <= cap
    free = [
        (volume, weight)
        for volume, weight, share in zip(volumes, weights, shares, strict=True)
        if share < cap
    ]
    assert all(first[0] * second[1] == second[0] * first[1] for first in free for second in free)
    bound = [volume for volume, share in zip(volumes, shares, strict=True) if share == cap]
    assert all(volume >= other for volume in bound for other, _ in free)


@given(VOLUMES, CAPS)
def test_the_weights_are_the_naive_ones(volumes: list[int], cap_bp: int) -> None:
    weights = [volume * weigh for volume, weigh in zip(volumes, multipliers(volumes, cap_bp), strict=True)]
    naive = capped(dict(enumerate(volumes)), Fraction(cap_bp, 10_000))
    whole = sum(naive.values())
    assert [Fraction(weight, sum(weights)) for weight in weights] == [
        naive[place] / whole for place in range(len(volumes))
    ]
