"""The firewall over text that comes in pieces: a machine, deltas in, text that may be handed on out.

Theory of operation. The machine holds back the end of what it was given from the first byte at which a match may be under way
(`Sight.settled`), and so much before as a match that is already seen reaches back. Everything before that is settled: no later
text can make a match of it or change one. So what comes out, findings and placeholders alike, does not depend on how the text
was cut into pieces, and no part of a masked value is ever let out.

What is held is at most as long as the longest pattern (`MATCH_BYTES_MAX`) unless matches overlap in a row; a stream that
holds more than HELD_BYTES_MAX is refused. In prose it is the word that is being written, in Chinese prose mostly nothing.

Invariants: what was released and what is held is what was given; a refused machine releases nothing ever after.
"""

from dataclasses import dataclass

from ciyuan.gateway.firewall import Firewall, Placeholders, encoded, verdict
from ciyuan.gateway.firewall_rules import Action, Finding, Refusal
from ciyuan.gateway.firewall_sight import Seen, Sight
from ciyuan.gateway.firewall_views import OUTSIDE, fold, may_be_disguised

HELD_BYTES_MAX = 65_536
LONG_HELD_BYTES = 256
"""When more than this is held it is looked at again only once it has grown by an eighth, or a long wait would cost its square."""


@dataclass(frozen=True, slots=True)
class Released:
    """What a piece of the stream set free: text to hand on, and the findings in what it was made of (places in the stream).

    With a `refusal` the stream ends here: nothing more will come, and what is held is dropped.
    """

    text: str
    findings: tuple[Finding, ...] = ()
    refusal: Refusal = Refusal.NONE


NOTHING = Released("")


class FirewallStream:
    """One stream of text, as an answer's; one for each choice and each tool call's arguments."""

    def __init__(self, firewall: Firewall, placeholders: Placeholders) -> None:
        self._firewall = firewall
        self._placeholders = placeholders
        self._held = b""
        self._left = self._fold_left = OUTSIDE
        self._bytes = self._characters = self._asked_from = 0
        self.refusal = Refusal.NO_DATABASE if firewall.sight is None else Refusal.NONE

    @property
    def held_bytes(self) -> int:
        """How much is held back."""
        return len(self._held)

    def feed(self, delta: str) -> Released:
        """The next piece."""
        return self._released(delta, last=False)

    def finish(self) -> Released:
        """The end: all that is held is settled now."""
        return self._released("", last=True)

    def _released(self, delta: str, *, last: bool) -> Released:
        sight = self._firewall.sight
        if self.refusal or sight is None:
            return Released("", (), self.refusal)
        try:
            self._held += encoded(delta)
            if len(self._held) < self._asked_from and not last:
                return NOTHING
            data = bytes((self._left,)) + self._held
            border = len(data) if last else sight.settled(data, self._fold_left)
            released = self._settle(sight, data, border) if border > 1 else NOTHING
            held = len(self._held)
            self._asked_from = held + held // 8 if held > LONG_HELD_BYTES else 0
        except Exception:
            released = Released("", (), Refusal.SCAN_FAILED)
        if len(self._held) > HELD_BYTES_MAX and not released.refusal:
            released = Released("", released.findings, Refusal.TOO_LONG)
        if released.refusal:
            self.refusal, self._held = released.refusal, b""
        return released

    def _settle(self, sight: Sight, data: bytes, border: int) -> Released:
        """Let out what stands before the border, and before the matches that cross it."""
        seen = sight.see(data, self._fold_left)
        if seen:
            border = sight.settled_with(data, border, seen)
        return (
            self._let_out(data, border, [one for one in seen if one.end <= border]) if border > 1 else NOTHING
        )

    def _let_out(self, data: bytes, border: int, seen: list[Seen]) -> Released:
        text = data[1:border].decode()
        here = self._firewall.findings(data[1:border], seen, -1) if seen else ()
        judged = verdict(text, here, self._placeholders)
        released = judged.text
        if judged.refusal:
            blocked = min(found.start for found in here if found.action is Action.BLOCK)
            here = tuple(found for found in here if found.start <= blocked)
            released = self._before(text, here, blocked)
        findings = tuple(self._moved(found) for found in here)
        self._step(data, border, len(text))
        self._held = data[border:]
        return Released(released, findings, judged.refusal)

    def _before(self, text: str, findings: tuple[Finding, ...], blocked: int) -> str:
        """Of a stretch that is refused, the text before the first finding that is blocked, masked."""
        kept = [found for found in findings if found.action < Action.BLOCK]
        first = min([blocked, *(found.start for found in kept if found.end > blocked)])
        return verdict(
            text[:first], tuple(found for found in kept if found.end <= first), self._placeholders
        ).text

    def _moved(self, found: Finding) -> Finding:
        """A finding in a stretch, as one in the stream."""
        return found._replace(
            start=found.start + self._characters,
            end=found.end + self._characters,
            start_byte=found.start_byte + self._bytes,
            end_byte=found.end_byte + self._bytes,
        )

    def _step(self, data: bytes, border: int, characters: int) -> None:
        folded = data[:border]
        if may_be_disguised(folded, self._fold_left):
            folded = fold(folded, self._fold_left).data
        self._left, self._fold_left = data[border - 1], folded[-1]
        self._bytes += border - 1
        self._characters += characters
