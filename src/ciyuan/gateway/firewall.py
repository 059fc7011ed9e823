"""The firewall: what in a text must not pass, found in one pass, and blocked, masked or reported. Pure: no file, no clock.

    rules (data) ──▶ Firewall ──▶ judge(texts) ──▶ a Verdict each: refusal, findings, the text to hand on
                         └──────▶ FirewallStream (firewall_stream): the same, over text that comes in pieces

Theory of operation. A text is bytes of UTF-8. It is searched as it stands; with its disguises undone, if it has any; and out
of the base64 that it holds (`firewall_views`). What is found in any view is a finding at the place in the text that it was
made of. A finding whose action is MASK is written over by a placeholder, the same for the same value as long as one
`Placeholders` is handed in: a request and its answer share one. A finding whose action is BLOCK refuses the text.

A firewall fails closed. Where the engine cannot be had `fault` says why, and every verdict is a refusal; a service that is
told to have a firewall does not start with such a one. A scan that raises refuses its text.

The value of a finding is kept nowhere: findings hold places and a keyed digest, audit records a masked excerpt.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.firewall_matcher import Matcher
from ciyuan.gateway.firewall_rules import (
    Action,
    Finding,
    Kind,
    Readied,
    Refusal,
    Rule,
    View,
    ready,
    ready_word,
    word_rules,
)
from ciyuan.gateway.firewall_sight import Seen, Sight
from ciyuan.gateway.firewall_views import OUTSIDE

DIGEST_BYTES, DIGEST_KEY_BYTES_MIN = 16, 16
TEXT_BYTES_MAX = 16 * 1024 * 1024
EXCERPT_CHARACTERS = 40
LONG_RUN = Rule(
    name="base64-long",
    kind=Kind.AGENT,
    action=Action.REPORT,
    label="BASE64",
    pattern="base64",
    what="a run of base64 that is too long to look into",
    source="docs/spec/firewall.md, rule 10",
    observed_on="",
)
"""The rule of the one finding that no pattern makes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a text.

    `action` is the strongest of its findings', OFF if there are none. `text` is what may be handed on: the text itself, or
    the masked one; "" if `refusal` says that nothing may.
    """

    refusal: Refusal
    action: Action
    text: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """What a finding leaves in the log: where, by which rule, what was done, the keyed digest, and the masked surroundings."""

    path: str
    rule: str
    kind: Kind
    action: Action
    view: View
    digest: str
    excerpt: str


class Placeholders:
    """The placeholders of one request and its answer: one for each value, numbered as they appear."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def name(self, label: str, digest: str) -> str:
        """The placeholder of a value, as `[EMAIL-1]`."""
        found = self._names.get((label, digest))
        if found is None:
            self._counts[label] = self._counts.get(label, 0) + 1
            found = self._names[label, digest] = f"[{label}-{self._counts[label]}]"
        return found


class Firewall:
    """Rules, ready to judge texts. One thread uses it.

    `words` are the company's own, with one action for all. `actions` change rules' actions, by a rule's name or a kind's
    (`"personal"`); a rule's name prevails. `digest_key` is secret: who has it can tell whether a digest is a guessed value's.
    Malformed if a rule, a word or a name in `actions` is not what it should be, or the key is too short.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        digest_key: bytes,
        *,
        words: Iterable[str] = (),
        word_action: Action = Action.BLOCK,
        actions: Mapping[str, Action] | None = None,
    ) -> None:
        if not DIGEST_KEY_BYTES_MIN <= len(digest_key) <= blake2b.MAX_KEY_SIZE:
            raise Malformed("firewall digest key", found=f"{len(digest_key)} bytes",
                            expected=f"{DIGEST_KEY_BYTES_MIN} to {blake2b.MAX_KEY_SIZE}", remedy="Draw a key.")  # fmt: skip
        self._actions = _actions(rules, actions or {})
        listed = [ready(rule) for rule in rules if self._actions[rule.name]]
        self.rules = (*listed, *_ready_words(words, word_action, {rule.label for rule in rules}))
        self._described = [
            self._describe(rule, digest_key) for rule in (*(made.rule for made in self.rules), LONG_RUN)
        ]
        self.sight: Sight | None = None
        self.fault: Malformed | None = None
        try:
            self.sight = Sight(Matcher(self.rules))
        except Malformed as fault:
            self.fault = fault

    def judge(self, texts: Sequence[str], placeholders: Placeholders) -> tuple[Verdict, ...]:
        """A verdict on each of several texts, all searched in one pass. What one refuses says nothing of the others."""
        searched = self.search(texts)
        if isinstance(searched, Refusal):
            return tuple(Verdict(searched, Action.OFF, "") for _ in texts)
        return tuple(verdict(text, found, placeholders) for text, found in zip(texts, searched, strict=True))

    def search(self, texts: Sequence[str]) -> tuple[tuple[Finding, ...], ...] | Refusal:
        """The findings in each of several texts, sorted; or why they could not be searched."""
        if self.sight is None:
            return Refusal.NO_DATABASE
        try:
            data = [encoded(text) for text in texts]
            if sum(map(len, data)) > TEXT_BYTES_MAX:
                return Refusal.TOO_LONG
            seen = self.sight.see(bytes((OUTSIDE,)) + b"\0".join(data), OUTSIDE)
            return self._shared_out(data, seen) if seen else ((),) * len(texts)
        except Exception:
            return Refusal.SCAN_FAILED

    def _shared_out(self, data: Sequence[bytes], seen: Sequence[Seen]) -> tuple[tuple[Finding, ...], ...]:
        """To each text its own findings."""
        shared, first = [], 1
        for part in data:
            own = [one for one in seen if first <= one.start < first + len(part)]
            shared.append(self.findings(part, own, -first))
            first += len(part) + 1
        return tuple(shared)

    def findings(self, data: bytes, seen: Sequence[Seen], shift: int) -> tuple[Finding, ...]:
        """What was seen, in order, as findings in `data`: their places there are those seen, plus `shift`."""
        ascii_only, made = data.isascii(), []
        counted, characters = 0, 0
        for start, end, number, view, value, _ in seen:
            rule, action, keyed = self._described[number]
            first, last = start + shift, end + shift
            characters += first - counted if ascii_only else len(data[counted:first].decode())
            counted = first
            after = characters + (last - first if ascii_only else len(data[first:last].decode()))
            digest = keyed.copy()
            digest.update(_normal(rule.kind, value))
            made.append(
                Finding(
                    characters,
                    after,
                    rule.name,
                    rule.kind,
                    action,
                    rule.label,
                    view,
                    first,
                    last,
                    digest.hexdigest(),
                )
            )
        return tuple(sorted(made))

    def _describe(self, rule: Rule, key: bytes) -> tuple[Rule, Action, blake2b]:
        """A rule, its action here, and the digest of its values, begun."""
        begun = blake2b(rule.label.encode() + b"\0", key=key, digest_size=DIGEST_BYTES)
        return rule, self._actions.get(rule.name, rule.action), begun


def _normal(kind: Kind, value: bytes) -> bytes:
    """A value as its digest takes it."""
    if kind is Kind.PERSONAL:
        return value.lower() if b"@" in value else value.translate(None, b" -()").lower()
    if kind is Kind.COMPANY:
        return b" ".join(value.decode("utf-8", "replace").casefold().encode().split())
    return value


def _actions(rules: Sequence[Rule], changed: Mapping[str, Action]) -> dict[str, Action]:
    kinds = {kind.name.lower(): kind for kind in Kind}
    names = {rule.name for rule in rules} | {LONG_RUN.name}
    unknown = sorted(changed.keys() - names - kinds.keys())
    if unknown:
        raise Malformed("firewall actions", found=unknown[0], expected=f"a rule's name or one of {', '.join(kinds)}",
                        remedy="Mend the name.")  # fmt: skip
    return {
        rule.name: changed.get(rule.name, changed.get(rule.kind.name.lower(), rule.action))
        for rule in (*rules, LONG_RUN)
    }


def _ready_words(words: Iterable[str], action: Action, labels: set[str]) -> tuple[Readied, ...]:
    if action is Action.OFF:
        return ()
    made = word_rules(words, action)
    for rule in made:
        bare = rule.pattern.upper().rstrip("-0123456789")
        if any(bare in label for label in (*labels, rule.label)):
            raise Malformed("company words", found=rule.pattern, expected="no word of the placeholders' own",
                            remedy="Leave it out: every placeholder would be masked again.")  # fmt: skip
    return tuple(ready_word(rule) for rule in made)


def encoded(text: str) -> bytes:
    """UTF-8; a surrogate without its other half, which has none, as the replacement character."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return "".join(
            "\N{REPLACEMENT CHARACTER}" if "\ud800" <= letter <= "\udfff" else letter for letter in text
        ).encode()


def verdict(text: str, findings: tuple[Finding, ...], placeholders: Placeholders) -> Verdict:
    """The verdict that follows from a text's findings."""
    if not findings:
        return Verdict(Refusal.NONE, Action.OFF, text)
    action = max(found.action for found in findings)
    if action is Action.BLOCK:
        return Verdict(Refusal.BLOCKED, action, "", findings)
    return Verdict(Refusal.NONE, action, mask(text, findings, placeholders), findings)


def mask(
    text: str, findings: Iterable[Finding], placeholders: Placeholders, least: Action = Action.MASK
) -> str:
    """The text with every finding of at least that action written over."""
    return "".join(_pieces(text, _clusters(findings, least), placeholders))


def _clusters(findings: Iterable[Finding], least: Action) -> list[list[Finding]]:
    """The findings to write over, those that overlap together."""
    clusters: list[list[Finding]] = []
    reach = -1
    for found in sorted(found for found in findings if found.action >= least):
        if found.start >= reach:
            clusters.append([])
        clusters[-1].append(found)
        reach = max(reach, found.end)
    return clusters


def _pieces(text: str, clusters: Sequence[Sequence[Finding]], placeholders: Placeholders) -> list[str]:
    """What stands as it is and the placeholders, by turns; what stands is first and last. A cluster takes its longest's."""
    pieces, done = [], 0
    for cluster in clusters:
        chosen = max(cluster, key=lambda found: (found.end - found.start, -found.start))
        pieces += [text[done : cluster[0].start], placeholders.name(chosen.label, chosen.digest)]
        done = max(found.end for found in cluster)
    return [*pieces, text[done:]]


def audit(
    path: str, text: str, findings: Sequence[Finding], placeholders: Placeholders
) -> tuple[AuditRecord, ...]:
    """A record of each finding in a text. In the excerpts every finding is written over, whatever its action."""
    clusters = _clusters(findings, Action.REPORT)
    pieces = _pieces(text, clusters, placeholders)
    records = []
    for place, cluster in enumerate(clusters):
        before = "".join(pieces[: 2 * place + 1])[-EXCERPT_CHARACTERS:]
        after = "".join(pieces[2 * place + 2 :])[:EXCERPT_CHARACTERS]
        excerpt = f"{before}{pieces[2 * place + 1]}{after}"
        records += [
            AuditRecord(path, found.rule, found.kind, found.action, found.view, found.digest, excerpt)
            for found in cluster
        ]
    return tuple(records)
