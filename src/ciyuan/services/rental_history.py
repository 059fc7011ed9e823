"""Rents of GPUs over time, from a table of a cloud's price changes: what one chip cost in one region, and in the median region.

| column | |
|---|---|
| date, chip | the day of a change; the chip's name, as A100-40GB |
| spot_us_central1, od_us_central1 | USD per GPU-hour in one large region, spot and on demand |
| spot_median, od_median | USD per GPU-hour in the median of the regions that offer it |

A row holds from its day until the next row of its chip. A cell may be empty: not offered then.

A table of offers (date, provider, gpu, kind, usd_median) gives what GPUs are offered for now: `offered_rents`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from ciyuan.basics.errors import Malformed
from ciyuan.services.catalog_factory import Names
from ciyuan.services.measurements import Cells, read_rows, resolved

OFFERS = ("date", "provider", "gpu", "kind", "usd_median")
ON_DEMAND, OFFER_DAYS = "on_demand", 45
SERIES = ("spot_us_central1", "spot_median", "od_us_central1", "od_median")


@dataclass(frozen=True, slots=True)
class Rent:
    """USD per GPU-hour from a day on, by series; None where it was not offered."""

    day: str
    chip: str
    usd_per_hour: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class RentChange:
    """How a series moved: first and last day with a figure, and the figures."""

    chip: str
    series: str
    first_day: str
    last_day: str
    first_usd_per_hour: float
    last_usd_per_hour: float

    @property
    def change(self) -> float:
        """Last over first, less 1."""
        return self.last_usd_per_hour / self.first_usd_per_hour - 1.0


def read_rents(path: Path) -> tuple[Rent, ...]:
    """The rows of a table, in order of their days. Raises Malformed for a file, a day or a figure that is none."""
    return tuple(sorted(read_rows(path, ("date", "chip", *SERIES), _rent).rows, key=lambda rent: rent.day))


def _rent(cells: Cells) -> Rent:
    return Rent(_day(cells), cells.text("chip"), {name: cells.figure(name) for name in SERIES})


def chips_of(rents: Iterable[Rent]) -> tuple[str, ...]:
    """The chips of a history, in order of appearance."""
    return tuple(dict.fromkeys(rent.chip for rent in rents))


def series_of(rents: Iterable[Rent], chip: str, series: str) -> list[tuple[str, float]]:
    """Days and USD per GPU-hour of a chip's series, where it was offered."""
    return [
        (rent.day, usd)
        for rent in rents
        if rent.chip == chip and (usd := rent.usd_per_hour[series]) is not None
    ]


def rent_change(
    rents: Iterable[Rent], chip: str, series: str, since: str = "", until: str = "9999"
) -> RentChange:
    """How a chip's rent moved from `since` to `until` (ISO days): the rows in force on these days.

    Raises Malformed if there are not two days with a figure.
    """
    days = series_of(rents, chip, series)
    held = [one for one in days if one[0] <= since][-1:] + [one for one in days if since < one[0] <= until]
    if len(held) < 2:
        raise Malformed(f"rents of {chip}, {series}", found=f"{len(held)} days from {since or 'the start'} to {until}",
                        expected="two at least", remedy="Choose another chip, series or span.")  # fmt: skip
    (first_day, first), (last_day, last) = held[0], held[-1]
    return RentChange(chip, series, first_day, last_day, first, last)


@dataclass(frozen=True, slots=True)
class OfferedRent:
    """What a chip is offered for: the median over `providers` of the last price of each, on demand, and the last day of
    them."""

    usd_per_hour: float
    providers: int
    day: str


def offered_rents(path: Path, names: Names) -> dict[str, OfferedRent]:
    """What chips of the catalogue are offered for, by code: prices of the table's last `OFFER_DAYS` days.

    Names of GPUs that the catalogue does not know are left out. Raises Malformed for a file, a day or a price that is none.
    """
    rows = [
        row
        for row in read_rows(path, OFFERS, lambda cells: _offer(cells, names)).rows
        if row.kind == ON_DEMAND
    ]
    if not rows:
        raise Malformed(
            f"offers in {path}", found="none on demand", expected="one at least", remedy="Give another table."
        )
    first = date.fromisoformat(max(row.day for row in rows)) - timedelta(days=OFFER_DAYS)
    latest: dict[str, dict[str, _Offer]] = {}
    for row in sorted(rows, key=lambda row: row.day):
        if date.fromisoformat(row.day) > first:
            latest.setdefault(row.chip, {})[row.provider] = row
    return {
        chip: OfferedRent(
            median(row.usd_per_hour for row in by.values()), len(by), max(row.day for row in by.values())
        )
        for chip, by in latest.items()
    }


@dataclass(frozen=True, slots=True)
class _Offer:
    day: str
    chip: str
    provider: str
    kind: str
    usd_per_hour: float


def _offer(cells: Cells, names: Names) -> _Offer:
    chip = resolved(cells.text("gpu"), names.chip)
    return _Offer(
        _day(cells), chip.code, cells.text("provider"), cells.text("kind"), cells.number("usd_median")
    )


def _day(cells: Cells) -> str:
    try:
        return date.fromisoformat(cells.text("date")).isoformat()
    except ValueError:
        raise Malformed(f"{cells.file}, line {cells.line}, date", found=cells.text("date"), expected="a day as 2026-07-22",
                        remedy="Mend the cell.") from None  # fmt: skip
