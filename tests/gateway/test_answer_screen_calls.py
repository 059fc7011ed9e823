"""Calls of tools in streams: shown whole, masked, or withheld, wherever their arguments are cut."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.gateway.answer_screen import AnswerScreen
from ciyuan.gateway.answer_screen_terms import ScreenMode
from ciyuan.gateway.door_refusals import DoorRefusal, Protocol
from ciyuan.gateway.firewall_agent import AgentPolicy
from tests.gateway.firewalls import (
    cut,
)
from tests.gateway.recorded import (
    chunk,
    named,
    sse,
)
from tests.gateway.screens import (
    PHONE,
    SECRET,
    call,
    check_never_shown,
    event,
    screened,
    screening,
    told,
)

EXAMPLES = settings(max_examples=150, deadline=None)
CALLING = (Protocol.CHAT, Protocol.RESPONSES, Protocol.MESSAGES)


@EXAMPLES
@given(st.lists(st.integers(0, 200), max_size=10), st.sampled_from(CALLING))
def test_arguments_are_masked_whole_wherever_they_are_cut(places, protocol):
    given_one = json.dumps(
        {"to": PHONE, "number": 13812345678, "text": 'a "quoted" 文字'}, ensure_ascii=False
    )
    shown = screened(protocol, call(protocol, "dial", cut(given_one, places)))
    assert shown.refused is None
    check_never_shown(shown.passing, PHONE)
    written = told(protocol, shown.passing)["TOOL_CALL", 0].removeprefix("dial")
    assert json.loads(written) == {"to": "[PHONE-1]", "number": "[PHONE-1]", "text": 'a "quoted" 文字'}


@EXAMPLES
@given(st.lists(st.integers(0, 200), max_size=10), st.sampled_from(CALLING))
def test_a_clean_call_passes_byte_for_byte(places, protocol):
    stream = call(protocol, "dial", cut('{"city":"Paris","at":"https://good.example/x"}', places))
    policy = AgentPolicy(tools_allowed=("dial",), hosts_allowed=("good.example",))
    for mode in ScreenMode:
        assert screened(protocol, stream, mode=mode, policy=policy) == (stream, None, [])


@EXAMPLES
@given(
    st.lists(st.integers(0, 200), max_size=10), st.sampled_from(CALLING), st.sampled_from(list(ScreenMode))
)
def test_a_call_beyond_the_keys_policy_is_withheld(places, protocol, mode):
    stream = call(protocol, "fetch", cut('{"url":"https://bad.example/steal"}', places))
    for policy in (AgentPolicy(tools_denied=("fetch",)), AgentPolicy(hosts_denied=("bad.example",))):
        shown = screened(protocol, stream, mode=mode, policy=policy)
        assert shown.refused is not None
        assert shown.refused.refusal is DoorRefusal.NOT_PERMITTED
        assert "TOOL_CALL" not in {kind for kind, _ in told(protocol, shown.passing)}
        assert b"steal" not in shown.passing
        assert [record.rule for record in shown.records] in (["agent-tool"], ["agent-destination"])


def test_a_keyed_host_is_seen_in_calls_that_follow_each_other():
    def fragment(number, text, call_id=None):
        made = {"index": number, "function": {"arguments": text}}
        if call_id:
            made |= {"id": call_id}
            made["function"]["name"] = "connect"
        return chunk({"tool_calls": [made]})

    policy = AgentPolicy(hosts_denied=("bad.example",))
    for numbers in ((0, 1), (0, 0)):
        stream = sse(
            fragment(numbers[0], '{"host":"good.example"}', "a"), fragment(numbers[1], '{"host":"bad', "b"),
            fragment(numbers[1], '.example"}'), chunk({}, "tool_calls"),
        )  # fmt: skip
        shown = screened(Protocol.CHAT, stream, mode=ScreenMode.OFF, policy=policy)
        assert shown.refused is not None, numbers
        assert "bad.example" in shown.refused.message


def test_with_a_policy_texts_still_pass_at_once_in_report_mode():
    made, _ = screening(Protocol.CHAT, ScreenMode.REPORT, policy=AgentPolicy(tools_denied=("x",)))
    screen = AnswerScreen(made)
    body = event(chunk({"content": "half a wor"}))
    assert screen.feed(body).passing == body


def test_a_call_that_goes_on_after_its_end_is_judged_again():
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "tool_use", "name": "dial", "input": {}},
    }
    stop = {"type": "content_block_stop", "index": 0}

    def piece(text):
        return {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": text},
        }

    shown = screened(Protocol.MESSAGES, named(start, piece('{"to":"1381234'), stop, piece('5678"}'), stop))
    assert shown.refused is not None
    assert b"5678" not in shown.passing


@EXAMPLES
@given(st.lists(st.integers(0, 200), max_size=10), st.sampled_from(CALLING))
def test_arguments_that_hold_a_secret_are_refused_wherever_they_are_cut(places, protocol):
    shown = screened(protocol, call(protocol, "store", cut(json.dumps({"note": f"it is {SECRET}"}), places)))
    assert shown.refused is not None
    assert shown.refused.refusal is DoorRefusal.CONTENT_BLOCKED
    check_never_shown(shown.passing, SECRET)
    assert "TOOL_CALL" not in {kind for kind, _ in told(protocol, shown.passing)}
