"""Snapshots of a shared journal, and the frames that nobody needs any more because of them."""

from collections.abc import Mapping

import numpy as np
import psycopg
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken, JournalCorrupt
from ciyuan.journal.messages import DamagedSnapshot, Snapshot
from ciyuan.journal.snapshot import read_snapshot, snapshot_buffers
from ciyuan.services.postgres_journal_frames import position_before
from ciyuan.services.postgres_journal_schema import PIECE_BYTES

PRUNED_FRAMES = 10_000
"""Frames are removed so many at a time, so that no statement runs for long."""
KEEP = "INSERT INTO ciyuan_journal.snapshot VALUES (%s, %s, %s) ON CONFLICT DO NOTHING RETURNING sequence"
KEPT_HASH = "SELECT state_hash FROM ciyuan_journal.snapshot WHERE journal = %s AND sequence = %s"
KEEP_PIECE = (
    "INSERT INTO ciyuan_journal.snapshot_piece VALUES (%b::integer, %b::bigint, %b::integer, %b::bytea)"
)
SEQUENCES = "SELECT sequence FROM ciyuan_journal.snapshot WHERE journal = %s AND sequence <= %s ORDER BY sequence DESC"
PIECES = "SELECT data FROM ciyuan_journal.snapshot_piece WHERE journal = %s AND sequence = %s ORDER BY piece"
FORGET_SNAPSHOTS = "DELETE FROM ciyuan_journal.snapshot WHERE journal = %s AND sequence < %s"
PRUNED_TO = """
    SELECT sequence, checksum, data FROM (
        SELECT sequence, checksum, data FROM ciyuan_journal.frame
        WHERE journal = %(journal)s AND sequence <= %(until)s
          AND sequence < (SELECT max(sequence) FROM ciyuan_journal.frame WHERE journal = %(journal)s)
        ORDER BY sequence LIMIT %(frames)s
    ) AS oldest ORDER BY sequence DESC LIMIT 1
"""
BEGIN_AT = (
    "UPDATE ciyuan_journal.journal SET first_batches = %s, first_sequence = %s, first_checksum = %s"
    " WHERE number = %s AND first_sequence < %s"
)
FORGET_FRAMES = "DELETE FROM ciyuan_journal.frame WHERE journal = %s AND sequence <= %s"


class Snapshots:
    """The snapshots of the journal `number`, whose genesis is given as 32 hexadecimal characters.

    Every method takes a connection in autocommit mode, and lets psycopg.Error through.
    """

    def __init__(self, number: int, genesis: str) -> None:
        self._number, self._genesis = number, genesis
        self.damaged: tuple[DamagedSnapshot, ...] = ()

    def keep(
        self,
        connection: psycopg.Connection,
        sequence: int,
        parts: Mapping[str, NDArray[np.int64]],
        state_hash: str,
    ) -> None:
        """Keep a machine's state after row `sequence`, whole or not at all.

        If another process has kept the state after this row already, the two must be the same: raises InvariantBroken.
        """
        data = b"".join(snapshot_buffers(Snapshot(sequence, state_hash, self._genesis, parts)))
        with connection.transaction():
            if connection.execute(KEEP, (self._number, sequence, state_hash)).fetchone() is None:
                self._compare(connection, sequence, state_hash)
                return
            for piece, at in enumerate(range(0, len(data), PIECE_BYTES)):
                connection.execute(KEEP_PIECE, (self._number, sequence, piece, data[at : at + PIECE_BYTES]))

    def latest(self, connection: psycopg.Connection, at_or_before: int) -> Snapshot | None:
        """The newest snapshot that is whole, of row `at_or_before` at the latest. Damaged ones are named in `damaged`."""
        for (sequence,) in connection.execute(SEQUENCES, (self._number, at_or_before)).fetchall():
            snapshot = self._read(connection, sequence)
            if snapshot is not None:
                return snapshot
        return None

    def prune(self, connection: psycopg.Connection, keep: int, last: int) -> int:
        """Forget all but the newest `keep` whole snapshots, and the frames wholly before the oldest kept; how many rows.

        With fewer than `keep` nothing is forgotten. The journal's last frame always stays.
        """
        kept: list[int] = []
        for (sequence,) in connection.execute(SEQUENCES, (self._number, last)).fetchall():
            if len(kept) < keep and self._read(connection, sequence) is not None:
                kept.append(sequence)
        if len(kept) < keep:
            return 0
        connection.execute(FORGET_SNAPSHOTS, (self._number, kept[-1]))
        pruned = 0
        while rows := self._prune_some(connection, kept[-1]):
            pruned += rows
        return pruned

    def _prune_some(self, connection: psycopg.Connection, until: int) -> int:
        """Forget the oldest frames up to row `until`, at most PRUNED_FRAMES of them; how many rows they held."""
        with connection.transaction():
            found = connection.execute(
                PRUNED_TO, {"journal": self._number, "until": until, "frames": PRUNED_FRAMES}
            ).fetchone()
            oldest = connection.execute(
                "SELECT first_sequence FROM ciyuan_journal.journal WHERE number = %s FOR UPDATE",
                (self._number,),
            ).fetchone()
            if found is None or oldest is None:
                return 0
            sequence, checksum, data = found
            batches = position_before(data).batches + 1
            connection.execute(BEGIN_AT, (batches, sequence, checksum, self._number, sequence))
            connection.execute(FORGET_FRAMES, (self._number, sequence))
            return max(0, int(sequence - oldest[0]))

    def _read(self, connection: psycopg.Connection, sequence: int) -> Snapshot | None:
        """A snapshot; None if it is not whole, with the reason in `damaged`, or has just been forgotten by another process."""
        pieces = connection.execute(PIECES, (self._number, sequence), binary=True).fetchall()
        if not pieces:
            return None
        # Compiled kernels want memory that may be written to.
        data = np.frombuffer(bytearray().join(piece for (piece,) in pieces), dtype=np.uint8).data
        name = f"snapshot after row {sequence}"
        try:
            snapshot = read_snapshot(name, data)
        except JournalCorrupt as damage:
            self._pass_over(name, f"{damage.what} expected {damage.expected}, found {damage.found}")
            return None
        if (snapshot.sequence, snapshot.genesis) != (sequence, self._genesis):
            self._pass_over(
                name, f"it is of row {snapshot.sequence} of the journal with genesis {snapshot.genesis}"
            )
            return None
        return snapshot

    def _compare(self, connection: psycopg.Connection, sequence: int, state_hash: str) -> None:
        kept = connection.execute(KEPT_HASH, (self._number, sequence)).fetchone()
        if kept != (state_hash,):
            raise InvariantBroken(
                "replicas of one journal have one state",
                f"after row {sequence} another process has state hash {kept and kept[0]}, this one {state_hash}",
            )

    def _pass_over(self, name: str, why: str) -> None:
        damaged = DamagedSnapshot(name, why)
        if damaged not in self.damaged:
            self.damaged = (*self.damaged, damaged)
