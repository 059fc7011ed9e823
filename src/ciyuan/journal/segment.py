"""Reading a segment: every byte is accounted for, or the place is named.

Only the last segment may end in a torn frame, and only in one of two ways: the file ends inside of it, or from some word of the
frame on it is zeros to its end, where the file ends too. What was written of a torn header must still be the header that belongs
there. Everything else that does not fit is `JournalCorrupt`: `expected` is what was stored when the bytes were written (or what
belongs there), `found` what the bytes give now.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import JournalCorrupt, Malformed
from ciyuan.basics.rows import ROW_BYTES
from ciyuan.journal.frame import (
    BATCH_FIELDS,
    BATCH_HEADER_BYTES,
    BATCH_MAGIC,
    BATCH_PERSON,
    BATCH_ROWS_MAX,
    CHECKSUM_BYTES,
    FORMAT_VERSION,
    HEADER_PERSON,
    SEGMENT_FIELDS,
    SEGMENT_HEADER_BYTES,
    SEGMENT_MAGIC,
    SEGMENT_PERSON,
    WORD_BYTES,
    after_segment_header,
    batch_header,
    checksum,
    frame_bytes,
    rows_at,
)
from ciyuan.journal.messages import Position, TornTail

VERSION = "format version"
SEGMENT_NAMES = (
    "magic",
    VERSION,
    "bytes a row",
    "segment number",
    "batches before",
    "rows before",
    "genesis",
    "checksum before",
)
BATCH_NAMES = ("batch magic", "row count", "batches before", "rows before", "checksum before")


class SegmentReader:
    """Iterates over one segment's batches, each an (n, 8) int64 view of `data`.

    `name` is the segment's in errors, `number` counts from 1, `start` is where the segment before ended, `last` whether none
    follows. `position` and `end` say how far it has read: what is whole, and the byte behind it; `last_frame_at` is the byte at
    which the last whole frame starts (`end` while there is none). `torn` is known when it has read to the end.
    Raises JournalCorrupt, at once for the header and while iterating for the batches; Malformed for an unknown format version.
    """

    def __init__(
        self, name: str, data: memoryview, number: int, genesis: bytes, start: Position, *, last: bool
    ) -> None:
        self.torn: TornTail | None = None
        self.end = self.last_frame_at = SEGMENT_HEADER_BYTES
        self.name = name
        self._data = data
        self._last = last
        header = _checked_header(name, data)
        belongs = (
            SEGMENT_MAGIC,
            FORMAT_VERSION,
            ROW_BYTES,
            number,
            start.batches,
            start.sequence,
            genesis,
            start.checksum,
        )
        self._compare(0, SEGMENT_NAMES, SEGMENT_FIELDS.unpack_from(header), belongs)
        self.position = after_segment_header(start, header)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        while self.end < len(self._data):
            header = self._data[self.end : self.end + BATCH_HEADER_BYTES]
            row_count = self._row_count(header)
            if row_count is None:
                self._tear_header(header)
                return
            rows = self._rows(header, row_count)
            if rows is None:
                return
            yield rows

    def _row_count(self, header: memoryview) -> int | None:
        """The row count of a whole header that belongs here; None if it is not whole."""
        if (
            len(header) < BATCH_HEADER_BYTES
            or checksum(HEADER_PERSON, header[: BATCH_FIELDS.size]) != header[BATCH_FIELDS.size :]
        ):
            return None
        fields, at = BATCH_FIELDS.unpack_from(header), self.position
        row_count: int = fields[1]
        belongs = (BATCH_MAGIC, _possible(row_count), at.batches, at.sequence, at.checksum)
        self._compare(self.end, BATCH_NAMES, fields, belongs)
        return row_count

    def _rows(self, header: memoryview, row_count: int) -> NDArray[np.int64] | None:
        """The rows of the frame at `end`, and the position moved behind it; None if the frame is torn."""
        body, end = self.end + BATCH_HEADER_BYTES, self.end + frame_bytes(row_count)
        if len(self._data) < end:
            self._tear(
                "the file ends inside its rows",
                f"{end - self.end} bytes",
                f"{len(self._data) - self.end} bytes",
                "batch size",
            )
            return None
        stored = bytes(self._data[end - CHECKSUM_BYTES : end])
        counted = checksum(BATCH_PERSON, header, self._data[body : end - CHECKSUM_BYTES])
        if counted != stored:
            if end < len(self._data) or any(self._data[end - WORD_BYTES :]):
                raise self._damage(stored.hex(), counted.hex(), "batch checksum")
            self._tear("its end is zeros", stored.hex(), counted.hex(), "batch checksum")
            return None
        self.position = Position(self.position.batches + 1, self.position.sequence + row_count, stored)
        self.last_frame_at, self.end = self.end, end
        return rows_at(self._data, body, row_count)

    def _tear_header(self, header: memoryview) -> None:
        """Set `torn` if the header at `end`, which is not whole, is the beginning of one that belongs here."""
        whole = len(header) == BATCH_HEADER_BYTES
        written = len(bytes(self._data[self.end :]).rstrip(b"\0"))
        written = min(-(-written // WORD_BYTES) * WORD_BYTES, len(header))
        if whole and (written == BATCH_HEADER_BYTES or not self._last):
            fields, stored = header[: BATCH_FIELDS.size], header[BATCH_FIELDS.size :]
            raise self._damage(stored.hex(), checksum(HEADER_PERSON, fields).hex(), "batch header checksum")
        row_count = int.from_bytes(header[4:8], "little")
        if written >= WORD_BYTES:
            row_count = _possible(row_count)
        belongs = batch_header(self.position, row_count)[:written]
        if header[:written] != belongs:
            raise self._damage(belongs.hex(), header[:written].hex(), "batch header")
        size, size_max = len(self._data) - self.end, frame_bytes(row_count or BATCH_ROWS_MAX)
        if size > size_max:
            raise self._damage(f"{size_max} bytes at most", f"{size} bytes", "size of an unwritten batch")
        why = "its header ends in zeros" if whole else "the file ends inside its header"
        self._tear(
            why if written else "only zeros",
            f"{BATCH_HEADER_BYTES} bytes",
            f"{len(header)} bytes",
            "batch header size",
        )

    def _tear(self, why: str, expected: str, found: str, what: str) -> None:
        """Set `torn`, or raise if this segment is not the last."""
        if not self._last:
            raise self._damage(expected, found, what)
        self.torn = TornTail(self.name, self.end, len(self._data) - self.end, why)

    def _compare(
        self, offset: int, names: tuple[str, ...], found: tuple[object, ...], expected: tuple[object, ...]
    ) -> None:
        """Raise for the first field of a header with a right checksum that is not the one that belongs here."""
        for name, is_, should in zip(names, found, expected, strict=True):
            if is_ != should:
                if name == VERSION:
                    raise Malformed(f"journal segment {self.name}, {VERSION}", found=is_, expected=str(should),
                                    remedy="Read it with the version of ciyuan that wrote it.")  # fmt: skip
                raise JournalCorrupt(self.name, offset, expected=_shown(should), found=_shown(is_), what=name)

    def _damage(self, expected: str, found: str, what: str) -> JournalCorrupt:
        return JournalCorrupt(self.name, self.end, expected=expected, found=found, what=what)


def genesis_of(name: str, data: memoryview) -> bytes:
    """The genesis (16 bytes) that a segment's header names. Raises JournalCorrupt if the header is not whole."""
    genesis: bytes = SEGMENT_FIELDS.unpack_from(_checked_header(name, data))[6]
    return genesis


def _checked_header(name: str, data: memoryview) -> memoryview:
    header = data[:SEGMENT_HEADER_BYTES]
    if len(header) < SEGMENT_HEADER_BYTES:
        raise JournalCorrupt(
            name,
            0,
            expected=f"{SEGMENT_HEADER_BYTES} bytes",
            found=f"{len(header)} bytes",
            what="segment header size",
        )
    counted, stored = checksum(SEGMENT_PERSON, header[: SEGMENT_FIELDS.size]), header[SEGMENT_FIELDS.size :]
    if counted != stored:
        raise JournalCorrupt(
            name, 0, expected=stored.hex(), found=counted.hex(), what="segment header checksum"
        )
    return header


def _possible(row_count: int) -> int:
    """The row count itself if a batch can have it, else the nearest that one can."""
    return min(max(row_count, 1), BATCH_ROWS_MAX)


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
