"""Frames of a shared journal: rows get their time, frames are checked against the place where they belong. No database here.

A frame is the journal's batch (`ciyuan.journal.frame`, docs/spec/journal.md) without segments around it: the checksum before the
first frame is the genesis itself. So the header that belongs at a position is known but for the row count, and a frame is whole
if its header is that header to the byte and its checksum is right.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import JournalCorrupt, Malformed
from ciyuan.basics.rows import ROW_BYTES, ROW_WORDS, TIME
from ciyuan.journal.frame import (
    BATCH_FIELDS,
    BATCH_HEADER_BYTES,
    BATCH_PERSON,
    CHECKSUM_BYTES,
    batch_header,
    checked_rows,
    checksum,
    frame,
    frame_bytes,
    rows_at,
)
from ciyuan.journal.messages import Position

Rows = NDArray[np.int64]
EXCHANGE_ROWS_MAX = 2**16
"""Most rows of one exchange (4 MiB): while they travel, everyone else waits."""
NO_TIME = 0
"""The time word of a row that the journal is to stamp."""
BATCH_NAMES = ("batch magic", "row count", "batches before", "rows before", "checksum before")


class Exchanged(NamedTuple):
    """What one exchange gave: the rows of others since the last one, then one's own as they were stamped; both (n, 8) int64."""

    others: Rows
    mine: Rows


class Stored(NamedTuple):
    """A frame as the database holds it: `sequence` of its last row, who wrote it as which of its turns, and the frame itself."""

    sequence: int
    writer: bytes
    turn: int
    data: bytes


def exchangeable(rows: Rows) -> Rows:
    """The rows themselves if they are an (n, 8) int64 matrix of at most EXCHANGE_ROWS_MAX rows, else raises Malformed."""
    if len(checked_rows(rows)) > EXCHANGE_ROWS_MAX:
        raise Malformed("rows of one exchange", found=len(rows), expected=f"at most {EXCHANGE_ROWS_MAX}",
                        remedy="Hand them over in parts.")  # fmt: skip
    return rows


def stamped(rows: Rows, now_ns: int, last_ns: int) -> Rows:
    """A copy of `rows` in which a time of 0 has become the latest of `now_ns`, `last_ns` and the rows before it.

    `last_ns`: the time of the journal's last row. Other times are kept; raises Malformed for one before `last_ns` or before a
    row before it, since a journal's time never runs backwards.
    """
    stamped = rows.copy()
    times = stamped[:, TIME]
    given = times != NO_TIME
    meant = np.where(given, times, max(now_ns, last_ns))
    running = np.maximum(np.maximum.accumulate(meant), last_ns)
    early = given & (times < running)
    if early.any():
        row = int(np.argmax(early))
        raise Malformed(f"row {row} of an exchange, time", found=int(times[row]), expected=f"0, or at least {running[row]}",
                        remedy="Leave the time 0: the journal stamps it.")  # fmt: skip
    times[:] = running
    return stamped


def framed(rows: Rows, position: Position) -> tuple[bytes, Position]:
    """The frame of `rows` (at least one) at `position`, and the position behind it."""
    buffers, behind = frame(rows, position)
    return b"".join(buffers), behind


def unframed(journal: str, data: bytes, position: Position) -> tuple[Rows, Position]:
    """The rows of the frame that must stand at `position`, in memory that may be written to, and the position behind it.

    Raises JournalCorrupt, naming `journal` and the row before the frame, if any byte is not the one that belongs there.
    """
    row_count, left = divmod(len(data) - frame_bytes(0), ROW_BYTES)
    if row_count < 1 or left:
        expected = f"{frame_bytes(0)} bytes and {ROW_BYTES} for each of its rows"
        raise damage(journal, position, expected, f"{len(data)} bytes", "frame size")
    _check_header(journal, data, position, row_count)
    view = memoryview(data)
    counted, stored = checksum(BATCH_PERSON, view[:-CHECKSUM_BYTES]), data[-CHECKSUM_BYTES:]
    if counted != stored:
        raise damage(journal, position, stored.hex(), counted.hex(), "batch checksum")
    rows = rows_at(view, BATCH_HEADER_BYTES, row_count).copy()
    return rows, Position(position.batches + 1, position.sequence + row_count, stored)


def position_before(data: bytes) -> Position:
    """The position at which a frame says that it stands; what it says is true only if `unframed` agrees."""
    _, _, batches, sequence, before = BATCH_FIELDS.unpack_from(data.ljust(BATCH_HEADER_BYTES, b"\0"))
    return Position(batches, sequence, before)


def joined(batches: list[Rows]) -> Rows:
    """Matrices of rows as one, which may be empty."""
    return np.concatenate(batches) if batches else np.empty((0, ROW_WORDS), dtype=np.int64)


def damage(journal: str, position: Position, expected: str, found: str, what: str) -> JournalCorrupt:
    """The frame behind `position` is not what belongs there."""
    return JournalCorrupt(
        f"{journal} after row {position.sequence}", 0, expected=expected, found=found, what=what
    )


def _check_header(journal: str, data: bytes, position: Position, row_count: int) -> None:
    """Raise for the first field of a frame's header that is not the one that belongs at `position`."""
    belongs, header = batch_header(position, row_count), data[:BATCH_HEADER_BYTES]
    if header == belongs:
        return
    pairs = zip(BATCH_NAMES, BATCH_FIELDS.unpack_from(belongs), BATCH_FIELDS.unpack_from(header), strict=True)
    for name, expected, found in pairs:
        if expected != found:
            raise damage(journal, position, _shown(expected), _shown(found), name)
    raise damage(
        journal,
        position,
        belongs[BATCH_FIELDS.size :].hex(),
        header[BATCH_FIELDS.size :].hex(),
        "header checksum",
    )


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
