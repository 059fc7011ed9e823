"""A chat completion that is nothing but messages of text and settings, read in one typed pass: a fifth of the work of `ask`.

Nearly all requests are such. What is in any way else (tools, parts, other fields, a value out of range) is None here, and read by
`read_ask` field by field. For what is plain both say the same; a test holds that.
"""

import msgspec

from ciyuan.gateway.ask import CHOICES_MAX, MODEL_CHARS_MAX, OUTPUT_TOKENS_MAX, Ask
from ciyuan.gateway.ask_parts import Heard
from ciyuan.gateway.ask_shapes import Chat
from ciyuan.gateway.door_refusals import Protocol

_HOLDS_TEXT = (b'"', b"[", b"{")
"""How JSON begins that may hold a text: a setting that does is none."""


_CHAT = msgspec.json.Decoder(Chat).decode
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
