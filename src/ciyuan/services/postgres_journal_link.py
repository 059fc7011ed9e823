"""The connections of a shared journal to its server: how they are set, and what it means when one is lost.

A connection is set, whatever the server's or the user's defaults are, so that a commit is on the disk when it returns, each
statement sees what was committed before it, and nobody can make the others wait for long: a lock is waited for at most
`LOCK_WAIT_MS`, and a process that stops in the middle of an exchange is thrown out after `IDLE_MS`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ciyuan.basics.errors import CiyuanError, Malformed

SERVER_OLDEST = 14
"""The oldest release of PostgreSQL that has all that is used here."""
CONNECT_WAIT_S = 5
LOCK_WAIT_MS = 10_000
IDLE_MS = 5_000
STATEMENT_MS = 30_000
ENDED_WAIT_MS = 5_000
"""How long one's own lost connection may take to end on the server."""
DEFAULTS = {
    "application_name": "ciyuan journal",
    "connect_timeout": str(CONNECT_WAIT_S),
    "target_session_attrs": "read-write",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
}
"""What holds where the url says nothing: a dead host is noticed in seconds, and of several hosts the primary is chosen."""
SETTINGS = f"""
    SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
               WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
           set_config('default_transaction_isolation', 'read committed', false),
           set_config('lock_timeout', '{LOCK_WAIT_MS}', false),
           set_config('statement_timeout', '{STATEMENT_MS}', false),
           set_config('idle_in_transaction_session_timeout', '{IDLE_MS}', false),
           current_setting('fsync')
"""
WHO = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
END = "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
LOST = "the connection was lost"


class JournalUnavailable(CiyuanError):
    """The server cannot be reached or did not do what it was asked; nothing may be acknowledged. The same call may be made again.

    `place` names the journal without a password. `in_doubt`: whether the rows of this exchange may have become durable; the next
    exchange finds out.
    """

    def __init__(self, place: str, cause: str, *, in_doubt: bool = False) -> None:
        self.place = place
        self.cause = cause
        self.in_doubt = in_doubt
        fate = (
            "Whether its last rows were written, the next exchange finds out"
            if in_doubt
            else "Nothing was written"
        )
        super().__init__(
            f"{place} is unavailable: {cause}. {fate}. Mend the server or the way to it; then it goes on by itself."
        )


def shown_url(url: str) -> str:
    """Where a url leads, without user and password. Raises Malformed for what is no url of PostgreSQL's."""
    parts = _parts(url)
    host = parts.get("host") or parts.get("hostaddr") or "local socket"
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{host}{port}/{parts.get('dbname', '')}"


def place_of(url: str, name: str) -> str:
    """What a journal is called in messages: its name and where it is."""
    return f"journal {name} at {shown_url(url)}"


def connected(url: str, place: str) -> psycopg.Connection:
    """A connection that is set as the theory above says, in autocommit mode.

    Raises Malformed for a url that is none and for a server that is too old or has `fsync` off, psycopg.Error if it cannot be
    made.
    """
    connection = psycopg.connect(make_conninfo(**{**DEFAULTS, **_parts(url)}), autocommit=True)
    try:
        _set(connection, place)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def telling(place: str) -> Iterator[None]:
    """What the server or the way to it fails with inside becomes JournalUnavailable."""
    try:
        yield
    except psycopg.Error as error:
        raise JournalUnavailable(place, cause_of(error)) from error


def cause_of(error: psycopg.Error) -> str:
    """What a server's or a driver's error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


class Link:
    """The one connection on which exchanges are made; made, and prepared, when it is first needed and when it was lost."""

    def __init__(self, url: str, place: str, prepare: Callable[[psycopg.Connection], None]) -> None:
        self._url, self._place, self._prepare = url, place, prepare
        self._connection: psycopg.Connection | None = None
        self._lost: tuple[object, object] | None = None
        self._who: tuple[object, object] | None = None

    def connection(self) -> psycopg.Connection:
        """The connection. Raises psycopg.Error if it cannot be made.

        A new one first ends the one before it, should the server not know yet that it is lost: whatever was sent over that one
        and has not been done by then will never be done.
        """
        if self._connection is None:
            connection = connected(self._url, self._place)
            try:
                self._prepare(connection)
                who = connection.execute(WHO).fetchone()
                if self._lost is not None:
                    self._end(connection, self._lost)
            except BaseException:
                connection.close()
                raise
            self._connection, self._who, self._lost = connection, who, None
        return self._connection

    def drop(self) -> bool:
        """Let go of a connection on which something failed; whether it was lost (else: the server said no)."""
        if self._connection is None:
            return False
        lost = self._connection.broken or self._connection.closed
        self._connection.close()
        self._connection, self._lost = None, self._who
        return lost

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def _end(self, connection: psycopg.Connection, lost: tuple[object, object]) -> None:
        for (ended,) in connection.execute(END, (ENDED_WAIT_MS, *lost)).fetchall():
            if not ended:
                raise psycopg.OperationalError("a lost connection of this process does not end on the server")


def _set(connection: psycopg.Connection, place: str) -> None:
    release = connection.info.server_version // 10_000
    if release < SERVER_OLDEST:
        raise Malformed(f"{place}, release of PostgreSQL", found=release, expected=f"{SERVER_OLDEST} or newer",
                        remedy="Use a newer server.")  # fmt: skip
    settings = connection.execute(SETTINGS).fetchone()
    if settings is None or settings[-1] != "on":
        raise Malformed(f"{place}, setting fsync of the server", found=settings and settings[-1], expected="on",
                        remedy="Turn it on: without it a power cut loses what was acknowledged.")  # fmt: skip


def _parts(url: str) -> Mapping[str, str]:
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        # What it says may show the password.
        raise Malformed("url of a PostgreSQL server", found="another text", expected="postgresql://user@host/database",
                        remedy="Give it as PostgreSQL's own programs take it.") from None  # fmt: skip
