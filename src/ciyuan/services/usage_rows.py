"""Rows of a usage file on their way in: one chunk of them, what is wrong with a cell, and how text becomes a
number.

Both readers (`usage_csv`, `usage_parquet`) give `Chunk`s: whole columns, with the cells that could not be
read named as `Fault`s and held as 0. What can only be seen across cells or rows (cached against input, order,
repeats) is judged in `usage`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX
from ciyuan.basics.time import ns_from_seconds

TIMESTAMP, INPUT, OUTPUT, CACHED, CUSTOMER = (
    "timestamp_s",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "customer",
)
REQUIRED = (TIMESTAMP, INPUT, OUTPUT)
KNOWN = (*REQUIRED, CACHED, CUSTOMER)
COUNTS = (INPUT, OUTPUT, CACHED)
COUNT_MAX = 10**9
"""The most tokens of one leg that one request may claim: a thousand times any context window."""
CHUNK_ROWS = 65_536
WHOLE_ROW = "the row"
_DIGITS_OF_COUNT_MAX = len(str(COUNT_MAX))
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

NEGATIVE = "a count of 0 or more"
FRACTION = "a whole number of tokens"
NOT_A_NUMBER = "a number of tokens in decimal digits"
TOO_MANY = f"at most {COUNT_MAX:,} tokens in one request"
NOT_A_TIME = f"seconds from 0 to {INT64_MAX // 10**9}, in decimal digits, with at most nine decimals"
NOT_A_NAME = "a customer's name, with no space around it"

Ints = NDArray[np.int64]


class Fault(NamedTuple):
    """One cell (or `WHOLE_ROW`) that cannot be read: `place` is the row's in its chunk, from 0."""

    place: int
    field: str
    found: object
    expected: str


@dataclass(slots=True)
class Chunk:
    """Some rows of a file, in its order. `lines` are the rows' line numbers (row numbers in Parquet), counted
    from 1.

    `columns` holds int64 vectors (nanoseconds, tokens) of the columns that the file has; `customers` is empty
    if it has none.
    """

    lines: Sequence[int]
    columns: dict[str, Ints] = field(default_factory=dict)
    customers: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Table:
    """A usage file that has been opened: its chunks, to be read once, and the names of the columns that are
    not for us.
    """

    chunks: Iterator[Chunk]
    ignored: tuple[str, ...]
    unit: str = "line"


def check_columns(file: str, names: Sequence[str], strict: bool) -> tuple[str, ...]:
    """The columns of a file that are not usage columns. Raises Malformed for a missing, repeated or
    (strictly) unknown one.
    """
    known = f"the columns {', '.join(REQUIRED)} and, if you have them, {CACHED}, {CUSTOMER}"
    missing = [name for name in REQUIRED if name not in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    unknown = tuple(name for name in names if name not in KNOWN)
    found = ", ".join(names)
    if missing:
        raise Malformed(
            f"usage file {file}, line 1, field {missing[0]}",
            found=found,
            expected=known,
            remedy=f"Add or rename the missing column {', '.join(missing)}.",
        )
    if twice:
        raise Malformed(
            f"usage file {file}, line 1, field {twice[0]}",
            found=found,
            expected="each column once",
            remedy="Remove the second column of that name.",
        )
    if unknown and strict:
        raise Malformed(
            f"usage file {file}, line 1, field {unknown[0]}",
            found=", ".join(unknown),
            expected=known,
            remedy="Remove the column, or read with --lenient, which leaves it out.",
        )
    return unknown


def _fault_of_count(cell: str) -> str | None:
    """What a text should have been to be a count, or None if it is one."""
    if _INTEGER.fullmatch(cell):
        if cell.startswith("-") and cell.strip("-0"):
            return NEGATIVE
        digits = cell.lstrip("+-0")
        long = max(len(digits), len(cell) - _DIGITS_OF_COUNT_MAX) > _DIGITS_OF_COUNT_MAX
        return TOO_MANY if long or int(digits or "0") > COUNT_MAX else None
    return FRACTION if _DECIMAL.fullmatch(cell) else NOT_A_NUMBER


def counts_of_text(name: str, cells: Sequence[str], faults: list[Fault]) -> Ints:
    """Token counts of a column of texts, (n,) int64; a cell that is none is added to `faults` and held as 0."""
    text = "".join(cells)
    if text.isascii() and text.isdigit() and all(cells) and max(map(len, cells)) <= _DIGITS_OF_COUNT_MAX:
        values = np.array(list(map(int, cells)), np.int64)
        if int(values.max()) <= COUNT_MAX:
            return values
    wrong = {index: fault for index, cell in enumerate(cells) if (fault := _fault_of_count(cell)) is not None}
    faults.extend(Fault(index, name, cells[index], expected) for index, expected in wrong.items())
    return np.array([0 if index in wrong else int(cell) for index, cell in enumerate(cells)], np.int64)


def _ns_or_minus_one(cell: str) -> int:
    try:
        found = ns_from_seconds(cell)
    except ValueError:
        return -1
    return found if found <= INT64_MAX else -1


def times_of_text(cells: Sequence[str], faults: list[Fault]) -> Ints:
    """Nanoseconds of a column of decimal seconds, (n,) int64, exact; a cell that is none is added to `faults`
    and held as 0.
    """
    times = np.array(list(map(_ns_or_minus_one, cells)), np.int64)
    faults.extend(
        Fault(index, TIMESTAMP, cells[index], NOT_A_TIME) for index in np.flatnonzero(times < 0).tolist()
    )
    return np.maximum(times, 0)


def names_of_text(cells: Sequence[str], faults: list[Fault]) -> list[str]:
    """Customers' names; one that is empty or has space around it is added to `faults`. Equal names are one
    object.
    """
    seen: dict[str, str] = {}
    names = [seen.setdefault(cell, cell) for cell in cells]
    wrong = {name for name in seen if not name or name != name.strip()}
    if wrong:
        faults.extend(
            Fault(index, CUSTOMER, name, NOT_A_NAME) for index, name in enumerate(names) if name in wrong
        )
    return names
