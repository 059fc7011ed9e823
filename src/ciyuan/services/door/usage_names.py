"""Who and what the numbers of usage are: names of spenders, suppliers, customers and grades, and a spender's place in the tree.

A name that only one bears stands alone; two departments, engineers or keys of one name are told apart by the path above them
(`research/nlp`, `research/nlp/ada`). What the registry does not know keeps its number (`spender 17`) and is never left out.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from ciyuan.services.door.registry_database import Database
from ciyuan.services.door.registry_limits import Limit, limits_in
from ciyuan.services.door.registry_schema import COMPONENT, MIGRATIONS, SpenderKind

NOBODY = "(none)"
"""What stands where a spender has no ancestor of a kind, or a request had no spender."""
LEVELS_MAX = 64


@dataclass(frozen=True, slots=True)
class Spender:
    """A spender of the registry; `parent` 0 is none, `participant` the customer that pays."""

    number: int
    kind: str
    name: str
    parent: int
    participant: int
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """Names by number. `grades` gives (model, tier), `limits` what each says and whose it is, cleared ones too."""

    spenders: Mapping[int, Spender]
    participants: Mapping[int, str]
    grades: Mapping[int, tuple[str, str]]
    limits: Mapping[int, Limit] = field(default_factory=dict)
    _labels: dict[str, dict[int, str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def read(cls, database: Database) -> Self:
        """The registry's names as they are now."""
        database.migrate(COMPONENT, MIGRATIONS)
        with database.view() as sql:
            spenders = sql.rows("SELECT number, kind, name, parent, participant, closed_ns FROM spenders")
            participants = sql.rows("SELECT number, name FROM participants")
            grades = sql.rows("SELECT number, model, tier FROM grades")
            limits = limits_in(sql)
        return cls(
            {row[0]: Spender(row[0], row[1], row[2], row[3], row[4], row[5] is not None) for row in spenders},
            dict(participants),
            {number: (model, tier) for number, model, tier in grades},
            limits,
        )

    def lineage(self, number: int) -> list[Spender]:
        """A spender and all above it, from itself to the root."""
        line: list[Spender] = []
        while (spender := self.spenders.get(number)) is not None and len(line) < LEVELS_MAX:
            line.append(spender)
            number = spender.parent
        return line

    def above(self, number: int, kind: str) -> Spender | None:
        """The nearest spender of a kind at or above this one; None if there is none."""
        return next((spender for spender in self.lineage(number) if spender.kind == kind), None)

    def labels(self, kind: str) -> dict[int, str]:
        """For each spender the label of its nearest spender of a kind, at or above it."""
        own = self._own_labels(kind)
        found = {}
        for number in self.spenders:
            nearest = self.above(number, kind)
            found[number] = NOBODY if nearest is None else own[nearest.number]
        return found

    def label(self, number: int) -> str:
        """A spender's own label, among those of its kind."""
        spender = self.spenders.get(number)
        return f"spender {number}" if spender is None else self._own_labels(spender.kind)[number]

    def limit(self, number: int) -> str:
        """A limit, whose it is and what it says, as `department research: 50.00 USD a month`."""
        limit = self.limits.get(number)
        if limit is None:
            return f"limit {number}" if number else NOBODY
        spender = self.spenders.get(limit.spender)
        whose = (
            self.label(limit.spender) if spender is None else f"{spender.kind} {self.label(limit.spender)}"
        )
        return f"{whose}: {limit.terms or f'limit {number}, cleared'}"

    def find(self, kind: str, label: str) -> Spender | None:
        """The spender of a kind with a label; None if there is none."""
        number = next((number for number, own in self._own_labels(kind).items() if own == label), None)
        return None if number is None else self.spenders[number]

    def customer(self, number: int) -> str:
        """A customer's or supplier's name."""
        return self.participants.get(number, f"participant {number}")

    def model(self, number: int) -> str:
        """A grade's model."""
        return self.grades.get(number, (f"grade {number}", ""))[0]

    def tier(self, number: int) -> str:
        """A grade's tier."""
        return self.grades.get(number, ("", NOBODY))[1]

    def _own_labels(self, kind: str) -> dict[int, str]:
        if kind not in self._labels:
            kinds = Counter(spender.kind for spender in self.spenders.values())
            of_kind = [spender for spender in self.spenders.values() if spender.kind == kind]
            many = Counter(spender.name for spender in of_kind)
            self._labels[kind] = {
                spender.number: spender.name
                if many[spender.name] == 1
                else self._path(spender.number, whole=kinds[SpenderKind.ORGANISATION] > 1)
                for spender in of_kind
            }
        return self._labels[kind]

    def _path(self, number: int, *, whole: bool) -> str:
        line = reversed(self.lineage(number))
        return "/".join(spender.name for spender in line if whole or spender.kind != SpenderKind.ORGANISATION)
