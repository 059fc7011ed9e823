"""A trading floor to test the clearing house on: a ledger, a house, members, and a scripted exchange that is always right.

The floor plays the exchange's part: it admits orders by the textbook (`refusal_of`), says ACCEPTED, FILLED (the maker's row
first) and CANCELLED, and lets orders lapse before it says SETTLEMENT_PRICE.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.rows import CODE_MASK, Row, code_of, kind_word, row
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingRefusal,
    ClearingTerms,
    Fees,
    HouseAccounts,
    MemberRole,
    Permission,
    delist_row,
    final_row,
    member_row,
    settle_day_row,
)
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import CancelCause, ExchangeEvent, FillFlag, OrderFlag, Refusal, SessionState
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.messages import AccountFlag, open_row, transfer_row
from ciyuan.ledger.plain import PlainLedger

MONEY, RECEIPTS = 1, 107
"""Assets."""
WORLD, ISSUANCE, VARIATION, SPOT_MONEY, FEES, CAPITAL, RECEIVABLES, DEFAULT_FUND, SPOT_RECEIPTS = range(1, 10)
HOUSE_ACCOUNTS = 9
KIMI = 7
SPOT, OCT, NOV, DEC = 1, 2, 3, 4
"""Contracts: receipts of one MTok at a tick of 0.001, futures of 1,000 MTok at 0.001 (1 USD a lot)."""
USD = 10**6
HEDGER, SPECULATOR, MAKER = MemberRole.HEDGER, MemberRole.SPECULATOR, MemberRole.MAKER
BOTH = Permission.FUTURES | Permission.SPOT
MONDAY = day_from_iso("2026-09-28")
HOLIDAY = day_from_iso("2026-10-01")
CALENDAR = Calendar(8 * 3_600 * 10**9, frozenset({HOLIDAY}))


def future(number: int, month: int, price_ticks: int = 1500) -> Contract:
    first, last = day_from_iso("2026-01-05"), CALENDAR.last_business_of_month(month)
    code = f"KIMI26.{month % 10000}"
    return Contract(
        number, code, ContractKind.CASH_FUTURE, KIMI, 1000, 1000, first, last, month, 1000, price_ticks, 10**6
    )


def receipts_contract(number: int = SPOT, price_ticks: int = 1500, grade: int = KIMI) -> Contract:
    first, last = day_from_iso("2026-01-05"), day_from_iso("2027-12-31")
    return Contract(
        number, "KIMI26.SPOT", ContractKind.SPOT, grade, 1000, 1, first, last, 0, 1000, price_ticks, 10**6
    )


CONTRACTS = (receipts_contract(), future(OCT, 202610), future(NOV, 202611), future(DEC, 202612))
HOUSE = HouseAccounts(
    VARIATION, SPOT_MONEY, FEES, CAPITAL, RECEIVABLES, DEFAULT_FUND, ((KIMI, SPOT_RECEIPTS),)
)
NO_FEES = Fees(0, 0, 0, 0)
"""Still one micro-unit a fill."""


@dataclass
class Order:
    account: int
    contract: int
    is_sell: bool
    price_ticks: int
    lots: int


@dataclass
class Floor:
    """Members are numbered from 1; each has `cash_usd` and `receipts`. Day and time move on with `open` and `_tick`."""

    cash_usd: Sequence[int] = (100_000, 100_000, 100_000)
    receipts: int = 1000
    capital_usd: int = 0
    contracts: Sequence[Contract] = CONTRACTS
    roles: Sequence[int] = ()
    permissions: int = BOTH
    terms: ClearingTerms = field(default_factory=lambda: ClearingTerms(HOUSE))
    ledger: PlainLedger | Ledger = field(default_factory=PlainLedger)

    def __post_init__(self) -> None:
        self.time_ns = CALENDAR.ns_at(MONDAY, "08:00")
        self.day = 0
        self.orders: dict[int, Order] = {}
        self.said: list[Row] = []
        self.heard: list[Row] = []
        self.order_count = 1000  # no id is also the number of a refusal
        self.trade_count = self.key = 0
        self.sent: Counter[tuple[int, int]] = Counter()
        guarded = AccountFlag.NO_OVERDRAFT
        house = (
            (MONEY, 0),
            (RECEIPTS, 0),
            *((MONEY, guarded),) * 4,
            (MONEY, 0),
            (MONEY, guarded),
            (RECEIPTS, guarded),
        )
        purses = ((MONEY, guarded), (RECEIPTS, guarded)) * len(self.cash_usd)
        opened = [open_row(0, n, asset, flag) for n, (asset, flag) in enumerate((*house, *purses), start=1)]
        self.ledger.apply(np.array(opened, dtype=np.int64))
        self.build()
        self.deposit_to(CAPITAL, self.capital_usd * USD)
        for number in range(1, len(self.cash_usd) + 1):
            role = self.roles[number - 1] if self.roles else SPECULATOR
            self.tell(
                member_row(
                    self.time_ns, number, self.cash(number), self.purse(number), self.permissions, role
                )
            )
        for number, cash in enumerate(self.cash_usd, start=1):
            self.deposit(number, cash * USD)
            self.issue(number, self.receipts)
        self.open(MONDAY)

    def build(self) -> None:
        """Make the clearing house, over the ledger with the house's and the members' accounts."""
        self.house = ClearingHouse(self.ledger, self.contracts, CALENDAR, self.terms)

    # --- accounts ---

    @property
    def members(self) -> range:
        return range(1, len(self.cash_usd) + 1)

    def cash(self, number: int) -> int:
        return HOUSE_ACCOUNTS + 2 * number - 1

    def purse(self, number: int) -> int:
        return HOUSE_ACCOUNTS + 2 * number

    def money(self, number: int) -> int:
        """A member's cash balance in micro-units."""
        return self.ledger.posted(self.cash(number))

    def deposit(self, number: int, micro: int) -> None:
        self.deposit_to(self.cash(number), micro)

    def deposit_to(self, account: int, micro: int) -> None:
        """Negative: a withdrawal."""
        if micro:
            self.key += 1
            sides = (WORLD, account) if micro > 0 else (account, WORLD)
            moved = transfer_row(self.tick(), self.key, *sides, abs(micro), reason=2)
            assert code_of(int(self.ledger.apply(np.array([moved]))[-1][0])) == 152

    def issue(self, number: int, receipts: int) -> None:
        if receipts:
            self.key += 1
            moved = transfer_row(self.tick(), self.key, ISSUANCE, self.purse(number), receipts, reason=1)
            self.ledger.apply(np.array([moved]))

    # --- the clearing house ---

    def tell(self, command: Row) -> list[Row]:
        """Apply a command; returns what was said."""
        events = [tuple(event) for event in self.house.apply(np.array([command])).tolist()]
        self.said += events
        return events

    def refusal(self, command: Row) -> ClearingRefusal | None:
        (event, *_) = self.tell(command)
        return ClearingRefusal(event[7]) if code_of(event[0]) == ClearingEvent.REFUSED else None

    def hear(self, event: Row) -> None:
        self.heard.append(event)
        self.house.on_event(event, self.said)

    def events(self, code: int) -> list[Row]:
        return [event for event in self.said if event[0] & CODE_MASK == code]

    def tick(self) -> int:
        self.time_ns += 1_000_000
        return self.time_ns

    # --- the exchange's part ---

    def open(self, day: int) -> None:
        """Begin a trading day."""
        self.day = day
        self.time_ns = max(self.tick(), CALENDAR.ns_at(day, "09:00"))
        for contract in self.contracts:
            state = SessionState.CONTINUOUS
            self.hear(
                row(kind_word(ExchangeEvent.SESSION_CHANGED), self.time_ns, (contract.number, state, day))
            )

    def order(self, account: int, contract: int, lots: int, price_ticks: int) -> int | Refusal:
        """Buy `lots`, or sell if negative. Returns the order id, or the refusal."""
        is_sell, size, time_ns = lots < 0, abs(lots), self.tick()
        refusal = self.refusal_of(time_ns, account, contract, lots, price_ticks)
        if refusal is not None:
            return refusal
        self.order_count += 1
        order_id = self.order_count
        self.orders[order_id] = Order(account, contract, is_sell, price_ticks, size)
        kind = kind_word(ExchangeEvent.ACCEPTED, OrderFlag.SIDE_SELL if is_sell else 0)
        self.hear(row(kind, time_ns, (account, order_id, contract, price_ticks, size)))
        return order_id

    def refusal_of(
        self, time_ns: int, account: int, contract: int, lots: int, price_ticks: int
    ) -> Refusal | None:
        """Admission by the textbook (§5.1 to §5.3), from what the house says it has: the order's worst case, worked out anew."""
        house, size = self.house, abs(lots)
        (listed,) = (entry for entry in self.contracts if entry.number == contract)
        risk, held = house.risk(contract), house.position(account, contract)
        before = house.open_lots(account, contract)
        after = (before[0], before[1] + size) if lots < 0 else (before[0] + size, before[1])
        exposure = after[1] - held if lots < 0 else held + after[0]
        role = self.roles[account - 1] if self.roles else SPECULATOR
        limit = risk.hedger_limit_lots if role == HEDGER else risk.limit_lots
        if limit and exposure > limit:
            return Refusal.POSITION_LIMIT
        if self.terms.orders_per_second_max:
            second = account, time_ns // NS_PER_SECOND
            if self.sent[second] >= self.terms.orders_per_second_max:
                return Refusal.ORDER_RATE
            self.sent[second] += 1
        spot = listed.kind == ContractKind.SPOT
        if spot and lots < 0:
            covered = self.ledger.available(self.purse(account)) >= size * listed.lot_mtok
            return None if covered else Refusal.MARGIN
        if exposure <= 0:
            return None

        def charge(buys: int, sells: int) -> int:
            worst = max(abs(held + buys), abs(held - sells))
            return worst * risk.margin_lot_micro * (not spot) + (buys + sells) * risk.fee_lot_micro

        needed = house.requirement_micro(account) + charge(*after) - charge(*before)
        needed += price_ticks * listed.tick_value_micro * size * spot
        return None if house.equity_micro(account) >= needed else Refusal.MARGIN

    def placed(self, account: int, contract: int, lots: int, price_ticks: int) -> int:
        """An order that must be admitted."""
        order_id = self.order(account, contract, lots, price_ticks)
        assert not isinstance(order_id, Refusal), order_id.name
        return order_id

    def fill(self, maker: int, taker: int, lots: int, price_ticks: int | None = None) -> None:
        """Trade two open orders, at the maker's price unless one is given."""
        price = self.orders[maker].price_ticks if price_ticks is None else price_ticks
        time_ns = self.tick()
        self.trade_count += 1
        for order_id, flag in ((maker, 0), (taker, FillFlag.TAKER)):
            order = self.orders[order_id]
            order.lots -= lots
            done = FillFlag.DONE if order.lots == 0 else 0
            kind = kind_word(ExchangeEvent.FILLED, flag | done | (FillFlag.SIDE_SELL if order.is_sell else 0))
            words = (order.account, order_id, order.contract, price, lots, self.trade_count)
            self.hear(row(kind, time_ns, words))
            if order.lots == 0:
                del self.orders[order_id]

    def trade(self, buyer: int, seller: int, contract: int, lots: int, price_ticks: int) -> None:
        """A trade of two new orders; the buyer takes."""
        ask = self.placed(seller, contract, -lots, price_ticks)
        self.fill(ask, self.placed(buyer, contract, lots, price_ticks), lots)

    def cancel(self, order_id: int) -> None:
        order = self.orders.pop(order_id)
        kind = kind_word(ExchangeEvent.CANCELLED, FillFlag.SIDE_SELL if order.is_sell else 0)
        words = (order.account, order_id, order.contract, CancelCause.REQUEST, order.lots)
        self.hear(row(kind, self.tick(), words))

    def price(self, contract: int, price_ticks: int, day: int | None = None) -> None:
        """Say a settlement price, with limits of a tenth."""
        day = self.day if day is None else day
        upper, lower = -(-price_ticks * 11 // 10), price_ticks * 9 // 10
        kind = kind_word(ExchangeEvent.SETTLEMENT_PRICE)
        self.hear(row(kind, self.tick(), (contract, price_ticks, day, 1, upper, lower)))

    def close(self, **price_ticks: int) -> list[Row]:
        """End the day: orders lapse, prices are fixed (by name: OCT=1510; else unchanged), the day is settled."""
        for order_id in list(self.orders):
            self.cancel(order_id)
        for name, number in (("SPOT", SPOT), ("OCT", OCT), ("NOV", NOV), ("DEC", DEC)):
            known = self.house.settlement_ticks(number) if number in self.numbers else 0
            if known:
                self.price(number, price_ticks.get(name, known))
        return self.tell(settle_day_row(self.tick(), self.day))

    def next_day(self, **price_ticks: int) -> list[Row]:
        """End the day and begin the next."""
        events = self.close(**price_ticks)
        self.open(CALENDAR.next_business(self.day))
        return events

    def final(self, contract: int, mean_micro: int, rule: int = 0, day: int | None = None) -> list[Row]:
        return self.tell(final_row(self.tick(), contract, mean_micro, self.day if day is None else day, rule))

    def delist(self, contract: int) -> list[Row]:
        return self.tell(delist_row(self.tick(), contract))

    @property
    def numbers(self) -> set[int]:
        return {contract.number for contract in self.contracts}
