"""The plan: each hour's demand to the cheapest sites that have room.

Hours are independent (tokens cannot be stored) and a token costs the same wherever it came from, so the exact optimum
is the merit order: fill sites from the cheapest up, and no exchange of a token between two sites can lower the cost.
Sites of equal cost are filled in their given order. All hours are solved at once; nothing is rounded, since
capacities and demand are whole tokens.
"""

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.dispatch.messages import Plan, Supply
from ciyuan.dispatch.supply import TOKENS_MAX, usable_tokens
from ciyuan.factory.cost import JOULES_PER_MWH, TOKENS_PER_MTOK


def dispatch_hours(demand: NDArray[np.int64], supply: Supply, marginal_usd_per_mtok: NDArray[np.float64],
                   unserved_usd_per_mtok: float = np.inf) -> Plan:  # fmt: skip
    """The cheapest plan that serves as much of `demand` as there is room for.

    `demand`: (H,) int64 standard tokens. `marginal_usd_per_mtok`: (H, S) finite, negative ones included.
    `unserved_usd_per_mtok` is what an unserved token is worth, used in shadow prices only: infinite unless given.
    Raises Malformed for anything else.
    """
    demand = _checked_demand(demand)
    usable = usable_tokens(supply, len(demand))
    cost = np.asarray(marginal_usd_per_mtok, dtype=np.float64)
    if cost.shape != usable.shape or not np.isfinite(cost).all():
        raise Malformed("marginal cost", found=f"shape {cost.shape}, finite: {bool(np.isfinite(cost).all())}",
                        expected=f"finite figures of shape {usable.shape}",
                        remedy="Give a cost for each site and hour.")  # fmt: skip
    allocation = _merit_order(demand, usable, cost)
    unserved = demand - allocation.sum(axis=1)
    last = np.where(allocation > 0, cost, -np.inf).max(axis=1, initial=-np.inf)
    last = np.where(unserved > 0, unserved_usd_per_mtok, np.where(demand > 0, last, np.nan))
    return Plan(
        allocation,
        unserved,
        allocation * (supply.joules_per_token / JOULES_PER_MWH),
        allocation * cost / TOKENS_PER_MTOK,
        last,
        np.fmax(last[:, None] - cost, 0.0),
    )


def _merit_order(
    demand: NDArray[np.int64], usable: NDArray[np.int64], cost: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Tokens per hour and site: the cheapest filled first."""
    order = np.argsort(cost, axis=1, kind="stable")
    room = np.take_along_axis(usable, order, axis=1)
    before = np.cumsum(room, axis=1) - room
    allocation = np.empty_like(usable)
    np.put_along_axis(allocation, order, np.clip(demand[:, None] - before, 0, room), axis=1)
    return allocation


def _checked_demand(demand: NDArray[np.int64]) -> NDArray[np.int64]:
    values = np.asarray(demand)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise Malformed("demand", found=f"{values.dtype} of shape {values.shape}", expected="whole tokens of shape (hours,)",
                        remedy="Sum the standard tokens of each hour.")  # fmt: skip
    if len(values) and not (int(values.min()) >= 0 and int(values.max()) < TOKENS_MAX):
        raise Malformed("demand", found=(int(values.min()), int(values.max())),
                        expected="from 0 to less than 2**62 tokens an hour",
                        remedy="Mend the hours that are out of range.")  # fmt: skip
    return values.astype(np.int64)
