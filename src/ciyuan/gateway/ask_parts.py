"""What a request's body says, heard part by part: texts for the firewall and the tokens, addresses, pictures, and what is unseen.

Two kinds of places are told apart. What the *protocol* shapes (messages, their parts) has types and roles that are nobody's text,
and parts that are pictures, sounds and files. What the *client* shapes (arguments of calls, schemas, metadata) is text through
and through, keys as well: a key named `data` there is no base64, and an address there is fetched by nobody.

| part | protocol | heard as |
|---|---|---|
| `image_url`, `input_image` | OpenAI's | a picture by address, or in the body as a `data:` address |
| `image`, `document` with a `source` | Anthropic's | a picture or a file: in base64, by address, kept by the supplier |
| `file`, `input_file`, `input_audio` | OpenAI's | a file or a sound, likewise |
| `item_reference` | OpenAI's | what the supplier keeps |
"""

from collections.abc import Callable
from dataclasses import dataclass, field

_MUTE = {"type", "role", "cache_control", "signature", "encrypted_content"}
"""Keys, in what the protocol shapes, whose texts are the protocol's or sealed by the supplier."""
_FREE = {"input", "arguments", "parameters", "input_schema", "schema"}
"""Keys, in what the protocol shapes, whose values the client shapes."""
_CLIENTS_TOOLS = {"function", "custom", "local_shell", "shell", "apply_patch"}
_CLIENTS_TOOLS_OF_ANTHROPIC = ("bash_", "text_editor_", "computer_", "memory_")
"""Tools that the client runs: what they bring in comes in a later request, to be seen there."""


@dataclass(slots=True)
class Heard:
    """What was heard of a body."""

    texts: list[str] = field(default_factory=list)
    """What is said to the model."""
    asides: list[str] = field(default_factory=list)
    """Every text of every other field, whatever it is for: it leaves the house as well."""
    token_ids: int = 0
    """Tokens that were sent as numbers."""
    tools: list[str] = field(default_factory=list)
    """Names of the functions offered, and types of the supplier's own tools."""
    addresses: list[str] = field(default_factory=list)
    """What the supplier would fetch: pictures, files, tools' servers."""
    images_by_url: int = 0
    images_inline: int = 0
    inline_bytes: int = 0
    """Bytes of base64 in the body: no text."""
    unseen: list[str] = field(default_factory=list)
    """The fields that bring in input which the body does not show."""


def hear(heard: Heard, value: object) -> None:
    """Note every text, address and picture in a part of the body that the protocol shapes."""
    if isinstance(value, str):
        if value:
            heard.texts.append(value)
    elif isinstance(value, list):
        for inner in value:
            hear(heard, inner)
    elif isinstance(value, dict):
        listen = _PARTS.get(value.get("type") or "")
        if listen is not None and listen(heard, value):
            return
        for name, inner in value.items():
            if name in _FREE:
                hear_all(heard, inner)
            elif name not in _MUTE:
                hear(heard, inner)
    elif type(value) is int:
        heard.token_ids += 1


def hear_all(heard: Heard, value: object) -> None:
    """Note every text in a part of the body that the client shapes: nothing in it is the protocol's, keys are texts as well."""
    if isinstance(value, str):
        if value:
            heard.texts.append(value)
    elif isinstance(value, list):
        for inner in value:
            hear_all(heard, inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            heard.texts.append(name)
            hear_all(heard, inner)


def _hear_image_part(heard: Heard, part: dict[str, object]) -> bool:
    """A picture, as chat completions and responses write it: an address, or an object with one; or a file kept there."""
    if part.get("file_id"):
        heard.unseen.append("file_id")
        return True
    address = part.get("image_url")
    if isinstance(address, dict):
        address = address.get("url")
    return isinstance(address, str) and _hear_picture(heard, address)


def _hear_source_part(heard: Heard, part: dict[str, object]) -> bool:
    """A picture or a document, as messages write it: a source in base64, at an address, in a file; a source in text is a text."""
    source = part.get("source")
    if not isinstance(source, dict):
        return False
    data, address, kind = source.get("data"), source.get("url"), source.get("type")
    if kind == "base64" and isinstance(data, str):
        _hear_data(heard, data, picture=part.get("type") == "image")
    elif kind == "url" and isinstance(address, str) and part.get("type") == "image":
        _hear_picture(heard, address)
    elif kind == "url" and isinstance(address, str):
        _hear_address(heard, address)
    elif kind == "file":
        heard.unseen.append("file_id")
    else:
        return False
    hear_all(heard, [part.get("title"), part.get("context")])
    return True


def _hear_file_part(heard: Heard, part: dict[str, object]) -> bool:
    """A file or a sound, as chat completions and responses write it."""
    inner = part.get("file") or part.get("input_audio") or part
    if not isinstance(inner, dict):
        return False
    data, address = inner.get("file_data") or inner.get("data"), inner.get("file_url")
    if isinstance(data, str):
        _hear_data(heard, data, picture=False)
    elif isinstance(address, str):
        _hear_address(heard, address)
    else:
        heard.unseen.append("file_id")
    hear_all(heard, inner.get("filename"))
    return True


def _hear_reference(heard: Heard, part: dict[str, object]) -> bool:
    """An item that the supplier keeps."""
    heard.unseen.append(f"{part.get('type')}")
    return True


def _hear_picture(heard: Heard, address: str) -> bool:
    if address.startswith("data:"):
        _hear_data(heard, address, picture=True)
    else:
        heard.addresses.append(address)
        heard.images_by_url += 1
    return True


def _hear_data(heard: Heard, data: str, *, picture: bool) -> None:
    heard.inline_bytes += len(data)
    if picture:
        heard.images_inline += 1
    else:
        heard.unseen.append("file_data")


def _hear_address(heard: Heard, address: str) -> None:
    heard.addresses.append(address)
    heard.unseen.append("file_url")


_PARTS: dict[object, Callable[[Heard, dict[str, object]], bool]] = {
    "image_url": _hear_image_part,
    "input_image": _hear_image_part,
    "image": _hear_source_part,
    "document": _hear_source_part,
    "file": _hear_file_part,
    "input_file": _hear_file_part,
    "input_audio": _hear_file_part,
    "item_reference": _hear_reference,
}
"""Parts that are more than text, and who hears them; False from one means that the part is not what its type says."""


def hear_tools(heard: Heard, tools: object) -> None:
    """Note the tools that are offered: all they say is shaped by the client; what is the supplier's own brings in the unseen."""
    if not isinstance(tools, list):
        return
    for tool in tools:
        if not isinstance(tool, dict):
            continue
        function = tool.get("function")
        name = function.get("name") if isinstance(function, dict) else tool.get("name")
        kind, server = tool.get("type"), tool.get("server_url")
        heard.tools.append(name if isinstance(name, str) else f"{kind}")
        if (
            isinstance(kind, str)
            and kind not in _CLIENTS_TOOLS
            and not kind.startswith(_CLIENTS_TOOLS_OF_ANTHROPIC)
        ):
            heard.unseen.append(f"tools: {kind}")
        if isinstance(server, str):
            heard.addresses.append(server)
        hear_all(heard, tool)
