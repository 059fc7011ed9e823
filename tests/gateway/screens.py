"""Answers for the tests of screens: streams of every protocol made of given pieces of text, screened, and read by followers."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from ciyuan.gateway.answer import Follower
from ciyuan.gateway.answer_anthropic import MessagesFollower
from ciyuan.gateway.answer_openai import ChoicesFollower
from ciyuan.gateway.answer_responses import ResponsesFollower
from ciyuan.gateway.answer_screen import AnswerScreen
from ciyuan.gateway.answer_screen_terms import Screening, ScreenMode, tempered
from ciyuan.gateway.door_refusals import Protocol, Refused
from ciyuan.gateway.firewall import AuditRecord, Firewall, Placeholders
from ciyuan.gateway.firewall_agent import AgentPolicy
from tests.gateway.firewalls import shipped
from tests.gateway.recorded import chunk, delta, followed, joined, response

SPOKEN = (Protocol.CHAT, Protocol.COMPLETIONS, Protocol.RESPONSES, Protocol.MESSAGES)
"""The protocols whose answers are texts."""
FOLLOWERS: dict[Protocol, type[Follower]] = {
    Protocol.CHAT: ChoicesFollower,
    Protocol.COMPLETIONS: ChoicesFollower,
    Protocol.RESPONSES: ResponsesFollower,
    Protocol.MESSAGES: MessagesFollower,
}
SECRET, PHONE, CARD, IDENTITY, WORD, MAIL = (
    "AKIA" + "QWERTYUIOPASDFGH", "13812345678", "4111 1111 1111 1111", "11010519491231002X", "极光" + "计划", "a.b-c@example.com",
)  # fmt: skip
PLANTED = (SECRET, PHONE, CARD, IDENTITY, WORD, MAIL)


class Shown(NamedTuple):
    """What a client sees: the bytes, the refusal, and what was recorded."""

    passing: bytes
    refused: Refused | None
    records: list[AuditRecord]


def screening(
    protocol: Protocol,
    mode: ScreenMode = ScreenMode.RULES,
    firewall: Firewall | None = None,
    policy: AgentPolicy | None = None,
) -> tuple[Screening, list[AuditRecord]]:
    """What an answer is screened by, and where its findings go."""
    records: list[AuditRecord] = []
    tempered_one = tempered(firewall or shipped(), mode)
    return Screening(protocol, mode, tempered_one, Placeholders(), policy, records.append, "req_1"), records


def screened(
    protocol: Protocol, *chunks: bytes, mode: ScreenMode = ScreenMode.RULES,
    firewall: Firewall | None = None, policy: AgentPolicy | None = None,
) -> Shown:  # fmt: skip
    """A stream, screened."""
    made, records = screening(protocol, mode, firewall, policy)
    screen = AnswerScreen(made)
    passing = b"".join([*(screen.feed(part).passing for part in chunks), screen.finish().passing])
    return Shown(passing, screen.refused, records)


def told(protocol: Protocol, stream: bytes) -> dict[tuple[str, int], str]:
    """The texts that a client reads in a stream, by kind and place."""
    return joined(followed(FOLLOWERS[protocol](streamed=True), stream)[0])


def text_of(protocol: Protocol, stream: bytes) -> str:
    """All text that a client reads in a stream."""
    return "".join(text for (kind, _), text in told(protocol, stream).items() if kind != "TOOL_CALL")


def event(body: dict[str, Any], *, ascii_only: bool = False) -> bytes:
    """An event as its protocol frames it."""
    data = json.dumps(body, ensure_ascii=ascii_only, separators=(",", ":")).encode()
    name = b"event: " + body["type"].encode() + b"\n" if isinstance(body.get("type"), str) else b""
    return name + b"data: " + data + b"\n\n"


def answer(protocol: Protocol, pieces: Iterable[str], *, ascii_only: bool = False) -> bytes:
    """A stream whose text comes in these pieces."""
    bodies: list[dict[str, Any]]
    if protocol is Protocol.CHAT:
        bodies = [
            chunk({"role": "assistant", "content": ""}),
            *(chunk({"content": piece}) for piece in pieces),
        ]
        bodies.append(chunk({}, "stop"))
    elif protocol is Protocol.COMPLETIONS:
        bodies = [
            {"id": "c", "choices": [{"index": 0, "text": piece, "finish_reason": None}]} for piece in pieces
        ]
        bodies.append({"id": "c", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    elif protocol is Protocol.RESPONSES:
        bodies = [{"type": "response.created", "response": response("in_progress")}]
        bodies += [delta("output_text", piece) | {"sequence_number": at} for at, piece in enumerate(pieces)]
        whole = [
            {
                "type": "message",
                "content": [{"type": "output_text", "text": "".join(pieces), "annotations": []}],
            }
        ]
        bodies += [
            {
                "type": "response.output_text.done",
                "output_index": 0,
                "content_index": 0,
                "text": "".join(pieces),
            },
            {"type": "response.completed", "response": response(output=whole)},
        ]
    else:
        bodies = [
            {"type": "message_start", "message": {"id": "m", "type": "message", "content": [], "usage": {"input_tokens": 3}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}} for p in pieces),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        ]  # fmt: skip
    stream = b"".join(event(body, ascii_only=ascii_only) for body in bodies)
    return stream + (b"data: [DONE]\n\n" if protocol in {Protocol.CHAT, Protocol.COMPLETIONS} else b"")


def call(protocol: Protocol, name: str, pieces: list[str]) -> bytes:
    """A stream that calls a tool with arguments that come in these pieces."""
    bodies: list[dict[str, Any]]
    if protocol is Protocol.CHAT:
        first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
        bodies = [
            chunk({"content": "so "}),
            chunk({"role": "assistant", "content": None, "tool_calls": [first]}),
        ]
        bodies += [
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces
        ]
        bodies.append(chunk({}, "tool_calls"))
        return b"".join(map(event, bodies)) + b"data: [DONE]\n\n"
    if protocol is Protocol.RESPONSES:
        item = {"type": "function_call", "id": "fc_1", "call_id": "c_1", "name": name}
        whole = item | {"arguments": "".join(pieces)}
        bodies = [
            {"type": "response.output_item.added", "output_index": 0, "item": item | {"arguments": ""}},
            *(delta("function_call_arguments", piece) for piece in pieces),
            {
                "type": "response.function_call_arguments.done",
                "output_index": 0,
                "arguments": "".join(pieces),
            },
            {"type": "response.output_item.done", "output_index": 0, "item": whole},
            {"type": "response.completed", "response": response(output=[whole])},
        ]
    else:
        block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
        bodies = [
            {"type": "message_start", "message": {"id": "m", "type": "message", "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            *(
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "input_json_delta", "partial_json": piece},
                }
                for piece in pieces
            ),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        ]
    return b"".join(map(event, bodies))


def check_never_shown(shown: bytes, *values: str) -> None:
    """No value is in these bytes, in whatever form of JSON."""
    for value in values:
        assert value not in shown.decode("utf-8", "replace")
        assert json.dumps(value)[1:-1].encode() not in shown
