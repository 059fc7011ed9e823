"""What the sums of usage hold, and how they are summed.

A *cell* is one hour (or day) of one customer, spender, supplier, grade, batch or not, and price list. Its measures:

| measure | counts |
|---|---|
| requests | requests that were delivered and charged; a retry at another supplier is an attempt, not a request |
| voided, expired | attempts that were held and charged nothing |
| tokens_in, tokens_cached, tokens_out | as delivered; cached is a part of in |
| cache_write_short ... searches | further legs, by their names in `gateway.usage.Leg`; parts of in or out, and pieces |
| charged_micro | micro-units that were charged |
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import add, attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELL = ("hour", "customer", "spender", "supplier", "grade", "batch", "price_list")
CELL_WORDS = len(CELL)
HOUR_TABLES = {
    "usage_hour_grade": ("hour", "customer", "supplier", "grade", "batch", "price_list"),
    "usage_hour_spender": ("hour", "customer", "spender"),
    "usage_hour": CELL,
}
"""The sums by hour, thrice: the two narrow tables answer most questions, from a tenth of the rows or fewer."""
LEG_COLUMNS = (
    "cache_write_short", "cache_write_long", "reasoning", "audio_in", "audio_out", "image_in", "image_out", "images", "searches",
)  # fmt: skip
MEASURES = (
    "requests", "voided", "expired", "tokens_in", "tokens_cached", "tokens_out", *LEG_COLUMNS, "charged_micro",
)  # fmt: skip
REFUSED_CELL = ("hour", "customer", "spender", "supplier", "grade", "reason", "limit_number")
"""Refused HOLDs: `reason` is the `MeterRefusal`, `limit_number` the limit that refused, 0 if none did."""
HOURS_PER_DAY = 24


class Cells(NamedTuple):
    """Cells (n, words) in order, no two alike, and the sums (n, measures) of each."""

    keys: NDArray[np.int64]
    sums: NDArray[np.int64]


def grouped(keys: NDArray[np.int64], measures: NDArray[np.int64]) -> Cells:
    """The sums of `measures` (n, m) over equal rows of `keys` (n, k); cells in lexicographic order."""
    if not len(keys):
        return Cells(keys, measures)
    order = np.lexsort(keys.T[::-1])
    keys, measures = keys[order], measures[order]
    firsts = np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)])
    starts = np.flatnonzero(firsts)
    return Cells(keys[starts], np.add.reduceat(measures, starts, axis=0))


def narrowed(cells: Cells, cell: tuple[str, ...]) -> Cells:
    """The same sums over some of the words of a cell only."""
    return grouped(cells.keys[:, [CELL.index(name) for name in cell]], cells.sums)


def by_day(cells: Cells) -> Cells:
    """The same sums with the day (since 1970-01-01, UTC) in the place of the hour."""
    keys = cells.keys.copy()
    keys[:, 0] //= HOURS_PER_DAY
    return grouped(keys, cells.sums)


@dataclass(frozen=True, slots=True)
class Sums:
    """The measures of some cells, and how many HOLDs were refused there."""

    requests: int = 0
    voided: int = 0
    expired: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    cache_write_short: int = 0
    cache_write_long: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_out: int = 0
    images: int = 0
    searches: int = 0
    charged_micro: int = 0
    refused: int = 0

    @property
    def tokens(self) -> int:
        """Tokens in and out."""
        return self.tokens_in + self.tokens_out

    @property
    def cached_share(self) -> float | None:
        """The part of the input that was read from a cache; None without input."""
        return self.tokens_cached / self.tokens_in if self.tokens_in else None

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*map(add, _values(self), _values(other)))


_values = attrgetter(*(field.name for field in fields(Sums)))
NOTHING = Sums()


def total_of(parts: Iterable[Sums]) -> Sums:
    """The sum of many sums."""
    columns = zip(*map(_values, parts), strict=True)
    return Sums(*map(sum, columns))
