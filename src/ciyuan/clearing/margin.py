"""Margin by the ladder, position limits by stage, and fees: functions of terms, day and price.

| rule | formula, all in integers |
|---|---|
| §5.1 worst case, lots | max(position + open buys, open sells - position) |
| §6.1 margin of a lot | ceil(rate_bp x settlement price x multiplier / 10,000) |
| §4.5 rate, where a daily limit is wider than the contract's own | at least that limit + 2 points |
| §7.3 fee of a fill | max(1, lots x per lot + half-up(turnover x ppm / 1,000,000)) |
| §5.1 fee kept for an open lot | max(1, per lot + ceil(upper limit x multiplier x ppm / 1,000,000)), maker or taker |

The worst case needs no absolute values: position + buys and sells - position add up to buys + sells, which is not negative, so
the larger of the two is also the larger of their sizes. The fee kept back covers any split of an order into fills, because no
trade is above the upper limit and every fill has at least one lot.
"""

from enum import IntEnum

from ciyuan.basics.calendar import Calendar, month_of, next_month
from ciyuan.basics.money import div_ceil, div_half_up
from ciyuan.clearing.messages import Fees, Ladder, PositionLimits
from ciyuan.exchange.contract import Contract

BP = 10_000
OVER_LIMIT_BP = 200
"""Margin is at least so much over a daily limit that is wider than the contract's own (§4.5)."""
PPM = 1_000_000


class Stage(IntEnum):
    """Where a day stands in a future's life (§5.2, §6.1)."""

    ORDINARY = 1
    MONTH_BEFORE = 2
    DELIVERY_MONTH = 3
    LAST_DAYS = 4


def stage_of(contract: Contract, day: int, ladder: Ladder, calendar: Calendar) -> Stage:
    """The stage of a future on a venue day. The last days are the last trading day and the business days just before it."""
    if len(calendar.business_days(day, contract.last_day)) <= ladder.last_days + 1:
        return Stage.LAST_DAYS
    month = month_of(day)
    if month >= contract.month:
        return Stage.DELIVERY_MONTH
    return Stage.MONTH_BEFORE if month == next_month(contract.month, -1) else Stage.ORDINARY


def rate_bp(stage: Stage, ladder: Ladder) -> int:
    """The margin rate of a stage, in basis points (§6.1)."""
    rates = (ladder.listing_bp, ladder.month_before_bp, ladder.delivery_month_bp, ladder.last_days_bp)
    return rates[stage - Stage.ORDINARY]


def limit_lots(stage: Stage, limits: PositionLimits) -> int:
    """The position limit of a stage, in lots (§5.2)."""
    lots = (limits.ordinary, limits.month_before, limits.delivery_month, limits.delivery_month)
    return lots[stage - Stage.ORDINARY]


def margin_lot_micro(rate: int, settlement_ticks: int, tick_value_micro: int) -> int:
    """Margin of one lot, in micro-units, rounded up (§6.1)."""
    return div_ceil(rate * settlement_ticks * tick_value_micro, BP)


def worst_lots(position: int, buys: int, sells: int) -> int:
    """The larger of |position + buys| and |position - sells|, in lots (§5.1)."""
    return max(position + buys, sells - position)


def fill_fee_micro(turnover_micro: int, lots: int, lot_micro: int, turnover_ppm: int) -> int:
    """The fee of one side of one fill, in micro-units (§7.3)."""
    fee = lots * lot_micro + div_half_up(turnover_micro * turnover_ppm, PPM)
    return max(1, fee)


def fee_kept_micro(upper_ticks: int, tick_value_micro: int, fees: Fees) -> int:
    """The most that one open lot can cost in fees on a day with this upper limit, in micro-units (§5.1)."""
    turnover = upper_ticks * tick_value_micro
    maker = fees.maker_lot_micro + div_ceil(turnover * fees.maker_turnover_ppm, PPM)
    taker = fees.taker_lot_micro + div_ceil(turnover * fees.taker_turnover_ppm, PPM)
    return max(1, maker, taker)
