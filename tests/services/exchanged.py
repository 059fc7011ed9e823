"""Rows that say whose they are, for tests of journals: word 2 is the writer, word 3 counts its rows, the time is left open."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import TIME

NOW = 1_700_000_000_000_000_000
"""A time that is over on every clock."""
WRITER, NUMBER = 2, 3


def rows_of(writer: int, after: int, count: int) -> NDArray[np.int64]:
    """Rows after + 1 to after + count of a writer. The words that follow are mixed from these two."""
    number = np.arange(after + 1, after + count + 1, dtype=np.uint64)
    odd = np.array([0x9E3779B97F4A7C15 + 2 * word for word in range(8)], dtype=np.uint64)
    rows = np.empty((count, 8), dtype=np.int64)
    rows[:] = np.multiply.outer(number + np.uint64(writer << 32), odd).view(np.int64)
    rows[:, TIME], rows[:, WRITER], rows[:, NUMBER] = 0, writer, number.view(np.int64)
    return rows


def journaled(batches: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Batches as one matrix, after it was seen that their times are in order."""
    rows = np.concatenate([np.empty((0, 8), dtype=np.int64), *batches])
    assert (np.diff(rows[:, TIME]) >= 0).all()
    return rows


def check_whole(rows: NDArray[np.int64]) -> dict[int, int]:
    """Each writer's rows are there from the first on, once, in order, as they were written; how many of each."""
    counts = {}
    for writer in np.unique(rows[:, WRITER]).tolist():
        own = rows[rows[:, WRITER] == writer].copy()
        own[:, TIME] = 0
        assert np.array_equal(own, rows_of(writer, 0, len(own))), (
            f"writer {writer}: {own[:, NUMBER].tolist()}"
        )
        counts[writer] = len(own)
    return counts
