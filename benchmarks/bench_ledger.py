"""The ledger in memory, in CPU seconds, beside SQLite doing the same transfers.

`rows` makes the transfers, and `sqlite_transfers` what SQLite does with them: the journal's benchmark uses both too.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Result, cpu_time, wall_time
from ciyuan.ledger import AccountFlag, Command, open_row
from ciyuan.ledger.machine import Ledger

OUT = Path(__file__).parent / "out"
ACCOUNTS = 1_000
BATCH = 8_190
TRANSFERS = 2_000_000
SQLITE_TRANSFERS = 100_000
SQLITE_PER_COMMIT = 1_000
FUNDING = 10**9
ROUNDS = 5
SECOND = 10**9

SCHEMA = """
CREATE TABLE account (id INTEGER PRIMARY KEY, guarded INTEGER NOT NULL, debits INTEGER NOT NULL DEFAULT 0,
                      credits INTEGER NOT NULL DEFAULT 0, CHECK (NOT guarded OR debits <= credits));
CREATE TABLE transfer (key INTEGER PRIMARY KEY, kind INTEGER, time_ns INTEGER, debit INTEGER NOT NULL REFERENCES account,
                       credit INTEGER NOT NULL REFERENCES account, amount INTEGER NOT NULL CHECK (amount > 0));
CREATE TRIGGER moved AFTER INSERT ON transfer BEGIN
    UPDATE account SET debits = debits + new.amount WHERE id = new.debit;
    UPDATE account SET credits = credits + new.amount WHERE id = new.credit;
END;
"""
"""The key is unique, the guard is a CHECK, and the trigger moves both balances: one statement from Python for each transfer."""


def opening() -> NDArray[np.int64]:
    """Account 1 is the world; the others are guarded and start with FUNDING each."""
    opens = [
        open_row(0, 1, 1),
        *(open_row(0, n, 1, AccountFlag.NO_OVERDRAFT) for n in range(2, ACCOUNTS + 1)),
    ]
    funding = rows(ACCOUNTS - 1, first_key=1)
    funding[:, 3], funding[:, 4], funding[:, 5] = 1, np.arange(2, ACCOUNTS + 1), FUNDING
    return np.concatenate([np.array(opens, dtype=np.int64), funding])


def rows(count: int, first_key: int = ACCOUNTS) -> NDArray[np.int64]:
    """Transfers between random pairs of accounts, sequential keys, 1 to 99 units each, a microsecond apart."""
    dice = np.random.default_rng(1)
    made = np.zeros((count, 8), dtype=np.int64)
    made[:, 0] = Command.TRANSFER
    made[:, 2] = np.arange(first_key, first_key + count)
    made[:, 1] = made[:, 2] * 1_000
    made[:, 3] = dice.integers(1, ACCOUNTS + 1, count)
    made[:, 4] = (made[:, 3] + dice.integers(1, ACCOUNTS, count) - 1) % ACCOUNTS + 1
    made[:, 5] = dice.integers(1, 100, count)
    return made


def two_phase(count: int) -> list[NDArray[np.int64]]:
    """Batches of holds, each followed by the batch of their posts: 90% of the amount, the rest released."""
    holds = rows(count)
    holds[:, 0], holds[:, 2], holds[:, 7] = Command.HOLD, holds[:, 2] * 4, 600 * SECOND
    posts = holds.copy()
    posts[:, 0], posts[:, 2], posts[:, 6], posts[:, 7] = Command.POST, holds[:, 2] + 1, holds[:, 2], 0
    posts[:, 3], posts[:, 4], posts[:, 5] = 0, 0, holds[:, 5] * 9 // 10
    paired = []
    for hold, post in zip(batches(holds), batches(posts), strict=True):
        post[:, 1] = hold[-1, 1]
        paired += [hold, post]
    for earlier, later in pairwise(paired):
        later[:, 1] = np.maximum(later[:, 1], earlier[-1, 1])
    return paired


def batches(made: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Cut into batches of BATCH rows."""
    return (made[start : start + BATCH] for start in range(0, len(made), BATCH))


def apply_all(ledger: Ledger, work: list[NDArray[np.int64]]) -> None:
    """Apply every batch; the events are made and let go."""
    for batch in work:
        ledger.apply(batch)


def per_cpu_s(work: list[NDArray[np.int64]], reserve: bool) -> float:
    """Rows a CPU second through `Ledger.apply`, best of ROUNDS, each on a new ledger; none may be refused."""
    count = sum(len(batch) for batch in work)
    best = float("inf")
    for _ in range(ROUNDS):
        ledger = Ledger()
        ledger.apply(opening())
        if reserve:
            ledger.reserve(count)
        best = min(best, cpu_time(partial(apply_all, ledger, work), 1))
        ledger.check()
        if ledger.transfer_count != ACCOUNTS - 1 + count:
            raise RuntimeError("the ledger refused a row of its benchmark")
    return count / best


@cache
def sqlite_transfers() -> tuple[float, float]:
    """What SQLite does of the same transfers, per CPU second and per second on the wall; durable after every 1,000."""
    OUT.mkdir(exist_ok=True)
    work = rows(SQLITE_TRANSFERS)[:, [2, 0, 1, 3, 4, 5]].tolist()
    with TemporaryDirectory(dir=OUT) as folder, closing(sqlite3.connect(Path(folder) / "ledger.db")) as base:
        base.isolation_level = None
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = FULL")
        base.executescript(SCHEMA)
        accounts = [(n, int(n > 1), 0, FUNDING if n > 1 else 0) for n in range(1, ACCOUNTS + 1)]
        base.executemany("INSERT INTO account VALUES (?, ?, ?, ?)", accounts)

        def move() -> None:
            for start in range(0, SQLITE_TRANSFERS, SQLITE_PER_COMMIT):
                base.execute("BEGIN")
                base.executemany(
                    "INSERT INTO transfer VALUES (?, ?, ?, ?, ?, ?)", work[start : start + SQLITE_PER_COMMIT]
                )
                base.execute("COMMIT")

        cpu_s = 0.0

        def timed() -> None:
            nonlocal cpu_s
            cpu_s = cpu_time(move, 1)

        wall_s = wall_time(timed, 1)
    return SQLITE_TRANSFERS / cpu_s, SQLITE_TRANSFERS / wall_s


def run() -> list[Result]:
    """Transfers with room reserved and without, holds with their posts, and SQLite's own rate."""
    plain, pairs = list(batches(rows(TRANSFERS))), two_phase(TRANSFERS // 2)
    sqlite_cpu, sqlite_wall = sqlite_transfers()
    mix = (
        f"{TRANSFERS:,} transfers of fresh sequential keys between {ACCOUNTS:,} guarded accounts, {BATCH:,} rows a batch, "
        f"best of {ROUNDS}"
    )
    against = (
        f"SQLite, WAL, synchronous=FULL, {SQLITE_PER_COMMIT:,} a commit, "
        f"{SQLITE_TRANSFERS:,} of the same transfers, CPU time"
    )
    volatile = (
        "durability, which SQLite has here and the ledger gets from the journal (see the journal's figure)"
    )
    unit = "transfers/CPU-s"
    return [
        Result(
            "ledger: transfers in memory",
            per_cpu_s(plain, reserve=True),
            unit,
            f"{mix}; room for them reserved before",
            f"growth of the arrays; {volatile}",
            sqlite_cpu,
            against,
            at_least=20e6,
        ),
        Result(
            "ledger: transfers in memory, growing",
            per_cpu_s(plain, reserve=False),
            unit,
            f"{mix}; from an empty ledger, arrays and index doubling on the way",
            volatile,
            sqlite_cpu,
            against,
        ),
        Result(
            "ledger: hold and post",
            per_cpu_s(pairs, reserve=True),
            "rows/CPU-s",
            f"{TRANSFERS // 2:,} holds that would expire in 10 minutes, a batch of {BATCH:,} and then their posts (90%, rest "
            f"released), {ACCOUNTS:,} guarded accounts, best of {ROUNDS}; room reserved before",
            f"growth of the arrays; expiry; {volatile}",
        ),
        Result(
            "ledger: SQLite's transfers on the wall",
            sqlite_wall,
            "transfers/s",
            f"the baseline above by the clock on the wall: {SQLITE_PER_COMMIT:,} a commit, the sync of each waited for",
            "nothing: it is here to be compared with the journaled ledger",
        ),
    ]
