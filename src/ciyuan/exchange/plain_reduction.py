"""NOTICE and REDUCE in the plain exchange: another limit rate, and forced reduction in a suspended contract (§4.5)."""

from collections.abc import Sequence

from ciyuan.exchange.contract import LIMIT_RATE_NOTICE_MAX_BP
from ciyuan.exchange.messages import CancelCause, Effect, ExchangeEvent, FillFlag, Refusal, SessionState
from ciyuan.exchange.plain_answer import is_set
from ciyuan.exchange.plain_book import all_in_line, cancel_all
from ciyuan.exchange.plain_close import fits_limits, forget_notes
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_risk import spoken_for
from ciyuan.exchange.plain_state import CLOSING, Position
from ciyuan.exchange.plain_trade import Party, trade

NOTICED = frozenset({SessionState.CLOSED, SessionState.SUSPENDED})
"""The states in which a notice may set another rate."""


def hear_notice(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """NOTICE."""
    number, rate_bp = row[2:4]
    market = floor.markets.get(number)
    if market is None:
        return Refusal.UNKNOWN_CONTRACT
    if market.state not in NOTICED:
        return Refusal.WRONG_STATE
    if market.is_spot or market.is_spread or not 0 <= rate_bp <= LIMIT_RATE_NOTICE_MAX_BP:
        return Refusal.VALUE_OUT_OF_RANGE
    is_set(floor, row)
    market.notice_bp = rate_bp
    _set_limits(floor, market)
    return None


def _set_limits(floor: Floor, market: Market) -> None:
    """Let the limits follow at once; orders outside them are cancelled."""
    market.set_rate(market.base_rate_bp)
    floor.say(ExchangeEvent.LIMITS, market.number, market.lower_ticks, market.upper_ticks, market.rate_bp)
    outside = [order for order in all_in_line(market) if not fits_limits(floor, market, order)]
    cancel_all(floor, [(order, CancelCause.PRICE_LIMIT) for order in outside])


def hear_reduce(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """REDUCE: match the positions at a loss that could not be closed with those at a profit, at the locked limit."""
    market = floor.markets.get(row[2])
    if market is None:
        return Refusal.UNKNOWN_CONTRACT
    if market.state != SessionState.SUSPENDED or not market.lock_ticks:
        return Refusal.WRONG_STATE
    losing, winning = _losing(floor, market), _winning(floor, market)
    lots = min(sum(lots for _, lots in losing), sum(lots for _, lots in winning))
    losers, winners = _shares(losing, lots), _shares(winning, lots)
    _pair(floor, market, losers, winners)
    floor.say(ExchangeEvent.REDUCED, market.number, market.lock_ticks, lots, len(losers), len(winners))
    forget_notes(floor, market)
    market.notice_bp = 0
    _set_limits(floor, market)
    return None


Reducible = list[tuple[Position, int]]
"""Positions, and how many lots of each may be reduced, or are."""


def _losing(floor: Floor, market: Market) -> Reducible:
    """The positions that were noted: at an upper limit sold, at a lower one bought."""
    noted = [
        (position, min(position.lock_lots, _free(floor, position)))
        for position in floor.positions_in(market.number)
        if position.net * market.lock_direction < 0
    ]
    return [(position, lots) for position, lots in noted if lots]


def _winning(floor: Floor, market: Market) -> Reducible:
    """The positions at a profit on the other side, of accounts of which nothing was noted."""
    positions = floor.positions_in(market.number)
    noted = {position.account for position in positions if position.lock_lots}
    winning = [
        (position, _free(floor, position))
        for position in positions
        if position.account not in noted and position.net * market.lock_direction > 0
        if position.gain(market.settlement_ticks) > 0
    ]
    return [(position, lots) for position, lots in winning if lots]


def _free(floor: Floor, position: Position) -> int:
    """The net lots of a position that can be closed: those that no closing order has spoken for."""
    sell = int(position.net > 0)
    orders = floor.open_orders(position.account)
    spoken = sum(spoken_for(floor, position, orders, sell, direction) for direction in CLOSING)
    held = position.long if sell else position.short
    return max(0, min(abs(position.net), held - spoken))


def _shares(of: Reducible, lots: int) -> Reducible:
    """Each position's part of `lots`: in proportion, whole lots down; what is left over to the largest remainders."""
    total = sum(own for _, own in of)
    if not total:
        return []
    shares = [lots * own // total for _, own in of]
    remainders = [lots * own % total for _, own in of]
    by_remainder = sorted(range(len(of)), key=lambda place: (-remainders[place], place))
    for place in by_remainder[: lots - sum(shares)]:
        shares[place] += 1
    return [(position, share) for (position, _), share in zip(of, shares, strict=True) if share]


def _pair(floor: Floor, market: Market, losing: Reducible, winning: Reducible) -> None:
    """Trade losing with winning positions, in order of account; the losing side is told first."""
    losers, winners = list(losing), list(winning)
    while losers and winners:
        (loser, some), (winner, others) = losers.pop(0), winners.pop(0)
        lots = min(some, others)
        sell = int(loser.net > 0)
        trade(
            floor,
            market,
            market.lock_ticks,
            lots,
            _forced(floor, loser, sell),
            _forced(floor, winner, 1 - sell),
        )
        if some > lots:
            losers.insert(0, (loser, some - lots))
        if others > lots:
            winners.insert(0, (winner, others - lots))


def _forced(floor: Floor, position: Position, sell: int) -> Party:
    """A position's side of a forced trade; of a gross account it closes lots."""
    closes = int(Effect.CLOSE) if floor.account(position.account).gross else 0
    effect = closes | (int(Effect.HEDGE) if position.hedge else 0)
    return Party(position.account, 0, effect, sell, int(FillFlag.FORCED))
