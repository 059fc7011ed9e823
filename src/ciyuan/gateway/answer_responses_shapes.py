"""What OpenAI's responses send, as `answer_responses` reads it: the fields that say something, and no others.

These kinds stand apart from who reads them because a compiled reader (docs/guide/gateway.md) can't define them: msgspec makes
them of annotations, which compiled classes do not keep.
"""

import msgspec


class Event(msgspec.Struct):
    """An event of a stream."""

    type: str = ""
    delta: object = None
    output_index: object = 0
    response: msgspec.Raw = msgspec.Raw()
    error: object = None
    message: object = None
    code: object = None


class Part(msgspec.Struct):
    """A part of an item's content."""

    text: object = None
    refusal: object = None


class Item(msgspec.Struct):
    """An item of the output."""

    type: object = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    name: object = None
    arguments: object = None
    input: object = None


class Reason(msgspec.Struct):
    """Why a response is not complete."""

    reason: object = None


class Response(msgspec.Struct):
    """A whole response."""

    status: object = None
    error: object = None
    incomplete_details: Reason | None = None
    output: list[Item] | None = None
    usage: object = None
