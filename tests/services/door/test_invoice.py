"""An invoice is the ledger's word: it sums to the micro-unit, is numbered once and fixed, and not made if anything disagrees."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.money import PICO_PER_MICRO
from ciyuan.basics.rows import kind_word, row
from ciyuan.gateway.messages import MeterCommand, MeterEvent, deliver_row, hold_row, parties_word, tick_row
from ciyuan.gateway.usage import Leg
from ciyuan.services.door.invoice import CREDIT_NOTE, INVOICE, Invoice, PriceList, Statement
from ciyuan.services.door.invoice_check import recounted
from ciyuan.services.door.invoice_issue import InvoiceBook
from ciyuan.services.door.registry_database import Database
from ciyuan.services.door.usage_columns import Sums
from ciyuan.services.door.usage_fold import UsageFold
from ciyuan.services.door.usage_names import Names
from ciyuan.services.door.usage_span import parse_span
from ciyuan.services.door.usage_tables import UsageTables
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import VenueEvent
from tests.services.door.invoice_month import END_NS, PAID_MICRO, books, month, settled
from tests.services.door.usage_market import HOUR_NS, START_NS, Market, Told, gateway_terms, registry

pytest_plugins = ("tests.services.postgres",)
NOVEMBER = parse_span("2026-11")
TOLD = month()
NOW_NS = END_NS + 5


@pytest.fixture(params=["sqlite", "postgresql"])
def held(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[UsageTables, Names]]:
    where = tmp_path if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with books(where, TOLD) as opened:
        yield opened


def issued(held: tuple[UsageTables, Names]) -> Invoice:
    tables, names = held
    return InvoiceBook(tables).issue(names, "acme", NOVEMBER, "us", NOW_NS).invoice


def test_an_invoice_is_the_sum_of_what_was_settled_in_its_month(held: tuple[UsageTables, Names]):
    invoice = issued(held)
    of = invoice.statement
    assert invoice.total_micro == of.charged_micro == settled(TOLD) > 0
    assert sum(line.sums.charged_micro for line in invoice.lines) == settled(TOLD)
    assert sum(line.sums.requests for line in invoice.lines) == sum(
        detail.sums.requests for detail in of.details
    )
    assert (invoice.number, invoice.kind, invoice.journal_row) == ("INV-000001", INVOICE, len(TOLD.rows))


def test_the_account_runs_from_opening_to_closing(held: tuple[UsageTables, Names]):
    of = issued(held).statement
    before = settled(TOLD, 0, START_NS)
    assert before > 0
    assert of.opening_micro == PAID_MICRO - before
    assert (of.paid_in_micro, of.paid_out_micro) == (5_000_000, 1_000_000)
    assert of.closing_micro == of.opening_micro + 4_000_000 - of.charged_micro
    assert [(each.kind, each.key, each.micro) for each in of.movements] == [
        ("deposit", 3, 5_000_000), ("withdrawal", 4, -1_000_000),
    ]  # fmt: skip


def test_tokens_times_price_is_what_was_charged_but_for_a_part_of_a_micro_unit(
    held: tuple[UsageTables, Names],
):
    invoice = issued(held)
    carry = invoice.statement.carry_pico
    assert carry is not None
    assert abs(carry) < PICO_PER_MICRO
    exact = [line.exact_pico for line in invoice.lines]
    assert sum(cost for cost in exact if cost is not None) == invoice.total_micro * PICO_PER_MICRO - carry


def test_asked_again_it_is_the_same_and_a_second_number_is_not_given(held: tuple[UsageTables, Names]):
    first = issued(held)
    tables, names = held
    again = InvoiceBook(tables).issue(names, "acme", NOVEMBER, "someone else", NOW_NS + 1)
    assert (again.invoice, again.is_new, again.differences) == (first, False, ())
    assert InvoiceBook(tables).all() == [first]


def test_renaming_changes_nothing_that_was_issued(held: tuple[UsageTables, Names]):
    first = issued(held)
    tables, _ = held
    with tables.database.change() as sql:
        sql.run("UPDATE spenders SET name = 'labs' WHERE number = 2")
    again = InvoiceBook(tables).issue(Names.read(tables.database), "acme", NOVEMBER, "us", NOW_NS)
    assert again.invoice == first
    assert not again.differences


def test_sums_that_have_changed_are_named_and_the_invoice_stands(held: tuple[UsageTables, Names]):
    first = issued(held)
    tables, names = held
    with tables.database.change() as sql:
        day = sql.value("SELECT MIN(day) FROM usage_day WHERE day >= ?", START_NS // HOUR_NS // 24)
        assert sql.run("UPDATE usage_day SET voided = voided + 1 WHERE day = ?", day) > 0
    again = InvoiceBook(tables).issue(names, "acme", NOVEMBER, "us", NOW_NS)
    assert again.invoice == first
    assert len(again.differences) == 1
    assert again.differences[0].startswith("details: ")


def test_deleted_sums_leave_what_was_issued_and_the_next_opening(held: tuple[UsageTables, Names]):
    first = issued(held)
    tables, names = held
    tables.forget_days(END_NS // HOUR_NS // 24)
    book = InvoiceBook(tables)
    again = book.issue(names, "acme", NOVEMBER, "us", NOW_NS)
    assert (again.invoice, again.differences) == (first, ())
    with pytest.raises(Malformed, match="deleted"):
        book.draft(names, "acme", NOVEMBER, "us")
    december = book.draft(names, "acme", parse_span("2026-12"), "us").invoice.statement
    assert december.opening_micro == first.statement.closing_micro


def test_a_month_that_is_not_over_is_a_draft_at_most(tmp_path: Path):
    told = month()
    del told.rows[-1], told.answers[-1]
    with books(tmp_path, told) as (tables, names):
        book = InvoiceBook(tables)
        with pytest.raises(Malformed, match="metered up to"):
            book.issue(names, "acme", NOVEMBER, "us", NOW_NS)
        draft = book.draft(names, "acme", NOVEMBER, "us").invoice
        assert (draft.number, draft.total_micro, book.all()) == ("draft-2-2026-11-01", settled(told), [])


def test_an_hour_is_invoiced_once_whatever_the_offset(held: tuple[UsageTables, Names]):
    issued(held)
    tables, names = held
    book = InvoiceBook(tables)
    with pytest.raises(Malformed, match="INV-000001"):
        book.issue(names, "acme", parse_span("2026-10", "-05:00"), "us", NOW_NS)
    assert book.issue(names, "acme", parse_span("2026-10"), "us", NOW_NS).invoice.number == "INV-000002"


def test_a_month_at_an_offset_sums_its_own_hours(tmp_path: Path):
    with books(tmp_path, TOLD) as (tables, names):
        eight = (
            InvoiceBook(tables).issue(names, "acme", parse_span("2026-11", "+08:00"), "us", NOW_NS).invoice
        )
    assert eight.total_micro == settled(TOLD, START_NS - 8 * HOUR_NS, END_NS - 8 * HOUR_NS)
    days = [detail.day for detail in eight.statement.details]
    assert (min(days), max(days)) == ("2026-11-01", "2026-11-30")
    assert eight.statement.carry_pico is not None


def test_an_organisation_that_is_not_there_is_malformed(held: tuple[UsageTables, Names]):
    tables, names = held
    with pytest.raises(Malformed, match="one of acme"):
        InvoiceBook(tables).issue(names, "acne", NOVEMBER, "us", NOW_NS)


# --- what disagrees ---


def broken(tables: UsageTables, statement: str) -> None:
    with tables.database.change() as sql:
        assert sql.run(statement) > 0


@pytest.mark.parametrize(
    ("damage", "law"),
    [
        (
            "UPDATE usage_day SET charged_micro = charged_micro + 1 WHERE charged_micro > 0",
            "details are the charges",
        ),
        ("UPDATE usage_price_list SET price_out = price_out + 10000", "charges are the prices"),
        ("UPDATE usage_money SET micro = 1 WHERE reference IN (1, 3)", "prepaid is never overdrawn"),
    ],
)
def test_nothing_is_issued_if_a_law_is_broken(held: tuple[UsageTables, Names], damage: str, law: str):
    tables, names = held
    broken(tables, damage)
    with pytest.raises(InvariantBroken, match=law):
        InvoiceBook(tables).issue(names, "acme", NOVEMBER, "us", NOW_NS)
    assert InvoiceBook(tables).all() == []


def test_an_issued_invoice_that_was_tampered_with_is_found(held: tuple[UsageTables, Names]):
    invoice = issued(held)
    tables, _ = held
    broken(tables, "UPDATE invoices SET digest = 'another'")
    with pytest.raises(InvariantBroken, match="fixed"):
        InvoiceBook(tables).find(invoice.number)


def december(market: Market) -> None:
    market.now_ns = END_NS
    market.tell(tick_row(0))


def real_month() -> Market:
    """A month through a real venue."""
    market = Market()
    market.open(prepaid_micro=1_000_000)
    for request in range(1, 60):
        market.now_ns += 11 * HOUR_NS
        key = request << 4
        market.tell(hold_row(0, key, parties_word(2, 1, 5), 900, 900))
        market.tell(
            deliver_row(
                0, key, parties_word(2, 1, 5), 13 * request, request, 7 * request, batch=request % 3 == 0
            )
        )
    december(market)
    return market


def test_the_ledger_of_a_real_venue_agrees_and_a_word_that_differs_is_refused(tmp_path: Path):
    market = real_month()
    rows = sum(len(rows) for rows, _ in market.batches)
    word = recounted((rows for rows, _ in market.batches), Venue(gateway_terms()), 2, NOVEMBER)
    with Database.open(tmp_path / "registry.sqlite") as database:
        registry(database)
        tables = UsageTables(database)
        fold = UsageFold(tables)
        market.feed(fold)
        assert fold.flush(rows)
        book, names = InvoiceBook(tables), Names.read(database)
        for wrong, law in (
            (replace(word, closing_micro=word.closing_micro + 1), "the ledger holds what usage leaves"),
            (replace(word, settled_micro=word.settled_micro - 1), "an invoice is the sum of SETTLED"),
        ):
            with pytest.raises(InvariantBroken, match=law):
                book.issue(names, "acme", NOVEMBER, "us", NOW_NS, wrong)
        assert book.all() == []
        done = book.issue(names, "acme", NOVEMBER, "us", NOW_NS, word).invoice
    assert done.total_micro == word.settled_micro > 0
    assert done.statement.closing_micro == word.closing_micro == 1_000_000 - word.settled_micro
    assert done.statement.carry_pico is not None


def test_the_recount_stops_at_the_spans_end_and_begins_at_its_beginning():
    market = real_month()
    batches = [rows for rows, _ in market.batches]
    whole = np.concatenate(batches)
    days = [parse_span(f"2026-11-{day:02}") for day in range(1, 31)]
    words = [recounted(iter([whole]), Venue(gateway_terms()), 2, day) for day in days]
    assert (
        sum(word.settled_micro for word in words)
        == recounted(iter(batches), Venue(gateway_terms()), 2, NOVEMBER).settled_micro
    )
    assert [word.closing_micro for word in words] == sorted(
        (word.closing_micro for word in words), reverse=True
    )
    spent = 0
    for word in words:
        spent += word.settled_micro
        assert word.closing_micro == 1_000_000 - spent


# --- legs, purses, credit notes ---


def test_a_list_with_further_legs_has_no_exact_cost_by_three_prices(tmp_path: Path):
    told = Told()
    told.price(1, 5, (950_000, 160_000, 4_000_000))
    words = (1, 5, Leg.CACHE_WRITE_SHORT, 1_250_000, 0, told.now_ns)
    told.say(
        row(kind_word(MeterCommand.LEG_PRICE), told.now_ns, words),
        row(kind_word(MeterEvent.LEG_PRICED), told.now_ns, words),
    )
    told.move(VenueEvent.DEPOSITED, 1, 2, PAID_MICRO)
    told.hold(1 << 4, 7, parties_word(2, 1, 5))
    told.deliver(1 << 4, (100, 0, 10), 999)
    told.now_ns = END_NS
    told.say(row(kind_word(MeterCommand.TICK), END_NS), row(kind_word(258), END_NS))
    with books(tmp_path, told) as (tables, names):
        invoice = InvoiceBook(tables).issue(names, "acme", NOVEMBER, "us", NOW_NS).invoice
    (line,) = invoice.lines
    assert line.exact_pico is None
    assert invoice.statement.carry_pico is None
    assert invoice.total_micro == 999


def test_batch_prices_round_as_the_meter_rounds():
    prices = PriceList(1, 1, 5, 1, 3, 101, 0, 50, False)
    assert prices.prices(0) == (1, 3, 101)
    assert prices.prices(1) == (1, 2, 51)


def test_credit_notes_are_numbered_after_and_never_exceed_the_invoice(held: tuple[UsageTables, Names]):
    invoice = issued(held)
    book = InvoiceBook(held[0])
    note = book.credit(invoice.number, 1_000, "outage", "T-1", NOW_NS)
    assert (note.number, note.kind, note.total_micro, note.corrects) == (
        "INV-000002",
        CREDIT_NOTE,
        -1_000,
        "INV-000001",
    )
    assert book.credit(invoice.number, 1_000, "outage", "T-1", NOW_NS + 9) == note
    with pytest.raises(Malformed, match="another content"):
        book.credit(invoice.number, 2_000, "outage", "T-1", NOW_NS)
    with pytest.raises(Malformed, match="left of it"):
        book.credit(invoice.number, invoice.total_micro - 999, "all", "T-2", NOW_NS)
    rest = book.credit(invoice.number, invoice.total_micro - 1_000, "all", "T-3", NOW_NS)
    assert rest.number == "INV-000003"
    for wrong, amount in ((invoice.number, 1), (invoice.number, 0), (invoice.number, -5), (note.number, 1)):
        with pytest.raises(Malformed, match="credit of"):
            book.credit(wrong, amount, "more", f"T-{wrong}-{amount}", NOW_NS)
    assert [each.number for each in book.all()] == ["INV-000001", "INV-000002", "INV-000003"]
    assert book.find("INV-000002") == note


@pytest.mark.parametrize("number", ["INV-000099", "draft-2", "INV-x", ""])
def test_a_number_that_was_not_given_is_malformed(held: tuple[UsageTables, Names], number: str):
    book = InvoiceBook(held[0])
    with pytest.raises(Malformed, match="invoice"):
        book.find(number)
    with pytest.raises(Malformed, match="invoice"):
        book.credit(number, 1, "x", "T", NOW_NS)


def test_a_move_to_another_purse_is_money_that_went_out(tmp_path: Path):
    told = Told()
    told.now_ns = START_NS - HOUR_NS
    told.move(VenueEvent.DEPOSITED, 1, 2, 500)
    told.now_ns = START_NS + HOUR_NS
    told.say(*(row(kind_word(code), told.now_ns, (2, 2, 1, 200, 3)) for code in (604, VenueEvent.MOVED)))
    told.say(*(row(kind_word(code), told.now_ns, (3, 2, 3, 50, 0)) for code in (604, VenueEvent.MOVED)))
    told.now_ns = END_NS
    told.say(row(kind_word(MeterCommand.TICK), END_NS), row(kind_word(258), END_NS))
    with books(tmp_path, told) as (tables, names):
        of = InvoiceBook(tables).issue(names, "acme", NOVEMBER, "us", NOW_NS).invoice.statement
    assert [each.micro for each in of.movements] == [-200, 50]
    assert (of.opening_micro, of.closing_micro, of.details) == (500, 350, ())


def test_an_empty_statement_has_no_carry():
    empty = Statement(2, "2026-11-01", "2026-12-01", 0, 0, (), 0, 0, (), ())
    assert empty.carry_pico == 0
    assert (empty.paid_in_micro, empty.span) == (0, NOVEMBER)
    assert Sums() + Sums(requests=2) == Sums(requests=2)
