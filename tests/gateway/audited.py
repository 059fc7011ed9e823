"""Calls for the audit: suppliers of known honesty, whose lengths, templates and lies are drawn from a seed."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from ciyuan.gateway.audit import Alarm, Audit
from ciyuan.gateway.audit_sample import Extent, Reasoning, Sample, Script
from ciyuan.gateway.usage import Claim, Leg, Provenance, usage_from

VOCABULARY = "its-own"
BYTES_PER_TOKEN = 4


def claim_of(asked: int, delivered: int, reasoning: int | None = None) -> Claim:
    """A final claim of a supplier."""
    counts = {Leg.INPUT: asked, Leg.OUTPUT: delivered, Leg.REASONING: reasoning}
    return Claim(usage_from(Provenance.SUPPLIER, counts))


def text_of(tokens: int, *, pieces: int = 1, counted: bool = True, script: Script = Script.LATIN) -> Extent:
    """A text of so many tokens, four bytes each."""
    octets = tokens * BYTES_PER_TOKEN
    return Extent(octets, octets, script, pieces, tokens if counted else None)


def sample(
    key: int = 1,
    *,
    asked: Extent | None = None,
    delivered: Extent | None = None,
    claim: Claim | None = None,
    reasoning: Reasoning = Reasoning.NONE,
    supplier: int = 7,
    grade: int = 3,
    vocabulary: str | None = None,
) -> Sample:
    """A call, 100 tokens asked and 50 delivered, claimed as they are unless said otherwise."""
    asked, delivered = asked or text_of(100), delivered or text_of(50)
    by_name = asked.counted is not None or delivered.counted is not None
    return Sample(
        key,
        supplier,
        grade,
        (VOCABULARY if by_name else "") if vocabulary is None else vocabulary,
        asked,
        delivered,
        claim or claim_of(asked.counted or 0, delivered.counted or 0),
        reasoning,
        input_price_micro=1_000_000,
        output_price_micro=4_000_000,
    )


@dataclass
class Supplier:
    """One whose template is known, and who adds `over_bp` to what it counts from call `lies_from` on."""

    seed: int
    over_bp: int = 0
    lies_from: int = 0
    noise: float = 0.0
    """Standard deviation of what its count differs by, as a part of the count: texts cut otherwise than a reader would."""
    per_message: int = 5
    per_call: int = 3
    counted: bool = True
    ratio_noise: float = 0.0
    """Standard deviation of bytes per token, as a part of it."""
    tokenizer: float = 1.0
    """Tokens of its own tokenizer per token of ours, from `lies_from` on."""

    def calls(self, calls: int) -> Iterator[Sample]:
        """Its first calls. Prompts of a median of 660 tokens, answers of 400, lengths lognormal."""
        rng = random.Random(self.seed)  # noqa: S311
        for key in range(calls):
            asked, delivered = self._tokens(rng, 6.5, 1.2), self._tokens(rng, 6.0, 0.9)
            messages = rng.choice((1, 1, 3, 5, 9))
            yield Sample(
                key,
                1,
                1,
                VOCABULARY if self.counted else "",
                self._text(rng, asked, messages),
                self._text(rng, delivered, 1),
                claim_of(
                    self._claimed(rng, key, asked) + self.per_message * messages + self.per_call,
                    self._claimed(rng, key, delivered) + 1,
                ),
                input_price_micro=1_000_000,
                output_price_micro=4_000_000,
            )

    @staticmethod
    def _tokens(rng: random.Random, log_median: float, spread: float) -> int:
        return max(1, math.floor(rng.lognormvariate(log_median, spread)))

    def _text(self, rng: random.Random, tokens: int, pieces: int) -> Extent:
        octets = max(1, round(tokens * BYTES_PER_TOKEN * math.exp(rng.gauss(0, self.ratio_noise))))
        return Extent(octets, octets, Script.LATIN, pieces, tokens if self.counted else None)

    def _claimed(self, rng: random.Random, key: int, tokens: int) -> int:
        lies = key >= self.lies_from
        honest = tokens * (self.tokenizer if lies else 1.0) + rng.gauss(0, self.noise * tokens)
        return max(0, round(honest * (1 + self.over_bp / 10_000 if lies else 1)))


def first_alarms(supplier: Supplier, calls: int, audit: Audit) -> list[Alarm]:
    """Every alarm in a supplier's first calls."""
    return [alarm for call in supplier.calls(calls) for alarm in audit.apply(call).alarms]
