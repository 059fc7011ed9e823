"""Spans of calls: one for a call, of kind SERVER, and under it one for each attempt that was sent, of kind CLIENT.

| of a call | is |
|---|---|
| http.request.method, http.route, url.path, url.scheme | of the request |
| http.response.status_code | what the client was shown |
| error.type | the refusal or the ending, in small letters, where it was not the client's fault |
| gen_ai.operation.name, gen_ai.request.model, gen_ai.request.stream | the model as the client named it |
| ciyuan.request.id | the client's x-request-id |
| ciyuan.attempts, ciyuan.refusal, ciyuan.client_left | how many were sent; why the call, or its answer, was refused |

| of an attempt | is |
|---|---|
| gen_ai.provider.name, server.address, server.port | the supplier, as the operator names it; where it listens |
| gen_ai.operation.name, gen_ai.request.model, gen_ai.request.stream | the model as the supplier names it |
| gen_ai.request.max_tokens, gen_ai.request.choice.count | the client's own limit; if it is not 1 |
| gen_ai.response.finish_reasons | the gravest of all choices |
| gen_ai.response.time_to_first_chunk | of a stream: seconds from its sending |
| gen_ai.usage.input_tokens, gen_ai.usage.output_tokens | what is charged |
| gen_ai.usage.{cache_read,cache_creation}.input_tokens, gen_ai.usage.reasoning.output_tokens | parts of these, if there are any |
| http.response.status_code, error.type | what the supplier answered; the result, where it is against it |
| ciyuan.request.key | the supplier's x-request-id |
| ciyuan.ending, ciyuan.charge, ciyuan.alarm, ciyuan.charged_micro_usd | how it ended and was charged (docs/spec/endings.md) |

Usage is on attempts only: nothing is counted twice when spans are summed, and a call that tried three suppliers shows what each
took. A model's name is on a call only if the call had an offer: a name that is not known here is a client's text.

Names: OpenTelemetry's semantic conventions for generative AI (github.com/open-telemetry/semantic-conventions-genai, of status
Development, commit 002c8a6, which moved there from the main conventions after 1.41; a server's span has no convention of its own
there) and for HTTP (stable, 1.41). Times are the call's own, in nanoseconds since 1970, UTC.
"""

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from ciyuan import __version__
from ciyuan.gateway.answer import Finish
from ciyuan.gateway.door_refusals import PATHS, WORDS, Protocol
from ciyuan.gateway.ending import Alarm
from ciyuan.gateway.route_endings import TRIED_AGAIN, Result
from ciyuan.gateway.usage import Leg, Usage
from ciyuan.services.door.trace_context import attempt_span, call_span, read_traceparent

if TYPE_CHECKING:
    from ciyuan.services.door.attempt import Attempt
    from ciyuan.services.door.call import Call

SERVICE = "ciyuan-gateway"
SCOPE = "ciyuan.services.door"
Attributes = dict[str, str | bool | int | float | list[str]]
_ROUTES = {protocol: path for path, protocol in PATHS.items()}
_OPERATIONS = {Protocol.COMPLETIONS: "text_completion", Protocol.EMBEDDINGS: "embeddings"}
_FINISHES = {
    Finish.STOP: "stop",
    Finish.TOOL_CALLS: "tool_call",
    Finish.LENGTH: "length",
    Finish.REFUSED: "content_filter",
}
"""The reasons that the conventions' own schema of output messages knows."""
_SERVER_ERRORS = 500


def resource_of(process: int) -> Resource:
    """Who sends: the environment's attributes, and where it names no service, ours."""
    resource = Resource.create({SERVICE_VERSION: __version__, "ciyuan.process": process})
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    return resource


class _Numbers(RandomIdGenerator):
    """Gives the span that is made next the number that was set."""

    span_id = 0

    def generate_span_id(self) -> int:
        """The number that was set."""
        return self.span_id


class Spans:
    """Makes spans and sends them to `endpoint` ("": the environment's). One thread's, but for `close`.

    Raises ValueError for settings of the environment that the SDK does not take.
    """

    def __init__(self, endpoint: str, share: float | None, resource: Resource) -> None:
        self._numbers = _Numbers()
        self._provider = TracerProvider(
            None if share is None else ParentBasedTraceIdRatio(share),
            resource,
            shutdown_on_exit=False,
            id_generator=self._numbers,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint or None)))
        self._tracer = self._provider.get_tracer(SCOPE, __version__)

    def close(self) -> None:
        """Send what waits, and end."""
        self._provider.shutdown()

    def trace(self, call: "Call", ended_ns: int, *, begun: bool) -> None:
        """Make the spans of a call that ended at a moment; `begun` is whether an answer had begun to reach the client."""
        status = shown_status(call, begun=begun)
        self._numbers.span_id = call_span(call.logical)
        span = self._tracer.start_span(
            f"POST {_ROUTES[call.ask.protocol]}",
            _context_of(call),
            SpanKind.SERVER,
            _of_call(call, status),
            start_time=call.request.received_ns,
        )
        if span.is_recording():
            inside = set_span_in_context(span, Context())
            for attempt in call.attempts:
                if attempt.sent_ns:
                    self._attempt(attempt, inside, ended_ns)
            wrong = _fault_of_call(call, status)
            if wrong:
                _fail(span, wrong)
        span.end(ended_ns)

    def _attempt(self, attempt: "Attempt", inside: Context, ended_ns: int) -> None:
        self._numbers.span_id = attempt_span(attempt.request)
        operation = _operation(attempt.call.ask.protocol)
        span = self._tracer.start_span(
            f"{operation} {attempt.offer.upstream_model}",
            inside,
            SpanKind.CLIENT,
            _of_attempt(attempt, operation),
            start_time=attempt.sent_ns,
        )
        wrong = _fault_of_attempt(attempt)
        if wrong:
            _fail(span, wrong)
        span.end(attempt.ended_ns or ended_ns)


def shown_status(call: "Call", *, begun: bool) -> int:
    """The HTTP status that a client was shown; 0 if it had left before one was."""
    choice = call.choice
    if begun and choice is not None:
        return choice.status
    if call.left_ns:
        return 0
    if call.refused is not None:
        return WORDS[call.refused.refusal].status
    if choice is None or choice.outcome is None:
        return 0
    if choice.result in TRIED_AGAIN and not choice.outcome.ending.delivered:
        return WORDS[call.door.words_of_failure(choice).refusal].status
    return choice.shown_status


def _fail(span: Span, wrong: str) -> None:
    span.set_attribute("error.type", wrong)
    span.set_status(Status(StatusCode.ERROR))


def _context_of(call: "Call") -> Context:
    """The client's own span as the parent, if it names one. Its tracestate is left out: it is other systems' text."""
    parent = read_traceparent(call.request.headers.get(b"traceparent", b""))
    if parent is None:
        return Context()
    where = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=TraceFlags(parent.flags))
    return set_span_in_context(NonRecordingSpan(where), Context())


def _operation(protocol: Protocol) -> str:
    return _OPERATIONS.get(protocol, "chat")


def _of_call(call: "Call", status: int) -> Attributes:
    ask = call.ask
    path = _ROUTES[ask.protocol]
    found: Attributes = {
        "http.request.method": "POST",
        "http.route": path,
        "url.path": path,
        "url.scheme": "http",
        "gen_ai.operation.name": _operation(ask.protocol),
        "ciyuan.request.id": call.name,
        "ciyuan.attempts": sum(1 for attempt in call.attempts if attempt.sent_ns),
    }
    if call.attempts:
        found["gen_ai.request.model"] = ask.model
    if ask.stream:
        found["gen_ai.request.stream"] = True
    if status:
        found["http.response.status_code"] = status
    if call.left_ns:
        found["ciyuan.client_left"] = True
    refused = call.refused or (None if call.choice is None else call.choice.refused)
    if refused is not None:
        found["ciyuan.refusal"] = refused.refusal.name.lower()
    return found


def _fault_of_call(call: "Call", status: int) -> str:
    """What failed, of those faults that are not the client's; "" if nothing did."""
    choice, refused = call.choice, call.refused
    if refused is not None:
        return refused.refusal.name.lower() if status >= _SERVER_ERRORS else ""
    if choice is None or choice.outcome is None:
        return ""
    if not choice.settled_at:
        return "posting_failed"
    return choice.outcome.ending.kind.name.lower() if choice.result in TRIED_AGAIN else ""


def _of_attempt(attempt: "Attempt", operation: str) -> Attributes:
    ask, offer, outcome = attempt.call.ask, attempt.offer, attempt.outcome
    address = attempt.site.ways[ask.protocol].pool.address
    found: Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": offer.supplier_name,
        "gen_ai.request.model": offer.upstream_model,
        "server.address": address.host,
        "server.port": address.port,
        "ciyuan.request.key": f"{attempt.request:x}",
    }
    if ask.stream:
        found["gen_ai.request.stream"] = True
    if ask.output_max is not None:
        found["gen_ai.request.max_tokens"] = ask.output_max
    if ask.choices != 1:
        found["gen_ai.request.choice.count"] = ask.choices
    if attempt.status:
        found["http.response.status_code"] = attempt.status
    follower = attempt.follower
    if follower is not None and follower.streamed and attempt.first_ns:
        found["gen_ai.response.time_to_first_chunk"] = (attempt.first_ns - attempt.sent_ns) / 1e9
    if follower is not None and follower.finish in _FINISHES:
        found["gen_ai.response.finish_reasons"] = [_FINISHES[follower.finish]]
    if outcome is not None:
        found["ciyuan.ending"] = outcome.ending.kind.name.lower()
        found["ciyuan.charge"] = outcome.charge.name.lower()
        if outcome.alarm is not Alarm.NONE:
            found["ciyuan.alarm"] = outcome.alarm.name.lower()
        if outcome.usage is not None:
            found |= _of_usage(outcome.usage)
            found["ciyuan.charged_micro_usd"] = attempt.charged_micro
    return found


def _of_usage(usage: Usage) -> Attributes:
    """Tokens as the conventions count them: cached input is a part of all input, reasoning of all output."""
    found: Attributes = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.amount(Leg.OUTPUT),
    }
    written = usage.amount(Leg.CACHE_WRITE_SHORT) + usage.amount(Leg.CACHE_WRITE_LONG)
    for name, tokens in (
        ("gen_ai.usage.cache_read.input_tokens", usage.amount(Leg.CACHE_READ)),
        ("gen_ai.usage.cache_creation.input_tokens", written),
        ("gen_ai.usage.reasoning.output_tokens", usage.amount(Leg.REASONING)),
    ):
        if tokens:
            found[name] = tokens
    return found


def _fault_of_attempt(attempt: "Attempt") -> str:
    """How an attempt failed, as its supplier's health sees it; "" if it did not, or was only called off."""
    if attempt.result in {Result.ANSWERED, Result.CALLED_OFF}:
        return ""
    return attempt.result.name.lower()
