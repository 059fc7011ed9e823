"""The grade: a standard of token that many sellers can make, and the vector that turns its legs into standard tokens.

| expression | gives |
|---|---|
| `vector.standard_centitokens(legs)` | hundredths of a standard token; exact, but for batch usage: half up |
| `vector.standard_tokens(legs, carry)` | (whole standard tokens, hundredths carried on), 0 <= carry < 100 |

One standard token is one uncached input token (rulebook §1.3). The default vector 1.00 / 0.20 / 4.21, batch x 0.50 is that of an
existing forward market in standardised token units (compute.exchange, "GPU token forwards", anchored on Kimi K2).
"""

from dataclasses import dataclass
from enum import IntEnum

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_half_up
from ciyuan.basics.tokens import Legs

CENTI = 100
"""Hundredths in one standard token."""


class GradeKind(IntEnum):
    """Rulebook §1.1. Only a pinned grade (open weights, least precision) is deliverable; a band grade is a capability band."""

    PINNED = 1
    BAND = 2


@dataclass(frozen=True, slots=True)
class ConversionVector:
    """Hundredths of a standard token per token of each leg; `batch` is hundredths that multiply the whole."""

    input: int = 100
    cached: int = 20
    output: int = 421
    batch: int = 50

    def __post_init__(self) -> None:
        if min(self.input, self.cached, self.output, self.batch) < 0:
            raise Malformed(
                "conversion vector",
                found=self,
                expected="hundredths of 0 or more",
                remedy="Mend the grade's entry.",
            )

    def standard_centitokens(self, legs: Legs) -> int:
        """Hundredths of a standard token in `legs`; batch usage is multiplied and rounded half up to a hundredth."""
        centi = legs.uncached * self.input + legs.cached * self.cached + legs.output * self.output
        return div_half_up(centi * self.batch, CENTI) if legs.batch else centi

    def standard_tokens(self, legs: Legs, carry_centi: int = 0) -> tuple[int, int]:
        """Whole standard tokens in `legs` and the carry, and the hundredths to carry to the next call."""
        return divmod(self.standard_centitokens(legs) + carry_centi, CENTI)


@dataclass(frozen=True, slots=True)
class Service:
    """The least service of a grade (rulebook §1.2)."""

    output_tokens_per_s_p50_min: int
    ttft_ms_p95_max: int
    context_tokens_min: int
    availability_bp_min: int


@dataclass(frozen=True, slots=True)
class Grade:
    """A dated version of a grade. `successor` is None until one is named; `valid_to_ns` is None while none is set."""

    number: int
    code: str
    name: str
    kind: GradeKind
    tier: str
    vector: ConversionVector
    service: Service
    tokenizer: str
    valid_from_ns: int
    valid_to_ns: int | None = None
    successor: str | None = None
