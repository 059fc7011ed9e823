"""The one pass: all rules' finders in one multi-pattern database, and each place that it names looked at closely.

The engine (Hyperscan's, in the wheel `hyperscan`) says only where a rule's finder ends. There the rule's own expression is
laid against the bytes, which says exactly where the match begins and ends, and the rule's check is asked. What comes out is
defined without the engine, by `re` and the checks alone (docs/spec/firewall.md, rule 4):

    from the left, for each rule by itself, the first place where its expression matches and its check says yes;
    then on from the end of that match.

A matcher keeps scratch space between scans: one thread uses it.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.firewall_checks import CHECKS
from ciyuan.gateway.firewall_pattern import EDGE, bytes_of, expression, first_bytes, least_bytes, most_bytes
from ciyuan.gateway.firewall_rules import Readied
from ciyuan.gateway.firewall_views import BASE64_LETTERS, BASE64_SIGN, DISGUISES

Scan = Callable[[bytes, Callable[[int, int, int, int, object], bool | None]], None]
"""The engine's scan: bytes, and what it calls for each match with the expression's number, a start (not counted), an end."""


class Hit(NamedTuple):
    """A verified match: its value is bytes [start, end) of the data; `opens`, at or before it, is where the match begins."""

    start: int
    end: int
    rule: int
    opens: int


class Found(NamedTuple):
    """What one pass found: hits, and whether anything may be disguised or packed in base64."""

    hits: list[Hit]
    disguised: bool
    packed: bool


NOTHING_FOUND = Found([], False, False)


_SAMPLE = rb"\u0041"


class Matcher:
    """All rules, compiled. `rules` are numbered by their place.

    Malformed if the engine is not installed, does not run on this processor or does not take a pattern: nothing can be
    scanned then, and whoever asked must refuse to start.
    """

    def __init__(self, rules: Sequence[Readied]) -> None:
        self.rules = tuple(rules)
        self._closers = tuple(_Closer(rule, place) for place, rule in enumerate(self.rules))
        finders = [expression(rule.finder) for rule in self.rules]
        self._scan = database_scan([*finders, DISGUISES, BASE64_SIGN], 2)
        self._signs = database_scan([BASE64_SIGN], 1)
        if not self.search(_SAMPLE, 0).disguised:
            raise Malformed("firewall engine", found="nothing in a sample that it must find", expected="one place",
                            remedy="Do not run the firewall on this processor.")  # fmt: skip

    def search(
        self, data: bytes, first: int, edges: Sequence[int] = (), near: Sequence[int] | None = None
    ) -> Found:
        """Verified matches that begin at `first` or later, in order; the bytes before `first` are only looked at for edges.

        `edges` are places inside words that count as edges all the same. With `near`, a row of places, only the matches that
        one of them may have to do with are looked for: others may be left out.
        """
        places = ends_of(self._scan, data)
        if not places:
            return NOTHING_FOUND
        hits: list[Hit] = []
        free: dict[int, int] = {}
        marks, rules = set(), len(self.rules)
        for end, number in places:
            low = free.get(number, first)
            if number >= rules:
                marks.add(number - rules)
            elif end > low:
                closer = self._closers[number]
                if near is None or any_between(near, end - 2 * closer.most, end + 2 * closer.most):
                    free[number] = closer.close(data, low, end, edges, hits)
        hits.sort()
        return Found(hits, 0 in marks, 1 in marks)

    def runs(self, data: bytes, first: int) -> Iterator[tuple[int, int]]:
        """The runs of base64 letters, as bytes [start, end), that bear its sign; but for one that began before `first`."""
        place = first
        while ends := ends_of(self._signs, data[place:]):
            sign = place + ends[0][0]
            start, place = (
                len(data[:sign].rstrip(BASE64_LETTERS)),
                len(data) - len(data[sign:].lstrip(BASE64_LETTERS)),
            )
            if start >= first:
                yield start, place


class _Closer:
    """Looks closely at a place that a rule's finder ends at."""

    def __init__(self, readied: Readied, number: int) -> None:
        self.number = number
        self._readied = readied
        self.check = CHECKS[readied.rule.check]
        self.least, self.most = readied.least, readied.most
        self.lead = readied.lead
        self.width = most_bytes(readied.finder)
        self.begins = self.width == least_bytes(readied.finder) and not self.lead

    @cached_property
    def within(self) -> re.Pattern[bytes]:
        """A match, wherever it begins, to an edge."""
        before = expression(self._readied.before) if self._readied.before else ""
        return re.compile(f"{before}({expression(self._readied.value)}){EDGE}".encode())

    @cached_property
    def loose(self) -> re.Pattern[bytes]:
        """A match, wherever it begins and ends."""
        return re.compile(self.within.pattern.removesuffix(EDGE.encode()))

    @cached_property
    def expression(self) -> re.Pattern[bytes]:
        """A match from an edge to an edge."""
        return re.compile(EDGE.encode() + self.within.pattern)

    @cached_property
    def starts(self) -> re.Pattern[bytes]:
        """An edge where a match may begin."""
        return starts_of(first_bytes(self._readied.node))

    def close(self, data: bytes, free: int, end: int, edges: Sequence[int], hits: list[Hit]) -> int:
        """Add the verified matches from `free` on that hold the finder's end; where the next one may begin.

        No place before is looked at again: whether a match begins there does not depend on where a finder ends.
        """
        if edges and any_between(edges, end - self.most, end + self.most):
            return self._close_between(data, free, end, edges, hits)
        low = end - self.width
        if self.begins:
            found = self.expression.match(data, low) if low >= free else None
            if found is None or not self.check(found[1]):
                return free
            hits.append(Hit(found.start(1), found.end(), self.number, low))
            return found.end()
        for place in self.starts.finditer(data, self._low(data, free, low), end):
            start = place.start()
            found = self.within.match(data, start) if start >= free else None
            if found and self.check(found[1]):
                hits.append(Hit(found.start(1), found.end(), self.number, start))
                free = found.end()
        return max(free, end)

    def _low(self, data: bytes, free: int, low: int) -> int:
        """Where the first match may begin whose finder may begin at `low`: after `free`, and before it by what may lead to it."""
        least = max(free, low + self.width - self.most)
        return least + len(data[least:low].rstrip(self.lead)) if self.lead and low > least else max(free, low)

    def _close_between(self, data: bytes, free: int, end: int, edges: Sequence[int], hits: list[Hit]) -> int:
        low = end - self.width
        low, high = (low, low + 1) if self.begins else (self._low(data, free, low), end)
        for start in starts_between(self.starts, data, low, high, edges):
            found = self._match(data, start, edges) if start >= free else None
            if found:
                hits.append(Hit(found.start(1), found.end(), self.number, start))
                free = found.end()
        return max(free, high)

    def _match(self, data: bytes, start: int, edges: Sequence[int]) -> re.Match[bytes] | None:
        """The verified match that begins there: to an edge of the data's words, or else to the last of the other edges."""
        found, longest = self.within.match(data, start), self.loose.match(data, start)
        if longest is None or (found and self.check(found[1])):
            return found
        stops = edges[bisect_left(edges, start + self.least) : bisect_right(edges, longest.end())]
        for stop in reversed(stops):
            found = self.within.match(data, start, stop)
            if found and self.check(found[1]):
                return found
        return None


def any_between(places: Sequence[int], low: int, high: int) -> bool:
    """Whether one of the places, which are in order, lies in [low, high]."""
    return bisect_left(places, low) < bisect_right(places, high)


def starts_between(
    starts: re.Pattern[bytes], data: bytes, low: int, high: int, edges: Sequence[int]
) -> list[int]:
    """The places in [low, high) that `starts` names, and the edges there, in order."""
    places = [found.start() for found in starts.finditer(data, low, high)]
    inside = edges[bisect_left(edges, low) : bisect_left(edges, high)]
    return sorted({*places, *inside}) if inside else places


def starts_of(members: int) -> re.Pattern[bytes]:
    """Where one of these bytes stands that is not inside a word."""
    letters = "".join(f"\\x{byte:02x}" for byte in bytes_of(members))
    return re.compile(f"{EDGE}(?=[{letters}])".encode())


def database_scan(finders: Sequence[str], single: int) -> Scan:
    """The scan of a database of these expressions, numbered by place; the last `single` of them report once a scan.

    Malformed if there is no engine, or if it refuses the database.
    """
    try:
        import hyperscan
    except ImportError as error:
        raise Malformed("firewall engine", found=str(error), expected="the package hyperscan",
                        remedy="Install ciyuan on a platform that its wheels are made for.") from None  # fmt: skip
    plain = len(finders) - single
    flags = [0] * plain + [hyperscan.HS_FLAG_SINGLEMATCH] * single
    try:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        expressions = [text.encode("ascii") for text in finders]
        database.compile(expressions, list(range(len(finders))), len(finders), flags)
    except hyperscan.error as error:
        raise Malformed("firewall database", found=str(error), expected="patterns that the engine takes",
                        remedy="Mend the pattern that it names, by place.") from None  # fmt: skip
    return database.scan


def ends_of(scan: Scan, data: bytes) -> list[tuple[int, int]]:
    """Every place that a scan names, as (end, number), in order."""
    places: list[tuple[int, int]] = []

    def found(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
        places.append((end, number))

    scan(data, found)
    if len(places) > 1:
        places.sort()
    return places
