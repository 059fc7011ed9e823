"""The auction price (§4.2), as a function of the lots at each price.

The price is the first of these that leaves one:

1. the prices of most executable volume, min(lots bid at it or higher, lots offered at it or lower);
2. of these, the prices of least surplus, |bid - offered|;
3. if buyers are left over at all of them, the highest; if sellers, the lowest;
4. the closest to the previous settlement price;
5. the higher.

*Which prices are candidates.* Those at which an order stands, as people see them on the ladder: so the auction price is always
one that somebody named, and it takes one pass over the levels. Every tick in between would be the other choice. It changes
neither volume nor surplus, only where in a gap the price comes to lie: at the previous settlement price itself if that lies in
the gap, and beside the following order rather than at one.

*Surplus on both sides.* Demand falls and supply rises with the price, so among the prices of step 2 those with buyers left over
lie below those with sellers left over. All better-priced orders must fill (§4.2), and of each kind only the innermost allows it:
at a lower price with the same surplus, a bid above it would go unfilled. So step 4 chooses between the highest of the first kind
and the lowest of the second. Where the surplus is nil at all, every one of them allows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuctionPrice:
    """What an auction came to: `lots` trade at `price_ticks`; `surplus_lots` at it go unfilled, of buyers (+) or sellers (-)."""

    price_ticks: int
    lots: int
    surplus_lots: int


def auction_price(
    buys: Mapping[int, int], sells: Mapping[int, int], previous_ticks: int
) -> AuctionPrice | None:
    """The auction price of the lots at each price (ticks -> lots > 0); None if no buyer meets a seller."""
    ladder = _ladder(buys, sells)
    volume = max((step.lots for step in ladder), default=0)
    if not volume:
        return None
    most = [step for step in ladder if step.lots == volume]
    surplus = min(abs(step.surplus_lots) for step in most)
    least = [step for step in most if abs(step.surplus_lots) == surplus]
    return min(
        _allowed(least),
        key=lambda step: (abs(step.price_ticks - previous_ticks), -step.price_ticks),
    )


def _ladder(buys: Mapping[int, int], sells: Mapping[int, int]) -> list[AuctionPrice]:
    """What each candidate would come to, lowest price first."""
    bid, offered = sum(buys.values()), 0
    steps = []
    for price in sorted({*buys, *sells}):
        offered += sells.get(price, 0)
        steps.append(AuctionPrice(price, min(bid, offered), bid - offered))
        bid -= buys.get(price, 0)
    return steps


def _allowed(least: list[AuctionPrice]) -> list[AuctionPrice]:
    """Of the candidates that tie on volume and surplus, lowest first, those at which all better-priced orders fill."""
    if not least[0].surplus_lots:
        return least
    buyers_left = [step for step in least if step.surplus_lots > 0]
    sellers_left = [step for step in least if step.surplus_lots < 0]
    return buyers_left[-1:] + sellers_left[:1]
