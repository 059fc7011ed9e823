"""An invoice's files: what is printed sums, what tools read sums, names in Chinese are there, nothing comes from the network."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from itertools import zip_longest
from pathlib import Path

import pytest
from reportlab import rl_config

from ciyuan.basics.errors import Malformed
from ciyuan.services.door import invoice_pdf, usage_fonts
from ciyuan.services.door.focus import COLUMNS, decimal, focus_rows
from ciyuan.services.door.invoice import Invoice, Statement
from ciyuan.services.door.invoice_files import write_invoice
from ciyuan.services.door.invoice_html import html_of
from ciyuan.services.door.invoice_issue import InvoiceBook
from ciyuan.services.door.invoice_page import MOVEMENTS_MAX, fingerprint, page_of
from ciyuan.services.door.invoice_pdf import pdf_of
from ciyuan.services.door.usage_fonts import font_for, missing_in, own_font, with_text
from ciyuan.services.door.usage_span import parse_span
from tests.services.door.invoice_month import END_NS, books, month

MICRO = Decimal(10) ** -6


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Invoice, Invoice]]:
    """An invoice, and a credit note on it."""
    with books(tmp_path_factory.mktemp("invoices"), month()) as (tables, names):
        book = InvoiceBook(tables)
        invoice = book.issue(
            names, "acme", parse_span("2026-11"), "词元 Gateway, <1 Main St>", END_NS
        ).invoice
        yield invoice, book.credit(invoice.number, 250_000, "=停机", "T-1", END_NS)


@pytest.fixture(scope="module")
def invoice(notes: tuple[Invoice, Invoice]) -> Invoice:
    return notes[0]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def by_suffix(paths: list[Path], number: str) -> dict[str, Path]:
    return {path.name.removeprefix(number): path for path in paths}


class Words(HTMLParser):
    """A page's text by cell, its tags and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.tags[-1] in {"td", "th"} and self.rows:
            self.rows[-1][-1] += data


def usd(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def test_the_page_has_the_account_and_lines_that_sum_to_the_total(invoice: Invoice):
    page = Words(html_of(page_of(invoice)))
    account = [usd(row[3]) for row in [row for row in page.rows if len(row) == 4][1:]]
    assert sum(account[:-1]) == account[-1] == invoice.statement.closing_micro * MICRO
    lines = [row for row in page.rows if len(row) == 13][1:]
    plain = [row for row in lines if row[1]]
    assert sum(usd(row[-1]) for row in plain) == usd(lines[-1][-1]) == invoice.total_micro * MICRO
    for place in range(5, 9):
        assert sum(usd(row[place]) for row in plain) == usd(lines[-1][place])
    assert {row[0] for row in plain} == {"research", "销售部"}
    of_department = [usd(row[-1]) for row in plain if row[0] == "research"]
    assert sum(of_department) == next(usd(row[-1]) for row in lines if row[0] == "research" and not row[1])


def test_each_line_is_tokens_times_price_to_a_micro_unit_and_a_fraction(invoice: Invoice):
    page = Words(html_of(page_of(invoice)))
    lines = [row for row in page.rows if len(row) == 13 and row[1]][1:]
    off = Decimal(0)
    for row in lines:
        cost = (
            sum(usd(tokens) * usd(price) for tokens, price in zip(row[6:9], row[9:12], strict=True)) * MICRO
        )
        off += cost - usd(row[-1])
    assert abs(off) < MICRO
    assert f"{off:.12f}" in html_of(page_of(invoice))


def test_the_page_needs_nothing_else_and_runs_nothing(invoice: Invoice):
    text = html_of(page_of(invoice))
    page = Words(text)
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(page.tags)
    assert not [
        value for name, value in page.attributes if name in {"src", "href", "style"} or name.startswith("on")
    ]
    assert not re.search(r"url\(|@import|https?:", text)
    assert "&lt;1 Main St&gt;" in text
    assert fingerprint(invoice.statement) in text


def test_the_lines_file_has_every_detail_and_sums_to_the_total(invoice: Invoice, tmp_path: Path):
    files = by_suffix(write_invoice(invoice, tmp_path / "new" / "folder"), invoice.number)
    assert set(files) == {".html", ".pdf", "-focus.csv", "-lines.csv", "-money.csv"}
    lines = read(files["-lines.csv"])
    assert len(lines) == len(invoice.statement.details)
    assert sum(int(line["charged_micro"]) for line in lines) == invoice.total_micro
    assert sum(Decimal(line["charged_usd"]) for line in lines) == invoice.total_micro * MICRO
    for line in lines:
        counts = (
            int(line["tokens_in"]) - int(line["tokens_cached"]),
            int(line["tokens_cached"]),
            int(line["tokens_out"]),
        )
        prices = [Decimal(line[f"usd_per_mtok_{leg}"]) for leg in ("in", "cached", "out")]
        assert sum(count * price for count, price in zip(counts, prices, strict=True)) * MICRO == Decimal(
            line["exact_usd"]
        )
    money = [Decimal(line["usd"]) for line in read(files["-money.csv"])]
    assert sum(money[:-1]) == money[-1] == invoice.statement.closing_micro * MICRO


def test_the_same_invoice_gives_the_same_bytes(invoice: Invoice, tmp_path: Path):
    for one, other in zip_longest(
        write_invoice(invoice, tmp_path / "one"), write_invoice(invoice, tmp_path / "two")
    ):
        assert one.read_bytes() == other.read_bytes()


# --- FOCUS ---

MANDATORY = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost",
    "EffectiveCost", "HostProviderName", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit",
    "ServiceCategory", "ServiceName", "ServiceProviderName",
)  # fmt: skip
"""Mandatory in the Cost and Usage dataset (specification/datasets/cost_and_usage/dataset.md of FOCUS_Spec)."""
NULLABLE = {"BillingAccountName", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit"}


def test_focus_has_the_mandatory_columns_and_ours_behind_them(invoice: Invoice, tmp_path: Path):
    assert set(MANDATORY) <= set(COLUMNS)
    own = [name for name in COLUMNS if name.startswith("x_")]
    assert list(COLUMNS) == sorted(set(COLUMNS) - set(own)) + own
    rows = read(by_suffix(write_invoice(invoice, tmp_path), invoice.number)["-focus.csv"])
    assert list(rows[0]) == list(COLUMNS)
    for row in rows:
        assert all(row[name] for name in MANDATORY if name not in NULLABLE)


def test_focus_sums_to_the_total_exactly_and_each_row_is_quantity_times_price(invoice: Invoice):
    rows = list(focus_rows(invoice))
    for column in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert sum(Decimal(row[column]) for row in rows) == invoice.total_micro * MICRO
    used = [row for row in rows if row["ChargeCategory"] == "Usage"]
    for row in used:
        assert Decimal(row["ListUnitPrice"]) * Decimal(row["PricingQuantity"]) == Decimal(row["BilledCost"])
        assert row["ConsumedQuantity"] == row["PricingQuantity"]
        assert json.loads(row["Tags"]).keys() == {"engineer", "key", "app"}
        assert all(key.startswith("x_") for key in json.loads(row["SkuPriceDetails"]))
    tokens = sum(Decimal(row["ConsumedQuantity"]) for row in used)
    assert tokens == sum(detail.sums.tokens for detail in invoice.statement.details)
    requests = sum(int(row.get("x_Requests", 0)) for row in used)
    assert requests == sum(detail.sums.requests for detail in invoice.statement.details)
    carried = [row for row in rows if row["ChargeCategory"] == "Adjustment"]
    assert len(carried) <= 1
    assert all(abs(Decimal(row["BilledCost"])) < MICRO for row in carried)


def test_focus_of_a_list_with_further_legs_is_one_row_a_detail(invoice: Invoice):
    of = invoice.statement
    legs = replace(of, price_lists=tuple(replace(each, has_legs=True) for each in of.price_lists))
    rows = list(focus_rows(replace(invoice, statement=legs)))
    assert len(rows) == sum(detail.sums.requests > 0 for detail in of.details)
    assert sum(Decimal(row["BilledCost"]) for row in rows) == invoice.total_micro * MICRO
    assert not any("ListUnitPrice" in row for row in rows)
    assert any("further legs" in note for note in page_of(replace(invoice, statement=legs)).notes)


def test_focus_of_a_credit_note_is_a_correction_of_its_amount(notes: tuple[Invoice, Invoice]):
    (row,) = focus_rows(notes[1])
    assert (row["ChargeCategory"], row["ChargeClass"], row["BilledCost"]) == ("Credit", "Correction", "-0.25")
    assert row["ChargeDescription"] == "Credit on INV-000001: =停机"


@pytest.mark.parametrize(
    ("pico", "text"), [(0, "0.0"), (1, "0.000000000001"), (-1_500_000_000_000, "-1.5"), (10**12, "1.0")]
)
def test_exact_decimals_are_written_without_rounding(pico: int, text: str):
    assert decimal(pico) == text


def test_a_name_that_a_spreadsheet_would_run_is_quoted(notes: tuple[Invoice, Invoice], tmp_path: Path):
    labels = notes[0].labels
    who = {number: replace(each, key="=1+1") for number, each in labels.spenders.items()}
    paths = write_invoice(replace(notes[0], labels=replace(labels, spenders=who)), tmp_path)
    assert {line["key"] for line in read(by_suffix(paths, notes[0].number)["-lines.csv"])} == {"'=1+1"}


# --- PDF and fonts ---


def test_the_pdf_is_one_with_all_lines_and_page_numbers(invoice: Invoice):
    pdf = pdf_of(page_of(invoice))
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") >= 1
    assert b"DejaVuSans" in pdf


def test_without_a_font_of_this_machine_chinese_is_set_in_the_readers_own(
    invoice: Invoice, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(invoice_pdf, "font_for", lambda _text: None)
    monkeypatch.setattr(rl_config, "pageCompression", 0)
    pdf = pdf_of(page_of(invoice))
    assert b"STSong-Light" in pdf
    assert b"UniGB-UCS2-H" in pdf
    raw = "销售部".encode("utf-16-be")
    assert (
        raw in pdf
        or "".join(f"\\{byte:03o}" if byte > 126 or byte < 32 else chr(byte) for byte in raw).encode() in pdf
    )


def test_what_no_font_has_is_refused_with_the_remedy(invoice: Invoice, monkeypatch: pytest.MonkeyPatch):
    page = page_of(invoice)
    monkeypatch.setattr(invoice_pdf, "font_for", lambda _text: None)
    with pytest.raises(Malformed, match="--font"):
        pdf_of(replace(page, title="Invoice \u0915"))
    monkeypatch.setattr(usage_fonts, "font_for", lambda _text: None)
    with pytest.raises(Malformed, match="Install one"), with_text("销售部"):
        pass
    with with_text("Ärger, Ωmega"):
        pass


def test_a_font_that_lacks_the_names_or_is_none_is_refused(invoice: Invoice, tmp_path: Path):
    with pytest.raises(Malformed, match="all characters of the invoice"):
        pdf_of(page_of(invoice), own_font())
    assert missing_in(own_font(), "abc 销") == {"销"}


def test_an_embedded_font_is_used_where_the_machine_has_one(invoice: Invoice):
    found = font_for("销售部")
    pdf = pdf_of(page_of(invoice), found[1] if found else None)
    assert (b"STSong-Light" in pdf) == (found is None)


# --- pages of drafts, credit notes, long accounts ---


def test_a_credit_note_says_of_what_and_why(notes: tuple[Invoice, Invoice], tmp_path: Path):
    page = page_of(notes[1])
    assert page.title == "Credit note INV-000002"
    assert page.notes[:2] == ("Credits 0.250000 USD of invoice INV-000001.", "Reason: =停机")
    assert dict(page.facts)["Credited"] == "0.250000 USD"
    assert {path.name for path in write_invoice(notes[1], tmp_path)} == {
        "INV-000002.html", "INV-000002.pdf", "INV-000002-focus.csv",
    }  # fmt: skip


def test_a_draft_says_that_it_is_none(invoice: Invoice):
    page = page_of(replace(invoice, kind="draft", number="draft-2-2026-11-01", issued_ns=0))
    assert page.title == "Draft invoice draft-2-2026-11-01"
    assert "draft" in page.notes[0]
    assert dict(page.facts)["Issued"] == "not issued"


def test_many_movements_are_summed_behind_the_first_hundred(invoice: Invoice):
    of = invoice.statement
    many = replace(of, movements=of.movements * MOVEMENTS_MAX)
    rows = page_of(replace(invoice, statement=many)).tables[0].rows
    assert len(rows) == MOVEMENTS_MAX + 4
    shown = [usd(row.cells[3]) for row in rows[1 : MOVEMENTS_MAX + 2]]
    assert sum(shown) == sum(each.micro for each in many.movements) * MICRO
    assert rows[MOVEMENTS_MAX + 1].cells[0] == f"{MOVEMENTS_MAX} further movements"


def test_an_invoice_of_nothing_is_a_page_too(invoice: Invoice, tmp_path: Path):
    nothing = Statement(2, "2026-11-01", "2026-12-01", 0, 7, (), 0, 7, (), ())
    empty = replace(invoice, statement=nothing, total_micro=0)
    assert page_of(empty).tables[1].rows[-1].cells[-1] == "0.000000"
    assert list(focus_rows(empty)) == []
    assert write_invoice(empty, tmp_path)
