"""Tables of measurements: CSV files with comments, read by typed columns and resolved against the catalogue.

A file that is not what it should be (a missing column, a number that is none) is Malformed, naming file, line and column. A
row that is sound but means nothing here (a chip or model that is not in the catalogue, a figure that the row lacks) is left
out of the rows and listed in `left_out` with its reason: nothing is dropped silently.
"""

import csv
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Generic, TypeVar

from ciyuan.basics.errors import Malformed

_Row = TypeVar("_Row")


class LeftOut(Exception):
    """Raised inside a reader for a row that cannot be used; it becomes an `Unresolved` of the table."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A row that was left out: its line in the file, and why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Measured(Generic[_Row]):
    """What a file holds: the rows that could be read, in its order, and those that could not."""

    rows: tuple[_Row, ...]
    left_out: tuple[Unresolved, ...]

    def reasons(self) -> dict[str, int]:
        """How many rows were left out, by reason, most first."""
        counts: dict[str, int] = {}
        for one in self.left_out:
            counts[one.why] = counts.get(one.why, 0) + 1
        return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


class Cells:
    """One row of a file, by column. A cell that is not of the kind asked for is Malformed, naming file, line and column."""

    def __init__(self, file: str, line: int, cells: dict[str, str]) -> None:
        self.file = file
        self.line = line
        self._cells = cells

    def __contains__(self, column: str) -> bool:
        """Whether the column has something in it."""
        return bool(self.text(column))

    def text(self, column: str) -> str:
        """The cell as text, without blanks around it; may be empty."""
        return self._cells[column].strip()

    def number(self, column: str) -> float:
        """A finite number."""
        value = float("nan")
        with suppress(ValueError):
            value = float(self.text(column))
        if not isfinite(value):
            raise Malformed(f"{self.file}, line {self.line}, {column}", found=self.text(column),
                            expected="a finite number", remedy="Mend the cell.")  # fmt: skip
        return value

    def whole(self, column: str) -> int:
        """A whole number."""
        value = self.number(column)
        if value != int(value):
            raise Malformed(f"{self.file}, line {self.line}, {column}", found=self.text(column),
                            expected="a whole number", remedy="Mend the cell.")  # fmt: skip
        return int(value)

    def figure(self, column: str) -> float | None:
        """A finite number that may be absent; None if it is."""
        return self.number(column) if column in self else None

    def count(self, column: str, otherwise: int) -> int:
        """A whole number that may be absent or 0, `otherwise` then: result tables write both for "none"."""
        return (self.whole(column) if column in self else 0) or otherwise

    def flag(self, column: str) -> bool:
        """0 or 1."""
        if self.text(column) not in {"0", "1"}:
            raise Malformed(f"{self.file}, line {self.line}, {column}", found=self.text(column), expected="0 or 1",
                            remedy="Mend the cell.")  # fmt: skip
        return self.text(column) == "1"


def cells_of(path: Path, columns: tuple[str, ...]) -> Iterator[Cells]:
    """The rows of a CSV file in UTF-8; lines that start with # are comments. Raises Malformed if a column is missing."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed(f"measurements {path}", found=str(error), expected="a CSV file that can be read",
                        remedy="Check the path.") from None  # fmt: skip
    numbers = [number for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(lines[number - 1] for number in numbers)
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise Malformed(f"measurements {path.name}, columns", found=", ".join(reader.fieldnames or ()),
                        expected=f"a column {missing[0]}", remedy="Take the file as it was published.")  # fmt: skip
    for number, cells in zip(numbers[1:], reader, strict=True):
        if None in cells.values() or None in cells:
            raise Malformed(f"{path.name}, line {number}", found="cells that do not match the columns",
                            expected=f"{len(reader.fieldnames or ())} cells", remedy="Mend the line.")  # fmt: skip
        yield Cells(path.name, number, cells)


def read_rows(path: Path, columns: tuple[str, ...], row: Callable[[Cells], _Row]) -> Measured[_Row]:
    """A file's rows by the reader `row`, which raises LeftOut for one that cannot be used."""
    rows: list[_Row] = []
    left_out: list[Unresolved] = []
    for cells in cells_of(path, columns):
        try:
            rows.append(row(cells))
        except LeftOut as why:
            left_out.append(Unresolved(cells.line, str(why)))
    return Measured(tuple(rows), tuple(left_out))


def resolved(name: str, find: Callable[[str], _Row]) -> _Row:
    """What the catalogue finds for a name. Raises LeftOut, with the thing and the name, if it finds nothing."""
    try:
        return find(name)
    except Malformed as unknown:
        raise LeftOut(f"{unknown.thing} {unknown.found} is not in the catalogue") from None
