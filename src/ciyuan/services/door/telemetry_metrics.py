"""The door's counts as OpenTelemetry metrics: the names, labels and values of the Prometheus page (`counters`), read when they
are to be sent.

| of the page | as |
|---|---|
| counters | observable counters, under the name of their sample (`ciyuan_calls_total`) |
| gauges | observable gauges |
| histograms | histogram points made of the page's buckets, added to what is sent: the SDK has no observable histogram |

A thread of the SDK reads while the event loop counts, so every table is copied at once before it is walked. Histograms heed the
temporality that the environment prefers, as the SDK does for the others.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource

from ciyuan import __version__
from ciyuan.services.compiled import running
from ciyuan.services.door.counters import BUCKETS_MS, LEGS, Counters, Spread
from ciyuan.services.door.telemetry_spans import SCOPE

if TYPE_CHECKING:
    from ciyuan.services.door.door import Door

BOUNDS_S = [border / 1000 for border in BUCKETS_MS]
_Read = Callable[[], Iterable[tuple[Sequence[str], int | float]]]
_OFFER = ("supplier", "model")


class _Exporter(OTLPMetricExporter):
    """Adds the histograms to what the SDK has collected, and sends it."""

    def __init__(self, counters: Counters, door: "Door", endpoint: str) -> None:
        super().__init__(endpoint or None)
        self._counters, self._now_ns = counters, door.now_ns
        self._temporality = (self._preferred_temporality or {}).get(
            HistogramInstrument, AggregationTemporality.CUMULATIVE
        )
        self._since_ns = self._now_ns()
        self._told: dict[tuple[str, tuple[str, str]], tuple[list[int], int]] = {}
        """Where deltas are sent: what was told of each before."""

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: object
    ) -> MetricExportResult:
        """Send what was collected and the histograms."""
        resource, *resources = metrics_data.resource_metrics
        scope, *scopes = resource.scope_metrics
        scope = replace(scope, metrics=[*scope.metrics, *self._histograms()])
        whole = replace(resource, scope_metrics=[scope, *scopes])
        return super().export(MetricsData([whole, *resources]), timeout_millis, **kwargs)

    def _histograms(self) -> list[Metric]:
        now_ns, counters = self._now_ns(), self._counters
        found = []
        for name, words, spreads in (
            ("ciyuan_ttft_seconds", "From sending to the first token of a stream.", counters.ttft),
            ("ciyuan_attempt_seconds", "From sending to the end of an attempt.", counters.took),
        ):
            points = [self._point(name, offer, spread, now_ns) for offer, spread in list(spreads.items())]
            if points:
                found.append(Metric(name, words, "s", Histogram(points, self._temporality)))
        if self._temporality is AggregationTemporality.DELTA:
            self._since_ns = now_ns
        return found

    def _point(self, name: str, offer: tuple[str, str], spread: Spread, now_ns: int) -> HistogramDataPoint:
        counts, total_ns = list(spread.counts), spread.total_ns
        if self._temporality is AggregationTemporality.DELTA:
            before, total_before_ns = self._told.get((name, offer), ([0] * len(counts), 0))
            self._told[name, offer] = counts, total_ns
            counts = [now - then for now, then in zip(counts, before, strict=True)]
            total_ns -= total_before_ns
        return HistogramDataPoint(
            attributes=dict(zip(_OFFER, offer, strict=True)),
            start_time_unix_nano=self._since_ns,
            time_unix_nano=now_ns,
            count=sum(counts),
            sum=total_ns / 1e9,
            bucket_counts=counts,
            explicit_bounds=BOUNDS_S,
            min=None,  # type: ignore[arg-type]  # not known: OTLP has both as optional
            max=None,  # type: ignore[arg-type]
        )


class Metrics:
    """Sends a door's counts to `endpoint` ("": the environment's) by the SDK's clock.

    Raises ValueError for settings of the environment that the SDK does not take.
    """

    def __init__(self, counters: Counters, door: "Door", endpoint: str, resource: Resource) -> None:
        reader = PeriodicExportingMetricReader(_Exporter(counters, door, endpoint))
        self._provider = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._meter = self._provider.get_meter(SCOPE, __version__)
        self._counters(counters)
        what = {"version": __version__, "door": running()}
        self._meter.create_observable_gauge(
            "ciyuan_build_info", [lambda _: [Observation(1, what)]], "1", "What runs."
        )
        host = door.host
        self._counter("ciyuan_journal_rows_total", "{row}", "Rows applied.", (), lambda: [((), host.applied)])
        self._counter("ciyuan_unsettled_total", "{settlement}", "Settlements that the journal did not take.", (),
                      lambda: [((), counters.unsettled)])  # fmt: skip
        self._gauge("ciyuan_calls_in_flight", "{call}", "Calls under way.", lambda: len(door.calls))
        self._gauge("ciyuan_journal_rows_waiting", "{row}", "Rows applied and not yet durable.",
                    lambda: host.applied - host.durable)  # fmt: skip

    def close(self) -> None:
        """Send once more, and end."""
        self._provider.shutdown()

    def _counters(self, counters: Counters) -> None:
        self._counter("ciyuan_calls_total", "{call}", "Calls that ended.", ("protocol", "streamed", "outcome"),
                      lambda: list(counters.calls.items()))  # fmt: skip
        self._counter("ciyuan_refusals_total", "{request}", "Requests turned away.", ("refusal",),
                      lambda: [((name,), count) for name, count in list(counters.refusals.items())])  # fmt: skip
        self._counter("ciyuan_attempts_total", "{attempt}", "Attempts sent to suppliers.", (*_OFFER, "ending"),
                      lambda: list(counters.attempts.items()))  # fmt: skip
        self._counter("ciyuan_alarms_total", "{alarm}", "What endings say against suppliers.", (*_OFFER, "alarm"),
                      lambda: list(counters.alarms.items()))  # fmt: skip
        self._counter("ciyuan_tokens_total", "{token}", "Tokens charged.", (*_OFFER, "leg"),
                      lambda: [((*offer, leg.name.lower()), tokens[place])
                               for offer, tokens in list(counters.tokens.items())
                               for place, leg in enumerate(LEGS)])  # fmt: skip
        self._counter("ciyuan_charged_usd_total", "{USD}", "Money charged, in USD.", _OFFER,
                      lambda: [(offer, micro / 1e6) for offer, micro in list(counters.charged_micro.items())])  # fmt: skip

    def _counter(self, name: str, unit: str, words: str, labels: Sequence[str], read: _Read) -> None:
        def observe(_: CallbackOptions) -> list[Observation]:
            return [Observation(count, dict(zip(labels, values, strict=True))) for values, count in read()]

        self._meter.create_observable_counter(name, [observe], unit, words)

    def _gauge(self, name: str, unit: str, words: str, read: Callable[[], int]) -> None:
        def observe(_: CallbackOptions) -> list[Observation]:
            return [Observation(read())]

        self._meter.create_observable_gauge(name, [observe], unit, words)
