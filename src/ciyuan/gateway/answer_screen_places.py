"""The texts of an answer that come in pieces: how far each is settled, and what stands instead of what was found in it.

Theory of operation. Positions are bytes of UTF-8 from the place's beginning. What is `settled` may go on; `text` of a range is
what was added there, with edits: an edit replaces a range by a text, which goes to whoever holds the range's first byte. So a
masked value that lies in several events is written into the first of them, and its other parts are written out.

Invariants: what is settled stays settled; no edit begins before what has gone on; the texts of ranges that follow each other,
joined, do not depend on where the borders are.

A text place may be told to `pause`: what is held is settled then, for something else is written now and must not wait. If the
text goes on after all, what was held is looked at again together with what comes; a finding that reaches back into what has
gone on is refused, since it can no longer be written over.
"""

from collections import deque
from dataclasses import replace
from json import dumps

from ciyuan.gateway.answer_screen_terms import Screening, Stopped, blocked, withheld
from ciyuan.gateway.firewall import EXCERPT_CHARACTERS, AuditRecord, Firewall, audit, encoded, mask
from ciyuan.gateway.firewall_agent import AgentPolicy, overreach
from ciyuan.gateway.firewall_body import judge_body
from ciyuan.gateway.firewall_rules import Action, Finding, Refusal
from ciyuan.gateway.firewall_stream import FirewallStream, Released

CALL_BYTES_MAX = 4 * 2**20
"""The longest arguments of a call that are gathered."""
JUDGED_MAX = 16
"""How often a call may go on after its end, to be judged once more from its beginning."""
_KEPT_BYTES_MIN = 4096
"""Text that has gone on is forgotten in steps of at least this."""
_Edit = tuple[int, int, bytes]


class Ranges:
    """A text that comes in pieces, with its edits. `start` is where the first byte that is still kept stands."""

    def __init__(self) -> None:
        self.settled = self.fed = 0
        self.gone = 0
        """Up to where it has gone on."""
        self._kept = bytearray()
        self._start = 0
        self._edits: deque[_Edit] = deque()
        """In their order; none overlaps another."""

    def touched(self, start: int, end: int) -> bool:
        """Whether an edit changes this range."""
        for first, last, _ in self._edits:
            if first >= end:
                break
            if last > start:
                return start < end
        return False

    def text(self, start: int, end: int) -> str:
        """What may be shown of a range."""
        out, at = [], start
        for first, last, instead in self._edits:
            if first >= end:
                break
            if last <= start:
                continue
            out.append(self._of(at, max(first, at)))
            if first >= start:
                out.append(instead)
            at = max(at, min(last, end))
        return b"".join([*out, self._of(at, max(at, end))]).decode("utf-8", "replace")

    def leave(self, end: int) -> None:
        """What stands before has gone on."""
        self.gone = max(self.gone, end)
        while self._edits and self._edits[0][1] <= self.gone:
            self._edits.popleft()
        self._forget(self.gone)

    def _forget(self, end: int) -> None:
        if end - self._start >= _KEPT_BYTES_MIN:
            del self._kept[: end - self._start]
            self._start = end

    def _append(self, data: bytes) -> tuple[int, int]:
        start = self.fed
        self._kept += data
        self.fed += len(data)
        return start, self.fed

    def _of(self, start: int, end: int) -> bytes:
        return bytes(self._kept[start - self._start : end - self._start])


class TextPlace(Ranges):
    """A text that goes through a firewall as it comes. `path` is what logs call it."""

    def __init__(self, screening: Screening, firewall: Firewall, path: str) -> None:
        super().__init__()
        self._screening, self._firewall, self._path = screening, firewall, path
        self._stream = FirewallStream(firewall, screening.placeholders)
        self._base = self._judged = self._sealed = 0
        self._half = self._context = ""
        self._again: bytes | None = None

    def add(self, text: str) -> tuple[int, int]:
        """The next piece; its range. Raises Stopped if it is refused: then `settled` is where what is refused begins."""
        if self._again is not None:
            self._resume(self._again)
        if self._half:
            text = (
                (self._half + text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
            )
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        whole = text[:-1] if self._half else text
        placed = self._append(whole.encode() if whole.isascii() else encoded(whole))
        if whole:
            self._take(self._stream.feed(whole))
        return placed

    def pause(self) -> None:
        """Something else is written now: what is held is settled as it is. Raises Stopped if it is refused."""
        if self._half:
            self._half = ""
            self._append(encoded("\N{REPLACEMENT CHARACTER}"))
            self._take(self._stream.feed("\N{REPLACEMENT CHARACTER}"))
        held = self._stream.held_bytes
        if not held or self._again is not None:
            return
        again = self._of(self.fed - held, self.fed)
        released = self._stream.finish()
        self._take(released)
        found = any(one.action >= Action.MASK for one in released.findings)
        self._again, self._sealed = b"" if found else again, self.fed

    def _resume(self, again: bytes) -> None:
        self._again, self._base = None, self.fed - len(again)
        self._judged, self._context = self._base, ""
        self._stream = FirewallStream(self._firewall, self._screening.placeholders)
        if again:
            self._take(self._stream.feed(again.decode()))

    def _take(self, released: Released) -> None:
        """What the stream has settled now, from `_judged` on."""
        stream, judged = self._stream, self._judged
        if not released.findings and not released.refusal:
            if released.text:
                self._judged = now = self.fed - stream.held_bytes
                self.settled = max(self.settled, now)
                self._context = (self._context + released.text)[-EXCERPT_CHARACTERS:]
            return
        now = self.fed if released.refusal else self.fed - stream.held_bytes
        findings = self._here(released.findings)
        known = judged + max(one.end_byte for one in findings) if released.refusal and findings else now
        records = self._audited(findings, self._of(judged, known))
        hits = [judged + one.start_byte for one in findings if one.action >= Action.MASK]
        if released.refusal:
            self.settled = max(self.settled, min(hits, default=judged))
            raise Stopped(blocked(released.refusal, records))
        if hits and min(hits) < self._sealed:
            raise Stopped(blocked(Refusal.CANNOT_MASK, records))
        if hits:
            first = min(hits)
            self._edits.append((first, now, encoded(released.text)[first - judged :]))
        self._judged, self.settled = now, max(self.settled, now)

    def _here(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """Findings of the stream, with their bytes counted from `_judged`."""
        shift = self._base - self._judged
        return tuple(
            one._replace(start_byte=one.start_byte + shift, end_byte=one.end_byte + shift) for one in findings
        )

    def _audited(self, findings: tuple[Finding, ...], stretch: bytes) -> tuple[AuditRecord, ...]:
        """Record what was found in a stretch, with what stood before it."""
        placeholders, text = self._screening.placeholders, stretch.decode()
        placed = tuple(
            one._replace(
                start=len(stretch[: one.start_byte].decode()), end=len(stretch[: one.end_byte].decode())
            )
            for one in findings
            if self._judged + one.end_byte > self._sealed
        )
        records = tuple(
            replace(record, excerpt=self._context + record.excerpt)
            for record in audit(self._path, text, placed, placeholders)
        )
        for record in records:
            self._screening.record(record)
        self._context = (self._context + mask(text, placed, placeholders, Action.REPORT))[
            -EXCERPT_CHARACTERS:
        ]
        return records

    def _forget(self, end: int) -> None:
        super()._forget(min(end, self._judged, self.fed - len(self._again or b"")))


class CallPlace(Ranges):
    """One call of a tool: its arguments are gathered, and nothing of it goes on until it is judged whole."""

    def __init__(self, screening: Screening, path: str) -> None:
        super().__init__()
        self.settled = -1
        self.call_id = ""
        self._screening, self._path = screening, path
        self._kind = "function_call"
        self._names: list[str] = []
        self._judged = 0
        self._asides = bytearray()

    @property
    def open(self) -> bool:
        """Whether something of it is not judged."""
        return self.settled < self.fed

    def add(self, arguments: str, name: str, kind: str, *, written: bool) -> tuple[int, int]:
        """The next piece of it; the range of its arguments. Raises Stopped if the call is too long.

        What is not `written` as a text in its event is judged here by the policy alone.
        """
        if name and name not in self._names:
            self._names.append(name)
        self._kind = kind or self._kind
        if not written:
            self._asides += encoded(arguments)
            self.settled = min(self.settled, self.fed - 1)
        placed = self._append(encoded(arguments) if written else b"")
        if len(self._asides) + self.fed > CALL_BYTES_MAX:
            raise Stopped(blocked(Refusal.TOO_LONG))
        return placed

    def judge(self) -> None:
        """The call is whole. Raises Stopped if it may not be made, or holds what must not pass."""
        screening = self._screening
        self._judged += 1
        if self._judged > JUDGED_MAX:
            raise Stopped(blocked(Refusal.TOO_LONG))
        given = self._of(0, self.fed).decode()
        if screening.policy is not None:
            self._permit(screening.policy, given)
        if screening.firewall is not None and given:
            self._search(screening.firewall, given)
        self.settled = self.fed

    def _permit(self, policy: AgentPolicy, given: str) -> None:
        if not self._names:  # nobody can call what has no name; where it is told later, it is judged there
            policy = replace(policy, tools_allowed=None, tools_denied=())
        for arguments in (given, self._asides.decode()):
            called = {"type": self._kind, "name": "".join(self._names), "arguments": arguments}
            beyond = overreach(policy, called)
            if beyond:
                refused, record = withheld(beyond[0])
                self._screening.record(record)
                raise Stopped(refused)

    def _search(self, firewall: Firewall, given: str) -> None:
        judged = judge_body(firewall, {"arguments": given}, self._screening.placeholders)
        records = tuple(
            replace(record, path=record.path.replace("arguments", self._path, 1)) for record in judged.audits
        )
        for record in records:
            self._screening.record(record)
        if judged.refusal or not isinstance(judged.body, dict):
            raise Stopped(blocked(judged.refusal, records))
        instead = judged.body["arguments"]
        if instead != given:
            if self.gone:
                raise Stopped(blocked(Refusal.CANNOT_MASK, records))
            written = encoded(instead if isinstance(instead, str) else dumps(instead))
            self._edits = deque([(0, self.fed, written)])

    def _forget(self, end: int) -> None:
        """A call that goes on after it was judged is judged again from its beginning."""
