"""The exchange's whole state as named int64 matrices: what a snapshot holds, of the kernel and of its plain twin alike.

| part | a row is | in order of |
|---|---|---|
| `clock` (1, 3) | time_ns, priority numbers given, trades | |
| `contracts` | `CONTRACT_COLUMNS` of a contract | number |
| `orders` | `ORDER_COLUMNS` of an order that is remembered, open or ended | priority number |
| `accounts` | `ACCOUNT_COLUMNS` of an account of which anything is not 0 | account |
| `positions` | `POSITION_COLUMNS` of a position of which anything is not 0 | account, contract, hedge |
| `minutes` | `MINUTE_COLUMNS` of a minute with trades that the breaker still looks at | contract, minute |

What follows from the rest (books, requirements, open lots, what closing orders have spoken for) is not in it.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.exchange.messages import OrderFlag

CLOCK_COLUMNS = ("time_ns", "numbers", "trades")

CONTRACT_COLUMNS = (
    "number", "state", "day", "reference_ticks", "settlement_ticks", "settled_day", "settled_method", "lower_ticks",
    "upper_ticks", "rate_bp", "notice_bp", "volume", "turnover", "trades", "open_ticks", "high_ticks", "low_ticks", "last_ticks",
    "both_since_ns", "closing_ns", "lock_side", "lock_since_ns", "lock_days", "lock_direction", "lock_ticks", "suspend", "due_ns",
    "open_interest", "margin_lot_micro", "fee_lot_micro", "limit_lots", "hedger_limit_lots", "share_bp", "sequence",
    "indicative_ticks", "indicative_lots", "indicative_surplus",
)  # fmt: skip
"""A contract's figures.

| column | is |
|---|---|
| `state`, `day` | session state; the trading day it belongs to (of CLOSED: the last one), 0 before the first |
| `reference_ticks` | the settlement price that the day stands on: limits, auction; taken at the day's opening |
| `settlement_ticks`, `settled_day`, `settled_method` | the last one fixed, when and how; before: initial price, 0, 0 |
| `lower_ticks`, `upper_ticks`, `rate_bp` | the day's limits and their rate (spread: 0); from its close on the next one's |
| `notice_bp` | the rate that a notice put in the place of the contract's, 0 for none |
| `volume`, `turnover`, `trades` | lots, tick-lots and count of the day's trades; from 0 at the day's opening |
| `open_ticks`, `high_ticks`, `low_ticks` | of the day's trades, 0 without one |
| `last_ticks` | the last trade's price on any day, 0 before the first |
| `both_since_ns`, `closing_ns` | since when both sides stand, and when CLOSING came; -1 when not; at the day's opening -1 |
| `lock_side`, `lock_since_ns` | the limit (+1, -1, 0) at which the book is locked now, and since when (0 when not) |
| `lock_days`, `lock_direction` | days in a row that ended locked, and at which limit |
| `lock_ticks` | the limit of the third such day, until REDUCE or the close of the suspended day; else 0 |
| `suspend` | 1 from the third such close until the next day opens |
| `due_ns` | end of the breaker's auction; 0 when there is none |
| `open_interest` | long lots of all accounts at the last close |
| `sequence` | number of the last LEVEL |
| `indicative_*` | what INDICATIVE said last; 0 outside an auction's entry and freeze |

`both_since_ns`, `lock_side` and `lock_since_ns` are brought up to date at the end of every command, at its time.
"""

ORDER_COLUMNS = (
    "number",
    "account",
    "order_id",
    "contract",
    "flags",
    "effect",
    "limit_ticks",
    "lots",
    "left",
    "shown",
    "second",
    "sent_price",
    "sent_lots",
    "last_day",
    "end",
    "triggered",
)
"""An order. `lots` and `limit_ticks` are those in force (amended), `sent_*` those of the ORDER; `left` and `shown` 0
once ended; `shown` is `left` but for an iceberg; `end` is 0 while open, FILLED, or a `CancelCause`; `triggered` 1 for
a stop that has been.
"""

ACCOUNT_COLUMNS = (
    "account", "flags", "self_trade", "orders_per_second_max", "permissions", "credit_micro", "killed", "second", "second_orders",
)  # fmt: skip
"""An account. `flags` are its `AccountFlag`s and, once an ACCOUNT was heard, ENROLLED; `second` is the second of the
clock in which `second_orders` were counted (both stay 0 where there is no rate).
"""

POSITION_COLUMNS = (
    "account",
    "contract",
    "hedge",
    "long",
    "short",
    "long_today",
    "short_today",
    "basis",
    "past_id",
    "messages",
    "cancels",
    "fills",
    "reported",
    "quota",
    "receipts",
    "lock_lots",
)
"""What an account has in a contract, hedging (1) or not (0). `past_id` and, of spot, `receipts` are in the row of
hedge 0; `messages`, `cancels`, `fills` and `reported` are of the day, from 0 at its close; `lock_lots` is the note
for forced reduction (§4.5).
"""

MINUTE_COLUMNS = ("contract", "minute", "low_ticks", "high_ticks")
"""Lowest and highest trade of a minute of the clock, of a contract with a breaker, since the day's opening or the
breaker's last auction.
"""

ENROLLED = 1 << 8
FILLED = -1
"""`end` of an order whose last lot was filled."""
NEVER = -1
EXPOSURE_MAX = 2**25
"""No exposure is over so many lots (§5.2)."""

ICEBERG_PARTS_MAX = 1_000
"""An iceberg shows itself in at most so many parts (§3.1), so that what one order can say is bounded."""
TIME_MAX_NS = 2**62
"""The last time that a command may have, in the year 2116."""
CREDIT_MAX = 2**62
"""No credit is over so many micro-units, nor under as many less than nothing."""
CHARGE_MAX = 2**52
"""No charge, and no money reserved in a contract, is over so many micro-units, so that no sum of them overflows (§5.1)."""

PART_COLUMNS = {
    "clock": CLOCK_COLUMNS,
    "contracts": CONTRACT_COLUMNS,
    "orders": ORDER_COLUMNS,
    "accounts": ACCOUNT_COLUMNS,
    "positions": POSITION_COLUMNS,
    "minutes": MINUTE_COLUMNS,
}


def check_words(parts: Mapping[str, NDArray[np.int64]]) -> None:
    """Raise Malformed unless the words of a snapshot's orders, and which positions they are, are such as can be."""
    given = {name: parts["orders"][:, column] for column, name in enumerate(ORDER_COLUMNS)}
    bits = {"flags": 0xFF, "effect": 7, "triggered": 1}
    fits = [bool(((given[name] >= 0) & (given[name] <= most)).all()) for name, most in bits.items()]
    fits.append(bool(np.isin(parts["positions"][:, 2], (0, 1)).all()))
    stands, iceberg = given["end"] == 0, given["flags"] & int(OrderFlag.ICEBERG) != 0
    fits.append(bool((~stands | ((given["shown"] >= 1) & (given["shown"] <= given["left"]))).all()))
    fits.append(bool((~stands | (given["left"] <= given["lots"])).all()))
    fits.append(bool((~iceberg | (given["second"] >= 1)).all()))
    ids = set(zip(given["account"].tolist(), given["order_id"].tolist(), strict=True))
    fits.append(len(ids) == len(given["account"]))
    if not all(fits):
        raise Malformed("snapshot, orders and positions", found="a word that cannot be", expected="words as state.py has them",
                        remedy="Restore from a snapshot that an exchange of this version made.")  # fmt: skip
