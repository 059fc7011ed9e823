"""An invoice's files: a page to read and print (HTML, PDF), its details to check (CSV), its charges for FinOps tools (FOCUS CSV).

| file | holds |
|---|---|
| NUMBER.html, NUMBER.pdf | the account, the lines, how to check them |
| NUMBER-lines.csv | the details: a day, spender, supplier, grade, served how, price list, with all that is counted |
| NUMBER-money.csv | opening, each movement of money, charged, closing |
| NUMBER-focus.csv | the columns of `focus` |
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ciyuan.basics.time import iso_from_ns
from ciyuan.services.door.focus import COLUMNS, decimal, focus_rows
from ciyuan.services.door.invoice import CREDIT_NOTE, Detail, Invoice
from ciyuan.services.door.invoice_html import html_of
from ciyuan.services.door.invoice_page import page_of
from ciyuan.services.door.usage_columns import MEASURES
from ciyuan.services.door.usage_print import exact_usd

LINE_COLUMNS = (
    "day", "department", "engineer", "key", "app", "spender", "model", "tier", "supplier", "served", "price_list",
    "usd_per_mtok_in", "usd_per_mtok_cached", "usd_per_mtok_out", *MEASURES, "charged_usd", "exact_usd",
)  # fmt: skip
MONEY_COLUMNS = ("what", "when", "reference", "usd")


def write_invoice(invoice: Invoice, folder: Path, font: Path | None = None) -> list[Path]:
    """Write an invoice's files into a folder, which is made; their paths. The same invoice gives the same bytes."""
    from ciyuan.services.door.invoice_pdf import pdf_of

    page = page_of(invoice)
    files = {
        ".html": html_of(page).encode(),
        ".pdf": pdf_of(page, font),
        "-focus.csv": _csv(COLUMNS, focus_rows(invoice)),
    }
    if invoice.kind != CREDIT_NOTE:
        files["-lines.csv"] = _csv(LINE_COLUMNS, (_line(invoice, each) for each in invoice.statement.details))
        files["-money.csv"] = _csv(MONEY_COLUMNS, _money(invoice))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, content in files.items():
        path = folder / f"{invoice.number}{suffix}"
        path.write_bytes(content)
        paths.append(path)
    return paths


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\r\n", restval="")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    return out.getvalue().encode()


def _safe(value: object) -> object:
    """A name that a spreadsheet would run as a formula, with a quote before it (OWASP, CSV injection); numbers as they are."""
    is_formula = isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}
    return f"'{value}" if is_formula and not _is_number(str(value)) else value


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.replace(".", "", 1).isdigit()


def _line(invoice: Invoice, detail: Detail) -> dict[str, object]:
    of, labels = invoice.statement, invoice.labels
    who, (model, tier) = labels.spenders[detail.spender], labels.grades[detail.grade]
    prices = of.lists.get(detail.price_list)
    exact = of.exact_pico(detail)
    shown = ("", "", "") if prices is None else tuple(map(exact_usd, prices.prices(detail.batch)))
    return {
        "day": detail.day, "department": who.department, "engineer": who.engineer, "key": who.key, "app": who.app,
        "spender": detail.spender, "model": model, "tier": tier, "supplier": labels.suppliers[detail.supplier],
        "served": "batch" if detail.batch else "direct", "price_list": detail.price_list,
        **dict(zip(LINE_COLUMNS[11:14], shown, strict=True)),
        **{name: getattr(detail.sums, name) for name in MEASURES},
        "charged_usd": exact_usd(detail.sums.charged_micro), "exact_usd": "" if exact is None else decimal(exact),
    }  # fmt: skip


def _money(invoice: Invoice) -> list[dict[str, str]]:
    of = invoice.statement
    start, end = (iso_from_ns(bound) for bound in of.span.bounds_ns)
    return [
        {"what": "opening balance", "when": start, "reference": "", "usd": exact_usd(of.opening_micro)},
        *({"what": each.kind, "when": iso_from_ns(each.time_ns), "reference": each.reference or f"key {each.key}",
           "usd": exact_usd(each.micro)} for each in of.movements),
        {"what": "charged", "when": "", "reference": invoice.number, "usd": exact_usd(-of.charged_micro)},
        {"what": "closing balance", "when": end, "reference": "", "usd": exact_usd(of.closing_micro)},
    ]  # fmt: skip
