"""Statements and their reconciliation for people: what a member is sent each evening, and for the month."""

from collections.abc import Callable, Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.basics.money import format_micro
from ciyuan.services.clearing_ledger import CashMove, Reconciliation
from ciyuan.services.clearing_statement import MemberStatement, StatementLines
from ciyuan.services.summary_print import usd

WIDTH = 150
MOVES_SHOWN = 40
LINES: tuple[tuple[str, Callable[[StatementLines], int]], ...] = (
    ("opening cash", lambda lines: lines.opening_micro),
    ("deposits less withdrawals", lambda lines: lines.transferred_micro),
    ("variation", lambda lines: lines.variation_micro),
    ("fees", lambda lines: -lines.fees_micro),
    ("receipts bought", lambda lines: -lines.bought_micro),
    ("receipts sold", lambda lines: lines.sold_micro),
    ("default fund", lambda lines: -lines.fund_micro),
    ("penalties", lambda lines: -lines.penalties_micro),
    ("lent less repaid", lambda lines: lines.lent_micro),
)
DAY_COLUMNS: tuple[tuple[str, Callable[[StatementLines], int]], ...] = (
    ("opening", lambda lines: lines.opening_micro),
    ("deposits", lambda lines: lines.transferred_micro),
    ("variation", lambda lines: lines.variation_micro),
    ("fees", lambda lines: -lines.fees_micro),
    ("receipts", lambda lines: lines.sold_micro - lines.bought_micro),
    ("other", lambda lines: lines.lent_micro - lines.fund_micro - lines.penalties_micro),
    ("closing", lambda lines: lines.closing_micro),
    ("requirement", lambda lines: lines.requirement_micro),
    ("excess", lambda lines: lines.excess_micro),
)


def print_days(statement: MemberStatement) -> None:
    """A line a day."""
    console = Console(width=WIDTH)
    table = Table(title=f"{statement.participant}: statements of {statement.run}, USD", box=SIMPLE_HEAD,
                  title_justify="left", title_style="bold")  # fmt: skip
    table.add_column("day", no_wrap=True)
    for name, _ in DAY_COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for lines in statement.days:
        day = lines.last_day + (f" ({lines.part})" if lines.part > 1 else "")
        table.add_row(day, *(usd(read(lines)) for _, read in DAY_COLUMNS))
    console.print(table)
    console.print("other: lent less repaid, less default fund, less penalties", style="dim")


def print_statement(statement: MemberStatement, lines: StatementLines) -> None:
    """One statement: money, margin, positions."""
    console = Console(width=WIDTH)
    when = lines.last_day if lines.first_day == lines.last_day else f"{lines.first_day} to {lines.last_day}"
    second = f", statement {lines.part}" if lines.part > 1 else ""
    table = Table(title=f"{statement.participant} (participant {statement.number}), {when}{second}", box=SIMPLE_HEAD,
                  show_header=False, title_justify="left", title_style="bold")  # fmt: skip
    table.add_column()
    table.add_column("USD", justify="right")
    table.add_column(style="dim")
    for name, read in LINES:
        table.add_row(name, usd(read(lines)), _note(name, lines))
    table.add_section()
    table.add_row("closing cash", usd(lines.closing_micro), "", style="bold")
    table.add_section()
    table.add_row("margin: ladder", usd(lines.ladder_micro), "§6.1, open orders included")
    table.add_row("margin: scenarios", usd(lines.scenario_micro), "§6.2, of the positions")
    table.add_row("requirement", usd(lines.requirement_micro), "")
    excess = lines.excess_micro
    table.add_row(
        "excess" if excess >= 0 else "called",
        usd(abs(excess)),
        "may be withdrawn" if excess >= 0 else "to be paid",
    )
    console.print(table)
    if lines.positions:
        console.print(_positions(lines))


def _note(name: str, lines: StatementLines) -> str:
    counts = {"receipts bought": lines.receipts_bought, "receipts sold": lines.receipts_sold}
    return f"{counts[name]:,} receipts" if counts.get(name) else ""


def _positions(lines: StatementLines) -> Table:
    table = Table(
        title="Positions in futures; prices in USD per MTok, amounts in USD",
        box=SIMPLE_HEAD,
        title_justify="left",
    )
    heads = (
        "contract",
        "long",
        "short",
        "of these today",
        "entered at",
        "settled at",
        "variation",
        "unrealised",
        "realised",
    )
    for head in heads:
        table.add_column(head, justify="left" if head == "contract" else "right")
    for line in lines.positions:
        table.add_row(
            line.contract + (" (final)" if line.is_final else ""),
            f"{max(line.lots, 0):,}",
            f"{max(-line.lots, 0):,}",
            "-" if line.today_lots is None else f"{line.today_lots:,}",
            "-" if line.entry_micro is None else format_micro(line.entry_micro, 4),
            format_micro(line.settlement_micro, 4),
            usd(line.variation_micro),
            usd(line.unrealised_micro),
            usd(line.realised_micro),
        )
    return table


def print_reconciliation(found: Reconciliation) -> None:
    """The ledger's rows, line by line, and whether they are the statement's."""
    console = Console(width=WIDTH)
    console.print(_moves(found.moves))
    table = Table(title="Statement against ledger, USD", box=SIMPLE_HEAD, title_justify="left")
    for head in ("line", "statement", "ledger", "rows", ""):
        table.add_column(head, justify="left" if head in ("line", "") else "right")
    for check in found.checks:
        same = "" if check.statement_micro == check.ledger_micro else "differs"
        table.add_row(
            check.line, _usd6(check.statement_micro), _usd6(check.ledger_micro), f"{check.rows:,}", same
        )
    table.add_section()
    change = found.closing_micro - found.opening_micro
    table.add_row("closing less opening", _usd6(change), _usd6(found.moved_micro), f"{len(found.moves):,}",
                  "" if change == found.moved_micro else "differs")  # fmt: skip
    console.print(table)
    console.print("reconciled" if found.reconciled else "NOT reconciled", style="bold")


def _moves(moves: Iterable[CashMove]) -> Table:
    moves = list(moves)
    table = Table(title="The ledger's rows of the cash account, USD", box=SIMPLE_HEAD, title_justify="left")
    for head in ("time", "reason", "rule", "with", "amount", "balance"):
        table.add_column(head, justify="right" if head in ("amount", "balance") else "left", no_wrap=True)
    half = MOVES_SHOWN // 2
    left_out = len(moves) - MOVES_SHOWN
    for place, move in enumerate(moves):
        if left_out > 0 and place == half:
            table.add_row(f"{left_out:,} more (--json)", "", "", "", "", "")
        if left_out <= 0 or place < half or place >= len(moves) - half:
            amounts = (_usd6(move.amount_micro), _usd6(move.balance_micro))
            table.add_row(move.time, move.reason, move.rule, move.with_account, *amounts)
    return table


def _usd6(micro: int) -> str:
    return format_micro(micro)
