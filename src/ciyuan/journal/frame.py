"""The bytes of a journal: segment headers and batch frames. The tables are in docs/spec/journal.md.

    segment = segment header, frame, frame, ...
    frame   = batch header, rows (64 bytes each), checksum of both

Theory of operation. Every checksum is BLAKE2b-128 of what it closes, and that holds the checksum before it: genesis, segment
header, batch, batch, ..., next segment header, ... are one chain. No byte, batch or segment can be changed, dropped, added or
moved without breaking it at a place that can be named.

A batch header has a checksum of its own, so that a damaged row count is seen as damage and not taken for a frame that the file
ends inside of. The frame's checksum comes last, so that a frame that was written to its end never ends in zeros: a file system
that had reserved the space, but not written it, when the power went, leaves zeros there.
"""

import sys
from hashlib import blake2b
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import ROW_BYTES, ROW_WORDS
from ciyuan.journal.messages import Position

FORMAT_VERSION = 1
SEGMENT_MAGIC = b"ciyuanJ\n"
BATCH_MAGIC = b"BTCH"
CHECKSUM_BYTES = 16
WORD_BYTES = 8
BATCH_ROWS_MAX = 2**18
"""Most rows of one batch (16 MiB)."""

SEGMENT_FIELDS = Struct("<8sIIQQQ16s16s")
"""magic, format version, bytes a row, segment number (from 1), batches before, rows before, genesis, checksum before."""
BATCH_FIELDS = Struct("<4sIQQ16s")
"""magic, rows, batches before, rows before, checksum before."""
SEGMENT_HEADER_BYTES = SEGMENT_FIELDS.size + CHECKSUM_BYTES
BATCH_HEADER_BYTES = BATCH_FIELDS.size + CHECKSUM_BYTES

SEGMENT_PERSON, HEADER_PERSON, BATCH_PERSON = b"ciyuan segment", b"ciyuan header", b"ciyuan batch"
"""What BLAKE2b is told it hashes, so that no checksum can stand for another kind's."""

Buffer = bytes | memoryview


def checksum(person: bytes, *pieces: Buffer) -> bytes:
    """BLAKE2b-128 of the pieces one after the other, personalised by `person`."""
    digest = blake2b(digest_size=CHECKSUM_BYTES, person=person)
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def genesis_bytes(genesis: str | bytes) -> bytes:
    """A genesis as its 16 bytes, from these or from 32 hexadecimal characters. Raises Malformed for anything else."""
    try:
        raw = bytes.fromhex(genesis) if isinstance(genesis, str) else bytes(genesis)
    except ValueError:
        raw = b""
    if len(raw) != CHECKSUM_BYTES:
        raise Malformed(
            "a journal's genesis",
            found=genesis,
            expected="a digest of 16 bytes or 32 hexadecimal characters",
            remedy="Digest the terms with BLAKE2b-128, as basics.state.state_hash does.",
        )
    return raw


def genesis_position(genesis: bytes) -> Position:
    """The position before the first segment."""
    return Position(0, 0, genesis)


def segment_header(number: int, genesis: bytes, position: Position) -> bytes:
    """The header of segment `number`, which begins at `position`."""
    fields = SEGMENT_FIELDS.pack(
        SEGMENT_MAGIC,
        FORMAT_VERSION,
        ROW_BYTES,
        number,
        position.batches,
        position.sequence,
        genesis,
        position.checksum,
    )
    return fields + checksum(SEGMENT_PERSON, fields)


def after_segment_header(position: Position, header: Buffer) -> Position:
    """The position behind a segment's header: nothing more was written, but the chain goes through it."""
    return Position(position.batches, position.sequence, bytes(header[-CHECKSUM_BYTES:]))


def batch_header(position: Position, row_count: int) -> bytes:
    """The header of a batch of `row_count` rows (less than 2^32) at `position`."""
    fields = BATCH_FIELDS.pack(BATCH_MAGIC, row_count, position.batches, position.sequence, position.checksum)
    return fields + checksum(HEADER_PERSON, fields)


def frame_bytes(row_count: int) -> int:
    """The size of a whole frame."""
    return BATCH_HEADER_BYTES + row_count * ROW_BYTES + CHECKSUM_BYTES


def frame(rows: NDArray[np.int64], position: Position) -> tuple[list[Buffer], Position]:
    """The frame of one batch as buffers to be written in order, and the position behind it. The rows are not copied.

    `rows`: checked, (n, 8), 1 <= n <= BATCH_ROWS_MAX.
    """
    header, body = batch_header(position, len(rows)), _little_endian(rows)
    seal = checksum(BATCH_PERSON, header, body)
    return [header, body, seal], Position(position.batches + 1, position.sequence + len(rows), seal)


def rows_at(data: memoryview, offset: int, row_count: int) -> NDArray[np.int64]:
    """The rows that start at byte `offset`, as a view of `data`."""
    words = np.frombuffer(data, dtype="<i8", count=row_count * ROW_WORDS, offset=offset)
    return words.astype(np.int64, copy=False).reshape(row_count, ROW_WORDS)


def checked_rows(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows themselves if they are a C-contiguous (n, 8) int64 matrix, else raises Malformed."""
    if rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] != ROW_WORDS or not rows.flags.c_contiguous:
        raise Malformed(
            "rows to be journaled",
            found=f"{rows.dtype} {rows.shape}",
            expected="a C-contiguous (n, 8) int64 matrix",
            remedy="Make it with np.ascontiguousarray(rows, dtype=np.int64).reshape(-1, 8).",
        )
    return rows


def _little_endian(rows: NDArray[np.int64]) -> memoryview:
    return (rows if sys.byteorder == "little" else rows.astype("<i8")).data.cast("B")
