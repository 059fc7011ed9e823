"""A private PostgreSQL server for tests: made in a temporary folder, reached by a unix socket only, gone when the tests are.

    pytest_plugins = ("tests.services.postgres",)      # in a test module: gives it the fixtures
    def test_...(postgres_url): ...                    # an empty database of its own, on the server of this test process
    with running_server() as server: ...               # a server of one's own, that can be stopped and killed

The server is a real one with its own default durability (`fsync` on); its folder is in memory where the system has such a disk,
so that a sync costs nothing. It will not run as root: started by root, it becomes the user `postgres` (or `nobody`).

PYTEST_DONT_REWRITE: it asserts nothing, and may be imported before it is named as a plugin.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.sources import ROOT

MEMORY = Path("/dev/shm")  # noqa: S108 a disk in memory
PORT = 5432
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
SETTINGS = {
    "listen_addresses": "''",
    "port": str(PORT),
    "max_connections": "60",
    "shared_buffers": "'32MB'",
    "autovacuum": "off",
    "logging_collector": "off",
}
_databases = count(1)


def server_programs() -> Path:
    """The folder of `initdb` and `postgres`, the newest if there are several. Without one the test fails with the remedy."""
    named = [
        os.environ.get("CIYUAN_POSTGRES", ""),
        str(Path(shutil.which("initdb") or "/nowhere/initdb").resolve().parent),
    ]
    usual = (folder for place in PLACES for folder in Path("/").glob(place.lstrip("/")))
    newest_first = sorted(usual, key=lambda folder: -int(re.findall(r"\d+", str(folder))[0]))
    for folder in (*map(Path, filter(None, named)), *newest_first):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.fail(
        f"no PostgreSQL server on this machine; run {ROOT / 'scripts' / 'need_postgres'}, which says the remedy"
    )


def unprivileged_user() -> str:
    """Who the server becomes when it is started by root, as whom it will not run."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


class Server:
    """A server in `folder`. `url(database)` is what clients connect to; the superuser is `postgres`, without a password."""

    def __init__(self, folder: Path, user: str | None) -> None:
        self.folder = folder
        self._programs = server_programs()
        self._user = user

    @property
    def socket(self) -> Path:
        """The server's unix socket."""
        return self.folder / f".s.PGSQL.{PORT}"

    def url(self, database: str = "postgres", folder: Path | None = None) -> str:
        """The address of a database, at this server's socket or at that of a relay in another `folder`."""
        return f"postgresql://postgres@/{database}?host={folder or self.folder}&port={PORT}"

    def make(self, settings: Mapping[str, str]) -> None:
        """Write the folder of an empty server."""
        # What is being made need not survive a power cut; what is written later must.
        self._call(
            "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"
        )
        lines = [f"{name} = {value}\n" for name, value in {**SETTINGS, **settings}.items()]
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"unix_socket_directories = '{self.folder}'\n" + "".join(lines))

    def start(self) -> None:
        """Start it; it answers when this returns."""
        self._call("pg_ctl", "start", "-w", "-t", "60", "-l", str(self.folder / "log"))

    def stop(self) -> None:
        """Shut it down in order: connections are ended, everything is on the disk."""
        self._call("pg_ctl", "stop", "-w", "-t", "60", "-m", "fast")

    def kill(self) -> None:
        """End it at once and without a word to its disk, as a crash does: it has to recover when it is started again."""
        self._call("pg_ctl", "stop", "-w", "-t", "60", "-m", "immediate")

    def create_database(self) -> str:
        """A new empty database; its url."""
        name = f"test_{os.getpid()}_{next(_databases)}"
        self.run(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def run(self, statement: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser; its rows, if it has any."""
        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _call(self, program: str, *words: str) -> None:
        """Run one of the server's programs over its folder, as its user. Its words, if it fails, are the error."""
        said = subprocess.run(
            [self._programs / program, *words, "-D", self.folder / "data"], cwd=self.folder, user=self._user,
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        log = self.folder / "log"
        if said.returncode:
            raise OSError(f"{program} failed: {said.stdout}\n{log.read_text() if log.exists() else ''}")


@contextmanager
def running_server(*, on_disk: bool = False, **settings: str) -> Iterator[Server]:
    """A server of one's own, with `settings` of postgresql.conf; `on_disk`: on the disk of temporary files, not in memory."""
    parent = None if on_disk or not os.access(MEMORY, os.W_OK) else MEMORY
    # Short, since the path of a unix socket may have 107 bytes only.
    folder = Path(tempfile.mkdtemp(prefix="ciyuan-pg-", dir=parent))
    user = unprivileged_user() if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    server = Server(folder, user)
    try:
        server.make(settings)
        server.start()
        yield server
    finally:
        with suppress(OSError):
            server.kill()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server that the tests of this process share. Do not stop it."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> str:
    """An empty database of the test's own."""
    return postgres_server.create_database()
