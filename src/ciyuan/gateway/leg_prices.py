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

The meter's own list (`basics.price.PriceList`) has input, cached input and output, one date and a batch discount; LEG_PRICE rows
complete it. `rows` says a `LegPrices` to the meter, which then charges the same to the pico-unit; `as_price_list` gives the list
alone, where it is enough.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_half_up, parse_micro
from ciyuan.basics.price import PriceList
from ciyuan.basics.rows import Row
from ciyuan.gateway.messages import (
    PIECE_PRICE_MAX,
    PIECES_MAX,
    PRICE_MAX,
    STEPS_MAX,
    deliver_row,
    leg_price_row,
    leg_used_row,
    prices_row,
)
from ciyuan.gateway.usage import LEGS, PARTS, Leg, Usage

PLAUSIBLE_MIN, PLAUSIBLE_MAX = 1_000, 2_000 * 10**6
"""Micro-units per MTok between which every posted price of a token lies: 0.001 to 2,000 units of currency per MTok. A price
per million that was typed per token is a million times off and cannot hide in this band (github.com/maximhq/bifrost
issues 3559 and 5243)."""
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
_OF_DELIVER = (Leg.INPUT, Leg.CACHE_READ, Leg.OUTPUT)
"""The legs that PRICES and DELIVER have words for."""


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
        if (
            len(self.pico) != LEGS
            or min(self.pico) < 0
            or max(tokens) > PRICE_MAX
            or max(pieces) > PIECE_PRICE_MAX
        ):
            raise Malformed("prices by leg", found=self.pico,
                            expected=f"{LEGS} prices of 0 or more, at most {PRICE_MAX} a token and {PIECE_PRICE_MAX} a piece",
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

    def rows(
        self,
        time_ns: int,
        supplier: int,
        grade: int,
        valid_from_ns: int,
        pieces: Mapping[Leg, int] | None = None,
    ) -> list[Row]:
        """The PRICES row and the LEG_PRICE rows that say these prices to the meter; `pieces`: how many of each one request may
        use, where they cost anything (a call is one call). Raises Malformed for what the meter has no words for: more than seven
        steps, a step with a batch discount of its own, a priced piece without a bound.
        """
        most = {Leg.REQUESTS: 1} | dict(pieces or {})
        held = (self, *(step.prices for step in self.steps))
        priced = [leg for leg in _PIECES if any(prices.pico[leg] for prices in held)]
        discounts = {prices.batch_hundredths for prices in held}
        if len(self.steps) > STEPS_MAX or len(discounts) > 1 or not 1 <= self.batch_hundredths <= 100:
            raise Malformed("prices by leg", found=f"{len(self.steps)} steps, batch hundredths {sorted(discounts)}",
                            expected=f"at most {STEPS_MAX} steps, and one batch discount of 1 to 100 hundredths",
                            remedy="Make a grade for each.")  # fmt: skip
        if any(not 0 < most.get(leg, 0) <= PIECES_MAX for leg in priced):
            raise Malformed("prices by leg", found={leg.name: most.get(leg, 0) for leg in priced},
                            expected=f"for each piece that costs anything, how many a request may use, 1 to {PIECES_MAX}",
                            remedy="Give the most that the request allows: what is held is held for so many.")  # fmt: skip
        return list(self._rows(time_ns, supplier, grade, valid_from_ns, {leg: most[leg] for leg in priced}))

    def _rows(
        self, time_ns: int, supplier: int, grade: int, begins_ns: int, most: Mapping[Leg, int]
    ) -> Iterator[Row]:
        pico = self.pico
        yield prices_row(
            time_ns,
            supplier,
            grade,
            price_in=pico[Leg.INPUT],
            price_cached=pico[Leg.CACHE_READ],
            price_out=pico[Leg.OUTPUT],
            valid_from_ns=begins_ns,
            batch_hundredths=self.batch_hundredths,
        )
        for leg in Leg:
            of_prices = leg in _OF_DELIVER
            usual = 0 if leg in _PIECES else pico[Leg.OUTPUT if PARTS.get(leg) == Leg.OUTPUT else Leg.INPUT]
            if leg in most or (not of_prices and pico[leg] != usual):
                bound = most.get(leg, 0)
                yield leg_price_row(
                    time_ns, supplier, grade, leg, pico[leg], valid_from_ns=begins_ns, bound=bound
                )
        for number, step in enumerate(self.steps, 1):
            for leg, price in zip(Leg, step.prices.pico, strict=True):
                if leg == Leg.INPUT or price != pico[leg]:
                    where = {"valid_from_ns": begins_ns, "step": number, "bound": step.above_tokens}
                    yield leg_price_row(time_ns, supplier, grade, leg, price, **where)


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


def usage_rows(time_ns: int, request: int, parties: int, usage: Usage, *, batch: bool = False) -> list[Row]:
    """The rows that tell the meter what a held request used: a LEG_USED of each leg that a DELIVER has no word for and that is
    not 0, then the DELIVER. Raises Malformed if input or output is absent.
    """
    legs = usage.meter_legs(batch=batch)
    told = [
        leg_used_row(time_ns, request, leg, usage.amount(leg))
        for leg in Leg
        if leg not in _OF_DELIVER and usage.amount(leg)
    ]
    return [*told, deliver_row(time_ns, request, parties, legs.input, legs.cached, legs.output, batch=batch)]
