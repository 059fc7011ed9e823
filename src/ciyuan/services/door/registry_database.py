"""One database, two dialects: a SQLite file of this machine, or a PostgreSQL server that several machines share.

    database = Database.open(folder / "registry.sqlite")      # or Database.open("postgresql://user@host/name")
    database.migrate("registry", MIGRATIONS)                  # tables as they should be, forward only
    with database.change() as sql:                            # all of it or nothing; durable when the block has ended
        sql.run("INSERT INTO names (number, name) VALUES (?, ?)", number, name)
    with database.view() as sql:                              # one moment's state, however many queries
        rows = sql.rows("SELECT number, name FROM names ORDER BY number")

Statements are written once: `?` for a value, and of SQL what both dialects have (`ON CONFLICT`, `RETURNING`, window functions).
Of a table's definition three words differ, and are written as SQLite has them:

| written | PostgreSQL |
|---|---|
| INTEGER | BIGINT |
| BLOB | BYTEA |
| STRICT, WITHOUT ROWID after a table | nothing |

Theory of operation. Changes queue at their beginning: `BEGIN IMMEDIATE` takes SQLite's one writer's place, an advisory lock
PostgreSQL's. So two changes never overlap, none can deadlock with another or fail to serialise, and none is ever tried again
after it has begun. A number that is the next after the largest is therefore free. Who waits longer than `WAIT_MS` is refused
(`DatabaseFailed`), and nothing was changed.

A change is durable before its block ends: SQLite in WAL mode syncs at each commit (`synchronous = FULL`), PostgreSQL has
`synchronous_commit` on. What fails between the block's end and the server's word is told as unknown: every change of money here
carries its caller's own reference, so that it can be said again. A connection that was lost is made anew at the next use.

One database object may be used by several threads; they take turns.
"""

import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from ciyuan.basics.errors import CiyuanError, Malformed

Value = int | str | bytes | float | None
"""What a column holds. Money and tokens are ints."""
Row = tuple[Any, ...]
WAIT_MS = 30_000
"""How long a change waits for those before it."""
CHANGE_LOCK = 0x6369_7975_616E
"""The advisory lock that changes queue at in PostgreSQL: the letters of the project's name."""
_ABROAD = re.compile(r"\bINTEGER\b|\bBLOB\b|\)\s*(?:STRICT|WITHOUT ROWID)(?:,\s*(?:STRICT|WITHOUT ROWID))?")
_WORDS = {"INTEGER": "BIGINT", "BLOB": "BYTEA"}
_UNIQUE_VIOLATION = "23505"
"""PostgreSQL's code (its manual, appendix A)."""
_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS schema_versions (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"
)


class DatabaseFailed(CiyuanError):
    """The database cannot be reached, refused a statement, or could not write. `where` names it, without a password."""

    def __init__(self, where: str, cause: str) -> None:
        self.where, self.cause = where, cause
        super().__init__(f"database {where}: {cause}")


class Connection(Protocol):
    """What both drivers' connections can do."""

    def execute(self, statement: Any, values: Sequence[Value] = ...) -> Any:
        """Run one statement; a cursor over what it gives."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


def is_url(where: Path | str) -> bool:
    """Whether this names a PostgreSQL server, not a file."""
    return isinstance(where, str) and where.startswith(("postgresql://", "postgres://"))


def shown_url(url: str) -> str:
    """A server's url without user, password and settings, to be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "postgresql://"
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Sql:
    """Statements inside one change or view. `changed` counts the rows that they inserted, updated or deleted so far."""

    def __init__(self, connection: Connection, *, is_postgres: bool) -> None:
        self._connection, self.is_postgres = connection, is_postgres
        self.changed = 0

    def run(self, statement: str, *values: Value) -> int:
        """Run a statement that inserts, updates or deletes; how many rows it changed."""
        count = int(self._execute(statement, values).rowcount)
        self.changed += count
        return count

    def run_many(self, statement: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run a statement that inserts, updates or deletes once for each row of values."""
        self.changed += len(rows)
        if self.is_postgres:
            with self._connection.cursor() as cursor:  # type: ignore[attr-defined]
                cursor.executemany(_abroad(statement), rows)
        else:
            self._connection.executemany(statement, rows)  # type: ignore[attr-defined]

    def rows(self, statement: str, *values: Value) -> list[Row]:
        """All rows of a query."""
        found: list[Row] = self._execute(statement, values).fetchall()
        return found

    def row(self, statement: str, *values: Value) -> Row | None:
        """The first row of a query; None if it gives none."""
        found: Row | None = self._execute(statement, values).fetchone()
        return found

    def value(self, statement: str, *values: Value) -> Any:
        """The first word of the first row; None if there is no row."""
        found = self.row(statement, *values)
        return None if found is None else found[0]

    def define(self, statement: str) -> None:
        """Run a definition (CREATE, ALTER, DROP), in SQLite's words."""
        self._connection.execute(_defined_abroad(statement) if self.is_postgres else statement)

    def _execute(self, statement: str, values: Sequence[Value]) -> Any:
        return self._connection.execute(_abroad(statement) if self.is_postgres else statement, values)


class Database:
    """An open database. Made by `open`; a context manager that closes itself."""

    def __init__(self, where: Path | str) -> None:
        self.is_postgres = is_url(where)
        self.shown = shown_url(str(where)) if self.is_postgres else str(where)
        self._where = where
        self._lock = RLock()
        self._connection: Connection | None = None
        self._is_open, self._is_begun = True, False

    @classmethod
    def open(cls, where: Path | str) -> Self:
        """A file, which is made if it is not there (its folder is), or the server at a url. Raises DatabaseFailed."""
        database = cls(where)
        with database._lock, database._told():
            database._connected()
        return database

    @contextmanager
    def change(self) -> Iterator[Sql]:
        """A change: all that the block does, or nothing if it raises. Raises DatabaseFailed."""
        with self._transaction("a change", "BEGIN" if self.is_postgres else "BEGIN IMMEDIATE") as connection:
            if self.is_postgres:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (CHANGE_LOCK,))
            yield Sql(connection, is_postgres=self.is_postgres)

    @contextmanager
    def view(self) -> Iterator[Sql]:
        """Queries that all see the state of one moment. Raises DatabaseFailed."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if self.is_postgres else "BEGIN"
        with self._transaction("a view", begin) as connection:
            yield Sql(connection, is_postgres=self.is_postgres)

    def migrate(self, component: str, migrations: Sequence[Sequence[str]]) -> int:
        """Bring a component's tables to the newest version; the version they had.

        `migrations[n]` are the definitions that lead from version n to n + 1. They are never changed once released: a later
        version is another entry. Raises Malformed if the tables are of a version that this program does not know.
        """
        with self.change() as sql:
            sql.define(_VERSIONS)
            found = sql.value("SELECT version FROM schema_versions WHERE component = ?", component)
            before = 0 if found is None else int(found)
            if before > len(migrations):
                raise Malformed(f"database {self.shown}, {component}", found=f"version {before}",
                                expected=f"version {len(migrations)} or older",
                                remedy="It was written by a newer ciyuan: use that one.")  # fmt: skip
            for definitions in migrations[before:]:
                for definition in definitions:
                    sql.define(definition)
            if before < len(migrations):
                sql.run(
                    "INSERT INTO schema_versions (component, version) VALUES (?, ?) "
                    "ON CONFLICT (component) DO UPDATE SET version = excluded.version",
                    component,
                    len(migrations),
                )
        return before

    def close(self) -> None:
        """End the connection. A second time: nothing to do."""
        with self._lock:
            self._is_open = False
            self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self, what: str, begin: str) -> Iterator[Connection]:
        with self._lock, self._told():
            if self._is_begun:
                raise Malformed(f"database {self.shown}", found=f"{what} inside a change", expected="one at a time",
                                remedy="Hand the open one on.")  # fmt: skip
            connection = self._begun(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._undo(connection)
                raise
            finally:
                self._is_begun = False

    def _begun(self, begin: str) -> Connection:
        """A connection in a transaction; one that was lost meanwhile is made anew, for nothing was begun on it."""
        connection = self._connected()
        try:
            connection.execute(begin)
        except _faults():
            if not self.is_postgres:
                raise
            self._drop()
            connection = self._connected()
            connection.execute(begin)
        self._is_begun = True
        return connection

    def _connected(self) -> Connection:
        if not self._is_open:
            raise DatabaseFailed(self.shown, "it is closed")
        if self._connection is None:
            self._connection = _postgres(str(self._where)) if self.is_postgres else _sqlite(Path(self._where))
        return self._connection

    def _undo(self, connection: Connection) -> None:
        """Roll back; a connection on which that fails is given up, and the server rolls back by itself."""
        try:
            connection.execute("ROLLBACK")
        except _faults():
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(*_faults()):
                self._connection.close()
        self._connection = None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The drivers' exceptions as one of ours."""
        try:
            yield
        except _faults() as fault:
            raise DatabaseFailed(self.shown, _words_of(fault)) from fault


def is_duplicate(fault: DatabaseFailed) -> bool:
    """Whether a statement was refused because a row with that key is there already."""
    cause = fault.__cause__
    if isinstance(cause, sqlite3.IntegrityError):
        return "UNIQUE" in str(cause)
    return getattr(cause, "sqlstate", None) == _UNIQUE_VIOLATION


def _sqlite(path: Path) -> Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # before SQLite makes it, and its log beside it, for everyone to read
    except OSError as fault:
        raise DatabaseFailed(str(path), str(fault)) from fault
    connection = sqlite3.connect(
        path, timeout=WAIT_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def _faults() -> tuple[type[Exception], ...]:
    """What the drivers in use raise; PostgreSQL's is loaded only with the first server, for it takes a while."""
    driver = sys.modules.get("psycopg")
    return (sqlite3.Error,) if driver is None else (sqlite3.Error, driver.Error)


def _postgres(url: str) -> Connection:
    import psycopg

    connection = psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="ciyuan registry")
    connection.execute(f"SET lock_timeout = {WAIT_MS}")
    connection.execute(f"SET idle_in_transaction_session_timeout = {2 * WAIT_MS}")
    connection.execute("SET synchronous_commit = on")
    return connection


def _words_of(fault: Exception) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__


@cache
def _abroad(statement: str) -> str:
    """A statement's text with PostgreSQL's marks for values. A `?` inside quotes is not to be there."""
    return statement.replace("%", "%%").replace("?", "%s")


def _defined_abroad(statement: str) -> str:
    return _ABROAD.sub(lambda found: _WORDS.get(found[0], ")"), statement)
