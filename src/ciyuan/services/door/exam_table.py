"""The exams' standings, kept over a restart: which supplier is suspended from which grade, and what its open window has counted.

One row an offer and process: each process judges by what it saw itself. What is kept is as old as the last `keep`; a standing
that changed since then and was lost in a crash is found out anew, window by window. Nothing that is owed depends on it.
"""

from collections.abc import Mapping

from ciyuan.services.door.registry_database import Database

COMPONENT = "exams"
MIGRATIONS = (
    (
        """CREATE TABLE exams (
            process INTEGER NOT NULL,
            offer INTEGER NOT NULL,
            reason INTEGER NOT NULL,
            began_ns INTEGER NOT NULL,
            requests INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            first_tokens INTEGER NOT NULL,
            late INTEGER NOT NULL,
            timed INTEGER NOT NULL,
            slow INTEGER NOT NULL,
            PRIMARY KEY (process, offer)
        ) STRICT""",
    ),
)
_STATE = "reason, began_ns, requests, failed, first_tokens, late, timed, slow"


class ExamTable:
    """The exams of one process in one database. Raises DatabaseFailed where it cannot be had."""

    def __init__(self, database: Database, process: int) -> None:
        database.migrate(COMPONENT, MIGRATIONS)
        self._database, self._process = database, process

    def keep(self, states: Mapping[int, tuple[int, ...]]) -> None:
        """Put these states, by offer, in the place of what was kept."""
        with self._database.change() as sql:
            sql.run("DELETE FROM exams WHERE process = ?", self._process)
            sql.run_many(
                f"INSERT INTO exams (process, offer, {_STATE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 the names are ours
                [(self._process, offer, *state) for offer, state in states.items()],
            )

    def kept(self) -> dict[int, tuple[int, ...]]:
        """What was kept last, by offer; nothing for a process that never kept anything."""
        with self._database.view() as sql:
            rows = sql.rows(f"SELECT offer, {_STATE} FROM exams WHERE process = ?", self._process)  # noqa: S608 the names are ours
        return {offer: tuple(state) for offer, *state in rows}
