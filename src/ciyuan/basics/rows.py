"""The row: a command, an event or a transfer is eight 64-bit integers.

| word | holds |
|---|---|
| 0 | the kind word: code (bits 0-15), flags (bits 16-23), reason (bits 24-39) |
| 1 | time, nanoseconds since 1970-01-01T00:00:00Z |
| 2-7 | as the stage's `messages` name them |

A batch is a C-contiguous `(n, 8)` int64 matrix. `kind_word` refuses a part that does not fit; the readers never raise.
"""

from collections.abc import Sequence

ROW_WORDS = 8
ROW_BYTES = 64
KIND = 0
TIME = 1
INT64_MAX = 2**63 - 1
FLAG_SHIFT = 16
REASON_SHIFT = 24
CODE_MASK = 0xFFFF
FLAG_MASK = 0xFF
REASON_MASK = 0xFFFF

Row = tuple[int, int, int, int, int, int, int, int]
"""One row as plain integers, as the slow stages and the tests write it."""


def kind_word(code: int, flags: int = 0, reason: int = 0) -> int:
    """Pack a kind word. Raises ValueError for a part that does not fit."""
    if not (0 <= code <= CODE_MASK and 0 <= flags <= FLAG_MASK and 0 <= reason <= REASON_MASK):
        raise ValueError(
            f"code {code}, flags {flags}, reason {reason}: one does not fit in 16, 8 and 16 bits"
        )
    return code | flags << FLAG_SHIFT | reason << REASON_SHIFT


def code_of(word: int) -> int:
    """The code of a kind word."""
    return word & CODE_MASK


def flags_of(word: int) -> int:
    """The flags of a kind word."""
    return word >> FLAG_SHIFT & FLAG_MASK


def reason_of(word: int) -> int:
    """The reason of a kind word."""
    return word >> REASON_SHIFT & REASON_MASK


def row(kind: int, time_ns: int, words: Sequence[int] = ()) -> Row:
    """A row from its kind word, its time and up to six words; the words not given are 0."""
    if len(words) > ROW_WORDS - 2:
        raise ValueError(f"{len(words)} words given, a row has six after kind and time")
    a, b, c, d, e, f = (*words, *(0,) * (ROW_WORDS - 2 - len(words)))
    return (kind, time_ns, a, b, c, d, e, f)
