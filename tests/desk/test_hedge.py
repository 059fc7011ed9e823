from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.desk.basis import basis_of
from ciyuan.desk.hedge import POINTS_MIN, hedge_ratio, lots_to_hedge, plan_hedge, ratio_of
from ciyuan.desk.messages import CENTI_PER_MTOK, Finding, HedgeRatio
from tests.desk.ledgers import day, exposed

NAN = float("nan")
PLAIN = HedgeRatio(1.0, 0, None, Finding.TOO_FEW_POINTS)


def walk(steps: int = 30, seed: int = 5) -> np.ndarray:
    moves = np.random.Generator(np.random.PCG64(seed)).normal(0.0, 10_000.0, steps)
    return 1_000_000.0 + np.concatenate([[0.0], np.cumsum(moves)])


@pytest.mark.parametrize(
    ("exposure", "lot", "ratio", "lots"),
    [
        (1_499, 1_000, 1.0, 1),
        (1_500, 1_000, 1.0, 2),
        (0, 1_000, 1.0, 0),
        (10**9, 1_000, 0.5, 500_000),
        (1_000, 1_000, 0.0, 0),
        (2.5, 1, 1.0, 3),
    ],
)
def test_lots_are_the_nearest_whole_number(exposure: float, lot: int, ratio: float, lots: int):
    assert lots_to_hedge(exposure, lot, ratio) == lots


@given(st.integers(0, 10**9), st.integers(1, 5_000), st.floats(0, 3))
def test_no_whole_number_of_lots_is_nearer(exposure: int, lot: int, ratio: float) -> None:
    lots = lots_to_hedge(exposure, lot, ratio)
    target = Fraction(exposure) * Fraction(ratio)
    assert lots >= 0
    assert abs(target - lots * lot) <= Fraction(lot, 2)


@pytest.mark.parametrize(
    ("exposure", "lot", "ratio"),
    [(-1, 1_000, 1.0), (NAN, 1_000, 1.0), (1, 0, 1.0), (1, 1_000, -0.1), (1, 1_000, float("inf"))],
)
def test_what_is_no_size_is_malformed(exposure: float, lot: int, ratio: float):
    with pytest.raises(Malformed, match="hedge"):
        lots_to_hedge(exposure, lot, ratio)


@pytest.mark.parametrize("slope", [0.25, 1.0, 1.8, -0.7])
def test_the_ratio_of_an_exact_line_is_its_slope(slope: float):
    reference = walk()
    found = hedge_ratio(5.0 + slope * reference, reference)
    assert found.ratio == pytest.approx(slope)
    assert found.r_squared == pytest.approx(1.0)
    assert (found.points, found.finding) == (30, None)


def test_the_ratio_is_the_slope_of_least_squares():
    reference, noise = walk(), walk(seed=6)
    price = 0.8 * reference + 0.5 * noise
    found = hedge_ratio(price, reference)
    slope = np.polyfit(np.diff(reference), np.diff(price), 1)[0]
    assert found.ratio == pytest.approx(slope)
    correlation = np.corrcoef(np.diff(reference), np.diff(price))[0, 1]
    assert found.r_squared == pytest.approx(correlation**2)


def test_no_other_ratio_leaves_less_variance():
    reference = walk()
    price = 0.6 * reference + walk(seed=9)
    best = hedge_ratio(price, reference).ratio
    left = [
        np.var(np.diff(price) - ratio * np.diff(reference))
        for ratio in (best, best - 0.01, best + 0.01, 0.0, 1.0)
    ]
    assert min(left) == left[0]


def test_days_that_one_series_lacks_make_no_change():
    reference = walk(40)
    price = 2.0 * reference
    price[5], reference[20] = NAN, NAN
    found = hedge_ratio(price, reference)
    assert found.points == 40 - 4
    assert found.ratio == pytest.approx(2.0)


@pytest.mark.parametrize(("steps", "is_plain"), [(POINTS_MIN - 1, True), (POINTS_MIN, False)])
def test_few_points_give_the_plain_ratio_and_say_so(steps: int, is_plain: bool):
    found = hedge_ratio(3.0 * walk(steps), walk(steps))
    assert found.points == steps
    if is_plain:
        assert found == HedgeRatio(1.0, steps, None, Finding.TOO_FEW_POINTS)
    else:
        assert found.ratio == pytest.approx(3.0)


@pytest.mark.parametrize("length", [0, 1, 2])
def test_series_of_hardly_any_days_have_too_few_points(length: int):
    series = np.ones(length)
    assert hedge_ratio(series, series, points_min=0).finding == Finding.TOO_FEW_POINTS


@pytest.mark.parametrize("step", [0.0, 0.1, 1_000.0])
def test_an_index_that_stands_still_or_goes_evenly_gives_the_plain_ratio(step: float):
    reference = 1_000_000.0 + step * np.arange(20, dtype=np.float64)
    found = hedge_ratio(walk(19), reference)
    assert (found.ratio, found.r_squared, found.finding) == (1.0, None, Finding.INDEX_STOOD_STILL)


def test_a_price_that_stands_still_needs_no_hedge():
    found = hedge_ratio(np.full(31, 7.0), walk())
    assert (found.ratio, found.r_squared, found.finding) == (0.0, None, None)
    plan = plan_hedge(5_000 * CENTI_PER_MTOK, 1_000, found)
    assert (plan.lots, plan.target_centitokens, plan.findings) == (0, 0, ())


@pytest.mark.parametrize(
    ("price", "reference"),
    [
        (np.ones(3), np.ones(4)),
        (np.ones((2, 2)), np.ones((2, 2))),
        (np.array([1.0, np.inf]), np.ones(2)),
        (np.ones(2), np.array([1.0, -np.inf])),
    ],
)
def test_series_that_do_not_pair_are_malformed(price: np.ndarray, reference: np.ndarray):
    with pytest.raises(Malformed, match="price series"):
        hedge_ratio(price, reference)


def test_the_ratio_of_a_basis_takes_the_days_that_are_known():
    fixings = {day(number): 950_000 + 1_000 * number**2 for number in range(1, 20)}
    charges = {day(number): (CENTI_PER_MTOK, 2 * fixings.get(day(number), 0) + 5) for number in range(3, 25)}
    found = ratio_of(basis_of(exposed(charges), fixings))
    assert found.points == 16
    assert found.ratio == pytest.approx(2.0)


def test_a_plan_shows_what_rounding_leaves_open():
    plan = plan_hedge(12_400 * CENTI_PER_MTOK, 1_000, HedgeRatio(1.0, 30, 0.9, None))
    assert (plan.lots, plan.hedged_centitokens, plan.residual_centitokens) == (
        12,
        12_000 * CENTI_PER_MTOK,
        400 * CENTI_PER_MTOK,
    )
    assert plan.findings == ()
    assert plan.budget_micro(950_001) == 12_400 * 950_001


def test_a_plan_says_what_kept_it_from_hedging():
    assert plan_hedge(0, 1_000, PLAIN).findings == (Finding.TOO_FEW_POINTS, Finding.NO_USAGE)
    small = plan_hedge(499 * CENTI_PER_MTOK, 1_000, PLAIN)
    assert (small.lots, small.findings) == (0, (Finding.TOO_FEW_POINTS, Finding.UNDER_HALF_A_LOT))
    against = plan_hedge(5_000 * CENTI_PER_MTOK, 1_000, HedgeRatio(-0.4, 30, 0.2, None))
    assert (against.lots, against.target_centitokens, against.findings) == (0, 0, (Finding.NEGATIVE_RATIO,))


def test_a_negative_exposure_is_malformed():
    with pytest.raises(Malformed, match="exposure"):
        plan_hedge(-1, 1_000, PLAIN)


@given(st.integers(0, 10**16), st.integers(1, 2_000), st.floats(0, 2))
def test_target_lots_and_residual_add_up(centitokens: int, lot: int, ratio: float) -> None:
    plan = plan_hedge(centitokens, lot, HedgeRatio(ratio, 30, None, None))
    assert plan.hedged_centitokens + plan.residual_centitokens == plan.target_centitokens
    assert abs(plan.residual_centitokens) <= (lot * CENTI_PER_MTOK + 1) // 2 + 1
