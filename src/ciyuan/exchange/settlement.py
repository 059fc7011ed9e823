"""Daily price limits and settlement prices as integer arithmetic in ticks (§4.3, §4.4).

| figure | is | rounds |
|---|---|---|
| upper limit | previous x (1 + r) | up |
| lower limit | previous x (1 - r) | down, at least 1 |
| average of trades | turnover / volume | half up |
| middle of quotes | (bid + ask) / 2 | half up |
| moved price | previous + change of the nearest traded month, in ticks | exact |
"""

from ciyuan.basics.money import div_ceil, div_floor, div_half_up
from ciyuan.basics.time import NS_PER_MINUTE
from ciyuan.exchange.contract import BASIS_POINTS

FIRST_DAY_LIMITS = 2
"""The limit rate counts this many times on a contract's first day (§4.3)."""
QUOTES_STAND_NS = 5 * NS_PER_MINUTE
"""How long both sides must have stood at the close for their middle to be the settlement price (§4.4)."""
LOCK_STANDS_NS = QUOTES_STAND_NS
"""How long one side must have stood alone at its limit for the day to be locked (§4.5)."""


def daily_limits(previous_ticks: int, rate_bp: int) -> tuple[int, int]:
    """(lower, upper) price limit of a day in ticks (§4.3): the upper is rounded up, the lower down, and is at least one tick."""
    upper = div_ceil(previous_ticks * (BASIS_POINTS + rate_bp), BASIS_POINTS)
    lower = div_floor(previous_ticks * (BASIS_POINTS - rate_bp), BASIS_POINTS)
    return max(lower, 1), upper


def average_ticks(turnover: int, volume: int) -> int:
    """The volume-weighted average price in ticks. `turnover` is in tick-lots, `volume` > 0 in lots."""
    return div_half_up(turnover, volume)


def middle_ticks(bid_ticks: int, ask_ticks: int) -> int:
    """The middle of two quotes."""
    return div_half_up(bid_ticks + ask_ticks, 2)


def months_apart(month: int, other: int) -> int:
    """How many months lie between two months (yyyymm); negative if `other` is earlier."""
    return (other // 100 - month // 100) * 12 + other % 100 - month % 100
