"""The parts of events: which texts go on from one to the next, which calls, and when they end."""

import pytest

from ciyuan.gateway.answer_screen_events import CallPart, TextPart, everything_ends, opaque_in, read_parts
from ciyuan.gateway.door_refusals import Protocol
from tests.gateway.recorded import CHAT_STREAM, MESSAGE_STREAM, RESPONSE_STREAM, TOOL_STREAM, chunk, delta

ALL: frozenset[int] = frozenset()
DELTA = ("choices", 0, "delta")


def chat(message, **more):
    return read_parts(Protocol.CHAT, chunk(message, **more))


def test_every_text_of_a_delta_is_a_place_of_its_choice():
    parts = chat(
        {"role": "assistant", "content": "a", "reasoning_content": "b", "brand_new": "c", "refusal": ""},
        index=2,
    )
    assert parts.texts == [
        TextPart(2, (2, "content"), (*DELTA, "content"), "a"),
        TextPart(2, (2, "reasoning_content"), (*DELTA, "reasoning_content"), "b"),
        TextPart(2, (2, "brand_new"), (*DELTA, "brand_new"), "c"),
    ]
    assert (parts.calls, parts.ends, parts.closes) == ([], None, None)


def test_nested_texts_are_found_and_sound_is_none():
    parts = chat(
        {"content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": [{"type": "text", "text": "b"}]}],
         "audio": {"id": "x", "data": "QUJD", "transcript": "c"}}
    )  # fmt: skip
    assert [(part.place, part.text) for part in parts.texts] == [
        ((0, "content", 0, "text"), "a"), ((0, "content", 1, "thinking", 0, "text"), "b"), ((0, "audio", "transcript"), "c"),
    ]  # fmt: skip
    assert parts.opaque == [(*DELTA, "audio", "data")]


def test_texts_nested_without_end_are_left_to_the_rest():
    deep: object = "x"
    for _ in range(100):
        deep = [deep]
    assert chat({"content": deep}).texts == []


def test_calls_of_a_chat():
    first = read_parts(Protocol.CHAT, TOOL_STREAM[0]).calls
    assert first == [CallPart(0, (0, "tool_calls", 0), None, "", "get_weather", "", "call_1")]
    second = read_parts(Protocol.CHAT, TOOL_STREAM[1]).calls
    path = (*DELTA, "tool_calls", 0, "function", "arguments")
    assert second == [CallPart(0, (0, "tool_calls", 0), path, '{"city":')]
    custom = chat({"tool_calls": [{"custom": {"name": "run", "input": "ls"}}]}).calls
    assert custom == [
        CallPart(0, (0, "tool_calls", 0), (*DELTA, "tool_calls", 0, "custom", "input"), "ls", "run")
    ]
    old = chat({"function_call": {"name": "f", "arguments": {"a": 1}}}).calls
    assert old == [CallPart(0, (0, "function_call"), None, '{"a":1}', "f")]


def test_a_choice_ends_with_its_reason_and_all_with_an_event_without_choices():
    parts = chat({}, finish="stop", index=3)
    assert parts.ends == parts.closes == {3}
    assert read_parts(Protocol.CHAT, CHAT_STREAM[-1]).ends == ALL
    assert read_parts(Protocol.CHAT, CHAT_STREAM[-1]).closes is None
    assert everything_ends().ends == everything_ends().closes == ALL


def test_a_completion_has_one_text_a_choice():
    parts = read_parts(Protocol.COMPLETIONS, {"choices": [{"text": "a", "index": 1, "finish_reason": ""}]})
    assert parts.texts == [TextPart(1, (1, "text"), ("choices", 0, "text"), "a")]
    assert parts.ends is None


def test_parts_of_messages():
    read = [read_parts(Protocol.MESSAGES, body) for body in MESSAGE_STREAM]
    assert [part.text for parts in read for part in parts.texts] == ["Let me see.", "Hello", "!"]
    assert [part.place for parts in read for part in parts.texts] == [
        (0, "thinking"),
        (1, "text"),
        (1, "text"),
    ]
    assert [(call.group, call.name, call.arguments) for parts in read for call in parts.calls] == [
        (2, "get_weather", ""), (2, "", '{"location":'), (2, "", ' "Paris"}'),
    ]  # fmt: skip
    assert [parts.closes for parts in read if parts.closes is not None] == [{0}, {1}, {2}, ALL, ALL]
    assert [parts.keeps_alive for parts in read].count(True) == 1


def test_sealed_thoughts_are_opaque_and_calls_may_begin_whole():
    block: dict[str, object] = {"type": "redacted_thinking", "data": "QUJD"}
    assert read_parts(Protocol.MESSAGES, {"type": "content_block_start", "content_block": block}).opaque == [
        ("content_block", "data")
    ]
    block = {"type": "server_tool_use", "name": "fetch", "input": {"url": "x"}}
    (call,) = read_parts(
        Protocol.MESSAGES, {"type": "content_block_start", "index": 1, "content_block": block}
    ).calls
    assert call == CallPart(1, (1, "call"), None, '{"url":"x"}', "fetch", "server_tool_use")


def test_parts_of_responses():
    read = [read_parts(Protocol.RESPONSES, body) for body in RESPONSE_STREAM]
    assert [(part.place, part.text) for parts in read for part in parts.texts] == [
        ((0, "response.reasoning_summary_text.delta", 0), "Thinking."),
        ((1, "response.output_text.delta", 0), "Hi "), ((1, "response.output_text.delta", 0), "there!"),
    ]  # fmt: skip
    assert [call.arguments for parts in read for call in parts.calls] == ['{"city":"Paris"}']
    assert read[-1].closes == ALL
    assert all(
        parts.ends == ALL
        for parts, body in zip(read, RESPONSE_STREAM, strict=True)
        if ".delta" not in str(body["type"])
    )


def test_items_of_responses_name_their_calls_and_end_them():
    item = {"type": "mcp_call", "name": "fetch"}
    (call,) = read_parts(
        Protocol.RESPONSES, {"type": "response.output_item.added", "output_index": 4, "item": item}
    ).calls
    assert call == CallPart(4, (4, "call"), None, "", "fetch", "mcp_call")
    done = read_parts(
        Protocol.RESPONSES, {"type": "response.output_item.done", "output_index": 4, "item": item}
    )
    assert done.closes == frozenset({4})
    assert not done.calls
    assert read_parts(Protocol.RESPONSES, delta("audio", "QUJD")).opaque == [("delta",)]


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize(
    "body",
    [
        {}, {"choices": [None, 3, {"delta": 5, "message": [1], "index": "x"}]}, {"type": 7}, {"choices": {}},
        {"type": "content_block_delta", "delta": 3}, {"type": "content_block_start", "index": "x", "content_block": []},
        {"type": "response.output_text.delta", "delta": {"a": 1}}, {"type": "response.output_item.added", "item": 5},
        {"choices": [{"delta": {"tool_calls": [None, {"function": 3}], "function_call": "x", "audio": 1}}]},
    ],
)  # fmt: skip
def test_what_is_not_of_the_shape_has_no_parts_that_could_fail(protocol, body):
    parts = read_parts(protocol, body)
    assert all(part.path is None for part in parts.calls)
    assert all(isinstance(part.text, str) for part in parts.texts)


def test_what_is_no_text_in_whole_answers():
    body = {
        "choices": [{"message": {"audio": {"data": "QUJD", "transcript": "x"}}}],
        "content": [{"type": "redacted_thinking", "data": "QUJD"}, {"type": "text", "data": "seen"}],
    }
    assert opaque_in(body) == [("choices", 0, "message", "audio", "data"), ("content", 0, "data")]
