"""ORDER: is it a repeat, is it refused, then accepted and put to work (§3, §5). Compiled."""

from numba import njit

from ciyuan.basics.rows import FLAG_MASK, FLAG_SHIFT, REASON_SHIFT
from ciyuan.basics.rows import KIND as KIND_WORD
from ciyuan.exchange.arrival import arrive
from ciyuan.exchange.book import (
    A_CREDIT,
    A_KILLED,
    A_PERMISSIONS,
    A_RATE,
    A_REQUIREMENT,
    ACCOUNT,
    ACCOUNT_TOP,
    CHAIN,
    CHARGE,
    CONTRACT,
    CONTRACT_KIND,
    DAY,
    EFFECT_SHIFT,
    END,
    FEE_LOT,
    HASH_MASK,
    IS_FUTURE,
    KIND,
    LEFT,
    LONG,
    LOTS,
    LOWER,
    MARGIN_LOT,
    MAX_LOTS,
    MESSAGES,
    NUMBERS,
    OPEN_BUYS,
    OPEN_ORDERS,
    OPEN_SELLS,
    ORDER_ID,
    PAST_ID,
    PERMISSION,
    PLACE_SHIFT,
    PRICE,
    PRIORITY,
    SECOND,
    SENT_LOTS,
    SENT_PRICE,
    SHORT,
    SHOWN,
    STATE,
    TAKES,
    UPPER,
    Book,
    Matrix,
)
from ciyuan.exchange.express import work_plain
from ciyuan.exchange.implied import legs_trade
from ciyuan.exchange.messages import CONTRACT_MASK, LAST_DAY_SHIFT, Refusal
from ciyuan.exchange.risk import (
    GROSS,
    SPOT,
    SPREAD,
    UNCHECKED,
    judge,
    limit_of,
    open_lots,
    position_of,
    recharge,
    settings_of,
    within_rate,
)
from ciyuan.exchange.saying import ACCEPTED, say
from ciyuan.exchange.screening import (
    fault_of_limit,
    fault_of_lots,
    fault_of_price,
    fault_of_repeat,
    fault_of_terms,
    fault_of_type,
)
from ciyuan.exchange.session import MARKET, STOP, TYPE_BITS
from ciyuan.exchange.standing import count_open, home_of, new_slot, seek_order, sit
from ciyuan.exchange.state import CHARGE_MAX, ENROLLED, EXPOSURE_MAX
from ciyuan.exchange.states import CONTINUOUS
from ciyuan.exchange.stops import is_triggered, trigger
from ciyuan.exchange.told import DONE_BEFORE

TYPES = int(TYPE_BITS)


@njit(cache=True, forceinline=True)
def place_order(
    book: Book, events: Matrix, said: int, time: int, rows: Matrix, at: int
) -> tuple[int, int, int, bool]:
    """ORDER of a row: (events, fault or DONE_BEFORE or 0, place of its contract or -1, whether it met anything rare)."""
    account, number = rows[at, 2], rows[at, 4] & CONTRACT_MASK
    slot = seek_order(book.orders, book.heads, book.scalars[HASH_MASK], account, rows[at, 3])
    known = _difference(book, slot, rows, at) if slot != 0 else 0
    if slot != 0 and known == 0:
        return said, DONE_BEFORE, -1, False
    place = book.places[number] if 0 < number < len(book.places) else -1
    settings = settings_of(book, account)
    if settings < 0:
        return said, Refusal.UNKNOWN_ACCOUNT, -1, False
    if place < 0:
        return said, Refusal.UNKNOWN_CONTRACT, -1, False
    if settings & ENROLLED and not book.accounts[account, A_PERMISSIONS] & book.markets[place, PERMISSION]:
        return said, Refusal.NOT_PERMITTED, -1, False
    fault = _fault_of_form(book, settings, place, known, rows, at)
    if fault != 0:
        return said, fault, -1, False
    fault = _fault_of_risk(book, time, settings, place, rows, at)
    if fault != 0:
        return said, fault, -1, False
    slot = new_slot(book)
    if slot == 0:
        return said, Refusal.ORDERS_FULL, -1, False
    said, plain = _accept(book, events, said, time, slot, place, rows, at)
    if plain:
        said, rare = work_plain(book, events, said, time, slot)
        return said, 0, place, rare
    if book.orders[slot, KIND] & STOP:
        if book.markets[place, STATE] != CONTINUOUS or not is_triggered(book, slot):
            sit(book, slot)
            return said, 0, place, True
        said = trigger(book, events, said, time, slot)
    return arrive(book, events, said, time, slot, -1), 0, place, True


@njit(cache=True, forceinline=True)
def _difference(book: Book, slot: int, rows: Matrix, at: int) -> int:
    """The first field in which a row differs from the order of its id, 0 if it is the same (§3.6)."""
    order, kind = book.orders[slot], rows[at, KIND_WORD]
    return fault_of_repeat(
        order[KIND] ^ kind >> FLAG_SHIFT & FLAG_MASK,
        order[KIND] >> EFFECT_SHIFT ^ kind >> REASON_SHIFT,
        order[CONTRACT] != rows[at, 4],
        order[SENT_PRICE] != rows[at, 5],
        order[SENT_LOTS] != rows[at, 6],
        order[SECOND] != rows[at, 7],
    )


@njit(cache=True, forceinline=True)
def _fault_of_form(book: Book, settings: int, place: int, known: int, rows: Matrix, at: int) -> int:
    """WRONG_STATE to the faults of a used id: what is wrong with an order that its account may send."""
    kind, word, price, lots, second = rows[at, KIND_WORD], rows[at, 4], rows[at, 5], rows[at, 6], rows[at, 7]
    flags, effect, market = kind >> FLAG_SHIFT & FLAG_MASK, kind >> REASON_SHIFT, book.markets[place]
    of_type, gross = flags & TYPES, settings & GROSS != 0
    spot, spread = market[CONTRACT_KIND] == SPOT, market[CONTRACT_KIND] == SPREAD
    takes = market[TAKES]
    if spread and not legs_trade(book, place):
        takes = 0
    fault = fault_of_type(flags, takes, spread, second)
    if fault == 0 and (effect != 0 or gross or flags > TYPES or word != word & CONTRACT_MASK):
        fault = fault_of_terms(flags, effect, gross, spot, spread, word >> LAST_DAY_SHIFT, market[DAY])
    if fault == 0 and rows[at, 3] < 1:
        fault = Refusal.ORDER_ID_NOT_POSITIVE
    if fault == 0:
        fault = fault_of_price(of_type & MARKET != 0, spread, price)
    if fault == 0:
        fault = fault_of_lots(of_type, lots, second, market[MAX_LOTS])
    if fault == 0:
        fault = fault_of_limit(of_type, price, second, market[LOWER], market[UPPER])
    if fault == 0:
        past = book.positions[position_of(len(book.markets), rows[at, 2], place, 0), PAST_ID]
        fault = Refusal.ID_OF_PAST_DAY if rows[at, 3] <= past else known
    return fault


@njit(cache=True, forceinline=True)
def _fault_of_risk(book: Book, time: int, settings: int, place: int, rows: Matrix, at: int) -> int:
    """NOTHING_TO_CLOSE to MARGIN. Of a net account in a future it is worked out here, which is what nearly all orders are."""
    kind, account, lots = rows[at, KIND_WORD], rows[at, 2], rows[at, 6]
    sell, effect = kind >> FLAG_SHIFT & 1, kind >> REASON_SHIFT
    market = book.markets[place]
    if effect != 0 or market[IS_FUTURE] == 0:
        limit = _limit_price(book, place, kind >> FLAG_SHIFT, rows[at, 5])
        return judge(book, time, place, account, sell, effect, lots, limit, 0, 0)
    position = position_of(len(book.markets), account, place, 0)
    held = book.positions[position, LONG] - book.positions[position, SHORT]
    buys, sells = book.positions[position, OPEN_BUYS], book.positions[position, OPEN_SELLS]
    if sell:
        sells += lots
        exposure = sells - held
    else:
        buys += lots
        exposure = held + buys
    limit = limit_of(book.markets, book.accounts, book.positions, position, account, place)
    if exposure > 0 and book.accounts[account, A_KILLED]:
        return Refusal.ACCOUNT_KILLED
    if exposure > 0 and (exposure > EXPOSURE_MAX or (limit > 0 and exposure > limit)):
        return Refusal.POSITION_LIMIT
    if book.accounts[account, A_RATE] and not within_rate(book.accounts, account, time):
        return Refusal.ORDER_RATE
    if exposure <= 0:
        return 0
    charge = max(held + buys, sells - held) * market[MARGIN_LOT] + (buys + sells) * market[FEE_LOT]
    if charge > CHARGE_MAX:
        return Refusal.MARGIN
    if settings & UNCHECKED:
        return 0
    requirement = book.accounts[account, A_REQUIREMENT] + charge - book.positions[position, CHARGE]
    return 0 if book.accounts[account, A_CREDIT] >= requirement else Refusal.MARGIN


@njit(cache=True, forceinline=True)
def _limit_price(book: Book, place: int, flags: int, price: int) -> int:
    """The worst price at which an order trades: its own, or of one at the market the day's opposite limit."""
    if flags & MARKET == 0:
        return price
    return book.markets[place, LOWER] if flags & 1 else book.markets[place, UPPER]


@njit(cache=True, forceinline=True)
def _accept(
    book: Book, events: Matrix, said: int, time: int, slot: int, place: int, rows: Matrix, at: int
) -> tuple[int, bool]:
    """ACCEPTED: the order is remembered and counted. Whether it is a plain one that `express.work_plain` may work."""
    orders, scalars, positions = book.orders, book.scalars, book.positions
    kind, account, order_id, word = rows[at, KIND_WORD], rows[at, 2], rows[at, 3], rows[at, 4]
    flags, effect, lots, second = (
        kind >> FLAG_SHIFT & FLAG_MASK,
        kind >> REASON_SHIFT,
        rows[at, 6],
        rows[at, 7],
    )
    limit = _limit_price(book, place, flags, rows[at, 5])
    home = home_of(account, order_id, scalars[HASH_MASK])
    scalars[NUMBERS] += 1
    scalars[ACCOUNT_TOP] = max(scalars[ACCOUNT_TOP], account)
    orders[slot, LEFT] = lots
    orders[slot, SHOWN] = lots
    orders[slot, PRICE] = limit
    orders[slot, ACCOUNT] = account
    orders[slot, KIND] = flags | effect << EFFECT_SHIFT | place << PLACE_SHIFT
    orders[slot, PRIORITY] = scalars[NUMBERS]
    orders[slot, ORDER_ID] = order_id
    orders[slot, CONTRACT] = word
    orders[slot, SENT_PRICE] = rows[at, 5]
    orders[slot, SENT_LOTS] = lots
    orders[slot, SECOND] = second
    orders[slot, LOTS] = lots
    orders[slot, END] = 0
    orders[slot, CHAIN] = book.heads[home]
    book.heads[home] = slot
    event = ACCEPTED | flags << FLAG_SHIFT | effect << REASON_SHIFT
    said = say(events, said, event, time, account, order_id, word, limit, lots, second)
    position = position_of(len(book.markets), account, place, effect)
    positions[position, MESSAGES] += 1
    if effect == 0 and flags & TYPES == 0 and book.markets[place, IS_FUTURE]:
        scalars[OPEN_ORDERS] += 1
        positions[position, OPEN_SELLS if flags & 1 else OPEN_BUYS] += lots
        recharge(book.markets, book.accounts, positions, position, account, place)
        return said, True
    count_open(book, slot, 1)
    open_lots(book, place, account, flags & 1, effect, lots, limit)
    return said, False
