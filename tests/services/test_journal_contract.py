"""What a host may rely on, of the embedded journal and of the shared one alike. CIYUAN_KILLS=50 for more kills."""

import os
import signal
import subprocess
import sys
from time import sleep

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import TIME
from ciyuan.services.postgres_journal_frames import stamped
from tests.services.exchanged import NOW, check_whole, journaled, rows_of
from tests.services.journal_kinds import Place
from tests.services.numbered import GENESIS
from tests.services.prepaid import (
    available_micro,
    gateway_venue,
    held_micro,
    hold_rows,
    set_up_rows,
)
from tests.sources import ROOT

pytest_plugins = ("tests.services.postgres",)
KILLS = int(os.environ.get("CIYUAN_KILLS", "6"))
SEED = 20261121


@pytest.fixture(params=["embedded", "shared"])
def place(request, tmp_path):
    where = (
        str(tmp_path / "journal") if request.param == "embedded" else request.getfixturevalue("postgres_url")
    )
    return Place(where)


@pytest.fixture
def journal(place):
    with place.create(GENESIS) as journal:
        yield journal


def test_rows_are_numbered_and_read_in_the_order_of_the_exchanges(journal):
    assert (journal.sequence, journal.genesis, list(journal.read())) == (0, GENESIS, [])
    for after, count in ((0, 3), (3, 0), (3, 1), (4, 500)):
        others, mine = journal.exchange(rows_of(1, after, count), NOW)
        assert (len(others), len(mine)) == (0, count)
        assert journal.sequence == after + count
    assert check_whole(journaled(journal.read())) == {1: 504}
    assert [len(rows) for rows in journal.read()] == [3, 1, 500]


@pytest.mark.parametrize("from_sequence", [0, 1, 3, 4, 5, 6, 7])
def test_reading_starts_after_any_row(journal, from_sequence):
    for after, count in ((0, 3), (3, 1), (4, 3)):
        journal.exchange(rows_of(1, after, count), NOW)
    whole = journaled(journal.read())
    assert np.array_equal(journaled(journal.read(from_sequence)), whole[from_sequence:])


def test_a_reader_ends_where_the_journal_ended_when_it_began(journal):
    journal.exchange(rows_of(1, 0, 2), NOW)
    journal.exchange(rows_of(1, 2, 2), NOW)
    reader = journal.read()
    given_rows = [next(reader)]
    journal.exchange(rows_of(1, 4, 1), NOW)
    assert check_whole(journaled([*given_rows, *reader])) == {1: 4}


def test_what_is_given_is_the_callers_and_what_was_handed_in_stays_as_it_was(journal):
    rows = rows_of(1, 0, 2)
    mine = journal.exchange(rows, NOW).mine
    assert (rows[:, TIME] == 0).all()
    assert (mine[:, TIME] == NOW).all()
    mine[:] = 0
    for batch in journal.read():
        batch[:] = 0
    assert check_whole(journaled(journal.read())) == {1: 2}


def test_a_time_is_never_before_the_last_one_and_stays_so_when_opened_again(place, journal):
    journal.exchange(rows_of(1, 0, 1), NOW + 5)
    assert journal.exchange(rows_of(1, 1, 1), NOW).mine[:, TIME].tolist() == [NOW + 5]
    journal.close()
    with place.open() as again:
        early = rows_of(1, 2, 1)
        early[:, TIME] = NOW + 4
        with pytest.raises(Malformed, match="time: found"):
            again.exchange(early, NOW)
        assert again.exchange(rows_of(1, 2, 1), NOW).mine[:, TIME].tolist() == [NOW + 5]


def test_malformed_rows_are_refused_and_the_journal_goes_on(journal):
    with pytest.raises(Malformed, match="rows to be journaled"):
        journal.exchange(np.zeros((1, 7), dtype=np.int64), NOW)
    assert journal.exchange(rows_of(1, 0, 1), NOW).mine.shape == (1, 8)


def test_it_is_opened_as_it_was_left_and_only_with_its_genesis(place, journal):
    journal.exchange(rows_of(1, 0, 3), NOW)
    whole = journaled(journal.read())
    journal.close()
    journal.close()
    with pytest.raises(Malformed, match=f"genesis: found '{GENESIS}', expected {'ab' * 16}"):
        place.open("ab" * 16)
    with pytest.raises(Malformed, match="a journal"):
        place.create(GENESIS)
    with place.open(GENESIS) as again:
        assert (again.sequence, again.genesis) == (3, GENESIS)
        assert np.array_equal(journaled(again.read()), whole)
        again.exchange(rows_of(1, 3, 1), NOW)
        assert check_whole(journaled(again.read())) == {1: 4}


def test_nothing_is_opened_where_there_is_none(place):
    with pytest.raises(Malformed, match="journal"):
        place.open()


def test_a_snapshot_and_the_rows_behind_it_are_the_whole_replayed(place, journal):
    venue, chance = gateway_venue(), np.random.default_rng(SEED)
    venue.apply(journal.exchange(set_up_rows(7 * held_micro()), NOW).mine)
    for after in range(10):
        venue.apply(journal.exchange(hold_rows(1 + after, int(chance.integers(1, 4))), NOW + after).mine)
        if after in {3, 6}:
            journal.snapshot(journal.sequence, venue.snapshot(), venue.state_hash())
    journal.close()
    with place.open(GENESIS) as again:
        replayed, restored = gateway_venue(), gateway_venue()
        for rows in again.read():
            replayed.apply(rows)
        snapshot = again.latest_snapshot()
        assert snapshot is not None
        assert 0 < snapshot.sequence < again.sequence
        restored.restore(snapshot.parts)
        assert restored.state_hash() == snapshot.state_hash
        for rows in again.read(snapshot.sequence):
            restored.apply(rows)
    assert replayed.state_hash() == restored.state_hash() == venue.state_hash()
    assert available_micro(restored) == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-3, 9), st.booleans()), max_size=12))
@settings(max_examples=15)
def test_any_exchanges_give_what_a_list_of_rows_would(tmp_path_factory, postgres_server, steps):
    for where in (str(tmp_path_factory.mktemp("journal")), postgres_server.create_database()):
        place, model, last_ns = Place(where), [rows_of(1, 0, 0)], 0
        journal = place.create(GENESIS)
        for count, clock, reopened in steps:
            if reopened:
                journal.close()
                journal = place.open(GENESIS)
            rows = rows_of(1, sum(map(len, model)), count)
            model.append(stamped(rows, NOW + clock, last_ns))
            last_ns = int(model[-1][-1, TIME]) if count else last_ns
            assert np.array_equal(journal.exchange(rows, NOW + clock).mine, model[-1])
        assert np.array_equal(journaled(journal.read()), np.concatenate(model))
        journal.close()


# --- kill -9 ---


def writing(place, writer, seed):
    command = [sys.executable, "-m", "tests.services.exchanging_writer", place.where, str(writer), str(seed)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def killed(process, after_lines, pause_s):
    """Kill a writer a moment after it has said so many lines; the rows that it said were acknowledged."""
    said = [process.stdout.readline() for _ in range(after_lines)]
    sleep(pause_s)
    process.kill()
    said += process.stdout.readlines()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    return max(int(line) for line in said if line.endswith("\n"))


def test_what_was_acknowledged_survives_every_kill_and_nothing_is_there_twice(place):
    chance, acknowledged = np.random.default_rng(SEED), 0
    place.create(GENESIS).close()
    for kill in range(KILLS):
        last = killed(writing(place, 1, SEED + kill), int(chance.integers(1, 40)), chance.uniform(0, 0.01))
        assert last >= acknowledged
        acknowledged = last
        with place.open() as journal:
            assert check_whole(journaled(journal.read()))[1] >= acknowledged


def test_writers_that_are_killed_leave_the_others_and_their_own_rows_whole(postgres_url):
    chance, place = np.random.default_rng(SEED), Place(postgres_url)
    place.create(GENESIS).close()
    acknowledged = dict.fromkeys((1, 2, 3), 0)
    running = {writer: writing(place, writer, SEED + writer) for writer in acknowledged}
    for kill in range(KILLS):
        writer = int(chance.choice(list(acknowledged)))
        acknowledged[writer] = killed(running[writer], int(chance.integers(1, 20)), chance.uniform(0, 0.01))
        running[writer] = writing(place, writer, SEED + 100 + kill)
    for writer, process in running.items():
        acknowledged[writer] = max(acknowledged[writer], killed(process, 1, 0))
    with place.open() as journal:
        found = check_whole(journaled(journal.read()))
    assert all(found[writer] >= count for writer, count in acknowledged.items())
