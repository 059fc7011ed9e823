"""A service's day from its token counts: nodes, cost, revenue and margin by arithmetic, and nodes hour by hour.

    nodes   = (input tokens, cached ones included / day / input rate per prefill node) + (output tokens / day / rate per decode
    node) cost    = nodes x GPUs of a node x USD per GPU-hour x 24
    revenue = fresh input x price + cached input x price + output x price
    margin  = revenue / cost - 1: over cost, as DeepSeek publishes it

The published day of DeepSeek-V3/R1 is such a day (open-infra-index, day 6): its figures are in the tests. Its cost is of rent
alone, and its revenue theoretical: all tokens at the list price of R1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.factory.cost import TOKENS_PER_MTOK
from ciyuan.factory.plant import PriceList

HOURS_PER_DAY = 24
SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class DayTokens:
    """Tokens of a day: all input, how much of it was read from a cache, and output."""

    input: float
    cached: float
    output: float

    def __post_init__(self) -> None:
        if not (0 <= self.cached <= self.input and self.output >= 0 and isfinite(self.input + self.output)):
            raise Malformed("tokens of a day", found=(self.input, self.cached, self.output),
                            expected="0 or more of each, and no more cached than input", remedy="Mend the counts.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodeRates:
    """What one node does: input tokens/s while it prefills (cached ones included), output tokens/s while it decodes; its GPUs'
    rent."""

    input_tokens_per_s: float
    output_tokens_per_s: float
    gpus: int
    usd_per_gpu_hour: float

    def __post_init__(self) -> None:
        least = min(self.input_tokens_per_s, self.output_tokens_per_s, self.gpus)
        if not (least > 0 and self.usd_per_gpu_hour >= 0):
            raise Malformed("node rates", found=self, expected="rates and GPUs above 0, a rent of 0 or more",
                            remedy="Mend the node's figures.")  # fmt: skip

    @property
    def usd_per_node_hour(self) -> float:
        """Rent of a node for an hour."""
        return self.gpus * self.usd_per_gpu_hour


@dataclass(frozen=True, slots=True)
class ServiceDay:
    """A day's result."""

    nodes_mean: float
    cost_usd: float
    revenue_usd: float

    @property
    def margin(self) -> float:
        """Profit over cost."""
        return self.revenue_usd / self.cost_usd - 1.0


def nodes_needed(tokens: DayTokens, rates: NodeRates, seconds: float = SECONDS_PER_DAY) -> float:
    """Nodes, as a mean over `seconds`, that prefill and decode these tokens."""
    return (tokens.input / rates.input_tokens_per_s + tokens.output / rates.output_tokens_per_s) / seconds


def revenue_usd(tokens: DayTokens, prices: PriceList) -> float:
    """What the tokens sell for at list prices."""
    fresh = tokens.input - tokens.cached
    return (
        fresh * prices.input_usd_per_mtok
        + tokens.cached * prices.cached_usd_per_mtok
        + tokens.output * prices.output_usd_per_mtok
    ) / TOKENS_PER_MTOK


def service_day(
    tokens: DayTokens, rates: NodeRates, prices: PriceList, nodes_mean: float | None = None
) -> ServiceDay:
    """A day's nodes, cost and revenue; `nodes_mean` are those that ran, or None for those that the rates need."""
    nodes = nodes_needed(tokens, rates) if nodes_mean is None else nodes_mean
    cost = nodes * rates.usd_per_node_hour * HOURS_PER_DAY
    return ServiceDay(nodes, cost, revenue_usd(tokens, prices))


def hourly_nodes(
    tokens: DayTokens, rates: NodeRates, shares: Sequence[float], nodes_max: int
) -> NDArray[np.int64]:
    """Whole nodes for each hour when `shares` of the day's tokens come in it, at most `nodes_max`; of the shares' length."""
    if any(share < 0 for share in shares) or abs(sum(shares) - 1.0) > 1e-6:
        raise Malformed("shares of the day's tokens", found=sum(shares), expected="shares of 0 or more that sum to 1",
                        remedy="Divide each hour's tokens by the day's.")  # fmt: skip
    day = nodes_needed(tokens, rates, 3600.0)
    return np.array([min(nodes_max, ceil(day * share)) for share in shares], dtype=np.int64)
