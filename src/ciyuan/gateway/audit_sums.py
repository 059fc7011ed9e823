"""Sums over a supplier's calls, from which a report is made: tokens and text, and each of them times the list price.

What a supplier claimed too much is a linear form of these sums once its template is known, so the money at stake is exact
and the same whenever the template was learnt: no call has to be looked at twice.

| sum | of each call |
|---|---|
| `calls`, `pieces`, `chars`, `octets`, `counted`, `claimed` | itself |
| `priced_calls`, `priced_pieces`, `priced_octets`, `priced_counted`, `priced_claimed` | times its list price: pico-units |
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Self

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import PICO_PER_MICRO, div_floor
from ciyuan.gateway.audit_evidence import PPM
from ciyuan.gateway.audit_sample import Extent
from ciyuan.gateway.audit_template import Template


@dataclass(slots=True)
class Sums:
    """See the table above: of the calls that one test heard."""

    calls: int = 0
    pieces: int = 0
    chars: int = 0
    octets: int = 0
    counted: int = 0
    claimed: int = 0
    priced_calls: int = 0
    priced_pieces: int = 0
    priced_octets: int = 0
    priced_counted: int = 0
    priced_claimed: int = 0

    def add(self, extent: Extent, claimed: int, price_micro: int) -> None:
        """Add a call. `price_micro` is micro-units per MTok, which is pico-units a token."""
        counted = extent.counted or 0
        self.calls += 1
        self.pieces += extent.pieces
        self.chars += extent.chars
        self.octets += extent.octets
        self.counted += counted
        self.claimed += claimed
        self.priced_calls += price_micro
        self.priced_pieces += extent.pieces * price_micro
        self.priced_octets += extent.octets * price_micro
        self.priced_counted += counted * price_micro
        self.priced_claimed += claimed * price_micro

    def over_counted_micro(self, template: Template) -> int:
        """Whole micro-units claimed beyond our count and the template, 0 if in all there was no more."""
        expected_pico = self.priced_counted + self._template_pico(template)
        return max(0, div_floor(self.priced_claimed - expected_pico, PICO_PER_MICRO))

    def over_ratio_micro(self, ratio: int, template: Template) -> int:
        """Whole micro-units claimed beyond `ratio` tokens per million bytes and the template, 0 if in all there was no more."""
        over_ppm = (self.priced_claimed - self._template_pico(template)) * PPM - self.priced_octets * ratio
        return max(0, div_floor(over_ppm, PPM * PICO_PER_MICRO))

    def _template_pico(self, template: Template) -> int:
        return template.per_message * self.priced_pieces + template.per_call * self.priced_calls

    def words(self) -> list[int]:
        """All sums, in order."""
        return list(astuple(self))

    @classmethod
    def of_words(cls, words: Sequence[int]) -> Self:
        """The inverse of `words`; Malformed for what is no row of sums."""
        return cls(*whole_row(words, SUMS_WORDS))


SUMS_WORDS = len(fields(Sums))


def whole_row(words: Sequence[int], length: int) -> Sequence[int]:
    """`words`, if they are `length` integers of 0 or more; else Malformed is raised."""
    if len(words) != length or min(words) < 0:
        raise Malformed("kept sums of the audit", found=list(words), expected=f"{length} integers of 0 or more",
                        remedy="Restore the file from a copy, or begin a new one.")  # fmt: skip
    return words
