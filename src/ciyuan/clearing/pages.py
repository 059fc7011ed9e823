"""Pages: a list of events that compiled loops can write to as a matrix, for what is too long to be a list of tuples.

To whoever appends to it, it is the list of events that all parts of the clearing house know. A loop claims rows after what was
said so far, writes, and keeps what it has written; at the end all of it is one matrix.
"""

from types import TracebackType

import numpy as np

from ciyuan.basics.rows import ROW_WORDS, Row
from ciyuan.clearing.books import Out
from ciyuan.clearing.columns import Matrix, empty_lines


class Pages(list[Row]):
    """Events in order: those kept in the matrix, then those appended since. Let nobody take any out, or count them.

    `buffer` is memory to begin with: rows of eight words.
    """

    def __init__(self, buffer: Matrix | None = None) -> None:
        super().__init__()
        self.buffer = np.empty((0, ROW_WORDS), dtype=np.int64) if buffer is None else buffer
        self.said = 0

    def claim(self, rows: int) -> Matrix:
        """Room for so many rows after what was said. What is written there counts once it is kept."""
        wanted = self.said + len(self) + rows
        if wanted > len(self.buffer):
            buffer = empty_lines(wanted, ROW_WORDS)
            buffer[: self.said] = self.buffer[: self.said]
            self.buffer = buffer
        if self:
            self.buffer[self.said : self.said + len(self)] = self
            self.said += len(self)
            self.clear()
        return self.buffer[self.said :]

    def keep(self, rows: int) -> None:
        """The first `rows` of what was claimed have been said."""
        self.said += rows

    def matrix(self) -> Matrix:
        """All events, (n, 8) int64: a view of the buffer."""
        self.claim(0)
        return self.buffer[: self.said]


class PagesOver:
    """Within it `out` is pages: itself, if it is; else new ones, which are appended to it at the end."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._pages = out if isinstance(out, Pages) else Pages()

    def __enter__(self) -> Pages:
        return self._pages

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pages is not self._out:
            self._out.extend(map(tuple, self._pages.matrix().tolist()))
