"""Responses followed: OpenAI's events, whole responses, and case 23's zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway.answer import EndingKind, Finish
from ciyuan.gateway.answer_responses import ResponsesFollower
from ciyuan.gateway.usage import Leg, Standing
from tests.gateway.recorded import (
    OPENAI_ERROR,
    OUTPUT,
    RESPONSE_STREAM,
    RESPONSE_USAGE,
    delta,
    encoded,
    followed,
    joined,
    marks,
    named,
    pieces,
    response,
    sse,
)

TEXTS = {("REASONING", 0): "Thinking.", ("TEXT", 1): "Hi there!", ("TOOL_CALL", 2): '{"city":"Paris"}'}


def streamed() -> ResponsesFollower:
    return ResponsesFollower(streamed=True)


def whole() -> ResponsesFollower:
    return ResponsesFollower(streamed=False)


def test_a_streamed_response():
    follower = streamed()
    told, ending = followed(follower, named(*RESPONSE_STREAM))
    assert joined(told) == TEXTS
    assert marks(told) == ["FIRST", "USAGE", "FINISH", "END"]
    assert (ending.kind, ending.standing) == (EndingKind.COMPLETE, Standing.FULL)
    assert ending.claim.usage is not None
    assert (ending.claim.usage.of(Leg.INPUT), ending.claim.usage.of(Leg.OUTPUT)) == (36, 87)
    assert follower.finish is Finish.TOOL_CALLS


@given(st.integers(1, 80))
def test_any_cut_tells_the_same(size):
    assert followed(streamed(), *pieces(named(*RESPONSE_STREAM), size)) == followed(
        streamed(), named(*RESPONSE_STREAM)
    )


def test_a_whole_response():
    told, ending = followed(whole(), encoded(response(usage=RESPONSE_USAGE, output=OUTPUT)))
    assert joined(told) == TEXTS | {("TOOL_CALL", 2): 'get_weather{"city":"Paris"}'}
    assert ending.kind is EndingKind.COMPLETE


def test_a_stream_without_deltas_is_read_from_its_last_event():
    last = {"type": "response.completed", "response": response(usage=RESPONSE_USAGE, output=OUTPUT)}
    assert ("TEXT", 1) in joined(followed(streamed(), named(last))[0])


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("max_output_tokens", EndingKind.LENGTH),
        ("content_filter", EndingKind.CONTENT_REFUSED),
        ("steered", EndingKind.COMPLETE),
        (None, EndingKind.COMPLETE),
    ],
)
def test_case_18_an_incomplete_response_is_an_answer_with_usage(reason, kind):
    last = {"type": "response.incomplete",
            "response": response("incomplete", RESPONSE_USAGE, incomplete_details={"reason": reason})}  # fmt: skip
    _, ending = followed(streamed(), named(delta("output_text", "Hi"), last))
    assert (ending.kind, ending.standing) == (kind, Standing.FULL)


@pytest.mark.parametrize("before", [(), (delta("output_text", "Hi"),)])
@pytest.mark.parametrize(
    "error",
    [
        {"type": "response.failed", "response": response("failed", RESPONSE_USAGE, error={"code": "x", "message": "no"})},
        {"type": "error", "code": "server_error", "message": "no", "param": None},
        {"type": "error", "error": {"message": "no"}},
    ],
)  # fmt: skip
def test_a_failed_response(before, error):
    follower = streamed()
    _, ending = followed(follower, named(*before, error))
    assert ending.kind is (EndingKind.ERROR_MID_STREAM if before else EndingKind.ERROR_BEFORE_TOKEN)
    assert follower.error == "no"


def test_a_failed_one_keeps_its_claim():
    failed = {
        "type": "response.failed",
        "response": response("failed", RESPONSE_USAGE, error={"message": "no"}),
    }
    assert followed(streamed(), named(failed))[1].standing is Standing.FULL


def test_case_23_text_with_zero_usage_is_seen():
    zero = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    last = {"type": "response.completed", "response": response(usage=zero)}
    _, ending = followed(streamed(), named(delta("output_text", "Hi"), last))
    assert (ending.standing, ending.delivered) == (Standing.ZERO, True)


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        ("refusal", "REFUSAL"),
        ("reasoning_text", "REASONING"),
        ("audio", "AUDIO"),
        ("audio.transcript", "TEXT"),
        ("code_interpreter_call_code", "TOOL_CALL"),
        ("custom_tool_call_input", "TOOL_CALL"),
        ("something_new", "TOOL_CALL"),
    ],
)
def test_other_deltas(kind, heard):
    assert joined(followed(streamed(), named(delta(kind, "x", 3)))[0]) == {(heard, 3): "x"}


def test_what_bridges_do():
    """`[DONE]` after the end, no names of events, a delta that is an object."""
    last = {"type": "response.completed", "response": response(usage=RESPONSE_USAGE)}
    told, ending = followed(
        streamed(), sse(delta("output_text", "Hi"), {"type": "x.delta", "delta": {"a": 1}}, last)
    )
    assert joined(told) == {("TEXT", 0): "Hi", ("TOOL_CALL", 0): '{"a":1}'}
    assert ending.kind is EndingKind.COMPLETE
    assert followed(streamed(), sse(done=True))[1].kind is EndingKind.CUT_BEFORE_TOKEN


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", EndingKind.UNREADABLE),
        (b"nonsense", EndingKind.UNREADABLE),
        (encoded(OPENAI_ERROR), EndingKind.ERROR_BEFORE_TOKEN),
        (encoded(response("failed", error={"message": "no"})), EndingKind.ERROR_BEFORE_TOKEN),
        (encoded(response("cancelled")), EndingKind.ERROR_BEFORE_TOKEN),
        (encoded(response("queued")), EndingKind.COMPLETE),
    ],
)
def test_whole_bodies_that_are_no_answers(body, kind):
    assert followed(whole(), body)[1].kind is kind


def test_a_cut_stream():
    assert followed(streamed(), named(*RESPONSE_STREAM[:6]))[1].kind is EndingKind.CUT_MID_STREAM
    assert followed(streamed(), named(*RESPONSE_STREAM[:3]))[1].kind is EndingKind.CUT_BEFORE_TOKEN
