"""A run's Parquet tables, written as the run goes: what DuckDB, pandas or a spreadsheet opens as it is.

Each table is a selection of event rows and, per column, a function of their matrix. Times are UTC timestamps with
nanoseconds, money is int64 micro-USD, prices are int64 micro-USD per MTok; days are dates of the venue's calendar.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, ROW_WORDS

ROWS_PER_GROUP = 100_000

TIMESTAMP = pa.timestamp("ns", tz="UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its Arrow type and how it is read off (n, 8) event rows."""

    name: str
    kind: pa.DataType
    read: Callable[[NDArray[np.int64]], NDArray[np.generic]]


def word(name: str, index: int, kind: pa.DataType | None = None) -> Column:
    """A column that is one word of the row."""
    return Column(name, kind or pa.int64(), lambda rows: rows[:, index])


def flag(name: str, bit: int) -> Column:
    """A column that is one flag of the kind word."""
    return Column(name, pa.bool_(), lambda rows: (rows[:, 0] >> FLAG_SHIFT & bit) != 0)


def time_column() -> Column:
    """The row's time."""
    return word("time", 1, TIMESTAMP)


def day_column(name: str, index: int) -> Column:
    """A word that is a venue day, as a date."""
    return Column(name, pa.date32(), lambda rows: rows[:, index].astype("datetime64[D]"))


def named(name: str, index: int, names: Mapping[int, str]) -> Column:
    """A word that is a number with a name."""
    return Column(
        name,
        pa.string(),
        lambda rows: np.array(
            [names.get(int(number), str(number)) for number in rows[:, index]], dtype=object
        ),
    )


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table: the event codes it takes, and its columns.

    A record is one event of any of the codes; or, `joined`, one of each, which are told together and in that order: its columns
    then read off the events side by side, (n, 8 x codes), so that word w of the second event is word 8 + w.
    """

    name: str
    codes: tuple[int, ...]
    columns: tuple[Column, ...]
    joined: bool = False


class Tables:
    """The tables of one run, open for writing; a context manager. Rows are written in groups, so memory stays flat."""

    def __init__(self, folder: Path, specs: tuple[TableSpec, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._specs = specs
        self._kept: dict[str, list[NDArray[np.int64]]] = {spec.name: [] for spec in specs}
        self._count = dict.fromkeys(self._kept, 0)
        self._schema = {
            spec.name: pa.schema([(column.name, column.kind) for column in spec.columns]) for spec in specs
        }
        self._writer = {
            spec.name: pq.ParquetWriter(folder / f"{spec.name}.parquet", self._schema[spec.name])
            for spec in specs
        }
        self.rows = dict.fromkeys(self._kept, 0)

    def take(self, events: NDArray[np.int64]) -> None:
        """Take in event rows, in order."""
        codes = events[:, 0] & CODE_MASK
        for spec in self._specs:
            chosen = (
                events[np.isin(codes, spec.codes)] if len(spec.codes) > 1 else events[codes == spec.codes[0]]
            )
            if len(chosen):
                self._kept[spec.name].append(chosen)
                self._count[spec.name] += len(chosen)
                if self._count[spec.name] >= ROWS_PER_GROUP:
                    self._flush(spec)

    def _flush(self, spec: TableSpec) -> None:
        if not self._kept[spec.name]:
            return
        rows = np.concatenate(self._kept[spec.name])
        if spec.joined:
            rows = rows.reshape(-1, ROW_WORDS * len(spec.codes))
        arrays = [pa.array(column.read(rows), type=column.kind) for column in spec.columns]
        self._writer[spec.name].write_table(pa.Table.from_arrays(arrays, schema=self._schema[spec.name]))
        self.rows[spec.name] += len(rows)
        self._kept[spec.name] = []
        self._count[spec.name] = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spec in self._specs:
            self._flush(spec)
            self._writer[spec.name].close()


def write_table(path: Path, columns: Mapping[str, NDArray[np.generic]]) -> None:
    """Write one small table whole: column name to values."""
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)
