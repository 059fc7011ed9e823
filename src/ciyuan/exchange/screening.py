"""Screening: the faults of a row that can be seen from its words and the contract's row, in the order of `Refusal`
(§3.5). Compiled.

Everything takes plain integers: what is judged here needs no book.
"""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, REASON_SHIFT
from ciyuan.exchange.messages import HEDGE_FLAG, AccountFlag, ExchangeCommand, OrderFlag, Refusal
from ciyuan.exchange.session import AUCTION_TYPES, LASTING_TYPES, MARKET, ORDER_TYPES, SPREAD_TYPES, TYPE_BITS
from ciyuan.exchange.state import ICEBERG_PARTS_MAX

FIRST_CODE, LAST_CODE = int(min(ExchangeCommand)), int(max(ExchangeCommand))
UNUSED_FROM = {
    ExchangeCommand.SESSION: (5, 6, 7),
    ExchangeCommand.ORDER: (),
    ExchangeCommand.CANCEL: (4, 5, 6, 7),
    ExchangeCommand.MASS_CANCEL: (4, 5, 6, 7),
    ExchangeCommand.CLOSE_DAY: (3, 5, 6, 7),
    ExchangeCommand.AMEND: (4, 7),
    ExchangeCommand.ACCOUNT: (6, 7),
    ExchangeCommand.CREDIT: (5, 6, 7),
    ExchangeCommand.RISK: (),
    ExchangeCommand.QUOTA: (5, 6, 7),
    ExchangeCommand.POSITION: (7,),
    ExchangeCommand.KILL: (4, 5, 6, 7),
    ExchangeCommand.DISCONNECT: (3, 4, 5, 6, 7),
    ExchangeCommand.NOTICE: (4, 5, 6, 7),
    ExchangeCommand.REDUCE: (3, 4, 5, 6, 7),
    ExchangeCommand.TICK: (2, 3, 4, 5, 6, 7),
}
"""The words that each command does not have."""
UNUSED_BITS = tuple(
    sum(1 << word for word in UNUSED_FROM[ExchangeCommand(code)]) for code in range(FIRST_CODE, LAST_CODE + 1)
)
OWN_FLAGS = {
    ExchangeCommand.ORDER: FLAG_MASK,
    ExchangeCommand.ACCOUNT: int(~AccountFlag(0)),
    ExchangeCommand.QUOTA: HEDGE_FLAG,
    ExchangeCommand.POSITION: HEDGE_FLAG,
}
FLAG_BITS = tuple(OWN_FLAGS.get(ExchangeCommand(code), 0) for code in range(FIRST_CODE, LAST_CODE + 1))
EFFECT_BITS = 7

TYPES, GTC = int(TYPE_BITS), int(OrderFlag.GTC)
FAK, ICEBERG, STOP = int(OrderFlag.FAK), int(OrderFlag.ICEBERG), int(OrderFlag.STOP)
KNOWN_TYPES = tuple(int(kind in ORDER_TYPES) for kind in range(256))
LASTING = tuple(int(kind in LASTING_TYPES) for kind in range(256))
TAKEN_IN_AUCTION = tuple(int(kind in AUCTION_TYPES) for kind in range(256))
TAKEN_ON_SPREAD = tuple(int(kind in SPREAD_TYPES) for kind in range(256))
CLOSE, CLOSE_TODAY, DIRECTION = 2, 3, 3


@njit(cache=True)
def fault_of_kind(kind: int) -> int:
    """UNKNOWN_COMMAND for a kind word that no command has."""
    code, flags, reason = kind & CODE_MASK, kind >> FLAG_SHIFT & FLAG_MASK, kind >> REASON_SHIFT
    if code < FIRST_CODE or code > LAST_CODE or flags & ~FLAG_BITS[code - FIRST_CODE]:
        return Refusal.UNKNOWN_COMMAND
    if code == ExchangeCommand.ORDER:
        return Refusal.UNKNOWN_COMMAND if reason & ~EFFECT_BITS else 0
    return Refusal.UNKNOWN_COMMAND if reason else 0


@njit(cache=True)
def fault_of_unused(code: int, a: int, b: int, c: int, d: int, e: int, f: int) -> int:
    """UNUSED_WORD_NOT_ZERO for a word (2 to 7) that the command does not have."""
    given = (a != 0) << 2 | (b != 0) << 3 | (c != 0) << 4 | (d != 0) << 5 | (e != 0) << 6 | (f != 0) << 7
    return Refusal.UNUSED_WORD_NOT_ZERO if given & UNUSED_BITS[code - FIRST_CODE] else 0


@njit(cache=True)
def fault_of_type(kind: int, takes: int, spread: bool, second: int) -> int:
    """WRONG_STATE to TYPE_NOT_ON_SPREAD: whether the state and the contract take an order of these flags."""
    if takes == 0:
        return Refusal.WRONG_STATE
    of_type = kind & TYPES
    known = KNOWN_TYPES[of_type]
    if known and takes == 1 and not TAKEN_IN_AUCTION[of_type]:
        return Refusal.TYPE_NOT_IN_STATE
    if not known:
        return Refusal.TYPE_UNKNOWN
    if spread and (not TAKEN_ON_SPREAD[of_type] or (of_type == FAK and second != 0)):
        return Refusal.TYPE_NOT_ON_SPREAD
    return 0


@njit(cache=True)
def fault_of_terms(
    flags: int, effect: int, gross: bool, spot: bool, spread: bool, last_day: int, day: int
) -> int:
    """LIFETIME_NOT_ALLOWED and EFFECT_NOT_ALLOWED."""
    lasts = flags & GTC or last_day != 0
    if lasts:
        if (flags & GTC and last_day != 0) or last_day < 0 or (last_day != 0 and last_day < day):
            return Refusal.LIFETIME_NOT_ALLOWED
        if spread or effect & DIRECTION == CLOSE_TODAY or not LASTING[flags & TYPES]:
            return Refusal.LIFETIME_NOT_ALLOWED
    if not gross:
        return Refusal.EFFECT_NOT_ALLOWED if effect else 0
    direction = effect & DIRECTION
    if direction == 0 or (spot and (direction >= CLOSE or effect > DIRECTION)):
        return Refusal.EFFECT_NOT_ALLOWED
    return 0


@njit(cache=True)
def fault_of_price(market_order: bool, spread: bool, price: int) -> int:
    """PRICE_NOT_POSITIVE and PRICE_ON_MARKET_ORDER."""
    if market_order:
        return Refusal.PRICE_ON_MARKET_ORDER if price else 0
    return Refusal.PRICE_NOT_POSITIVE if price < 1 and not spread else 0


@njit(cache=True)
def fault_of_lots(of_type: int, lots: int, second: int, max_lots: int) -> int:
    """LOTS_NOT_POSITIVE to LOTS_OVER_MAXIMUM."""
    if lots < 1:
        return Refusal.LOTS_NOT_POSITIVE
    if of_type == FAK:
        if not 0 <= second <= lots:
            return Refusal.MIN_LOTS_NOT_ALLOWED
    elif of_type == ICEBERG:
        if not 1 <= second <= lots or lots // second >= ICEBERG_PARTS_MAX:
            return Refusal.SHOWN_LOTS_NOT_ALLOWED
    elif second and not of_type & STOP:
        return Refusal.MIN_LOTS_NOT_ALLOWED
    return Refusal.LOTS_OVER_MAXIMUM if lots > max_lots else 0


@njit(cache=True)
def fault_of_limit(of_type: int, price: int, second: int, lower: int, upper: int) -> int:
    """PRICE_LIMIT: a limit, or the trigger of a stop, outside the day's limits."""
    if of_type & MARKET == 0 and not lower <= price <= upper:
        return Refusal.PRICE_LIMIT
    if of_type & STOP and not lower <= second <= upper:
        return Refusal.PRICE_LIMIT
    return 0


@njit(cache=True)
def fault_of_repeat(
    kinds: int, effects: int, contracts: bool, prices: bool, lots: bool, seconds: bool
) -> int:
    """The first field in which an order differs from the one of its id: `kinds` and `effects` are xor-ed, the others whether."""
    if kinds & 1:
        return Refusal.ID_USED_WITH_OTHER_SIDE
    if kinds & FLAG_MASK:
        return Refusal.ID_USED_WITH_OTHER_TYPE
    if effects & EFFECT_BITS:
        return Refusal.ID_USED_WITH_OTHER_EFFECT
    if contracts:
        return Refusal.ID_USED_WITH_OTHER_CONTRACT
    if prices:
        return Refusal.ID_USED_WITH_OTHER_PRICE
    if lots:
        return Refusal.ID_USED_WITH_OTHER_LOTS
    return Refusal.ID_USED_WITH_OTHER_SECOND if seconds else 0
