"""The tables of usage: sums by hour and by day, refusals, movements of money, price lists, requests still held, the watermark.

| table | a row is | kept |
|---|---|---|
| usage_hour | a cell and its measures (`usage_columns`), by hour since 1970-01-01 UTC | until `forget_hours` |
| usage_hour_grade, usage_hour_spender | the same hours, summed over spenders, or over all but spenders | as usage_hour |
| usage_day | the same by day | until `forget_days` |
| usage_refused | refused HOLDs of one hour by reason | as usage_hour |
| usage_money | one deposit, withdrawal or move between purses | always |
| usage_price_list | one price list, as the meter numbered it | always |
| usage_forgotten | what a customer was charged in days that were deleted | always |
| usage_open | a held request: its spender, and the legs that it was told so far | until it ends |
| usage_watermark | one row: the last journal row in the sums, its time, where the kept hours and days begin | always |

All of a flush is one change of the database: the sums move with the watermark or not at all. Days are the sums of the same hours,
added in the same change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken
from ciyuan.services.door.registry_database import Database, Sql
from ciyuan.services.door.usage_columns import (
    CELL,
    HOUR_TABLES,
    HOURS_PER_DAY,
    LEG_COLUMNS,
    MEASURES,
    REFUSED_CELL,
    Cells,
    by_day,
    narrowed,
)
from ciyuan.services.door.usage_span import Span

Rows = NDArray[np.int64]
COMPONENT = "usage"
ROWS_PER_STATEMENT = 10_000
"""How many rows one statement of PostgreSQL takes, as arrays in words: binding numbers one by one takes longer."""
HOURS_PER_SLICE = 24
"""How many hours (or days) of rows one change deletes, so that a clean-up never keeps a flush waiting for long."""
MONEY = ("reference", "time_ns", "code", "participant", "purse", "micro", "to_purse")
PRICE_LIST = (
    "number", "supplier", "grade", "price_in", "price_cached", "price_out", "valid_from_ns", "batch_hundredths",
)  # fmt: skip
REACH = ("sequence", "time_ns", "hours_from", "days_from")


def _integers(names: Sequence[str]) -> str:
    return ", ".join(f"{name} INTEGER NOT NULL" for name in names)


def _sums_table(table: str, cell: Sequence[str], measures: Sequence[str]) -> str:
    return (
        f"CREATE TABLE {table} ({_integers([*cell, *measures])}, PRIMARY KEY ({', '.join(cell)})) STRICT, WITHOUT ROWID"
    )  # fmt: skip


DAY_CELL = ("day", *CELL[1:])
MIGRATIONS = (
    (
        *(_sums_table(table, cell, MEASURES) for table, cell in HOUR_TABLES.items()),
        _sums_table("usage_day", DAY_CELL, MEASURES),
        _sums_table("usage_refused", REFUSED_CELL, ("refused",)),
        f"CREATE TABLE usage_money ({_integers(MONEY)}, PRIMARY KEY (reference)) STRICT",
        f"CREATE TABLE usage_price_list ({_integers([*PRICE_LIST, 'has_legs'])}, PRIMARY KEY (number)) STRICT",
        f"CREATE TABLE usage_open ({_integers(['request', 'spender', *LEG_COLUMNS])}, PRIMARY KEY (request)) STRICT",
        "CREATE TABLE usage_forgotten (customer INTEGER NOT NULL, charged_micro INTEGER NOT NULL, PRIMARY KEY (customer)) STRICT",
        f"CREATE TABLE usage_watermark ({_integers(['one', *REACH])}, PRIMARY KEY (one)) STRICT",
        "INSERT INTO usage_watermark (one, sequence, time_ns, hours_from, days_from) VALUES (1, 0, 0, 0, 0)",
    ),
)


_KEPT_CHARGES = (
    "INSERT INTO usage_forgotten (customer, charged_micro) SELECT customer, CAST(SUM(charged_micro) AS BIGINT) FROM usage_day "
    "WHERE day < ? GROUP BY customer "
    "ON CONFLICT (customer) DO UPDATE SET charged_micro = usage_forgotten.charged_micro + excluded.charged_micro"
)


class OpenRequests:
    """Requests that are held: their keys in order (n,), spenders (n,), and leg counts (n, legs), by place."""

    def __init__(self, keys: NDArray[np.int64], spenders: NDArray[np.int64], legs: NDArray[np.int64]) -> None:
        self.keys, self.spenders, self.legs = keys, spenders, legs

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Self:
        """From rows of request, spender and legs, in order of request."""
        table = np.array(rows, dtype=np.int64).reshape(-1, 2 + len(LEG_COLUMNS))
        return cls(table[:, 0].copy(), table[:, 1].copy(), table[:, 2:].copy())

    def joined(self, keys: NDArray[np.int64], spenders: NDArray[np.int64]) -> "OpenRequests":
        """These and newly held ones, which have no legs yet; a copy."""
        every = np.concatenate([self.keys, keys])
        order = np.argsort(every, kind="stable")
        legs = np.concatenate([self.legs, np.zeros((len(keys), len(LEG_COLUMNS)), dtype=np.int64)])
        return OpenRequests(every[order], np.concatenate([self.spenders, spenders])[order], legs[order])

    def has(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these keys are here."""
        places = np.searchsorted(self.keys, keys)
        found = np.zeros(len(keys), dtype=np.bool_)
        inside = places < len(self.keys)
        found[inside] = self.keys[places[inside]] == keys[inside]
        return found

    def places_of(self, keys: NDArray[np.int64], what: str) -> NDArray[np.intp]:
        """Where these keys are. Raises InvariantBroken for one that is not held."""
        strangers = keys[~self.has(keys)]
        if len(strangers):
            raise InvariantBroken(
                "usage counts what was held", f"request {strangers[0]} {what}, and was never held"
            )
        return np.searchsorted(self.keys, keys)

    def without(self, places: NDArray[np.intp]) -> "OpenRequests":
        """These but for some places; a copy."""
        kept = np.ones(len(self.keys), dtype=np.bool_)
        kept[places] = False
        return OpenRequests(self.keys[kept], self.spenders[kept], self.legs[kept])

    def beyond(self, stored: "OpenRequests") -> Rows:
        """Rows of those that `stored` has not, or has with other legs: request, spender, legs."""
        known = stored.has(self.keys)
        places = np.searchsorted(stored.keys, self.keys[known])
        changed = ~known
        changed[known] = (stored.legs[places] != self.legs[known]).any(axis=1)
        return np.concatenate([self.keys[:, None], self.spenders[:, None], self.legs], axis=1)[changed]


@dataclass(frozen=True, slots=True)
class Delta:
    """What one flush adds: everything from the row after `before` to row `watermark`, whose time is `time_ns`.

    `opened` are rows of usage_open to be added or changed, `closed` requests to be taken out; `money` and `price_lists` are rows
    of their tables; `legs_priced` are (supplier, grade, valid from) of lists that got prices of further legs.
    """

    before: int
    watermark: int
    time_ns: int
    cells: Cells
    refused: Cells
    opened: Rows
    closed: NDArray[np.int64]
    money: Rows
    price_lists: Rows
    legs_priced: Rows


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the sums go: the last row in them and its time; the first hour and the first day that are still kept (0: all)."""

    sequence: int
    time_ns: int
    hours_from: int
    days_from: int

    def keeps(self, span: Span) -> bool:
        """Whether nothing that sums over a span need was deleted: its days, and its hours where its borders are not UTC's."""
        start = span.hours[0]
        return start >= self.days_from * HOURS_PER_DAY and (not span.offset_hours or start >= self.hours_from)


class UsageTables:
    """The tables in one database; they are made if they are not there."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.migrate(COMPONENT, MIGRATIONS)

    def reach(self) -> Reach:
        """How far the sums go."""
        with self.database.view() as sql:
            return reach_of(sql)

    def watermark(self) -> int:
        """The last journal row that is in the sums."""
        return self.reach().sequence

    def open_requests(self) -> OpenRequests:
        """The requests that were held at the watermark."""
        columns = ", ".join(("request", "spender", *LEG_COLUMNS))
        with self.database.view() as sql:
            return OpenRequests.of(sql.rows(f"SELECT {columns} FROM usage_open ORDER BY request"))  # noqa: S608

    def price_list_count(self) -> int:
        """How many price lists there were at the watermark."""
        with self.database.view() as sql:
            return int(sql.value("SELECT COUNT(*) FROM usage_price_list"))

    def write(self, delta: Delta) -> bool:
        """Add a flush to the tables. False, and nothing is changed, if the watermark is not where the flush begins."""
        with self.database.change() as sql:
            moved = sql.run(
                "UPDATE usage_watermark SET sequence = ?, time_ns = ? WHERE sequence = ?",
                delta.watermark,
                delta.time_ns,
                delta.before,
            )
            if not moved:
                return False
            for table, cell in HOUR_TABLES.items():
                _add(sql, table, cell, MEASURES, narrowed(delta.cells, cell))
            _add(sql, "usage_day", DAY_CELL, MEASURES, by_day(delta.cells))
            _add(sql, "usage_refused", REFUSED_CELL, ("refused",), delta.refused)
            _insert(sql, "usage_money", MONEY, delta.money)
            _insert(sql, "usage_price_list", (*PRICE_LIST, "has_legs"), _and_zero(delta.price_lists))
            if len(delta.legs_priced):
                sql.run_many(
                    "UPDATE usage_price_list SET has_legs = 1 WHERE supplier = ? AND grade = ? AND valid_from_ns = ?",
                    delta.legs_priced.tolist(),
                )
            if len(delta.closed):
                sql.run_many("DELETE FROM usage_open WHERE request = ?", delta.closed[:, None].tolist())
            _replace(sql, "usage_open", ("request",), ("spender", *LEG_COLUMNS), delta.opened)
        return True

    def forget_hours(self, before_hour: int) -> int:
        """Delete the sums by hour, and refusals, of hours before this one; the days stay. How many hours they spanned."""
        return self._forget((*HOUR_TABLES, "usage_refused"), "hour", "hours_from", before_hour)

    def forget_days(self, before_day: int) -> int:
        """Delete the sums by day of days before this one, and their hours. Statements of those months cannot be made any more."""
        self.forget_hours(before_day * HOURS_PER_DAY)
        return self._forget(("usage_day",), "day", "days_from", before_day)

    def _forget(self, tables: Sequence[str], column: str, begins: str, before: int) -> int:
        with self.database.view() as sql:
            oldest = [sql.value(f"SELECT MIN({column}) FROM {table}") for table in tables]  # noqa: S608
        start = first = min((at for at in oldest if at is not None), default=before)
        while first < before:
            last = min(first + HOURS_PER_SLICE, before)
            with self.database.change() as sql:
                sql.run(f"UPDATE usage_watermark SET {begins} = ? WHERE {begins} < ?", last, last)  # noqa: S608
                if "usage_day" in tables:
                    sql.run(_KEPT_CHARGES, last)
                for table in tables:
                    sql.run(f"DELETE FROM {table} WHERE {column} < ?", last)  # noqa: S608
            first = last
        return max(0, first - start)


def reach_of(sql: Sql) -> Reach:
    """How far the sums go, inside a view."""
    row = sql.row("SELECT sequence, time_ns, hours_from, days_from FROM usage_watermark")
    if row is None:
        raise InvariantBroken("usage tables have one watermark", "there is none")
    return Reach(*row)


def _add(sql: Sql, table: str, cell: Sequence[str], measures: Sequence[str], cells: Cells) -> None:
    """Add sums to the cells of a table."""
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in measures)
    _upsert(sql, table, cell, measures, added, np.concatenate([cells.keys, cells.sums], axis=1))


def _replace(sql: Sql, table: str, key: Sequence[str], others: Sequence[str], rows: Rows) -> None:
    _upsert(sql, table, key, others, ", ".join(f"{name} = excluded.{name}" for name in others), rows)


def _upsert(sql: Sql, table: str, key: Sequence[str], others: Sequence[str], change: str, rows: Rows) -> None:
    _put(sql, table, [*key, *others], rows, f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {change}")


def _insert(sql: Sql, table: str, columns: Sequence[str], rows: Rows) -> None:
    _put(sql, table, columns, rows, "")


def _put(sql: Sql, table: str, columns: Sequence[str], rows: Rows, conflict: str) -> None:
    """Insert rows, no two of which have the same key; what becomes of those that are there `conflict` says."""
    if not len(rows):
        return
    into = f"INSERT INTO {table} ({', '.join(columns)})"
    if not sql.is_postgres:
        sql.run_many(f"{into} VALUES ({', '.join('?' * len(columns))}) {conflict}", rows.tolist())
        return
    arrays = ", ".join(["?::bigint[]"] * len(columns))
    for first in range(0, len(rows), ROWS_PER_STATEMENT):
        part = rows[first : first + ROWS_PER_STATEMENT]
        values = [f"{{{','.join(map(str, column.tolist()))}}}" for column in part.T]
        sql.run(f"{into} SELECT * FROM unnest({arrays}) {conflict}", *values)  # noqa: S608


def _and_zero(rows: Rows) -> Rows:
    return np.concatenate([rows, np.zeros((len(rows), 1), dtype=np.int64)], axis=1)
