"""The recount of a store's journal for an invoice: its rows read beside the gateway that writes them, and played again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ciyuan.services.archive import Archive
from ciyuan.services.door.gateway_store import JOURNAL, TERMS
from ciyuan.services.door.invoice_check import MachineWord, recounted
from ciyuan.services.door.invoice_issue import customer_of
from ciyuan.services.door.registry_database import is_url
from ciyuan.services.door.usage_names import Names
from ciyuan.services.door.usage_span import Span
from ciyuan.services.postgres_journal import PostgresJournal
from ciyuan.venue.machine import Venue


def recount_store(store: str, names: Names, organisation: str, span: Span) -> MachineWord:
    """The machine's word on an organisation's span, by the journal of a store from its first row.

    Raises Malformed for an organisation that is not there, or a journal that is not there or was pruned; JournalCorrupt.
    """
    customer = customer_of(names, organisation)
    with _rows_of(store) as rows:
        return recounted(rows, Venue(TERMS), customer, span)


@contextmanager
def _rows_of(store: str) -> Iterator[Iterator[NDArray[np.int64]]]:
    if not is_url(store):
        yield Archive.open(Path(store) / JOURNAL, TERMS.digest()).read()
        return
    journal = PostgresJournal.open(store, TERMS.digest())
    try:
        yield journal.read()
    finally:
        journal.close()
