"""Runs that many tests read: each is played once by each test process."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.runs import QUIET, Said, said, scenario_file

MEMORY = Path("/dev/shm")  # noqa: S108 a disk in memory: a month syncs thousands of times


@pytest.fixture(scope="session")
def quick_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose syncs cost nothing, if the system has one: what is tested with it is not the disk."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("runs")
        return
    folder = Path(tempfile.mkdtemp(prefix="ciyuan-tests-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def small_scenario(quick_folder: Path) -> Path:
    """The small scenario's file."""
    return scenario_file(quick_folder)


@pytest.fixture(scope="session")
def small_said(quick_folder: Path, small_scenario: Path) -> Said:
    """What the command line said when it played the small run."""
    return said("run", "--out", quick_folder / "small", "--scenario", small_scenario, "--json", *QUIET)


@pytest.fixture(scope="session")
def small_run(quick_folder: Path, small_said: Said) -> Path:
    """The folder of a complete small run. Read it, and change only a copy."""
    assert small_said.status == 0, small_said.err
    return quick_folder / "small"
