"""Who has money at the venue, and what is sold there: participants and grades, each a name with a number.

Customers and suppliers are participants of one venue and share one count, 1, 2, 3 ..., because the venue takes participants in
no other order. A grade is a model at a tier. A number, once given, means the same for ever: the journal speaks in numbers.
"""

from dataclasses import dataclass

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.messages import GRADE_MAX
from ciyuan.services.door.registry_database import Sql
from ciyuan.services.door.registry_schema import ParticipantKind
from ciyuan.venue.accounts import CUSTOMERS_MAX, SUPPLIERS_MAX

TEXT_MAX = 256
_MOST = {ParticipantKind.CUSTOMER: CUSTOMERS_MAX, ParticipantKind.SUPPLIER: SUPPLIERS_MAX}


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant of the venue by the gateway's name for it."""

    number: int
    kind: ParticipantKind
    name: str


@dataclass(frozen=True, slots=True)
class GradeName:
    """What a grade's number means."""

    number: int
    model: str
    tier: str


class Parties:
    """Participants and grades inside a change."""

    def __init__(self, sql: Sql, now_ns: int) -> None:
        self._sql, self._now_ns = sql, now_ns

    def participant(self, kind: ParticipantKind, name: str) -> int:
        """The number of a participant, which is given one if it is new. Raises Malformed for a name or number that cannot be."""
        known = self._sql.value("SELECT number FROM participants WHERE kind = ? AND name = ?", kind, name)
        if known is not None:
            return int(known)
        number = next_number(self._sql, "participants")
        if number > _MOST[kind]:
            raise Malformed(f"{kind} {name}", found=f"participant {number}", expected=f"at most {_MOST[kind]}",
                            remedy="Name suppliers before the customers are many.")  # fmt: skip
        self._sql.run(
            "INSERT INTO participants (number, kind, name, created_ns) VALUES (?, ?, ?, ?)",
            number,
            kind,
            checked_text(name, str(kind)),
            self._now_ns,
        )
        return number

    def supplier(self, name: str) -> int:
        """The number of a supplier, which is given one if it is new."""
        return self.participant(ParticipantKind.SUPPLIER, name)

    def grade(self, model: str, tier: str) -> int:
        """The number of a model at a tier, which is given one if it is new. Raises Malformed when all numbers are given."""
        known = self._sql.value("SELECT number FROM grades WHERE model = ? AND tier = ?", model, tier)
        if known is not None:
            return int(known)
        number = next_number(self._sql, "grades")
        if number > GRADE_MAX:
            raise Malformed(f"grade {model} {tier}", found=number, expected=f"at most {GRADE_MAX} grades",
                            remedy="Use the names of models that are there.")  # fmt: skip
        values = number, checked_text(model, "model"), checked_text(tier, "tier")
        self._sql.run("INSERT INTO grades (number, model, tier) VALUES (?, ?, ?)", *values)
        return number


def participants_in(sql: Sql) -> dict[int, Participant]:
    """All participants by number, in order."""
    rows = sql.rows("SELECT number, kind, name FROM participants ORDER BY number")
    return {number: Participant(number, ParticipantKind(kind), name) for number, kind, name in rows}


def grades_in(sql: Sql) -> dict[int, GradeName]:
    """All grades by number, in order."""
    rows = sql.rows("SELECT number, model, tier FROM grades ORDER BY number")
    return {number: GradeName(number, model, tier) for number, model, tier in rows}


def next_number(sql: Sql, table: str) -> int:
    """The number after the largest of a table. Changes do not overlap, so it is free until this one ends."""
    return int(sql.value(f"SELECT COALESCE(MAX(number), 0) + 1 FROM {table}"))  # noqa: S608 the names are ours


def checked_text(text: str, what: str) -> str:
    """A text of 1 to 256 printable characters, without space at its ends. Raises Malformed."""
    if not text or len(text) > TEXT_MAX or not text.isprintable() or text != text.strip():
        raise Malformed(f"name of a {what}", found=text, expected=f"1 to {TEXT_MAX} printable characters",
                        remedy="Mend the name.")  # fmt: skip
    return text
