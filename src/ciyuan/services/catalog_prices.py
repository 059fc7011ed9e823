"""List prices: what real providers post for a grade, from the genai-prices package (MIT) as installed; nothing is fetched.

A price there is a decimal of USD per MTok, and comes over exactly, as whole micro-USD per MTok: one that is not whole
is Malformed, not rounded. A provider without a price for cached input bills it as input. A price that starts on a
date starts at 00:00 UTC of it. Batch prices are not listed: the half of `PriceList` stands. Which of a provider's
models is the grade is said in grades.toml, with what is left out and why.

A provider that has *retired* the model is told apart: the catalogue keeps its last price for the bills of the past,
but nobody can buy at it, so it is no evidence of a price today.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from fractions import Fraction
from importlib.metadata import version
from typing import TYPE_CHECKING

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import MICRO
from ciyuan.basics.price import PriceList
from ciyuan.basics.time import iso_from_ns, ns_from_iso
from ciyuan.services.catalog_facts import GradeFacts, Listing

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

PACKAGE = "genai-prices"
_INPUT, _CACHED, _OUTPUT = "input_mtok", "cache_read_mtok", "output_mtok"


@dataclass(frozen=True, slots=True)
class ListedSupplier:
    """A provider's posted prices for a grade, dated, oldest first. `comment` is the catalogue's own, empty if it has none."""

    provider: str
    name: str
    model: str
    retired: bool
    comment: str
    prices: tuple[PriceList, ...]
    source: str


def listed_suppliers(facts: GradeFacts, first_ns: int, end_ns: int) -> tuple[ListedSupplier, ...]:
    """The providers of a grade and their prices in force in first_ns <= time < end_ns, in the order of grades.toml.

    A provider's number (`PriceList.supplier`) is its place in that order, from 1. The first list of each is the one
    in force at `first_ns`; without a starting date it is valid from the grade's own. Raises Malformed for a provider
    or model that the installed package does not have, and for a price that is not exact, tiered, or tied to the time
    of day.
    """
    if not first_ns < end_ns:
        raise Malformed("time of list prices", found=f"{iso_from_ns(first_ns)} to {iso_from_ns(end_ns)}",
                        expected="an end after the start", remedy="Give the month's bounds.")  # fmt: skip
    source = f"{PACKAGE} {version(PACKAGE)}"
    suppliers = []
    for number, listing in enumerate(facts.listings, 1):
        name, model = _entry(listing, source)
        place = f"{source}, {listing.provider} {listing.model}"
        prices = _dated_lists(
            _dated_prices(model, place),
            (number, facts.grade.number),
            (first_ns, end_ns),
            facts.grade.valid_from_ns,
            place,
        )
        suppliers.append(
            ListedSupplier(
                listing.provider,
                name,
                listing.model,
                bool(model.deprecated),
                model.price_comments or "",
                prices,
                source,
            )
        )
    return tuple(suppliers)


def list_prices(suppliers: Iterable[ListedSupplier], retired: bool = False) -> tuple[PriceList, ...]:
    """All price lists of `suppliers`; of those who retired the model only if asked for."""
    return tuple(
        price for supplier in suppliers if retired or not supplier.retired for price in supplier.prices
    )


def _entry(listing: Listing, source: str) -> tuple[str, "ModelInfo"]:
    """The provider's name and its model."""
    from genai_prices.data import providers

    for provider in providers:
        if provider.id == listing.provider:
            for model in provider.models:
                if model.id == listing.model:
                    return provider.name, model
            break
    raise Malformed(f"grades.toml, listing {listing.provider}", found=listing.model,
                    expected=f"a model of that provider in {source}",
                    remedy="Mend the listing, or install the version of the package that it was read from.")  # fmt: skip


def _dated_prices(model: "ModelInfo", place: str) -> list[tuple[int | None, "ModelPrice"]]:
    """(start, price) in the catalogue's order, of which the last whose start has come is in force; None starts ever since."""
    from genai_prices.types import ModelPrice, StartDateConstraint

    if isinstance(model.prices, ModelPrice):
        return [(None, model.prices)]
    dated: list[tuple[int | None, ModelPrice]] = []
    for entry in model.prices:
        if entry.constraint is None:
            dated.append((None, entry.prices))
        elif isinstance(entry.constraint, StartDateConstraint):
            start = datetime.combine(entry.constraint.start_date, time(), UTC)
            dated.append((ns_from_iso(start.isoformat()), entry.prices))
        else:
            raise Malformed(place, found=type(entry.constraint).__name__, expected="prices that start on a date",
                            remedy="Leave the listing out of grades.toml; prices by the hour have no list here.")  # fmt: skip
    return dated


def _dated_lists(dated: Sequence[tuple[int | None, "ModelPrice"]], number_and_grade: tuple[int, int], span: tuple[int, int],
                 valid_from_ns: int, place: str) -> tuple[PriceList, ...]:  # fmt: skip
    """The lists in force over the span: one at its start, then one at each start within it that changes something."""
    first_ns, end_ns = span
    starts = sorted(
        {first_ns} | {start for start, _ in dated if start is not None and first_ns < start < end_ns}
    )
    lists: list[PriceList] = []
    for moment in starts:
        in_force = [(start, price) for start, price in dated if start is None or start <= moment]
        if not in_force:
            continue
        start, price = in_force[-1]
        legs = _legs(price, place)
        if not lists or legs != (lists[-1].input, lists[-1].cached, lists[-1].output):
            lists.append(PriceList(*number_and_grade, valid_from_ns if start is None else start, *legs))
    return tuple(lists)


def _legs(price: "ModelPrice", place: str) -> tuple[int, int, int]:
    """Micro-USD per MTok of input, cached input and output."""
    given = {
        key: value for key, value in vars(price).items() if value is not None and not key.startswith("_")
    }
    unknown = sorted(given.keys() - {_INPUT, _CACHED, _OUTPUT})
    if unknown:
        raise Malformed(f"{place}, {unknown[0]}", found=given[unknown[0]],
                        expected="prices of input, cached input and output only",
                        remedy="Leave the listing out of grades.toml: its bill has more legs than a price list.")  # fmt: skip
    for needed in (_INPUT, _OUTPUT):
        if needed not in given:
            raise Malformed(f"{place}, {needed}", found="no price", expected="a price in USD per MTok",
                            remedy="Leave the listing out of grades.toml.")  # fmt: skip
    cached = given.get(_CACHED, given[_INPUT])
    return (
        micro_exact(given[_INPUT], f"{place}, {_INPUT}"),
        micro_exact(cached, f"{place}, {_CACHED}"),
        micro_exact(given[_OUTPUT], f"{place}, {_OUTPUT}"),
    )


def micro_exact(usd: object, place: str) -> int:
    """Whole micro-USD of a decimal of USD; Malformed if it is not a decimal, or not whole in micro-USD."""
    if not isinstance(usd, Decimal) or not usd.is_finite() or usd < 0:
        raise Malformed(place, found=usd, expected="one decimal price of 0 or more, without tiers",
                        remedy="Leave the listing out of grades.toml.")  # fmt: skip
    micro = Fraction(usd) * MICRO
    if micro.denominator != 1:
        raise Malformed(place, found=usd, expected="at most six decimals of a USD per MTok",
                        remedy="Leave the listing out of grades.toml; a list price is never rounded.")  # fmt: skip
    return micro.numerator
