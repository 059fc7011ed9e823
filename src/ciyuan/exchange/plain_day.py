"""The plain exchange's trading day: states, the breaker's auctions that are due, since when a book stands so (§4.1, §4.6)."""

from collections.abc import Sequence

from ciyuan.exchange.messages import Refusal, SessionState
from ciyuan.exchange.plain_answer import refused, repeated
from ciyuan.exchange.plain_auction import forget_indicative, hold_auction
from ciyuan.exchange.plain_book import standing
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_match import work_stops
from ciyuan.exchange.plain_spread import work_off_implied
from ciyuan.exchange.session import FOLLOWS
from ciyuan.exchange.state import NEVER

STATES = frozenset(map(int, SessionState)) - {int(SessionState.SUSPENDED)}
"""The states that a SESSION may name."""
ENDS_BREAKER = frozenset({int(SessionState.BREAK), int(SessionState.CLOSING)})


def change_session(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """SESSION. For contract 0 every contract that is listed on the day answers for itself."""
    number, state, day = row[2:5]
    if number and number not in floor.markets:
        return Refusal.UNKNOWN_CONTRACT
    if state not in STATES:
        return Refusal.UNKNOWN_STATE
    if number:
        return _enter(floor, floor.markets[number], row)
    listed = [market for market in floor.markets.values() if _is_listed(market, day)]
    for market in listed:
        own = [*row[:2], market.number, *row[3:]]
        refusal = _enter(floor, market, own)
        if refusal is not None:
            refused(floor, own, refusal)
    return None if listed else Refusal.WRONG_DAY


def _is_listed(market: Market, day: int) -> bool:
    return market.contract.first_day <= day <= market.contract.last_day


def _enter(floor: Floor, market: Market, row: Sequence[int]) -> Refusal | None:
    """Move one contract into a state, if it may follow."""
    state, day = row[3:5]
    if state == market.state and day == market.day != 0:
        repeated(floor, row)
        return None
    refusal = _barred(market, state, day)
    if refusal is not None:
        return refusal
    if market.state == SessionState.CLOSED:
        return _open(floor, market, state, day)
    if state in ENDS_BREAKER:
        while market.due_ns:
            _end_breaker(floor, market)
    _change(floor, market, state)
    return None


def _barred(market: Market, state: int, day: int) -> Refusal | None:
    """Why a contract may not enter a state on a day."""
    if market.state == SessionState.CLOSED:
        if day <= market.day or not _is_listed(market, day):
            return Refusal.WRONG_DAY
    elif day != market.day:
        return Refusal.WRONG_DAY
    if market.state == SessionState.SUSPENDED and state != SessionState.CLOSED:
        return Refusal.SUSPENDED
    ends_breaker = market.due_ns and state in ENDS_BREAKER
    if not ends_breaker and state not in FOLLOWS[SessionState(market.state)]:
        return Refusal.WRONG_STATE
    if state == SessionState.CLOSED and market.settled_day != day:
        return Refusal.DAY_NOT_CLOSED
    return None


def _open(floor: Floor, market: Market, state: int, day: int) -> Refusal | None:
    """Begin a trading day. After the third locked one it is suspended: nothing trades, so there need be no room for it."""
    suspended = market.suspend
    limits = floor.spread_limits(market) if market.is_spread else (market.lower_ticks, market.upper_ticks)
    if not suspended and not floor.ladder_holds(*limits):
        return Refusal.LADDER_FULL
    market.lower_ticks, market.upper_ticks = limits
    market.open_day(day)
    _change(floor, market, SessionState.SUSPENDED if suspended else state)
    return None


def _change(floor: Floor, market: Market, state: int) -> None:
    """Enter a state and do what is done on entering it."""
    market.state = int(state)
    market.due_ns = 0
    if state == SessionState.CLOSING:
        market.closing_ns = floor.now
    forget_indicative(market)
    floor.say_session(market)
    if state == SessionState.AUCTION_MATCH and not market.is_spread:
        hold_auction(floor, market)
    if state == SessionState.CONTINUOUS:
        work_off_implied(floor, market)
        work_stops(floor)


def _end_breaker(floor: Floor, market: Market) -> None:
    """Hold the breaker's auction and go on trading. The band is then that of the auction's trades alone."""
    market.minutes = {}
    _change(floor, market, SessionState.AUCTION_MATCH)
    _change(floor, market, SessionState.CONTINUOUS)


def end_due_breakers(floor: Floor, time_ns: int) -> None:
    """Hold the breaker's auctions that are due by a time, each at its own time."""
    while due := [market for market in floor.markets.values() if 0 < market.due_ns <= time_ns]:
        market = min(due, key=lambda market: (market.due_ns, market.number))
        floor.now = market.due_ns
        _end_breaker(floor, market)


def note_sides(floor: Floor) -> None:
    """Keep since when both sides stand, or one alone at its limit."""
    for market in floor.markets.values():
        buys, sells = standing(market, 0), standing(market, 1)
        if not (buys and sells):
            market.both_since_ns = NEVER
        elif market.both_since_ns == NEVER:
            market.both_since_ns = floor.now
        lock_side = 0
        if not (market.is_spot or market.is_spread):
            if buys and not sells and buys[0].limit_ticks == market.upper_ticks:
                lock_side = 1
            if sells and not buys and sells[0].limit_ticks == market.lower_ticks:
                lock_side = -1
        if lock_side != market.lock_side:
            market.lock_side = lock_side
            market.lock_since_ns = floor.now if lock_side else 0
