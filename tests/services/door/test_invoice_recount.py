"""`ciyuan invoice --recount`: the journal of a store, read beside its writer, is played again and must say the same."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.gateway.messages import deliver_row, hold_row, parties_word, tick_row
from ciyuan.services.door.gateway_store import JOURNAL, TERMS
from ciyuan.services.door.invoice_check import MachineWord, check_machine
from ciyuan.services.door.invoice_issue import InvoiceBook
from ciyuan.services.door.invoice_recount import recount_store
from ciyuan.services.door.registry_database import Database
from ciyuan.services.door.usage_fold import UsageFold
from ciyuan.services.door.usage_names import Names
from ciyuan.services.door.usage_span import parse_span
from ciyuan.services.door.usage_tables import UsageTables
from ciyuan.services.postgres_journal import PostgresJournal
from ciyuan.services.store import Store
from ciyuan.venue.machine import Venue
from tests.services.door.usage_market import HOUR_NS, Market, registry

pytest_plugins = ("tests.services.postgres",)
SEPTEMBER = parse_span("2026-09")
"""A month that has passed: a shared journal takes no row of the future."""
PARTIES = parties_word(2, 1, 5)


def played() -> Market:
    """A month through a real venue of the gateway's terms; one request is held in it and delivered after it."""
    start_ns, end_ns = SEPTEMBER.bounds_ns
    market = Market(Venue(TERMS), start_ns)
    market.open(prepaid_micro=1_000_000)
    for request in range(1, 30):
        market.now_ns += 20 * HOUR_NS
        market.tell(hold_row(0, request << 4, PARTIES, 900, 900))
        market.tell(deliver_row(0, request << 4, PARTIES, 13 * request, request, 7 * request))
    market.tell(hold_row(0, 99 << 4, PARTIES, 900, 900))
    market.now_ns = end_ns
    market.tell(deliver_row(0, 99 << 4, PARTIES, 900, 0, 900))
    market.tell(tick_row(0))
    return market


@contextmanager
def journaled(where: str, market: Market) -> Iterator[None]:
    """The market's rows in the store's journal, whose writer stays open."""
    if where.startswith("postgresql:"):
        with closing(PostgresJournal.create(where, TERMS.digest())) as shared:
            for rows, _ in market.batches:
                shared.exchange(rows, int(rows[-1, 1]))
            yield
        return
    with Store.create(Path(where) / JOURNAL, TERMS.digest()) as store:
        for rows, _ in market.batches:
            store.append(rows)
        yield


@pytest.fixture(params=["folder", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else request.getfixturevalue("postgres_url")


@contextmanager
def database_of(where: str) -> Iterator[Database]:
    with Database.open(where if "://" in where else Path(where) / "registry.sqlite") as database:
        registry(database)
        yield database


def test_the_journal_played_again_says_what_the_sums_say(where: str):
    market = played()
    with journaled(where, market), database_of(where) as database:
        tables, names = UsageTables(database), Names.read(database)
        fold = UsageFold(tables)
        market.feed(fold)
        assert fold.flush(10**6)
        word = recount_store(where, names, "acme", SEPTEMBER)
        invoice = (
            InvoiceBook(tables).issue(names, "acme", SEPTEMBER, "us", SEPTEMBER.bounds_ns[1], word).invoice
        )
        assert invoice.total_micro == word.settled_micro > 0
        assert invoice.statement.closing_micro == word.closing_micro == 1_000_000 - word.settled_micro
        with pytest.raises(InvariantBroken, match="sum of SETTLED"):
            check_machine(invoice.statement, MachineWord(word.settled_micro + 1, word.closing_micro))
        with pytest.raises(Malformed, match="acne"):
            recount_store(where, names, "acne", SEPTEMBER)


def test_a_store_without_a_journal_is_malformed(where: str):
    with database_of(where) as database, pytest.raises(Malformed):
        recount_store(where, Names.read(database), "acme", SEPTEMBER)
