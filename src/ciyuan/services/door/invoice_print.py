"""Invoices on the terminal: what was made, whether it still agrees, and the list of all."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.basics.money import format_micro
from ciyuan.services.door.invoice import CREDIT_NOTE, DRAFT, Invoice
from ciyuan.services.door.invoice_issue import Issued
from ciyuan.services.door.invoice_page import fingerprint
from ciyuan.services.door.usage_print import Plain, exact_usd
from ciyuan.services.door.usage_span import to_second


def print_issued(issued: Issued, files: Sequence[Path]) -> None:
    """An invoice that was made, or found: its sums, and what differs."""
    invoice, of, console = issued.invoice, issued.invoice.statement, Console(width=110)
    console.print(_state(issued), style="bold red" if issued.differences else "bold")
    table = Table(box=SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, micro in (
        ("opening balance", of.opening_micro), ("paid in", of.paid_in_micro), ("paid out", -of.paid_out_micro),
        ("charged", -of.charged_micro), ("closing balance", of.closing_micro),
    ):  # fmt: skip
        table.add_row(name, f"{format_micro(micro)} USD")
    console.print(table)
    for each in issued.differences:
        console.print(f"  differs: {each}", style="red", markup=False)
    if issued.differences:
        console.print(
            "The invoice stands as it was issued. Correct it with `ciyuan invoice credit`.", markup=False
        )
    checked = f"fingerprint {fingerprint(of)[:16]}; journal row {invoice.journal_row:,}"
    console.print(f"{len(of.details):,} details; {checked}", style="dim")
    for path in files:
        console.print(str(path), style="dim", markup=False, soft_wrap=True)


def _state(issued: Issued) -> str:
    invoice = issued.invoice
    name = f"{invoice.number}: {invoice.labels.organisation}, {invoice.statement.span.name}"
    if invoice.kind == DRAFT:
        return f"{name}: a draft"
    if issued.is_new:
        return f"{name}: issued"
    if issued.differences:
        return f"{name}: issued {to_second(invoice.issued_ns)}, and not what the sums say today"
    return f"{name}: issued {to_second(invoice.issued_ns)}, the same today"


def invoice_json(issued: Issued, files: Sequence[Path]) -> dict[str, object]:
    """The same as plain values."""
    of = issued.invoice.statement
    return {
        **listed(issued.invoice),
        "is_new": issued.is_new,
        "differences": list(issued.differences),
        "opening_usd": exact_usd(of.opening_micro),
        "paid_in_usd": exact_usd(of.paid_in_micro),
        "paid_out_usd": exact_usd(of.paid_out_micro),
        "charged_usd": exact_usd(of.charged_micro),
        "closing_usd": exact_usd(of.closing_micro),
        "fingerprint": fingerprint(of),
        "files": [str(path) for path in files],
    }


def listed(invoice: Invoice) -> dict[str, Plain]:
    """An invoice in a line, as plain values."""
    return {
        "number": invoice.number,
        "kind": invoice.kind,
        "organisation": invoice.labels.organisation,
        "span": invoice.statement.span.name,
        "total_usd": exact_usd(invoice.total_micro),
        "issued": to_second(invoice.issued_ns) if invoice.issued_ns else None,
        "corrects": invoice.corrects or None,
    }


def print_list(invoices: Sequence[Invoice]) -> None:
    """All invoices and credit notes, a line each."""
    table = Table(title="Invoices", box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for head in ("number", "kind", "organisation", "period", "USD", "issued", "of"):
        table.add_column(head, justify="right" if head == "USD" else "left")
    for each in invoices:
        row = listed(each)
        of = f"{each.corrects}: {each.reason}" if each.kind == CREDIT_NOTE else ""
        table.add_row(
            *(str(row[name]) for name in ("number", "kind", "organisation", "span")),
            format_micro(each.total_micro), str(row["issued"]), of,
        )  # fmt: skip
    Console(width=130).print(table)
