"""The journal on this machine's disk: ledger transfers made durable and applied, read again and replayed, and snapshots.

The same transfers as the ledger's benchmark, beside SQLite doing them (`bench_ledger.sqlite_transfers`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench_ledger import OUT, SQLITE_PER_COMMIT, SQLITE_TRANSFERS, opening, rows, sqlite_transfers
from benchmarks.record import Result, cpu_time, wall_time
from ciyuan.ledger.machine import Ledger
from ciyuan.services.archive import Archive
from ciyuan.services.store import Store

TRANSFERS = 1_000_000
GROUP = 10_000
ROUNDS = 3
GENESIS = "00" * 16


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk that the results go to, gone afterwards."""
    OUT.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=OUT) as name:
        yield Path(name)


def groups() -> list[NDArray[np.int64]]:
    """The transfers, cut into group commits; the accounts' opening first."""
    made = rows(TRANSFERS)
    return [opening(), *(made[start : start + GROUP] for start in range(0, TRANSFERS, GROUP))]


def both_times(work: list[NDArray[np.int64]], ledger: Ledger | None) -> tuple[float, float]:
    """Seconds on the wall and CPU seconds to make all groups durable and, given a ledger, to apply each after that."""
    with folder() as place, Store.create(place, GENESIS) as store:

        def play() -> None:
            for group in work:
                store.append(group)
                if ledger is not None:
                    ledger.apply(group)

        cpu_s = 0.0

        def timed() -> None:
            nonlocal cpu_s
            cpu_s = cpu_time(play, 1)

        return wall_time(timed, 1), cpu_s


def best_of_rounds(work: list[NDArray[np.int64]], *, applied: bool) -> tuple[float, float]:
    """The best wall and the best CPU seconds of ROUNDS, each in a new folder with a new ledger."""
    times = [both_times(work, Ledger() if applied else None) for _ in range(ROUNDS)]
    return min(wall_s for wall_s, _ in times), min(cpu_s for _, cpu_s in times)


def raw_s(work: list[NDArray[np.int64]]) -> float:
    """Seconds on the wall for the same bytes in one file: a write and an fdatasync a group, no header, no checksum."""
    best = float("inf")
    for _ in range(ROUNDS):
        with folder() as place, (place / "raw").open("wb", buffering=0) as stream:

            def play() -> None:
                for group in work:
                    stream.write(group.data)
                    os.fdatasync(stream.fileno())

            best = min(best, wall_time(play, 1))
    return best


def replayed(place: Path) -> Ledger:
    """A ledger from a journal: every checksum counted twice, when it is opened and when it is read."""
    ledger = Ledger()
    for group in Archive.open(place).read():
        ledger.apply(group)
    return ledger


def written(place: Path, work: list[NDArray[np.int64]]) -> tuple[Store, Ledger]:
    """A journal of all groups, and the ledger after them."""
    store, ledger = Store.create(place, GENESIS), Ledger()
    for group in work:
        store.append(group)
        ledger.apply(group)
    return store, ledger


def replay_and_snapshot(work: list[NDArray[np.int64]]) -> Iterator[Result]:
    """Reading and replaying the journal, and keeping and reading a snapshot of the ledger after it."""
    mix, left_out = (
        f"{TRANSFERS:,} transfers in groups of {GROUP:,}, best of {ROUNDS}",
        "reading from a cold disk",
    )
    with folder() as place:
        store, ledger = written(place, work)
        with store:
            read_s = wall_time(lambda: [None for _ in Archive.open(place).read()], ROUNDS)
            replay_s = wall_time(lambda: replayed(place), ROUNDS)
            if replayed(place).state_hash() != ledger.state_hash():
                raise RuntimeError("the replayed ledger is another than the one that was journaled")
            parts, state = ledger.snapshot(), ledger.state_hash()
            megabytes = sum(part.nbytes for part in parts.values()) / 1e6
            keep_s = wall_time(lambda: store.snapshot(store.sequence, parts, state), ROUNDS)
            load_s = wall_time(store.latest_snapshot, ROUNDS)
    size = f"the ledger after {TRANSFERS:,} transfers, {megabytes:.0f} MB, best of {ROUNDS}"
    twice = "every checksum counted on opening and again on reading"
    synced = "checksum, write, sync, rename, sync of the folder"
    untaken, unrestored = "taking it from the ledger", f"restoring the ledger; {left_out}"
    yield Result("journal: opened and read", TRANSFERS / read_s, "rows/s", f"{mix}; {twice}", left_out)
    yield Result(
        "journal: replayed", TRANSFERS / replay_s, "rows/s", f"{mix}; {twice}; into a ledger", left_out
    )
    yield Result("journal: snapshot kept", keep_s, "s", f"{size}; {synced}", untaken)
    yield Result("journal: snapshot read", load_s, "s", f"{size}; checksum counted", unrestored)


def run() -> list[Result]:
    """Journaled transfers beside SQLite, on the wall and in CPU time; the journal beside the bare disk; replay; snapshots."""
    work = groups()
    sqlite_cpu, sqlite_wall = sqlite_transfers()
    wall_s, cpu_s = best_of_rounds(work, applied=True)
    alone_s, _ = best_of_rounds(work, applied=False)
    mix = f"{TRANSFERS:,} transfers between guarded accounts, durable and then applied {GROUP:,} at a time, best of {ROUNDS}"
    against = f"SQLite, WAL, synchronous=FULL, {SQLITE_PER_COMMIT:,} a commit, {SQLITE_TRANSFERS:,} of the same transfers"
    left_out = "making the rows; a disk that is not this one"
    return [
        Result(
            "journal: transfers, journaled",
            TRANSFERS / wall_s,
            "transfers/s",
            mix,
            left_out,
            sqlite_wall,
            against,
            at_least=0.5e6,
        ),
        Result(
            "journal: transfers, journaled, CPU",
            TRANSFERS / cpu_s,
            "transfers/CPU-s",
            mix,
            f"{left_out}; waiting for it",
            sqlite_cpu,
            f"{against}, CPU time",
        ),
        Result(
            "journal: rows made durable",
            TRANSFERS / alone_s,
            "rows/s",
            f"the same transfers, journaled only, best of {ROUNDS}",
            left_out,
            TRANSFERS / raw_s(work),
            "the same bytes in a bare file, a write and an fdatasync a group",
        ),
        *replay_and_snapshot(work),
    ]
