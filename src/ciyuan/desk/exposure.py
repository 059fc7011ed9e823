"""Exposure: how much of a grade's price a customer bears, from what was settled.

| function | gives |
|---|---|
| `use_of(...)` | standard tokens and charges by customer and day, from columns of settled deliveries |
| `exposure_of(use, customer, month)` | one customer's month, every calendar day of it |

A customer or a day that does not occur used nothing. Sums are exact.
"""

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import month_days
from ciyuan.basics.errors import Malformed
from ciyuan.desk.messages import Exposure, Use

Column = NDArray[np.int64]


def use_of(customer: Column, day: Column, centitokens: Column, charge_micro: Column) -> Use:
    """The use of settled deliveries, one entry of each (n,) column a delivery.

    `centitokens` are hundredths of a standard token (`gateway.reading.settled_view` has them). Raises Malformed for columns of
    different lengths and for negative counts.
    """
    lengths = {len(column) for column in (customer, day, centitokens, charge_micro)}
    if len(lengths) > 1:
        raise Malformed("deliveries", found=f"columns of {sorted(lengths)} entries", expected="columns of one length",
                        remedy="Hand over the columns of the same events.")  # fmt: skip
    if len(day) and min(centitokens.min(), charge_micro.min()) < 0:
        raise Malformed("deliveries", found=int(min(centitokens.min(), charge_micro.min())),
                        expected="tokens and charges of 0 or more", remedy="A rebate is a transfer of its own.")  # fmt: skip
    customers, row = np.unique(customer, return_inverse=True)
    days = np.arange(day.min(), day.max() + 1) if len(day) else np.empty(0, dtype=np.int64)
    used = np.zeros((len(customers), len(days)), dtype=np.int64)
    charged = np.zeros_like(used)
    if len(day):
        np.add.at(used, (row, day - days[0]), centitokens)
        np.add.at(charged, (row, day - days[0]), charge_micro)
    return Use(customers.astype(np.int64), days.astype(np.int64), used, charged)


def exposure_of(use: Use, customer: int, month: int) -> Exposure:
    """A customer's exposure in a month (yyyymm)."""
    first, last = month_days(month)
    days = np.arange(first, last + 1, dtype=np.int64)
    used, charged = np.zeros(len(days), dtype=np.int64), np.zeros(len(days), dtype=np.int64)
    rows = np.flatnonzero(use.customers == customer)
    inside = (use.days >= first) & (use.days <= last)
    if len(rows):
        places = use.days[inside] - first
        used[places] = use.centitokens[rows[0], inside]
        charged[places] = use.charge_micro[rows[0], inside]
    return Exposure(customer, month, days, used, charged)
