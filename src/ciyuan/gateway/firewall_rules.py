"""The firewall's rules as values, what may be asked of them, and what it says of a text. Rules come from `data/firewall.toml`.

Kind      what is protected: a secret, a person, the company; or what an agent must not do
Action    what is done about a finding, mildest first
Refusal   why a text does not pass at all; the order of declaration is its precedence
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, auto
from typing import NamedTuple
from unicodedata import normalize

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.firewall_checks import Check
from ciyuan.gateway.firewall_pattern import (
    Chain,
    Either,
    Node,
    OneOf,
    Repeat,
    all_bytes,
    bytes_of,
    character,
    finder,
    lead_bytes,
    least_bytes,
    members_of,
    most_bytes,
    read_pattern,
)

MATCH_BYTES_MAX = 8192
"""No pattern's longest match may be longer: it bounds what a stream holds back."""
FIND_BYTES_MIN = 3
WORD_CHARACTERS_MAX, WORDS_MAX = 64, 1_000
FULL_WIDTH = 0xFEE0
"""From an ASCII sign to its full-width form (Unicode block FF00)."""
_NEVER = members_of(b"[]\0")
"""Bytes that no pattern may hold: those of placeholders, and what stands between the texts of one scan."""


class Kind(IntEnum):
    """What a rule protects, or from what."""

    SECRET = auto()
    PERSONAL = auto()
    COMPANY = auto()
    AGENT = auto()


class Action(IntEnum):
    """What is done about a finding; a higher one prevails. OFF: the rule is not looked for."""

    OFF = 0
    REPORT = auto()
    MASK = auto()
    BLOCK = auto()


class Refusal(IntEnum):
    """Why a text does not pass. A firewall that cannot do its work refuses; it never lets pass."""

    NONE = 0
    NO_DATABASE = auto()
    SCAN_FAILED = auto()
    TOO_LONG = auto()
    TOO_DEEP = auto()
    UNREADABLE = auto()
    BLOCKED = auto()
    CANNOT_MASK = auto()
    TOOL_DENIED = auto()
    DESTINATION_DENIED = auto()


class View(IntEnum):
    """As what a finding was read: as it stands, with disguises undone, or out of base64."""

    PLAIN = 0
    FOLDED = auto()
    BASE64 = auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `label` is the word in its placeholders; `language` is "any", "en" or "zh".

    `before` is what must stand before the value, as the name of a password does: it is matched but is no part of the finding.
    `find` may name a shorter pattern that lies in every match, for the engine, where the derived one is slow; `lead` the
    bytes that may stand in a match before it (as a pattern of one character), if the match does not begin with it.
    """

    name: str
    kind: Kind
    action: Action
    label: str
    pattern: str
    what: str
    source: str
    observed_on: str
    language: str = "any"
    check: Check = Check.NONE
    caseless: bool = False
    before: str = ""
    find: str = ""
    lead: str = ""


class Finding(NamedTuple):
    """One finding, in characters [start, end) and in UTF-8 bytes [start_byte, end_byte) of its text.

    `digest` is a keyed digest of the value (normalised: disguises undone, separators and case of personal data dropped);
    the value itself is nowhere. Findings sort by place, then by rule.
    """

    start: int
    end: int
    rule: str
    kind: Kind
    action: Action
    label: str
    view: View
    start_byte: int
    end_byte: int
    digest: str


@dataclass(frozen=True, slots=True)
class Readied:
    """A rule with what is derived from its pattern."""

    rule: Rule
    before: Node | None
    value: Node
    node: Node
    finder: Node
    lead: bytes
    least: int
    most: int
    alphabet: int = field(repr=False)


def ready(rule: Rule) -> Readied:
    """Derive what the firewall needs of a rule. Malformed if its pattern is too long, too vague or holds a bracket."""
    return _readied(rule, read_pattern(rule.pattern, caseless=rule.caseless))


def _readied(rule: Rule, value: Node) -> Readied:
    before = read_pattern(rule.before, caseless=rule.caseless) if rule.before else None
    node = Chain((before, value)) if before else value
    found = read_pattern(rule.find, caseless=rule.caseless) if rule.find else finder(node)
    lead = read_pattern(rule.lead, caseless=rule.caseless) if rule.lead else None
    made = Readied(
        rule=rule,
        before=before,
        value=value,
        node=node,
        finder=found,
        lead=bytes_of(all_bytes(lead)) if lead else lead_bytes(node) if not rule.find else b"",
        least=least_bytes(node),
        most=most_bytes(node),
        alphabet=all_bytes(node),
    )
    _judge(made)
    return made


def _judge(made: Readied) -> None:
    thing = f"firewall rule {made.rule.name}"
    if made.most > MATCH_BYTES_MAX:
        raise Malformed(thing, found=f"matches of {made.most} bytes", expected=f"at most {MATCH_BYTES_MAX}",
                        remedy="Bound the pattern's repetitions.")  # fmt: skip
    if made.alphabet & _NEVER:
        raise Malformed(thing, found="a pattern with a bracket or a zero byte", expected="neither",
                        remedy="Leave them out: placeholders are written in brackets.")  # fmt: skip
    if least_bytes(made.finder) < FIND_BYTES_MIN:
        raise Malformed(thing, found=f"something to find of {least_bytes(made.finder)} bytes",
                        expected=f"{FIND_BYTES_MIN} bytes or more", remedy="Give `find`, or a longer pattern.")  # fmt: skip
    if made.rule.label.strip("ABCDEFGHIJKLMNOPQRSTUVWXYZ-") or not made.rule.label:
        raise Malformed(thing, found=made.rule.label, expected="a label of capital letters and hyphens",
                        remedy="Mend the label.")  # fmt: skip


def word_rules(words: Iterable[str], action: Action) -> tuple[Rule, ...]:
    """Rules for a company's own words, Chinese or any other, in any case and width, spaces between them as they come.

    Malformed for a word of less than FIND_BYTES_MIN bytes or more than WORD_CHARACTERS_MAX characters, or with brackets.
    """
    listed = sorted({" ".join(normalize("NFKC", word).split()) for word in words})
    if len(listed) > WORDS_MAX:
        raise Malformed("company words", found=len(listed), expected=f"at most {WORDS_MAX}",
                        remedy="List what must not leave, not the dictionary.")  # fmt: skip
    return tuple(
        Rule(
            name="company-word",
            kind=Kind.COMPANY,
            action=action,
            label="COMPANY",
            pattern=word,
            what="a word of the company's own list",
            source="the company's list",
            observed_on="",
            caseless=True,
        )
        for word in listed
    )


def ready_word(rule: Rule) -> Readied:
    """A word's rule, readied: its pattern is the word itself, not an expression."""
    word = rule.pattern
    if not 0 < len(word) <= WORD_CHARACTERS_MAX or len(word.encode("utf-8", "replace")) < FIND_BYTES_MIN:
        raise Malformed("company words", found=word,
                        expected=f"{FIND_BYTES_MIN} bytes to {WORD_CHARACTERS_MAX} characters",
                        remedy="Leave it out or write it longer.")  # fmt: skip
    return _readied(rule, Chain(tuple(_letter_of_word(letter) for letter in word)))


def _letter_of_word(letter: str) -> Node:
    """A letter in its cases, a sign in both widths, a space as blanks of any kind."""
    if letter == " ":
        return Repeat(OneOf(members_of(b" \t\r\n")), 1, 4)
    if letter.isascii() and not letter.isalnum():
        return Either((character(letter), character(chr(ord(letter) + FULL_WIDTH))))
    return character(letter, caseless=True)
