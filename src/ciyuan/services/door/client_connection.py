"""One client's connection: HTTP/1.1 in, whole requests out; and the answers that go back, whole or in pieces.

A thin shell around llhttp (httptools): it knows bytes, heads and bodies, and nothing of keys, models or money. What a request
means is its `Handler`'s; the handler answers through the connection that it was handed.

| the handler says | the connection |
|---|---|
| `respond` | writes a whole answer |
| `begin`, `pass_on`, `finish` | writes a head with the first piece, then more (chunked; to the end for HTTP/1.0), then the last |
| `break_off` | ends an answer that has begun and can't go on: the client sees that it is not whole |

Requests on one connection are answered in their order; one that comes while another is being answered waits (pipelining), and
nothing more is read meanwhile. Bounds: a head of `HEAD_BYTES_MAX`, a body of the door's own bound, `FIRST_BYTE_S` for a head to
be whole and between two pieces of a body, `IDLE_S` between requests; what is over them is answered, if that can be, and the
connection ends.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Protocol

import httptools

HEAD_BYTES_MAX = 64 * 2**10
FIRST_BYTE_S = 30
"""How long a head may take to be whole."""
IDLE_S = 75
"""How long a connection may lie idle between two requests."""
WRITE_BYTES_HIGH = 256 * 2**10
"""From how many unsent bytes on the one who writes is asked to pause."""
_LENGTH_MAX_DIGITS = 18
_REASONS = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}
_OF_AN_OFFER = {b"connection", b"upgrade", b"http2-settings"}
"""Headers of an offer to speak another protocol, as some clients make with every first request."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Phase(IntEnum):
    """What of a request is being read."""

    IDLE = 0
    HEAD = 1
    BODY = 2


@dataclass(slots=True)
class Request:
    """One request: method and target as they came, headers by lower-case name (the last of a name counts), the whole body."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    received_ns: int


class Answering(Protocol):
    """Who is answering a request, as its connection sees it."""

    def client_left(self) -> None:
        """The client has gone: nothing more will reach it."""
        ...

    def client_full(self) -> None:
        """The client takes no more for now."""
        ...

    def client_ready(self) -> None:
        """The client takes more again."""
        ...


class Handler(Protocol):
    """Who answers requests."""

    body_bytes_max: int

    def handle(self, connection: "ClientConnection", request: Request) -> Answering | None:
        """Answer a request, now (None) or later."""
        ...

    def malformed(self, connection: "ClientConnection", status: int, message: str) -> None:
        """Answer what is no request, or none that is taken."""
        ...


class ClientConnection(asyncio.Protocol):
    """See the module's page. `open_` is the set of connections that this one is in while it is open."""

    def __init__(self, handler: Handler, clock: Callable[[], int], open_: "set[ClientConnection]") -> None:
        self._handler, self._clock, self.open_ = handler, clock, open_
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[tuple[Request, bool, bool]] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._target, self.peer = b"", ""
        self._body_bytes = self._head_bytes = self._unparsed_bytes = 0
        self._keep_alive, self._version_1_0, self._refused = True, False, False
        self._bodiless = False
        """Whether only the head of an answer is wanted."""
        self._head = b""
        """The head of an answer that was begun, until its first piece is written."""
        self._continues = False
        """Whether leave to send a body is owed, as soon as the answer before it is written."""
        self._phase = Phase.IDLE
        self._since_ns = clock()
        """When the phase began; in a body, when the last of it came."""
        self.busy = self.begun = False
        self.answering: Answering | None = None

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        if isinstance(transport, asyncio.Transport) or hasattr(transport, "write"):
            self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's by class
            transport.set_write_buffer_limits(high=WRITE_BYTES_HIGH)  # type: ignore[attr-defined]
        self.open_.add(self)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self.open_.discard(self)
        self._transport = None
        self._queue.clear()
        if self.answering is not None:
            answering, self.answering = self.answering, None
            answering.client_left()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self._unparsed_bytes = 0 if self._phase is Phase.IDLE else self._unparsed_bytes + len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._pass_over(data[offer.args[0] :])
        except httptools.HttpParserError as fault:
            self._refuse(400, f"The request is not HTTP/1.1: {fault}")
        if self._phase is Phase.HEAD and self._unparsed_bytes > HEAD_BYTES_MAX:
            self._refuse(431, f"The head has more than {HEAD_BYTES_MAX} bytes.")
        elif self._phase is Phase.BODY:
            self._since_ns = self._clock()

    def _pass_over(self, rest: bytes) -> None:
        """An offer to speak another protocol is not taken (RFC 9110, 7.8): the request is read again without it. `rest`: what
        came behind its head.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            self._refuse(405, "This server is no proxy.")
            return
        closes = b"close" in self._headers.get(b"connection", b"").lower()
        kept = [b"%b: %b\r\n" % line for line in self._headers.items() if line[0] not in _OF_AN_OFFER]
        head = b"%b %b HTTP/1.1\r\n%b%b\r\n" % (
            method, self._target, b"".join(kept), b"connection: close\r\n" if closes else b"",
        )  # fmt: skip
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def pause_writing(self) -> None:
        """More waits to be sent than should."""
        if self.answering is not None:
            self.answering.client_full()

    def resume_writing(self) -> None:
        """What waited has been sent."""
        if self.answering is not None:
            self.answering.client_ready()

    # --- llhttp's side ---

    def on_message_begin(self) -> None:
        """A request begins."""
        self._headers, self._pieces, self._target = {}, [], b""
        self._body_bytes = self._head_bytes = self._unparsed_bytes = 0
        self._phase, self._since_ns = Phase.HEAD, self._clock()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._target += url
        if len(self._target) > HEAD_BYTES_MAX:
            self._refuse(414, f"The target has more than {HEAD_BYTES_MAX} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(431, f"The head has more than {HEAD_BYTES_MAX} bytes.")
            return
        self._headers[name.lower()] = value.rstrip(b" \t")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._phase = Phase.BODY
        if self._parser.should_upgrade():
            return  # it is read again, without the offer
        length = self._headers.get(b"content-length", b"")
        if length and (len(length) > _LENGTH_MAX_DIGITS or int(length) > self._handler.body_bytes_max):
            self._refuse(413, f"The body has {length.decode('ascii', 'replace')} bytes; "
                         f"at most {self._handler.body_bytes_max} are taken.")  # fmt: skip
        elif b"expect" in self._headers:
            self._continues = True
            self._let_go_on()

    def _let_go_on(self) -> None:
        """Give leave to send a body, unless an answer is being written."""
        if self._continues and not self.busy and self._transport is not None:
            self._continues = False
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > self._handler.body_bytes_max:
            self._refuse(413, f"The body has more than {self._handler.body_bytes_max} bytes.")
        elif not self._refused:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._refused or self._parser.should_upgrade():
            return
        self._phase, self._continues = Phase.IDLE, False
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        request = Request(self._parser.get_method(), self._target, self._headers, body, self._clock())
        alone = not self.busy
        if alone:
            self._keep_alive = self._parser.should_keep_alive()
            self._version_1_0 = self._parser.get_http_version() == "1.0"
            self._take(request)
        else:
            old = self._parser.get_http_version() == "1.0"
            self._queue.append((request, self._parser.should_keep_alive(), old))
            if self._transport is not None:
                self._transport.pause_reading()

    # --- the handler's side ---

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._transport is None

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """Write a whole answer. `headers` are whole lines, each with its end; the length is added here."""
        transport = self._transport
        if transport is not None:
            if not self._keep_alive:
                headers += b"connection: close\r\n"
            elif self._version_1_0:
                headers += b"connection: keep-alive\r\n"
            transport.write(
                b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b"
                % (_reason(status), headers, len(body), b"" if self._bodiless else body)
            )
        self._answered()

    def begin(self, status: int, headers: bytes) -> None:
        """The head of an answer whose length is not known; it is written with what `pass_on` or `finish` brings next."""
        self.begun = True
        if self._version_1_0:
            self._keep_alive = False
        if self._transport is not None:
            how = b"" if self._version_1_0 else b"transfer-encoding: chunked\r\n"
            close = b"" if self._keep_alive else b"connection: close\r\n"
            self._head = b"HTTP/1.1 %b\r\n%b%b%b\r\n" % (_reason(status), headers, how, close)

    def pass_on(self, piece: bytes) -> None:
        """Write a piece (not empty) of an answer that was begun."""
        if self._transport is not None:
            head, self._head = self._head, b""
            if self._version_1_0:
                self._transport.write(head + piece)
            else:
                self._transport.write(b"%b%x\r\n%b\r\n" % (head, len(piece), piece))

    def finish(self, piece: bytes = b"") -> None:
        """Write the last piece, if there is one, and the end."""
        if self._transport is not None:
            head, self._head = self._head, b""
            if self._version_1_0:
                self._transport.write(head + piece)
            elif piece:
                self._transport.write(b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(piece), piece))
            else:
                self._transport.write(head + b"0\r\n\r\n")
        self._answered()

    def break_off(self) -> None:
        """End an answer that has begun without its end."""
        self.answering = None
        if self._transport is not None:
            self._transport.close()

    def close_if_idle(self, now_ns: int) -> None:
        """Close a connection that has waited too long for a request, for the rest of a head, or for more of a body."""
        if not self.busy and self._transport is not None:
            within = IDLE_S if self._phase is Phase.IDLE else FIRST_BYTE_S
            if now_ns - self._since_ns > within * 10**9:
                self._transport.close()

    def close_when_answered(self) -> None:
        """No further request is taken: the server is closing."""
        self._keep_alive = False
        if not self.busy and self._transport is not None:
            self._transport.close()

    # --- inside ---

    def _take(self, request: Request) -> None:
        self.busy, self.begun = True, False
        self._bodiless = request.method == b"HEAD"
        try:
            answering = self._handler.handle(self, request)
        except Exception as fault:  # llhttp would take it for a fault of the request
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a request failed", "exception": fault}
            )
            self._keep_alive = False
            self._handler.malformed(self, 500, "The gateway failed.")
            return
        if self.busy:
            self.answering = answering

    def _answered(self) -> None:
        """The answer is written: the next request, or the end."""
        self.busy, self.answering = False, None
        if self._phase is Phase.IDLE:
            self._since_ns = self._clock()
        if self._transport is None:
            return
        if not self._keep_alive:
            self._transport.close()
        elif self._queue:
            request, self._keep_alive, self._version_1_0 = self._queue.popleft()
            if not self._queue:
                self._transport.resume_reading()
            self._take(request)
        else:
            self._let_go_on()

    def _refuse(self, status: int, message: str) -> None:
        """Answer what can't be taken, after what is being answered, and end: what follows on this connection is not read."""
        if self._refused or self._transport is None:
            return
        self._refused, self._keep_alive = True, False
        self._queue.clear()
        if self.busy:
            self._transport.pause_reading()
        else:
            self.busy = True
            self._handler.malformed(self, status, message)


def _reason(status: int) -> bytes:
    return _REASONS.get(status) or b"%d Status" % status
