"""The trading day's commands: SESSION moves a contract through its states, CLOSE_DAY ends its day (§4.1, §4.2, §4.4)."""

from collections.abc import Sequence

from ciyuan.basics.rows import Row
from ciyuan.exchange.auction import auction_price
from ciyuan.exchange.book import OPEN
from ciyuan.exchange.floor import Floor, end_cancelled, refused, repeated
from ciyuan.exchange.market import Market
from ciyuan.exchange.matching import uncross
from ciyuan.exchange.messages import CancelCause, ExchangeEvent, Refusal, SessionState
from ciyuan.exchange.session import FOLLOWS

NO_DAY = 0
"""`Market.day` before the first."""
STATES = frozenset(map(int, SessionState))
_CHANGED, _AUCTION_PRICED, _SETTLEMENT_PRICE = map(
    int, (ExchangeEvent.SESSION_CHANGED, ExchangeEvent.AUCTION_PRICED, ExchangeEvent.SETTLEMENT_PRICE)
)


def change_session(floor: Floor, row: Sequence[int], out: list[Row]) -> Refusal | None:
    """SESSION. For contract 0 every contract that is listed on the day answers for itself; returns what refuses the whole row."""
    _, _, number, state, day, *unused = row
    if any(unused):
        return Refusal.UNUSED_WORD_NOT_ZERO
    if number and number not in floor.markets:
        return Refusal.UNKNOWN_CONTRACT
    if state not in STATES:
        return Refusal.UNKNOWN_STATE
    if number:
        return _enter(floor, floor.markets[number], row, out)
    listed = [market for market in floor.markets.values() if _is_listed(market, day)]
    for market in listed:
        own = [*row[:2], market.number, *row[3:]]
        refusal = _enter(floor, market, own, out)
        if refusal is not None:
            out.append(refused(own, refusal))
    return None if listed else Refusal.WRONG_DAY


def close_day(floor: Floor, row: Sequence[int], out: list[Row]) -> Refusal | None:
    """CLOSE_DAY. For contract 0 every contract that is in settlement on the day and not closed yet; there must be one."""
    _, time_ns, number, unused, day, *rest = row
    if unused or any(rest):
        return Refusal.UNUSED_WORD_NOT_ZERO
    if number and number not in floor.markets:
        return Refusal.UNKNOWN_CONTRACT
    asked = [floor.markets[number]] if number else list(floor.markets.values())
    of_day = [market for market in asked if market.day == day != NO_DAY]
    due = [market for market in of_day if market.settled_day != day]
    if of_day and not due:
        out.append(repeated(row))
        return None
    if not due:
        return Refusal.WRONG_DAY
    ready = [market for market in due if market.state == SessionState.SETTLEMENT]
    for market in ready:
        _close(floor, market, time_ns, out)
    return None if ready else Refusal.WRONG_STATE


def _is_listed(market: Market, day: int) -> bool:
    return market.contract.first_day <= day <= market.contract.last_day


def _enter(floor: Floor, market: Market, row: Sequence[int], out: list[Row]) -> Refusal | None:
    """Move one market into a state, if it may follow; entering AUCTION_MATCH holds the auction."""
    time_ns, state, day = row[1], SessionState(row[3]), row[4]
    if state == market.state and day == market.day != NO_DAY:
        out.append(repeated(row))
        return None
    was_closed = market.state == SessionState.CLOSED
    if (day <= market.day or not _is_listed(market, day)) if was_closed else day != market.day:
        return Refusal.WRONG_DAY
    if state not in FOLLOWS[SessionState(market.state)]:
        return Refusal.WRONG_STATE
    if state == SessionState.CLOSED and market.settled_day != day:
        return Refusal.DAY_NOT_CLOSED
    if was_closed:
        market.open_day(day)
    if state == SessionState.CLOSING:
        market.closing_ns = time_ns
    market.set_state(state)
    out.append((_CHANGED, time_ns, market.number, int(state), day, 0, 0, 0))
    if state == SessionState.AUCTION_MATCH:
        _hold_auction(floor, market, time_ns, out)
    return None


def _hold_auction(floor: Floor, market: Market, time_ns: int, out: list[Row]) -> None:
    """Price the auction and trade at the price; without a price nothing trades, which is said too."""
    buys = {price: level.lots for price, level in market.buys.levels.items()}
    sells = {price: level.lots for price, level in market.sells.levels.items()}
    priced = auction_price(buys, sells, market.reference_ticks)
    if priced is None:
        out.append((_AUCTION_PRICED, time_ns, market.number, 0, 0, 0, 0, 0))
        return
    figures = (priced.price_ticks, priced.lots, priced.surplus_lots)
    out.append((_AUCTION_PRICED, time_ns, market.number, *figures, 0, 0))
    floor.trades = uncross(market, priced, time_ns, floor.trades, out)
    market.note_sides(time_ns)


def _close(floor: Floor, market: Market, time_ns: int, out: list[Row]) -> None:
    """Fix the settlement price, lapse what is open in order of arrival, and keep of each account's ids the highest only."""
    price, method = market.settlement_now(floor.markets.values())
    lapsed = []
    for order in market.today:
        if order.end == OPEN:
            lapsed.append(end_cancelled(order, CancelCause.DAY_END, time_ns))
        del order.owner.orders[order.order_id]
        if order.order_id > market.past_ids.get(order.account, 0):
            market.past_ids[order.account] = order.order_id
    market.today = []
    market.settle(price, method)
    limits = (market.upper_ticks, market.lower_ticks)
    out.append((_SETTLEMENT_PRICE, time_ns, market.number, price, market.day, int(method), *limits))
    out.extend(lapsed)
