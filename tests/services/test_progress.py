"""How far a long command is: as a bar, as lines of JSON, or silently."""

import json

import pytest

from ciyuan.basics.time import NS_PER_HOUR, ns_from_iso
from ciyuan.services.progress import shown_progress, shown_rows

START = ns_from_iso("2026-10-01T00:00:00Z")


def test_json_is_one_line_an_hour_on_standard_error(capsys):
    with shown_progress("json", START, START + 2 * NS_PER_HOUR) as show:
        show(START + NS_PER_HOUR, 10)
        show(START + 2 * NS_PER_HOUR, 25)
    said = capsys.readouterr()
    assert said.out == ""
    assert [json.loads(line) for line in said.err.splitlines()] == [
        {"until": "2026-10-01T01:00:00Z", "acknowledged_rows": 10},
        {"until": "2026-10-01T02:00:00Z", "acknowledged_rows": 25},
    ]


def test_a_verification_counts_rows(capsys):
    with shown_rows("json", 30) as show:
        show(20)
        show(30)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines == [{"replayed_rows": 20, "rows": 30}, {"replayed_rows": 30, "rows": 30}]


def test_the_bar_names_the_day_and_the_rows(capsys):
    with shown_progress("bar", START, START + NS_PER_HOUR) as show:
        show(START + NS_PER_HOUR, 1_234)
    said = capsys.readouterr()
    assert said.out == ""
    for words in ("2026-10-01", "1,234 rows", "100%"):
        assert words in said.err


@pytest.mark.parametrize("rows", [0, 77])
def test_the_bar_of_a_verification_has_no_date(capsys, rows):
    with shown_rows("bar", rows) as show:
        show(rows)
    said = capsys.readouterr().err
    assert "the journal" in said
    assert f"{rows} rows" in said
    assert "1970" not in said


def test_none_is_silent(capsys):
    with shown_progress("none", 0, 1) as show, shown_rows("none", 1) as show_rows:
        show(1, 1)
        show_rows(1)
    assert capsys.readouterr() == ("", "")


def test_a_failure_inside_is_not_swallowed():
    with pytest.raises(ZeroDivisionError), shown_progress("bar", 0, 1):
        raise ZeroDivisionError
