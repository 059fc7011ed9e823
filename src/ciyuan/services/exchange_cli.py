"""The exchange on the command line: `ciyuan exchange replay | book`. What the commands call is imported late."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.services.progress import Progress

if TYPE_CHECKING:
    from ciyuan.services.exchange_replay import OrderInput

STATUS = "Exit status: 0 done, 2 malformed input (nothing was written), 4 broken law, 5 failed disk, 130 interrupted."
DEFAULT_FOLDER = Path("runs/replay")

exchange_app = typer.Typer(
    help="An exchange by itself: a file of orders through it, and its book.",
    no_args_is_help=True,
    add_completion=False,
)


class OrderForm(StrEnum):
    """How a file of orders is to be read."""

    auto = "auto"
    named = "named"
    lobster = "lobster"


Contracts = Annotated[
    Path | None,
    typer.Option(help="TOML file of contracts; without it they are made to fit the orders."),
]
Day = Annotated[str | None, typer.Option(help="Trading day, as 2026-10-08; without it the file's own.")]
Tick = Annotated[
    str | None,
    typer.Option(
        help="Money a tick, as 0.01; without it one of the last decimal that prices have (LOBSTER: a cent)."
    ),
]
FormOption = Annotated[
    OrderForm, typer.Option("--format", help="How to read the file; auto goes by its first line.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
ProgressOption = Annotated[
    Progress, typer.Option(help="A bar, one JSON line per batch (on standard error), or nothing.")
]


@exchange_app.command(
    epilog=f"Example:  ciyuan exchange replay examples/orders.csv --out runs/replay   ·   {STATUS}"
)
def replay(
    file: Annotated[
        Path,
        typer.Argument(help="Orders: CSV (.gz), Parquet, or a LOBSTER message file.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder to write fills, bars, book, refusals and summary to.")
    ] = DEFAULT_FOLDER,
    contracts: Contracts = None,
    day: Day = None,
    tick: Tick = None,
    form: FormOption = OrderForm.auto,
    bars: Annotated[str, typer.Option(help="Interval of the bars: 250ms, 1s, 1m, 1h, 1d.")] = "1m",
    every: Annotated[
        int, typer.Option(min=0, help="Write the book after every so many messages too; 0: at the end only.")
    ] = 0,
    depth: Annotated[
        int, typer.Option(min=1, help="Levels of a side in the books that --every writes.")
    ] = 10,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a replay that is in the folder.")
    ] = False,
    progress: ProgressOption = Progress.bar,
    as_json: AsJson = False,
) -> None:
    """Run a file of orders through a market; write its trades, bars, refusals and final book."""
    from ciyuan.services.exchange_replay import Output, replay_orders
    from ciyuan.services.exchange_summary import print_replay

    given = _given(file, form, contracts, day, tick)
    summary = replay_orders(given, Output(out, bars, every, depth, replace), progress.value)
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=2))
    else:
        print_replay(summary)


@exchange_app.command(
    epilog=f"Example:  ciyuan exchange book KIMI26.2610 --from runs/replay --depth 5   ·   {STATUS}"
)
def book(
    contract: Annotated[str, typer.Argument(help="Code or number of the contract.", show_default=False)],
    folder: Annotated[Path, typer.Option("--from", help="Folder of a replay.")] = DEFAULT_FOLDER,
    file: Annotated[
        Path | None,
        typer.Option(help="A file of orders, instead of a folder: it is replayed, nothing is written."),
    ] = None,
    depth: Annotated[int, typer.Option(min=0, help="Levels of a side; 0: all.")] = 10,
    contracts: Contracts = None,
    day: Day = None,
    tick: Tick = None,
    form: FormOption = OrderForm.auto,
    progress: ProgressOption = Progress.bar,
    as_json: AsJson = False,
) -> None:
    """Show a contract's ladder: what is bid and offered at each price, the last price, the limits, the session."""
    from ciyuan.services.exchange_ladder import ladder_json, ladder_of_file, ladder_of_folder, print_ladder

    if file is None:
        ladder = ladder_of_folder(folder, contract)
    else:
        ladder = ladder_of_file(_given(file, form, contracts, day, tick), contract, progress.value)
    ladder = ladder.cut(depth)
    if as_json:
        typer.echo(json.dumps(ladder_json(ladder), indent=2))
    else:
        print_ladder(ladder)


def _given(
    file: Path, form: OrderForm, contracts: Path | None, day: str | None, tick: str | None
) -> "OrderInput":
    from ciyuan.services.exchange_files import Form
    from ciyuan.services.exchange_replay import OrderInput

    return OrderInput(file, None if form is OrderForm.auto else Form(form.value), contracts, day, tick)
