"""Hearing that others have written to a shared journal, without asking again and again: LISTEN on a connection of its own."""

import selectors
import socket
from collections.abc import Callable
from threading import Lock
from time import monotonic

import psycopg

from ciyuan.services.postgres_journal_link import JournalUnavailable, cause_of, connected
from ciyuan.services.postgres_journal_schema import channel

LAST_SEQUENCE = "SELECT coalesce(max(sequence), 0) FROM ciyuan_journal.frame WHERE journal = %s"


class Listener:
    """Waits for rows of others, in a thread of its own; `close`, from any thread, ends the waiting.

    A notice carries the sequence of the last row written, so that one's own rows, and those that were read since, wake nobody.
    """

    def __init__(self, url: str, place: str, journal: int, known: Callable[[], int]) -> None:
        self._url, self._place, self._journal, self._known = url, place, journal, known
        self._connection: psycopg.Connection | None = None
        self._waiting = Lock()
        self._closed = False
        self._bell, self._ear = socket.socketpair()

    def wait(self, timeout_s: float) -> bool:
        """Return True as soon as there are rows that are not known here, False after `timeout_s` or when it is closed.

        Raises JournalUnavailable; the next call connects again, and nothing that was written meanwhile is missed.
        """
        with self._waiting:
            try:
                return not self._closed and self._wait(monotonic() + timeout_s)
            except psycopg.Error as error:
                self._hang_up()
                raise JournalUnavailable(self._place, cause_of(error)) from error

    def close(self) -> None:
        """End the waiting and the connection. A second time: nothing to do."""
        if self._closed:
            return
        self._closed = True
        self._bell.send(b"\0")
        with self._waiting:
            self._hang_up()
            self._bell.close()
            self._ear.close()

    def _wait(self, until_s: float) -> bool:
        if self._connection is None:
            self._connection = connected(self._url, self._place)
            self._connection.execute(f"LISTEN {channel(self._journal)}".encode())
            last = self._connection.execute(LAST_SEQUENCE, (self._journal,)).fetchone()
            if last is not None and last[0] > self._known():
                return True
        line = self._connection.pgconn
        with selectors.DefaultSelector() as selector:
            selector.register(line.socket, selectors.EVENT_READ)
            selector.register(self._ear, selectors.EVENT_READ)
            while True:
                line.consume_input()
                if self._heard(self._connection):
                    return True
                left_s = until_s - monotonic()
                if left_s <= 0 or self._closed:
                    return False
                selector.select(left_s)

    def _heard(self, connection: psycopg.Connection) -> bool:
        """Whether a notice is of rows that are not known here; all that have come are taken off the line."""
        news = False
        while (notice := connection.pgconn.notifies()) is not None:
            news = news or int(notice.extra) > self._known()
        return news

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
