"""Positions, charges and the admission of orders (§3.4, §5), compiled.

A position is a row of `positions`, found by account, contract and whether it is the hedging one of a gross account. What its open
orders add is kept beside what it holds, and its charge goes into its account's requirement whenever either changes; so admission
looks at one position and one account, whatever else there is.

    longest  = long - short + open buys      (gross: long + opening buys)
    shortest = short - long + open sells     (gross: short + opening sells)
    charge   = max(longest, shortest) x margin of a lot + (open buys + open sells) x fee of a lot
"""

from numba import njit

from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.exchange.book import (
    A_CREDIT,
    A_FLAGS,
    A_KILLED,
    A_RATE,
    A_REQUIREMENT,
    A_SECOND,
    A_SECOND_ORDERS,
    BASIS,
    CHARGE,
    CONTRACT_KIND,
    EVERYONE,
    FAR,
    FEE_LOT,
    FILLS,
    HEDGER_LIMIT_NOW,
    LIMIT_NOW,
    LONG,
    LONG_TODAY,
    MARGIN_LOT,
    NEAR,
    OPEN_BUYS,
    OPEN_SELLS,
    QUOTA_LOTS,
    RECEIPTS,
    RESERVED,
    SHORT,
    SHORT_TODAY,
    SPOKEN_LONG,
    SPOKEN_LONG_TODAY,
    SPOKEN_SHORT,
    SPOKEN_SHORT_TODAY,
    TICK_VALUE,
    Book,
    Matrix,
)
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.messages import AccountFlag, Effect, Refusal
from ciyuan.exchange.state import CHARGE_MAX, CREDIT_MAX, ENROLLED, EXPOSURE_MAX

GROSS, HEDGER, UNCHECKED = int(AccountFlag.GROSS), int(AccountFlag.HEDGER), int(AccountFlag.UNCHECKED)
SPOT, SPREAD = int(ContractKind.SPOT), int(ContractKind.SPREAD)
CLOSE, CLOSE_TODAY, HEDGE, DIRECTION = int(Effect.CLOSE), int(Effect.CLOSE_TODAY), int(Effect.HEDGE), 3
"""DIRECTION: the part of an effect that says open or close."""


@njit(cache=True, inline="always")
def position_of(contracts: int, account: int, place: int, effect: int) -> int:
    """The row of a position in `positions`."""
    return (account * contracts + place) * 2 + (effect >> 2 & 1)


@njit(cache=True, inline="always")
def charge_of(
    gross: int, held_long: int, held_short: int, buys: int, sells: int, margin_lot: int, fee_lot: int
) -> int:
    """The charge of a position with so many lots held and open."""
    netted = 0 if gross else 1
    worst = max(held_long - netted * held_short + buys, held_short - netted * held_long + sells)
    return worst * margin_lot + (buys + sells) * fee_lot


@njit(cache=True, inline="always")
def recharge(
    markets: Matrix, accounts: Matrix, positions: Matrix, position: int, account: int, place: int
) -> None:
    """Work out a position's charge anew, and pass the change to its account."""
    charge = charge_of(
        accounts[account, A_FLAGS] & GROSS, positions[position, LONG], positions[position, SHORT], positions[position, OPEN_BUYS],
        positions[position, OPEN_SELLS], markets[place, MARGIN_LOT], markets[place, FEE_LOT],
    )  # fmt: skip
    accounts[account, A_REQUIREMENT] += charge - positions[position, CHARGE]
    positions[position, CHARGE] = charge


@njit(cache=True, inline="always")
def limit_of(
    markets: Matrix, accounts: Matrix, positions: Matrix, position: int, account: int, place: int
) -> int:
    """The position limit in lots, 0 for none (§5.2)."""
    limit = positions[position, QUOTA_LOTS]
    if limit == 0:
        hedges = position & 1 or accounts[account, A_FLAGS] & HEDGER
        limit = markets[place, HEDGER_LIMIT_NOW] if hedges else markets[place, LIMIT_NOW]
    return limit


@njit(cache=True, inline="always")
def fill_net(
    markets: Matrix,
    accounts: Matrix,
    positions: Matrix,
    position: int,
    account: int,
    place: int,
    sell: int,
    lots: int,
    price: int,
) -> None:
    """`lots` of a net account's order in a future were filled: what `fill_lots` does, inline."""
    held_long, held_short = positions[position, LONG], positions[position, SHORT]
    if sell:
        closed = min(held_long, lots)
        held_long -= closed
        held_short += lots - closed
        positions[position, LONG_TODAY] = min(positions[position, LONG_TODAY], held_long)
        positions[position, SHORT_TODAY] += lots - closed
        positions[position, OPEN_SELLS] -= lots
        positions[position, BASIS] -= lots * price
    else:
        closed = min(held_short, lots)
        held_short -= closed
        held_long += lots - closed
        positions[position, SHORT_TODAY] = min(positions[position, SHORT_TODAY], held_short)
        positions[position, LONG_TODAY] += lots - closed
        positions[position, OPEN_BUYS] -= lots
        positions[position, BASIS] += lots * price
    positions[position, LONG], positions[position, SHORT] = held_long, held_short
    if held_long == 0 and held_short == 0:
        positions[position, BASIS] = 0
    positions[position, FILLS] += 1
    recharge(markets, accounts, positions, position, account, place)


@njit(cache=True, forceinline=True)
def settings_of(book: Book, account: int) -> int:
    """An account's flags; -1 of one that is not known. Where everyone is let in, who was never told of is UNCHECKED."""
    if account < 1 or account >= len(book.accounts):
        return -1
    flags = book.accounts[account, A_FLAGS]
    if flags & ENROLLED:
        return flags
    return UNCHECKED if book.scalars[EVERYONE] else -1


@njit(cache=True, forceinline=True)
def within_rate(accounts: Matrix, account: int, time: int) -> bool:
    """Count an order in its second of the clock; False if the second is full (§5.3)."""
    most = accounts[account, A_RATE]
    if most == 0:
        return True
    second = time // NS_PER_SECOND
    if second != accounts[account, A_SECOND]:
        accounts[account, A_SECOND], accounts[account, A_SECOND_ORDERS] = second, 0
    if accounts[account, A_SECOND_ORDERS] >= most:
        return False
    accounts[account, A_SECOND_ORDERS] += 1
    return True


# --- open lots ---


@njit(cache=True)
def _open_leg(book: Book, place: int, account: int, sell: int, effect: int, lots: int) -> None:
    """`lots` more (fewer, if negative) are open in one contract."""
    positions = book.positions
    position = position_of(len(book.markets), account, place, effect)
    direction = effect & DIRECTION
    if direction == CLOSE:
        positions[position, SPOKEN_LONG if sell else SPOKEN_SHORT] += lots
    elif direction == CLOSE_TODAY:
        positions[position, SPOKEN_LONG_TODAY if sell else SPOKEN_SHORT_TODAY] += lots
    else:
        positions[position, OPEN_SELLS if sell else OPEN_BUYS] += lots
        recharge(book.markets, book.accounts, positions, position, account, place)


@njit(cache=True)
def open_lots(
    book: Book, place: int, account: int, sell: int, effect: int, lots: int, limit_ticks: int
) -> None:
    """`lots` more (fewer, if negative) are open in an order of any contract; a spot buyer's money is reserved at its limit."""
    market = book.markets[place]
    if market[CONTRACT_KIND] == SPREAD:
        _open_leg(book, market[NEAR], account, sell, effect, lots)
        _open_leg(book, market[FAR], account, 1 - sell, effect, lots)
        return
    _open_leg(book, place, account, sell, effect, lots)
    if market[CONTRACT_KIND] == SPOT and not sell:
        money = lots * limit_ticks * market[TICK_VALUE]
        book.positions[position_of(len(book.markets), account, place, effect), RESERVED] += money
        book.accounts[account, A_REQUIREMENT] += money


# --- fills ---


@njit(cache=True)
def hold_lots(book: Book, place: int, account: int, sell: int, effect: int, lots: int, price: int) -> None:
    """`lots` of a future changed hands: net accounts close first, those of earlier days before those of today (§3.4)."""
    positions = book.positions
    position = position_of(len(book.markets), account, place, effect)
    held, held_today = (LONG, LONG_TODAY) if sell else (SHORT, SHORT_TODAY)
    other, other_today = (SHORT, SHORT_TODAY) if sell else (LONG, LONG_TODAY)
    direction = effect & DIRECTION
    if direction == 0:
        closed = min(positions[position, held], lots)
        positions[position, held] -= closed
        positions[position, held_today] = min(positions[position, held_today], positions[position, held])
    elif direction == 1:
        closed = 0
    else:
        closed = lots
        positions[position, held] -= lots
        if direction == CLOSE_TODAY:
            positions[position, held_today] -= lots
    positions[position, other] += lots - closed
    positions[position, other_today] += lots - closed
    positions[position, BASIS] += -lots * price if sell else lots * price
    if positions[position, LONG] == 0 and positions[position, SHORT] == 0:
        positions[position, BASIS] = 0
    recharge(book.markets, book.accounts, positions, position, account, place)


@njit(cache=True)
def fill_lots(
    book: Book, place: int, account: int, sell: int, effect: int, lots: int, price: int, limit_ticks: int
) -> None:
    """`lots` of an order in an outright (or of a spread order in this leg) were filled: no longer open, but held."""
    positions, market = book.positions, book.markets[place]
    _open_leg(book, place, account, sell, effect, -lots)
    positions[position_of(len(book.markets), account, place, effect), FILLS] += 1
    if market[CONTRACT_KIND] != SPOT:
        hold_lots(book, place, account, sell, effect, lots, price)
        return
    money = lots * price * market[TICK_VALUE]
    receipts = position_of(len(book.markets), account, place, 0)
    if sell:
        positions[receipts, RECEIPTS] -= lots
        book.accounts[account, A_CREDIT] = min(book.accounts[account, A_CREDIT] + money, CREDIT_MAX)
    else:
        positions[receipts, RECEIPTS] += lots
        book.accounts[account, A_CREDIT] = max(book.accounts[account, A_CREDIT] - money, -CREDIT_MAX)
        reserved = lots * limit_ticks * market[TICK_VALUE]
        positions[position_of(len(book.markets), account, place, effect), RESERVED] -= reserved
        book.accounts[account, A_REQUIREMENT] -= reserved


# --- admission ---


@njit(cache=True)
def judge(
    book: Book,
    time: int,
    place: int,
    account: int,
    sell: int,
    effect: int,
    lots: int,
    price: int,
    open_now: int,
    open_price: int,
) -> int:
    """Why an order of `lots` is not admitted, or 0 (§5). An amended one has `open_now` lots open at `open_price` already."""
    market = book.markets[place]
    flags = settings_of(book, account)
    spread = market[CONTRACT_KIND] == SPREAD
    more = lots - open_now
    first = market[NEAR] if spread else place
    exposure, over, charge, delta, lacking = _judge_leg(book, first, account, flags, sell, effect, more)
    reduces = exposure <= 0
    if spread:
        exposure, over_far, charge_far, more_delta, lacking_far = _judge_leg(
            book, market[FAR], account, flags, 1 - sell, effect, more
        )
        over, lacking = over or over_far, lacking or lacking_far
        reduces, delta, charge = reduces and exposure <= 0, delta + more_delta, max(charge, charge_far)
    if lacking:
        return Refusal.NOTHING_TO_CLOSE
    if book.accounts[account, A_KILLED] and not reduces:
        return Refusal.ACCOUNT_KILLED
    if over:
        return Refusal.POSITION_LIMIT
    if not within_rate(book.accounts, account, time):
        return Refusal.ORDER_RATE
    if reduces:
        return 0
    if charge > CHARGE_MAX:
        return Refusal.MARGIN
    if market[CONTRACT_KIND] == SPOT:
        return _judge_spot(
            book, place, account, flags, sell, effect, lots, price, delta, open_now, open_price
        )
    covered = book.accounts[account, A_CREDIT] >= book.accounts[account, A_REQUIREMENT] + delta
    return 0 if covered or flags & UNCHECKED else Refusal.MARGIN


@njit(cache=True)
def _judge_spot(
    book: Book,
    place: int,
    account: int,
    flags: int,
    sell: int,
    effect: int,
    lots: int,
    price: int,
    delta: int,
    open_now: int,
    open_price: int,
) -> int:
    """MARGIN if a seller has too few receipts, or a buyer too little credit for what its order is to reserve (§5.1)."""
    position = position_of(len(book.markets), account, place, effect)
    tick_value = book.markets[place, TICK_VALUE]
    if sell:
        receipts = book.positions[position_of(len(book.markets), account, place, 0), RECEIPTS]
        enough = receipts >= book.positions[position, OPEN_SELLS] + lots - open_now
        return 0 if enough or flags & UNCHECKED else Refusal.MARGIN
    if lots > CHARGE_MAX // price // tick_value:
        return Refusal.MARGIN
    money = (lots * price - open_now * open_price) * tick_value
    if book.positions[position, RESERVED] + money > CHARGE_MAX:
        return Refusal.MARGIN
    requirement = book.accounts[account, A_REQUIREMENT] + delta + money
    return 0 if flags & UNCHECKED or book.accounts[account, A_CREDIT] >= requirement else Refusal.MARGIN


@njit(cache=True)
def _judge_leg(
    book: Book, place: int, account: int, flags: int, sell: int, effect: int, more: int
) -> tuple[int, bool, int, int, bool]:
    """With `more` open lots: the side's exposure (0 when closing), whether it is over its limit, the charge and its change,
    whether too few lots are there to close.
    """
    positions = book.positions
    position = position_of(len(book.markets), account, place, effect)
    held_long, held_short = positions[position, LONG], positions[position, SHORT]
    direction = effect & DIRECTION
    if direction >= CLOSE:
        today = direction == CLOSE_TODAY
        if sell:
            held, of_today = held_long, positions[position, LONG_TODAY]
            spoken = positions[position, SPOKEN_LONG_TODAY if today else SPOKEN_LONG]
        else:
            held, of_today = held_short, positions[position, SHORT_TODAY]
            spoken = positions[position, SPOKEN_SHORT_TODAY if today else SPOKEN_SHORT]
        free = (of_today if today else held - of_today) - spoken
        return 0, False, 0, 0, more > free
    buys, sells = positions[position, OPEN_BUYS], positions[position, OPEN_SELLS]
    if sell:
        sells += more
    else:
        buys += more
    netted = 0 if flags & GROSS else 1
    longest, shortest = held_long - netted * held_short + buys, held_short - netted * held_long + sells
    market = book.markets[place]
    charge = max(longest, shortest) * market[MARGIN_LOT] + (buys + sells) * market[FEE_LOT]
    limit = limit_of(book.markets, book.accounts, positions, position, account, place)
    exposure = shortest if sell else longest
    over = exposure > 0 and (exposure > EXPOSURE_MAX or (limit > 0 and exposure > limit))
    return exposure, over, charge, charge - positions[position, CHARGE], False
