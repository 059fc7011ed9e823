"""Legs as the plain meter remembers them: what LEG_PRICE rows said of a list, made the `LegPrices` that price by definition."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ciyuan.basics.price import PriceList
from ciyuan.gateway.leg_prices import LegPrices, Step
from ciyuan.gateway.usage import Leg, Usage

TOLD = tuple(leg for leg in Leg if leg not in (Leg.INPUT, Leg.CACHE_READ, Leg.OUTPUT))
"""The legs that a DELIVER does not say, in order: the columns of the snapshot's leg counts."""
PIECES = (Leg.IMAGES, Leg.SEARCHES, Leg.REQUESTS)


@dataclass(slots=True)
class SaidLegs:
    """What was said of one list's legs: prices by step and leg, above how many tokens each step begins, most pieces by leg."""

    prices: dict[tuple[int, int], int] = field(default_factory=dict)
    above: list[int] = field(default_factory=list)
    most: dict[int, int] = field(default_factory=dict)

    def bound(self, step: int, leg: int) -> int:
        """The bound that goes with a price."""
        return self.above[step - 1] if step else self.most.get(leg, 0)

    def say(self, step: int, leg: int, price: int, bound: int) -> None:
        """Take in one price."""
        self.prices[step, leg] = price
        if step > len(self.above):
            self.above.append(bound)
        elif step == 0 and leg in PIECES:
            self.most[leg] = bound


def leg_prices_of(prices: PriceList, said: SaidLegs) -> LegPrices:
    """The prices by leg of a list: what nobody said costs what PRICES says, and in a step what it costs without one."""
    first = {Leg.CACHE_READ: prices.cached, Leg.OUTPUT: prices.output, Leg.REASONING: prices.output}
    first |= {Leg.AUDIO_OUT: prices.output, Leg.IMAGE_OUT: prices.output} | dict.fromkeys(PIECES, 0)
    first = {leg: first.get(leg, prices.input) for leg in Leg}
    base = {leg: said.prices.get((0, leg), first[leg]) for leg in Leg}
    steps = tuple(
        Step(above, _of(prices, {leg: said.prices.get((step, leg), base[leg]) for leg in Leg}))
        for step, above in enumerate(said.above, 1)
    )
    return _of(prices, base, steps)


def _of(prices: PriceList, pico: Mapping[Leg, int], steps: tuple[Step, ...] = ()) -> LegPrices:
    return LegPrices(tuple(pico[leg] for leg in Leg), prices.batch_hundredths, steps)


def usage_of(tokens_in: int, cached: int, tokens_out: int, told: Mapping[int, int]) -> Usage:
    """The usage of what a DELIVER says and what was told of the other legs."""
    counts = {leg: told.get(leg, 0) for leg in Leg}
    writes = counts[Leg.CACHE_WRITE_SHORT] + counts[Leg.CACHE_WRITE_LONG]
    counts |= {Leg.INPUT: tokens_in - cached - writes, Leg.CACHE_READ: cached, Leg.OUTPUT: tokens_out}
    return Usage(tuple(counts[leg] for leg in Leg))


def exceed_whole(usage: Usage) -> bool:
    """Whether the parts of input or of output are more than it."""
    rest_in = usage.amount(Leg.INPUT) - usage.amount(Leg.AUDIO_IN) - usage.amount(Leg.IMAGE_IN)
    parts = (Leg.REASONING, Leg.AUDIO_OUT, Leg.IMAGE_OUT)
    return rest_in < 0 or sum(usage.amount(leg) for leg in parts) > usage.amount(Leg.OUTPUT)


def too_many_pieces(prices: LegPrices, said: SaidLegs, usage: Usage) -> bool:
    """Whether a usage has more pieces of a kind that costs anything than its list lets one request use."""
    dear = {
        leg
        for leg in PIECES
        if any(held.pico[leg] for held in (prices, *(step.prices for step in prices.steps)))
    }
    return any(usage.amount(leg) > said.most.get(leg, 0) for leg in dear)
