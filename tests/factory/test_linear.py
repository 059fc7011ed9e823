"""HiGHS finds what enumeration finds, with prices that prove it."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import InvariantBroken
from ciyuan.factory.linear import maximise


def programme(seed: int, rows: int, wide: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A x + spare = b with all entries of A above 0, so that the optimum is finite; the spare columns come last."""
    chance = np.random.default_rng(seed)
    columns = np.hstack([chance.integers(1, 9, (rows, wide)).astype(np.float64), np.eye(rows)])
    gains = np.concatenate([chance.integers(-3, 9, wide).astype(np.float64), np.zeros(rows)])
    return columns, gains, chance.integers(0, 12, rows).astype(np.float64)


def none_barred(gains: np.ndarray) -> np.ndarray:
    return np.zeros(len(gains), dtype=np.bool_)


def best_by_enumeration(columns: np.ndarray, gains: np.ndarray, bounds: np.ndarray) -> float:
    """The best of all feasible vertices."""
    best = -np.inf
    for basis in combinations(range(len(gains)), len(bounds)):
        inside = columns[:, basis]
        if abs(np.linalg.det(inside)) > 1e-9:
            values = np.linalg.solve(inside, bounds)
            if (values >= -1e-9).all():
                best = max(best, float(gains[list(basis)] @ values))
    return best


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6))
def test_the_best_vertex_is_found_and_its_prices_prove_it(seed: int, rows: int, wide: int):
    columns, gains, bounds = programme(seed, rows, wide)
    vertex = maximise(columns, gains, bounds, none_barred(gains))
    assert vertex.objective == pytest.approx(best_by_enumeration(columns, gains, bounds), abs=1e-8)
    assert columns @ vertex.amounts == pytest.approx(bounds, abs=1e-8)
    assert (vertex.amounts >= 0).all()
    assert (gains - vertex.duals @ columns <= 1e-8).all(), "no column would gain at these prices"
    assert vertex.duals @ bounds == pytest.approx(vertex.objective, abs=1e-8)
    again = maximise(columns, gains, bounds, none_barred(gains))
    assert again.amounts.tolist() == vertex.amounts.tolist()
    assert again.duals.tolist() == vertex.duals.tolist()


def test_barred_columns_stay_at_nothing():
    columns, gains, bounds = programme(5, 3, 4)
    barred = np.array([True, False, True, False, False, False, False])
    amounts = maximise(columns, gains, bounds, barred).amounts
    assert amounts[[0, 2]].tolist() == [0.0, 0.0]
    open_to = maximise(columns[:, ~barred], gains[~barred], bounds, none_barred(gains[~barred]))
    assert float(gains @ amounts) == pytest.approx(open_to.objective)


def test_degenerate_programmes_end():
    """Beale's example, on which the plain simplex rule cycles."""
    columns = np.array([
        [0.25, -60.0, -0.04, 9.0, 1.0, 0.0, 0.0],
        [0.5, -90.0, -0.02, 3.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    ])  # fmt: skip
    gains = np.array([0.75, -150.0, 0.02, -6.0, 0.0, 0.0, 0.0])
    assert maximise(columns, gains, np.array([0.0, 0.0, 1.0]), none_barred(gains)).objective == pytest.approx(
        0.05
    )


@pytest.mark.parametrize(
    ("columns", "bounds", "why"),
    [
        ([[1.0, -1.0, 1.0]], [1.0], "Unbounded"),
        ([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [1.0, 2.0], "Infeasible"),
    ],
)
def test_a_programme_without_an_optimum_stops(columns: list[list[float]], bounds: list[float], why: str):
    gains = np.array([0.0, 1.0, 0.0]) if why == "Unbounded" else np.zeros(3)
    with pytest.raises(InvariantBroken, match=why):
        maximise(np.array(columns), gains, np.array(bounds), none_barred(gains))
