"""What requests hold, as `ask_plain` and `ask_forward` read them.

These kinds stand apart from who reads them because a compiled reader (docs/guide/gateway.md) can't define them: msgspec makes
them of annotations, which compiled classes do not keep.
"""

import msgspec

ABSENT = msgspec.Raw()
"""A setting that was not sent."""


class Turn(msgspec.Struct, forbid_unknown_fields=True):
    """A message of text."""

    role: str
    content: str


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """What a client says of its stream."""

    include_usage: bool | None = None


class Chat(msgspec.Struct, forbid_unknown_fields=True):
    """A chat completion that is nothing but messages of text and settings."""

    model: str
    messages: list[Turn]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    stream_options: Options | None = None
    n: int | None = None
    service_tier: str | None = None
    temperature: msgspec.Raw = ABSENT
    top_p: msgspec.Raw = ABSENT
    presence_penalty: msgspec.Raw = ABSENT
    frequency_penalty: msgspec.Raw = ABSENT
    seed: int | None = None
    user: str | None = None


class Streamed(msgspec.Struct):
    """A request of which only the options of its stream are to be known."""

    stream_options: dict[str, msgspec.Raw] | None = None
