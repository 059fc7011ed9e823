"""Answers of OpenAI's protocols with choices, and of all who speak them: chat completions, completions, embeddings.

| sent | told |
|---|---|
| `choices[].delta` or `message`: `content`, `refusal`, `reasoning_content` or `reasoning`, `tool_calls`, `audio` | its text |
| `choices[].text` | TEXT |
| `choices[].finish_reason` | FINISH, but for null and "" (Ollama and SGLang send "" with every chunk) |
| `usage`, or `choices[].usage` (Moonshot), or `x_groq.usage` | USAGE; final at the finish or where nothing else is sent |
| `error`, or an event named error, or `object` "error" | ERROR |
| finish reasons of failures: `insufficient_system_resource` (DeepSeek), `network_error` (Zhipu), `error` (OpenRouter) | ERROR |
| `data: [DONE]` | END |

Sources: platform.openai.com/docs/api-reference (chat/streaming, chat/object, completions/object, embeddings/object);
api-docs.deepseek.com/api/create-chat-completion; docs.bigmodel.cn; openrouter.ai/docs/api-reference/overview;
github.com/ollama/ollama/issues/4357; github.com/sgl-project/sglang/issues/3912.
"""

import msgspec

from ciyuan.gateway.answer import UNREAD, Finish, Follower, Said, Told, error_text, json_text
from ciyuan.gateway.answer_openai_shapes import (
    Audio,
    Chunk,
    Embeddings,
    Function,
    Message,
)
from ciyuan.gateway.claims import chat_claim, embeddings_claim

FINISHES = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "end_turn": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.REFUSED,
    "sensitive": Finish.REFUSED,
    "safety": Finish.REFUSED,
}
"""What finish reasons mean; one that is not here is OTHER."""
FAILURES = {"insufficient_system_resource", "network_error", "error"}
"""Finish reasons that mean that the supplier broke off."""
_DONE = b"[DONE]"
_TEXT = Told.TEXT
_CHUNK = msgspec.json.Decoder(Chunk).decode
_EMBEDDINGS = msgspec.json.Decoder(Embeddings).decode


def _has_more(message: Message) -> bool:
    """Whether a message holds anything beside a plain text."""
    return (
        message.tool_calls is not None
        or message.reasoning_content is not None
        or message.reasoning is not None
        or message.refusal is not None
        or message.audio is not None
        or message.function_call is not None
    )


class ChoicesFollower(Follower):
    """Follows a chat completion or a completion, streamed or whole."""

    def _read_event(self, name: bytes, data: bytes, told: list[Said]) -> None:
        if data == _DONE:
            self._ended(told)
            return
        try:
            chunk: Chunk | None = _CHUNK(data)
        except UNREAD:
            chunk = self._read_leniently(Chunk, data)
        if chunk is None:
            return
        if chunk.error is not None or name == b"error" or chunk.kind == "error":
            self._fail(error_text(chunk.error if chunk.error is not None else chunk.message), told)
        elif not self._hear_plain(chunk, told):
            self._hear_chunk(chunk, told)

    def _hear_plain(self, chunk: Chunk, told: list[Said]) -> bool:
        """Hear a chunk that adds to a text and does nothing else, as nearly all do; false if it is another."""
        choices = chunk.choices
        if choices is None or len(choices) != 1 or chunk.usage is not None:
            return False
        choice = choices[0]
        message = choice.delta
        if (
            message is None
            or choice.finish_reason is not None
            or choice.usage is not None
            or _has_more(message)
        ):
            return False
        text = message.content
        if (
            type(text) is not str
            or choice.text is not None
            or type(choice.index) is not int
            or chunk.x_groq is not None
        ):
            return False
        if text:
            self._add(_TEXT, choice.index, text, told)
        return True

    def _read_whole(self, body: bytes, told: list[Said]) -> None:
        chunk = self._read(_CHUNK, Chunk, body)
        if chunk is None:
            return
        if chunk.error is not None or chunk.kind == "error":
            self._fail(error_text(chunk.error if chunk.error is not None else chunk.message), told)
        elif chunk.choices is None and chunk.usage is None:
            self.unreadable += 1
        elif not self._hear_plain_whole(chunk, told):
            self._hear_chunk(chunk, told)
            if not self.failed:
                self._ended(told)

    def _hear_plain_whole(self, chunk: Chunk, told: list[Said]) -> bool:
        """Hear an answer of one choice that is a text, as nearly all are; false if it is another."""
        choices = chunk.choices
        if choices is None or len(choices) != 1 or chunk.x_groq is not None:
            return False
        choice = choices[0]
        message, word = choice.message, choice.finish_reason
        if (
            message is None
            or choice.delta is not None
            or choice.text is not None
            or choice.usage is not None
            or type(choice.index) is not int
            or type(message.content) is not str
            or not message.content
            or _has_more(message)
            or type(word) is not str
            or word not in FINISHES
        ):
            return False
        self._add(_TEXT, choice.index, message.content, told)
        self._finish(FINISHES[word], choice.index, word, told)
        if chunk.usage is not None:
            self._claimed(chat_claim(chunk.usage, self.tokens_max), told)
        self._ended(told)
        return True

    def _hear_chunk(self, chunk: Chunk, told: list[Said]) -> None:
        usage = chunk.usage
        for choice in chunk.choices or ():
            place = choice.index if type(choice.index) is int else 0
            message = choice.delta or choice.message
            if message is not None:
                self._hear_message(message, place, told)
            if choice.text and isinstance(choice.text, str):
                self._add(_TEXT, place, choice.text, told)
            if choice.finish_reason and isinstance(choice.finish_reason, str):
                self._hear_finish(choice.finish_reason.lower(), place, told)
            if usage is None:
                usage = choice.usage
        if usage is None and chunk.x_groq is not None:
            usage = chunk.x_groq.usage
        if usage is not None:
            alone = not chunk.choices
            final = alone or self.finish is not None or not self.streamed
            self._claimed(chat_claim(usage, self.tokens_max, final=final), told)
            if alone and self.withhold_usage:
                self._withhold_this()

    def _hear_finish(self, word: str, place: int, told: list[Said]) -> None:
        if word in FAILURES:
            self._fail(word, told)
        else:
            self._finish(FINISHES.get(word, Finish.OTHER), place, word, told)

    def _hear_message(self, message: Message, place: int, told: list[Said]) -> None:
        if isinstance(message.content, list):
            self._hear_parts(message.content, place, told)
        elif message.content and isinstance(message.content, str):
            self._add(_TEXT, place, message.content, told)
        reasoning = message.reasoning_content or message.reasoning
        if isinstance(reasoning, str) and reasoning:
            self._add(Told.REASONING, place, reasoning, told)
        if isinstance(message.refusal, str) and message.refusal:
            self._add(Told.REFUSAL, place, message.refusal, told)
        if message.tool_calls:
            for call in message.tool_calls:
                if call.function is not None:
                    self._hear_call(call.function, place, told)
        if message.function_call is not None:
            self._hear_call(message.function_call, place, told)
        if message.audio is not None:
            self._hear_audio(message.audio, place, told)

    def _hear_call(self, function: Function, place: int, told: list[Said]) -> None:
        for text in (function.name, function.arguments):
            if text is not None and text != "":
                self._add(Told.TOOL_CALL, place, text if isinstance(text, str) else json_text(text), told)

    def _hear_audio(self, audio: Audio, place: int, told: list[Said]) -> None:
        if isinstance(audio.transcript, str) and audio.transcript:
            self._add(Told.TEXT, place, audio.transcript, told)
        if isinstance(audio.data, str) and audio.data:
            self._add(Told.AUDIO, place, audio.data, told)

    def _hear_parts(self, parts: list[object], place: int, told: list[Said]) -> None:
        """Content in parts, as Mistral sends it: parts of text, and of thinking that has parts of text itself."""
        for part in parts:
            if isinstance(part, dict):
                thinking, text = part.get("thinking"), part.get("text")
                if isinstance(text, str) and text:
                    self._add(Told.TEXT, place, text, told)
                for inner in thinking if isinstance(thinking, list) else (thinking,):
                    thought = inner.get("text") if isinstance(inner, dict) else inner
                    if isinstance(thought, str) and thought:
                        self._add(Told.REASONING, place, thought, told)


class EmbeddingsFollower(Follower):
    """Follows embeddings, which are always whole: how many vectors came, and their usage."""

    def _read_event(self, name: bytes, data: bytes, told: list[Said]) -> None:
        self.unreadable += 1

    def _read_whole(self, body: bytes, told: list[Said]) -> None:
        read = self._read(_EMBEDDINGS, Embeddings, body)
        if read is None:
            return
        if read.error is not None:
            self._fail(error_text(read.error), told)
            return
        if read.data is None:
            self.unreadable += 1
            return
        self.tally.vectors = len(read.data)
        if read.data:
            self.begun = True
            told.append((Told.FIRST, 0, ""))
        self._claimed(embeddings_claim(read.usage, self.tokens_max), told)
        self._finish(Finish.STOP, 0, "", told)
        self._ended(told)
