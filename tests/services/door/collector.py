"""A collector to test against: takes OTLP over HTTP in a thread of its own, and keeps what it was sent, as messages."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def plain(value):
    """An attribute's value as Python's own."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    return getattr(value, kind)


def attributes(thing) -> dict:
    return {each.key: plain(each.value) for each in thing.attributes}


def texts_in(message) -> list[str]:
    """Every text in a message, however deep; numbers and ids are none."""
    found = []
    for _, value in message.ListFields():
        for each in value if hasattr(value, "__len__") and not isinstance(value, str | bytes) else [value]:
            if isinstance(each, str):
                found.append(each)
            elif hasattr(each, "ListFields"):
                found += texts_in(each)
    return found


class Collector:
    """Keeps bodies by path. While `gate` is there and not set, requests wait at it; `status` is what they are answered."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {}
        self.headers: list[dict[str, str]] = []
        self.gate: threading.Event | None = None
        self.status = 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if collector.gate is not None:
                    collector.gate.wait()
                collector.bodies.setdefault(self.path, []).append(body)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing is said."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def resources(self) -> list[dict]:
        sent = [ExportTraceServiceRequest.FromString(body) for body in self.bodies.get("/v1/traces", ())]
        return [attributes(each.resource) for request in sent for each in request.resource_spans]

    @property
    def spans(self) -> list:
        """Every span, a call's before its attempts', in the order in which they began."""
        sent = [ExportTraceServiceRequest.FromString(body) for body in self.bodies.get("/v1/traces", ())]
        found = [span for request in sent for resource in request.resource_spans for scope in resource.scope_spans
                 for span in scope.spans]  # fmt: skip
        return sorted(found, key=lambda span: (span.start_time_unix_nano, span.kind))

    @property
    def texts(self) -> str:
        """All texts of all that was sent."""
        sent = [ExportTraceServiceRequest.FromString(body) for body in self.bodies.get("/v1/traces", ())]
        read = [ExportMetricsServiceRequest.FromString(body) for body in self.bodies.get("/v1/metrics", ())]
        return "\n".join(text for message in (*sent, *read) for text in texts_in(message))

    @property
    def metrics(self) -> dict:
        """The metrics of the last request, by name."""
        sent = ExportMetricsServiceRequest.FromString(self.bodies["/v1/metrics"][-1])
        return {metric.name: metric for resource in sent.resource_metrics for scope in resource.scope_metrics
                for metric in scope.metrics}  # fmt: skip

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.gate is not None:
            self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
