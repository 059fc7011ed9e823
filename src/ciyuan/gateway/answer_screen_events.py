"""Which texts of an event of a stream go on from one event to the next, and when they end: what a screen must know of protocols.

A text belongs to a *place*: all that is added to one place is one text. A *lane* is what is written in order: a choice of a chat,
a whole message of the other protocols. Only what is written piece by piece is named here; all else in an event is judged
as it stands, so a field that nobody has heard of is looked at too.

| protocol | texts | calls of tools | texts end at | a call ends at |
|---|---|---|---|---|
| chat, completions | all in `delta`, `message`; `text` | `tool_calls`, `function_call` | `finish_reason` | `finish_reason` |
| messages | all in `content_block_delta`, `_start` | `partial_json`, by block | `content_block_stop` | the same |
| responses | `delta` of `*.delta` | `delta` of `*_call*.delta`, by item | any other event | `output_item.done` |

Calls that are still open end with the message. Sources: those of `answer_openai`, `answer_anthropic`, `answer_responses`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ciyuan.gateway.answer import json_text
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.firewall_body import DEPTH_MAX, FIXED, SEALED, Path

Place = tuple[int | str, ...]
"""What tells one text of an answer from another."""
_SKIPPED = FIXED | SEALED
_ALL: frozenset[int] = frozenset()
_LAST_RESPONSES = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "error"}
)
_LAST_MESSAGES = frozenset({"message_delta", "message_stop", "error"})


class TextPart(NamedTuple):
    """A piece of text: its lane, its place, where in the event it stands, and the piece."""

    lane: int
    place: Place
    path: Path
    text: str


class CallPart(NamedTuple):
    """A piece of a call: its lane and group (what ends it), its place, and what it adds.

    Without a `path` it adds to what is judged of the call, and is itself judged with the rest of its event.
    """

    group: int
    place: Place
    path: Path | None
    arguments: str
    name: str = ""
    kind: str = ""
    call_id: str = ""


@dataclass(slots=True)
class Parts:
    """What a screen has to know of one event.

    `ends` are the lanes whose texts end with it, `closes` the groups whose calls do; None is none, an empty set is all.
    `opaque` are the paths of what is no text. `keeps_alive` says that the event means nothing but that the supplier is there.
    """

    texts: list[TextPart] = field(default_factory=list)
    calls: list[CallPart] = field(default_factory=list)
    ends: frozenset[int] | None = None
    closes: frozenset[int] | None = None
    opaque: list[Path] = field(default_factory=list)
    keeps_alive: bool = False


def everything_ends() -> Parts:
    """The parts of an event that ends the answer."""
    return Parts(ends=_ALL, closes=_ALL)


def read_parts(protocol: Protocol, body: Mapping[str, object]) -> Parts:
    """The parts of one event's JSON."""
    if protocol is Protocol.MESSAGES:
        return _messages(body)
    if protocol is Protocol.RESPONSES:
        return _responses(body)
    return _choices(body)


def _number(value: object, default: int = 0) -> int:
    return value if type(value) is int else default


def _choices(body: Mapping[str, object]) -> Parts:
    parts = Parts()
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        parts.ends = _ALL
        return parts
    finished = []
    for number, choice in enumerate(choices):
        if not isinstance(choice, dict):
            continue
        lane = _number(choice.get("index"))
        for wrapper in ("delta", "message"):
            message = choice.get(wrapper)
            if isinstance(message, dict):
                _message(message, lane, ("choices", number, wrapper), parts)
        text = choice.get("text")
        if isinstance(text, str) and text:
            parts.texts.append(TextPart(lane, (lane, "text"), ("choices", number, "text"), text))
        if choice.get("finish_reason"):
            finished.append(lane)
    if finished:
        parts.ends = parts.closes = frozenset(finished)
    return parts


def _message(message: Mapping[str, object], lane: int, path: Path, parts: Parts) -> None:
    for key, value in message.items():
        if type(value) is str:
            if value and key not in _SKIPPED:
                parts.texts.append(TextPart(lane, (lane, key), (*path, key), value))
        elif key == "tool_calls" and isinstance(value, list):
            for number, call in enumerate(value):
                if isinstance(call, dict):
                    _call(call, lane, (*path, key, number), _number(call.get("index"), number), parts)
        elif key == "function_call" and isinstance(value, dict):
            parts.calls.append(_function(value, lane, (lane, key), (*path, key)))
        elif key == "audio" and isinstance(value, dict) and isinstance(value.get("data"), str):
            parts.opaque.append((*path, key, "data"))
            _deep({**value, "data": None}, lane, (*path, key), (lane, key), parts)
        elif value:
            _deep(value, lane, (*path, key), (lane, key), parts)


def _call(call: Mapping[str, object], lane: int, path: Path, index: int, parts: Parts) -> None:
    for wrapper in ("function", "custom"):
        inner = call.get(wrapper)
        if isinstance(inner, dict):
            call_id = call.get("id")
            made = _function(inner, lane, (lane, "tool_calls", index), (*path, wrapper))
            parts.calls.append(made._replace(call_id=call_id if isinstance(call_id, str) else ""))


def _function(inner: Mapping[str, object], lane: int, place: Place, path: Path) -> CallPart:
    name = inner.get("name")
    key = "arguments" if "arguments" in inner else "input"
    given = inner.get(key)
    said = name if isinstance(name, str) else ""
    if isinstance(given, str):
        return CallPart(lane, place, (*path, key) if given else None, given, said)
    return CallPart(lane, place, None, "" if given is None else json_text(given), said)


def _deep(value: object, lane: int, path: Path, place: Place, parts: Parts) -> None:
    """The texts inside what a message nests: parts of contents, transcripts, details of reasoning."""
    if len(path) > DEPTH_MAX:
        return
    for key, item in _items(value):
        if isinstance(item, str):
            if item and key not in _SKIPPED:
                parts.texts.append(TextPart(lane, (*place, key), (*path, key), item))
        else:
            _deep(item, lane, (*path, key), (*place, key), parts)


def _items(value: object) -> Iterator[tuple[int | str, object]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _messages(body: Mapping[str, object]) -> Parts:
    kind, index = body.get("type"), _number(body.get("index"))
    parts = Parts()
    if kind == "ping":
        parts.keeps_alive = True
    elif kind == "content_block_delta":
        _block(body.get("delta"), index, "delta", parts)
    elif kind == "content_block_start":
        _block(body.get("content_block"), index, "content_block", parts)
    elif kind == "content_block_stop":
        parts.ends, parts.closes = _ALL, frozenset((index,))
    elif kind in _LAST_MESSAGES:
        return everything_ends()
    return parts


def _block(block: object, index: int, wrapper: str, parts: Parts) -> None:
    if not isinstance(block, dict):
        return
    kind, name = block.get("type"), block.get("name")
    if isinstance(kind, str) and kind.endswith("tool_use"):
        given = block.get("input")
        parts.calls.append(
            CallPart(index, (index, "call"), None, json_text(given) if given else "",
                     name if isinstance(name, str) else "", kind)
        )  # fmt: skip
        return
    if kind == "redacted_thinking":
        parts.opaque.append((wrapper, "data"))
        return
    for key, value in block.items():
        if type(value) is str and value and key not in _SKIPPED:
            if key == "partial_json":
                parts.calls.append(CallPart(index, (index, "call"), (wrapper, key), value))
            else:
                parts.texts.append(TextPart(0, (index, key), (wrapper, key), value))


def _responses(body: Mapping[str, object]) -> Parts:
    kind, index = body.get("type"), _number(body.get("output_index"))
    parts = Parts()
    if not isinstance(kind, str):
        return everything_ends()
    if kind.endswith(".delta"):
        text = body.get("delta")
        if kind == "response.audio.delta":
            parts.opaque.append(("delta",))
        elif isinstance(text, str) and text:
            if "_call" in kind:
                parts.calls.append(CallPart(index, (index, "call"), ("delta",), text))
            else:
                inner = _number(body.get("content_index"), _number(body.get("summary_index")))
                parts.texts.append(TextPart(0, (index, kind, inner), ("delta",), text))
        return parts
    parts.ends = _ALL
    item = body.get("item")
    if kind == "response.output_item.added" and isinstance(item, dict):
        named, name = item.get("type"), item.get("name")
        if isinstance(named, str) and named.endswith("_call"):
            parts.calls.append(
                CallPart(index, (index, "call"), None, "", name if isinstance(name, str) else "", named)
            )
    elif kind == "response.output_item.done":
        parts.closes = frozenset((index,))
    elif kind in _LAST_RESPONSES:
        parts.closes = _ALL
    return parts


def opaque_in(body: object, path: Path = ()) -> list[Path]:
    """The paths of what is no text in a whole answer: sound, and thoughts that are sealed."""
    found: list[Path] = []
    if isinstance(body, dict):
        sealed = body.get("type") == "redacted_thinking" or (path and path[-1] == "audio")
        if sealed and isinstance(body.get("data"), str):
            found.append((*path, "data"))
    if len(path) < DEPTH_MAX:
        for key, item in _items(body):
            if isinstance(item, dict | list):
                found += opaque_in(item, (*path, key))
    return found
