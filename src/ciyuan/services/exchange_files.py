"""Files of orders, opened: CSV (plain or gzipped, UTF-8) or Parquet, read in batches of columns that know their lines.

| form | is told by | columns |
|---|---|---|
| LOBSTER | six numbers in the first line, the second 1 to 7 | `time,type,order_id,size,price,direction`, without a header |
| NAMED | anything else | as its first line, or its Parquet schema, names them |

Every cell of a CSV file arrives as text; a cell with nothing in it is null, and a line with nothing in it is no row. What is
wrong with a cell is said with the file, the line (of Parquet: the row, from 1) and the column.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from os import fstat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed

Ints = NDArray[np.int64]

BATCH_ROWS = 65_536
BLOCK_BYTES = 8 << 20
"""Bytes of a CSV file that become one batch: about 100,000 rows."""
LOBSTER_COLUMNS = ("time", "type", "order_id", "size", "price", "direction")
_LOBSTER_LINE = re.compile(r"\d+(\.\d+)?,[1-7],-?\d+,\d+,-?\d+,-?\d+", re.ASCII)
_PARQUET_MAGIC, _GZIP_MAGIC = b"PAR1", b"\x1f\x8b"
_ROW_IN_MESSAGE = re.compile(r"Row #(\d+)")
_BOM = "\ufeff"
_AGAIN = "Copy or write the file again; nothing of it was replayed."


class Form(StrEnum):
    """What the rows of a file of orders look like."""

    NAMED = "named"
    LOBSTER = "lobster"


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file, in its order: Arrow arrays by column, the line of each row, and how much of the file is read."""

    file: str
    unit: str
    columns: Mapping[str, Any]
    lines: Ints
    read_bytes: int = 0

    def __len__(self) -> int:
        return len(self.lines)

    def fault(self, index: int, column: str, found: object, expected: str, remedy: str) -> Malformed:
        """What is wrong with one cell, as an exception to be raised."""
        place = f"orders file {self.file}, {self.unit} {self.lines[index]}, column {column}"
        return Malformed(place, found=found, expected=expected, remedy=remedy)

    def cell(self, index: int, column: str) -> object:
        """A cell as the file has it."""
        return self.columns[column][index].as_py()


@dataclass(frozen=True, slots=True)
class OrderFile:
    """A file of orders that has been looked at: its form, the names of its columns, its size."""

    path: Path
    form: Form
    names: tuple[str, ...]
    is_parquet: bool
    size_bytes: int

    def batches(self) -> Iterator[Batch]:
        """All rows, from the first; each call reads the file anew. Raises Malformed where the file is damaged."""
        return self._parquet() if self.is_parquet else self._csv()

    def _csv(self) -> Iterator[Batch]:
        headless = self.form is Form.LOBSTER
        options = {
            "read_options": pacsv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, column_names=list(self.names), skip_rows=int(not headless)
            ),
            "parse_options": pacsv.ParseOptions(ignore_empty_lines=False),
            "convert_options": pacsv.ConvertOptions(
                column_types=dict.fromkeys(self.names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        }  # fmt: skip
        first = 1 if headless else 2
        with _named(self.path), self.path.open("rb") as raw:
            zipped = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            stream = pa.CompressedInputStream(raw, "gzip") if zipped else raw
            with pacsv.open_csv(stream, **options) as reader:
                for table in reader:
                    yield self._batch(table, "line", first, raw.tell())
                    first += table.num_rows

    def _parquet(self) -> Iterator[Batch]:
        first = 1
        with _named(self.path), pq.ParquetFile(self.path) as table:
            rows = max(table.metadata.num_rows, 1)
            for part in table.iter_batches(BATCH_ROWS):
                first += part.num_rows
                done = self.size_bytes * (first - 1) // rows
                yield self._batch(part, "row", first - part.num_rows, done)

    def _batch(self, table: Any, unit: str, first: int, done: int) -> Batch:
        lines = np.arange(first, first + table.num_rows, dtype=np.int64)
        blank = np.ones(table.num_rows, dtype=np.bool_)
        for column in table.columns:
            blank &= column.is_null().to_numpy(zero_copy_only=False)
            if not blank.any():
                break
        else:
            table, lines = table.filter(pa.array(~blank)), lines[~blank]
        return Batch(str(self.path), unit, dict(zip(self.names, table.columns, strict=True)), lines, done)


def open_orders(path: Path, form: Form | None = None) -> OrderFile:
    """Look at a file: what it is, by its first bytes, and its columns. Raises Malformed if it cannot be read as orders.

    `form` says what it is where the first line leaves that open.
    """
    with _named(path), path.open("rb") as raw:
        size, magic = fstat(raw.fileno()).st_size, raw.read(4)
        raw.seek(0)
        if not magic:
            raise Malformed(
                f"orders file {path}",
                found="an empty file",
                expected="CSV or Parquet",
                remedy="Export it again.",
            )
        if magic == _PARQUET_MAGIC:
            with pq.ParquetFile(raw) as table:
                return OrderFile(path, Form.NAMED, _once(path, table.schema_arrow.names), True, size)
        line = _first_line(raw, path, zipped=magic[:2] == _GZIP_MAGIC)
    if form is Form.LOBSTER or (form is None and _LOBSTER_LINE.fullmatch(line)):
        return OrderFile(path, Form.LOBSTER, LOBSTER_COLUMNS, False, size)
    return OrderFile(path, Form.NAMED, _once(path, next(csv.reader([line]), [])), False, size)


def _first_line(raw: BinaryIO, path: Path, *, zipped: bool) -> str:
    stream = gzip.GzipFile(fileobj=raw) if zipped else raw
    try:
        return stream.readline().decode().removeprefix(_BOM).rstrip("\r\n")
    except UnicodeDecodeError:
        raise Malformed(f"orders file {path}, line 1", found="bytes that are not UTF-8", expected="CSV text in UTF-8, or Parquet",
                        remedy="Save the file as UTF-8.") from None  # fmt: skip


def _once(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Malformed(f"orders file {path}, line 1, column {twice[0]}", found=", ".join(names), expected="each column once",
                        remedy="Remove the second column of that name.")  # fmt: skip
    return tuple(names)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say of what the libraries raise which file it was in, where in it, and what to do."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Malformed(
            f"orders file {path}", found=str(error), expected="an undamaged gzip file", remedy=_AGAIN
        ) from None
    except pa.ArrowException as error:
        found = _ROW_IN_MESSAGE.search(str(error))
        place = f", line {found[1]}" if found else ""
        raise Malformed(f"orders file {path}{place}", found=str(error), expected="a cell for each column, in UTF-8",
                        remedy="Mend the row, or write the file again; nothing of it was replayed.") from None  # fmt: skip
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise Malformed(
                f"orders file {path}", found=str(error), expected="an undamaged file", remedy=_AGAIN
            ) from None
        raise Malformed(f"orders file {path}", found=error.strerror, expected="a file that can be read",
                        remedy="Check the path and its permissions.") from None  # fmt: skip
