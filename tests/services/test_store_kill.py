"""kill -9 of a writing process at random moments, again and again over one journal. CIYUAN_KILLS=50 for more."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import numpy as np

from ciyuan.services.archive import Archive
from tests.services.numbered import check_rows
from tests.sources import ROOT

KILLS = int(os.environ.get("CIYUAN_KILLS", "8"))
SEED = 20261001


def killed(folder: Path, seed: int, after_lines: int, pause_s: float) -> list[int]:
    """Start a writer, kill it a moment after it has acknowledged so many batches; the sequences that it acknowledged."""
    command = [sys.executable, "-m", "tests.services.killed_writer", str(folder), str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(after_lines)]
        sleep(pause_s)
        writer.kill()
        said += writer.stdout.readlines()
    assert writer.returncode == -signal.SIGKILL
    return [int(line) for line in said if line.endswith("\n")]


def test_what_was_acknowledged_survives_every_kill(tmp_path):
    chance = np.random.default_rng(SEED)
    acknowledged, torn = 0, 0
    for kill in range(KILLS):
        seed, after_lines, pause_s = SEED + kill, int(chance.integers(1, 60)), chance.uniform(0, 0.01)
        said = killed(tmp_path, seed, after_lines, pause_s)
        assert len(said) >= after_lines
        assert said == sorted(said)
        assert said[0] > acknowledged
        acknowledged = said[-1]
        archive = Archive.open(tmp_path)
        assert check_rows(archive) >= acknowledged, f"seed {seed}: {archive.recovery}"
        assert archive.recovery.damaged_snapshots == (), f"seed {seed}: {archive.recovery}"
        torn += archive.recovery.torn is not None
    sys.stdout.write(f"{KILLS} kills, {torn} of them within a write; {acknowledged} rows acknowledged\n")
