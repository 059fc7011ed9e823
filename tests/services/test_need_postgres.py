"""The script that sees to a PostgreSQL server for the tests: silent where there is one, clear where there is none."""

import shutil
import subprocess

from tests.services.postgres import server_programs
from tests.sources import ROOT

SCRIPT = ROOT / "scripts" / "need_postgres"
USUAL = "/usr/lib/postgresql/*/bin /usr/pgsql-*/bin"
BASH = shutil.which("bash") or "/bin/bash"


def run(script, **environment):
    return subprocess.run([BASH, script], check=False, capture_output=True, text=True, env=environment)


def elsewhere(tmp_path):
    """The script with no usual places to look in, and a path with what it needs but no server and no apt-get."""
    script, programs = tmp_path / "need_postgres", tmp_path / "bin"
    text = SCRIPT.read_text()
    assert USUAL in text
    script.write_text(text.replace(USUAL, ""))
    programs.mkdir()
    for name in ("dirname", "id", "sed"):
        (programs / name).symlink_to(shutil.which(name) or "")
    return script, str(programs)


def test_where_a_server_is_nothing_is_said_and_nothing_done(tmp_path):
    script, path = elsewhere(tmp_path)
    for said in (
        run(SCRIPT, PATH="/usr/bin:/bin"),
        run(script, PATH=path, CIYUAN_POSTGRES=str(server_programs())),
    ):
        assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_where_none_is_and_none_can_be_installed_the_remedy_is_said(tmp_path):
    script, path = elsewhere(tmp_path)
    said = run(script, PATH=path)
    assert said.returncode == 1
    assert "no PostgreSQL server 14 or newer" in said.stderr
    assert "sudo apt-get install postgresql" in said.stderr


def test_a_server_that_is_too_old_does_not_do(tmp_path):
    script, path = elsewhere(tmp_path)
    for name in ("initdb", "postgres"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 13.9'\n")
        program.chmod(0o755)
    assert run(script, PATH=path, CIYUAN_POSTGRES=str(tmp_path)).returncode == 1
