"""The feed: what anybody may see of the market, made of the exchange's events alone.

`Feed.hear(events)` takes the events of whole commands, as `Exchange.apply` returns them, and answers with the `News` in them; no
account and no order id is told. What stands now can be asked for at any time:

| asked for | gives | of the events |
|---|---|---|
| `top`, `levels` | best bid and ask; all levels of a side | LEVEL |
| `snapshot`, `restore` | a contract's levels with their sequence number, for who joins late (`feed_levels`) | LEVEL |
| `orders` | every standing order, without a name, in order of trading (`feed_orders`) | ACCEPTED, FILLED, AMENDED ... |
| `trades`, `bars`, `day` | tape, bars and figures of the day (`feed_tape`) | FILLED, SPREAD_TRADED |
| `status` | session, limits, auction, settlement price (`feed_status`) | SESSION_CHANGED, INDICATIVE ... |
| `implied` | best prices that a spread and its legs imply (`feed_implied`) | the levels of the three |

Two feeds that heard the same events hold the same, however these were cut into batches. That events are missing is noticed by the
LEVEL sequence of each contract and by the trade ids: then `hear` raises Malformed, before it changes anything.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, Row
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.feed_implied import best_of, implied_far, implied_near, implied_spread
from ciyuan.exchange.feed_levels import LevelBook, LevelDelta, LevelSnapshot, Top, check_sequence
from ciyuan.exchange.feed_orders import OrderQueue, StandingOrder
from ciyuan.exchange.feed_status import Status
from ciyuan.exchange.feed_tape import Bar, DayFigures, Tape, Trade, TradeFlag, bars
from ciyuan.exchange.messages import ExchangeEvent, FillFlag, Level, SessionState, Side

_LEVEL, _FILLED = int(ExchangeEvent.LEVEL), int(ExchangeEvent.FILLED)
_LEG, _AUCTION, _FORCED = int(FillFlag.LEG), int(FillFlag.AUCTION), int(FillFlag.FORCED)


@dataclass(frozen=True, slots=True)
class News:
    """What a batch of events said to everybody; `number` counts the batches 1, 2, 3 ...

    `levels` and `trades` are all that there were, in order of time. `tops` and `statuses` (by contract) and `orders` (by number;
    0 lots: gone) show what changed, as it is after the batch.
    """

    number: int
    tops: tuple[Top, ...] = ()
    levels: tuple[LevelDelta, ...] = ()
    orders: tuple[StandingOrder, ...] = ()
    trades: tuple[Trade, ...] = ()
    statuses: tuple[Status, ...] = ()


class Feed:
    """The public view of the contracts of one exchange. It hears every event from the first, unless it joins late (`restore`)."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._contracts = {contract.number: contract for contract in contracts}
        self._spreads = sorted(
            (contract for contract in self._contracts.values() if contract.is_spread), key=lambda spread: spread.number
        )  # fmt: skip
        self._books = {number: LevelBook(number) for number in self._contracts}
        self._tapes = {number: Tape() for number in self._contracts}
        self._statuses = {number: Status(number) for number in self._contracts}
        self._tops = {number: Top(number) for number in self._contracts}
        self._orders = OrderQueue({spread.number: spread.near for spread in self._spreads})
        self._joined_late: set[int] = set()
        self._heard = 0
        self._trade_id: int | None = 0
        self._first_side: Sequence[int] | None = None
        self._takers: dict[int, bool] = {}
        self._levels: list[LevelDelta] = []
        self._trades: list[Trade] = []
        self._changed: set[int] = set()
        self._hearing: dict[int, Callable[[Sequence[int]], None]] = {
            ExchangeEvent.SESSION_CHANGED: self._hear_session,
            ExchangeEvent.ACCEPTED: self._hear_accepted,
            ExchangeEvent.FILLED: self._hear_filled,
            ExchangeEvent.CANCELLED: self._hear_cancelled,
            ExchangeEvent.AUCTION_PRICED: self._hear_auction,
            ExchangeEvent.SETTLEMENT_PRICE: self._hear_settlement,
            ExchangeEvent.AMENDED: self._hear_amended,
            ExchangeEvent.LEVEL: self._hear_level,
            ExchangeEvent.TRIGGERED: self._hear_triggered,
            ExchangeEvent.RELOADED: self._hear_reloaded,
            ExchangeEvent.LIMIT_LOCKED: self._hear_locked,
            ExchangeEvent.SPREAD_TRADED: self._hear_spread_traded,
            ExchangeEvent.INDICATIVE: self._hear_indicative,
            ExchangeEvent.REDUCED: self._hear_reduced,
            ExchangeEvent.LIMITS: self._hear_limits,
        }

    def hear(self, events: npt.NDArray[np.int64] | Iterable[Row]) -> News:
        """Take the events of some commands, rows (m, 8) in order, and tell what is public of them."""
        rows: list[Sequence[int]] = events.tolist() if isinstance(events, np.ndarray) else [*events]
        self._check(rows)
        hearing = self._hearing
        for row in rows:
            hear = hearing.get(row[0] & CODE_MASK)
            if hear is not None:
                hear(row)
        return self._news()

    def top(self, contract: int) -> Top:
        """The best bid and ask that stand."""
        return self._book(contract).top()

    def levels(self, contract: int, side: Side, depth: int = 0) -> list[Level]:
        """The price levels of a side, best first; the first `depth` of them, or (0) all."""
        return self._book(contract).levels(side, depth)

    def snapshot(self, contract: int) -> LevelSnapshot:
        """A contract's levels and their sequence number."""
        return self._book(contract).snapshot()

    def restore(self, snapshot: LevelSnapshot) -> None:
        """Join late: put a contract's levels in place, to hear the events after them. LEVELs that are in them already do no harm.

        Orders that were accepted before are not known then, so `orders` refuses this contract from now on; tape, figures of the
        day and status are those of the events that are heard.
        """
        self._book(snapshot.contract).restore(snapshot)
        self._tops[snapshot.contract] = self.top(snapshot.contract)
        self._joined_late.add(snapshot.contract)
        self._orders.whole = False
        self._trade_id = self._first_side = None

    def orders(self, contract: int, side: Side) -> list[StandingOrder]:
        """Every standing order of a side, in the order in which they would trade. A stop that waits does not stand."""
        self._book(contract)
        if contract in self._joined_late:
            raise Malformed(f"orders of contract {contract}", found="a feed that joined late",
                            expected="one that heard every event",
                            remedy="Ask the feed at the exchange; a snapshot of levels has no orders in it.")  # fmt: skip
        return self._orders.standing(contract, side)

    def trades(self, contract: int) -> list[Trade]:
        """The tape of a contract, first trade first; of a spread its trades as one price, of a month those of its legs too."""
        self._book(contract)
        return [*self._tapes[contract].trades]

    def bars(self, contract: int, every_ns: int, utc_offset_ns: int = 0) -> list[Bar]:
        """The bars of the contract's tape (`feed_tape.bars`)."""
        self._book(contract)
        return bars(self._tapes[contract].trades, every_ns, utc_offset_ns)

    def forget_trades(self, before_ns: int) -> None:
        """Drop the tape before a moment, so that it does not grow for ever; the day's figures stay."""
        for tape in self._tapes.values():
            tape.forget(before_ns)

    def day(self, contract: int) -> DayFigures:
        """The contract's trading day so far."""
        self._book(contract)
        return self._tapes[contract].figures()

    def status(self, contract: int) -> Status:
        """How the contract stands."""
        self._book(contract)
        return self._statuses[contract]

    def implied(self, contract: int) -> Top:
        """The best prices that are implied for a contract, where it and the two others are in continuous trading."""
        own = self._listed(contract)
        if own.is_spread:
            trading = self._trading(own)
            return (
                implied_spread(contract, self.top(own.near), self.top(own.far)) if trading else Top(contract)
            )
        tops = []
        for spread in filter(self._trading, self._spreads):
            if spread.near == contract:
                tops.append(implied_near(contract, self.top(spread.number), self.top(spread.far)))
            elif spread.far == contract:
                tops.append(implied_far(contract, self.top(spread.number), self.top(spread.near)))
        status = self._statuses[contract]
        return best_of(contract, tops, status.lower_ticks, status.upper_ticks)

    def _trading(self, spread: Contract) -> bool:
        numbers = (spread.number, spread.near, spread.far)
        return all(self._statuses[number].state == SessionState.CONTINUOUS for number in numbers)

    def _listed(self, contract: int) -> Contract:
        self._book(contract)
        return self._contracts[contract]

    def _book(self, contract: int) -> LevelBook:
        book = self._books.get(contract)
        if book is None:
            raise Malformed("contract", found=contract, expected="one that the feed was built with",
                            remedy="Build the feed with all contracts of the exchange.")  # fmt: skip
        return book

    def _check(self, rows: Iterable[Sequence[int]]) -> None:
        """Raise Malformed if a LEVEL or a trade is missing before one of these rows."""
        sequences: dict[int, int] = {}
        trade_id, awaited = self._trade_id, self._first_side is not None
        for row in rows:
            code = row[0] & CODE_MASK
            if code == _LEVEL:
                contract, sequence = row[2], row[6]
                held = sequences.get(contract)
                if held is None:
                    held = self._book(contract).sequence
                if sequence > held:
                    check_sequence(contract, held + 1, sequence)
                    held = sequence
                sequences[contract] = held
            elif code == _FILLED:
                self._book(row[4])
                if trade_id is not None and row[7] != trade_id + (not awaited):
                    raise Malformed("trade id", found=row[7], expected=str(trade_id + (not awaited)),
                                    remedy="Trades are missing: build the feed anew, and hear from the first event.")  # fmt: skip
                trade_id, awaited = row[7], not awaited

    def _news(self) -> News:
        """What was said since the last news."""
        self._heard += 1
        tops = []
        for number in sorted({delta.contract for delta in self._levels}):
            top = self._books[number].top()
            if top != self._tops[number]:
                self._tops[number] = top
                tops.append(top)
        statuses = tuple(self._statuses[number] for number in sorted(self._changed))
        orders = self._orders.take_changes()
        news = News(self._heard, tuple(tops), tuple(self._levels), orders, tuple(self._trades), statuses)
        self._levels.clear()
        self._trades.clear()
        self._changed.clear()
        return news

    def _hear_level(self, row: Sequence[int]) -> None:
        kind, time_ns, contract, price, lots, orders, sequence, _ = row
        book = self._books[contract]
        if sequence > book.sequence:
            side = Side(kind >> FLAG_SHIFT & 1)
            book.change(sequence, side, price, lots, orders)
            self._levels.append(LevelDelta(time_ns, contract, sequence, side, price, lots, orders))

    def _hear_accepted(self, row: Sequence[int]) -> None:
        kind, _, account, order_id, word, price, lots, second = row
        self._orders.accept(kind, account, order_id, word, price, lots, second)

    def _hear_filled(self, row: Sequence[int]) -> None:
        """One side of a trade; the second of the two makes the trade."""
        kind, _, account, order_id, contract, _, lots, trade_id = row
        self._orders.fill(kind, account, order_id, contract, lots)
        first = self._first_side
        if first is None:
            self._first_side, self._trade_id = row, trade_id
        else:
            self._first_side = None
            self._trade(first, row)

    def _trade(self, first: Sequence[int], second: Sequence[int]) -> None:
        kind, time_ns, _, _, contract, price, lots, trade_id = second
        flags = kind >> FLAG_SHIFT
        legs = ((first[0] >> FLAG_SHIFT & _LEG) > 0) + ((flags & _LEG) > 0)
        public = (TradeFlag.NONE, TradeFlag.IMPLIED, TradeFlag.LEG)[legs]
        if flags & (_AUCTION | _FORCED):
            public |= TradeFlag.AUCTION if flags & _AUCTION else TradeFlag.FORCED
        aggressor = None if flags & (_AUCTION | _FORCED) else Side(flags & 1)
        if legs:
            self._takers[trade_id] = (flags & _LEG) > 0
        self._write(Trade(time_ns, contract, trade_id, price, lots, aggressor, public))

    def _hear_spread_traded(self, row: Sequence[int]) -> None:
        """A spread order traded: itself the aggressor, or the one who stood when an order came for one of its legs."""
        kind, time_ns, contract, price, lots, near_id, far_id, _ = row
        side = kind >> FLAG_SHIFT & 1
        came = self._takers.get(min(near_id, far_id), True)
        self._takers.clear()
        aggressor = Side(side if came else 1 - side)
        self._write(Trade(time_ns, contract, near_id, price, lots, aggressor, far_trade_id=far_id))

    def _write(self, trade: Trade) -> None:
        self._tapes[trade.contract].add(trade)
        self._trades.append(trade)

    def _hear_cancelled(self, row: Sequence[int]) -> None:
        self._orders.cancel(row[2], row[3])

    def _hear_amended(self, row: Sequence[int]) -> None:
        kind, _, account, order_id, _, price, _, left = row
        self._orders.amend(kind, account, order_id, price, left)

    def _hear_triggered(self, row: Sequence[int]) -> None:
        self._orders.trigger(row[2], row[3], row[6])

    def _hear_reloaded(self, row: Sequence[int]) -> None:
        _, _, account, order_id, contract, _, shown, left = row
        in_auction = self._statuses[contract].state == SessionState.AUCTION_MATCH
        self._orders.reload(account, order_id, shown, left, keeps_place=in_auction)

    def _hear_session(self, row: Sequence[int]) -> None:
        _, _, contract, state, trading_day, lower, upper, end_ns = row
        status = self._status(contract)
        if trading_day != status.trading_day:
            self._tapes[contract].open_day(trading_day)
        self._statuses[contract] = status.entered(state, trading_day, lower, upper, end_ns)

    def _hear_auction(self, row: Sequence[int]) -> None:
        self._statuses[row[2]] = self._status(row[2]).priced(*row[3:6])

    def _hear_indicative(self, row: Sequence[int]) -> None:
        self._statuses[row[2]] = self._status(row[2]).indicated(*row[3:6])

    def _hear_settlement(self, row: Sequence[int]) -> None:
        self._statuses[row[2]] = self._status(row[2]).settled(*row[3:8])

    def _hear_locked(self, row: Sequence[int]) -> None:
        self._statuses[row[2]] = self._status(row[2]).locked(*row[3:8])

    def _hear_reduced(self, row: Sequence[int]) -> None:
        self._statuses[row[2]] = self._status(row[2]).reduced()

    def _hear_limits(self, row: Sequence[int]) -> None:
        self._statuses[row[2]] = self._status(row[2]).limited(*row[3:5])

    def _status(self, contract: int) -> Status:
        """The status that an event is about to change."""
        self._book(contract)
        self._changed.add(contract)
        return self._statuses[contract]
