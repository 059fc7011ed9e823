"""What the clearing house and the operator tell the exchange: accounts, credit, margins and limits, positions, the
kill switch. Compiled.

Each returns the fault for which the row is refused, 0 if it was done, or DONE_BEFORE.
"""

from numba import njit

from ciyuan.basics.rows import FLAG_MASK, FLAG_SHIFT
from ciyuan.exchange.book import (
    A_CREDIT,
    A_FLAGS,
    A_KILLED,
    A_PERMISSIONS,
    A_RATE,
    A_SECOND,
    A_SECOND_ORDERS,
    A_SELF_TRADE,
    ACCOUNT_TOP,
    BASIS,
    CONTRACT_KIND,
    FEE_LOT,
    HEDGER_LIMIT,
    LIMIT_LOTS,
    LONG,
    LONG_TODAY,
    MARGIN_LOT,
    OPEN_BUYS,
    OPEN_SELLS,
    QUOTA_LOTS,
    RECEIPTS,
    SHARE_BP,
    SHORT,
    SHORT_TODAY,
    SPOKEN_LONG,
    SPOKEN_LONG_TODAY,
    SPOKEN_SHORT,
    SPOKEN_SHORT_TODAY,
    Book,
    Words,
)
from ciyuan.exchange.closing import set_position_limits
from ciyuan.exchange.contract import BASIS_POINTS
from ciyuan.exchange.messages import AccountFlag, Permission, Refusal
from ciyuan.exchange.risk import GROSS, SPOT, charge_of, recharge
from ciyuan.exchange.standing import SPREAD
from ciyuan.exchange.state import CHARGE_MAX, CREDIT_MAX, ENROLLED, EXPOSURE_MAX

DONE_BEFORE = -1
SETTINGS = int(
    AccountFlag.GROSS | AccountFlag.HEDGER | AccountFlag.CANCEL_ON_DISCONNECT | AccountFlag.UNCHECKED
)
PERMISSIONS = int(Permission.FUTURES | Permission.SPOT)
SELF_TRADE_MODES = 4
RATE_MAX, MARGIN_LOT_MAX, FEE_LOT_MAX, BASIS_MAX = (
    (1 << 31) - 1,
    1 << 36,
    1 << 26,
    1 << 56,
)
OUT_OF_RANGE = int(Refusal.VALUE_OUT_OF_RANGE)


@njit(cache=True)
def note_account(book: Book, account: int) -> None:
    """Know that an account has something in the book."""
    book.scalars[ACCOUNT_TOP] = max(book.scalars[ACCOUNT_TOP], account)


@njit(cache=True)
def set_account(book: Book, row: Words) -> int:
    """ACCOUNT."""
    account, mode, rate, permissions = row[2], row[3], row[4], row[5]
    flags = row[0] >> FLAG_SHIFT & FLAG_MASK
    if account < 1 or account >= len(book.accounts) or not 0 <= mode < SELF_TRADE_MODES:
        return OUT_OF_RANGE
    if not 0 <= rate <= RATE_MAX or permissions & ~PERMISSIONS:
        return OUT_OF_RANGE
    known = book.accounts[account]
    if (known[A_FLAGS] ^ flags) & GROSS and _in_use(book, account):
        return Refusal.ACCOUNT_IN_USE
    note_account(book, account)
    known[A_FLAGS], known[A_SELF_TRADE], known[A_RATE], known[A_PERMISSIONS] = (
        flags | ENROLLED,
        mode,
        rate,
        permissions,
    )
    if rate == 0:
        known[A_SECOND] = known[A_SECOND_ORDERS] = 0
    return 0


@njit(cache=True)
def _in_use(book: Book, account: int) -> bool:
    """Whether an account holds lots or has any open."""
    contracts = len(book.markets)
    for row in range(account * contracts * 2, (account + 1) * contracts * 2):
        held = book.positions[row]
        if held[LONG] or held[SHORT] or held[OPEN_BUYS] or held[OPEN_SELLS]:
            return True
        if held[SPOKEN_LONG] or held[SPOKEN_LONG_TODAY] or held[SPOKEN_SHORT] or held[SPOKEN_SHORT_TODAY]:
            return True
    return False


@njit(cache=True)
def set_credit(book: Book, row: Words, place: int) -> int:
    """CREDIT: of money (place -1), or of a spot contract's receipts."""
    account, amount = row[2], row[4]
    if place < 0:
        if not -CREDIT_MAX <= amount <= CREDIT_MAX:
            return OUT_OF_RANGE
        book.accounts[account, A_CREDIT] = amount
    else:
        if book.markets[place, CONTRACT_KIND] != SPOT or not 0 <= amount <= EXPOSURE_MAX:
            return OUT_OF_RANGE
        book.positions[(account * len(book.markets) + place) * 2, RECEIPTS] = amount
    note_account(book, account)
    return 0


@njit(cache=True)
def set_risk(book: Book, row: Words, place: int) -> int:
    """RISK: and every charge in the contract anew."""
    market, contracts = book.markets[place], len(book.markets)
    margin, fee, limit, hedger_limit, share = row[3], row[4], row[5], row[6], row[7]
    if market[CONTRACT_KIND] == SPREAD or not 0 <= margin <= MARGIN_LOT_MAX or not 0 <= fee <= FEE_LOT_MAX:
        return OUT_OF_RANGE
    if (
        not 0 <= limit <= EXPOSURE_MAX
        or not 0 <= hedger_limit <= EXPOSURE_MAX
        or not 0 <= share <= BASIS_POINTS
    ):
        return OUT_OF_RANGE
    for account in range(1, book.scalars[ACCOUNT_TOP] + 1):
        for hedge in range(2):
            held, gross = (
                book.positions[(account * contracts + place) * 2 + hedge],
                book.accounts[account, A_FLAGS] & GROSS,
            )
            buys, sells = held[OPEN_BUYS], held[OPEN_SELLS]
            if charge_of(gross, held[LONG], held[SHORT], buys, sells, margin, fee) > CHARGE_MAX:
                return OUT_OF_RANGE
    market[MARGIN_LOT], market[FEE_LOT] = margin, fee
    market[LIMIT_LOTS], market[HEDGER_LIMIT], market[SHARE_BP] = limit, hedger_limit, share
    set_position_limits(market)
    for account in range(1, book.scalars[ACCOUNT_TOP] + 1):
        for hedge in range(2):
            position = (account * contracts + place) * 2 + hedge
            recharge(book.markets, book.accounts, book.positions, position, account, place)
    return 0


@njit(cache=True)
def _is_hedge_of_net(book: Book, account: int, hedge: int) -> bool:
    return hedge != 0 and book.accounts[account, A_FLAGS] & GROSS == 0


@njit(cache=True)
def set_quota(book: Book, row: Words, place: int) -> int:
    """QUOTA."""
    account, lots, hedge, kind = row[2], row[4], row[0] >> FLAG_SHIFT & 1, book.markets[place, CONTRACT_KIND]
    if kind in (SPOT, SPREAD) or _is_hedge_of_net(book, account, hedge) or not 0 <= lots <= EXPOSURE_MAX:
        return OUT_OF_RANGE
    book.positions[(account * len(book.markets) + place) * 2 + hedge, QUOTA_LOTS] = lots
    note_account(book, account)
    return 0


@njit(cache=True)
def set_position(book: Book, row: Words, place: int) -> int:
    """POSITION."""
    account, lots_long, lots_short, basis = row[2], row[4], row[5], row[6]
    hedge, kind = row[0] >> FLAG_SHIFT & 1, book.markets[place, CONTRACT_KIND]
    if kind in (SPOT, SPREAD) or _is_hedge_of_net(book, account, hedge):
        return OUT_OF_RANGE
    if not 0 <= lots_long <= EXPOSURE_MAX or not 0 <= lots_short <= EXPOSURE_MAX:
        return OUT_OF_RANGE
    if not -BASIS_MAX <= basis <= BASIS_MAX:
        return OUT_OF_RANGE
    if lots_long and lots_short and book.accounts[account, A_FLAGS] & GROSS == 0:
        return OUT_OF_RANGE
    at = (account * len(book.markets) + place) * 2 + hedge
    held = book.positions[at]
    if lots_long < held[SPOKEN_LONG] or lots_short < held[SPOKEN_SHORT]:
        return OUT_OF_RANGE
    if held[SPOKEN_LONG_TODAY] or held[SPOKEN_SHORT_TODAY]:
        return OUT_OF_RANGE
    gross, market = book.accounts[account, A_FLAGS] & GROSS, book.markets[place]
    buys, sells, margin, fee = held[OPEN_BUYS], held[OPEN_SELLS], market[MARGIN_LOT], market[FEE_LOT]
    if charge_of(gross, lots_long, lots_short, buys, sells, margin, fee) > CHARGE_MAX:
        return OUT_OF_RANGE
    held[LONG], held[SHORT], held[LONG_TODAY], held[SHORT_TODAY] = lots_long, lots_short, 0, 0
    held[BASIS] = basis if lots_long or lots_short else 0
    note_account(book, account)
    recharge(book.markets, book.accounts, book.positions, at, account, place)
    return 0


@njit(cache=True)
def set_kill(book: Book, row: Words) -> int:
    """KILL."""
    account, on = row[2], row[3]
    if on != 0 and on != 1:
        return OUT_OF_RANGE
    if book.accounts[account, A_KILLED] == on:
        return DONE_BEFORE
    book.accounts[account, A_KILLED] = on
    note_account(book, account)
    return 0
