"""Demand curves: what a tier's buyers pay for so and so many tokens, and what one more is worth to the seller.

A *quantity* is output tokens/s that are delivered, a *price* USD per million of them with the input that goes with each (the
blended price: plant.TierOrder.blend). Every curve falls: more tokens never fetch a higher price.

| curve | price at quantity q | all pay | revenue is highest at |
|---|---|---|---|
| `FlatDemand` | p up to a bound, which may be infinite | the one price | the bound |
| `LinearDemand` | P x (1 - q / Q) | the one price | Q / 2 |
| `ElasticDemand` | p x (q / q0)^(-1/e), at most P, 0 beyond Q | the one price | Q, or where P ends if e is 1 or less |
| `SteppedDemand` | the block's price | each block its own | the last block's end |

    revenue = price x quantity        (of a stepped curve the integral of the price: each block is a contract at its own)
    marginal revenue = d revenue / d quantity
    worth = integral of the price: what these tokens are worth to those who buy them; worth - revenue is the buyers' surplus

Up to the quantity of highest revenue, each curve's revenue is concave: its marginal revenue falls and is 0 or more. Who may leave
tokens unsold never sells more than that. `quantity_at_marginal` inverts marginal revenue on that stretch; the split of a plant
needs no more of a curve than that, its revenue and its bound.
"""

from dataclasses import dataclass
from math import inf, isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ciyuan.basics.errors import Malformed

Reals = NDArray[np.float64]
MTOK_PER_HOUR = 3600.0 / 1e6
"""Million tokens an hour, per token a second: price x quantity x this is USD an hour."""
ELASTICITY_MAX = 50.0


def _check(curve: object, name: str, value: float, *, above: float = 0.0, finite: bool = True) -> None:
    if not value > above or (finite and not isfinite(value)):
        raise Malformed(f"demand, {type(curve).__name__}.{name}", found=value,
                        expected=f"a {'finite ' if finite else ''}number above {above:g}",
                        remedy="Mend the curve's figure.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class FlatDemand:
    """A market that takes up to `tokens_per_s_max` at one price: a small seller's view, or a contract. The bound may be infinite,
    and the price 0 (a free tier); a bound of 0 is a tier that nobody asks for."""

    usd_per_mtok: float
    tokens_per_s_max: float = inf

    def __post_init__(self) -> None:
        if not (self.usd_per_mtok >= 0 and isfinite(self.usd_per_mtok)):
            raise Malformed("demand, FlatDemand.usd_per_mtok", found=self.usd_per_mtok, expected="a finite number of 0 or more",
                            remedy="Mend the curve's figure.")  # fmt: skip
        if not self.tokens_per_s_max >= 0:
            raise Malformed("demand, FlatDemand.tokens_per_s_max", found=self.tokens_per_s_max, expected="0 or more",
                            remedy="Mend the curve's figure.")  # fmt: skip

    @property
    def tokens_per_s_best(self) -> float:
        """The quantity of highest revenue."""
        return self.tokens_per_s_max

    def price(self, tokens_per_s: ArrayLike) -> Reals:
        """USD per MTok at which these quantities sell; 0 beyond the bound."""
        quantity = np.asarray(tokens_per_s, dtype=np.float64)
        return np.where(quantity <= self.tokens_per_s_max, self.usd_per_mtok, 0.0)

    def revenue_usd_per_hour(self, tokens_per_s: ArrayLike) -> Reals:
        """USD an hour for quantities within the bound; what is beyond it fetches nothing."""
        sold = np.minimum(np.asarray(tokens_per_s, dtype=np.float64), self.tokens_per_s_max)
        return self.usd_per_mtok * sold * MTOK_PER_HOUR

    def marginal_usd_per_mtok(self, tokens_per_s: ArrayLike) -> Reals:
        """Revenue of one more token, in USD per MTok."""
        return np.where(np.asarray(tokens_per_s) < self.tokens_per_s_max, self.usd_per_mtok, 0.0)

    def worth_usd_per_hour(self, tokens_per_s: ArrayLike) -> Reals:
        """The integral of the price, in USD an hour."""
        return self.revenue_usd_per_hour(tokens_per_s)

    def quantity_at_marginal(self, usd_per_mtok: float) -> float:
        """The largest quantity whose marginal revenue is at least this much; 0 if none is."""
        return self.tokens_per_s_max if usd_per_mtok <= self.usd_per_mtok else 0.0


@dataclass(frozen=True, slots=True)
class LinearDemand:
    """A straight line from `usd_per_mtok_max`, at which nobody buys, to `tokens_per_s_max`, which is asked for at price 0."""

    usd_per_mtok_max: float
    tokens_per_s_max: float

    def __post_init__(self) -> None:
        _check(self, "usd_per_mtok_max", self.usd_per_mtok_max)
        _check(self, "tokens_per_s_max", self.tokens_per_s_max)

    @property
    def tokens_per_s_best(self) -> float:
        """The quantity of highest revenue: half of what is asked for at price 0."""
        return self.tokens_per_s_max / 2

    def price(self, tokens_per_s: ArrayLike) -> Reals:
        """USD per MTok at which these quantities sell; 0 beyond the line's end."""
        share = np.asarray(tokens_per_s, dtype=np.float64) / self.tokens_per_s_max
        return np.maximum(self.usd_per_mtok_max * (1.0 - share), 0.0)

    def revenue_usd_per_hour(self, tokens_per_s: ArrayLike) -> Reals:
        """USD an hour when all pay the price of the quantity."""
        return self.price(tokens_per_s) * np.asarray(tokens_per_s, dtype=np.float64) * MTOK_PER_HOUR

    def marginal_usd_per_mtok(self, tokens_per_s: ArrayLike) -> Reals:
        """Revenue of one more token, in USD per MTok: negative beyond the best quantity, 0 beyond the line's end."""
        share = np.asarray(tokens_per_s, dtype=np.float64) / self.tokens_per_s_max
        return np.where(share < 1, self.usd_per_mtok_max * (1.0 - 2.0 * share), 0.0)

    def worth_usd_per_hour(self, tokens_per_s: ArrayLike) -> Reals:
        """The integral of the price, in USD an hour."""
        within = np.minimum(np.asarray(tokens_per_s, dtype=np.float64), self.tokens_per_s_max)
        return self.usd_per_mtok_max * (within - within**2 / (2 * self.tokens_per_s_max)) * MTOK_PER_HOUR

    def quantity_at_marginal(self, usd_per_mtok: float) -> float:
        """The quantity whose marginal revenue is this much, within 0 and the best quantity."""
        share = (1.0 - usd_per_mtok / self.usd_per_mtok_max) / 2
        return self.tokens_per_s_max * min(max(share, 0.0), 0.5)


@dataclass(frozen=True, slots=True)
class ElasticDemand:
    """Constant elasticity through one known point: a price 1% lower sells `elasticity` % more.

    `tokens_per_s_at` are asked for at `usd_per_mtok_at`. Nobody pays more than `usd_per_mtok_max` (the choke price; at it
    the curve ends, with those who would have paid more), and nobody takes more than `tokens_per_s_max`, however cheap.
    """

    usd_per_mtok_at: float
    tokens_per_s_at: float
    elasticity: float
    usd_per_mtok_max: float
    tokens_per_s_max: float

    def __post_init__(self) -> None:
        for name in (
            "usd_per_mtok_at",
            "tokens_per_s_at",
            "elasticity",
            "usd_per_mtok_max",
            "tokens_per_s_max",
        ):
            _check(self, name, getattr(self, name))
        if self.elasticity > ELASTICITY_MAX:
            raise Malformed("demand, ElasticDemand.elasticity", found=self.elasticity, expected=f"at most {ELASTICITY_MAX:g}",
                            remedy="Give a flat demand: at such an elasticity there is but one price.")  # fmt: skip
        for least, most in (("usd_per_mtok_at", "usd_per_mtok_max"), ("tokens_per_s_at", "tokens_per_s_max")):
            if getattr(self, least) > getattr(self, most):
                raise Malformed(f"demand, ElasticDemand.{most}", found=getattr(self, most),
                                expected=f"at least {least}, {getattr(self, least):g}",
                                remedy="Let the known point lie within the curve's ends.")  # fmt: skip

    @property
    def tokens_per_s_choke(self) -> float:
        """What is bought at the choke price."""
        return float(
            self.tokens_per_s_at * (self.usd_per_mtok_max / self.usd_per_mtok_at) ** -self.elasticity
        )

    @property
    def tokens_per_s_best(self) -> float:
        """The quantity of highest revenue: all that is taken if demand is elastic, what the choke price sells if not."""
        return self.tokens_per_s_max if self.elasticity > 1 else self.tokens_per_s_choke

    def price(self, tokens_per_s: ArrayLike) -> Reals:
        """USD per MTok at which these quantities sell: the choke price of small ones, 0 beyond the bound."""
        quantity = np.asarray(tokens_per_s, dtype=np.float64)
        bought = np.maximum(quantity, self.tokens_per_s_choke)
        price = self.usd_per_mtok_at * (bought / self.tokens_per_s_at) ** (-1.0 / self.elasticity)
        return np.where(quantity <= self.tokens_per_s_max, price, 0.0)

    def revenue_usd_per_hour(self, tokens_per_s: ArrayLike) -> Reals:
        """USD an hour when all pay the price of the quantity."""
        return self.price(tokens_per_s) * np.asarray(tokens_per_s, dtype=np.float64) * MTOK_PER_HOUR

    def marginal_usd_per_mtok(self, tokens_per_s: ArrayLike) -> Reals:
        """Revenue of one more token, in USD per MTok: the choke price, then price x (1 - 1/elasticity); 0 beyond the bound."""
        quantity = np.asarray(tokens_per_s, dtype=np.float64)
        falling = self.price(quantity) * (1.0 - 1.0 / self.elasticity)
        marginal = np.where(quantity < self.tokens_per_s_choke, self.usd_per_mtok_max, falling)
        return np.where(quantity < self.tokens_per_s_max, marginal, 0.0)

    def worth_usd_per_hour(self, tokens_per_s: ArrayLike) -> Reals:
        """The integral of the price, in USD an hour."""
        within = np.minimum(np.asarray(tokens_per_s, dtype=np.float64), self.tokens_per_s_max)
        choke = self.tokens_per_s_choke
        at_choke = self.usd_per_mtok_max * np.minimum(within, choke)
        ratio = np.maximum(within, choke) / choke
        power = 1.0 - 1.0 / self.elasticity
        grown = np.log(ratio) if power == 0 else (ratio**power - 1.0) / power
        return (at_choke + self.usd_per_mtok_max * choke * grown) * MTOK_PER_HOUR

    def quantity_at_marginal(self, usd_per_mtok: float) -> float:
        """The largest quantity whose marginal revenue is at least this much, within 0 and the best quantity."""
        if usd_per_mtok > self.usd_per_mtok_max:
            return 0.0
        if self.elasticity <= 1:
            return self.tokens_per_s_choke
        price = usd_per_mtok / (1.0 - 1.0 / self.elasticity)
        if price <= float(self.price(self.tokens_per_s_max)):
            return self.tokens_per_s_max
        bought = self.tokens_per_s_at * (price / self.usd_per_mtok_at) ** -self.elasticity
        return float(min(max(bought, self.tokens_per_s_choke), self.tokens_per_s_max))


@dataclass(frozen=True, slots=True)
class SteppedDemand:
    """Contracts in blocks, the best first: block i takes `tokens_per_s[i]` at its own `usd_per_mtok[i]`. Prices fall or stay."""

    usd_per_mtok: tuple[float, ...]
    tokens_per_s: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.usd_per_mtok or len(self.usd_per_mtok) != len(self.tokens_per_s):
            raise Malformed("demand, SteppedDemand",
                            found=f"{len(self.usd_per_mtok)} prices, {len(self.tokens_per_s)} quantities",
                            expected="as many prices as quantities, one at least",
                            remedy="Give each block its price and its tokens/s.")  # fmt: skip
        for price, quantity in zip(self.usd_per_mtok, self.tokens_per_s, strict=True):
            _check(self, "usd_per_mtok", price)
            _check(self, "tokens_per_s", quantity)
        if list(self.usd_per_mtok) != sorted(self.usd_per_mtok, reverse=True):
            raise Malformed("demand, SteppedDemand.usd_per_mtok", found=self.usd_per_mtok,
                            expected="prices that fall from block to block", remedy="Put the best block first.")  # fmt: skip

    @property
    def tokens_per_s_max(self) -> float:
        """All blocks together."""
        return float(sum(self.tokens_per_s))

    @property
    def tokens_per_s_best(self) -> float:
        """The quantity of highest revenue: all blocks, since each has a price above 0."""
        return self.tokens_per_s_max

    def _block(self, tokens_per_s: ArrayLike, side: str) -> Reals:
        """The price of the block that holds the quantity; at a border the earlier block ("left") or the later ("right")."""
        ends = np.cumsum(self.tokens_per_s)
        prices = np.append(np.asarray(self.usd_per_mtok), 0.0)
        quantity = np.asarray(tokens_per_s, dtype=np.float64)
        place = (
            ends.searchsorted(quantity, "left") if side == "left" else ends.searchsorted(quantity, "right")
        )
        found: Reals = prices[place]
        return found

    def price(self, tokens_per_s: ArrayLike) -> Reals:
        """USD per MTok of the last token of these quantities; 0 beyond the last block."""
        return self._block(tokens_per_s, "left")

    def revenue_usd_per_hour(self, tokens_per_s: ArrayLike) -> Reals:
        """USD an hour, each block at its own price."""
        ends = np.concatenate([[0.0], np.cumsum(self.tokens_per_s)])
        paid = np.concatenate([[0.0], np.cumsum(np.multiply(self.usd_per_mtok, self.tokens_per_s))])
        sold = np.asarray(tokens_per_s, dtype=np.float64)
        return np.asarray(np.interp(sold, ends, paid)) * MTOK_PER_HOUR

    def marginal_usd_per_mtok(self, tokens_per_s: ArrayLike) -> Reals:
        """Revenue of one more token, in USD per MTok: the price of the block that it falls into."""
        return self._block(tokens_per_s, "right")

    def worth_usd_per_hour(self, tokens_per_s: ArrayLike) -> Reals:
        """The integral of the price, in USD an hour: the revenue, since each block pays what it would."""
        return self.revenue_usd_per_hour(tokens_per_s)

    def quantity_at_marginal(self, usd_per_mtok: float) -> float:
        """The largest quantity whose marginal revenue is at least this much; 0 if none is."""
        pays = [
            quantity
            for price, quantity in zip(self.usd_per_mtok, self.tokens_per_s, strict=True)
            if price >= usd_per_mtok
        ]
        return float(sum(pays))


DemandCurve = FlatDemand | LinearDemand | ElasticDemand | SteppedDemand
"""What a tier's buyers pay for how much."""
