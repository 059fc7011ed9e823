"""A process that writes until it is killed: `python -m tests.services.killed_writer FOLDER SEED`; acknowledged rows on stdout."""

import sys
from pathlib import Path

import numpy as np

from ciyuan.services.archive import SEGMENTS
from ciyuan.services.store import Store
from tests.services.numbered import GENESIS, numbered

SEGMENT_BYTES = 2**20
BATCH_ROWS = (1, 10, 300, 5_000)
SNAPSHOT_CHANCE = 0.05


def write_until_killed(folder: Path, seed: int) -> None:
    """Append, or stage and commit, batches of any size, with a snapshot now and then; say each sequence that is durable."""
    chance = np.random.default_rng(seed)
    begin = Store.open(folder) if any(folder.glob(SEGMENTS)) else Store.create(folder, GENESIS)
    begin.close()
    with Store.open(folder, GENESIS, segment_bytes=SEGMENT_BYTES) as store:
        while True:
            sequence, count = store.sequence, int(chance.choice(BATCH_ROWS))
            rows = numbered(sequence, count)
            if chance.random() < 0.5:
                sequence = store.append(rows)
            else:
                store.stage(rows[: count // 2])
                store.stage(rows[count // 2 :])
                sequence = store.commit()
            if chance.random() < SNAPSHOT_CHANCE:
                store.snapshot(sequence, {"rows": rows}, GENESIS)
            sys.stdout.write(f"{sequence}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]), int(sys.argv[2]))
