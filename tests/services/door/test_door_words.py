"""What the door says to its neighbours: a call to the router, the meter's refusals to a client."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.money import parse_micro
from ciyuan.basics.rows import REASON_SHIFT, kind_word
from ciyuan.gateway.ask import Ask
from ciyuan.gateway.ask_parts import Heard
from ciyuan.gateway.door_refusals import DoorRefusal, Protocol, Refused
from ciyuan.gateway.messages import REFUSAL, MeterEvent, MeterRefusal
from ciyuan.gateway.route_lane import Wanted
from ciyuan.gateway.route_offers import Offers, Tier
from ciyuan.gateway.settlement import Held
from ciyuan.services.door.call import Question
from ciyuan.services.door.client_connection import Request
from ciyuan.services.door.door_words import OUTPUT_TOKENS_EXPECTED, SESSION_CHARS, Words
from tests.services.door.registry_cast import company_registry
from tests.services.door.stand import model_offer
from tests.services.door.till import PRICE_IN, PRICE_OUT, SUPPLIER

OFFER = model_offer(SUPPLIER, "m", 1)


@pytest.fixture(scope="module")
def cast(tmp_path_factory):
    """A company's directory, and its key."""
    with company_registry(tmp_path_factory.mktemp("cast") / "registry.sqlite") as (registry, made):
        directory = registry.directory()
        yield directory, directory.find(made.laptop.text.encode())


def words(cast, available=0, *, cache_ns=0) -> Words:
    return Words(Offers([replace(OFFER, cache_ns=cache_ns)]), cast[0], lambda _: available)


def wanted_of(made: Words, cast, *, headers=None, spender=7, **fields) -> Wanted:
    ask = Ask(Protocol.CHAT, 100, model="m", **fields)
    request = Request(b"POST", b"/v1/chat/completions", headers or {}, b"", 0)
    return made.wanted(Question(cast[1], ask, request, b""), spender, 99)


def refused_as(made: Words, cast, event: list[int], tokens_in=1_000, tokens_out=100) -> Refused:
    return made.of_meter(event, cast[1], OFFER, Held(tokens_in, tokens_out))


def refused_event(refusal: MeterRefusal, limit: int = 0) -> list[int]:
    event = [0] * 8
    event[0] = kind_word(MeterEvent.REFUSED) | limit << REASON_SHIFT
    event[REFUSAL] = int(refusal)
    return event


# --- the router ---


def test_a_call_is_wanted_by_its_sizes(cast):
    wanted = wanted_of(words(cast), cast, text_bytes=4_003, output_max=20, choices=3)
    assert (wanted.request, wanted.model, wanted.protocol, wanted.spender) == (99, "m", Protocol.CHAT, 7)
    assert (wanted.input_tokens, wanted.output_tokens, wanted.images) == (1_000, 60, 0)
    assert (wanted.tier, wanted.region, wanted.session, wanted.permits) == (Tier.ANY, "", 0, None)


@pytest.mark.parametrize(("output_max", "expected"), [
    (None, OUTPUT_TOKENS_EXPECTED), (5, 5), (10**6, OUTPUT_TOKENS_EXPECTED),
])  # fmt: skip
def test_of_an_open_end_no_more_is_expected_than_is_usual(cast, output_max, expected):
    assert wanted_of(words(cast), cast, output_max=output_max).output_tokens == expected


@pytest.mark.parametrize(("header", "field", "tier"), [
    (b"high", "", Tier.HIGH), (b"HIGH", "", Tier.HIGH), (b"", "high", Tier.HIGH), (b"high", "free", Tier.HIGH),
    (b"nothing known", "high", Tier.HIGH), (b"", "", Tier.ANY), (b"\xff\xfe", "h\xf6her", Tier.ANY),
])  # fmt: skip
def test_the_header_asks_for_a_tier_and_the_body_if_it_does_not(cast, header, field, tier):
    wanted = wanted_of(words(cast), cast, headers={b"x-ciyuan-tier": header}, service_tier=field)
    assert wanted.tier is tier


def test_a_region_is_asked_for_and_pictures_are_counted(cast):
    heard = Heard()
    heard.images_by_url, heard.images_inline = 2, 3
    wanted = wanted_of(words(cast), cast, headers={b"x-ciyuan-region": b"eu\xe9"}, heard=heard)
    assert (wanted.region, wanted.images) == ("eu\xe9", 5)


@given(
    st.lists(st.text(max_size=8), min_size=1, max_size=4),
    st.lists(st.text(max_size=8), max_size=3),
    st.integers(1, 3),
)
def test_a_conversation_is_known_by_its_beginning_and_whose_it_is(cast, texts, later, spender):
    """Only where an offer keeps what it has read; a conversation that grows stays the same."""
    made = words(cast, cache_ns=1)

    def session(said, whose):
        heard = Heard()
        heard.texts = list(said)
        return wanted_of(made, cast, heard=heard, spender=whose).session

    beginning = (texts * 2)[:2]
    assert session([*beginning, *later], spender) == session(beginning, spender) != 0
    assert session(beginning, spender) != session(beginning, spender + 1)
    assert session([*beginning[:1], beginning[1] + "x"], spender) != session(beginning, spender)


def test_what_no_utf_8_has_and_what_is_long_is_a_beginning_too(cast):
    heard = Heard()
    heard.texts = ["\ud800" * 3, "x" * 2 * SESSION_CHARS]
    assert wanted_of(words(cast, cache_ns=1), cast, heard=heard).session != 0


def test_a_restricted_key_hands_its_permissions_to_the_router(cast):
    for limited in ({"models": ("m",)}, {"tiers": ("high",)}):
        key = replace(cast[1], permissions=replace(cast[1].permissions, **limited))
        assert wanted_of(words(cast), (cast[0], key)).permits == key.permits


# --- the client ---


def test_a_balance_that_does_not_cover_the_hold_is_told_with_both_sums(cast):
    refused = refused_as(words(cast, 5_000), cast, refused_event(MeterRefusal.INSUFFICIENT_BALANCE))
    assert refused.refusal is DoorRefusal.BALANCE_SPENT
    assert "0.005000 USD left" in refused.message
    assert "acme" in refused.message
    assert "laptop" not in refused.message


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_a_request_can_cost_is_never_told_as_less_than_it_can(cast, tokens_in, tokens_out):
    refused = refused_as(
        words(cast), cast, refused_event(MeterRefusal.INSUFFICIENT_BALANCE), tokens_in, tokens_out
    )
    told = parse_micro(refused.message.split("up to ")[1].split(" USD")[0].replace(",", ""))
    assert told * 10**6 >= tokens_in * PRICE_IN + tokens_out * PRICE_OUT


def test_a_balance_below_nothing_is_told_as_none(cast):
    refused = refused_as(words(cast, -7), cast, refused_event(MeterRefusal.INSUFFICIENT_BALANCE))
    assert "0.000000 USD left" in refused.message


@pytest.mark.parametrize(("fault", "told", "word"), [
    (MeterRefusal.BUDGET_SPENT, DoorRefusal.BUDGET_SPENT, "more than is left"),
    (MeterRefusal.RATE_LIMITED, DoorRefusal.RATE_LIMITED, "Too much at once"),
])  # fmt: skip
def test_a_limit_is_told_with_its_name_and_whose_it_is(cast, fault, told, word):
    (number,) = cast[0].limits
    refused = refused_as(words(cast), cast, refused_event(fault, number))
    assert refused.refusal is told
    assert word in refused.message
    assert "department research: 2,000.00 USD a month" in refused.message
    unknown = refused_as(words(cast), cast, refused_event(fault, number + 50))
    assert f"limit {number + 50}" in unknown.message


@pytest.mark.parametrize("fault", sorted(set(MeterRefusal) - {
    MeterRefusal.INSUFFICIENT_BALANCE, MeterRefusal.BUDGET_SPENT, MeterRefusal.RATE_LIMITED,
}))  # fmt: skip
def test_any_other_refusal_of_the_meter_is_the_doors_fault(cast, fault):
    refused = refused_as(words(cast), cast, refused_event(fault))
    assert refused.refusal is DoorRefusal.DOOR_FAILED
    assert fault.name in refused.message


def test_a_tree_and_offers_that_changed_are_gone_by(cast):
    made = words(cast)
    heard = Heard()
    heard.texts = ["a", "b"]
    assert wanted_of(made, cast, heard=heard).session == 0
    made.renew(Offers([replace(OFFER, cache_ns=1)]), cast[0])
    assert wanted_of(made, cast, heard=heard).session != 0
