"""What the clearing house says to the plain exchange: ACCOUNT, CREDIT, RISK, QUOTA, POSITION, KILL; and TICK."""

from collections.abc import Sequence

from ciyuan.basics.rows import flags_of
from ciyuan.exchange.contract import BASIS_POINTS
from ciyuan.exchange.messages import AccountFlag, Effect, Permission, Refusal, SelfTrade
from ciyuan.exchange.plain_answer import is_set, repeated
from ciyuan.exchange.plain_floor import Floor
from ciyuan.exchange.plain_risk import charge, spoken_for
from ciyuan.exchange.plain_state import Position
from ciyuan.exchange.state import CHARGE_MAX, ENROLLED

RATE_MAX = 2**31 - 1
CREDIT_MAX_MICRO = 2**62
LOTS_MAX = 2**25
MARGIN_MAX_MICRO = 2**36
FEE_MAX_MICRO = 2**26
BASIS_MAX = 2**56
PERMISSIONS = int(Permission.FUTURES | Permission.SPOT)


def hear_account(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """ACCOUNT."""
    number, self_trade, rate, permissions = row[2:6]
    flags = flags_of(row[0])
    settings = [(self_trade, max(SelfTrade)), (rate, RATE_MAX), (permissions, PERMISSIONS)]
    if not 1 <= number <= floor.room.accounts or not _all_within(settings):
        return Refusal.VALUE_OUT_OF_RANGE
    account = floor.account(number)
    if account.gross != bool(flags & AccountFlag.GROSS) and _in_use(floor, number):
        return Refusal.ACCOUNT_IN_USE
    account.flags = flags | ENROLLED
    account.self_trade, account.orders_per_second_max, account.permissions = self_trade, rate, permissions
    if not rate:
        account.second = account.second_orders = 0
    is_set(floor, row)
    return None


def _all_within(values: Sequence[tuple[int, int]]) -> bool:
    """Whether each value is from 0 to its bound."""
    return all(0 <= value <= most for value, most in values)


def _in_use(floor: Floor, account: int) -> bool:
    """Whether an account holds lots or has open orders."""
    held = any(p.long or p.short for p in floor.positions.values() if p.account == account)
    return held or bool(floor.open_orders(account))


def hear_credit(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """CREDIT: money, or receipts of a spot contract."""
    account, contract, amount = row[2:5]
    if not floor.knows(account):
        return Refusal.UNKNOWN_ACCOUNT
    if contract and contract not in floor.markets:
        return Refusal.UNKNOWN_CONTRACT
    if not contract:
        if abs(amount) > CREDIT_MAX_MICRO:
            return Refusal.VALUE_OUT_OF_RANGE
        floor.account(account).credit_micro = amount
    else:
        if not floor.markets[contract].is_spot or not 0 <= amount <= LOTS_MAX:
            return Refusal.VALUE_OUT_OF_RANGE
        floor.position(account, contract, 0).receipts = amount
    is_set(floor, row)
    return None


def hear_risk(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """RISK."""
    number, margin, fee, limit, hedger_limit, share = row[2:]
    market = floor.markets.get(number)
    if market is None:
        return Refusal.UNKNOWN_CONTRACT
    money = [(margin, MARGIN_MAX_MICRO), (fee, FEE_MAX_MICRO)]
    limits = [(limit, LOTS_MAX), (hedger_limit, LOTS_MAX), (share, BASIS_POINTS)]
    if market.is_spread or not _all_within(money + limits):
        return Refusal.VALUE_OUT_OF_RANGE
    if any(_overcharges(floor, position, margin, fee) for position in floor.positions_in(number)):
        return Refusal.VALUE_OUT_OF_RANGE
    market.margin_lot_micro, market.fee_lot_micro = margin, fee
    market.limit_lots, market.hedger_limit_lots, market.share_bp = limit, hedger_limit, share
    is_set(floor, row)
    return None


def _overcharges(floor: Floor, position: Position, margin_micro: int, fee_micro: int) -> bool:
    """Whether a position's charge would be more than any may be."""
    account, orders = floor.account(position.account), floor.open_orders(position.account)
    return charge(floor, account, position, orders, margin_micro, fee_micro) > CHARGE_MAX


def _holds_no_position(floor: Floor, account: int, contract: int, hedge: int) -> bool:
    """Whether there can be no such position: of spot, of a spread, or a net account's for hedging."""
    market = floor.markets[contract]
    return market.is_spot or market.is_spread or bool(hedge and not floor.account(account).gross)


def hear_quota(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """QUOTA."""
    account, contract, lots = row[2:5]
    hedge = flags_of(row[0])
    if not floor.knows(account):
        return Refusal.UNKNOWN_ACCOUNT
    if contract not in floor.markets:
        return Refusal.UNKNOWN_CONTRACT
    if _holds_no_position(floor, account, contract, hedge) or not 0 <= lots <= LOTS_MAX:
        return Refusal.VALUE_OUT_OF_RANGE
    floor.position(account, contract, hedge).quota = lots
    is_set(floor, row)
    return None


def hear_position(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """POSITION: its lots are of earlier days."""
    account, contract, long, short, basis = row[2:7]
    hedge = flags_of(row[0])
    if not floor.knows(account):
        return Refusal.UNKNOWN_ACCOUNT
    if contract not in floor.markets:
        return Refusal.UNKNOWN_CONTRACT
    if _holds_no_position(floor, account, contract, hedge) or abs(basis) > BASIS_MAX:
        return Refusal.VALUE_OUT_OF_RANGE
    if not _all_within([(long, LOTS_MAX), (short, LOTS_MAX)]) or _less_than_spoken_for(floor, row):
        return Refusal.VALUE_OUT_OF_RANGE
    if long and short and not floor.account(account).gross:
        return Refusal.VALUE_OUT_OF_RANGE
    market, meant = floor.markets[contract], Position(account, contract, hedge, long, short)
    if _overcharges(floor, meant, market.margin_lot_micro, market.fee_lot_micro):
        return Refusal.VALUE_OUT_OF_RANGE
    position = floor.position(account, contract, hedge)
    position.long, position.short, position.basis = long, short, basis if long or short else 0
    position.long_today = position.short_today = 0
    is_set(floor, row)
    return None


def _less_than_spoken_for(floor: Floor, row: Sequence[int]) -> bool:
    """Whether a POSITION leaves fewer lots than closing orders are to close; of today it leaves none."""
    account, contract, long, short = row[2:6]
    position = floor.position(account, contract, flags_of(row[0]))
    orders = floor.open_orders(account)
    return any(
        held < spoken_for(floor, position, orders, sell, int(direction))
        for sell, lots in ((1, long), (0, short))
        for direction, held in ((Effect.CLOSE, lots), (Effect.CLOSE_TODAY, 0))
    )


def hear_kill(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """KILL."""
    number, on = row[2:4]
    if not floor.knows(number):
        return Refusal.UNKNOWN_ACCOUNT
    if on not in {0, 1}:
        return Refusal.VALUE_OUT_OF_RANGE
    account = floor.account(number)
    if account.killed == on:
        repeated(floor, row)
    else:
        account.killed = on
        is_set(floor, row)
    return None


def hear_tick(floor: Floor, row: Sequence[int]) -> Refusal | None:
    """TICK."""
    is_set(floor, row)
    return None
