"""What an invoice says, apart from how it is set: a heading, facts, tables and notes, which the HTML and the PDF set alike."""

from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby

import msgspec

from ciyuan.basics.money import PICO_PER_MICRO, format_micro
from ciyuan.services.door.invoice import CREDIT_NOTE, CURRENCY, DRAFT, Invoice, InvoiceLine, Statement
from ciyuan.services.door.usage_columns import Sums
from ciyuan.services.door.usage_span import to_second

MOVEMENTS_MAX = 100
"""The most movements of money that are listed one by one; of more the CSV of lines has them all."""


@dataclass(frozen=True, slots=True)
class PageRow:
    """A row of a table; `is_total` is set in bold, with a rule above."""

    cells: tuple[str, ...]
    is_total: bool = False


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table: the first `words` columns are words, the others numbers."""

    title: str
    heads: tuple[str, ...]
    words: int
    rows: tuple[PageRow, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be set."""

    title: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[PageTable, ...]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """All its characters, for who looks for a font."""
        cells = [cell for table in self.tables for row in table.rows for cell in row.cells]
        return "".join([self.title, *(value for _, value in self.facts), *cells, *self.notes])


def fingerprint(statement: Statement) -> str:
    """The SHA-256 of a statement's numbers, in hexadecimal: equal for equal statements, whatever anything is called."""
    return sha256(msgspec.json.encode(statement)).hexdigest()


def page_of(invoice: Invoice) -> Page:
    """What an invoice, credit note or draft says."""
    if invoice.kind == CREDIT_NOTE:
        return _credit_page(invoice)
    tables = (_money(invoice), _lines(invoice))
    draft = ("This is a draft: it has no number and is not an invoice.",) if invoice.kind == DRAFT else ()
    return Page(f"{_heading(invoice)} {invoice.number}", _facts(invoice), tables, (*draft, *_notes(invoice)))


def _heading(invoice: Invoice) -> str:
    return {CREDIT_NOTE: "Credit note", DRAFT: "Draft invoice"}.get(invoice.kind, "Invoice")


def _facts(invoice: Invoice) -> tuple[tuple[str, str], ...]:
    of, span = invoice.statement, invoice.statement.span
    start, end = (to_second(bound) for bound in span.bounds_ns)
    return (
        ("Issued by", invoice.labels.issuer or "(no issuer was named)"),
        ("For", f"{invoice.labels.organisation} (customer {of.customer})"),
        ("Period", f"{span.name}: {start} to before {end}"),
        ("Issued", to_second(invoice.issued_ns) if invoice.issued_ns else "not issued"),
        ("Charged" if invoice.kind != CREDIT_NOTE else "Credited", f"{format_micro(abs(invoice.total_micro))} {CURRENCY}"),
    )  # fmt: skip


def _credit_page(invoice: Invoice) -> Page:
    notes = (
        f"Credits {format_micro(-invoice.total_micro)} {CURRENCY} of invoice {invoice.corrects}.",
        f"Reason: {invoice.reason}",
        "A credit note moves no money: it is paid in as a deposit, which stands in the statement of its month.",
    )
    return Page(f"Credit note {invoice.number}", _facts(invoice), (), notes)


def _money(invoice: Invoice) -> PageTable:
    of = invoice.statement
    shown = of.movements[:MOVEMENTS_MAX]
    more = of.movements[MOVEMENTS_MAX:]
    rows = [PageRow(("Opening balance", "", "", format_micro(of.opening_micro)))]
    rows += [
        PageRow(
            (
                each.kind,
                to_second(each.time_ns),
                each.reference or f"key {each.key}",
                format_micro(each.micro),
            )
        )
        for each in shown
    ]
    if more:
        rows.append(
            PageRow(
                (f"{len(more)} further movements", "", "", format_micro(sum(each.micro for each in more)))
            )
        )
    rows.append(PageRow(("Charged in the period", "", "", format_micro(-of.charged_micro))))
    rows.append(PageRow(("Closing balance", "", "", format_micro(of.closing_micro)), is_total=True))
    return PageTable("Prepaid account, USD", ("", "when", "reference", "USD"), 3, tuple(rows))


def _lines(invoice: Invoice) -> PageTable:
    heads = (
        "department", "model", "tier", "supplier", "served", "requests", "input", "cached input", "output",
        "USD/M in", "USD/M cached", "USD/M out", "charged USD",
    )  # fmt: skip
    rows: list[PageRow] = []
    for department, group in groupby(invoice.lines, lambda line: line.department):
        lines = list(group)
        rows += [PageRow(_cells(line)) for line in lines]
        if len(lines) > 1:
            rows.append(_total(department, lines))
    rows.append(_total("Total", invoice.lines))
    return PageTable("What was used, and what it cost", heads, 5, tuple(rows))


def _cells(line: InvoiceLine) -> tuple[str, ...]:
    star = "" if line.exact_pico is not None else " *"
    return (
        line.department,
        line.model,
        line.tier,
        line.supplier,
        ("batch" if line.batch else "direct") + star,
        f"{line.sums.requests:,}",
        *(f"{tokens:,}" for tokens in line.tokens),
        *(_price(price) for price in line.prices),
        format_micro(line.sums.charged_micro),
    )


def _price(price: int) -> str:
    """A price per million tokens with two decimals, or as many more as it has."""
    whole, _, part = format_micro(price).partition(".")
    return f"{whole}.{part[:2]}{part[2:].rstrip('0')}"


def _total(name: str, lines: list[InvoiceLine]) -> PageRow:
    sums = sum((line.sums for line in lines), Sums())
    tokens = (
        (f"{sum(leg):,}" for leg in zip(*(line.tokens for line in lines), strict=True))
        if lines
        else ("0",) * 3
    )
    cells = (
        name,
        "",
        "",
        "",
        "",
        f"{sums.requests:,}",
        *tokens,
        "",
        "",
        "",
        format_micro(sums.charged_micro),
    )
    return PageRow(cells, is_total=True)


def _notes(invoice: Invoice) -> tuple[str, ...]:
    of = invoice.statement
    carry = of.carry_pico
    notes = [
        "Input is what was not read from a cache; tokens of reasoning are part of the output.",
        "Charged is the sum of what was settled, request by request; failed, voided and expired attempts cost nothing.",
    ]
    if carry is not None:
        notes.append(
            f"Check: tokens x price of all lines, less what was charged, is {_pico(-carry)} USD: the part of a millionth that "
            "each charge carries to the next. It is never a millionth or more."
        )
    else:
        notes.append(
            "* Priced by further legs as well (cache writes, images, searches): not tokens x the three prices alone."
        )
    notes += [
        "No tax is computed here.",
        f"Metered up to journal row {invoice.journal_row:,}. Fingerprint of the numbers: {fingerprint(of)}",
    ]
    return tuple(notes)


def _pico(pico: int) -> str:
    sign, pico = ("-", -pico) if pico < 0 else ("", pico)
    whole, part = divmod(pico, PICO_PER_MICRO**2)
    return f"{sign}{whole}.{part:012d}"
