"""The gateway's protocol machines in CPU time: requests read, answers followed, beside reading the same JSON and no more.

The baseline is `json.loads` of Python's standard library on the same bytes: what any gateway in Python pays that looks into
what passes, before it does anything with it.
"""

import json
from collections.abc import Callable, Sequence

from benchmarks.record import Result, cpu_time
from ciyuan.gateway.answer import Follower
from ciyuan.gateway.answer_anthropic import MessagesFollower
from ciyuan.gateway.answer_openai import ChoicesFollower, EmbeddingsFollower
from ciyuan.gateway.answer_responses import ResponsesFollower
from ciyuan.gateway.ask import read_ask
from ciyuan.gateway.ask_forward import with_usage_asked
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.sse import SseReader

TURNS = 2_000
PARTS = 20
GOAL_STREAM_US = 100.0
WORD = " assistance"
Fields = dict[str, object]
USAGE = {"prompt_tokens": 19, "completion_tokens": 20, "total_tokens": 39,
         "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
         "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0}}  # fmt: skip
HEAD = {"id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG", "object": "chat.completion.chunk", "created": 1_741_570_283,
        "model": "gpt-4o-2024-08-06", "service_tier": "default", "system_fingerprint": "fp_fc9f1d7035"}  # fmt: skip


def encoded(value: object) -> bytes:
    """JSON as vendors send it."""
    return json.dumps(value, separators=(",", ":")).encode()


def chat_stream() -> list[bytes]:
    """24 events of a chat completion: a role, 20 parts of text, a finish, usage, the mark of the end."""
    choices: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    choices += [({"content": WORD}, None)] * PARTS + [({}, "stop")]
    bodies = [
        HEAD
        | {
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
            "usage": None,
        }
        for delta, finish in choices
    ]
    events = [encoded(body) for body in [*bodies, HEAD | {"choices": [], "usage": USAGE}]]
    return [b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"]]


def named(events: Sequence[Fields]) -> list[bytes]:
    """Events with their type as name."""
    return [f"event: {event['type']}\ndata: ".encode() + encoded(event) + b"\n\n" for event in events]


def message_stream() -> list[bytes]:
    """24 events of a message."""
    text: Fields = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD}}
    begun: Fields = {"type": "message", "content": [], "usage": {"input_tokens": 19, "output_tokens": 1}}
    first: list[Fields] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    last: list[Fields] = [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    return named([*first, *[text] * 19, *last])


def response_stream() -> list[bytes]:
    """24 events of a response."""
    usage: Fields = {"input_tokens": 19, "output_tokens": 20, "total_tokens": 39}
    answer: Fields = {"id": "resp_1", "status": "completed", "output": [], "tools": [], "usage": usage}
    text: Fields = {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "delta": WORD,
    }
    first: list[Fields] = [
        {"type": "response.created", "response": answer},
        {"type": "response.in_progress", "response": answer},
    ]
    last: list[Fields] = [
        {"type": "response.output_text.done", "text": WORD * 20},
        {"type": "response.completed", "response": answer},
    ]
    return named([*first, *[text] * PARTS, *last])


def chat_whole() -> bytes:
    """A chat completion of 800 characters, in one piece."""
    message: Fields = {
        "role": "assistant",
        "content": "How may I assist you today, friend? ...." * 20,
        "refusal": None,
    }
    choice: Fields = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return encoded(HEAD | {"object": "chat.completion", "choices": [choice], "usage": USAGE})


def embeddings_whole() -> bytes:
    """Sixteen embeddings of 1,536 numbers."""
    data = [
        {"object": "embedding", "index": place, "embedding": [0.0023064255] * 1_536} for place in range(16)
    ]
    return encoded(
        {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    )


def request() -> bytes:
    """A streamed chat of 4 kB."""
    turns = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello, world: " * 290},
    ]
    return encoded({"model": "kimi-k2.6", "stream": True, "max_tokens": 256, "messages": turns})


def datas(stream: list[bytes]) -> list[bytes]:
    """The data of a stream's events."""
    reader = SseReader()
    return [data for chunk in stream for _, data, _ in reader.feed(chunk) if data != b"[DONE]"]


def follow(make: Callable[[], Follower], chunks: list[bytes]) -> Callable[[], object]:
    """An answer followed from its first byte to the verdict."""

    def once() -> object:
        follower = make()
        for chunk in chunks:
            follower.feed(chunk)
        follower.end()
        return follower.ending()

    return once


def loaded(bodies: list[bytes]) -> Callable[[], object]:
    """The same bytes read as JSON, and dropped."""
    return lambda: [json.loads(body) for body in bodies]


def each_us(work: Callable[[], object], turns: int = TURNS) -> float:
    """CPU microseconds of one call."""

    def many() -> None:
        for _ in range(turns):
            work()

    return cpu_time(many) / turns * 1e6


def measured(
    name: str,
    work: Callable[[], object],
    bodies: list[bytes],
    mix: str,
    goal: float | None = None,
    turns: int = TURNS,
) -> Result:
    """One figure beside `json.loads` of the same bodies."""
    return Result(
        name,
        each_us(work, turns),
        "us",
        mix,
        "sockets, HTTP, keys, holds, the firewall, the ledger",
        each_us(loaded(bodies), turns),
        "json.loads of the same JSON, without reading events or adding anything up",
        at_most=goal,
    )


def run() -> list[Result]:
    """Every machine on what it meets most."""
    chat, message, response = chat_stream(), message_stream(), response_stream()
    whole, vectors, body = chat_whole(), embeddings_whole(), request()
    told = "text, first token, characters and bytes, finish, usage and ending are known"
    return [
        measured("protocol: chat stream", follow(lambda: ChoicesFollower(streamed=True), chat), datas(chat),
                 f"24 events of a chat completion, each in a read of its own: {told}", GOAL_STREAM_US),
        measured("protocol: chat stream, usage withheld",
                 follow(lambda: ChoicesFollower(streamed=True, withhold_usage=True), chat), datas(chat),
                 "the same, and the event of usage that the client did not ask for is kept back", GOAL_STREAM_US),
        measured("protocol: chat stream in one read", follow(lambda: ChoicesFollower(streamed=True), [b"".join(chat)]),
                 datas(chat), "the same 24 events in one read", GOAL_STREAM_US),
        measured("protocol: message stream", follow(lambda: MessagesFollower(streamed=True), message), datas(message),
                 f"24 events of an Anthropic message, each in a read of its own: {told}", GOAL_STREAM_US),
        measured("protocol: response stream", follow(lambda: ResponsesFollower(streamed=True), response), datas(response),
                 f"24 events of an OpenAI response, each in a read of its own: {told}", GOAL_STREAM_US),
        measured("protocol: chat answer", follow(lambda: ChoicesFollower(streamed=False), [whole]), [whole],
                 f"a chat completion of {len(whole):,} bytes in one piece: {told}"),
        measured("protocol: embeddings answer", follow(lambda: EmbeddingsFollower(streamed=False), [vectors]), [vectors],
                 f"16 embeddings, {len(vectors):,} bytes: usage and ending are known, no number is made", turns=20),
        measured("protocol: request read", lambda: read_ask(Protocol.CHAT, body), [body],
                 f"a chat of {len(body):,} bytes: model, limits, texts, bound of the input"),
        measured("protocol: usage asked for", lambda: with_usage_asked(body), [body],
                 "the same request with stream_options set, its other fields byte for byte"),
    ]  # fmt: skip
