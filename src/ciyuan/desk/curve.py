"""The curve: settlement prices of a grade's contracts, spot first, then month by month."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import CODE_MASK, KIND
from ciyuan.desk.messages import CurvePoint
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import ExchangeEvent

_CONTRACT_AT, _PRICE_AT, _DAY_AT = 2, 3, 4


def curve_of(
    events: NDArray[np.int64], contracts: Iterable[Contract], grade: int, day: int
) -> tuple[CurvePoint, ...]:
    """The curve of a grade at the end of a day, from the exchange's (n, 8) events, in order.

    Each contract has its latest settlement price of the day or before. One without any is left out, one past its last day, and a
    spread, which is a difference of two points.
    """
    prices: dict[int, tuple[int, int]] = {}
    for row in events[events[:, KIND] & CODE_MASK == ExchangeEvent.SETTLEMENT_PRICE].tolist():
        if row[_DAY_AT] <= day:
            prices[row[_CONTRACT_AT]] = (row[_DAY_AT], row[_PRICE_AT])
    outrights = [c for c in contracts if c.grade == grade and not c.is_spread]
    living = [c for c in outrights if c.number in prices and c.last_day >= day]
    return tuple(
        CurvePoint(c.number, c.code, c.month, prices[c.number][0], prices[c.number][1] * c.tick_micro)
        for c in sorted(living, key=lambda c: (c.month, c.number))
    )
