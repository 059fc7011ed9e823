"""Offers are whole and do not clash, and a client's word means what docs/spec/routing.md says."""

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.route_offers import PATTERNS_KEPT_MAX, Limits, ListedModel, Offers, Tier
from tests.gateway.routes import offer

KIMI, OTHER_KIMI, FAST, DEEP = (
    offer(1),
    offer(2),
    offer(1, model="kimi-fast", tier=Tier.ULTRA, context=50_000),
    offer(3, model="deepseek-chat", context=64_000),
)
ALL = (KIMI, OTHER_KIMI, FAST, DEEP)
ALIASES = {"auto:cheapest": ["deepseek-*", "kimi"], "fast": ["kimi-fast"]}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("kimi", (KIMI, OTHER_KIMI)),
        ("kimi-fast", (FAST,)),
        ("fast", (FAST,)),
        ("auto:cheapest", (DEEP, KIMI, OTHER_KIMI)),
        ("kimi*", (KIMI, OTHER_KIMI, FAST)),
        ("kimi-*", (FAST,)),
        ("*", ALL),
        ("*i*m*", (KIMI, OTHER_KIMI, FAST)),
        ("d**p*", (DEEP,)),
        ("*.*", ()),
        ("a*b*c*d*", ()),
        ("Kimi", ()),
        ("auto:*", ()),
        ("", ()),
    ],
)
def test_a_word_means_its_offers(word, meant):
    offers = Offers(ALL, ALIASES)
    assert offers.of(word) == meant
    assert offers.of(word) == meant, "asked again"


def test_patterns_of_clients_do_not_fill_the_memory():
    offers = Offers(ALL)
    for number in range(3 * PATTERNS_KEPT_MAX):
        assert offers.of("k" + "*" * (1 + number % 3) + f"nothing{number}") == ()
        assert offers.of("kimi" + "*" * (number + 1)) == (KIMI, OTHER_KIMI, FAST)
    assert len(offers._patterns) <= PATTERNS_KEPT_MAX


def test_models_are_listed_by_name_then_aliases():
    assert Offers(ALL, ALIASES).models() == (
        ListedModel("deepseek-chat", ("s3",), 64_000, 8_000, (Tier.MEDIUM,)),
        ListedModel("kimi", ("s1", "s2"), 100_000, 8_000, (Tier.MEDIUM,)),
        ListedModel("kimi-fast", ("s1",), 50_000, 8_000, (Tier.ULTRA,)),
        ListedModel("auto:cheapest", ("s3", "s1", "s2"), 100_000, 8_000, (Tier.MEDIUM,)),
        ListedModel("fast", ("s1",), 50_000, 8_000, (Tier.ULTRA,)),
    )


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"supplier": 0}, "supplier"),
        ({"supplier": 2**16}, "supplier"),
        ({"grade": 2**16}, "grade"),
        ({"model": "kimi*"}, "model"),
        ({"tier": Tier.ANY, "grade": 3}, "tier"),
        ({"dialects": frozenset()}, "dialects"),
        ({"context": 0}, "context_tokens"),
        ({"image_tokens": -1}, "image_tokens"),
        ({"weight": 0}, "weight"),
        ({"limits": Limits(concurrent=-1)}, "limits"),
        ({"cache_ns": -1}, "cache_ns"),
        ({"hit_bp": 10_001}, "hit_bp"),
    ],
)
def test_an_offer_that_cannot_be_is_refused_by_name(change, place):
    with pytest.raises(Malformed, match=rf"^offer s\d+ kimi\*?, {place}: "):
        offer(**change)


@pytest.mark.parametrize(
    ("offers", "aliases", "thing"),
    [
        ((KIMI, offer(1)), {}, "offers of supplier s1"),
        ((KIMI, offer(2, model="other", grade=KIMI.grade)), {}, f"grade {KIMI.grade}"),
        ((offer(1, pool=7, limits=Limits(3)), offer(2, pool=7, limits=Limits(4))), {}, "limits of s2 kimi"),
        (ALL, {"kimi": ["deepseek-chat"]}, "alias kimi"),
        (ALL, {"best": ["gpt-9"]}, "alias best"),
        (ALL, {"one": ["kimi"], "two": ["one"]}, "alias two"),
    ],
)
def test_offers_that_clash_are_refused(offers, aliases, thing):
    with pytest.raises(Malformed, match=thing):
        Offers(offers, aliases)


def test_a_pool_is_shared_or_an_offers_own():
    assert offer(1, pool=7).pool_key == offer(2, pool=7).pool_key
    assert offer(1).pool_key != offer(2).pool_key
    assert offer(1, pool=offer(1).number).pool_key != offer(1).pool_key
