"""OpenTelemetry, for who asks for it: the door's counts as metrics, its calls as traces, sent by OTLP over HTTP.

    telemetry = Telemetry(counters, door)          # or with an endpoint of its own
    telemetry.start()                              # on the event loop's thread; raises Malformed for settings that cannot be
    await telemetry.stop()                         # sends what waits, for `STOP_S` at most

| signal | what | see |
|---|---|---|
| metrics | what the Prometheus page shows, under the same names and labels, read from the same counts | `telemetry_metrics` |
| traces | a span a call, under it a span each attempt that was sent | `telemetry_spans` |

Theory of operation. Nothing is done on the way of an answer: a call that has ended is put in a queue (one append), and in later
turns of the event loop its spans are made, at most `SPANS_A_TURN` calls in one turn, from what the call itself has noted down.
The SDK's own threads send them. Where they are behind, the SDK's queue drops the oldest; where the loop is behind, calls beyond
`WAITING_MAX` are dropped and counted (`dropped`). Nothing that is owed depends on it: the books are the journal's.

The environment's variables of the OpenTelemetry specification hold: OTEL_EXPORTER_OTLP_* (endpoint, headers, timeout,
compression, certificates, temporality), OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_METRIC_EXPORT_*, OTEL_RESOURCE_ATTRIBUTES,
OTEL_SERVICE_NAME; OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER may be `otlp` or `none`. The packages are the extra `otel`, and
are imported by `start`.

Invariant: no text of a request or an answer, no key and no person is in what is sent.
"""

import asyncio
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ciyuan.basics.errors import Malformed

if TYPE_CHECKING:
    from ciyuan.services.door.call import Call
    from ciyuan.services.door.counters import Counters
    from ciyuan.services.door.door import Door
    from ciyuan.services.door.telemetry_metrics import Metrics
    from ciyuan.services.door.telemetry_spans import Spans

SPANS_A_TURN = 8
"""Calls whose spans are made in one turn of the loop: 50 us for two spans of the SDK 1.45 on a 2.5 GHz core, so 0.4 ms a turn."""
WAITING_MAX = 1_024
"""Calls that wait for their spans to be made."""
STOP_S = 5.0
"""How long `stop` waits for the collector: one that is down must not hold up the end of the gateway."""
_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_PROTOCOLS = (
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
)
_SPOKEN = "http/protobuf"
_OTEL = "opentelemetry"


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """Whether an environment asks for telemetry: it names a collector, and does not switch the SDK off."""
    switched_off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not switched_off and any(environ.get(name, "").strip() for name in _ENDPOINTS)


class Telemetry:
    """Metrics and traces of one door. `endpoint` is the collector's base URL, "" for what the environment says; `share` of the
    calls without a parent (0 to 1) is traced, None for what the environment says; `process` tells processes apart.

    Raises Malformed for settings that cannot be: a protocol, an exporter or an address that is not spoken here.
    """

    def __init__(
        self,
        counters: "Counters",
        door: "Door",
        *,
        endpoint: str = "",
        share: float | None = None,
        process: int = 0,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._counters, self._door = counters, door
        self._endpoint, self._share, self._process = endpoint.rstrip("/"), share, process
        self.traces = _sends("OTEL_TRACES_EXPORTER", environ)
        """Whether spans are made: then suppliers are to be told of ours (`trace_context.passed_on`)."""
        self.metrics = _sends("OTEL_METRICS_EXPORTER", environ)
        self.dropped = 0
        """Calls that have no spans, because too many waited."""
        _check(self._endpoint, environ)
        self._waiting: deque[tuple[Call, int, bool]] = deque()
        self._due = False
        self._spans: Spans | None = None
        self._metrics: Metrics | None = None

    def start(self) -> None:
        """Begin to send. Raises Malformed where the packages are not installed, or the SDK does not take its settings."""
        try:
            from ciyuan.services.door.telemetry_metrics import Metrics
            from ciyuan.services.door.telemetry_spans import Spans, resource_of
        except ModuleNotFoundError as fault:
            if (fault.name or "").split(".")[0] != _OTEL:
                raise
            raise Malformed("telemetry", found=f"no package {fault.name}", expected="the packages of the extra otel",
                            remedy="pip install 'ciyuan[otel]'") from fault  # fmt: skip
        try:
            resource = resource_of(self._process)
            if self.metrics:
                self._metrics = Metrics(self._counters, self._door, self._url("metrics"), resource)
            if self.traces:
                self._spans = Spans(self._url("traces"), self._share, resource)
        except ValueError as fault:
            raise Malformed("telemetry", found=str(fault)[:200], expected="settings that the OpenTelemetry SDK takes",
                            remedy="Mend the variable OTEL_... that it speaks of.") from fault  # fmt: skip
        if self._spans is not None:
            self._door.on_call.append(self._ended)
            self._door.keeps_calls = True

    async def stop(self) -> bool:
        """Send what waits and end; whether all of it was taken in time. The second time does nothing."""
        spans, metrics, self._spans, self._metrics = self._spans, self._metrics, None, None
        if spans is not None:
            self._door.on_call.remove(self._ended)
            self._door.keeps_calls = False
            self._make(spans, len(self._waiting))
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def close() -> None:
            for each in (spans, metrics):
                if each is not None:
                    each.close()
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        Thread(target=close, name="telemetry", daemon=True).start()
        try:
            await asyncio.wait_for(ended.wait(), STOP_S)
        except TimeoutError:
            return False
        return True

    def _url(self, signal: str) -> str:
        """Where a signal goes; "" for what the environment says."""
        return f"{self._endpoint}/v1/{signal}" if self._endpoint else ""

    # --- calls ---

    def _ended(self, call: "Call") -> None:
        """A call has ended. What the connection says of it holds only now."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        self._waiting.append((call, self._door.now_ns(), call.connection.begun))
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._due = False
        if self._spans is not None:
            self._make(self._spans, SPANS_A_TURN)
        if self._waiting:
            self._due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _make(self, spans: "Spans", most: int) -> None:
        """Make the spans of some calls that wait. What fails in it fails alone."""
        for _ in range(min(most, len(self._waiting))):
            call, ended_ns, begun = self._waiting.popleft()
            try:
                spans.trace(call, ended_ns, begun=begun)
            except Exception as fault:
                self._door.report(fault, "the spans of a call could not be made")


def _sends(name: str, environ: Mapping[str, str]) -> bool:
    said = environ.get(name, "").strip().lower() or "otlp"
    if said not in {"otlp", "none"}:
        raise Malformed(
            name,
            found=said,
            expected="otlp or none",
            remedy="Send OTLP to a collector, which speaks the rest.",
        )
    return said == "otlp"


def _check(endpoint: str, environ: Mapping[str, str]) -> None:
    for name in _PROTOCOLS:
        said = environ.get(name, "").strip() or _SPOKEN
        if said != _SPOKEN:
            raise Malformed(
                name, found=said, expected=_SPOKEN, remedy="Use the collector's HTTP port, mostly 4318."
            )
    for name, url in (
        ("telemetry's endpoint", endpoint),
        *((name, environ.get(name, "")) for name in _ENDPOINTS),
    ):
        parts = urlsplit(url.strip())
        if url.strip() and not (parts.scheme in {"http", "https"} and parts.hostname):
            raise Malformed(name, found=url, expected="http://HOST:PORT or https://...",
                            remedy="Name the collector's HTTP address.")  # fmt: skip
