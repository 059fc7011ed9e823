"""kill -9 of a playing month at random moments: nothing acknowledged is lost, and the resumed run is the whole one.

Each kill is verified and the run is then resumed: in the tests to the end, in the soak until the next kill and now and then to
the end.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from tests.services.runs import said
from tests.sources import ROOT

SEED = 20261001
KILLS = 3
SOAK_KILLS = int(os.environ.get("CIYUAN_KILLS", "50"))
HOURS = 769
"""About as many lines of progress as the small run says: an hour of the month each, and the prologue's."""


@dataclass(frozen=True)
class Killed:
    """What a run had said when it was killed; `ended` if it was faster than its killer."""

    acknowledged: int
    ended: bool


def playing(words: list[object]) -> subprocess.Popen[str]:
    """`ciyuan run` in a process of its own, which says on its standard error how far it is.

    It can be interrupted even where the tests run in the background, with the interrupt ignored and that inherited.
    """
    code = "from ciyuan.services.cli import main; main()"
    command = [sys.executable, "-c", code, "run", *map(str, words), "--progress", "json", "--no-report"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)


def killed(words: list[object], after_lines: int, pause_s: float) -> Killed:
    """Start `ciyuan run`, kill it a moment after it has said so many lines (0: at once)."""
    with playing(words) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(after_lines)]
        sleep(pause_s)
        process.kill()
        lines += process.stderr.readlines()
    whole = [json.loads(line) for line in lines if line.endswith("\n")]
    assert process.returncode in (0, -signal.SIGKILL), "".join(lines)
    acknowledged = [line["acknowledged_rows"] for line in whole]
    assert acknowledged == sorted(acknowledged)
    return Killed(max(acknowledged, default=0), process.returncode == 0)


def check_books(run: Path, death: Killed) -> int:
    """Verify a run that was killed; how many rows are in its journal."""
    ended = said("verify", run, "--json", "--progress", "none")
    assert ended.status == 0, ended.err
    verdict = json.loads(ended.out)
    assert verdict["rows"] >= death.acknowledged
    assert verdict["complete"] == death.ended
    return int(verdict["rows"])


def check_same_end(run: Path, whole: Path, rows: int) -> None:
    """Resume a run to its end: summary and tables are those of the run that was never interrupted."""
    ended = said("run", "--out", run, "--resume", "--json", "--progress", "none", "--no-report")
    assert ended.status == 0, ended.err
    summary, expected = json.loads(ended.out), json.loads((whole / "summary.json").read_text())
    assert summary.pop("replayed_rows") >= rows
    assert expected.pop("replayed_rows") == 0
    assert summary == expected
    names = sorted(path.name for path in (whole / "tables").iterdir())
    assert sorted(path.name for path in (run / "tables").iterdir()) == names
    for name in names:
        assert (run / "tables" / name).read_bytes() == (whole / "tables" / name).read_bytes(), name
    verified = said("verify", run, "--json", "--progress", "none")
    assert json.loads(verified.out)["same"], verified.out


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_killed_run_lost_nothing_and_is_resumed_to_the_same_end(
    kill, small_run, small_scenario, quick_folder
):
    chance = np.random.default_rng(SEED + kill)
    after_lines, pause_s = int(chance.integers(1, HOURS - 50)), chance.uniform(0, 0.02)
    run = quick_folder / f"killed-{kill}"
    death = killed(["--out", run, "--scenario", small_scenario], after_lines, pause_s)
    assert death.acknowledged > 0
    assert not death.ended, f"it ended before line {after_lines}"
    rows = check_books(run, death)
    check_same_end(run, small_run, rows)


@pytest.mark.parametrize("pause_s", [0.3, 1.2, 1.8, 2.4])
def test_a_run_that_is_killed_before_it_says_anything_can_be_begun_again(
    pause_s, small_scenario, quick_folder
):
    run = quick_folder / f"early-{pause_s}"
    killed(["--out", run, "--scenario", small_scenario], 0, pause_s)
    if (run / "manifest.json").exists():
        check_books(run, Killed(0, False))
        words: list[object] = ["--out", run, "--resume"]
    else:
        words = ["--out", run, "--scenario", small_scenario]
    assert killed(words, 3, 0).acknowledged > 0


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(small_run, small_scenario, quick_folder):
    run = quick_folder / "interrupted"
    with playing(["--out", run, "--scenario", small_scenario]) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(40)]
        process.send_signal(signal.SIGINT)
        lines += process.stderr.readlines()
    assert process.returncode == 130
    assert lines[-1].endswith("`ciyuan run --resume`\n")
    acknowledged = max(json.loads(line)["acknowledged_rows"] for line in lines[:-1])
    check_same_end(run, small_run, check_books(run, Killed(acknowledged, False)))


@pytest.mark.soak
def test_what_was_acknowledged_survives_every_kill_of_a_month(small_run, small_scenario, quick_folder):
    chance = np.random.default_rng(SEED)
    run, rows, ends, begun = quick_folder / "soaked", 0, 0, ["--scenario", small_scenario]
    for kill in range(SOAK_KILLS):
        words: list[object] = ["--out", run, *(["--resume"] if run.exists() else begun)]
        death = killed(words, int(chance.integers(1, HOURS - 50)), chance.uniform(0, 0.02))
        found = check_books(run, death)
        assert found >= rows, f"kill {kill}"
        rows = found
        if death.ended or kill % 5 == 4:
            check_same_end(run, small_run, rows)
            shutil.rmtree(run)
            rows, ends = 0, ends + 1
    assert ends >= SOAK_KILLS // 5
    sys.stdout.write(f"{SOAK_KILLS} kills, {ends} runs resumed to the same end\n")
