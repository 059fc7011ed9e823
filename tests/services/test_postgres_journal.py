"""The shared journal: one order for all, what is refused, what is damaged, what waits, what is forgotten."""

from itertools import count
from threading import Thread

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import InvariantBroken, JournalCorrupt, Malformed
from ciyuan.basics.rows import TIME
from ciyuan.services import postgres_journal_link, postgres_journal_pipeline, postgres_journal_snapshots
from ciyuan.services.postgres_journal import PostgresJournal
from ciyuan.services.postgres_journal_frames import EXCHANGE_ROWS_MAX
from ciyuan.services.postgres_journal_link import JournalUnavailable, connected, shown_url
from ciyuan.services.postgres_journal_schema import FRAMES_MAX, LOCK, PIECE_BYTES
from tests.services.exchanged import NOW, check_whole, journaled, rows_of
from tests.services.numbered import GENESIS
from tests.services.postgres import running_server

pytest_plugins = ("tests.services.postgres",)
NONE = rows_of(1, 0, 0)
_names = count(1)
HASH, PARTS = (
    "ab" * 16,
    {"clock": np.array([[7, 8, 9]], dtype=np.int64), "none": np.empty((0, 3), dtype=np.int64)},
)


@pytest.fixture
def journal(postgres_url):
    with PostgresJournal.create(postgres_url, GENESIS) as journal:
        yield journal


@pytest.fixture
def other(journal, postgres_url):
    with PostgresJournal.open(postgres_url) as other:
        yield other


def write(journal, count, writer=1):
    """So many exchanges of one row each, the writer's next."""
    done = check_whole(journaled(journal.read())).get(writer, 0)
    for after in range(done, done + count):
        journal.exchange(rows_of(writer, after, 1), NOW)


def change(server, url, statement):
    """Change the tables behind everyone's back."""
    server.run(statement, url)


# --- one order ---


def test_what_one_writes_the_other_hears_once_and_before_its_own(journal, other):
    assert [len(rows) for rows in journal.exchange(rows_of(1, 0, 2), NOW)] == [0, 2]
    others, mine = other.exchange(rows_of(2, 0, 1), NOW)
    assert (check_whole(others), check_whole(mine)) == ({1: 2}, {2: 1})
    assert [len(rows) for rows in other.exchange(NONE, NOW)] == [0, 0]
    others, mine = journal.exchange(NONE, NOW)
    assert (check_whole(others), len(mine)) == ({2: 1}, 0)
    assert (journal.sequence, other.sequence) == (3, 3)
    others[:] = mine[:] = 0
    assert check_whole(journaled(journal.read())) == {1: 2, 2: 1}


def test_times_are_the_latest_of_any_clock_and_never_run_backwards(journal, other):
    assert journal.exchange(rows_of(1, 0, 2), NOW)[1][:, TIME].tolist() == [NOW, NOW]
    assert other.exchange(rows_of(2, 0, 1), NOW - 5)[1][:, TIME].tolist() == [NOW]
    assert other.exchange(rows_of(2, 1, 1), NOW + 7)[1][:, TIME].tolist() == [NOW + 7]
    with PostgresJournal.open(journal._url) as third:
        assert third.exchange(rows_of(3, 0, 1), NOW)[1][:, TIME].tolist() == [NOW + 7]


def test_a_row_before_its_time_is_refused_and_nothing_that_was_heard_on_the_way_is_lost(journal, other):
    journal.exchange(rows_of(1, 0, 1), NOW)
    early = rows_of(2, 0, 1)
    early[0, TIME] = NOW - 1
    for _ in range(2):
        with pytest.raises(Malformed, match="row 0 of an exchange, time"):
            other.exchange(early, NOW)
    assert other.sequence == 0
    others, mine = other.exchange(rows_of(2, 0, 1), NOW)
    assert (check_whole(others), check_whole(mine)) == ({1: 1}, {2: 1})


def test_a_clock_that_runs_ahead_of_the_servers_is_refused_and_the_journal_goes_on(journal, postgres_server):
    ahead = int(postgres_server.run("SELECT extract(epoch FROM now())::bigint")[0][0]) * 10**9 + 3_600 * 10**9
    with pytest.raises(Malformed, match=r"time of an exchange.*at most 10 s after the server's clock.*NTP"):
        journal.exchange(rows_of(1, 0, 1), ahead)
    journal.exchange(rows_of(1, 0, 1), NOW)
    assert check_whole(journaled(journal.read())) == {1: 1}


@pytest.mark.parametrize("behind", [FRAMES_MAX - 1, FRAMES_MAX, FRAMES_MAX + 1, 2 * FRAMES_MAX + 3])
@pytest.mark.parametrize("size", [0, 2])
def test_a_process_that_is_far_behind_hears_everything_first(journal, other, behind, size):
    write(journal, behind)
    others, mine = other.exchange(rows_of(2, 0, size), NOW)
    assert check_whole(others) == {1: behind}
    assert len(mine) == size
    assert other.sequence == behind + size


def test_the_largest_exchange_goes_through_and_a_larger_one_is_refused(journal, other):
    rows = rows_of(1, 0, EXCHANGE_ROWS_MAX + 1)
    with pytest.raises(Malformed, match="rows of one exchange"):
        journal.exchange(rows, NOW)
    journal.exchange(rows[:-1], NOW)
    others, mine = other.exchange(rows_of(2, 0, EXCHANGE_ROWS_MAX), NOW)
    assert (check_whole(others), check_whole(mine)) == ({1: EXCHANGE_ROWS_MAX}, {2: EXCHANGE_ROWS_MAX})


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=25))
def test_every_process_hears_the_same_rows_in_the_same_order(steps):
    url = test_every_process_hears_the_same_rows_in_the_same_order.url  # type: ignore[attr-defined]
    name = f"steps {next(_names)}"
    processes = [PostgresJournal.ensure(url, GENESIS, name=name) for _ in range(3)]
    heard, written = [[NONE] for _ in processes], [0] * 3
    for process, size in [*steps, (0, 0), (1, 0), (2, 0)]:
        rows = rows_of(process, written[process], size)
        heard[process] += processes[process].exchange(rows, NOW)
        written[process] += size
    whole = journaled(processes[0].read())
    assert check_whole(whole) == {process: size for process, size in enumerate(written) if size}
    for process, journal in enumerate(processes):
        assert np.array_equal(np.concatenate(heard[process]), whole)
        journal.close()


@pytest.fixture(autouse=True, scope="module")
def database_of_the_property(postgres_server):
    test_every_process_hears_the_same_rows_in_the_same_order.url = postgres_server.create_database()  # type: ignore[attr-defined]


def test_writers_in_threads_never_write_over_each_other(journal, postgres_url):
    heard = {}

    def write_and_hear(writer):
        with PostgresJournal.open(postgres_url) as own:
            heard[writer] = [
                part for after in range(20) for part in own.exchange(rows_of(writer, after, 1), NOW)
            ]

    threads = [Thread(target=write_and_hear, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.exchange(NONE, NOW)
    whole = journaled(journal.read())
    assert check_whole(whole) == dict.fromkeys(range(6), 20)
    for parts in heard.values():
        rows = np.concatenate(parts)
        before = int(
            np.flatnonzero((whole == rows[0]).all(axis=1))[0]
        )  # what was written before it opened it need not hear
        assert np.array_equal(rows, whole[before : before + len(rows)])


def test_many_that_begin_at_once_begin_one_journal(postgres_url):
    begun = []
    threads = [
        Thread(target=lambda: begun.append(PostgresJournal.ensure(postgres_url, GENESIS))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 6
    for after, journal in enumerate(begun):
        journal.exchange(rows_of(1, after, 1), NOW)
    assert check_whole(journaled(begun[-1].read())) == {1: 6}
    for journal in begun:
        journal.close()


def test_journals_of_one_database_do_not_touch_each_other(journal, postgres_url):
    with PostgresJournal.create(postgres_url, "ab" * 16, name="another") as another:
        write(journal, 2)
        assert [len(rows) for rows in another.exchange(rows_of(5, 0, 3), NOW)] == [0, 3]
        assert check_whole(journaled(journal.read())) == {1: 2}
        assert another.wait(0) is False


# --- opening ---


def test_a_database_without_the_journal_is_not_opened_and_not_touched(postgres_url, postgres_server):
    with pytest.raises(Malformed, match=r"journal gateway at .*no journal of this name.*create the journal"):
        PostgresJournal.open(postgres_url)
    assert postgres_server.run("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'ciyuan%'", postgres_url) == []
    PostgresJournal.create(postgres_url, GENESIS).close()
    with pytest.raises(Malformed, match="no journal of this name"):
        PostgresJournal.open(postgres_url, name="other")
    with pytest.raises(Malformed, match="found 'a journal of this name', expected none"):
        PostgresJournal.create(postgres_url, GENESIS)


def test_a_journal_of_another_genesis_is_not_opened(journal, postgres_url):
    assert journal.genesis == GENESIS
    for begin in (PostgresJournal.open, PostgresJournal.ensure):
        with pytest.raises(Malformed, match=f"genesis: found '{GENESIS}', expected {'ab' * 16}"):
            begin(postgres_url, "ab" * 16)
    with pytest.raises(Malformed, match="a digest of 16 bytes"):
        PostgresJournal.create(postgres_url, "none", name="other")


def test_tables_of_another_version_are_not_touched(journal, postgres_url, postgres_server):
    change(postgres_server, postgres_url, "UPDATE ciyuan_journal.version SET number = 99")
    for begin in (PostgresJournal.open, PostgresJournal.ensure):
        with pytest.raises(Malformed, match="version of the schema ciyuan_journal: found 99, expected 1"):
            begin(postgres_url, GENESIS)


@pytest.mark.parametrize("url", ["postgresql://me:secret@[/", "secret"])
def test_a_url_that_is_none_is_refused_and_its_password_not_shown(url):
    with pytest.raises(Malformed, match="url of a PostgreSQL server") as refusal:
        PostgresJournal.open(url)
    assert "secret" not in str(refusal.value)


def test_a_url_is_shown_without_user_and_password():
    assert shown_url("postgresql://me:secret@host:99/base?sslmode=require") == "postgresql://host:99/base"
    assert shown_url("dbname=base") == "postgresql://local socket/base"


def test_a_server_that_cannot_be_reached_is_named_and_nothing_more(tmp_path):
    with pytest.raises(
        JournalUnavailable, match=r"journal gateway at postgresql://.*/base is unavailable: "
    ) as refusal:
        PostgresJournal.open(f"postgresql://me:secret@/base?host={tmp_path}")
    assert "secret" not in str(refusal.value)


def test_a_server_that_does_not_sync_is_refused():
    with running_server(fsync="off") as server:
        with pytest.raises(Malformed, match="setting fsync of the server: found 'off', expected on"):
            PostgresJournal.create(server.url(), GENESIS)
        assert server.run("SELECT to_regclass('ciyuan_journal.frame')") == [(None,)]


def test_a_server_that_is_too_old_is_refused(postgres_url, monkeypatch):
    monkeypatch.setattr(postgres_journal_link, "SERVER_OLDEST", 99)
    with pytest.raises(Malformed, match=r"release of PostgreSQL: found \d+, expected 99 or newer"):
        PostgresJournal.create(postgres_url, GENESIS)


@pytest.mark.parametrize(
    ("setting", "meant"),
    [("off", "on"), ("local", "on"), ("remote_write", "on"), ("remote_apply", "remote_apply")],
)
def test_a_connection_is_set_for_durability_whatever_the_databases_defaults(
    postgres_url, postgres_server, setting, meant
):
    database = postgres_server.run("SELECT current_database()", postgres_url)[0][0]
    for name, value in (("synchronous_commit", setting), ("default_transaction_isolation", "serializable")):
        postgres_server.run(f"ALTER DATABASE {database} SET {name} = '{value}'")
    with connected(postgres_url, "here") as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == (meant,)
        assert connection.execute("SHOW default_transaction_isolation").fetchone() == ("read committed",)


def test_a_standby_is_not_written_to(journal, postgres_url, postgres_server):
    database = postgres_server.run("SELECT current_database()", postgres_url)[0][0]
    postgres_server.run(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    with pytest.raises(JournalUnavailable, match="session is read-only"):
        PostgresJournal.open(postgres_url)


# --- waiting ---


def test_waiting_ends_when_another_has_written_and_not_for_ones_own_rows(journal, other):
    assert journal.wait(0) is False
    write(journal, 2)
    assert journal.wait(0) is False
    woken = []
    waiter = Thread(target=lambda: woken.append(journal.wait(60)))
    waiter.start()
    other.exchange(rows_of(2, 0, 1), NOW)
    waiter.join()
    assert woken == [True]
    journal.exchange(NONE, NOW)
    assert journal.wait(0) is False


def test_what_was_written_before_the_waiting_began_is_not_missed(journal, other):
    write(other, 1, writer=2)
    assert journal.wait(60) is True


def test_closing_ends_the_waiting_of_another_thread(journal):
    said = []
    waiter = Thread(target=lambda: said.append(journal.wait(3_600)))
    waiter.start()
    journal.close()
    waiter.join()
    assert said in ([False], [])
    journal.close()
    for call in (lambda: journal.exchange(NONE, NOW), lambda: journal.wait(0), journal.latest_snapshot):
        with pytest.raises(JournalUnavailable, match="it is closed"):
            call()


def test_a_lock_that_is_held_too_long_is_an_error_and_the_journal_goes_on(
    journal, other, postgres_url, monkeypatch
):
    journal.exchange(rows_of(1, 0, 1), NOW)
    monkeypatch.setattr(
        postgres_journal_link, "SETTINGS", postgres_journal_link.SETTINGS.replace("'10000'", "'20'")
    )
    number = journal._entry.number
    with psycopg.connect(postgres_url) as holder:
        holder.execute(LOCK, (number,))
        for _ in range(2):
            with pytest.raises(JournalUnavailable, match="lock timeout"):
                other.exchange(rows_of(2, 0, 1), NOW)
    others, mine = other.exchange(rows_of(2, 0, 1), NOW)
    assert (check_whole(others), check_whole(mine)) == ({1: 1}, {2: 1})


def test_an_answer_that_does_not_come_is_given_up_and_what_was_asked_is_not_done_later(
    journal, postgres_url, monkeypatch
):
    monkeypatch.setattr(postgres_journal_pipeline, "ANSWER_WAIT_S", 0.05)
    with psycopg.connect(postgres_url) as holder:
        holder.execute(LOCK, (journal._entry.number,))
        for rows in (rows_of(1, 0, 1), rows_of(3, 0, 1)):
            with pytest.raises(JournalUnavailable, match=r"no answer in 0\.05 s") as error:
                journal.exchange(rows, NOW)
            assert error.value.in_doubt
        monkeypatch.undo()
    # The second attempt has ended the first one's connection, so that its rows are not written now that the lock is free.
    assert [len(rows) for rows in journal.exchange(rows_of(3, 0, 1), NOW)] == [0, 1]
    assert check_whole(journaled(journal.read())) == {3: 1}


def test_a_process_that_stops_with_the_lock_is_thrown_out(journal, postgres_url, monkeypatch):
    monkeypatch.setattr(
        postgres_journal_link, "SETTINGS", postgres_journal_link.SETTINGS.replace("'5000'", "'20'")
    )
    with connected(postgres_url, "here") as stopped:
        stopped.execute("BEGIN")
        stopped.execute(LOCK, (journal._entry.number,))
        assert len(journal.exchange(rows_of(1, 0, 1), NOW).mine) == 1
        with pytest.raises(psycopg.Error, match="idle-in-transaction timeout"):
            stopped.execute("SELECT 1")


def test_a_server_that_was_stopped_or_killed_has_all_that_was_acknowledged():
    with running_server() as server:
        url = server.create_database()
        with PostgresJournal.create(url, GENESIS) as journal:
            for after, end in enumerate((server.stop, server.kill)):
                journal.exchange(rows_of(1, 2 * after, 1), NOW)
                assert journal.wait(0) is False
                end()
                with pytest.raises(JournalUnavailable):
                    journal.exchange(rows_of(1, 2 * after + 1, 1), NOW)
                with pytest.raises(JournalUnavailable):
                    journal.wait(60)
                server.start()
                journal.exchange(rows_of(1, 2 * after + 1, 1), NOW)
            assert check_whole(journaled(journal.read())) == {1: 4}


# --- damage ---


def test_a_damaged_frame_is_named_by_everyone_who_reads_it(journal, other, postgres_url, postgres_server):
    write(journal, 3)
    change(postgres_server, postgres_url,
           "UPDATE ciyuan_journal.frame SET data = set_byte(data, 60, get_byte(data, 60) # 1) WHERE sequence = 2")  # fmt: skip
    named = "journal segment journal gateway at .* after row 1 is damaged.*batch checksum"
    with pytest.raises(JournalCorrupt, match=named):
        list(journal.read())
    for _ in range(2):
        with pytest.raises(JournalCorrupt, match=named):
            other.exchange(NONE, NOW)
    with PostgresJournal.open(postgres_url) as third:
        assert third.sequence == 3
        assert len(journaled(third.read(2))) == 1
    change(postgres_server, postgres_url,
           "UPDATE ciyuan_journal.frame SET data = set_byte(data, 60, get_byte(data, 60) # 1) WHERE sequence = 2")  # fmt: skip
    assert check_whole(other.exchange(NONE, NOW).others) == {1: 3}


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "DELETE FROM ciyuan_journal.frame WHERE sequence = 2",
            "after row 1 is damaged.*before expected 1, found 2",
        ),
        (
            "DELETE FROM ciyuan_journal.frame WHERE sequence = 1",
            "after row 0 is damaged.*before expected 0, found 1",
        ),
        ("UPDATE ciyuan_journal.frame SET sequence = 9 WHERE sequence = 4", "sequence expected 4, found 9"),
    ],
)
def test_a_frame_that_is_missing_or_misplaced_is_named(
    journal, other, postgres_url, postgres_server, statement, named
):
    write(journal, 4)
    change(postgres_server, postgres_url, statement)
    with pytest.raises(JournalCorrupt, match=named):
        list(journal.read())
    with pytest.raises(JournalCorrupt, match=named):
        other.exchange(rows_of(2, 0, 1), NOW)


def test_a_journal_that_has_lost_what_was_read_is_never_built_upon(
    journal, other, postgres_url, postgres_server
):
    write(journal, 3)
    other.exchange(NONE, NOW)
    change(postgres_server, postgres_url, "DELETE FROM ciyuan_journal.frame WHERE sequence = 3")
    with pytest.raises(
        JournalCorrupt, match="last row expected row 3 as this process has read it, found row 2"
    ):
        journal.exchange(rows_of(1, 3, 1), NOW)
    with pytest.raises(JournalCorrupt, match="expected row 3, found the end after row 2"):
        list(journal.read())
    with PostgresJournal.open(postgres_url) as later:
        later.exchange(rows_of(5, 0, 1), NOW)
    with pytest.raises(JournalCorrupt, match="found another row 3"):
        other.exchange(rows_of(2, 0, 1), NOW)


def test_a_journal_whose_last_frame_is_damaged_is_not_opened(journal, postgres_url, postgres_server):
    write(journal, 2)
    change(postgres_server, postgres_url,
           "UPDATE ciyuan_journal.frame SET data = substr(data, 1, length(data) - 8) WHERE sequence = 2")  # fmt: skip
    with pytest.raises(JournalCorrupt, match=r"after row 1 is damaged.*frame size"):
        PostgresJournal.open(postgres_url)


# --- snapshots, and forgetting ---


def test_the_newest_whole_snapshot_is_given_and_a_damaged_one_passed_over(
    journal, other, postgres_url, postgres_server
):
    assert journal.latest_snapshot() is None
    write(journal, 3)
    journal.snapshot(1, PARTS, HASH)
    journal.snapshot(3, PARTS, "cd" * 16)
    newest = journal.latest_snapshot()
    assert newest is not None
    assert (newest.sequence, newest.state_hash, newest.genesis) == (3, "cd" * 16, GENESIS)
    assert {name: part.tolist() for name, part in newest.parts.items()} == {"clock": [[7, 8, 9]], "none": []}
    newest.parts["clock"][:] = 0
    assert [snapshot and snapshot.sequence for snapshot in map(journal.latest_snapshot, (2, 0))] == [1, None]
    assert other.latest_snapshot() is None, "it is of rows that this process has not heard"
    change(postgres_server, postgres_url,
           "UPDATE ciyuan_journal.snapshot_piece SET data = set_byte(data, 30, 0) WHERE sequence = 3")  # fmt: skip
    passed = journal.latest_snapshot()
    assert passed is not None
    assert passed.sequence == 1
    assert [damaged.name for damaged in journal.damaged_snapshots] == ["snapshot after row 3"]


def test_a_snapshot_of_another_journal_is_passed_over(journal, postgres_url, postgres_server):
    write(journal, 1)
    with PostgresJournal.create(postgres_url, "ab" * 16, name="another") as another:
        write(another, 1)
        another.snapshot(1, PARTS, HASH)
    journal.snapshot(1, PARTS, HASH)
    change(postgres_server, postgres_url,
           "UPDATE ciyuan_journal.snapshot_piece p SET data = o.data"
           " FROM ciyuan_journal.snapshot_piece o WHERE o.journal = 2")  # fmt: skip
    assert journal.latest_snapshot() is None
    assert "genesis abab" in journal.damaged_snapshots[0].why


def test_a_snapshot_is_kept_in_pieces_and_found_whole(journal):
    write(journal, 1)
    large = {"large": np.arange(PIECE_BYTES // 4, dtype=np.int64).reshape(-1, 8)}
    journal.snapshot(1, large, HASH)
    found = journal.latest_snapshot()
    assert found is not None
    assert np.array_equal(found.parts["large"], large["large"])


def test_two_replicas_that_differ_are_found_by_their_snapshots(journal, other):
    write(journal, 1)
    other.exchange(NONE, NOW)
    journal.snapshot(1, PARTS, HASH)
    other.snapshot(1, PARTS, HASH)
    with pytest.raises(
        InvariantBroken, match=f"after row 1 another process has state hash {HASH}, this one {'cd' * 16}"
    ):
        other.snapshot(1, PARTS, "cd" * 16)


def test_a_snapshot_ahead_of_the_journal_or_of_no_matrices_is_refused(journal):
    for sequence in (1, -1):
        with pytest.raises(Malformed, match="a snapshot's sequence"):
            journal.snapshot(sequence, PARTS, HASH)
    with pytest.raises(Malformed, match="snapshot part clock"):
        journal.snapshot(0, {"clock": np.zeros(3)}, HASH)
    assert journal.latest_snapshot() is None


def test_pruning_forgets_what_is_before_the_oldest_kept_snapshot_and_the_chain_goes_on(
    journal, postgres_url, monkeypatch
):
    monkeypatch.setattr(postgres_journal_snapshots, "PRUNED_FRAMES", 2)
    for after in range(0, 20, 2):
        journal.exchange(rows_of(1, after, 2), NOW)
    for sequence in (4, 11, 15):
        journal.snapshot(sequence, PARTS, HASH)
    assert journal.prune(keep=4) == 0
    assert journal.prune() == 10
    assert journal.latest_snapshot(10) is None
    assert [len(journaled(journal.read(start))) for start in (10, 11, 15, 20)] == [10, 9, 5, 0]
    with pytest.raises(
        Malformed, match=r"rows after row 9: found 'they were pruned up to row 10'.*newest snapshot"
    ):
        list(journal.read(9))
    with PostgresJournal.open(postgres_url, GENESIS) as again:
        again.exchange(rows_of(1, 20, 1), NOW)
        assert len(journaled(again.read(10))) == 11
    with pytest.raises(Malformed, match="snapshots to be kept"):
        journal.prune(0)


def test_the_last_frame_is_never_forgotten(journal, postgres_url):
    write(journal, 3)
    journal.snapshot(3, PARTS, HASH)
    assert (journal.prune(1), journal.prune(1)) == (2, 0)
    with PostgresJournal.open(postgres_url) as again:
        assert again.sequence == 3
        assert again.exchange(rows_of(1, 3, 1), NOW - 9)[1][:, TIME].tolist() == [NOW]


def test_a_process_that_is_behind_what_was_pruned_is_told_to_begin_again(journal, other):
    write(journal, 5)
    journal.snapshot(4, PARTS, HASH)
    journal.prune(1)
    for rows in (NONE, rows_of(2, 0, 1)):
        with pytest.raises(
            Malformed, match=r"rows after row 0: found 'they were pruned up to row 4'.*Begin again"
        ):
            other.exchange(rows, NOW)


def test_a_damaged_snapshot_is_not_what_pruning_relies_on(journal, postgres_url, postgres_server):
    write(journal, 5)
    for sequence in (2, 4):
        journal.snapshot(sequence, PARTS, HASH)
    change(postgres_server, postgres_url,
           "UPDATE ciyuan_journal.snapshot_piece SET data = set_byte(data, 30, 0) WHERE sequence = 4")  # fmt: skip
    assert journal.prune(2) == 0
    assert journal.prune(1) == 2
