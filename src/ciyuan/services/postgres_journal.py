"""A journal in PostgreSQL that several processes, on one machine or many, read and write as one: docs/spec/shared_journal.md.

    with PostgresJournal.open(url, genesis) as journal:
        for rows in journal.read():                       # all rows up to `sequence`, to bring a replica there
            venue.apply(rows)
        others, mine = journal.exchange(rows, now_ns)     # durable when it returns; apply others, then mine

Theory of operation. Each process has its own replica of the machine. An *exchange* is one transaction: it takes the journal's
lock, reads what others have written since, gives its own rows their time, puts them behind as one frame, commits, and lets the
lock go. Only then are the rows applied, others' first. So every replica hears the same rows in the same order, and decides the
same: who was in time for the last dollar of a balance is decided by the place in the journal, not by who asked whom.

A process that was alone at its last exchange tries without reading first: it offers the frame that belongs behind the last one
it knows, in one round trip. If others have written, the server refuses, gives their rows, and the exchange is made under the lock
in two round trips.

Every frame carries its writer's name (16 random bytes for each open journal) and its turn (a count). When a connection is lost
between the sending of a frame and the answer, the frame is *in doubt*. The next connection first ends the lost one on the server,
then takes the lock and reads: the frame is there, or it never will be. So rows are never written twice and never forgotten.

Invariants: `sequence` counts rows that were handed over by `exchange` or were there at opening, never more; the time of a row is
never before that of the row before it; a frame is built only upon a frame that was read, checked and is durable; after any
failure nothing was acknowledged that is not in the journal.

One thread exchanges; `wait` may be called by a second; `read`, snapshots and pruning have connections of their own.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, Self
from uuid import uuid4

import numpy as np
import psycopg
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken, JournalCorrupt, Malformed
from ciyuan.basics.rows import TIME
from ciyuan.journal.frame import genesis_bytes
from ciyuan.journal.messages import DamagedSnapshot, Position, Snapshot
from ciyuan.services.postgres_journal_frames import (
    Exchanged,
    Rows,
    Stored,
    damage,
    exchangeable,
    framed,
    joined,
    position_before,
    stamped,
    unframed,
)
from ciyuan.services.postgres_journal_link import (
    JournalUnavailable,
    Link,
    cause_of,
    connected,
    place_of,
    telling,
)
from ciyuan.services.postgres_journal_listening import Listener
from ciyuan.services.postgres_journal_pipeline import BEGIN, COMMIT, ROLLBACK, Command, ask, integer
from ciyuan.services.postgres_journal_schema import (
    AHEAD_S_MAX,
    CLOCK_AHEAD,
    FRAMES_MAX,
    REWOUND,
    Entry,
    enter,
    entry_of,
    exchange_command,
    frames_after,
    last_frame,
    position_before_row,
    prepare,
    stored_frames,
)
from ciyuan.services.postgres_journal_snapshots import Snapshots

NAME = "gateway"
"""The journal's name where none is given. A database may hold many."""
SNAPSHOTS_KEPT = 2


class Offer(NamedTuple):
    """A frame to be put behind the last one: its stamped rows, its bytes, the position behind it, its turn."""

    rows: Rows
    data: bytes
    behind: Position
    turn: int


class Doubt(NamedTuple):
    """Rows, as they were handed in, that were sent as this turn's frame, and of which no answer has come."""

    rows: Rows
    turn: int


class PostgresJournal:
    """A shared journal, open for reading and writing. Made by `create`, `open` or `ensure`; a context manager that closes itself.

    Methods that need the server raise JournalUnavailable while it cannot be had, and may be called again; JournalCorrupt for a
    frame that is not the one that was written, and for rows that this process has read and the server no longer has.
    """

    def __init__(self, url: str, entry: Entry, position: Position, last_ns: int) -> None:
        self.name, self.place = entry.name, entry.place
        self._url = url
        self._entry = entry
        self._position = position
        self._last_ns = last_ns
        self._sequence = position.sequence
        self._writer, self._turn = uuid4().bytes, 0
        self._arrived: list[Rows] = []
        self._doubt: Doubt | None = None
        self._alone, self._closed = True, False
        self._link = Link(url, self.place, prepare)
        self._listener = Listener(url, self.place, entry.number, lambda: self._sequence)
        self._snapshots = Snapshots(entry.number, self.genesis)

    @classmethod
    def create(cls, url: str, genesis: str | bytes, *, name: str = NAME) -> Self:
        """A new journal in the database at `url`, with its tables if they are not there. Raises Malformed if there is one.

        `genesis`: what the journal is of, a digest of 16 bytes or 32 hexadecimal characters.
        """
        if not enter(url, place_of(url, name), name, genesis_bytes(genesis)):
            raise Malformed(place_of(url, name), found="a journal of this name", expected="none",
                            remedy="Open it, or create the new one under another name.")  # fmt: skip
        return cls.open(url, genesis, name=name)

    @classmethod
    def ensure(cls, url: str, genesis: str | bytes, *, name: str = NAME) -> Self:
        """The journal, opened; created before if it is not there. Any number of processes may begin with this at once."""
        enter(url, place_of(url, name), name, genesis_bytes(genesis))
        return cls.open(url, genesis, name=name)

    @classmethod
    def open(cls, url: str, genesis: str | bytes | None = None, *, name: str = NAME) -> Self:
        """The journal that is there, at its last row.

        Raises Malformed if there is none, if it is of another genesis than the given, or if its tables are of another version.
        """
        place = place_of(url, name)
        with telling(place), connected(url, place) as connection:
            entry = entry_of(connection, place, name, None if genesis is None else genesis_bytes(genesis))
            last = last_frame(connection, entry.number)
        if last is None:
            return cls(url, entry, entry.first, 0)
        rows, position = unframed(place, last, position_before(last))
        return cls(url, entry, position, int(rows[-1, TIME]))

    @property
    def genesis(self) -> str:
        """The digest that the journal was created with, 32 hexadecimal characters."""
        return self._entry.genesis.hex()

    @property
    def sequence(self) -> int:
        """The last row that this process knows: it was there at opening, or an exchange has handed it over."""
        return self._sequence

    @property
    def damaged_snapshots(self) -> tuple[DamagedSnapshot, ...]:
        """Snapshots that were passed over, and why."""
        return self._snapshots.damaged

    def exchange(self, rows: Rows, now_ns: int) -> Exchanged:
        """Read what others wrote, then stamp, append and make durable these rows (n, 8); n may be 0: only catch up.

        A time word of 0 is stamped with `now_ns`, or the journal's last time if that is later. Raises Malformed, and writes
        nothing, for more than EXCHANGE_ROWS_MAX rows, for another time that is before the last, or if `now_ns` is more than
        AHEAD_S_MAX before the server's clock.

        After JournalUnavailable with `in_doubt`: called again with the same rows, it gives them as `mine`, written once; called
        with others, it gives the first ones among `others` if they were written, and not at all if they were not.
        """
        exchangeable(rows)
        self._refuse_if_closed()
        try:
            mine = self._exchange(rows, now_ns, once_more=True)
        except BaseException:
            self._link.drop()
            raise
        others, self._arrived = joined(self._arrived), []
        self._alone = not len(others)
        self._sequence = self._position.sequence
        return Exchanged(others, mine)

    def read(self, from_sequence: int = 0) -> Iterator[Rows]:
        """The rows that follow row `from_sequence`, a frame (or what is wanted of it) at a time.

        It ends with the row that is `sequence` when the first is asked for. Raises Malformed for rows that were pruned.
        """
        until = self._sequence
        if from_sequence >= until:
            return
        with telling(self.place), connected(self._url, self.place) as connection:
            prepare(connection)
            position = self._position_before(connection, from_sequence)
            while position.sequence < until:
                frames = frames_after(connection, self._entry.number, position.sequence)
                for stored in frames:
                    rows, position = self._unframed(stored, position)
                    yield rows[max(0, from_sequence - position.sequence + len(rows)) :]
                    if position.sequence >= until:
                        break
                if not frames:
                    raise damage(
                        self.place,
                        position,
                        f"row {until}",
                        f"the end after row {position.sequence}",
                        "last row",
                    )

    def wait(self, timeout_s: float) -> bool:
        """Return True as soon as others have written rows beyond `sequence`, False after `timeout_s` seconds or `close`."""
        self._refuse_if_closed()
        return self._listener.wait(timeout_s)

    def snapshot(self, sequence: int, parts: Mapping[str, NDArray[np.int64]], state_hash: str) -> None:
        """Keep a machine's state after row `sequence`, whole and durable or not at all.

        Raises Malformed for a row beyond `sequence`, or for parts that are not int64 matrices; InvariantBroken if another process
        has kept another state after the same row: then one of the two replicas is wrong.
        """
        if not 0 <= sequence <= self._sequence:
            raise Malformed("a snapshot's sequence", found=sequence, expected=f"0 to {self._sequence}, the last durable row",
                            remedy="Exchange first; a snapshot must never be ahead of its journal.")  # fmt: skip
        with self._apart() as connection:
            self._snapshots.keep(connection, sequence, parts, state_hash)

    def latest_snapshot(self, at_or_before: int | None = None) -> Snapshot | None:
        """The newest snapshot that is whole, of row `at_or_before` (or `sequence`) at the latest; None if there is none.

        Damaged ones are passed over and named in `damaged_snapshots`.
        """
        with self._apart() as connection:
            return self._snapshots.latest(
                connection, self._sequence if at_or_before is None else at_or_before
            )

    def prune(self, keep: int = SNAPSHOTS_KEPT) -> int:
        """Forget all but the newest `keep` snapshots (1 or more) and the frames wholly before the oldest kept; how many rows.

        A process that has not read the forgotten rows yet can only begin again from a snapshot, and is told so.
        """
        if keep < 1:
            raise Malformed(
                "snapshots to be kept", found=keep, expected="1 or more", remedy="Keep at least one."
            )
        with self._apart() as connection:
            return self._snapshots.prune(connection, keep, self._sequence)

    def close(self) -> None:
        """Let go of the connections, and end a `wait` in another thread. A second time: nothing to do."""
        self._closed = True
        self._listener.close()
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- one exchange ---

    def _exchange(self, rows: Rows, now_ns: int, *, once_more: bool) -> Rows:
        """The rows as they are in the journal; a connection that was lost since the last exchange is made anew once."""
        try:
            return self._attempt(rows, now_ns)
        except psycopg.Error as error:
            self._name(error, now_ns)
            lost = self._link.drop()
            if not (lost and once_more):
                cause = cause_of(error)
                raise JournalUnavailable(self.place, cause, in_doubt=self._doubt is not None) from error
        return self._exchange(rows, now_ns, once_more=False)

    def _attempt(self, rows: Rows, now_ns: int) -> Rows:
        connection = self._link.connection()
        if self._doubt is None:
            if not len(rows):
                self._read_on(connection, None)
                return rows.copy()
            if self._alone:
                written = self._offer_alone(connection, rows, now_ns)
                if written is not None:
                    return written
        return self._exchange_in_turn(connection, rows, now_ns)

    def _offer_alone(self, connection: psycopg.Connection, rows: Rows, now_ns: int) -> Rows | None:
        """Offer the rows behind the last known frame; None if others have written, whose frames are taken."""
        offer = self._offer(rows, now_ns)
        self._doubt = Doubt(rows.copy(), offer.turn)
        frames = stored_frames(*ask(connection, self._command(offer)))
        self._doubt = None
        if not frames:
            return self._written(offer)
        self._take(frames, None)
        return None

    def _exchange_in_turn(self, connection: psycopg.Connection, rows: Rows, now_ns: int) -> Rows:
        """Take the lock, read what others wrote, and put the rows behind it. What is in doubt is decided on the way."""
        same = self._doubt is not None and np.array_equal(rows, self._doubt.rows)
        sought = self._doubt if same else None
        while True:
            frames = stored_frames(ask(connection, BEGIN, self._command(None))[-1])
            found = self._take(frames, sought)
            if found is not None:
                # Nothing that could still fail comes between finding them and handing them over.
                self._link.drop()
                return found
            if len(frames) < FRAMES_MAX:
                break
            ask(connection, ROLLBACK)
            found = self._read_on(connection, sought)
            if found is not None:
                return found
        self._doubt = None
        if not len(rows):
            ask(connection, ROLLBACK)
            return rows.copy()
        offer = self._offer(rows, now_ns)
        self._doubt = Doubt(rows.copy(), offer.turn)
        refused, _ = ask(connection, self._command(offer), COMMIT)
        if refused:
            raise InvariantBroken(
                "the journal's lock", f"{self.place}: rows were written by others while it was held here"
            )
        self._doubt = None
        return self._written(offer)

    def _offer(self, rows: Rows, now_ns: int) -> Offer:
        mine = stamped(rows, now_ns, self._last_ns)
        data, behind = framed(mine, self._position)
        self._turn += 1
        return Offer(mine, data, behind, self._turn)

    def _command(self, offer: Offer | None) -> Command:
        """`exchange` with what this process knows as the last frame; without an offer it only takes the lock and reads."""
        if offer is None:
            return exchange_command(self._entry.number, self._position)
        moved_ns = int(offer.rows[-1, TIME])
        time_ns = moved_ns if moved_ns > self._last_ns else 0
        new = (
            integer(offer.behind.sequence),
            offer.behind.checksum,
            self._writer,
            integer(offer.turn),
            offer.data,
        )
        return exchange_command(self._entry.number, self._position, (*new, integer(time_ns)))

    def _written(self, offer: Offer) -> Rows:
        self._position, self._last_ns = offer.behind, int(offer.rows[-1, TIME])
        return offer.rows

    # --- reading on ---

    def _read_on(self, connection: psycopg.Connection, sought: Doubt | None) -> Rows | None:
        """Take all frames behind the position, without the lock; the rows of the frame that is sought, if one of them is it."""
        frames_count = FRAMES_MAX
        while frames_count == FRAMES_MAX:
            frames = frames_after(connection, self._entry.number, self._position.sequence)
            found = self._take(frames, sought)
            if found is not None:
                return found
            frames_count = len(frames)
        return None

    def _take(self, frames: list[Stored], sought: Doubt | None) -> Rows | None:
        """Check frames and keep their rows for handing over, up to the one that is sought: its rows are returned.

        The doubt about it is over then, and what follows it is left to the next exchange.
        """
        for stored in frames:
            rows, self._position = self._unframed(stored, self._position)
            self._last_ns = int(rows[-1, TIME])
            if sought is not None and (stored.writer, stored.turn) == (self._writer, sought.turn):
                self._doubt = None
                return rows
            self._arrived.append(rows)
        return None

    def _unframed(self, stored: Stored, position: Position) -> tuple[Rows, Position]:
        if position_before(stored.data).sequence > position.sequence:
            self._refuse_if_pruned(position.sequence)
        rows, behind = unframed(self.place, stored.data, position)
        if behind.sequence != stored.sequence:
            raise damage(self.place, position, str(behind.sequence), str(stored.sequence), "sequence")
        return rows, behind

    def _position_before(self, connection: psycopg.Connection, from_sequence: int) -> Position:
        """The position of the frame that holds the row behind `from_sequence`: behind the frame before it."""
        first = entry_of(connection, self.place, self.name, self._entry.genesis).first
        if from_sequence < first.sequence:
            self._refuse_if_pruned(from_sequence)
        return position_before_row(connection, self._entry.number, from_sequence) or first

    # --- what is wrong ---

    def _refuse_if_pruned(self, sequence: int) -> None:
        """Raise Malformed if the rows behind `sequence` were pruned."""
        with self._apart() as connection:
            first = entry_of(connection, self.place, self.name, self._entry.genesis).first.sequence
        if sequence < first:
            raise Malformed(f"{self.place}, rows after row {sequence}", found=f"they were pruned up to row {first}",
                            expected="all rows that this process has not read",
                            remedy="Begin again from the newest snapshot.")  # fmt: skip

    def _name(self, error: psycopg.Error, now_ns: int) -> None:
        """Raise what the function `exchange` means by its own errors; nothing was written then."""
        message = error.diag.message_primary or ""
        if error.diag.sqlstate in {REWOUND, CLOCK_AHEAD}:
            self._doubt = None
        if error.diag.sqlstate == REWOUND:
            raise JournalCorrupt(self.place, 0, expected=f"row {self._position.sequence} as this process has read it",
                                 found=message, what="last row") from error  # fmt: skip
        if error.diag.sqlstate == CLOCK_AHEAD:
            raise Malformed(f"{self.place}, time of an exchange", found=f"{now_ns} ns",
                            expected=f"at most {AHEAD_S_MAX} s after the server's clock, {message}",
                            remedy="Set this machine's clock by NTP.") from error  # fmt: skip

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise JournalUnavailable(self.place, "it is closed")

    @contextmanager
    def _apart(self) -> Iterator[psycopg.Connection]:
        """A connection for one thing, apart from that of the exchanges."""
        self._refuse_if_closed()
        with telling(self.place), connected(self._url, self.place) as connection:
            yield connection
