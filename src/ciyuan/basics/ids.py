"""Identifiers: a key of 62 bits that is a function of content.

The same content always has the same key, so that a repeat is seen as one. With 10**9 keys the chance that any two contents
share one is about 10**18 / 2**63 = 0.1; a machine that is handed such a pair refuses the second, it never mixes them.
"""

from hashlib import blake2b

KEY_MAX = 2**62


def content_key(*parts: int | str) -> int:
    """A key in 1 .. 2**62 of the given parts; their order and kinds count."""
    text = "".join(f"{type(part).__name__}:{len(str(part))}:{part}" for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") % KEY_MAX + 1
