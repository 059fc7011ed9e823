"""AMEND: what is refused, what keeps its place, what arrives anew (§3.2). Compiled."""

from numba import njit

from ciyuan.basics.rows import CODE_MASK
from ciyuan.exchange.arrival import arrive
from ciyuan.exchange.book import (
    ACCOUNT,
    CONTRACT_KIND,
    EFFECT_SHIFT,
    END,
    HASH_MASK,
    KIND,
    LEFT,
    LEVEL_LOTS,
    LOTS,
    LOWER,
    MAX_LOTS,
    MESSAGES,
    PARTS,
    PLACE_SHIFT,
    PRICE,
    SECOND,
    SHOWN,
    STATE,
    UPPER,
    Book,
    Matrix,
)
from ciyuan.exchange.express import is_plain, reprice_plain, work_plain
from ciyuan.exchange.implied import legs_trade
from ciyuan.exchange.messages import AmendFlag, Refusal
from ciyuan.exchange.risk import judge, open_lots, position_of, settings_of
from ciyuan.exchange.saying import say_amended
from ciyuan.exchange.screening import fault_of_limit, fault_of_price, fault_of_unused
from ciyuan.exchange.session import ICEBERG, MARKET
from ciyuan.exchange.standing import (
    SPREAD,
    flush,
    leave,
    level_of,
    parts_of_iceberg,
    renumber,
    seek_order,
    shown_of,
    sit,
    waits,
)
from ciyuan.exchange.state import ICEBERG_PARTS_MAX
from ciyuan.exchange.states import AUCTION_ENTRY, CONTINUOUS
from ciyuan.exchange.told import DONE_BEFORE

KEPT = int(AmendFlag.KEPT)


@njit(cache=True, forceinline=True)
def amend_order(
    book: Book, events: Matrix, said: int, time: int, rows: Matrix, at: int
) -> tuple[int, int, int, bool]:
    """AMEND of a row: (events, fault or DONE_BEFORE or 0, place of its contract or -1, whether it met anything rare)."""
    account, price, lots = rows[at, 2], rows[at, 5], rows[at, 6]
    fault = fault_of_unused(rows[at, 0] & CODE_MASK, 0, 0, rows[at, 4], 0, 0, rows[at, 7])
    if fault != 0:
        return said, fault, -1, False
    slot = seek_order(book.orders, book.heads, book.scalars[HASH_MASK], account, rows[at, 3])
    if slot == 0:
        fault = Refusal.UNKNOWN_ORDER if settings_of(book, account) >= 0 else Refusal.UNKNOWN_ACCOUNT
        return said, fault, -1, False
    own = 0 if book.orders[slot, KIND] & MARKET else book.orders[slot, PRICE]
    if own == price and book.orders[slot, LOTS] == lots:
        return said, DONE_BEFORE, -1, False
    fault = fault_of_amend(book, time, slot, price, lots)
    if fault != 0:
        return said, fault, -1, False
    place = book.orders[slot, KIND] >> PLACE_SHIFT
    said, rare = amend(book, events, said, time, slot, price, lots)
    return said, 0, place, rare


@njit(cache=True, forceinline=True)
def fault_of_amend(book: Book, time: int, slot: int, price: int, lots: int) -> int:
    """Why an amendment is refused, or 0. The last of its tests counts it in the account's second."""
    order = book.orders[slot]
    kind = order[KIND]
    place = kind >> PLACE_SHIFT
    market = book.markets[place]
    spread, at_market = market[CONTRACT_KIND] == SPREAD, kind & MARKET != 0
    taken = (
        legs_trade(book, place) if spread else market[STATE] == AUCTION_ENTRY or market[STATE] == CONTINUOUS
    )
    if not taken:
        return Refusal.WRONG_STATE
    if order[END] != 0:
        return Refusal.ORDER_NOT_OPEN
    fault = fault_of_price(at_market, spread, price)
    if fault:
        return fault
    if lots < 1:
        return Refusal.LOTS_NOT_POSITIVE
    if kind & ICEBERG and lots // order[SECOND] >= ICEBERG_PARTS_MAX:
        return Refusal.SHOWN_LOTS_NOT_ALLOWED
    if lots > market[MAX_LOTS]:
        return Refusal.LOTS_OVER_MAXIMUM
    if lots <= order[LOTS] - order[LEFT]:
        return Refusal.LOTS_ALREADY_FILLED
    if fault_of_limit(kind & MARKET, price, 0, market[LOWER], market[UPPER]):
        return Refusal.PRICE_LIMIT
    if keeps_place(book, slot, price, lots):
        return 0
    left, at = lots - order[LOTS] + order[LEFT], order[PRICE] if at_market else price
    effect = kind >> EFFECT_SHIFT & 7
    return judge(book, time, place, order[ACCOUNT], kind & 1, effect, left, at, order[LEFT], order[PRICE])


@njit(cache=True, forceinline=True)
def keeps_place(book: Book, slot: int, price: int, lots: int) -> bool:
    """Whether an amendment only takes lots off."""
    order = book.orders[slot]
    keeps: bool = lots < order[LOTS] and (order[KIND] & MARKET != 0 or price == order[PRICE])
    return keeps


@njit(cache=True, forceinline=True)
def amend(
    book: Book, events: Matrix, said: int, time: int, slot: int, price: int, lots: int
) -> tuple[int, bool]:
    """Amend an order, for which there is no fault: (events, whether it met anything rare)."""
    orders = book.orders
    kind, account = orders[slot, KIND], orders[slot, ACCOUNT]
    place, effect, before = kind >> PLACE_SHIFT, kind >> EFFECT_SHIFT & 7, orders[slot, LEFT]
    book.positions[position_of(len(book.markets), account, place, effect), MESSAGES] += 1
    plain = is_plain(book, slot)
    if plain and lots == orders[slot, LOTS]:
        return reprice_plain(book, events, said, time, slot, price)
    keeps, waiting, level = keeps_place(book, slot, price, lots), waits(kind), level_of(book, slot)
    if not keeps:
        leave(book, slot)
    open_lots(book, place, account, kind & 1, effect, -before, orders[slot, PRICE])
    book.scalars[PARTS] -= parts_of_iceberg(orders, slot)
    orders[slot, LEFT] = before + lots - orders[slot, LOTS]
    orders[slot, LOTS] = lots
    if not kind & MARKET:
        orders[slot, PRICE] = price
    book.scalars[PARTS] += parts_of_iceberg(orders, slot)
    open_lots(book, place, account, kind & 1, effect, orders[slot, LEFT], orders[slot, PRICE])
    if keeps:
        shown = min(orders[slot, SHOWN], orders[slot, LEFT])
        book.levels[level, LEVEL_LOTS] += shown - orders[slot, SHOWN]
        orders[slot, SHOWN] = shown
        said = say_amended(book, events, said, KEPT, time, slot, before)
        return flush(book, events, said, time, level), False
    renumber(book, slot)
    orders[slot, SHOWN] = shown_of(orders, slot)
    said = say_amended(book, events, said, 0, time, slot, before)
    if waiting:
        sit(book, slot)
        return said, True
    said = flush(book, events, said, time, level)
    if plain:
        return work_plain(book, events, said, time, slot)
    return arrive(book, events, said, time, slot, -1), True
