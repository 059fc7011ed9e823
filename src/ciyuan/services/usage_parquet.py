"""Usage files in Parquet. A row's "line" is its number in the file, from 1. pyarrow is loaded only when such
a file is read.

| column | types read | how |
|---|---|---|
| counts | any integer; float64 | a float must be whole: it is then exact |
| timestamp_s | any integer; decimal; string; float64 | the first three exactly; a float to the nearest nanosecond |
| customer | string, dictionary of strings, integer | as text |
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.services.usage_rows import (
    CHUNK_ROWS,
    COUNT_MAX,
    COUNTS,
    CUSTOMER,
    FRACTION,
    KNOWN,
    NEGATIVE,
    NOT_A_NUMBER,
    NOT_A_TIME,
    TIMESTAMP,
    TOO_MANY,
    Chunk,
    Fault,
    Ints,
    Table,
    check_columns,
    names_of_text,
    times_of_text,
)

PARQUET_MAGIC = b"PAR1"
_SECONDS_MAX = INT64_MAX // NS_PER_SECOND


def _mark(name: str, wrong: NDArray[np.bool_], column: Any, expected: str, faults: list[Fault]) -> None:
    faults.extend(
        Fault(index, name, column[index].as_py(), expected) for index in np.flatnonzero(wrong).tolist()
    )


def _numbers(name: str, column: Any, expected: str, faults: list[Fault]) -> NDArray[Any]:
    """A numeric column as a NumPy vector of its own type; what is null, not a number or infinite is a fault,
    and held as 0.
    """
    nothing: NDArray[np.bool_] = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    values: NDArray[Any] = column.fill_null(0).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        nothing = nothing | ~np.isfinite(values)
    _mark(name, nothing, column, expected, faults)
    return np.where(nothing, values.dtype.type(0), values)


def _counts(name: str, column: Any, faults: list[Fault]) -> Ints:
    values = _numbers(name, column, NOT_A_NUMBER, faults)
    negative = values < 0
    many = values > COUNT_MAX
    broken = (
        np.zeros(len(values), np.bool_)
        if values.dtype.kind != "f"
        else (values != np.floor(values)) & ~negative & ~many
    )
    _mark(name, negative, column, NEGATIVE, faults)
    _mark(name, many, column, TOO_MANY, faults)
    _mark(name, broken, column, FRACTION, faults)
    return np.where(negative | many | broken, values.dtype.type(0), values).astype(np.int64)


def _times(column: Any, faults: list[Fault], pa: Any) -> Ints:
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return times_of_text(column.cast(pa.string()).fill_null("").to_pylist(), faults)
    seconds = _numbers(TIMESTAMP, column, NOT_A_TIME, faults)
    outside = (seconds < 0) | (seconds >= _SECONDS_MAX)
    _mark(TIMESTAMP, outside, column, NOT_A_TIME, faults)
    seconds = np.where(outside, seconds.dtype.type(0), seconds)
    if seconds.dtype.kind != "f":
        return _in_ns(seconds)
    whole = np.floor(seconds)
    rest: Ints = np.rint((seconds - whole) * NS_PER_SECOND).astype(np.int64)
    return _in_ns(whole) + rest


def _in_ns(seconds: NDArray[Any]) -> Ints:
    ns: Ints = seconds.astype(np.int64) * NS_PER_SECOND
    return ns


def _chunk_of(batch: Any, first: int, pa: Any) -> Chunk:
    chunk = Chunk(lines=range(first, first + batch.num_rows))
    for name in batch.schema.names:
        column = batch.column(name)
        if name == TIMESTAMP:
            chunk.columns[name] = _times(column, chunk.faults, pa)
        elif name == CUSTOMER:
            cells = column.cast(pa.string()).to_pylist()
            names = [cell if cell is not None else "" for cell in cells]
            chunk.customers = names_of_text(names, chunk.faults)
        else:
            chunk.columns[name] = _counts(name, column, chunk.faults)
    return chunk


def _check_types(file: str, schema: Any, pa: Any) -> None:
    """Raises Malformed for a usage column of a type that cannot hold what it should."""
    kinds = pa.types
    for field in schema:
        number = kinds.is_integer(field.type) or kinds.is_float64(field.type)
        text = kinds.is_string(field.type) or kinds.is_large_string(field.type)
        if field.name in COUNTS:
            fits, expected = number, "an integer column (int64)"
        elif field.name == TIMESTAMP:
            fits, expected = (
                number or text or kinds.is_decimal(field.type),
                "a decimal, integer, float64 or string column of seconds",
            )
        elif field.name == CUSTOMER:
            named = kinds.is_dictionary(field.type) and kinds.is_string(field.type.value_type)
            fits, expected = text or named or kinds.is_integer(field.type), "a string column"
        else:
            continue
        if not fits:
            raise Malformed(
                f"usage file {file}, field {field.name}",
                found=str(field.type),
                expected=expected,
                remedy="Cast the column when you write the file.",
            )


def _chunks(table: Any, columns: list[str], pa: Any, file: str) -> Iterator[Chunk]:
    first = 1
    try:
        for batch in table.iter_batches(CHUNK_ROWS, columns=columns):
            if batch.num_rows:
                yield _chunk_of(batch, first, pa)
            first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise Malformed(
            f"usage file {file}, row {first} and after",
            found=str(error),
            expected="an undamaged Parquet file",
            remedy="Copy or write the file again; nothing of it was imported.",
        ) from None


@contextmanager
def parquet_table(path: Path, strict: bool) -> Iterator[Table]:
    """Open a Parquet file and read its schema. Raises Malformed, then or while the chunks are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = str(path)
    try:
        source = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise Malformed(
            f"usage file {file}",
            found=str(error),
            expected="a Parquet file",
            remedy="Copy or write the file again.",
        ) from None
    with source as table:
        names = list(table.schema_arrow.names)
        ignored = check_columns(file, names, strict)
        _check_types(file, table.schema_arrow, pa)
        yield Table(_chunks(table, [name for name in names if name in KNOWN], pa, file), ignored, unit="row")
