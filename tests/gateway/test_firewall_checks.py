"""The checks on published examples, on what differs from them by one digit, and their one law: what is said of a secret stays."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.gateway import firewall_numbers as numbers
from ciyuan.gateway.firewall_checks import (
    CHECKS,
    Check,
    aws_key,
    base58,
    basic,
    birth,
    calling,
    email,
    information_millibits,
    ipv4,
    jwt,
    nino,
    password,
    secret,
    url_password,
    varied,
)
from tests.gateway.firewalls import reporting, sample

PUBLISHED = [
    # the schemes' own test cards
    (numbers.card, b"4111 1111 1111 1111"), (numbers.card, b"378282246310005"), (numbers.card, b"6200000000000005"),
    (numbers.card, b"5555-5555-5555-4444"),
    # SWIFT IBAN registry
    (numbers.iban, b"GB29 NWBK 6016 1331 9268 19"), (numbers.iban, b"DE89370400440532013000"), (numbers.iban,
    b"NO9386011117947"),
    # GB 11643-1999, appendix
    (numbers.resident_id, b"11010519491231002X"), (numbers.resident_id, b"440524188001010014"),
    # GB 32100-2015, appendix
    (numbers.credit_code, b"91350100M000100Y43"),
    # ICAO Doc 9303 part 4, appendix B
    (numbers.passport_line, b"L898902C36UTO7408122F1204159ZE184226B<<<<<10"),
    # examples on the issuers' pages
    (numbers.hong_kong, b"A123456(3)"), (numbers.taiwan, b"A123456789"), (numbers.singapore, b"S1234567D"), (numbers.spain,
    b"12345678Z"),
    (numbers.spain, b"X1234567L"), (numbers.brazil, b"111.444.777-35"), (numbers.italy, b"RSSMRA85T10A562S"),
    (numbers.germany, b"86095742719"), (numbers.national_health, b"NHS 943 476 5919"), (numbers.luhn, b"046-454-286"),
    (numbers.france, b"2 55 08 14 168 025 38"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "text"), PUBLISHED, ids=lambda value: getattr(value, "__name__", None))
def test_published_examples_pass(check, text):
    assert check(text)


@pytest.mark.parametrize(("check", "text"), PUBLISHED, ids=lambda value: getattr(value, "__name__", None))
def test_one_digit_more_does_not(check, text):
    digits = [place for place, byte in enumerate(text) if 48 <= byte < 58]
    assert digits
    for place in digits:
        changed = bytes(48 + (byte - 47) % 10 if at == place else byte for at, byte in enumerate(text))
        assert not check(changed), changed


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (numbers.card, b"0000 0000 0000 0000"), (numbers.card, b"9111111111111111"), (numbers.luhn, b"000-000-000"),
        (numbers.iban, b"DE89 3704 0044 0532 0130"), (numbers.iban, b"XX89370400440532013000"),
        (numbers.resident_id, b"11010519491331002X"), (numbers.resident_id, b"99010519491231002X"),
        (numbers.social_security, b"000-12-3456"), (numbers.social_security, b"666-12-3456"), (numbers.social_security,
        b"123-00-4567"),
        (numbers.korea, b"900230-1234567"), (numbers.spain, b"00000000T"), (numbers.brazil, b"000.000.000-00"),
        (aws_key, b"AKIAIOSFODNN7EXAMPLE"), (varied, b"sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), (email, b"logo@2x.png"),
        (email, b"git@github.com"), (calling, b"+999 123 456 789"), (calling, b"+1 415"), (ipv4, b"1.2.3.256"), (ipv4,
        b"01.2.3.4"),
        (nino, b"BG123456A"), (birth, "2001年2月29日".encode()), (birth, b"1899-01-01"), (base58,
        b"5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTK"),
        (basic, b"not base64 at all"), (basic, b"bm9jb2xvbg=="), (jwt, b"eyJub3QiOiJhIHRva2VuIn0.eyJhIjoxfQ.c2lnbmF0dXJl"),
        (jwt, b"eyJhbGciOi.eyJhIjoxfQ.c2lnbmF0dXJl"), (url_password, b"https://user:user@host"), (url_password,
        b"http://u:$PASS@h"),
        (secret, b"configuration-management-database"), (secret, b"your_api_key_1234567890"), (secret, b"1234567890123456"),
        (password, b"string"), (password, b"<password1>"), (password, b"${DB_PASS1}"),
    ],
)  # fmt: skip
def test_what_only_looks_so_does_not_pass(check, text):
    assert not check(text)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (
            base58,
            b"5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
        ),  # the Bitcoin wiki's example of the format
        (basic, b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),  # RFC 7617, section 2
        (
            jwt,
            b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVP",
        ),  # RFC 7519, section 3.1
        (secret, b"9f8e7d6c5b4a39281706"),
        (password, b"hunter2X"),
        (url_password, b"postgres://ann:s3cr3t@db/x"),
        (calling, b"+86 138 1234 5678"),
    ],
)
def test_what_is_so_passes(check, text):
    assert check(text)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_information_never_shrinks(text, more):
    assert information_millibits(text) <= information_millibits(text + more)


@given(st.text("abcXYZ0189._-!@", min_size=8, max_size=80), st.text("abcXYZ0189._-!@", max_size=40))
def test_what_is_a_secret_stays_one_when_it_goes_on(text, more):
    for check in (secret, password):
        assert not check(text.encode()) or check((text + more).encode())


def test_a_bit_is_a_bit():
    assert information_millibits(b"") == information_millibits(b"aaaa") == 0
    assert information_millibits(b"ab") == 2_000
    assert information_millibits(bytes(range(16))) == 64_000


def test_every_check_has_its_function():
    assert CHECKS.keys() == set(Check)


@given(st.sampled_from(sorted(CHECKS, key=lambda check: check.name)), st.integers(0, 200))
def test_a_check_never_fails_on_what_its_patterns_match(check, seed):
    chance = random.Random(seed)  # noqa: S311
    for made in reporting().rules:
        if made.rule.check is check:
            assert CHECKS[check](sample(made.value, chance)) in {True, False}
