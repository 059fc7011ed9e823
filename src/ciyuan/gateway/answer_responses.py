"""Answers of OpenAI's responses protocol.

| event | told |
|---|---|
| `response.output_text.delta` | TEXT |
| `response.refusal.delta` | REFUSAL |
| `response.reasoning_text.delta`, `response.reasoning_summary_text.delta` | REASONING |
| `response.audio.delta` | AUDIO |
| any other `*.delta` (arguments of calls, code, commands) | TOOL_CALL |
| `response.completed`, `response.incomplete` | FINISH, USAGE, END |
| `response.failed`, `error` | ERROR, with USAGE if it says one |

A `*.done` event repeats what its deltas said and is not counted again; only where no delta came is the text read from the
final response. A status of `incomplete` is LENGTH or, for `content_filter`, REFUSED: both are answers that were given, and
neither is free.

Source: platform.openai.com/docs/api-reference/responses-streaming and /responses/object.
"""

import msgspec

from ciyuan.gateway.answer import Finish, Follower, Said, Told, error_text, json_text
from ciyuan.gateway.answer_responses_shapes import Event, Item, Response
from ciyuan.gateway.claims import responses_claim

_KINDS = {
    "response.output_text.delta": Told.TEXT,
    "response.refusal.delta": Told.REFUSAL,
    "response.reasoning_text.delta": Told.REASONING,
    "response.reasoning_summary_text.delta": Told.REASONING,
    "response.audio.delta": Told.AUDIO,
    "response.audio.transcript.delta": Told.TEXT,
}
_LAST = {"response.completed", "response.incomplete", "response.failed"}
_INCOMPLETE = {"content_filter": Finish.REFUSED, "max_output_tokens": Finish.LENGTH}
_EVENT = msgspec.json.Decoder(Event).decode
_RESPONSE = msgspec.json.Decoder(Response).decode


class ResponsesFollower(Follower):
    """Follows a response, streamed or whole."""

    def _read_event(self, name: bytes, data: bytes, told: list[Said]) -> None:
        if data == b"[DONE]":  # not OpenAI's, but bridges send it
            return
        event = self._read(_EVENT, Event, data)
        if event is None:
            return
        if event.type.endswith(".delta"):
            if event.delta is not None and event.delta != "":
                text = event.delta if isinstance(event.delta, str) else json_text(event.delta)
                place = event.output_index if type(event.output_index) is int else 0
                self._add(_KINDS.get(event.type, Told.TOOL_CALL), place, text, told)
        elif event.type in _LAST:
            self._read_whole(bytes(event.response), told)
        elif event.type == "error" or name == b"error" or event.error is not None:
            self._fail(error_text(event.error or event.message or event.code), told)

    def _read_whole(self, body: bytes, told: list[Said]) -> None:
        response = self._read(_RESPONSE, Response, body)
        if response is None:
            return
        if response.status is None and response.output is None:
            if response.error is None:
                self.unreadable += 1
            else:
                self._fail(error_text(response.error), told)
            return
        if not self.begun:
            for place, item in enumerate(response.output or ()):
                self._hear_item(item, place, told)
        self._claimed(responses_claim(response.usage, self.tokens_max), told)
        self._close(response, told)

    def _close(self, response: Response, told: list[Said]) -> None:
        if response.status in {"failed", "cancelled"}:
            self._fail(error_text(response.error or response.status), told)
            return
        if response.status == "incomplete":
            reason = response.incomplete_details.reason if response.incomplete_details else None
            word = reason if isinstance(reason, str) else "incomplete"
            self._finish(_INCOMPLETE.get(word, Finish.OTHER), 0, word, told)
        elif response.status in {None, "completed"}:
            calls = any(item.type == "function_call" for item in response.output or ())
            self._finish(Finish.TOOL_CALLS if calls else Finish.STOP, 0, "completed", told)
        else:  # queued or in progress: a background response, whose answer is fetched later
            self._finish(Finish.PAUSED, 0, f"{response.status}", told)
        self._ended(told)

    def _hear_item(self, item: Item, place: int, told: list[Said]) -> None:
        kind = Told.REASONING if item.type == "reasoning" else Told.TEXT
        for part in (*(item.content or ()), *(item.summary or ())):
            if isinstance(part.text, str) and part.text:
                self._add(kind, place, part.text, told)
            if isinstance(part.refusal, str) and part.refusal:
                self._add(Told.REFUSAL, place, part.refusal, told)
        for text in (item.name, item.arguments, item.input):
            if text is not None and text != "":
                self._add(Told.TOOL_CALL, place, text if isinstance(text, str) else json_text(text), told)
