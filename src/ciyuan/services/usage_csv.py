"""Usage files of text: CSV, plain or gzipped, in UTF-8. The first line names the columns, in any order."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from ciyuan.basics.errors import Malformed
from ciyuan.services.usage_rows import (
    CHUNK_ROWS,
    CUSTOMER,
    KNOWN,
    TIMESTAMP,
    WHOLE_ROW,
    Chunk,
    Fault,
    Table,
    check_columns,
    counts_of_text,
    names_of_text,
    times_of_text,
)

GZIP_MAGIC = b"\x1f\x8b"
_BOM = "\ufeff"


class _Lines:
    """The decoded lines of a stream; `number` is the line last read, from 1, so that an error can name it."""

    def __init__(self, stream: BinaryIO, file: str) -> None:
        self.stream = stream
        self.file = file
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self.stream:
            self.number += 1
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise Malformed(
                    f"usage file {self.file}, line {self.number}",
                    found=error.object[error.start : error.start + 4],
                    expected="UTF-8 text",
                    remedy="Save the file as UTF-8.",
                ) from None


@contextmanager
def _named(lines: _Lines) -> Iterator[None]:
    """Say of what the libraries raise where it happened and what to do."""
    place = f"usage file {lines.file}, line {lines.number + 1}"
    try:
        yield
    except csv.Error as error:
        raise Malformed(
            f"usage file {lines.file}, line {lines.number}",
            found=str(error),
            expected="one CSV row",
            remedy="Mend the quotes or the line ends.",
        ) from None
    except EOFError:
        raise Malformed(
            f"{place} and after",
            found="the gzip stream ends too early",
            expected="a whole gzip file",
            remedy="Copy or download the file again; nothing of it was imported.",
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Malformed(
            f"{place} and after",
            found=str(error),
            expected="an undamaged gzip file",
            remedy="Copy or download the file again; nothing of it was imported.",
        ) from None


def _chunk_of(rows: list[list[str]], numbers: list[int], names: Sequence[str]) -> Chunk:
    chunk = Chunk(lines=numbers)
    width = len(names)
    if set(map(len, rows)) != {width}:
        for index, cells in enumerate(rows):
            if len(cells) != width:
                chunk.faults.append(
                    Fault(index, WHOLE_ROW, f"{len(cells)} fields", f"{width} fields, as in the first line")
                )
                rows[index] = ["0"] * width
    columns: Iterator[tuple[str, ...]] = zip(*rows, strict=True)
    for name, texts in zip(names, columns, strict=True):
        if name == TIMESTAMP:
            chunk.columns[name] = times_of_text(texts, chunk.faults)
        elif name == CUSTOMER:
            chunk.customers = names_of_text(texts, chunk.faults)
        elif name in KNOWN:
            chunk.columns[name] = counts_of_text(name, texts, chunk.faults)
    return chunk


def _chunks(lines: _Lines, reader: Iterator[list[str]], names: Sequence[str]) -> Iterator[Chunk]:
    taken = CHUNK_ROWS
    while taken == CHUNK_ROWS:
        rows: list[list[str]] = []
        numbers: list[int] = []
        taken = 0
        with _named(lines):
            for cells in islice(reader, CHUNK_ROWS):
                taken += 1
                if cells:  # a blank line is no row
                    rows.append(cells)
                    numbers.append(lines.number)
        if rows:
            yield _chunk_of(rows, numbers, names)


@contextmanager
def csv_table(path: Path, strict: bool) -> Iterator[Table]:
    """Open a CSV file and read its first line. Raises Malformed, then or while the chunks are read."""
    with path.open("rb") as start:
        zipped = start.read(2) == GZIP_MAGIC
    if path.suffix == ".gz" and not zipped:
        raise Malformed(
            f"usage file {path}",
            found="no gzip header",
            expected="a gzip file, by its name",
            remedy="Rename it, or download it again.",
        )
    with gzip.open(path) if zipped else path.open("rb") as stream:
        lines = _Lines(cast(BinaryIO, stream), str(path))
        reader = csv.reader(iter(lines), strict=True)
        with _named(lines):
            header = next(reader, [])
        if not header:
            raise Malformed(
                f"usage file {path}, line 1",
                found="nothing",
                expected="the names of the columns",
                remedy="Write the columns' names in the first line.",
            )
        header[0] = header[0].removeprefix(_BOM)
        yield Table(_chunks(lines, reader, header), check_columns(str(path), header, strict))
