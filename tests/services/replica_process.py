"""A gateway's process without its door: `python -m tests.services.replica_process URL`, told on stdin what to do.

| told | does, and says when it is done |
|---|---|
| `play NAME WRITER SEED` | opens a journal, brings a replica of the venue to its end: `ready` |
| `go` | exchanges the holds of 16 threads until the balance refuses all of a group: `done` |
| `end` | hears what others wrote last: a line of JSON with what it knows |
"""

import json
import sys

import numpy as np

from ciyuan.services.postgres_journal import PostgresJournal
from tests.services.exchanged import NOW
from tests.services.numbered import GENESIS
from tests.services.prepaid import available_micro, gateway_venue, held_count, hold_rows

THREADS = 16
REQUESTS_OF_A_WRITER = 10**6


def say(word: str) -> None:
    """One line on stdout."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def play(url: str, name: str, writer: int, seed: int) -> None:
    """One journal, from `ready` to the JSON."""
    chance, venue = np.random.default_rng((seed, writer)), gateway_venue()
    with PostgresJournal.open(url, GENESIS, name=name) as journal:
        for rows in journal.read():
            venue.apply(rows)
        say("ready")
        sys.stdin.readline()
        held = asked = exchanges = 0
        while True:
            count = int(chance.integers(1, THREADS + 1))
            others, mine = journal.exchange(hold_rows(1 + writer * REQUESTS_OF_A_WRITER + asked, count), NOW)
            venue.apply(others)
            won = held_count(venue.apply(mine))
            held, asked, exchanges = held + won, asked + count, exchanges + 1
            if not won:
                break
        say("done")
        sys.stdin.readline()
        venue.apply(journal.exchange(hold_rows(1, 0), NOW).others)
        said = (held, available_micro(venue), venue.state_hash(), journal.sequence, exchanges)
        say(
            json.dumps(
                dict(zip(("held", "available", "state_hash", "sequence", "exchanges"), said, strict=True))
            )
        )


if __name__ == "__main__":
    for line in sys.stdin:
        _, journal_name, *numbers = line.split()
        play(sys.argv[1], journal_name, *map(int, numbers))
