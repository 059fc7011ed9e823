"""Prices: integers of micro-dollars per million tokens, which is the same number as pico-dollars per token.

| expression | gives |
|---|---|
| `tokens * price` | an exact cost in pico-dollars |
| `price_list.cost_pico(legs)` | the exact cost of a request in pico-dollars |
| `standard_price(cost_pico, centitokens)` | micro-dollars per MTok of standard tokens, half up |
| `ticks_half_up(price, tick)` | whole ticks, half up |
"""

from dataclasses import dataclass

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import CENTI
from ciyuan.basics.money import div_half_up
from ciyuan.basics.tokens import Legs


def standard_price(cost_pico: int, centitokens: int) -> int:
    """Micro-dollars per MTok of standard tokens that `cost_pico` pico-dollars pay for `centitokens` hundredths, half up.

    Raises Malformed if there are no tokens: a price of nothing is not a price.
    """
    if centitokens <= 0:
        raise Malformed("standard price", found=centitokens, expected="more than 0 hundredths of a token",
                        remedy="Leave out deliveries of nothing.")  # fmt: skip
    return div_half_up(cost_pico * CENTI, centitokens)


def ticks_half_up(price_micro: int, tick_micro: int) -> int:
    """Whole ticks nearest to a price, a half up. Both in micro-dollars per MTok; `tick_micro` > 0."""
    return div_half_up(price_micro, tick_micro)


@dataclass(frozen=True, slots=True)
class PriceList:
    """What a supplier asks for a grade from a date on: micro-dollars per MTok of each leg.

    Batch prices are each leg's price x `batch_hundredths` / 100 rounded half up, so that a cost stays an exact integer.
    """

    supplier: int
    grade: int
    valid_from_ns: int
    input: int
    cached: int
    output: int
    batch_hundredths: int = 50

    def __post_init__(self) -> None:
        if min(self.input, self.cached, self.output, self.batch_hundredths) < 0:
            raise Malformed("price list", found=(self.input, self.cached, self.output, self.batch_hundredths),
                            expected="prices of 0 or more", remedy="A rebate is a transfer of its own, not a price.")  # fmt: skip

    def price(self, leg_price: int, batch: bool) -> int:
        """A leg's price, or its batch price."""
        return div_half_up(leg_price * self.batch_hundredths, 100) if batch else leg_price

    def cost_pico(self, legs: Legs) -> int:
        """The exact cost of `legs` in pico-dollars."""
        return (
            legs.uncached * self.price(self.input, legs.batch)
            + legs.cached * self.price(self.cached, legs.batch)
            + legs.output * self.price(self.output, legs.batch)
        )
