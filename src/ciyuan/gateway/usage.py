"""Usage: what one call used, leg by leg, whoever says so: the one record that every vendor's counts become.

| leg | holds |
|---|---|
| INPUT | input tokens neither read from a cache nor written to one |
| CACHE_READ | input tokens read from a cache |
| CACHE_WRITE_SHORT | input tokens written to a cache for its short lifetime (5 minutes at Anthropic, 30 at OpenAI) |
| CACHE_WRITE_LONG | input tokens written to a cache for its long lifetime (1 hour, 12 hours) |
| OUTPUT | all output tokens, reasoning among them |
| REASONING | output tokens of reasoning: a part of OUTPUT |
| AUDIO_IN, IMAGE_IN | tokens of sound and of pictures: parts of INPUT |
| AUDIO_OUT, IMAGE_OUT | tokens of sound and of pictures: parts of OUTPUT |
| IMAGES, SEARCHES, REQUESTS | pieces: pictures handed in by address, searches done by the supplier, calls |

The first four and OUTPUT never overlap, so a token is in one of them and is paid for once; the others are parts. Each leg
says where its count is from. A count of 0 is a count; a leg nobody spoke of is None, and stays None until it is filled.

What a supplier says is a *claim* and may be impossible: more read from the cache than was put in, a count that is negative,
no integer, or beyond any model's context. Such a claim has a fault and no usage: it is never a silent number.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_ceil
from ciyuan.basics.tokens import Legs

TOKENS_CLAIM_MAX = 20_000_000
"""The most tokens of a leg that one call is believed to have used: twice the longest context that is sold (10 M, Llama 4
Scout). A gateway was told 675,947,905 input tokens for one call (github.com/router-for-me/CLIProxyAPI/issues/6022)."""


class Leg(IntEnum):
    """The legs, as places in a usage record."""

    INPUT = 0
    CACHE_READ = 1
    CACHE_WRITE_SHORT = 2
    CACHE_WRITE_LONG = 3
    OUTPUT = 4
    REASONING = 5
    AUDIO_IN = 6
    AUDIO_OUT = 7
    IMAGE_IN = 8
    IMAGE_OUT = 9
    IMAGES = 10
    SEARCHES = 11
    REQUESTS = 12


LEGS = len(Leg)
INPUT_LEGS = (Leg.INPUT, Leg.CACHE_READ, Leg.CACHE_WRITE_SHORT, Leg.CACHE_WRITE_LONG)
"""The legs whose sum is the whole input: what a price by length of context goes by."""
PARTS = {
    Leg.REASONING: Leg.OUTPUT,
    Leg.AUDIO_IN: Leg.INPUT,
    Leg.AUDIO_OUT: Leg.OUTPUT,
    Leg.IMAGE_IN: Leg.INPUT,
    Leg.IMAGE_OUT: Leg.OUTPUT,
}
"""The legs that are parts, and of which."""
_NOTHING: tuple[int | None, ...] = (None,) * LEGS


class Provenance(IntEnum):
    """Where a count is from."""

    SUPPLIER = 1
    """The supplier said it."""
    COUNTED = 2
    """We counted it: tokens with the model's own vocabulary, pieces one by one."""
    ESTIMATED = 3
    """We took it from bytes by a ratio, for want of a vocabulary."""


class UsageFault(IntEnum):
    """Why a claim cannot be true. Of several faults the one that was met first is named."""

    NOT_AN_OBJECT = 1
    NOT_AN_INTEGER = 2
    NEGATIVE = 3
    OVER_BOUND = 4
    SPELLINGS_DISAGREE = 5
    """Two fields that mean the same hold different counts."""
    CACHE_EXCEEDS_INPUT = 6
    WRITES_DISAGREE = 7
    """The writes by lifetime are more than all writes."""
    TOTAL_DISAGREES = 8
    """The total is not the sum of its parts, and no reasoning that was left out explains it."""
    PART_EXCEEDS_WHOLE = 9
    """More reasoning, sound or pictures than the leg that they are a part of."""
    WENT_BACK = 10
    """A cumulative count of a stream became less."""


class Usage(NamedTuple):
    """Counts by leg, (13,), None where nobody said; and for each leg two bits that say where its count is from."""

    counts: tuple[int | None, ...] = _NOTHING
    sources: int = 0

    def of(self, leg: Leg) -> int | None:
        """The count of a leg; None if it is absent."""
        return self.counts[leg]

    def amount(self, leg: Leg) -> int:
        """The count of a leg, 0 if it is absent: for the legs that are absent because there is nothing of them."""
        return self.counts[leg] or 0

    def provenance(self, leg: Leg) -> Provenance | None:
        """Where the count of a leg is from; None if it is absent."""
        source = self.sources >> 2 * leg & 3
        return Provenance(source) if source else None

    @property
    def input_tokens(self) -> int:
        """All input tokens, however they were had."""
        fresh, read, short, lasting = self.counts[
            : Leg.OUTPUT
        ]  # INPUT_LEGS, written out: this is asked of every answer
        return (fresh or 0) + (read or 0) + (short or 0) + (lasting or 0)

    def filled(self, by: "Usage") -> "Usage":
        """This usage, with each leg that is absent here taken from `by`, and said to be from there."""
        counts = tuple(
            own if own is not None else other for own, other in zip(self.counts, by.counts, strict=True)
        )
        sources = self.sources
        for leg, own in enumerate(self.counts):
            if own is None:
                sources |= by.sources & 3 << 2 * leg
        return Usage(counts, sources)

    def without(self, *legs: Leg) -> "Usage":
        """This usage with some legs absent."""
        counts, sources = list(self.counts), self.sources
        for leg in legs:
            counts[leg] = None
            sources &= ~(3 << 2 * leg)
        return Usage(tuple(counts), sources)

    def meter_legs(self, *, batch: bool = False) -> Legs:
        """The three legs that the meter's DELIVER has today: all input, what of it was read from a cache, all output.

        Raises Malformed if input or output is absent: an absent leg is filled first, and marked.
        """
        self.require_whole()
        return Legs(self.input_tokens, self.amount(Leg.CACHE_READ), self.amount(Leg.OUTPUT), batch)

    def require_whole(self) -> None:
        """Raises Malformed unless input and output are both there: nothing can be charged for a leg nobody counted."""
        if self.counts[Leg.INPUT] is None or self.counts[Leg.OUTPUT] is None:
            raise Malformed("usage", found=self.counts, expected="a count of input and a count of output",
                            remedy="Fill what is absent with what was counted: Usage.filled.")  # fmt: skip


def usage_from(provenance: Provenance, counts: Mapping[Leg, int | None]) -> Usage:
    """A usage whose legs all have one provenance; a leg that is None or not named is absent.

    Raises Malformed for a negative count and for a part that is more than its whole.
    """
    row = tuple(counts.get(leg) for leg in Leg)
    if any(count is not None and count < 0 for count in row):
        raise Malformed(
            "usage", found=row, expected="counts of 0 or more", remedy="A correction is a new entry."
        )
    for part, whole in PARTS.items():
        if (row[part] or 0) > (row[whole] or 0):
            raise Malformed("usage", found=f"{part.name} {row[part]}, {whole.name} {row[whole]}",
                            expected=f"{part.name} as a part of {whole.name}", remedy="Count the whole.")  # fmt: skip
    return Usage(row, sources_word(row, provenance))


def sources_word(counts: tuple[int | None, ...], provenance: Provenance) -> int:
    """The two bits a leg for counts that are all from one place."""
    word = 0
    for leg, count in enumerate(counts):
        if count is not None:
            word |= provenance << 2 * leg
    return word


def estimated_tokens(octets: int, centibytes_per_token: int) -> int:
    """Tokens in so many bytes of text, rounded up, by a ratio in hundredths of a byte per token (> 0)."""
    return div_ceil(100 * octets, centibytes_per_token)


class Standing(IntEnum):
    """How a supplier's claim stands when the answer has ended: the columns of docs/spec/endings.md."""

    ABSENT = 1
    """It said nothing."""
    IMPOSSIBLE = 2
    """It said what cannot be."""
    ZERO = 3
    """It said 0 of what an answer is made of (output; input for embeddings)."""
    PARTIAL = 4
    """It spoke before the end: of the input, or of the output so far."""
    FULL = 5
    """It said what the call used."""


class Claim(NamedTuple):
    """What a supplier says that a call used: a usage, or a fault with what was found, or nothing at all.

    `final` is false while a stream's counts may still grow. `apart` says that reasoning was counted beside the output,
    or left out of it, and was added here.
    """

    usage: Usage | None = None
    fault: UsageFault | None = None
    found: str = ""
    final: bool = True
    apart: bool = False

    @property
    def standing(self) -> Standing:
        """How it stands."""
        if self.fault is not None:
            return Standing.IMPOSSIBLE
        if self.usage is None:
            return Standing.ABSENT
        if not self.final or self.usage.counts[Leg.OUTPUT] is None:
            return Standing.PARTIAL
        return Standing.FULL if self._something() else Standing.ZERO

    def _something(self) -> bool:
        usage = self.usage
        if usage is None:
            return False
        if usage.provenance(Leg.OUTPUT) is Provenance.COUNTED:  # an embedding: there is no output to say
            return usage.input_tokens > 0
        return usage.amount(Leg.OUTPUT) > 0


NO_CLAIM = Claim()
"""The supplier said nothing."""
