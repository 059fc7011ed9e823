"""Prices by leg, in whole pico-units, and what a usage costs by them: exact, each token once.

A price of a token is pico-units per token, which is micro-units per million tokens (as in `basics.price`); a price of a piece is
pico-units per piece. A leg without a price of its own is billed as the leg it falls back on:

| leg | falls back on |
|---|---|
| CACHE_READ, CACHE_WRITE_SHORT, AUDIO_IN, IMAGE_IN | INPUT |
| CACHE_WRITE_LONG | CACHE_WRITE_SHORT |
| REASONING, AUDIO_OUT, IMAGE_OUT | OUTPUT |
| IMAGES, SEARCHES, REQUESTS | free |

A *step* is other prices for the whole call as soon as its input, however it was had, is above so many tokens: a cliff, as vendors
have it, not a ladder. Batch prices are each price x hundredths / 100, a half rounded up, as the meter has them.

The meter's own list (`basics.price.PriceList`) has input, cached input and output, one date and a batch discount. What of a
`LegPrices` it can say, `as_price_list` says; docs/spec/usage.md lists what it cannot, and how it is to be extended.
"""

from dataclasses import dataclass
from typing import Self

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_half_up, parse_micro
from ciyuan.basics.price import PriceList
from ciyuan.gateway.messages import PRICE_MAX
from ciyuan.gateway.usage import LEGS, Leg, Usage

PLAUSIBLE_MIN, PLAUSIBLE_MAX = 1_000, 2_000 * 10**6
"""Micro-units per MTok between which every posted price of a token lies: 0.001 to 2,000 units of currency per MTok. A price
per million that was typed per token is a million times off and cannot hide in this band (github.com/maximhq/bifrost
issues 3559 and 5243)."""
PIECE_MAX = 10**15
"""The highest price of a piece: 1,000 units of currency."""
_FALL_BACK = {
    Leg.CACHE_READ: Leg.INPUT,
    Leg.CACHE_WRITE_SHORT: Leg.INPUT,
    Leg.CACHE_WRITE_LONG: Leg.CACHE_WRITE_SHORT,
    Leg.AUDIO_IN: Leg.INPUT,
    Leg.IMAGE_IN: Leg.INPUT,
    Leg.REASONING: Leg.OUTPUT,
    Leg.AUDIO_OUT: Leg.OUTPUT,
    Leg.IMAGE_OUT: Leg.OUTPUT,
}
_PIECES = (Leg.IMAGES, Leg.SEARCHES, Leg.REQUESTS)


@dataclass(frozen=True, slots=True)
class Step:
    """Other prices for the whole call if its input is above `above_tokens`."""

    above_tokens: int
    prices: "LegPrices"


@dataclass(frozen=True, slots=True)
class LegPrices:
    """A price for each leg, (13,): pico-units per token or per piece; and the steps by length of input, the shortest first."""

    pico: tuple[int, ...]
    batch_hundredths: int = 50
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        tokens, pieces = self.pico[: Leg.IMAGES], self.pico[Leg.IMAGES :]
        if len(self.pico) != LEGS or min(self.pico) < 0 or max(tokens) > PRICE_MAX or max(pieces) > PIECE_MAX:
            raise Malformed("prices by leg", found=self.pico,
                            expected=f"{LEGS} prices of 0 or more, a token's at most {PRICE_MAX}, a piece's at most {PIECE_MAX}",
                            remedy="Give micro-units per million tokens, and pico-units per piece.")  # fmt: skip
        starts = [step.above_tokens for step in self.steps]
        if starts != sorted(set(starts)) or any(step.prices.steps for step in self.steps):
            raise Malformed("prices by leg", found=starts, expected="steps in order, each but once, none inside another",
                            remedy="Sort the steps by where they begin.")  # fmt: skip

    @classmethod
    def of(cls, prices: dict[Leg, int], *, batch_hundredths: int = 50, steps: tuple[Step, ...] = ()) -> Self:
        """Prices of the legs named, in pico-units; the others fall back. Raises Malformed without INPUT and OUTPUT."""
        if Leg.INPUT not in prices or Leg.OUTPUT not in prices:
            raise Malformed("prices by leg", found=sorted(leg.name for leg in prices), expected="a price of INPUT and of OUTPUT",
                            remedy="A model without output (embeddings) has an output price of 0.")  # fmt: skip
        whole = dict(prices)
        for leg in Leg:
            if leg not in whole:
                whole[leg] = 0 if leg in _PIECES else whole[_FALL_BACK[leg]]
        return cls(tuple(whole[leg] for leg in Leg), batch_hundredths, steps)

    @classmethod
    def per_mtok(cls, prices: dict[Leg, str], **pieces: str) -> Self:
        """Prices as vendors post them: texts of whole units of currency per million tokens, and of units per piece for `images`,
        `searches`, `requests`. Exact: raises Malformed for more than six decimals."""
        in_pico = {leg: parse_micro(text) for leg, text in prices.items()}
        for name, text in pieces.items():
            in_pico[Leg[name.upper()]] = parse_micro(text) * 10**6
        return cls.of(in_pico)

    def for_input(self, tokens: int) -> "LegPrices":
        """The prices that hold for a call with so many tokens of input."""
        prices = self
        for step in self.steps:
            if tokens > step.above_tokens:
                prices = step.prices
        return prices

    def implausible(self) -> tuple[Leg, ...]:
        """The legs whose price of a token is outside what is posted anywhere: to be asked about before the list is taken in."""
        return tuple(
            leg
            for leg in Leg
            if leg not in _PIECES and self.pico[leg] and not PLAUSIBLE_MIN <= self.pico[leg] <= PLAUSIBLE_MAX
        )

    def as_price_list(self, supplier: int, grade: int, valid_from_ns: int) -> PriceList | None:
        """The meter's price list that charges the same for every usage; None if it has no words for these prices."""
        pico = self.pico
        plain = all(
            pico[leg] == pico[Leg.INPUT]
            for leg in (Leg.CACHE_WRITE_SHORT, Leg.CACHE_WRITE_LONG, Leg.AUDIO_IN, Leg.IMAGE_IN)
        )
        plain &= all(pico[leg] == pico[Leg.OUTPUT] for leg in (Leg.REASONING, Leg.AUDIO_OUT, Leg.IMAGE_OUT))
        if not plain or self.steps or any(pico[leg] for leg in _PIECES):
            return None
        return PriceList(supplier, grade, valid_from_ns, pico[Leg.INPUT], pico[Leg.CACHE_READ], pico[Leg.OUTPUT],
                         self.batch_hundredths)  # fmt: skip


def cost_pico(usage: Usage, prices: LegPrices, *, batch: bool = False) -> int:
    """The exact cost of a usage in pico-units. Raises Malformed if input or output is absent.

    A part is taken out of its whole before the whole is priced, so no token is paid for twice.
    """
    usage.require_whole()
    held = prices.for_input(usage.input_tokens)
    count = [amount or 0 for amount in usage.counts]
    count[Leg.INPUT] -= count[Leg.AUDIO_IN] + count[Leg.IMAGE_IN]
    count[Leg.OUTPUT] -= count[Leg.REASONING] + count[Leg.AUDIO_OUT] + count[Leg.IMAGE_OUT]
    if count[Leg.INPUT] < 0 or count[Leg.OUTPUT] < 0:
        raise Malformed("usage", found=usage.counts, expected="parts that are together no more than their whole",
                        remedy="Read usage with gateway.claims, which sees to it.")  # fmt: skip
    pico = held.pico
    if batch:
        pico = tuple(div_half_up(price * held.batch_hundredths, 100) for price in pico)
    return sum(amount * price for amount, price in zip(count, pico, strict=True))
