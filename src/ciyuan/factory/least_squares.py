"""Robust nonlinear least squares: Levenberg and Marquardt's damping, weights that let go of outliers.

Minimises the sum of w c^2 log(1 + (r / c)^2) + the sum of ((x - start) / spread)^2 strength over x, with r the residuals:
near 0 it
is the sum of squares, far out it hardly grows (Cauchy's loss), so that rows which no physics explains do not bend the rest. The
second sum keeps constants that the data say nothing about at their start.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Residuals = Callable[[Reals], Reals]

_DIFFERENCE = 1e-3
_STEP_MAX = 0.7
_TRIES = 8


def robust_least_squares(residuals: Residuals, start: Reals, weights: Reals, *, scale: float = 0.25, spread: float = 1.5,
                         strength: float = 0.05, iterations: int = 30) -> Reals:  # fmt: skip
    """The x (k,) that minimises the module's sum from `start` (k,); `residuals` gives (n,), `weights` is (n,)."""
    x = start.copy()
    r = residuals(x)
    cost = _cost(r, x, start, weights, scale, spread, strength)
    damping = 1e-2
    for _ in range(iterations):
        jacobian = _jacobian(residuals, x, r)
        pull = weights / (1.0 + (r / scale) ** 2)
        hessian = jacobian.T @ (jacobian * pull[:, None]) + np.eye(len(x)) * strength / spread**2
        slope = jacobian.T @ (pull * r) + strength * (x - start) / spread**2
        for _ in range(_TRIES):
            step = -np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), slope)
            tried: Reals = x + np.clip(step, -_STEP_MAX, _STEP_MAX)
            r_tried = residuals(tried)
            cost_tried = _cost(r_tried, tried, start, weights, scale, spread, strength)
            if cost_tried < cost:
                break
            damping *= 6.0
        else:
            return x
        gained = cost - cost_tried
        x, r, cost, damping = tried, r_tried, cost_tried, max(damping / 4.0, 1e-6)
        if gained < 1e-4 * cost:
            break
    return x


def _cost(
    r: Reals, x: Reals, start: Reals, weights: Reals, scale: float, spread: float, strength: float
) -> float:
    fit = np.sum(weights * scale**2 * np.log1p((r / scale) ** 2))
    return float(fit + strength * np.sum(((x - start) / spread) ** 2))


def _jacobian(residuals: Residuals, x: Reals, r: Reals) -> Reals:
    columns = []
    for place in range(len(x)):
        moved = x.copy()
        moved[place] += _DIFFERENCE
        columns.append((residuals(moved) - r) / _DIFFERENCE)
    return np.stack(columns, axis=1)
