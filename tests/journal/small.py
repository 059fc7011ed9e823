"""A journal of two segments and five batches, small enough to damage in every possible way."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ciyuan.journal.frame import after_segment_header, frame, genesis_position, segment_header
from ciyuan.journal.messages import Position, TornTail
from ciyuan.journal.segment import SegmentReader

GENESIS = bytes(range(16))
NAMES = ("first", "second")


def rows_of(first: int, last: int) -> NDArray[np.int64]:
    """Rows `first` to `last` of the one journal: words that end in zeros, are negative, are large."""
    rows = np.arange(first * 8, (last + 1) * 8, dtype=np.int64).reshape(-1, 8) * 0x0123_4567_89AB
    rows[:, 3] *= -1
    rows[:, 5:] = 0
    return rows


BATCHES = ((rows_of(1, 1), rows_of(2, 3)), (rows_of(4, 4), rows_of(5, 7), rows_of(8, 9)))


@dataclass
class Written:
    """The segments' bytes; per segment where it starts in the chain and at which bytes its frames start, its end included."""

    segments: list[bytes] = field(default_factory=list)
    starts: list[Position] = field(default_factory=list)
    bounds: list[list[int]] = field(default_factory=list)
    end: Position = field(default_factory=lambda: genesis_position(GENESIS))


def written() -> Written:
    """The journal, written."""
    journal = Written()
    for number, batches in enumerate(BATCHES, start=1):
        journal.starts.append(journal.end)
        data = segment_header(number, GENESIS, journal.end)
        journal.end = after_segment_header(journal.end, data)
        journal.bounds.append([len(data)])
        for rows in batches:
            buffers, journal.end = frame(rows, journal.end)
            data += b"".join(buffers)
            journal.bounds[-1].append(len(data))
        journal.segments.append(data)
    return journal


@dataclass
class Read:
    """What a reader made of the journal: the batches it gave, segment by segment, and what it says of the end."""

    batches: list[NDArray[np.int64]] = field(default_factory=list)
    torn: TornTail | None = None
    end: Position = field(default_factory=lambda: genesis_position(GENESIS))


def read(segments: list[bytes], into: Read | None = None) -> Read:
    """Read segments as one journal, collecting into `into`, which keeps what was read before an error."""
    found = into if into is not None else Read()
    for number, data in enumerate(segments, start=1):
        name = NAMES[number - 1] if number <= len(NAMES) else f"number {number}"
        reader = SegmentReader(
            name, memoryview(data), number, GENESIS, found.end, last=number == len(segments)
        )
        for rows in reader:
            found.batches.append(rows.copy())
            found.end = reader.position
        found.end, found.torn = reader.position, reader.torn
    return found


def same(found: list[NDArray[np.int64]], expected: list[NDArray[np.int64]]) -> bool:
    """Whether the batches are these, in this order, and no other."""
    return len(found) == len(expected) and all(
        np.array_equal(a, b) for a, b in zip(found, expected, strict=True)
    )


ALL = [rows for batches in BATCHES for rows in batches]
