"""What is charged beyond a hold, and what a question to years of usage reads (cases 20 and 28 of docs/spec/gateway_cases.md)."""

import asyncio
import re
from itertools import chain, combinations
from typing import ClassVar

import pytest

from ciyuan.gateway.ending import Alarm
from ciyuan.gateway.usage import Leg
from ciyuan.services.door.registry_database import Database, Sql
from ciyuan.services.door.usage_fold import UsageFold
from ciyuan.services.door.usage_names import Names
from ciyuan.services.door.usage_query import Dimension, Question, ask
from ciyuan.services.door.usage_span import parse_span
from ciyuan.services.door.usage_tables import UsageTables
from tests.services.door.stand import Stand
from tests.services.door.usage_market import random_told, registry

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SUMS = {"usage_hour", "usage_hour_grade", "usage_hour_spender", "usage_day", "usage_refused"}
SPANS = [("2026", "+00:00"), ("2026-11", "+08:00"), ("2026-11-21", "-05:00")]
EVERY_ROW = 2**62


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_beyond_the_hold_is_neither_charged_nor_given_back(tmp_path, stream):
    """Case 20: the supplier sends and claims 26 tokens where 4 were allowed; 4 are paid, of a balance that covers no more."""
    model = f"m:text={LETTERS}"

    async def play():
        async with Stand(tmp_path, models=[model], balance_micro=500) as stand:
            assert (await stand.chat(model, stream=stream, max_tokens=4))[0] == 200
            await stand.settled()
            (attempt,) = stand.attempts
            assert attempt.outcome.alarm is Alarm.USAGE_IMPOSSIBLE
            assert attempt.outcome.usage.amount(Leg.OUTPUT) == 4
            assert 0 < stand.spent <= attempt.held_micro
            assert stand.money == (500 - stand.spent,) * 2
            return stand.spent

    assert asyncio.run(play()) > 4 * 4


class Reading(Sql):
    """A connection that notes how the database would answer each question."""

    plans: ClassVar[list[tuple[str, str]]] = []

    def rows(self, statement, *values):
        plan = super().rows(f"EXPLAIN QUERY PLAN {statement}", *values)
        self.plans.append((statement, "; ".join(str(row[-1]) for row in plan)))
        return super().rows(statement, *values)


def test_every_question_reads_sums_by_their_key_and_never_requests(tmp_path, monkeypatch):
    """Case 28: what a page or command about usage costs grows with the hours and spenders of its span, not with requests.

    The table of days is read by its key from the span's first day on, that of hours for what is left at a span's borders; the
    tables have a row for each hour (or day) and cell. (The time for ten million requests is `make bench`'s to measure.)
    """
    told = random_told(3, 400)
    with Database.open(tmp_path / "registry.sqlite") as database:
        registry(database)
        tables = UsageTables(database)
        fold = UsageFold(tables)
        fold.take(0, *told.part(0, len(told.rows)))
        assert fold.flush(EVERY_ROW)
        names = Names.read(database)
        monkeypatch.setattr("ciyuan.services.door.registry_database.Sql", Reading)
        asked = list(chain(combinations(Dimension, 1), combinations(Dimension, 2)))
        for by in asked:
            for name, offset in SPANS:
                ask(tables, names, Question(by, parse_span(name, offset)))
    plans = [(statement, plan) for statement, plan in Reading.plans if "usage_watermark" not in statement]
    assert len(plans) >= len(asked)
    for statement, plan in plans:
        read = re.findall(r"(SEARCH|SCAN) (\w+)", plan)
        assert read, plan
        assert {table for _, table in read} <= SUMS
        assert all(how == "SEARCH" for how, _ in read), (statement, plan)
        assert "USING PRIMARY KEY" in plan
