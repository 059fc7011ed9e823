"""Whole answers screened: masked, refused, or as they came."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.gateway import answer_screen_whole
from ciyuan.gateway.answer_screen_terms import ScreenMode
from ciyuan.gateway.answer_screen_whole import screen_whole
from ciyuan.gateway.door_refusals import DoorRefusal, Protocol
from ciyuan.gateway.firewall import Firewall
from ciyuan.gateway.firewall_agent import AgentPolicy
from tests.gateway.firewalls import (
    KEY,
    found,
    hard_texts,
    masked,
    masking,
    plain,
    rules,
)
from tests.gateway.recorded import (
    ANTHROPIC_ERROR,
    CHAT_WHOLE,
    MESSAGE_WHOLE,
    OUTPUT,
    encoded,
    response,
)
from tests.gateway.screens import (
    PHONE,
    SECRET,
    SPOKEN,
    screening,
)

EXAMPLES = settings(max_examples=150, deadline=None)


def whole(protocol: Protocol, text: str) -> dict:
    if protocol is Protocol.CHAT:
        return CHAT_WHOLE | {
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None}]
        }
    if protocol is Protocol.COMPLETIONS:
        return {
            "object": "text_completion",
            "choices": [{"index": 0, "text": text, "logprobs": {"tokens": list(text)}}],
        }
    if protocol is Protocol.RESPONSES:
        parts = [{"type": "output_text", "text": text, "annotations": [], "logprobs": [{"token": text[:3]}]}]
        return dict(response(output=[{"type": "message", "content": parts}]))
    return MESSAGE_WHOLE | {"content": [{"type": "text", "text": text}]}


@EXAMPLES
@given(hard_texts(), st.sampled_from(SPOKEN))
def test_whole_answers_are_masked_or_refused(text, protocol):
    made, _ = screening(protocol, firewall=masking())
    body = encoded(whole(protocol, plain(text)))
    shown = screen_whole(made, body)
    assert shown.refused is None
    assert masked(masking(), plain(text)) in "".join(walked(json.loads(shown.passing)))
    if not found(masking(), plain(text)):
        assert shown.passing == body


def walked(value):
    """All texts in JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from walked(item)


@pytest.mark.parametrize("protocol", SPOKEN)
def test_a_whole_answer_is_blocked_reported_or_left(protocol):
    body = encoded(whole(protocol, f"the key {SECRET} ok"))
    made, records = screening(protocol)
    shown = screen_whole(made, body)
    assert shown.refused is not None
    assert shown.refused.refusal is DoorRefusal.CONTENT_BLOCKED
    assert SECRET not in shown.passing.decode()
    assert records
    for mode in (ScreenMode.REPORT, ScreenMode.OFF):
        made, records = screening(protocol, mode, policy=AgentPolicy(tools_denied=("x",)))
        assert screen_whole(made, body).passing == body
        assert bool(records) is (mode is ScreenMode.REPORT)
    made, _ = screening(protocol, ScreenMode.BLOCK)
    assert screen_whole(made, encoded(whole(protocol, f"ring {PHONE}"))).refused is not None


@pytest.mark.parametrize("protocol", [Protocol.COMPLETIONS, Protocol.RESPONSES])
def test_log_probabilities_of_a_masked_whole_answer_are_emptied(protocol):
    made, _ = screening(protocol)
    clean, dirty = encoded(whole(protocol, "fine")), encoded(whole(protocol, f"ring {PHONE}"))
    assert screen_whole(made, clean).passing == clean
    shown = screen_whole(made, dirty).passing
    assert b"[PHONE-1]" in shown
    assert b'"token' not in shown


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        (Protocol.MESSAGES, MESSAGE_WHOLE), (Protocol.RESPONSES, response(output=OUTPUT)),
        (Protocol.CHAT, {"choices": [{"message": {"tool_calls": [{"function": {"name": "get_weather", "arguments": "{}"}}]}}]}),
    ],
)  # fmt: skip
def test_calls_in_whole_answers_are_judged(protocol, body):
    made, records = screening(protocol, ScreenMode.OFF, policy=AgentPolicy(tools_denied=("get_*",)))
    shown = screen_whole(made, encoded(body))
    assert shown.refused is not None
    assert shown.refused.refusal is DoorRefusal.NOT_PERMITTED
    assert [record.rule for record in records] == ["agent-tool"]
    made, _ = screening(protocol, policy=AgentPolicy(tools_allowed=("get_*",)))
    assert screen_whole(made, encoded(body)).passing == encoded(body)


def test_whole_answers_that_are_no_json_are_texts():
    made, _ = screening(Protocol.CHAT)
    assert screen_whole(made, f"<p>ring {PHONE}</p>".encode()).passing == b"<p>ring [PHONE-1]</p>"
    assert screen_whole(made, f"<p>{SECRET}</p>".encode()).refused is not None
    assert screen_whole(made, b"<p>fine</p>").passing == b"<p>fine</p>"
    broken = Firewall(rules(), KEY)
    broken.sight = None
    made, _ = screening(Protocol.CHAT, firewall=broken)
    assert screen_whole(made, b"<p>fine</p>").refused is not None
    made, _ = screening(Protocol.CHAT, ScreenMode.OFF, policy=AgentPolicy(tools_denied=("x",)))
    assert screen_whole(made, b"<p>fine</p>").passing == b"<p>fine</p>"


def test_errors_of_suppliers_are_screened_too():
    made, _ = screening(Protocol.MESSAGES)
    body = {"type": "error", "error": {"type": "x", "message": f"ring {PHONE}"}}
    assert b"ring [PHONE-1]" in screen_whole(made, encoded(body)).passing
    assert screen_whole(made, encoded(ANTHROPIC_ERROR)).passing == encoded(ANTHROPIC_ERROR)


def test_a_whole_answer_whose_screening_raises_is_refused(monkeypatch):
    def raises(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(answer_screen_whole, "read_json", raises)
    made, _ = screening(Protocol.CHAT)
    assert screen_whole(made, encoded(CHAT_WHOLE)).refused is not None
