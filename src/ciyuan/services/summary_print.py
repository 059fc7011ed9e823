"""A run's summary for people: what was metered, traded and settled, and what the hedge did."""

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.basics.money import format_micro
from ciyuan.services.summary import BuyerBill, RunSummary

WIDTH = 110
BAD_ROWS_SHOWN = 20
BILL_HEADS = (
    "buyer",
    "MTok planned",
    "MTok used",
    "lots",
    "without hedge USD",
    "futures USD",
    "with hedge USD",
    "as locked USD",
)


def print_tables(summary: RunSummary) -> None:
    """Print the month's figures and the hedging buyers' bills."""
    console = Console(width=WIDTH)
    month = str(summary.month)
    title = f"{summary.grade}, {month[:4]}-{month[4:]}, seed {summary.seed}"
    figures = Table(title=title, box=SIMPLE_HEAD, show_header=False, title_justify="left")
    for name, value in figures_of(summary):
        figures.add_row(name, value)
    console.print(figures)
    if summary.hedges:
        console.print(_bills(summary.hedges))
    for line in findings_of(summary):
        console.print(line, markup=False, highlight=False)
    for row in summary.bad_rows[:BAD_ROWS_SHOWN]:
        console.print(f"left out: {row}", markup=False, highlight=False)
    if len(summary.bad_rows) > BAD_ROWS_SHOWN:
        console.print(
            f"left out: {len(summary.bad_rows) - BAD_ROWS_SHOWN:,} rows more, all of them in summary.json"
        )
    for name, source in summary.sources.items():
        console.print(f"{name}: {source}", style="dim", markup=False, highlight=False)


def figures_of(summary: RunSummary) -> Iterable[tuple[str, str]]:
    """(name, value) of the figures of a run, as people read them."""
    metered = f"{summary.requests_metered:,} of {summary.requests_asked:,}"
    yield "requests metered", f"{metered} ({summary.requests_refused:,} refused: prepaid money was spent)"
    yield (
        "tokens in / of these cached / out",
        f"{summary.tokens_in:,} / {summary.tokens_cached:,} / {summary.tokens_out:,}",
    )
    yield "standard tokens", f"{summary.standard_mtok:,} MTok"
    yield "charged to customers", f"{format_micro(summary.charged_micro, 2)} USD"
    yield "orders (refused), trades", f"{summary.orders:,} ({summary.orders_refused:,}), {summary.trades:,}"
    yield "fixings published, withheld", f"{summary.fixings:,}, {summary.withheld:,}"
    yield "margin calls", f"{summary.margin_calls:,}"
    yield "audits, all laws held", f"{summary.audits:,}"
    yield "journal rows", f"{summary.journal_rows:,}"
    yield "state hash", summary.state_hash


def findings_of(summary: RunSummary) -> list[str]:
    """What there is to say of single bills, a line each."""
    return [f"{bill.buyer}: {finding}" for bill in summary.hedges for finding in bill.findings]


def usd(amount_micro: int | None, decimals: int = 2) -> str:
    """Micro-USD as USD, or a dash for what is not there."""
    return "-" if amount_micro is None else format_micro(amount_micro, decimals)


def bill_cells(bill: BuyerBill) -> list[str]:
    """A bill's cells, in the order of `BILL_HEADS`."""
    counts = [f"{count:,}" for count in (bill.planned_mtok, bill.used_mtok, bill.lots)]
    amounts = (bill.unhedged_micro, bill.futures_micro, bill.hedged_micro, bill.locked_micro)
    return [bill.buyer, *counts, *(usd(amount) for amount in amounts)]


def _bills(bills: Iterable[BuyerBill]) -> Table:
    table = Table(title="Buyers who hedged: the month's bill", box=SIMPLE_HEAD, title_justify="left")
    for name in BILL_HEADS:
        table.add_column(name, justify="left" if name == "buyer" else "right")
    for bill in bills:
        table.add_row(*bill_cells(bill))
    return table
