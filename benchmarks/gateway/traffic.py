"""The traffic of the gateway's benchmark: one question, its answer whole, and the same answer as a stream of EVENTS events.

The supplier sends these bytes and the load checks that they arrive, so both sides have them from here. OpenAI's dialect of chat
completions: a stream is a role, DELTAS pieces of text, the finish, the usage (asked for by `stream_options`) and `[DONE]`.
"""

import json
from typing import Any, Final

MODEL: Final = "bench-1"
PATH: Final = "/v1/chat/completions"
TEXT: Final = "By noon they agreed that the quay would stay and that all fourteen of the cranes would go"
DELTAS: Final = 18
EVENTS: Final = DELTAS + 4
CREATED: Final = 1_790_000_000
USAGE: Final = {
    "prompt_tokens": 31,
    "completion_tokens": DELTAS,
    "total_tokens": 31 + DELTAS,
    "prompt_tokens_details": {"cached_tokens": 0},
}
_MESSAGES: Final = [
    {"role": "system", "content": "You answer in one short sentence."},
    {"role": "user", "content": "What did the council decide about the old harbour?"},
]


def dumped(value: object) -> bytes:
    """As the large suppliers write JSON: no blanks."""
    return json.dumps(value, separators=(",", ":")).encode()


def question(*, streamed: bool) -> bytes:
    """The body of the request."""
    asked: dict[str, Any] = {"model": MODEL, "messages": _MESSAGES, "max_tokens": 64}
    if streamed:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return dumped(asked)


def answer() -> bytes:
    """The body of the answer that comes whole, about 400 bytes. All answers have one id: no gateway may take it for a key."""
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return dumped(_envelope("chat.completion") | {"choices": [choice], "usage": USAGE})


def events() -> list[bytes]:
    """The EVENTS server-sent events of the streamed answer, `[DONE]` among them."""
    words = TEXT.split(" ")
    pieces = [words[0], *(f" {word}" for word in words[1:])]
    if len(pieces) != DELTAS:
        raise RuntimeError(f"the streamed answer has {len(pieces)} pieces of text, not {DELTAS}")
    envelope = _envelope("chat.completion.chunk")
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant", "content": ""}, None),
        *(({"content": piece}, None) for piece in pieces),
        ({}, "stop"),
    ]
    chunks = [
        envelope | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in deltas
    ]
    chunks.append(envelope | {"choices": [], "usage": USAGE})
    return [b"data: %b\n\n" % written for written in [*map(dumped, chunks), b"[DONE]"]]


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-000000000001", "object": kind, "created": CREATED, "model": MODEL}


def read_answer(body: bytes) -> tuple[str, int]:
    """The text and the completion tokens of an answer that came whole."""
    said = json.loads(body)
    return said["choices"][0]["message"]["content"], said["usage"]["completion_tokens"]


def read_events(body: bytes) -> tuple[str, int]:
    """The text and the completion tokens (0 if the stream had no usage) of a streamed answer."""
    text, tokens = "", 0
    for line in body.split(b"\n"):
        if not line.startswith(b"data: {"):
            continue
        said = json.loads(line.removeprefix(b"data: "))
        text += "".join(choice["delta"].get("content") or "" for choice in said.get("choices", ()))
        tokens = (said.get("usage") or {}).get("completion_tokens") or tokens
    return text, tokens
