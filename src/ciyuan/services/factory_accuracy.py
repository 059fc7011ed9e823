"""How far predictions are from measurements: time per token, time to first token, saturated throughput.

The error of a prediction is |predicted - measured| / measured. Of held-out runs everything is learnt anew without them;
with the shipped constants nothing is learnt, so a folder that they were fitted to flatters them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ciyuan.factory.calibration_fit import Fitted, predict
from ciyuan.factory.campaigns import told_by_vote
from ciyuan.factory.prefill import closed_loop_seconds
from ciyuan.factory.samples import Samples
from ciyuan.factory.work import Reals
from ciyuan.services.catalog_calibration import shipped
from ciyuan.services.factory_offline import OfflineRun, corrected, families_left_out, read_offline
from ciyuan.services.factory_runs import Runs, read_runs, samples_of
from ciyuan.services.factory_splits import SPLITS, HeldOut, held_out
from ciyuan.services.measurements_serving import ServingRun, Speculation

FEW = 8
"""Requests in flight up to which prompts hardly wait for each other."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Of `rows` predictions: median, mean and 90th percentile of the error; by physics alone and calibrated. `covered`:
    share in band."""

    name: str
    rows: int
    physics_median: float
    physics_mean: float
    median: float
    mean: float
    p90: float
    covered: float


@dataclass(frozen=True, slots=True)
class Miss:
    """A run that was predicted badly, and what explains it. Times in milliseconds."""

    error: float
    predicted_ms: float
    physics_ms: float
    measured_ms: float
    run: str
    layout: str
    provenance: str
    why: str


@dataclass(frozen=True, slots=True)
class OfflineError:
    """One entry of saturated throughput, output tokens/s per GPU; `error` has its sign."""

    model: str
    chip: str
    precision: str
    round: str
    layout: str
    measured: float
    physics: float
    predicted: float
    error: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """All tables. `splits` by what was held back; `by_chip`, `by_model` and `worst` are of the first of them;
    `first_token` are the errors
    of the time to first token there (median and mean; median of the runs with up to `FEW` requests in flight); `left_out`
    counts rows not read, by reason."""

    splits: tuple[Errors, ...]
    by_chip: tuple[Errors, ...]
    by_model: tuple[Errors, ...]
    worst: tuple[Miss, ...]
    first_token: tuple[float, float, float]
    offline: tuple[OfflineError, ...]
    left_out: Mapping[str, int]


def errors_of(name: str, parts: Sequence[HeldOut]) -> Errors:
    """Of all runs of some parts."""
    return _errors(
        name,
        np.concatenate([part.physics_errors for part in parts]),
        np.concatenate([part.errors for part in parts]),
        float(np.average([part.coverage for part in parts], weights=[len(part.samples) for part in parts])),
    )


def _errors(name: str, physics: Reals, errors: Reals, covered: float) -> Errors:
    return Errors(name, len(errors), float(np.median(physics)), float(physics.mean()), float(np.median(errors)),
                  float(errors.mean()), float(np.quantile(errors, 0.9)), covered)  # fmt: skip


def held_out_accuracy(
    folder: Path, splits: Sequence[str] = SPLITS, worst: int = 10, seed: int = 0
) -> Accuracy:
    """Accuracy on runs held back of `folder`."""
    runs = read_runs(folder)
    parts = {split: list(held_out(runs.rows, split, seed)) for split in splits}
    fitted, first = parts[splits[0]][0]
    table = tuple(errors_of(split, [held for _, held in found]) for split, found in parts.items())
    offline = read_offline(folder, fitted.constants)
    return _accuracy(runs, table, fitted, first, worst, _offline(offline, families_left_out(offline)))


def shipped_accuracy(folder: Path, worst: int = 10) -> Accuracy:
    """Accuracy of the shipped constants on all runs of `folder`."""
    runs, ready = read_runs(folder), shipped()
    samples = samples_of(runs.rows, ready.recipes)
    held = HeldOut(tuple(range(len(runs.rows))), samples, predict(samples, ready.fitted))
    offline = read_offline(folder, ready.fitted.constants)
    rates = np.array([corrected(run, ready.offline) for run in offline])
    return _accuracy(
        runs, (errors_of("shipped", [held]),), ready.fitted, held, worst, _offline(offline, rates)
    )


def _accuracy(runs: Runs, splits: tuple[Errors, ...], fitted: Fitted, held: HeldOut, worst: int,
              offline: tuple[OfflineError, ...]) -> Accuracy:  # fmt: skip
    settled = held.samples.speculating(told_by_vote(held.samples, fitted.votes))
    return Accuracy(
        splits=splits,
        by_chip=_by(held, lambda row: held.samples.settings[row].chip),
        by_model=_by(held, lambda row: held.samples.settings[row].model),
        worst=_worst(runs.rows, held, settled, worst),
        first_token=_first_token(settled, fitted),
        offline=offline,
        left_out=runs.left_out,
    )


def _by(held: HeldOut, word: Callable[[int], str]) -> tuple[Errors, ...]:
    words = np.array([word(row) for row in range(len(held.rows))])
    inside = np.abs(held.log_error) <= np.log(held.predicted.correction.band)
    return tuple(
        _errors(
            str(name),
            held.physics_errors[words == name],
            held.errors[words == name],
            float(inside[words == name].mean()),
        )
        for name in np.unique(words)
    )


def _worst(rows: Sequence[ServingRun], held: HeldOut, settled: Samples, count: int) -> tuple[Miss, ...]:
    found: list[Miss] = []
    seen = set()
    for place in np.argsort(-held.errors):
        number = int(held.samples.run[place])
        run = rows[held.rows[place]]
        if len(found) == count:
            break
        if number in seen:
            continue
        seen.add(number)
        setting = settled.settings[place]
        found.append(Miss(
            error=float(held.errors[place]), predicted_ms=float(held.predicted.calibrated_s[place] * 1e3),
            physics_ms=float(held.predicted.physics_s[place] * 1e3), measured_ms=run.tpot_s * 1e3,
            run=f"{run.model} {run.precision} on {run.chip}, {run.software.name}, {run.input_tokens}/{run.output_tokens}, "
                f"{run.concurrency} at once, {run.measured_on or 'no date'}",
            layout=f"{setting.mode} {setting.layout}, speculation {setting.speculation}",
            provenance=str(held.predicted.correction.provenance[place]),
            why=_why(run, held, int(place)),
        ))  # fmt: skip
    return tuple(found)


def _why(run: ServingRun, held: HeldOut, place: int) -> str:
    """What is known to go wrong with such a run; the first that holds."""
    over = held.log_error[place] > 0
    work = held.samples.work
    if held.samples.unknown[place] and over:
        return "its table does not say whether tokens were drafted; it ran about as fast as with drafts"
    if held.samples.unknown[place] and run.gpus_sure:
        return "its table does not say whether tokens were drafted; it was taken to and ran slower"
    if not run.gpus_sure:
        return "its table does not tell the engines of the deployment; a recipe stands in"
    if run.concurrency / work.decoders[place] > work.held[place] and over:
        return "more in flight than memory holds without shared prompts: probably a cached prefix"
    if held.predicted.correction.provenance[place] == "extrapolated":
        return "no other run of this chip, engine, model and precision"
    if not run.measured_on or not run.software.version:
        return "its software version or date is not recorded"
    if run.speculation is Speculation.MTP:
        return "drafted tokens: how many are accepted depends on the text and the depth of drafts"
    return "its neighbours of the same setting differ from it: early software, or a run that went wrong"


def _first_token(samples: Samples, fitted: Fitted) -> tuple[float, float, float]:
    times = samples.times(fitted.constants)
    told = closed_loop_seconds(samples.work, times, fitted.prompting, samples.concurrency)
    errors = np.abs(told / samples.ttft_s - 1.0)
    few = samples.concurrency <= FEW
    return float(np.median(errors)), float(errors.mean()), float(np.median(errors[few]))


def _offline(runs: Sequence[OfflineRun], predicted: Reals) -> tuple[OfflineError, ...]:
    return tuple(
        OfflineError(run.model, run.submission.chip, run.submission.precision, run.submission.round, run.physics.layout.name,
                     run.measured, run.physics.tokens_per_s_per_gpu, float(rate), float(rate / run.measured - 1.0))
        for run, rate in sorted(zip(runs, predicted, strict=True), key=lambda pair: (pair[0].model, pair[0].submission.chip))
    )  # fmt: skip
