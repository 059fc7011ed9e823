"""The twins agree over millions of commands. `make soak`; CIYUAN_COMMANDS for another number, CIYUAN_SEED for other flows."""

import os
import sys

import pytest

from tests.exchange.tally import Tally
from tests.exchange.twins import Played

COMMANDS = int(os.environ.get("CIYUAN_COMMANDS", "2000000"))
FIRST_SEED = int(os.environ.get("CIYUAN_SEED", "20261001"))
A_FLOW = 10_000


@pytest.mark.soak
def test_the_twins_agree_over_millions_of_commands(capsys):
    heard, trades = 0, 0
    for seed in range(FIRST_SEED, FIRST_SEED - -COMMANDS // A_FLOW):
        twins = Played(seed, min(A_FLOW, COMMANDS - heard)).twins
        tally = Tally(twins.setting.contracts)
        for said in twins.said:
            tally.hear(said)
        tally.check(twins.parts)
        heard, trades = heard + len(twins.rows), trades + tally.trades
        with capsys.disabled():
            sys.stdout.write(f"seed {seed}: {heard:,} commands and {trades:,} trades agree\n")
    assert heard >= COMMANDS
