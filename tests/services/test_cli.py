"""The command line: its help, its exit statuses, and what it hands on."""

import json
import re
import subprocess
import sys
from dataclasses import asdict

import pytest

from ciyuan import __version__
from ciyuan.basics.errors import InvariantBroken, JournalCorrupt, Malformed
from ciyuan.services import month_run, verification
from ciyuan.services.month_run import RunOrder
from ciyuan.services.store import StoreFailed
from ciyuan.services.verification import Verdict
from tests.services.runs import said
from tests.services.summaries import SUMMARY

COMMANDS = ("run", "verify", "report")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_an_example_and_says_what_its_exit_status_means(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    helped = said(command, "--help")
    assert helped.status == 0
    assert f"Example:  ciyuan {command} " in helped.out
    for status in ("0 done", "1 found different", "2 malformed input", "3 damaged journal", "4 broken law",
                   "5 failed disk", "130 interrupted"):  # fmt: skip
        assert status in helped.out


def test_the_help_names_every_command_and_where_to_start():
    helped = said("--help")
    assert helped.status == 0
    assert all(re.search(rf"│ {command} ", helped.out) for command in COMMANDS)
    assert "ciyuan run --out" in helped.out


def test_without_a_command_the_help_is_shown():
    assert "Usage: ciyuan" in said().out


def test_the_version_is_the_packages():
    assert said("--version").out == f"ciyuan {__version__}\n"


def test_help_and_version_load_no_kernel_and_no_plot():
    heavy = {"numba", "numpy", "matplotlib", "pyarrow", "genai_prices"}
    code = (
        "import sys; from ciyuan.services.cli import app\n"
        "for words in (['--help'], ['run', '--help'], ['--version']):\n"
        "    app(words, standalone_mode=False)\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_installed_command_is_this_one():
    ended = subprocess.run(
        [sys.executable, "-c", "from ciyuan.services.cli import main; main()", "--version"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert ended.stdout == f"ciyuan {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--seed", "many"),
        ("run", "--requests", "-1"),
        ("run", "--progress", "loud"),
        ("run", "--unheard-of"),
        ("verify",),
        ("play",),
    ],
)
def test_words_that_are_no_command_are_malformed(words):
    assert said(*words).status == 2


PROBLEMS = [
    (Malformed("a thing", found=1, expected="2", remedy="Mend it."), 2),
    (JournalCorrupt("segment-00000001.journal", 64, expected="aa", found="bb"), 3),
    (InvariantBroken("a law", "1 is not 2"), 4),
    (OSError(28, "No space left on device"), 5),
]


@pytest.mark.parametrize(("problem", "status"), PROBLEMS, ids=lambda value: type(value).__name__)
def test_a_failure_that_has_a_name_is_one_line_and_its_exit_status(problem, status, monkeypatch):
    def fail(*_):
        raise problem

    monkeypatch.setattr(month_run, "play_month", fail)
    ended = said("run")
    assert (ended.status, ended.out) == (status, "")
    assert ended.err == f"ciyuan: {problem}\n"


def test_a_failed_store_says_what_is_safe(monkeypatch, tmp_path):
    def fail(*_):
        raise StoreFailed(tmp_path, 7, "no space")

    monkeypatch.setattr(month_run, "play_month", fail)
    ended = said("run")
    assert ended.status == 5
    assert "All up to row 7 is safe" in ended.err


def test_an_interrupted_run_says_how_to_go_on(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(month_run, "play_month", stop)
    ended = said("run")
    assert ended.status == 130
    assert "`ciyuan run --resume`" in ended.err


def test_what_nobody_foresaw_is_not_hidden(monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("a slip")

    monkeypatch.setattr(month_run, "play_month", fail)
    with pytest.raises(ZeroDivisionError):
        said("run")


@pytest.fixture
def order(monkeypatch):
    """A function of the words of `ciyuan run` that gives the order they make."""
    orders: list[tuple[RunOrder, str]] = []

    def take(given, progress):
        orders.append((given, progress))
        return SUMMARY

    monkeypatch.setattr(month_run, "play_month", take)

    def ordered(*words):
        assert said("run", "--json", *words).status == 0
        return orders[-1]

    return ordered


def test_a_run_without_options_is_strict_new_and_has_a_report(order):
    given, progress = order()
    assert (str(given.out), given.usage, given.seed, given.requests) == ("runs/month", None, None, None)
    assert (given.lenient, given.stretch, given.replace, given.resume, given.report) == (
        False,
        False,
        False,
        False,
        True,
    )
    assert progress == "bar"


def test_every_option_reaches_the_run(order):
    given, progress = order(
        *("--out", "o", "--usage", "u", "--sample", "s", "--power", "p", "--scenario", "c", "--seed", "3"),
        *("--requests", "9", "--lenient", "--stretch", "--replace", "--resume", "--no-report"),
        *("--progress", "json"),
    )
    assert [str(path) for path in (given.out, given.usage, given.sample, given.power, given.scenario)] == [
        *("o", "u", "s", "p", "c")
    ]
    assert (given.seed, given.requests, progress) == (3, 9, "json")
    assert (given.lenient, given.stretch, given.replace, given.resume, given.report) == (
        True,
        True,
        True,
        True,
        False,
    )


@pytest.mark.parametrize(("same", "status"), [(True, 0), (False, 1)])
def test_a_difference_is_an_exit_status(same, status, monkeypatch):
    verdict = Verdict("somewhere", True, same, 3, 3, "ab", "cd", 1, "whole")
    monkeypatch.setattr(verification, "verify_run", lambda *_: verdict)
    ended = said("verify", "somewhere", "--json")
    assert (ended.status, json.loads(ended.out)) == (status, asdict(verdict))


def test_the_json_of_a_run_is_its_summary(small_said, small_run):
    summary = json.loads(small_said.out)
    assert summary == json.loads((small_run / "summary.json").read_text())
    assert small_said.err == ""
    for name in ("month", "seed", "grade", "requests_metered", "tokens_in", "tokens_out", "orders", "trades",
                 "fixings", "audits", "journal_rows", "state_hash", "hedges", "hedge_ratio", "sources", "bad_rows"):  # fmt: skip
        assert name in summary
