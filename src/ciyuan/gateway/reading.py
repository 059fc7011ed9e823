"""Reading what was settled: whole columns of integers for tables, bills and the index. Nothing here is rounded but by
name.

The exact cost of a delivery is not its charge, which is whole micro-units and holds a part of the carry; it is rated
again by the list whose number its event carries.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import CENTI, ConversionVector
from ciyuan.basics.rows import (
    CODE_MASK,
    FLAG_MASK,
    FLAG_SHIFT,
    INT64_MAX,
    KIND,
    REASON_MASK,
    REASON_SHIFT,
    TIME,
)
from ciyuan.gateway.messages import (
    AMOUNT,
    GRADE_MAX,
    KEY,
    PARTIES,
    SUPPLIER_MAX,
    TOKENS_CACHED,
    TOKENS_IN,
    TOKENS_OUT,
    MeterEvent,
)

Column = NDArray[np.int64]
_SETTLED = int(MeterEvent.SETTLED)
_LIST_PRICES = slice(2, 5)
_LIST_HUNDREDTHS = 6


@dataclass(frozen=True, slots=True)
class SettledView:
    """The settled deliveries of a run of events, in order; every column is (n,) int64.

    `batch` is 0 or 1. `cost_pico` is exact. `centitokens` are hundredths of a standard token; `price_micro` is
    micro-units per MTok of standard tokens, half up, and 0 where there are none.
    """

    time_ns: Column
    request: Column
    customer: Column
    supplier: Column
    grade: Column
    tokens_in: Column
    tokens_cached: Column
    tokens_out: Column
    batch: Column
    price_list: Column
    charge_micro: Column
    cost_pico: Column
    centitokens: Column
    price_micro: Column

    def __len__(self) -> int:
        return len(self.time_ns)


def settled_rows(events: NDArray[np.int64]) -> NDArray[np.int64]:
    """The (m, 8) SETTLED rows of (n, 8) events."""
    rows: NDArray[np.int64] = events[events[:, KIND] & CODE_MASK == _SETTLED]
    return rows


def settled_view(
    events: NDArray[np.int64],
    price_lists: NDArray[np.int64],
    vectors: Mapping[int, ConversionVector],
    has_legs: NDArray[np.bool_] | None = None,
) -> SettledView:
    """The SETTLED rows of (n, 8) `events` as columns. `price_lists` are the meter's, and `has_legs` says which of them have
    prices of legs (None: none has); `vectors` are by grade number.

    Raises Malformed for a grade without a vector, for a list that is not there, and for one with prices of legs: what was told of
    these is in no event of a delivery, so its cost could not be exact.
    """
    rows = settled_rows(events)
    batch, number = rows[:, KIND] >> FLAG_SHIFT & FLAG_MASK, rows[:, KIND] >> REASON_SHIFT & REASON_MASK
    if has_legs is not None and np.any(has_legs[number - 1]):
        raise Malformed(
            "settled deliveries",
            found=f"list {int(number[has_legs[number - 1]][0])}, which has prices of legs",
            expected="lists whose three prices say what a delivery cost",
            remedy="Leave its deliveries out, or read what they were charged.",
        )
    grade = rows[:, PARTIES] & GRADE_MAX
    tokens_in, cached, out = rows[:, TOKENS_IN], rows[:, TOKENS_CACHED], rows[:, TOKENS_OUT]
    cost = _costs(rows, batch, number, price_lists)
    centi = centitokens(grade, tokens_in, cached, out, batch, vectors)
    return SettledView(
        rows[:, TIME],
        rows[:, KEY],
        rows[:, PARTIES] >> 32,
        rows[:, PARTIES] >> 16 & SUPPLIER_MAX,
        grade,
        tokens_in,
        cached,
        out,
        batch,
        number,
        rows[:, AMOUNT],
        cost,
        centi,
        standard_prices(cost, centi),
    )


def centitokens(
    grade: Column,
    tokens_in: Column,
    cached: Column,
    out: Column,
    batch: Column,
    vectors: Mapping[int, ConversionVector],
) -> Column:
    """Hundredths of a standard token of each delivery, (n,): `ConversionVector.standard_centitokens` over whole columns."""
    whole = np.zeros(len(grade), np.int64)
    for code in np.unique(grade).tolist():
        if code not in vectors:
            raise Malformed(
                "conversion vectors",
                found=sorted(vectors),
                expected=f"one for grade {code}, which was delivered",
                remedy="Add the grade to the catalogue.",
            )
        vector, of_it = vectors[code], grade == code
        centi = (tokens_in - cached) * vector.input + cached * vector.cached + out * vector.output
        discounted = np.where(batch != 0, (2 * centi * vector.batch + CENTI) // (2 * CENTI), centi)
        whole = np.where(of_it, discounted, whole)
    return whole


def standard_prices(cost_pico: Column, centi: Column) -> Column:
    """Micro-units per MTok of standard tokens, half up, (n,); 0 where there are no tokens. Raises Malformed beyond int64."""
    some = np.maximum(centi, 1)
    whole, rest = cost_pico // some, cost_pico % some
    if np.any(whole > INT64_MAX // CENTI - 1):
        raise Malformed(
            "standard prices",
            found=int(whole.max()),
            expected="prices per MTok within 64 bits",
            remedy="Check the price lists and the conversion vector.",
        )
    prices: Column = np.where(centi > 0, whole * CENTI + (2 * CENTI * rest + some) // (2 * some), 0)
    return prices


def _costs(rows: NDArray[np.int64], batch: Column, number: Column, price_lists: NDArray[np.int64]) -> Column:
    if len(number) and not (number.min() >= 1 and number.max() <= len(price_lists)):
        raise Malformed(
            "price lists",
            found=f"{len(price_lists)} lists",
            expected=f"list {number.max()}, by which an event was rated",
            remedy="Hand in the price lists of the meter that wrote the events.",
        )
    prices = price_lists[number - 1, _LIST_PRICES]
    hundredths = price_lists[number - 1, _LIST_HUNDREDTHS]
    prices = np.where(batch[:, None] != 0, (2 * prices * hundredths[:, None] + 100) // 200, prices)
    uncached = rows[:, TOKENS_IN] - rows[:, TOKENS_CACHED]
    cost: Column = (
        uncached * prices[:, 0] + rows[:, TOKENS_CACHED] * prices[:, 1] + rows[:, TOKENS_OUT] * prices[:, 2]
    )
    return cost
