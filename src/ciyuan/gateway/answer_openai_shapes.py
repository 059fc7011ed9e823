"""What OpenAI's protocols with choices send, as `answer_openai` reads it: the fields that say something, and no others.

These kinds stand apart from who reads them because a compiled reader (docs/guide/gateway.md) can't define them: msgspec makes
them of annotations, which compiled classes do not keep.
"""

import msgspec


class Function(msgspec.Struct):
    """A function's name and arguments, or pieces of them."""

    name: object = None
    arguments: object = None


class ToolCall(msgspec.Struct):
    """A call of a tool."""

    index: object = None
    function: Function | None = None


class Audio(msgspec.Struct):
    """Sound, and its words."""

    data: object = None
    transcript: object = None


class Message(msgspec.Struct):
    """A message, or what is added to one."""

    content: object = None
    refusal: object = None
    reasoning_content: object = None
    reasoning: object = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    audio: Audio | None = None


class Choice(msgspec.Struct):
    """One of the answers asked for."""

    index: object = 0
    delta: Message | None = None
    message: Message | None = None
    text: object = None
    finish_reason: object = None
    usage: object = None


class Groq(msgspec.Struct):
    """What Groq adds to a chunk."""

    usage: object = None


class Chunk(msgspec.Struct):
    """An event of a stream, or a whole answer."""

    kind: object = msgspec.field(name="object", default=None)
    choices: list[Choice] | None = None
    usage: object = None
    x_groq: Groq | None = None
    error: object = None
    message: object = None


class Embeddings(msgspec.Struct):
    """A whole answer of vectors."""

    data: list[msgspec.Raw] | None = None
    usage: object = None
    error: object = None
