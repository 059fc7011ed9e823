"""The gateway's store: a venue at its journal's end, and the database beside it; in a folder of this machine, or in PostgreSQL.

| | embedded: a folder | shared: postgresql://... |
|---|---|---|
| journal | `journal/`, one process writes it | a table, several processes write it in one order |
| registry, usage, idempotency keys, findings | `registry.sqlite` | tables of the same database |
| snapshots of the venue | beside the journal | a table |

Opening brings three histories to one point: the venue to the journal's last row (from the newest snapshot), the sums of usage to
the same row (from their watermark). A snapshot is never taken ahead of the sums: what is between could not be had again.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import psycopg
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import TIME
from ciyuan.basics.state import state_hash
from ciyuan.clearing.messages import ClearingTerms
from ciyuan.exchange.room import Room
from ciyuan.index.messages import IndexTerms
from ciyuan.journal.messages import Snapshot
from ciyuan.services.archive import SEGMENTS, SNAPSHOTS
from ciyuan.services.door.group_log import LocalLog, SharedLog
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_command import REGISTRY
from ciyuan.services.door.registry_database import Database, is_url, shown_url
from ciyuan.services.door.usage_fold import UsageFold
from ciyuan.services.door.usage_tables import UsageTables
from ciyuan.services.postgres_journal import PostgresJournal
from ciyuan.services.store import Store
from ciyuan.venue.machine import Venue
from ciyuan.venue.terms import VenueTerms, house_accounts

JOURNAL = "journal"
SNAPSHOTS_KEPT = 3
PROCESS_LOCK = 0x6379
"""The class of the advisory locks that processes hold their numbers by."""
FOLD_ROWS = 500_000
"""How many rows of a long replay the sums wait for before they are written."""
TERMS = VenueTerms(
    Calendar(0),
    (),
    (),
    ClearingTerms(house_accounts(())),
    IndexTerms(),
    Room(accounts=1, orders=64, ladder_ticks=64),
)
"""A gateway's venue has no contracts and no grades of the index: models come and go, and its journal must outlive them."""


class Journal(Protocol):
    """What both journals have beside what the host asks of them."""

    @property
    def sequence(self) -> int:
        """The last row's sequence."""
        ...

    def read(self, from_sequence: int = 0) -> Iterator[NDArray[np.int64]]:
        """The rows after a sequence, in batches."""
        ...

    def latest_snapshot(self, at_or_before: int | None = None) -> Snapshot | None:
        """The newest whole snapshot, of that row at the latest."""
        ...

    def snapshot(self, sequence: int, parts: Mapping[str, NDArray[np.int64]], state_hash: str) -> object:
        """Keep a machine's state."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(slots=True)
class GatewayStore:
    """An open store. `venue` is at the journal's row `log.sequence`, whose time is `last_ns`; `fold` has taken as much.

    `fold` is None where another process keeps the sums.
    """

    where: str
    log: LocalLog | SharedLog
    journal: Journal
    registry: Registry
    database: Database
    venue: Venue
    fold: UsageFold | None
    last_ns: int
    claim: "psycopg.Connection | None" = None
    """What holds this process's number among those that share a PostgreSQL store, for as long as it is open."""

    @classmethod
    def open(cls, where: str, process: int = 0) -> Self:
        """The store at a folder or a PostgreSQL URL, made if it is not there, for one of the processes that share it.

        Raises Malformed for a folder that another process serves from, or a journal of another kind; JournalCorrupt for a
        damaged one.
        """
        journal: Store | PostgresJournal
        claim = None
        if is_url(where):
            claim = _claimed(where, process)
            journal = PostgresJournal.ensure(where, TERMS.digest())
            tables: Path | str = where
        else:
            folder = Path(where)
            journal = _embedded(folder / JOURNAL)
            tables = folder / REGISTRY
        opened: list[Registry | Database] = []
        try:
            registry = Registry.open(tables)
            opened.append(registry)
            database = Database.open(tables)
            opened.append(database)
            fold = UsageFold(UsageTables(database)) if process == 0 else None
            venue, last_ns = _caught_up(journal, fold)
            return cls(where, journal, journal, registry, database, venue, fold, last_ns, claim)
        except BaseException:
            for each in opened:
                each.close()
            journal.close()
            if claim is not None:
                claim.close()
            raise

    def keep_snapshot(self, applied: int, parts: Mapping[str, NDArray[np.int64]]) -> bool:
        """Keep the venue's state after row `applied`, if usage is as far and the row is durable; whether it was kept.

        `parts` is what `venue.snapshot()` said at that row: it is asked for before anything else is waited for. Of a folder's
        older snapshots the last `SNAPSHOTS_KEPT` stay; the journal stays whole, for bills to be counted again.
        """
        if self.fold is None or self.fold.watermark < applied or self.journal.sequence < applied:
            return False
        self.journal.snapshot(applied, parts, state_hash(parts))
        if not is_url(self.where):
            for old in sorted((Path(self.where) / JOURNAL).glob(SNAPSHOTS))[:-SNAPSHOTS_KEPT]:
                old.unlink()
        return True

    def close(self) -> None:
        """Let go of everything. The second time does nothing."""
        for each in (self.journal, self.registry, self.database, self.claim):
            with suppress(Exception):
                if each is not None:
                    each.close()


def _claimed(url: str, process: int) -> "psycopg.Connection":
    """A connection that holds a process's number: two of one number would number their calls alike.

    Raises Malformed if another process has it.
    """
    connection = psycopg.connect(url, autocommit=True)
    held = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (PROCESS_LOCK, process)).fetchone()
    if held is None or not held[0]:
        connection.close()
        raise Malformed(f"store {shown_url(url)}, process {process}", found="another gateway of this number",
                        expected="a number of its own for each that shares the store",
                        remedy="Choose another: --process.")  # fmt: skip
    return connection


def _embedded(folder: Path) -> Store:
    if folder.is_dir() and any(folder.glob(SEGMENTS)):
        return Store.open(folder, TERMS.digest())
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Store.create(folder, TERMS.digest())


def _caught_up(journal: Journal, fold: UsageFold | None) -> tuple[Venue, int]:
    """A venue that has applied the whole journal, the fold with it; and the time of the last row."""
    venue, sequence, last_ns = Venue(TERMS), 0, 0
    watermark = journal.sequence if fold is None else fold.watermark
    if watermark > journal.sequence:
        raise Malformed("gateway store, usage", found=f"sums up to row {watermark}",
                        expected=f"no further than the journal's last row, {journal.sequence}",
                        remedy="Restore the journal and the database that belong together.")  # fmt: skip
    snapshot = journal.latest_snapshot(watermark)
    if snapshot is not None:
        venue.restore(snapshot.parts)
        sequence = snapshot.sequence
    for rows in journal.read(sequence):
        for part in _cut_at(rows, watermark - sequence):
            events = venue.apply(part)
            sequence += len(part)
            if fold is not None:
                fold.take(sequence - len(part), part, events)
                if fold.pending_rows > FOLD_ROWS:
                    fold.flush(sequence)
        last_ns = int(rows[-1, TIME])
    return venue, max(last_ns, int(venue.snapshot()["clock"][0, 0]))


def _cut_at(rows: NDArray[np.int64], place: int) -> list[NDArray[np.int64]]:
    """The rows, in two parts if the place is inside them."""
    return [rows[:place], rows[place:]] if 0 < place < len(rows) else [rows]
