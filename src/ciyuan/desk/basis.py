"""Basis: what a customer paid per MTok of standard tokens, less the index, by day.

What a future on the index cannot hedge: a seller's price apart from the market's, and a mix of legs that the conversion vector
weighs otherwise than the seller's price list does.
"""

from collections.abc import Mapping

import numpy as np

from ciyuan.basics.money import div_half_up
from ciyuan.desk.messages import Basis, Exposure, per_mtok


def basis_of(exposure: Exposure, fixings: Mapping[int, int]) -> Basis:
    """The basis of a customer's month. `fixings`: day to micro per MTok; days that have none are not known."""
    rows = [
        _day(day, used, charged, fixings)
        for day, used, charged in zip(
            exposure.days.tolist(), exposure.centitokens.tolist(), exposure.charge_micro.tolist(), strict=True
        )
    ]
    known, price, fixing = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    held = known.astype(np.bool_)
    weights = exposure.centitokens[held].tolist()
    gaps = (price - fixing)[held].tolist()
    mean = None
    if weights:
        mean = div_half_up(sum(gap * weight for gap, weight in zip(gaps, weights, strict=True)), sum(weights))
    return Basis(exposure.days, held, price, fixing, price - fixing, mean)


def _day(day: int, used: int, charged: int, fixings: Mapping[int, int]) -> tuple[int, int, int]:
    """(known, price, fixing) of a day; zeros if it is not known."""
    if not used or day not in fixings:
        return 0, 0, 0
    return 1, per_mtok(charged, used), fixings[day]
