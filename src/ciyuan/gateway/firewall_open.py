"""What may be under way at the end of a text: where a match may have begun that the text has not refuted yet.

Two questions are asked. In the last unbroken token of the text every rule may be under way, from any edge in it. Before that
token only rules of several words may be, and only where their opener stands (`firewall_pattern.opener`): the engine says where.
At each such place the beginnings of the rules that may stand there, in one expression, are laid against the rest of the text;
of rules whose longest match is shorter than the rest, none can be under way.
"""

import re
from collections.abc import Sequence
from functools import reduce
from itertools import groupby

from ciyuan.gateway.firewall_matcher import database_scan, ends_of, starts_between, starts_of
from ciyuan.gateway.firewall_pattern import (
    WORD,
    Node,
    beginnings,
    expression,
    first_bytes,
    loose_bytes,
    members_of,
    most_bytes,
    opener,
)
from ciyuan.gateway.firewall_rules import Readied

TOKEN = WORD + b"_-.+/=~%@:!$&*^#?\\"
"""The bytes of one unbroken token: a rule of these bytes alone can only be under way in the token at the end of a text."""
_TOKEN_SET = members_of(TOKEN)
_RESTS = (48, 320)
"""Rests of a text of so many bytes or fewer are asked about apart: the longer the rest, the fewer rules."""


class _UnderWay:
    """Some rules' beginnings: whether one of them is the whole rest of a text. Expressions are made when they are needed."""

    def __init__(self, rules: Sequence[Readied]) -> None:
        self._rules = [(first_bytes(rule.node), rule) for rule in rules]
        self._known: dict[tuple[int, int], re.Pattern[bytes]] = {}

    def at(self, data: bytes, place: int) -> bool:
        """Whether a match that begins there may be under way."""
        rest = len(data) - place
        key = data[place], (rest > _RESTS[0]) + (rest > _RESTS[1])
        known = self._known.get(key) or self._make(*key)
        return known.match(data, place) is not None

    def _make(self, byte: int, size: int) -> re.Pattern[bytes]:
        least = (0, *_RESTS)[size]
        nodes = [rule.node for members, rule in self._rules if members >> byte & 1 and rule.most > least]
        made = self._known[byte, size] = re.compile(f"{beginnings(nodes)}\\Z".encode() if nodes else rb"(?!)")
        return made


class InToken:
    """Matches of any rule that may have begun in a text's last token."""

    def __init__(self, rules: Sequence[Readied]) -> None:
        self._starts = starts_of(
            reduce(int.__or__, (first_bytes(rule.node) for rule in rules), 1) & (_TOKEN_SET | 1)
        )
        self._under_way = _UnderWay(rules)
        self._most = max((rule.most for rule in rules), default=0)

    def first(self, data: bytes, low: int, high: int, edges: Sequence[int]) -> int:
        """The first place in [low, high) at which a match may be under way; `high` if there is none."""
        low = max(low, len(data) - self._most)
        for place in starts_between(self._starts, data, low, high, edges):
            if self._under_way.at(data, place):
                return place
        return high


class BeforeToken:
    """Matches of several words that may have begun before a text's last token: those whose opener stands there."""

    def __init__(self, rules: Sequence[Readied]) -> None:
        opened = [(rule, found) for rule in rules if (found := opener(rule.node, _TOKEN_SET)) is not None]
        listed = sorted(opened, key=_opening)
        self._opened = [_Opened(list(several)) for _, several in groupby(listed, key=_opening)]
        texts = [text for (text, _), _ in groupby(listed, key=_opening)]
        self._scan = database_scan(texts, 0) if texts else None

    def first(self, data: bytes, high: int, edges: Sequence[int]) -> int:
        """The first place from 1 on and before `high` at which a match may be under way; `high` if there is none."""
        if self._scan is None:
            return high
        for end, number in ends_of(self._scan, data):
            high = self._opened[number].first(data, end, high, edges)
        return high


def _opening(opened: tuple[Readied, Node]) -> tuple[str, bytes]:
    """What rules must share to be looked at together: the opener, and what may lead to it."""
    rule, found = opened
    return expression(found), loose_bytes(rule.node)


class _Opened:
    """Looks closely at a place that an opener ends at, which some rules share: the rules, each with its opener."""

    def __init__(self, opened: Sequence[tuple[Readied, Node]]) -> None:
        rules = [rule for rule, _ in opened]
        self._under_way = _UnderWay(rules)
        self._firsts = reduce(int.__or__, (first_bytes(rule.node) for rule in rules))
        self._starts: re.Pattern[bytes] | None = None
        self._width = most_bytes(opened[0][1])
        self._lead = loose_bytes(rules[0].node)
        self._most = max(rule.most for rule in rules)

    def first(self, data: bytes, end: int, high: int, edges: Sequence[int]) -> int:
        """The first place before `high` at which a match whose opener ends at `end` is under way; `high` if there is none."""
        low, least = max(1, end - self._width), max(1, end - self._most)
        if self._lead and low > least:
            low = least + len(data[least:low].rstrip(self._lead))
        low, stop = max(low, len(data) - self._most), min(end, high)
        if low >= stop:
            return high
        if self._starts is None:
            self._starts = starts_of(self._firsts)
        for place in starts_between(self._starts, data, low, stop, edges):
            if self._under_way.at(data, place):
                return place
        return high
