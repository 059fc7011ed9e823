"""The patterns of the firewall's rules: a small language of bytes, and what is derived from a pattern.

A rule's pattern is written once, in a part of the regular expressions that everybody knows:

| written | means |
|---|---|
| `a`, `极` | that character; what is not ASCII is its UTF-8 bytes, never a part of them |
| `[a-z0-9._]`, `[:：]` | one of these characters; there is no negation |
| `(a|b)` | one or the other |
| `x?`, `x{3}`, `x{2,9}` | up to once, three times, two to nine times: as often as it can |
| `\\.`, `\\n`, `\\t`, `\\r` | the character itself, line feed, tab, carriage return |

There is no `*` and no `+`: every pattern has a longest match, which bounds how much of a stream is held back. Four things are
derived, so that none of them can disagree with the pattern: the expression for Python's `re`, which says exactly where a match
begins and ends; the *finder* for the multi-pattern engine, a shorter pattern that lies in every match; the language of the
pattern's *beginnings*, which says whether a text's end may still become a match; and the *opener*, without which a match of
several words cannot have begun.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NoReturn

from ciyuan.basics.errors import Malformed

WORD = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The bytes of words. No match begins or ends between two of them."""
EDGE = "(?:(?<![0-9A-Za-z])|(?![0-9A-Za-z]))"
"""Nowhere inside a word: the expression that stands at both ends of every rule's."""
FINDER_TAIL_BYTES = 12
"""Of a finder's last repetition this much is enough to find it."""
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}
_SPECIAL = set("()[]{}|?*+.^$\\")


@dataclass(frozen=True, slots=True)
class OneOf:
    """One byte of a set: bit b of `members` stands for byte b."""

    members: int


@dataclass(frozen=True, slots=True)
class Chain:
    """One part after the other. A chain that begins with a UTF-8 lead byte is one character."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of several ways; the first that leads to a match is taken."""

    ways: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`inner`, from `least` to `most` times, as often as it can."""

    inner: "Node"
    least: int
    most: int


Node = OneOf | Chain | Either | Repeat


def members_of(text: bytes) -> int:
    """The set of these bytes, as bits."""
    return reduce(lambda members, byte: members | 1 << byte, text, 0)


def bytes_of(members: int) -> bytes:
    """The bytes of a set, in order."""
    return bytes(byte for byte in range(256) if members >> byte & 1)


def character(letter: str, *, caseless: bool = False) -> Node:
    """One character, as UTF-8; in all its cases if `caseless`."""
    cases = sorted({letter, letter.lower(), letter.upper()}) if caseless else [letter]
    codes = [case.encode() for case in cases if len(case) == 1]
    plain = members_of(b"".join(code for code in codes if len(code) == 1))
    wide: list[Node] = [Chain(tuple(OneOf(1 << byte) for byte in code)) for code in codes if len(code) > 1]
    narrow: list[Node] = [OneOf(plain)] if plain else []
    return _either(narrow + wide)


def _either(ways: list[Node]) -> Node:
    return ways[0] if len(ways) == 1 else Either(tuple(ways))


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str, caseless: bool) -> None:
        self.pattern = pattern
        self.caseless = caseless
        self.place = 0

    def refuse(self, expected: str) -> NoReturn:
        raise Malformed(
            f"firewall pattern {self.pattern!r}, at character {self.place}",
            found=self.pattern[self.place : self.place + 8],
            expected=expected,
            remedy="Write the pattern in the language that ciyuan.gateway.firewall_pattern describes.",
        )

    def next(self) -> str:
        return self.pattern[self.place : self.place + 1]

    def take(self) -> str:
        letter = self.next() or self.refuse("more of the pattern")
        self.place += 1
        return letter

    def taken(self, letter: str) -> bool:
        found = self.next() == letter
        self.place += found
        return found

    def ways(self) -> Node:
        ways = [self.chain()]
        while self.taken("|"):
            ways.append(self.chain())
        return _either(ways)

    def chain(self) -> Node:
        parts = []
        while self.next() not in {"", "|", ")"}:
            parts.append(self.repeated(self.part()))
        if not parts:
            self.refuse("something to match")
        return parts[0] if len(parts) == 1 else Chain(tuple(parts))

    def part(self) -> Node:
        if self.taken("("):
            inner = self.ways()
            if not self.taken(")"):
                self.refuse("a closing parenthesis")
            return inner
        if self.taken("["):
            return self.choice()
        return character(self.letter(_SPECIAL), caseless=self.caseless)

    def letter(self, special: set[str]) -> str:
        if self.taken("\\"):
            escaped = self.take()
            if escaped.isalnum() and escaped not in _CONTROLS:
                self.refuse("an escaped sign of punctuation, \\n, \\t or \\r")
            return _CONTROLS.get(escaped, escaped)
        if self.next() in special:
            self.refuse("a character that means itself")
        return self.take()

    def choice(self) -> Node:
        ways: dict[Node, None] = {}
        plain = 0
        if self.next() == "^":
            self.refuse("the members of a choice: there is no negation")
        while not self.taken("]"):
            first = self.letter({"["})
            ends = self.pattern[self.place : self.place + 2]
            last = first
            if ends[:1] == "-" and ends[1:] not in {"", "]"}:
                self.place += 1
                last = self.letter({"["})
            for code in range(ord(first), ord(last) + 1):
                for way in _ways_of(character(chr(code), caseless=self.caseless)):
                    if isinstance(way, OneOf):
                        plain |= way.members
                    else:
                        ways[way] = None
        return (
            _either([OneOf(plain)] * bool(plain) + list(ways)) if plain or ways else self.refuse("a member")
        )

    def repeated(self, inner: Node) -> Node:
        if self.taken("?"):
            return Repeat(inner, 0, 1)
        if not self.taken("{"):
            return inner
        least = self.number()
        most = self.number() if self.taken(",") else least
        if not self.taken("}") or not 0 <= least <= most or most == 0:
            self.refuse("{n} or {least,most}")
        return inner if least == most == 1 else Repeat(inner, least, most)

    def number(self) -> int:
        digits = ""
        while self.next().isdecimal():
            digits += self.take()
        return int(digits) if digits else self.refuse("a number")


def _ways_of(node: Node) -> tuple[Node, ...]:
    return node.ways if isinstance(node, Either) else (node,)


def read_pattern(pattern: str, *, caseless: bool = False) -> Node:
    """The pattern, read. Malformed, naming the place, if it is not of the language above."""
    reader = _Reader(pattern, caseless)
    node = reader.ways()
    if reader.next():
        reader.refuse("the end of the pattern")
    return node


def least_bytes(node: Node) -> int:
    """The shortest match."""
    match node:
        case OneOf():
            return 1
        case Chain(parts):
            return sum(least_bytes(part) for part in parts)
        case Either(ways):
            return min(least_bytes(way) for way in ways)
        case Repeat(inner, least, _):
            return least * least_bytes(inner)


def most_bytes(node: Node) -> int:
    """The longest match."""
    match node:
        case OneOf():
            return 1
        case Chain(parts):
            return sum(most_bytes(part) for part in parts)
        case Either(ways):
            return max(most_bytes(way) for way in ways)
        case Repeat(inner, _, most):
            return most * most_bytes(inner)


def first_bytes(node: Node) -> int:
    """The set of bytes that a match may begin with."""
    match node:
        case OneOf(members):
            return members
        case Either(ways):
            return reduce(int.__or__, (first_bytes(way) for way in ways))
        case Repeat(inner, _, _):
            return first_bytes(inner)
        case Chain(parts):
            members = 0
            for part in parts:
                members |= first_bytes(part)
                if least_bytes(part):
                    break
            return members


def all_bytes(node: Node) -> int:
    """The set of bytes that a match may hold."""
    match node:
        case OneOf(members):
            return members
        case Chain(several) | Either(several):
            return reduce(int.__or__, (all_bytes(part) for part in several))
        case Repeat(inner, _, _):
            return all_bytes(inner)


def expression(node: Node) -> str:
    """The pattern as both engines read it: bytes in hexadecimal, groups without a number."""
    match node:
        case OneOf(members):
            return _set(members)
        case Chain(parts):
            return "".join(expression(part) for part in parts)
        case Either(ways):
            return f"(?:{'|'.join(expression(way) for way in ways)})"
        case Repeat(inner, least, most):
            return f"{_grouped(expression(inner), inner)}{{{least},{most}}}"


def _grouped(text: str, node: Node) -> str:
    return text if isinstance(node, OneOf | Either) else f"(?:{text})"


def _set(members: int) -> str:
    """A set as one letter, or as its ranges in brackets."""
    run = list(bytes_of(members))
    if len(run) == 1:
        return f"\\x{run[0]:02x}"
    ranges: list[list[int]] = []
    for byte in run:
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1][1] = byte
        else:
            ranges.append([byte, byte])
    inside = (f"\\x{low:02x}" if low == high else f"\\x{low:02x}-\\x{high:02x}" for low, high in ranges)
    return f"[{''.join(inside)}]"


def beginning(node: Node) -> str:
    """An expression of all that a match may begin with: nothing, every first part of a match, and whole matches.

    A character is never cut: text comes in whole characters.
    """
    match node:
        case OneOf(members):
            return f"{_set(members)}?"
        case Either(ways):
            return f"(?:{'|'.join(beginning(way) for way in ways)})"
        case Repeat(OneOf(members), _, most):
            return f"{_set(members)}{{0,{most}}}"
        case Repeat(inner, _, most):
            return f"(?:{expression(inner)}){{0,{most - 1}}}(?:{beginning(inner)})"
        case Chain(parts):
            return f"(?:{expression(node)})?" if _is_character(node) else _chain_beginning(parts)


def _is_character(chain: Chain) -> bool:
    first = chain.parts[0]
    return isinstance(first, OneOf) and first.members >= 1 << 0xC0


def _chain_beginning(parts: tuple[Node, ...]) -> str:
    text = ""
    for part in reversed(parts):
        if not text:
            text = beginning(part)
        elif isinstance(part, OneOf) or (isinstance(part, Chain) and _is_character(part)):
            text = f"(?:{expression(part)}{text})?"
        else:
            text = f"(?:{expression(part)}{text}|{beginning(part)})"
    return text


def beginnings(nodes: Sequence[Node]) -> str:
    """One expression of what any of several patterns may begin with; where they begin alike it is tried once."""
    return _merged(
        [node.parts if isinstance(node, Chain) and not _is_character(node) else (node,) for node in nodes]
    )


def _merged(chains: list[tuple[Node, ...]]) -> str:
    """What chains may begin with: those with the same first part together."""
    together: dict[Node, list[tuple[Node, ...]]] = {}
    for first, *rest in chains:
        together.setdefault(first, []).append(tuple(rest))
    ways = []
    for first, rests in together.items():
        after = [rest for rest in rests if rest]
        inside = expression(first) + _merged(after) if after else ""
        simple = isinstance(first, OneOf) or (isinstance(first, Chain) and _is_character(first))
        if not after:
            ways.append(beginning(first))
        else:
            ways.append(f"(?:{inside})?" if simple else f"(?:{inside}|{beginning(first)})")
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


def finder(node: Node) -> Node:
    """A shorter pattern that every match holds: what repeats at its ends is there as seldom as it can be.

    The match begins with it, or, where the pattern begins with a repetition of one byte, ends that repetition with it.
    """
    head = _loose_head(node.parts) if isinstance(node, Chain) else None
    if isinstance(node, Chain) and head is not None:
        node = Chain((Repeat(head.inner, 1, 1), *node.parts[1:]))
    return _short_tail(node)


def _short_tail(node: Node) -> Node:
    """A first part of every match: without what need not be at its end."""
    match node:
        case Repeat(inner, least, _) if least:
            return Repeat(inner, min(least, FINDER_TAIL_BYTES), min(least, FINDER_TAIL_BYTES))
        case Either(ways):
            return Either(tuple(_short_tail(way) for way in ways))
        case Chain(parts):
            kept = list(parts)
            while len(kept) > 1 and not least_bytes(kept[-1]):
                kept.pop()
            return Chain((*kept[:-1], _short_tail(kept[-1])))
        case _:
            return node


def _loose_head(parts: tuple[Node, ...]) -> Repeat | None:
    """The repetition of one byte, of open length, that a chain begins with, if it does."""
    head = parts[0]
    if isinstance(head, Repeat) and isinstance(head.inner, OneOf) and 0 < head.least < head.most:
        return head
    return None


def lead_bytes(node: Node) -> bytes:
    """The bytes that may stand in a match before its finder: those of the repetition that it begins with; none for most."""
    head = _loose_head(node.parts) if isinstance(node, Chain) else None
    return bytes_of(first_bytes(head)) if head else b""


def loose_bytes(node: Node) -> bytes:
    """The bytes of the repetition, of open length, that a match may begin with; none for most."""
    head = node
    while isinstance(head, Chain):
        head = head.parts[0]
    open_length = isinstance(head, Repeat) and isinstance(head.inner, OneOf) and head.least < head.most
    return bytes_of(first_bytes(head)) if open_length else b""


def opener(node: Node, within: int) -> Node | None:
    """What a match begins with up to and including its first character that is not of the bytes `within`; None if it has none.

    As the finder, it is shortened: of a repetition that it begins with there is no more than must be.
    """
    opened = _opener(node, within)
    return _shortened(opened) if opened is not None and loose_bytes(node) else opened


def _shortened(node: Node) -> Node:
    """Without what a match may begin with beyond the least of a repetition."""
    match node:
        case Either(ways):
            return Either(tuple(_shortened(way) for way in ways))
        case Chain((Repeat(OneOf() as inner, least, most), *rest)) if least < most and rest:
            return Chain((*((Repeat(inner, least, least),) if least else ()), *rest))
        case Chain((Chain(first), *rest)):
            return _shortened(Chain((*first, *rest)))
        case _:
            return node


def _opener(node: Node, within: int) -> Node | None:
    match node:
        case OneOf(members):
            return OneOf(members & ~within) if members & ~within else None
        case Either(ways):
            return _either_of([_opener(way, within) for way in ways])
        case Repeat(inner, _, most):
            opened, plain = _opener(inner, within), _restricted(inner, within)
            if opened is None or plain is None or most == 1:
                return opened
            return Chain((Repeat(plain, 0, most - 1), opened))
        case Chain(parts):
            if _is_character(node):
                return node
            return _either_of(list(_chain_openers(parts, within)))


def _chain_openers(parts: tuple[Node, ...], within: int) -> Iterator[Node | None]:
    before: tuple[Node, ...] = ()
    for part in parts:
        opened = _opener(part, within)
        if opened is not None:
            yield Chain((*before, opened)) if before else opened
        plain = _restricted(part, within)
        if plain is None:
            return
        before = (*before, plain)


def _either_of(ways: list[Node | None]) -> Node | None:
    kept = [way for way in ways if way is not None]
    return _either(kept) if kept else None


def _restricted(node: Node, within: int) -> Node | None:
    """The node's matches of the bytes `within` alone; None if there are none."""
    match node:
        case OneOf(members):
            return OneOf(members & within) if members & within else None
        case Either(ways):
            return _either_of([_restricted(way, within) for way in ways])
        case Repeat(inner, least, most):
            plain = _restricted(inner, within)
            if plain is None:
                return None if least else Chain(())
            return Repeat(plain, least, most)
        case Chain(parts):
            kept = [_restricted(part, within) for part in parts]
            return Chain(tuple(part for part in kept if part is not None)) if None not in kept else None
