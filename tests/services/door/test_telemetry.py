"""OpenTelemetry at the door, against a collector that takes what is sent: spans, the page's metrics, settings, endings."""

import asyncio
import subprocess
import sys
import threading

import pytest
from opentelemetry.sdk.metrics.export import AggregationTemporality, Histogram, HistogramDataPoint
from prometheus_client.parser import text_string_to_metric_families

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.door_refusals import WORDS, DoorRefusal
from ciyuan.gateway.firewall import Firewall
from ciyuan.gateway.route_offers import Tier
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.services.catalog_firewall import firewall_rules
from ciyuan.services.door import telemetry as module
from ciyuan.services.door.counters import BUCKETS_MS, Counters
from ciyuan.services.door.firewall_desk import FirewallDesk
from ciyuan.services.door.telemetry import Telemetry, is_asked_for
from ciyuan.services.door.telemetry_metrics import _Exporter
from tests.services.door.collector import Collector, attributes
from tests.services.door.mock_supplier import TOKENS_IN
from tests.services.door.stand import Stand
from tests.services.door.till import SUPPLIER

SERVER, CLIENT, ERROR = 2, 3, 2
"""OTLP's numbers of two kinds of span, and of a status."""
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
OFTEN = 3_600_000


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """What the tester's own environment asks for is not asked for here; and only what is stopped is sent."""
    for name in module._ENDPOINTS + module._PROTOCOLS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", str(OFTEN))
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", str(OFTEN))


@pytest.fixture
def collector():
    with Collector() as made:
        yield made


def played(tmp_path, collector, scene, *, share=None, endpoint=None, **terms):
    """A scene at a door that is watched, and then what the collector has; whether all was sent."""

    async def play():
        async with Stand(tmp_path, **terms) as stand:
            counters = Counters(stand.door)
            url = collector.url if endpoint is None else endpoint
            telemetry = Telemetry(counters, stand.door, endpoint=url, share=share, process=3)
            telemetry.start()
            await scene(stand)
            await stand.settled()
            sent = await telemetry.stop()
            return sent, counters.page().decode(), stand

    return asyncio.run(play())


# --- traces ---


def test_a_call_is_a_span_and_its_attempt_one_under_it(tmp_path, collector):
    shown = {}

    async def scene(stand):
        _, headers, _ = await stand.post(
            "/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 8}, PARENT
        )  # fmt: skip
        shown.update(headers)

    sent, _, stand = played(tmp_path, collector, scene)
    assert sent
    call, attempt = collector.spans
    made = stand.attempts[0]
    assert (call.name, call.kind, call.trace_id.hex(), call.parent_span_id.hex()) == (
        "POST /v1/chat/completions", SERVER, TRACE, SPAN,
    )  # fmt: skip
    assert (attempt.name, attempt.kind, attempt.trace_id, attempt.parent_span_id) == (
        "chat m", CLIENT, call.trace_id, call.span_id,
    )  # fmt: skip
    assert int.from_bytes(attempt.span_id) == made.request
    assert call.start_time_unix_nano == stand.calls[0].request.received_ns
    assert (attempt.start_time_unix_nano, attempt.end_time_unix_nano) == (made.sent_ns, made.ended_ns)
    assert call.start_time_unix_nano <= made.sent_ns <= made.ended_ns <= call.end_time_unix_nano
    assert attributes(call) == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "ciyuan.request.id": shown["x-request-id"],
        "ciyuan.attempts": 1,
    }
    assert attributes(attempt) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "supplier 2",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 8,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": TOKENS_IN,
        "gen_ai.usage.output_tokens": 8,
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": stand.suppliers[SUPPLIER].port,
        "ciyuan.request.key": stand.suppliers[SUPPLIER].requests[0][1]["x-request-id"],
        "ciyuan.ending": "complete",
        "ciyuan.charge": "claimed",
        "ciyuan.charged_micro_usd": made.charged_micro,
    }
    assert call.status.code == attempt.status.code == 0


def test_a_stream_says_when_its_first_token_came(tmp_path, collector):
    async def scene(stand):
        assert (await stand.chat(stream=True))[0] == 200

    _, _, stand = played(tmp_path, collector, scene)
    call, attempt = (attributes(span) for span in collector.spans)
    made = stand.attempts[0]
    assert call["gen_ai.request.stream"] is attempt["gen_ai.request.stream"] is True
    first_s = attempt["gen_ai.response.time_to_first_chunk"]
    assert first_s == (made.first_ns - made.sent_ns) / 1e9 > 0


@pytest.mark.parametrize("header", [{}, {"traceparent": "00-what-it-says-01"}], ids=["none", "unreadable"])
def test_without_a_parent_each_call_begins_a_trace(tmp_path, collector, header):
    async def scene(stand):
        for _ in range(2):
            body = {"model": "m", "input": "x"}
            assert (await stand.post("/v1/embeddings", body, header))[0] == 200

    played(tmp_path, collector, scene)
    calls = [span for span in collector.spans if span.kind == SERVER]
    assert [span.parent_span_id for span in calls] == [b"", b""]
    assert len({span.trace_id for span in collector.spans}) == 2
    assert {span.name for span in collector.spans} == {"POST /v1/embeddings", "embeddings m"}


@pytest.mark.parametrize(
    ("flags", "share", "spans"),
    [("00", None, 0), ("01", None, 2), ("00", 1.0, 0), ("01", 0.0, 2), ("", 0.0, 0), ("", 1.0, 2)],
)
def test_a_parent_says_whether_it_is_traced_and_a_share_does_for_the_rest(
    tmp_path, collector, flags, share, spans
):
    async def scene(stand):
        header = {"traceparent": f"00-{TRACE}-{SPAN}-{flags}"} if flags else {}
        assert (await stand.post("/v1/embeddings", {"model": "m", "input": "x"}, header))[0] == 200

    played(tmp_path, collector, scene, share=share)
    assert len(collector.spans) == spans


def test_suppliers_that_fail_are_spans_that_say_so(tmp_path, collector):
    model = "m:status=500"

    async def scene(stand):
        assert (await stand.chat(model))[0] == 502

    played(tmp_path, collector, scene, models=[model])
    call, *attempts = collector.spans
    assert [attributes(span)["gen_ai.provider.name"] for span in attempts] == ["supplier 2", "supplier 3"]
    for span in attempts:
        found = attributes(span)
        assert (span.status.code, found["error.type"], found["http.response.status_code"]) == (
            ERROR,
            "failed",
            500,
        )
        assert (found["ciyuan.charge"], found["ciyuan.alarm"]) == ("void", "supplier_failed")
        assert "gen_ai.usage.input_tokens" not in found
    found = attributes(call)
    assert (call.status.code, found["http.response.status_code"], found["ciyuan.attempts"]) == (ERROR, 502, 2)
    assert found["error.type"] == "supplier_failed"


def test_a_stream_that_breaks_was_a_200_and_failed(tmp_path, collector):
    model = "m:cut=3"

    async def scene(stand):
        assert (await stand.chat(model, stream=True))[0] == 200

    played(tmp_path, collector, scene, models=[model])
    call, attempt = collector.spans
    assert attributes(call)["http.response.status_code"] == 200
    assert attributes(call)["error.type"] == attributes(attempt)["ciyuan.ending"] == "cut_mid_stream"
    assert attributes(attempt)["gen_ai.usage.output_tokens"] > 0


def test_what_a_client_is_refused_is_no_fault_of_the_door_and_names_no_model_it_made_up(tmp_path, collector):
    async def scene(stand):
        assert (await stand.chat("my secret plan"))[0] == 404
        assert (await stand.chat(max_tokens=1000))[0] == 402

    played(tmp_path, collector, scene, balance_micro=1_000)
    unknown, poor = (attributes(span) for span in collector.spans)
    assert (unknown["http.response.status_code"], unknown["ciyuan.refusal"]) == (404, "model_unknown")
    assert "gen_ai.request.model" not in unknown
    assert (poor["http.response.status_code"], poor["ciyuan.refusal"], poor["ciyuan.attempts"]) == (
        402,
        "balance_spent",
        0,
    )
    assert [span.status.code for span in collector.spans] == [0, 0]


def test_an_answer_that_the_firewall_stops_is_shown_as_the_refusal_that_it_was(tmp_path, collector):
    model = "m:text=Falcon"

    async def scene(stand):
        firewall = Firewall(firewall_rules(), b"k" * 32, words=("Falcon",))
        stand.door.firewall = FirewallDesk(firewall, lambda *_: None)
        assert (await stand.chat(model))[0] == WORDS[DoorRefusal.CONTENT_BLOCKED].status

    played(tmp_path, collector, scene, models=[model])
    call, attempt = (attributes(span) for span in collector.spans)
    assert call["http.response.status_code"] == WORDS[DoorRefusal.CONTENT_BLOCKED].status
    assert (call["ciyuan.refusal"], attempt["http.response.status_code"]) == ("content_blocked", 200)
    assert attempt["ciyuan.charge"] == "claimed"


def test_a_client_that_left_is_said_so(tmp_path, collector):
    model = "m:wait=30"

    async def scene(stand):
        task = asyncio.create_task(stand.chat(model))
        while not stand.suppliers[SUPPLIER].begun:
            await asyncio.sleep(0.001)
        task.cancel()

    played(tmp_path, collector, scene, models=[model])
    call, attempt = collector.spans
    found = attributes(call)
    assert found["ciyuan.client_left"] is True
    assert "http.response.status_code" not in found
    assert "error.type" not in found
    assert attributes(attempt)["ciyuan.charge"] == "claimed"


def test_of_a_hedge_both_attempts_are_there_and_one_is_charged(tmp_path, collector):
    policy = RoutePolicy(hedge_tiers=frozenset({Tier.ANY}), hedge_bp=10_000)

    async def scene(stand):
        for _ in range(25):
            await stand.chat(stream=True)
        stand.suppliers[SUPPLIER].slow_ms = 400
        assert (await stand.chat(stream=True))[0] == 200

    played(tmp_path, collector, scene, policy=policy)
    last = [span for span in collector.spans if span.kind == SERVER][-1]
    found = [attributes(span) for span in collector.spans if span.parent_span_id == last.span_id]
    assert [each["ciyuan.charge"] for each in found] == ["void", "claimed"]
    assert attributes(last)["ciyuan.attempts"] == 2


def test_no_text_no_key_and_no_person_is_sent(tmp_path, collector):
    spoken = ["Say one", "tell nobody", "one two three", "end user 7"]

    async def scene(stand):
        headers = {
            **PARENT,
            "tracestate": "vendor=zoe",
            "x-ciyuan-app": "nightly",
            "user-agent": "curl of zoe",
        }
        body = {"model": "m", "messages": [{"role": "user", "content": "tell nobody"}], "user": "end user 7",
                "metadata": {"who": "zoe"}, "max_tokens": 8}  # fmt: skip
        assert (await stand.post("/v1/chat/completions?token=zoe", body, headers))[0] == 200
        assert (await stand.chat(stream=True))[0] == 200
        spoken.append(stand.secret)

    played(tmp_path, collector, scene)
    whole = collector.texts
    assert "gen_ai.request.model" in whole
    assert "ciyuan_calls_total" in whole
    assert len(collector.spans) == 4
    for text in [*spoken, "sk-supplier", "acme", "research", "ada", "laptop", "nightly", "zoe"]:
        assert text not in whole, text


# --- the making of spans ---


def test_a_call_whose_spans_cannot_be_made_is_reported_and_the_next_is_traced(tmp_path, collector):
    heard = []

    async def scene(stand):
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context["message"]))
        assert (await stand.chat())[0] == 200
        call = stand.calls[0]
        stand.door.on_call[-1](type("Broken", (), {"connection": call.connection})())
        assert (await stand.chat())[0] == 200

    played(tmp_path, collector, scene)
    assert heard == ["the spans of a call could not be made"]
    assert len(collector.spans) == 4


def test_calls_beyond_what_may_wait_are_counted_and_left_out(tmp_path, collector, monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    dropped = []

    async def scene(stand):
        assert (await stand.chat())[0] == 200
        await stand.settled()
        observe = stand.door.on_call[-1]
        while observe.__self__._waiting:
            await asyncio.sleep(0)
        for _ in range(5):
            observe(stand.calls[0])
        dropped.append(observe.__self__.dropped)

    played(tmp_path, collector, scene)
    assert dropped == [3]
    assert len(collector.spans) == 6


def test_many_calls_at_once_are_all_traced_a_few_in_each_turn(tmp_path, collector):
    async def scene(stand):
        statuses = await asyncio.gather(*(stand.chat() for _ in range(40)))
        assert {status for status, _, _ in statuses} == {200}

    played(tmp_path, collector, scene)
    spans = collector.spans
    assert len(spans) == 80
    assert len({span.span_id for span in spans}) == 80


# --- metrics ---


def of_page(page: str) -> dict:
    """The page's samples by name and labels; of histograms their buckets, each by itself."""
    return {(sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page) for sample in family.samples}  # fmt: skip


def of_metrics(metrics: dict) -> dict:
    """OTLP's points as a page would show them."""
    found = {}
    for name, metric in metrics.items():
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            labels = sorted(attributes(point).items())
            if kind != "histogram":
                found[name, *labels] = getattr(point, point.WhichOneof("value"))
                continue
            found[f"{name}_sum", *labels], found[f"{name}_count", *labels] = point.sum, point.count
            running = 0
            for bound, count in zip([*point.explicit_bounds, None], point.bucket_counts, strict=True):
                running += count
                shown = "+Inf" if bound is None else f"{bound:g}"
                found[f"{name}_bucket", *sorted([*labels, ("le", shown)])] = running
    return found


def test_the_metrics_are_those_of_the_page(tmp_path, collector):
    models = ["m", "m:usage=huge", "m:status=400"]

    async def scene(stand):
        for model in (*models, "unknown"):
            await stand.chat(model, stream=model == "m")

    _, page, _ = played(tmp_path, collector, scene, models=models)
    shown, sent = of_page(page), of_metrics(collector.metrics)
    assert sent == shown
    assert {key[0] for key in shown} >= {
        "ciyuan_alarms_total",
        "ciyuan_ttft_seconds_bucket",
        "ciyuan_refusals_total",
    }
    assert collector.metrics["ciyuan_calls_total"].sum.is_monotonic
    assert collector.metrics["ciyuan_attempt_seconds"].unit == "s"


def test_where_deltas_are_wanted_histograms_are_sent_as_deltas(tmp_path, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")

    async def scene(stand):
        counters = Counters(stand.door)
        exporter = _Exporter(counters, stand.door, collector.url)
        counts = []
        for calls in (2, 0, 1):
            for _ in range(calls):
                await stand.chat()
            (took,) = exporter._histograms()
            assert isinstance(took.data, Histogram)
            assert took.data.aggregation_temporality is AggregationTemporality.DELTA
            (point,) = took.data.data_points
            assert isinstance(point, HistogramDataPoint)
            assert len(point.bucket_counts) == len(BUCKETS_MS) + 1
            counts.append((point.count, sum(point.bucket_counts), point.sum > 0))
        exporter.shutdown()
        assert counts == [(2, 2, True), (0, 0, False), (1, 1, True)]

    played(tmp_path, collector, scene)


# --- settings ---


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x:4318/v1/metrics"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_SDK_DISABLED": "True"}, False),
    ],
)
def test_an_environment_asks_by_naming_a_collector(environ, asked):
    assert is_asked_for(environ) is asked


def test_the_environments_variables_hold(tmp_path, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=seven")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")

    async def scene(stand):
        header = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
        assert (await stand.post("/v1/embeddings", {"model": "m", "input": "x"}, header))[0] == 200

    played(tmp_path, collector, scene, endpoint="")
    assert len(collector.spans) == 2, "the sampler of the environment was not asked"
    assert {headers["x-tenant"] for headers in collector.headers} == {"seven"}
    resource = collector.resources[0]
    assert (resource["service.name"], resource["ciyuan.process"]) == ("ciyuan-gateway", 3)
    assert resource["deployment.environment.name"] == "test"


def test_the_operators_name_of_the_service_is_kept(tmp_path, collector, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "llm-door")

    async def scene(stand):
        assert (await stand.chat())[0] == 200

    played(tmp_path, collector, scene)
    assert collector.resources[0]["service.name"] == "llm-door"


@pytest.mark.parametrize("off", ["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"])
def test_a_signal_can_be_switched_off(tmp_path, collector, monkeypatch, off):
    monkeypatch.setenv(off, "none")

    async def scene(stand):
        assert (await stand.chat())[0] == 200

    sent, _, _ = played(tmp_path, collector, scene)
    other = "/v1/metrics" if off == "OTEL_TRACES_EXPORTER" else "/v1/traces"
    assert sent
    assert set(collector.bodies) == {other}


WRONG = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
    "OTEL_TRACES_EXPORTER": "zipkin",
    "OTEL_METRICS_EXPORTER": "prometheus",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "unix:///run/otel",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_that_cannot_be_is_named(tmp_path, name):
    async def scene():
        async with Stand(tmp_path) as stand:
            Telemetry(Counters(stand.door), stand.door, environ={name: WRONG[name]})

    with pytest.raises(Malformed) as refused:
        asyncio.run(scene())
    assert refused.value.thing == name
    assert WRONG[name] in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_BSP_MAX_QUEUE_SIZE", "0"), ("OTEL_METRIC_EXPORT_INTERVAL", "-1")]
)
def test_a_setting_that_the_sdk_does_not_take_is_malformed(tmp_path, collector, monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    async def scene():
        async with Stand(tmp_path) as stand:
            telemetry = Telemetry(Counters(stand.door), stand.door, endpoint=collector.url)
            with pytest.raises(Malformed, match="OpenTelemetry SDK takes"):
                telemetry.start()
            await telemetry.stop()

    asyncio.run(scene())


def test_without_the_packages_it_says_what_to_install(tmp_path, collector, monkeypatch):
    monkeypatch.delitem(sys.modules, "ciyuan.services.door.telemetry_metrics")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)

    async def scene():
        async with Stand(tmp_path) as stand:
            Telemetry(Counters(stand.door), stand.door, endpoint=collector.url).start()

    with pytest.raises(Malformed, match=r"ciyuan\[otel\]"):
        asyncio.run(scene())


def test_nothing_of_it_is_imported_before_it_is_asked_for():
    code = "import sys, ciyuan.services.door.telemetry; print([name for name in sys.modules if 'opentelemetry' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- the end ---


def test_a_collector_that_is_silent_does_not_hold_up_the_end(tmp_path, collector, monkeypatch):
    monkeypatch.setattr(module, "STOP_S", 0)
    collector.gate = threading.Event()

    async def scene(stand):
        assert (await stand.chat())[0] == 200

    sent, _, _ = played(tmp_path, collector, scene)
    assert not sent
    # What was left behind to send goes to its end here: its waits draw from the one `random` of the process, which generated
    # tests that run later in it watch.
    collector.gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith(("telemetry", "Otel")):
            thread.join(60)
            assert not thread.is_alive()


def test_a_collector_that_refuses_costs_no_answer(tmp_path, collector, caplog):
    collector.status = 400

    async def scene(stand):
        assert (await stand.chat())[0] == 200

    sent, _, stand = played(tmp_path, collector, scene)
    assert sent
    assert stand.attempts[0].charged_micro > 0
    assert "Failed to export" in caplog.text


def test_it_is_stopped_once_and_hears_no_more(tmp_path, collector):
    async def scene(stand):
        counters = Counters(stand.door)
        other = Telemetry(counters, stand.door, endpoint=collector.url)
        before = len(stand.door.on_call)
        other.start()
        assert len(stand.door.on_call) == before + 1
        assert await other.stop()
        assert len(stand.door.on_call) == before
        assert await other.stop()

    played(tmp_path, collector, scene)
