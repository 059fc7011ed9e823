"""Fitting the power model to measured GPU power: `python -m ciyuan.services.power_fit --data FOLDER` prints `power_model.toml`.

Two stages, so that what is known of one model does not bend what is said of all:

1. The constants that all share, by robust least squares of the log of estimated over measured watts
(factory/least_squares.py): a
   residual far beyond `OUTLIER` hardly counts, so that a few runs whose kernels are odd do not move the rest. Priors are weak;
   each holds a constant that few rows tell, and is worth as much as one row that is `ROW_SIGMA` off.
2. With these fixed, a factor for each model and precision, then one for each chip, model and precision on top, each shrunk
towards
   none: its prior's spread is `FACTOR_SIGMA` in the log, a row's own is `ROW_SIGMA`.

Held-out errors are by row, by configuration (chip, model, GPUs, task), by model and by chip: the last two say what to expect
of a model, and of a chip, that was never measured. The bands shipped are the 10th and 90th percentile of measured over
estimated there.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from pathlib import Path

import numpy as np

from ciyuan.factory.least_squares import robust_least_squares
from ciyuan.factory.power import Band, Load, PowerModel, Reals, gpu_power
from ciyuan.services.power_runs import TABLE, PowerRun, configurations, read_power_runs

OUTLIER, ROW_SIGMA, FACTOR_SIGMA = 0.3, 0.1, 0.2
FOLDS, SEED = 5, 1

_NO_BAND = Band(1.0, 1.0)
START = PowerModel(
    idle=0.11,
    floor=0.2,
    top=0.97,
    memory=1.2,
    read_exponent=0.25,
    arithmetic=12.0,
    narrow_experts=0.5,
    four_bits=2.0,
    throttle_exponent=1.8,
    memory_clock_share=0.6,
    architectures={},
    chips=frozenset(),
    band_pair=_NO_BAND,
    band_chip=_NO_BAND,
    band_other=_NO_BAND,
)
"""Where the fit begins. `idle`, `four_bits`, `throttle_exponent` and `memory_clock_share` are not fitted here:
docs/spec/factory_power.md."""

_PRIOR = {
    "floor": 0.03,
    "top": 0.02,
    "memory": 0.5,
    "read_exponent": 0.2,
    "arithmetic": 0.5,
    "narrow_experts": 0.5,
}
"""The prior's spread of each shared constant about its start (of the log where it is a factor)."""
_LOGS = ("memory", "arithmetic")
_ARCHITECTURE_SIGMA = 0.3


@dataclass(frozen=True, slots=True)
class _Group:
    """Runs of one chip, model and precision: where they stand among all runs, and their loads as one."""

    run: PowerRun
    rows: np.ndarray
    load: Load

    @property
    def key(self) -> tuple[str, str, str]:
        return self.run.chip.code, self.run.model.code, str(self.run.precision)


def _groups(runs: Sequence[PowerRun]) -> tuple[_Group, ...]:
    places: dict[tuple[str, str, str], list[int]] = {}
    for index, run in enumerate(runs):
        places.setdefault((run.chip.code, run.model.code, str(run.precision)), []).append(index)
    found = []
    for rows in places.values():
        loads = [runs[row].load() for row in rows]
        columns = [
            np.array([float(getattr(load, name)) for load in loads])
            for name in ("memory_use", "arithmetic_use", "read_bytes")
        ]
        found.append(
            _Group(
                runs[rows[0]],
                np.array(rows),
                Load(columns[0], columns[1], columns[2], loads[0].narrow_experts),
            )
        )
    return tuple(found)


def estimated_watts(power: PowerModel, runs: Sequence[PowerRun]) -> Reals:
    """What the power model says of each run, in watts per GPU; (runs,) float64."""
    return _estimated(power, _groups(runs), len(runs))


def _estimated(power: PowerModel, groups: Sequence[_Group], count: int) -> Reals:
    watts = np.zeros(count)
    for group in groups:
        _, model, precision = group.key
        watts[group.rows] = gpu_power(power, group.run.chip, group.load, model, precision).watts
    return watts


# The two stages.


def fit_shared(runs: Sequence[PowerRun]) -> PowerModel:
    """The constants that all runs share; no factors of models."""
    groups, measured = _groups(runs), np.array([run.watts for run in runs])
    architectures = sorted({run.chip.architecture for run in runs})
    start = np.array([_told(START, name) for name in _PRIOR] + [0.0] * len(architectures), dtype=np.float64)
    spread = np.array([*_PRIOR.values(), *([_ARCHITECTURE_SIGMA] * len(architectures))])
    chips = frozenset(run.chip.code for run in runs)

    def model(at: Reals) -> PowerModel:
        floor, top, memory, read_exponent, arithmetic, narrow = (float(value) for value in at[: len(_PRIOR)])
        return replace(
            START,
            floor=max(floor, START.idle),
            top=top,
            memory=exp(memory),
            read_exponent=read_exponent,
            arithmetic=exp(arithmetic),
            narrow_experts=narrow,
            architectures=dict(
                zip(architectures, (float(value) for value in at[len(_PRIOR) :]), strict=True)
            ),
            chips=chips,
        )

    def residuals(off: Reals) -> Reals:
        return np.asarray(np.log(_estimated(model(start + spread * off), groups, len(runs)) / measured))

    return model(start + spread * _fitted(residuals, len(start), len(runs)))


def _fitted(residuals: Callable[[Reals], Reals], parameters: int, rows: int) -> Reals:
    """The parameters, in spreads of their priors about where they start, that fit `rows` residuals best."""
    return robust_least_squares(
        residuals, np.zeros(parameters), np.ones(rows), scale=OUTLIER, spread=1.0, strength=ROW_SIGMA**2
    )


def _told(power: PowerModel, name: str) -> float:
    value: float = getattr(power, name)
    return log(value) if name in _LOGS else value


def fit_factors(power: PowerModel, runs: Sequence[PowerRun]) -> PowerModel:
    """The shared constants with a shrunk factor for each model and precision, and for each on a chip."""
    groups, measured = _groups(runs), np.array([run.watts for run in runs])
    shapes: dict[tuple[str, str], float] = {}
    for shape in dict.fromkeys(group.key[1:] for group in groups):
        own = [group for group in groups if group.key[1:] == shape]
        shapes[shape] = _factor(power, own, measured)
    power = replace(power, shapes=shapes)
    return replace(power, pairs={group.key: _factor(power, [group], measured) for group in groups})


def _factor(power: PowerModel, groups: Sequence[_Group], measured: Reals) -> float:
    """The shrunk log of the factor that these groups of runs share, on top of what the model has already."""

    def residuals(off: Reals) -> Reals:
        logs = []
        for group in groups:
            _, model, precision = group.key
            pairs = {group.key: power.pairs.get(group.key, 0.0) + FACTOR_SIGMA * float(off[0])}
            told = gpu_power(replace(power, pairs=pairs), group.run.chip, group.load, model, precision)
            logs.append(np.log(told.watts / measured[group.rows]))
        return np.concatenate(logs)

    return FACTOR_SIGMA * float(_fitted(residuals, 1, sum(len(group.rows) for group in groups))[0])


def fit(runs: Sequence[PowerRun]) -> PowerModel:
    """Both stages, with the bands of held-out runs."""
    whole = fit_factors(fit_shared(runs), runs)
    by_row, by_model, by_chip = (
        _band(held_out(runs, split), runs) for split in (by_rows, by_models, by_chips)
    )
    return replace(whole, band_pair=by_row, band_chip=by_model, band_other=by_chip)


# Held out.


def by_rows(runs: Sequence[PowerRun]) -> list[int]:
    """A fold for each run, by chance with a fixed seed."""
    return [int(fold) for fold in np.random.default_rng(SEED).permutation(len(runs)) % FOLDS]


def by_configurations(runs: Sequence[PowerRun]) -> list[int]:
    """A fold for each run; runs of one chip, model, number of GPUs and task share it."""
    kinds = configurations(runs)
    folds = np.random.default_rng(SEED).permutation(len(kinds)) % FOLDS
    return [int(folds[kinds.index(run.configuration)]) for run in runs]


def by_models(runs: Sequence[PowerRun]) -> list[int]:
    """A fold for each model family, in all its sizes' namesakes and precisions: nothing of it is seen."""
    kinds = sorted({run.model.code for run in runs})
    return [kinds.index(run.model.code) for run in runs]


def by_chips(runs: Sequence[PowerRun]) -> list[int]:
    """A fold for each chip."""
    kinds = sorted({run.chip.code for run in runs})
    return [kinds.index(run.chip.code) for run in runs]


SPLITS = {"row": by_rows, "configuration": by_configurations, "model": by_models, "chip": by_chips}


def held_out(runs: Sequence[PowerRun], split: Callable[[Sequence[PowerRun]], list[int]]) -> Reals:
    """Watts of each run as estimated by a model fitted without its fold; (runs,) float64."""
    folds, watts = np.array(split(runs)), np.zeros(len(runs))
    for fold in np.unique(folds):
        seen = [run for run, other in zip(runs, folds, strict=True) if other != fold]
        kept = [run for run, other in zip(runs, folds, strict=True) if other == fold]
        power = fit_factors(fit_shared(seen), seen)
        watts[folds == fold] = estimated_watts(power, kept)
    return watts


def _band(estimated: Reals, runs: Sequence[PowerRun]) -> Band:
    low, high = np.quantile(np.array([run.watts for run in runs]) / estimated, (0.1, 0.9))
    return Band(round(float(low), 3), round(float(high), 3))


# The fact file.


def toml_of(power: PowerModel, runs: Sequence[PowerRun], source: str, observed_on: str) -> str:
    """`power_model.toml` as text."""
    lines = [
        "# Power of a GPU under load: the constants of factory/power.py. Written by `python -m ciyuan.services.power_fit`,",
        "# which says how they were fitted; do not edit by hand.",
        "",
        "[shared]",
    ]
    constants = ("idle", "floor", "top", "memory", "read_exponent", "arithmetic", "narrow_experts", "four_bits",
                 "throttle_exponent", "memory_clock_share")  # fmt: skip
    lines += [f"{name} = {getattr(power, name):.4f}" for name in constants]
    for name in ("band_pair", "band_chip", "band_other"):
        band: Band = getattr(power, name)
        lines.append(f"{name} = [{band.low}, {band.high}]")
    lines += [f"rows = {len(runs)}", *_sourced(source, observed_on)]
    for name, factor in power.architectures.items():
        lines += ["", "[[architecture]]", f'name = "{name}"', f"factor_log = {factor:.4f}"]
        lines += _sourced(source, observed_on)
    for (model, precision), factor in power.shapes.items():
        pairs = ", ".join(f"{{ chip = \"{chip}\", factor_log = {own:.4f} }}"
                          for (chip, *shape), own in power.pairs.items() if tuple(shape) == (model, precision))  # fmt: skip
        lines += ["", "[[model]]", f'code = "{model}"', f'precision = "{precision}"', f"factor_log = {factor:.4f}",
                  f"chips = [{pairs}]", *_sourced(source, observed_on)]  # fmt: skip
    return "\n".join(lines) + "\n"


def _sourced(source: str, observed_on: str) -> list[str]:
    return [f'source = "{source}"', f"observed_on = {observed_on}"]


SOURCE = "fitted to measured GPU power: ML.ENERGY Leaderboard v3 @0cd52dab (Apache-2.0)"
OBSERVED_ON = "2026-02-16"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: the fact file on standard output, held-out errors on standard error."""
    from rich.console import Console

    from ciyuan.services.power_accuracy import print_held_out

    parser = argparse.ArgumentParser(description="Fit the power model; print power_model.toml.")
    parser.add_argument("--data", type=Path, required=True, help=f"Folder of {TABLE}.")
    runs = read_power_runs(parser.parse_args(arguments).data).runs
    print(toml_of(fit(runs), runs, SOURCE, OBSERVED_ON), end="")
    print_held_out(runs, Console(stderr=True))


if __name__ == "__main__":
    main()
