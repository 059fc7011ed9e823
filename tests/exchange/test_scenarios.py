"""Every scenario of scenarios/exchange, played on the kernel and on its plain twin; and every rule of the exchange has one."""

import re
from fnmatch import fnmatch

import pytest

from tests.exchange.scenario_runner import MACHINES, check_scenario, played
from tests.sources import ROOT

SCENARIOS = sorted((ROOT / "scenarios" / "exchange").glob("*.txt"))
RULES = {
    "2.5", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "5.1", "5.2", "5.3",
}  # fmt: skip
NAMED = set(
    re.findall(r"`(\d\.\d-[^`]*\.txt)`", (ROOT / "docs" / "spec" / "exchange.md").read_text(encoding="utf-8"))
)
"""The scenarios that the specification names, some by a pattern."""
CONTRACT = "contract KIMI26.2610 tick 0.001 start 0.950 limit 10%\n"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_exchange_does_as_the_rule_says(path, machine):
    check_scenario(path.stem, path.read_text(encoding="utf-8"), MACHINES[machine])


def test_every_rule_has_a_scenario_that_names_it():
    texts = {path.stem.partition("-")[0]: path.read_text(encoding="utf-8") for path in SCENARIOS}
    assert set(texts) == RULES
    assert [rule for rule, text in texts.items() if f"§{rule}" not in text.splitlines()[0]] == []


def test_the_specification_names_every_scenario_and_no_other():
    files = {path.name for path in SCENARIOS}
    assert sorted(name for name in NAMED if not any(fnmatch(file, name) for file in files)) == []
    assert sorted(file for file in files if not any(fnmatch(file, name) for name in NAMED)) == []


@pytest.mark.parametrize("make", MACHINES.values(), ids=MACHINES)
def test_a_scenario_that_is_not_kept_fails_with_the_difference(make):
    text = f"{CONTRACT}> SESSION continuous\n< SESSION KIMI26.2610 break 2026-10-09\n"
    with pytest.raises(
        AssertionError, match=r"-< SESSION KIMI26.2610 break.*\n\+< SESSION KIMI26.2610 continuous"
    ):
        check_scenario("x", text, make)


@pytest.mark.parametrize(
    "line", ["> SHOUT alice", "> BUY alice 1 KIMI26.2610 @ 0.950 please", "wish for rain"]
)
def test_a_line_that_means_nothing_is_an_error(line):
    with pytest.raises(AssertionError, match="no such"):
        played(f"{CONTRACT}{line}\n", MACHINES["plain"])
