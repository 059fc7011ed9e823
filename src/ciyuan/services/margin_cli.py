"""Margin on the command line: `ciyuan margin what-if | backtest | prices`. What the commands call is imported late."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.services.pictures import check_picture

if TYPE_CHECKING:
    from ciyuan.services.margin_basis import Basis, Listing
    from ciyuan.services.margin_prices import PriceHistory

STATUS = "Exit status: 0 done, 2 malformed input (nothing was written), 5 failed disk, 130 interrupted."

margin_app = typer.Typer(
    help="Scenario margin by itself: of a portfolio not yet traded, and over a history.",
    no_args_is_help=True,
    add_completion=False,
)


class SideWanted(StrEnum):
    """Which lot a back-test holds."""

    long = "long"
    short = "short"
    both = "both"


Tick = Annotated[str, typer.Option(help="USD a tick, of contracts that the catalogue does not list.")]
Lot = Annotated[int, typer.Option(min=1, help="Units (MTok, GPU-hours) in a lot, of the same.")]
Decay = Annotated[
    float, typer.Option(help="Of the variance's weights, a day: nearer to 1 is calmer, slower margin.")
]
Plot = Annotated[Path | None, typer.Option(help="Draw it into a file, .svg or .png.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


@margin_app.command(
    "what-if",
    epilog="Example:  ciyuan margin what-if --run runs/month --position KIMI26.2611:100 --position KIMI26.2612:-60"
    f"   ·   {STATUS}",
)
def what_if(
    position: Annotated[
        list[str] | None, typer.Option(help="CODE:LOTS, sold lots negative; may be given again.")
    ] = None,
    portfolio: Annotated[
        Path | None, typer.Option(help="A CSV file of code,lots, instead or as well.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of a finished run: its last evening's scenarios.")
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet: dates, then daily USD prices by contract; 252 days at least."),
    ] = None,
    tick: Tick = "0.001",
    lot: Lot = 1000,
    lot_cost: Annotated[str, typer.Option(help="With --prices: USD that closing a lot costs.")] = "0",
    free_lots: Annotated[int, typer.Option(min=0, help="With --prices: lots without concentration.")] = 0,
    over_cost: Annotated[str, typer.Option(help="With --prices: USD more for each lot over them.")] = "0",
    decay: Decay = 0.97,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Margin of a portfolio that is not yet traded: what it would ask, why, and which scenarios make it."""
    from ciyuan.services.margin_basis import Listing
    from ciyuan.services.margin_whatif import positions_of, print_what_if, profits_usd
    from ciyuan.services.margin_whatif import what_if as answered

    if plot is not None:
        check_picture(plot)
    held = positions_of(position or (), portfolio)
    basis = _basis(run, prices, Listing(tick, lot, lot_cost, free_lots, over_cost), decay)
    answer = answered(basis, held)
    if plot is not None:
        from ciyuan.services.margin_plots import draw_what_if

        draw_what_if(plot, answer, *profits_usd(basis, held))
    if as_json:
        typer.echo(json.dumps(asdict(answer), indent=2))
    else:
        print_what_if(answer)


@margin_app.command(
    epilog=f"Example:  ciyuan margin backtest prices.csv --column KIMI26.2611 --plot margin.svg   ·   {STATUS}"
)
def backtest(
    file: Annotated[
        Path,
        typer.Argument(
            help="Daily prices (CSV, Parquet), or the folder of a run: its index.", show_default=False
        ),
    ],
    column: Annotated[
        str | None, typer.Option(help="Contract code of the column; not needed for one.")
    ] = None,
    side: Annotated[SideWanted, typer.Option(help="The lot that is held.")] = SideWanted.both,
    window: Annotated[int, typer.Option(min=2, help="Days before the first margin.")] = 252,
    decay: Decay = 0.97,
    gpu: Annotated[
        str | None, typer.Option(help="FILE has offers of GPU rent; make one price a day of this GPU's.")
    ] = None,
    kind: Annotated[str, typer.Option(help="With --gpu: the kind of offer.")] = "on_demand",
    present: Annotated[
        int,
        typer.Option(
            min=1, max=100, help="With --gpu: percent of the days on which a provider must be there."
        ),
    ] = 85,
    since: Annotated[str | None, typer.Option(help="First date to read, as 2026-02-19.")] = None,
    tick: Tick = "0.001",
    lot: Lot = 1000,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Would margin have been enough? Exceptions, Kupiec, Christoffersen, and how calm it stayed."""
    from ciyuan.clearing.scenarios import FilterTerms
    from ciyuan.services.margin_backtest import SIDES, print_backtest, report_of, roll
    from ciyuan.services.margin_basis import Listing

    if plot is not None:
        check_picture(plot)
    history = _history(file, gpu, kind, present).since(since)
    rolled = roll(history, column, Listing(tick, lot), FilterTerms(decay=decay), window)
    found = report_of(rolled, tuple(SIDES) if side is SideWanted.both else (side.value,))
    if plot is not None:
        from ciyuan.services.margin_plots import draw_backtest

        draw_backtest(plot, rolled, found)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        print_backtest(found)


@margin_app.command(epilog=f"Example:  ciyuan margin prices --out prices.csv --launch 300   ·   {STATUS}")
def prices(
    out: Annotated[Path, typer.Option(help="CSV file to write.", show_default=False)],
    days: Annotated[int, typer.Option(min=3, help="Business days.")] = 750,
    seed: Annotated[int, typer.Option(help="The one number that all chance comes from.")] = 7,
    launch: Annotated[
        list[int] | None,
        typer.Option(
            help="A hardware launch on this day, 1, 2 ...: -0.22 off the log of prices; again for more."
        ),
    ] = None,
    volatility: Annotated[float, typer.Option(min=0.0, help="Of a year, as 0.45.")] = 0.45,
) -> None:
    """Write simulated daily prices of the catalogue's futures, where no real history is long enough."""
    from ciyuan.services.margin_simulated import write_simulated

    codes = write_simulated(out, days, seed, tuple(launch or ()), volatility)
    typer.echo(f"{out}: {days} days of {', '.join(codes)}, simulated from seed {seed}")


def _basis(run: Path | None, prices: Path | None, listing: "Listing", decay: float) -> "Basis":
    from ciyuan.basics.errors import Malformed
    from ciyuan.clearing.scenarios import FilterTerms
    from ciyuan.services.margin_basis import basis_of_prices, basis_of_run
    from ciyuan.services.margin_prices import read_prices

    if run is not None and prices is None:
        return basis_of_run(run)
    if prices is not None and run is None:
        return basis_of_prices(read_prices(prices), listing, FilterTerms(decay=decay))
    raise Malformed("scenarios", found="neither" if run is None else "both", expected="--run or --prices",
                    remedy="Give the folder of a run, or a file of daily prices.")  # fmt: skip


def _history(file: Path, gpu: str | None, kind: str, present: int) -> "PriceHistory":
    from ciyuan.services.margin_prices import read_gpu_rents, read_prices

    return read_prices(file) if gpu is None else read_gpu_rents(file, gpu, kind, present)
