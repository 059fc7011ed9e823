"""The firewall over a request's or an answer's JSON: every text in it, with its path, and masked texts written back.

Theory of operation. What is not looked at leaks, so the walk is not a list of known fields of known protocols: every text is
looked at, wherever it stands, in bodies of OpenAI's chat, completions, embeddings and responses and of Anthropic's messages
alike: system texts and instructions, messages, tool calls' arguments (text or object), tool results, descriptions of tools,
users' names and metadata; so are keys that could be data, and whole numbers long enough to be somebody's. What is exempt:

| what | how it is treated |
|---|---|
| FIXED: models, roles, types, ids, names of tools | looked at; what would have to be masked there refuses the body |
| opaque: images, sound and files in base64, encrypted reasoning, signatures | not looked at; the verdict lists their paths |
| prompts given as numbers of tokens | nothing can be read there: the body is refused |
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ciyuan.gateway.firewall import AuditRecord, Firewall, Placeholders, Verdict, audit, verdict
from ciyuan.gateway.firewall_rules import Action, Finding, Refusal

Path = tuple[str | int, ...]
DEPTH_MAX = 64
NUMBER_MIN = 10_000_000
"""A whole number of fewer digits is nobody's."""
_FIXED = (
    "model role type id object tool_call_id call_id tool_use_id item_id response_id previous_response_id finish_reason "
    "stop_reason name status reasoning_effort service_tier format media_type cache_control encoding_format"
)
FIXED = frozenset(_FIXED.split())
"""Keys whose values the protocols read: a placeholder there would be an error or another request."""
SEALED = frozenset({"encrypted_content", "signature", "file_data", "b64_json"})
"""Keys of what is not text."""
JSON_TEXTS = frozenset({"arguments", "partial_json"})
"""Keys whose texts are JSON and must be JSON still when masked."""
TOKEN_FIELDS = ("prompt", "input")
_PICTURE = re.compile(r"data:(?:image|audio|video|application/(?:pdf|octet-stream))[^,]{0,80};base64,")
_PLAIN_KEY = re.compile(r"[A-Za-z_$-]{1,40}|[A-Za-z0-9_$-]{1,8}")


@dataclass(frozen=True, slots=True)
class TextField:
    """One text of a body. `path` leads to it; `is_key` says that it is the last step itself."""

    path: Path
    text: str
    fixed: bool = False
    is_key: bool = False
    is_number: bool = False

    @property
    def place(self) -> str:
        """The path as logs write it."""
        steps = "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}"
            for step in self.path[: -1 if self.is_key else None]
        )
        return f"{steps.lstrip('.')} (key)" if self.is_key else steps.lstrip(".")


@dataclass(frozen=True, slots=True)
class BodyTexts:
    """All texts of a body, and the paths of what could not be looked at. With a refusal, why it cannot be walked."""

    fields: tuple[TextField, ...]
    opaque: tuple[Path, ...]
    refusal: Refusal = Refusal.NONE


@dataclass(frozen=True, slots=True)
class BodyVerdict:
    """What is to be done with a body: `body` may be handed on unless `refusal` says that nothing may (then it is None)."""

    refusal: Refusal
    action: Action
    body: object
    findings: tuple[tuple[str, Finding], ...] = ()
    audits: tuple[AuditRecord, ...] = ()
    opaque: tuple[Path, ...] = ()


class _Walk:
    """One walk over a body. `numbers_from` is the depth from which whole numbers are looked at."""

    def __init__(self, numbers_from: int) -> None:
        self.fields: list[TextField] = []
        self.opaque: list[Path] = []
        self.too_deep = False
        self._numbers_from = numbers_from

    def visit(self, value: object, path: Path) -> None:
        if isinstance(value, str):
            self._text(value, path)
        elif isinstance(value, dict):
            self._mapping(value, path)
        elif isinstance(value, list):
            for place, item in enumerate(self._within(value, path)):
                self.visit(item, (*path, place))
        elif isinstance(value, int) and abs(value) >= NUMBER_MIN and len(path) >= self._numbers_from:
            self.fields.append(TextField(path, str(value), is_number=True))

    def _within(self, value: list[object], path: Path) -> list[object]:
        if len(path) < DEPTH_MAX:
            return value
        self.too_deep = True
        return []

    def _mapping(self, value: Mapping[str, object], path: Path) -> None:
        self.too_deep = self.too_deep or len(path) >= DEPTH_MAX
        if self.too_deep:
            return
        sealed = (
            SEALED | {"data"}
            if value.get("type") == "base64" or {"data", "format"} == value.keys()
            else SEALED
        )
        for key, item in value.items():
            if not _PLAIN_KEY.fullmatch(key):
                self.fields.append(TextField((*path, key), key, fixed=True, is_key=True))
            if key in sealed and isinstance(item, str):
                self.opaque.append((*path, key))
            else:
                self.visit(item, (*path, key))

    def _text(self, text: str, path: Path) -> None:
        if _PICTURE.match(text):
            self.opaque.append(path)
        elif text:
            self.fields.append(TextField(path, text, fixed=bool(path) and path[-1] in FIXED))


def body_texts(body: object, *, numbers_from: int = 2) -> BodyTexts:
    """Every text of a parsed JSON body, in its order."""
    if isinstance(body, dict) and any(_is_tokens(body.get(name)) for name in TOKEN_FIELDS):
        return BodyTexts((), (), Refusal.UNREADABLE)
    walk = _Walk(numbers_from)
    walk.visit(body, ())
    refusal = Refusal.TOO_DEEP if walk.too_deep else Refusal.NONE
    return BodyTexts(tuple(walk.fields), tuple(walk.opaque), refusal)


def _is_tokens(value: object) -> bool:
    """Whether a prompt is given as numbers of tokens, or as lists of them."""
    if not isinstance(value, list):
        return False
    inside = [part for item in value if isinstance(item, list) for part in item]
    return any(isinstance(item, int) for item in (*value, *inside))


def written(body: object, changes: Mapping[Path, object]) -> object:
    """The body with other values at some paths. What leads there is copied, the rest shared; the body itself stays as it is."""
    if () in changes:
        return changes[()]
    steps: dict[str | int, dict[Path, object]] = {}
    for path, value in changes.items():
        steps.setdefault(path[0], {})[path[1:]] = value
    if isinstance(body, dict):
        return {key: written(item, steps[key]) if key in steps else item for key, item in body.items()}
    if isinstance(body, list):
        return [written(item, steps[place]) if place in steps else item for place, item in enumerate(body)]
    return body


def judge_body(
    firewall: Firewall,
    body: object,
    placeholders: Placeholders,
    *,
    opaque_allowed: bool = True,
    numbers_from: int = 2,
) -> BodyVerdict:
    """The firewall's verdict on a parsed JSON body, all its texts searched in one pass."""
    texts = body_texts(body, numbers_from=numbers_from)
    if texts.opaque and not opaque_allowed:
        return BodyVerdict(Refusal.UNREADABLE, Action.OFF, None, opaque=texts.opaque)
    if texts.refusal:
        return BodyVerdict(texts.refusal, Action.OFF, None, opaque=texts.opaque)
    searched = firewall.search([field.text for field in texts.fields])
    if isinstance(searched, Refusal):
        return BodyVerdict(searched, Action.OFF, None, opaque=texts.opaque)
    hit = [(field, found) for field, found in zip(texts.fields, searched, strict=True) if found]
    if not hit:
        return BodyVerdict(Refusal.NONE, Action.OFF, body, opaque=texts.opaque)
    return _judged(firewall, body, hit, placeholders, texts.opaque)


Hits = Sequence[tuple[TextField, tuple[Finding, ...]]]


def _judged(
    firewall: Firewall, body: object, hit: Hits, placeholders: Placeholders, opaque: tuple[Path, ...]
) -> BodyVerdict:
    findings = tuple((field.place, found) for field, several in hit for found in several)
    action = max(found.action for _, found in findings)
    changes: dict[Path, object] = {}
    refusal = Refusal.NONE
    for field, several in hit:
        judged = _field_verdict(firewall, field, several, placeholders)
        refusal = min(filter(None, (refusal, judged.refusal)), default=Refusal.NONE)
        if not judged.refusal and judged.text != field.text:
            changes[field.path] = judged.text
    audits = tuple(
        record for field, several in hit for record in audit(field.place, field.text, several, placeholders)
    )
    handed_on = None if refusal else written(body, changes) if changes else body
    return BodyVerdict(refusal, action, handed_on, findings, audits, opaque)


def _field_verdict(
    firewall: Firewall, field: TextField, findings: tuple[Finding, ...], placeholders: Placeholders
) -> Verdict:
    judged = verdict(field.text, findings, placeholders)
    if judged.action is not Action.MASK:
        return judged
    if field.fixed:
        return Verdict(Refusal.CANNOT_MASK, judged.action, "", findings)
    if field.path and field.path[-1] in JSON_TEXTS:
        return _json_verdict(firewall, field.text, judged, placeholders)
    return judged


def _json_verdict(firewall: Firewall, text: str, judged: Verdict, placeholders: Placeholders) -> Verdict:
    """A verdict whose masked text is JSON if the text was: where a placeholder stands for a bare number, it is quoted."""
    whole = _parsed(text)
    if whole is None or _parsed(judged.text) is not None:
        return judged
    inner = judge_body(firewall, whole, placeholders, numbers_from=0)
    again = json.dumps(inner.body, ensure_ascii=False)
    left = firewall.search([again])
    if inner.refusal or isinstance(left, Refusal) or any(found.action >= Action.MASK for found in left[0]):
        return Verdict(Refusal.CANNOT_MASK, judged.action, "", judged.findings)
    return Verdict(Refusal.NONE, judged.action, again, judged.findings)


def _parsed(text: str) -> object:
    """The JSON of a text; None if it is none."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found
