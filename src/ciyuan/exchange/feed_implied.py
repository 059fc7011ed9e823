"""Implied prices (§2.5): what a spread and its two legs offer in each other's books, made of the three best levels on each side.

| implied | at | of |
|---|---|---|
| ask of the spread | near ask - far bid | near ask, far bid |
| bid of the spread | near bid - far ask | near bid, far ask |
| ask of the near month | spread ask + far ask | spread ask, far ask |
| bid of the near month | spread bid + far bid | spread bid, far bid |
| ask of the far month | near ask - spread bid | near ask, spread bid |
| bid of the far month | near bid - spread ask | near bid, spread ask |

Lots are the lesser of the two levels'. A price outside the contract's limits is none. No order stands at an implied price, so a
`Level` of it has 0 orders. What is implied of an implied price is not worked, and not shown.
"""

from collections.abc import Callable, Iterable

from ciyuan.exchange.feed_levels import Top
from ciyuan.exchange.messages import Level

Leg = tuple[Level | None, int]
"""A level, and the sign with which its price counts."""


def implied_spread(spread: int, near: Top, far: Top) -> Top:
    """What two months imply of their spread."""
    return Top(spread, _sum((near.bid, 1), (far.ask, -1)), _sum((near.ask, 1), (far.bid, -1)))


def implied_near(near: int, spread: Top, far: Top) -> Top:
    """What a spread and its far month imply of the near one."""
    return Top(near, _sum((spread.bid, 1), (far.bid, 1)), _sum((spread.ask, 1), (far.ask, 1)))


def implied_far(far: int, spread: Top, near: Top) -> Top:
    """What a spread and its near month imply of the far one."""
    return Top(far, _sum((near.bid, 1), (spread.ask, -1)), _sum((near.ask, 1), (spread.bid, -1)))


def best_of(contract: int, tops: Iterable[Top], lower_ticks: int, upper_ticks: int) -> Top:
    """The best of what several spreads imply of a contract, within its limits; at equal prices the lots of all."""
    bids: list[Level] = []
    asks: list[Level] = []
    for top in tops:
        bids += _within(top.bid, lower_ticks, upper_ticks)
        asks += _within(top.ask, lower_ticks, upper_ticks)
    return Top(contract, _together(bids, max), _together(asks, min))


def _sum(one: Leg, other: Leg) -> Level | None:
    (first, sign), (second, second_sign) = one, other
    if first is None or second is None:
        return None
    return Level(sign * first.price_ticks + second_sign * second.price_ticks, min(first.lots, second.lots), 0)


def _within(level: Level | None, lower_ticks: int, upper_ticks: int) -> list[Level]:
    return [level] if level is not None and lower_ticks <= level.price_ticks <= upper_ticks else []


def _together(levels: list[Level], best: Callable[[Iterable[int]], int]) -> Level | None:
    if not levels:
        return None
    price = best(level.price_ticks for level in levels)
    return Level(price, sum(level.lots for level in levels if level.price_ticks == price), 0)
