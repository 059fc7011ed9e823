"""Which measured runs are held back, and how wrong the predictions of them are.

| split | held back |
|---|---|
| runs | a quarter of the measurements at random (rows that give one measurement again go together) |
| configurations | a quarter of the configurations: all loads of a chip, engine, version, model, precision, layout, request
shape and month |
| chips, models | one chip (model) at a time, all of it |

The recipes that fill in untold layouts, the constants, the levels and the votes are learnt from the rest alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ciyuan.factory.calibration_fit import Fitted, Predicted, fit, predict, stretch_of
from ciyuan.factory.samples import Flags, Samples
from ciyuan.factory.work import Reals
from ciyuan.services.factory_runs import recipes_of, samples_of
from ciyuan.services.measurements_serving import ServingRun

HELD_SHARE = 0.25
CONFIGURATION = (
    "chip",
    "backend",
    "model",
    "precision",
    "speculation",
    "mode",
    "layout",
    "version",
    "shape",
    "month",
)
SPLITS = ("runs", "configurations", "chips", "models")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out runs and what was predicted of them: `rows` are their places in the runs given."""

    rows: tuple[int, ...]
    samples: Samples
    predicted: Predicted

    @property
    def log_error(self) -> Reals:
        """log(calibrated / measured), (n,)."""
        return np.asarray(np.log(self.predicted.calibrated_s / self.samples.tpot_s))

    @property
    def errors(self) -> Reals:
        """|calibrated - measured| / measured, (n,)."""
        return np.asarray(np.abs(self.predicted.calibrated_s / self.samples.tpot_s - 1.0))

    @property
    def physics_errors(self) -> Reals:
        """The same of the physics with constants alone, (n,)."""
        return np.asarray(np.abs(self.predicted.physics_s / self.samples.tpot_s - 1.0))

    @property
    def coverage(self) -> float:
        """Share of the runs inside their band."""
        return float(np.mean(np.abs(self.log_error) <= np.log(self.predicted.correction.band)))


def held_out(rows: Sequence[ServingRun], split: str, seed: int = 0) -> Iterator[tuple[Fitted, HeldOut]]:
    """For each part that a split holds back: what was learnt from the others, and the predictions of it."""
    whole = samples_of(rows, recipes_of(rows))
    for part in _parts(whole, split, seed):
        copies = np.isin(whole.run, whole.run[part])
        learnt = [row for row, flag in zip(rows, part | copies, strict=True) if not flag]
        tested = [row for row, flag in zip(rows, part, strict=True) if flag]
        recipes = recipes_of(learnt)
        fitted = fit(samples_of(learnt, recipes))
        samples = samples_of(tested, recipes)
        yield fitted, HeldOut(tuple(np.flatnonzero(part)), samples, predict(samples, fitted))


def _parts(samples: Samples, split: str, seed: int) -> Iterator[Flags]:
    if split in ("chips", "models"):
        words = np.array([getattr(setting, split[:-1]) for setting in samples.settings])
        for word in np.unique(words):
            yield words == word
        return
    keys = samples.run
    if split == "configurations":
        words = np.array([setting.key(CONFIGURATION) for setting in samples.settings])
        keys = np.unique(words, return_inverse=True)[1]
    chosen = np.random.default_rng(seed).random(int(keys.max()) + 1) < HELD_SHARE
    yield chosen[keys]


def stretched(rows: Sequence[ServingRun], fitted: Fitted, seed: int = 1) -> Fitted:
    """The same with bands that held 8 of 10 runs of held-out configurations."""
    found = [held for _, held in held_out(rows, "configurations", seed)]
    errors = np.concatenate([held.log_error for held in found])
    spreads = np.concatenate([held.predicted.correction.spread for held in found])
    return replace(fitted, calibration=replace(fitted.calibration, stretch=stretch_of(errors, spreads)))
