"""A chat completion that is nothing but messages of text and settings, read in one typed pass: a fifth of the work of `ask`.

Nearly all requests are such. What is in any way else (tools, parts, other fields, a value out of range) is None here, and read by
`read_ask` field by field. For what is plain both say the same; a test holds that.
"""

import msgspec

from ciyuan.gateway.ask import CHOICES_MAX, MODEL_CHARS_MAX, OUTPUT_TOKENS_MAX, Ask
from ciyuan.gateway.ask_parts import Heard
from ciyuan.gateway.door_refusals import Protocol

_ABSENT = msgspec.Raw()
_HOLDS_TEXT = (b'"', b"[", b"{")
"""How JSON begins that may hold a text: a setting that does is none."""


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str


class _Options(msgspec.Struct, forbid_unknown_fields=True):
    include_usage: bool | None = None


class _Chat(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    messages: list[_Turn]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    stream_options: _Options | None = None
    n: int | None = None
    service_tier: str | None = None
    temperature: msgspec.Raw = _ABSENT
    top_p: msgspec.Raw = _ABSENT
    presence_penalty: msgspec.Raw = _ABSENT
    frequency_penalty: msgspec.Raw = _ABSENT
    seed: int | None = None
    user: str | None = None


_CHAT = msgspec.json.Decoder(_Chat).decode
_LIMITS = "max_completion_tokens", "max_tokens"


def plain_ask(body: bytes) -> Ask | None:
    """What is to be known of a chat completion, if it is plain; None if it is not, or not to be taken."""
    try:
        chat = _CHAT(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    most, field = chat.max_completion_tokens, _LIMITS[0]
    if most is None:
        most, field = chat.max_tokens, _LIMITS[1]
    elif chat.max_tokens is not None and chat.max_tokens != most:
        return None
    choices, options, turns = chat.n, chat.stream_options, chat.messages
    if (
        not 1 <= len(chat.model) <= MODEL_CHARS_MAX
        or not turns
        or (most is not None and not 1 <= most <= OUTPUT_TOKENS_MAX)
        or (choices is not None and not 1 <= choices <= CHOICES_MAX)
        or (options is not None and not chat.stream)
        or bytes(chat.temperature).startswith(_HOLDS_TEXT)
        or bytes(chat.top_p).startswith(_HOLDS_TEXT)
        or bytes(chat.presence_penalty).startswith(_HOLDS_TEXT)
        or bytes(chat.frequency_penalty).startswith(_HOLDS_TEXT)
    ):
        return None
    texts = [turn.content for turn in turns if turn.content]
    chars = octets = 0
    for text in texts:
        length = len(text)
        chars += length
        octets += length if text.isascii() else len(text.encode())
    return Ask(
        Protocol.CHAT,
        len(body),
        chat.model,
        bool(chat.stream),
        options is not None and options.include_usage is True,
        most,
        "" if most is None else field,
        choices or 1,
        len(turns),
        Heard(texts, [chat.user] if chat.user else []),
        chars,
        octets,
        chat.service_tier or "",
    )
