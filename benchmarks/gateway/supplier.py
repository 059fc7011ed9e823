"""A supplier of tokens for the benchmark: `python -m benchmarks.gateway.supplier PORT`, uvloop, from memory.

| request | answer |
|---|---|
| POST, body without `"stream":true` | the answer of `traffic`, whole |
| POST, body with it | its events, chunked: one write each, one turn of the loop between two, or a gap if one was set |
| GET /count | how many POSTs were answered, as digits |
| GET /gap/N | N milliseconds between two events from now on; 0: a turn of the loop |
| GET /v1/models | the one model |

One write each, because a model's tokens come one by one: were all events written in one turn, uvloop would send them in one
segment, and a stream would cost whoever is in between hardly more than a whole answer.
Bodies come with a Content-Length or chunked; requests may be pipelined and cut anywhere.
"""

import asyncio
import re
import sys
from typing import Final, cast

import uvloop

from benchmarks.gateway import traffic

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_STREAMED = re.compile(rb'"stream":[ \t]*true')
_OK: Final = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b"
_MALFORMED: Final = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def whole(body: bytes, kind: bytes = b"application/json") -> bytes:
    """A 200 answer with this body."""
    return _OK % (kind, len(body), body)


def stream() -> list[bytes]:
    """What is written for a streamed answer: the head with the first event, one chunk an event, the last with the end."""
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in traffic.events()]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n"]


def request_end(data: bytes) -> int:
    """Where the first request in `data` ends, 0 if it is not all there. Raises ValueError for chunks that are none."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return 0
    at = head_end + 4
    if _CHUNKED.search(data, 0, head_end):
        while (line_end := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:line_end], 16)
            at = line_end + 2 + size + 2
            if size == 0:
                return at if at <= len(data) else 0
        return 0
    length = _LENGTH.search(data, 0, head_end)
    end = at + (int(length[1]) if length else 0)
    return end if end <= len(data) else 0


class Desk:
    """What all connections share: the ready answers, the count and the gap in seconds."""

    def __init__(self) -> None:
        """No POST answered yet, no gap."""
        self.answer = whole(traffic.answer())
        self.stream = stream()
        self.answered = 0
        self.gap_s = 0.0

    def told(self, path: bytes) -> bytes:
        """The answer to a GET."""
        if path == b"/count":
            return whole(b"%d" % self.answered, b"text/plain")
        if path.startswith(b"/gap/"):
            self.gap_s = int(path.removeprefix(b"/gap/")) / 1000
            return whole(b"", b"text/plain")
        listed = {"object": "list", "data": [{"id": traffic.MODEL, "object": "model", "owned_by": "bench"}]}
        return whole(traffic.dumped(listed))


class Connection(asyncio.Protocol):
    """One client. A request that comes while a stream is being written waits for its end."""

    def __init__(self, desk: Desk) -> None:
        """Of this desk."""
        self._desk = desk
        self._data = b""
        self._event = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        self._data = self._data + data if self._data else data
        self._serve()

    def _serve(self) -> None:
        while self._data and self._event < 0:
            try:
                end = request_end(self._data)
            except ValueError:
                self._transport.write(_MALFORMED)
                self._transport.close()
                return
            if not end:
                return
            request, self._data = self._data[:end], self._data[end:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        desk = self._desk
        if not request.startswith(b"POST "):
            self._transport.write(desk.told(request.split(b" ", 2)[1]))
            return
        desk.answered += 1
        if _STREAMED.search(request):
            self._event = 0
            self._write_event()
        else:
            self._transport.write(desk.answer)

    def _write_event(self) -> None:
        if self._transport.is_closing():
            return
        events = self._desk.stream
        self._transport.write(events[self._event])
        self._event += 1
        if self._event == len(events):
            self._event = -1
            self._serve()
        elif self._desk.gap_s:
            self._loop.call_later(self._desk.gap_s, self._write_event)
        else:
            self._loop.call_soon(self._write_event)


async def serve(port: int) -> None:
    """Serve on this port of 127.0.0.1 until the process is ended."""
    desk = Desk()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(desk), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
