"""What a replay writes: `fills`, `refusals`, `bars` and `book.parquet`, as it goes; and the counts of all that the exchange
said.

| table | a row is | columns |
|---|---|---|
| fills | a trade | time, trade, contract, price_ticks, price_micro, lots, stood_account, stood_order_id, took_account,
|  |  | took_order_id, taker_sells, auction, leg (of a spread) |
| refusals | a command refused | time, account, order_id, contract, price_ticks, lots (as commanded), refusal |
| bars | an interval with trades | contract, start, open_ticks, high_ticks, low_ticks, close_ticks, lots, turnover, trades |
| book | a level, after `message` commands | message, time, contract, side, level, price_ticks, price_micro, lots, orders |

Times are UTC timestamps of nanoseconds, prices also micro-units of money. The last message's levels in `book` are the final
book, all of it; earlier ones are there if they were asked for, to a depth.
"""

from collections import Counter
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, ROW_WORDS
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import (
    CONTRACT_MASK,
    AmendFlag,
    CancelCause,
    ExchangeEvent,
    FillFlag,
    Level,
    Refusal,
    Side,
)
from ciyuan.services.exchange_bars import BarTable
from ciyuan.services.exchange_files import Ints
from ciyuan.services.tables import TIMESTAMP, Column, Tables, TableSpec, flag, time_column, word

FILLS, REFUSALS, BARS, BOOK = "fills", "refusals", "bars", "book"
_CODES = 512
"""More than the highest code of an event."""
_FILLED, _REFUSED, _AMENDED, _CANCELLED = (
    int(event)
    for event in (ExchangeEvent.FILLED, ExchangeEvent.REFUSED, ExchangeEvent.AMENDED, ExchangeEvent.CANCELLED)
)
_REFUSAL_NAMES = np.array(["", *(refusal.name for refusal in Refusal)], dtype=object)
_SELF_TRADE = int(AmendFlag.SELF_TRADE) << FLAG_SHIFT
_BOTH = (_FILLED, _FILLED)
"""A trade is told in two rows, which a record of `fills` reads side by side."""
_BOOK_SCHEMA = pa.schema(
    [("message", pa.int64()), ("time", TIMESTAMP), ("contract", pa.string()), ("side", pa.string()), ("level", pa.int64()),
     ("price_ticks", pa.int64()), ("price_micro", pa.int64()), ("lots", pa.int64()), ("orders", pa.int64())]
)  # fmt: skip


class Shown(Protocol):
    """A contract's book as it can be looked at."""

    def levels(self, side: Side, depth: int = 0) -> list[Level]:
        """The levels of a side, best first; `depth` 0 is all."""
        ...


class Count:
    """What came of the commands, counted off the events; `digest` is the BLAKE2b-128 of all FILLED rows."""

    def __init__(self) -> None:
        self._events = np.zeros(_CODES, dtype=np.int64)
        self._refused = np.zeros(len(Refusal) + 1, dtype=np.int64)
        self._digest = blake2b(digest_size=16)
        self.by_request = 0
        self.self_trade_amended = 0
        self.lots = 0

    def take(self, events: Ints) -> Ints:
        """Count a batch of events; the FILLED rows among them."""
        codes = events[:, 0] & CODE_MASK
        self._events += np.bincount(codes, minlength=_CODES)
        self._refused += np.bincount(events[codes == _REFUSED, 7], minlength=len(self._refused))
        self.by_request += int((events[codes == _CANCELLED, 5] == CancelCause.REQUEST).sum())
        self.self_trade_amended += int((events[codes == _AMENDED, 0] & _SELF_TRADE != 0).sum())
        fills: Ints = events[codes == _FILLED]
        self._digest.update(fills.data)
        self.lots += int(fills[0::2, 6].sum())
        return fills

    def of(self, event: ExchangeEvent) -> int:
        """How often the exchange said this."""
        return int(self._events[event])

    @property
    def refused(self) -> Counter[str]:
        """Refusals by name, the most frequent first."""
        found = Counter(
            {refusal.name: int(self._refused[refusal]) for refusal in Refusal if self._refused[refusal]}
        )
        return Counter(dict(found.most_common()))

    @property
    def digest(self) -> str:
        """The digest of all trades so far, hexadecimal."""
        return self._digest.hexdigest()


class Record:
    """The four tables of one replay, open for writing; a context manager."""

    def __init__(self, folder: Path, contracts: tuple[Contract, ...], interval: int) -> None:
        self._stack = ExitStack()
        self._ticks = {contract.code: contract.tick_micro for contract in contracts}
        folder.mkdir(parents=True, exist_ok=True)
        self._tables = self._stack.enter_context(Tables(folder, _specs(contracts)))
        self._bars = self._stack.enter_context(BarTable(folder / f"{BARS}.parquet", contracts, interval))
        self._book = self._stack.enter_context(pq.ParquetWriter(folder / f"{BOOK}.parquet", _BOOK_SCHEMA))

    def take(self, events: Ints, fills: Ints) -> None:
        """Take in a batch of events, and the FILLED rows among them."""
        self._tables.take(events)
        if len(fills):
            self._bars.take(fills)

    def book(self, message: int, time_ns: int, code: str, shown: Shown, depth: int = 0) -> None:
        """Write the levels of a contract as shown after so many commands."""
        sides = [(side.name.lower(), shown.levels(side, depth)) for side in Side]
        rows = [
            (
                message,
                time_ns,
                code,
                side,
                place,
                level.price_ticks,
                level.price_ticks * self._ticks[code],
                level.lots,
                level.orders,
            )
            for side, levels in sides
            for place, level in enumerate(levels, 1)
        ]
        columns = list(zip(*rows, strict=True)) or [()] * len(_BOOK_SCHEMA)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, _BOOK_SCHEMA.types, strict=True)]
        self._book.write_table(pa.Table.from_arrays(arrays, schema=_BOOK_SCHEMA))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def _specs(contracts: tuple[Contract, ...]) -> tuple[TableSpec, ...]:
    highest = max(contract.number for contract in contracts)
    codes = np.array([""] * (highest + 1), dtype=object)
    ticks = np.zeros(highest + 1, dtype=np.int64)
    for contract in contracts:
        codes[contract.number], ticks[contract.number] = contract.code, contract.tick_micro
    stood, took = 0, ROW_WORDS

    def code_of(rows: Ints) -> Ints:
        numbers = rows[:, 4] & CONTRACT_MASK
        return np.where(numbers <= highest, numbers, 0)

    fills = (
        time_column(),
        word("trade", 7),
        Column("contract", pa.string(), lambda rows: codes[code_of(rows)]),
        word("price_ticks", 5),
        Column("price_micro", pa.int64(), lambda rows: rows[:, 5] * ticks[code_of(rows)]),
        word("lots", 6),
        word("stood_account", stood + 2),
        word("stood_order_id", stood + 3),
        word("took_account", took + 2),
        word("took_order_id", took + 3),
        Column("taker_sells", pa.bool_(), lambda rows: rows[:, took] >> FLAG_SHIFT & FillFlag.SIDE_SELL != 0),
        flag("auction", FillFlag.AUCTION),
        Column(
            "leg", pa.bool_(), lambda rows: (rows[:, stood] | rows[:, took]) >> FLAG_SHIFT & FillFlag.LEG != 0
        ),
    )
    refusals = (
        time_column(),
        word("account", 2),
        word("order_id", 3),
        Column("contract", pa.string(), lambda rows: codes[code_of(rows)]),
        word("price_ticks", 5),
        word("lots", 6),
        Column("refusal", pa.string(), lambda rows: _REFUSAL_NAMES[rows[:, 7]]),
    )
    return TableSpec(FILLS, _BOTH, fills, joined=True), TableSpec(REFUSALS, (_REFUSED,), refusals)
