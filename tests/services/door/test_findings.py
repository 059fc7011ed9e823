"""The firewall's log: written some at a time, in order, bounded, by more than one writer; and no value is ever in it."""

import pytest

from ciyuan.gateway.firewall import Firewall, Placeholders, audit
from ciyuan.services.catalog_firewall import firewall_rules
from ciyuan.services.door import findings as module
from ciyuan.services.door.findings import DIGEST_KEY_BYTES, Findings, findings_in
from ciyuan.services.door.registry_database import Database, DatabaseFailed
from tests.services.door.registry_cast import company_registry
from tests.services.door.till import START_NS, Clock

CARD = "4111 1111 1111 1111"


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "registry.sqlite") as opened:
        yield opened


@pytest.fixture
def key(tmp_path):
    with company_registry(tmp_path / "company.sqlite") as (registry, cast):
        yield registry.directory().find(cast.laptop.text.encode())


@pytest.fixture(scope="module")
def records():
    """What a firewall finds in a text with a card's number."""
    text, placeholders = f"my card is {CARD}, thanks", Placeholders()
    found = Firewall(firewall_rules(), b"k" * 32).search([text])
    assert isinstance(found, tuple)
    return audit("messages[0].content", text, found[0], placeholders)


def rows_in(database: Database) -> list[tuple]:
    with database.view() as sql:
        return [tuple(row) for row in sql.rows("SELECT * FROM findings ORDER BY number")]


def test_findings_are_written_in_their_order_when_they_are_flushed(database, key, records):
    clock = Clock()
    findings = Findings(database, clock)
    for side in ("request", "answer", "request"):
        clock.now_ns += 5
        findings.note(key, side, records[0])
    assert rows_in(database) == []
    assert (findings.flush(), findings.flush()) == (3, 0)
    written = rows_in(database)
    assert [row[:4] for row in written] == [
        (number, START_NS + 5 * number, key.spender, side)
        for number, side in enumerate(("request", "answer", "request"), 1)
    ]
    assert written[0][4:] == (records[0].rule, records[0].kind.name.lower(), records[0].action.name.lower(),
                              records[0].view.name.lower(), records[0].path, records[0].digest, records[0].excerpt)  # fmt: skip


def test_the_value_is_not_in_the_log(database, key, records, tmp_path):
    findings = Findings(database, Clock())
    findings.note(key, "request", records[0])
    findings.flush()
    database.close()
    on_disk = b"".join(path.read_bytes() for path in tmp_path.glob("registry.sqlite*"))
    for shown in (CARD, CARD.replace(" ", "")):
        assert shown.encode() not in on_disk


def test_what_waits_is_bounded_and_what_is_beyond_is_counted(database, key, records, monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    findings = Findings(database, Clock())
    for _ in range(5):
        findings.note(key, "request", records[0])
    assert (findings.dropped, findings.flush(), len(rows_in(database))) == (2, 3, 3)
    findings.note(key, "request", records[0])
    assert (findings.dropped, findings.flush()) == (2, 1)


def test_where_the_database_cannot_be_had_they_wait(database, key, records, tmp_path):
    findings = Findings(database, Clock())
    findings.note(key, "request", records[0])
    with Database.open(tmp_path / "registry.sqlite") as other, other.change() as sql:
        sql.run("ALTER TABLE findings RENAME TO elsewhere")
    with pytest.raises(DatabaseFailed):
        findings.flush()
    with Database.open(tmp_path / "registry.sqlite") as other, other.change() as sql:
        sql.run("ALTER TABLE elsewhere RENAME TO findings")
    findings.note(key, "answer", records[0])
    assert findings.flush() == 2
    assert [row[3] for row in rows_in(database)] == ["request", "answer"]


def test_what_is_noted_while_it_is_written_is_written_next(database, key, records, monkeypatch):
    findings = Findings(database, Clock())
    findings.note(key, "request", records[0])
    change = database.change

    def noting_meanwhile():
        findings.note(key, "answer", records[0])
        return change()

    with monkeypatch.context() as patched:
        patched.setattr(database, "change", noting_meanwhile)
        assert findings.flush() == 1
    assert findings.flush() == 1
    assert [row[3] for row in rows_in(database)] == ["request", "answer"]


def test_two_processes_write_to_one_log(database, key, records, tmp_path):
    with Database.open(tmp_path / "registry.sqlite") as second:
        both = Findings(database, Clock()), Findings(second, Clock())
        for _ in range(3):
            for findings in both:
                findings.note(key, "request", records[0])
                findings.flush()
        assert [row[0] for row in rows_in(database)] == [1, 2, 3, 4, 5, 6]


def test_the_secret_of_digests_is_drawn_once(database, tmp_path):
    first = Findings(database, Clock()).digest_key()
    assert len(first) == DIGEST_KEY_BYTES
    with Database.open(tmp_path / "registry.sqlite") as second:
        assert Findings(second, Clock()).digest_key() == first
    with Database.open(tmp_path / "another.sqlite") as other:
        assert Findings(other, Clock()).digest_key() != first


def test_the_newest_are_read_first_page_by_page_of_some_spenders_and_rules(
    database, key, records, monkeypatch
):
    monkeypatch.setattr(module, "_PAGE", 2)
    clock = Clock()
    findings = Findings(database, clock)
    for side in ("request", "answer", "request", "answer", "request"):
        clock.now_ns += 5
        findings.note(key, side, records[0])
    findings.flush()
    rule = records[0].rule

    def numbers(since_ns=0, most=9, **which):
        return [finding.number for finding in findings_in(database, since_ns, most=most, **which)]

    assert numbers() == [5, 4, 3, 2, 1]
    assert numbers(most=3) == [5, 4, 3]
    assert numbers(START_NS + 15) == [5, 4, 3]
    assert numbers(spenders={key.spender}, rules={rule}) == [5, 4, 3, 2, 1]
    assert numbers(spenders={key.spender + 1}) == []
    assert numbers(rules={"no-such-rule"}) == []
    last = findings_in(database, 0, most=1)[0]
    assert (last.side, last.rule, last.excerpt, last.time_ns) == (
        "request",
        rule,
        records[0].excerpt,
        START_NS + 25,
    )


def test_a_log_that_was_never_written_has_nothing(database):
    assert findings_in(database, 0, most=9) == []
