"""Quantiles of the last samples are within their tail, and a share is judged with an allowance for chance."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway.route_measure import ALL_BP, SAMPLES_KEPT, SAMPLES_STALE, Recent, more_often


@given(st.lists(st.integers(1, 10**12), max_size=2 * SAMPLES_KEPT), st.sampled_from((500, 5_000)))
def test_a_quantile_has_at_most_its_tail_above_it(samples, tail_bp):
    recent = Recent(tail_bp)
    for sample in samples:
        recent.add(sample)
    kept = samples[-SAMPLES_KEPT:]
    found = recent.quantile()
    if not kept:
        assert found is None
        return
    assert found in kept
    assert sum(sample > found for sample in kept) * ALL_BP <= len(kept) * tail_bp
    less = [sample for sample in kept if sample < found]
    assert not less or sum(sample > max(less) for sample in kept) * ALL_BP > len(kept) * tail_bp


@given(st.lists(st.tuples(st.integers(1, 10**9), st.booleans()), max_size=60))
def test_what_was_read_is_at_most_so_many_samples_old(steps):
    recent, samples, read = Recent(5_000), [], {}
    for sample, ask in steps:
        recent.add(sample)
        samples.append(sample)
        fresh = Recent(5_000)
        for one in samples:
            fresh.add(one)
        read[len(samples)] = fresh.quantile()
        if ask:
            ages = range(max(1, len(samples) - SAMPLES_STALE + 1), len(samples) + 1)
            assert recent.quantile() in [read[at] for at in ages]


def test_the_mean_moves_an_eighth_of_the_way():
    recent = Recent(500)
    for sample in (800, 1_600, 900):
        recent.add(sample)
    assert recent.mean == 900
    assert recent.count == 3


@given(st.integers(0, 3_000), st.integers(0, 3_000), st.integers(0, ALL_BP), st.integers(0, 4))
def test_a_share_is_judged_by_the_normal_bound(count, more, share_bp, sigmas):
    of = count + more
    p = Fraction(share_bp, ALL_BP)
    excess = count - of * p
    beyond = excess > 0 and excess**2 > sigmas**2 * of * p * (1 - p)
    if more_often(count, of, share_bp, sigmas) != beyond:
        # the root is taken in whole hundredths of a percent
        slack = Fraction(sigmas, ALL_BP)
        assert (excess + slack) ** 2 >= sigmas**2 * of * p * (1 - p) >= max(0, excess - slack) ** 2


@pytest.mark.parametrize(
    ("count", "of", "share_bp", "sigmas", "judged"),
    [(0, 0, 500, 2, False), (1, 1, 500, 2, True), (2, 8, 500, 2, True), (1, 8, 500, 2, False), (6, 8, 5_000, 2, False),
     (7, 8, 5_000, 2, True), (2, 100, 50, 3, False), (3, 100, 50, 3, True), (71, 10_000, 50, 3, False),
     (72, 10_000, 50, 3, True)],
)  # fmt: skip
def test_the_allowance_for_chance(count, of, share_bp, sigmas, judged):
    assert more_often(count, of, share_bp, sigmas) is judged
