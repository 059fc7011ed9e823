"""What Anthropic's protocol sends, as `answer_anthropic` reads it: the fields that say something, and no others.

These kinds stand apart from who reads them because a compiled reader (docs/guide/gateway.md) can't define them: msgspec makes
them of annotations, which compiled classes do not keep.
"""

import msgspec


class Block(msgspec.Struct):
    """A part of a message."""

    type: object = None
    text: object = None
    thinking: object = None
    name: object = None
    input: object = None


class Delta(msgspec.Struct):
    """What is added to a block, or to the message."""

    text: object = None
    thinking: object = None
    partial_json: object = None
    stop_reason: object = None


class Message(msgspec.Struct):
    """A message, or how one begins."""

    type: object = None
    content: list[Block] | None = None
    stop_reason: object = None
    usage: object = None
    error: object = None


class Event(msgspec.Struct):
    """An event of a stream."""

    type: object = None
    index: object = 0
    message: Message | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: object = None
    error: object = None
