"""Questions to the sums of usage: every pair of dimensions, any span and offset, against a count by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.messages import parties_word
from ciyuan.services.door.registry_database import Database
from ciyuan.services.door.usage_columns import MEASURES, NOTHING, Sums
from ciyuan.services.door.usage_fold import UsageFold
from ciyuan.services.door.usage_names import NOBODY, Names
from ciyuan.services.door.usage_query import Answer, Dimension, Question, ask
from ciyuan.services.door.usage_span import between, parse_span
from ciyuan.services.door.usage_tables import UsageTables
from tests.services.door.usage_market import HOUR_NS, START_NS, Told, counted, random_told, registry

pytest_plugins = ("tests.services.postgres",)
TOLD = random_told(11, 500)
COUNTED = counted(TOLD)
EVERY_ROW = 2**62
LABELS = {
    0: (NOBODY, NOBODY, NOBODY, NOBODY),
    7: ("acme", "research", "ada", "research/ada/default"),
    8: ("acme", "research", "bob", "research/bob/default"),
    9: ("acme", "销售部", "chen", "crm"),
}
SPENDER_DIMENSIONS = (Dimension.ORGANISATION, Dimension.DEPARTMENT, Dimension.ENGINEER, Dimension.KEY)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    if request.param == "sqlite":
        where: Path | str = tmp_path_factory.mktemp("usage") / "registry.sqlite"
    else:
        where = request.getfixturevalue("postgres_server").create_database()
    with Database.open(where) as opened:
        registry(opened)
        fold = UsageFold(UsageTables(opened))
        fold.take(0, *TOLD.part(0, len(TOLD.rows)))
        assert fold.flush(EVERY_ROW)
        yield opened


def asked(
    database: Database, *by: Dimension, span: str = "2026", offset: str = "+00:00", **only: str
) -> Answer:
    filters = {Dimension(name): frozenset(labels.split("|")) for name, labels in only.items()}
    question = Question(by, parse_span(span, offset), filters)
    return ask(UsageTables(database), Names.read(database), question)


def label_of(dimension: Dimension, cell: tuple[int, ...], offset: int) -> str:
    """The label of a cell (hour, customer, spender, supplier, grade, batch, price list) by hand."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=cell[0] + offset)
    if dimension in SPENDER_DIMENSIONS:
        return LABELS[cell[2]][SPENDER_DIMENSIONS.index(dimension)]
    return {
        Dimension.APP: NOBODY,
        Dimension.CUSTOMER: {2: "acme", 3: "其他"}[cell[1]],
        Dimension.SUPPLIER: f"participant {cell[3]}",
        Dimension.MODEL: {5: "llama", 6: "qwen"}[cell[4]],
        Dimension.TIER: {5: "pro", 6: "max"}[cell[4]],
        Dimension.SERVED: ("direct", "batch")[cell[5]],
        Dimension.HOUR: moment.strftime("%Y-%m-%d %H:00"),
        Dimension.DAY: moment.strftime("%Y-%m-%d"),
        Dimension.MONTH: moment.strftime("%Y-%m"),
    }[dimension]


def by_hand(by: tuple[Dimension, ...], first: str, end: str, offset: int) -> dict[tuple[str, ...], list[int]]:
    found: dict[tuple[str, ...], list[int]] = {}
    for cell, sums in COUNTED.items():
        if first <= label_of(Dimension.DAY, cell, offset) < end:
            labels = tuple(label_of(dimension, cell, offset) for dimension in by)
            before = found.get(labels, [0] * len(MEASURES))
            found[labels] = [one + other for one, other in zip(before, sums, strict=True)]
    return found


def used(answer: Answer) -> dict[tuple[str, ...], list[int]]:
    """What was used, by labels; lines of refusals alone left out."""
    lines = {line.labels: [getattr(line.sums, name) for name in MEASURES] for line in answer.lines}
    return {labels: sums for labels, sums in lines.items() if any(sums)}


ASKED = [dimension for dimension in Dimension if dimension not in {Dimension.REASON, Dimension.LIMIT}]


@pytest.mark.parametrize("by", [(one,) for one in ASKED] + list(permutations(ASKED, 2)), ids=",".join)
def test_any_one_or_two_dimensions_are_as_counted_by_hand(database: Database, by: tuple[Dimension, ...]):
    for first, last, offset in (
        ("2026-11", "2026-12", 0),
        ("2026-11-03", "2026-11-20", 8),
        ("2026-11", "2027-01", -5),
    ):
        text = f"{'-' if offset < 0 else '+'}{abs(offset):02}:00"
        span = between(parse_span(first, text), parse_span(last, text))
        answer = ask(UsageTables(database), Names.read(database), Question(by, span))
        assert used(answer) == {
            labels: sums
            for labels, sums in by_hand(by, span.first.isoformat(), span.end.isoformat(), offset).items()
            if any(sums)
        }
        assert answer.total == sum((line.sums for line in answer.lines), NOTHING)


def test_filters_leave_out_all_others(database: Database):
    answer = asked(database, Dimension.MODEL, department="research", served="batch")
    expected = [0] * len(MEASURES)
    for cell, sums in COUNTED.items():
        if cell[2] in {7, 8} and cell[5] == 1 and cell[4] == 5:
            expected = [one + other for one, other in zip(expected, sums, strict=True)]
    assert used(answer)[("llama",)] == expected
    two = asked(database, Dimension.KEY, engineer="ada|bob").lines
    assert {line.labels[0] for line in two} == {"research/ada/default", "research/bob/default"}
    day = asked(database, Dimension.KEY, day="2026-11-05")
    assert day.total == asked(database, Dimension.KEY, span="2026-11-05").total


def test_refusals_are_counted_by_reason_and_by_whom(database: Database):
    events = [event for answers in TOLD.answers for event in answers if event[0] & 0xFFFF == 259]
    reasons = {line.labels[0]: line.sums.refused for line in asked(database, Dimension.REASON).lines}
    by_name = [sum(event[7] == reason for event in events) for reason in (46, 47)]
    assert sorted(reasons.values()) == sorted(by_name)
    assert reasons["INSUFFICIENT_BALANCE"] == by_name[0]
    by_key = asked(database, Dimension.KEY, Dimension.REASON)
    assert {line.labels[0] for line in by_key.lines} == {"research/ada/default"}
    assert by_key.total == Sums(refused=len(events))
    assert asked(database, Dimension.DEPARTMENT).total.refused == len(events)
    assert asked(database, Dimension.LIMIT).lines[0].labels == (NOBODY,)


def test_lines_are_in_order_of_cost_or_of_time_and_the_rest_is_summed(database: Database):
    answer = asked(database, Dimension.KEY)
    costs = [line.sums.charged_micro for line in answer.lines]
    assert costs == sorted(costs, reverse=True)
    days = [line.labels[0] for line in asked(database, Dimension.DAY).lines]
    assert days == sorted(days)
    top = answer.top(2)
    assert [line.labels for line in top.lines[:2]] == [line.labels for line in answer.lines[:2]]
    assert top.lines[2].labels == ("(others)",)
    assert sum((line.sums for line in top.lines), NOTHING) == answer.total
    assert answer.top(50) is answer


def test_a_label_that_nobody_has_and_a_question_of_three_are_malformed(database: Database):
    with pytest.raises(Malformed, match="reserch"):
        asked(database, Dimension.KEY, department="reserch")
    with pytest.raises(Malformed, match="one dimension"):
        asked(database, Dimension.KEY, Dimension.KEY)
    with pytest.raises(Malformed, match="one dimension"):
        asked(database, Dimension.KEY, Dimension.MODEL, Dimension.DAY)


def test_what_the_registry_does_not_know_keeps_its_number(tmp_path: Path):
    told = Told()
    told.hold(1 << 4, 77, parties_word(5, 9, 40))
    told.deliver(1 << 4, (1, 0, 1), 5)
    with Database.open(tmp_path / "registry.sqlite") as database:
        fold = UsageFold(UsageTables(database))
        fold.take(0, *told.part(0, 2))
        assert fold.flush(2)
        by = (Dimension.KEY, Dimension.CUSTOMER, Dimension.MODEL, Dimension.TIER)
        found = [asked(database, each).lines[0].labels[0] for each in by]
    assert found == ["spender 77", "participant 5", "grade 40", NOBODY]


def test_deleted_hours_are_refused_days_go_on_and_balances_are_kept(tmp_path: Path):
    with Database.open(tmp_path / "registry.sqlite") as database:
        registry(database)
        tables = UsageTables(database)
        fold = UsageFold(tables)
        fold.take(0, *TOLD.part(0, len(TOLD.rows)))
        assert fold.flush(EVERY_ROW)
        before = asked(database, Dimension.DEPARTMENT, span="2026-11").total
        hour = START_NS // HOUR_NS + 24 * 10
        assert tables.forget_hours(hour) >= 24 * 9
        assert tables.forget_hours(hour) == 0
        after = asked(database, Dimension.DEPARTMENT, span="2026-11")
        assert after.total.charged_micro == before.charged_micro
        assert after.refused_from == hour * HOUR_NS
        assert after.total.refused < before.refused
        with pytest.raises(Malformed, match="were deleted"):
            asked(database, Dimension.HOUR, span="2026-11")
        with pytest.raises(Malformed, match="were deleted"):
            asked(database, Dimension.DAY, span="2026-11", offset="+08:00")
        assert asked(database, Dimension.DAY, span="2026-11-20", offset="+08:00").lines
        tables.forget_days(hour // 24)
        with pytest.raises(Malformed, match="2026-11-11"):
            asked(database, Dimension.MODEL, span="2026-11")
        assert asked(database, Dimension.MODEL, span="2026-12").lines
        again = UsageFold(tables)
        assert again.watermark == len(TOLD.rows)
