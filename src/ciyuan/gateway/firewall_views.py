"""How else a text reads: with its disguises undone, and out of base64. Each view knows where its bytes stand in the text.

| disguise | undone by |
|---|---|
| full-width, circled, raised, mathematical letters, digits of other scripts | compatibility form (NFKC), decimal values |
| zero-width characters, joiners, marks of direction, soft hyphens, variation selectors, fillers | left out |
| tag characters (U+E0020..E007E) | the ASCII that they shadow |
| backslash escapes, as of JSON inside a string: `\\u0041`, `\\x41`, `\\n` | the character |
| percent encoding, character references: `%41`, `&#65;`, `&#x41;` | the character |
| base64 and base64url: a run of 24 to RUN_BYTES_MAX letters with 18 bytes of ASCII in a row | decoded, at all four alignments |

One layer is undone, not layers upon layers. Letters that only look alike (Cyrillic `А`), other encodings (hexadecimal,
base32, compression, ciphers), spelt-out digits and base64 broken over lines are not.
"""

import re
from binascii import a2b_base64
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from unicodedata import decimal, normalize

from ciyuan.gateway.firewall_pattern import WORD

OUTSIDE = 10
"""The byte that a text is taken to stand behind: a line feed."""
RUN_BYTES_MAX = 4096
"""A longer run of base64 is not looked into; that it is there is a finding of its own."""
BASE64_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_HIDDEN = (
    r"\xc2\xad|\xcd\x8f|\xd8\x9c|\xe1\xa0\x8e|\xe1\x85\x9f|\xe1\x85\xa0|\xe1\x9e[\xb4\xb5]|\xe3\x85\xa4|\xef\xbe\xa0"
    r"|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xb8[\x80-\x8f]|\xef\xbb\xbf|\xf3\xa0[\x84-\x87][\x80-\xbf]"
)
_NOT_SEEN = re.compile(f"(?:{_HIDDEN}|\\xf3\\xa0[\\x80-\\x81][\\x80-\\xbf])".encode())
_OTHER = (
    r"\xef\xbc[\x8b\x8d-\x8f\x90-\x99\x9d\xa0-\xba\xbf]|\xef\xbd[\x81-\x9a]|\xe2(?:\x81[\xb0-\xbf]|\x82[\x80-\x8e]|\x84[\x80-\xbf]|[\x91-\x93][\x80-\xbf])"
    r"|\xf0\x9d[\x90-\x9f][\x80-\xbf]|\xd9[\xa0-\xa9]|\xdb[\xb0-\xb9]|\xe0\xa5[\xa6-\xaf]|\xe0\xb9[\x90-\x99]"
    r"|\xf3\xa0[\x80-\x81][\x80-\xbf]"
)
_HEX4 = r"u[0-9A-Fa-f]{4}"
_ESCAPE = (
    rf"\\(?:u[dD][89ABab][0-9A-Fa-f]{{2}}\\u[dD][C-Fc-f][0-9A-Fa-f]{{2}}|{_HEX4}|x[0-9A-Fa-f]{{2}}|[\\/\x22'bfnrt])"
    r"|%[2-9A-Fa-f][0-9A-Fa-f]|&#(?:[0-9]{1,6}|[Xx][0-9A-Fa-f]{1,6});"
)
DISGUISES = f"(?:{_HIDDEN}|{_OTHER}|{_ESCAPE})"
"""What marks a text in which something is written otherwise than it reads, for the one pass."""
_MAY_BE_DISGUISED = re.compile(rb"[\\%&\x80-\xff]")
_LEADS = re.compile(rb"[\\%&\xc2\xcd\xd8\xd9\xdb\xe0-\xe3\xef\xf0\xf3]")
_DISGUISE = re.compile(f"(?:{_HIDDEN})|{_OTHER}|{_ESCAPE}".encode())
"""One thing that reads otherwise than it is written."""
UNFINISHED = re.compile(
    rb"(?:\\(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?|u[dD][89ABab][0-9A-Fa-f]{2}(?:\\(?:u(?:[dD](?:[C-Fc-f][0-9A-Fa-f]?)?)?)?)?)?"
    rb"|(?:%[89A-Fa-f][0-9A-Fa-f]){0,3}%[2-9A-Fa-f]?|(?:%[89A-Fa-f][0-9A-Fa-f]){1,3}|&(?:#(?:[0-9]{0,6}|[Xx][0-9A-Fa-f]{0,6}))?)\Z"
)
"""The end of a text that may be the beginning of an escape."""
UNFINISHED_BYTES_MAX = 14
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_QUADS = r"(?:[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-])"
_QUADS_MIN = 6
_ALIGNED = re.compile(f"(?:[A-Za-z0-9+/_-]{{4}}){{0,{RUN_BYTES_MAX}}}?{_QUADS}{{{_QUADS_MIN}}}".encode())
BASE64_SIGN = f"{_QUADS}{{{_QUADS_MIN}}}"
"""What marks a text in which something may be packed: base64 of 18 bytes of ASCII, for the one pass."""
_URL_LETTERS = bytes.maketrans(b"-_", b"+/")


class Folded(NamedTuple):
    """A text with its disguises undone.

    Stretches take turns: as it stands, undone, as it stands, and so on. `bounds` are the places in `data` where each begins,
    `origins` the same in the text. A place is inside a word only if it is so in both: `edges` are places inside words of `data`
    that are not inside a word of the text, `origin_edges` places inside words of the text that are not inside one of `data`.
    """

    data: bytes
    bounds: list[int]
    origins: list[int]
    edges: list[int]
    origin_edges: list[int]

    def start(self, place: int) -> int:
        """Where in the text the byte at `place` comes from: the beginning of what was undone to make it."""
        stretch = bisect_right(self.bounds, place) - 1
        return self.origins[stretch] + (0 if stretch % 2 else place - self.bounds[stretch])

    def end(self, place: int) -> int:
        """Where in the text the bytes before `place` end."""
        stretch = bisect_right(self.bounds, place - 1) - 1
        if stretch % 2:
            return self.origins[stretch + 1]
        return self.origins[stretch] + place - self.bounds[stretch]


def may_be_disguised(data: bytes, fold_left: int) -> bool:
    """Whether data may read otherwise than it is written: a quick look. Its first byte, which stands before the text, reads as
    `fold_left`; if this says no, `fold` would change nothing.
    """
    return fold_left != data[0] or _MAY_BE_DISGUISED.search(data, 1) is not None


def disguises(data: bytes) -> Iterator[re.Match[bytes]]:
    """Everything from byte 1 on that reads otherwise than it is written, from the left."""
    done = 1
    for lead in _LEADS.finditer(data, 1):
        found = _DISGUISE.match(data, lead.start()) if lead.start() >= done else None
        if found:
            done = found.end()
            yield found


def fold(data: bytes, left: int) -> Folded:
    """The data with its disguises undone, but for its first byte: that stands before the text, and reads as `left`."""
    parts, bounds, origins = [], [0], [0]
    done = size = 0
    for found in disguises(data):
        plain, undone = data[done : found.start()], _undone(found[0])
        size += len(plain)
        bounds.append(size)
        origins.append(found.start())
        size += len(undone)
        bounds.append(size)
        origins.append(found.end())
        parts += [plain, undone]
        done = found.end()
    parts.append(data[done:])
    undone_data = bytes((left,)) + b"".join(parts)[1:]
    edges, origin_edges = set(), set()
    for place, origin in [(1, 1), *zip(bounds[1:], origins[1:], strict=True)]:
        undone_inside, inside = _inside_word(undone_data, place), _inside_word(data, origin)
        if undone_inside and not inside:
            edges.add(place)
        elif inside and not undone_inside:
            origin_edges.add(origin)
    return Folded(undone_data, bounds, origins, sorted(edges), sorted(origin_edges))


def _inside_word(data: bytes, place: int) -> bool:
    return 0 < place < len(data) and data[place - 1] in WORD and data[place] in WORD


@lru_cache(maxsize=4096)
def _undone(written: bytes) -> bytes:
    """What one disguise reads as."""
    text = written.decode()
    if text[0] == "%":
        return bytes.fromhex(text[1:])
    return b"".join(_read(letter) for letter in (_unescaped(text) if text[0] in "\\&" else text))


def _read(letter: str) -> bytes:
    """What a letter of another width, form or script reads as; nothing for one that is not seen."""
    code, digit = ord(letter), decimal(letter, None)
    if 0xE0020 <= code < 0xE007F:
        return bytes((code - 0xE0000,))
    if _NOT_SEEN.fullmatch(written := letter.encode("utf-8", "replace")):
        return b""
    return (
        written
        if code < 128
        else (normalize("NFKC", letter) if digit is None else str(digit)).encode("utf-8", "replace")
    )


def _unescaped(text: str) -> str:
    if text[0] == "&":
        code = int(text[3:-1], 16) if text[2] in "Xx" else int(text[2:-1])
        return chr(code) if 0 < code < 0x110000 else ""
    if text[1] == "u" and len(text) == 12:
        return chr(0x10000 + ((int(text[2:6], 16) - 0xD800) << 10) + int(text[8:12], 16) - 0xDC00)
    if text[1] in "ux":
        return chr(int(f"0x{text[2:]}", 0))
    return _CONTROLS.get(text[1], text[1])


class Packed(NamedTuple):
    """A run of base64 at bytes [start, end) of the data, decoded; `data` is None for a run that is too long to look into."""

    start: int
    end: int
    data: bytes | None


def unpack(data: bytes, start: int, end: int) -> Iterator[Packed]:
    """A run of base64 letters, decoded at each alignment at which it holds ASCII."""
    letters = data[start : min(end, start + RUN_BYTES_MAX)]
    aligned = [shift for shift in range(4) if _ALIGNED.match(letters, shift)]
    if end - start > RUN_BYTES_MAX:
        yield from [Packed(start, start + RUN_BYTES_MAX, None)] if aligned else ()
        return
    padding = data[end : end + 2]
    for shift in aligned:
        yield Packed(start, end + len(padding) - len(padding.lstrip(b"=")), _decoded(letters[shift:]))


def _decoded(letters: bytes) -> bytes:
    whole = letters[: len(letters) - (len(letters) % 4 == 1)].translate(_URL_LETTERS)
    return a2b_base64(whole + b"=" * (-len(whole) % 4))
