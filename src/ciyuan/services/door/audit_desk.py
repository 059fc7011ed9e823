"""The audit desk: finished calls are counted again beside the door, never in its way.

    desk = AuditDesk(vocabularies, path=folder / "audit.json", heard=tell)
    desk.offer(call)                # from the event loop: takes microseconds, and never waits
    desk.report()                   # what was found so far
    desk.close()                    # counts what is waiting, keeps the state

Theory of operation. The door offers each finished call. A share of them, chosen by the request's key, is put in a queue that is
bounded in calls and in characters; where it is full the call is dropped and counted, so that a burst costs the audit a sample
and the door nothing. One thread takes the calls in order, counts their texts (the tokenizers let go of the interpreter's lock
while they do), and tells the audit machine. After `SLICE_NS` of work, or when nothing is left, it rests so as to take a quarter
of a core at most, and for `REST_S` at least, while calls gather: each time it wakes it takes the interpreter from the door, so
it wakes seldom. At the end it does not rest. What the machine says goes to `heard`, on that thread: a door with an event loop
passes `call_soon_threadsafe`. The state is kept at the path every so many calls and at the end, written aside and put in place
at once; calls heard since are lost in a crash, and the machine goes on from what was kept. Nothing that is owed depends on it.

A share is chosen by a hash of the key with a salt, not by chance: the same call is always in or always out, and who knows the
key but not the salt cannot tell which.

Invariants: offered = not chosen + dropped + heard + waiting, but for the call at which the thread failed; calls are heard in
the order in which they were offered; a failure of the thread stops the audit, not the door: it is kept in `failure`, and calls
from then on are dropped.
"""

import json
import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from time import perf_counter_ns

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.audit import Audit, Heard, Kept
from ciyuan.gateway.audit_report import SupplierReport, supplier_reports
from ciyuan.gateway.audit_sample import Extent, Reasoning, Sample, Side, script_of
from ciyuan.gateway.audit_terms import AuditTerms
from ciyuan.gateway.usage import Claim
from ciyuan.services.disk import Disk
from ciyuan.services.vocabularies import Vocabularies

QUEUE_CALLS_MAX = 4_096
QUEUE_CHARS_MAX = 64 * 2**20
SAVE_CALLS = 1_000
BUSY_PERCENT = 25
"""Of a core, what the thread may take at most while the door works: a call of 4 kB is about a millisecond of counting."""
SLICE_NS, REST_S = 4 * 10**6, 0.02
SHARE_WHOLE = 10_000
"""A share of all, in ten-thousandths."""


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """A call as the door hands it over: texts, the claim, and what the texts are of. `vocabulary` is "" where there is none.

    `asked`: the text of each message. `delivered`: the visible text of each answer and each call of a tool. `reasoning`:
    the text of it that was shown. `asked_whole` and `delivered_whole`: whether the supplier had nothing besides to make
    tokens of (no tools, pictures, files, prompts of its own). Prices in micro-units per MTok.
    """

    key: int
    supplier: int
    grade: int
    claim: Claim
    vocabulary: str = ""
    asked: tuple[str, ...] = ()
    delivered: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    reasoning_seen: Reasoning = Reasoning.NONE
    asked_whole: bool = True
    delivered_whole: bool = True
    messages: int = 1
    answers: int = 1
    input_price_micro: int = 0
    output_price_micro: int = 0

    @property
    def chars(self) -> int:
        """Characters of all its texts: what it weighs in the queue."""
        return sum(map(len, (*self.asked, *self.delivered, *self.reasoning)))


@dataclass(slots=True)
class DeskCounts:
    """What became of the calls that were offered."""

    offered: int = 0
    not_chosen: int = 0
    dropped: int = 0
    heard: int = 0


@dataclass(slots=True)
class _Waiting:
    calls: deque[FinishedCall] = field(default_factory=deque)
    chars: int = 0


class AuditDesk:
    """See above. Raises Malformed if there is a file at `path` that is no state.

    `terms` are the audit's; `share` of the calls, in ten-thousandths, is chosen with `salt`; `busy_percent` of a core at most,
    1 to 100.
    """

    def __init__(
        self,
        vocabularies: Vocabularies,
        *,
        terms: AuditTerms | None = None,
        path: Path | None = None,
        heard: Callable[[Heard], None] | None = None,
        share: int = SHARE_WHOLE,
        salt: bytes = b"",
        busy_percent: int = BUSY_PERCENT,
        queue_calls_max: int = QUEUE_CALLS_MAX,
        queue_chars_max: int = QUEUE_CHARS_MAX,
        save_calls: int = SAVE_CALLS,
        disk: Disk | None = None,
        clock_ns: Callable[[], int] = perf_counter_ns,
    ) -> None:
        self.counts = DeskCounts()
        self.failure = ""
        """Why the thread stopped, if it did."""
        self._vocabularies, self._path, self._heard = vocabularies, path, heard
        self._share, self._salt, self._save_calls, self._disk = share, salt, save_calls, disk or Disk()
        self._calls_max, self._chars_max = queue_calls_max, queue_chars_max
        self._audit = read_audit(path, terms) if path is not None and path.exists() else Audit(terms)
        self._queue = _Waiting()
        self._turn = Condition()
        """Guards the queue and the counts; the audit itself is guarded by `_book`."""
        self._book = Lock()
        self._closed = False
        self._busy_percent, self._clock_ns = busy_percent, clock_ns
        self._closing = Event()
        self._thread = Thread(target=self._work, name="audit", daemon=True)
        self._thread.start()

    def chooses(self, key: int) -> bool:
        """Whether a request would be audited: asked when it begins, so that the texts of another need not be kept."""
        return not self.failure and is_chosen(key, self._share, self._salt)

    def offer(self, call: FinishedCall) -> bool:
        """Put a call in the queue; whether it is there. Raises Malformed if its vocabulary was not opened."""
        if call.vocabulary and call.vocabulary not in self._vocabularies:
            raise Malformed("call to be audited", found=call.vocabulary, expected="a vocabulary that was opened",
                            remedy="Open it when the grade is set up, or offer the call without.")  # fmt: skip
        chosen = is_chosen(call.key, self._share, self._salt)
        chars = call.chars if chosen else 0
        with self._turn:
            self.counts.offered += 1
            if not chosen:
                self.counts.not_chosen += 1
                return False
            queue = self._queue
            full = len(queue.calls) >= self._calls_max or queue.chars + chars > self._chars_max
            if full or self._closing.is_set() or self.failure:
                self.counts.dropped += 1
                return False
            queue.calls.append(call)
            queue.chars += chars
            self._turn.notify()
        return True

    def turns_away(self) -> bool:
        """Whether the queue is full now: then a call counts as dropped, and need not be put together to be offered."""
        if len(self._queue.calls) < self._calls_max:
            return False
        with self._turn:
            self.counts.offered += 1
            self.counts.dropped += 1
        return True

    def report(self) -> tuple[SupplierReport, ...]:
        """What was found so far, by supplier."""
        with self._book:
            return supplier_reports(self._audit)

    def acknowledge(self, supplier: int, grade: int) -> int:
        """Start the tests of a supplier's grade anew; how many alarms that takes back."""
        with self._book:
            return self._audit.acknowledge(supplier, grade)

    def save(self) -> None:
        """Keep the state at the path, if there is one. Raises OSError where the disk refuses."""
        if self._path is None:
            return
        with self._book:
            kept = json.dumps(self._audit.snapshot(), separators=(",", ":")).encode()
        os.close(self._disk.write_new(self._path, [kept]))

    def close(self, *, drain: bool = True) -> None:
        """Hear what is waiting (or drop it), stop the thread, keep the state, unless it failed. The second time does nothing."""
        with self._turn:
            if not drain:
                self._drop_waiting()
            self._closing.set()
            self._turn.notify_all()
        self._thread.join()
        if not self._closed and not self.failure:
            self.save()
        self._closed = True

    def _work(self) -> None:
        try:
            busy_ns = 0
            while (call := self._next()) is not None:
                began_ns = self._clock_ns()
                sample = sample_of(call, self._vocabularies)
                with self._book:
                    heard = self._audit.apply(sample)
                if self._heard is not None:
                    self._heard(heard)
                with self._turn:
                    self.counts.heard += 1
                    due = self.counts.heard % self._save_calls == 0
                if due:
                    self.save()
                busy_ns += self._clock_ns() - began_ns
                if busy_ns >= SLICE_NS or not self._queue.calls:
                    self._closing.wait(max(REST_S, rest_s(busy_ns, self._busy_percent)))
                    busy_ns = 0
        except Exception as error:  # whatever it is, the door goes on and the operator is told
            with self._turn:
                self.failure = f"{type(error).__name__}: {error}"
                self._drop_waiting()

    def _next(self) -> FinishedCall | None:
        """The next call in the queue; None once it is empty and the desk is closing."""
        queue = self._queue
        with self._turn:
            while not queue.calls:
                if self._closing.is_set():
                    return None
                self._turn.wait()
            call = queue.calls.popleft()
            queue.chars -= call.chars
            return call

    def _drop_waiting(self) -> None:
        self.counts.dropped += len(self._queue.calls)
        self._queue.calls.clear()
        self._queue.chars = 0


def rest_s(busy_ns: int, busy_percent: int) -> float:
    """Seconds to rest after so many nanoseconds of work, so as to be busy for so many percent of the time; 100: no rest."""
    return busy_ns * (100 - busy_percent) / busy_percent / 1e9


def is_chosen(key: int, share: int, salt: bytes = b"") -> bool:
    """Whether a request is in the share (in ten-thousandths) that is audited. `salt`: up to 64 bytes."""
    if share >= SHARE_WHOLE:
        return True
    digest = blake2b(key.to_bytes(8, "little"), digest_size=8, key=salt, person=b"audit").digest()
    return int.from_bytes(digest, "little") % SHARE_WHOLE < share


def sample_of(call: FinishedCall, vocabularies: Vocabularies) -> Sample:
    """A call with its texts counted: what the audit machine is told. Reasoning that was shown is part of what was delivered."""
    shown = call.reasoning if call.reasoning_seen is Reasoning.SHOWN else ()
    return Sample(
        call.key,
        call.supplier,
        call.grade,
        call.vocabulary,
        asked=_extent(call, Side.INPUT, call.asked, vocabularies),
        delivered=_extent(call, Side.OUTPUT, (*shown, *call.delivered), vocabularies),
        claim=call.claim,
        reasoning=call.reasoning_seen,
        input_price_micro=call.input_price_micro,
        output_price_micro=call.output_price_micro,
    )


def _extent(call: FinishedCall, side: Side, texts: tuple[str, ...], vocabularies: Vocabularies) -> Extent:
    asked = side is Side.INPUT
    whole = call.asked_whole if asked else call.delivered_whole
    # A part of what was asked says nothing of the claim; a part of what was delivered says what of it was seen.
    counts = call.vocabulary and (whole or not asked)
    longest = max(texts, key=len, default="")
    return Extent(
        chars=sum(map(len, texts)),
        octets=sum(
            len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for text in texts
        ),
        script=script_of(longest),
        pieces=call.messages if asked else call.answers,
        counted=sum(vocabularies.count(call.vocabulary, text) for text in texts) if counts else None,
        whole=whole,
    )


def read_audit(path: Path, terms: AuditTerms | None = None) -> Audit:
    """The audit that was kept at a path. Raises Malformed if it is none."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Malformed(f"kept audit {path}", found=str(error)[:200], expected="a state that an audit desk has kept",
                        remedy="Restore the file from a copy, or move it away to begin a new audit.") from error  # fmt: skip
    return Audit.restore(_checked(kept, path), terms)


def _checked(kept: object, path: Path) -> Kept:
    """JSON that is sections of rows of integers and texts."""
    if not isinstance(kept, Mapping) or not all(
        isinstance(rows, list)
        and all(isinstance(row, list) and all(type(word) in {int, str} for word in row) for row in rows)
        for rows in kept.values()
    ):
        raise Malformed(f"kept audit {path}", found=type(kept).__name__, expected="sections of rows of integers",
                        remedy="Restore the file from a copy, or move it away to begin a new audit.")  # fmt: skip
    return kept
