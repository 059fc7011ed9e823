"""The bytes of a snapshot: named int64 matrices that say themselves what they are. The table is in docs/spec/journal.md.

    magic (8), length of the contents (8), contents (JSON, padded with spaces), the matrices one after the other, checksum (16)

The contents are `{"version", "sequence", "state_hash", "genesis", "parts": {name: [rows, columns]}}`; the matrices follow in the
order of `parts`. The checksum is BLAKE2b-128 of all that is before it.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import JournalCorrupt, Malformed
from ciyuan.journal.frame import CHECKSUM_BYTES, WORD_BYTES, Buffer, checksum
from ciyuan.journal.messages import Snapshot

SNAPSHOT_VERSION = 1
SNAPSHOT_MAGIC = b"ciyuanS\n"
SNAPSHOT_PERSON = b"ciyuan snapshot"
CONTENTS_AT = 2 * WORD_BYTES
"""Where the contents begin: behind the magic and their own length."""


def snapshot_buffers(snapshot: Snapshot) -> list[Buffer]:
    """A snapshot as buffers to be written in order, its matrices not copied. Raises Malformed if one is no int64 matrix."""
    for name, part in snapshot.parts.items():
        if part.dtype != np.int64 or part.ndim != 2:
            raise Malformed(f"snapshot part {name}", found=f"{part.dtype} {part.shape}", expected="an int64 matrix",
                            remedy="A machine's snapshot is a dict of two-dimensional int64 arrays.")  # fmt: skip
    table = {
        "version": SNAPSHOT_VERSION,
        "sequence": snapshot.sequence,
        "state_hash": snapshot.state_hash,
        "genesis": snapshot.genesis,
        "parts": {name: part.shape for name, part in snapshot.parts.items()},
    }
    contents = json.dumps(table).encode()
    contents += b" " * (-len(contents) % WORD_BYTES)
    before: list[Buffer] = [SNAPSHOT_MAGIC + len(contents).to_bytes(WORD_BYTES, "little"), contents]
    before += [_bytes_of(part) for part in snapshot.parts.values() if part.size]
    return [*before, checksum(SNAPSHOT_PERSON, *before)]


def read_snapshot(name: str, data: memoryview) -> Snapshot:
    """A snapshot from its bytes; its parts are views of them. Raises JournalCorrupt, naming `name`, if a byte has changed."""
    counted, stored = checksum(SNAPSHOT_PERSON, data[:-CHECKSUM_BYTES]), data[-CHECKSUM_BYTES:]
    if counted != stored:
        raise JournalCorrupt(name, 0, expected=stored.hex(), found=counted.hex(), what="snapshot checksum")
    if data[:WORD_BYTES] != SNAPSHOT_MAGIC:
        raise JournalCorrupt(
            name, 0, expected=SNAPSHOT_MAGIC.hex(), found=data[:WORD_BYTES].hex(), what="magic"
        )
    matrices_at = CONTENTS_AT + int.from_bytes(data[WORD_BYTES:CONTENTS_AT], "little")
    table = json.loads(bytes(data[CONTENTS_AT:matrices_at]))
    if table["version"] != SNAPSHOT_VERSION:
        raise JournalCorrupt(
            name,
            CONTENTS_AT,
            expected=str(SNAPSHOT_VERSION),
            found=str(table["version"]),
            what="snapshot version",
        )
    parts = dict(_parts(data, matrices_at, table["parts"]))
    return Snapshot(table["sequence"], table["state_hash"], table["genesis"], parts)


def _parts(
    data: memoryview, offset: int, shapes: Mapping[str, list[int]]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    for name, shape in shapes.items():
        count = math.prod(shape)
        words = np.frombuffer(data[offset : offset + count * WORD_BYTES], dtype="<i8")
        yield name, words.astype(np.int64, copy=False).reshape(shape)
        offset += count * WORD_BYTES


def _bytes_of(part: NDArray[np.int64]) -> memoryview:
    whole = np.ascontiguousarray(part if sys.byteorder == "little" else part.astype("<i8"))
    return whole.data.cast("B")
