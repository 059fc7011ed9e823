"""The gateway's registry on the command line: `ciyuan key | budget | balance | supplier`. What is called is imported late.

A store is a folder (`registry.sqlite` in it) or the url of a PostgreSQL database. A running gateway sees a change in a second.
Spenders are named by path, as acme/research/ada/laptop: organisation, departments, engineer, key.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.basics.errors import Malformed
from ciyuan.services.door.registry_command import (
    DIFFERENT,
    STATUS,
    STORE,
    AsJson,
    Store,
    Under,
    Yes,
    ask_about,
    command_group,
    directory_of,
    number_of,
    opened,
    print_json,
)
from ciyuan.services.door.registry_key_cli import key_app

if TYPE_CHECKING:
    from ciyuan.services.door.registry_directory import Directory
    from ciyuan.services.door.registry_schema import PaymentKind

__all__ = ["balance_app", "budget_app", "key_app", "supplier_app"]

budget_app = command_group("Budgets and rates of organisations, departments, engineers and keys.")
balance_app = command_group("Prepaid money of organisations: what came in, what is there.")
supplier_app = command_group("Suppliers: their numbers and grades; a file of suppliers checked.")

Organisation = Annotated[str, typer.Argument(help="Name of an organisation.", show_default=False)]
Amount = Annotated[str, typer.Argument(help="USD, as 5000 or 12.50.", show_default=False)]
Reference = Annotated[
    str,
    typer.Option(
        help="What it is of outside: an invoice, a bank's transfer. The same reference is done once."
    ),
]


# --- budgets ---


@budget_app.command(
    "set",
    epilog=f"Example:  ciyuan budget set acme/research '2000 USD a month' '20M tokens a day'   ·   {STATUS}",
)
def set_budget(
    path: Annotated[str, typer.Argument(help="Path of a spender, as acme/research/ada.", show_default=False)],
    limits: Annotated[
        list[str],
        typer.Argument(
            help="'50 USD a month', '20M tokens a day', '500 USD ever', '60 requests a minute', "
            "'50 USD a month at +08:00'.",
            show_default=False,
        ),
    ],
    yes: Yes = False,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Set budgets and rates of a spender; one of the same unit and window is changed. Use counts from when it was first set."""
    from ciyuan.services.door.registry_words import parse_limit

    terms = [parse_limit(text) for text in limits]
    ask_about([f"{path}, {each}: {each.doubt()}" for each in terms if each.doubt()], yes)
    with opened(store) as registry:
        with registry.change(time.time_ns()) as change:
            spender = change.spenders.tree.find(path).number
            for each in terms:
                change.limits.set(spender, each)
        directory = registry.directory()
    _show_budgets(directory, spender, as_json)


@budget_app.command("list", epilog=f"Example:  ciyuan budget list acme   ·   {STATUS}")
def list_budgets(under: Under = None, store: Store = STORE, as_json: AsJson = False) -> None:
    """List budgets and rates; what was used of them `ciyuan usage budget` says."""
    directory = directory_of(store)
    _show_budgets(directory, number_of(directory, under), as_json)


@budget_app.command(epilog=f"Example:  ciyuan budget clear 17   ·   {STATUS}")
def clear(
    numbers: Annotated[
        list[int],
        typer.Argument(help="Numbers of limits, as `ciyuan budget list` shows.", show_default=False),
    ],
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Clear budgets and rates: they limit no longer."""
    with opened(store) as registry, registry.change(time.time_ns()) as change:
        directory = change.directory()
        for number in numbers:
            limit = directory.limits.get(number)
            if limit is None or limit.most is None:
                raise Malformed("limit", found=number, expected="the number of a limit in force",
                                remedy="See `ciyuan budget list`.")  # fmt: skip
            change.limits.clear(number)
        words = [directory.limit_words(number) for number in numbers]
    if as_json:
        print_json({"cleared": numbers})
    else:
        typer.echo("\n".join(f"cleared: {each}" for each in words))


# --- balances ---


@balance_app.command(
    epilog=f"Example:  ciyuan balance deposit acme 5000 --reference 'bank transfer 2026-11-21/17'   ·   {STATUS}"
)
def deposit(
    organisation: Organisation,
    amount: Amount,
    reference: Reference,
    yes: Yes = False,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Money came in: an organisation can spend it within a second of a running gateway."""
    from ciyuan.services.door.registry_schema import PaymentKind

    _pay(PaymentKind.DEPOSIT, organisation, amount, reference, yes, store, as_json)


@balance_app.command(
    epilog=f"Example:  ciyuan balance withdraw acme 100 --reference 'refund 9'   ·   {STATUS}"
)
def withdraw(
    organisation: Organisation,
    amount: Amount,
    reference: Reference,
    yes: Yes = False,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Money goes out: the venue gives it if it is there and not held, and refuses it else."""
    from ciyuan.services.door.registry_schema import PaymentKind

    _pay(PaymentKind.WITHDRAWAL, organisation, amount, reference, yes, store, as_json)


@balance_app.command(epilog=f"Example:  ciyuan balance show   ·   {STATUS}")
def show(
    organisation: Annotated[str | None, typer.Argument(help="One organisation.", show_default=False)] = None,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Show balances, and payments that are on their way or were refused."""
    from ciyuan.services.door.registry_directory import directory_in
    from ciyuan.services.door.registry_payments import payments_in
    from ciyuan.services.door.registry_print import balance_lines, balances_of, payment_lines, print_balances

    with opened(store) as registry, registry.database.view() as sql:
        directory, payments = directory_in(sql), payments_in(sql)
        balances = balances_of(directory, payments, sql)
    if organisation is not None:
        directory.tree.find(organisation)
        balances = [each for each in balances if each.organisation == organisation]
    names = {each.organisation for each in balances}
    lines = [line for line in payment_lines(directory, payments) if line["organisation"] in names]
    if as_json:
        print_json({"balances": balance_lines(balances), "payments": lines})
    else:
        print_balances(balances, lines)


# --- suppliers ---


@supplier_app.command("list", epilog=f"Example:  ciyuan supplier list   ·   {STATUS}")
def list_suppliers(store: Store = STORE, as_json: AsJson = False) -> None:
    """List suppliers that have a number, and the grades that they have prices for."""
    from ciyuan.services.door.registry_print import print_suppliers, supplier_lines

    with opened(store) as registry:
        lines = supplier_lines(registry.directory(), registry.price_lists())
    if as_json:
        print_json({"suppliers": lines})
    else:
        print_suppliers(lines)


@supplier_app.command(epilog=f"Example:  ciyuan supplier check suppliers.toml   ·   {STATUS}")
def check(
    file: Annotated[
        Path,
        typer.Argument(help="File of suppliers, as examples/gateway/suppliers.toml.", show_default=False),
    ],
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Check a file of suppliers, and change nothing: what it offers, which prices would be new, which keys are not there."""
    from ciyuan.services.door.registry_command import has_registry
    from ciyuan.services.door.registry_print import offer_lines, print_offers
    from ciyuan.services.door.registry_suppliers import look_at_suppliers

    if has_registry(store):
        with opened(store) as registry:
            looked = look_at_suppliers(registry, file, time.time_ns(), os.environ)
    else:
        looked = look_at_suppliers(None, file, time.time_ns(), os.environ)
    lines = offer_lines(looked)
    if as_json:
        print_json({"offers": lines, "seeds": list(looked.catalogue.seeds), "faults": list(looked.faults)})
    else:
        print_offers(lines, looked.catalogue.seeds, looked.faults)
    if looked.faults:
        raise typer.Exit(DIFFERENT)


def _pay(
    kind: "PaymentKind", organisation: str, amount: str, reference: str, yes: bool, store: str, as_json: bool
) -> None:
    from ciyuan.services.door.registry_payments import DOUBT_MICRO
    from ciyuan.services.door.registry_print import payment_lines, print_payment
    from ciyuan.services.door.registry_words import parse_usd

    micro = parse_usd(amount)
    if micro > DOUBT_MICRO:
        ask_about([f"{kind} of {amount} USD: more than ten million USD; are these micro-USD?"], yes)
    with opened(store) as registry:
        with registry.change(time.time_ns()) as change:
            payer = change.spenders.tree.find(organisation)
            payment, is_new = change.payments.ask(kind, payer.participant, micro, reference)
        (line,) = payment_lines(registry.directory(), [payment])
    if as_json:
        print_json({"payment": line, "new": is_new})
    else:
        print_payment(line)
        if not is_new:
            typer.echo("It was asked for before, under the same reference: nothing was done now.")


def _show_budgets(directory: "Directory", under: int, as_json: bool) -> None:
    from ciyuan.services.door.registry_print import budget_lines, print_budgets

    lines = budget_lines(directory, under)
    if as_json:
        print_json({"limits": lines})
    else:
        print_budgets(lines)
