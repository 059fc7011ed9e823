"""The clearing house behind a real exchange, with the gate between: a floor whose orders are admitted and matched as in a venue.

Its limits are wide, so that a test may trade at any price, and the settlement prices that the house hears are the test's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.clearing.messages import settle_day_row
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import (
    ExchangeEvent,
    OrderFlag,
    Refusal,
    SessionState,
    Side,
    cancel_row,
    close_day_row,
    order_row,
    session_row,
)
from ciyuan.exchange.room import Room
from ciyuan.venue.gate import Gate
from tests.clearing.floor import CALENDAR, CONTRACTS, DEC, NOV, OCT, SPOT, Floor

SPREAD = 9
NAMES = {"SPOT": SPOT, "OCT": OCT, "NOV": NOV, "DEC": DEC}
ROOM = Room(accounts=8, orders=4_096, ladder_ticks=1 << 14)


def wide(contracts: Iterable[Contract]) -> tuple[Contract, ...]:
    """The contracts with limits of everything."""
    return tuple(replace(contract, limit_rate_bp=10_000) for contract in contracts)


def spread_of(near: Contract, far: Contract, number: int = SPREAD) -> Contract:
    """Two months as one order."""
    return replace(
        near, number=number, code="SPREAD", kind=ContractKind.SPREAD, near=near.number, far=far.number
    )


@dataclass
class Chain(Floor):
    """A floor whose exchange is the real one."""

    contracts: Sequence[Contract] = wide(CONTRACTS)

    def build(self) -> None:
        super().build()
        self.exchange = Exchange(self.contracts, ROOM)
        self.gate = Gate(self.contracts, self.exchange, self.house, lambda told, out: None)

    def tell(self, command: Row) -> list[Row]:
        events = super().tell(command)
        self.gate.hear(events, command[1], self.said)
        return events

    def say(self, *rows: Row) -> list[Row]:
        """Rows to the exchange; returns what was said."""
        before = len(self.said)
        self.gate.apply(np.array(rows, dtype=np.int64), self.said)
        said = [tuple(event) for event in self.said[before:]]
        self.heard += said  # type: ignore[arg-type]
        return said  # type: ignore[return-value]

    def session(self, state: SessionState) -> list[Row]:
        return self.say(session_row(self.tick(), 0, state, self.day))

    def open(self, day: int) -> None:
        self.day = day
        self.time_ns = max(self.tick(), CALENDAR.ns_at(day, "09:00"))
        self.session(SessionState.CONTINUOUS)

    def order(self, account: int, contract: int, lots: int, price_ticks: int) -> int | Refusal:
        self.order_count += 1
        side = Side.SELL if lots < 0 else Side.BUY
        kind = OrderFlag.LIMIT if price_ticks else OrderFlag.MARKET
        row = order_row(
            self.tick(), account, self.order_count, contract, side, price_ticks, abs(lots), kind=kind
        )
        for event in self.say(row):
            if event[0] & CODE_MASK == ExchangeEvent.REFUSED:
                return Refusal(event[7])
        return self.order_count

    def trade(self, buyer: int, seller: int, contract: int, lots: int, price_ticks: int) -> None:
        self.placed(seller, contract, -lots, price_ticks)
        self.placed(buyer, contract, lots, price_ticks)

    def cancel_of(self, account: int, order_id: int) -> list[Row]:
        """Cancel an account's order."""
        return self.say(cancel_row(self.tick(), account, order_id))

    def close(self, **price_ticks: int) -> list[Row]:
        for state in (SessionState.CLOSING, SessionState.SETTLEMENT):
            self.session(state)
        self.say(close_day_row(self.tick(), 0, self.day))
        self.session(SessionState.CLOSED)
        for name, price in price_ticks.items():
            self.price(NAMES[name], price)
        return self.tell(settle_day_row(self.tick(), self.day))

    def differences(self) -> list[tuple[int, int, int]]:
        """(member, requirement at the exchange, at the clearing house with what is reserved) wherever the two differ."""
        asked = {number: self.exchange.requirement_micro(number) for number in self.members}
        needed = {
            number: self.house.requirement_micro(number) + self.house.reserved_micro(number)
            for number in self.members
        }
        return [(number, asked[number], due) for number, due in needed.items() if asked[number] != due]
