"""Connections to suppliers: a pool for each address, and on each connection one exchange at a time.

| the pool's user is told | when |
|---|---|
| `connected` | a connection was got, and the request is on its way |
| `answer_begins` | the answer's head is there |
| `answer_piece` | a piece of its body: all of it that one read has brought |
| `answer_ends` | it is whole: the connection goes back to the pool |
| `answer_lost` | the connection broke, could not be made, or what came was no HTTP |

Of an exchange exactly one of `answer_ends` and `answer_lost` is told, and nothing after it or after `drop`. A connection that the
supplier closed while it lay idle is not used; one that breaks under a request before anything came, and was used before, says so
(`stale`): the supplier has most likely not seen the request.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import httptools

IDLE_MAX = 256
"""How many idle connections a pool keeps."""
IDLE_S = 50
"""How long one is kept: shorter than the 60 s and more after which servers close theirs."""
HEAD_BYTES_MAX = 256 * 2**10
CONNECT_NS = 5 * 10**9


@dataclass(frozen=True, slots=True)
class Address:
    """Where a supplier listens."""

    host: str
    port: int
    tls: bool


class Exchange(Protocol):
    """Who has a request at a supplier."""

    def connected(self) -> None:
        """The request is on its way."""
        ...

    def answer_begins(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The head, its names in lower case."""
        ...

    def answer_piece(self, piece: bytes) -> None:
        """A piece of the body."""
        ...

    def answer_ends(self) -> None:
        """The body is whole."""
        ...

    def answer_lost(self, why: str, *, stale: bool) -> None:
        """It will not be whole."""
        ...


class SupplierConnection(asyncio.Protocol):
    """One connection. It belongs to the pool, or to one exchange."""

    def __init__(self, pool: "SupplierPool") -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        """What this read has brought of the body."""
        self._head_bytes = 0
        self._used = self.got = self.until_eof = self._in_head = self._keeps = False
        self._unparsed_bytes = 0
        self._ended: Exchange | None = None
        """Whose answer is whole, until what came with it has been read."""
        self.idle_since_ns = 0

    # --- the exchange's side ---

    def send(self, exchange: Exchange, request: bytes) -> None:
        """Send a request; its answer is told to `exchange`."""
        self._exchange, self.got, self.until_eof = exchange, False, False
        self._pieces.clear()
        if self._transport is None:
            self._lose("the connection was closed")
            return
        self._transport.write(request)

    def drop(self) -> None:
        """The answer is not wanted any more: the connection ends, and nothing is told."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_reading():
            self._transport.resume_reading()

    @property
    def usable(self) -> bool:
        """Whether it is open."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """End an idle connection."""
        if self._transport is not None:
            self._transport.close()

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The supplier is there."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's by class

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        if self._exchange is None:
            self.drop()  # nobody asked: what comes now would be taken for the next answer
            return
        self.got = True
        self._unparsed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as fault:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "an answer could not be taken", "exception": fault.__context__ or fault}
            )
            self._lose("it could not be taken")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as fault:
            self._lose(f"its answer is not HTTP/1.1: {fault}")
        if self._pieces and self._exchange is not None:
            self._tell_pieces(self._exchange)
        if self._in_head and self._unparsed_bytes > HEAD_BYTES_MAX:
            self._lose(f"its head has more than {HEAD_BYTES_MAX} bytes")
        if self._ended is not None:
            self._end(self._ended)

    def _tell_pieces(self, exchange: Exchange) -> None:
        """Tell what one read has brought of a body as one piece: the events of a stream that came together go on together."""
        pieces, self._pieces = self._pieces, []
        exchange.answer_piece(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _end(self, exchange: Exchange) -> None:
        """An answer is whole, and all that came with it is read: the connection is free, unless something came behind it."""
        self._ended = None
        if self._keeps and self.usable:
            self.resume()
            self._pool.give_back(self)
        elif self._transport is not None:
            self._transport.close()
        exchange.answer_ends()

    def connection_lost(self, exc: Exception | None) -> None:
        """The supplier has gone."""
        self._transport = None
        self._pool.forget(self)
        if self._exchange is None:
            return
        if self.until_eof and exc is None:
            exchange, self._exchange = self._exchange, None
            exchange.answer_ends()
        else:
            self._lose("the connection broke" if exc is None else f"the connection broke: {exc}")

    # --- llhttp's side ---

    def on_message_begin(self) -> None:
        """An answer begins."""
        self._headers, self._head_bytes, self._unparsed_bytes = {}, 0, 0
        self._in_head = True
        if self._ended is not None:
            self._keeps = False  # something comes behind an answer: nobody asked for it

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes <= HEAD_BYTES_MAX:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        status = self._parser.get_status_code()
        if self._exchange is None or status < 200:
            return
        if self._head_bytes > HEAD_BYTES_MAX:
            self._lose(f"its head has more than {HEAD_BYTES_MAX} bytes")
            return
        headers = self._headers
        self.until_eof = (
            b"content-length" not in headers
            and b"chunked" not in headers.get(b"transfer-encoding", b"").lower()
        )
        self._exchange.answer_begins(status, headers)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._exchange is not None:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._exchange is not None and self._pieces:
            self._tell_pieces(self._exchange)
        if self._parser.get_status_code() < 200 or self._exchange is None:
            return
        self._ended, self._exchange = self._exchange, None
        self._used, self._keeps = True, self._parser.should_keep_alive()

    def _lose(self, why: str) -> None:
        if self._pieces and self._exchange is not None:
            self._tell_pieces(self._exchange)
        exchange, self._exchange = self._exchange, None
        if self._transport is not None:
            self._transport.abort()
        if exchange is not None:
            exchange.answer_lost(why, stale=self._used and not self.got)


class SupplierPool:
    """The connections to one address."""

    def __init__(
        self,
        address: Address,
        clock: Callable[[], int],
        tls: ssl.SSLContext | None = None,
        connect_ns: int = CONNECT_NS,
    ) -> None:
        self.address = address
        self._connect_s = connect_ns / 1e9
        self._tls = (tls or ssl.create_default_context()) if address.tls else None
        self._clock = clock
        self._idle: list[SupplierConnection] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def send(
        self,
        exchange: Exchange,
        request: bytes,
        taken: Callable[[SupplierConnection], None],
        *,
        fresh: bool = False,
    ) -> None:
        """Send a request on an idle connection, or a new one (`fresh`: only that); `taken` is told which, once there is one."""
        idle = self._idle
        while idle and not fresh:
            connection = idle.pop()
            if connection.usable:
                taken(connection)
                connection.send(exchange, request)
                exchange.connected()
                return
        task = asyncio.get_running_loop().create_task(self._connect(exchange, request, taken))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(
        self, exchange: Exchange, request: bytes, taken: Callable[[SupplierConnection], None]
    ) -> None:
        host, port = self.address.host, self.address.port
        loop = asyncio.get_running_loop()
        connecting = loop.create_connection(
            lambda: SupplierConnection(self),
            host,
            port,
            ssl=self._tls,
            server_hostname=host if self._tls else None,
        )
        try:
            _, connection = await asyncio.wait_for(connecting, self._connect_s)
        except Exception as fault:  # of the system, of TLS, or of a name that is none
            why = str(fault) or f"nothing in {self._connect_s:g} s"
            exchange.answer_lost(f"no connection to {host}:{port}: {why}", stale=False)
            return
        taken(connection)
        connection.send(exchange, request)
        exchange.connected()

    def give_back(self, connection: SupplierConnection) -> None:
        """A connection is idle again."""
        connection.idle_since_ns = self._clock()
        if len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    def forget(self, connection: SupplierConnection) -> None:
        """A connection is gone."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close_idle(self, now_ns: int) -> None:
        """Close what has lain idle too long."""
        for connection in [each for each in self._idle if now_ns - each.idle_since_ns > IDLE_S * 10**9]:
            connection.close()

    def close(self) -> None:
        """Close what is idle, and make no more."""
        for connection in self._idle:
            connection.close()
        for task in self._tasks:
            task.cancel()
