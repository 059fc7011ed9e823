"""A small market to test the venue on: two grades, a few participants, one trading day, and a clock that moves on by itself.

| participant | is | group |
|---|---|---|
| 1 ada | supplier, trader | itself |
| 2 bo | supplier | itself |
| 3 cy | supplier | itself |
| 4 dee | customer, trader | itself |
| 5 eve | trader | itself |
| 6 sis | customer, trader | ada's |
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.grade import ConversionVector, Grade, GradeKind, Service
from ciyuan.basics.rows import Row, code_of, kind_word, row
from ciyuan.clearing.messages import ClearingTerms, MemberRole
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import OrderFlag, SessionState, Side, close_day_row, order_row, session_row
from ciyuan.exchange.room import Room
from ciyuan.gateway.messages import deliver_row, hold_row, parties_word, prices_row
from ciyuan.index.messages import IndexTerms
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, Role, VenueCommand, VenueEvent, VenueRefusal
from ciyuan.venue.terms import VenueTerms, house_accounts

KIMI, QWEN = 7, 9
"""Grades."""
SPOT, OCT, NOV, QWEN_SPOT, SPREAD = 1, 2, 3, 4, 5
"""Contracts: receipts of one MTok, futures of 1,000 MTok (1 USD a tick), receipts of the other grade, two a lot; October
over November, in the busy market.
"""
ADA, BO, CY, DEE, EVE, SIS = range(1, 7)
TRADER = Role.FUTURES | Role.SPOT
USD = 10**6
SECOND = 10**9
MONTH = 202610
CALENDAR = Calendar(8 * 3_600 * SECOND)
DAY = day_from_iso("2026-10-05")
FIRST_DAY, LAST_SPOT_DAY = day_from_iso("2026-09-01"), day_from_iso("2026-12-31")
ROLES = {
    ADA: (Role.SUPPLIER | TRADER, 0, MemberRole.HEDGER),
    BO: (Role.SUPPLIER, 0, MemberRole.SPECULATOR),
    CY: (Role.SUPPLIER, 0, MemberRole.SPECULATOR),
    DEE: (Role.CUSTOMER | TRADER, 0, MemberRole.HEDGER),
    EVE: (TRADER, 0, MemberRole.SPECULATOR),
    SIS: (Role.CUSTOMER | TRADER, ADA, MemberRole.SPECULATOR),
}


def grade(number: int, code: str) -> Grade:
    service = Service(40, 5000, 256_000, 9950)
    return Grade(number, code, code, GradeKind.PINNED, "medium", ConversionVector(), service, code, 0)


def spot(number: int, of: int, lot_mtok: int = 1) -> Contract:
    code = f"{of}.SPOT"
    return Contract(
        number, code, ContractKind.SPOT, of, 1000, lot_mtok, FIRST_DAY, LAST_SPOT_DAY, 0, 1000, 1500, 10_000
    )


def future(number: int, month: int) -> Contract:
    code, last = f"KIMI.{month % 10_000}", CALENDAR.last_business_of_month(month)
    return Contract(
        number, code, ContractKind.CASH_FUTURE, KIMI, 1000, 1000, FIRST_DAY, last, month, 1000, 1500, 500
    )


GRADES = (grade(KIMI, "KIMI"), grade(QWEN, "QWEN"))
CONTRACTS = (spot(SPOT, KIMI), future(OCT, 202610), future(NOV, 202611), spot(QWEN_SPOT, QWEN, 2))
ROOM = Room(accounts=16, orders=4_096, ladder_ticks=2_048)
TERMS = VenueTerms(CALENDAR, GRADES, CONTRACTS, ClearingTerms(house_accounts(GRADES)), IndexTerms(), ROOM)
BUSY = replace(
    TERMS,
    contracts=(
        *(replace(contract, breaker_bp=5, breaker_minutes=16) for contract in CONTRACTS[:2]),
        *CONTRACTS[2:],
        replace(
            CONTRACTS[1], number=SPREAD, code="KIMI.2610-2611", kind=ContractKind.SPREAD, near=OCT, far=NOV
        ),
    ),
)
"""The same with a circuit breaker on the first two contracts, and the two months as one order."""


def own(command: VenueCommand, time_ns: int, *words: int) -> Row:
    """A row of the venue's own commands."""
    return row(kind_word(command), time_ns, words)


def matrix(rows: Iterable[Row]) -> NDArray[np.int64]:
    return np.array(list(rows), dtype=np.int64).reshape(-1, 8)


class Market:
    """A venue and a clock; each helper moves the clock on by a millisecond and returns what was said."""

    def __init__(self, terms: VenueTerms = TERMS) -> None:
        self.venue = Venue(terms)
        self.now = CALENDAR.ns_at(DAY, "08:00")
        self.key = self.order_id = self.request = 0
        self.rows: list[Row] = []
        self.said: list[Row] = []

    # --- telling ---

    def at(self, clock: str, day: int = DAY) -> "Market":
        """Move the clock to a time of day, never back."""
        self.now = max(self.now, CALENDAR.ns_at(day, clock))
        return self

    def tick(self) -> int:
        self.now += 1_000_000
        return self.now

    def tell(self, *rows: Row) -> list[Row]:
        """Apply rows as one batch; returns what was said."""
        self.rows += rows
        events = [tuple(event) for event in self.venue.apply(matrix(rows)).tolist()]
        self.said += events
        return events

    def ask(self, command: VenueCommand, *words: int) -> list[Row]:
        return self.tell(own(command, self.tick(), *words))

    def answer(self, command: VenueCommand, *words: int) -> VenueEvent | VenueRefusal:
        """The venue's own answer to a command: its last event of the 600s, as a refusal if it is one."""
        event = [event for event in self.ask(command, *words) if 651 <= code_of(event[0]) <= 660][-1]
        code = VenueEvent(code_of(event[0]))
        return VenueRefusal(event[7]) if code == VenueEvent.REFUSED else code

    def new_key(self) -> int:
        self.key += 1
        return self.key

    # --- a market in being ---

    def join(self, numbers: Sequence[int] = tuple(ROLES)) -> "Market":
        """The participants, each trader with 10,000 USD of cash, each customer with 100 USD prepaid."""
        for number in numbers:
            roles, group, role = ROLES[number]
            self.ask(VenueCommand.PARTICIPANT, number, int(roles), group, int(role))
            if roles & TRADER:
                self.ask(VenueCommand.DEPOSIT, self.new_key(), number, Purse.CASH, 10_000 * USD)
            if roles & Role.CUSTOMER:
                self.ask(VenueCommand.DEPOSIT, self.new_key(), number, Purse.PREPAID, 100 * USD)
        return self

    def listed(self, of: int = KIMI) -> "Market":
        """Price lists of the three suppliers: 0.95, 1.00 and 1.05 of input, a fifth of it cached, 4.21 times as much out."""
        for supplier, price in ((ADA, 950_000), (BO, 1_000_000), (CY, 1_050_000)):
            self.tell(
                prices_row(self.tick(), supplier, of, price_in=price, price_cached=price // 5,
                           price_out=price * 421 // 100, valid_from_ns=self.now)
            )  # fmt: skip
        return self

    def receipts(self, number: int = ADA, of: int = KIMI, count: int = 1000) -> "Market":
        """Prove capacity and issue receipts."""
        self.ask(VenueCommand.CAPACITY, number, of, MONTH, count)
        self.ask(VenueCommand.ISSUE, self.new_key(), number, of, count, MONTH)
        return self

    def open(self, day: int = DAY) -> "Market":
        """Take every contract through the opening auction to continuous trading."""
        states = ("AUCTION_ENTRY", "AUCTION_FREEZE", "AUCTION_MATCH", "CONTINUOUS")
        for name in states:
            self.tell(session_row(self.tick(), 0, SessionState[name], day))
        return self

    def close(self, day: int = DAY) -> list[Row]:
        """Close every contract and settle the day; returns what was said of the settlement."""
        for name in ("CLOSING", "SETTLEMENT"):
            self.tell(session_row(self.tick(), 0, SessionState[name], day))
        self.tell(close_day_row(self.tick(), 0, day))
        self.tell(session_row(self.tick(), 0, SessionState.CLOSED, day))
        return self.tell(row(402, self.tick(), (day,)))

    def order(self, number: int, contract: int, lots: int, price_ticks: int) -> list[Row]:
        """Buy `lots`, or sell if negative; the market's orders are numbered in one row."""
        self.order_id += 1
        side = Side.SELL if lots < 0 else Side.BUY
        kind = OrderFlag.LIMIT if price_ticks else OrderFlag.MARKET
        return self.tell(
            order_row(self.tick(), number, self.order_id, contract, side, price_ticks, abs(lots), kind=kind)
        )

    def serve(self, customer: int, supplier: int, tokens_in: int, tokens_out: int, cached: int = 0, *,
              of: int = KIMI, batch: bool = False) -> list[Row]:  # fmt: skip
        """Hold and deliver one request; returns what was said of both."""
        self.request += 1
        parties = parties_word(customer, supplier, of)
        held = hold_row(self.tick(), self.request, parties, tokens_in, tokens_out, 60 * SECOND)
        done = deliver_row(self.tick(), self.request, parties, tokens_in, cached, tokens_out, batch=batch)
        return self.tell(held, done)

    # --- asking ---

    def codes(self, events: Iterable[Row] | None = None) -> list[int]:
        return [code_of(event[0]) for event in (self.said if events is None else events)]

    def of(self, code: int, events: Iterable[Row] | None = None) -> list[Row]:
        return [event for event in (self.said if events is None else events) if code_of(event[0]) == code]

    def money(self, number: int, purse: int = Purse.CASH) -> int:
        return self.venue.ledger.posted(self.venue.terms.chart.purse(number, purse))

    def held_receipts(self, number: int, of: int = KIMI) -> int:
        return self.venue.ledger.posted(self.venue.terms.chart.receipts(number, of))

    def observations(self) -> list[list[int]]:
        """What the index keeps: time, grade, seller, price, volume, leg, source."""
        kept: list[list[int]] = self.venue.index.snapshot()["observations"].tolist()
        return kept
