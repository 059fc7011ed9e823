"""The store: a journal on a disk. What it has acknowledged is there after `kill -9`, a power cut or a full disk.

    with Store.create(folder, genesis) as store:      # or Store.open(folder): recovers what is whole
        sequence = store.append(rows)                 # durable when it returns
        store.stage(rows); store.stage(more)          # group commit: many small batches,
        sequence = store.commit()                     # made durable by one write and one sync
        store.write(rows); sequence = store.sync()    # the same in two steps: the second may wait in another thread

Theory of operation. A batch is acknowledged after its frame was written and synced (fdatasync). A new segment and a snapshot get
their names only after they were synced, and the folder is synced after that. So a crash can leave at most one frame that is not
whole, at the journal's end, and it was never acknowledged: opening cuts it off and says so (`recovery`).

A write or sync that fails stops the store for good: after a failed sync the system may have forgotten what it could not write,
so trying again would succeed and mean nothing. For the same reason opening writes the last batch, which a process that died may
have written but not synced, once more in place, and syncs it, before anything is built upon it.

One batch at a time: after a `write` nothing else is written before its `sync`, so that a crash still leaves at most one frame
that is not whole. The two may be called from two threads, one after the other.

One store, one writer: a second writer is refused by a lock on the folder, which the system lets go with the process.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import CiyuanError, InvariantBroken, Malformed
from ciyuan.basics.rows import ROW_WORDS
from ciyuan.journal.frame import (
    BATCH_ROWS_MAX,
    SEGMENT_HEADER_BYTES,
    after_segment_header,
    checked_rows,
    frame,
    frame_bytes,
    genesis_bytes,
    genesis_position,
    segment_header,
)
from ciyuan.journal.messages import Position, Snapshot
from ciyuan.journal.snapshot import snapshot_buffers
from ciyuan.services.archive import SEGMENTS, Archive, journal_genesis, read_file, segment_name, snapshot_name
from ciyuan.services.disk import DRAFT, Disk, lock_folder

SEGMENT_BYTES = 64 * 2**20
"""Size at which the next segment is begun. A batch is never split over two: one that is larger has a segment of its own."""
FIRST_STAGE_ROWS = 1024
CLOSED = -1
"""A descriptor of nothing."""


class StoreFailed(CiyuanError):
    """The disk refused a write or a sync. `sequence` is the last row that this store has acknowledged, and ever will."""

    def __init__(self, folder: Path, sequence: int, cause: str) -> None:
        self.folder = folder
        self.sequence = sequence
        self.cause = cause
        super().__init__(
            f"store {folder} failed: {cause}. All up to row {sequence} is safe, nothing after it is acknowledged. "
            "Make room or mend the disk, then open the store again."
        )


class Store(Archive):
    """A journal that is written. Made by `create` or `open`; a context manager that closes itself.

    Every method that writes raises StoreFailed once the disk has refused a write.
    """

    def __init__(
        self,
        folder: Path,
        genesis: str | bytes | None = None,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk | None = None,
    ) -> None:
        self._disk = disk or Disk()
        self._segment_bytes = segment_bytes
        self._staged = np.empty((FIRST_STAGE_ROWS, ROW_WORDS), dtype=np.int64)
        self._staged_count = 0
        self._failure: str | None = None
        self._written: tuple[Position, int] | None = None
        self._descriptor = CLOSED
        journal_genesis(folder, genesis)
        self._lock = lock_folder(folder)
        try:
            super().__init__(folder, genesis)
            self._mend()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(
        cls,
        folder: Path,
        genesis: str | bytes,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk | None = None,
    ) -> Self:
        """A new journal in `folder`, which is made if it is not there. Raises Malformed if it holds a journal.

        `genesis`: what the journal is of, a digest of 16 bytes or 32 hexadecimal characters.
        """
        disk, raw = disk or Disk(), genesis_bytes(genesis)
        folder.mkdir(parents=True, exist_ok=True)
        lock = lock_folder(folder)
        try:
            if any(folder.glob(SEGMENTS)):
                raise Malformed(f"store {folder}", found="a journal", expected="a folder without one",
                                remedy="Open it, or create the new one elsewhere.")  # fmt: skip
            disk.sync_folder(folder.parent)
            os.close(
                disk.write_new(folder / segment_name(1), [segment_header(1, raw, genesis_position(raw))])
            )
        except OSError as error:
            raise StoreFailed(folder, 0, str(error)) from error
        finally:
            os.close(lock)
        return cls(folder, raw, segment_bytes=segment_bytes, disk=disk)

    @classmethod
    def open(
        cls,
        folder: Path,
        genesis: str | bytes | None = None,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk | None = None,
    ) -> Self:
        """The journal in `folder`, recovered; see `Archive` for what it raises, and Malformed if it has a writer already."""
        return cls(folder, genesis, segment_bytes=segment_bytes, disk=disk)

    def append(self, rows: NDArray[np.int64]) -> int:
        """Make the staged rows, if any, and then `rows` (n, 8) durable; the last row's sequence.

        More than `BATCH_ROWS_MAX` rows become several batches. No rows: nothing is written.
        """
        if self._staged_count:
            self.stage(rows)
            return self.commit()
        return self._write(checked_rows(rows))

    def stage(self, rows: NDArray[np.int64]) -> int:
        """Copy `rows` (n, 8) to the batch that the next commit writes; the sequence that the last of them will have.

        Nothing is durable yet, and `close` forgets it.
        """
        self._refuse_if_failed()
        count = self._staged_count + len(checked_rows(rows))
        if count > len(self._staged):
            room = np.empty((max(count, 2 * len(self._staged)), ROW_WORDS), dtype=np.int64)
            room[: self._staged_count] = self._staged[: self._staged_count]
            self._staged = room
        self._staged[self._staged_count : count] = rows
        self._staged_count = count
        return self.sequence + count

    def commit(self) -> int:
        """Make the staged rows durable as one batch; the last row's sequence."""
        sequence = self._write(self._staged[: self._staged_count])
        self._staged_count = 0
        return sequence

    def write(self, rows: NDArray[np.int64]) -> int:
        """Write `rows` (n, 8; 1 to `BATCH_ROWS_MAX`) as one batch; the sequence that its last row will have.

        It is there after this process was killed; after a power cut it is there once `sync` has returned.
        """
        with self._writing():
            return self._write_frame(checked_rows(rows))

    def sync(self) -> int:
        """Make the batch of the last `write` durable; the last row's sequence."""
        with self._writing():
            return self._sync_frame()

    @property
    def unsynced(self) -> tuple[int, int]:
        """The number of the segment that the last `write` went to, and its descriptor: for who syncs it in this store's stead."""
        return len(self._starts), self._descriptor

    def synced(self, error: int = 0) -> int:
        """The batch of the last `write` was synced by someone else, or could not be (`error`, a number); the last row's sequence.

        A sync that failed stops the store, as one of its own does.
        """
        with self._writing():
            if error:
                raise OSError(error, os.strerror(error))
            return self._acknowledge()

    def snapshot(self, sequence: int, parts: Mapping[str, NDArray[np.int64]], state_hash: str) -> Path:
        """Keep a machine's state after row `sequence`, whole and durable or not at all; its file.

        Raises Malformed for a row that is not durable yet, or for parts that are not int64 matrices.
        """
        if not 0 <= sequence <= self.sequence:
            raise Malformed("a snapshot's sequence", found=sequence, expected=f"0 to {self.sequence}, the last durable row",
                            remedy="Commit first; a snapshot must never be ahead of its journal.")  # fmt: skip
        path = self.folder / snapshot_name(sequence)
        buffers = snapshot_buffers(Snapshot(sequence, state_hash, self.genesis, parts))
        with self._writing():
            os.close(self._disk.write_new(path, buffers))
        return path

    def close(self) -> None:
        """Let go of the files and of the lock. Staged rows are forgotten. A second time: nothing to do."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor != CLOSED:
                os.close(descriptor)
        self._descriptor = self._lock = CLOSED
        self._failure = self._failure or "it is closed"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, rows: NDArray[np.int64]) -> int:
        with self._writing():
            for first in range(0, len(rows), BATCH_ROWS_MAX):
                self._write_batch(rows[first : first + BATCH_ROWS_MAX])
        return self.sequence

    def _write_batch(self, rows: NDArray[np.int64]) -> None:
        self._write_frame(rows)
        self._sync_frame()

    def _write_frame(self, rows: NDArray[np.int64]) -> int:
        """Write one batch, in a new segment if the last one has no room for it."""
        if self._written is not None:
            raise InvariantBroken(
                "store", f"a batch to row {self._written[0].sequence} is written and not synced"
            )
        if SEGMENT_HEADER_BYTES < self._end > self._segment_bytes - frame_bytes(len(rows)):
            self._begin_segment()
        buffers, position = frame(rows, self._position)
        self._written = position, self._disk.write(self._descriptor, buffers, self._end)
        return position.sequence

    def _sync_frame(self) -> int:
        if self._written is not None:
            self._disk.sync(self._descriptor)
        return self._acknowledge()

    def _acknowledge(self) -> int:
        if self._written is not None:
            self._position, self._end = self._written
            self._written = None
        return self.sequence

    def _begin_segment(self) -> None:
        number = len(self._starts) + 1
        header = segment_header(number, self._genesis, self._position)
        descriptor = self._disk.write_new(self.folder / segment_name(number), [header])
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._starts.append(self._position)
        self._position, self._end = after_segment_header(self._position, header), len(header)

    def _mend(self) -> None:
        """Cut off a torn tail and make the last batch durable, as the theory above says; drafts of what was never kept go."""
        path = self.folder / segment_name(len(self._starts))
        with self._writing():
            for draft in self.folder.glob(f"*{DRAFT}"):
                draft.unlink()
            self._descriptor = self._disk.open_existing(path)
            if self.recovery.torn is not None:
                self._disk.truncate(self._descriptor, self._end)
                self.recovery = replace(self.recovery, cut=True)
            last_frame = read_file(path, self._last_frame_at, self._end - self._last_frame_at)
            self._disk.write(self._descriptor, [last_frame], self._last_frame_at)
            self._disk.sync(self._descriptor)
            self._disk.sync_folder(self.folder)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What fails inside stops the store."""
        self._refuse_if_failed()
        try:
            yield
        except OSError as error:
            self._failure = str(error)
            raise StoreFailed(self.folder, self.sequence, self._failure) from error
        except BaseException as error:
            self._failure = f"a write was interrupted by {type(error).__name__}"
            raise

    def _refuse_if_failed(self) -> None:
        if self._failure is not None:
            raise StoreFailed(self.folder, self.sequence, self._failure)
