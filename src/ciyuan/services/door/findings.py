"""The firewall's log: what was found, whose, by which rule, in masked surroundings. No value is ever in it.

Findings are noted on the event loop and written by another thread, some at a time. Where the database cannot be had they wait, up
to `WAITING_MAX`; what comes beyond is counted (`dropped`): the firewall has done its work by then, only its log is behind.
"""

import os
from collections import deque
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ciyuan.services.door.registry_database import Database

if TYPE_CHECKING:
    from ciyuan.gateway.firewall import AuditRecord
    from ciyuan.services.door.registry import Key

COMPONENT = "findings"
DIGEST_KEY_BYTES = 32
WAITING_MAX = 100_000
MIGRATIONS = (
    (
        """CREATE TABLE findings (
            number INTEGER PRIMARY KEY,
            time_ns INTEGER NOT NULL,
            spender INTEGER NOT NULL,
            side TEXT NOT NULL,
            rule TEXT NOT NULL,
            kind TEXT NOT NULL,
            action TEXT NOT NULL,
            view TEXT NOT NULL,
            path TEXT NOT NULL,
            digest TEXT NOT NULL,
            excerpt TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX findings_by_time ON findings (time_ns)",
        "CREATE TABLE findings_key (number INTEGER PRIMARY KEY, digest_key BLOB NOT NULL) STRICT",
    ),
)
_COLUMNS = "number, time_ns, spender, side, rule, kind, action, view, path, digest, excerpt"
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the log. `spender` is the number of a key or of an app of it; `side` is request or answer; `digest` is the same
    for the same value; `excerpt` is masked."""

    number: int
    time_ns: int
    spender: int
    side: str
    rule: str
    kind: str
    action: str
    view: str
    path: str
    digest: str
    excerpt: str


def findings_in(database: Database, since_ns: int, *, spenders: Container[int] | None = None, rules: Container[str] | None = None,
                most: int) -> list[Finding]:  # fmt: skip
    """The newest findings since then, newest first, at most `most`: of those spenders and rules, or of all."""
    found = (
        finding
        for finding in _newest(database, since_ns)
        if (spenders is None or finding.spender in spenders) and (rules is None or finding.rule in rules)
    )
    return list(islice(found, most))


def _newest(database: Database, since_ns: int) -> Iterator[Finding]:
    """Page by page, so that a long log is never held whole."""
    database.migrate(COMPONENT, MIGRATIONS)
    before: int | None = None
    while True:
        with database.view() as sql:
            last = (
                sql.value("SELECT COALESCE(MAX(number), 0) FROM findings") + 1 if before is None else before
            )
            page = sql.rows(
                f"SELECT {_COLUMNS} FROM findings WHERE number < ? AND time_ns >= ? ORDER BY number DESC LIMIT {_PAGE}",  # noqa: S608 the names are ours
                last,
                since_ns,
            )
        yield from (Finding(*row) for row in page)
        if len(page) < _PAGE:
            return
        before = page[-1][0]


class Findings:
    """The log in one database. `note` is one thread's, `flush` another's."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        database.migrate(COMPONENT, MIGRATIONS)
        self._database, self._clock = database, clock
        self._waiting: deque[tuple[int | str, ...]] = deque()
        self.dropped = 0

    def digest_key(self) -> bytes:
        """The secret that digests are keyed by, drawn once: the same value has the same digest for as long as the log is kept."""
        with self._database.change() as sql:
            sql.run(
                "INSERT INTO findings_key (number, digest_key) VALUES (1, ?) ON CONFLICT (number) DO NOTHING",
                os.urandom(DIGEST_KEY_BYTES),
            )
            return bytes(sql.value("SELECT digest_key FROM findings_key"))

    def note(self, key: "Key", side: str, record: "AuditRecord") -> None:
        """Keep a finding, to be written soon."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        self._waiting.append(
            (self._clock(), key.spender, side, record.rule, record.kind.name.lower(), record.action.name.lower(),
             record.view.name.lower(), record.path, record.digest, record.excerpt)
        )  # fmt: skip

    def flush(self) -> int:
        """Write what waits; how many there were."""
        count = len(self._waiting)
        if not count:
            return 0
        rows = [self._waiting[place] for place in range(count)]
        with self._database.change() as sql:
            last = sql.value("SELECT COALESCE(MAX(number), 0) FROM findings")
            sql.run_many(
                f"INSERT INTO findings ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 the names are ours
                [(last + place, *row) for place, row in enumerate(rows, 1)],
            )
        for _ in rows:
            self._waiting.popleft()
        return count

    def forget(self, before_ns: int, most: int = 10_000) -> int:
        """Delete the oldest findings, at most so many at once; how many."""
        with self._database.change() as sql:
            return sql.run(
                "DELETE FROM findings WHERE number IN "
                "(SELECT number FROM findings WHERE time_ns < ? ORDER BY time_ns LIMIT ?)",
                before_ns,
                most,
            )
