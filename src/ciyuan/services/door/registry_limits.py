"""Limits: budgets and rates that hang on spenders, one for each unit, window and offset.

The meter numbers limits from 1 and forgets none, so a limit that is cleared stays as one without a `most`, and is told to the
meter with the largest there is; when it is set again it is the same limit, and what was used in its window still counts.
"""

from dataclasses import dataclass

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX
from ciyuan.gateway.messages import LIMIT_MAX, LIMITS_OF_SPENDER_MAX, RATE_MAX, LimitUnit, LimitWindow
from ciyuan.services.door.registry_database import Row, Sql
from ciyuan.services.door.registry_parties import next_number
from ciyuan.services.door.registry_spenders import Tree
from ciyuan.services.door.registry_words import LimitTerms

_COLUMNS = "number, spender, unit, window_kind, offset_ns, most"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of one spender. `most` is None once it is cleared."""

    number: int
    spender: int
    unit: LimitUnit
    window: LimitWindow
    offset_ns: int
    most: int | None

    @property
    def most_told(self) -> int:
        """What the meter is told: the most there can be, if it is cleared."""
        if self.most is not None:
            return self.most
        return RATE_MAX if self.window in {LimitWindow.MINUTE, LimitWindow.HOUR} else INT64_MAX

    @property
    def terms(self) -> LimitTerms | None:
        """What it says; None if it is cleared."""
        return None if self.most is None else LimitTerms(self.unit, self.window, self.most, self.offset_ns)

    def __str__(self) -> str:
        return "no limit" if self.terms is None else str(self.terms)


class Limits:
    """Limits inside a change."""

    def __init__(self, sql: Sql, tree: Tree, now_ns: int) -> None:
        self._sql, self._tree, self._now_ns = sql, tree, now_ns

    def set(self, spender: int, terms: LimitTerms) -> Limit:
        """A spender's limit of that unit, window and offset is this from now on. Raises Malformed if there are too many."""
        for limit in self.of(spender):
            if (limit.unit, limit.window, limit.offset_ns) == (terms.unit, terms.window, terms.offset_ns):
                return self._write(limit.number, spender, terms)
        number, count = next_number(self._sql, "limits"), len(self.of(spender))
        if count >= LIMITS_OF_SPENDER_MAX or number > LIMIT_MAX:
            raise Malformed(f"limit of {self._tree.path(spender)}, {terms}",
                            found=f"{count} on it and {number - 1} in all, cleared ones included",
                            expected=f"fewer than {LIMITS_OF_SPENDER_MAX} on one spender and {LIMIT_MAX} in all",
                            remedy="Set one that is there, of the same unit, window and offset.")  # fmt: skip
        return self._write(number, spender, terms)

    def clear(self, number: int) -> None:
        """A limit limits no longer."""
        self._sql.run("UPDATE limits SET most = NULL, changed_ns = ? WHERE number = ?", self._now_ns, number)

    def of(self, spender: int) -> list[Limit]:
        """The limits of a spender, cleared ones too, by number."""
        statement = f"SELECT {_COLUMNS} FROM limits WHERE spender = ? ORDER BY number"  # noqa: S608 the names are ours
        return [_limit_of(row) for row in self._sql.rows(statement, spender)]

    def _write(self, number: int, spender: int, terms: LimitTerms) -> Limit:
        self._sql.run(
            f"INSERT INTO limits ({_COLUMNS}, changed_ns) VALUES (?, ?, ?, ?, ?, ?, ?) "  # noqa: S608 the names are ours
            "ON CONFLICT (number) DO UPDATE SET most = excluded.most, changed_ns = excluded.changed_ns",
            *(number, spender, int(terms.unit), int(terms.window), terms.offset_ns, terms.most, self._now_ns),
        )
        return Limit(number, spender, terms.unit, terms.window, terms.offset_ns, terms.most)


def limits_in(sql: Sql) -> dict[int, Limit]:
    """All limits by number, cleared ones too, in order."""
    found = map(_limit_of, sql.rows(f"SELECT {_COLUMNS} FROM limits ORDER BY number"))  # noqa: S608
    return {limit.number: limit for limit in found}


def _limit_of(row: Row) -> Limit:
    number, spender, unit, window, offset_ns, most = row
    return Limit(number, spender, LimitUnit(unit), LimitWindow(window), offset_ns, most)
