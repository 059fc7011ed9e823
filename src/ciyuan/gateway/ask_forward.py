"""A request on its way: its body with some fields changed, and what stands for it where a client may send it twice.

A field that is changed is replaced; every other keeps its value byte for byte. A key that came twice goes on once, with the
value that the door itself read (the last): nobody behind it reads another model or another limit.
"""

from hashlib import blake2b

import msgspec

from ciyuan.gateway.ask import Ask
from ciyuan.gateway.ask_shapes import Streamed
from ciyuan.gateway.door_refusals import DoorRefusal, Protocol, Refused

IDEMPOTENCY_CHARS_MAX = 255


def with_fields(body: bytes, changes: dict[str, bytes]) -> bytes:
    """The body with some fields set to other JSON; every other field keeps its value byte for byte, and comes but once.

    Raises msgspec.DecodeError for a body that is no JSON object, which `read_ask` has refused.
    """
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    for name, value in changes.items():
        fields[name] = msgspec.Raw(value)
    return msgspec.json.encode(fields)


def with_usage_asked(body: bytes) -> bytes:
    """The body of a streamed chat completion or completion, asking that the supplier report its usage at the end."""
    options = msgspec.json.decode(body, type=Streamed).stream_options or {}
    options["include_usage"] = msgspec.Raw(b"true")
    return with_fields(body, {"stream_options": msgspec.json.encode(options)})


def needs_usage_asked(ask: Ask) -> bool:
    """Whether a supplier reports this stream's usage only if asked, and the client did not: then we ask, and withhold it."""
    return ask.stream and not ask.usage_asked and ask.protocol in {Protocol.CHAT, Protocol.COMPLETIONS}


def idempotency_digest(owner: int, key: str) -> bytes | Refused:
    """What stands for a client's `Idempotency-Key`, 16 bytes: the same key of another owner is another.

    It is not the request's own key: that is ours, and is given once.
    """
    if not (1 <= len(key) <= IDEMPOTENCY_CHARS_MAX and key.isascii() and key.isprintable()):
        return Refused(DoorRefusal.IDEMPOTENCY_KEY_MALFORMED, "Idempotency-Key")
    return blake2b(f"{owner}:{key}".encode(), digest_size=16).digest()


def fingerprint(protocol: Protocol, body: bytes) -> bytes:
    """What stands for a request's content, 16 bytes: the same key with another fingerprint is refused."""
    return blake2b(body, digest_size=16, person=b"ask", salt=bytes([protocol])).digest()
