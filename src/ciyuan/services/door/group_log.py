"""The journals that a `GroupHost` writes, and who waits for its disk: what it asks of them, and nothing of how they do it."""

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class LocalLog(Protocol):
    """A journal that only this process writes (`Store`)."""

    @property
    def sequence(self) -> int:
        """How many rows are durable."""
        ...

    def write(self, rows: Rows) -> int:
        """Write a batch."""
        ...

    @property
    def unsynced(self) -> tuple[int, int]:
        """The segment that was written to, and its descriptor."""
        ...

    def synced(self, error: int = 0) -> int:
        """It was synced, or could not be; how many rows are durable."""
        ...


@runtime_checkable
class SharedLog(Protocol):
    """A journal that others write too (`PostgresJournal`)."""

    @property
    def sequence(self) -> int:
        """How many rows of it this process has read or written."""
        ...

    def exchange(self, rows: Rows, now_ns: int) -> tuple[Rows, Rows]:
        """Read what others wrote, then stamp, append and make durable these rows, if there are any: theirs, and ours stamped."""
        ...


class Syncing(Protocol):
    """Who waits for the disk (`Syncer`)."""

    def start(self, loop: asyncio.AbstractEventLoop, told: Callable[[int], None]) -> None:
        """Tell answers on this loop: the error's number, or 0."""
        ...

    def sync(self, segment: int, descriptor: int) -> None:
        """Ask for a sync of a file."""
        ...

    def close(self) -> None:
        """Wait no more."""
        ...
