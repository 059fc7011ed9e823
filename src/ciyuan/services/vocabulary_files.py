"""Files of vocabularies, read into what counts: the engine of a `tokenizer.json`, or byte-pair ranks with their pattern.

| form | what it is | engine |
|---|---|---|
| TOKENIZER_JSON | a model's `tokenizer.json`, of Hugging Face's `tokenizers`: pattern, normal form and merges | `tokenizers` |
| RANKS | lines of a token in base64 and its rank (`.tiktoken`; Llama's `tokenizer.model`), also gzipped | `tiktoken` |
| TEKKEN | Mistral's `tekken.json`: a pattern, and ranks, of which the size that it states is used | `tiktoken` |
| PACKED | ranks in binary, as the package quicktok-v1 ships them: a count, then of each token length, bytes, rank | `tiktoken` |

Ranks alone do not say how a text is cut before it is merged: the *pattern* does, and it is another one for each vocabulary.
With a wrong one the counts are wrong and nothing shows it, so a file of ranks is never read without its pattern being named.

Nothing here opens a connection: engines are given what they need, in memory.
"""

import gzip
import json
import unicodedata
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import cast

import tokenizers

from ciyuan.basics.errors import Malformed

GZIP_MAGIC = b"\x1f\x8b"
Ranks = dict[bytes, int]
Counter = Callable[[str], int]
"""Tokens of a text, its marks not counted."""


class Form(Enum):
    """See the table above."""

    TOKENIZER_JSON = "tokenizer.json"
    RANKS = "ranks"
    TEKKEN = "tekken"
    PACKED = "packed"


@dataclass(frozen=True, slots=True)
class Cut:
    """How a text is cut before ranks are applied: the pattern, and whether it is first put into normal form C."""

    pattern: str
    composed: bool = False


_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
)
CUTS = {
    "cl100k": Cut(rf"{_WORDS}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"),
    "o200k": Cut(rf"{_CASED}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"),
    "qwen": Cut(rf"{_WORDS}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}", composed=True),
}
"""How the families cut, each taking what its source takes. cl100k (also Llama 3) and o200k (also Llama 4):
github.com/openai/tiktoken, tiktoken_ext/openai_public.py; qwen: the package dashscope, tokenizers/qwen_tokenizer.py."""


def tokenizer_json_counter(data: bytes, place: str) -> Counter:
    """What counts by a `tokenizer.json`. Raises Malformed if it is none."""
    try:
        engine = tokenizers.Tokenizer.from_buffer(data)
    except Exception as error:  # the engine raises bare Exception for whatever it cannot read
        raise _malformed(place, str(error)[:200], "a tokenizer.json of Hugging Face's tokenizers") from error
    engine.no_truncation()
    engine.no_padding()

    def count(text: str) -> int:
        return len(engine.encode_batch_fast([text], add_special_tokens=False)[0])

    return count


def ranks_counter(ranks: Ranks, cut: Cut, place: str) -> Counter:
    """What counts by ranks. Raises Malformed if tiktoken is not installed or cannot take them."""
    try:
        tiktoken = import_module("tiktoken")
    except ImportError:
        raise Malformed(place, found="no tiktoken", expected="tiktoken, which counts by ranks",
                        remedy="Install it: pip install tiktoken.") from None  # fmt: skip
    if missing := [byte for byte in range(256) if bytes([byte]) not in ranks]:
        raise _malformed(place, f"no token for the bytes {missing[:8]}", "ranks for each of the 256 bytes")
    engine = tiktoken.Encoding(place, pat_str=cut.pattern, mergeable_ranks=ranks, special_tokens={})

    def count(text: str) -> int:
        if cut.composed and not text.isascii():
            text = unicodedata.normalize("NFC", text)
        return len(engine.encode_ordinary(text))

    return count


def read_ranks(data: bytes, place: str) -> Ranks:
    """The ranks in a file of lines, gzipped or not. Raises Malformed for a line that is none."""
    if data.startswith(GZIP_MAGIC):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise _malformed(place, str(error), "a whole gzip file") from error
    ranks: Ranks = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line:
            continue
        try:
            token, rank = line.split()
            ranks[b64decode(token, validate=True)] = int(rank)
        except (ValueError, NotBase64) as error:
            raise _malformed(
                f"{place}, line {number}", line[:80], "a token in base64, a space, its rank"
            ) from error
    return ranks


def read_packed(data: bytes, place: str) -> Ranks:
    """The ranks in a packed file: u32 count; of each token u16 length, bytes, u32 rank; little-endian."""
    ranks: Ranks = {}
    at = 4
    for _ in range(int.from_bytes(data[:4], "little")):
        end = at + 2 + int.from_bytes(data[at : at + 2], "little")
        if end + 4 > len(data):
            raise _malformed(place, f"{len(data)} bytes", "a whole file of packed ranks")
        ranks[data[at + 2 : end]] = int.from_bytes(data[end : end + 4], "little")
        at = end + 4
    if at != len(data):
        raise _malformed(place, f"{len(data) - at} bytes after the last token", "nothing")
    return ranks


def read_tekken(data: bytes, place: str) -> tuple[Ranks, Cut]:
    """The ranks and the pattern in a `tekken.json`."""
    try:
        fields = json.loads(data)
        config, entries = fields["config"], fields["vocab"]
        kept = int(config["default_vocab_size"]) - int(config["default_num_special_tokens"])
        ranks = {b64decode(entry["token_bytes"]): int(entry["rank"]) for entry in entries[:kept]}
        return ranks, Cut(cast("str", config["pattern"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _malformed(place, f"{error!r:.200}", "a tekken.json") from error


def file_counter(path: Path, form: Form, cut: Cut | None, data: bytes) -> Counter:
    """What counts by a file of one of the forms. Raises Malformed if it is not of it, or has ranks and no cut is named."""
    place = f"vocabulary {path}"
    if form is Form.TOKENIZER_JSON:
        return tokenizer_json_counter(data, place)
    if form is Form.TEKKEN:
        return ranks_counter(*read_tekken(data, place), place)
    if cut is None:
        raise _malformed(
            place, "ranks without a pattern", f"one of {', '.join(CUTS)}, or a pattern of its own"
        )
    return ranks_counter(
        read_ranks(data, place) if form is Form.RANKS else read_packed(data, place), cut, place
    )


def _malformed(place: str, found: object, expected: str) -> Malformed:
    return Malformed(
        place, found=found, expected=expected, remedy="Take the file from the model's own publisher."
    )
