"""Participants and grades: each name a number, once and for ever."""

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.messages import GRADE_MAX
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_parties import GradeName, Participant, checked_text
from ciyuan.services.door.registry_schema import ParticipantKind
from ciyuan.venue.accounts import SUPPLIERS_MAX
from tests.services.door.registry_cast import NOW


@pytest.fixture
def registry(tmp_path):
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        yield registry


def test_customers_and_suppliers_share_one_count(registry):
    with registry.change(NOW) as change:
        numbers = [
            change.parties.participant(ParticipantKind.CUSTOMER, "acme"),
            change.parties.supplier("vllm"),
            change.parties.participant(ParticipantKind.CUSTOMER, "umbrella"),
            change.parties.supplier("acme"),
            change.parties.supplier("vllm"),
        ]
    assert numbers == [1, 2, 3, 4, 2]
    assert registry.supplier("vllm", NOW) == 2
    assert registry.directory().participants[4] == Participant(4, ParticipantKind.SUPPLIER, "acme")


def test_a_grade_is_a_model_at_a_tier(registry):
    grades = [registry.grade(*name, NOW) for name in (("kimi", "high"), ("kimi", "ultra"), ("kimi", "high"))]
    assert grades == [1, 2, 1]
    assert registry.directory().grades == {1: GradeName(1, "kimi", "high"), 2: GradeName(2, "kimi", "ultra")}


def test_a_name_that_is_known_changes_nothing(registry):
    registry.supplier("vllm", NOW)
    registry.grade("kimi", "high", NOW)
    version = registry.version()
    registry.supplier("vllm", NOW)
    registry.grade("kimi", "high", NOW)
    assert registry.version() == version


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\0", "x" * 257])
def test_names_are_printable(name, registry):
    with pytest.raises(Malformed, match="name of a supplier"):
        registry.supplier(name, NOW)
    with pytest.raises(Malformed, match="name of a tier"):
        registry.grade("kimi", name, NOW)
    assert checked_text("词元 1", "thing") == "词元 1"


@pytest.mark.parametrize(
    ("table", "row", "make", "most"),
    [
        ("participants", (SUPPLIERS_MAX, "supplier", "last", 0), lambda registry: registry.supplier("one more", NOW), "32767"),
        ("grades", (GRADE_MAX, "last", "high"), lambda registry: registry.grade("one more", "high", NOW), "65535"),
    ],
)  # fmt: skip
def test_numbers_end_where_the_meter_does(registry, table, row, make, most):
    with registry.change(NOW) as change:
        change.sql.run(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", *row)
    with pytest.raises(Malformed, match=f"at most {most}"):
        make(registry)
