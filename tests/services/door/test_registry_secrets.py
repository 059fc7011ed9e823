"""Secrets: their form, their checksum, what is kept and shown of them."""

import re
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from ciyuan.services.door.registry_secrets import (
    DIGITS,
    PREFIX,
    SECRET,
    SHOWN_DIGITS,
    digest_of,
    is_well_formed,
    new_secret,
    secret_of,
    shown_of,
)

randoms = st.binary(min_size=32, max_size=32)


def test_a_secret_is_what_its_bytes_make():
    assert secret_of(bytes(32)) == f"sk-ciyuan-{'0' * 43}1J023E"
    assert secret_of(b"\xff" * 32) == "sk-ciyuan-yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp14Kukca"


@given(randoms)
def test_every_secret_is_of_one_form(random):
    secret = secret_of(random)
    assert SECRET.fullmatch(secret)
    assert is_well_formed(secret)
    number = 0
    for digit in secret[len(PREFIX) : -6]:
        number = number * 62 + DIGITS.index(digit)
    assert number.to_bytes(32) == random


@given(randoms, st.data())
def test_one_wrong_sign_or_two_that_changed_places_are_seen(random, data):
    secret = secret_of(random)
    place = data.draw(st.integers(len(PREFIX), len(secret) - 2))
    other = data.draw(st.sampled_from(DIGITS))
    typed = secret[:place] + other + secret[place + 1 :]
    assert is_well_formed(typed) is (typed == secret)
    swapped = secret[:place] + secret[place + 1] + secret[place] + secret[place + 2 :]
    assert is_well_formed(swapped) is (swapped == secret)


def test_no_two_are_the_same_and_none_is_shown():
    secrets = {new_secret() for _ in range(200)}
    assert len(secrets) == 200
    for secret in secrets:
        assert len(shown_of(secret)) == len(PREFIX) + SHOWN_DIGITS + 1
        assert secret.startswith(shown_of(secret).rstrip("…"))


def test_it_is_known_by_its_digest():
    secret = new_secret()
    assert digest_of(secret) == digest_of(secret.encode()) == sha256(secret.encode()).digest()


def test_what_is_none_is_seen():
    secret = new_secret()
    for text in ("", "sk-", secret[:-1], secret + "0", secret.replace("ciyuan", "openai"), secret[:-1] + "é"):
        assert not is_well_formed(text)


def test_scanners_find_one_in_a_text():
    secret = new_secret()
    assert re.findall(SECRET, f'key = "{secret}";') == [secret]
