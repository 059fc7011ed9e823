"""The screen (§8.4): a seller whose price is over three robust deviations from the others' median is set aside.

Each seller is one price, its volume-weighted median over the window, and has one vote however much it sold; a seller is
measured against the others only, so it does not move its own yardstick. The deviation is 1.4826 x MAD, the median absolute
deviation of the others from their median, which for normal prices is the standard deviation. Others that all agree have a MAD of
0: so the deviation is at least a stated share of their median (`IndexTerms.scale_floor_bp`).

Scales, so that all is whole: a price is doubled, a median of prices doubled again, a median of deviations once more.
"""

from collections.abc import Mapping

from ciyuan.basics.money import div_half_up
from ciyuan.index.messages import BASIS_POINTS, IndexTerms
from ciyuan.index.weights import median_doubled

MAD_TO_DEVIATION = 14_826
"""1.4826 in ten-thousandths: one over the third quartile of the standard normal distribution."""


def outliers(medians_doubled: Mapping[int, int], terms: IndexTerms) -> dict[int, int]:
    """The sellers to set aside, each with the others' median (micro per MTok, half up), from seller to twice its price."""
    found: dict[int, int] = {}
    for seller, price in medians_doubled.items():
        others = [other for number, other in medians_doubled.items() if number != seller]
        if not others:
            continue
        middle = median_doubled(others)
        distances = [abs(2 * other - middle) for other in others]
        deviation = max(MAD_TO_DEVIATION * median_doubled(distances), terms.scale_floor_bp * 2 * middle)
        if 2 * abs(2 * price - middle) * BASIS_POINTS > terms.deviations_max * deviation:
            found[seller] = div_half_up(middle, 4)
    return found
