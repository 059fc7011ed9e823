"""Tokens by leg.

| expression | gives | raises |
|---|---|---|
| `Legs + Legs` | Legs, leg by leg | ValueError if one is a batch and the other is not |
| `Legs(...)` | | Malformed for a negative count, or more cached than input tokens |

`cached` is a part of `input`, as OpenAI counts it; a supplier that counts cached tokens beside the input (Anthropic) is
converted at the edge. Reasoning tokens are a part of `output`.
"""

from dataclasses import dataclass

from ciyuan.basics.errors import Malformed

MTOK = 10**6
"""Tokens in one MTok."""


@dataclass(frozen=True, slots=True)
class Legs:
    """What one request used, in tokens. `batch` marks usage under the batch discount."""

    input: int
    cached: int
    output: int
    batch: bool = False

    def __post_init__(self) -> None:
        if min(self.input, self.cached, self.output) < 0 or self.cached > self.input:
            raise Malformed(
                "token legs",
                found=(self.input, self.cached, self.output),
                expected="counts of 0 or more, and no more cached than input tokens",
                remedy="Cached tokens are a part of the input; add them to it if your supplier counts them apart.",
            )

    @property
    def uncached(self) -> int:
        """Input tokens that were not read from a cache."""
        return self.input - self.cached

    def __add__(self, other: "Legs") -> "Legs":
        if self.batch != other.batch:
            raise ValueError("batch and ordinary usage are priced apart: add each to its own kind")
        return Legs(
            self.input + other.input, self.cached + other.cached, self.output + other.output, self.batch
        )
