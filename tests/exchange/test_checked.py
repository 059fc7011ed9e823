"""No place outside a table, and no overflow, in the kernel's source: it looks at neither when it is compiled (`checked`)."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.exchange.checked import Table
from tests.exchange.listings import SETTINGS
from tests.sources import ROOT

COMMANDS = 2_000


@pytest.mark.parametrize("seed", range(len(SETTINGS)))
def test_the_kernel_stays_within_its_tables_and_words(seed):
    command = [sys.executable, "-m", "tests.exchange.checked", str(seed), "1", str(COMMANDS)]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3_000:]
    assert run.stdout.startswith(f"seed {seed}: ")


def test_a_looked_after_table_raises():
    table = Table(np.zeros((3, 4), np.int64), 4)
    for index in (3, -1, (0, 4), (0, -1), (3, 0)):
        with pytest.raises(IndexError):
            table[index]
    with pytest.raises(OverflowError):
        table[0, 0] = 2**63
