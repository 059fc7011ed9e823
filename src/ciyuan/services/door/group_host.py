"""The venue behind its journal, for many callers at once: their rows go as one batch, their answers come back one by one.

Theory of operation. A call hands in one row and goes on with its work; at the end of the event loop's turn all rows that were
handed in are stamped, written to the journal as one batch, applied, and each caller is told its event. Someone else waits for
the disk meanwhile. Rows that are handed in before the disk has answered wait, and are the next batch: the slower the disk, the
larger the batches. A batch costs the loop as much as a dozen rows, so under load it is not closed while each turn of the loop
still brings rows (`GATHER_TURNS` at most): a lone row goes at once, and who is gathered would have waited for the loop anyway.

| step | embedded (`Store`) | shared (a journal that others write too) |
|---|---|---|
| written | here, at once | by a second thread, in one transaction that is durable when it ends |
| told | when written | when durable |
| durable | when a process of its own has synced (`syncer`) | when told |

So whoever is told has a row that survives `kill -9`; whoever must not speak before it survives a power cut waits for `durable`.

Invariants: rows are applied in the order in which the journal holds them, whoever wrote them; every row that was handed in is
told exactly once, its event or the failure; nothing is applied after a failure, which is final (`failure`); the time of a row
is never before that of the row before it. A shared journal that cannot be had for now (`passing` names its exceptions) is no
failure: rows wait, and `stalled` says why.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Event, Thread

import numpy as np

from ciyuan.basics.errors import CiyuanError, InvariantBroken
from ciyuan.basics.rows import CODE_MASK, ROW_WORDS, TIME, Row
from ciyuan.gateway.messages import MeterEvent
from ciyuan.services.door.group_log import LocalLog, Rows, SharedLog, Syncing
from ciyuan.services.door.syncer import Syncer
from ciyuan.venue.machine import Venue

EXPIRED = int(MeterEvent.EXPIRED)
RETRY_S = 0.2
"""How long is waited before a shared journal that could not be had is tried again."""
ROWS_MAX = 4096
"""The most rows of one batch: what comes at once beyond them is the next one."""
GATHER_ROWS, GATHER_TURNS = 64, 4
"""A batch of fewer rows waits for more as long as each turn of the loop brings some, and no more turns than that."""
EMPTY: Rows = np.empty((0, ROW_WORDS), dtype=np.int64)
Heard = Callable[[Sequence[int] | None], None]
"""Told of one row: its event, or None if the host has failed."""
HeardAll = Callable[[list[list[int]] | None], None]
"""Told of a group of rows: all events, or None if the host has failed."""
Observer = Callable[[int, Rows, Rows], None]
"""Told of every batch that was applied: the sequence before its first row, its rows, its events."""


class GroupHost:
    """A venue behind a journal. One thread's, the event loop's; `start` before use, `close` after.

    `durable` counts the rows that are durable and applied; `applied` those that are applied.
    """

    def __init__(
        self,
        venue: Venue,
        log: LocalLog | SharedLog,
        clock: Callable[[], int],
        *,
        last_ns: int = 0,
        observers: Sequence[Observer] = (),
        passing: tuple[type[Exception], ...] = (),
        syncing: Callable[[], Syncing] = Syncer,
    ) -> None:
        self.venue = venue
        self.failure: str | None = None
        self.stalled: str | None = None
        """Why a shared journal cannot be had for now; what was handed in waits for it."""
        self.applied = self.durable = log.sequence
        self._local: LocalLog | None = None
        self._shared: SharedLog | None = None
        if isinstance(log, SharedLog):
            self._shared = log
        else:
            self._local = log
        self._clock, self._last_ns, self._observers = clock, last_ns, observers
        self._passing, self._closing = passing, Event()
        self._syncing = syncing
        self._syncer: Syncing | None = None
        self._rows: list[Row] = []
        self._heard: list[Heard] = []
        self._groups: deque[tuple[list[Row], HeardAll]] = deque()
        self._flying: tuple[list[Heard], HeardAll | None] | None = None
        self._busy = self._due = False
        self._seen = self._turns = 0
        """How many rows the batch that is being gathered had a turn ago, and for how many turns it has been."""
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._work: SimpleQueue[tuple[Rows, int] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer = Thread(target=self._run, name="journal", daemon=True)
        self._idle: asyncio.Event | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to take rows, for callers on this loop."""
        self._loop = loop
        self._idle = asyncio.Event()
        self._idle.set()
        if self._local is None:
            self._writer.start()
        else:
            self._syncer = self._syncing()
            self._syncer.start(loop, self._on_synced)

    async def close(self) -> None:
        """Let what was handed in become durable, then end who has waited for it."""
        await self.drained()
        self._closing.set()
        if self._writer.is_alive():
            self._work.put(None)
            self._writer.join()
        if self._syncer is not None:
            self._syncer.close()
            self._syncer = None

    async def drained(self) -> None:
        """Return when all that was handed in is durable, or the host has failed, or waits for a journal that cannot be had."""
        while self._busy or self._rows or self._groups:
            if self.failure is not None or self.stalled is not None or self._idle is None:
                return
            self._idle.clear()
            await self._idle.wait()

    # --- handing in ---

    def submit(self, row: Row, heard: Heard) -> None:
        """Hand in one row of the meter; its time is set here. `heard` is called once, in a later turn of the loop."""
        self._rows.append(row)
        self._heard.append(heard)
        if not self._due and not self._busy:
            self._schedule()

    def submit_group(self, rows: Sequence[Row], heard: HeardAll) -> None:
        """Hand in rows of any kind, to be applied as a batch of their own; `heard` is called once, with all their events."""
        self._groups.append((list(rows), heard))
        if not self._due and not self._busy:
            self._schedule()

    def catch_up(self) -> None:
        """Read what others have written to a shared journal, if nothing is under way that will."""
        if self._shared is not None and not self._busy and self.failure is None:
            self._fly(EMPTY, [], None)

    def when_durable(self, sequence: int, then: Callable[[], None]) -> None:
        """Call `then` as soon as row `sequence` is durable: at once if it is; never if the host fails before."""
        if sequence <= self.durable:
            then()
        else:
            self._waiting.append((sequence, then))

    def _schedule(self) -> None:
        if self._loop is None:
            raise InvariantBroken("group host", "a row was handed in before start")
        self._due, self._seen, self._turns = True, 1, 0
        self._loop.call_soon(self._gather)

    def _gather(self) -> None:
        """Close the batch, unless this turn of the loop has brought rows and the next may bring more."""
        count = len(self._rows)
        if self._seen < count < GATHER_ROWS and self._turns < GATHER_TURNS and self._loop is not None:
            self._seen, self._turns = count, self._turns + 1
            self._loop.call_soon(self._gather)
        else:
            self._flush()

    # --- one batch ---

    def _flush(self) -> None:
        self._due = False
        if self._busy:
            return
        if self.failure is not None:
            self._refuse_all()
            return
        if self._rows:
            rows, heard = self._rows[:ROWS_MAX], self._heard[:ROWS_MAX]
            del self._rows[:ROWS_MAX], self._heard[:ROWS_MAX]
            self._fly(np.array(rows, dtype=np.int64), heard, None)
        elif self._groups:
            group, told = self._groups.popleft()
            self._fly(np.array(group, dtype=np.int64).reshape(-1, ROW_WORDS), [], told)

    def _fly(self, rows: Rows, heard: list[Heard], told: HeardAll | None) -> None:
        """Send a batch on its way: written and applied here if the journal is ours alone, else by the second thread first."""
        self._busy = True
        now_ns = max(self._clock(), self._last_ns)
        if self._local is None:
            self._flying = heard, told
            self._work.put((rows, now_ns))
            return
        rows[:, TIME] = self._last_ns = now_ns
        try:
            if told is not None:
                self.venue.check(
                    rows
                )  # others' rows; those of `submit` are the meter's own, of the right shape and in order
            self._local.write(rows)
            events = self._apply(rows)
            if self._syncer is not None:
                self._syncer.sync(*self._local.unsynced)
        except Exception as fault:
            self._fail(fault, heard, told)
            return
        self._tell(events, heard, told)

    def _apply(self, rows: Rows) -> Rows:
        events = self.venue.apply(rows)
        before, self.applied = self.applied, self.applied + len(rows)
        for observe in self._observers:
            observe(before, rows, events)
        return events

    def _tell(self, events: Rows, heard: list[Heard], told: HeardAll | None) -> None:
        """Tell each caller its event. One that fails in hearing it fails alone: the others are told all the same."""
        if told is not None:
            try:
                told(events.tolist())
            except Exception as fault:
                self._report(fault)
            return
        at = 0
        for event in events.tolist():
            if event[0] & CODE_MASK == EXPIRED:
                continue  # one event answers each row; holds that expire come between
            try:
                heard[at](event)
            except Exception as fault:
                self._report(fault)
            at += 1
        if at != len(heard):
            raise InvariantBroken("group host", f"{len(heard)} rows were answered by {at} events")

    def _report(self, fault: Exception) -> None:
        if self._loop is not None:
            self._loop.call_exception_handler(
                {"message": "a caller failed in hearing its event", "exception": fault}
            )

    # --- who waits for the journal, and its word ---

    def _run(self) -> None:
        loop = self._loop
        while (work := self._work.get()) is not None and loop is not None:
            try:
                if self._shared is not None:
                    loop.call_soon_threadsafe(self._exchanged, self._exchange(self._shared, loop, *work))
            except Exception as fault:
                loop.call_soon_threadsafe(self._fail, fault, [], None)

    def _exchange(
        self, shared: SharedLog, loop: asyncio.AbstractEventLoop, rows: Rows, now_ns: int
    ) -> tuple[Rows, Rows]:
        """One exchange; while the journal cannot be had the same rows are tried again, so they are written once or not at all."""
        rows[:, TIME] = 0
        while True:
            try:
                return shared.exchange(rows, now_ns)
            except self._passing as fault:
                loop.call_soon_threadsafe(self._stall, str(fault))
                if self._closing.wait(RETRY_S):
                    raise

    def _stall(self, why: str) -> None:
        self.stalled = why
        if self._idle is not None:
            self._idle.set()

    def _on_synced(self, error: int) -> None:
        """The disk has answered; unasked if who waits for it is gone."""
        if self._local is None or self.failure is not None:
            return
        try:
            self.durable = self._local.synced(error)
        except Exception as fault:
            self._fail(fault, [], None)
            return
        self._landed()

    def _exchanged(self, exchanged: tuple[Rows, Rows]) -> None:
        others, mine = exchanged
        self.stalled = None
        heard, told = self._flying or ([], None)
        self._flying = None
        try:
            if len(others):
                self._apply(others)
            events = self._apply(mine) if len(mine) else mine
        except Exception as fault:
            self._fail(fault, heard, told)
            return
        self._last_ns = max([self._last_ns, *(int(rows[-1, TIME]) for rows in exchanged if len(rows))])
        self.durable = self.applied
        self._tell(events, heard, told)
        self._landed()

    def _landed(self) -> None:
        """A batch is durable: tell who waits for it, and send the next one."""
        self._busy = False
        waiting, durable = self._waiting, self.durable
        while waiting and waiting[0][0] <= durable:
            waiting.popleft()[1]()
        if self._rows or self._groups:
            self._schedule()
        elif self._idle is not None:
            self._idle.set()

    def _fail(self, fault: BaseException, heard: list[Heard], told: HeardAll | None) -> None:
        """Nothing more is applied: what is on its way, what waits and what will come is told so."""
        self.failure = str(fault) if isinstance(fault, CiyuanError) else f"{type(fault).__name__}: {fault}"
        self._busy = False
        flying_heard, flying_told = self._flying or ([], None)
        self._flying = None
        for each in (*heard, *flying_heard):
            each(None)
        for group in (told, flying_told):
            if group is not None:
                group(None)
        self._refuse_all()

    def _refuse_all(self) -> None:
        rows, self._rows, self._heard = self._heard, [], []
        groups, self._groups = self._groups, deque()
        self._waiting.clear()
        for heard in rows:
            heard(None)
        for _, told in groups:
            told(None)
        if self._idle is not None:
            self._idle.set()
