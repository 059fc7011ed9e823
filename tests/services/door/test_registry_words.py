"""Limits in words: what is read, what is written, what is asked about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX
from ciyuan.basics.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from ciyuan.gateway.messages import OFFSET_MAX_NS, RATE_MAX, LimitUnit, LimitWindow
from ciyuan.services.door.registry_words import (
    LimitTerms,
    amount_words,
    count_words,
    money_words,
    parse_limit,
    parse_offset,
    parse_span,
    parse_usd,
)

USD = 10**6
MONEY, TOKENS, REQUESTS = LimitUnit
MINUTE, HOUR, DAY, MONTH, YEAR, EVER = LimitWindow


@pytest.mark.parametrize(
    ("text", "terms", "said"),
    [
        ("50 USD a month", LimitTerms(MONEY, MONTH, 50 * USD), "50.00 USD a month"),
        ("2,000.50 USD a year", LimitTerms(MONEY, YEAR, 2_000_500_000), "2,000.50 USD a year"),
        ("0.000001 USD ever", LimitTerms(MONEY, EVER, 1), "0.000001 USD ever"),
        ("20M tokens a day", LimitTerms(TOKENS, DAY, 20 * 10**6), "20M tokens a day"),
        ("1.5M tokens per hour", LimitTerms(TOKENS, HOUR, 1_500_000), "1,500k tokens an hour"),
        ("1 token a year", LimitTerms(TOKENS, YEAR, 1), "1 tokens a year"),
        ("60  requests a\tminute ", LimitTerms(REQUESTS, MINUTE, 60), "60 requests a minute"),
        ("0 requests a day", LimitTerms(REQUESTS, DAY, 0), "0 requests a day"),
        ("2T tokens ever", LimitTerms(TOKENS, EVER, 2 * 10**12), "2T tokens ever"),
        ("50 USD a month at +08:00", LimitTerms(MONEY, MONTH, 50 * USD, 8 * NS_PER_HOUR), "50.00 USD a month at +08:00"),
        ("5G tokens a day at -03:30", LimitTerms(TOKENS, DAY, 5 * 10**9, -210 * NS_PER_MINUTE), "5G tokens a day at -03:30"),
    ],
)  # fmt: skip
def test_a_sentence_is_a_limit_and_back(text, terms, said):
    assert parse_limit(text) == terms
    assert str(terms) == said
    assert parse_limit(said) == terms


@pytest.mark.parametrize(
    "text",
    [
        "", "50", "50 USD", "50 a month", "USD 50 a month", "50 usd a month", "50 EUR a month", "-5 USD a month",
        "1e3 USD a month",
        "50 USD a week", "20m tokens a day", "5k USD a month", "20,00 tokens a day", "1,0000 tokens a day", "0.5 tokens a day",
        "1.0000001 USD a month", "1.00000000000000000000000000000001M tokens a day", "9223372036854775808 tokens ever",
        "9T USD ever", "200G tokens a minute", "60 requests a minute at +08:00", "50 USD ever at +08:00",
        "50 USD a day at +15:00",
        "50 USD a day at +08:60", "50 USD a day at 08:00", "５０ USD a month", "NaN USD a month",
    ],
)  # fmt: skip
def test_what_leaves_a_unit_open_or_cannot_be_is_refused(text):
    with pytest.raises(Malformed):
        parse_limit(text)


@st.composite
def limits(draw):
    unit, window = draw(st.sampled_from(LimitUnit)), draw(st.sampled_from(LimitWindow))
    most = draw(st.integers(0, RATE_MAX if window <= HOUR else INT64_MAX))
    minutes = draw(st.integers(-14 * 60, 14 * 60)) if window in {DAY, MONTH, YEAR} else 0
    return LimitTerms(unit, window, most, minutes * NS_PER_MINUTE)


@given(limits())
def test_every_limit_is_read_as_it_is_written(terms):
    assert parse_limit(str(terms)) == terms


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("0 USD a month", False),
        ("0.009 USD a month", True),
        ("0.01 USD a month", False),
        ("10000000 USD a month", False),
        ("50000000 USD a month", True),
        ("20 tokens a month", True),
        ("999 tokens a minute", True),
        ("1,000 tokens a minute", False),
        ("5000T tokens a year", True),
        ("1 requests a day", False),
        ("2G requests a day", True),
    ],
)
def test_what_looks_like_a_wrong_unit_is_doubted(text, odd):
    """Case 25: a price or a limit that is typed per the wrong unit is asked about."""
    assert (parse_limit(text).doubt() is not None) is odd


@pytest.mark.parametrize(
    "most", [{"most": -1}, {"most": RATE_MAX + 1}, {"most": 5, "offset_ns": NS_PER_HOUR}]
)
def test_a_rate_has_bounds_and_no_offset(most):
    with pytest.raises(Malformed):
        LimitTerms(REQUESTS, MINUTE, **most)


@pytest.mark.parametrize("offset_ns", [OFFSET_MAX_NS + NS_PER_MINUTE, 1, -OFFSET_MAX_NS - NS_PER_MINUTE])
def test_an_offset_is_whole_minutes_on_this_earth(offset_ns):
    with pytest.raises(Malformed, match="offset"):
        LimitTerms(MONEY, DAY, 5, offset_ns)


@pytest.mark.parametrize(
    ("text", "span"),
    [("90d", 90 * NS_PER_DAY), ("12h", 12 * NS_PER_HOUR), ("30 minutes", 30 * NS_PER_MINUTE), ("1 day", NS_PER_DAY)],
)  # fmt: skip
def test_spans(text, span):
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "0d", "90", "d", "-1d", "1.5h", "100000d", "1w"])
def test_spans_that_are_none(text):
    with pytest.raises(Malformed, match="span"):
        parse_span(text)


def test_offsets():
    assert parse_offset("+08:00") == 8 * NS_PER_HOUR
    assert parse_offset("-05:30") == -330 * NS_PER_MINUTE
    for text in ("8", "+8:00", "+08:61", "08:00"):
        with pytest.raises(Malformed, match="offset"):
            parse_offset(text)


def test_amounts_of_money():
    assert [parse_usd(text) for text in ("5000", "5,000.50", "12.5 USD", " 0.000001")] == [
        5_000 * USD,
        5_000_500_000,
        12_500_000,
        1,
    ]
    for text in ("", "5,00", "-5", "1e3", "5 EUR", "0.0000001"):
        with pytest.raises(Malformed):
            parse_usd(text)


def test_words_of_amounts():
    assert [money_words(micro) for micro in (0, 1, 1_230_000, 5_000_100_000)] == [
        "0.00",
        "0.000001",
        "1.23",
        "5,000.10",
    ]
    assert [count_words(count) for count in (0, 999, 1_000, 12_345, 5 * 10**6, 3 * 10**12)] == [
        "0",
        "999",
        "1k",
        "12,345",
        "5M",
        "3T",
    ]
    assert amount_words(TOKENS, 20 * 10**6) == "20M tokens"
