"""A process that exchanges until it is killed: `python -m tests.services.exchanging_writer WHERE WRITER SEED`.

It says on stdout how many rows of its own are acknowledged. It begins with the row after its last in the journal.
"""

import sys

import numpy as np

from tests.services.exchanged import NOW, check_whole, journaled, rows_of
from tests.services.journal_kinds import Place

SIZES = (1, 3, 40, 700)


def exchange_until_killed(where: str, writer: int, seed: int) -> None:
    """Exchange rows in groups of any size, now and then none."""
    chance = np.random.default_rng(seed)
    with Place(where).open() as journal:
        written = check_whole(journaled(journal.read())).get(writer, 0)
        while True:
            rows = rows_of(writer, written, int(chance.choice(SIZES)) if chance.random() < 0.9 else 0)
            written += len(journal.exchange(rows, NOW).mine)
            sys.stdout.write(f"{written}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    exchange_until_killed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
