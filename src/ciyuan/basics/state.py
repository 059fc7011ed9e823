"""The state hash: one fingerprint of a machine's whole state.

A machine's snapshot is a mapping of names to integer matrices. The hash covers names (sorted), shapes and bytes, so two
machines are equal exactly if their hashes are, and nothing that matters may live outside the snapshot.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Protocol


class Matrix(Protocol):
    """What is hashed: a NumPy array (or anything with a shape, an item size and its bytes)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        ...

    @property
    def itemsize(self) -> int:
        """Bytes of one entry."""
        ...

    def tobytes(self) -> bytes:
        """All entries' bytes, row by row."""
        ...


def state_hash(parts: Mapping[str, Matrix]) -> str:
    """32 hexadecimal characters: BLAKE2b-128 over the sorted names, the shapes and the bytes of `parts`."""
    digest = blake2b(digest_size=16)
    for name in sorted(parts):
        matrix = parts[name]
        digest.update(f"{name}{matrix.shape}x{matrix.itemsize};".encode())
        digest.update(matrix.tobytes())
    return digest.hexdigest()
