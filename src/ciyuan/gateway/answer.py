"""One answer followed: a supplier's bytes in, what they say out; and at the end, how it ended.

What passes through is never re-encoded: a follower only reads. `feed` takes the bytes as they come and tells what they say;
`passing` is what of them may go on to the client; `end` says that no more will come; `ending` is the verdict, by which
docs/spec/endings.md charges.

| told | place | text |
|---|---|---|
| FIRST | 0 | : the first token is here |
| TEXT, REASONING, REFUSAL, TOOL_CALL, AUDIO | choice, output item or block | what was added to it |
| FINISH | choice | the supplier's own word for why |
| USAGE | 0 | : `claim` has changed |
| ERROR | 0 | the supplier's message |
| END | 0 | : the mark that the answer is whole |

Invariants: told texts, joined by kind and place, are the same however the bytes are cut; characters and bytes are counted of
what was told; the text of an error is never counted as delivered; after END or ERROR nothing is counted any more.

What cannot be read is counted (`unreadable`) and passed on. A follower keeps no text: of a stream an unfinished event, of a whole
answer its bytes until the end, both bounded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from json import JSONDecodeError, loads
from typing import NamedTuple, TypeVar

import msgspec

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.answer_shapes import ErrorBody
from ciyuan.gateway.sse import Event, SseReader
from ciyuan.gateway.usage import NO_CLAIM, TOKENS_CLAIM_MAX, Claim, Standing

WHOLE_BYTES_MAX = 64 * 2**20
"""The longest answer that is kept to be read at its end; a longer one passes, and is unreadable."""
ERROR_TEXT_MAX = 500
_CLIENTS_FAULT = range(400, 500)
_NOT_CLIENTS_FAULT = {401, 403, 408, 409, 425, 429}
"""Of the statuses of the 400s those that say nothing against the request: our key at the supplier, its limits, its time."""
_NOTHING, _THIS_EVENT = -1, 0
"""Where the withheld event ends, before it is known."""
_T = TypeVar("_T")
UNREAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the strict reader raises."""


class Told(IntEnum):
    """What a follower tells of an answer."""

    FIRST = 1
    TEXT = 2
    REASONING = 3
    REFUSAL = 4
    TOOL_CALL = 5
    AUDIO = 6
    FINISH = 7
    USAGE = 8
    ERROR = 9
    END = 10


Said = tuple[Told, int, str]
"""One thing told: its kind, the choice, item or block that it is of, and its text."""
_FIRST, _FINISH, _USAGE, _ERROR, _END = Told.FIRST, Told.FINISH, Told.USAGE, Told.ERROR, Told.END
_KINDS = max(Told) + 1


class Finish(IntEnum):
    """Why a supplier says it stopped, whatever its word; the later is the graver."""

    STOP = 1
    TOOL_CALLS = 2
    PAUSED = 3
    OTHER = 4
    LENGTH = 5
    REFUSED = 6


class Closed(IntEnum):
    """Who ended the transfer."""

    BY_SUPPLIER = 1
    BY_CLIENT = 2
    """The client left, and what came after was not drained to the supplier's own end."""
    BY_DEADLINE = 3
    """We waited no longer."""


class EndingKind(IntEnum):
    """How an answer ended: the rows of docs/spec/endings.md."""

    COMPLETE = 1
    LENGTH = 2
    CONTENT_REFUSED = 3
    REQUEST_REFUSED = 4
    ERROR_BEFORE_TOKEN = 5
    ERROR_MID_STREAM = 6
    CUT_BEFORE_TOKEN = 7
    CUT_MID_STREAM = 8
    CLIENT_GONE = 9
    UNREADABLE = 10


@dataclass(slots=True)
class Tally:
    """What was delivered, by kind of text: characters (code points) and bytes of UTF-8, each (11,) by `Told`."""

    chars: list[int] = field(default_factory=lambda: [0] * _KINDS)
    octets: list[int] = field(default_factory=lambda: [0] * _KINDS)
    vectors: int = 0
    """Embeddings."""

    @property
    def any(self) -> bool:
        """Whether anything was delivered."""
        return self.vectors > 0 or any(self.chars)

    @property
    def octets_all(self) -> int:
        """Bytes of everything that the model wrote."""
        return sum(self.octets)


class Ending(NamedTuple):
    """The verdict: how it ended, how the claim stands, whether anything was delivered, and the claim itself."""

    kind: EndingKind
    standing: Standing
    delivered: bool
    claim: Claim


class Follower(ABC):
    """Follows one answer: what is common to all protocols. A protocol says how an event and a whole answer are read."""

    def __init__(
        self,
        *,
        streamed: bool,
        status: int = 200,
        withhold_usage: bool = False,
        tokens_max: int = TOKENS_CLAIM_MAX,
    ) -> None:
        self.streamed, self.status, self.tokens_max = streamed and status < 400, status, tokens_max
        self.withhold_usage = withhold_usage and self.streamed
        self.tally = Tally()
        self.chunks = 0
        """Events of a stream that held data; reads of a whole answer."""
        self.unreadable = 0
        """Of these, those that could not be read."""
        self.finish: Finish | None = None
        self.claim: Claim = NO_CLAIM
        self.error = ""
        self.failed = status >= 400
        self.done = False
        """Whether the answer said itself that it is whole."""
        self.begun = False
        """Whether a first token has come."""
        self.closed: Closed | None = None
        self.passing = b""
        """What may go on to the client of all that was fed and has not gone on: the last chunk itself, as a rule.

        With `withhold_usage` the event that only reports usage, which the client did not ask for, stays behind: from the
        finish on, whole events pass.
        """
        self._reader = SseReader()
        self._lost = False
        self._whole: list[bytes] = []
        self._whole_bytes = 0
        self._waiting = bytearray()
        self._passed = -1
        self._withhold_to = _NOTHING

    def feed(self, chunk: bytes) -> list[Said]:
        """Take the next bytes of the answer's body; what they say."""
        told: list[Said] = []
        if not self.streamed:
            self._keep(chunk)
        elif not self._lost:
            reader = self._reader
            begins = reader.offset
            try:
                events = reader.feed(chunk)
            except Malformed:
                self._lost, events = True, []
                self.unreadable += 1
            self._hear(events, told)
            if self.withhold_usage and self.finish is not None and not self._lost:
                self._sift(chunk, events, begins)
                return told
        self.passing = chunk
        if self._waiting:
            self.passing = bytes(self._waiting) + chunk
            self._waiting.clear()
        return told

    def end(self, closed: Closed = Closed.BY_SUPPLIER) -> list[Said]:
        """No more will come. What an unfinished event or the whole answer says; `passing` is what was still waiting."""
        told: list[Said] = []
        self.closed = closed
        self.passing = bytes(self._waiting)
        self._waiting.clear()
        if self.streamed:
            events = [] if self._lost else self._reader.finish()
            before = self._withhold_to
            self._hear(events, told)
            if self.withhold_usage and self._withhold_to != before:
                self.passing = b""
        elif self.status >= 400:
            self._fail(_message_in(b"".join(self._whole)), told)
        elif not self._lost:
            self._read_whole(b"".join(self._whole), told)
        self._whole.clear()
        return told

    def ending(self) -> Ending:
        """How the answer ended. Call it after `end`."""
        delivered = self.tally.any
        return Ending(self._kind(delivered=delivered), self.claim.standing, delivered, self.claim)

    def _kind(self, *, delivered: bool) -> EndingKind:
        if self.status in _CLIENTS_FAULT and self.status not in _NOT_CLIENTS_FAULT:
            return EndingKind.REQUEST_REFUSED
        if self.failed:
            return EndingKind.ERROR_MID_STREAM if delivered else EndingKind.ERROR_BEFORE_TOKEN
        if self._lost or self._senseless(delivered=delivered):
            return EndingKind.UNREADABLE
        if self.done or self.finish is not None:
            if self.finish is Finish.REFUSED:
                return EndingKind.CONTENT_REFUSED
            return EndingKind.LENGTH if self.finish is Finish.LENGTH else EndingKind.COMPLETE
        if self.closed is Closed.BY_CLIENT:
            return EndingKind.CLIENT_GONE
        return EndingKind.CUT_MID_STREAM if delivered else EndingKind.CUT_BEFORE_TOKEN

    def _senseless(self, *, delivered: bool) -> bool:
        """Whether the supplier ended what could not be read, and nothing of it could."""
        return (
            self.unreadable > 0
            and not delivered
            and self.claim is NO_CLAIM
            and self.closed is Closed.BY_SUPPLIER
        )

    def _keep(self, chunk: bytes) -> None:
        self.chunks += 1
        self._whole_bytes += len(chunk)
        if self._whole_bytes > WHOLE_BYTES_MAX:
            self._lost = True
            self._whole.clear()
        else:
            self._whole.append(chunk)

    def _hear(self, events: list[Event], told: list[Said]) -> None:
        for name, data, end in events:
            if self.done or self.failed:
                return
            self.chunks += 1
            self._read_event(name, data, told)
            if self._withhold_to == _THIS_EVENT:
                self._withhold_to = end

    def _sift(self, chunk: bytes, events: list[Event], begins: int) -> None:
        """The answer has finished: let pass whole events, but the one withheld. `begins` is where the first of these begins.

        Until the finish all that came has passed. The withheld event passes too, in the end, if a part of it has already.
        """
        if self._passed < 0:
            self._passed = self._reader.offset + self._reader.held_bytes - len(chunk)
        waiting = self._waiting
        waiting += chunk
        out = bytearray()
        for _, _, end in events:
            length = end - self._passed
            if length > 0:
                if end != self._withhold_to or begins < self._passed:
                    out += waiting[:length]
                del waiting[:length]
                self._passed = end
            begins = end
        self.passing = bytes(out)

    @abstractmethod
    def _read_event(self, name: bytes, data: bytes, told: list[Said]) -> None:
        """Read one event of a stream."""

    @abstractmethod
    def _read_whole(self, body: bytes, told: list[Said]) -> None:
        """Read a whole answer."""

    def _add(self, kind: Told, place: int, text: str, told: list[Said]) -> None:
        """Something was delivered."""
        if not self.begun:
            self.begun = True
            told.append((_FIRST, 0, ""))
        tally = self.tally
        length = len(text)
        tally.chars[kind] += length
        tally.octets[kind] += length if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        told.append((kind, place, text))

    def _finish(self, finish: Finish, place: int, word: str, told: list[Said]) -> None:
        if self.finish is None or finish > self.finish:
            self.finish = finish
        told.append((_FINISH, place, word))

    def _claimed(self, claim: Claim, told: list[Said]) -> None:
        if claim is not NO_CLAIM:
            self.claim = claim
            told.append((_USAGE, 0, ""))

    def _withhold_this(self) -> None:
        """The event that is being read stays behind."""
        self._withhold_to = _THIS_EVENT

    def _fail(self, message: str, told: list[Said]) -> None:
        self.failed = True
        self.error = message[:ERROR_TEXT_MAX]
        told.append((_ERROR, 0, self.error))

    def _ended(self, told: list[Said]) -> None:
        self.done = True
        told.append((_END, 0, ""))

    def _read(self, decode: Callable[[bytes], _T], kind: type[_T], data: bytes) -> _T | None:
        """JSON as a typed value; None, and counted as unreadable, where it is neither JSON nor of that kind."""
        try:
            return decode(data)
        except UNREAD:
            return self._read_leniently(kind, data)

    def _read_leniently(self, kind: type[_T], data: bytes) -> _T | None:
        """JSON that a strict reader does not take.

        Half a surrogate pair in an escape and bytes that are not UTF-8 stop a strict reader, and suppliers send both where
        they cut a text between two events; they are read again by a lenient one.
        """
        try:
            return msgspec.convert(loads(data.decode("utf-8", "replace")), kind)
        except (msgspec.MsgspecError, JSONDecodeError, RecursionError, ValueError):
            self.unreadable += 1
            return None


_ERROR_BODY = msgspec.json.Decoder(ErrorBody)


def error_text(error: object) -> str:
    """The message in a supplier's error: its `message`, itself if it is a text, else what it is, in short."""
    if isinstance(error, dict):
        message = error.get("message") or error.get("code") or error.get("type")
        return message if isinstance(message, str) else f"{error!r:.200}"
    return error if isinstance(error, str) else f"{error!r:.200}"


def json_text(value: object) -> str:
    """A value that should have been a text, as the JSON it came as."""
    return msgspec.json.encode(value).decode()


def _message_in(body: bytes) -> str:
    """The message in the body of an error's answer, which may be JSON of several shapes, or a page."""
    try:
        read = _ERROR_BODY.decode(body)
    except UNREAD:
        return body[:ERROR_TEXT_MAX].decode("utf-8", "replace")
    return error_text(read.error or read.message or read.detail or "")
