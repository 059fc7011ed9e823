"""Small runs of the month for the tests: a scenario that takes seconds, and the command line called in this process."""

import contextlib
import io
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import pyarrow.parquet as pq

from ciyuan.services import cli
from tests.sources import ROOT

SCENARIO = {
    "requests": 400,
    "bundle_calls": 200_000,
    "buyers": 4,
    "makers": 1,
    "traders": 2,
    "maker_levels": 1,
    "noise_orders_per_minute": 0.1,
    "prologue_days": 1,
}
"""Every machine and every kind of row of the month, with hardly any traders: their orders are what takes time."""
QUIET = ("--progress", "none", "--no-report")
USAGE = ROOT.parent / "shared" / "data" / "usage"


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str


def said(*words: object) -> Said:
    """The command line, called in this process: `said("run", "--out", folder)`."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    spoken = patch.object(sys, "argv", ["ciyuan", *map(str, words)])
    with spoken, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
    return Said(status, out.getvalue(), err.getvalue())


def scenario_file(folder: Path, settings: Mapping[str, object] = SCENARIO) -> Path:
    """A scenario's TOML file in a folder; entries that are lists of tables come last, as TOML wants it."""
    plain = [f"{name} = {_toml(value)}" for name, value in settings.items() if not isinstance(value, list)]
    tables = [
        f"\n[[{name}]]\n" + "\n".join(f"{key} = {_toml(value)}" for key, value in table.items())
        for name, entries in settings.items()
        if isinstance(entries, list)
        for table in entries
    ]
    path = folder / "scenario.toml"
    path.write_text("\n".join([*plain, *tables]) + "\n")
    return path


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def copied(run: Path, folder: Path) -> Path:
    """A run's copy, to be damaged."""
    target = folder / "run"
    shutil.copytree(run, target)
    return target


def last_segment(run: Path) -> Path:
    """The journal's last file."""
    return max((run / "journal").glob("segment-*.journal"))


def asked(question: str) -> list[tuple[Any, ...]]:
    """What DuckDB answers."""
    with duckdb.connect() as connection:
        return connection.execute(question).fetchall()


def rows_of(run: Path, table: str) -> list[dict[str, object]]:
    """A table of a run, row by row."""
    found: list[dict[str, object]] = pq.read_table(run / "tables" / f"{table}.parquet").to_pylist()
    return found
