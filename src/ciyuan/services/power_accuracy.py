"""How far the power model is off, by chip and by model: of the constants as shipped, and of runs held out of a fit.

Joules per output token are watts over measured tokens/s, so the error of one is the error of the other. The tables of a folder
of measurements: `python -m ciyuan.services.power_accuracy --data FOLDER`.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.factory.power import Reals
from ciyuan.services.catalog_power import power_model
from ciyuan.services.measurements import Unresolved
from ciyuan.services.power_fit import SPLITS, estimated_watts, held_out
from ciyuan.services.power_runs import PowerRun, read_power_runs

WORST, PRINTED = 10, 130


@dataclass(frozen=True, slots=True)
class PowerError:
    """Errors of `rows` runs, as shares: absolute mean and median, and the mean with its sign (positive: estimated too high)."""

    name: str
    rows: int
    mean: float
    median: float
    bias: float


@dataclass(frozen=True, slots=True)
class PowerMiss:
    """One run: joules per output token measured and estimated."""

    name: str
    sequences: float
    measured_j: float
    estimated_j: float


@dataclass(frozen=True, slots=True)
class PowerAccuracy:
    """Errors in joules per token of the shipped constants on a table of runs; `left_out`: rows of a chip or model that the
    catalogue lacks."""

    overall: PowerError
    by_chip: tuple[PowerError, ...]
    by_model: tuple[PowerError, ...]
    worst: tuple[PowerMiss, ...]
    left_out: tuple[Unresolved, ...]


def power_accuracy(folder: Path) -> PowerAccuracy:
    """How far the shipped constants are off on `mlenergy.csv` of a folder. Raises Malformed if it cannot be read."""
    found = read_power_runs(folder)
    runs, estimated = found.runs, estimated_watts(power_model(), found.runs)
    misses = sorted(zip(runs, estimated, strict=True), key=lambda pair: -abs(pair[1] / pair[0].watts - 1.0))
    return PowerAccuracy(
        overall=error_of("all", runs, estimated),
        by_chip=_by(lambda run: run.chip.code, runs, estimated),
        by_model=_by(lambda run: f"{run.model.code} {run.precision}", runs, estimated),
        worst=tuple(
            PowerMiss(run.configuration, run.sequences, run.joules_per_token, float(watts) / run.output_tokens_per_s)
            for run, watts in misses[:WORST]
        ),
        left_out=found.left_out,
    )  # fmt: skip


def error_of(name: str, runs: Sequence[PowerRun], estimated: Reals) -> PowerError:
    """The errors of estimated watts against those of the runs."""
    off = estimated / np.array([run.watts for run in runs]) - 1.0
    size = np.abs(off)
    return PowerError(name, len(runs), float(size.mean()), float(np.median(size)), float(off.mean()))


def _by(key: Callable[[PowerRun], str], runs: Sequence[PowerRun], estimated: Reals) -> tuple[PowerError, ...]:
    found = []
    for name in sorted({key(run) for run in runs}):
        rows = [index for index, run in enumerate(runs) if key(run) == name]
        found.append(error_of(name, [runs[row] for row in rows], estimated[rows]))
    return tuple(found)


def print_power_accuracy(accuracy: PowerAccuracy, console: Console) -> None:
    """The errors by chip and model, and the worst runs."""
    rows = (accuracy.overall, *accuracy.by_chip, *accuracy.by_model)
    _print_errors("Joules per token, shipped constants", rows, console)
    table = Table(title="The worst runs", box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name in ("run", "sequences", "measured J", "estimated J", "off"):
        table.add_column(name, justify="left" if name == "run" else "right")
    for miss in accuracy.worst:
        off = miss.estimated_j / miss.measured_j - 1.0
        figures = (
            f"{miss.sequences:,.0f}",
            f"{miss.measured_j:.4g}",
            f"{miss.estimated_j:.4g}",
            f"{off:+.0%}",
        )
        table.add_row(miss.name, *figures)
    console.print(table)
    if accuracy.left_out:
        reasons = dict.fromkeys(row.why for row in accuracy.left_out)
        console.print(f"{len(accuracy.left_out)} rows left out: {'; '.join(reasons)}")


def print_held_out(runs: Sequence[PowerRun], console: Console) -> None:
    """The errors of runs that a fit did not see, by what was held out."""
    rows = [error_of(f"{name} held out", runs, held_out(runs, split)) for name, split in SPLITS.items()]
    _print_errors("Joules per token, held out", rows, console)


def _print_errors(title: str, rows: Sequence[PowerError], console: Console) -> None:
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name in ("", "rows", "mean", "median", "bias"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for row in rows:
        table.add_row(row.name, str(row.rows), f"{row.mean:.1%}", f"{row.median:.1%}", f"{row.bias:+.1%}")
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: the tables of the shipped constants."""
    parser = argparse.ArgumentParser(description="How far the power model is off, in joules per token.")
    parser.add_argument("--data", type=Path, required=True, help="Folder of mlenergy.csv.")
    print_power_accuracy(power_accuracy(parser.parse_args(arguments).data), Console(width=PRINTED))


if __name__ == "__main__":
    main()
