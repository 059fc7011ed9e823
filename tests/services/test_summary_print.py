"""The summary as people read it on a terminal: every figure, whole names, a dash for what is not there."""

from dataclasses import replace

import pytest

from ciyuan.services.summary_print import BILL_HEADS, bill_cells, figures_of, print_tables, usd
from tests.services.summaries import HEDGED, IDLE, SUMMARY


def test_every_figure_is_named_and_grouped_by_thousands():
    figures = dict(figures_of(SUMMARY))
    assert figures == {
        "requests metered": "1,000,000 of 1,000,100 (100 refused: prepaid money was spent)",
        "tokens in / of these cached / out": "22,361,870 / 1,000 / 4,088,665",
        "standard tokens": "39 MTok",
        "charged to customers": "1,234.57 USD",
        "orders (refused), trades": "300,000 (12), 4,321",
        "fixings published, withheld": "66, 3",
        "margin calls": "1",
        "audits, all laws held": "769",
        "journal rows": "2,500,000",
        "state hash": "0123456789abcdef0123456789abcdef",
    }


def test_the_tables_are_printed_whole(capsys):
    print_tables(SUMMARY)
    said = capsys.readouterr().out
    assert "KIMI26, 2026-10, seed 7" in said
    for name, value in figures_of(SUMMARY):
        assert name in said
        assert value in said
    for cell in (*bill_cells(HEDGED), "buyer 02"):
        assert cell in said
    assert "…" not in said


def test_what_came_from_files_is_printed_as_it_is(capsys):
    row = "usage file [red].csv, line 3, field input_tokens: found [/]"
    print_tables(replace(SUMMARY, bad_rows=(row,)))
    said = " ".join(capsys.readouterr().out.split())
    assert f"left out: {row}" in said
    assert "traffic: every row of [bold]usage.csv" in said


@pytest.mark.parametrize(
    ("count", "more"), [(0, ""), (20, ""), (21, "1 rows more"), (5_020, "5,000 rows more")]
)
def test_the_first_bad_rows_are_listed_and_the_others_counted(capsys, count, more):
    print_tables(replace(SUMMARY, bad_rows=tuple(f"row {number}" for number in range(count))))
    said = capsys.readouterr().out
    assert said.count("left out: row ") == min(count, 20)
    assert more in said
    assert ("all of them in summary.json" in said) == bool(more)


def test_without_hedges_there_is_no_table_of_them(capsys):
    print_tables(replace(SUMMARY, hedges=()))
    assert "Buyers who hedged" not in capsys.readouterr().out


def test_a_bill_has_a_cell_for_each_head():
    assert len(bill_cells(HEDGED)) == len(bill_cells(IDLE)) == len(BILL_HEADS)
    assert bill_cells(HEDGED)[3:6] == ["12", "11,000.00", "-400.00"]
    assert bill_cells(IDLE)[-1] == "-"


@pytest.mark.parametrize(
    ("micro", "decimals", "text"),
    [
        (None, 2, "-"),
        (0, 2, "0.00"),
        (1_234_567_890, 2, "1,234.57"),
        (-12_345, 4, "-0.0123"),
        (5_000, 2, "0.01"),
    ],
)
def test_money_is_rounded_only_to_be_shown(micro, decimals, text):
    assert usd(micro, decimals) == text
