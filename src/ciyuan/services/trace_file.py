"""Request traces from files: CSV, plain or gzipped, a request a line.

The first line names the columns: `timestamp_s`, `input_tokens`, `output_tokens`, and if the file has them `tier` (a whole number,
0 first) and `hash_ids` (a prompt's blocks, separated by blanks). Other columns are left alone.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler_trace import BLOCK_TOKENS, Trace, trace_of

REQUIRED = ("timestamp_s", "input_tokens", "output_tokens")
TIER, HASHES = "tier", "hash_ids"
COUNT_MAX = 2**31


def read_trace(path: Path, block_tokens: int = BLOCK_TOKENS) -> Trace:
    """The requests of a file, in order of arrival. Raises Malformed naming file, line and column."""
    times: list[float] = []
    counts: tuple[list[int], list[int], list[int]] = ([], [], [])
    hashes: list[list[str]] = []
    for line, row in _rows(path):
        where = f"trace {path.name}, line {line}"
        times.append(_seconds(row["timestamp_s"], where))
        for column, name in zip(counts, ("input_tokens", "output_tokens", TIER), strict=True):
            column.append(_count(row.get(name, "0"), 0 if name == TIER else 1, f"{where}, {name}"))
        if HASHES in row:
            hashes.append(row[HASHES].split())
    if not times:
        raise Malformed(
            f"trace {path.name}",
            found="no request",
            expected="1 or more",
            remedy="Give a file that has some.",
        )
    return trace_of(times, *counts, hashes or None, block_tokens)


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[str]]:
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8", newline="") as zipped:
                yield zipped
        else:
            with path.open(encoding="utf-8", newline="") as plain:
                yield plain
    except OSError as error:
        raise Malformed(f"trace {path}", found=error.strerror or str(error), expected="a CSV file, plain or gzipped",
                        remedy="Check its path.") from None  # fmt: skip
    except (EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise Malformed(f"trace {path}", found=str(error), expected="an undamaged CSV file in UTF-8",
                        remedy="Copy or download it again.") from None  # fmt: skip


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    with _opened(path) as file:
        reader = csv.reader(file)
        names = next(reader, [])
        missing = [name for name in REQUIRED if name not in names]
        if missing:
            raise Malformed(f"trace {path.name}, line 1", found=", ".join(names) or "nothing",
                            expected=f"the columns {', '.join(REQUIRED)}", remedy=f"Add {', '.join(missing)}.")  # fmt: skip
        for cells in reader:
            if len(cells) == len(names):
                yield reader.line_num, dict(zip(names, cells, strict=True))
            elif cells:
                raise Malformed(f"trace {path.name}, line {reader.line_num}", found=f"{len(cells)} fields",
                                expected=f"{len(names)}, as in the first line", remedy="Mend the line.")  # fmt: skip


def _seconds(text: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not isfinite(seconds):
        raise Malformed(
            f"{where}, timestamp_s", found=text, expected="seconds, a finite number", remedy="Mend the line."
        )
    return seconds


def _count(text: str, least: int, where: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = -1
    if not least <= count <= COUNT_MAX:
        raise Malformed(
            where,
            found=text,
            expected=f"a whole number of {least} or more",
            remedy="Mend or leave out the line.",
        )
    return count


def shares_of(text: str) -> Sequence[float]:
    """Shares of tiers as "0.2,0.8"."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise Malformed("shares of tiers", found=text, expected="numbers with commas, as 0.2,0.8",
                        remedy="Give one share a tier, the highest first.") from None  # fmt: skip
