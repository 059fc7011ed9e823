"""The auction, compiled: its price (the rule is told in `auction.py`), its trades, and what it would come to now (§4.2)."""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT
from ciyuan.exchange.book import (
    AUCTIONS,
    BASE,
    BEST_BUY,
    BEST_SELL,
    CONTRACT_KIND,
    HASH_MASK,
    HEAD,
    ICEBERGS,
    INDICATIVE_LOTS,
    INDICATIVE_SEEN,
    INDICATIVE_SURPLUS,
    INDICATIVE_TICKS,
    KIND,
    LADDER_WORDS,
    LADDERS,
    LEFT,
    LEVEL_LOTS,
    MID_WORDS,
    NEXT,
    NONE_HIGH,
    NUMBER,
    PRIORITY,
    REFERENCE,
    SECOND,
    SEQUENCE,
    SHOWN,
    STATE,
    TICKS,
    TRADES,
    Book,
    Matrix,
)
from ciyuan.exchange.ladder import next_above, next_below
from ciyuan.exchange.messages import ExchangeEvent
from ciyuan.exchange.saying import FILLED, say, say_filled, say_level, say_reloaded
from ciyuan.exchange.standing import (
    AUCTION,
    SPREAD,
    TAKER,
    done_flag,
    fill_of,
    first_of,
    leave,
    level_of,
    note_trade,
    reduce_taker,
    report_both,
    reshow,
    seek_order,
)
from ciyuan.exchange.states import AUCTION_ENTRY, AUCTION_FREEZE

AUCTION_PRICED, INDICATIVE = int(ExchangeEvent.AUCTION_PRICED), int(ExchangeEvent.INDICATIVE)


@njit(cache=True)
def _lots_at(book: Book, place: int, ladder: int, tick: int) -> int:
    """All lots at a tick of a ladder, hidden ones too."""
    level = (place * LADDERS + ladder) * book.scalars[TICKS] + tick
    if book.markets[place, ICEBERGS] == 0:
        return book.levels[level, LEVEL_LOTS]
    lots, slot = 0, book.levels[level, HEAD]
    while slot != 0:
        lots += book.orders[slot, LEFT]
        slot = book.orders[slot, NEXT]
    return lots


@njit(cache=True)
def _above(book: Book, place: int, ladder: int, tick: int) -> int:
    return next_above(
        book.bits, place * LADDERS + ladder, book.scalars[MID_WORDS], book.scalars[LADDER_WORDS], tick
    )


@njit(cache=True)
def _lowest_buy(book: Book, place: int) -> tuple[int, int]:
    """The lowest tick that is bid, and the lots bid at all ticks."""
    row, mid, words = place * LADDERS, book.scalars[MID_WORDS], book.scalars[LADDER_WORDS]
    tick, lowest, lots = book.markets[place, BEST_BUY], NONE_HIGH, 0
    while tick >= 0:
        lowest = tick
        lots += _lots_at(book, place, 0, tick)
        tick = next_below(book.bits, row, mid, words, tick)
    return lowest, lots


@njit(cache=True)
def price_auction(book: Book, place: int) -> tuple[int, int, int]:
    """(price, lots, surplus) of an auction now; zeros if no buyer meets a seller."""
    market = book.markets[place]
    if market[BEST_SELL] > market[BEST_BUY]:
        return 0, 0, 0
    buy, bid = _lowest_buy(book, place)
    sell, offered = market[BEST_SELL], 0
    most, least, found, surplus, reference = 0, 0, 0, 0, market[REFERENCE]
    while buy != NONE_HIGH or sell != NONE_HIGH:
        tick = min(buy, sell)
        if sell == tick:
            offered += _lots_at(book, place, 1, tick)
            sell = _above(book, place, 1, tick)
        lots, left, price = min(bid, offered), bid - offered, market[BASE] + tick
        if lots > most or (lots == most and lots > 0 and abs(left) < least):
            most, least, found, surplus = lots, abs(left), price, left
        elif lots == most and lots > 0 and abs(left) == least:
            nearer = abs(price - reference) <= abs(found - reference)
            # Prices rise: a later one with buyers left over displaces an earlier one, one with sellers left over does not.
            if (left > 0 and surplus > 0) or ((left == 0 or (left < 0 and surplus > 0)) and nearer):
                found, surplus = price, left
        if buy == tick:
            bid -= _lots_at(book, place, 0, tick)
            buy = _above(book, place, 0, tick)
    return found, most, surplus


@njit(cache=True)
def hold_auction(book: Book, events: Matrix, said: int, time: int, place: int) -> int:
    """Price the auction and trade at the price; without a price nothing trades, which is said too."""
    price, lots, surplus = price_auction(book, place)
    number = book.markets[place, NUMBER]
    said = say(events, said, AUCTION_PRICED, time, number, price, lots, surplus, 0, 0)
    start = said
    while lots > 0:
        buy, sell = first_of(book, place, 0), first_of(book, place, 1)
        some = min(lots, book.orders[buy, LEFT], book.orders[sell, LEFT])
        lots -= some
        said = _trade(book, events, said, time, place, buy, sell, some, price)
    end = said
    for side in range(2):
        said = _say_levels(book, events, said, time, start, end, side)
    return said


@njit(cache=True)
def _trade(
    book: Book, events: Matrix, said: int, time: int, place: int, buy: int, sell: int, lots: int, price: int
) -> int:
    orders = book.orders
    book.scalars[TRADES] += 1
    fill_of(book, buy, place, 0, lots, price)
    fill_of(book, sell, place, 1, lots, price)
    buy_again, sell_again = _reduce(book, buy, lots), _reduce(book, sell, lots)
    buy_first = orders[buy, PRIORITY] < orders[sell, PRIORITY]
    first, second = (buy, sell) if buy_first else (sell, buy)
    flags = (orders[first, KIND] & 1) | AUCTION | done_flag(book, first)
    said = say_filled(book, events, said, flags, time, first, place, price, lots)
    flags = (orders[second, KIND] & 1) | AUCTION | TAKER | done_flag(book, second)
    said = say_filled(book, events, said, flags, time, second, place, price, lots)
    said = report_both(book, events, said, time, first, second, place)
    for slot in (first, second):
        if buy_again if slot == buy else sell_again:
            said = say_reloaded(book, events, said, time, slot)
    note_trade(book.markets, book.minutes, place, time, price, lots)
    return said


@njit(cache=True)
def _reduce(book: Book, slot: int, lots: int) -> bool:
    """Lots of a standing order were filled in an auction, hidden ones too. Whether it shows a new part, in its place."""
    orders = book.orders
    if lots == orders[slot, LEFT]:
        leave(book, slot)
        reduce_taker(book, slot, lots)
        return False
    used_up = lots >= orders[slot, SHOWN]
    orders[slot, LEFT] -= lots
    shown = min(orders[slot, SECOND], orders[slot, LEFT]) if used_up else orders[slot, SHOWN] - lots
    reshow(book, slot, shown)
    return used_up


@njit(cache=True)
def _say_levels(book: Book, events: Matrix, said: int, time: int, start: int, end: int, side: int) -> int:
    """LEVEL of every price of a side at which the trades between two events filled orders, in their order."""
    before = -1
    for at in range(start, end):
        if events[at, 0] & CODE_MASK == FILLED and events[at, 0] >> FLAG_SHIFT & 1 == side:
            slot = seek_order(book.orders, book.heads, book.scalars[HASH_MASK], events[at, 2], events[at, 3])
            level = level_of(book, slot)
            if level != before:
                said = say_level(book, events, said, time, level)
            before = level
    return said


@njit(cache=True)
def say_indicatives(book: Book, events: Matrix, said: int, time: int) -> int:
    """INDICATIVE of every contract in an auction's entry or freeze whose book changed, if it says something new."""
    if book.scalars[AUCTIONS] == 0:
        return said
    for place in range(len(book.markets)):
        market = book.markets[place]
        auction = market[STATE] == AUCTION_ENTRY or market[STATE] == AUCTION_FREEZE
        if not auction or market[CONTRACT_KIND] == SPREAD or market[INDICATIVE_SEEN] == market[SEQUENCE]:
            continue
        market[INDICATIVE_SEEN] = market[SEQUENCE]
        price, lots, surplus = price_auction(book, place)
        same = market[INDICATIVE_TICKS] == price and market[INDICATIVE_LOTS] == lots
        if not same or market[INDICATIVE_SURPLUS] != surplus:
            market[INDICATIVE_TICKS], market[INDICATIVE_LOTS] = price, lots
            market[INDICATIVE_SURPLUS] = surplus
            said = say(events, said, INDICATIVE, time, market[NUMBER], price, lots, surplus, 0, 0)
    return said
