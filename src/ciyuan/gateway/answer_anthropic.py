"""Answers of Anthropic's messages protocol.

| event | told |
|---|---|
| `message_start` | USAGE: the input is said, the output not yet |
| `content_block_start` | its text; the name of a tool that is called |
| `content_block_delta`: `text_delta`, `thinking_delta`, `input_json_delta` | TEXT, REASONING, TOOL_CALL |
| `message_delta` | FINISH, and USAGE, final: its counts are cumulative, so they replace the earlier ones |
| `message_stop` | END |
| `error` | ERROR |
| `ping`, `content_block_stop`, signatures, citations, and what is new | nothing |

Blocks that a supplier's own tools wrote (results of searches) are no output of the model and are not counted.

Source: docs.claude.com/en/docs/build-with-claude/streaming and docs.claude.com/en/api/messages.
"""

from types import MappingProxyType
from typing import Final

import msgspec

from ciyuan.gateway.answer import Finish, Follower, Said, Told, error_text, json_text
from ciyuan.gateway.answer_anthropic_shapes import Block, Delta, Event, Message
from ciyuan.gateway.claims import Fields, merged_usage, messages_claim

FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "tool_use": Finish.TOOL_CALLS,
    "pause_turn": Finish.PAUSED,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.REFUSED,
}
"""What stop reasons mean; one that is not here is OTHER."""
_NOTHING: Final[Fields] = MappingProxyType({})
_CALLS = {"tool_use", "server_tool_use", "mcp_tool_use"}
_EVENT = msgspec.json.Decoder(Event).decode
_MESSAGE = msgspec.json.Decoder(Message).decode


class MessagesFollower(Follower):
    """Follows a message, streamed or whole."""

    _usage: Fields = _NOTHING

    def _read_event(self, name: bytes, data: bytes, told: list[Said]) -> None:
        event = self._read(_EVENT, Event, data)
        if event is None:
            return
        kind = event.type
        if kind == "content_block_delta":
            if event.delta is not None:
                self._hear_delta(event.delta, event.index if type(event.index) is int else 0, told)
        elif kind == "content_block_start":
            if event.content_block is not None:
                place = event.index if type(event.index) is int else 0
                self._hear_block(event.content_block, place, told, whole=False)
        elif kind == "message_delta":
            self._hear_close(event, told)
        elif kind == "message_stop":
            self._ended(told)
        elif kind == "message_start":
            if event.message is not None:
                self._hear_usage(event.message.usage, told, final=False)
        elif kind == "error" or name == b"error" or event.error is not None:
            self._fail(error_text(event.error), told)

    def _read_whole(self, body: bytes, told: list[Said]) -> None:
        message = self._read(_MESSAGE, Message, body)
        if message is None:
            return
        if message.error is not None or message.type == "error":
            self._fail(error_text(message.error), told)
            return
        if message.content is None:
            self.unreadable += 1
            return
        for place, block in enumerate(message.content):
            self._hear_block(block, place, told, whole=True)
        self._hear_finish(message.stop_reason, told)
        self._hear_usage(message.usage, told, final=True)
        self._ended(told)

    def _hear_close(self, event: Event, told: list[Said]) -> None:
        if event.delta is not None:
            self._hear_finish(event.delta.stop_reason, told)
        self._hear_usage(event.usage, told, final=True)

    def _hear_finish(self, reason: object, told: list[Said]) -> None:
        if isinstance(reason, str) and reason:
            self._finish(FINISHES.get(reason, Finish.OTHER), 0, reason, told)

    def _hear_usage(self, said: object, told: list[Said], *, final: bool) -> None:
        if isinstance(said, dict):
            self._usage = merged_usage(self._usage, said)
            self._claimed(messages_claim(self._usage, self.tokens_max, final=final), told)
        elif said is not None:
            self._claimed(messages_claim(said, self.tokens_max), told)

    def _hear_delta(self, delta: Delta, place: int, told: list[Said]) -> None:
        text = delta.text
        if isinstance(text, str) and text:
            self._add(Told.TEXT, place, text, told)
        elif isinstance(delta.partial_json, str) and delta.partial_json:
            self._add(Told.TOOL_CALL, place, delta.partial_json, told)
        elif isinstance(delta.thinking, str) and delta.thinking:
            self._add(Told.REASONING, place, delta.thinking, told)

    def _hear_block(self, block: Block, place: int, told: list[Said], *, whole: bool) -> None:
        if isinstance(block.text, str) and block.text:
            self._add(Told.TEXT, place, block.text, told)
        if isinstance(block.thinking, str) and block.thinking:
            self._add(Told.REASONING, place, block.thinking, told)
        if block.type in _CALLS:
            if isinstance(block.name, str) and block.name:
                self._add(Told.TOOL_CALL, place, block.name, told)
            if whole and block.input is not None:
                self._add(Told.TOOL_CALL, place, json_text(block.input), told)
