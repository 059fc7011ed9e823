"""The clearing house on the command line: `ciyuan clearing statement | drill`. What the commands call is imported late."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.services.pictures import check_picture
from ciyuan.services.progress import Progress

if TYPE_CHECKING:
    from ciyuan.services.clearing_ledger import Reconciliation
    from ciyuan.services.clearing_statement import MemberStatement, StatementLines

NOT_RECONCILED = 1
STATUS = (
    "Exit status: 0 done, 1 not reconciled, 2 malformed input, 3 damaged journal, 4 broken law, "
    "5 failed disk, 130 interrupted."
)

clearing_app = typer.Typer(
    help="The clearing house: a member's statements, and a drill of a default.",
    no_args_is_help=True,
    add_completion=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


@clearing_app.command(
    epilog=f"Example:  ciyuan clearing statement runs/month 'maker 1' --day 2026-10-08 --ledger   ·   {STATUS}"
)
def statement(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)],
    participant: Annotated[str, typer.Argument(help="Name or number of a member.", show_default=False)],
    day: Annotated[str | None, typer.Option(help="One day's statement, as 2026-10-08.")] = None,
    month: Annotated[
        bool, typer.Option("--month", help="The month's statement alone, without its days.")
    ] = False,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Replay the journal and hold the statement against the ledger.")
    ] = False,
    progress: Annotated[
        Progress, typer.Option(help="A bar, one JSON line per batch (on standard error), or nothing.")
    ] = Progress.bar,
    as_json: AsJson = False,
) -> None:
    """A member's statement, per day and for the month: money, margin, positions; reconciled with the ledger if asked."""
    from ciyuan.services.clearing_print import print_days, print_reconciliation, print_statement
    from ciyuan.services.clearing_statement import member_statement, statements_of_day

    told = member_statement(run, participant)
    wanted = (told.month,) if day is None else statements_of_day(told, day)
    found = _reconciled(run, told, wanted, progress.value) if ledger else ()
    if as_json:
        days = () if month else told.days if day is None else wanted
        shown = {"run": told.run, "participant": told.participant, "number": told.number,
                 "days": [asdict(lines) for lines in days], "month": asdict(told.month),
                 "ledger": [{**asdict(each), "reconciled": each.reconciled} for each in found]}  # fmt: skip
        typer.echo(json.dumps(shown, indent=2))
    else:
        if day is None and not month:
            print_days(told)
        for lines in wanted:
            print_statement(told, lines)
        for each in found:
            print_reconciliation(each)
    if not all(each.reconciled for each in found):
        raise typer.Exit(NOT_RECONCILED)


@clearing_app.command(epilog=f"Example:  ciyuan clearing drill --jump -0.22 --plot drill.svg   ·   {STATUS}")
def drill(
    members: Annotated[int, typer.Option(help="Members, makers among them: 6 to 40.")] = 10,
    seed: Annotated[int, typer.Option(help="The one number that all chance comes from.")] = 7,
    jump: Annotated[
        float, typer.Option(help="What the fall takes off the log of prices: -0.38 to -0.01.")
    ] = -0.22,
    plot: Annotated[Path | None, typer.Option(help="Draw it into a file, .svg or .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Play a default on a small venue: prices fall, the largest member does not pay; when what happens, and who pays."""
    from ciyuan.services.clearing_drill import report_of
    from ciyuan.services.clearing_drill_print import print_drill
    from ciyuan.simulation.drill import DrillTerms, play_drill

    if plot is not None:
        check_picture(plot)
    played = play_drill(DrillTerms(members, seed, jump))
    report = report_of(played)
    if plot is not None:
        from ciyuan.services.clearing_plots import draw_drill

        draw_drill(plot, played, report)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
    else:
        print_drill(report)


def _reconciled(
    run: Path, told: "MemberStatement", wanted: "tuple[StatementLines, ...]", progress: str
) -> "tuple[Reconciliation, ...]":
    from ciyuan.services.clearing_ledger import cash_book, reconciled
    from ciyuan.services.clearing_statement import names_of

    book, names = cash_book(run, told.number, progress), names_of(run)
    return tuple(reconciled(told, lines, book, names) for lines in wanted)
