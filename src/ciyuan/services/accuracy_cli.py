"""`ciyuan factory accuracy`: how far the factory's predictions are from measurements. What it calls is imported late."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ciyuan.services.factory_accuracy import Accuracy, Errors

STATUS = "Exit status: 0 done, 2 malformed input."
EXAMPLE = (
    "Example:  ciyuan factory accuracy --data measurements --worst 10   ·   "
    f"ciyuan factory accuracy --data measurements --shipped   ·   {STATUS}"
)
PRINTED = 150

Data = Annotated[
    Path, typer.Option("--data", help="Folder of silicon_sample.csv, inferencemax.csv and mlperf_llm.csv.")
]
ShippedOnly = Annotated[
    bool, typer.Option("--shipped", help="Predict all runs with the shipped constants; learn nothing.")
]
Split = Annotated[
    list[str] | None,
    typer.Option("--split", help="runs, configurations, chips or models; may be given again (all)."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of the random splits.")]
Worst = Annotated[int, typer.Option(min=0, help="How many of the worst runs to list.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def accuracy(
    data: Data,
    shipped: ShippedOnly = False,
    split: Split = None,
    seed: Seed = 0,
    worst: Worst = 10,
    as_json: AsJson = False,
) -> None:
    """Errors of time per token on held-out runs, by chip and model, the worst runs and why, and saturated throughput."""
    from dataclasses import asdict

    from rich.console import Console

    from ciyuan.basics.errors import Malformed
    from ciyuan.services.door.registry_command import print_json
    from ciyuan.services.factory_accuracy import held_out_accuracy, shipped_accuracy
    from ciyuan.services.factory_splits import SPLITS

    unknown = [name for name in split or () if name not in SPLITS]
    if unknown:
        raise Malformed("--split", found=unknown[0], expected=f"one of {', '.join(SPLITS)}",
                        remedy="Name a split that there is.")  # fmt: skip
    if not shipped:
        typer.echo("accuracy: a fit for each part that is held back, about two minutes for all ...", err=True)
    found = (
        shipped_accuracy(data, worst) if shipped else held_out_accuracy(data, split or SPLITS, worst, seed)
    )
    if as_json:
        print_json(asdict(found))
        return
    print_accuracy(Console(width=PRINTED, highlight=False), found, is_shipped=shipped)


def print_accuracy(console: "Console", found: "Accuracy", *, is_shipped: bool = False) -> None:
    """All tables."""
    from rich.table import Table

    told = "of the shipped constants, on runs that they were fitted to" if is_shipped else "on runs held back"
    _errors(console, f"Time per output token: error {told}", "split", found.splits)
    _errors(console, f"{found.splits[0].name}: by chip", "chip", found.by_chip)
    _errors(console, f"{found.splits[0].name}: by model", "model", found.by_model)
    median, mean, few = found.first_token
    console.print(f"Time to first token ({found.splits[0].name}): median error {median:.0%}, mean {mean:.0%}; "
                  f"median {few:.0%} with up to 8 requests in flight.\n")  # fmt: skip
    table = Table(title="The worst runs", title_justify="left", box=None, pad_edge=False)
    for column in ("error", "ms predicted / measured", "run", "what explains it"):
        table.add_column(column, overflow="fold")
    for miss in found.worst:
        table.add_row(f"{miss.error:.0%}", f"{miss.predicted_ms:.1f} / {miss.measured_ms:.1f}",
                      f"{miss.run}; {miss.layout}; {miss.provenance}", miss.why)  # fmt: skip
    console.print(table)
    _offline(console, found)
    for why, count in found.left_out.items():
        console.print(f"{count} rows not read: {why}")


def _errors(console: "Console", title: str, first: str, rows: Sequence["Errors"]) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first)
    for column in ("runs", "physics median", "mean", "calibrated median", "mean", "p90", "in band"):
        table.add_column(column, justify="right")
    for row in rows:
        shares = (row.physics_median, row.physics_mean, row.median, row.mean, row.p90, row.covered)
        table.add_row(row.name, f"{row.rows}", *(f"{share:.1%}" for share in shares))
    console.print(table, "")


def _offline(console: "Console", found: "Accuracy") -> None:
    from statistics import mean, median

    from rich.table import Table

    if not found.offline:
        return
    errors = [abs(entry.error) for entry in found.offline]
    title = f"\nMLPerf Offline, output tokens/s per GPU (mean error {mean(errors):.1%}, median {median(errors):.1%})"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("model", "chip", "precision", "round", "layout"):
        table.add_column(column)
    for column in ("measured", "physics", "predicted", "error"):
        table.add_column(column, justify="right")
    for one in found.offline:
        table.add_row(one.model, one.chip, one.precision, one.round, one.layout, f"{one.measured:,.0f}", f"{one.physics:,.0f}",
                      f"{one.predicted:,.0f}", f"{one.error:+.0%}")  # fmt: skip
    console.print(table, "")
