"""The exchange as a machine: orders, cancels and the day's bells in, acceptances, trades and prices out.

Theory of operation. A row is told by its kind word and goes to the one method that knows it; what that method refuses is said in
one place. An order passes three gates: the admission says who may trade, the screening (§3.5) whether the order is well-formed
and its time has come, and the admission again whether it is covered (§5.1). Past the third gate it is accepted, whatever becomes
of it then: it trades, rests, or what is left of it is cancelled, all within the command. So an admission that keeps count knows
that what it let pass was accepted, and hears of every lot again in a fill or a cancel.

An ended order is remembered until its contract's day is closed, so that its repeat is known for what it is. Of earlier days only
the highest id of each account in each contract is kept: an id at or under it is refused, so a stale order never trades twice, and
memory does not grow with the days (§3.6).

Invariants:

- lots ordered = lots filled + lots left in the book + lots cancelled, of every order;
- in continuous trading no bid stands at or over an offer;
- a level's lots are the sum of what its orders have left, and its orders stand in order of arrival;
- every open order's price is within the day's limits;
- no trade has one account on both sides (§3.3);
- an order that is refused, and a command that is repeated, change nothing but the clock.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, REASON_SHIFT, ROW_WORDS, Row
from ciyuan.basics.state import state_hash
from ciyuan.exchange.book import OPEN, Order
from ciyuan.exchange.day import change_session, close_day
from ciyuan.exchange.floor import Floor, end_cancelled, refused, repeated
from ciyuan.exchange.market import Market
from ciyuan.exchange.matching import end_filled, fillable, match, meets_own
from ciyuan.exchange.messages import (
    ADMIT_ALL,
    Admission,
    CancelCause,
    Contract,
    ExchangeCommand,
    ExchangeEvent,
    Refusal,
    SessionState,
)
from ciyuan.exchange.screening import difference, screen
from ciyuan.exchange.session import FAK, FOK, MARKET, TYPE_BITS
from ciyuan.exchange.snapshot import floor_of, parts_of
from ciyuan.exchange.view import BookView

Handler = Callable[[Sequence[int], list[Row]], Refusal | None]

ORDER, ACCEPTED, MASS_CANCELLED = map(
    int, (ExchangeCommand.ORDER, ExchangeEvent.ACCEPTED, ExchangeEvent.MASS_CANCELLED)
)
CONTINUOUS = int(SessionState.CONTINUOUS)
TYPES = int(TYPE_BITS)
REMAINDER = {FAK: CancelCause.FAK_REMAINDER, MARKET: CancelCause.MARKET_REMAINDER}
"""Why what is left of an order that may not rest is cancelled."""


class Exchange:
    """All markets of a venue. `admission` is asked before every order; without one, everything is admitted."""

    def __init__(self, contracts: Iterable[Contract], admission: Admission = ADMIT_ALL) -> None:
        self._contracts = tuple(contracts)
        self._admission = admission
        self._floor = Floor(self._contracts)
        self._handlers: dict[int, Handler] = {
            int(ExchangeCommand.CANCEL): self._cancel,
            int(ExchangeCommand.MASS_CANCEL): self._mass_cancel,
            int(ExchangeCommand.SESSION): lambda row, out: change_session(self._floor, row, out),
            int(ExchangeCommand.CLOSE_DAY): lambda row, out: close_day(self._floor, row, out),
        }

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply a batch of command rows, (n, 8) int64, in order. Returns its events, (m, 8) int64."""
        if rows.ndim != 2 or rows.shape[1] != ROW_WORDS or rows.dtype != np.int64:
            raise Malformed("batch for the exchange", found=f"{rows.dtype} {rows.shape}", expected="int64 (n, 8)",
                            remedy="Hand over rows of eight 64-bit integers.")  # fmt: skip
        out: list[Row] = []
        for row in rows.tolist():
            self.apply_one(row, out)
        return np.array(out, dtype=np.int64).reshape(-1, ROW_WORDS)

    def apply_one(self, row: Sequence[int], out: list[Row]) -> None:
        """Apply one command row of eight plain ints; its events are appended to `out` in order."""
        kind, time_ns = row[0], row[1]
        if kind & CODE_MASK == ORDER and not kind >> REASON_SHIFT:
            handler: Handler | None = self._order
        else:
            handler = self._handlers.get(kind)
        if handler is None:
            refusal: Refusal | None = Refusal.UNKNOWN_COMMAND
        elif time_ns < self._floor.time_ns:
            refusal = Refusal.TIME_BACKWARDS
        else:
            self._floor.time_ns = time_ns
            refusal = handler(row, out)
        if refusal is not None:
            out.append(refused(row, refusal))

    def best_bid(self, contract: int) -> int:
        """The highest price bid, in ticks; 0 if none. Raises KeyError for a contract that is not listed."""
        return self._floor.markets[contract].buys.best

    def best_ask(self, contract: int) -> int:
        """The lowest price offered, in ticks; 0 if none. Raises KeyError for a contract that is not listed."""
        return self._floor.markets[contract].sells.best

    def last(self, contract: int) -> int:
        """The last trade's price in ticks; 0 before the first. Raises KeyError for a contract that is not listed."""
        return self._floor.markets[contract].last_ticks

    def limits(self, contract: int) -> tuple[int, int]:
        """(lower, upper) price limit in ticks. Raises KeyError for a contract that is not listed."""
        market = self._floor.markets[contract]
        return market.lower_ticks, market.upper_ticks

    def offers(self, contract: int) -> list[tuple[int, int, int]]:
        """(account, price in ticks, lots) of the sell orders at the lowest price, in time priority."""
        sells = self._floor.markets[contract].sells
        if not sells.best:
            return []
        return [(order.account, sells.best, order.left) for order in sells.levels[sells.best].orders.values()]

    def book(self, contract: int) -> BookView:
        """A view of one contract's market, which stays true as it changes. Raises Malformed for a contract not listed."""
        if contract not in self._floor.markets:
            raise Malformed("contract", found=contract, expected=f"one of {list(self._floor.markets)}",
                            remedy="Ask for a contract by its number.")  # fmt: skip
        return BookView(lambda: self._floor.markets[contract])

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state as named int64 matrices (their columns: `exchange.snapshot`)."""
        return parts_of(self._floor)

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take on the state of a snapshot. Raises Malformed, and then changes nothing."""
        self._floor = floor_of(self._contracts, parts)

    def state_hash(self) -> str:
        """The fingerprint of the whole state, 32 hexadecimal characters."""
        return state_hash(self.snapshot())

    def _order(self, row: Sequence[int], out: list[Row]) -> Refusal | None:
        kind, time_ns, account, order_id, contract, price, lots, min_lots = row
        known = self._known(account, order_id)
        if known is not None and difference(known, row) is None:
            out.append(repeated(row))
            return None
        refusal = self._admission.permitted(account, contract)
        if refusal is not None:
            return refusal
        market = self._floor.markets.get(contract)
        if market is None:
            return Refusal.UNKNOWN_CONTRACT
        refusal = screen(market, known, row)
        if refusal is not None:
            return refusal
        flags = kind >> FLAG_SHIFT & FLAG_MASK
        is_sell = flags & 1
        if flags & MARKET:
            price = market.lower_ticks if is_sell else market.upper_ticks
        refusal = self._admission.admit(time_ns, account, contract, bool(is_sell), price, lots)
        if refusal is not None:
            return refusal
        owner = self._floor.participant(account)
        self._floor.arrivals += 1
        order = Order(owner, order_id, contract, flags, price, lots, min_lots, self._floor.arrivals)
        owner.orders[order_id] = owner.open[order_id] = order
        market.today.append(order)
        out.append(
            (ACCEPTED | flags << FLAG_SHIFT, time_ns, account, order_id, contract, price, lots, min_lots)
        )
        cause = self._work(market, order, time_ns, out)
        if cause is not None:
            out.append(end_cancelled(order, cause, time_ns))
        market.note_sides(time_ns)
        return None

    def _work(self, market: Market, order: Order, time_ns: int, out: list[Row]) -> CancelCause | None:
        """Let an accepted order trade and rest as it may. Returns why what is left of it is cancelled, if it is."""
        side, other = (market.sells, market.buys) if order.is_sell else (market.buys, market.sells)
        if market.state != CONTINUOUS:
            if meets_own(market, order):
                return CancelCause.SELF_TRADE
            side.add(order)
            return None
        order_type = order.flags & TYPES
        if order_type == FOK and not fillable(other, order, order.lots):
            return CancelCause.FOK_NOT_FILLED
        if order.min_lots and not fillable(other, order, order.min_lots):
            return CancelCause.MINIMUM_NOT_FILLED
        self._floor.trades, met_own = match(market, order, time_ns, self._floor.trades, out)
        if not order.left:
            end_filled(order)
        elif met_own:
            return CancelCause.SELF_TRADE
        elif order_type:
            return REMAINDER[order_type]
        else:
            side.add(order)
        return None

    def _cancel(self, row: Sequence[int], out: list[Row]) -> Refusal | None:
        _, time_ns, account, order_id, a, b, c, d = row
        if a or b or c or d:
            return Refusal.UNUSED_WORD_NOT_ZERO
        order = self._known(account, order_id)
        if order is None:
            known = self._admission.permitted(account, 0) != Refusal.UNKNOWN_ACCOUNT
            return Refusal.UNKNOWN_ORDER if known else Refusal.UNKNOWN_ACCOUNT
        if order.end == CancelCause.REQUEST:
            out.append(repeated(row))
            return None
        market = self._floor.markets[order.contract]
        if not market.cancelling:
            return Refusal.WRONG_STATE
        if order.end != OPEN:
            return Refusal.ORDER_NOT_OPEN
        self._take_out(market, order, CancelCause.REQUEST, time_ns, out)
        return None

    def _mass_cancel(self, row: Sequence[int], out: list[Row]) -> Refusal | None:
        _, time_ns, account, contract, *unused = row
        if any(unused):
            return Refusal.UNUSED_WORD_NOT_ZERO
        markets = self._floor.markets
        if self._admission.permitted(account, contract) == Refusal.UNKNOWN_ACCOUNT:
            return Refusal.UNKNOWN_ACCOUNT
        if contract and contract not in markets:
            return Refusal.UNKNOWN_CONTRACT
        if contract and not markets[contract].cancelling:
            return Refusal.WRONG_STATE
        owner = self._floor.participants.get(account)
        asked = [order for order in owner.open.values() if contract in {0, order.contract}] if owner else []
        taken = [order for order in asked if markets[order.contract].cancelling]
        for order in taken:
            self._take_out(markets[order.contract], order, CancelCause.MASS_CANCEL, time_ns, out)
        left = len(asked) - len(taken)
        out.append((MASS_CANCELLED, time_ns, account, contract, len(taken), left, 0, 0))
        return None

    def _known(self, account: int, order_id: int) -> Order | None:
        """The account's order of this id, open or ended, as far as it is remembered."""
        owner = self._floor.participants.get(account)
        return owner.orders.get(order_id) if owner is not None else None

    @staticmethod
    def _take_out(market: Market, order: Order, cause: CancelCause, time_ns: int, out: list[Row]) -> None:
        """Cancel an order that stands in the book."""
        (market.sells if order.is_sell else market.buys).remove(order)
        out.append(end_cancelled(order, cause, time_ns))
        market.note_sides(time_ns)
