"""The language of patterns: what it reads, what it refuses, and that what is derived from a pattern agrees with it."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.firewall_open import TOKEN
from ciyuan.gateway.firewall_pattern import (
    beginning,
    expression,
    finder,
    first_bytes,
    least_bytes,
    loose_bytes,
    members_of,
    most_bytes,
    opener,
    read_pattern,
)
from ciyuan.gateway.firewall_rules import Readied
from tests.gateway.firewalls import masking, sample

LISTED = masking().rules


def matches(pattern: str, text: str, *, caseless: bool = False) -> bool:
    made = expression(read_pattern(pattern, caseless=caseless))
    return re.fullmatch(made.encode(), text.encode()) is not None


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("ab", ["ab"], ["a", "abb", "AB"]),
        ("[a-c.-]{2}", ["a.", "--", "bc"], ["ad", "a"]),
        ("a(b|cd)?e", ["ae", "abe", "acde"], ["acdbe"]),
        ("极[光星]{1,2}", ["极光", "极星光"], ["极", "光极"]),
        (r"\.\n\[x", [".\n[x"], ["..."]),
        ("[:：]x", [":x", "：x"], ["x"]),
        ("a{3}", ["aaa"], ["aa", "aaaa"]),
    ],
)
def test_a_pattern_means_what_it_says(pattern, yes, no):
    assert all(matches(pattern, text) for text in yes)
    assert not any(matches(pattern, text) for text in no)


def test_any_case_goes_beyond_ascii():
    assert matches("Überéa", "ÜBERÉA", caseless=True)
    assert matches("Überéa", "üBeréA", caseless=True)
    assert not matches("Überéa", "ubereа", caseless=True)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a*", "means itself"), ("a+", "means itself"), ("a.b", "means itself"), ("^a", "means itself"), ("[^a]", "no negation"),
        ("(a", "closing parenthesis"), ("a)", "end of the pattern"), ("[a", "more of the pattern"), ("a{,3}", "a number"),
        ("a{3,2}", "least,most"), ("a{0}", "least,most"), ("", "something to match"), ("a|", "something to match"),
        (r"\d", "escaped sign"), ("[]", "a member"), ("a\\", "more of the pattern"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_language_is_refused_with_its_place(pattern, why):
    with pytest.raises(Malformed, match=re.escape(why)) as refused:
        read_pattern(pattern)
    assert "at character" in refused.value.thing


def test_lengths_and_first_bytes():
    node = read_pattern("x{0,2}(ab|极){1,3}c")
    assert (least_bytes(node), most_bytes(node)) == (3, 12)
    assert first_bytes(node) == members_of(b"xa\xe6")
    assert loose_bytes(read_pattern("[ab]{1,5}@c")) == b"ab"
    assert loose_bytes(read_pattern("a{5}@c")) == b""


RULE = st.integers(0, len(LISTED) - 1)


def drawn(made: Readied, seed: int) -> bytes:
    return sample(made.node, random.Random(seed))  # noqa: S311


@given(RULE, st.integers(0, 10**6))
def test_every_match_holds_its_finder_and_is_its_beginning_all_along(number, seed):
    made = LISTED[number]
    match = drawn(made, seed)
    assert made.least <= len(match) <= made.most
    assert first_bytes(made.node) >> match[0] & 1
    assert re.fullmatch(expression(made.node).encode(), match)
    assert re.search(expression(made.finder).encode(), match), made.rule.name
    under_way = re.compile(f"{beginning(made.node)}\\Z".encode())
    letters = match.decode()
    assert all(under_way.match(letters[:count].encode()) for count in range(1, len(letters) + 1))


@given(RULE, st.integers(0, 10**6), st.sampled_from("~|;{}<>\x7f\x01"))
def test_a_beginning_ends_where_no_match_goes_on(number, seed, strange):
    made = LISTED[number]
    if not made.alphabet >> ord(strange) & 1:
        match = drawn(made, seed) + strange.encode()
        assert not re.match(f"{beginning(made.node)}\\Z".encode(), match)


@given(RULE, st.integers(0, 10**6))
def test_a_match_of_several_words_opens_with_its_opener(number, seed):
    made = LISTED[number]
    match = drawn(made, seed)
    strange = next((place for place, byte in enumerate(match) if byte not in TOKEN), None)
    opened = opener(made.node, members_of(TOKEN))
    if strange is None or opened is None:
        assert strange is None
    else:
        letter = match[strange:].decode()[0].encode()
        found = re.search(expression(opened).encode(), match[: strange + len(letter)])
        assert found
        assert found.end() == strange + len(letter)


def test_the_finder_keeps_what_is_needed():
    assert expression(finder(read_pattern("ab{2,90}"))) == expression(read_pattern("ab{2,2}"))
    assert expression(finder(read_pattern("[ab]{1,9}@c{0,3}"))) == expression(
        finder(read_pattern("[ab]{1,3}@"))
    )
    long_tail = finder(read_pattern("ghp_[a-z]{36}"))
    assert (least_bytes(long_tail), most_bytes(long_tail)) == (16, 16)
