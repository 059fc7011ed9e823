"""The command line: `ciyuan run | verify | report | factory | exchange | margin | clearing`, and for the gateway `serve | key |
budget | balance | supplier | usage | invoice | firewall`. It parses, calls and prints; imports are late.

Exit status: 0 done; 1 verified and found different; 2 malformed input, nothing was changed; 3 a journal is damaged;
4 a law of the market is broken; 5 the disk failed; 130 interrupted.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ciyuan import __version__
from ciyuan.basics.errors import CiyuanError, InvariantBroken, JournalCorrupt, Malformed
from ciyuan.services.clearing_cli import clearing_app
from ciyuan.services.door.registry_key_cli import key_app
from ciyuan.services.exchange_cli import exchange_app
from ciyuan.services.factory_cli import factory_app
from ciyuan.services.firewall_cli import firewall_app
from ciyuan.services.gateway_cli import balance_app, budget_app, supplier_app
from ciyuan.services.margin_cli import margin_app
from ciyuan.services.progress import Progress
from ciyuan.services.serve_cli import EXAMPLE as SERVE_EXAMPLE
from ciyuan.services.serve_cli import STATUS as SERVE_STATUS
from ciyuan.services.serve_cli import serve
from ciyuan.services.usage_cli import invoice_app, usage_app

DIFFERENT, MALFORMED, DAMAGED, BROKEN, FAILED, INTERRUPTED = 1, 2, 3, 4, 5, 130
STATUS = (
    "Exit status: 0 done, 1 found different, 2 malformed input, 3 damaged journal, 4 broken law, "
    "5 failed disk, 130 interrupted."
)

if TYPE_CHECKING:
    from ciyuan.services.summary import RunSummary
    from ciyuan.services.verification import Verdict

    _Answer = TypeVar("_Answer", RunSummary, Verdict)

app = typer.Typer(
    name="ciyuan",
    help="An open market for AI tokens: electricity becomes tokens; tokens are metered, priced, traded, hedged.",
    epilog="Start here:  ciyuan run --out runs/month    then open runs/month/report.html",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(factory_app, name="factory")
app.add_typer(exchange_app, name="exchange")
app.add_typer(margin_app, name="margin")
app.add_typer(clearing_app, name="clearing")
app.command(epilog=f"{SERVE_EXAMPLE}   ·   {SERVE_STATUS}")(serve)
app.add_typer(key_app, name="key")
app.add_typer(budget_app, name="budget")
app.add_typer(balance_app, name="balance")
app.add_typer(supplier_app, name="supplier")
app.add_typer(usage_app, name="usage")
app.add_typer(invoice_app, name="invoice")
app.add_typer(firewall_app, name="firewall")

RunFolder = Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
ProgressOption = Annotated[
    Progress, typer.Option(help="A bar, one JSON line per simulated hour (on standard error), or nothing.")
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ciyuan {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """An open market for AI tokens."""


@app.command(epilog=f"Example:  ciyuan run --usage usage.csv.gz --out runs/october   ·   {STATUS}")
def run(
    out: Annotated[Path, typer.Option(help="Folder to write the run to.")] = Path("runs/month"),
    usage: Annotated[
        Path | None,
        typer.Option(
            help="Meter exactly this usage: CSV (.gz) or Parquet with timestamp_s, input_tokens, "
            "output_tokens[, cached_tokens][, customer]."
        ),
    ] = None,
    sample: Annotated[
        Path | None, typer.Option(help="Draw the simulated requests' sizes from this usage file.")
    ] = None,
    power: Annotated[
        Path | None, typer.Option(help="Hourly power prices (CSV); without it the catalogue's hourly means.")
    ] = None,
    scenario: Annotated[Path | None, typer.Option(help="TOML file of scenario settings.")] = None,
    seed: Annotated[int | None, typer.Option(help="The one number that all chance comes from.")] = None,
    requests: Annotated[int | None, typer.Option(min=0, help="Simulated requests (without --usage).")] = None,
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient/--strict", help="List bad usage rows and leave them out, or stop at the first."
        ),
    ] = False,
    stretch: Annotated[
        bool, typer.Option("--stretch", help="Spread the usage file's clock over the whole month.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a run that is in the folder.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in the folder.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write report.html at the end.")
    ] = True,
    progress: ProgressOption = Progress.bar,
    as_json: AsJson = False,
) -> None:
    """Play a month of the market: power, tokens, deliveries, an index, a future, a bill with and without the hedge."""
    from ciyuan.services.month_run import RunOrder, play_month, print_summary

    order = RunOrder(
        out=out,
        usage=usage,
        sample=sample,
        power=power,
        scenario=scenario,
        seed=seed,
        requests=requests,
        lenient=lenient,
        stretch=stretch,
        replace=replace,
        resume=resume,
        report=report,
    )
    summary = play_month(order, progress.value)
    _say(summary, as_json, print_summary)


@app.command(epilog=f"Example:  ciyuan verify runs/month   ·   {STATUS}")
def verify(folder: RunFolder, progress: ProgressOption = Progress.bar, as_json: AsJson = False) -> None:
    """Replay a run's journal, audit it again, and compare the state hashes."""
    from ciyuan.services.verification import print_verdict, verify_run

    verdict = verify_run(folder, progress.value)
    _say(verdict, as_json, print_verdict)
    if not verdict.same:
        raise typer.Exit(DIFFERENT)


@app.command(epilog=f"Example:  ciyuan report runs/month   ·   {STATUS}")
def report(folder: RunFolder, as_json: AsJson = False) -> None:
    """Write a finished run's report.html: one page with its plots, which needs nothing else."""
    from ciyuan.services.report import write_report

    page = write_report(folder)
    if as_json:
        typer.echo(json.dumps({"report": str(page), "bytes": page.stat().st_size}, indent=2))
    else:
        typer.echo(f"report: {page}")


def _say(answer: "_Answer", as_json: bool, show: "Callable[[_Answer], None]") -> None:
    """Print a dataclass as JSON, or as it is shown to people."""
    if as_json:
        typer.echo(json.dumps(asdict(answer), indent=2))
    else:
        show(answer)


def main() -> None:
    """Run the command line; a failure that has a name is one line on standard error, and its exit status."""
    try:
        app(prog_name="ciyuan")
    except Malformed as problem:
        _stop(problem, MALFORMED)
    except JournalCorrupt as problem:
        _stop(problem, DAMAGED)
    except InvariantBroken as problem:
        _stop(problem, BROKEN)
    except (CiyuanError, OSError) as problem:
        _stop(problem, FAILED)
    except SystemExit as end:
        # The library of the command line has turned a KeyboardInterrupt into its status, without a word.
        if end.code == INTERRUPTED:
            _stop("interrupted; a run that was goes on with `ciyuan run --resume`", INTERRUPTED)
        raise


def _stop(problem: object, status: int) -> None:
    sys.stderr.write(f"ciyuan: {problem}\n")
    raise SystemExit(status)
