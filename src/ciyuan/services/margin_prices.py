"""Daily prices for margin models, from whatever a person has of them: a table, a history of GPU rents, a run's index.

| given | is |
|---|---|
| CSV (.gz) or Parquet | the first column the date, then one column of daily prices per contract code, in USD |
| the same with `--gpu NAME` | offers of GPU rent: date, provider, gpu, kind, usd_median, n_offers; made one price a day |
| the folder of a run | its index: the last version of each day's standard fixing (`tables/fixings.parquet`) |

Dates go forward, each once; a price is a number above zero. What is wrong is said with its line and column.

**One price a day of GPU rents.** Providers come and go, and a median over whoever is there moves when nobody's price did. So the
composition is fixed: of one GPU and kind, the providers that are there on at least so many in a hundred of the days; on a day on
which one of them was not seen its last price stands, as a list price does (before its first, its first). The price is their
median, each weighed by the middle one of its daily numbers of offers: weights that changed from day to day would move it too.
What is made so is a history of asked list prices: it stands still for weeks and then steps.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from math import isfinite
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import MICRO

GZIP_MAGIC, PARQUET_MAGIC = b"\x1f\x8b", b"PAR1"
PRESENT_PERCENT = 85
"""On how many in a hundred days a provider must be there to be counted."""
OFFER_COLUMNS = ("date", "provider", "gpu", "kind", "usd_median", "n_offers")
FIXINGS = Path("tables") / "fixings.parquet"
INDEX = "INDEX"
"""The column that a run's index is given as."""
AGAIN = "Mend the file; nothing was worked out."
Row = tuple[str, Mapping[str, str]]
"""Where a row is, and its cells by column."""


@dataclass(frozen=True, slots=True, eq=False)
class PriceHistory:
    """Daily prices: `dates` in order as ISO text, `codes` of the columns, `usd` (days, codes) float64; `source` in words."""

    source: str
    dates: tuple[str, ...]
    codes: tuple[str, ...]
    usd: NDArray[np.float64]

    def column(self, code: str | None) -> NDArray[np.float64]:
        """One contract's prices, (days,); None: of the only one. Raises Malformed for a code that is not there."""
        if code is None and len(self.codes) > 1:
            raise Malformed(f"prices {self.source}", found=f"{len(self.codes)} columns: {', '.join(self.codes)}",
                            expected="one, or one that is named", remedy="Name one with --column.")  # fmt: skip
        return self.usd[:, self.place(code or self.codes[0])]

    def place(self, code: str) -> int:
        """The column of a code. Raises Malformed if there is none."""
        if code not in self.codes:
            raise Malformed(
                f"contract {code}",
                found="no such column",
                expected=f"one of {', '.join(self.codes)}",
                remedy="Give its daily prices in the table, under its code.",
            )
        return self.codes.index(code)

    def since(self, first: str | None) -> "PriceHistory":
        """The days from one on, ISO text; None: all."""
        skip = sum(on < first for on in self.dates) if first else 0
        return PriceHistory(self.source, self.dates[skip:], self.codes, self.usd[skip:])

    def expect_days(self, least: int) -> None:
        """Raise Malformed for fewer days than a model needs."""
        if len(self.dates) < least:
            raise Malformed(f"prices {self.source}", found=f"{len(self.dates)} days", expected=f"at least {least}",
                            remedy="Give a longer history, or margin by the ladder (§6.1) until there is one.")  # fmt: skip


def read_prices(path: Path) -> PriceHistory:
    """A table's prices, or a run's index. Raises Malformed for whatever cannot be read as such."""
    if path.is_dir():
        return _index_of_run(path)
    rows = _rows(path)
    place, first = next(rows, (f"prices {path}", {}))
    day, *codes = first or ("",)
    if not codes:
        raise Malformed(place, found="no prices", expected="a date column, then one column per contract code",
                        remedy="See `ciyuan margin what-if --help`.")  # fmt: skip
    dates: list[str] = []
    prices: list[list[float]] = []
    for where, cells in chain([(place, first)], rows):
        dates.append(_date(where, day, cells[day], dates))
        prices.append([_price(where, code, cells[code]) for code in codes])
    return PriceHistory(path.name, tuple(dates), tuple(codes), np.array(prices, dtype=np.float64))


def read_gpu_rents(path: Path, gpu: str, kind: str, present_percent: int = PRESENT_PERCENT) -> PriceHistory:
    """One price a day of a GPU's rents, as the module says. Raises Malformed if nobody is there often enough."""
    seen: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for where, cells in _rows(path, OFFER_COLUMNS):
        if (cells["gpu"], cells["kind"]) == (gpu, kind):
            on = _date(where, "date", cells["date"], [])
            figures = tuple(_price(where, name, cells[name]) for name in ("usd_median", "n_offers"))
            seen[cells["provider"]].setdefault(on, (figures[0], figures[1]))
    dates = sorted({on for days in seen.values() for on in days})
    kept = {
        name: days for name, days in sorted(seen.items()) if 100 * len(days) >= present_percent * len(dates)
    }
    if not kept:
        raise Malformed(f"rents {path.name}, {gpu} {kind}", found=f"no provider on {present_percent}% of {len(dates)} days",
                        expected="one at least", remedy="Give another --gpu, --kind, or a lower --present.")  # fmt: skip
    weights = np.array([median(offers for _, offers in days.values()) for days in kept.values()])
    standing = np.column_stack([_carried(days, dates) for days in kept.values()])
    usd = np.array([weighted_median(prices, weights) for prices in standing])
    return PriceHistory(f"{path.name}: {gpu} {kind}, {', '.join(kept)}", tuple(dates), (gpu,), usd[:, None])


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The lowest value at which half of the weight or more is reached."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) * 2 >= weights.sum()
    return float(values[order][int(np.argmax(reached))])


def ticks_of(usd: NDArray[np.float64], tick_usd: float) -> NDArray[np.int64]:
    """Bridge from prices in USD to whole ticks, a half up, at least one; exact in what a float can hold of a price."""
    ticks: NDArray[np.int64] = np.maximum(np.floor(usd / tick_usd + 0.5), 1.0).astype(np.int64)
    return ticks


def _carried(days: Mapping[str, tuple[float, float]], dates: Sequence[str]) -> NDArray[np.float64]:
    """A provider's price on each date: the last one that was seen."""
    price, prices = days[min(days)][0], []
    for on in dates:
        price = days.get(on, (price, 0.0))[0]
        prices.append(price)
    return np.array(prices)


def _index_of_run(folder: Path) -> PriceHistory:
    """The fixings of a run's standard token, the last version of each day."""
    if not (folder / FIXINGS).exists():
        raise Malformed(f"folder {folder}", found=f"no {FIXINGS}", expected="the folder of a run, or a file of prices",
                        remedy="Play one with `ciyuan run`.")  # fmt: skip
    table = pq.read_table(folder / FIXINGS, columns=["day", "leg", "value_micro", "version"])
    values: dict[str, tuple[int, int]] = {}
    for row in table.to_pylist():
        if row["leg"] == "standard":
            on = row["day"].isoformat()
            values[on] = max(values.get(on, (0, 0)), (row["version"], row["value_micro"]))
    if not values:
        raise Malformed(
            f"folder {folder}",
            found="no fixing",
            expected="a run with an index",
            remedy="Finish the run first.",
        )
    dates = sorted(values)
    usd = np.array([[values[on][1] / MICRO] for on in dates])
    return PriceHistory(f"the index of {folder.name}", tuple(dates), (INDEX,), usd)


def _rows(path: Path, needed: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a CSV or Parquet file as text, each with its place; Malformed for a file that is neither, or lacks a column."""
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
    except OSError as error:
        raise Malformed(f"prices {path}", found=error.strerror, expected="a file that can be read",
                        remedy="Check the path and its permissions.") from None  # fmt: skip
    rows = _parquet(path) if magic == PARQUET_MAGIC else _csv(path, magic[:2] == GZIP_MAGIC)
    for where, cells in rows:
        missing = [name for name in needed if name not in cells]
        if missing:
            raise Malformed(where, found=f"no column {missing[0]}", expected=", ".join(needed), remedy=AGAIN)
        yield where, cells


def _csv(path: Path, zipped: bool) -> Iterator[Row]:
    opened = gzip.open if zipped else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text)
            names = next(reader, [])
            if len(set(names)) < len(names):
                raise Malformed(
                    f"prices {path.name}, line 1", found=names, expected="each column once", remedy=AGAIN
                )
            for cells in reader:
                where = f"prices {path.name}, line {reader.line_num}"
                if len(cells) != len(names):
                    raise Malformed(
                        where, found=f"{len(cells)} cells", expected=f"{len(names)}", remedy=AGAIN
                    )
                yield where, dict(zip(names, cells, strict=True))
    except (UnicodeDecodeError, EOFError, OSError, csv.Error) as error:
        raise _unreadable(path, error) from None


def _parquet(path: Path) -> Iterator[Row]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"prices {path.name}, row {number}", {name: _text(value) for name, value in row.items()}


def _unreadable(path: Path, error: Exception) -> Malformed:
    return Malformed(
        f"prices {path.name}", found=str(error), expected="an undamaged CSV or Parquet file", remedy=AGAIN
    )


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    return "" if value is None else str(value)


def _date(where: str, name: str, text: str, before: Sequence[str]) -> str:
    try:
        on = date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        raise Malformed(
            f"{where}, column {name}", found=text, expected="a date as 2026-10-01", remedy=AGAIN
        ) from None
    if before and on <= before[-1]:
        raise Malformed(f"{where}, column {name}", found=on, expected=f"a date after {before[-1]}",
                        remedy="Put the rows in order of their dates, each once.")  # fmt: skip
    return on


def _price(where: str, name: str, text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = 0.0
    if not (isfinite(price) and price > 0):
        raise Malformed(f"{where}, column {name}", found=text, expected="a number above zero",
                        remedy="Leave the day out, or mend its price.")  # fmt: skip
    return price
