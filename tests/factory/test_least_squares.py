"""Robust least squares: finds a curve under outliers, and leaves alone what no row tells."""

import numpy as np
import pytest

from ciyuan.factory.least_squares import robust_least_squares

X = np.linspace(0.0, 4.0, 60)


def curve(p):
    return np.exp(p[0]) + np.exp(p[1]) * X


def test_it_finds_a_curve_under_outliers():
    measured = np.log(2.0 + 3.0 * X)
    measured[::10] += 2.0
    found = robust_least_squares(
        lambda p: np.log(curve(p)) - measured, np.zeros(2), np.ones(60), strength=1e-4
    )
    assert np.exp(found) == pytest.approx([2.0, 3.0], rel=0.03)


def test_weights_of_nothing_count_nothing():
    measured = np.log(2.0 + 3.0 * X)
    measured[30:] += 1.0
    weights = np.where(np.arange(60) < 30, 1.0, 0.0)
    found = robust_least_squares(lambda p: np.log(curve(p)) - measured, np.zeros(2), weights, strength=1e-5)
    assert np.exp(found) == pytest.approx([2.0, 3.0], rel=0.02)


def test_what_no_row_tells_stays_where_it_was():
    start = np.array([0.0, 0.0, 1.7])
    found = robust_least_squares(lambda p: np.log(curve(p[:2])) - np.log(2.0 + X), start, np.ones(60))
    assert found[2] == pytest.approx(1.7)
    again = robust_least_squares(lambda p: np.log(curve(p[:2])) - np.log(2.0 + X), found, np.ones(60))
    assert again == pytest.approx(found, abs=0.01)
