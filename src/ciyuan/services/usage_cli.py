"""Usage and invoices on the command line: `ciyuan usage [league ...]`, `ciyuan invoice [list ...]`.

What the commands call is imported late. A store is a folder (`registry.sqlite` in it) or the url of a PostgreSQL database.
"""

import csv
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.basics.errors import Malformed
from ciyuan.services.door.registry_command import DIFFERENT, STORE, AsJson, Store, opened, print_json

if TYPE_CHECKING:
    from ciyuan.services.door.registry import Registry
    from ciyuan.services.door.usage_print import Measure, Plain
    from ciyuan.services.door.usage_query import Answer, Dimension
    from ciyuan.services.door.usage_span import Span
    from ciyuan.services.door.usage_tables import UsageTables

STATUS = "Exit status: 0 done, 1 found different, 2 malformed input, 3 damaged journal, 4 broken law, 5 failed disk or database."
TOP = 40

usage_app = typer.Typer(
    help="What was used, by whom, of what, and what it cost.",
    epilog=f"Example:  ciyuan usage --by department --month 2026-11   ·   {STATUS}",
    add_completion=False,
)
invoice_app = typer.Typer(
    help="Invoices: made once, numbered, fixed; checked against the ledger to the micro-unit.",
    epilog=f"Example:  ciyuan invoice --organisation acme --month 2026-10 --out invoices   ·   {STATUS}",
    add_completion=False,
)

Month = Annotated[
    str | None, typer.Option(help="A month (2026-11), day (2026-11-21) or year; by default this month.")
]
Organisation = Annotated[str | None, typer.Option(help="Of this organisation only.")]
UtcOffset = Annotated[
    str, typer.Option(help="Where days begin, as whole hours from UTC: +08:00 for a company in China.")
]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print lines of CSV instead of tables.")]


@usage_app.callback(invoke_without_command=True)
def usage(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="One dimension, or two as rows and columns: organisation, department, engineer, key, app, customer, supplier, "
            "model, tier, served, hour, day, month. By default department."
        ),
    ] = None,
    month: Month = None,
    until: Annotated[str | None, typer.Option(help="To the end of this month, day or year.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Filter, as department=research; several of one dimension: any of them."),
    ] = None,
    measure: Annotated[
        str, typer.Option(help="What two dimensions show: cost, tokens, requests, refused.")
    ] = "cost",
    top: Annotated[
        int, typer.Option(min=1, help="The largest so many lines; the others are summed in one.")
    ] = TOP,
    utc_offset: UtcOffset = "+00:00",
    plot: Annotated[Path | None, typer.Option(help="Draw it into a file, .svg or .png.")] = None,
    store: Store = STORE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Usage by any one or two dimensions. Refusals by reason: `ciyuan usage refusals`."""
    if context.invoked_subcommand is not None:
        return
    from ciyuan.services.door.usage_print import answer_rows, print_answer

    shown = _measure(measure)
    if plot is not None:
        from ciyuan.services.door.usage_plot import check_picture

        check_picture(plot)
    answer = _asked(store, by or ["department"], _span(month, until, utc_offset), only or [])
    if plot is not None:
        from ciyuan.services.door.usage_plot import draw_answer

        draw_answer(plot, answer, shown)
    if as_json:
        print_json(_answer_json(answer))
    elif as_csv:
        _print_csv(answer_rows(answer))
    else:
        print_answer(answer, shown, top)


@usage_app.command(epilog=f"Example:  ciyuan usage refusals --by key --month 2026-11   ·   {STATUS}")
def refusals(
    by: Annotated[
        str | None, typer.Option(help="A dimension beside the reason, or limit: which budget refused.")
    ] = None,
    month: Month = None,
    only: Annotated[list[str] | None, typer.Option(help="Filter, as department=research.")] = None,
    utc_offset: UtcOffset = "+00:00",
    store: Store = STORE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Requests that were refused before they were sent, by reason."""
    from ciyuan.services.door.usage_print import Measure, answer_rows, print_answer

    dimensions = [by, "reason"] if by else ["reason"]
    answer = _asked(store, dimensions, _span(month, None, utc_offset), only or [])
    if as_json:
        print_json(_answer_json(answer))
    elif as_csv:
        _print_csv(answer_rows(answer))
    else:
        print_answer(answer, Measure.REFUSED, TOP)


@usage_app.command(epilog=f"Example:  ciyuan usage league --month 2026-11   ·   {STATUS}")
def league(
    month: Month = None,
    organisation: Organisation = None,
    utc_offset: UtcOffset = "+00:00",
    store: Store = STORE,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Departments by what they cost: per engineer, per revenue, against the month before."""
    from ciyuan.services.door.usage_league import league as league_of
    from ciyuan.services.door.usage_names import Names
    from ciyuan.services.door.usage_print import league_rows, print_league

    span = _span(month, None, utc_offset)
    with opened(store) as registry:
        table = league_of(_tables(registry), Names.read(registry.database), span, organisation)
    if as_json:
        print_json({"span": table.span.name, "departments": league_rows(table)})
    elif as_csv:
        _print_csv(league_rows(table))
    else:
        print_league(table)


@usage_app.command(
    epilog=f"Example:  ciyuan usage revenue acme/research 90000 --month 2026-11   ·   {STATUS}"
)
def revenue(
    path: Annotated[str, typer.Argument(help="Path of a department, as acme/research.", show_default=False)],
    amount: Annotated[str, typer.Argument(help="USD, as 90000 or 12.50.", show_default=False)],
    month: Annotated[str, typer.Option(help="The month in which it was earned, as 2026-11.")],
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Tell what a department earned in a month, for the league table; a later word replaces an earlier one."""
    from ciyuan.services.door.registry_schema import SpenderKind
    from ciyuan.services.door.registry_words import parse_usd
    from ciyuan.services.door.usage_print import usd

    span, micro = _span(month, None, "+00:00"), parse_usd(amount)
    if not span.is_month:
        raise Malformed(
            "revenue", found=span.name, expected="one month, as 2026-11", remedy="Tell it month by month."
        )
    with opened(store) as registry, registry.change(time.time_ns()) as change:
        spender = change.spenders.tree.find(path)
        if spender.kind != SpenderKind.DEPARTMENT:
            raise Malformed("revenue", found=f"{path}, of kind {spender.kind}", expected="a department",
                            remedy="Give the path of a department, as acme/research.")  # fmt: skip
        change.set_revenue(spender.number, span.first.year * 100 + span.first.month, micro)
    if as_json:
        print_json({"department": path, "month": span.name, "revenue_micro": micro})
    else:
        typer.echo(f"{path} earned {usd(micro)} USD in {span.name}.")


@usage_app.command(epilog=f"Example:  ciyuan usage budget   ·   {STATUS}")
def budget(store: Store = STORE, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Budgets, and what of each is used in its day, month or year now."""
    from ciyuan.services.door.usage_budget import budgets
    from ciyuan.services.door.usage_names import Names
    from ciyuan.services.door.usage_print import budget_rows, print_budgets

    with opened(store) as registry:
        lines = budgets(_tables(registry), Names.read(registry.database), time.time_ns())
    if as_json:
        print_json({"budgets": budget_rows(lines)})
    elif as_csv:
        _print_csv(budget_rows(lines))
    else:
        print_budgets(lines)


@usage_app.command(epilog=f"Example:  ciyuan usage forget --hours-before 2026-08-01   ·   {STATUS}")
def forget(
    hours_before: Annotated[
        str | None, typer.Option(help="Delete sums by hour, and refusals, of days before this one.")
    ] = None,
    days_before: Annotated[
        str | None, typer.Option(help="Delete the sums by day too, of days before this one.")
    ] = None,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Delete old sums, in small slices. Invoices that were made stay; of deleted days none can be made or checked any more."""
    from ciyuan.services.door.usage_span import parse_span

    if (hours_before is None) == (days_before is None):
        raise Malformed("ciyuan usage forget", found="both" if hours_before else "neither",
                        expected="--hours-before DAY or --days-before DAY", remedy="Say one of them.")  # fmt: skip
    start = parse_span(hours_before or days_before or "").hours[0]
    with opened(store) as registry:
        tables = _tables(registry)
        if hours_before:
            span, unit = tables.forget_hours(start), "hours"
        else:
            span, unit = tables.forget_days(start // 24), "days"
    typer.echo(json.dumps({"deleted": span, "unit": unit}) if as_json else f"deleted: {span:,} {unit}")


@invoice_app.callback(invoke_without_command=True)
def invoice(
    context: typer.Context,
    organisation: Annotated[str | None, typer.Option(help="The organisation that is invoiced.")] = None,
    month: Annotated[str | None, typer.Option(help="The month, as 2026-10.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the files, which is made.")] = Path("invoices"),
    issuer: Annotated[
        str, typer.Option(envvar="CIYUAN_ISSUER", help="Who issues it: name and address, as it is printed.")
    ] = "",
    draft: Annotated[
        bool, typer.Option("--draft", help="Without a number, also of a month that is not over.")
    ] = False,
    utc_offset: UtcOffset = "+00:00",
    recount: Annotated[
        bool,
        typer.Option("--recount", help="Play the journal again, and hold the invoice against its ledger."),
    ] = False,
    font: Annotated[
        Path | None, typer.Option(help="TrueType font that the PDF embeds, for names in any script.")
    ] = None,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Make a month's invoice, or say whether the one that was made still agrees: HTML, PDF, CSV, and the FOCUS columns."""
    if context.invoked_subcommand is not None:
        return
    if organisation is None or month is None:
        raise Malformed("ciyuan invoice", found="no " + ("--organisation" if organisation is None else "--month"),
                        expected="both", remedy="As: ciyuan invoice --organisation acme --month 2026-10.")  # fmt: skip
    from ciyuan.services.door.invoice_files import write_invoice
    from ciyuan.services.door.invoice_issue import InvoiceBook
    from ciyuan.services.door.invoice_print import invoice_json, print_issued
    from ciyuan.services.door.invoice_recount import recount_store
    from ciyuan.services.door.usage_names import Names
    from ciyuan.services.door.usage_span import parse_span

    with opened(store) as registry:
        book = InvoiceBook(_tables(registry))
        names, span = Names.read(registry.database), parse_span(month, utc_offset)
        if draft:
            issued = book.draft(names, organisation, span, issuer)
        else:
            word = recount_store(store, names, organisation, span) if recount else None
            issued = book.issue(names, organisation, span, issuer, time.time_ns(), word)
        files = write_invoice(issued.invoice, out, font)
    if as_json:
        print_json(invoice_json(issued, files))
    else:
        print_issued(issued, files)
    if issued.differences:
        raise typer.Exit(DIFFERENT)


@invoice_app.command(name="list", epilog=f"Example:  ciyuan invoice list   ·   {STATUS}")
def list_invoices(store: Store = STORE, as_json: AsJson = False) -> None:
    """Invoices and credit notes, by number."""
    from ciyuan.services.door.invoice_issue import InvoiceBook
    from ciyuan.services.door.invoice_print import listed, print_list

    with opened(store) as registry:
        invoices = InvoiceBook(_tables(registry)).all()
    if as_json:
        print_json({"invoices": [listed(each) for each in invoices]})
    else:
        print_list(invoices)


@invoice_app.command(epilog=f"Example:  ciyuan invoice show INV-000001 --out invoices   ·   {STATUS}")
def show(
    number: Annotated[str, typer.Argument(help="Number of an invoice or credit note.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("invoices"),
    font: Annotated[Path | None, typer.Option(help="TrueType font that the PDF embeds.")] = None,
    store: Store = STORE,
) -> None:
    """Write the files of an invoice again, as it was issued."""
    from ciyuan.services.door.invoice_files import write_invoice
    from ciyuan.services.door.invoice_issue import InvoiceBook

    with opened(store) as registry:
        files = write_invoice(InvoiceBook(_tables(registry)).find(number), out, font)
    for path in files:
        typer.echo(path)


@invoice_app.command(
    epilog=f"Example:  ciyuan invoice credit INV-000001 --amount 12.50 --reason outage --reference T-77   ·   {STATUS}"
)
def credit(
    number: Annotated[str, typer.Argument(help="The invoice that is credited.", show_default=False)],
    amount: Annotated[str, typer.Option(help="USD, as 12.50: more than 0, no more than is left of it.")],
    reason: Annotated[str, typer.Option(help="Why, as it is printed.")],
    reference: Annotated[str, typer.Option(help="Your own reference: said twice, there is one credit note.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("invoices"),
    font: Annotated[Path | None, typer.Option(help="TrueType font that the PDF embeds.")] = None,
    store: Store = STORE,
) -> None:
    """Issue a credit note. It moves no money: pay it in with `ciyuan balance deposit` under the same reference."""
    from ciyuan.basics.money import parse_micro
    from ciyuan.services.door.invoice_files import write_invoice
    from ciyuan.services.door.invoice_issue import InvoiceBook

    with opened(store) as registry:
        book = InvoiceBook(_tables(registry))
        note = book.credit(number, parse_micro(amount), reason, reference, time.time_ns())
        files = write_invoice(note, out, font)
    typer.echo(f"{note.number}: credits {amount} USD of {number}")
    for path in files:
        typer.echo(path)


def _tables(registry: "Registry") -> "UsageTables":
    from ciyuan.services.door.usage_tables import UsageTables

    return UsageTables(registry.database)


def _span(month: str | None, until: str | None, offset: str) -> "Span":
    from ciyuan.services.door.usage_span import between, month_of, offset_hours, parse_span

    first = parse_span(month, offset) if month else month_of(time.time_ns(), offset_hours(offset))
    return between(first, parse_span(until, offset)) if until else first


def _asked(store: str, by: Sequence[str], span: "Span", only: Sequence[str]) -> "Answer":
    from ciyuan.services.door.usage_names import Names
    from ciyuan.services.door.usage_query import Question, ask

    filters: dict[Dimension, frozenset[str]] = {}
    for each in only:
        name, sign, label = each.partition("=")
        if not sign:
            raise Malformed("--only", found=each, expected="a dimension and a label",
                            remedy="Write it like department=research.")  # fmt: skip
        filters[_dimension(name)] = filters.get(_dimension(name), frozenset()) | {label}
    question = Question(tuple(_dimension(name) for each in by for name in each.split(",")), span, filters)
    with opened(store) as registry:
        return ask(_tables(registry), Names.read(registry.database), question)


def _dimension(name: str) -> "Dimension":
    from ciyuan.services.door.usage_query import Dimension

    try:
        return Dimension(name)
    except ValueError:
        raise Malformed("--by or --only", found=name, expected=f"one of {', '.join(Dimension)}",
                        remedy="Two dimensions: --by department,month.") from None  # fmt: skip


def _measure(name: str) -> "Measure":
    from ciyuan.services.door.usage_print import Measure

    try:
        return Measure(name)
    except ValueError:
        raise Malformed("--measure", found=name, expected=f"one of {', '.join(Measure)}",
                        remedy="Say one of them.") from None  # fmt: skip


def _answer_json(answer: "Answer") -> dict[str, object]:
    from ciyuan.services.door.usage_print import answer_rows, sums_row

    return {
        "span": answer.question.span.name,
        "by": list(answer.question.by),
        "lines": answer_rows(answer),
        "total": sums_row(answer.total),
        "journal_row": answer.reach.sequence,
        "metered_to_ns": answer.reach.time_ns,
        "refusals_from_ns": answer.refused_from,
    }


def _print_csv(rows: "list[dict[str, Plain]]") -> None:
    """Rows as CSV on standard output; only the header's absence says that there are none."""
    if rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
