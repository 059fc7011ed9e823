"""Fitting: the constants of the physics, then the levels of the calibration, then which runs of unknown speculation drafted.

Constants: robust least squares on log(time per token), over copies of one run counted once. Levels: the posterior mean of
a linear
model with normal priors (ridge regression with a spread per level), found by going round the levels, each group solved
exactly with the others held (block coordinate descent on a convex problem), with weights of Student's t for outliers.
Speculation:
`campaigns`, alternating with the other two.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ciyuan.factory.calibration import (
    BAND_QUANTILE,
    LEVELS,
    UNCALIBRATED,
    Calibration,
    Correction,
    Effect,
    Level,
    Setting,
    columns_of,
    correct,
)
from ciyuan.factory.campaigns import NOBODY, Votes, told_by_speed, told_by_vote, votes_of
from ciyuan.factory.constants import GUESSES, SHARES, Constants
from ciyuan.factory.least_squares import robust_least_squares
from ciyuan.factory.prefill import ROUND_FIGURES, Prompting, PromptingPair, closed_loop_seconds
from ciyuan.factory.samples import Flags, Samples
from ciyuan.factory.work import Reals

NOISE = 0.05
"""Standard deviation of log(time per token) between runs that ought to be equal: repeated runs differ by 2% to 6%."""
FREEDOM = 2.0
"""Degrees of freedom of the noise's t distribution: heavy tails, as the tables have wild rows."""
FIRST_SPREAD = 0.2
ROUNDS = 40
_NAMES = tuple(field.name for field in fields(Constants))
_IS_SHARE = np.array([name in SHARES for name in _NAMES])


@dataclass(frozen=True, slots=True)
class Fitted:
    """What predictions are made with."""

    constants: Constants
    calibration: Calibration
    votes: Votes
    prompting: PromptingPair = ROUND_FIGURES


@dataclass(frozen=True, slots=True)
class Predicted:
    """Of n runs: seconds per token by physics alone and calibrated, (n,), and the correction between the two."""

    physics_s: Reals
    calibrated_s: Reals
    correction: Correction


def constants_at(place: Reals) -> Constants:
    """Constants from unbounded numbers, in the order of `Constants`' fields: shares of a peak by the logistic function, so
    that none is above 1, the others by the exponential."""
    values = np.where(_IS_SHARE, 1.0 / (1.0 + np.exp(-place)), np.exp(place))
    return Constants(**dict(zip(_NAMES, map(float, values), strict=True)))


def place_of(constants: Constants) -> Reals:
    """The inverse."""
    values = np.array([getattr(constants, name) for name in _NAMES])
    return np.where(_IS_SHARE, np.log(values / np.maximum(1.0 - values, 1e-9)), np.log(values))


def fit_constants(samples: Samples, start: Constants = GUESSES) -> Constants:
    """The constants that fit the runs best; those that no run depends on stay at their start."""
    measured = np.log(samples.tpot_s)
    place = robust_least_squares(
        lambda x: np.log(samples.times(constants_at(x)).tpot) - measured, place_of(start), samples.weights
    )
    return constants_at(place)


def fit_levels(settings: Sequence[Setting], columns: Reals, log_error: Reals, weights: Reals,
               levels: Sequence[Level] = LEVELS) -> Calibration:  # fmt: skip
    """The effects that explain `log_error` = log(measured / physics), (n,); `columns` (n, len(COLUMNS))."""
    blocks = [_Block(level, settings, columns) for level in levels]
    rest = log_error.copy()
    pull = weights * (FREEDOM + 1) / (FREEDOM + rest**2 / FIRST_SPREAD**2)
    for turn in range(ROUNDS):
        for block in blocks:
            block.improve(rest, pull / NOISE**2)
        if turn:
            pull = weights * (FREEDOM + 1) / (FREEDOM + rest**2 / NOISE**2)
    return Calibration({block.level.name: block.effects() for block in blocks}, NOISE, 1.0)


class _Block:
    """The groups of one level while they are fitted."""

    def __init__(self, level: Level, settings: Sequence[Setting], columns: Reals) -> None:
        self.level = level
        keys = [setting.key(level.fields) for setting in settings]
        self._keys, place = np.unique(np.array(keys), return_inverse=True)
        self._place: NDArray[np.int64] = place
        self._z = columns[:, list(level.columns)]
        self._zz = np.einsum("ni,nj->nij", self._z, self._z)
        width = len(level.columns)
        self._means = np.zeros((len(self._keys), width))
        self._covariances: Reals = np.zeros((len(self._keys), width, width))

    def improve(self, rest: Reals, pull: Reals) -> None:
        """Solve each group with all other levels held; `rest` (n,) is what none explains, kept up to date in place."""
        rest += np.einsum("ni,ni->n", self._z, self._means[self._place])
        precision = np.zeros_like(self._covariances)
        np.add.at(precision, self._place, self._zz * pull[:, None, None])
        precision += np.diag(1.0 / self.level.variances)
        moment = np.zeros_like(self._means)
        np.add.at(moment, self._place, self._z * (pull * rest)[:, None])
        self._covariances = np.asarray(np.linalg.inv(precision), dtype=np.float64)
        self._means = np.einsum("gij,gj->gi", self._covariances, moment)
        rest -= np.einsum("ni,ni->n", self._z, self._means[self._place])

    def effects(self) -> dict[str, Effect]:
        spreads = np.sqrt(np.diagonal(self._covariances, axis1=1, axis2=2))
        return {
            str(key): Effect(tuple(map(float, mean)), tuple(map(float, spread)))
            for key, mean, spread in zip(self._keys, self._means, spreads, strict=True)
        }


def _columns(samples: Samples, constants: Constants) -> tuple[Reals, Reals]:
    """Log of the physics' time per token, and the columns of the levels."""
    times = samples.times(constants)
    return np.log(times.tpot), columns_of(times, samples.read_seconds(times), samples.work.data)


def predict(samples: Samples, fitted: Fitted) -> Predicted:
    """Time per token of runs whose own is not looked at; unknown speculation is settled by vote."""
    settled = samples.speculating(told_by_vote(samples, fitted.votes))
    return _predict_settled(settled, fitted.constants, fitted.calibration)


def _predict_settled(samples: Samples, constants: Constants, calibration: Calibration) -> Predicted:
    logs, columns = _columns(samples, constants)
    correction = correct(calibration, samples.settings, columns)
    return Predicted(np.exp(logs), np.exp(logs + correction.log_factor), correction)


def fit(samples: Samples, rounds: int = 3, levels: Sequence[Level] = LEVELS) -> Fitted:
    """Constants, levels and votes from measured runs, in `rounds` of telling runs of unknown speculation apart."""
    none = np.zeros(len(samples), dtype=np.bool_)
    settled = samples.speculating(none)
    given = ~samples.unknown
    constants = fit_constants(settled.subset(given) if given.any() else settled)
    calibration, votes = UNCALIBRATED, NOBODY
    for turn in range(rounds if samples.unknown.any() else 1):
        told = _tell(samples, settled, constants, calibration, votes, 0.16 if turn == 0 else 0.1)
        settled = samples.speculating(told)
        constants = fit_constants(settled, constants)
        logs, columns = _columns(settled, constants)
        calibration = fit_levels(
            settled.settings, columns, np.log(settled.tpot_s) - logs, settled.weights, levels
        )
        votes = votes_of(settled)
    return Fitted(constants, calibration, votes, fit_prompting(settled, constants))


def fit_prompting(samples: Samples, constants: Constants) -> PromptingPair:
    """The constants of the time to first token, from closed loops; those of a layout that no run has stay at their start."""
    times = samples.times(constants)
    measured = np.log(samples.ttft_s)

    def pair(place: Reals) -> PromptingPair:
        figures = [float(value) for value in np.exp(place)]
        return PromptingPair(Prompting(*figures[:4]), Prompting(*figures[4:]))

    start = np.log([*astuple(ROUND_FIGURES.mixed), *astuple(ROUND_FIGURES.apart)])
    return pair(robust_least_squares(
        lambda x: np.log(closed_loop_seconds(samples.work, times, pair(x), samples.concurrency)) - measured,
        start, samples.weights, scale=0.4,
    ))  # fmt: skip


def _tell(samples: Samples, settled: Samples, constants: Constants, calibration: Calibration, votes: Votes,
          spread: float) -> Flags:  # fmt: skip
    """Which runs drafted, by their speed and their neighbours as told so far."""
    errors = []
    for drafted in (False, True):
        runs = samples.speculating(np.full(len(samples), drafted))
        errors.append(
            np.log(_predict_settled(runs, constants, calibration).calibrated_s) - np.log(samples.tpot_s)
        )
    return told_by_speed(settled, errors[0], errors[1], votes, spread)


def stretch_of(errors: Reals, spreads: Reals) -> float:
    """What spreads must be multiplied by for 8 of 10 held-out log errors (n,) to be within their bands."""
    return float(np.quantile(np.abs(errors) / spreads, 0.8) / BAND_QUANTILE)
