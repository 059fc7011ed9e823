"""The gateway's store: reopened it is as it was, its three histories at one point, and a snapshot never ahead of the sums."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import JournalCorrupt, Malformed
from ciyuan.services.archive import SEGMENTS
from ciyuan.services.door.gateway_store import JOURNAL, TERMS, GatewayStore
from ciyuan.services.door.registry_command import REGISTRY
from ciyuan.services.store import Store
from ciyuan.venue.messages import Purse
from tests.services.door.till import CUSTOMER, START_NS, deliver, hold, matrix, opening_rows

BALANCE = 1_000_000
STEPS = ("row", "fold", "snapshot", "reopen")


def write(store: GatewayStore, rows, time_ns: int = START_NS) -> None:
    """Rows as the host writes them: to the journal, to the venue, to the sums."""
    batch = matrix(rows, time_ns)
    before = store.journal.sequence
    assert isinstance(store.log, Store)
    store.log.append(batch)
    events = store.venue.apply(batch)
    if store.fold is not None:
        store.fold.take(before, batch, events)


def opened(folder: Path, process: int = 0) -> GatewayStore:
    return GatewayStore.open(str(folder), process)


def begun(folder: Path) -> GatewayStore:
    store = opened(folder)
    write(store, opening_rows(BALANCE))
    return store


def charged(store: GatewayStore) -> int:
    """What the sums say was charged."""
    with store.database.view() as sql:
        return int(sql.value("SELECT COALESCE(SUM(charged_micro), 0) FROM usage_hour"))


def spent(store: GatewayStore) -> int:
    return BALANCE - store.venue.ledger.posted(store.venue.terms.chart.purse(CUSTOMER, Purse.PREPAID))


def test_a_new_one_is_empty_and_where_it_was_asked_for(tmp_path):
    store = opened(tmp_path / "a" / "store")
    assert (store.journal.sequence, store.last_ns) == (0, 0)
    assert store.fold is not None
    assert store.fold.watermark == 0
    assert (tmp_path / "a" / "store" / REGISTRY).is_file()
    store.close()
    store.close()


def test_reopened_it_is_as_it_was(tmp_path):
    store = begun(tmp_path)
    write(store, [hold(16), deliver(16), hold(32)], START_NS + 5)
    state, sequence = store.venue.state_hash(), store.journal.sequence
    store.close()
    again = opened(tmp_path)
    assert (again.venue.state_hash(), again.journal.sequence, again.last_ns) == (
        state,
        sequence,
        START_NS + 5,
    )
    assert again.fold is not None
    assert again.fold.flush(sequence)
    assert charged(again) == spent(again) > 0
    again.close()


@settings(max_examples=25)
@given(st.lists(st.sampled_from(STEPS), max_size=14))
def test_in_whatever_order_things_are_kept_the_three_histories_agree(steps):
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))  # noqa: S108 many syncs
    try:
        check_histories(folder, steps)
    finally:
        shutil.rmtree(folder)


def check_histories(folder: Path, steps) -> None:
    """Each row a request that is held and delivered; after all, and after a crash, the sums are what was posted."""
    store, request, kept = begun(folder), 0, 0
    for step in (*steps, "reopen"):
        assert store.fold is not None
        if step == "row":
            request += 16
            write(store, [hold(request), deliver(request)], START_NS + request)
        elif step == "fold":
            assert store.fold.flush(store.journal.sequence)
        elif step == "snapshot":
            applied = store.journal.sequence
            behind = store.fold.watermark < applied
            assert store.keep_snapshot(applied, store.venue.snapshot()) is not behind
            kept = kept if behind else applied
        else:
            state = store.venue.state_hash()
            store.close()
            store = opened(folder)
            assert store.venue.state_hash() == state
            assert store.fold is not None
            latest = store.journal.latest_snapshot()
            assert (0 if latest is None else latest.sequence) == kept
            assert kept <= store.fold.watermark
    assert store.fold is not None
    assert store.fold.flush(store.journal.sequence)
    assert charged(store) == spent(store)
    store.close()


def test_a_snapshot_that_the_sums_have_not_reached_is_not_kept(tmp_path):
    store = begun(tmp_path)
    applied = store.journal.sequence
    assert not store.keep_snapshot(applied, store.venue.snapshot())
    assert store.fold is not None
    assert store.fold.flush(applied)
    assert store.keep_snapshot(applied, store.venue.snapshot())
    store.close()


def test_a_snapshot_of_rows_that_are_not_durable_is_not_kept(tmp_path):
    store = begun(tmp_path)
    assert store.fold is not None
    assert store.fold.flush(store.journal.sequence)
    assert not store.keep_snapshot(store.journal.sequence + 1, store.venue.snapshot())
    store.close()


def test_sums_that_are_behind_a_newer_snapshot_are_caught_up_from_an_older(tmp_path):
    """As it is after the sums' database was restored from a copy: the snapshot that is ahead of them is passed over."""
    store = begun(tmp_path)
    shutil.copy(tmp_path / REGISTRY, tmp_path / "copy")
    write(store, [hold(16), deliver(16)], START_NS + 1)
    assert store.fold is not None
    assert store.fold.flush(store.journal.sequence)
    assert store.keep_snapshot(store.journal.sequence, store.venue.snapshot())
    state = store.venue.state_hash()
    store.close()
    for path in tmp_path.glob(f"{REGISTRY}*"):
        path.unlink()
    (tmp_path / "copy").rename(tmp_path / REGISTRY)
    again = opened(tmp_path)
    assert again.venue.state_hash() == state
    assert again.fold is not None
    assert again.fold.flush(again.journal.sequence)
    assert charged(again) == spent(again) > 0
    again.close()


def test_only_the_first_process_keeps_sums_and_snapshots(tmp_path):
    begun(tmp_path).close()
    store = opened(tmp_path, 1)
    assert store.fold is None
    assert not store.keep_snapshot(store.journal.sequence, store.venue.snapshot())
    assert store.last_ns == START_NS
    store.close()


def test_a_folder_that_is_being_served_from_is_refused_and_left_as_it_is(tmp_path):
    first = begun(tmp_path)
    with pytest.raises(Malformed):
        opened(tmp_path)
    write(first, [hold(16)], START_NS + 1)
    first.close()
    again = opened(tmp_path)
    assert again.last_ns == START_NS + 1
    again.close()


def test_a_journal_of_another_venue_is_refused(tmp_path):
    Store.create(tmp_path / JOURNAL, "ab" * 16).close()
    assert TERMS.digest() != "ab" * 16
    with pytest.raises(Malformed):
        opened(tmp_path)


def test_a_damaged_journal_is_named_and_let_go_of(tmp_path):
    store = begun(tmp_path)
    write(store, [hold(16)], START_NS + 1)
    write(store, [hold(32)], START_NS + 2)
    store.close()
    (segment,) = (tmp_path / JOURNAL).glob(SEGMENTS)
    data = bytearray(segment.read_bytes())
    whole = bytes(data)
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    with pytest.raises(JournalCorrupt):
        opened(tmp_path)
    segment.write_bytes(whole)
    again = opened(tmp_path)
    assert again.last_ns == START_NS + 2
    again.close()


def test_a_registry_that_is_none_lets_go_of_the_journal(tmp_path):
    begun(tmp_path).close()
    for path in tmp_path.glob(f"{REGISTRY}-*"):
        path.unlink()
    kept = (tmp_path / REGISTRY).read_bytes()
    (tmp_path / REGISTRY).write_bytes(b"no database, " * 1_000)
    with pytest.raises(Exception, match="registry"):
        opened(tmp_path)
    (tmp_path / REGISTRY).write_bytes(kept)
    again = opened(tmp_path)
    assert again.last_ns == START_NS
    again.close()


def test_rows_are_what_was_written(tmp_path):
    store = begun(tmp_path)
    write(store, [hold(16), deliver(16)], START_NS + 3)
    rows = np.concatenate(list(store.journal.read(0)))
    assert len(rows) == store.journal.sequence
    assert list(rows[-2:, 1]) == [START_NS + 3] * 2
    store.close()
