"""`ciyuan clearing`: statements that add up and are the ledger's, positions that are the clearing house's, and a drill."""

import json
import xml.etree.ElementTree as ET
from itertools import pairwise

import pyarrow.parquet as pq
import pytest

from ciyuan.services.clearing_drill import WORDS, report_of
from ciyuan.services.clearing_positions import Entry
from ciyuan.services.clearing_statement import member_statement, names_of
from ciyuan.simulation.drill import DrillTerms, play_drill
from tests.services.runs import copied, rows_of, said
from tests.sources import ROOT


def told(run, member, *words):
    """A member's statement, as JSON."""
    found = said("clearing", "statement", run, member, "--progress", "none", "--json", *words)
    assert found.status == 0, found.err
    return json.loads(found.out)


@pytest.fixture(scope="module")
def members(small_run):
    return sorted({str(row["participant"]) for row in rows_of(small_run, "statements")})


@pytest.fixture(scope="module")
def busiest(small_run):
    """The member with the most fills: its name."""
    fills = pq.read_table(small_run / "tables" / "fills.parquet", columns=["participant"])
    names: list[str] = fills.column("participant").to_pylist()
    return max(set(names), key=names.count)


@pytest.mark.parametrize("command", ["statement", "drill"])
def test_each_command_has_an_example_and_says_what_its_exit_status_means(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    helped = said("clearing", command, "--help")
    assert helped.status == 0
    assert f"Example:  ciyuan clearing {command} " in helped.out
    assert all(status in helped.out for status in ("0 done", "1 not reconciled", "4 broken law"))


# --- statements ---


def test_every_statement_adds_up_and_days_make_the_month(small_run, members):
    for name in members:
        statement = member_statement(small_run, name)
        for lines in (*statement.days, statement.month):
            assert lines.explained_micro == lines.closing_micro
        for before, after in pairwise(statement.days):
            assert before.closing_micro == after.opening_micro
        assert statement.month.opening_micro == statement.days[0].opening_micro
        assert statement.month.variation_micro == sum(day.variation_micro for day in statement.days)


def test_variation_is_the_positions_and_what_was_won_is_all_that_was_paid(small_run, members):
    """Realised and unrealised are, together, all variation since the position began (docs/spec/clearing.md)."""
    held = {(row["participant"], row["contract"]): row for row in rows_of(small_run, "holdings")}
    for name in members:
        statement = member_statement(small_run, name)
        lines = [line for day in statement.days for line in day.positions]
        assert sum(line.variation_micro for line in lines) == statement.month.variation_micro
        left = sum(int(str(row["unrealised_micro"])) for (who, _), row in held.items() if who == name)
        assert sum(line.realised_micro or 0 for line in lines) + left == statement.month.variation_micro


def test_positions_at_the_end_are_the_holdings(small_run, members):
    held = {(row["participant"], row["contract"]): row for row in rows_of(small_run, "holdings")}
    checked = 0
    for name in members:
        last = {
            line.contract: line for day in member_statement(small_run, name).days for line in day.positions
        }
        for (who, contract), row in held.items():
            if who == name:
                line = last[str(contract)]
                assert line.lots == int(str(row["long_lots"])) - int(str(row["short_lots"]))
                assert line.unrealised_micro == row["unrealised_micro"]
                checked += 1
    assert checked == len(held) > 0


def test_a_final_settlement_is_at_the_mean_fixing(small_run, members, small_said):
    final = json.loads(small_said.out)["final_micro"]
    found = {
        line.settlement_micro
        for name in members
        for day in member_statement(small_run, name).days
        for line in day.positions
        if line.is_final and line.lots
    }
    assert found == {final}


def test_a_statement_is_the_ledgers(small_run, busiest):
    answer = told(small_run, busiest, "--ledger")
    (against,) = answer["ledger"]
    assert against["reconciled"]
    assert against["moves"][-1]["balance_micro"] == answer["month"]["closing_micro"]
    assert sum(move["amount_micro"] for move in against["moves"]) == against["moved_micro"]
    assert {move["reason"] for move in against["moves"]} >= {"deposit", "variation", "fees"}
    assert all(check["statement_micro"] == check["ledger_micro"] for check in against["checks"])


def test_a_day_is_the_ledgers_too(small_run, busiest):
    day = member_statement(small_run, busiest).days[-1].last_day
    answer = told(small_run, busiest, "--day", day, "--ledger")
    assert [against["reconciled"] for against in answer["ledger"]] == [True] * len(answer["days"])
    assert all(lines["last_day"] == day for lines in answer["days"])


def test_a_statement_that_is_not_the_ledgers_is_found(small_run, busiest, tmp_path):
    run = copied(small_run, tmp_path)
    path = run / "tables" / "statements.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("fees_micro")
    wrong = [fee + 1 for fee in table.column("fees_micro").to_pylist()]
    pq.write_table(table.set_column(place, table.schema.field(place), [wrong]), path)
    found = said("clearing", "statement", run, busiest, "--ledger", "--progress", "none")
    assert found.status == 1
    assert "NOT reconciled" in found.out
    assert "differs" in found.out


def test_a_member_is_found_by_its_number(small_run, busiest):
    number = next(number for number, name in names_of(small_run).items() if name == busiest)
    assert told(small_run, str(number)) == told(small_run, busiest)


def test_people_are_shown_days_money_margin_and_positions(small_run, busiest):
    shown = said("clearing", "statement", small_run, busiest).out
    for words in ("opening cash", "default fund", "margin: scenarios", "entered at", "unrealised"):
        assert words in shown
    alone = said("clearing", "statement", small_run, busiest, "--month").out
    assert len(alone) < len(shown)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nobody",), "nobody of that name"),
        (("maker 1", "--day", "2026-10-04"), "no statement"),
        (("maker 1", "--day", "tomorrow"), "no statement"),
    ],
)
def test_who_or_when_there_is_none_is_malformed(small_run, words, why):
    found = said("clearing", "statement", small_run, *words)
    assert (found.status, why in found.err) == (2, True)


def test_a_folder_that_is_no_run_is_malformed(tmp_path):
    assert said("clearing", "statement", tmp_path, "maker 1").status == 2


def test_entries_close_the_oldest_lots_first_and_round_down():
    """7 lots at 10, then 2 at 11; 4 are closed at 15: their part of 92 is 92 x 4 // 9 = 40."""
    entry = Entry()
    entry.trade(7, 10)
    entry.today = 0
    entry.trade(2, 11)
    entry.trade(-4, 15)
    assert (entry.lots, entry.today, entry.cost, entry.realised) == (5, 2, 52, 20)
    entry.trade(-6, 9)
    assert (entry.lots, entry.today, entry.cost, entry.realised) == (-1, 1, 9, 13)
    assert entry.unrealised(8) == 1


# --- the drill ---


def test_a_drill_is_told_and_drawn(tmp_path):
    path = tmp_path / "drill.svg"
    found = said("clearing", "drill", "--members", "8", "--plot", path)
    assert found.status == 0, found.err
    for words in (
        "is called for",
        "in default",
        "nobody bids",
        "makers take",
        "torn up",
        "closed out",
        "Who paid what",
    ):
        assert words in found.out
    assert "Who paid the loss" in path.read_text(encoding="utf-8") or ET.parse(path).getroot() is not None  # noqa: S314


def test_the_guide_shows_the_drill_as_it_is():
    page = (ROOT / "docs" / "guide" / "clearing.md").read_text(encoding="utf-8")
    shown = "\n".join(line.rstrip() for line in said("clearing", "drill").out.splitlines())
    first, last = shown.index("  2026-10-09 09:15"), shown.index("\nheld: ")
    assert shown[first:last] in page


def test_a_drills_layers_sum_to_its_loss():
    found = said("clearing", "drill", "--jump", "-0.3", "--json")
    assert found.status == 0, found.err
    report = json.loads(found.out)
    used = {layer["layer"]: layer["used_micro"] for layer in report["layers"]}
    assert list(used) == list(WORDS.values())
    assert sum(used.values()) + report["uncovered_micro"] == report["loss_micro"] > 0
    for layer in report["layers"]:
        assert (
            sum(each["amount_micro"] for each in layer["payments"])
            == layer["used_micro"]
            <= layer["there_micro"]
        )
    times = [moment["time"] for moment in report["timeline"]]
    assert times == sorted(times)


def test_a_small_fall_costs_nobody_else():
    report = report_of(play_drill(DrillTerms(jump_log=-0.03)))
    assert [use.used_micro for use in report.layers[1:]] == [0] * 4
    assert report.fund_used_micro == report.uncovered_micro == 0


@pytest.mark.parametrize(
    "words",
    [("--members", "5"), ("--members", "41"), ("--jump", "0.1"), ("--jump", "-0.5"), ("--plot", "x.pdf")],
)
def test_a_drill_that_cannot_be_played_is_malformed(words):
    assert said("clearing", "drill", *words).status == 2
