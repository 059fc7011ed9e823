"""The two journals behind one set of words: the embedded store of one process, and the shared one in PostgreSQL."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import TIME
from ciyuan.journal.messages import Snapshot
from ciyuan.services.postgres_journal import PostgresJournal
from ciyuan.services.postgres_journal_frames import Exchanged, Rows, joined, stamped
from ciyuan.services.store import Store


class Journal(Protocol):
    """What both can do."""

    @property
    def sequence(self) -> int: ...
    @property
    def genesis(self) -> str: ...
    def exchange(self, rows: Rows, now_ns: int) -> Exchanged: ...
    def read(self, from_sequence: int = 0) -> Iterator[Rows]: ...
    def snapshot(self, sequence: int, parts: Mapping[str, NDArray[np.int64]], state_hash: str) -> object: ...
    def latest_snapshot(self, at_or_before: int | None = None) -> Snapshot | None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class EmbeddedJournal(Store):
    """The store, whose exchanges have no others."""

    def exchange(self, rows: Rows, now_ns: int) -> Exchanged:
        """Stamp the rows as the shared journal does, and append them."""
        last = [int(batch[-1, TIME]) for batch in self.read(max(0, self.sequence - 1))]
        mine = stamped(rows, now_ns, max(last, default=0))
        self.append(mine)
        return Exchanged(joined([]), mine)


class Place:
    """Where a journal of one of the kinds is, or will be: a folder, or the url of a database."""

    def __init__(self, where: str) -> None:
        self.where = where

    def create(self, genesis: str) -> Journal:
        """A new journal there."""
        if self.where.startswith("postgresql:"):
            return PostgresJournal.create(self.where, genesis)
        return EmbeddedJournal.create(Path(self.where), genesis)

    def open(self, genesis: str | None = None) -> Journal:
        """The journal that is there."""
        if self.where.startswith("postgresql:"):
            return PostgresJournal.open(self.where, genesis)
        return EmbeddedJournal.open(Path(self.where), genesis)
