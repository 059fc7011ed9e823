"""What one call's claim is worth by itself: a verdict on each side. Of several that fit, the first in this table is given.

| verdict | when |
|---|---|
| IMPOSSIBLE | the claim has a fault, or more tokens than the text has bytes, its marks apart: a token covers a byte or more |
| UNCLAIMED | the supplier said nothing of this side |
| UNVERIFIABLE | hidden reasoning that is not claimed apart |
| NOTHING | no text, no tokens |
| ZERO | text, and 0 tokens |
| UNCHECKED | there is more than the text we have, or neither a vocabulary nor a ratio |
| OVER | more than was expected, beyond the floor and the tolerance of a single call |
| UNDER | less, likewise |
| CONFIRMED | as expected |

A vocabulary that first normalises its text can make more of a few rare ligatures than their bytes; the floor covers them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from ciyuan.basics.money import div_half_up
from ciyuan.gateway.audit_evidence import BP, PPM
from ciyuan.gateway.audit_sample import Sample, Side, said_of
from ciyuan.gateway.audit_sums import whole_row
from ciyuan.gateway.audit_terms import USUAL, AuditTerms
from ciyuan.gateway.audit_tests import ClaimTest


class Verdict(IntEnum):
    """See the table above."""

    IMPOSSIBLE = 1
    UNCLAIMED = 2
    UNVERIFIABLE = 3
    NOTHING = 4
    ZERO = 5
    UNCHECKED = 6
    OVER = 7
    UNDER = 8
    CONFIRMED = 9


class Basis(IntEnum):
    """What a claim was held against."""

    NONE = 0
    COUNTED = 1
    """Our count with the grade's vocabulary."""
    ESTIMATED = 2
    """A ratio of bytes."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a side of a call, in tokens. `claimed` is of visible text, None if it cannot be told."""

    key: int
    supplier: int
    grade: int
    side: Side
    verdict: Verdict
    basis: Basis = Basis.NONE
    claimed: int | None = None
    expected: int = 0
    unseen: int = 0
    """Claimed reasoning that nobody saw."""


def judged(sample: Sample, side: Side, terms: AuditTerms, test: ClaimTest | None, ratio: int) -> Judgement:
    """The judgement on a side, before anything is learnt from it.

    `test` is the one of its vocabulary, `ratio` the tokens per million bytes that are expected, 0 if that is not known.
    """
    extent, said = sample.extent(side), said_of(sample, side)
    claimed, basis, expected = said.visible, Basis.NONE, 0
    verdict = _plain_verdict(sample, side, claimed, spoken=said.spoken, terms=terms)
    if verdict is None and claimed is not None and test is not None and extent.counted is not None:
        basis = Basis.COUNTED
        most = extent.counted + test.believed(side, terms).tokens(extent.pieces)
        least = extent.counted + (test.template.tokens(extent.pieces) if test.template else 0)
        expected = min(max(claimed, least), most)
        verdict = _compared(claimed, expected, terms.floor_tokens, terms.call_tolerance_bp)
    elif verdict is None and claimed is not None and ratio and extent.octets >= terms.ratio_octets_min:
        basis = Basis.ESTIMATED
        expected = div_half_up(extent.octets * ratio, PPM) + USUAL[side].tokens(extent.pieces)
        verdict = _compared(claimed, expected, terms.floor_tokens, terms.estimate_call_bp)
    return Judgement(
        sample.key, sample.supplier, sample.grade, side, verdict or Verdict.UNCHECKED, basis, claimed, expected,
        said.unseen,
    )  # fmt: skip


def _plain_verdict(
    sample: Sample, side: Side, claimed: int | None, *, spoken: bool, terms: AuditTerms
) -> Verdict | None:
    """The verdict that needs neither count nor ratio; None if there is none."""
    extent = sample.extent(side)
    if sample.claim.fault is not None:
        return Verdict.IMPOSSIBLE
    if claimed is None:
        return Verdict.UNVERIFIABLE if spoken else Verdict.UNCLAIMED
    marks = terms.template_max(side).tokens(extent.pieces) + terms.floor_tokens
    if extent.whole and claimed > extent.octets + marks:
        return Verdict.IMPOSSIBLE
    if claimed == 0:
        return Verdict.ZERO if extent.octets else Verdict.NOTHING
    return None if extent.whole else Verdict.UNCHECKED


def _compared(claimed: int, expected: int, floor_tokens: int, tolerance_bp: int) -> Verdict:
    """A claim beside what was expected. Twice as much and half as much are as far off."""
    if claimed > expected + floor_tokens + expected * tolerance_bp // BP:
        return Verdict.OVER
    if claimed + floor_tokens + claimed * tolerance_bp // BP < expected:
        return Verdict.UNDER
    return Verdict.CONFIRMED


@dataclass(slots=True)
class Verdicts:
    """The verdicts on a side of a supplier's calls: how many of each, and the tokens that cannot be verified."""

    counts: list[int]
    """(9,) by `Verdict`, from IMPOSSIBLE."""
    claimed: int = 0
    """Tokens of visible text in all claims."""
    unseen: int = 0

    @classmethod
    def none(cls) -> Self:
        """Of no call."""
        return cls([0] * len(Verdict))

    def add(self, judgement: Judgement) -> None:
        """Add a judgement."""
        self.counts[judgement.verdict - 1] += 1
        self.claimed += judgement.claimed or 0
        self.unseen += judgement.unseen

    def of(self, verdict: Verdict) -> int:
        """How many calls have this verdict."""
        return self.counts[verdict - 1]

    def words(self) -> list[int]:
        """The counts, then the two sums."""
        return [*self.counts, self.claimed, self.unseen]

    @classmethod
    def of_words(cls, words: Sequence[int]) -> Self:
        """The inverse of `words`; Malformed for what is no row of verdicts."""
        row = whole_row(words, len(Verdict) + 2)
        return cls(list(row[:-2]), row[-2], row[-1])
