"""Answers in the shapes that vendors document, written by hand; each names its page. Texts and counts are our own."""

import json
from typing import Any

from ciyuan.gateway.answer import Closed, Ending, Follower, Said, Told


def sse(*events: Any, done: bool = True) -> bytes:
    """Events of one line of data each, and OpenAI's mark of the end."""
    lines = [b"data: " + encoded(event) + b"\n\n" for event in events]
    return b"".join(lines) + (b"data: [DONE]\n\n" if done else b"")


def named(*events: dict[str, Any]) -> bytes:
    """Events with their type as their name, as Anthropic and OpenAI's responses send them."""
    return b"".join(
        b"event: " + event["type"].encode() + b"\ndata: " + encoded(event) + b"\n\n" for event in events
    )


def encoded(value: Any) -> bytes:
    return (
        value
        if isinstance(value, bytes)
        else json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    )


USAGE = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
         "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
         "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}}  # fmt: skip


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, *, index: int = 0, **more: Any
) -> dict[str, Any]:
    """platform.openai.com/docs/api-reference/chat-streaming/streaming: one chunk; without a delta it has no choices."""
    choices = (
        [] if delta is None else [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]
    )
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_741_570_283,
        "model": "gpt-4o-2024-08-06",
    }
    return head | {"choices": choices, "usage": None} | more


CHAT_STREAM = (
    chunk({"role": "assistant", "content": "", "refusal": None}),
    chunk({"content": "Hello"}),
    chunk({"content": ", 世界"}),
    chunk({"content": "!"}),
    chunk({}, "stop"),
    chunk(usage=USAGE),
)
"""A text in three parts, with usage asked for."""

TOOL_STREAM = (
    chunk({"role": "assistant", "content": None,
           "tool_calls": [{"index": 0, "id": "call_1", "type": "function",
                           "function": {"name": "get_weather", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]}),
    chunk({}, "tool_calls"),
    chunk(usage=USAGE),
)  # fmt: skip
"""platform.openai.com/docs/guides/function-calling#streaming."""

CHAT_WHOLE = {
    "id": "chatcmpl-2", "object": "chat.completion", "created": 1_741_569_952, "model": "gpt-4.1-2025-04-14",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello, 世界!", "refusal": None, "annotations": []},
                 "logprobs": None, "finish_reason": "stop"}],
    "usage": USAGE, "service_tier": "default",
}  # fmt: skip
"""platform.openai.com/docs/api-reference/chat/object."""

COMPLETION_WHOLE = {
    "id": "cmpl-1", "object": "text_completion", "created": 1_589_478_378, "model": "gpt-3.5-turbo-instruct",
    "choices": [{"text": "\n\nThis is a test", "index": 0, "logprobs": None, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
}  # fmt: skip
"""platform.openai.com/docs/api-reference/completions/object."""

EMBEDDINGS_WHOLE = {
    "object": "list", "data": [{"object": "embedding", "embedding": [0.0023, -0.0092], "index": 0}],
    "model": "text-embedding-3-small", "usage": {"prompt_tokens": 8, "total_tokens": 8},
}  # fmt: skip
"""platform.openai.com/docs/api-reference/embeddings/create."""

RESPONSE_USAGE = {"input_tokens": 36, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 87,
                  "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 123}  # fmt: skip


def response(status: str = "completed", usage: Any = None, **more: Any) -> dict[str, Any]:
    """platform.openai.com/docs/api-reference/responses/object."""
    return {"id": "resp_1", "object": "response", "status": status, "error": None, "incomplete_details": None,
            "instructions": "Be brief.", "output": [], "usage": usage} | more  # fmt: skip


OUTPUT = [
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Thinking."}]},
    {"type": "message", "id": "msg_1", "role": "assistant",
     "content": [{"type": "output_text", "text": "Hi there!", "annotations": []}]},
    {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'},
]  # fmt: skip


def delta(kind: str, text: str, place: int = 0) -> dict[str, Any]:
    """platform.openai.com/docs/api-reference/responses-streaming."""
    return {
        "type": f"response.{kind}.delta",
        "item_id": "it_1",
        "output_index": place,
        "content_index": 0,
        "delta": text,
    }


RESPONSE_STREAM = (
    {"type": "response.created", "response": response("in_progress")},
    {"type": "response.in_progress", "response": response("in_progress")},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"id": "msg_1", "type": "message", "content": []},
    },
    delta("reasoning_summary_text", "Thinking."),
    delta("output_text", "Hi ", 1),
    delta("output_text", "there!", 1),
    {
        "type": "response.output_text.done",
        "item_id": "msg_1",
        "output_index": 1,
        "content_index": 0,
        "text": "Hi there!",
    },
    delta("function_call_arguments", '{"city":"Paris"}', 2),
    {"type": "response.completed", "response": response(usage=RESPONSE_USAGE, output=OUTPUT)},
)

MESSAGE_STREAM = (
    {"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-sonnet-4-5", "stop_reason": None,
        "usage": {"input_tokens": 25, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 100, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me see."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQBCgIYAhIM"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "!"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2,
     "content_block": {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"location":'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ' "Paris"}'}},
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 89}},
    {"type": "message_stop"},
)  # fmt: skip
"""docs.claude.com/en/docs/build-with-claude/streaming: thinking, a text, a call of a tool."""

MESSAGE_WHOLE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
    "stop_reason": "end_turn", "stop_sequence": None,
    "content": [{"type": "thinking", "thinking": "Let me see.", "signature": "x"}, {"type": "text", "text": "Hi!"},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"location": "Paris"}}],
    "usage": {"input_tokens": 2_095, "output_tokens": 503},
}  # fmt: skip
"""docs.claude.com/en/api/messages."""

OPENAI_ERROR = {
    "error": {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}
}
"""platform.openai.com/docs/guides/error-codes."""
ANTHROPIC_ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
"""docs.claude.com/en/api/errors."""


def followed(
    follower: Follower, *chunks: bytes, closed: Closed = Closed.BY_SUPPLIER
) -> tuple[list[Said], Ending]:
    """Everything told of an answer, and how it ended."""
    told = [said for chunk in chunks for said in follower.feed(chunk)]
    told += follower.end(closed)
    return told, follower.ending()


def joined(told: list[Said]) -> dict[tuple[str, int], str]:
    """The texts told, by kind and place."""
    found: dict[tuple[str, int], str] = {}
    for kind, place, text in told:
        if Told.TEXT <= kind <= Told.AUDIO:
            found[kind.name, place] = found.get((kind.name, place), "") + text
    return found


def marks(told: list[Said]) -> list[str]:
    """What was told beside texts, in order."""
    return [kind.name for kind, _, _ in told if not Told.TEXT <= kind <= Told.AUDIO]


def pieces(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]
