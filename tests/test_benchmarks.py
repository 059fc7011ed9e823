"""A benchmark that does not say what it did is not printed, and the results file holds what it promises."""

import json
import subprocess
import sys

import pytest

from benchmarks.record import Result, machine
from tests.sources import ROOT


def measured(baseline: float | None = 2.0, against: str = "SQLite", mix: str = "a transfer each") -> Result:
    return Result("ledger", 10.0, "rows/s", mix, "the disk", baseline, against, at_least=20.0)


def test_the_results_file_holds_these_fields() -> None:
    entry = json.loads(json.dumps(measured().as_json()))
    assert list(entry) == ["name", "value", "unit", "baseline", "ratio", "mix", "machine"]
    assert (entry["baseline"], entry["ratio"]) == (2.0, 5.0)
    assert entry["mix"] == "a transfer each. Leaves out: the disk. Baseline: SQLite."
    assert entry["machine"] == machine()


def test_without_a_baseline_there_is_no_ratio() -> None:
    entry = measured(baseline=None, against="").as_json()
    assert (entry["baseline"], entry["ratio"]) == (None, None)


def test_a_missed_goal_is_said() -> None:
    assert measured().goal == "≥ 20: MISSED"


def test_a_benchmark_that_hides_its_mix_is_refused() -> None:
    with pytest.raises(ValueError, match="must all be said"):
        measured(mix="")


@pytest.mark.parametrize(("baseline", "against"), [(2.0, ""), (None, "SQLite")])
def test_a_baseline_is_named_and_measured(baseline: float | None, against: str) -> None:
    with pytest.raises(ValueError, match="what it is"):
        measured(baseline, against)


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "nothing"]
    refused = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "there are: " in refused.stderr
    assert "import" in refused.stderr
