"""Rows that say which they are: row n of every journal in the tests of the store, so that what was read can be checked."""

import numpy as np
from numpy.typing import NDArray

from ciyuan.services.archive import Archive

GENESIS = "5eed" * 8


def numbered(after: int, count: int) -> NDArray[np.int64]:
    """Rows after + 1 to after + count. Word 0 is the row's number, the others are mixed from it."""
    number = np.arange(after + 1, after + count + 1, dtype=np.uint64)
    rows = np.multiply.outer(
        number, np.array([1, *(0x9E3779B97F4A7C15 + 2 * word for word in range(7))], dtype=np.uint64)
    )
    return rows.view(np.int64)


def check_rows(archive: Archive, from_sequence: int = 0) -> int:
    """The archive holds the numbered rows and no others; how many."""
    at = from_sequence
    for rows in archive.read(from_sequence):
        assert np.array_equal(rows, numbered(at, len(rows)))
        at += len(rows)
    assert at == archive.sequence
    return at - from_sequence
