"""docs/spec/index.md says what the code does: its tables, its figures, its worked examples."""

import re

import pytest

from ciyuan.basics.calendar import month_days
from ciyuan.basics.money import parse_micro
from ciyuan.basics.time import NS_PER_HOUR
from ciyuan.index.messages import (
    BASIS_POINTS,
    TIME_MAX,
    IndexCommand,
    IndexEvent,
    IndexRefusal,
    IndexTerms,
    Leg,
    Withheld,
)
from ciyuan.index.screen import MAD_TO_DEVIATION
from tests.index.readings import CALENDAR, GRADE, new_index, published
from tests.index.transcript import played
from tests.sources import ROOT

PAGE = (ROOT / "docs" / "spec" / "index.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```index\n(.*?)```", PAGE, re.DOTALL)
TERMS = IndexTerms()
MONTHS = re.findall(r"^\| (\d+) of 21 \| (\d+) of 22 \| (\S+) \| (\d*) ?\|$", PAGE, re.MULTILINE)


def section(title: str) -> str:
    return " ".join(PAGE.split(f"## {title}\n")[1].split("\n## ")[0].split())


@pytest.mark.parametrize("enum", [IndexCommand, IndexEvent, IndexRefusal, Withheld])
def test_its_tables_are_the_enums(enum: type[IndexCommand | IndexEvent | IndexRefusal | Withheld]):
    column = {IndexCommand: "command", IndexEvent: "event", IndexRefusal: "refusal", Withheld: "reason"}[enum]
    table = PAGE.split(f"| value | {column} |")[1].split("\n\n")[0]
    named = [(int(value), name) for value, name in re.findall(r"^\| (\d+) \| `(\w+)`", table, re.MULTILINE)]
    assert named == [(int(member), member.name) for member in enum]


def test_its_figures_are_the_terms():
    text = section("A fixing")
    assert f"{TERMS.partitions} partitions of five minutes" in text
    assert f"than {TERMS.deviations_max} deviations" in text
    assert f"{MAD_TO_DEVIATION // BASIS_POINTS}.{MAD_TO_DEVIATION % BASIS_POINTS} times" in text
    assert f"at least {TERMS.scale_floor_bp * 100 // BASIS_POINTS}% of that median" in text
    assert f"at least {TERMS.sellers_min} sellers" in text
    assert f"at least {TERMS.observations_min} observations" in text
    assert f"more than {TERMS.cap_bp * 100 // BASIS_POINTS}% of the sum" in text
    assert f"{TERMS.window_from} to {TERMS.window_to} venue time" in section("Observations")
    assert f"Within {TERMS.correct_within_ns // NS_PER_HOUR} hours of version 1" in section("Versions")
    assert f"{TERMS.fix_within_ns // NS_PER_HOUR} hours after it" in section("Versions")
    assert f"2^{TIME_MAX.bit_length() - 1} ns" in section("Refusals")


@pytest.mark.parametrize("block", BLOCKS)
def test_its_examples_are_played_as_written(block: str):
    assert list(played(block)) == block.splitlines()


def test_its_examples_show_every_level_and_every_answer():
    answers = "\n".join(line for block in BLOCKS for line in block.splitlines() if line.startswith("<"))
    for words in (
        "level a",
        "level b",
        "level c",
        "set aside",
        "struck out",
        "withheld",
        "related",
        "repeated",
        "refused",
    ):
        assert words in answers


@pytest.mark.parametrize(("fixed", "before", "mean", "rule"), MONTHS)
def test_its_table_of_missing_days(fixed: str, before: str, mean: str, rule: str):
    index = new_index()
    for month, price, count in ((202609, 2_000_000, int(before)), (202610, 1_000_000, int(fixed))):
        for day in CALENDAR.business_days(*month_days(month))[:count]:
            published(index, price, day)
    found = index.month_mean(GRADE, 202610, Leg.STANDARD)
    if mean == "none":
        assert found is None
    else:
        assert found is not None
        assert (found.mean_micro, found.rule) == (parse_micro(mean), int(rule))


def test_the_table_of_missing_days_is_read():
    assert len(MONTHS) == 7
