"""A drill of a default for people: when what happened, and who paid."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.services.clearing_drill import UNCOVERED, DrillReport
from ciyuan.services.summary_print import usd

WIDTH = 132
PAYERS_NAMED = 4


def print_drill(report: DrillReport) -> None:
    """Print the timeline, the layers and the laws."""
    console = Console(width=WIDTH)
    console.print(_timeline(report))
    if report.defaulted:
        console.print(_layers(report))
    fund = f"Cover 2: sized to {usd(report.fund_size_micro)} USD by {report.fund_largest} and {report.fund_second}"
    share = f"{report.fund_used_micro / report.fund_size_micro:.0%}" if report.fund_size_micro else "nothing"
    console.print(f"{fund}; used {usd(report.fund_used_micro)} USD, {share} of it", highlight=False)
    for law in report.laws:
        console.print(
            f"held: {law.law} ({law.found})" if law.found != "held" else f"held: {law.law}", highlight=False
        )
    console.print(f"seed {report.seed}, state hash {report.state_hash}", style="dim", highlight=False)


def _timeline(report: DrillReport) -> Table:
    held = ", ".join(f"{lots:+,} {code}" for code, lots in report.lots.items())
    fall = f"prices fall by {-report.jump_log:g} in the log"
    title = f"{report.members} members; {fall}; {report.defaulter}, the largest, holds\n{held}"
    table = Table(title=title, box=SIMPLE_HEAD, show_header=False, title_justify="left", title_style="bold")
    for _ in range(3):
        table.add_column()
    day = ""
    for moment in report.timeline:
        on, at = moment.time.split(" ")
        if day and on != day:
            table.add_section()
        table.add_row(moment.time if on != day else f"{'':10} {at}", moment.what, moment.rule)
        day = on
    return table


def _layers(report: DrillReport) -> Table:
    table = Table(title="Who paid what, USD", box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for head in ("layer", "there was", "paid", "by"):
        table.add_column(head, justify="right" if head in ("there was", "paid") else "left")
    for use in report.layers:
        payers = [f"{each.payer} {usd(each.amount_micro)}" for each in use.payments]
        named = ", ".join(payers[:PAYERS_NAMED])
        more = f" and {len(payers) - PAYERS_NAMED} more" if len(payers) > PAYERS_NAMED else ""
        table.add_row(use.layer, usd(use.there_micro), usd(use.used_micro), named + more)
    table.add_row(UNCOVERED, "", usd(report.uncovered_micro), "")
    table.add_section()
    table.add_row("the loss since the default", "", usd(report.loss_micro), "", style="bold")
    return table
