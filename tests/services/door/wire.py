"""A connection's two ends without a socket: a transport that keeps what is written, and a handler that keeps what is asked."""

import asyncio
from collections.abc import Callable

from ciyuan.services.door.client_connection import ClientConnection, Request
from tests.services.door.till import Clock

OK = b"content-type: text/plain\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written. What was closed takes nothing more, and tells its protocol in the loop's place when asked to."""

    def __init__(self, peer: object = ("192.0.2.7", 4711)) -> None:
        super().__init__({"peername": peer})
        self.written = bytearray()
        self.closed = self.aborted = False
        self.reading = True
        self.high: int | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "written after the end"
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high


class Waiting:
    """Someone who answers later."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def client_left(self) -> None:
        self.heard.append("left")

    def client_full(self) -> None:
        self.heard.append("full")

    def client_ready(self) -> None:
        self.heard.append("ready")


class Asked:
    """A handler: answers each request with its body at once, or later (`later`), or as `answers` does."""

    def __init__(self, body_bytes_max: int = 1_000) -> None:
        self.body_bytes_max = body_bytes_max
        self.requests: list[Request] = []
        self.problems: list[tuple[int, str]] = []
        self.later: Waiting | None = None
        self.answers: Callable[[ClientConnection, Request], None] | None = None

    def handle(self, connection: ClientConnection, request: Request) -> Waiting | None:
        self.requests.append(request)
        if self.later is not None:
            return self.later
        if self.answers is not None:
            self.answers(connection, request)
        else:
            connection.respond(200, OK, request.body)
        return None

    def malformed(self, connection: ClientConnection, status: int, message: str) -> None:
        self.problems.append((status, message))
        connection.respond(status, OK, b"no")


class Wire:
    """A client's connection, open, with its handler, its transport and a clock."""

    def __init__(self, handler: Asked | None = None, clock: Clock | None = None) -> None:
        self.handler, self.clock = handler or Asked(), clock or Clock()
        self.open: set[ClientConnection] = set()
        self.transport = Transport()
        self.connection = ClientConnection(self.handler, self.clock, self.open)
        self.connection.connection_made(self.transport)

    def feed(self, data: bytes) -> bytes:
        """Bytes in; what is written by then."""
        if not self.transport.closed:
            self.connection.data_received(data)
        return self.written

    def lose(self) -> None:
        self.connection.connection_lost(None)

    @property
    def written(self) -> bytes:
        return bytes(self.transport.written)

    @property
    def statuses(self) -> list[int]:
        """The statuses of the answers, in order."""
        return [int(head.split(b" ", 1)[0]) for head in self.written.split(b"HTTP/1.1 ")[1:]]


def request_bytes(body: bytes = b"", path: str = "/x", version: str = "1.1", *lines: str) -> bytes:
    head = "".join(
        f"{line}\r\n"
        for line in (f"POST {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *lines)
    )
    return head.encode() + b"\r\n" + body
