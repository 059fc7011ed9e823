"""How long steps take, one by one or many at once: compiled.

While the same sequences decode, a step differs from the one before it only in its context, which grows by the same amount each
time. With m_j = m + j dm seconds of memory and a_j = a + j da of arithmetic in step j, n steps take

    sum over j < n of (m_j^2 + a_j^2)^(1/2)  +  n x (what each step takes besides)

The root is alpha^(1/2) (x_j^2 + h^2)^(1/2) with alpha = dm^2 + da^2, x_j = x_0 + j, x_0 = (m dm + a da) / alpha and
h = |m da - a dm| / alpha, all at least 0. By the Euler-Maclaurin formula at midpoints the sum from j = p to n - 1 is

    F(x_n - 1/2) - F(x_p - 1/2),    F(x) = G(x) - G''(x) / 24 + 7 G''''(x) / 5760,    G(x) = (x s + h^2 asinh(x / h)) / 2,
    s = (x^2 + h^2)^(1/2),          G'' = x / s,     G'''' = -3 h^2 x / s^5

Its next term is below 1e-8 of the sum once p steps (8) have been added one by one. Where x is more than `FLAT` times the number
of steps, the difference of the two G would lose digits; there the root is nearly a line and five Gauss points give the integral,
to below 1e-12 of it.
"""

from math import asinh, ceil, inf, sqrt

from numba import njit

from ciyuan.factory.scheduler_state import (
    EXPERTS,
    FIXED,
    MISS,
    PER_ATTENDED,
    PER_ATTENTION,
    PER_CONTEXT,
    PER_DECODE,
    PER_MOVED,
    PER_PROMPT,
    PER_SEQUENCE,
    WEIGHTS,
    Reals,
)
from ciyuan.factory.scheduler_terms import TOKEN_PARTS

FLAT = 4.0
NO_BEND = 1e-10
"""An h below this share of x adds less than 1e-18 of G."""
G1, G2 = 0.5384693101056831, 0.9061798459386640
W0, W1, W2 = 0.5688888888888889, 0.4786286704993665, 0.2369268850561891
"""Gauss-Legendre points and weights on (-1, 1)."""


@njit(cache=True)
def mixed_s(
    cost: Reals, positions: int, places: int, context_parts: int, prompt: int, attended: float
) -> float:
    """Seconds of one step: `places` sequences decode on `context_parts`, `prompt` tokens are read that attend to `attended`."""
    moved = positions * places + prompt
    memory = (
        cost[WEIGHTS]
        + cost[EXPERTS] * (1.0 - cost[MISS] ** float(moved))
        + cost[PER_CONTEXT] * (context_parts / TOKEN_PARTS)
    )
    arithmetic = cost[PER_DECODE] * (positions * places) + cost[PER_ATTENTION] * positions * (
        context_parts / TOKEN_PARTS
    )
    besides = (
        cost[PER_PROMPT] * prompt
        + cost[PER_ATTENDED] * attended
        + cost[PER_MOVED] * moved
        + cost[PER_SEQUENCE] * places
        + cost[FIXED]
    )
    return sqrt(memory * memory + arithmetic * arithmetic) + besides


@njit(cache=True)
def after_steps(
    cost: Reals,
    positions: int,
    places: int,
    context_parts: int,
    grown: int,
    start: float,
    steps: int,
    exact: int,
) -> float:
    """The time after `steps` steps of decoding from `start`; the context grows by `grown` parts in each. The first `exact`
    steps are added one by one."""
    tokens = positions * places
    fixed_memory = cost[WEIGHTS] + cost[EXPERTS] * (1.0 - cost[MISS] ** float(tokens))
    fixed_arithmetic = cost[PER_DECODE] * tokens
    attention = cost[PER_ATTENTION] * positions
    besides = cost[PER_MOVED] * tokens + cost[PER_SEQUENCE] * places + cost[FIXED]
    time = start
    for step in range(min(steps, exact)):
        context = (context_parts + step * grown) / TOKEN_PARTS
        memory = fixed_memory + cost[PER_CONTEXT] * context
        arithmetic = fixed_arithmetic + attention * context
        time += sqrt(memory * memory + arithmetic * arithmetic) + besides
    left = steps - exact
    if left <= 0:
        return time
    context = (context_parts + exact * grown) / TOKEN_PARTS
    growth = grown / TOKEN_PARTS
    roots = sum_of_roots(
        fixed_memory + cost[PER_CONTEXT] * context, fixed_arithmetic + attention * context,
        cost[PER_CONTEXT] * growth, attention * growth, left,
    )  # fmt: skip
    return time + (roots + left * besides)


@njit(cache=True)
def sum_of_roots(m: float, a: float, dm: float, da: float, n: int) -> float:
    """Sum over j < n of ((m + j dm)^2 + (a + j da)^2)^(1/2); no argument is negative."""
    alpha = dm * dm + da * da
    x = (m * dm + a * da) / alpha if alpha > 0.0 else inf
    if x > FLAT * n:
        low, half = -0.5, 0.5 * n
        centre = low + half
        total = W0 * _root(m, a, dm, da, centre)
        total += W1 * (_root(m, a, dm, da, centre - G1 * half) + _root(m, a, dm, da, centre + G1 * half))
        total += W2 * (_root(m, a, dm, da, centre - G2 * half) + _root(m, a, dm, da, centre + G2 * half))
        high = low + n
        return total * half - (_slope(m, a, dm, da, high) - _slope(m, a, dm, da, low)) / 24.0
    h = abs(m * da - a * dm) / alpha
    return sqrt(alpha) * (_antiderivative(x + n - 0.5, h) - _antiderivative(x - 0.5, h))


@njit(cache=True)
def _root(m: float, a: float, dm: float, da: float, j: float) -> float:
    memory, arithmetic = m + j * dm, a + j * da
    return sqrt(memory * memory + arithmetic * arithmetic)


@njit(cache=True)
def _slope(m: float, a: float, dm: float, da: float, j: float) -> float:
    memory, arithmetic = m + j * dm, a + j * da
    root = sqrt(memory * memory + arithmetic * arithmetic)
    return (memory * dm + arithmetic * da) / root if root > 0.0 else 0.0


@njit(cache=True)
def _antiderivative(x: float, h: float) -> float:
    """F of the module's formula."""
    s = sqrt(x * x + h * h)
    if s == 0.0:
        return 0.0
    bend = h * h * asinh(x / h) if h > NO_BEND * abs(x) else 0.0
    return 0.5 * (x * s + bend) - x / s / 24.0 - 7.0 / 1920.0 * h * h * x / (s * s * s * s * s)


@njit(cache=True)
def steps_until(
    cost: Reals, positions: int, places: int, context_parts: int, grown: int, start: float, steps: int, exact: int,
    end: float, until: float,
) -> tuple[int, float]:  # fmt: skip
    """(fewest steps after which it is `until` or later, when they end); `steps` steps are enough and end at `end`."""
    low, low_s, high, high_s, round_ = 0, start, steps, end, 0
    while high - low > 1:
        round_ += 1
        if round_ % 4 == 0 or not high_s > low_s:
            middle = (low + high) // 2
        else:
            middle = low + ceil((until - low_s) / (high_s - low_s) * (high - low))
            middle = min(max(middle, low + 1), high - 1)
        middle_s = after_steps(cost, positions, places, context_parts, grown, start, middle, exact)
        if middle_s < until:
            low, low_s = middle, middle_s
        else:
            high, high_s = middle, middle_s
    return high, high_s
