"""`ciyuan key | budget | balance | supplier`: what people type, what they read, and what programs read."""

import csv
import json
import os
import shutil
import stat
from pathlib import Path
from unittest.mock import patch

import pytest
import typer

from ciyuan.services import cli
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_command import REGISTRY, STATUS
from ciyuan.services.door.registry_schema import PaymentState
from ciyuan.services.door.registry_secrets import is_well_formed
from ciyuan.services.door.usage_tables import UsageTables
from ciyuan.services.gateway_cli import balance_app, budget_app, key_app, supplier_app
from tests.services.door.registry_cast import NOW, USD
from tests.services.runs import said
from tests.sources import ROOT

pytest_plugins = ("tests.services.postgres",)

APPS = {"key": key_app, "budget": budget_app, "balance": balance_app, "supplier": supplier_app}
COMMANDS = [
    ("key", ("create", "list", "rotate", "revoke", "import", "export")),
    ("budget", ("set", "list", "clear")),
    ("balance", ("deposit", "withdraw", "show")),
    ("supplier", ("list", "check")),
]
ACME = ("--organisation", "acme", "--department", "research", "--engineer", "ada")
SUPPLIERS = ROOT / "examples" / "gateway" / "suppliers.toml"


@pytest.fixture(autouse=True)
def _commands():
    """The commands under the program's own way of ending, whether or not it has them itself."""
    app = typer.Typer(pretty_exceptions_enable=False)
    for name, group in APPS.items():
        app.add_typer(group, name=name)
    with patch.object(cli, "app", app):
        yield


@pytest.fixture(params=("sqlite", "postgres"))
def store(request, tmp_path, monkeypatch):
    """A store, which commands take from the environment."""
    where = (
        str(tmp_path / "gateway") if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    monkeypatch.setenv("CIYUAN_STORE", where)
    monkeypatch.setenv("COLUMNS", "400")
    return where


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CIYUAN_STORE", str(tmp_path / "gateway"))
    monkeypatch.setenv("COLUMNS", "400")
    return tmp_path


def told(*words):
    """What a command says, as JSON."""
    found = said(*words, "--json")
    assert found.status == 0, found.err
    return json.loads(found.out)


def refused(*words):
    """What a command says of malformed input."""
    found = said(*words)
    assert (found.status, found.out) == (2, ""), found.out
    return found.err


def laptop(*more):
    return told("key", "create", "laptop", *ACME, "--new", *more)


@pytest.mark.parametrize(
    ("group", "command"), [(group, each) for group, commands in COMMANDS for each in commands]
)
def test_each_command_has_an_example_and_says_what_its_exit_status_means(group, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    helped = said(group, command, "--help")
    assert helped.status == 0
    assert f"Example:  ciyuan {group} {command} " in helped.out
    assert STATUS.replace(" ", "") in helped.out.replace(" ", "").replace("\n", "")
    assert "CIYUAN_STORE" in helped.out
    assert "--json" in helped.out


# --- keys ---


def test_a_key_is_made_shown_once_and_listed(store):
    made = laptop("--model", "kimi-*", "--tier", "high", "--limit", "50 USD a month")
    assert is_well_formed(made["secret"])
    assert (made["key"], made["limits"]) == ("acme/research/ada/laptop", ["50.00 USD a month"])
    assert made["new"] == ["organisation acme", "department research", "engineer ada"]
    (line,) = told("key", "list")["keys"]
    assert (line["key"], line["models"], line["tiers"], line["state"]) == (
        made["key"],
        ["kimi-*"],
        ["high"],
        "in use",
    )
    assert made["secret"].startswith(line["secret"].rstrip("…"))
    shown = said("key", "list").out
    assert "acme/research/ada/laptop" in shown
    assert made["secret"] not in shown
    second = said("key", "create", "phone", *ACME)
    assert second.status == 0
    secret = second.out.split("\n")[1].strip()
    assert is_well_formed(secret)
    assert "only time" in second.out


def test_a_typing_error_makes_no_department(store):
    laptop()
    assert "one of research" in refused(
        "key", "create", "k", "--organisation", "acme", "--department", "reserch"
    )
    assert "one of acme" in refused("key", "create", "k", "--organisation", "acne")
    assert "a department of that name" in refused(
        "key", "create", "k", "--organisation", "acme", "--engineer", "research"
    )
    assert "--firewall" in refused("key", "create", "k", *ACME, "--firewall", "none")
    assert "limit" in refused("key", "create", "k", *ACME, "--limit", "50")
    assert len(told("key", "list")["keys"]) == 1


def test_a_key_with_every_option(folder):
    laptop("--scope", "chat", "--scope", "models", "--tool", "search_*", "--deny-tool", "shell", "--host", "*.example.com",
           "--deny-host", "evil.example.com", "--firewall", "block", "--expires", "2099-01-01")  # fmt: skip
    with Registry.open(folder / "gateway" / REGISTRY) as registry:
        (key,) = registry.directory().by_digest.values()
    policy = key.policy
    assert (policy.tools_allowed, policy.tools_denied) == (("search_*",), ("shell",))
    assert (policy.hosts_allowed, policy.hosts_denied) == (("*.example.com",), ("evil.example.com",))
    assert (key.firewall, key.permissions.scopes) == ("block", ("chat", "models"))
    (line,) = told("key", "list")["keys"]
    assert line["expires"] == "2099-01-01T00:00:00Z"
    assert "chat, models" in said("key", "list").out


@pytest.mark.parametrize(
    ("expires", "ok"),
    [("90d", True), ("2099-01-01T08:00:00+08:00", True), ("2020-01-01", False), ("soon", False), ("2099-01-01T08:00", False)],
)  # fmt: skip
def test_when_a_key_ends(folder, expires, ok):
    found = said("key", "create", "laptop", *ACME, "--new", "--expires", expires)
    assert found.status == (0 if ok else 2), found.err


def test_a_rotated_key_has_two_secrets_and_a_revoked_one_none(store):
    before = laptop("--expires", "90d")
    after = told("key", "rotate", "acme/research/ada/laptop", "--grace", "3d")
    assert after["spender"] == before["spender"]
    assert after["secret"] != before["secret"]
    states = [line["state"] for line in told("key", "list")["keys"]]
    assert states == ["in use, 3 days left", "in use"]
    assert told("key", "revoke", before["secret"])["revoked"] == [1]
    assert told("key", "rotate", after["secret"][:16], "--grace", "0")["number"] == 3
    assert told("key", "revoke", "acme/research")["revoked"] == [3]
    assert told("key", "list")["keys"] == []
    assert [line["state"] for line in told("key", "list", "--all")["keys"]] == [
        "revoked",
        "expired",
        "revoked",
    ]
    assert "no secret in use" in refused("key", "revoke", "3")
    err = refused("key", "revoke", after["secret"])
    assert after["secret"] not in err
    assert "There are no keys" in said("key", "list").out


def test_a_word_that_means_several_keys_is_not_rotated(store):
    laptop()
    told("key", "create", "phone", *ACME)
    assert "2 keys" in refused("key", "rotate", "acme/research/ada")
    assert said("key", "revoke", "acme/research/ada").out == "revoked: 2 secrets\n"


# --- a team ---

TEAM = '[organisation."acme"]\nlimits = ["50 USD a month"]\n[key."acme/bot"]\n[key."acme/cron"]\n'


def test_a_team_is_planned_taken_and_written(store, tmp_path):
    laptop()
    team = tmp_path / "team.toml"
    team.write_text(TEAM)
    planned = said("key", "import", team, "--dry-run")
    assert planned.status == 1
    assert "+ acme/bot  key" in planned.out
    assert "3 steps to take." in planned.out
    secrets = tmp_path / "secrets.csv"
    taken = told("key", "import", team, "--secrets", secrets)
    assert (len(taken["steps"]), taken["taken"], taken["secrets"]) == (3, True, [])
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    lines = list(csv.reader(secrets.read_text().splitlines()))
    assert [line[0] for line in lines] == ["key", "acme/bot", "acme/cron"]
    assert all(is_well_formed(line[1]) for line in lines[1:])
    assert said("key", "import", team, "--dry-run").status == 0
    other = tmp_path / "other.csv"
    assert said("key", "import", team, "--secrets", other).status == 0
    assert not other.exists()
    assert said("key", "export", "--out", tmp_path / "again.toml").status == 0
    assert said("key", "export").out == (tmp_path / "again.toml").read_text()
    assert said("key", "import", tmp_path / "again.toml", "--dry-run").status == 0


def test_secrets_of_a_team_are_shown_once(folder):
    (folder / "team.toml").write_text(TEAM)
    shown = said("key", "import", folder / "team.toml")
    assert shown.status == 0
    assert sum(is_well_formed(line.strip()) for line in shown.out.splitlines()) == 2
    assert said("key", "import", folder / "team.toml").out == "Nothing to do.\n"


def test_no_key_is_made_where_its_secret_has_no_place(folder):
    (folder / "team.toml").write_text(TEAM)
    (folder / "taken.csv").write_text("something")
    assert "a file" in refused("key", "import", folder / "team.toml", "--secrets", folder / "taken.csv")
    assert (folder / "taken.csv").read_text() == "something"
    assert said("key", "import", folder / "team.toml", "--secrets", folder / "nowhere" / "s.csv").status == 5
    (folder / "bad.toml").write_text(TEAM + '[engineer."acme/bot/x"]')
    assert refused("key", "import", folder / "bad.toml", "--secrets", folder / "new.csv")
    assert not (folder / "new.csv").exists()
    with Registry.open(folder / "gateway" / REGISTRY) as registry:
        assert dict(registry.directory().spenders) == {}


# --- budgets ---


def test_budgets_are_set_changed_listed_and_cleared(store):
    laptop()
    lines = told("budget", "set", "acme/research", "2,000 USD a month", "20M tokens a day at +08:00")[
        "limits"
    ]
    assert [line["limit"] for line in lines] == ["2,000.00 USD a month", "20M tokens a day at +08:00"]
    told("budget", "set", "acme/research", "3,000 USD a month")
    told("budget", "set", "acme/research/ada/laptop", "60 requests a minute")
    lines = told("budget", "list", "acme")["limits"]
    assert [
        (line["number"], line["spender"], line["most"], line["unit"], line["window"]) for line in lines
    ] == [
        (1, "acme/research", 3_000 * USD, "money", "month"),
        (2, "acme/research", 20 * 10**6, "tokens", "day"),
        (3, "acme/research/ada/laptop", 60, "requests", "minute"),
    ]
    assert "3,000.00 USD a month" in said("budget", "list").out
    assert said("budget", "clear", "1", "3").out == (
        "cleared: department research: 3,000.00 USD a month\ncleared: key laptop: 60 requests a minute\n"
    )
    assert [line["number"] for line in told("budget", "list")["limits"]] == [2]
    assert "limit in force" in refused("budget", "clear", "1")
    assert told("budget", "clear", "2") == {"cleared": [2]}
    assert "no limits" in said("budget", "list").out


def test_a_budget_in_a_wrong_unit_is_asked_about(store):
    """Case 25: where nobody can be asked it is refused; a person may say yes or no."""
    laptop()
    assert "are these millions?" in refused("budget", "set", "acme", "20 tokens a month")
    assert "are these micro-USD?" in refused("budget", "set", "acme", "50000000 USD a day")
    assert "unit and window" in refused("budget", "set", "acme", "20")
    assert told("budget", "list")["limits"] == []
    with patch("sys.stdin.isatty", return_value=True), patch("typer.confirm", return_value=False) as asked:
        assert said("budget", "set", "acme", "20 tokens a month").status == 2
    assert asked.call_count == 1
    with patch("sys.stdin.isatty", return_value=True), patch("typer.confirm", return_value=True):
        assert said("budget", "set", "acme", "20 tokens a month").status == 0
    assert said("budget", "set", "acme", "30 tokens a month", "--yes").status == 0
    assert [line["most"] for line in told("budget", "list")["limits"]] == [30]


def test_a_refused_budget_is_shown_with_its_reason(folder):
    laptop("--limit", "5 USD a day")
    from ciyuan.services.door.registry_schema import Subject

    with Registry.open(folder / "gateway" / REGISTRY) as registry, registry.change(NOW) as change:
        change.refuse(Subject.LIMIT, 1, "content", "LIMITS_FULL")
    assert "refused: LIMITS_FULL" in said("budget", "list").out
    assert told("budget", "list")["limits"][0]["refused"] == "LIMITS_FULL"


# --- balances ---


def test_money_comes_in_once_for_a_reference(store):
    """Case 32, at the command line."""
    laptop()
    first = told("balance", "deposit", "acme", "5,000.50", "--reference", "bank 17")
    assert first["new"]
    again = said("balance", "deposit", "acme", "5000.50", "--reference", "bank 17")
    assert again.status == 0
    assert "nothing was done now" in again.out
    assert "amount" in refused("balance", "deposit", "acme", "5000.51", "--reference", "bank 17")
    assert "kind" in refused("balance", "withdraw", "acme", "5000.50", "--reference", "bank 17")
    assert "umbrella" in refused("balance", "deposit", "umbrella", "5", "--reference", "bank 18")
    assert "micro-USD" in refused("balance", "deposit", "acme", "10,000,001", "--reference", "bank 19")
    assert "amount of money" in refused("balance", "deposit", "acme", "1e3", "--reference", "bank 19")
    assert said("balance", "deposit", "acme", "20,000,000", "--reference", "bank 19", "--yes").status == 0
    shown = told("balance", "show")
    assert [line["amount_micro"] for line in shown["payments"]] == [5_000_500_000, 20_000_000 * USD]
    assert shown["balances"][0]["pending_micro"] == 20_005_000_500_000
    assert said("balance", "deposit", "acme", "5").status == 2


def test_a_balance_is_what_came_in_less_what_was_charged(folder):
    laptop()
    told("balance", "deposit", "acme", "100", "--reference", "bank 17")
    told("balance", "withdraw", "acme", "7", "--reference", "refund 1")
    told("balance", "withdraw", "acme", "900", "--reference", "refund 2")
    with Registry.open(folder / "gateway" / REGISTRY) as registry:
        with registry.change(NOW) as change:
            change.payments.settle(1, PaymentState.DONE)
            change.payments.settle(2, PaymentState.DONE)
            change.payments.settle(3, PaymentState.REFUSED, "INSUFFICIENT_BALANCE")
        before = told("balance", "show", "acme")["balances"][0]
        assert (before["balance_micro"], before["journal_row"]) == (93 * USD, None)
        UsageTables(registry.database)
        columns = ["day", "customer", "spender", "supplier", "grade", "batch", "price_list", "charged_micro"]
        others = _other_columns(registry)
        with registry.database.change() as sql:
            names, values = [*columns, *others], [20_000, 1, 4, 2, 1, 0, 1, 3 * USD + 1, *(0 for _ in others)]
            sql.run(
                f"INSERT INTO usage_day ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", *values
            )
            sql.run("UPDATE usage_watermark SET sequence = 77")
    (after,) = told("balance", "show", "acme")["balances"]
    assert (after["charged_micro"], after["balance_micro"], after["journal_row"]) == (
        3 * USD + 1,
        90 * USD - 1,
        77,
    )
    shown = said("balance", "show").out
    assert "89.999999" in shown
    assert "up to row 77" in shown
    assert "withdrawal refund 2: 900.00 USD, acme: refused: INSUFFICIENT_BALANCE" in shown
    with Registry.open(folder / "gateway" / REGISTRY) as registry, registry.database.change() as sql:
        sql.run("UPDATE usage_watermark SET days_from = 5")
    (later,) = told("balance", "show", "acme")["balances"]
    assert (later["charged_micro"], later["balance_micro"]) == (None, None)
    assert "not known any more" in said("balance", "show").out


def _other_columns(registry):
    from ciyuan.services.door.usage_columns import MEASURES

    with registry.database.view() as sql:
        assert sql.value("SELECT COUNT(*) FROM usage_day") == 0
    return [name for name in MEASURES if name != "charged_micro"]


# --- suppliers ---


def test_suppliers_are_listed_with_what_they_have_prices_for(folder):
    from ciyuan.services.door.registry_suppliers import take_suppliers

    laptop()
    assert "No supplier" in said("supplier", "list").out
    with Registry.open(folder / "gateway" / REGISTRY) as registry:
        take_suppliers(registry, SUPPLIERS, NOW)
        registry.supplier("new one", NOW)
    lines = told("supplier", "list")["suppliers"]
    assert [(line["supplier"], len(line["grades"])) for line in lines][-1] == ("new one", 0)
    shown = said("supplier", "list").out
    assert "gpt-5-mini" in shown
    assert "no prices yet" in shown


def test_a_file_of_suppliers_is_checked_and_nothing_changed(store, tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.setenv(name, "a key")
    file = Path(shutil.copy(SUPPLIERS, tmp_path / "suppliers.toml"))
    checked = told("supplier", "check", file)
    assert {line["prices"] for line in checked["offers"]} == {"first list"}
    assert "qwen3-8b" in said("supplier", "check", file).out
    monkeypatch.delenv("OPENAI_API_KEY")
    found = said("supplier", "check", file)
    assert found.status == 1
    assert "wrong: openai: key env:OPENAI_API_KEY" in found.out
    file.write_text(file.read_text().replace('tier = "free"', 'tier = "fre"'))
    assert "fre" in refused("supplier", "check", file)


# --- stores ---


def test_a_store_that_is_not_there_is_not_made_by_looking(folder):
    for words in (
        ("key", "list"),
        ("budget", "list"),
        ("balance", "show"),
        ("supplier", "list"),
        ("key", "create", "k", *ACME),
    ):
        assert "no registry" in refused(*words)
    assert not (folder / "gateway").exists()


def test_a_server_that_is_not_there_is_a_failure(folder):
    found = said("key", "list", "--store", f"postgresql://ada:hidden@/db?host={folder}")
    assert found.status == 5
    assert "hidden" not in found.err


def test_a_file_that_is_no_registry_is_a_failure(folder):
    (folder / "gateway").mkdir()
    (folder / "gateway" / REGISTRY).write_bytes(os.urandom(4096))
    found = said("key", "list")
    assert found.status == 5
    assert "registry.sqlite" in found.err
