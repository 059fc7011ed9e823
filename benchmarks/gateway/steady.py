"""A steady load: `python -m benchmarks.gateway.steady PORT RATE SECONDS` (headers in BENCH_HEADERS), one line of JSON a window.

Requests become due at fixed intervals whatever the gateway does (an open loop), and a latency counts from when its request was
due, not from when it was sent: a gateway that stands still for a second shows in the percentiles of all that was due meanwhile.
One request in STREAM_EVERY is streamed. A connection that breaks is opened anew; what was under way on it counts as broken.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import uvloop

from benchmarks.gateway.client import Client, Reply, headers_of, request

STREAM_EVERY: Final = 10
CONNECTIONS: Final = 64
WINDOW_S: Final = 10.0
_TICK_S: Final = 0.001
_KEPT_BITS: Final = 7
_DRAIN_S: Final = 30.0


@dataclass(slots=True)
class Window:
    """What ended within one window. Latencies are kept to 1.6 % (7 leading bits): a window needs little memory."""

    answered: int = 0
    refused: int = 0
    broken: int = 0
    latencies_us: Counter[int] = field(default_factory=Counter)

    def add(self, reply: Reply) -> None:
        """Count one."""
        if reply.status == HTTPStatus.OK:
            self.answered += 1
            latency_us = (reply.last_ns - reply.due_ns) // 1000
            cut = max(0, latency_us.bit_length() - _KEPT_BITS)
            self.latencies_us[latency_us >> cut << cut] += 1
        elif reply.status:
            self.refused += 1
        else:
            self.broken += 1

    def percentile_us(self, share: float) -> int:
        """The smallest latency that at least this share of the answers is not above; 0 if there are none."""
        left = share * self.answered
        for latency_us, count in sorted(self.latencies_us.items()):
            left -= count
            if left <= 0:
                return latency_us
        return 0

    def as_json(self) -> dict[str, int]:
        """What the program says of a window."""
        return {
            "answered": self.answered,
            "refused": self.refused,
            "broken": self.broken,
            "p50_us": self.percentile_us(0.5),
            "p99_us": self.percentile_us(0.99),
            "max_us": max(self.latencies_us, default=0),
        }


class Steady:
    """The load on one gateway."""

    def __init__(self, port: int, headers: Mapping[str, str], rate: float) -> None:
        """`rate` requests a second, from CONNECTIONS connections at most."""
        self._port = port
        self._asked = tuple(request(port, headers, streamed=streamed) for streamed in (False, True))
        self._interval_ns = int(1e9 / rate)
        self._idle: list[Client] = []
        self._connecting: set[asyncio.Future[None]] = set()
        self._open = 0
        self._due: deque[tuple[bytes, int]] = deque()
        self._number = 0
        self.window = Window()

    async def played(self, seconds: float) -> None:
        """Play it, saying a line at the end of each window, then wait for what is under way (its end is told in the last)."""
        start_ns = time.monotonic_ns()
        last_ns, window_ns = start_ns + int(seconds * 1e9), start_ns + int(WINDOW_S * 1e9)
        next_ns = start_ns
        while (now_ns := time.monotonic_ns()) < last_ns:
            while next_ns <= now_ns:
                self._number += 1
                self._due.append((self._asked[self._number % STREAM_EVERY == 0], next_ns))
                next_ns += self._interval_ns
            self._send()
            if now_ns >= window_ns:
                self._say()
                window_ns += int(WINDOW_S * 1e9)
            await asyncio.sleep(_TICK_S)
        drained_ns = last_ns + int(_DRAIN_S * 1e9)
        while (self._due or self._open > len(self._idle)) and time.monotonic_ns() < drained_ns:
            self._send()
            await asyncio.sleep(_TICK_S)
        self._say()
        for client in self._idle:
            await client.close()

    def _send(self) -> None:
        while self._due and self._idle:
            asked, due_ns = self._due.popleft()
            self._idle.pop().ask(asked, due_ns)
        wanted = min(len(self._due), CONNECTIONS - self._open) - len(self._connecting)
        for _ in range(wanted):
            opened = asyncio.ensure_future(self._connect())
            self._connecting.add(opened)
            opened.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        try:
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: Client(self._told), "127.0.0.1", self._port
            )
        except OSError:
            self.window.broken += 1
        else:
            self._open += 1
            self._idle.append(client)

    def _told(self, client: Client, reply: Reply) -> None:
        self.window.add(reply)
        if reply.status:
            self._idle.append(client)
        else:
            self._open -= 1

    def _say(self) -> None:
        print(json.dumps(self.window.as_json()), flush=True)
        self.window = Window()


if __name__ == "__main__":
    load = Steady(int(sys.argv[1]), headers_of(os.environ), float(sys.argv[2]))
    uvloop.run(load.played(float(sys.argv[3])))
