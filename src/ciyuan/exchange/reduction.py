"""NOTICE, and REDUCE: forced reduction in a contract that is suspended after a row of locked days (§4.5). Compiled."""

from numba import njit

from ciyuan.basics.rows import FLAG_SHIFT, REASON_SHIFT
from ciyuan.exchange.book import (
    A_FLAGS,
    ACCOUNT_TOP,
    BASIS,
    CONTRACT_RATE,
    FILLS,
    LOCK_DAYS,
    LOCK_DIRECTION,
    LOCK_LOTS,
    LOCK_TICKS,
    LONG,
    LONG_TODAY,
    NOTICE_BP,
    NUMBER,
    RATE_BP,
    SETTLED_DAY,
    SETTLEMENT,
    SHORT,
    SHORT_TODAY,
    SPOKEN_LONG,
    SPOKEN_LONG_TODAY,
    SPOKEN_SHORT,
    SPOKEN_SHORT_TODAY,
    TRADES,
    Book,
    Matrix,
)
from ciyuan.exchange.closing import clear_notes, limits_at
from ciyuan.exchange.messages import Effect, ExchangeEvent, FillFlag
from ciyuan.exchange.risk import GROSS, hold_lots, recharge
from ciyuan.exchange.saying import FILLED, say, say_reported
from ciyuan.exchange.settlement import FIRST_DAY_LIMITS
from ciyuan.exchange.sweeping import move_limits

LIMITS, REDUCED = int(ExchangeEvent.LIMITS), int(ExchangeEvent.REDUCED)
FORCED, TAKER = int(FillFlag.FORCED), int(FillFlag.TAKER)
CLOSE = int(Effect.CLOSE)
SHARE, REMAINDER = 21, 22
"""Columns of `positions` that are 0 but within a REDUCE: the lots it matches of a position, and what was rounded off."""


@njit(cache=True)
def give_notice(book: Book, events: Matrix, said: int, time: int, place: int, rate_bp: int) -> int:
    """Another daily limit from now on, 0 for the contract's own."""
    market = book.markets[place]
    market[NOTICE_BP] = rate_bp
    return _set_rate(book, events, said, time, place, rate_bp or market[CONTRACT_RATE])


@njit(cache=True)
def _set_rate(book: Book, events: Matrix, said: int, time: int, place: int, rate_bp: int) -> int:
    market = book.markets[place]
    if market[SETTLED_DAY] == 0:
        rate_bp *= FIRST_DAY_LIMITS
    market[RATE_BP] = rate_bp
    lower, upper = limits_at(market[SETTLEMENT], rate_bp)
    said = say(events, said, LIMITS, time, market[NUMBER], lower, upper, rate_bp, 0, 0)
    return move_limits(book, events, said, time, place, lower, upper, 0)


@njit(cache=True)
def _free(book: Book, row: int, account: int, net: int) -> int:
    """How many of a position's net lots can be matched: of a gross account those that no open order has spoken for."""
    position = book.positions[row]
    if not book.accounts[account, A_FLAGS] & GROSS:
        return abs(net)
    if net > 0:
        free = position[LONG] - position[SPOKEN_LONG] - position[SPOKEN_LONG_TODAY]
    else:
        free = position[SHORT] - position[SPOKEN_SHORT] - position[SPOKEN_SHORT_TODAY]
    return max(0, min(abs(net), free))


@njit(cache=True)
def _lots_of(book: Book, place: int, account: int, hedge: int, losing: bool) -> int:
    """The lots with which a position comes into forced reduction, on the losing or on the winning side."""
    contracts, market = len(book.markets), book.markets[place]
    row = (account * contracts + place) * 2 + hedge
    position = book.positions[row]
    net = position[LONG] - position[SHORT]
    if losing:
        against = net * market[LOCK_DIRECTION] < 0
        return min(position[LOCK_LOTS], _free(book, row, account, net)) if against else 0
    noted = book.positions[row - hedge, LOCK_LOTS] + book.positions[row - hedge + 1, LOCK_LOTS]
    gains = net * market[SETTLEMENT] - position[BASIS] > 0
    # Locked at the upper limit the losers are short, so the winners are long.
    if noted or not gains or net * market[LOCK_DIRECTION] <= 0:
        return 0
    return _free(book, row, account, net)


@njit(cache=True)
def _share_out(book: Book, place: int, losing: bool, total: int, matched: int) -> int:
    """Each position's share of the lots that are matched, in SHARE: in proportion, rest to the largest remainders.
    Returns how many.
    """
    contracts, given, count = len(book.markets), 0, 0
    for account in range(1, book.scalars[ACCOUNT_TOP] + 1):
        for hedge in range(2):
            lots = _lots_of(book, place, account, hedge, losing)
            if lots:
                position = book.positions[(account * contracts + place) * 2 + hedge]
                position[SHARE] = matched * lots // total
                position[REMAINDER] = 1 + matched * lots % total
                given += position[SHARE]
    while given < matched:
        best, most = -1, 1
        for account in range(1, book.scalars[ACCOUNT_TOP] + 1):
            for hedge in range(2):
                row = (account * contracts + place) * 2 + hedge
                mine = _lots_of(book, place, account, hedge, losing) > 0
                if mine and book.positions[row, REMAINDER] > most:
                    best, most = row, book.positions[row, REMAINDER]
        book.positions[best, SHARE] += 1
        book.positions[best, REMAINDER] = 0
        given += 1
    for account in range(1, book.scalars[ACCOUNT_TOP] + 1):
        for hedge in range(2):
            position = book.positions[(account * contracts + place) * 2 + hedge]
            count += _lots_of(book, place, account, hedge, losing) > 0 and position[SHARE] > 0
    return count


@njit(cache=True)
def _force(
    book: Book, events: Matrix, said: int, time: int, place: int, row: int, lots: int, sell: int, flags: int
) -> int:
    """One side of a forced trade: the position is closed by so many lots, and FILLED says so."""
    market, position = book.markets[place], book.positions[row]
    account, hedge = row // 2 // len(book.markets), row & 1
    price, effect = market[LOCK_TICKS], hedge << 2
    if book.accounts[account, A_FLAGS] & GROSS:
        effect |= CLOSE
        held, today = (LONG, LONG_TODAY) if sell else (SHORT, SHORT_TODAY)
        position[held] -= lots
        position[today] = min(position[today], position[held])
        position[BASIS] += -lots * price if sell else lots * price
        if position[LONG] == 0 and position[SHORT] == 0:
            position[BASIS] = 0
        recharge(book.markets, book.accounts, book.positions, row, account, place)
    else:
        hold_lots(book, place, account, sell, 0, lots, price)
    position[FILLS] += 1
    kind = FILLED | (sell | flags | FORCED) << FLAG_SHIFT | effect << REASON_SHIFT
    return say(events, said, kind, time, account, 0, market[NUMBER], price, lots, book.scalars[TRADES])


@njit(cache=True)
def _match_all(book: Book, events: Matrix, said: int, time: int, place: int, losers_sell: int) -> int:
    """Pair the shares of losing and winning positions, in order of account on both sides."""
    contracts = len(book.markets)
    end = (book.scalars[ACCOUNT_TOP] + 1) * contracts * 2
    loser, winner = place * 2, place * 2
    while True:
        loser = _next_share(book, place, loser, end, True)
        winner = _next_share(book, place, winner, end, False)
        if loser < 0 or winner < 0:
            return said
        lots = min(book.positions[loser, SHARE], book.positions[winner, SHARE])
        book.scalars[TRADES] += 1
        said = _force(book, events, said, time, place, loser, lots, losers_sell, 0)
        said = _force(book, events, said, time, place, winner, lots, 1 - losers_sell, TAKER)
        for row in (loser, winner):
            said = say_reported(book, events, said, time, row // 2 // contracts, place, (row & 1) << 2)
        book.positions[loser, SHARE] -= lots
        book.positions[winner, SHARE] -= lots


@njit(cache=True)
def _next_share(book: Book, place: int, row: int, end: int, losing: bool) -> int:
    """The first position from a row on, of a contract, that has a share on a side; -1 if none has."""
    step = len(book.markets) * 2
    while row >= 0 and row < end:
        if book.positions[row, SHARE] > 0 and (book.positions[row, LOCK_LOTS] > 0) == losing:
            return row
        row = row + 1 if row & 1 == 0 else row - 1 + step
    return -1


@njit(cache=True)
def reduce(book: Book, events: Matrix, said: int, time: int, place: int) -> int:
    """Forced reduction. Returns the events' count."""
    market, contracts = book.markets[place], len(book.markets)
    losing = winning = 0
    for account in range(1, book.scalars[ACCOUNT_TOP] + 1):
        for hedge in range(2):
            losing += _lots_of(book, place, account, hedge, True)
            winning += _lots_of(book, place, account, hedge, False)
    matched, losers, winners = min(losing, winning), 0, 0
    if matched:
        losers = _share_out(book, place, True, losing, matched)
        winners = _share_out(book, place, False, winning, matched)
        said = _match_all(book, events, said, time, place, 1 if market[LOCK_DIRECTION] < 0 else 0)
    said = say(events, said, REDUCED, time, market[NUMBER], market[LOCK_TICKS], matched, losers, winners, 0)
    for account in range(1, book.scalars[ACCOUNT_TOP] + 1):
        for hedge in range(2):
            row = (account * contracts + place) * 2 + hedge
            book.positions[row, SHARE] = book.positions[row, REMAINDER] = 0
    clear_notes(book, place)
    market[LOCK_DAYS] = market[LOCK_DIRECTION] = market[LOCK_TICKS] = market[NOTICE_BP] = 0
    return _set_rate(book, events, said, time, place, market[CONTRACT_RATE])
