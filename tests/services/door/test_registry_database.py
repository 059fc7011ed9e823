"""The database under the registry: the same contract in SQLite and PostgreSQL."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services.door import registry_database
from ciyuan.services.door.registry_database import Database, DatabaseFailed, is_duplicate, is_url, shown_url
from tests.services.door.registry_cast import DIALECTS

pytest_plugins = ("tests.services.postgres",)

NAMES = (("CREATE TABLE names (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, raw BLOB) STRICT",),)
PUT = "INSERT INTO names (number, name) VALUES (?, ?)"
COUNT = "SELECT COUNT(*) FROM names"


@pytest.fixture(params=DIALECTS)
def where(request, tmp_path):
    return (
        tmp_path / "registry.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )


@pytest.fixture
def database(where):
    with Database.open(where) as database:
        database.migrate("names", NAMES)
        yield database


def count(database):
    with database.view() as sql:
        return sql.value(COUNT)


def test_a_change_is_seen_by_others_when_it_has_ended(database, where):
    with Database.open(where) as other:
        with database.change() as sql:
            assert sql.run(PUT, 1, "one") == 1
            sql.run_many(PUT, [(2, "two"), (3, "three % and more")])
            assert sql.value(COUNT) == 3
            assert sql.changed == 3
            assert count(other) == 0
        assert count(other) == 3
        with other.view() as sql:
            assert sql.rows("SELECT number, name FROM names WHERE name LIKE 't%' ORDER BY number") == [
                (2, "two"),
                (3, "three % and more"),
            ]
            assert sql.row("SELECT name FROM names WHERE number = ?", 9) is None
            assert sql.value("SELECT name FROM names WHERE number = ?", 9) is None


def test_bytes_and_large_integers_come_back(database):
    with database.change() as sql:
        sql.run("INSERT INTO names (number, name, raw) VALUES (?, ?, ?)", 2**63 - 1, "词元", b"\0\xff")
    with database.view() as sql:
        number, name, raw = sql.row("SELECT number, name, raw FROM names")
    assert (number, name, bytes(raw)) == (2**63 - 1, "词元", b"\0\xff")


def test_a_change_that_fails_changes_nothing(database):
    def fail():
        with database.change() as sql:
            sql.run(PUT, 1, "one")
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        fail()
    assert count(database) == 0


def test_a_row_that_is_there_already_is_told_as_such(database):
    with database.change() as sql:
        sql.run(PUT, 1, "one")
    with pytest.raises(DatabaseFailed) as fault, database.change() as sql:
        sql.run(PUT, 2, "one")
    assert is_duplicate(fault.value)
    with pytest.raises(DatabaseFailed) as fault, database.change() as sql:
        sql.run("INSERT INTO names (number) VALUES (3)")
    assert not is_duplicate(fault.value)
    assert count(database) == 1


def test_a_view_sees_one_moment(database, where):
    with Database.open(where) as other, other.view() as sql:
        assert sql.value(COUNT) == 0
        with database.change() as writing:
            writing.run(PUT, 1, "one")
        assert sql.value(COUNT) == 0
    assert count(database) == 1


def test_changes_queue_so_the_next_number_is_free(database, where):
    """Eight writers, each with a connection of its own, take the number after the largest."""
    others = [Database.open(where) for _ in range(8)]
    together = Barrier(len(others))

    def write(other):
        together.wait()
        for _ in range(12):
            with other.change() as sql:
                number = sql.value("SELECT COALESCE(MAX(number), 0) + 1 FROM names")
                sql.run(PUT, number, f"name {number}")
        other.close()

    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(write, others))
    with database.view() as sql:
        assert [row[0] for row in sql.rows("SELECT number FROM names ORDER BY number")] == list(range(1, 97))


def test_a_change_that_waits_too_long_is_refused(database, where, monkeypatch):
    monkeypatch.setattr(registry_database, "WAIT_MS", 300)
    with Database.open(where) as other, database.change() as sql:
        sql.run(PUT, 1, "one")
        with pytest.raises(DatabaseFailed, match="lock"), other.change():
            pass
    assert count(database) == 1


def test_threads_take_turns_on_one_database(database):
    def write(number):
        with database.change() as sql:
            sql.run(PUT, number, str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(1, 41)))
    assert count(database) == 40


@pytest.mark.parametrize("inner", ["change", "view"])
def test_nothing_is_begun_inside_a_change(database, inner):
    with pytest.raises(Malformed, match="inside a change"), database.change(), getattr(database, inner)():
        pass
    assert count(database) == 0


def test_migrations_go_forward_once(database):
    later = (*NAMES, ("ALTER TABLE names ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'",))
    assert database.migrate("names", later) == 1
    assert database.migrate("names", later) == 2
    with database.change() as sql:
        sql.run(PUT, 1, "one")
        assert sql.value("SELECT colour FROM names") == "red"
    with pytest.raises(Malformed, match="newer ciyuan"):
        database.migrate("names", NAMES)


def test_a_migration_that_fails_leaves_the_version_before(database):
    broken = (
        *NAMES,
        ("CREATE TABLE more (number INTEGER) STRICT", "CREATE TABLE names (number INTEGER) STRICT"),
    )
    with pytest.raises(DatabaseFailed):
        database.migrate("names", broken)
    assert database.migrate("names", (*NAMES, ("CREATE TABLE more (number INTEGER) STRICT",))) == 1


def test_many_that_open_at_once_migrate_once(where):
    together = Barrier(6)

    def begin(_):
        together.wait()
        with Database.open(where) as other:
            return other.migrate("names", NAMES)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(begin, range(6))) == [0, 1, 1, 1, 1, 1]


def test_what_is_closed_is_refused(database):
    database.close()
    database.close()
    with pytest.raises(DatabaseFailed, match="closed"), database.view():
        pass
    assert database.is_postgres is is_url(str(database.shown))


# --- a file ---


def test_a_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "new" / "registry.sqlite"
    with Database.open(path) as database, database.change() as sql:
        sql.define("CREATE TABLE one (number INTEGER) STRICT")
        found = sorted(path.parent.iterdir())
        assert found[0] == path
        assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in found)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "registry.sqlite"
    path.write_text("this is not a database, and it is long enough to be read as one" * 40)
    with pytest.raises(DatabaseFailed, match="not a database"):
        Database.open(path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DatabaseFailed, match="taken"):
        Database.open(tmp_path / "taken" / "registry.sqlite")


def test_a_change_that_has_ended_outlives_its_process(tmp_path):
    path = tmp_path / "registry.sqlite"
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ciyuan.services.door.registry_database import Database\n"
        "database = Database.open(Path(sys.argv[1]))\n"
        "with database.change() as sql:\n"
        "    sql.define('CREATE TABLE names (number INTEGER) STRICT')\n"
        "    sql.run('INSERT INTO names (number) VALUES (?)', 7)\n"
        "with database.change() as sql:\n"
        "    sql.run('INSERT INTO names (number) VALUES (?)', 8)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False, env=os.environ)
    assert ended.returncode == -9
    with Database.open(path) as database, database.view() as sql:
        assert sql.rows("SELECT number FROM names") == [(7,)]


# --- a server ---


def test_a_url_is_shown_without_its_password():
    assert is_url("postgresql://ada:secret@db.example.com/ciyuan")
    assert is_url("postgres://db/ciyuan")
    assert not is_url("runs/gateway")
    assert shown_url("postgresql://ada:secret@db.example.com:5433/ciyuan?sslmode=require") == (
        "postgresql://db.example.com:5433/ciyuan"
    )
    assert shown_url("postgresql://[broken") == "postgresql://"


def test_a_connection_that_was_lost_is_made_anew(postgres_server, postgres_url):
    with Database.open(postgres_url) as database:
        database.migrate("names", NAMES)
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ciyuan registry'"
        postgres_server.run(end)
        with database.change() as sql:
            sql.run(PUT, 1, "one")
        assert count(database) == 1

        def lose():
            with database.change() as sql:
                sql.run(PUT, 2, "two")
                postgres_server.run(end)
                sql.run(PUT, 3, "three")

        with pytest.raises(DatabaseFailed):
            lose()
        assert count(database) == 1


def test_a_server_that_is_down_is_a_failure_until_it_is_back():
    from tests.services.postgres import running_server

    with running_server() as server, Database.open(server.create_database()) as database:
        database.migrate("names", NAMES)
        server.stop()
        for _ in range(2):
            with pytest.raises(DatabaseFailed, match="postgresql:///"), database.view():
                pass
        server.start()
        assert count(database) == 0
