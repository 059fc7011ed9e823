"""The exams' standings over a restart: what was kept is there again, of each process apart, in both dialects."""

import pytest

from ciyuan.services.door.exam_table import ExamTable
from ciyuan.services.door.registry_database import Database

pytest_plugins = ("tests.services.postgres",)

SUSPENDED, OPEN = (1, 5, 0, 0, 0, 0, 0, 0), (0, 7, 10, 1, 9, 2, 8, 3)


@pytest.fixture(params=("sqlite", "postgres"))
def where(request, tmp_path):
    return (
        tmp_path / "registry.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )


def test_what_was_kept_is_there_again_and_only_the_last(where):
    with Database.open(where) as database:
        table = ExamTable(database, 0)
        assert table.kept() == {}
        table.keep({1: SUSPENDED, 2: OPEN})
        table.keep({2: SUSPENDED, 3: OPEN})
    with Database.open(where) as database:
        assert ExamTable(database, 0).kept() == {2: SUSPENDED, 3: OPEN}


def test_each_process_keeps_its_own(where):
    with Database.open(where) as database:
        ExamTable(database, 0).keep({1: SUSPENDED})
        ExamTable(database, 1).keep({1: OPEN})
        ExamTable(database, 1).keep({})
        assert ExamTable(database, 0).kept() == {1: SUSPENDED}
        assert ExamTable(database, 1).kept() == {}
