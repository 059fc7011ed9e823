"""The floor that long flows of commands are played on: contracts of every kind, members rich and poor, net and gross, and how
rows are sent and heard.

| participant | is |
|---|---|
| 1, 2, 3 | suppliers with price lists and receipts; the first and the third trade |
| 4, 5 | customers and hedgers; the first is gross |
| 6, 7 | market makers |
| from 8 on | speculators, most of them with little money; every third gross; for one in default another comes |
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, REASON_SHIFT, Row
from ciyuan.clearing.closeout import SLICE_ID_BASE
from ciyuan.clearing.messages import (
    SELF_TRADE_SHIFT,
    CancelTerms,
    ClearingCommand,
    ClearingEvent,
    ClearingTerms,
    DefaultTerms,
    Fees,
    FundTerms,
    Ladder,
    Layer,
    MakerTerms,
    MemberFlag,
    MemberRole,
    PositionLimits,
    Reason,
    ScenarioTerms,
    SpreadCredit,
)
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import (
    Effect,
    ExchangeEvent,
    FillFlag,
    OrderFlag,
    Refusal,
    SelfTrade,
    SessionState,
    Side,
    order_row,
    session_row,
)
from ciyuan.exchange.messages import tick_row as bell_row
from ciyuan.exchange.room import Room
from ciyuan.gateway.messages import prices_row
from ciyuan.index.messages import IndexTerms
from ciyuan.simulation.auditor import Auditor
from ciyuan.venue.machine import Venue
from ciyuan.venue.membership import HOUSE
from ciyuan.venue.messages import Purse, Role, VenueCommand, VenueEvent
from ciyuan.venue.terms import VenueTerms, house_accounts
from tests.venue.market import FIRST_DAY, GRADES, KIMI, QWEN, SECOND, USD, matrix, own, spot

T = TypeVar("T")
MINUTE = 60 * SECOND
MONTH = 202610
CALENDAR = Calendar(8 * 3_600 * SECOND, frozenset({day_from_iso("2026-10-09")}))
DAY = day_from_iso("2026-10-06")
SPOT, FRONT, BACK, GOODS, SPREAD, QWEN_SPOT, QWEN_BACK, FAR_GOODS = range(1, 9)
FUTURES = (FRONT, BACK, GOODS, QWEN_BACK, FAR_GOODS)
OUTRIGHT = (SPOT, *FUTURES, QWEN_SPOT)
SUPPLIERS, CUSTOMERS, MAKERS = (1, 2, 3), (4, 5), (6, 7)
SPECULATORS = tuple(range(8, 16))
TRADERS = (1, 3, *CUSTOMERS, *MAKERS, *SPECULATORS)
GROSS = frozenset({4, 7, *range(9, 33, 3)})
BOTH = int(Role.FUTURES | Role.SPOT)
LOCKING = QWEN_BACK
"""The month that is locked at its limit in some flows."""
UNPAID = frozenset({8, 9, 11, 12, 14, *range(16, 31, 2)})
"""Who does not pay when called, but for now and then."""


def _future(
    number: int, kind: ContractKind, grade: int, month: int, last: str, lot: int = 1000, breaker: int = 0
) -> Contract:
    code, last_day = f"{grade}.{number}", day_from_iso(last)
    return Contract(
        number, code, kind, grade, 1000, lot, FIRST_DAY, last_day, month, 1000, 1500, 500,
        breaker_bp=breaker, breaker_minutes=5 if breaker else 0,
    )  # fmt: skip


CASH, PHYSICAL = ContractKind.CASH_FUTURE, ContractKind.PHYSICAL_FUTURE
_FRONT = _future(FRONT, CASH, KIMI, MONTH, "2026-10-16", breaker=400)
CONTRACTS = (
    spot(SPOT, KIMI),
    _FRONT,
    _future(BACK, CASH, KIMI, 202611, "2026-11-30"),
    _future(GOODS, PHYSICAL, KIMI, MONTH, "2026-10-13", 10),
    replace(_FRONT, number=SPREAD, code="7.2-3", kind=ContractKind.SPREAD, near=FRONT, far=BACK, breaker_bp=0,
            breaker_minutes=0),
    spot(QWEN_SPOT, QWEN, 2),
    _future(QWEN_BACK, CASH, QWEN, 202611, "2026-11-30"),
    _future(FAR_GOODS, PHYSICAL, KIMI, 202611, "2026-10-20", 10),
)  # fmt: skip
PLAIN = ClearingTerms(
    house_accounts(GRADES),
    default=DefaultTerms(call_ns=60 * MINUTE, slice_bp=4_000, slice_ns=10 * MINUTE, slices_max=2, auction_ns=20 * MINUTE),
)  # fmt: skip
RICH = replace(
    PLAIN,
    ladder=Ladder(open_interest_steps=((40, 1_600), (120, 1_900))),
    futures_fees=Fees(1_000, 3_000, 20, 60, 500, 10),
    limits=PositionLimits(120, 90, 70),
    orders_per_second_max=6,
    limit_share_bp=3_000,
    report_bp=5_000,
    scenario=ScenarioTerms(review_move_bp=150),
    fund=FundTerms(least_micro=400 * USD),
    maker=MakerTerms(spread_bp=400, presence_bp=3_000, rebate_lot_micro=700),
    cancels=CancelTerms(3, 5_000),
    credits=(SpreadCredit(KIMI, KIMI, 7_000), SpreadCredit(KIMI, QWEN, 5_000)),
)
HARSH = replace(
    RICH,
    orders_per_second_max=0,
    ladder=Ladder(200, 250, 350, 600),
    limits=PositionLimits(),
    scenario=ScenarioTerms(review_move_bp=40),
    default=DefaultTerms(call_ns=20 * MINUTE, slices_max=0, auction_ns=10 * MINUTE, assessment_bp=30_000),
    fund=FundTerms(least_micro=150 * USD),
)
SMALL = tuple(
    replace(contract, max_lots_per_order=min(20, contract.max_lots_per_order)) for contract in CONTRACTS
)
"""The same with small orders: a slice may be more than one."""
TERMS = tuple(
    VenueTerms(CALENDAR, GRADES, contracts, terms, IndexTerms(), Room(32, 8_192, 4_096), 500)
    for contracts, terms in ((CONTRACTS, RICH), (CONTRACTS, HARSH), (SMALL, PLAIN))
)
IN_SESSION = (
    SessionState.AUCTION_ENTRY,
    SessionState.AUCTION_FREEZE,
    SessionState.CONTINUOUS,
    SessionState.BREAK,
)
KINDS = (
    *(OrderFlag.LIMIT,) * 8, OrderFlag.FAK, OrderFlag.FAK, OrderFlag.FOK, OrderFlag.MARKET, OrderFlag.POST_ONLY,
    OrderFlag.ICEBERG, OrderFlag.STOP, OrderFlag.STOP | OrderFlag.MARKET, OrderFlag.GTC, OrderFlag.GTC,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Played:
    """A flow that was played: its terms, all rows, how they were batched, what was said, the last state, and what occurred."""

    terms: VenueTerms
    rows: NDArray[np.int64]
    cuts: tuple[int, ...]
    events: NDArray[np.int64]
    state_hash: str
    counts: Counter[str]


class Floor:
    """A venue, its auditor, a clock, and the rows that were sent. `audit_every` is how many batches go by between two checks."""

    def __init__(self, seed: int, audit_every: int) -> None:
        self.luck = Random(seed)  # noqa: S311 - a flow is drawn, not a secret
        self.audit_every = audit_every
        self.terms = TERMS[seed % len(TERMS)]
        self.venue = Venue(self.terms)
        self.auditor = Auditor(self.venue)
        self.batches: list[NDArray[np.int64]] = []
        self.said: list[NDArray[np.int64]] = []
        self.counts: Counter[str] = Counter()
        self.day, self.now = DAY, CALENDAR.ns_at(DAY, "06:00")
        self.value = 1500.0
        self.keys = self.orders = 0
        self.sent: list[tuple[int, int]] = [(1, 1)]
        self.auctions: list[tuple[int, int, int, int]] = []
        self.called: dict[int, int] = {}
        self.last: Row = bell_row(0)
        self.settled = self.day - 1

    # --- telling ---

    def tell(self, *rows: Row) -> list[Row]:
        """Apply rows as one batch; the auditor hears it, and checks now and then."""
        batch = matrix(rows)
        events = self.venue.apply(batch)
        self.batches.append(batch)
        self.said.append(events)
        self.auditor.hear(batch, events)
        if len(self.batches) % self.audit_every == 0:
            self.check()
        self.last = rows[-1] if rows else self.last
        said = [tuple(event) for event in events.tolist()]
        for event in said:
            self._note(event)
        return said

    def check(self) -> None:
        """Everything adds up."""
        self.auditor.check()
        self.venue.clearing.check()
        self.venue.ledger.check()
        self.check_positions()

    def check_positions(self) -> None:
        """The exchange and the clearing house hold the same of everybody; of today too, in a session after a settled day."""
        clearing, book = self.venue.clearing, self.venue.exchange.book
        held = {
            (account, contract, hedge): tuple(lots)
            for account, contract, hedge, *lots in self.venue.exchange.snapshot()["positions"][:, :7].tolist()
            if contract in FUTURES and any(lots[:2])
        }
        same = {}
        for number in clearing.members:
            for contract in FUTURES:
                for at in clearing.positions(number, contract):
                    if not at.is_flat:
                        same[number, contract, at.hedge] = (at.long, at.short, at.long_today, at.short_today)
        assert {key: lots[:2] for key, lots in held.items()} == {key: lots[:2] for key, lots in same.items()}
        if self.settled == self.day - 1 or CALENDAR.next_business(self.settled) == self.day:
            for key, lots in held.items():
                if book(key[1]).state in IN_SESSION and book(key[1]).trading_day == self.day:
                    assert lots == same[key], key

    def _note(self, event: Row) -> None:
        code = event[0] & CODE_MASK
        self.counts[name_of(code)] += 1
        if code == ClearingEvent.MARGIN_CALL:
            self.called[event[2]] = event[3]
        elif code == ClearingEvent.STATEMENT_CLOSING:
            self.settled = event[3]
        elif code == ClearingEvent.AUCTION_OPENED:
            self.auctions.append((event[2], event[5], event[6], event[7]))
        elif code == ExchangeEvent.REFUSED and event[3] > SLICE_ID_BASE:
            self.counts[f"slice refused {Refusal(event[7]).name}"] += 1
        elif code == ClearingEvent.REVIEWED:
            self.counts["review by price"] += self.last[0] & CODE_MASK != ClearingCommand.REVIEW
        elif code == ClearingEvent.LOSS_COVERED:
            self.counts[f"layer {Layer(event[3]).name}"] += 1
        elif code == ClearingEvent.CLOSED_OUT and event[4]:
            self.counts["not covered"] += 1
        elif code == ClearingEvent.TRANSFERRED:
            self.counts["torn up" if event[0] >> REASON_SHIFT == Reason.TEAR_UP else "awarded"] += 1
        elif code == ClearingEvent.DELIVERED:
            self.counts["collateral sold" if event[4] in (SPOT, QWEN_SPOT) else "goods delivered"] += 1
        elif code == ExchangeEvent.FILLED:
            flags = event[0] >> FLAG_SHIFT & 0xFF
            self.counts["slice filled"] += event[3] > SLICE_ID_BASE
            self.counts["forced"] += flags & FillFlag.FORCED != 0
            self.counts["auction fill"] += flags & FillFlag.AUCTION != 0

    def after(self, most_ns: int = 0) -> int:
        """Let the clock go on, sometimes not at all; returns the time."""
        self.now += self.luck.choice((0, 1, 1_000_000, SECOND, self.luck.randint(0, most_ns)))
        return self.now

    def at(self, clock: str) -> int:
        """Let the clock go to a time of the day, never back."""
        self.now = max(self.now, CALENDAR.ns_at(self.day, clock))
        return self.now

    def own(self, command: VenueCommand, *words: int) -> Row:
        """A row of the venue's own commands, now."""
        return own(command, self.now, *words)

    def key(self) -> int:
        """A key that was not used, but for now and then."""
        if self.luck.random() < 0.03:
            return self.luck.randint(-1, self.keys + 1)
        self.keys += 1
        return self.keys

    def pick(self, choices: Sequence[T]) -> T:
        """One of them."""
        return self.luck.choice(choices)

    # --- a market in being ---

    def join(self) -> None:
        """The house's capital, the participants, their money, price lists, capacity and first receipts."""
        self.tell(self.own(VenueCommand.DEPOSIT, self.key(), HOUSE, Purse.CASH, 700 * USD))
        for number in range(1, 16):
            self.join_one(number)
        for number in SUPPLIERS:
            self._supply(number)

    def join_one(self, number: int) -> None:
        """A participant with its first money."""
        roles = (Role.SUPPLIER if number in SUPPLIERS else 0) | (Role.CUSTOMER if number in CUSTOMERS else 0)
        role = (
            MemberRole.MAKER
            if number in MAKERS
            else MemberRole.HEDGER
            if number < 6
            else MemberRole.SPECULATOR
        )
        settings = 0
        if number != SUPPLIERS[1]:
            roles |= BOTH
            settings = (number % len(SelfTrade)) << SELF_TRADE_SHIFT
            settings |= MemberFlag.GROSS if number in GROSS else 0
            settings |= MemberFlag.CANCEL_ON_DISCONNECT if number in (5, 9, 10) else 0
        group = 1 if number == CUSTOMERS[1] else 0
        self.tell(self.own(VenueCommand.PARTICIPANT, number, int(roles), group, int(role), int(settings)))
        money = 2_000_000 if number in MAKERS else 40_000 if number < 6 else self.pick((2_500, 6_000, 15_000))
        self.tell(self.own(VenueCommand.DEPOSIT, self.key(), number, Purse.CASH, money * USD))
        if number in CUSTOMERS:
            self.tell(self.own(VenueCommand.DEPOSIT, self.key(), number, Purse.PREPAID, 300 * USD))

    def _supply(self, number: int) -> None:
        for grade in (KIMI, QWEN):
            self.tell(prices_row(self.now, number, grade, price_in=900_000 + 50_000 * number, price_cached=200_000,
                                 price_out=4_000_000, valid_from_ns=self.now))  # fmt: skip
            self.tell(self.own(VenueCommand.CAPACITY, number, grade, MONTH, 4_000))
        self.tell(self.own(VenueCommand.BOND, self.key(), number, 4_000 * USD))
        for grade, count in ((KIMI, 700), (QWEN, 200)):
            self.tell(self.own(VenueCommand.ISSUE, self.key(), number, grade, count, MONTH))

    # --- prices and orders ---

    def price_of(self, contract: int) -> int:
        """What a contract is worth now, in ticks, within its limits."""
        lower, upper = self.venue.exchange.limits(contract)
        away = {BACK: 12, QWEN_BACK: -20, FAR_GOODS: 8}.get(contract, 0)
        return max(lower, min(upper, round(self.value) + away))

    def order_of(self, account: int, contract: int, lots: int, price: int, kind: OrderFlag = OrderFlag.LIMIT,
               effect: Effect = Effect.OPEN) -> Row:  # fmt: skip
        """An order to buy `lots`, or sell if negative; the effect is a gross account's."""
        self.orders += 1
        self.sent.append((account, self.orders))
        self.sent = self.sent[-60:]
        shown, second = kind == OrderFlag.ICEBERG, kind & OrderFlag.STOP
        market = bool(kind & OrderFlag.MARKET)
        least = self.luck.randint(0, abs(lots)) if kind == OrderFlag.FAK and contract != SPREAD else 0
        return order_row(
            self.now, account, self.orders, contract, Side.SELL if lots < 0 else Side.BUY, 0 if market else price, abs(lots),
            kind=kind, min_lots=least, shown_lots=max(1, abs(lots) // 3) if shown else 0,
            trigger_ticks=max(1, price + self.luck.randint(-3, 3)) if second else 0,
            effect=effect if account in GROSS else Effect.NET,
        )  # fmt: skip

    def session(self, state: SessionState, contract: int = 0) -> None:
        self.tell(session_row(self.now, contract, state, self.day))


def name_of(code: int) -> str:
    """The name of an event of the exchange, the clearing house or the venue; of others the number."""
    for names in (ExchangeEvent, ClearingEvent, VenueEvent):
        if code in tuple(names):
            return names(code).name
    return str(code)
