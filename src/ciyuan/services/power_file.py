"""Hourly power prices from a CSV file: one row an hour, a column `utc` and a column per price zone, in local currency
per MWh.

| | |
|---|---|
| a line that begins with # | a comment |
| `utc` | the start of the hour with its zone, as 2023-01-01T00:00Z; hours follow each other without a gap or a repeat |
| a zone | a number, negative ones included; other columns are not looked at |

Prices become USD at one fixed rate per zone, given or read from a zone file. All or nothing: a file that raises has
given nothing.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_HOUR, iso_from_ns, ns_from_iso

HOUR = "utc"


@dataclass(frozen=True, slots=True, eq=False)
class PowerPrices:
    """`usd_per_mwh`: (hours, zones) float64, a column for each of `zones`; hour i starts at `first_ns` + i hours."""

    zones: tuple[str, ...]
    first_ns: int
    usd_per_mwh: NDArray[np.float64]
    source: str

    def window(self, first_ns: int, hours: int) -> NDArray[np.float64]:
        """The prices of `hours` hours from `first_ns` on, (hours, zones). Raises Malformed if the file does not hold them all."""
        skip, rest = divmod(first_ns - self.first_ns, NS_PER_HOUR)
        if rest or skip < 0 or hours < 0 or skip + hours > len(self.usd_per_mwh):
            end_ns = self.first_ns + len(self.usd_per_mwh) * NS_PER_HOUR
            raise Malformed(f"{self.source}, hours asked for", found=f"{hours} hours from {iso_from_ns(first_ns)}",
                            expected=f"whole hours from {iso_from_ns(self.first_ns)} to {iso_from_ns(end_ns)}",
                            remedy="Choose another first hour, or give a longer file.")  # fmt: skip
        return self.usd_per_mwh[skip : skip + hours]


@dataclass(frozen=True, slots=True)
class ZoneRate:
    """A zone's currency, and the fixed rate at which its prices become USD."""

    currency: str
    usd_per_unit: float


def read_power(path: Path, zones: Sequence[str], usd_per_unit: Mapping[str, float]) -> PowerPrices:
    """Read the prices of `zones`; `usd_per_unit` gives each zone's exchange rate (1 for USD).

    Raises Malformed, naming file, line, field and remedy, for a missing column or rate, a text in a number, and an
    hour that is out of order, repeated or missing.
    """
    missing = [zone for zone in zones if not usd_per_unit.get(zone, 0) > 0]
    if missing:
        raise Malformed(f"exchange rate of {missing[0]}", found=usd_per_unit.get(missing[0], "none"),
                        expected="USD per unit, above 0", remedy="Give the zone's rate.")  # fmt: skip
    hours: list[int] = []
    prices: list[list[float]] = []
    for line, cells in _rows(path, (HOUR, *zones)):
        place = f"power file {path}, line {line}, field"
        hours.append(_hour(cells[0], hours, f"{place} {HOUR}"))
        prices.append([_number(cell, f"{place} {zone}") for zone, cell in zip(zones, cells[1:], strict=True)])
    if not hours:
        raise Malformed(
            f"power file {path}",
            found="no rows",
            expected="at least one hour of prices",
            remedy="Export it again.",
        )
    native = np.array(prices, dtype=np.float64).reshape(-1, len(zones))
    rates = np.array([usd_per_unit[zone] for zone in zones])
    return PowerPrices(tuple(zones), hours[0], native * rates, f"power file {path}")


def read_zone_rates(path: Path, year: int) -> dict[str, ZoneRate]:
    """Currencies and fixed rates of the zones in a year, from a CSV with zone, year, currency and `fx_to_usd...`."""
    names = _header(path)
    rate_column = next((name for name in names if name.startswith("fx_to_usd")), "fx_to_usd")
    rates = {}
    for line, (zone, of_year, currency, rate) in _rows(path, ("zone", "year", "currency", rate_column)):
        if of_year == str(year):
            rates[zone] = ZoneRate(
                currency, _number(rate, f"power file {path}, line {line}, field {rate_column}")
            )
    return rates


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[tuple[int, str]]]:
    """The file's numbered lines that are no comments; what the system says of a file that cannot be read becomes Malformed."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            yield (
                (number, line)
                for number, line in enumerate(stream, 1)
                if not line.startswith("#") and line.strip()
            )
    except OSError as error:
        raise Malformed(f"power file {path}", found=error.strerror, expected="a file that can be read",
                        remedy="Check the path and its permissions.") from None  # fmt: skip
    except UnicodeDecodeError:
        raise Malformed(f"power file {path}", found="bytes that are not UTF-8", expected="CSV text in UTF-8",
                        remedy="Save the file as UTF-8.") from None  # fmt: skip


def _cells(line: str) -> list[str]:
    return next(csv.reader([line]), [])


def _header(path: Path) -> list[str]:
    with _lines(path) as lines:
        return _cells(next(lines, (0, ""))[1])


def _rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, the wanted cells) of each row."""
    with _lines(path) as lines:
        header = _cells(next(lines, (0, ""))[1])
        places = [_column(path, header, name) for name in wanted]
        for number, line in lines:
            cells = _cells(line)
            if len(cells) != len(header):
                raise Malformed(f"power file {path}, line {number}", found=f"{len(cells)} fields",
                                expected=f"{len(header)} fields, as in the header", remedy="Mend the row.")  # fmt: skip
            yield number, [cells[place] for place in places]


def _column(path: Path, header: Sequence[str], name: str) -> int:
    if name not in header:
        raise Malformed(f"power file {path}, column {name}", found="no such column", expected=f"one of {', '.join(header)}",
                        remedy="Choose a zone of the file, or give a file that has it.")  # fmt: skip
    return header.index(name)


def _hour(text: str, before: Sequence[int], place: str) -> int:
    """The start of the hour, which must follow the last of `before`."""
    try:
        hour = ns_from_iso(text)
    except Malformed as problem:
        raise Malformed(place, found=text, expected=problem.expected, remedy=problem.remedy) from None
    due = before[-1] + NS_PER_HOUR if before else hour - hour % NS_PER_HOUR
    if hour % NS_PER_HOUR:
        wrong = "not the start of an hour"
    elif hour != due:
        wrong = (
            "a gap"
            if hour > due
            else "a repeated hour"
            if hour == due - NS_PER_HOUR
            else "an hour out of order"
        )
    else:
        return hour
    raise Malformed(place, found=f"{text}: {wrong}", expected=iso_from_ns(due),
                    remedy="Give every hour once, in order; fill gaps yourself, and say how.")  # fmt: skip


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise Malformed(
            place, found=text, expected="a number", remedy="Mend the cell; fill gaps yourself, and say how."
        )
    return value
