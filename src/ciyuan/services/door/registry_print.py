"""The registry for people and for programs: keys, budgets, balances, suppliers as tables, and the same as plain values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ciyuan.basics.time import NS_PER_DAY, iso_from_ns
from ciyuan.gateway.usage import Leg
from ciyuan.services.door.registry_database import Sql
from ciyuan.services.door.registry_directory import Directory
from ciyuan.services.door.registry_keys import Secret
from ciyuan.services.door.registry_payments import Payment
from ciyuan.services.door.registry_schema import ParticipantKind, PaymentKind, PaymentState, Subject
from ciyuan.services.door.registry_spenders import ROOT
from ciyuan.services.door.registry_team import Step
from ciyuan.services.door.registry_words import money_words

if TYPE_CHECKING:
    from ciyuan.services.door.registry_suppliers import Looked

WIDTH = 150
ALL = "all"
_COLOURS = {"+": "green", "-": "red", "~": "yellow"}
Plain = dict[str, Any]
"""One line for programs: what JSON can hold."""


@dataclass(frozen=True, slots=True)
class Balance:
    """A customer's money, but for what is held for requests under way.

    `charged_micro` is None if it is not known any more, because days of usage were deleted; `row` is the journal's last row that
    is in it, None if nothing was counted in this store yet.
    """

    organisation: str
    deposited_micro: int
    withdrawn_micro: int
    pending_micro: int
    charged_micro: int | None
    row: int | None

    @property
    def balance_micro(self) -> int | None:
        """Deposited, less withdrawn, less charged; None if that is not known."""
        if self.charged_micro is None:
            return None
        return self.deposited_micro - self.withdrawn_micro - self.charged_micro


def key_lines(directory: Directory, now_ns: int, under: int = ROOT, *, ended: bool = False) -> list[Plain]:
    """Keys under a spender, a line for each secret; with `ended`, those that are taken no longer too."""
    inside = {spender.number for spender in directory.tree.below(under)}
    lines = []
    for secret in directory.secrets:
        key = directory.by_digest[secret.digest]
        if secret.spender in inside and (ended or now_ns < key.expires_ns):
            allowed = secret.permissions
            lines.append({
                "number": secret.number,
                "key": directory.name_of(secret.spender),
                "spender": secret.spender,
                "secret": secret.shown,
                "state": _state(secret, key.expires_ns, now_ns),
                "models": None if allowed.models is None else list(allowed.models),
                "tiers": None if allowed.tiers is None else list(allowed.tiers),
                "scopes": list(allowed.scopes),
                "firewall": str(allowed.firewall),
                "created": iso_from_ns(secret.created_ns),
                "expires": None if secret.expires_ns is None else iso_from_ns(secret.expires_ns),
                "revoked": None if secret.revoked_ns is None else iso_from_ns(secret.revoked_ns),
            })  # fmt: skip
    return sorted(lines, key=lambda line: (line["key"], line["number"]))


def print_keys(lines: Sequence[Plain], scopes: int) -> None:
    """Keys as a table; `scopes` is how many there are in all."""
    table = _table(
        "Keys", ("no.", "right"), "key", "secret", "state", "models", "tiers", "may use", "expires"
    )
    for line in lines:
        may_use = ALL if len(line["scopes"]) == scopes else ", ".join(line["scopes"])
        table.add_row(str(line["number"]), escape(line["key"]), line["secret"], line["state"], _some(line["models"]),
                      _some(line["tiers"]), may_use, line["expires"] or "never")  # fmt: skip
    _show(table, lines, "There are no keys here.")


def budget_lines(directory: Directory, under: int = ROOT) -> list[Plain]:
    """Limits in force on a spender and all below it; `refused` says why the venue did not take one."""
    lines = []
    for spender in directory.tree.below(under):
        for limit in directory.limits_of(spender.number):
            refused = directory.refused.get((Subject.LIMIT, limit.number))
            lines.append({
                "number": limit.number,
                "spender": directory.name_of(spender.number),
                "kind": str(spender.kind),
                "limit": str(limit),
                "unit": limit.unit.name.lower(),
                "window": limit.window.name.lower(),
                "most": limit.most,
                "refused": None if refused is None else refused.reason,
            })  # fmt: skip
    return lines


def print_budgets(lines: Sequence[Plain]) -> None:
    """Limits as a table."""
    table = _table("Budgets and rates", ("no.", "right"), "spender", "kind", ("limit", "right"), "")
    for line in lines:
        refused = f"[red]refused: {line['refused']}[/red]" if line["refused"] else ""
        table.add_row(str(line["number"]), escape(line["spender"]), line["kind"], line["limit"], refused)
    _show(table, lines, "There are no limits here: what is prepaid can be spent by anyone.")


def balances_of(directory: Directory, payments: Sequence[Payment], sql: Sql) -> list[Balance]:
    """Every organisation's money, from its payments and from what usage was folded."""
    row, charged = _charged(sql)
    found = []
    for number, participant in directory.participants.items():
        if participant.kind is ParticipantKind.CUSTOMER:
            own = [payment for payment in payments if payment.participant == number]
            found.append(Balance(
                participant.name,
                _sum(own, PaymentKind.DEPOSIT, PaymentState.DONE),
                _sum(own, PaymentKind.WITHDRAWAL, PaymentState.DONE),
                _sum(own, PaymentKind.DEPOSIT, PaymentState.PENDING) - _sum(own, PaymentKind.WITHDRAWAL, PaymentState.PENDING),
                None if charged is None else charged.get(number, 0),
                row,
            ))  # fmt: skip
    return found


def balance_lines(balances: Sequence[Balance]) -> list[Plain]:
    """Balances for programs, in micro-USD."""
    return [
        {
            "organisation": each.organisation,
            "balance_micro": each.balance_micro,
            "deposited_micro": each.deposited_micro,
            "withdrawn_micro": each.withdrawn_micro,
            "charged_micro": each.charged_micro,
            "pending_micro": each.pending_micro,
            "journal_row": each.row,
        }
        for each in balances
    ]


def payment_lines(directory: Directory, payments: Sequence[Payment]) -> list[Plain]:
    """Payments for programs, in micro-USD."""
    return [
        {
            "number": each.number,
            "kind": str(each.kind),
            "organisation": directory.participants[each.participant].name,
            "amount_micro": each.amount_micro,
            "reference": each.reference,
            "state": str(each.state),
            "reason": each.reason or None,
            "asked": iso_from_ns(each.created_ns),
        }
        for each in payments
    ]


def print_balances(balances: Sequence[Balance], payments: Sequence[Plain]) -> None:
    """Balances as a table, and below it the payments that are not done."""
    table = _table("Prepaid balances, USD", "organisation", *((name, "right") for name in
                   ("balance", "deposited", "withdrawn", "charged", "on its way")))  # fmt: skip
    for each in balances:
        amounts = (
            each.balance_micro,
            each.deposited_micro,
            each.withdrawn_micro,
            each.charged_micro,
            each.pending_micro,
        )
        table.add_row(
            escape(each.organisation), *("?" if each is None else money_words(each) for each in amounts)
        )
    _show(table, balances, "There are no organisations here.")
    if any(each.charged_micro is None for each in balances):
        _note("charged: not known any more, since days of usage were deleted; the journal has it")
    elif balances:
        rows = [each.row for each in balances if each.row is not None]
        _note(f"charged: up to row {max(rows)} of the journal; what is held for requests under way is not taken off"
              if rows else "charged: no gateway has counted anything in this store yet")  # fmt: skip
    for line in payments:
        if line["state"] != str(PaymentState.DONE):
            print_payment(line)


def print_payment(line: Plain) -> None:
    """One payment as a sentence."""
    of, amount = escape(f"{line['kind']} {line['reference']}"), money_words(line["amount_micro"])
    states = {
        str(PaymentState.PENDING): "[yellow]on its way[/yellow]: a running gateway takes it within a second",
        str(PaymentState.DONE): "[green]done[/green]",
        str(PaymentState.REFUSED): f"[red]refused[/red]: {line['reason']}",
    }
    _console().print(
        f"{of}: {amount} USD, {escape(line['organisation'])}: {states[line['state']]}", highlight=False
    )


def supplier_lines(directory: Directory, listings: Sequence[Any]) -> list[Plain]:
    """Suppliers that have a number, each with the grades that it has prices for."""
    lines = []
    for number, participant in directory.participants.items():
        if participant.kind is ParticipantKind.SUPPLIER:
            last = {each.grade: each for each in listings if each.supplier == number}
            grades = [{
                "number": grade,
                "model": directory.grades[grade].model,
                "tier": directory.grades[grade].tier,
                "since": iso_from_ns(each.valid_from_ns),
                "source": each.source,
            } for grade, each in last.items()]  # fmt: skip
            lines.append({"number": number, "supplier": participant.name, "grades": grades})
    return lines


def print_suppliers(lines: Sequence[Plain]) -> None:
    """Suppliers as a table."""
    table = _table(
        "Suppliers",
        ("no.", "right"),
        "supplier",
        ("grade", "right"),
        "model",
        "tier",
        "prices since",
        "source",
    )
    for line in lines:
        for grade in line["grades"] or [None]:
            words = ("", "no prices yet", "", "", "") if grade is None else (
                str(grade["number"]), grade["model"], grade["tier"], grade["since"], grade["source"])  # fmt: skip
            table.add_row(str(line["number"]), *map(escape, (line["supplier"], *words)))
    _show(
        table,
        lines,
        "No supplier has a number yet: a gateway that starts with a file of suppliers gives them theirs.",
    )


def offer_lines(looked: "Looked") -> list[Plain]:
    """What a file of suppliers offers, a line for each model of a supplier."""
    return [
        {
            "supplier": offer.supplier_name,
            "model": offer.model,
            "tier": offer.tier.name.lower(),
            "input_micro": offer.prices.pico[Leg.INPUT],
            "cached_micro": offer.prices.pico[Leg.CACHE_READ],
            "output_micro": offer.prices.pico[Leg.OUTPUT],
            "prices": looked.prices[offer.number],
            "source": looked.catalogue.sources[offer.number].source,
            "observed_on": looked.catalogue.sources[offer.number].observed_on,
        }
        for offer in looked.catalogue.offers.all
    ]


def print_offers(lines: Sequence[Plain], seeds: Sequence[str], faults: Sequence[str]) -> None:
    """What a file of suppliers offers as a table; where prices come of a package, and what is wrong."""
    table = _table("Offers; prices in USD per million tokens", "supplier", "model", "tier", ("input", "right"),
                   ("cached", "right"), ("output", "right"), "prices are", "read")  # fmt: skip
    for line in lines:
        prices = [money_words(line[name]) for name in ("input_micro", "cached_micro", "output_micro")]
        names = map(escape, (line["supplier"], line["model"], line["tier"]))
        table.add_row(*names, *prices, line["prices"], line["observed_on"])
    _show(table, lines, "Nothing is offered.")
    for seed in seeds:
        _note(seed)
    for fault in faults:
        _console().print(f"[red]wrong[/red]: {escape(fault)}", highlight=False)


def print_findings(lines: Sequence[Plain], since: str, most: int) -> None:
    """Findings of the firewall as a table, newest first."""
    shown = ("time", "spender", "side", "rule", "action", "where", "excerpt, masked")
    table = _table(f"Found by the firewall in the last {since}", *shown)
    for line in lines:
        words = ("time", "spender", "side", "rule", "action", "path", "excerpt")
        table.add_row(*(escape(line[name]) for name in words))
    _show(table, lines, f"Nothing was found in the last {since}.")
    if len(lines) == most:
        _note(f"The newest {most}; --most shows more.")


def print_steps(steps: Sequence[Step], *, taken: bool) -> None:
    """A plan, a line a step."""
    console = _console()
    for step in steps:
        colour, words = _COLOURS[step.sign], escape(f"{step.path}  {step.what}")
        console.print(f"[{colour}]{step.sign}[/{colour}] {words}", highlight=False)
    done = "taken" if taken else "to take"
    console.print(
        f"{len(steps)} {'step' if len(steps) == 1 else 'steps'} {done}." if steps else "Nothing to do.",
        style="dim",
    )


def print_secret(path: str, text: str, shown: str) -> None:
    """A new secret, which is shown this once."""
    console = _console()
    console.print(f"{escape(path)}  [dim]{shown}[/dim]", highlight=False)
    console.print(f"  [bold]{text}[/bold]", highlight=False, soft_wrap=True)
    _note("This is the only time that it is shown: here is no copy of it.")


def _charged(sql: Sql) -> tuple[int | None, dict[int, int] | None]:
    """The last journal row that was counted, and micro-USD charged to each customer up to it; no sums if days were deleted."""
    if sql.value("SELECT version FROM schema_versions WHERE component = 'usage'") is None:
        return None, {}
    row, days_from = sql.rows("SELECT sequence, days_from FROM usage_watermark")[0]
    if days_from > 0:
        return int(row), None
    rows = sql.rows("SELECT customer, SUM(charged_micro) FROM usage_day GROUP BY customer")
    return int(row), {int(customer): int(charged) for customer, charged in rows}


def _sum(payments: Sequence[Payment], kind: PaymentKind, state: PaymentState) -> int:
    return sum(each.amount_micro for each in payments if each.kind is kind and each.state is state)


def _state(secret: Secret, ends_ns: int, now_ns: int) -> str:
    if secret.revoked_ns is not None:
        return "revoked"
    if now_ns >= ends_ns:
        return "expired" if secret.ends_ns <= now_ns else "closed"
    if secret.expires_ns is not None and secret.expires_ns - now_ns < 30 * NS_PER_DAY:
        days = -(-(secret.expires_ns - now_ns) // NS_PER_DAY)
        return f"in use, {days} {'day' if days == 1 else 'days'} left"
    return "in use"


def _some(texts: Sequence[str] | None) -> str:
    return ALL if texts is None else escape(", ".join(texts)) or "none"


def _table(title: str, *columns: "str | tuple[str, str]") -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name, justify in _columns(columns):
        table.add_column(name, justify="right" if justify == "right" else "left")
    return table


def _columns(columns: Sequence[str | tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for column in columns:
        yield (column, "left") if isinstance(column, str) else column


def _show(table: Table, lines: Sequence[object], nothing: str) -> None:
    _console().print(table if lines else nothing)


def _note(text: str) -> None:
    _console().print(escape(text), style="dim", highlight=False)


def _console() -> Console:
    return Console(width=WIDTH)
