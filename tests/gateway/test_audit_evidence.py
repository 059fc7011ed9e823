"""The betting martingale: its mean under honesty by exact fractions, its shares, its alarm, and how often it errs."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.gateway.audit_evidence import (
    BET_SIZE,
    BP,
    NO_CALL,
    UNIT,
    WEALTH_MAX,
    Bet,
    Bounds,
    Evidence,
    check_bets,
    share,
)
from ciyuan.gateway.audit_terms import (
    CLAIM_BET_SIZE,
    CLAIM_BOUNDS,
    EXCESSES_BP,
    FELL_BOUNDS,
    RATIO_BETS,
    ROSE_BOUNDS,
    AuditTerms,
)

BETS = (Bet(CLAIM_BET_SIZE),)
NEVER_PPM = 1


def look(
    evidence, claimed, limit, *, bets=BETS, bounds=CLAIM_BOUNDS, key=1, alarm_ppm=NEVER_PPM, expected=1_000
):
    return evidence.look(
        key, claimed, limit * BP, expected=expected, bets=bets, bounds=bounds, alarm_ppm=alarm_ppm
    )


def clipped(claimed, limit, bounds):
    ratio = Fraction(claimed, limit)
    return min(max(ratio, Fraction(bounds.low_bp, BP)), Fraction(bounds.high_bp, BP))


def test_the_shares_sum_to_one_and_no_more():
    assert [share(n) for n in (1, 2, 3, 4)] == [UNIT // 2, UNIT // 12, UNIT // 12, UNIT // 48]
    for blocks in range(1, 15):
        total = sum(share(n) for n in range(1, 2**blocks))
        assert 0 <= Fraction(blocks, blocks + 1) - Fraction(total, UNIT) < Fraction(2**blocks, UNIT)


@given(
    low=st.integers(0, 3_000),
    high=st.integers(1_000, 5_000),
    bounds=st.sampled_from((CLAIM_BOUNDS, ROSE_BOUNDS, FELL_BOUNDS)),
    wealth=st.integers(0, 10**9),
)
def test_no_honest_mean_gains(low, high, bounds, wealth):
    """Of two claims, with the chances that make the clipped mean the limit, the mean wealth is no more than was staked."""
    limit = 1_000
    one, other = clipped(low, limit, bounds), clipped(high, limit, bounds)
    if not one < 1 < other:
        return
    chance = (1 - one) / (other - one)  # of `high`
    bets = BETS if bounds is CLAIM_BOUNDS else RATIO_BETS
    after = []
    for claimed in (low, high):
        evidence = Evidence([wealth] * len(bets), [0] * len(bets))
        look(evidence, claimed, limit, bets=bets, bounds=bounds)
        after.append(sum(evidence.wealths))
    mean = (1 - chance) * after[0] + chance * after[1]
    assert mean <= len(bets) * (wealth + share(1))


@given(claims=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**5)), max_size=60))
def test_wealth_is_bounded_and_an_alarm_stays(claims):
    evidence = Evidence.fresh(len(RATIO_BETS))
    tipped_at = None
    for key, (claimed, limit) in enumerate(claims):
        before = evidence.words()
        tipped = look(
            evidence, claimed, limit, bets=RATIO_BETS, bounds=ROSE_BOUNDS, key=key, alarm_ppm=10_000
        )
        assert all(0 <= wealth <= WEALTH_MAX for wealth in evidence.wealths)
        if tipped_at is not None:
            assert not tipped
            assert evidence.words() == before
        elif tipped:
            tipped_at = key
            assert evidence.odds >= 100
            assert evidence.calls == key + 1
    assert evidence.tipped == (tipped_at is not None)
    assert evidence.tipped_key == (NO_CALL if tipped_at is None else tipped_at)
    assert Evidence.of_words(evidence.words(), len(RATIO_BETS)) == evidence


def test_a_bet_is_placed_only_on_long_calls():
    bets = (Bet(CLAIM_BET_SIZE, 100), Bet(CLAIM_BET_SIZE))
    evidence = Evidence.fresh(2)
    look(evidence, 60, 50, bets=bets, expected=50)
    assert evidence.placed == [0, 1]
    assert evidence.wealths[0] == 0
    look(evidence, 120, 100, bets=bets, expected=100)
    assert evidence.placed == [1, 2]
    assert evidence.wealths[0] > 0


def test_restart_forgets_everything():
    evidence = Evidence.fresh(1)
    for key in range(50):
        look(evidence, 200, 100, key=key, alarm_ppm=1_000)
    assert evidence.tipped
    evidence.restart()
    assert evidence == Evidence.fresh(1)


HONEST = {
    # chance of the higher ratio, the two ratios: the clipped mean is 1 exactly, the most an honest supplier may claim
    "a coin": (Fraction(1, 2), 950, 1_050),
    "rare and high": (Fraction(1, 11), 900, 2_000),
    "far beyond the clip": (Fraction(1, 11), 900, 9_000),
    "below the clip": (Fraction(1, 3), 100, 1_200),
}


@pytest.mark.parametrize("name", HONEST)
def test_false_alarms_stay_under_the_bound_at_the_limit_of_honesty(name):
    """1,000 suppliers who claim as much as honesty allows, 300 calls each, tests that may err with one in 20.

    So close to the limit the bound is nearly reached (of 4,000 coins 4.0% are accused in 600 calls); 3 deviations of
    a binomial are what chance adds.
    """
    chance, low, high = HONEST[name]
    mean = (1 - chance) * clipped(low, 1_000, CLAIM_BOUNDS) + chance * clipped(high, 1_000, CLAIM_BOUNDS)
    assert mean == 1
    rng = random.Random(name)  # noqa: S311
    accused = 0
    for _ in range(1_000):
        evidence = Evidence.fresh(1)
        for key in range(300):
            claimed = high if rng.random() < chance else low
            if look(evidence, claimed, 1_000, key=key, alarm_ppm=50_000):
                accused += 1
                break
    assert accused <= 50 + 3 * (1_000 * 0.05 * 0.95) ** 0.5


def test_what_cannot_be_is_refused():
    with pytest.raises(InvariantBroken, match="no limit"):
        look(Evidence.fresh(1), 1, 0)
    with pytest.raises(InvariantBroken, match="more than all"):
        check_bets((Bet(BET_SIZE + 1),), ROSE_BOUNDS)
    with pytest.raises(InvariantBroken, match="does not hold 1"):
        check_bets((Bet(1),), Bounds(11_000, 20_000, 1))
    for words in ([], [0, -1, 0, 0], [0, -1, 0, -5, 0], [-1, -1, 0, 0, 0], [0, -2, 0, 0, 0]):
        with pytest.raises(Malformed, match="kept evidence"):
            Evidence.of_words(words, 1)


def test_the_bets_that_are_used_cannot_lose_more_than_all():
    for tolerance in (0, 50, 199, 5_000):
        bets = AuditTerms(tolerance_bp=tolerance).claim_bets("any")
        assert len(bets) == len(EXCESSES_BP)
        check_bets(bets, CLAIM_BOUNDS)
    check_bets(RATIO_BETS, ROSE_BOUNDS)
    check_bets(RATIO_BETS, FELL_BOUNDS)
