"""A file of suppliers taken into the registry: numbers by name, price lists by content; or only looked at.

catalogue = take_suppliers(registry, path, now_ns)            # numbers given, lists posted, in one change
looked = look_at_suppliers(registry, path, now_ns, environ)   # nothing is changed; what is wrong, and what would change
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.route_offers import Offer
from ciyuan.services.catalog_supplier_address import Reference
from ciyuan.services.catalog_suppliers import SupplierCatalogue, read_suppliers
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_directory import Directory
from ciyuan.services.door.registry_prices import Listing
from ciyuan.services.door.registry_schema import ParticipantKind

SAME, FIRST, CHANGED = "as in force", "first list", "new prices"
"""What a file's prices are to those in force."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at a file found. `prices` says of each offer, by its number, what its list is to the one in force; `faults` are
    references that lead nowhere from here.
    """

    catalogue: SupplierCatalogue
    prices: Mapping[int, str]
    faults: tuple[str, ...]


def take_suppliers(registry: Registry, path: Path, now_ns: int) -> SupplierCatalogue:
    """Read a file of suppliers: who is new in it is given a number, prices that are new in it become lists. All or nothing.

    Raises Malformed for what is wrong in the file.
    """
    with registry.change(now_ns) as change:
        catalogue = read_suppliers(path, change.parties.supplier, change.parties.grade, now_ns)
        for offer in catalogue.offers.all:
            source = catalogue.sources[offer.number]
            change.prices.post(
                offer.supplier, offer.grade, offer.prices, source=f"{source.source}, {source.observed_on}"
            )
    return catalogue


def look_at_suppliers(
    registry: Registry | None, path: Path, now_ns: int, environ: Mapping[str, str]
) -> Looked:
    """Read a file of suppliers and change nothing: who is new has a number that is not given to it. Raises Malformed."""
    directory = None if registry is None else registry.directory()
    lists = [] if registry is None else registry.price_lists()
    numbers = _Numbers(directory)
    catalogue = read_suppliers(path, numbers.supplier, numbers.grade, now_ns)
    last = {(listing.supplier, listing.grade): listing for listing in lists}
    prices = {
        offer.number: _compared(offer, last.get((offer.supplier, offer.grade)))
        for offer in catalogue.offers.all
    }
    return Looked(catalogue, prices, tuple(_faults(catalogue, environ)))


class _Numbers:
    """Numbers that are known, and for new names those after them."""

    def __init__(self, directory: Directory | None) -> None:
        people = [] if directory is None else list(directory.participants.values())
        grades = [] if directory is None else list(directory.grades.values())
        self._suppliers = {each.name: each.number for each in people if each.kind is ParticipantKind.SUPPLIER}
        self._grades = {(each.model, each.tier): each.number for each in grades}
        self._next_supplier = max((each.number for each in people), default=0) + 1
        self._next_grade = max(self._grades.values(), default=0) + 1

    def supplier(self, name: str) -> int:
        if name not in self._suppliers:
            self._suppliers[name] = self._next_supplier
            self._next_supplier += 1
        return self._suppliers[name]

    def grade(self, model: str, tier: str) -> int:
        if (model, tier) not in self._grades:
            self._grades[model, tier] = self._next_grade
            self._next_grade += 1
        return self._grades[model, tier]


def _compared(offer: Offer, listing: Listing | None) -> str:
    if listing is None:
        return FIRST
    return SAME if listing.prices == offer.prices else CHANGED


def _faults(catalogue: SupplierCatalogue, environ: Mapping[str, str]) -> list[str]:
    faults = []
    for supplier in catalogue.suppliers:
        named = [("", supplier.key), *((f", header {name}", value) for name, value in supplier.headers)]
        for what, value in named:
            if isinstance(value, Reference):
                try:
                    value.secret(environ)
                except Malformed as fault:
                    faults.append(f"{supplier.name}{what}: {fault}")
    return faults
