"""`ciyuan exchange`: its help, and what it loads."""

import subprocess
import sys

import pytest

from tests.services.runs import said


@pytest.mark.parametrize("command", ["replay", "book"])
def test_each_command_has_an_example_and_says_what_its_exit_status_means(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    helped = said("exchange", command, "--help")
    assert helped.status == 0
    assert f"Example:  ciyuan exchange {command} " in helped.out
    for status in ("0 done", "2 malformed input", "4 broken law", "5 failed disk", "130 interrupted"):
        assert status in helped.out


def test_without_a_command_the_help_is_shown():
    shown = said("exchange").out
    assert all(f"│ {command} " in shown for command in ("replay", "book"))
    assert "│ exchange " in said("--help").out


def test_help_loads_no_kernel_and_no_table():
    heavy = {"numba", "numpy", "pyarrow"}
    code = (
        "import sys; from ciyuan.services.cli import app\n"
        "for command in ('replay', 'book'):\n"
        "    app(['exchange', command, '--help'], standalone_mode=False)\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ("replay",),
        ("book",),
        ("replay", "x.csv", "--every", "-1"),
        ("replay", "x.csv", "--format", "odd"),
        ("book", "1", "--depth", "-1"),
        ("match",),
    ],
)
def test_words_that_are_no_command_are_malformed(words):
    assert said("exchange", *words).status == 2
