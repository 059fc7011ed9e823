"""A plain exchange for tests that read: rows go in, the names and first words of events come out."""

from collections import Counter

from ciyuan.basics.rows import Row, code_of, flags_of
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.exchange import (
    CancelCause,
    Contract,
    ContractKind,
    ExchangeEvent,
    Refusal,
    SessionState,
    Side,
    close_day_row,
    order_row,
    session_row,
)
from ciyuan.exchange.plain import PlainExchange
from ciyuan.exchange.room import Room
from ciyuan.exchange.state import POSITION_COLUMNS
from tests.exchange.listings import FIRST_DAY, contract

ANN, BEN, CEM, DAN, EVE = range(1, 6)
NEAR, FAR, SPREAD, SPOT = 1, 2, 3, 4
ROOM = Room(accounts=5, orders=50, ladder_ticks=512)
THREE = (
    contract(NEAR, month=202610),
    contract(FAR, month=202611),
    contract(SPREAD, ContractKind.SPREAD, near=NEAR, far=FAR),
)
BUY, SELL = Side.BUY, Side.SELL


class Pit:
    """A plain exchange and what is said in it. `now` and `day` are what its commands name; order ids count from 1 by account."""

    def __init__(self, *contracts: Contract, everyone: bool = True, room: Room = ROOM) -> None:
        self.exchange = PlainExchange(contracts or (contract(NEAR),), room, everyone=everyone)
        self.now, self.day = FIRST_DAY * 86_400 * NS_PER_SECOND, FIRST_DAY
        self.ids = Counter[int]()
        self.heard: list[Row] = []
        self.rows: list[Row] = []

    def hear(self, row: Row) -> list[Row]:
        self.heard = []
        self.rows.append(row)
        self.exchange.apply_one(row, self.heard)
        return self.heard

    def said(self, *events: ExchangeEvent) -> list[tuple[int, ...]]:
        """The words of the last answer's events of these kinds, from the account or contract on."""
        return [event[2:] for event in self.heard if code_of(event[0]) in events]

    def names(self) -> list[str]:
        """The last answer's events by name, without LEVEL."""
        events = [ExchangeEvent(code_of(event[0])) for event in self.heard]
        return [event.name for event in events if event != ExchangeEvent.LEVEL]

    def flags(self, event: ExchangeEvent) -> list[int]:
        return [flags_of(row[0]) for row in self.heard if code_of(row[0]) == event]

    def order(
        self, account: int, side: Side, price: int, lots: int, number: int = NEAR, **given
    ) -> list[str]:
        self.ids[account] += 1
        self.hear(order_row(self.now, account, self.ids[account], number, side, price, lots, **given))
        return self.names()

    def bell(self, state: SessionState, number: int = 0) -> list[str]:
        self.hear(session_row(self.now, number, state, self.day))
        return self.names()

    def close(self) -> list[str]:
        """The day ends at once; what the close said."""
        for state in (SessionState.CLOSING, SessionState.SETTLEMENT):
            self.bell(state)
        self.hear(close_day_row(self.now, 0, self.day))
        said = list(self.heard)
        self.bell(SessionState.CLOSED)
        self.heard, self.day = said, self.day + 1
        return self.names()

    def fills(self) -> list[tuple[int, int, int]]:
        """(account, price, lots) of the last answer's fills."""
        return [(row[0], row[3], row[4]) for row in self.said(ExchangeEvent.FILLED)]

    def queue(self, side: Side, number: int = NEAR) -> list[tuple[int, int, int]]:
        """(account, price, lots left) of the orders in line."""
        return [(account, price, left) for account, _, price, left in self.exchange.book(number).queue(side)]

    def refusal(self) -> Refusal | None:
        return next((Refusal(row[5]) for row in self.said(ExchangeEvent.REFUSED)), None)

    def causes(self) -> list[tuple[int, CancelCause, int]]:
        """(account, cause, lots) of the last answer's cancellations."""
        return [(row[0], CancelCause(row[3]), row[4]) for row in self.said(ExchangeEvent.CANCELLED)]

    def position(self, account: int, number: int = NEAR, hedge: int = 0) -> dict[str, int]:
        rows = self.exchange.snapshot()["positions"].tolist()
        found = [row for row in rows if row[:3] == [account, number, hedge]]
        return dict(zip(POSITION_COLUMNS, found[0], strict=True)) if found else {}


def open_pit(*contracts: Contract) -> Pit:
    """Contracts in continuous trading, for everyone; without any, one future."""
    made = Pit(*contracts)
    made.bell(SessionState.CONTINUOUS)
    return made
