"""Spans of time, and the names of spenders."""

from dataclasses import replace
from datetime import date

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.messages import LimitUnit, LimitWindow
from ciyuan.services.door.registry_limits import Limit
from ciyuan.services.door.usage_names import NOBODY, Names, Spender
from ciyuan.services.door.usage_span import (
    Span,
    between,
    month_before,
    month_of,
    offset_hours,
    parse_span,
    to_second,
)
from tests.services.door.usage_market import HOUR_NS, START_NS


@pytest.mark.parametrize(
    ("text", "first", "end", "name"),
    [
        ("2026-11", (2026, 11, 1), (2026, 12, 1), "2026-11"),
        ("2026-12", (2026, 12, 1), (2027, 1, 1), "2026-12"),
        ("2028-02", (2028, 2, 1), (2028, 3, 1), "2028-02"),
        ("2026-11-21", (2026, 11, 21), (2026, 11, 22), "2026-11-21"),
        ("2026", (2026, 1, 1), (2027, 1, 1), "2026-01-01 to 2026-12-31"),
    ],
)
def test_a_year_month_or_day_is_a_span(
    text: str, first: tuple[int, int, int], end: tuple[int, int, int], name: str
):
    span = parse_span(text)
    assert (span.first, span.end, span.name) == (date(*first), date(*end), name)


@pytest.mark.parametrize(
    "text", ["", "2026-13", "2026-11-31", "november", "26-11", "2026-11-1", "0000", "9999"]
)
def test_what_is_no_span_is_malformed(text: str):
    with pytest.raises(Malformed, match="2026-11"):
        parse_span(text)


def test_borders_follow_the_offset():
    span = parse_span("2026-11", "+08:00")
    assert span.bounds_ns == (START_NS - 8 * HOUR_NS, START_NS + 30 * 24 * HOUR_NS - 8 * HOUR_NS)
    assert span.day_of(START_NS // HOUR_NS - 8) == date(2026, 11, 1)
    assert span.day_of(START_NS // HOUR_NS - 9) == date(2026, 10, 31)
    assert month_of(START_NS - HOUR_NS, 8) == span
    assert month_of(START_NS - HOUR_NS) == parse_span("2026-10")
    assert [month.name for month in between(parse_span("2026-11"), parse_span("2027-01-02")).months()] == [
        "2026-11", "2026-12", "2027-01-01 to 2027-01-02",
    ]  # fmt: skip
    assert month_before(parse_span("2026-01")) == Span(date(2025, 12, 1), date(2026, 1, 1))
    with pytest.raises(Malformed, match="after the beginning"):
        between(parse_span("2026-11"), parse_span("2026-10"))


@pytest.mark.parametrize("text", ["+05:30", "+15:00", "8"])
def test_an_offset_is_whole_hours(text: str):
    with pytest.raises(Malformed):
        offset_hours(text)


def test_a_moment_is_shown_to_the_second():
    assert to_second(START_NS + 999) == "2026-11-01T00:00:00Z"


def spender(number: int, kind: str, name: str, parent: int) -> Spender:
    return Spender(number, kind, name, parent, 2)


def test_names_that_are_borne_twice_are_told_apart_by_their_path():
    tree = [
        spender(1, "organisation", "acme", 0),
        spender(2, "department", "research", 1),
        spender(3, "department", "nlp", 2),
        spender(4, "key", "default", 3),
        spender(5, "key", "default", 2),
        spender(6, "key", "batch", 2),
    ]
    money = Limit(7, 2, LimitUnit.MONEY, LimitWindow.MONTH, 0, 50_000_000)
    limits = {
        7: money,
        8: replace(money, number=8, spender=4, most=None),
        9: replace(money, number=9, spender=99),
    }
    names = Names({each.number: each for each in tree}, {2: "acme"}, {5: ("llama", "pro")}, limits)
    assert names.labels("key") == {
        1: NOBODY,
        2: NOBODY,
        3: NOBODY,
        4: "research/nlp/default",
        5: "research/default",
        6: "batch",
    }
    assert names.labels("department")[4] == "nlp"
    assert names.labels("engineer")[4] == NOBODY
    assert names.label(5) == "research/default"
    assert names.label(99) == "spender 99"
    assert names.limit(7) == "department research: 50.00 USD a month"
    assert names.limit(8) == "key research/nlp/default: limit 8, cleared"
    assert names.limit(9) == "spender 99: 50.00 USD a month"
    assert (names.limit(10), names.limit(0)) == ("limit 10", NOBODY)
    assert (names.customer(2), names.customer(3)) == ("acme", "participant 3")
    assert (names.model(5), names.tier(5), names.model(6), names.tier(6)) == (
        "llama",
        "pro",
        "grade 6",
        NOBODY,
    )
    found = names.find("department", "nlp")
    assert found is not None
    assert found.number == 3
    assert names.find("department", "law") is None
    assert [above.number for above in names.lineage(4)] == [4, 3, 2, 1]
    two = Names(
        {**names.spenders, 7: spender(7, "organisation", "globex", 0), 8: spender(8, "key", "default", 7)},
        {},
        {},
    )
    assert (two.label(5), two.label(6), two.label(8)) == ("acme/research/default", "batch", "globex/default")


def test_a_tree_that_turns_on_itself_ends():
    loop = {1: spender(1, "department", "a", 2), 2: spender(2, "department", "b", 1)}
    assert len(Names(loop, {}, {}).lineage(1)) == 64
