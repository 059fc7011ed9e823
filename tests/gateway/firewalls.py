"""Firewalls for the tests, made once each, and texts that are hard on them. All values are invented."""

import random
from functools import cache
from itertools import pairwise

from hypothesis import strategies as st

from ciyuan.gateway.firewall import Firewall, Placeholders, encoded
from ciyuan.gateway.firewall_pattern import Chain, Either, Node, OneOf, Repeat, bytes_of
from ciyuan.gateway.firewall_rules import Action, Finding, Refusal, Rule
from ciyuan.gateway.firewall_stream import FirewallStream
from ciyuan.services.catalog_firewall import firewall_rules

KEY = b"a key of the tests only, no secret"
WORDS = ("极光计划", "Project Falcon", "ACME-9", "naïve Überplan")


@cache
def rules() -> tuple[Rule, ...]:
    return firewall_rules()


@cache
def shipped() -> Firewall:
    """As shipped, with the company's words blocked."""
    return Firewall(rules(), KEY, words=WORDS)


@cache
def masking() -> Firewall:
    """Every rule on, nothing blocked: secrets and words are masked too."""
    actions = {"secret": Action.MASK, "ipv4": Action.MASK, "mac-address": Action.MASK}
    return Firewall(rules(), KEY, words=WORDS, word_action=Action.MASK, actions=actions)


@cache
def reporting() -> Firewall:
    """Every rule reports, so that each is heard by itself."""
    return Firewall(rules(), KEY, actions={rule.name: Action.REPORT for rule in rules()})


def found(firewall: Firewall, text: str) -> tuple[Finding, ...]:
    """The findings in one text."""
    searched = firewall.search([text])
    assert not isinstance(searched, Refusal), searched
    return searched[0]


def masked(firewall: Firewall, text: str) -> str:
    """The text as it may be handed on."""
    return firewall.judge([text], Placeholders())[0].text


def streamed(firewall: Firewall, parts: list[str]) -> tuple[str, tuple[Finding, ...], Refusal]:
    """What comes of a text that is fed in parts: the text let out, the findings, the refusal."""
    stream = FirewallStream(firewall, Placeholders())
    released = [*(stream.feed(part) for part in parts), stream.finish()]
    text = "".join(one.text for one in released)
    return text, tuple(sorted(one for part in released for one in part.findings)), stream.refusal


def cut(text: str, places: list[int]) -> list[str]:
    """The text in parts, cut at these places (modulo its length)."""
    at = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(at)]


def plain(text: str) -> str:
    """The text as UTF-8 can carry it."""
    return encoded(text).decode()


def sample(node: Node, chance: random.Random) -> bytes:
    """A match of a pattern; of long repetitions, a short one."""
    match node:
        case OneOf(members):
            return bytes((chance.choice(bytes_of(members)),))
        case Chain(parts):
            return b"".join(sample(part, chance) for part in parts)
        case Either(ways):
            return sample(chance.choice(ways), chance)
        case Repeat(inner, least, most):
            return b"".join(
                sample(inner, chance) for _ in range(chance.randint(least, min(most, least + 30)))
            )


VALUES = (
    "13812345678", "+86 138-1234-5678", "a.b-c@example.com", "4111 1111 1111 1111", "11010519491231002X",
    "DE89 3704 0044 0532 0130 00", "AKIAQWERTYUIOPASDFGH", "password = hunter2X", "密码：abc123xyz", "极光计划",
    "project  FALCON",
    "acme-9", "https://u:p4ss@h.example/x", "138\u200b12345678", "１３８１２３４５６７８", r"\u0031\u00338\u00312345678",
    "%31%33812345678", "+14155552671", "078-05-1120", "(415) 555-2671", "QUtJQVFXRVJUWVVJT1BBU0RGR0g=",
    "cGFzc3dvcmQgPSBodW50ZXIyWCBhbmQgbW9yZQ==", "10.1.2.3", "token: 9f8e7d6c5b4a39281706",
    "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA" * 6 + "\n-----END RSA PRIVATE KEY-----",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
)  # fmt: skip
SCRAPS = (
    "a", "x1", "-", "_", ".", "@", "/", "+", "=", ":", " ", "\n", "\\", "\\n", "\\u00", "%", "%3", "&#6", "\u200b", "，",
    "。", "中",
    "文字", "０", "٣", "é", "[", "]", '{"', '"', "'", "13", "8123", "4111", "86", "BEGIN", "-----", "key", "secret", "token=",
    "passw",
    "ghp_", "sk-", "1381234", "5678", "\0", "\ud800", "😀", "极光", "计划", "Project", " Fal", "con", "QUtJ", "eyJh", "==",
)  # fmt: skip


def _value_of_a_rule(number: int, seed: int) -> str:
    listed = masking().rules
    chance = random.Random(seed)  # noqa: S311
    return sample(listed[number % len(listed)].node, chance).decode()


def _part_of_a_value(number: int, start: int, length: int) -> str:
    value = VALUES[number % len(VALUES)]
    return value[start % len(value) :][:length]


def hard_texts() -> st.SearchStrategy[str]:
    """Values, parts of values, and what disguises, opens or ends them, side by side."""
    pieces = st.one_of(
        st.sampled_from(VALUES),
        st.sampled_from(SCRAPS),
        st.sampled_from(SCRAPS),
        st.text(max_size=3),
        st.builds(_value_of_a_rule, st.integers(0, 10**6), st.integers(0, 10**6)),
        st.builds(_part_of_a_value, st.integers(0, 10**6), st.integers(0, 60), st.integers(1, 40)),
    )
    return st.lists(pieces, max_size=9).map("".join)
