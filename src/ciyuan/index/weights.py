"""Medians and capped weights, in integers of any size: no step of a fixing rounds but its last.

| figure | is | exact as |
|---|---|---|
| `median_doubled(values)` | 2 x the median | an integer: the median of an even number of values is the middle of two |
| `weighted_median_doubled(pairs)` | 2 x the price at half of the weight | an integer, for the same reason |
| `multipliers(volumes, cap)` | what one unit of each seller's volume weighs | integers in the exact ratio |

The weighted median is the price at which half of the weight is reached; if that is exactly between two prices, their middle.
While one seller has less than half of the weight, the median lies within the range of the others' prices.
"""

from collections.abc import Sequence
from math import prod

from ciyuan.index.messages import BASIS_POINTS


def median_doubled(values: Sequence[int]) -> int:
    """Twice the median of one or more values."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] + ordered[-half - 1]


def weighted_median_doubled(pairs: Sequence[tuple[int, int]]) -> int:
    """Twice the weighted median of one or more (price, weight) pairs of positive weight."""
    ordered = sorted(pairs)
    total = sum(weight for _, weight in ordered)
    below = 0
    for place, (price, weight) in enumerate(ordered):
        below += weight
        if 2 * below == total:
            return price + ordered[place + 1][0]
        if 2 * below > total:
            return 2 * price
    raise ValueError("a median of no weight")


def cap_of(sellers: int, cap_bp: int) -> tuple[int, int]:
    """The most that one of `sellers` may weigh, as (numerator, denominator): the cap, or an equal part if that is more."""
    return (1, sellers) if sellers * cap_bp < BASIS_POINTS else (cap_bp, BASIS_POINTS)


def multipliers(volumes: Sequence[int], cap_bp: int) -> list[int]:
    """What one unit of each volume weighs, so that nobody has more than the cap of the sum of all weights. Volumes are positive.

    The water-filling: the largest k sellers are cut to the cap, the others keep their volumes. With cap = p/q and R the volume of
    the others, the sum of weights is R q / (q - k p) and a cut seller weighs p R / (q - k p); k is the least at which the largest
    of the others is within the cap. All is scaled by (q - k p) and by the cut volumes, which makes it whole.
    """
    part, whole = cap_of(len(volumes), cap_bp)
    order = sorted(range(len(volumes)), key=lambda place: -volumes[place])
    rest, cut = sum(volumes), 0
    while volumes[order[cut]] * (whole - cut * part) > part * rest:
        rest -= volumes[order[cut]]
        cut += 1
    scale = prod(volumes[place] for place in order[:cut])
    weighs = [(whole - cut * part) * scale] * len(volumes)
    for place in order[:cut]:
        weighs[place] = part * rest * (scale // volumes[place])
    return weighs
