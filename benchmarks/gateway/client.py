"""A keep-alive client over uvloop that knows when a request was due, when its first byte of body came and when its last.

`python -m benchmarks.gateway.client PORT SECONDS` asks for one stream after the other on one connection (headers in
BENCH_HEADERS, `name: value` a line) and says in one line of JSON how many there were, and the median and 99th percentile of the
time to the first byte in us. The soak uses many of the same connections.
"""

import asyncio
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

import uvloop

from benchmarks.gateway import traffic

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CRLF: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """How one request ended. `status` 0: the connection was closed before the end of the answer."""

    status: int
    due_ns: int
    first_ns: int
    last_ns: int


def request(port: int, headers: Mapping[str, str], *, streamed: bool) -> bytes:
    """The bytes of the benchmark's question to 127.0.0.1."""
    body = traffic.question(streamed=streamed)
    lines = [f"POST {traffic.PATH} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


class Body:
    """Where the body of an answer ends: by its length, or by its last chunk. Bytes may come cut anywhere."""

    def __init__(self, head: bytes) -> None:
        """Of the answer with this head."""
        length = _LENGTH.search(head)
        self._chunked = length is None
        self._left = int(length[1]) if length else 0
        self._line = b""
        self._last = False

    def ended(self, data: bytes) -> bool:
        """Whether the body ends with this piece of it. Raises ValueError for a chunk whose size is no number."""
        if not self._chunked:
            self._left -= len(data)
            return self._left <= 0
        data, at = self._line + data, 0
        self._line = b""
        while True:
            skipped = min(self._left, len(data) - at)
            at += skipped
            self._left -= skipped
            if self._left or at == len(data):
                return self._last and not self._left
            line_end = data.find(_CRLF, at)
            if line_end < 0:
                self._line = data[at:]
                return False
            size = int(data[at:line_end], 16)
            self._last = size == 0
            self._left = size + len(_CRLF)
            at = line_end + len(_CRLF)


class Client(asyncio.Protocol):
    """One connection, one request at a time; `told` hears how it ended."""

    def __init__(self, told: Callable[["Client", Reply], None]) -> None:
        """Whoever is told may ask again at once."""
        self._told = told
        self._asking = False
        self._head = b""
        self._body: Body | None = None
        self._status = self._due_ns = self._first_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The gateway took the connection."""
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, asked: bytes, due_ns: int) -> None:
        """Send a request that was due then (time.monotonic_ns), on an idle connection."""
        self._asking, self._head, self._body = True, b"", None
        self._status = self._first_ns = 0
        self._due_ns = due_ns
        self._transport.write(asked)

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        now_ns = time.monotonic_ns()
        if self._body is None:
            head, found, rest = (self._head + data).partition(b"\r\n\r\n")
            if not found:
                self._head = head
                return
            self._status = int(head[9:12])
            self._body, data = Body(head + _CRLF), rest
        if data and not self._first_ns:
            self._first_ns = now_ns
        if self._asking and self._body.ended(data):
            self._asking = False
            self._told(self, Reply(self._status, self._due_ns, self._first_ns, now_ns))

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed: an answer that was under way is broken."""
        del exc
        if self._asking:
            self._asking = False
            self._told(self, Reply(0, self._due_ns, self._first_ns, time.monotonic_ns()))

    async def close(self) -> None:
        """Close the connection and let the loop see to it; nobody is told."""
        self._asking = False
        self._transport.close()
        await asyncio.sleep(0)


def percentile(ordered: list[int], share: float) -> int:
    """The smallest value that at least this share of the values is not above (nearest rank). Raises IndexError for no values."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


async def first_tokens(port: int, headers: Mapping[str, str], seconds: float) -> dict[str, float]:
    """Streams one after the other for so long: how many, and percentiles of the time to the first byte of body, in us."""
    loop = asyncio.get_running_loop()
    asked = request(port, headers, streamed=True)
    replies: list[Reply] = []
    finished = loop.create_future()
    last_ns = time.monotonic_ns() + int(seconds * 1e9)

    def told(client: Client, reply: Reply) -> None:
        replies.append(reply)
        now_ns = time.monotonic_ns()
        if reply.status == HTTPStatus.OK and now_ns < last_ns:
            client.ask(asked, now_ns)
        else:
            finished.set_result(None)

    _, client = await loop.create_connection(lambda: Client(told), "127.0.0.1", port)
    client.ask(asked, time.monotonic_ns())
    await finished
    await client.close()
    firsts = sorted(
        (reply.first_ns - reply.due_ns) // 1000 for reply in replies if reply.status == HTTPStatus.OK
    )
    return {
        "requests": len(replies),
        "refused": len(replies) - len(firsts),
        "p50_us": percentile(firsts, 0.5) if firsts else 0,
        "p99_us": percentile(firsts, 0.99) if firsts else 0,
    }


def headers_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The headers in BENCH_HEADERS."""
    lines = environment["BENCH_HEADERS"].splitlines()
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(first_tokens(int(sys.argv[1]), headers_of(os.environ), float(sys.argv[2])))))
