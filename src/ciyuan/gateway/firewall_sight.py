"""All views of one stretch of text together: what is seen in it, and from where on its end may still become a match.

A stretch is handed in as its bytes behind one more, the byte that stands before it: matches do not begin or end inside a word.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ciyuan.gateway.firewall_matcher import Hit, Matcher, any_between
from ciyuan.gateway.firewall_open import TOKEN, BeforeToken, InToken
from ciyuan.gateway.firewall_rules import View
from ciyuan.gateway.firewall_views import (
    BASE64_LETTERS,
    OUTSIDE,
    RUN_BYTES_MAX,
    UNFINISHED,
    UNFINISHED_BYTES_MAX,
    Folded,
    Packed,
    disguises,
    fold,
    may_be_disguised,
    unpack,
)


class Seen(NamedTuple):
    """A match in some view: its value is made of bytes [start, end) of the data, the match begins at `opens`.

    `value` is what the rule matched; findings do not hold it.
    """

    start: int
    end: int
    rule: int
    view: View
    value: bytes
    opens: int


class Sight:
    """A matcher's rules over all views. The rule numbered one past the last stands for a run of base64 that is too long."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._long_run = len(matcher.rules)
        self._in_token = InToken(matcher.rules)
        self._before_token = BeforeToken(matcher.rules)

    def see(self, data: bytes, fold_left: int) -> list[Seen]:
        """All that is seen in data from byte 1 on; sorted, each once. `fold_left` is byte 0 as it reads with disguises undone."""
        hits, disguised, packed = self._matcher.search(data, 1)
        folded = fold(data, fold_left) if disguised or fold_left != data[0] else None
        if folded and folded.origin_edges:
            hits = self._matcher.search(data, 1, folded.origin_edges).hits
        seen = [_seen(hit, View.PLAIN, data) for hit in hits]
        if packed:
            seen += self._unpacked(data)
        if folded:
            seen += self._folded(folded)
        return _once(seen) if packed or folded else seen

    def _folded(self, folded: Folded) -> list[Seen]:
        near = [1, *folded.bounds[1:]]
        hits, _, packed = self._matcher.search(folded.data, 1, folded.edges, near)
        seen = [_seen(hit, View.FOLDED, folded.data) for hit in hits]
        seen += self._unpacked(folded.data, near) if packed else []
        return [
            one._replace(
                start=folded.start(one.start), end=folded.end(one.end), opens=folded.start(one.opens)
            )
            for one in seen
        ]

    def _unpacked(self, data: bytes, near: Sequence[int] | None = None) -> list[Seen]:
        runs = (
            run
            for run in self._matcher.runs(data, 1)
            if near is None or any_between(near, run[0], run[1] + 2)
        )
        return [one for run in runs for packed in unpack(data, *run) for one in self._in_run(packed)]

    def _in_run(self, packed: Packed) -> list[Seen]:
        start, end, data = packed
        if data is None:
            return [Seen(start, end, self._long_run, View.BASE64, b"", start)]
        inside = bytes((OUTSIDE,)) + data
        seen = [_seen(hit, View.BASE64, inside) for hit in self._matcher.search(inside, 1).hits]
        return [one._replace(start=start, end=end, opens=start) for one in seen]

    def settled(self, data: bytes, fold_left: int) -> int:
        """Up to where the data is settled: no match that begins before can still come to be, or become longer.

        Never inside an escape that is undone whole.
        """
        if not may_be_disguised(data, fold_left):
            return self._first_open(data, ())
        unfinished = UNFINISHED.search(data, max(1, len(data) - UNFINISHED_BYTES_MAX))
        end = unfinished.start() if unfinished else len(data)
        if end == len(data) and fold_left == data[0] and not any(disguises(data)):
            return self._first_open(data, ())
        folded = fold(data[:end], fold_left)
        border = folded.start(self._first_open(folded.data, folded.edges))
        border = min(border, end, self._first_open(data, folded.origin_edges))
        return _outside_disguise(data, border)

    def settled_with(self, data: bytes, border: int, seen: Sequence[Seen]) -> int:
        """The border, moved before every match that is seen to cross it, and never inside what is undone whole."""
        while crossing := [one.opens for one in seen if one.opens < border < one.end]:
            border = _outside_disguise(data, min(crossing))
        return border

    def _first_open(self, data: bytes, edges: Sequence[int]) -> int:
        """The first byte from 1 on at which something may be under way; the data's length if there is none."""
        border = len(data)
        run = len(data.rstrip(b"=").rstrip(BASE64_LETTERS))
        if 1 <= run < border <= run + RUN_BYTES_MAX + 2:
            border = run
        token = max(1, len(data.rstrip(TOKEN)))
        border = self._in_token.first(data, token, border, edges)
        return self._before_token.first(data, border, edges) if token > 1 else border


def _outside_disguise(data: bytes, border: int) -> int:
    """The border, moved to the beginning of the disguise that it falls into, if it does."""
    near = disguises(data) if border < len(data) else ()
    return next((found.start() for found in near if found.start() < border < found.end()), border)


def _seen(hit: Hit, view: View, data: bytes) -> Seen:
    return Seen(hit.start, hit.end, hit.rule, view, data[hit.start : hit.end], hit.opens)


def _once(seen: list[Seen]) -> list[Seen]:
    """Sorted, without what lies in another sight of the same rule; that one then opens where the first of them does."""
    kept: list[Seen] = []
    widest: dict[int, int] = {}
    for one in sorted(seen, key=lambda one: (one.start, -one.end, one.rule, one.view)):
        place = widest.get(one.rule, -1)
        if place >= 0 and one.end <= kept[place].end:
            kept[place] = kept[place]._replace(opens=min(one.opens, kept[place].opens))
        else:
            widest[one.rule] = len(kept)
            kept.append(one)
    return sorted(kept)
