"""Strict reading: a missing, unknown or ill-typed key is refused, naming file, table and key."""

from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.exchange.messages import SessionState
from ciyuan.services.catalog_table import Section, known, member, reading, top_keys, top_table, top_tables


@pytest.fixture
def facts(tmp_path: Path):
    def write(text: str) -> Path:
        (tmp_path / "facts.toml").write_text(text)
        return tmp_path

    return write


GOOD = """
[a]
name = "x"
count = 3
source = "s"
observed_on = 2026-01-02
[b]
name = "y"
count = 4
source = "s"
observed_on = 2026-01-03
"""


def test_tables_come_in_order_with_their_values(facts):
    found = [
        (key, t.text("name"), t.whole("count"), t.sourced())
        for key, t in top_tables("facts.toml", facts(GOOD))
    ]
    assert found == [("a", "x", 3, ("s", "2026-01-02")), ("b", "y", 4, ("s", "2026-01-03"))]
    assert top_keys("facts.toml", facts(GOOD)) == ("a", "b")


def test_a_list_of_tables_comes_one_by_one(facts):
    folder = facts('[[entry]]\nname = "x"\n[[entry]]\nname = "y"\n')
    assert [(key, t.place, t.text("name")) for key, t in top_tables("facts.toml", folder)] == [
        ("entry", "facts.toml, [[entry]] 1", "x"),
        ("entry", "facts.toml, [[entry]] 2", "y"),
    ]


def test_only_the_tables_asked_for_are_judged(facts):
    folder = facts(GOOD + "[c]\nodd = 1\n")
    assert [
        key
        for key, t in top_tables("facts.toml", folder, only=("a",))
        if t.text("name") and t.whole("count") and t.sourced()
    ] == ["a"]


def test_one_table_by_name(facts):
    with top_table("facts.toml", "b", facts(GOOD)) as table:
        assert (table.text("name"), table.whole("count"), table.sourced()[0]) == ("y", 4, "s")
    with pytest.raises(Malformed, match=r"facts.toml, \[z\]"), top_table("facts.toml", "z", facts(GOOD)):
        pass


def test_an_unknown_key_is_refused_when_the_table_is_left(facts):
    folder = facts('[a]\nname = "x"\nnmae = "y"\n')
    with pytest.raises(Malformed) as refused:
        _ = [table.text("name") for _, table in top_tables("facts.toml", folder)]
    assert refused.value.thing == "facts.toml, [a], nmae"
    assert refused.value.expected == "one of name"


@pytest.mark.parametrize(
    ("read", "entry", "expected"),
    [
        (lambda s: s.text("k"), 3, "a text in quotes"),
        (lambda s: s.text("k"), "  ", "a text with words in it"),
        (lambda s: s.whole("k"), 3.0, "a whole number"),
        (lambda s: s.whole("k"), True, "a whole number"),
        (lambda s: s.number("k"), "3", "a number"),
        (lambda s: s.number("k"), True, "a number"),
        (lambda s: s.day("k"), "2026-01-01", "a date as 2026-10-01"),
        (lambda s: s.wholes("k"), [1, 2.5], "a whole number"),
        (lambda s: s.numbers("k"), [1.0, "x"], "a number"),
        (lambda s: s.texts("k"), "x", "a list"),
        (lambda s: list(s.tables("k")), [1], "a table"),
    ],
)
def test_a_value_of_another_kind_is_refused(read, entry, expected):
    with pytest.raises(Malformed) as refused:
        read(Section("file.toml, [t]", {"k": entry}))
    assert refused.value.thing.startswith("file.toml, [t], k")
    assert refused.value.expected == expected


def test_a_missing_key_is_refused():
    with pytest.raises(Malformed, match=r"file.toml, \[t\], k: found 'no such key'"):
        Section("file.toml, [t]", {}).number("k")


def test_a_whole_number_will_do_where_a_number_is_asked_for():
    section = Section("t", {"a": 3, "b": [1, 2.5]})
    assert (section.number("a"), section.numbers("b")) == (3.0, (1.0, 2.5))
    assert type(section.number("a")) is float


def test_inner_tables_are_read_whole_too():
    with reading("t", {"inner": {"a": 1}, "rows": [{"a": 1}, {"a": 2}]}) as section:
        assert "inner" in section
        with section.table("inner") as inner:
            assert inner.whole("a") == 1
        assert [row.whole("a") for row in section.tables("rows")] == [1, 2]
    with pytest.raises(Malformed, match="t, inner, a"), Section("t", {"inner": {"a": 1}}).table("inner"):
        pass


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("loose = 1\n", "facts.toml, loose"),
        ("a = [1]\n", "facts.toml, a"),
        ("[a\n", "fact file facts.toml"),
        ("é = 1\n", "fact file"),
    ],
)
def test_what_is_no_fact_file_is_refused(facts, text, match):
    with pytest.raises(Malformed, match=match):
        list(top_tables("facts.toml", facts(text)))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path):
    with pytest.raises(Malformed, match=r"fact file absent.toml"):
        list(top_tables("absent.toml", tmp_path))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Malformed, match="TOML in UTF-8"):
        list(top_tables("bytes.toml", tmp_path))


def test_names_are_looked_up_or_refused_with_what_there_is():
    assert known({"a": 1}, "a", "place", "file.toml") == 1
    with pytest.raises(Malformed, match=r"place: found 'b', expected one of file.toml: a"):
        known({"a": 1}, "b", "place", "file.toml")
    assert member(SessionState, "auction_entry", "place") is SessionState.AUCTION_ENTRY
    with pytest.raises(Malformed, match="continuous"):
        member(SessionState, "open", "place")
