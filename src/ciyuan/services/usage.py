"""Usage import: who used how many tokens, when. `read_usage` reads a CSV (plain or gzipped) or Parquet file.

The columns are `timestamp_s,input_tokens,output_tokens[,cached_tokens][,customer]`, in any order. Times are
decimal seconds on a clock of the file's own and become exact nanoseconds. Rows must be in the order of time;
many may share one moment, but a row that equals an earlier row of its moment in every column is a repeat,
since nothing tells it from a row that was copied twice.

| | strict (the default) | lenient |
|---|---|---|
| a bad row (no count, out of order, repeated ...) | Malformed: file, line, field, remedy | listed in `bad_rows`, left out |
| an unknown column | Malformed, naming it | listed in `ignored_columns`, left out |
| a missing column, a truncated gzip, text that is not UTF-8 | Malformed | Malformed |

All or nothing: a file that raises has imported nothing.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.basics.tokens import Legs
from ciyuan.services.usage_csv import csv_table
from ciyuan.services.usage_parquet import PARQUET_MAGIC, parquet_table
from ciyuan.services.usage_rows import CACHED, INPUT, OUTPUT, TIMESTAMP, WHOLE_ROW, Chunk, Fault, Ints, Table

_REMEDY = "Mend the row, or read with --lenient, which lists such rows and leaves them out."
_IN_ORDER = "a time no earlier than the row before"
_CACHED_PART = "no more cached than input tokens, of which they are a part"
_SHOWN_MAX = 60
_NO_REPEAT = "a row that differs from every earlier row of the same moment"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that lenient reading left out: the first thing that is wrong with it. `line` is the row's number
    in Parquet.
    """

    file: str
    line: int
    field: str
    found: object
    expected: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, field {self.field}: found {self.found!r}, expected {self.expected}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Imported usage, one entry per request in the order of time.

    `timestamp_ns`, `input`, `cached` (a part of input), `output`: (n,) int64. `customer`: (n,) of str, or
    None if the file names none. `bad_rows` and `ignored_columns` are empty after strict reading.
    """

    timestamp_ns: Ints
    input: Ints
    cached: Ints
    output: Ints
    customer: NDArray[np.object_] | None
    bad_rows: tuple[BadRow, ...] = ()
    ignored_columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    @property
    def totals(self) -> Legs:
        """The sums of the legs."""
        return Legs(int(self.input.sum()), int(self.cached.sum()), int(self.output.sum()))


class _Judge:
    """What only shows across cells and rows, chunk by chunk; keeps the good rows and lists the bad."""

    def __init__(self, file: str, unit: str, strict: bool) -> None:
        self.file = file
        self.unit = unit
        self.strict = strict
        self.bad: list[BadRow] = []
        self.parts: dict[str, list[Ints]] = {TIMESTAMP: [], INPUT: [], CACHED: [], OUTPUT: []}
        self.names: list[str] = []
        self.last_ns = 0
        self.last_rows: set[tuple[int | str, ...]] = set()
        """The good rows at `last_ns`, against which the next chunk's first rows may be repeats."""

    def take(self, chunk: Chunk) -> None:
        """Judge a chunk. Raises Malformed at its first bad row if strict."""
        columns = chunk.columns
        columns.setdefault(CACHED, np.zeros(len(chunk.lines), np.int64))
        good = np.ones(len(chunk.lines), np.bool_)
        faults = chunk.faults
        good[[fault.place for fault in faults]] = False
        self._reject(
            good & (columns[CACHED] > columns[INPUT]), good, CACHED, columns[CACHED], _CACHED_PART, faults
        )
        times = columns[TIMESTAMP]
        before = np.maximum.accumulate(np.concatenate(([self.last_ns], np.where(good, times, 0))))[:-1]
        self._reject(good & (times < before), good, TIMESTAMP, times, _IN_ORDER, faults)
        self._repeats(chunk, good, faults)
        self._list(chunk, faults)
        for name, kept in self.parts.items():
            kept.append(columns[name][good])
        self.names.extend(name for name, kept in zip(chunk.customers, good.tolist(), strict=False) if kept)

    def _reject(
        self,
        wrong: NDArray[np.bool_],
        good: NDArray[np.bool_],
        field: str,
        values: Ints,
        expected: str,
        faults: list[Fault],
    ) -> None:
        faults.extend(
            Fault(index, field, int(values[index]), expected) for index in np.flatnonzero(wrong).tolist()
        )
        good &= ~wrong

    def _repeats(self, chunk: Chunk, good: NDArray[np.bool_], faults: list[Fault]) -> None:
        """Mark every good row that equals an earlier good row of its moment. Good rows are in the order of
        time by now.
        """
        rows = np.flatnonzero(good)
        if not len(rows):
            return
        times = chunk.columns[TIMESTAMP][rows]
        same = times[1:] == times[:-1]
        shared = (
            np.concatenate((same, [False]))
            | np.concatenate(([False], same))
            | (times == times[-1])
            | (times == self.last_ns)
        )
        seen = self.last_rows
        places = rows[shared].tolist()
        for place, row in zip(places, self._rows(chunk, places), strict=True):
            if row in seen:
                faults.append(Fault(place, WHOLE_ROW, row, _NO_REPEAT))
                good[place] = False
            seen.add(row)
        self.last_ns = int(times[-1])
        self.last_rows = {row for row in seen if row[0] == self.last_ns}

    def _rows(self, chunk: Chunk, places: list[int]) -> Iterator[tuple[int | str, ...]]:
        """Rows as plain values, time first."""
        numbers = [chunk.columns[name][places].tolist() for name in self.parts]
        return zip(
            *numbers,
            *([[chunk.customers[place] for place in places]] if chunk.customers else []),
            strict=True,
        )

    def _list(self, chunk: Chunk, faults: list[Fault]) -> None:
        """The first fault of each bad row, by line. Raises Malformed for the first if strict."""
        firsts: dict[int, Fault] = {}
        for fault in faults:
            firsts.setdefault(fault.place, fault)
        for index in sorted(firsts):
            fault = firsts[index]
            if self.strict:
                raise Malformed(
                    f"usage file {self.file}, {self.unit} {chunk.lines[index]}, field {fault.field}",
                    found=_shown(fault),
                    expected=fault.expected,
                    remedy=_REMEDY,
                )
            self.bad.append(BadRow(self.file, chunk.lines[index], fault.field, _shown(fault), fault.expected))

    def usage(self, ignored: tuple[str, ...], named: bool) -> Usage:
        """All good rows, as one."""
        joined = {
            name: np.concatenate(parts) if parts else np.zeros(0, np.int64)
            for name, parts in self.parts.items()
        }
        customer = np.array(self.names, dtype=np.object_) if named else None
        return Usage(
            joined[TIMESTAMP],
            joined[INPUT],
            joined[CACHED],
            joined[OUTPUT],
            customer,
            tuple(self.bad),
            ignored,
        )


def _shown(fault: Fault) -> object:
    """What was found, as the file has it and not at any length."""
    found = fault.found
    if fault.field == TIMESTAMP and isinstance(found, int):
        return f"{found // NS_PER_SECOND}.{found % NS_PER_SECOND:09d}".rstrip("0").rstrip(".")
    return found[:_SHOWN_MAX] if isinstance(found, str) else found


def _opened(path: Path, strict: bool) -> AbstractContextManager[Table]:
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(PARQUET_MAGIC))
    except OSError as error:
        raise Malformed(
            f"usage file {path}",
            found=error.strerror,
            expected="a file that can be read",
            remedy="Check the path and its permissions.",
        ) from None
    if not magic:
        raise Malformed(
            f"usage file {path}", found="an empty file", expected="CSV or Parquet", remedy="Export it again."
        )
    parquet = magic == PARQUET_MAGIC or path.suffix == ".parquet"
    return parquet_table(path, strict) if parquet else csv_table(path, strict)


def read_usage(path: str | PathLike[str], strict: bool = True) -> Usage:
    """Read a usage file. Raises Malformed with file, line and field, what was found and expected, and the
    remedy.

    The format is told by the file's first bytes and its suffix. A million rows take a few seconds and about
    100 bytes each.
    """
    path = Path(path)
    with _opened(path, strict) as table:
        judge = _Judge(str(path), table.unit, strict)
        named = False
        for chunk in table.chunks:
            named = named or bool(chunk.customers)
            judge.take(chunk)
    if judge.bad and not any(map(len, judge.parts[TIMESTAMP])):
        raise Malformed(
            f"usage file {path}",
            found=f"{len(judge.bad):,} rows, none of them good; the first: {judge.bad[0]}",
            expected="at least one row that can be imported",
            remedy="Mend the rows that lenient reading would list.",
        )
    if not judge.parts[TIMESTAMP]:
        raise Malformed(
            f"usage file {path}",
            found="no rows",
            expected="at least one row of usage",
            remedy="Export it again.",
        )
    return judge.usage(table.ignored, named)
