"""The tables: both dialects take them, and refuse what cannot stand in them."""

import pytest

from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_database import DatabaseFailed
from ciyuan.services.door.registry_schema import ParticipantKind, PaymentKind, PaymentState, SpenderKind
from tests.services.door.registry_cast import DIALECTS

pytest_plugins = ("tests.services.postgres",)

CUSTOMER = "INSERT INTO participants VALUES (1, 'customer', 'acme', 0)"
GRADE = "INSERT INTO grades VALUES (1, 'kimi', 'high')"


@pytest.fixture(params=DIALECTS)
def registry(request, tmp_path):
    where = (
        tmp_path / "registry.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    with Registry.open(where) as registry:
        yield registry


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO participants VALUES (1, 'bank', 'acme', 0)",
        "INSERT INTO spenders VALUES (1, 'team', 'acme', 0, 1, 0, NULL)",
        "INSERT INTO spenders VALUES (1, 'key', 'acme', 0, 99, 0, NULL)",
        "INSERT INTO keys VALUES (1, 99, '00', 'sk', '{}', 0, NULL, NULL, NULL)",
        "INSERT INTO limits VALUES (1, 99, 1, 1, 0, 5, 0)",
        "INSERT INTO price_lists VALUES (1, 1, 99, 0, '{}', 1, '', 0)",
        "INSERT INTO payments VALUES (1, 'gift', 1, 5, 'r', 'pending', '', 0)",
        "INSERT INTO payments VALUES (1, 'deposit', 1, 0, 'r', 'pending', '', 0)",
        "INSERT INTO payments VALUES (1, 'deposit', 1, 5, 'r', 'lost', '', 0)",
        "INSERT INTO payments VALUES (1, 'deposit', 1, 'five', 'r', 'done', '', 0)",
    ],
)
def test_the_tables_refuse_what_cannot_be(registry, statement):
    with registry.change(0) as change:
        change.sql.run(CUSTOMER)
        change.sql.run(GRADE)
    with pytest.raises(DatabaseFailed), registry.change(0) as change:
        change.sql.run(statement)
    assert registry.payments() == []


def test_the_tables_take_every_word_of_the_enums(registry):
    with registry.change(0) as change:
        run = change.sql.run
        for number, kind in enumerate(ParticipantKind, 1):
            run("INSERT INTO participants VALUES (?, ?, 'acme', 0)", number, kind)
        for number, spender in enumerate(SpenderKind, 1):
            run("INSERT INTO spenders VALUES (?, ?, ?, 0, 1, 0, NULL)", number, spender, spender)
        for number, state in enumerate(PaymentState, 1):
            for way in PaymentKind:
                values = (10 * number + len(way), way, f"{way} {state}", state)
                run("INSERT INTO payments VALUES (?, ?, 1, 5, ?, ?, '', 0)", *values)
    assert len(registry.payments()) == len(PaymentState) * len(PaymentKind)
    assert len(registry.directory().spenders) == len(SpenderKind)
