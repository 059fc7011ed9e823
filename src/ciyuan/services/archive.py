"""A journal's folder, read: its segments, its snapshots, and what is wrong with them. Changes nothing and needs no lock.

    segment-00000001.journal, segment-00000002.journal, ...     the journal; only the last grows
    snapshot-00000000000000001234.state                         a machine's state after row 1234
    lock                                                        held by the store that writes

`Archive` is what a reader needs; `services.store.Store` is an archive that can be written to.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import JournalCorrupt, Malformed
from ciyuan.journal.frame import SEGMENT_HEADER_BYTES, genesis_bytes, genesis_position
from ciyuan.journal.messages import DamagedSnapshot, Position, Recovery, Snapshot
from ciyuan.journal.segment import SegmentReader, genesis_of
from ciyuan.journal.snapshot import read_snapshot

SEGMENTS, SNAPSHOTS = "segment-*.journal", "snapshot-*.state"


def segment_name(number: int) -> str:
    """The file name of segment `number`, from 1."""
    return f"segment-{number:08d}.journal"


def snapshot_name(sequence: int) -> str:
    """The file name of the snapshot after row `sequence`."""
    return f"snapshot-{sequence:020d}.state"


class Archive:
    """A journal that is there, read from its folder. `recovery` says what was found.

    Opening reads and checks every byte of the segments. Raises Malformed if the folder holds no journal, or one of another
    `genesis` than the given; JournalCorrupt if a byte is not the one that was written.
    """

    def __init__(self, folder: Path, genesis: str | bytes | None = None) -> None:
        self.folder = folder
        self._genesis = journal_genesis(folder, genesis)
        self._starts: list[Position] = []
        self._position = genesis_position(self._genesis)
        self._last_frame_at = self._end = 0
        # Listed before the segments are read: a store that is writing may keep a snapshot of rows that come after.
        snapshots = self._snapshots()
        self.recovery = self._scan()
        self._refuse_lost_rows(snapshots)

    @classmethod
    def open(cls, folder: Path, genesis: str | bytes | None = None) -> Self:
        """The journal in `folder`; if `genesis` is given it must be its own."""
        return cls(folder, genesis)

    @property
    def genesis(self) -> str:
        """The digest that the journal was created with, 32 hexadecimal characters."""
        return self._genesis.hex()

    @property
    def sequence(self) -> int:
        """The last row's sequence, which is how many rows the journal holds; 0 if none."""
        return self._position.sequence

    def read(self, from_sequence: int = 0) -> Iterator[NDArray[np.int64]]:
        """The rows that follow row `from_sequence`, a batch (or what is wanted of it) at a time.

        It ends with the row that is the last when the first is asked for. The matrices are views of their segment's bytes, which
        stay in memory as long as one of them does. Every checksum is counted again; raises JournalCorrupt.
        """
        until, starts = self.sequence, list(self._starts)
        ends = [*(start.sequence for start in starts[1:]), until]
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), start=1):
            if from_sequence < end and start.sequence < end:
                yield from self._rows(self._reader(number, start, last=False), from_sequence, end)

    def latest_snapshot(self, at_or_before: int | None = None) -> Snapshot | None:
        """The newest snapshot that is whole, of row `at_or_before` at the latest; None if there is none.

        Damaged ones are passed over and named in `recovery.damaged_snapshots`.
        """
        until = self.sequence if at_or_before is None else at_or_before
        for sequence, path in reversed(self._snapshots()):
            snapshot = self._snapshot(path) if sequence <= until else None
            if snapshot is not None:
                return snapshot
        return None

    def _rows(self, reader: SegmentReader, from_sequence: int, end: int) -> Iterator[NDArray[np.int64]]:
        """A segment's rows after `from_sequence` and up to row `end`, all of which it must hold."""
        for rows in reader:
            last = reader.position.sequence
            if last > from_sequence:
                yield rows[max(0, from_sequence - last + len(rows)) :]
            if last >= end:
                return
        raise _lost_rows(reader.name, reader.end, f"row {end}", reader.position.sequence)

    def _scan(self) -> Recovery:
        """Read and check all segments, setting where each starts and where the last ends."""
        names = sorted(path.name for path in self.folder.glob(SEGMENTS))
        torn = None
        for number, name in enumerate(names, start=1):
            if name != segment_name(number):
                raise JournalCorrupt(
                    segment_name(number), 0, expected=segment_name(number), found=name, what="file"
                )
            reader = self._reader(number, self._position, last=number == len(names))
            self._starts.append(self._position)
            for _ in reader:
                pass
            self._position, self._last_frame_at, self._end, torn = (
                reader.position,
                reader.last_frame_at,
                reader.end,
                reader.torn,
            )
        return Recovery(len(names), self._position.batches, self.sequence, torn)

    def _reader(self, number: int, start: Position, *, last: bool) -> SegmentReader:
        name = segment_name(number)
        return SegmentReader(name, read_file(self.folder / name), number, self._genesis, start, last=last)

    def _snapshots(self) -> list[tuple[int, Path]]:
        """The snapshots in order, by the sequence in their names, which is theirs if they are whole."""
        named = ((path.stem.removeprefix("snapshot-"), path) for path in self.folder.glob(SNAPSHOTS))
        return sorted((int(digits), path) for digits, path in named if digits.isdecimal())

    def _snapshot(self, path: Path) -> Snapshot | None:
        """A snapshot of this journal; or None, with the reason in `recovery`."""
        try:
            snapshot = read_snapshot(path.name, read_file(path))
        except JournalCorrupt as damage:
            self._pass_over(path, f"{damage.what} expected {damage.expected}, found {damage.found}")
            return None
        if snapshot.genesis != self.genesis:
            self._pass_over(path, f"it is of another journal, genesis {snapshot.genesis}")
            return None
        if path.name != snapshot_name(snapshot.sequence):
            self._pass_over(path, f"it is of row {snapshot.sequence}, not the row of its name")
            return None
        return snapshot

    def _pass_over(self, path: Path, why: str) -> None:
        damaged = DamagedSnapshot(path.name, why)
        if damaged not in self.recovery.damaged_snapshots:
            self.recovery = replace(
                self.recovery, damaged_snapshots=(*self.recovery.damaged_snapshots, damaged)
            )

    def _refuse_lost_rows(self, snapshots: list[tuple[int, Path]]) -> None:
        """A snapshot is of durable rows only: one of a later row than the last is proof that the journal's end is missing."""
        for sequence, path in snapshots:
            if sequence > self.sequence and self._snapshot(path) is not None:
                expected = f"row {sequence}, as {path.name} says"
                raise _lost_rows(segment_name(len(self._starts)), self._end, expected, self.sequence)


def journal_genesis(folder: Path, given: str | bytes | None) -> bytes:
    """The genesis of the journal in `folder`. Raises Malformed if there is no journal, or it is not the `given` one."""
    name = min((path.name for path in folder.glob(SEGMENTS)), default=None)
    if name is None:
        raise Malformed(f"journal folder {folder}", found="no segment", expected=f"at least {segment_name(1)}",
                        remedy="Name the folder of a journal, or create one there.")  # fmt: skip
    found = genesis_of(name, read_file(folder / name, 0, SEGMENT_HEADER_BYTES))
    if given is not None and genesis_bytes(given) != found:
        raise Malformed(f"journal folder {folder}, genesis", found=found.hex(), expected=genesis_bytes(given).hex(),
                        remedy="Open it with the terms that it was created with.")  # fmt: skip
    return found


def read_file(path: Path, offset: int = 0, size: int = -1) -> memoryview:
    """A file's bytes from `offset` on, at most `size` of them, in memory that may be written to: compiled kernels want it so."""
    try:
        return np.fromfile(path, dtype=np.uint8, count=size, offset=offset).data
    except OSError as error:
        raise Malformed(f"journal file {path}", found=error.strerror, expected="a file that can be read",
                        remedy="Check its permissions and the disk.") from None  # fmt: skip


def _lost_rows(segment: str, offset: int, expected: str, last: int) -> JournalCorrupt:
    return JournalCorrupt(
        segment, offset, expected=expected, found=f"the end after row {last}", what="last row"
    )
