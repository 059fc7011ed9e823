"""The host of a venue: nothing that a command brought about is told before the command is durable.

`submit` is the whole door: journal, make durable, apply, answer. A simulated month goes through the same door a group at a time:
`stage` gives the events to the world, which is in this process and dies with it, and `commit` makes all that was staged durable
with one sync; only then is it counted as acknowledged and shown to anyone. A disk that takes 4 ms to sync would otherwise spend
a minute on a month's 15,000 steps.

While a run is being resumed the journal's own rows stand in for writing: the world is played again from its seed, what it
submits is compared with what the journal holds, and applied; the first row that the journal does not hold is the first that is
written again.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import ROW_WORDS
from ciyuan.venue.machine import Venue

EMPTY = np.empty((0, ROW_WORDS), dtype=np.int64)


class Log(Protocol):
    """What the host needs of a store."""

    def stage(self, rows: NDArray[np.int64]) -> int:
        """Copy rows to the batch that the next commit writes."""
        ...

    def commit(self) -> int:
        """Make the staged rows durable as one batch; the last one's sequence."""
        ...

    def read(self, from_sequence: int = 0) -> Iterator[NDArray[np.int64]]:
        """The rows after a sequence, in batches."""
        ...


class VenueHost:
    """A venue behind its journal. `acknowledged_rows` counts the rows that are durable, and what came of them known."""

    def __init__(self, venue: Venue, log: Log, *, resume: bool = False) -> None:
        self.venue = venue
        self.acknowledged_rows = 0
        self.replayed_rows = 0
        self._log = log
        self._applied_rows = 0
        self._journaled = log.read() if resume else iter(())
        self._ahead = EMPTY

    def submit(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Journal `rows` (n, 8), make them durable (and all staged before them), apply them, return the events (m, 8).

        Malformed rows are refused before they are journaled.
        """
        self._journal(rows)
        self._log.commit()
        events = self._apply(rows)
        self.acknowledged_rows = self._applied_rows
        return events

    def stage(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """As `submit`, but nothing is durable, and the events nobody else's to know, before the next commit."""
        self._journal(rows)
        return self._apply(rows)

    def commit(self) -> None:
        """Make what was staged durable; it is acknowledged then."""
        self._log.commit()
        self.acknowledged_rows = self._applied_rows

    def _journal(self, rows: NDArray[np.int64]) -> None:
        self.venue.check(rows)
        known = self._match(rows)
        if known < len(rows):
            self._log.stage(rows[known:])

    def _apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        events = self.venue.apply(rows)
        self._applied_rows += len(rows)
        return events

    def _match(self, rows: NDArray[np.int64]) -> int:
        """How many of `rows` the journal holds already; Malformed if it holds others in their place."""
        while len(self._ahead) < len(rows):
            more = next(self._journaled, None)
            if more is None:
                break
            self._ahead = np.concatenate([self._ahead, more])
        known = min(len(rows), len(self._ahead))
        if not np.array_equal(self._ahead[:known], rows[:known]):
            row = self.replayed_rows + int(np.argmax((self._ahead[:known] != rows[:known]).any(axis=1)))
            raise Malformed(
                f"run, row {row}",
                found="another row in the journal",
                expected="the row that this world plays",
                remedy="Resume with the inputs and the version of ciyuan that began the run, or begin a new one.",
            )
        self._ahead = self._ahead[known:]
        self.replayed_rows += known
        return known

    def unplayed_rows(self) -> int:
        """Rows that the journal holds beyond what was submitted: 0 once a resume has caught up."""
        return len(self._ahead) + sum(len(rows) for rows in self._journaled)
