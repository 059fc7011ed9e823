"""The book of invoices: numbered without a gap, fixed once issued, corrected only by credit notes of later numbers.

| asked again | answer |
|---|---|
| the same month, the same numbers | the invoice that was issued |
| the same month, other numbers | the invoice that was issued, and what differs |
| a span that overlaps one that was invoiced | refused: an hour is invoiced once |
| a credit under a known reference, the same content | the credit note that was issued |
| a credit of more than is left of the invoice | refused |

An invoice is kept whole, compressed, with its digest: what is printed later is what was issued, whatever was renamed or deleted.
"""

import zlib
from dataclasses import dataclass, fields
from hashlib import sha256

import msgspec

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.money import format_micro
from ciyuan.basics.time import iso_from_ns
from ciyuan.services.door.invoice import CREDIT_NOTE, DRAFT, INVOICE, Invoice, Labels, Statement
from ciyuan.services.door.invoice_check import MachineWord, check_machine
from ciyuan.services.door.invoice_statement import labels_of, statement_of
from ciyuan.services.door.registry_database import Row, Sql
from ciyuan.services.door.registry_schema import SpenderKind
from ciyuan.services.door.usage_names import Names
from ciyuan.services.door.usage_span import Span
from ciyuan.services.door.usage_tables import UsageTables, reach_of

COMPONENT = "invoices"
MIGRATIONS = (
    (
        """CREATE TABLE invoices (
            sequence INTEGER PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('invoice', 'credit note')),
            reference TEXT NOT NULL UNIQUE,
            customer INTEGER NOT NULL,
            from_hour INTEGER NOT NULL,
            end_hour INTEGER NOT NULL,
            total_micro INTEGER NOT NULL,
            corrects INTEGER REFERENCES invoices (sequence),
            issued_ns INTEGER NOT NULL,
            digest TEXT NOT NULL,
            document BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX invoices_by_customer ON invoices (customer, from_hour)",
    ),
)


@dataclass(frozen=True, slots=True)
class Issued:
    """An invoice, whether it was made just now, and what of it (fields of the statement) is no longer what the sums say."""

    invoice: Invoice
    is_new: bool
    differences: tuple[str, ...] = ()


class InvoiceBook:
    """The invoices of one database."""

    def __init__(self, tables: UsageTables) -> None:
        self._database = tables.database
        self._database.migrate(COMPONENT, MIGRATIONS)

    def draft(self, names: Names, organisation: str, span: Span, issuer: str) -> Issued:
        """What the invoice would be now, without a number. Nothing is kept."""
        customer = customer_of(names, organisation)
        with self._database.view() as sql:
            statement, row = statement_of(sql, customer, span), reach_of(sql).sequence
        labels = labels_of(statement, names, organisation, issuer)
        number = f"draft-{customer}-{span.first}"
        return Issued(Invoice(number, DRAFT, 0, row, statement.charged_micro, statement, labels), True)

    def issue(
        self,
        names: Names,
        organisation: str,
        span: Span,
        issuer: str,
        now_ns: int,
        machine: MachineWord | None = None,
    ) -> Issued:
        """The invoice of a span: made now and numbered, or the one that was made, compared with the sums of today.

        Raises Malformed for an organisation that is not there, a span that the journal has not passed yet or that overlaps an
        invoiced one; InvariantBroken if sums, prices and (if given) the machine's word disagree: then nothing is issued.
        """
        customer = customer_of(names, organisation)
        reference = f"span {customer} {span.first} {span.end} {span.offset_hours}"
        with self._database.change() as sql:
            known = sql.row("SELECT sequence, digest, document FROM invoices WHERE reference = ?", reference)
            if known is not None and not reach_of(sql).keeps(span):
                return Issued(_read(known), False)
            statement = statement_of(sql, customer, span)
            if machine is not None:
                check_machine(statement, machine)
            if known is not None:
                issued = _read(known)
                return Issued(issued, False, _differences(issued.statement, statement))
            _require_passed(sql, span)
            _require_alone(sql, customer, span)
            labels = labels_of(statement, names, organisation, issuer)
            sequence = _next(sql)
            invoice = Invoice(
                _number(sequence), INVOICE, now_ns, reach_of(sql).sequence, statement.charged_micro, statement, labels
            )  # fmt: skip
            _keep(sql, sequence, reference, invoice, None)
        return Issued(invoice, True)

    def credit(self, number: str, amount_micro: int, reason: str, reference: str, now_ns: int) -> Invoice:
        """A credit note on an invoice; under a known reference the one that was made.

        Raises Malformed for an amount that is not above 0 or more than is left of the invoice, for a credit of a credit note, and
        for a known reference with another content.
        """
        with self._database.change() as sql:
            row = sql.row(
                "SELECT sequence, digest, document FROM invoices WHERE sequence = ?", _sequence(number)
            )
            if row is None:
                raise _unknown(number)
            corrected = _read(row)
            known = sql.row(
                "SELECT sequence, digest, document FROM invoices WHERE reference = ?", f"credit {reference}"
            )
            if known is not None:
                return _same_credit(_read(known), corrected, amount_micro, reason)
            credited = sql.value(
                "SELECT CAST(SUM(total_micro) AS BIGINT) FROM invoices WHERE corrects = ?", row[0]
            )
            left = corrected.total_micro + int(credited or 0)
            if corrected.kind != INVOICE or not 0 < amount_micro <= left:
                raise Malformed(f"credit of {number}", found=f"{format_micro(amount_micro)} USD",
                                expected=f"an invoice, and more than 0 and at most the {format_micro(left)} USD left of it",
                                remedy="See `ciyuan invoice list`.")  # fmt: skip
            sequence = _next(sql)
            note = _note(_number(sequence), corrected, amount_micro, reason, now_ns)
            _keep(sql, sequence, f"credit {reference}", note, row[0])
        return note

    def find(self, number: str) -> Invoice:
        """An invoice or credit note as it was issued. Raises Malformed if there is none, InvariantBroken if it was changed."""
        with self._database.view() as sql:
            row = sql.row(
                "SELECT sequence, digest, document FROM invoices WHERE sequence = ?", _sequence(number)
            )
        if row is None:
            raise _unknown(number)
        return _read(row)

    def all(self) -> list[Invoice]:
        """All invoices and credit notes, by number."""
        with self._database.view() as sql:
            rows = sql.rows("SELECT sequence, digest, document FROM invoices ORDER BY sequence")
        return [_read(row) for row in rows]


def customer_of(names: Names, organisation: str) -> int:
    """The customer's number of an organisation. Raises Malformed if the registry has none of that name."""
    spender = names.find(SpenderKind.ORGANISATION, organisation)
    if spender is None:
        known = sorted(each.name for each in names.spenders.values() if each.kind == SpenderKind.ORGANISATION)
        raise Malformed("organisation", found=organisation, expected=f"one of {', '.join(known) or 'none yet'}",
                        remedy="Name one that the registry has.")  # fmt: skip
    return spender.participant


def _require_passed(sql: Sql, span: Span) -> None:
    reach, (_, end_ns) = reach_of(sql), span.bounds_ns
    if reach.time_ns < end_ns:
        raise Malformed(f"invoice of {span.name}", found=f"a journal that is metered up to {iso_from_ns(reach.time_ns)}",
                        expected=f"a row of {iso_from_ns(end_ns)} or later, so that nothing more can be charged in it",
                        remedy="Wait, or ask for a --draft.")  # fmt: skip


def _require_alone(sql: Sql, customer: int, span: Span) -> None:
    start, end = span.hours
    other = sql.value(
        "SELECT sequence FROM invoices WHERE kind = 'invoice' AND customer = ? AND from_hour < ? AND end_hour > ?",
        *(customer, end, start),
    )
    if other is not None:
        raise Malformed(f"invoice of {span.name}", found=f"hours that {_number(other)} has", expected="hours that no invoice has",
                        remedy="Ask for the same span and offset as that one.")  # fmt: skip


def _next(sql: Sql) -> int:
    return int(sql.value("SELECT MAX(sequence) FROM invoices") or 0) + 1


def _keep(sql: Sql, sequence: int, reference: str, invoice: Invoice, corrects: int | None) -> None:
    raw = msgspec.json.encode(invoice)
    start, end = invoice.statement.span.hours
    sql.run(
        "INSERT INTO invoices (sequence, kind, reference, customer, from_hour, end_hour, total_micro, corrects, issued_ns, "
        "digest, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(sequence, invoice.kind, reference, invoice.statement.customer, start, end, invoice.total_micro, corrects),
        *(invoice.issued_ns, sha256(raw).hexdigest(), zlib.compress(raw, 6)),
    )  # fmt: skip


def _read(row: Row) -> Invoice:
    """An invoice from its sequence, digest and document. Raises InvariantBroken if the document is not what was issued."""
    sequence, digest, document = row
    try:
        raw = zlib.decompress(bytes(document))
    except zlib.error as fault:
        raise InvariantBroken("an issued invoice is fixed", f"{_number(sequence)}: {fault}") from None
    if sha256(raw).hexdigest() != digest:
        raise InvariantBroken(
            "an issued invoice is fixed",
            f"{_number(sequence)}: digest {sha256(raw).hexdigest()}, issued {digest}",
        )
    return msgspec.json.decode(raw, type=Invoice)


def _note(number: str, corrected: Invoice, amount_micro: int, reason: str, now_ns: int) -> Invoice:
    of = corrected.statement
    statement = Statement(of.customer, of.first, of.end, of.offset_hours, 0, (), 0, 0, (), ())
    labels = Labels(corrected.labels.organisation, corrected.labels.issuer)
    return Invoice(
        number, CREDIT_NOTE, now_ns, corrected.journal_row, -amount_micro, statement, labels, corrected.number, reason
    )  # fmt: skip


def _same_credit(known: Invoice, corrected: Invoice, amount_micro: int, reason: str) -> Invoice:
    told = (corrected.number, -amount_micro, reason)
    if (known.corrects, known.total_micro, known.reason) != told:
        raise Malformed("credit note", found=f"a reference that {known.number} has, with another content",
                        expected="a new reference, or the same content",
                        remedy="A second credit has its own reference.")  # fmt: skip
    return known


def _differences(issued: Statement, now: Statement) -> tuple[str, ...]:
    """The fields in which two statements differ, with both sides where they are short."""
    found = []
    for field in fields(Statement):
        was, is_now = getattr(issued, field.name), getattr(now, field.name)
        if was == is_now:
            continue
        if isinstance(was, tuple):
            gone, new = len(set(was) - set(is_now)), len(set(is_now) - set(was))
            found.append(
                f"{field.name}: {gone} of those issued are gone or changed, {new} are new or changed"
            )
        else:
            found.append(f"{field.name}: issued {was}, now {is_now}")
    return tuple(found)


def _number(sequence: int) -> str:
    return f"INV-{sequence:06d}"


def _sequence(number: str) -> int:
    digits = number.removeprefix("INV-")
    if not digits.isdigit() or not digits.isascii():
        raise _unknown(number)
    return int(digits)


def _unknown(number: str) -> Malformed:
    return Malformed("invoice", found=number, expected="the number of an invoice that was issued",
                     remedy="See `ciyuan invoice list`.")  # fmt: skip
