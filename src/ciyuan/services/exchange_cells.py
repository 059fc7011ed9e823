"""Cells of a file of orders as int64 vectors: whole numbers, decimals, moments, words and dates. Null is 0 unless it is said
otherwise.

| function | reads | gives |
|---|---|---|
| `wholes` | digits; any integer column | the number |
| `decimals` | decimal text, a decimal, float or integer column | the number x 10^digits, exact; a float to the nearest |
| `moments` | ISO 8601 text with a zone; a timestamp column with one | nanoseconds since 1970-01-01T00:00:00Z |
| `words` | one of some words, in any case | its number |
| `texts` | text or whole numbers | the place of each in a list of those seen so far |
| `dates` | 2026-10-01; a date column | the day; GOOD_TILL_CANCELLED for the word gtc |

Whole columns are converted at once. Only where that fails is the first cell at fault looked for, and named.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.errors import Malformed
from ciyuan.services.exchange_files import Batch, Ints

GOOD_TILL_CANCELLED = -1
_MOMENT = pa.timestamp("ns", tz="UTC")
_FLOAT_SLACK = 1e-3
"""How far from a whole number of units a float may lie: what is left of a decimal that a float only comes near to."""
_MEND = "Mend the cell."


def has(batch: Batch, name: str) -> bool:
    """Whether the file has a column."""
    return name in batch.columns


def given(batch: Batch, name: str) -> NDArray[np.bool_]:
    """Which cells of a column hold something."""
    found: NDArray[np.bool_] = batch.columns[name].is_valid().to_numpy(zero_copy_only=False)
    return found


def wholes(batch: Batch, name: str, default: int = 0) -> Ints:
    """Whole numbers; all `default` if the file has no such column."""
    if not has(batch, name):
        return np.full(len(batch), default, dtype=np.int64)
    numbers = _cast(
        batch, name, lambda column: column.cast(pa.int64()), "a whole number of at most 18 digits"
    )
    found: Ints = numbers.fill_null(0).to_numpy()
    return found


def decimals(batch: Batch, name: str, digits: int) -> Ints:
    """Decimals in units of 10^-digits."""
    expected = f"a decimal number with at most {digits} decimals"
    kind = batch.columns[name].type
    if pa.types.is_floating(kind):
        return _rounded(batch, name, digits, expected)
    exact = pa.decimal128(38, digits)
    column = _cast(batch, name, lambda part: part.cast(exact), expected)
    halves = np.frombuffer(column.buffers()[1], dtype=np.int64).reshape(-1, 2)[
        column.offset : column.offset + len(column)
    ]
    low, high = np.where(column.is_valid().to_numpy(zero_copy_only=False), halves.T, 0)
    wide = high != low >> 63
    if wide.any():
        index = int(np.argmax(wide))
        raise batch.fault(
            index, name, batch.cell(index, name), f"{expected}, of at most 18 digits in all", _MEND
        )
    return np.ascontiguousarray(low)


def _rounded(batch: Batch, name: str, digits: int, expected: str) -> Ints:
    units = batch.columns[name].fill_null(0.0).to_numpy() * 10.0**digits
    nearest = np.rint(units)
    wrong = ~(np.abs(units - nearest) <= _FLOAT_SLACK) | (np.abs(units) >= 2.0**53)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise batch.fault(
            index, name, batch.cell(index, name), expected, "Write decimals as text, or correct the number."
        )
    found: Ints = nearest.astype(np.int64)
    return found


def moments(batch: Batch, name: str) -> Ints:
    """Moments with a zone."""
    kind = batch.columns[name].type
    if pa.types.is_timestamp(kind) and kind.tz is None:
        raise Malformed(f"orders file {batch.file}, column {name}", found=str(kind), expected="a timestamp with a zone",
                        remedy="Write the column with its zone; UTC is one.")  # fmt: skip
    expected = 'ISO 8601 with a zone, as "2026-10-01T09:00:00.123456789+08:00"'
    column = _cast(batch, name, lambda part: part.cast(_MOMENT), expected)
    found: Ints = column.cast(pa.int64()).fill_null(0).to_numpy()
    return found


def words(batch: Batch, name: str, known: Mapping[str, int], default: int = 0) -> Ints:
    """Words that have a number; `default` where nothing is written."""
    if not has(batch, name):
        return np.full(len(batch), default, dtype=np.int64)

    def number(word: str) -> int | None:
        return known.get(word.strip().lower())

    return _looked_up(batch, name, number, f"one of {', '.join(known)}", default)


def texts(batch: Batch, name: str, seen: dict[str, int]) -> Ints:
    """Texts as numbers 1, 2, 3 ... in the order in which they are first `seen`, over all batches; 0 where nothing is written."""
    if not has(batch, name):
        return np.zeros(len(batch), dtype=np.int64)
    return _looked_up(batch, name, lambda text: seen.setdefault(text.strip(), len(seen) + 1), "a text", 0)


def dates(batch: Batch, name: str) -> Ints:
    """Days; 0 where nothing is written."""
    if not has(batch, name):
        return np.zeros(len(batch), dtype=np.int64)
    if pa.types.is_date(batch.columns[name].type):
        found: Ints = (
            batch.columns[name].cast(pa.date32()).cast(pa.int32()).cast(pa.int64()).fill_null(0).to_numpy()
        )
        return found

    def day(text: str) -> int | None:
        if text.strip().lower() == "gtc":
            return GOOD_TILL_CANCELLED
        try:
            return day_from_iso(text.strip())
        except Malformed:
            return None

    return _looked_up(batch, name, day, "a date as 2026-10-01, or gtc", 0)


def _looked_up(
    batch: Batch, name: str, number: Callable[[str], int | None], expected: str, default: int
) -> Ints:
    """The number of each text: every different text is looked up once. None for a text is a fault."""
    column = batch.columns[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not pa.types.is_string(column.type):
        column = _cast(batch, name, lambda part: part.cast(pa.string()), expected)
    coded = column.dictionary_encode()
    numbers = [number(text) if text.strip() else default for text in coded.dictionary.to_pylist()]
    places = coded.indices.fill_null(len(numbers)).to_numpy()
    if None in numbers:
        index = int(np.argmax(places == numbers.index(None)))
        raise batch.fault(index, name, batch.cell(index, name), expected, _MEND)
    found: Ints = np.array([*numbers, default], dtype=np.int64)[places]
    return found


def _cast(batch: Batch, name: str, cast: Callable[[Any], Any], expected: str) -> Any:
    """A column, cast; if that fails the first cell at fault is found by halves, and raised."""
    column = batch.columns[name]
    try:
        return cast(column)
    except pa.ArrowException:
        good, bad = 0, len(column)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            cast(column[good:middle])
            good = middle
        except pa.ArrowException:
            bad = middle
    raise batch.fault(good, name, batch.cell(good, name), expected, _MEND)
