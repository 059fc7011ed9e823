"""Idempotency keys: what a client sends twice is done once, charged once, and answered twice with the same bytes.

| a request with a key that | is answered |
|---|---|
| is new | by a call; what the call shows is kept |
| was answered | with what was kept, and `idempotent-replayed: true`: nothing is held, sent or charged |
| is being answered, here or by another process | 409 |
| came before with another body | 422 |
| was refused, or failed without a charge | by a new call: only what was charged is kept |

A key is its owner's own: another spender's same key is another. It is kept for `KEPT_NS`.

Theory of operation. Three writes, each durable before the next step, keep one charge for one key over any crash:

| written | before | a crash after it |
|---|---|---|
| CLAIMED | the hold | leaves a hold that expires: at start the claim is taken back, and the key is new |
| ANSWERED, with the rows that settle it | they are handed in | leaves a charge made or not: at start they are handed in again |
| SETTLED | a replay | leaves nothing to do |

Rows that are handed in again are answered REPEATED if they were taken before; a hold that has expired meanwhile is made anew.

The database is asked by a thread of its own; the event loop never waits for it. Invariant: what is replayed was charged.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

import msgspec

from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.gateway.ask_forward import fingerprint, idempotency_digest
from ciyuan.gateway.door_refusals import DoorRefusal, Refused
from ciyuan.gateway.messages import REFUSAL, MeterEvent, MeterRefusal, hold_row
from ciyuan.services.door.registry_database import Database, Sql

if TYPE_CHECKING:
    from ciyuan.services.door.call import Question
    from ciyuan.services.door.client_connection import Answering, ClientConnection
    from ciyuan.services.door.door import Door
    from ciyuan.services.door.group_host import GroupHost
    from ciyuan.services.door.numbering import Numbers

KEPT_NS = 24 * 3_600 * 10**9
"""How long an answer is kept for its key: a day, as payment services do (docs.stripe.com/api/idempotent_requests)."""
ANSWER_BYTES_MAX = 16 * 2**20
"""The longest answer that is kept; a longer one is charged once all the same, and its replay says that it was too long."""
REPLAYED = b"idempotent-replayed: true\r\n"
_TAKEN = frozenset({int(MeterEvent.SETTLED), int(MeterEvent.REPEATED)})
COMPONENT = "idempotency"
MIGRATIONS = (
    (
        """CREATE TABLE idempotency (
            digest BLOB PRIMARY KEY,
            fingerprint BLOB NOT NULL,
            process INTEGER NOT NULL,
            state INTEGER NOT NULL,
            created_ns INTEGER NOT NULL,
            status INTEGER NOT NULL,
            headers BLOB NOT NULL,
            body BLOB,
            settlement TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX idempotency_by_age ON idempotency (created_ns)",
    ),
)


class KeptState(IntEnum):
    """How far a key has come."""

    CLAIMED = 1
    ANSWERED = 2
    SETTLED = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept for a key. `body` None: it was too long."""

    fingerprint: bytes
    process: int
    state: KeptState
    status: int
    headers: bytes
    body: bytes | None


class IdempotencyTable:
    """The table, in one database. Methods may be called by any thread, and wait for the disk."""

    def __init__(self, database: Database) -> None:
        database.migrate(COMPONENT, MIGRATIONS)
        self._database = database

    def claim(self, digest: bytes, mark: bytes, process: int, now_ns: int) -> Kept | None:
        """Claim a key: None if it is new and is now claimed, else what there is of it. One that is too old is new."""
        with self._database.change() as sql:
            sql.run("DELETE FROM idempotency WHERE digest = ? AND created_ns < ?", digest, now_ns - KEPT_NS)
            row = sql.row(
                "SELECT fingerprint, process, state, status, headers, body FROM idempotency WHERE digest = ?",
                digest,
            )
            if row is not None:
                return Kept(bytes(row[0]), row[1], KeptState(row[2]), row[3], bytes(row[4]),
                            None if row[5] is None else bytes(row[5]))  # fmt: skip
            sql.run(
                "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, 0, ?, NULL, '')",
                digest, mark, process, int(KeptState.CLAIMED), now_ns, b"",
            )  # fmt: skip
            return None

    def answered(self, digest: bytes, status: int, headers: bytes, body: bytes, rows: Sequence[Row]) -> None:
        """Keep an answer, and the rows that are about to settle it."""
        kept = body if len(body) <= ANSWER_BYTES_MAX else None
        settlement = msgspec.json.encode(rows).decode()
        with self._database.change() as sql:
            sql.run(
                "UPDATE idempotency SET state = ?, status = ?, headers = ?, body = ?, settlement = ? WHERE digest = ?",
                int(KeptState.ANSWERED), status, headers, kept, settlement, digest,
            )  # fmt: skip

    def settled(self, digest: bytes) -> None:
        """Its settlement is durable."""
        with self._database.change() as sql:
            _settle(sql, digest)

    def release(self, digest: bytes) -> None:
        """Nothing was charged: the key is new again."""
        with self._database.change() as sql:
            sql.run("DELETE FROM idempotency WHERE digest = ? AND state <> ?", digest, int(KeptState.SETTLED))

    def recover(self, process: int) -> list[tuple[bytes, list[list[int]]]]:
        """What a crash of this process left: claims are taken back; of answers the rows that settle them, by digest."""
        with self._database.change() as sql:
            sql.run(
                "DELETE FROM idempotency WHERE process = ? AND state = ?", process, int(KeptState.CLAIMED)
            )
            left = sql.rows(
                "SELECT digest, settlement FROM idempotency WHERE process = ? AND state = ?",
                process,
                int(KeptState.ANSWERED),
            )
        return [(bytes(digest), msgspec.json.decode(rows)) for digest, rows in left]

    def forget(self, before_ns: int, most: int = 1_000) -> int:
        """Delete the oldest answers, at most so many at once; how many."""
        with self._database.change() as sql:
            return sql.run(
                "DELETE FROM idempotency WHERE digest IN "
                "(SELECT digest FROM idempotency WHERE created_ns < ? ORDER BY created_ns LIMIT ?)",
                before_ns,
                most,
            )


def _settle(sql: Sql, digest: bytes) -> None:
    sql.run("UPDATE idempotency SET state = ? WHERE digest = ?", int(KeptState.SETTLED), digest)


class Idempotency:
    """The door's side: asks the table in a thread of its own, and tells on the event loop."""

    def __init__(self, table: IdempotencyTable, process: int = 0) -> None:
        self.table, self.process = table, process
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=self._run, name="idempotency", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to work, for callers on this loop."""
        self._loop = loop
        self._thread.start()

    def close(self) -> None:
        """End the thread, after all that it was asked."""
        if self._thread.is_alive():
            self._work.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def ask(self, question: Callable[[], object], told: Callable[[object, Exception | None], None]) -> None:
        """Do `question` in the thread, then tell its answer, or its failure, on the loop."""
        loop = self._loop
        if loop is None:
            return

        def work() -> None:
            try:
                answer, failure = question(), None
            except Exception as fault:
                answer, failure = None, fault
            loop.call_soon_threadsafe(told, answer, failure)

        self._work.put(work)

    def answer(
        self, door: "Door", connection: "ClientConnection", question: "Question"
    ) -> "Answering | None":
        """Answer a request that has a key."""
        ask, request = question.ask, question.request
        digest = idempotency_digest(
            question.key.spender, request.headers[b"idempotency-key"].decode("latin-1")
        )
        if isinstance(digest, Refused):
            door.refuse(connection, ask.protocol, digest, question.key)
            return None
        claiming = Claiming(self, door, connection, question, digest)
        mark = fingerprint(ask.protocol, request.body)
        self.ask(lambda: self.table.claim(digest, mark, self.process, door.now_ns()), claiming.told)
        return claiming


class Claiming:
    """A request whose key is being looked up; then the call itself stands in its place at the connection."""

    def __init__(
        self,
        desk: Idempotency,
        door: "Door",
        connection: "ClientConnection",
        question: "Question",
        digest: bytes,
    ) -> None:
        self._desk, self._door, self._connection, self._question = desk, door, connection, question
        self.digest = digest
        self._left = False
        self._shown: list[bytes] = []

    # --- the connection's side, while the key is looked up ---

    def client_left(self) -> None:
        """The client has gone before its call began."""
        self._left = True

    def client_full(self) -> None:
        """Nothing is being shown."""

    def client_ready(self) -> None:
        """Nothing is being shown."""

    # --- the table's answer ---

    def told(self, found: object, failure: Exception | None) -> None:
        """What there is of the key."""
        door, ask = self._door, self._question.ask
        if failure is not None:
            door.report(failure, "an idempotency key could not be looked up")
            self._refuse(
                DoorRefusal.DOOR_FAILED, "The idempotency key cannot be looked up now; nothing was done."
            )
        elif not isinstance(found, Kept):
            self._begin()
        elif found.fingerprint != fingerprint(ask.protocol, self._question.request.body):
            self._refuse(DoorRefusal.IDEMPOTENCY_KEY_REUSED)
        elif found.state is not KeptState.SETTLED:
            self._refuse(DoorRefusal.IDEMPOTENCY_KEY_IN_FLIGHT)
        elif found.body is None:
            self._refuse(DoorRefusal.IDEMPOTENCY_KEY_REUSED, "This request was answered and charged; "
                         "its answer was too long to be kept.")  # fmt: skip
        elif not self._left:
            self._connection.respond(found.status, found.headers + REPLAYED, found.body)

    def _refuse(self, refusal: DoorRefusal, message: str = "") -> None:
        if not self._left:
            self._door.refuse(
                self._connection,
                self._question.ask.protocol,
                Refused(refusal, "Idempotency-Key", message),
                self._question.key,
            )

    def _begin(self) -> None:
        if self._left or self._door.draining:
            self._release()
            if not self._left:
                self._refuse(DoorRefusal.DRAINING)
            return
        call = self._door.begin(self._connection, self._question, self)
        if self._connection.busy:
            self._connection.answering = call

    # --- the call's side ---

    def shown(self, piece: bytes) -> None:
        """A piece of a stream was shown."""
        self._shown.append(piece)

    def keep(
        self, status: int, headers: bytes, body: bytes, rows: Sequence[Row], then: Callable[[], None]
    ) -> None:
        """Keep the answer, `body` behind what was shown of it, before the rows that settle it are handed in (`then`)."""
        whole = b"".join(self._shown) + body
        self._desk.ask(
            lambda: self._desk.table.answered(self.digest, status, headers, whole, rows),
            lambda _, failure: self._kept(failure, then),
        )

    def _kept(self, failure: Exception | None, then: Callable[[], None]) -> None:
        if failure is not None:
            self._door.report(failure, "an answer could not be kept for its idempotency key")
        then()

    def settled(self, *, charged: bool) -> None:
        """The call's settlement is durable, or there is none."""
        if not charged:
            self._release()
            return
        self._desk.ask(lambda: self._desk.table.settled(self.digest), self._noted)

    def _release(self) -> None:
        self._desk.ask(lambda: self._desk.table.release(self.digest), self._noted)

    def _noted(self, _: object, failure: Exception | None) -> None:
        if failure is not None:
            self._door.report(failure, "an idempotency key's state could not be noted")


async def recover(table: IdempotencyTable, host: "GroupHost", numbers: "Numbers", process: int = 0) -> int:
    """Settle what a crash of this process left answered and perhaps not charged; how many answers there were."""
    left = table.recover(process)
    for digest, rows in left:
        settlement = [_row(row) for row in rows]
        if await _is_settled(host, settlement) or await _is_settled(host, _made_anew(settlement, numbers)):
            table.settled(digest)
        else:
            table.release(digest)
    return len(left)


async def _is_settled(host: "GroupHost", rows: Sequence[Row]) -> bool:
    """Hand in rows as a group; whether the last was taken, now or before. What is closed was done: a call ends before that."""
    answered: asyncio.Future[list[list[int]] | None] = asyncio.get_running_loop().create_future()
    host.submit_group(rows, answered.set_result)
    events = await answered
    await host.drained()
    if not events:
        return False
    last = events[-1]
    return last[0] & CODE_MASK in _TAKEN or last[REFUSAL] == MeterRefusal.REQUEST_CLOSED


def _made_anew(rows: Sequence[Row], numbers: "Numbers") -> list[Row]:
    """The rows under a request of their own, behind a hold of just what they deliver."""
    request, parties, tokens_in, _, tokens_out = rows[-1][2:7]
    new = numbers.next() << 4
    hold = hold_row(0, new, parties, tokens_in, tokens_out)
    return [hold, *((*row[:2], new if row[2] == request else row[2], *row[3:]) for row in rows)]


def _row(words: Sequence[int]) -> Row:
    kind, time_ns, two, three, four, five, six, seven = words
    return kind, time_ns, two, three, four, five, six, seven
