"""The books' arrays as the meter's kernel borrows them: by address, without counting references to them.

Numba unpacks every array that Python hands to compiled code, which for two books costs more than a row does; and it counts the
references to each array that one compiled function hands to another, by atomic operations. So the kernel is handed a *directory*,
one small matrix that says where each array lies, and makes of it the same arrays without an owner, which are not counted.

| expression | is |
|---|---|
| `Directory(*arrays)` | the directory of arrays, which it keeps alive; (n, 3): address, rows, columns |
| `meter_at(directory)`, `ledger_at(directory)` | in compiled code: the book whose arrays, in order, the directory is of |
| `rows_at(directory, entry)` | in compiled code: one (n, 8) matrix of it |
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array
from numpy.typing import NDArray

from ciyuan.gateway.book import Matrix, MeterBook
from ciyuan.ledger.book import Book as LedgerBook

WORD, ENTRY = ir.IntType(64), 3


class Directory:
    """Where arrays lie, as `entries`; they stay alive as long as it does."""

    def __init__(self, *arrays: NDArray[Any]) -> None:
        self.arrays = arrays
        shapes = [(len(array), array.shape[1] if array.ndim == 2 else 1) for array in arrays]
        places = [(array.ctypes.data, *shape) for array, shape in zip(arrays, shapes, strict=True)]
        self.entries = np.array(places, np.int64)


def _borrower(kind: Any) -> Any:
    """The compiled function that makes an array of type `kind` of an entry of a directory."""
    octets = kind.dtype.bitwidth // 8

    @intrinsic
    def borrow(typing_context: Any, directory: Any, entry: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            given = context.make_array(sig.args[0])(context, builder, values[0])
            first = builder.mul(values[1], WORD(ENTRY))
            address, rows, columns = (
                builder.load(builder.gep(given.data, [builder.add(first, WORD(part))]))
                for part in range(ENTRY)
            )
            made = context.make_array(kind)(context, builder)
            data = builder.inttoptr(address, made.data.type)
            shape, strides = [rows], [WORD(octets)]
            if kind.ndim == 2:
                shape, strides = [rows, columns], [builder.mul(columns, WORD(octets)), WORD(octets)]
            populate_array(made, data=data, shape=shape, strides=strides, itemsize=WORD(octets), meminfo=None)
            return made._getvalue()

        return kind(directory, types.int64), generate

    return borrow


_matrix = _borrower(types.Array(types.int64, 2, "C"))
_words = _borrower(types.Array(types.int64, 1, "C"))
_slots = _borrower(types.Array(types.int32, 1, "C"))


@njit(cache=True)
def meter_at(directory: Matrix) -> MeterBook:
    """The meter's book whose arrays are the first of a directory."""
    return MeterBook(
        _matrix(directory, 0),
        _matrix(directory, 1),
        _matrix(directory, 2),
        _matrix(directory, 3),
        _matrix(directory, 4),
        _matrix(directory, 5),
        _matrix(directory, 6),
        _matrix(directory, 7),
        _matrix(directory, 8),
        _slots(directory, 9),
        _slots(directory, 10),
        _slots(directory, 11),
        _slots(directory, 12),
        _slots(directory, 13),
        _matrix(directory, 14),
        _words(directory, 15),
    )


@njit(cache=True)
def ledger_at(directory: Matrix) -> LedgerBook:
    """The ledger's book whose arrays are a directory's."""
    return LedgerBook(
        _matrix(directory, 0),
        _matrix(directory, 1),
        _words(directory, 2),
        _slots(directory, 3),
        _matrix(directory, 4),
        _words(directory, 5),
    )


@njit(cache=True)
def rows_at(directory: Matrix, entry: int) -> Matrix:
    """A matrix of a directory."""
    rows: Matrix = _matrix(directory, entry)
    return rows
