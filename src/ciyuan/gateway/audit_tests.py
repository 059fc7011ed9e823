"""The two tests of a side of a supplier's calls: its claims against our count, its tokens per byte against its past.

| test | of | first | then |
|---|---|---|---|
| `ClaimTest` | a supplier, grade, side and vocabulary | learns the template | is more claimed than count, template, tolerance? |
| `RatioTest` | a supplier, grade, side and script | learns tokens per byte | do they rise, fall, exceed the grade's? |

Both learn from the first `calibration_calls` calls and test the later ones only: what is tested must be said before it is
seen. A call that is longer than the text we have (tools, pictures, hidden prompts) is neither learnt from nor tested.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_ceil
from ciyuan.gateway.audit_evidence import BP, PPM, Evidence, words_of
from ciyuan.gateway.audit_sample import Script, Side
from ciyuan.gateway.audit_sums import SUMS_WORDS, Sums
from ciyuan.gateway.audit_template import Bare, Template, learnt_template
from ciyuan.gateway.audit_terms import (
    CLAIM_BOUNDS,
    EXCESSES_BP,
    FELL_BOUNDS,
    RATIO_BETS,
    ROSE_BOUNDS,
    AuditTerms,
)

_BARE_WORDS = len(Bare._fields)
_CLAIM_WORDS, _RATIO_WORDS = words_of(len(EXCESSES_BP)), words_of(len(RATIO_BETS))


class AlarmKind(IntEnum):
    """What a test found."""

    OVER_CLAIM = 1
    """More is claimed than we count, in the mean."""
    OVER_ESTIMATE = 2
    """More is claimed than the grade's ratio of bytes allows, in the mean."""
    RATIO_ROSE = 3
    """More tokens per byte than in the supplier's own past: another tokenizer, another model, or an over-claim that began."""
    RATIO_FELL = 4
    """Fewer."""


RATIO_ALARMS = (AlarmKind.OVER_ESTIMATE, AlarmKind.RATIO_ROSE, AlarmKind.RATIO_FELL)
"""Those that a `RatioTest` gives."""


@dataclass(slots=True)
class ClaimTest:
    """Claims against our count. `learning` holds the calls of the calibration until `template` is learnt."""

    template: Template | None = None
    learning: list[Bare] = field(default_factory=list)
    evidence: Evidence = field(default_factory=lambda: Evidence.fresh(len(EXCESSES_BP)))
    sums: Sums = field(default_factory=Sums)

    def look(
        self, key: int, bare: Bare, side: Side, vocabulary: str, terms: AuditTerms
    ) -> tuple[AlarmKind, ...]:
        """Learn from a call, or test it; the alarm that it gave, if any."""
        if self.template is None:
            self.learning.append(bare)
            if len(self.learning) >= terms.calibration_calls:
                self.template = learnt_template(self.learning, terms.template_max(side))
                self.learning.clear()
            return ()
        added = self.template.tokens(bare.pieces)
        limit_bp = bare.counted * (BP + terms.tolerance_of(vocabulary)) + (added + terms.slack_tokens) * BP
        if limit_bp == 0:
            return ()
        tipped = self.evidence.look(
            key, bare.claimed, limit_bp, expected=bare.counted, bets=terms.claim_bets(vocabulary),
            bounds=CLAIM_BOUNDS, alarm_ppm=terms.alarm_ppm,
        )  # fmt: skip
        return (AlarmKind.OVER_CLAIM,) if tipped else ()

    def believed(self, side: Side, terms: AuditTerms) -> Template:
        """The template: as it was learnt, before that the most that would be believed."""
        return self.template or terms.template_max(side)

    def restart(self) -> None:
        """Learn and test from the beginning."""
        self.template = None
        self.learning.clear()
        self.evidence.restart()

    def words(self) -> list[int]:
        """The whole state: the template (-1, -1 while learning), sums, the evidence, the calls that were learnt from so far."""
        template = self.template or (-1, -1)
        learning = (word for bare in self.learning for word in bare)
        return [*template, *self.sums.words(), *self.evidence.words(), *learning]

    @classmethod
    def of_words(cls, words: Sequence[int]) -> Self:
        """The inverse of `words`; Malformed for what is no state."""
        head = 2 + SUMS_WORDS
        rest = words[head + _CLAIM_WORDS :]
        if len(words) < head + _CLAIM_WORDS or len(rest) % _BARE_WORDS or min(words[0], words[1]) < -1:
            raise _malformed(words)
        learning = [Bare(*rest[place : place + _BARE_WORDS]) for place in range(0, len(rest), _BARE_WORDS)]
        template = None if words[0] < 0 else Template(words[0], words[1])
        evidence = Evidence.of_words(words[head : head + _CLAIM_WORDS], len(EXCESSES_BP))
        return cls(template, learning, evidence, Sums.of_words(words[2:head]))


@dataclass(slots=True)
class RatioTest:
    """Tokens per million bytes against the supplier's own past and against the grade's."""

    ratio: int = 0
    """Learnt tokens per million bytes; 0 while learning."""
    learning: list[int] = field(default_factory=list)
    rose: Evidence = field(default_factory=lambda: Evidence.fresh(len(RATIO_BETS)))
    fell: Evidence = field(default_factory=lambda: Evidence.fresh(len(RATIO_BETS)))
    above: Evidence = field(default_factory=lambda: Evidence.fresh(len(RATIO_BETS)))
    sums: Sums = field(default_factory=Sums)

    def look(
        self, key: int, claimed: int, octets: int, grade_ratio: int, terms: AuditTerms
    ) -> tuple[AlarmKind, ...]:
        """Learn from a call and test it; the alarms that it gave. `grade_ratio` is 0 where none is given."""
        found: list[AlarmKind] = []
        if grade_ratio and self._bet(
            self.above, key, claimed, octets * grade_ratio, terms.estimate_tolerance_bp, terms
        ):
            found.append(AlarmKind.OVER_ESTIMATE)
        if not self.ratio:
            self.learning.append(claimed * PPM // octets)
            if len(self.learning) >= terms.calibration_calls:
                self.ratio = learnt_ratio(self.learning)
                self.learning.clear()
            return tuple(found)
        own = octets * self.ratio
        if self._bet(self.rose, key, claimed, own, terms.drift_tolerance_bp, terms):
            found.append(AlarmKind.RATIO_ROSE)
        least_bp = max(own * BP // (BP + terms.drift_tolerance_bp) * BP // PPM, 1)
        if self.fell.look(key, claimed, least_bp, expected=0, bets=RATIO_BETS, bounds=FELL_BOUNDS,
                          alarm_ppm=terms.alarm_ppm):  # fmt: skip
            found.append(AlarmKind.RATIO_FELL)
        return tuple(found)

    def evidence_of(self, kind: AlarmKind) -> Evidence:
        """The evidence that gives a kind of alarm."""
        return {
            AlarmKind.OVER_ESTIMATE: self.above,
            AlarmKind.RATIO_ROSE: self.rose,
            AlarmKind.RATIO_FELL: self.fell,
        }[kind]

    @staticmethod
    def _bet(
        evidence: Evidence, key: int, claimed: int, tokens_ppm: int, tolerance_bp: int, terms: AuditTerms
    ) -> bool:
        """A bet that more is claimed than `tokens_ppm` millionths of a token, the slack and the tolerance."""
        limit_bp = div_ceil(tokens_ppm * (BP + tolerance_bp), PPM) + terms.slack_tokens * BP
        return evidence.look(key, claimed, limit_bp, expected=0, bets=RATIO_BETS, bounds=ROSE_BOUNDS,
                             alarm_ppm=terms.alarm_ppm)  # fmt: skip

    def restart(self) -> None:
        """Learn and test from the beginning."""
        self.ratio = 0
        self.learning.clear()
        for evidence in (self.rose, self.fell, self.above):
            evidence.restart()

    def words(self) -> list[int]:
        """The whole state: the ratio, sums, three evidences, the ratios of the calls that were learnt from so far."""
        evidences = (word for evidence in (self.rose, self.fell, self.above) for word in evidence.words())
        return [self.ratio, *self.sums.words(), *evidences, *self.learning]

    @classmethod
    def of_words(cls, words: Sequence[int]) -> Self:
        """The inverse of `words`; Malformed for what is no state."""
        head = 1 + SUMS_WORDS
        tail = head + 3 * _RATIO_WORDS
        if len(words) < tail or min([words[0], *words[tail:]]) < 0:
            raise _malformed(words)
        rose, fell, above = (
            Evidence.of_words(words[place : place + _RATIO_WORDS], len(RATIO_BETS))
            for place in range(head, tail, _RATIO_WORDS)
        )
        return cls(words[0], list(words[tail:]), rose, fell, above, Sums.of_words(words[1:head]))


def learnt_ratio(ratios: Sequence[int]) -> int:
    """The mean of `ratios` (one or more), each no further from their median than half or twice of it; at least 1."""
    median = sorted(ratios)[len(ratios) // 2]
    kept = [min(max(ratio, median // 2), 2 * median) for ratio in ratios]
    return max(sum(kept) // len(kept), 1)


def grade_ratio(terms: AuditTerms, grade: int, side: Side, script: Script) -> int:
    """The grade's tokens per million bytes by the terms; 0 if they hold none."""
    return terms.ratios.get((grade, side, script), 0)


def _malformed(words: Sequence[int]) -> Malformed:
    return Malformed("kept test of the audit", found=list(words[:8]), expected="its words, as `words` gave them",
                     remedy="Restore the file from a copy, or begin a new one.")  # fmt: skip
