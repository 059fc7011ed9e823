"""Bars: first, highest, lowest and last price of the trades of each interval, by NumPy over the rows of events.

A bar is a row of `BAR_COLUMNS`; a trade is a bar of its own, and bars of one contract and interval, in order of time, are
merged into one. So the same few lines make bars of a batch, and join a batch's first bars to the last of the batch before.
Intervals are counted from 1970-01-01T00:00:00Z; one without a trade has no bar. Trades of two spread orders with each other,
and of forced reduction, count in no price (their prices were named by nobody), and in no bar.
"""

import re
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import FLAG_SHIFT
from ciyuan.basics.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND, NS_PER_US
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import FillFlag
from ciyuan.services.exchange_files import Ints
from ciyuan.services.tables import ROWS_PER_GROUP, TIMESTAMP

BAR_COLUMNS = (
    "number",
    "start_ns",
    "open_ticks",
    "high_ticks",
    "low_ticks",
    "close_ticks",
    "lots",
    "turnover",
    "trades",
)
"""`number` is the contract's; `turnover` is in tick-lots."""
(NUMBER, START, OPEN, HIGH, LOW, CLOSE, LOTS, TURNOVER, TRADES) = range(len(BAR_COLUMNS))
_UNITS = {
    "us": NS_PER_US,
    "ms": NS_PER_MS,
    "s": NS_PER_SECOND,
    "m": NS_PER_MINUTE,
    "h": NS_PER_HOUR,
    "d": NS_PER_DAY,
}
_INTERVAL = re.compile(r"([1-9]\d{0,5})(us|ms|s|m|h|d)", re.ASCII)
_LEG, _FORCED = int(FillFlag.LEG) << FLAG_SHIFT, int(FillFlag.FORCED) << FLAG_SHIFT


def interval_ns(text: str) -> int:
    """Nanoseconds of an interval such as 250ms, 30s, 1m, 1h, 1d."""
    found = _INTERVAL.fullmatch(text)
    if found is None:
        raise Malformed(
            "interval of the bars",
            found=text,
            expected=f"a number and one of {', '.join(_UNITS)}",
            remedy="Write it like 1m.",
        )
    return int(found[1]) * _UNITS[found[2]]


def bars_of(fills: Ints, interval: int) -> Ints:
    """The bars of FILLED rows, which come in pairs: contracts in order of number, each in order of time."""
    stood, took = fills[0::2], fills[1::2]
    priced = (stood[:, 0] & took[:, 0] & _LEG == 0) & (stood[:, 0] & _FORCED == 0)
    trades = stood[priced]
    bars = np.empty((len(trades), len(BAR_COLUMNS)), dtype=np.int64)
    bars[:, NUMBER] = trades[:, 4]
    bars[:, START] = trades[:, 1] // interval * interval
    bars[:, OPEN : CLOSE + 1] = trades[:, 5, None]
    bars[:, LOTS] = trades[:, 6]
    bars[:, TURNOVER] = trades[:, 5] * trades[:, 6]
    bars[:, TRADES] = 1
    return merged(bars)


def merged(bars: Ints) -> Ints:
    """Bars, each contract's in order of time, with those of one interval as one."""
    if not len(bars):
        return bars
    bars = bars[np.argsort(bars[:, NUMBER], kind="stable")]
    new = np.any(bars[1:, :OPEN] != bars[:-1, :OPEN], axis=1)
    first = np.concatenate(([0], np.flatnonzero(new) + 1))
    last = np.concatenate((first[1:], [len(bars)])) - 1
    joined = bars[first]
    joined[:, HIGH] = np.maximum.reduceat(bars[:, HIGH], first)
    joined[:, LOW] = np.minimum.reduceat(bars[:, LOW], first)
    joined[:, CLOSE] = bars[last, CLOSE]
    joined[:, LOTS:] = np.add.reduceat(bars[:, LOTS:], first, axis=0)
    return joined


class BarTable:
    """`bars.parquet`, written as its bars are complete; a context manager."""

    def __init__(self, path: Path, contracts: tuple[Contract, ...], interval: int) -> None:
        self._interval = interval
        self._codes = {contract.number: contract.code for contract in contracts}
        self._open = np.empty((0, len(BAR_COLUMNS)), dtype=np.int64)
        self._done: list[Ints] = []
        schema = [
            ("contract", pa.string()),
            ("start", TIMESTAMP),
            *((name, pa.int64()) for name in BAR_COLUMNS[OPEN:]),
        ]
        self._schema = pa.schema(schema)
        self._writer = pq.ParquetWriter(path, self._schema)
        self.rows = 0

    def take(self, fills: Ints) -> None:
        """Take in FILLED rows, in order; every contract's last bar is kept open, the others are written."""
        bars = merged(np.concatenate([self._open, bars_of(fills, self._interval)]))
        is_last = np.concatenate((bars[1:, NUMBER] != bars[:-1, NUMBER], [True]))[: len(bars)]
        self._done.append(bars[~is_last])
        self._open = bars[is_last]
        if sum(map(len, self._done)) >= ROWS_PER_GROUP:
            self._write()

    def _write(self) -> None:
        bars = np.concatenate(self._done) if self._done else self._open
        self._done = []
        codes = pa.array([self._codes[number] for number in bars[:, NUMBER].tolist()], pa.string())
        columns = [
            codes,
            pa.array(bars[:, START], TIMESTAMP),
            *(pa.array(bars[:, place]) for place in range(OPEN, len(BAR_COLUMNS))),
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self.rows += len(bars)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.append(self._open)
        self._write()
        self._writer.close()
