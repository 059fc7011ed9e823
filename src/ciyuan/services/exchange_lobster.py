"""LOBSTER message files (lobsterdata.com) as commands: one day of one share, `time,type,order id,size,price,direction`.

| type | is | replayed as |
|---|---|---|
| 1 | a new limit order | ORDER of one of the accounts that stand |
| 2 | a part cancelled | AMEND to as many lots fewer |
| 3 | deleted | CANCEL |
| 4 | a visible order executed | ORDER, fill-and-kill, of the account that takes, against the order's price and side |
| 5, 6, 7 | a hidden order executed; a cross; a halt | not: counted |

Times are seconds after midnight, replayed as if midnight were UTC's; the day and the ticker are in the file's name, as LOBSTER
names its files. Prices are in 1/10,000 dollar; the tick is a cent. Who traded is not in the record: buyers stand in odd
accounts and sellers in even ones, spread over 128 by order id, so that nobody meets an order of its own; one account takes.

Not replayed, and counted: the types above; orders at prices between two ticks; and what happens to orders that were there
before the file begins. So the book of a replay is that of the orders which the file itself brings. How often an execution met
the very order that the record names is counted too.
"""

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import FLAG_SHIFT, ROW_WORDS
from ciyuan.basics.time import NS_PER_DAY
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import ExchangeCommand, OrderFlag, Side
from ciyuan.services.exchange_cells import decimals, given, wholes
from ciyuan.services.exchange_files import LOBSTER_COLUMNS, Batch, Ints, OrderFile
from ciyuan.services.exchange_source import Fidelity, Prices, Show, Survey

MICRO_PER_UNIT = 100
"""Micro-dollars in LOBSTER's unit of price."""
TICK_MICRO = 10_000
STANDING_ACCOUNTS = 128
TAKER = STANDING_ACCOUNTS + 1
NEW, REDUCED, DELETED, EXECUTED = 1, 2, 3, 4
NOT_REPLAYED = {5: "hidden_execution", 6: "cross", 7: "halt"}
BETWEEN_TICKS, EARLIER_ORDER = "price_between_ticks", "order_from_before_the_file"
_SECONDS_DIGITS = 9
_NAME = re.compile(r"([A-Za-z.]+)_(\d{4}-\d\d-\d\d)_")
_ORDER, _AMEND, _CANCEL = int(ExchangeCommand.ORDER), int(ExchangeCommand.AMEND), int(ExchangeCommand.CANCEL)
_TIME, _TYPE, _ID, _SIZE, _PRICE, _DIRECTION = range(6)


def ticker_and_day(file: OrderFile) -> tuple[str, int | None]:
    """The ticker and the trading day that a LOBSTER file's name says; ("", None) if it says none."""
    found = _NAME.match(file.path.name)
    return (found[1], day_from_iso(found[2])) if found else ("", None)


class LobsterOrders:
    """A LOBSTER message file. `tick_micro` is the tick at which prices count; `day` the trading day on which its clock starts."""

    def __init__(self, file: OrderFile, day: int, tick_micro: int = 0) -> None:
        self.file = file
        self.left_out: Counter[str] = Counter()
        self._midnight_ns = day * NS_PER_DAY
        self._tick_units = max((tick_micro or TICK_MICRO) // MICRO_PER_UNIT, 1)
        self._ids = np.zeros(0, dtype=np.int64)
        self._lots = np.zeros(0, dtype=np.int64)
        self._named = np.zeros(0, dtype=np.int64)
        self._executions = 0
        self._recorded_lots = 0
        self._as_recorded_lots = 0

    @property
    def tick_micro(self) -> int:
        """The tick at which prices count, in micro-dollars."""
        return self._tick_units * MICRO_PER_UNIT

    def survey(self, show: Show) -> Survey:
        """Read the whole file, and learn which orders it brings."""
        found, prices = Survey(accounts=TAKER), Prices()
        ids, lots = [], []
        for batch in self.file.batches():
            cells = self._cells(batch)
            found.take_times(cells[:, _TIME])
            new = (cells[:, _TYPE] == NEW) & (cells[:, _PRICE] % self._tick_units == 0)
            ids.append(cells[new, _ID])
            lots.append(cells[new, _SIZE])
            prices.take(cells[new, _PRICE] * MICRO_PER_UNIT)
            found.orders += int(np.isin(cells[:, _TYPE], (NEW, EXECUTED)).sum())
            show(batch.read_bytes, found.rows)
        self._ids, first = np.unique(np.concatenate(ids or [self._ids]), return_index=True)
        self._lots = np.concatenate(lots or [self._lots])[first]
        found.prices[""] = prices
        return found

    def check(self, contracts: tuple[Contract, ...], survey: Survey) -> None:
        """Raises Malformed for more than one contract, and for another tick than prices are judged by."""
        if len(contracts) != 1 or contracts[0].tick_micro != self.tick_micro:
            raise Malformed(f"contracts for {self.file.path}", found=[(c.code, c.tick_micro) for c in contracts],
                            expected=f"one contract with tick_micro = {self.tick_micro}",
                            remedy="List the one share of the file; its tick is --tick, without it a cent.")  # fmt: skip

    def commands(self, contracts: tuple[Contract, ...]) -> Iterator[Ints]:
        """The file's commands for its one contract, as (n, 8) rows."""
        for batch in self.file.batches():
            yield self._rows(self._replayed(self._cells(batch)), contracts[0].number)

    def _cells(self, batch: Batch) -> Ints:
        """A batch as (n, 6) numbers: time in nanoseconds, then as the file has it."""
        for name in LOBSTER_COLUMNS:
            missing = ~given(batch, name)
            if missing.any():
                raise batch.fault(
                    int(np.argmax(missing)), name, None, "a number in every cell", "Write the file again."
                )
        cells = np.empty((len(batch), len(LOBSTER_COLUMNS)), dtype=np.int64)
        cells[:, _TIME] = decimals(batch, "time", _SECONDS_DIGITS) + self._midnight_ns
        for place, name in enumerate(LOBSTER_COLUMNS[1:], 1):
            cells[:, place] = wholes(batch, name)
        visible = cells[:, _TYPE] <= EXECUTED
        _check(
            batch, "type", (cells[:, _TYPE] < NEW) | (cells[:, _TYPE] > max(NOT_REPLAYED)), "one of 1 to 7"
        )
        _check(batch, "size", visible & (cells[:, _SIZE] < 1), "1 or more")
        _check(
            batch, "direction", visible & (np.abs(cells[:, _DIRECTION]) != 1), "1 of a buyer, -1 of a seller"
        )
        return cells

    def _replayed(self, cells: Ints) -> Ints:
        """The rows that are replayed; the others are counted."""
        kinds = cells[:, _TYPE]
        for kind, name in NOT_REPLAYED.items():
            self._leave_out(name, int((kinds == kind).sum()))
        visible = kinds <= EXECUTED
        between = visible & (cells[:, _PRICE] % self._tick_units != 0)
        known = self._is_known(cells[:, _ID])
        earlier = visible & ~between & ~known
        self._leave_out(BETWEEN_TICKS, int(between.sum()))
        self._leave_out(EARLIER_ORDER, int(earlier.sum()))
        replayed: Ints = cells[visible & ~between & ~earlier]
        return replayed

    def _leave_out(self, why: str, rows: int) -> None:
        if rows:
            self.left_out[why] += rows

    def _is_known(self, ids: Ints) -> NDArray[np.bool_]:
        if not len(self._ids):
            return np.zeros(len(ids), dtype=np.bool_)
        places = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        found: NDArray[np.bool_] = self._ids[places] == ids
        return found

    def _rows(self, cells: Ints, contract: int) -> Ints:
        kinds, ids = cells[:, _TYPE], cells[:, _ID]
        sells = (cells[:, _DIRECTION] < 0).astype(np.int64)
        new, reduced, executed = kinds == NEW, kinds == REDUCED, kinds == EXECUTED
        ordered = new | executed
        rows = np.zeros((len(cells), ROW_WORDS), dtype=np.int64)
        flags = np.where(executed, int(OrderFlag.FAK) | (int(Side.SELL) - sells), sells)
        rows[:, 0] = np.where(ordered, _ORDER | flags << FLAG_SHIFT, np.where(reduced, _AMEND, _CANCEL))
        rows[:, 1] = cells[:, _TIME]
        rows[:, 2] = np.where(executed, TAKER, ids % (STANDING_ACCOUNTS // 2) * 2 + 1 + sells)
        rows[:, 3] = ids
        rows[executed, 3] = np.arange(self._executions + 1, self._executions + 1 + int(executed.sum()))
        rows[ordered, 4] = contract
        rows[kinds != DELETED, 5] = cells[kinds != DELETED, _PRICE] // self._tick_units
        rows[ordered, 6] = cells[ordered, _SIZE]
        rows[reduced, 6] = self._left_in_all(ids[reduced], cells[reduced, _SIZE])
        self._note(ids[executed], cells[executed, _SIZE])
        return rows

    def _left_in_all(self, ids: Ints, cancelled: Ints) -> Ints:
        """The lots that each of these orders has in all once so many are cancelled, one row after the other."""
        places = np.searchsorted(self._ids, ids)
        order = np.argsort(places, kind="stable")
        sums = np.cumsum(cancelled[order])
        starts = np.concatenate(([True], np.diff(places[order]) != 0))[: len(order)]
        before = np.maximum.accumulate(np.where(starts, sums - cancelled[order], 0)) if len(order) else sums
        lots = np.empty_like(cancelled)
        lots[order] = self._lots[places[order]] - (sums - before)
        np.subtract.at(self._lots, places, cancelled)
        return lots

    def _note(self, named: Ints, lots: Ints) -> None:
        """Keep which orders the executions of this batch name, to see whether they meet them."""
        self._named = named
        self._executions += len(named)
        self._recorded_lots += int(lots.sum())

    def hear(self, fills: Ints) -> None:
        """Count the lots that executions took of the very orders that the record names."""
        stood, took = fills[0::2], fills[1::2]
        executions = took[:, 2] == TAKER
        stood, took = stood[executions], took[executions]
        first = self._executions - len(self._named) + 1
        met = self._named[took[:, 3] - first] == stood[:, 3]
        self._as_recorded_lots += int(took[met, 6].sum())

    def fidelity(self) -> Fidelity:
        """How many of the recorded executions' lots were of the orders that the record names."""
        return Fidelity(self._recorded_lots, self._as_recorded_lots)


def _check(batch: Batch, column: str, wrong: NDArray[np.bool_], expected: str) -> None:
    """Raises Malformed for the first cell of a column that is wrong."""
    if wrong.any():
        index = int(np.argmax(wrong))
        raise batch.fault(index, column, batch.cell(index, column), expected, "Mend the row.")
