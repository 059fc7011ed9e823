"""Four processes, four replicas, one balance: exactly what it pays for is held, and all know the same."""

import json
import subprocess
import sys

import numpy as np
import pytest

from ciyuan.services.postgres_journal import PostgresJournal
from tests.services.exchanged import NOW
from tests.services.numbered import GENESIS
from tests.services.prepaid import available_micro, gateway_venue, held_micro, set_up_rows
from tests.sources import ROOT

pytest_plugins = ("tests.services.postgres",)
PROCESSES = 4


@pytest.fixture(scope="module")
def url(postgres_server):
    return postgres_server.create_database()


@pytest.fixture(scope="module")
def processes(url):
    command = [sys.executable, "-m", "tests.services.replica_process", url]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    yield started
    for process in started:
        process.communicate()
        assert process.returncode == 0


def tell_all(processes, *words):
    """Tell each its word, then hear what each says."""
    for process, word in zip(processes, words, strict=True):
        process.stdin.write(word + "\n")
        process.stdin.flush()
    return [process.stdout.readline().strip() for process in processes]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_exactly_the_requests_that_the_balance_pays_for_are_held(url, processes, seed):
    paid_for = int(np.random.default_rng(seed).integers(1_000, 3_000))
    name = f"balance-{seed}"
    with PostgresJournal.create(url, GENESIS, name=name) as journal:
        journal.exchange(set_up_rows(paid_for * held_micro()), NOW)
    words = [f"play {name} {writer} {seed}" for writer in range(PROCESSES)]
    assert tell_all(processes, *words) == ["ready"] * PROCESSES
    assert tell_all(processes, *["go"] * PROCESSES) == ["done"] * PROCESSES
    told = [json.loads(line) for line in tell_all(processes, *["end"] * PROCESSES)]

    assert sum(each["held"] for each in told) == paid_for
    assert [each["available"] for each in told] == [0] * PROCESSES
    with PostgresJournal.open(url, GENESIS, name=name) as journal:
        venue = gateway_venue()
        for rows in journal.read():
            venue.apply(rows)
        assert {(each["state_hash"], each["sequence"]) for each in told} == {
            (venue.state_hash(), journal.sequence)
        }
        assert available_micro(venue) == 0
