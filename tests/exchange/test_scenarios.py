"""Every scenario of scenarios/exchange, played; and every rule of this stage has one."""

import pytest

from tests.exchange.scenario_runner import check_scenario, played
from tests.sources import ROOT

SCENARIOS = sorted((ROOT / "scenarios" / "exchange").glob("*.txt"))
RULES = {"3.1", "3.2", "3.3", "3.5", "3.6", "3.7", "4.1", "4.2", "4.3", "4.4", "5.1"}
CONTRACT = "contract KIMI26.2610 tick 0.001 start 0.950 limit 10%\n"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_exchange_does_as_the_rule_says(path):
    check_scenario(path.stem, path.read_text(encoding="utf-8"))


def test_every_rule_has_a_scenario_that_names_it():
    texts = {path.stem.partition("-")[0]: path.read_text(encoding="utf-8") for path in SCENARIOS}
    assert set(texts) >= RULES
    assert [rule for rule, text in texts.items() if f"§{rule}" not in text.splitlines()[0]] == []


def test_a_scenario_that_is_not_kept_fails_with_the_difference():
    text = f"{CONTRACT}> SESSION continuous\n< SESSION KIMI26.2610 break 2026-10-09\n"
    with pytest.raises(
        AssertionError, match=r"-< SESSION KIMI26.2610 break.*\n\+< SESSION KIMI26.2610 continuous"
    ):
        check_scenario("x", text)


@pytest.mark.parametrize("line", ["> SHOUT alice", "wish for rain"])
def test_a_line_that_means_nothing_is_an_error(line):
    with pytest.raises(AssertionError, match="no such"):
        played(f"{CONTRACT}{line}\n")
