"""The kernel as plain Python over tables that are looked after: `python -m tests.exchange.checked FIRST_SEED SEEDS
COMMANDS`.

Compiled, the kernel looks at neither bounds nor overflow (`exchange/tables.py`). Here the same source runs
uncompiled, with NUMBA_DISABLE_JIT set, over tables that raise IndexError for a place outside, negative ones too, and
OverflowError for what is no word. Beside the plain twin it hears the flows of the twin test: one command at a time,
then as one batch, then words that are anything.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.exchange.listings import setting_of

WORD_BITS = 64


def within(place: Any, count: int) -> int:
    """The place as an int, if there is one."""
    if not 0 <= place < count:
        raise IndexError(f"place {place} of {count}")
    return int(place)


class Table:
    """A table of the kernel, of an int matrix. `wraps`: words of bits, of which the highest is the sign."""

    def __init__(self, matrix: NDArray[Any], columns: int, *, wraps: bool = False) -> None:
        self.matrix, self.columns, self.wraps = matrix.reshape(-1, columns), columns, wraps

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            return int(self.matrix[within(index[0], len(self)), within(index[1], self.columns)])
        row = self.matrix[within(index, len(self))]
        return int(row[0]) if self.columns == 1 else Table(row, 1)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, tuple):
            column = index[1] if isinstance(index[1], slice) else within(index[1], self.columns)
            self.matrix[within(index[0], len(self)), column] = int(value)
        elif isinstance(value, Table):
            self.matrix[within(index, len(self))] = value.matrix[:, 0]
        else:
            self.matrix[within(index, len(self)), 0] = signed(int(value)) if self.wraps else int(value)


def signed(bits: int) -> int:
    """The word of 64 bits."""
    bits &= (1 << WORD_BITS) - 1
    return bits - (1 << WORD_BITS) if bits >> WORD_BITS - 1 else bits


def look_after() -> None:
    """Put looked-after tables, and bits found without the processor's help, in the place of the kernel's, before it
    is imported.
    """
    from ciyuan.exchange import tables

    books: dict[bytes, Any] = {}
    tables.table = Table
    tables.fetch = lambda *_: None
    tables.record_of = lambda kind: lambda directory: books[directory.tobytes()]
    from ciyuan.exchange import book as books_of_the_kernel
    from ciyuan.exchange import ladder

    addresses_of = books_of_the_kernel.directory_of

    def directory_of(book: Any) -> Any:
        directory = addresses_of(book)
        looked_after = {
            name: Table(matrix, matrix.shape[1] if matrix.ndim > 1 else 1, wraps=name == "bits")
            for name, matrix in book._asdict().items()
        }
        books[directory.tobytes()] = type("Book", (), looked_after)
        return directory

    books_of_the_kernel.directory_of = directory_of
    ladder.lowest_bit = lambda word: (word & -word).bit_length() - 1
    ladder.highest_bit = lambda word: (word & ((1 << WORD_BITS) - 1)).bit_length() - 1


def anything(rows: NDArray[np.int64], seed: int, count: int) -> NDArray[np.int64]:
    """Rows of which every fourth word is any, at the time of the latest."""
    chance = np.random.default_rng(seed)
    mixed = rows[chance.integers(0, len(rows), count)]
    spoiled = chance.integers(0, 4, mixed.shape) == 0
    words = chance.integers(-(2**63), 2**63 - 1, mixed.shape, dtype=np.int64, endpoint=True)
    mixed[spoiled] = words[spoiled]
    mixed[::2, 0] = rows[chance.integers(0, len(rows), len(mixed[::2])), 0]
    mixed[:, 1] = rows[:, 1].max()
    return mixed


def main(first: int, seeds: int, commands: int) -> None:
    """Play flows on both, and say how many commands they agree on."""
    look_after()
    from ciyuan.exchange.machine import Exchange
    from tests.exchange.flows import moves_of
    from tests.exchange.twins import Twins, matrix

    for seed in range(first, first + seeds):
        twins = Twins(setting_of(seed))
        twins.play(moves_of(seed, commands))
        kernel, rows = twins.other(Exchange), matrix(twins.rows)
        assert np.array_equal(kernel.apply(rows), matrix(twins.events))
        strange = anything(rows, seed, commands // 4)
        assert np.array_equal(kernel.apply(strange), twins.plain.apply(strange))
        assert kernel.state_hash() == twins.plain.state_hash()
        twins.other(Exchange, kernel.snapshot())
        sys.stdout.write(f"seed {seed}: {len(rows) + len(strange)} commands\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
