"""After `warm` nothing is left to be compiled: neither a first refusal nor a restart waits for a compiler."""

import json
import subprocess
import sys

from tests.sources import ROOT


def test_a_gateway_calls_no_kernel_that_was_not_warmed(tmp_path):
    """Counted, not timed: a kernel's compiled forms after a gateway has done all that it does, less those that `warm` called."""
    command = [sys.executable, "-m", "tests.services.warmed_gateway", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    said = json.loads(ran.stdout)
    assert said["statuses"] == [200, 200, 200, 429, 402, 402, 200, 200, 429, 429, 402, 402]
    assert said["kinds"] == [
        "CLOSE",
        "DELIVER",
        "HOLD",
        "LEG_PRICE",
        "LEG_USED",
        "LIMIT",
        "PRICES",
        "SPENDER",
    ]
    assert said["beside"] == [], "have `warm` call these too"


def test_warming_prints_what_it_does_and_ends():
    ran = subprocess.run(
        [sys.executable, "-m", "ciyuan.services.warm"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert ran.stdout == "compiling the kernels (once) ...\n"
    assert not ran.stderr
