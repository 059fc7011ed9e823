"""The league table and budgets: what departments cost, and what is used of what they may."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ciyuan.gateway.messages import parties_word
from ciyuan.services.door.registry_database import Database
from ciyuan.services.door.usage_budget import BudgetLine, budgets
from ciyuan.services.door.usage_fold import UsageFold
from ciyuan.services.door.usage_league import League, league
from ciyuan.services.door.usage_names import Names
from ciyuan.services.door.usage_span import parse_span
from ciyuan.services.door.usage_tables import UsageTables
from tests.services.door.usage_market import HOUR_NS, START_NS, Told, registry

pytest_plugins = ("tests.services.postgres",)
PARTIES = parties_word(2, 1, 5)
DAY_NS = 24 * HOUR_NS


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    where = (
        tmp_path / "registry.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    with Database.open(where) as opened:
        registry(opened)
        yield opened


def spent(database: Database, *spendings: tuple[int, int, int]) -> UsageTables:
    """Tables with deliveries of 60 tokens in (20 cached) and 30 out: (spender, hours after 1 November, micro-USD)."""
    told = Told()
    for place, (spender, hours, micro) in enumerate(sorted(spendings, key=lambda each: each[1]), 1):
        told.now_ns = START_NS + hours * HOUR_NS
        told.hold(place << 4, spender, PARTIES)
        told.deliver(place << 4, (60, 20, 30), micro)
    tables = UsageTables(database)
    fold = UsageFold(tables)
    fold.take(0, *told.part(0, len(told.rows)))
    assert fold.flush(2**62)
    return tables


def table_of(
    tables: UsageTables, month: str, offset: str = "+00:00", organisation: str | None = None
) -> League:
    return league(tables, Names.read(tables.database), parse_span(month, offset), organisation)


def test_departments_stand_by_cost_with_heads_revenue_and_the_month_before(database: Database):
    tables = spent(database, (7, -1, 1_000), (7, 1, 1_500), (8, 2, 501), (9, 3, 300), (10, 4, 1), (0, 5, 7))
    with database.change() as sql:
        sql.run("INSERT INTO revenue VALUES (2, 202611, 40020), (3, 202610, 99)")
    found = table_of(tables, "2026-11")
    lines = {line.department: line for line in found.lines}
    assert [line.department for line in found.lines] == ["research", "销售部", "(none)"]
    research = lines["research"]
    assert (research.sums.charged_micro, research.engineers, research.per_engineer_micro) == (2_001, 2, 1_001)
    assert research.sums.tokens == 180
    assert research.sums.cached_share == pytest.approx(1 / 3)
    assert (research.revenue_micro, research.before_micro) == (40_020, 1_000)
    assert research.of_revenue == pytest.approx(0.05)
    assert research.change == pytest.approx(1.001)
    assert (lines["销售部"].revenue_micro, lines["销售部"].change) == (None, None)
    assert lines["(none)"].per_engineer_micro is None
    assert found.total.sums.charged_micro == 2_309
    assert (found.total.engineers, found.total.revenue_micro, found.total.before_micro) == (3, 40_020, 1_000)


def test_a_department_that_spent_nothing_stands_in_the_table_and_a_closed_one_does_not(database: Database):
    tables = spent(database, (7, 1, 10))
    assert [line.department for line in table_of(tables, "2026-11").lines] == ["research", "销售部"]
    with database.change() as sql:
        sql.run("UPDATE spenders SET closed_ns = 1 WHERE number IN (3, 5)")
    found = table_of(tables, "2026-11")
    assert [(line.department, line.engineers) for line in found.lines] == [("research", 1)]


def test_the_table_is_of_one_organisation_if_asked(database: Database):
    with database.change() as sql:
        sql.run(
            "INSERT INTO spenders (number, kind, name, parent, participant, created_ns) VALUES "
            "(20, 'organisation', 'other', 0, 3, 0), (21, 'department', 'research', 20, 3, 0), (22, 'key', 'k', 21, 3, 0)"
        )
    tables = spent(database, (7, 1, 10), (22, 1, 20))
    assert [line.department for line in table_of(tables, "2026-11").lines][:2] == [
        "other/research",
        "acme/research",
    ]
    one = table_of(tables, "2026-11", organisation="other")
    assert [(line.department, line.sums.charged_micro) for line in one.lines] == [("other/research", 20)]


def test_a_month_begins_where_its_offset_says(database: Database):
    tables = spent(database, (7, -1, 1_000), (7, 1, 10))
    eight = table_of(tables, "2026-11", "+08:00")
    assert eight.total.sums.charged_micro == 1_010
    assert eight.total.before_micro == 0


def test_what_was_deleted_of_the_month_before_is_not_told_as_nothing(database: Database):
    tables = spent(database, (7, -1, 1_000), (7, 1, 10))
    tables.forget_days(START_NS // DAY_NS)
    found = table_of(tables, "2026-11")
    assert found.total.sums.charged_micro == 10
    assert (found.total.before_micro, found.lines[0].before_micro, found.lines[0].change) == (
        None,
        None,
        None,
    )


LIMITS = "INSERT INTO limits (number, spender, unit, window_kind, offset_ns, most, changed_ns) VALUES "


def lines_of(tables: UsageTables, now_ns: int) -> dict[int, BudgetLine]:
    return {line.limit: line for line in budgets(tables, Names.read(tables.database), now_ns)}


def test_budgets_count_all_below_their_spender_in_their_own_window(database: Database):
    tables = spent(database, (7, -1, 1_000), (7, 30, 1_500), (8, 31, 500), (9, 32, 300))
    with database.change() as sql:
        sql.run(
            LIMITS
            + "(1, 2, 1, 4, 0, 4000, 0), (2, 1, 2, 5, 0, 3600, 0), (3, 7, 3, 3, 0, 1, 0), (4, 1, 1, 6, 0, 0, 0), "
            f"(5, 4, 1, 4, {8 * HOUR_NS}, 5000, 0), (6, 4, 1, 1, 0, 9, 0), (7, 4, 1, 4, {HOUR_NS // 2}, 9, 0), "
            "(8, 4, 1, 4, 0, NULL, 0)"
        )
    found = lines_of(tables, START_NS + 40 * HOUR_NS)
    assert set(found) == {1, 2, 3, 4, 5, 7}
    used = {number: line.used for number, line in found.items()}
    assert used == {1: 2_000, 2: 360, 3: 1, 4: 3_300, 5: 2_500, 7: None}
    assert (found[1].share, found[1].resets_ns) == (0.5, START_NS + 30 * DAY_NS)
    assert (found[4].share, found[4].resets_ns) == (None, None)
    assert found[5].resets_ns == START_NS + 30 * DAY_NS - 8 * HOUR_NS
    assert found[3].resets_ns == START_NS + 2 * DAY_NS
    assert (found[1].kind, found[1].spender, str(found[1].terms)) == (
        "department",
        "research",
        "0.004 USD a month",
    )


def test_the_fullest_budget_stands_first_and_a_deleted_window_is_not_told_as_empty(database: Database):
    tables = spent(database, (7, 1, 900), (9, 2, 100))
    with database.change() as sql:
        sql.run(LIMITS + "(1, 3, 1, 4, 0, 1000, 0), (2, 2, 1, 4, 0, 1000, 0)")
    assert [line.limit for line in budgets(tables, Names.read(database), START_NS + HOUR_NS)] == [2, 1]
    tables.forget_days(START_NS // DAY_NS + 1)
    assert {line.used for line in lines_of(tables, START_NS + HOUR_NS).values()} == {None}
