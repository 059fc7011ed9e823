"""A file of suppliers taken into the registry: numbers by name, lists by content, all or nothing."""

import shutil

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.usage import Leg
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_prices import LEAD_NS
from ciyuan.services.door.registry_schema import ParticipantKind
from ciyuan.services.door.registry_suppliers import CHANGED, FIRST, SAME, look_at_suppliers, take_suppliers
from tests.services.door.registry_cast import NOW
from tests.sources import ROOT

EXAMPLE = ROOT / "examples" / "gateway" / "suppliers.toml"


@pytest.fixture
def registry(tmp_path):
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        registry.supplier("an older one", NOW)
        yield registry


@pytest.fixture
def file(tmp_path):
    return shutil.copy(EXAMPLE, tmp_path / "suppliers.toml")


def test_who_is_in_the_file_has_a_number_and_a_list(registry, file):
    catalogue = take_suppliers(registry, file, NOW)
    directory = registry.directory()
    assert {each.name: each.number for each in catalogue.suppliers} == {
        each.name: each.number
        for each in directory.participants.values()
        if each.kind is ParticipantKind.SUPPLIER and each.name != "an older one"
    }
    lists = {(each.supplier, each.grade): each for each in registry.price_lists()}
    for offer in catalogue.offers.all:
        grade = directory.grades[offer.grade]
        assert (grade.model, grade.tier) == (offer.model, offer.tier.name.lower())
        assert lists[offer.supplier, offer.grade].prices == offer.prices
        assert catalogue.sources[offer.number].source in lists[offer.supplier, offer.grade].source


def test_a_second_time_nothing_changes(registry, file):
    first = take_suppliers(registry, file, NOW)
    version = registry.version()
    again = take_suppliers(registry, file, NOW + 10**12)
    assert registry.version() == version
    assert again.offers.all == first.offers.all


def test_other_prices_are_another_list(registry, file):
    take_suppliers(registry, file, NOW)
    count = len(registry.price_lists())
    file.write_text(file.read_text().replace('output = "0.20"', 'output = "0.25"'))
    take_suppliers(registry, file, NOW + 7)
    listing = registry.price_lists()[count]
    assert len(registry.price_lists()) == count + 1
    assert (listing.prices.pico[Leg.OUTPUT], listing.valid_from_ns) == (250_000, NOW + 7 + LEAD_NS)


def test_a_file_with_a_fault_gives_no_numbers(registry, file):
    version = registry.version()
    file.write_text(file.read_text().replace('tier = "free"', 'tier = "fre"'))
    with pytest.raises(Malformed, match="fre"):
        take_suppliers(registry, file, NOW)
    assert registry.version() == version


def test_a_look_changes_nothing_and_says_what_would(registry, file):
    keys = {"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "DEEPSEEK_API_KEY": "c"}
    version = registry.version()
    looked = look_at_suppliers(registry, file, NOW, keys)
    assert registry.version() == version
    assert set(looked.prices.values()) == {FIRST}
    assert looked.faults == ()
    taken = take_suppliers(registry, file, NOW)
    assert [each.number for each in looked.catalogue.suppliers] == [each.number for each in taken.suppliers]
    file.write_text(file.read_text().replace('output = "0.20"', 'output = "0.25"'))
    looked = look_at_suppliers(registry, file, NOW, keys)
    assert sorted(looked.prices.values()) == sorted([CHANGED, *[SAME] * (len(looked.prices) - 1)])


def test_a_look_needs_no_registry_and_names_keys_that_are_not_there(file):
    looked = look_at_suppliers(None, file, NOW, {"OPENAI_API_KEY": "a"})
    assert [fault.partition(":")[0] for fault in looked.faults] == ["anthropic", "deepseek"]
    assert all("API_KEY" in fault for fault in looked.faults)
    assert [each.number for each in looked.catalogue.suppliers] == [1, 2, 3, 4, 5]
