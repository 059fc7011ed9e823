"""What the exchange hears and says: one row of eight int64 a message. Words 0 and 1 are the kind word and time_ns.

| command | 2 | 3 | 4 | 5 | 6 | 7 |
|---|---|---|---|---|---|---|
| SESSION | contract, 0 = all | `SessionState` | trading day | | | |
| ORDER (`OrderFlag`) | account | order id | contract | price ticks, 0 for market | lots | least lots (FAK) |
| CANCEL | account | order id | | | | |
| MASS_CANCEL | account | contract, 0 = all | | | | |
| CLOSE_DAY | contract, 0 = all | | trading day | | | |

| event | 2 | 3 | 4 | 5 | 6 | 7 |
|---|---|---|---|---|---|---|
| SESSION_CHANGED | contract | `SessionState` | trading day | | | |
| ACCEPTED (`OrderFlag`) | account | order id | contract | limit ticks (market: the limit it was given) | lots | least lots |
| REPEATED | as the command | | | | | |
| REFUSED | as the command | | | | | `Refusal` |
| FILLED (`FillFlag`) | account | order id | contract | price ticks | lots | trade id |
| CANCELLED (SIDE_SELL) | account | order id | contract | `CancelCause` | lots that were left | |
| AUCTION_PRICED | contract | price ticks, 0 = no trade | lots | surplus: buy +, sell - | | |
| SETTLEMENT_PRICE | contract | price ticks | trading day | `SettlementMethod` | next upper limit | next lower limit |
| MASS_CANCELLED | account | contract, 0 = all | orders cancelled | orders left standing | | |

A trade is two FILLED rows in a row, of one trade id (1, 2, 3 ... over the exchange): the order that stood first, then the other,
which alone has the TAKER flag. Words not named are 0. A day is a venue day (`basics.calendar`). The rules are in
docs/spec/exchange.md.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Protocol

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import Row, kind_word, row

ACCOUNT = 2
ORDER_ID = 3
CONTRACT = 4
"""Word of the contract in ORDER, ACCEPTED, FILLED, CANCELLED (SESSION, CLOSE_DAY and the prices have it in word 2)."""
PRICE = 5
LOTS = 6
MIN_LOTS = 7
TRADE_ID = 7
CAUSE = 5
REFUSAL = 7

BASIS_POINTS = 10_000
"""Parts of one in which the daily limit rate is given."""


class ExchangeCommand(IntEnum):
    """Codes of what the exchange hears."""

    SESSION = 301
    ORDER = 302
    CANCEL = 303
    MASS_CANCEL = 304
    CLOSE_DAY = 305


class ExchangeEvent(IntEnum):
    """Codes of what the exchange says."""

    SESSION_CHANGED = 351
    ACCEPTED = 352
    REPEATED = 353
    REFUSED = 354
    FILLED = 355
    CANCELLED = 356
    AUCTION_PRICED = 357
    SETTLEMENT_PRICE = 358
    MASS_CANCELLED = 359


class Side(IntEnum):
    """Which way an order goes; the value is that of the SIDE_SELL flag."""

    BUY = 0
    SELL = 1


class OrderFlag(IntFlag):
    """Flags of ORDER, ACCEPTED and CANCELLED. At most one of MARKET, FAK, FOK; none of them means a limit order for the day."""

    LIMIT = 0
    SIDE_SELL = 1
    MARKET = 2
    FAK = 4
    FOK = 8


class FillFlag(IntFlag):
    """Flags of FILLED. TAKER: the second side of its trade. AUCTION: at the auction price. DONE: the order's last lot."""

    SIDE_SELL = 1
    TAKER = 2
    AUCTION = 4
    DONE = 8


class SessionState(IntEnum):
    """A contract's state in its trading day (§4.1). What each permits, and what may follow, are tables in `session.py`."""

    CLOSED = 1
    AUCTION_ENTRY = 2
    AUCTION_FREEZE = 3
    AUCTION_MATCH = 4
    CONTINUOUS = 5
    BREAK = 6
    CLOSING = 7
    SETTLEMENT = 8


class Refusal(IntEnum):
    """Why a command was refused. Of several faults at once the one declared first is named (§3.5).

    The first three are not in the rulebook's list: they say that the row is no command at all, or comes out of time.
    """

    UNKNOWN_COMMAND = 1
    TIME_BACKWARDS = 2
    UNUSED_WORD_NOT_ZERO = 3
    UNKNOWN_ACCOUNT = 4
    NOT_PERMITTED = 5
    UNKNOWN_CONTRACT = 6
    UNKNOWN_ORDER = 7
    UNKNOWN_STATE = 8
    WRONG_DAY = 9
    WRONG_STATE = 10
    DAY_NOT_CLOSED = 11
    TYPE_NOT_IN_STATE = 12
    ORDER_NOT_OPEN = 13
    TYPE_UNKNOWN = 14
    ORDER_ID_NOT_POSITIVE = 15
    PRICE_NOT_POSITIVE = 16
    PRICE_ON_MARKET_ORDER = 17
    LOTS_NOT_POSITIVE = 18
    MIN_LOTS_NOT_ALLOWED = 19
    LOTS_OVER_MAXIMUM = 20
    PRICE_LIMIT = 21
    ID_OF_PAST_DAY = 22
    ID_USED_WITH_OTHER_SIDE = 23
    ID_USED_WITH_OTHER_TYPE = 24
    ID_USED_WITH_OTHER_CONTRACT = 25
    ID_USED_WITH_OTHER_PRICE = 26
    ID_USED_WITH_OTHER_LOTS = 27
    ID_USED_WITH_OTHER_MIN_LOTS = 28
    POSITION_LIMIT = 29
    ORDER_RATE = 30
    MARGIN = 31


class CancelCause(IntEnum):
    """Why an order ended, or what was left of it."""

    REQUEST = 1
    """A CANCEL of its account."""
    MASS_CANCEL = 2
    """A MASS_CANCEL of its account (§3.7)."""
    FAK_REMAINDER = 3
    """What a FAK order could not fill at once (§3.1)."""
    MARKET_REMAINDER = 4
    """What a market order could not fill at once (§3.1)."""
    FOK_NOT_FILLED = 5
    """A FOK order that could not be filled whole at once (§3.1)."""
    MINIMUM_NOT_FILLED = 6
    """A FAK order that could not fill its least lots at once (§3.1)."""
    SELF_TRADE = 7
    """It would have met an order of its own account (§3.3)."""
    DAY_END = 8
    """Day orders lapse when the day is closed."""


class SettlementMethod(IntEnum):
    """What a settlement price stands on (§4.4), in the order in which the methods are tried."""

    TRADES = 1
    QUOTES = 2
    NEAREST_MONTH = 3
    PREVIOUS = 4


class ContractKind(IntEnum):
    """What a contract is for: receipts at once (§2.1), or a month's mean fixing in money (§2.2)."""

    SPOT = 1
    CASH_FUTURE = 2


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract as listed. Units are in the names; `month` is yyyymm, 0 for spot; days are venue days, both ends traded.

    `tick_micro` is micro-units of money per MTok, `limit_rate_bp` the daily limit r in basis points, `initial_price_ticks` what
    stands for the settlement price before the first day. Raises Malformed for a number that cannot be.
    """

    number: int
    code: str
    kind: ContractKind
    grade: int
    tick_micro: int
    lot_mtok: int
    first_day: int
    last_day: int
    month: int
    limit_rate_bp: int
    initial_price_ticks: int
    max_lots_per_order: int

    def __post_init__(self) -> None:
        for name in ("number", "tick_micro", "lot_mtok", "initial_price_ticks", "max_lots_per_order"):
            if getattr(self, name) < 1:
                raise Malformed(f"contract {self.code}, {name}", found=getattr(self, name), expected="1 or more",
                                remedy="Correct the contract's listing.")  # fmt: skip
        if not 0 < self.limit_rate_bp <= BASIS_POINTS:
            raise Malformed(f"contract {self.code}, limit_rate_bp", found=self.limit_rate_bp, expected="1 to 10,000",
                            remedy="Give the daily limit in basis points: 5% is 500.")  # fmt: skip
        if self.last_day < self.first_day:
            raise Malformed(f"contract {self.code}, last_day", found=self.last_day, expected=f"{self.first_day} or later",
                            remedy="A contract's last day is not before its first.")  # fmt: skip

    @property
    def tick_value_micro(self) -> int:
        """Micro-units of money that one tick is worth on one lot."""
        return self.tick_micro * self.lot_mtok


class Admission(Protocol):
    """Who is asked before an order may rest or trade (§5.1); the clearing house on a venue. Both answer None to let it pass."""

    def permitted(self, account: int, contract_number: int) -> Refusal | None:
        """UNKNOWN_ACCOUNT, NOT_PERMITTED or None. Asked first of all, so `contract_number` may be one that is not listed, or 0
        where no contract is meant: then only UNKNOWN_ACCOUNT and None are answers."""

    def admit(
        self, time_ns: int, account: int, contract_number: int, is_sell: bool, price_ticks: int, lots: int
    ) -> Refusal | None:
        """POSITION_LIMIT, ORDER_RATE, MARGIN or None. Asked last of all, so an order that it lets pass is accepted."""


class AdmitAll:
    """The admission of an exchange that stands alone: everyone is known, everything is covered."""

    def permitted(self, account: int, contract_number: int) -> Refusal | None:
        """None."""
        return None

    def admit(
        self, time_ns: int, account: int, contract_number: int, is_sell: bool, price_ticks: int, lots: int
    ) -> Refusal | None:
        """None."""
        return None


ADMIT_ALL: Admission = AdmitAll()
"""Lets everything pass."""


@dataclass(frozen=True, slots=True)
class Level:
    """One price of one side of a book: all lots that stand there, and in how many orders."""

    price_ticks: int
    lots: int
    orders: int


def session_row(time_ns: int, contract: int, state: SessionState, trading_day: int) -> Row:
    """SESSION: `contract` (0: every one that is listed on the day) enters `state`."""
    return row(kind_word(ExchangeCommand.SESSION), time_ns, (contract, state, trading_day))


def order_row(
    time_ns: int,
    account: int,
    order_id: int,
    contract: int,
    side: Side,
    price_ticks: int,
    lots: int,
    *,
    kind: OrderFlag = OrderFlag.LIMIT,
    min_lots: int = 0,
) -> Row:
    """ORDER of one `kind` (LIMIT, MARKET with price 0, FAK with or without `min_lots`, FOK)."""
    word = kind_word(ExchangeCommand.ORDER, side | kind)
    return row(word, time_ns, (account, order_id, contract, price_ticks, lots, min_lots))


def cancel_row(time_ns: int, account: int, order_id: int) -> Row:
    """CANCEL an open order of `account`."""
    return row(kind_word(ExchangeCommand.CANCEL), time_ns, (account, order_id))


def mass_cancel_row(time_ns: int, account: int, contract: int = 0) -> Row:
    """MASS_CANCEL: every open order of `account`, in one contract or (0) in all."""
    return row(kind_word(ExchangeCommand.MASS_CANCEL), time_ns, (account, contract))


def close_day_row(time_ns: int, contract: int, trading_day: int) -> Row:
    """CLOSE_DAY: fix the settlement price of `contract` (0: every one in settlement), and lapse its day orders."""
    return row(kind_word(ExchangeCommand.CLOSE_DAY), time_ns, (contract, 0, trading_day))
