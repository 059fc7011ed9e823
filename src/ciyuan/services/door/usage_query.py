"""Questions to the sums of usage: any one or two dimensions, filtered, over a span of time.

| dimension | lines are |
|---|---|
| organisation, department, engineer, key, app | the nearest spender of that kind, at or above the request's |
| customer, supplier | participants of the venue |
| model, tier | of the grade |
| served | `batch` or `direct` |
| hour, day, month | of the end of the request, at the span's offset from UTC |
| reason, limit | why HOLDs were refused, and by which limit (refusals only) |

Days are summed from the table of days, and what is left at both ends of a span whose borders are not UTC's from the hours. The
database groups by numbers, names are put on afterwards, so a question costs what its span has of cells, not of requests. What
is refused is counted by the hour: of hours that were deleted it is not known any more, and `Answer.refused_from` says since when.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from operator import add
from typing import NamedTuple

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import iso_from_ns
from ciyuan.gateway.messages import MeterRefusal
from ciyuan.services.door.registry_database import Sql
from ciyuan.services.door.usage_columns import HOUR_TABLES, HOURS_PER_DAY, MEASURES, Sums, total_of
from ciyuan.services.door.usage_names import NOBODY, Names
from ciyuan.services.door.usage_span import EPOCH, Span, month_name
from ciyuan.services.door.usage_tables import Reach, UsageTables, reach_of


class Dimension(StrEnum):
    """What usage can be asked by."""

    ORGANISATION = "organisation"
    DEPARTMENT = "department"
    ENGINEER = "engineer"
    KEY = "key"
    APP = "app"
    CUSTOMER = "customer"
    SUPPLIER = "supplier"
    MODEL = "model"
    TIER = "tier"
    SERVED = "served"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    REASON = "reason"
    LIMIT = "limit"


SPENDER_KINDS = (
    Dimension.ORGANISATION,
    Dimension.DEPARTMENT,
    Dimension.ENGINEER,
    Dimension.KEY,
    Dimension.APP,
)
TIMES = (Dimension.HOUR, Dimension.DAY, Dimension.MONTH)
REFUSALS = {Dimension.REASON, Dimension.LIMIT}
_COLUMN = {
    **dict.fromkeys(SPENDER_KINDS, "spender"),
    Dimension.CUSTOMER: "customer",
    Dimension.SUPPLIER: "supplier",
    Dimension.MODEL: "grade",
    Dimension.TIER: "grade",
    Dimension.SERVED: "batch",
    Dimension.REASON: "reason",
    Dimension.LIMIT: "limit_number",
}
SUMMED = ", ".join(f"CAST(SUM({name}) AS BIGINT)" for name in MEASURES)
NUMBERS_MAX = 1_000
"""The most numbers that a filter hands to the database; a longer list is left to be filtered here."""
_UNNAMED = re.compile(r"(?:spender|grade|participant) [0-9]{1,18}", re.ASCII)
_REFUSED_SUM = "CAST(SUM(refused) AS BIGINT)"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: lines `by` one or two dimensions, of a span, where each of `only` has one of the labels named."""

    by: tuple[Dimension, ...]
    span: Span
    only: Mapping[Dimension, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= len(self.by) <= 2 or len(set(self.by)) != len(self.by):
            raise Malformed("usage, --by", found=", ".join(self.by), expected="one dimension, or two that differ",
                            remedy="Ask for the others one by one.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a label for each dimension, and the sums."""

    labels: tuple[str, ...]
    sums: Sums


@dataclass(frozen=True, slots=True)
class Answer:
    """Lines, in order of time or else of money; their total; how far the sums go.

    `refused_from` is the moment (ns) from which refusals are known, None if from the span's beginning.
    """

    question: Question
    lines: tuple[Line, ...]
    total: Sums
    reach: Reach
    refused_from: int | None = None

    def top(self, count: int) -> "Answer":
        """The first `count` lines of this answer, and the sum of the others as one more, `(others)`."""
        if len(self.lines) <= count:
            return self
        others = Line(("(others)",) * len(self.question.by), sum_of(self.lines[count:]))
        return replace(self, lines=(*self.lines[:count], others))


def ask(tables: UsageTables, names: Names, question: Question) -> Answer:
    """The answer to a question. Raises Malformed for a span of which something was deleted, or a label that nobody has."""
    label = _Labels(names, question.span.offset_hours)
    label.check(question.only)
    found = _Found(question, label)
    with tables.database.view() as sql:
        reach = reach_of(sql)
        _used(sql, question, found, reach)
        _refused(sql, question, found, reach)
    lines = sorted(found.lines(), key=_order(question))
    start = question.span.hours[0]
    since = reach.hours_from * 3600 * 10**9 if reach.hours_from > start else None
    return Answer(question, tuple(lines), sum_of(lines), reach, since)


def sum_of(lines: Iterable[Line]) -> Sums:
    """The sum of lines."""
    return total_of(line.sums for line in lines)


def _order(question: Question) -> Callable[[Line], tuple[object, ...]]:
    """By time where the first dimension is one; else what cost most, then what was asked most, first."""
    if question.by[0] in TIMES:
        return lambda line: line.labels
    return lambda line: (-line.sums.charged_micro, -line.sums.requests, -line.sums.refused, line.labels)


class _Labels:
    """The label of a dimension's number, each worked out once."""

    def __init__(self, names: Names, offset_hours: int) -> None:
        self._names, self._offset = names, offset_hours
        self._spenders: dict[Dimension, dict[int, str]] = {}

    def of(self, dimension: Dimension, number: int) -> str:
        """The label of a number (of an hour since 1970 UTC for times)."""
        names = self._names
        if dimension in SPENDER_KINDS:
            return self._spender(dimension, number)
        if dimension in TIMES:
            return self._time(dimension, number)
        if dimension is Dimension.REASON:
            known = number in MeterRefusal._value2member_map_
            return MeterRefusal(number).name if known else f"reason {number}"
        if dimension is Dimension.SERVED:
            return "batch" if number else "direct"
        read = {Dimension.MODEL: names.model, Dimension.TIER: names.tier, Dimension.LIMIT: names.limit}
        return read.get(dimension, names.customer)(number)

    def numbers(self, dimension: Dimension, wanted: frozenset[str]) -> set[int] | None:
        """The numbers that have one of these labels; None where they cannot be listed: for times, and for who has no name."""
        known: Iterable[int] = ()
        if NOBODY in wanted or dimension in TIMES or dimension in REFUSALS:
            return None
        if dimension in SPENDER_KINDS:
            known = self._names.spenders
        elif dimension in {Dimension.MODEL, Dimension.TIER}:
            known = self._names.grades
        elif dimension is Dimension.SERVED:
            known = (0, 1)
        else:
            known = self._names.participants
        unnamed = {int(label.rpartition(" ")[2]) for label in wanted if _UNNAMED.fullmatch(label)}
        return unnamed | {number for number in known if self.of(dimension, number) in wanted}

    def check(self, only: Mapping[Dimension, frozenset[str]]) -> None:
        """Raises Malformed for a spender's label that the registry does not know: it is a typing error, not an empty line."""
        for dimension, wanted in only.items():
            if dimension not in SPENDER_KINDS:
                continue
            known = {*self._of_kind(dimension).values(), NOBODY}
            for label in sorted(wanted - known):
                if not label.startswith("spender "):
                    raise Malformed(f"usage, {dimension}", found=label, expected=f"one of {', '.join(sorted(known)[:20])}",
                                    remedy="See `ciyuan usage --by` that dimension for its labels.")  # fmt: skip

    def _of_kind(self, dimension: Dimension) -> dict[int, str]:
        if dimension not in self._spenders:
            self._spenders[dimension] = self._names.labels(dimension)
        return self._spenders[dimension]

    def _spender(self, dimension: Dimension, number: int) -> str:
        return self._of_kind(dimension).get(number, f"spender {number}" if number else NOBODY)

    def _time(self, dimension: Dimension, hour: int) -> str:
        if dimension is Dimension.HOUR:
            return iso_from_ns((hour + self._offset) * 3600 * 10**9)[:16].replace("T", " ")
        day = EPOCH + timedelta(days=(hour + self._offset) // HOURS_PER_DAY)
        return day.isoformat() if dimension is Dimension.DAY else month_name(day)


def _used(sql: Sql, question: Question, found: "_Found", reach: Reach) -> None:
    """Add the sums of usage; nothing if the question is about why something was refused."""
    if REFUSALS & _asked(question):
        return
    for piece in _pieces(question):
        kept = reach.days_from if piece.unit == HOURS_PER_DAY else reach.hours_from
        if piece.start < kept:
            day = EPOCH + timedelta(days=-(-kept * piece.unit // HOURS_PER_DAY))
            raise Malformed(f"usage, {question.span.name}", found=f"sums by {piece.column} that were deleted",
                            expected=f"a span from {day} on", remedy="Ask for a later span, or by day in UTC.")  # fmt: skip
        found.add(sql, piece, SUMMED, 0)


def _refused(sql: Sql, question: Question, found: "_Found", reach: Reach) -> None:
    """Add refusals; none where the question is about how something was served."""
    if Dimension.SERVED in _asked(question):
        return
    for part in _parts(question):
        start, end = part.hours
        found.add(
            sql,
            _Piece("usage_refused", "hour", 1, max(start, reach.hours_from), end, start),
            _REFUSED_SUM,
            len(MEASURES),
        )


def _asked(question: Question) -> set[Dimension]:
    return {*question.by, *question.only}


class _Piece(NamedTuple):
    """A table, the column of its time, how many hours one of its units has, from and before which unit; the span's first hour."""

    table: str
    column: str
    unit: int
    start: int
    end: int
    first_hour: int


def _parts(question: Question) -> list[Span]:
    """The span, cut by months where these are asked for and nothing shorter is."""
    asked = _asked(question)
    cut = Dimension.MONTH in asked and not asked & {Dimension.HOUR, Dimension.DAY}
    return question.span.months() if cut else [question.span]


def _pieces(question: Question) -> Iterator[_Piece]:
    """The tables that answer a question: days where they will do, and hours for what is left at both ends."""
    asked, hours = _asked(question), _hour_table(question)
    needs_hours = Dimension.HOUR in asked or (Dimension.DAY in asked and question.span.offset_hours != 0)
    for part in _parts(question):
        start, end = part.hours
        first, last = -(-start // HOURS_PER_DAY), end // HOURS_PER_DAY
        if needs_hours or first >= last:
            yield _Piece(hours, "hour", 1, start, end, start)
            continue
        yield _Piece("usage_day", "day", HOURS_PER_DAY, first, last, start)
        for edge in ((start, first * HOURS_PER_DAY), (last * HOURS_PER_DAY, end)):
            if edge[0] < edge[1]:
                yield _Piece(hours, "hour", 1, *edge, start)


def _hour_table(question: Question) -> str:
    """The narrowest table of hours that has all columns of a question."""
    columns = {_COLUMN[dimension] for dimension in _asked(question) - set(TIMES) - REFUSALS}
    return next(table for table, cell in HOUR_TABLES.items() if columns <= set(cell))


def _moment(question: Question, piece: _Piece) -> str | None:
    """What to group by for the times that are asked for: hours, or days with borders of the span's offset; None for none."""
    asked = _asked(question)
    if Dimension.HOUR in asked:
        return piece.column
    if Dimension.DAY in asked:
        return (
            piece.column
            if piece.column == "day"
            else f"(hour + ({question.span.offset_hours})) / {HOURS_PER_DAY}"
        )
    return None


def _hour_of(question: Question, moment: int) -> int:
    """The hour since 1970 UTC with which a moment that was grouped by begins."""
    if Dimension.HOUR in _asked(question):
        return moment
    return moment * HOURS_PER_DAY - question.span.offset_hours


_Partly = tuple[str | None, ...] | None
"""Labels by the dimensions asked for, None for those that are not of this kind; None if a filter leaves the group out."""


class _Found:
    """Sums by labels, as they are added up: lists of the fields of `Sums`."""

    def __init__(self, question: Question, label: _Labels) -> None:
        self._question, self._label = question, label
        self._asked = sorted(_asked(question))
        columns = {_COLUMN[dimension] for dimension in self._asked if dimension not in TIMES}
        # A spender has one customer. With it the groups follow the tables' own order, and need not be sorted.
        self._columns = sorted(columns | {"customer"} if "spender" in columns else columns)
        self._sums: dict[tuple[str, ...], list[int]] = {}
        self._where, self._numbers = self._conditions()

    def _conditions(self) -> tuple[str, list[int]]:
        """What of the filters the database can apply, as conditions on numbers, so that fewer groups are made; the numbers."""
        where, values = "", []
        for dimension, wanted in self._question.only.items():
            numbers = self._label.numbers(dimension, wanted)
            if numbers is not None and len(numbers) <= NUMBERS_MAX:
                where += f" AND {_COLUMN[dimension]} IN ({', '.join('?' * len(numbers)) or 'NULL'})"
                values += sorted(numbers)
        return where, values

    def lines(self) -> list[Line]:
        """What was found, in no order."""
        return [Line(labels, Sums(*sums)) for labels, sums in self._sums.items()]

    def add(self, sql: Sql, piece: _Piece, summed: str, place: int) -> None:
        """Add a piece, grouped by numbers in the database, filtered and labelled here; its sums are fields from `place` on."""
        moment = _moment(self._question, piece)
        keys = [*self._columns, *([moment] if moment else [])]
        grouping = f" GROUP BY {', '.join(keys)}" if keys else ""
        rows = sql.rows(
            f"SELECT {', '.join([*keys, summed])} FROM {piece.table} "  # noqa: S608
            f"WHERE {piece.column} >= ? AND {piece.column} < ?{self._where}{grouping}",
            *(piece.start, piece.end, *self._numbers),
        )
        width, first = len(self._columns), self._times(piece.first_hour)
        whos: dict[Sequence[int], _Partly] = {}
        whens: dict[int, _Partly] = {}
        for row in rows:
            if row[-1] is None:
                continue  # a sum over nothing
            key = row[:width]
            if key not in whos:
                whos[key] = self._numbered(key)
            who, when = whos[key], first
            if moment:
                if row[width] not in whens:
                    whens[row[width]] = self._times(_hour_of(self._question, row[width]))
                when = whens[row[width]]
            if who is not None and when is not None:
                self._count(
                    tuple(
                        one if one is not None else other or "" for one, other in zip(who, when, strict=True)
                    ),
                    row[len(keys) :],
                    place,
                )

    def _count(self, label: tuple[str, ...], sums: Sequence[int], place: int) -> None:
        known = self._sums.get(label)
        if known is None:
            known = self._sums[label] = [0] * (len(MEASURES) + 1)
        end = place + len(sums)
        known[place:end] = map(add, known[place:end], sums)

    def _numbered(self, key: Sequence[int]) -> "_Partly":
        """The labels of a group's numbers."""
        numbers = dict(zip(self._columns, key, strict=True))
        return self._partly(
            {each: numbers[_COLUMN[each]] for each in self._asked if each not in TIMES},
        )

    def _times(self, hour: int) -> "_Partly":
        """The labels of an hour's times."""
        return self._partly({each: hour for each in self._asked if each in TIMES})

    def _partly(self, numbers: Mapping[Dimension, int]) -> "_Partly":
        labels = {dimension: self._label.of(dimension, number) for dimension, number in numbers.items()}
        for dimension, wanted in self._question.only.items():
            if dimension in labels and labels[dimension] not in wanted:
                return None
        return tuple(labels.get(dimension) for dimension in self._question.by)
