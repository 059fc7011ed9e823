"""What the exchange hears and says: one row of eight int64 a message. Words 0 and 1 are the kind word and time_ns.

| command | 2 | 3 | 4 | 5 | 6 | 7 |
|---|---|---|---|---|---|---|
| SESSION | contract, 0 = all | `SessionState` | trading day | | | |
| ORDER (`OrderFlag`, `Effect`) | account | order id | contract (*) | price ticks, 0 for market | lots | by type (+) |
| CANCEL | account | order id | | | | |
| MASS_CANCEL | account | contract, 0 = all | | | | |
| CLOSE_DAY | contract, 0 = all | | trading day | | | |
| AMEND | account | order id | | price ticks | lots, filled ones too | |
| ACCOUNT (`AccountFlag`) | account | `SelfTrade` | orders a second, 0 = any | `Permission` | | |
| CREDIT | account | contract, 0 = money | micro-units; lots of receipts | | | |
| RISK | contract | margin of a lot, micro | fee of a lot, micro | position limit, lots | hedgers' limit | share, bp |
| QUOTA (HEDGE) | account | contract | lots, 0 = the role's | | | |
| POSITION (HEDGE) | account | contract | long lots | short lots | basis, tick-lots | |
| KILL | account | 1 = on, 0 = off | | | | |
| DISCONNECT | account | | | | | |
| NOTICE | contract | daily limit, basis points; 0 = the contract's | | | | |
| REDUCE | contract | | | | | |
| TICK | | | | | | |

| event | 2 | 3 | 4 | 5 | 6 | 7 |
|---|---|---|---|---|---|---|
| SESSION_CHANGED | contract | `SessionState` | trading day | lower limit | upper limit | end of a breaker's auction, ns |
| ACCEPTED (`OrderFlag`, `Effect`) | account | order id | contract (*) | limit ticks, of a market order too | lots | by type (+) |
| REPEATED | as the command | | | | | |
| REFUSED | as the command | | | | | `Refusal` |
| FILLED (`FillFlag`, `Effect`) | account | order id | contract | price ticks | lots | trade id |
| CANCELLED (SIDE_SELL, `Effect`) | account | order id | contract | `CancelCause` | lots that were left | |
| AUCTION_PRICED | contract | price ticks, 0 = no trade | lots | surplus: buy +, sell - | | |
| SETTLEMENT_PRICE | contract | price ticks | trading day | `SettlementMethod` | next upper limit | next lower limit |
| MASS_CANCELLED | account | contract, 0 = all | orders cancelled | orders left standing | `CancelCause` | |
| AMENDED (`AmendFlag`, `Effect`) | account | order id | contract (x) | limit ticks | lots | lots left |
| LEVEL (SIDE_SELL) | contract | price ticks | lots shown | orders | sequence number | |
| TRIGGERED (SIDE_SELL) | account | order id | contract | last price ticks | limit ticks | |
| RELOADED (SIDE_SELL) | account | order id | contract | price ticks | lots shown | lots left |
| REPORTED (HEDGE) | account | contract | long lots | short lots | position limit | |
| ACTIVITY (HEDGE) | account | contract | messages | cancels | fills | trading day |
| SET | as the command; its code is the reason | | | | | |
| LIMIT_LOCKED | contract | +1 upper, -1 lower | days in a row | next daily limit, bp | least margin, bp | trading day |
| SPREAD_TRADED (SIDE_SELL: the taker's) | contract | price ticks | lots | near trade id | far trade id | |
| INDICATIVE | contract | price ticks, 0 = none | lots | surplus: buy +, sell - | | |
| REDUCED | contract | price ticks | lots | losing positions | winning positions | |
| LIMITS | contract | lower limit | upper limit | daily limit, basis points | | |

(*) with the last day of an order good till a date in the upper 32 bits. (+) least lots of FAK, shown lots of ICEBERG,
trigger ticks of STOP. (x) with the lots that were left before in the upper 32 bits: `contract | before << LEFT_BEFORE_SHIFT`.
Of RISK a limit of 0 is none, and the share is of the open interest; bp are basis points.

A trade is two FILLED rows in a row, of one trade id (1, 2, 3 ... over the exchange): the order that stood first, then
the other, which alone has the TAKER flag. The contract of FILLED is never a spread: its orders fill in their legs
(LEG). Words not named are 0. A day is a venue day (`basics.calendar`). The rules are in docs/spec/exchange.md.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from ciyuan.basics.rows import Row, kind_word, row
from ciyuan.exchange.contract import Contract as Contract  # noqa: PLC0414 - re-exported
from ciyuan.exchange.contract import ContractKind as ContractKind  # noqa: PLC0414 - re-exported
from ciyuan.exchange.contract import Permission as Permission  # noqa: PLC0414 - re-exported

ACCOUNT = 2
ORDER_ID = 3
CONTRACT = 4
"""Word of the contract in ORDER, ACCEPTED, FILLED, CANCELLED (SESSION, CLOSE_DAY and the prices have it in word 2)."""
PRICE = 5
LOTS = 6
SECOND = 7
"""Word of an order's second quantity: least lots, shown lots or trigger, as its type has it."""
TRADE_ID = 7
CAUSE = 5
REFUSAL = 7
LAST_DAY_SHIFT = 32
"""An order good till a date carries the date in the upper half of its contract's word."""
LEFT_BEFORE_SHIFT = LAST_DAY_SHIFT
"""AMENDED carries the lots that were left before it there: at most `contract.LOTS_MAX`, so the word is never negative."""
CONTRACT_MASK = (1 << LAST_DAY_SHIFT) - 1
"""The number of the contract in such a word."""
HEDGE_FLAG = 1
"""Flag of QUOTA, POSITION, REPORTED and ACTIVITY: the hedging position of a gross account, not the speculative one."""


class ExchangeCommand(IntEnum):
    """Codes of what the exchange hears."""

    SESSION = 301
    ORDER = 302
    CANCEL = 303
    MASS_CANCEL = 304
    CLOSE_DAY = 305
    AMEND = 306
    ACCOUNT = 307
    CREDIT = 308
    RISK = 309
    QUOTA = 310
    POSITION = 311
    KILL = 312
    DISCONNECT = 313
    NOTICE = 314
    REDUCE = 315
    TICK = 316


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
    AMENDED = 360
    LEVEL = 361
    TRIGGERED = 362
    RELOADED = 363
    REPORTED = 364
    ACTIVITY = 365
    SET = 366
    LIMIT_LOCKED = 367
    SPREAD_TRADED = 368
    INDICATIVE = 369
    REDUCED = 370
    LIMITS = 371


class Side(IntEnum):
    """Which way an order goes; the value is that of the SIDE_SELL flag."""

    BUY = 0
    SELL = 1


class OrderFlag(IntFlag):
    """Flags of ORDER, ACCEPTED and CANCELLED. None of MARKET ... STOP means a limit order.

    Which go together: STOP with MARKET (at the market once triggered) or alone (at its limit); every other type stands alone.
    GTC, or a last day, makes a limit, post-only, iceberg or stop order outlive the day.
    """

    LIMIT = 0
    SIDE_SELL = 1
    MARKET = 2
    FAK = 4
    FOK = 8
    POST_ONLY = 16
    ICEBERG = 32
    STOP = 64
    GTC = 128


class Effect(IntFlag):
    """What an order does to the position of a gross account (§3.4): the reason of ORDER and of what is said of it.

    A net account's is 0. Of a gross account exactly one of OPEN, CLOSE (lots of earlier days), CLOSE_TODAY, and HEDGE if it is
    for the hedging position.
    """

    NET = 0
    OPEN = 1
    CLOSE = 2
    CLOSE_TODAY = 3
    HEDGE = 4


class FillFlag(IntFlag):
    """Flags of FILLED. TAKER: the second side of its trade. AUCTION: at the auction price. DONE: the order's last lot.

    LEG: of a spread order, whose id it names. FORCED: by forced reduction (§4.5), of no order: its id is 0.
    """

    SIDE_SELL = 1
    TAKER = 2
    AUCTION = 4
    DONE = 8
    LEG = 16
    FORCED = 32


class AmendFlag(IntFlag):
    """Flags of AMENDED. KEPT: it kept its place. SELF_TRADE: self-trade prevention took lots off, nobody asked (§3.3)."""

    SIDE_SELL = 1
    KEPT = 2
    SELF_TRADE = 4


class AccountFlag(IntFlag):
    """Settings of an account. GROSS: long and short, hedging and speculation apart (§3.4). HEDGER: the hedgers' limits hold.
    CANCEL_ON_DISCONNECT as it says (§3.7). UNCHECKED: neither its credit nor its receipts are looked at."""

    GROSS = 1
    HEDGER = 2
    CANCEL_ON_DISCONNECT = 4
    UNCHECKED = 8


class SelfTrade(IntEnum):
    """What happens when an account's order comes to one of its own (§3.3)."""

    CANCEL_NEWEST = 0
    CANCEL_OLDEST = 1
    CANCEL_BOTH = 2
    DECREMENT = 3


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
    SUSPENDED = 9


class Refusal(IntEnum):
    """Why a command was refused. Of several faults at once the one declared first is named (§3.5).

    The first three are not in the rulebook's list: they say that the row is no command at all, or comes out of time. The last
    two are limits of this exchange's room, not of the market.
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
    SUSPENDED = 10
    WRONG_STATE = 11
    DAY_NOT_CLOSED = 12
    TYPE_NOT_IN_STATE = 13
    ORDER_NOT_OPEN = 14
    TYPE_UNKNOWN = 15
    TYPE_NOT_ON_SPREAD = 16
    LIFETIME_NOT_ALLOWED = 17
    EFFECT_NOT_ALLOWED = 18
    ORDER_ID_NOT_POSITIVE = 19
    PRICE_NOT_POSITIVE = 20
    PRICE_ON_MARKET_ORDER = 21
    LOTS_NOT_POSITIVE = 22
    MIN_LOTS_NOT_ALLOWED = 23
    SHOWN_LOTS_NOT_ALLOWED = 24
    LOTS_OVER_MAXIMUM = 25
    LOTS_ALREADY_FILLED = 26
    VALUE_OUT_OF_RANGE = 27
    ACCOUNT_IN_USE = 28
    PRICE_LIMIT = 29
    ID_OF_PAST_DAY = 30
    ID_USED_WITH_OTHER_SIDE = 31
    ID_USED_WITH_OTHER_TYPE = 32
    ID_USED_WITH_OTHER_EFFECT = 33
    ID_USED_WITH_OTHER_CONTRACT = 34
    ID_USED_WITH_OTHER_PRICE = 35
    ID_USED_WITH_OTHER_LOTS = 36
    ID_USED_WITH_OTHER_SECOND = 37
    NOTHING_TO_CLOSE = 38
    ACCOUNT_KILLED = 39
    POSITION_LIMIT = 40
    ORDER_RATE = 41
    MARGIN = 42
    ORDERS_FULL = 43
    LADDER_FULL = 44


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
    EXPIRED = 9
    """The last day of the order, or of its contract, is over (§3.1)."""
    POST_ONLY = 10
    """A post-only order that would have traded at once (§3.1)."""
    BREAKER = 11
    """What a market or FAK order had left when the circuit breaker stopped it (§4.6)."""
    PRICE_LIMIT = 12
    """An order that outlived the day lies outside the next day's limits (§4.3)."""
    DISCONNECT = 13
    """Its account's session ended, and the account had asked for it (§3.7)."""


class SettlementMethod(IntEnum):
    """What a settlement price stands on (§4.4), in the order in which the methods are tried; LEGS is that of a spread."""

    TRADES = 1
    QUOTES = 2
    NEAREST_MONTH = 3
    PREVIOUS = 4
    LEGS = 5


@dataclass(frozen=True, slots=True)
class Level:
    """One price of one side of a book: all lots that are shown there, and in how many orders."""

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
    shown_lots: int = 0,
    trigger_ticks: int = 0,
    last_day: int = 0,
    effect: Effect = Effect.NET,
) -> Row:
    """ORDER of one `kind`. MARKET has price 0; `min_lots` is for FAK, `shown_lots` for ICEBERG, `trigger_ticks` for STOP.

    `last_day` makes the order good till that day's end, GTC in `kind` until it is cancelled. `effect` is a gross account's.
    """
    word = kind_word(ExchangeCommand.ORDER, side | kind, effect)
    second = min_lots or shown_lots or trigger_ticks
    return row(
        word, time_ns, (account, order_id, contract | last_day << LAST_DAY_SHIFT, price_ticks, lots, second)
    )


def amend_row(time_ns: int, account: int, order_id: int, price_ticks: int, lots: int) -> Row:
    """AMEND an open order to a price and to `lots` in all, those already filled among them."""
    return row(kind_word(ExchangeCommand.AMEND), time_ns, (account, order_id, 0, price_ticks, lots))


def cancel_row(time_ns: int, account: int, order_id: int) -> Row:
    """CANCEL an open order of `account`."""
    return row(kind_word(ExchangeCommand.CANCEL), time_ns, (account, order_id))


def mass_cancel_row(time_ns: int, account: int, contract: int = 0) -> Row:
    """MASS_CANCEL: every open order of `account`, in one contract or (0) in all."""
    return row(kind_word(ExchangeCommand.MASS_CANCEL), time_ns, (account, contract))


def close_day_row(time_ns: int, contract: int, trading_day: int) -> Row:
    """CLOSE_DAY: fix the settlement price of `contract` (0: every one in settlement), and lapse its day orders."""
    return row(kind_word(ExchangeCommand.CLOSE_DAY), time_ns, (contract, 0, trading_day))


def account_row(
    time_ns: int,
    account: int,
    *,
    flags: AccountFlag | None = None,
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
    orders_per_second_max: int = 0,
    permissions: Permission = Permission.FUTURES | Permission.SPOT,
) -> Row:
    """ACCOUNT: make an account known, or give it other settings."""
    word = kind_word(ExchangeCommand.ACCOUNT, flags or 0)
    return row(word, time_ns, (account, self_trade, orders_per_second_max, permissions))


def credit_row(time_ns: int, account: int, amount: int, contract: int = 0) -> Row:
    """CREDIT: what backs the account from now on, in micro-units; or the lots of receipts it holds, for a spot `contract`."""
    return row(kind_word(ExchangeCommand.CREDIT), time_ns, (account, contract, amount))


def risk_row(
    time_ns: int,
    contract: int,
    *,
    margin_lot_micro: int = 0,
    fee_lot_micro: int = 0,
    limit_lots: int = 0,
    hedger_limit_lots: int = 0,
    share_bp: int = 0,
) -> Row:
    """RISK: margin and fee of a lot and the position limits of a contract (§5.1, §5.2)."""
    words = (contract, margin_lot_micro, fee_lot_micro, limit_lots, hedger_limit_lots, share_bp)
    return row(kind_word(ExchangeCommand.RISK), time_ns, words)


def quota_row(time_ns: int, account: int, contract: int, lots: int, *, hedge: bool = False) -> Row:
    """QUOTA: an account's own position limit in a contract; 0 gives it its role's again (§5.2)."""
    return row(kind_word(ExchangeCommand.QUOTA, HEDGE_FLAG * hedge), time_ns, (account, contract, lots))


def position_row(
    time_ns: int,
    account: int,
    contract: int,
    long_lots: int,
    short_lots: int,
    basis: int = 0,
    *,
    hedge: bool = False,
) -> Row:
    """POSITION: the lots that an account holds, where they came or went otherwise than by a trade here. `basis` is in
    tick-lots.
    """
    word = kind_word(ExchangeCommand.POSITION, HEDGE_FLAG * hedge)
    return row(word, time_ns, (account, contract, long_lots, short_lots, basis))


def kill_row(time_ns: int, account: int, *, on: bool = True) -> Row:
    """KILL: no new risk for an account, or (not `on`) again as before (§3.7)."""
    return row(kind_word(ExchangeCommand.KILL), time_ns, (account, int(on)))


def disconnect_row(time_ns: int, account: int) -> Row:
    """DISCONNECT: an account's session ended (§3.7)."""
    return row(kind_word(ExchangeCommand.DISCONNECT), time_ns, (account,))


def notice_row(time_ns: int, contract: int, limit_rate_bp: int) -> Row:
    """NOTICE: another daily limit for a contract from now on; 0: its own again (§4.5)."""
    return row(kind_word(ExchangeCommand.NOTICE), time_ns, (contract, limit_rate_bp))


def reduce_row(time_ns: int, contract: int) -> Row:
    """REDUCE: forced reduction in a suspended contract (§4.5)."""
    return row(kind_word(ExchangeCommand.REDUCE), time_ns, (contract,))


def tick_row(time_ns: int) -> Row:
    """TICK: nothing but the time, so that what is due happens."""
    return row(kind_word(ExchangeCommand.TICK), time_ns)
