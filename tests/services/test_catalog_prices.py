"""List prices come over from the price catalogue exactly, dated, and with nothing made up."""

from datetime import date, time
from decimal import Decimal
from importlib.metadata import version

import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TimeOfDateConstraint,
)

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_DAY, ns_from_iso
from ciyuan.services import catalog_prices
from ciyuan.services.catalog import grades
from ciyuan.services.catalog_facts import Listing
from ciyuan.services.catalog_prices import list_prices, listed_suppliers, micro_exact

FACTS = grades()["KIMI26"]
OCTOBER = (ns_from_iso("2026-10-01T00:00:00+08:00"), ns_from_iso("2026-11-01T00:00:00+08:00"))


def october():
    return {supplier.provider: supplier for supplier in listed_suppliers(FACTS, *OCTOBER)}


def test_prices_are_the_catalogue_s_to_the_micro_dollar():
    for supplier in october().values():
        model = next(
            m for p in providers if p.id == supplier.provider for m in p.models if m.id == supplier.model
        )
        given = (
            [model.prices]
            if isinstance(model.prices, ModelPrice)
            else [entry.prices for entry in model.prices]
        )
        known = {(p.input_mtok, p.cache_read_mtok or p.input_mtok, p.output_mtok) for p in given}
        for prices in supplier.prices:
            assert (
                tuple(Decimal(leg).scaleb(-6) for leg in (prices.input, prices.cached, prices.output))
                in known
            )
            assert prices.grade == FACTS.grade.number


def test_the_month_s_change_is_a_second_list_from_its_date_on():
    first, second = october()["openrouter"].prices
    assert (first.input, first.cached, first.output) == (680_000, 340_000, 3_410_000)
    assert (second.input, second.cached, second.output) == (650_000, 150_000, 3_410_000)
    assert (first.valid_from_ns, second.valid_from_ns) == (
        FACTS.grade.valid_from_ns,
        ns_from_iso("2026-10-19T00:00:00Z"),
    )
    later = {
        s.provider: s
        for s in listed_suppliers(
            FACTS, ns_from_iso("2026-11-10T00:00:00Z"), ns_from_iso("2026-11-11T00:00:00Z")
        )
    }
    assert [(p.input, p.valid_from_ns) for p in later["openrouter"].prices] == [
        (950_000, ns_from_iso("2026-11-03T00:00:00Z"))
    ]


def test_without_a_cached_price_a_hit_is_billed_as_input():
    prices = october()["doubleword"].prices[0]
    assert (prices.input, prices.cached) == (950_000, 950_000)


def test_retired_listings_are_told_apart_and_left_out_of_the_lists():
    suppliers = october()
    assert sorted(name for name, supplier in suppliers.items() if supplier.retired) == ["avian", "baseten"]
    numbers = {prices.supplier for prices in list_prices(suppliers.values())}
    assert numbers == {3, 4, 5, 6, 7, 8, 9}
    assert {prices.supplier for prices in list_prices(suppliers.values(), retired=True)} == set(range(1, 10))


def test_every_provider_of_the_weights_is_listed_or_left_out_by_a_rule():
    listed = {(listing.provider, listing.model) for listing in FACTS.listings}
    for provider in providers:
        for model in provider.models:
            if "k2.6" in model.id.lower() or "k2p6" in model.id.lower():
                by_rule = model.id.endswith((":free", "-fast")) or provider.id.startswith("huggingface_")
                assert ((provider.id, model.id) in listed) != by_rule


def test_the_source_is_the_installed_package():
    assert {supplier.source for supplier in october().values()} == {f"genai-prices {version('genai-prices')}"}


def dated(*prices: ConditionalPrice, first: int = OCTOBER[0], end: int = OCTOBER[1]):
    model = ModelInfo(id="m", match=None, prices=list(prices))  # type: ignore[arg-type]
    return catalog_prices._dated_lists(catalog_prices._dated_prices(model, "m"), (1, 1), (first, end), 7, "m")


def priced(usd: str, start: date | None = None) -> ConditionalPrice:
    constraint = None if start is None else StartDateConstraint(start)
    return ConditionalPrice(constraint, prices=ModelPrice(input_mtok=Decimal(usd), output_mtok=Decimal(usd)))


def test_the_last_price_whose_start_has_come_is_in_force():
    lists = dated(priced("3"), priced("2", date(2026, 10, 5)), priced("1", date(2026, 10, 9)))
    assert [prices.input for prices in lists] == [3_000_000, 2_000_000, 1_000_000]
    overridden = dated(priced("2", date(2026, 9, 1)), priced("3"))
    assert [(prices.input, prices.valid_from_ns) for prices in overridden] == [(3_000_000, 7)]


def test_a_price_that_has_not_yet_started_is_not_a_price():
    lists = dated(priced("2", date(2026, 10, 5)))
    assert [(prices.input, prices.valid_from_ns) for prices in lists] == [
        (2_000_000, ns_from_iso("2026-10-05T00:00:00Z"))
    ]
    assert dated(priced("2", date(2026, 12, 5))) == ()
    day = ns_from_iso("2026-10-05T00:00:00Z")
    assert dated(priced("2", date(2026, 10, 5)), first=day - NS_PER_DAY, end=day) == ()


def test_a_start_that_changes_nothing_is_no_new_list():
    assert len(dated(priced("2"), priced("2", date(2026, 10, 5)))) == 1


def test_prices_by_the_hour_of_the_day_are_refused():
    with pytest.raises(Malformed, match="TimeOfDateConstraint"):
        dated(
            ConditionalPrice(
                TimeOfDateConstraint(time(1), time(2)),
                prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1)),
            )
        )


@pytest.mark.parametrize(
    ("price", "named"),
    [
        (ModelPrice(input_mtok=Decimal(1)), "output_mtok"),
        (ModelPrice(output_mtok=Decimal(1)), "input_mtok"),
        (
            ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1), cache_write_mtok=Decimal(1)),
            "cache_write_mtok",
        ),
        (ModelPrice(input_mtok=Decimal("0.0000001"), output_mtok=Decimal(1)), "input_mtok"),
    ],
)
def test_a_price_with_other_legs_or_more_decimals_is_refused(price, named):
    with pytest.raises(Malformed) as refused:
        dated(ConditionalPrice(prices=price))
    assert refused.value.thing == f"m, {named}"


def test_micro_dollars_are_exact_or_refused():
    assert micro_exact(Decimal("0.5472"), "p") == 547_200
    assert micro_exact(Decimal(0), "p") == 0
    for bad in (
        Decimal("0.1234567"),
        Decimal("1." + 40 * "0" + "1"),
        Decimal(-1),
        Decimal("NaN"),
        0.95,
        None,
    ):
        with pytest.raises(Malformed):
            micro_exact(bad, "p")


@pytest.mark.parametrize("listing", [Listing("nobody", "m"), Listing("moonshotai", "kimi-k0")])
def test_a_listing_that_the_catalogue_lacks_is_refused(listing):
    facts = type(FACTS)(FACTS.grade, "w", 4, "m", "s", (listing,), "s", "2026-01-01")
    with pytest.raises(Malformed, match=listing.provider):
        listed_suppliers(facts, *OCTOBER)


def test_a_month_that_ends_before_it_starts_is_refused():
    with pytest.raises(Malformed, match="an end after the start"):
        listed_suppliers(FACTS, OCTOBER[1], OCTOBER[0])
