"""The registry for people: names stay as they are, states are right, sums add up."""

import pytest

from ciyuan.basics.time import NS_PER_DAY
from ciyuan.services.door.registry_keys import Permissions
from ciyuan.services.door.registry_payments import Payment
from ciyuan.services.door.registry_print import (
    Balance,
    balance_lines,
    balances_of,
    budget_lines,
    key_lines,
    payment_lines,
    print_balances,
    print_budgets,
    print_keys,
    print_payment,
    print_secret,
    print_steps,
    print_suppliers,
    supplier_lines,
)
from ciyuan.services.door.registry_schema import PaymentKind, PaymentState, SpenderKind
from ciyuan.services.door.registry_team import Step
from ciyuan.services.door.registry_words import parse_limit
from tests.services.door.registry_cast import NOW, USD, company_registry


@pytest.fixture
def opened(tmp_path):
    with company_registry(tmp_path / "registry.sqlite") as opened:
        yield opened


def states(registry, now_ns, **more):
    return {line["key"]: line["state"] for line in key_lines(registry.directory(), now_ns, **more)}


def test_states_of_secrets(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        make = change.keys.create
        make(cast.ada.number, "short", Permissions(), NOW + NS_PER_DAY)
        make(cast.ada.number, "long", Permissions(), NOW + 31 * NS_PER_DAY)
        make(cast.ada.number, "gone", Permissions(), NOW + 1)
        revoked = make(cast.ada.number, "lost", Permissions())
    with registry.change(NOW + 1) as change:
        change.keys.revoke([revoked.kept.number])
        change.spenders.close(cast.ops.number)
    later = NOW + NS_PER_DAY // 2
    assert states(registry, later) == {
        "acme/research/ada/laptop": "in use",
        "acme/research/ada/long": "in use",
        "acme/research/ada/short": "in use, 1 day left",
    }
    every = states(registry, later, ended=True)
    assert [every[f"acme/{path}"] for path in ("ops/bot", "research/ada/gone", "research/ada/lost")] == [
        "closed",
        "expired",
        "revoked",
    ]


def test_names_with_brackets_are_shown_as_they_are(opened, capsys):
    """Brackets are marks to the library that draws tables; a name must not vanish or colour what follows."""
    registry, cast = opened
    with registry.change(NOW) as change:
        team = change.spenders.add(SpenderKind.DEPARTMENT, "[red]x", cast.acme.number)
        change.keys.create(team.number, "[bold]", Permissions(models=("[a-z]",)))
        change.limits.set(team.number, parse_limit("5 USD a day"))
    print_keys(key_lines(registry.directory(), NOW), 6)
    print_budgets(budget_lines(registry.directory()))
    print_steps([Step("+", "acme/[red]x", "[/]", lambda _: None)], taken=True)
    print_secret("acme/[red]x", "sk-ciyuan-x", "sk…")
    out = capsys.readouterr().out
    assert out.count("acme/[red]x") == 4
    assert "[bold]" in out
    assert "[a-z]" in out
    assert "1 step taken." in out


def test_an_empty_list_says_so(capsys):
    print_keys([], 6)
    print_budgets([])
    print_balances([], [])
    print_suppliers([])
    print_steps([], taken=False)
    out = capsys.readouterr().out
    assert [line.partition(" ")[0] for line in out.splitlines()] == [
        "There",
        "There",
        "There",
        "No",
        "Nothing",
    ]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (PaymentState.PENDING, "on its way"),
        (PaymentState.DONE, "done"),
        (PaymentState.REFUSED, "refused: WHY"),
    ],
)
def test_a_payment_is_a_sentence(opened, capsys, state, says):
    registry, _ = opened
    payment = Payment(1, PaymentKind.DEPOSIT, 1, 5 * USD, "[bank] 17", state, "WHY", NOW)
    print_payment(payment_lines(registry.directory(), [payment])[0])
    assert capsys.readouterr().out.startswith(f"deposit [bank] 17: 5.00 USD, acme: {says}")


def test_balances_add_up(opened):
    registry, _ = opened
    deposit, withdrawal = PaymentKind
    pending, done, no = PaymentState
    payments = [
        Payment(place, kind, 1, amount, str(place), state, "", NOW)
        for place, (kind, amount, state) in enumerate(
            [
                (deposit, 100, done),
                (deposit, 50, pending),
                (deposit, 7, no),
                (withdrawal, 30, done),
                (withdrawal, 20, pending),
            ]
        )
    ]
    directory = registry.directory()
    with registry.database.view() as sql:
        balances = balances_of(directory, payments, sql)
    assert balances == [Balance("acme", 100, 30, 30, 0, None)]
    assert balance_lines(balances)[0]["balance_micro"] == 70


def test_a_supplier_without_prices_has_no_grades(opened, capsys):
    registry, _ = opened
    number = registry.supplier("vllm", NOW)
    lines = supplier_lines(registry.directory(), registry.price_lists())
    assert lines == [{"number": number, "supplier": "vllm", "grades": []}]
    print_suppliers(lines)
    assert "no prices yet" in capsys.readouterr().out
