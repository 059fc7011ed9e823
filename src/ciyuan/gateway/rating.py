"""Rating: what a request may cost at most, what it cost, and which price list says so.

| expression | gives |
|---|---|
| `list_in_force(lists, moment)` | the list with the latest `valid_from_ns` at or before the moment; None before the first |
| `worst_cost_pico(list, tokens_in, tokens_out)` | pico-units if all input has the dearer of the two input prices |
| `worst_cost_by_legs(prices, tokens_in, tokens_out, pieces)` | the same by legs, over all steps that so much input reaches |
| `hold_micro(cost_pico)` | the whole micro-units that cover that cost and any carry below one micro-unit |

Why a hold always suffices: a charge is floor((cost + carry) / 10**6) with carry < 10**6, and cost is at most
the worst cost, since no leg is more than held and a batch price is never above its price. So the charge is at
most floor(worst / 10**6) + 1, the hold.
"""

from collections.abc import Iterable, Mapping

from ciyuan.basics.money import PICO_PER_MICRO
from ciyuan.basics.price import PriceList
from ciyuan.gateway.leg_prices import LegPrices
from ciyuan.gateway.usage import INPUT_LEGS, PARTS, Leg

_IN = (*INPUT_LEGS, *(leg for leg, whole in PARTS.items() if whole == Leg.INPUT))
_OUT = (Leg.OUTPUT, *(leg for leg, whole in PARTS.items() if whole == Leg.OUTPUT))


def list_in_force(lists: Iterable[PriceList], moment_ns: int) -> PriceList | None:
    """The list of one supplier and grade that is in force at a moment; None if all begin later."""
    begun = [prices for prices in lists if prices.valid_from_ns <= moment_ns]
    return max(begun, key=lambda prices: prices.valid_from_ns, default=None)


def worst_cost_pico(prices: PriceList, tokens_in: int, tokens_out: int) -> int:
    """The most that so many tokens can cost, in pico-units."""
    return tokens_in * max(prices.input, prices.cached) + tokens_out * prices.output


def worst_cost_by_legs(
    prices: LegPrices, tokens_in: int, tokens_out: int, pieces: Mapping[int, int] | Mapping[Leg, int]
) -> int:
    """The most that so many tokens, and so many pieces by leg, can cost: all at the dearest price of their kind."""
    reached = [prices, *(step.prices for step in prices.steps if tokens_in > step.above_tokens)]
    dearest = [max(held.pico[leg] for held in reached) for leg in Leg]
    cost = tokens_in * max(dearest[leg] for leg in _IN) + tokens_out * max(dearest[leg] for leg in _OUT)
    return cost + sum(count * dearest[leg] for leg, count in pieces.items())


def hold_micro(cost_pico: int) -> int:
    """Whole micro-units to hold for a worst cost: one more than it holds whole, for the carry."""
    return cost_pico // PICO_PER_MICRO + 1
