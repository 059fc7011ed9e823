"""A floor on which the clearing house's defaults are acted on: the venue's part of §10, scripted.

DEFAULTED cancels the member's open orders; SLICED is an order of the member that trades at once with the best orders that
stand against it, within its limit, and what it could not fill is cancelled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from ciyuan.basics.rows import REASON_SHIFT, Row, code_of, flags_of, kind_word, row
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingFlag,
    ClearingRefusal,
    MemberFlag,
    bid_row,
    review_row,
)
from ciyuan.clearing.plain import PlainClearingHouse
from ciyuan.exchange.messages import Effect, ExchangeEvent, FillFlag, OrderFlag, SessionState
from tests.clearing.floor import CALENDAR, RECEIVABLES, Floor, Order

MINUTE = 60_000_000_000
SELL = FillFlag.SIDE_SELL


def of(events: Iterable[Row], code: int) -> list[Row]:
    """The events of one kind."""
    return [event for event in events if code_of(event[0]) == code]


@dataclass
class Watch(Floor):
    """A floor with reviews, over a clearing house of either kind. `wait` lets time pass."""

    machine: type[PlainClearingHouse] | type[ClearingHouse] = PlainClearingHouse

    def build(self) -> None:
        """Make the clearing house."""
        made = self.machine(self.ledger, self.contracts, CALENDAR, self.terms)
        self.house = cast(ClearingHouse, made)  # what both can be asked is the same

    def wait(self, minutes: int) -> None:
        self.time_ns += minutes * MINUTE

    def review(self, minutes: int = 0) -> list[Row]:
        """REVIEW after some minutes; the exchange then does what the clearing house said. Returns all that was said."""
        self.wait(minutes)
        before = len(self.said)
        for event in self.tell(review_row(self.tick())):
            self.obey(event)
        return self.said[before:]

    def bid(self, participant: int, auction: int, price_ticks: int, lots: int) -> ClearingRefusal | None:
        return self.refusal(bid_row(self.tick(), participant, auction, price_ticks, lots))

    def obey(self, event: Row) -> None:
        """What the exchange does with one event of the clearing house."""
        if code_of(event[0]) == ClearingEvent.DEFAULTED:
            for order_id, order in list(self.orders.items()):
                if order.account == event[2]:
                    self.cancel(order_id)
        elif code_of(event[0]) == ClearingEvent.SLICED:
            self.slice(event)

    def slice(self, event: Row) -> None:
        """The order of a slice, filled against what stands, the rest cancelled."""
        kind, _, account, contract, lots, limit, order_id, _ = event
        sells, left = lots < 0, abs(lots)
        effect = self.effect(account, flags_of(kind))
        word = SELL if sells else 0
        self.say(
            ExchangeEvent.ACCEPTED, word | OrderFlag.FAK, effect, (account, order_id, contract, limit, left)
        )
        while left and (stands := self.best(account, contract, sells, limit)):
            maker = self.orders[stands]
            size = min(left, maker.lots)
            left, maker.lots = left - size, maker.lots - size
            self.trade_count += 1
            words = (contract, maker.price_ticks, size, self.trade_count)
            other = 0 if sells else SELL
            of_maker = self.effect(maker.account, 0, opens=True)
            self.say(ExchangeEvent.FILLED, other, of_maker, (maker.account, stands, *words))
            self.say(ExchangeEvent.FILLED, word | FillFlag.TAKER, effect, (account, order_id, *words))
            if not maker.lots:
                del self.orders[stands]
        if left:
            self.say(ExchangeEvent.CANCELLED, word, effect, (account, order_id, contract, 3, left))

    def best(self, account: int, contract: int, sells: bool, limit: int) -> int:
        """The order that stands best against a slice; 0 if none is within its limit."""
        sign = -1 if sells else 1
        against = [
            (sign * order.price_ticks, number)
            for number, order in self.orders.items()
            if order.contract == contract
            and order.is_sell != sells
            and order.account != account
            and sign * order.price_ticks <= sign * limit
        ]
        return min(against)[1] if against else 0

    def effect(self, account: int, flags: int, *, opens: bool = False) -> int:
        """The `Effect` of an order: of a gross member's slice, or of its opening order; 0 of a net member's."""
        gross = self.house._books.members[account].is_gross
        if not gross:
            return 0
        if opens:
            return Effect.OPEN
        effect = Effect.CLOSE_TODAY if flags & ClearingFlag.TODAY else Effect.CLOSE
        return effect | (Effect.HEDGE if flags & ClearingFlag.HEDGE else 0)

    def say(self, event: ExchangeEvent, flags: int, effect: int, words: tuple[int, ...]) -> None:
        kind = kind_word(event, flags) | effect << REASON_SHIFT
        self.hear(row(kind, self.tick(), words))

    def open_gross(
        self, account: int, contract: int, lots: int, price_ticks: int, *, hedge: bool = False
    ) -> int:
        """An opening order of a gross member."""
        self.order_count += 1
        self.orders[self.order_count] = Order(account, contract, lots < 0, price_ticks, abs(lots))
        effect = Effect.OPEN | (Effect.HEDGE if hedge else 0)
        words = (account, self.order_count, contract, price_ticks, abs(lots))
        self.say(ExchangeEvent.ACCEPTED, SELL if lots < 0 else 0, effect, words)
        return self.order_count

    def gross_trade(
        self, gross: int, other: int, contract: int, lots: int, price_ticks: int, *, hedge: bool = False
    ) -> None:
        """A gross member opens lots (negative: short) against an order of a net member."""
        mine = self.open_gross(gross, contract, lots, price_ticks, hedge=hedge)
        stands = self.placed(other, contract, -lots, price_ticks)
        self.trade_count += 1
        words = (contract, price_ticks, abs(lots), self.trade_count)
        effect = Effect.OPEN | (Effect.HEDGE if hedge else 0)
        side, opposite = (SELL, 0) if lots < 0 else (0, SELL)
        self.say(ExchangeEvent.FILLED, opposite, 0, (other, stands, *words))
        self.say(ExchangeEvent.FILLED, side | FillFlag.TAKER, effect, (gross, mine, *words))
        del self.orders[mine], self.orders[stands]

    def make_gross(self, account: int) -> None:
        """Let a member that has not traded hold long and short apart."""
        self.house._books.members[account].flags = int(MemberFlag.GROSS)

    def session(self, state: SessionState) -> None:
        """Every contract is in a session of the day."""
        for contract in self.contracts:
            words = (contract.number, state, self.day)
            self.hear(row(kind_word(ExchangeEvent.SESSION_CHANGED), self.tick(), words))

    # --- what must always hold ---

    def check(self) -> None:
        """The machine's invariants, and that money is only moved."""
        self.house.check()
        money = (*range(1, 9), *(self.cash(number) for number in self.members))
        assert sum(self.ledger.posted(account) for account in money if account != 2) == 0
        owed = sum(self.house.owed_micro(number) for number in self.members)
        assert owed + self.house._books.uncovered_micro == -self.ledger.posted(RECEIVABLES)
