"""`ciyuan usage` and `ciyuan invoice`, as a finance person types them: tables, JSON, CSV, pictures, exit statuses."""

import csv
import io
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ciyuan.basics.errors import Malformed
from ciyuan.services.door.registry_command import DIFFERENT
from ciyuan.services.door.registry_words import LimitUnit
from ciyuan.services.door.usage_columns import Sums
from ciyuan.services.door.usage_print import Measure, percent, usd
from ciyuan.services.usage_cli import invoice_app, usage_app
from tests.services.door.invoice_month import books, month, settled

APP = typer.Typer()
APP.add_typer(usage_app, name="usage")
APP.add_typer(invoice_app, name="invoice")
TOLD = month()
MONTH = ("--month", "2026-11")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    with books(folder, TOLD) as (tables, _), tables.database.change() as sql:
        sql.run(
            "INSERT INTO limits (number, spender, unit, window_kind, offset_ns, most, changed_ns) VALUES "
            "(1, 2, 1, 6, 0, 1000, 0), (2, 1, 2, 6, 0, 900000000, 0), (3, 1, 1, 4, 1800000000000, 5, 0)"
        )
        sql.run("INSERT INTO revenue VALUES (2, 202611, 2000000)")
    return folder


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A store in which invoices may be made."""
    with books(tmp_path, TOLD):
        pass
    return tmp_path


def run(store: Path, *words: str) -> Result:
    return CliRunner().invoke(APP, [*words, "--store", str(store)], catch_exceptions=False)


def said(store: Path, *words: str) -> str:
    result = run(store, *words)
    assert result.exit_code == 0
    return result.output


def test_usage_by_department_is_a_table_with_a_total(store: Path):
    text = said(store, "usage", *MONTH)
    assert "Usage by department, 2026-11" in text
    for word in (
        "research",
        "销售部",
        "total",
        "cost USD",
        "metered up to journal row 607, 2026-12-01T00:00:00Z",
    ):
        assert word in text
    assert usd(settled(TOLD)) in text


def test_json_and_csv_say_the_same_to_the_micro_unit(store: Path):
    told = json.loads(said(store, "usage", "--by", "key", *MONTH, "--json"))
    lines = list(csv.DictReader(io.StringIO(said(store, "usage", "--by", "key", *MONTH, "--csv"))))
    assert [line["key"] for line in told["lines"]] == [line["key"] for line in lines]
    assert (
        sum(int(line["charged_micro"]) for line in lines) == told["total"]["charged_micro"] == settled(TOLD)
    )
    assert (told["span"], told["by"], told["journal_row"]) == ("2026-11", ["key"], len(TOLD.rows))
    assert lines[0]["charged_usd"] == f"{int(lines[0]['charged_micro']) / 10**6:.6f}"


def test_two_dimensions_are_rows_and_columns(store: Path):
    text = said(store, "usage", "--by", "department,model", *MONTH)
    assert "Cost USD by department and model, 2026-11" in text
    assert "llama" in text
    assert "qwen" in text
    tokens = said(store, "usage", "--by", "engineer", "--by", "day", "--measure", "tokens", *MONTH)
    assert "Tokens by engineer and day" in tokens
    assert "(others)" in tokens
    assert "2026-11-30" in tokens
    short = said(store, "usage", "--by", "key,model", "--top", "1", *MONTH)
    assert "(others)" in short


def test_filters_and_offsets_are_taken(store: Path):
    one = json.loads(
        said(
            store,
            "usage",
            "--by",
            "key",
            "--only",
            "engineer=ada",
            "--only",
            "engineer=bob",
            *MONTH,
            "--json",
        )
    )
    assert {line["key"] for line in one["lines"]} == {"research/ada/default", "research/bob/default"}
    days = json.loads(
        said(
            store,
            "usage",
            "--by",
            "day",
            "--utc-offset",
            "+08:00",
            "--month",
            "2026-10",
            "--until",
            "2026-11",
            "--json",
        )
    )
    assert days["lines"][0]["day"] >= "2026-10-30"
    assert days["span"] == "2026-10-01 to 2026-11-30"


@pytest.mark.parametrize("suffix", [".svg", ".png"])
@pytest.mark.parametrize("by", ["model", "day", "model,served", "day,model"])
def test_it_is_drawn(store: Path, tmp_path: Path, by: str, suffix: str):
    path = tmp_path / f"usage{suffix}"
    said(store, "usage", "--by", by, *MONTH, "--plot", str(path))
    head = path.read_bytes()[:200]
    assert (b"<?xml" in head) if suffix == ".svg" else head.startswith(b"\x89PNG")


def test_refusals_by_reason(store: Path):
    text = said(store, "usage", "refusals", *MONTH)
    assert "Refused by reason, 2026-11" in text
    told = json.loads(said(store, "usage", "refusals", "--by", "key", *MONTH, "--json"))
    assert (told["by"], told["lines"]) == (["key", "reason"], [])
    assert said(store, "usage", "refusals", *MONTH, "--csv") == ""


def test_the_league(store: Path):
    text = said(store, "usage", "league", *MONTH)
    for word in ("Departments, 2026-11", "1  research", "per engineer", "2.00", "of revenue"):
        assert word in text
    told = json.loads(said(store, "usage", "league", *MONTH, "--json"))
    research = told["departments"][0]
    assert research["of_revenue"] == research["charged_micro"] / 2_000_000
    assert research["before_micro"] > 0
    lines = list(
        csv.DictReader(io.StringIO(said(store, "usage", "league", *MONTH, "--organisation", "acme", "--csv")))
    )
    assert [line["department"] for line in lines] == [each["department"] for each in told["departments"]]


def test_revenue_is_told_by_month_and_replaced(fresh: Path):
    tell = ("usage", "revenue", "acme/research")
    assert "acme/research earned 12.50 USD in 2026-11." in said(fresh, *tell, "12.50", *MONTH)
    told = json.loads(said(fresh, *tell, "2", *MONTH, "--json"))
    assert told == {"department": "acme/research", "month": "2026-11", "revenue_micro": 2_000_000}
    league = json.loads(said(fresh, "usage", "league", *MONTH, "--json"))["departments"]
    assert {line["department"]: line["revenue_micro"] for line in league} == {
        "research": 2_000_000,
        "销售部": None,
    }


def test_budgets(store: Path):
    told = {line["limit"]: line for line in json.loads(said(store, "usage", "budget", "--json"))["budgets"]}
    assert told[1]["used"] == sum(
        line["charged_micro"]
        for line in json.loads(said(store, "usage", "--month", "2026", "--json"))["lines"]
        if line["department"] == "research"
    )
    assert told[1]["share"] > 1
    assert (told[2]["unit"], told[2]["resets"], told[3]["used"]) == ("tokens", None, None)
    text = said(store, "usage", "budget")
    for word in ("department research", "0.001 USD ever", "900M tokens ever", "never", "?"):
        assert word in text
    assert said(store, "usage", "budget", "--csv").startswith("limit,kind,spender,budget")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("usage", "--by", "modle"), "modle"),
        (("usage", "--by", "key,model,day"), "one dimension"),
        (("usage", "--only", "research"), "department=research"),
        (("usage", "--only", "department=reserch"), "reserch"),
        (("usage", "--measure", "money"), "money"),
        (("usage", "--month", "november"), "november"),
        (("usage", "--month", "2026-11", "--until", "2026-10"), "after the beginning"),
        (("usage", "--utc-offset", "+05:30"), "whole hours"),
        (("usage", "--plot", "usage.pdf"), ".svg or .png"),
        (("usage", "league", "--month", "2026"), "one month"),
        (("usage", "revenue", "acme/research", "5", "--month", "2026-11-21"), "one month"),
        (("usage", "revenue", "acme", "5", "--month", "2026-11"), "of kind organisation"),
        (("usage", "revenue", "acme/research", "five", "--month", "2026-11"), "five"),
        (("usage", "forget"), "--hours-before"),
        (("usage", "forget", "--hours-before", "2026-01", "--days-before", "2026-01"), "one of them"),
        (("invoice", "--organisation", "acme"), "no --month"),
        (("invoice", "--month", "2026-11"), "no --organisation"),
        (("invoice", "--month", "2026-11", "--organisation", "acne"), "acne"),
        (("invoice", "show", "INV-7"), "INV-7"),
    ],
)
def test_what_is_malformed_says_what_to_do(store: Path, words: tuple[str, ...], problem: str):
    with pytest.raises(Malformed, match=problem):
        run(store, *words)


def test_a_folder_without_a_store_is_malformed_and_stays_empty(tmp_path: Path):
    with pytest.raises(Malformed, match="--store"):
        run(tmp_path, "usage")
    assert list(tmp_path.iterdir()) == []


def test_forgetting_hours_and_days(fresh: Path):
    assert "deleted: " in said(fresh, "usage", "forget", "--hours-before", "2026-11-10")
    told = json.loads(said(fresh, "usage", "forget", "--days-before", "2026-11-01", "--json"))
    assert told["unit"] == "days"
    assert said(fresh, "usage", *MONTH)
    with pytest.raises(Malformed, match="deleted"):
        run(fresh, "usage", "--month", "2026-10")


def test_an_invoice_is_made_found_again_listed_shown_and_credited(fresh: Path, tmp_path: Path):
    out = ("--out", str(tmp_path / "out"))
    made = said(fresh, "invoice", "--organisation", "acme", *MONTH, *out, "--issuer", "us")
    assert "INV-000001: acme, 2026-11: issued" in made
    assert f"-{settled(TOLD) / 10**6:.6f} USD" in made
    again = said(fresh, "invoice", "--organisation", "acme", *MONTH, *out)
    assert "the same today" in again
    told = json.loads(said(fresh, "invoice", "--organisation", "acme", *MONTH, *out, "--json"))
    assert (told["is_new"], told["differences"], told["charged_usd"]) == (
        False,
        [],
        f"{settled(TOLD) / 10**6:.6f}",
    )
    assert all(Path(path).is_file() for path in told["files"])
    credit = (
        "invoice",
        "credit",
        "INV-000001",
        "--amount",
        "0.25",
        "--reason",
        "outage",
        "--reference",
        "T-1",
        *out,
    )
    assert "INV-000002: credits 0.25 USD of INV-000001" in said(fresh, *credit)
    assert said(fresh, *credit).startswith("INV-000002")
    listed = json.loads(said(fresh, "invoice", "list", "--json"))["invoices"]
    assert [(each["number"], each["total_usd"]) for each in listed][1] == ("INV-000002", "-0.250000")
    assert "INV-000001: outage" in said(fresh, "invoice", "list")
    shown = said(fresh, "invoice", "show", "INV-000002", "--out", str(tmp_path / "shown")).split()
    assert len(shown) == 3


def test_an_invoice_that_no_longer_agrees_is_told_and_the_status_says_so(fresh: Path, tmp_path: Path):
    out = ("--out", str(tmp_path / "out"))
    said(fresh, "invoice", "--organisation", "acme", *MONTH, *out)
    from ciyuan.services.door.registry_database import Database

    with Database.open(fresh / "registry.sqlite") as database, database.change() as sql:
        sql.run("UPDATE usage_day SET expired = expired + 1")
    again = run(fresh, "invoice", "--organisation", "acme", *MONTH, *out)
    assert again.exit_code == DIFFERENT
    assert "differs: details" in again.output
    assert "invoice credit" in again.output


def test_a_draft_is_of_any_span(fresh: Path, tmp_path: Path):
    text = said(
        fresh,
        "invoice",
        "--organisation",
        "acme",
        "--month",
        "2026-11-03",
        "--draft",
        "--out",
        str(tmp_path / "out"),
    )
    assert "a draft" in text
    assert (tmp_path / "out" / "draft-2-2026-11-03.html").is_file()
    assert json.loads(said(fresh, "invoice", "list", "--json")) == {"invoices": []}


@pytest.mark.parametrize(
    "words",
    [(), ("league",), ("budget",), ("refusals",), ("forget",)],
    ids=lambda words: " ".join(words) or "usage",
)
def test_help_has_an_example_and_the_statuses(words: tuple[str, ...]):
    text = CliRunner().invoke(APP, ["usage", *words, "--help"], env={"COLUMNS": "200"}).output
    assert "Example:  ciyuan usage" in text
    assert "Exit status: 0 done" in text


@pytest.mark.parametrize("words", [(), ("list",), ("show",), ("credit",)])
def test_help_of_invoices_has_an_example(words: tuple[str, ...]):
    text = CliRunner().invoke(APP, ["invoice", *words, "--help"], env={"COLUMNS": "200"}).output
    assert "Example:  ciyuan invoice" in text


def test_small_amounts_are_not_shown_as_nothing():
    assert [usd(micro) for micro in (0, 1, 9_999, 10_000, 1_234_567_890)] == [
        "0.00",
        "0.000001",
        "0.009999",
        "0.01",
        "1,234.57",
    ]
    assert [percent(None), percent(0.25), percent(0.25, sign=True)] == ["-", "25.0 %", "+25.0 %"]
    sums = Sums(requests=3, tokens_in=5, tokens_out=6, charged_micro=7, refused=8)
    assert [measure.of(sums) for measure in Measure] == [7, 11, 3, 8]
    assert Measure.TOKENS.cell(sums) == "11"
    assert LimitUnit.MONEY.name == "MONEY"
