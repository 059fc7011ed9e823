"""Files of orders with named columns, as commands of the exchange.

| column | is | if it is not there |
|---|---|---|
| `time_ns`, or `time` | nanoseconds since 1970-01-01T00:00:00Z, or ISO 8601 with a zone | one of them must be |
| `type` | `order`, `cancel`, `amend`, `mass_cancel`, `disconnect`, `kill`, `session`, `close_day`, `tick` | order |
| `account` | 1, 2, 3 ... | must be |
| `order_id` | the account's own | the number of the row |
| `contract` | code or number | the only contract |
| `side` | `buy` or `sell`, `b` or `s` | must be, for orders |
| `price_ticks`, or `price` | ticks, or decimal money | 0, which only market orders have |
| `lots` | of an order; of an amend in all, filled ones too | must be, for orders |
| `kind` | `limit`, `market`, `fak`, `fok`, `post_only`, `iceberg`, `stop`, `stop_market` | limit |
| `min_lots`, `shown_lots` | least quantity of a FAK order, shown part of an iceberg | 0 |
| `trigger_ticks`, or `trigger` | of a stop, as the price | 0 |
| `last_day` | the last day of an order that outlives the day, or `gtc` | the day |
| `effect`, `hedge` | `open`, `close`, `close_today` of a gross account; 1 for its hedging position | net, 0 |
| `state`, `day` | of a session row: the state that its contract (none: all) enters; of that and close_day: the trading day | |

A column that is not in this table is refused, and so is a file in which one of those that must be there is missing. What a type
of row does not need may be written in it all the same.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import FLAG_SHIFT, REASON_SHIFT, ROW_WORDS
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import LAST_DAY_SHIFT, Effect, ExchangeCommand, OrderFlag, SessionState, Side
from ciyuan.services.exchange_cells import (
    GOOD_TILL_CANCELLED,
    dates,
    decimals,
    given,
    has,
    moments,
    texts,
    wholes,
    words,
)
from ciyuan.services.exchange_files import Batch, Ints, OrderFile
from ciyuan.services.exchange_source import Fidelity, Prices, Show, Survey

MICRO_DIGITS = 6
REQUIRED = ("account", "side", "lots")
KNOWN = (
    "time_ns", "time", "type", "account", "order_id", "contract", "side", "price_ticks", "price", "lots", "kind", "min_lots",
    "shown_lots", "trigger_ticks", "trigger", "last_day", "effect", "hedge", "state", "day",
)  # fmt: skip
WHOLES = ("order_id", "lots", "min_lots", "shown_lots")
ONE_OF_TWO = (
    ("time_ns", "time"),
    ("price_ticks", "price"),
    ("trigger_ticks", "trigger"),
    ("price_ticks", "trigger"),
    ("trigger_ticks", "price"),
)
"""Columns of which only one may be there: a file is in ticks or in money."""
_COMMANDS = ("ORDER", "CANCEL", "AMEND", "MASS_CANCEL", "DISCONNECT", "KILL", "SESSION", "CLOSE_DAY", "TICK")
TYPES = {name.lower(): int(ExchangeCommand[name]) for name in _COMMANDS}
SIDES = {"buy": int(Side.BUY), "sell": int(Side.SELL), "b": int(Side.BUY), "s": int(Side.SELL)}
_PLAIN_KINDS = ("LIMIT", "MARKET", "FAK", "FOK", "POST_ONLY", "ICEBERG", "STOP")
KINDS = {name.lower(): int(OrderFlag[name]) for name in _PLAIN_KINDS} | {
    "stop_market": int(OrderFlag.STOP | OrderFlag.MARKET)
}
EFFECTS = {name.lower(): int(Effect[name]) for name in ("NET", "OPEN", "CLOSE", "CLOSE_TODAY")}
STATES = {state.name.lower(): int(state) for state in SessionState}
_ORDER, _AMEND, _CANCEL = TYPES["order"], TYPES["amend"], TYPES["cancel"]
_SESSION, _CLOSE_DAY = TYPES["session"], TYPES["close_day"]
_MASS_CANCEL, _KILL = TYPES["mass_cancel"], TYPES["kill"]
_NO_SIDE = -1


@dataclass(frozen=True, slots=True)
class Asked:
    """What every row of a batch has, as numbers: command code, time, account, and its contract's place in `NamedOrders.codes`."""

    batch: Batch
    code: Ints
    time_ns: Ints
    account: Ints
    contract: Ints

    def only(self, *codes: int) -> NDArray[np.bool_]:
        """Which rows are of one of these commands."""
        return np.isin(self.code, codes) if len(codes) > 1 else self.code == codes[0]


class NamedOrders:
    """A file of orders with named columns. Raises Malformed for columns that are missing, unknown or there in two forms."""

    def __init__(self, file: OrderFile) -> None:
        check_columns(file)
        self.file = file
        self.left_out: Counter[str] = Counter()
        self.codes: dict[str, int] = {}
        """The contracts as the file names them: 1, 2, 3 ... in order of appearance."""

    def survey(self, show: Show) -> Survey:
        """Read the whole file: what it holds, without regard to what its contracts are."""
        found = Survey(in_ticks="price_ticks" in self.file.names)
        for batch in self.file.batches():
            asked = self._asked(batch)
            found.take_times(asked.time_ns)
            orders = asked.only(_ORDER)
            found.orders += int(orders.sum())
            found.accounts = max(found.accounts, int(asked.account.max(initial=1)))
            self._judge(asked, orders)
            found.days |= set(dates(batch, "day")[asked.only(_SESSION)].tolist())
            self._take_prices(found, asked, asked.only(_ORDER, _AMEND))
            show(batch.read_bytes, found.rows)
        for name in self.codes:
            found.prices.setdefault(name, Prices())
        return found

    def _judge(self, asked: Asked, orders: NDArray[np.bool_]) -> None:
        """Read the cells that the commands will need, so that a fault in one is found by the survey."""
        batch = asked.batch
        sides = words(batch, "side", SIDES, _NO_SIDE)
        without = orders & (sides == _NO_SIDE)
        if without.any():
            expected = f"one of {', '.join(SIDES)}"
            raise batch.fault(
                int(np.argmax(without)), "side", None, expected, "Say which way the order goes."
            )
        self._order_words(batch)
        words(batch, "state", STATES)
        for name in WHOLES:
            wholes(batch, name)

    def _take_prices(self, found: Survey, asked: Asked, priced: NDArray[np.bool_]) -> None:
        prices, triggers = _priced(asked.batch, "price"), _priced(asked.batch, "trigger")
        names = {place: name for name, place in self.codes.items()}
        for place in np.flatnonzero(np.bincount(asked.contract[priced])).tolist():
            mine = priced & (asked.contract == place)
            span = found.prices.setdefault(names.get(place, ""), Prices())
            span.take(prices[mine])
            span.take(triggers[mine])

    def check(self, contracts: tuple[Contract, ...], survey: Survey) -> None:
        """Raises Malformed for a contract that is not listed, and for a price between ticks."""
        by_name = _by_name(contracts)
        doubtful = any(name not in by_name for name in self.codes)
        doubtful |= "" in survey.prices and len(contracts) > 1
        for name, prices in survey.prices.items():
            tick_micro = by_name[name].tick_micro if name in by_name else contracts[0].tick_micro
            doubtful |= not survey.in_ticks and prices.step % tick_micro != 0
        if doubtful:  # the place is found by making the commands
            for _ in self.commands(contracts):
                pass

    def commands(self, contracts: tuple[Contract, ...]) -> Iterator[Ints]:
        """The file's commands as (n, 8) rows. Raises Malformed for a contract that is not listed, and a price between ticks."""
        row_number = 0
        for batch in self.file.batches():
            asked = self._asked(batch)
            yield self._rows(asked, contracts, row_number)
            row_number += len(batch)

    def hear(self, fills: Ints) -> None:
        """Nothing: what was recorded is the orders."""

    def fidelity(self) -> Fidelity | None:
        """None: the file records no executions."""
        return None

    def _asked(self, batch: Batch) -> Asked:
        named = "time_ns" if has(batch, "time_ns") else "time"
        missing = ~given(batch, named)
        if missing.any():
            raise batch.fault(
                int(np.argmax(missing)), named, None, "the time of the row", "Every row has its time."
            )
        times = wholes(batch, named) if named == "time_ns" else moments(batch, named)
        code = words(batch, "type", TYPES, _ORDER)
        return Asked(batch, code, times, wholes(batch, "account"), texts(batch, "contract", self.codes))

    def _rows(self, asked: Asked, contracts: tuple[Contract, ...], rows_before: int) -> Ints:
        batch = asked.batch
        numbers, ticks = self._listed(asked, contracts)
        orders, amends, cancels = asked.only(_ORDER), asked.only(_AMEND), asked.only(_CANCEL)
        sessions, named = asked.only(_SESSION), orders | amends | cancels
        flags, effects, last_days = self._order_words(batch)
        ids = rows_before + np.arange(1, len(batch) + 1)
        if has(batch, "order_id"):
            ids = wholes(batch, "order_id")
        days, whole = dates(batch, "day"), asked.only(_SESSION, _CLOSE_DAY)
        rows = np.zeros((len(batch), ROW_WORDS), dtype=np.int64)
        rows[:, 0] = asked.code | np.where(orders, flags << FLAG_SHIFT | effects << REASON_SHIFT, 0)
        rows[:, 1] = asked.time_ns
        rows[:, 2] = np.where(whole, numbers, np.where(asked.code == TYPES["tick"], 0, asked.account))
        rows[:, 3] = (
            np.where(named, ids, 0) + np.where(asked.only(_MASS_CANCEL), numbers, 0) + asked.only(_KILL)
        )
        rows[sessions, 3] = words(batch, "state", STATES)[sessions]
        rows[:, 4] = np.where(orders, numbers | last_days << LAST_DAY_SHIFT, np.where(whole, days, 0))
        priced = orders | amends
        rows[priced, 5] = _in_ticks(batch, "price", ticks, priced)[priced]
        rows[priced, 6] = wholes(batch, "lots")[priced]
        rows[orders, 7] = _second(batch, ticks, orders)[orders]
        return rows

    def _listed(self, asked: Asked, contracts: tuple[Contract, ...]) -> tuple[Ints, Ints]:
        """Number and tick (micro) of each row's contract. An order that names none means the only one there is."""
        only = contracts[0] if len(contracts) == 1 else None
        by_name = _by_name(contracts)
        found = [only, *(by_name.get(name) for name in self.codes)]
        unlisted = np.array([contract is None for contract in found])[asked.contract]
        needed = asked.only(_ORDER, _AMEND) if has(asked.batch, "price") else asked.only(_ORDER)
        wrong = unlisted & ((asked.contract > 0) | needed)
        if wrong.any():
            index = int(np.argmax(wrong))
            what = asked.batch.cell(index, "contract") if has(asked.batch, "contract") else None
            raise asked.batch.fault(index, "contract", what, f"one of {', '.join(c.code for c in contracts)}, or its number",
                                    "Name the contract in the row, or list it in the file of contracts.")  # fmt: skip
        numbers = np.array([contract.number if contract else 0 for contract in found], dtype=np.int64)
        ticks = np.array([contract.tick_micro if contract else 1 for contract in found], dtype=np.int64)
        meant = numbers[asked.contract]
        return np.where((asked.contract == 0) & ~asked.only(_ORDER), 0, meant), ticks[asked.contract]

    def _order_words(self, batch: Batch) -> tuple[Ints, Ints, Ints]:
        """Flags, effect and last day of each row, as an order."""
        last_days = dates(batch, "last_day")
        lasting = last_days == GOOD_TILL_CANCELLED
        flags = words(batch, "side", SIDES) | words(batch, "kind", KINDS) | int(OrderFlag.GTC) * lasting
        effects = words(batch, "effect", EFFECTS) | int(Effect.HEDGE) * (wholes(batch, "hedge") != 0)
        return flags, effects, np.where(lasting, 0, last_days)


def _by_name(contracts: tuple[Contract, ...]) -> dict[str, Contract]:
    """Contracts by code, and by number."""
    numbers = {str(contract.number): contract for contract in contracts}
    return numbers | {contract.code: contract for contract in contracts}


def check_columns(file: OrderFile) -> None:
    """Raises Malformed for a file whose columns are not those of orders."""
    known = f"the columns {', '.join(KNOWN)}"

    def wrong(column: str, expected: str, remedy: str) -> Malformed:
        return Malformed(
            f"orders file {file.path}, line 1, column {column}",
            found=", ".join(file.names),
            expected=expected,
            remedy=remedy,
        )

    missing = [name for name in REQUIRED if name not in file.names]
    unknown = [name for name in file.names if name not in KNOWN]
    if not {"time_ns", "time"} & set(file.names):
        missing.insert(0, "time_ns")
    if missing:
        raise wrong(missing[0], known, f"Add or rename the missing column {', '.join(missing)}.")
    if unknown:
        raise wrong(unknown[0], known, f"Remove or rename the column {unknown[0]}.")
    for pair in ONE_OF_TWO:
        if set(pair) <= set(file.names):
            raise wrong(pair[0], f"{pair[0]} or {pair[1]}, not both", f"Remove {pair[0]} or {pair[1]}.")


def _priced(batch: Batch, name: str) -> Ints:
    """A price column as the file has it: ticks, or micro-units of money; 0 without one."""
    if has(batch, f"{name}_ticks"):
        return wholes(batch, f"{name}_ticks")
    return decimals(batch, name, MICRO_DIGITS) if has(batch, name) else np.zeros(len(batch), dtype=np.int64)


def _in_ticks(batch: Batch, name: str, tick_micro: Ints, asked: NDArray[np.bool_]) -> Ints:
    """A price column in ticks. Raises Malformed for a price between two ticks in a row that is `asked`."""
    prices = _priced(batch, name)
    if not has(batch, name):
        return prices
    ticks, rest = np.divmod(prices, tick_micro)
    between = (rest != 0) & asked
    if between.any():
        index = int(np.argmax(between))
        expected = f"a multiple of the contract's tick, {tick_micro[index] / 1e6:g}"
        remedy = "Round the price to its tick, or give the contract a finer one."
        raise batch.fault(index, name, str(batch.cell(index, name)), expected, remedy)
    return ticks


def _second(batch: Batch, tick_micro: Ints, orders: NDArray[np.bool_]) -> Ints:
    """An order's second quantity, whichever it has: least lots, shown lots, or a trigger in ticks."""
    least, shown = wholes(batch, "min_lots"), wholes(batch, "shown_lots")
    return np.where(
        least != 0, least, np.where(shown != 0, shown, _in_ticks(batch, "trigger", tick_micro, orders))
    )
