"""All of an event, or of a whole answer, but its pieces of text: looked at as it stands, and written anew where it must be.

Theory of operation. Every text in quotes and every long number is looked at, wherever it stands, keys too: no parser's idea of
what the JSON says can hide one. What has been found clean is remembered, and so is what an event is without its one piece of
text: the events of a stream are mostly the same but for that, and cost one look-up. Only where something is found does
`judge_body` say what is to be done about it, for it knows what is opaque and where no placeholder may stand.

Where a value has to be written into an event, every other field stays byte for byte.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ciyuan.gateway.answer import UNREAD
from ciyuan.gateway.answer_screen_terms import Screening, Stopped, blocked, withheld
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.firewall import Firewall, audit, encoded
from ciyuan.gateway.firewall_agent import overreach
from ciyuan.gateway.firewall_body import Path, judge_body, written
from ciyuan.gateway.firewall_rules import Action, Refusal

REMEMBERED_MAX = 512
"""How many clean texts, and how many clean rests, are remembered."""
REMEMBERED_BYTES_MAX = 4096
"""The longest that is."""
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[0-9]{8,}', re.DOTALL)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_decode, _encode = msgspec.json.decode, msgspec.json.encode
_EMPTY: dict[Path, object] = {}
Changes = Mapping[Path, object]
"""What is to be written instead of the values at some paths."""


def read_json(data: bytes) -> tuple[object, bytes]:
    """JSON's value, and the JSON itself as a strict reader takes it. Raises ValueError where even a lenient one finds none."""
    try:
        return _decode(data), data
    except UNREAD:
        return written_anew(data)


def json_of(data: bytes) -> object:
    """The value of JSON that a strict reader takes."""
    found: object = _decode(data)
    return found


def written_anew(data: bytes) -> tuple[object, bytes]:
    """JSON read leniently, and written so that every reader sees the same in it: UTF-8, no half characters, no key twice."""
    try:
        body: object = json.loads(data.decode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("nested too deep") from None
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return body, encoded(text)


def rewritten(data: bytes, changes: Changes) -> bytes:
    """JSON with other values at some paths."""
    if () in changes:
        return _encode(changes[()])
    steps: dict[str | int, dict[Path, object]] = {}
    for path, value in changes.items():
        steps.setdefault(path[0], {})[path[1:]] = value
    if isinstance(next(iter(steps)), int):
        items = _ITEMS.decode(data)
        for place, inner in steps.items():
            items[int(place)] = msgspec.Raw(rewritten(bytes(items[int(place)]), inner))
        return _encode(items)
    fields = _FIELDS.decode(data)
    for key, inner in steps.items():
        fields[str(key)] = msgspec.Raw(rewritten(bytes(fields[str(key)]), inner))
    return _encode(fields)


def spelt_out(body: object, path: Path = ()) -> dict[Path, object]:
    """The changes that empty every list of log-probabilities: they spell the text once more, token by token."""
    found: dict[Path, object] = {}
    for key, value in _items(body):
        if key == "logprobs" and value:
            found[*path, key] = [] if isinstance(value, list) else None
        elif isinstance(value, dict | list):
            found |= spelt_out(value, (*path, key))
    return found


def numbered(body: object, path: Path = ()) -> list[Path]:
    """The paths of ids that are whole numbers: the supplier counts its answers so, and one in ten looks like a card's number."""
    found: list[Path] = []
    for key, value in _items(body):
        if isinstance(value, dict | list):
            found += numbered(value, (*path, key))
        elif (key == "id" or str(key).endswith("_id")) and str(value).isdigit():
            found.append((*path, key))
    return found


def differing(old: object, new: object, path: Path = ()) -> dict[Path, object]:
    """The changes that make one body of another of the same shape."""
    if old is new:
        return {}
    if isinstance(old, dict) and isinstance(new, dict):
        return {at: v for key in old for at, v in differing(old[key], new[key], (*path, key)).items()}
    if isinstance(old, list) and isinstance(new, list):
        pairs = enumerate(zip(old, new, strict=True))
        return {at: v for place, (a, b) in pairs for at, v in differing(a, b, (*path, place)).items()}
    return {} if old == new else {path: new}


class Rest:
    """What one answer holds beside its texts in pieces."""

    def __init__(self, screening: Screening) -> None:
        self._screening = screening
        self._clean_tokens: set[bytes] = set()
        self._clean_rests: set[bytes] = set()
        self._numbers_from = 3 if screening.protocol is Protocol.RESPONSES else 2

    def look(
        self, data: bytes, body: object, pieces: Sequence[tuple[Path, str]], opaque: Sequence[Path] = (),
        *, judges_calls: bool = True,
    ) -> tuple[Changes, bytes]:  # fmt: skip
        """What must be written instead of what, and the JSON to write it in: the event's own, or as `written_anew`.

        `pieces` are looked at elsewhere, `opaque` nowhere; calls of tools are judged unless that is done elsewhere too.
        Raises Stopped where something may not pass.
        """
        rest = _without(data, pieces)
        if rest is not None and rest in self._clean_rests:
            return _EMPTY, data
        screening = self._screening
        if judges_calls and screening.policy is not None:
            beyond = overreach(screening.policy, body)
            if beyond:
                refused, record = withheld(beyond[0])
                screening.record(record)
                raise Stopped(refused)
        firewall = screening.firewall
        if firewall is not None and not self._tokens_clean(firewall, data, body, pieces, opaque):
            return self._judged(firewall, data, [*opaque, *(path for path, _ in pieces)], rest)
        if rest is not None and (judges_calls or screening.policy is None):
            self._remember(self._clean_rests, rest)
        return _EMPTY, data

    def text_clean(self, text: bytes) -> bool:
        """Whether a text that stands by itself holds nothing that would have to be masked or blocked.

        What is found is recorded. Raises Stopped where it could not be looked at.
        """
        firewall = self._screening.firewall
        if firewall is None or text in self._clean_rests:
            return True
        plain = text.decode("utf-8", "replace")
        found = firewall.search([plain])
        if isinstance(found, Refusal):
            raise Stopped(blocked(found))
        for record in audit("event", plain, found[0], self._screening.placeholders):
            self._screening.record(record)
        clean = all(one.action < Action.MASK for one in found[0])
        if clean:
            self._remember(self._clean_rests, text)
        return clean

    def _tokens_clean(
        self, firewall: Firewall, data: bytes, body: object, pieces: Sequence[tuple[Path, str]],
        opaque: Sequence[Path],
    ) -> bool:  # fmt: skip
        """Whether nothing is found in any token but the pieces."""
        known = self._clean_tokens
        new = [token for token in _TOKENS.findall(data) if token not in known]
        if not new:
            return True
        elsewhere = [*(text for _, text in pieces), *(_at(body, path) for path in opaque)]
        tokens, texts = [], []
        for token in new:
            text = _text_of(token)
            if text in elsewhere:
                elsewhere.remove(text)
            else:
                tokens.append(token)
                texts.append(text)
        found = firewall.search(texts) if texts else ()
        if isinstance(found, Refusal):
            raise Stopped(blocked(found))
        if any(found):
            return False
        for token in tokens:
            self._remember(known, token)
        return True

    def _judged(
        self, firewall: Firewall, data: bytes, elsewhere: Sequence[Path], rest: bytes | None
    ) -> tuple[Changes, bytes]:
        """Something was found: what is to be done about it. A key that stands twice is written once."""
        screening = self._screening
        body, anew = written_anew(data)
        if _keys_twice(data):
            data = anew
        unread = dict.fromkeys([*elsewhere, *numbered(body)], "")
        blank = written(body, dict(unread)) if unread else body
        judged = judge_body(firewall, blank, screening.placeholders, numbers_from=self._numbers_from)
        for record in judged.audits:
            screening.record(record)
        if judged.refusal:
            raise Stopped(blocked(judged.refusal, judged.audits))
        if rest is not None and not judged.findings and data is not anew:
            self._remember(self._clean_rests, rest)
        return differing(blank, judged.body), data

    @staticmethod
    def _remember(known: set[bytes], one: bytes) -> None:
        if len(one) <= REMEMBERED_BYTES_MAX:
            if len(known) >= REMEMBERED_MAX:
                known.clear()
            known.add(one)


def _without(data: bytes, pieces: Sequence[tuple[Path, str]]) -> bytes | None:
    """What an event is without its one piece of text; None if that cannot be told at a glance."""
    if not pieces:
        return data
    if len(pieces) > 1:
        return None
    try:
        token = _encode(pieces[0][1])
    except UnicodeEncodeError:
        return None
    before, found, after = data.partition(token)
    if not found or token in after:
        return None
    return before + b"\0" + after


def _text_of(token: bytes) -> str:
    """A token's text; of a number its digits."""
    return _decode(token, type=str) if token[0] == ord('"') else token.decode()


def _at(body: object, path: Path) -> str:
    """The text at a path; "" if there is none."""
    for step in path:
        if isinstance(body, dict):
            body = body.get(str(step))
        elif isinstance(body, list) and isinstance(step, int):
            body = body[step]
    return body if isinstance(body, str) else ""


def _keys_twice(data: bytes) -> bool:
    twice = False

    def paired(pairs: list[tuple[str, object]]) -> None:
        nonlocal twice
        twice = twice or len({key for key, _ in pairs}) < len(pairs)

    json.loads(data.decode("utf-8", "replace"), object_pairs_hook=paired)
    return twice


def _items(body: object) -> Iterable[tuple[str | int, object]]:
    """What is in an object or a list, with its place; of anything else, nothing."""
    if isinstance(body, dict):
        return body.items()
    return enumerate(body) if isinstance(body, list) else ()
