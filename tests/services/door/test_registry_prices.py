"""The price book: the same prices are the same list; other prices are another, which begins later."""

import pytest

from ciyuan.gateway.leg_prices import LegPrices, Step
from ciyuan.gateway.usage import Leg
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_prices import LEAD_NS
from tests.services.door.registry_cast import NOW

PRICES = LegPrices.per_mtok({Leg.INPUT: "0.95", Leg.CACHE_READ: "0.16", Leg.OUTPUT: "4"}, images="0.01")
DEARER = LegPrices.of(
    {Leg.INPUT: 10**6, Leg.OUTPUT: 4 * 10**6}, batch_hundredths=60, steps=(Step(200_000, PRICES),)
)


@pytest.fixture
def registry(tmp_path):
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        registry.supplier("vllm", NOW)
        registry.grade("kimi", "high", NOW)
        yield registry


def post(registry, prices, now_ns, **more):
    with registry.change(now_ns) as change:
        return change.prices.post(1, 1, prices, **more)


def test_the_first_list_begins_at_once(registry):
    listing = post(registry, PRICES, NOW, source="vllm.example.com, 2026-11-01")
    assert (listing.number, listing.valid_from_ns) == (1, NOW)
    assert registry.price_lists() == [listing]


def test_the_same_prices_are_the_same_list(registry):
    first = post(registry, DEARER, NOW)
    version = registry.version()
    assert post(registry, DEARER, NOW + 10**12, source="read again") == first
    assert registry.version() == version


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"prices": PRICES}, {"prices": DEARER}),
        ({"prices": PRICES}, {"prices": PRICES, "pieces_max": 3}),
    ],
)
def test_other_prices_are_another_list_that_begins_later(registry, first, then):
    before = post(registry, now_ns=NOW, **first)
    after = post(registry, now_ns=NOW + 7, **then)
    assert after.valid_from_ns == NOW + 7 + LEAD_NS
    assert registry.price_lists() == [before, after]


def test_lists_in_a_hurry_come_one_after_the_other(registry):
    begins = [post(registry, prices, NOW).valid_from_ns for prices in (PRICES, DEARER, PRICES)]
    assert begins == [NOW, NOW + LEAD_NS, NOW + 2 * LEAD_NS]


def test_a_list_that_came_too_late_is_put_off(registry):
    post(registry, PRICES, NOW)
    after = post(registry, DEARER, NOW)
    with registry.change(NOW + 10**12) as change:
        change.prices.put_off(after.number)
    assert [listing.valid_from_ns for listing in registry.price_lists()] == [NOW, NOW + 10**12 + LEAD_NS]
