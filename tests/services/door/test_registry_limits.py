"""Limits: one for each unit, window and offset of a spender; cleared, and set again, under one number."""

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX
from ciyuan.gateway.messages import LIMIT_MAX, LIMITS_OF_SPENDER_MAX, RATE_MAX
from ciyuan.services.door.registry_words import parse_limit
from tests.services.door.registry_cast import NOW, USD, company_registry


@pytest.fixture
def opened(tmp_path):
    with company_registry(tmp_path / "registry.sqlite") as opened:
        yield opened


def put(registry, spender, *sentences):
    with registry.change(NOW) as change:
        return [change.limits.set(spender.number, parse_limit(text)) for text in sentences]


def test_the_same_unit_and_window_is_the_same_limit(opened):
    registry, cast = opened
    (more,) = put(registry, cast.research, "3,000 USD a month")
    assert (more.number, more.most) == (1, 3_000 * USD)
    (abroad,) = put(registry, cast.research, "3,000 USD a month at +08:00")
    (tokens,) = put(registry, cast.research, "3M tokens a month")
    assert [abroad.number, tokens.number] == [2, 3]
    assert [str(limit) for limit in registry.directory().limits_of(cast.research.number)] == [
        "3,000.00 USD a month",
        "3,000.00 USD a month at +08:00",
        "3M tokens a month",
    ]


def test_a_cleared_limit_is_told_as_the_most_there_is_and_set_again(opened):
    registry, cast = opened
    budget, rate = put(registry, cast.ada, "5 USD a day", "60 requests a minute")
    with registry.change(NOW) as change:
        change.limits.clear(budget.number)
        change.limits.clear(rate.number)
    directory = registry.directory()
    assert directory.limits_of(cast.ada.number) == []
    assert [directory.limits[limit.number].most_told for limit in (budget, rate)] == [INT64_MAX, RATE_MAX]
    assert directory.limits[budget.number].terms is None
    assert directory.limit_words(budget.number) == "engineer ada: no limit"
    (again,) = put(registry, cast.ada, "6 USD a day")
    assert (again.number, again.most_told) == (budget.number, 6 * USD)


def test_a_spender_has_no_more_than_the_meter_takes(opened):
    registry, cast = opened
    windows = ("a minute", "an hour", "a day", "a month", "a year", "ever")
    made = put(
        registry, cast.ada, *(f"5000 tokens {window}" for window in windows), "5 USD a day", "6 USD a month"
    )
    assert len(made) == LIMITS_OF_SPENDER_MAX
    with registry.change(NOW) as change:
        change.limits.clear(made[0].number)
    with pytest.raises(Malformed, match=r"limit of acme/research/ada, 7\.00 USD a year"):
        put(registry, cast.ada, "7 USD a year")
    assert put(registry, cast.ada, "6k tokens a minute")[0].number == made[0].number


def test_there_are_no_more_than_the_meter_numbers(opened):
    registry, cast = opened
    with registry.change(NOW) as change:
        change.sql.run("INSERT INTO limits VALUES (?, ?, 1, 6, 0, 5, 0)", LIMIT_MAX, cast.ops.number)
    with pytest.raises(Malformed, match="65535 in all"):
        put(registry, cast.ada, "7 USD a year")
