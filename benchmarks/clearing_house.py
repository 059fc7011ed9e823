"""A clearing house with many accounts that hold every contract, and what the exchange says to it in a day.

Accounts come in pairs that hold the opposite of each other, so lots and bases sum to zero. One open order in thirty positions;
a trade's fees are due from half of the accounts; one account in a thousand has too little for its margin. Cash is enough for the
others, so that nobody is lent anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.rows import Row, kind_word, row
from ciyuan.clearing.house import House
from ciyuan.clearing.loading import load_members, load_positions
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import ClearingTerms, HouseAccounts, Permission, settle_day_row
from ciyuan.clearing.positions import MEMBER_WORDS, POSITION_WORDS
from ciyuan.clearing.snapshot import WIDTHS
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import ExchangeEvent, FillFlag, OrderFlag, SessionState
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.messages import AccountFlag, open_row, transfer_row
from ciyuan.ledger.plain import PlainLedger

Words = NDArray[np.int64]
FIRST_DAY = day_from_iso("2026-09-28")
CALENDAR = Calendar(0, frozenset())
DAY_NS = 86_400 * 10**9
WORLD, HOUSE = 1, HouseAccounts(2, 3, 4, 5, 6, 7)
OVERDRAWN = (WORLD, HOUSE.receivables)
HOUSE_ACCOUNTS = 7
PRICE, LIMITS = 1_500, (1_300, 1_700)
TICK_MICRO, LOT_MTOK, LOTS = 1_000, 1_000, 20
POOR, OPEN_ORDERS, FEES_DUE = 1_000, 30, 2
"""One in so many accounts, positions, accounts."""
BLOCK = 50_000
"""Accounts whose positions are drawn at once."""
SEED = 20_260_928


def listing(contracts: int) -> tuple[Contract, ...]:
    """Monthly futures of one grade."""
    return tuple(
        Contract(
            number, f"B{number}", ContractKind.CASH_FUTURE, grade=1, tick_micro=TICK_MICRO, lot_mtok=LOT_MTOK,
            first_day=FIRST_DAY - 100, last_day=FIRST_DAY + 900, month=202903, limit_rate_bp=1_000, initial_price_ticks=PRICE,
            max_lots_per_order=10_000,
        )
        for number in range(1, contracts + 1)
    )  # fmt: skip


def batch(count: int, like: Row) -> Words:
    """So many rows like one."""
    rows = np.empty((count, 8), dtype=np.int64)
    rows[:] = like
    return rows


def fund(ledger: Ledger | PlainLedger, cash: Words) -> None:
    """Open the house's accounts and one for each member, and deposit its cash."""
    total = HOUSE_ACCOUNTS + len(cash)
    opened = batch(total, open_row(0, 1, 1, AccountFlag.NO_OVERDRAFT))
    opened[:, 2] = np.arange(1, total + 1)
    for number in OVERDRAWN:
        opened[number - 1] = open_row(0, number, 1, 0)
    deposits = batch(len(cash), transfer_row(0, 1, WORLD, 2, 1, reason=2))
    deposits[:, 2] = np.arange(1, len(cash) + 1)
    deposits[:, 4], deposits[:, 5] = np.arange(HOUSE_ACCOUNTS + 1, total + 1), cash
    ledger.apply(opened)
    ledger.apply(deposits)


@dataclass(frozen=True)
class Held:
    """What members have: the `members` part of a snapshot, and `positions` by blocks of accounts."""

    accounts: int
    contracts: int

    def cash(self) -> Words:
        """Each account's cash, in micro-units: a quarter of what it could hold at most, or, of the poor, a thousandth."""
        most = self.contracts * LOTS * PRICE * TICK_MICRO * LOT_MTOK
        cash = np.full(self.accounts, most // 4, dtype=np.int64)
        cash[::POOR] = most // POOR
        return cash

    def members(self) -> Words:
        """The members part."""
        rows = np.zeros((self.accounts, WIDTHS["members"]), dtype=np.int64)
        words: dict[str, Words | int] = {
            "cash": np.arange(HOUSE_ACCOUNTS + 1, HOUSE_ACCOUNTS + 1 + self.accounts),
            "permissions": int(Permission.FUTURES),
            "role": 2,
            "opening_micro": self.cash(),
            "accrued_micro": np.where(np.arange(self.accounts) % FEES_DUE == 0, 777, 0),
        }
        rows[:, 0] = np.arange(1, self.accounts + 1)
        for name, column in words.items():
            rows[:, 1 + MEMBER_WORDS.index(name)] = column
        return rows

    def positions(self) -> Iterator[Words]:
        """The positions part, block by block; lots and bases of each sum to zero."""
        chance = np.random.Generator(np.random.PCG64(SEED))
        for first in range(0, self.accounts, BLOCK):
            half, contracts = min(BLOCK, self.accounts - first) // 2, self.contracts
            lots = chance.integers(1, LOTS, (half, contracts)) * chance.choice((-1, 1), (half, contracts))
            both = np.stack((lots, -lots), axis=1).reshape(-1)
            rows = np.zeros((len(both), WIDTHS["positions"]), dtype=np.int64)
            rows[:, 0] = np.repeat(np.arange(first + 1, first + 1 + 2 * half), contracts)
            rows[:, 1] = np.tile(np.arange(1, contracts + 1), 2 * half)
            long, short = np.maximum(both, 0), np.maximum(-both, 0)
            words = {
                "long": long,
                "short": short,
                "basis": both * PRICE,
                "long_cost": long * PRICE,
                "short_cost": short * PRICE,
                "buys": chance.integers(0, OPEN_ORDERS, len(both)) == 0,
                "since_day": FIRST_DAY,
            }
            for name, column in words.items():
                rows[:, 3 + POSITION_WORDS.index(name)] = column
            yield rows


def loaded(held: Held) -> ClearingHouse:
    """A clearing house over the compiled ledger, with all accounts and their positions."""
    ledger = Ledger()
    fund(ledger, held.cash())
    house = ClearingHouse(ledger, listing(held.contracts), CALENDAR, ClearingTerms(HOUSE))
    load_members(house.register, held.members())
    house.register.reserve(held.accounts * held.contracts)
    for part in held.positions():
        load_positions(house.register, part)
    return house


def prices(day: int, contracts: int) -> Words:
    """Each contract's settlement price of a day, in ticks."""
    return PRICE + (7 * np.arange(1, contracts + 1) + day) % 11 - 5


def open_day(house: House, day: int, contracts: int) -> None:
    """Say that a trading day begins, and each contract's settlement price."""
    opened, priced = kind_word(ExchangeEvent.SESSION_CHANGED), kind_word(ExchangeEvent.SETTLEMENT_PRICE)
    for number in range(1, contracts + 1):
        house.on_event(row(opened, day * DAY_NS, (number, SessionState.CONTINUOUS, day)), [])
    for number, ticks in enumerate(prices(day, contracts).tolist(), start=1):
        lower, upper = LIMITS
        house.on_event(row(priced, day * DAY_NS + 1, (number, ticks, day, 1, upper, lower)), [])


def settlement(day: int) -> Words:
    """The command that settles a day."""
    return np.array([settle_day_row(day * DAY_NS + 2, day)], dtype=np.int64)


def orders(accounts: int, contracts: int, count: int) -> tuple[Words, Words]:
    """What the exchange says of `count` trades among accounts by chance: four ACCEPTED and CANCELLED rows a trade; and two orders
    and the two rows of their trade.
    """
    chance = np.random.Generator(np.random.PCG64(SEED + 1))
    sell = int(OrderFlag.SIDE_SELL)
    buyer = chance.integers(1, accounts + 1, count)
    seller = 1 + (buyer + chance.integers(1, accounts, count)) % accounts
    contract, number = chance.integers(1, contracts + 1, count), np.arange(1, count + 1)
    accepted, cancelled, filled = map(
        kind_word, (ExchangeEvent.ACCEPTED, ExchangeEvent.CANCELLED, ExchangeEvent.FILLED)
    )

    def rows(kind: int, account: Words, price: int, last: Words | int) -> Words:
        made = batch(count, row(kind, 0, (0, 0, 0, price, 3)))
        made[:, 2], made[:, 3], made[:, 4], made[:, 7] = account, number, contract, last
        return made

    side = sell << 16
    opened = [rows(accepted, buyer, PRICE, 0), rows(accepted | side, seller, PRICE, 0)]
    ended = [rows(cancelled, buyer, 1, 0), rows(cancelled | side, seller, 1, 0)]
    taker = int(FillFlag.TAKER) << 16
    traded = [rows(filled, buyer, PRICE, number), rows(filled | side | taker, seller, PRICE, number)]
    return tuple(np.stack((*opened, *more), axis=1).reshape(-1, 8) for more in (ended, traded))  # type: ignore[return-value]
