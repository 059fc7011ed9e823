"""The firewall on answers that come as a stream: bytes in, out of them what may be shown.

    screen = AnswerScreen(Screening(...))
    screen.feed(chunk) ─▶ Screened ... screen.finish() ─▶ Screened            whole answers: `answer_screen_whole`

Theory of operation. A stream is taken apart into its events. Each waits in a queue until all that it adds to texts is settled: no
later text can make a finding of it (`answer_screen_places`); a call of a tool, until the call is whole and judged. Then it goes
on, in order, with its own bytes; only where a value has to be written over is it written anew, and there but the value. So a
stream in which nothing is found passes byte for byte, mostly one event late: the word that is being written waits for its end.

| an event | goes on |
|---|---|
| whose texts are settled | at once, if nothing before it waits |
| long, and settled but for its end (`SPLIT_BYTES_MIN`) | in two: a copy with what is settled, and the rest |
| that only says that the supplier is there (a ping, a comment) | at once, before what waits |
| in which something else is found | masked, where a placeholder may stand |
| that is no JSON | if nothing is found in it |

Invariants: no part of a value that is masked or blocked is shown; events keep their order; what is shown does not depend on how
the bytes were cut; after a refusal nothing is shown but the error that tells it. What waits is bounded, and a stream that has
more waiting is refused; so is one whose screening raises.

In the modes that change nothing, with no policy to judge calls by, every byte passes at once, and the screen only listens.
Lists of log-probabilities spell a text once more; beside a masked one they are empty.
Source: of the protocols those of `answer_*`; of streams, html.spec.whatwg.org, "Server-sent events".
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.answer_screen_events import (
    CallPart,
    Parts,
    Place,
    TextPart,
    everything_ends,
    read_parts,
)
from ciyuan.gateway.answer_screen_places import CallPlace, Ranges, TextPlace
from ciyuan.gateway.answer_screen_rest import Changes, Rest, json_of, read_json, rewritten, spelt_out
from ciyuan.gateway.answer_screen_terms import Screened, Screening, Stopped, blocked
from ciyuan.gateway.door_refusals import Protocol, Refused, error_event
from ciyuan.gateway.firewall import Firewall, encoded
from ciyuan.gateway.firewall_body import Path
from ciyuan.gateway.firewall_rules import Refusal
from ciyuan.gateway.sse import SseReader

WAITING_BYTES_MAX = 16 * 2**20
"""The most bytes of events that wait."""
PLACES_MAX = 4096
"""The most texts and calls of one answer."""
SPLIT_BYTES_MIN = 32
"""An event with so much settled text at its beginning does not wait for its end."""
SHAPES_MAX, LEARNT_MAX = 3, 32
"""How many events are remembered beside the last, and how many are tried: where each event is another, remembering is in vain."""
_NOT_PLAIN = re.compile(rb'["\\\r\n]')
_LISTS = {
    Protocol.CHAT: "choices",
    Protocol.COMPLETIONS: "choices",
    Protocol.EMBEDDINGS: "data",
    Protocol.RESPONSES: "output",
    Protocol.MESSAGES: "content",
}
"""What each protocol calls the list of what was written."""
_NOTHING = Screened(b"")


@dataclass(slots=True)
class _Waiting:
    """An event in the queue: its bytes, where in them its JSON lies, and what is to be written into it.

    `data` is the JSON as it is read; `anew` says that it goes on so, whatever else. `ranges` are what it adds to texts, and
    the paths of that. `rest_of` says that a part of its text has gone on. `ends` says that texts end with it.
    """

    raw: bytes
    at: int
    length: int
    data: bytes
    ranges: list[tuple[Ranges, int, int, Path | None]] = field(default_factory=list)
    changes: Changes = field(default_factory=dict)
    ends: bool = False
    anew: bool = False
    rest_of: bool = False


class _Shape(NamedTuple):
    """An event but for its one text: what stands before and after that, where its JSON begins, and the part that it is."""

    before: bytes
    after: bytes
    at: int
    part: TextPart


class AnswerScreen:
    """Screens one stream. See the module's page."""

    def __init__(self, screening: Screening) -> None:
        self.refused: Refused | None = None
        self._screening = screening
        self._listens = not screening.changes and screening.policy is None
        self._reader = SseReader()
        self._rest = Rest(screening)
        self._shapes: list[_Shape] = []
        self._learnt = 0
        self._bytes = bytearray()
        self._passed = 0
        """How many bytes of the stream have left `_bytes`."""
        self._places: dict[tuple[object, ...], TextPlace] = {}
        self._lanes: dict[int, dict[TextPlace, None]] = {}
        """The texts of each lane of which something may be held, in their order."""
        self._calls: dict[tuple[object, ...], CallPlace] = {}
        self._groups: dict[int, list[CallPlace]] = {}
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._out: list[bytes] = []

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of events wait."""
        return self._queued_bytes

    def feed(self, chunk: bytes) -> Screened:
        """The next bytes of the stream: what may go on now."""
        if self.refused is not None:
            return _NOTHING
        try:
            self._take(chunk)
        except Stopped as stop:
            return self._stopped(stop.refused)
        except Malformed:
            return self._stopped(blocked(Refusal.TOO_LONG))
        except Exception:
            return self._failed()
        return Screened(chunk) if self._listens else self._let_out()

    def finish(self) -> Screened:
        """No more will come: the rest. An event that was left unfinished, and cannot be read, never was one."""
        if self.refused is not None:
            return _NOTHING
        try:
            left = bytes(self._bytes)
            for name, data, _ in self._reader.finish():
                if _is_whole(data):
                    self._hear(name, data, left)
            self._end(everything_ends())
            self._drain()
        except Stopped as stop:
            return self._stopped(stop.refused)
        except Exception:
            return self._failed()
        return _NOTHING if self._listens else self._let_out()

    def _let_out(self) -> Screened:
        passing = b"".join(self._out)
        self._out.clear()
        return Screened(passing)

    def _stopped(self, refused: Refused) -> Screened:
        """Nothing more is shown than what was settled before, and why."""
        self.refused = refused
        try:
            self._drain()
        except Exception:
            return self._failed()
        return self._over(refused)

    def _failed(self) -> Screened:
        """The screening raised: nothing more is shown."""
        self._out.clear()
        return self._over(blocked(Refusal.SCAN_FAILED))

    def _over(self, refused: Refused) -> Screened:
        self.refused = refused
        self._queue.clear()
        self._bytes.clear()
        self._places.clear()
        self._calls.clear()
        error = error_event(refused, self._screening.protocol, self._screening.name)
        passing = b"" if self._listens else b"".join(self._out)
        self._out.clear()
        return Screened(passing + error, refused)

    # --- what comes ---

    def _take(self, chunk: bytes) -> None:
        """Hear every event that ends in a chunk."""
        whole = not self._bytes
        events = self._reader.feed(chunk)
        if whole and len(events) == 1 and events[0][2] - self._passed == len(chunk):
            self._passed = events[0][2]
            self._hear_any(*events[0][:2], chunk)
            return
        self._bytes += chunk
        for name, data, end in events:
            self._hear_any(name, data, self._cut(end))
        if self._reader.offset > self._passed:
            self._aside(self._cut(self._reader.offset))

    def _cut(self, end: int) -> bytes:
        """The bytes of the stream up to here."""
        length = end - self._passed
        cut = bytes(self._bytes[:length])
        del self._bytes[:length]
        self._passed = end
        return cut

    def _aside(self, comment: bytes) -> None:
        """What is no event: it goes on before what waits, or not at all."""
        if self._rest.text_clean(comment):
            self._out.append(comment)

    def _hear_any(self, name: bytes, data: bytes, raw: bytes) -> None:
        """Take one event: the short way if it is like one before but for its text, as nearly all are."""
        alike = self._alike(raw)
        firewall = self._screening.firewall
        if alike is None or firewall is None:
            self._hear(name, data, raw)
        else:
            shape, part = alike
            event = _Waiting(raw, shape.at, len(data), data)
            self._hear_texts((part,), event, firewall)
            self._enqueue(event)
        if self._queue:
            self._drain()

    def _alike(self, raw: bytes) -> tuple["_Shape", TextPart] | None:
        """The known event that this one is but for its text, and that text."""
        for shape in self._shapes:
            if raw.startswith(shape.before) and raw.endswith(shape.after):
                piece = raw[len(shape.before) : len(raw) - len(shape.after)]
                if not piece or _NOT_PLAIN.search(piece):
                    return None
                self._learnt = 0
                try:
                    return shape, shape.part._replace(text=piece.decode())
                except UnicodeDecodeError:
                    return None
        return None

    def _learn(self, event: _Waiting, parts: Parts) -> None:
        """Remember an event that adds to one text and does nothing else. What stands around the text has been looked at."""
        if self._learnt == LEARNT_MAX:
            return
        if len(parts.texts) != 1 or parts.calls or parts.opaque or event.changes or event.anew or event.ends:
            return
        raw, (part,) = event.raw, parts.texts
        token = b'"' + encoded(part.text) + b'"'
        if b"\\" in raw or raw.count(token) != 1:
            return
        start = raw.index(token) + 1
        if event.at < start:
            self._learnt += 1
            self._shapes = [
                _Shape(raw[:start], raw[start + len(token) - 2 :], event.at, part),
                *self._shapes[:SHAPES_MAX],
            ]

    def _hear(self, name: bytes, data: bytes, raw: bytes) -> None:
        """Take one event apart, and put it in the queue."""
        if data.strip() == b"[DONE]":
            self._end(everything_ends())
            self._enqueue(self._framed(name, data, raw))
            return
        try:
            body, read = read_json(data)
        except ValueError:
            body, read = None, data
        if not isinstance(body, dict):
            if not self._rest.text_clean(raw):
                raise Stopped(blocked(Refusal.CANNOT_MASK))
            self._enqueue(_Waiting(raw, 0, 0, b""))
            return
        parts = read_parts(self._screening.protocol, body)
        event = self._framed(name, data, raw)
        pieces = [(part.path, part.text) for part in parts.texts]
        pieces += [(part.path, part.arguments) for part in parts.calls if part.path is not None]
        event.changes, event.data = self._rest.look(
            read, body, pieces, parts.opaque, judges_calls=not parts.calls
        )
        event.anew = event.data is not read and self._screening.changes
        event.ends = parts.ends is not None
        if self._screening.firewall is not None:
            self._hear_texts(parts.texts, event, self._screening.firewall)
            self._learn(event, parts)
        event.ranges += [self._hear_call(call) for call in parts.calls]
        self._end(parts)
        if parts.keeps_alive and not event.changes:
            self._out.append(event.raw)
        else:
            self._enqueue(event)

    def _framed(self, name: bytes, data: bytes, raw: bytes) -> _Waiting:
        """An event with its frame: its own if nothing is found in that, else the plainest."""
        at = raw.rfind(data)
        if at < 0 or not (self._rest.text_clean(raw[:at]) and self._rest.text_clean(raw[at + len(data) :])):
            if not self._rest.text_clean(name):
                raise Stopped(blocked(Refusal.CANNOT_MASK))
            before = (b"event: " + name + b"\n" if name else b"") + b"data: "
            data = data.replace(b"\n", b" ")
            raw, at = before + data + b"\n\n", len(before)
        return _Waiting(raw, at, len(data), data)

    def _hear_texts(self, texts: Sequence[TextPart], event: _Waiting, firewall: Firewall) -> None:
        for part in texts:
            place = self._place(part, firewall)
            held = self._lanes.setdefault(part.lane, {})
            if held.keys() != {place}:
                here = {self._places.get(other.place) for other in texts}
                for other in [one for one in held if one not in here]:
                    other.pause()
                    del held[other]
                held[place] = None
            start, end = place.add(part.text)
            event.ranges.append((place, start, end, part.path))

    def _place(self, part: TextPart, firewall: Firewall) -> TextPlace:
        place = self._places.get(part.place)
        if place is None:
            self._count()
            place = self._places[part.place] = TextPlace(self._screening, firewall, self._path(part.place))
        return place

    def _hear_call(self, part: CallPart) -> tuple[Ranges, int, int, Path | None]:
        call = self._calls.get(part.place)
        if call is None or (part.call_id and call.call_id and part.call_id != call.call_id):
            self._count()
            call = self._calls[part.place] = CallPlace(self._screening, self._path(part.place))
            self._groups.setdefault(part.group, []).append(call)
        call.call_id = part.call_id or call.call_id
        start, end = call.add(part.arguments, part.name, part.kind, written=part.path is not None)
        return call, start, end, part.path

    def _path(self, place: Place) -> str:
        """A place as logs write it."""
        steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
        return _LISTS[self._screening.protocol] + steps

    def _count(self) -> None:
        if len(self._places) + sum(map(len, self._groups.values())) >= PLACES_MAX:
            raise Stopped(blocked(Refusal.TOO_LONG))

    def _end(self, parts: Parts) -> None:
        """Settle the texts that end here, and judge the calls that are whole."""
        if parts.ends is not None:
            for lane in parts.ends or tuple(self._lanes):
                for place in self._lanes.pop(lane, ()):
                    place.pause()
        if parts.closes is not None:
            for group in parts.closes or tuple(self._groups):
                for call in self._groups.get(group, ()):
                    if call.open:
                        call.judge()

    # --- what goes ---

    def _enqueue(self, event: _Waiting) -> None:
        if self._listens:
            for place, _, end, _ in event.ranges:
                place.leave(end)
            return
        if not self._queue and not event.ranges and not event.changes and not event.anew:
            self._out.append(event.raw)
            return
        self._queue.append(event)
        self._queued_bytes += len(event.raw)
        if self._queued_bytes > WAITING_BYTES_MAX:
            raise Stopped(blocked(Refusal.TOO_LONG))

    def _drain(self) -> None:
        """Let out the events that are settled, from the first on."""
        queue, waits = self._queue, self._screening.changes
        while queue:
            event = queue[0]
            for place, _, end, _ in event.ranges:
                if end > place.settled and (waits or isinstance(place, CallPlace)):
                    if self.refused is None:
                        self._split(event)
                    return
            queue.popleft()
            self._queued_bytes -= len(event.raw)
            self._emit(event)

    def _split(self, event: _Waiting) -> None:
        """Let out the settled beginning of a long event that waits for its end."""
        place, start, end, path = event.ranges[0]
        settled = min(place.settled, end)
        if (
            len(event.ranges) > 1
            or isinstance(place, CallPlace)
            or event.ends
            or event.changes
            or path is None
        ):
            return
        if (
            settled - start < SPLIT_BYTES_MIN
            or b'"logprobs":{' in event.data
            or b'"logprobs": {' in event.data
        ):
            return
        self._write(event, {path: place.text(start, settled)})
        event.ranges[0] = (place, settled, end, path)
        event.rest_of = True
        place.leave(settled)

    def _emit(self, event: _Waiting) -> None:
        """Let out an event: its own bytes, unless something in it has to be another."""
        changes = dict(event.changes)
        for place, start, end, path in event.ranges:
            if path is not None and (event.rest_of or place.touched(start, end)):
                changes[path] = place.text(start, end)
        if changes or event.anew:
            self._write(event, changes)
        else:
            self._out.append(event.raw)
        for place, _, end, _ in event.ranges:
            place.leave(end)

    def _write(self, event: _Waiting, changes: Changes) -> None:
        data = event.data
        if changes:
            data = rewritten(data, spelt_out(json_of(data)) | dict(changes))
        self._out.append(event.raw[: event.at] + data + event.raw[event.at + event.length :])


def _is_whole(data: bytes) -> bool:
    """Whether what a stream ended with can be read."""
    if data.strip() == b"[DONE]":
        return True
    try:
        return isinstance(read_json(data)[0], dict)
    except ValueError:
        return False
