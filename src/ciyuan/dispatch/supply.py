"""Supply: from factories to what dispatch needs to know of them, within their power caps."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector
from ciyuan.dispatch.messages import Supply
from ciyuan.factory.cost import (
    JOULES_PER_MWH,
    SECONDS_PER_HOUR,
    energy_usd_per_mtok,
    joules_per_token,
    tokens_per_second,
)
from ciyuan.factory.messages import ServingPoint, Site

TOKENS_MAX = 2**62
"""No hour's demand or capacity over all sites may reach this, so that no sum leaves 64 bits."""


def supply_of(
    sites: Sequence[Site], points: Sequence[ServingPoint], gpus: Sequence[int], vector: ConversionVector
) -> Supply:
    """The supply of S sites that run `gpus` GPUs each at `points`: full load, whole tokens, the sites' own connections."""
    rates = [
        tokens_per_second(point, count, vector).standard for point, count in zip(points, gpus, strict=True)
    ]
    joules = [joules_per_token(point, site.pue, vector) for site, point in zip(sites, points, strict=True)]
    return Supply(
        np.array([int(rate * SECONDS_PER_HOUR) for rate in rates], dtype=np.int64),
        np.array(joules),
        np.array([site.power_mw_max for site in sites]),
    )


def marginal_cost(sites: Sequence[Site], points: Sequence[ServingPoint], power_usd_per_mwh: ArrayLike,
                  vector: ConversionVector) -> NDArray[np.float64]:  # fmt: skip
    """USD per MTok that one more standard token costs: energy only, since the capital is spent either way.

    `power_usd_per_mwh`: (H, S), the price at each site in each hour. Returns (H, S).
    """
    prices = np.asarray(power_usd_per_mwh, dtype=np.float64)
    if prices.ndim != 2 or prices.shape[1] != len(sites):
        raise Malformed("power prices", found=f"shape {prices.shape}", expected=f"(hours, {len(sites)})",
                        remedy="Give one column of hourly prices per site.")  # fmt: skip
    columns = [
        energy_usd_per_mtok(point, prices[:, column], site.pue, vector)
        for column, (site, point) in enumerate(zip(sites, points, strict=True))
    ]
    return np.stack(columns, axis=1)


def usable_tokens(supply: Supply, hours: int) -> NDArray[np.int64]:
    """Tokens that each site can make in each hour within capacity and power cap, (hours, S) int64, rounded down.

    Raises Malformed for shapes that do not fit, negative figures, or capacities beyond 2**62 tokens an hour together.
    """
    joules = np.asarray(supply.joules_per_token, dtype=np.float64)
    if joules.ndim != 1 or not (joules > 0).all() or not np.isfinite(joules).all():
        raise Malformed("joules per token", found=f"shape {joules.shape}, least {joules.min(initial=np.inf)}",
                        expected="one finite figure above 0 per site",
                        remedy="Take them from the sites' serving points.")  # fmt: skip
    shape = (hours, len(joules))
    capacity = _fitted("capacity in tokens per hour", supply.tokens_per_hour_max, shape)
    if not np.issubdtype(capacity.dtype, np.integer):
        raise Malformed(
            "capacity in tokens per hour",
            found=str(capacity.dtype),
            expected="whole tokens",
            remedy="Round it down.",
        )
    power = _fitted("power cap in MW", supply.power_mw_max, shape).astype(np.float64)
    capped = np.minimum(np.floor(power * (JOULES_PER_MWH / joules)), float(TOKENS_MAX)).astype(np.int64)
    usable: NDArray[np.int64] = np.minimum(capacity.astype(np.int64), capped)
    if usable.astype(np.float64).sum(axis=1).max(initial=0.0) >= TOKENS_MAX:
        raise Malformed("capacity in tokens per hour", found="2**62 or more over all sites", expected="less than 2**62",
                        remedy="Check the unit: tokens, not micro-tokens.")  # fmt: skip
    return usable


def _fitted(thing: str, given: ArrayLike, shape: tuple[int, int]) -> NDArray[np.generic]:
    """`given` at `shape`, a row per hour; Malformed if it does not fit or holds a negative or undefined figure."""
    values = np.asarray(given)
    if values.shape not in (shape, shape[1:]):
        raise Malformed(
            thing,
            found=f"shape {values.shape}",
            expected=f"{shape[1:]} or {shape}",
            remedy="Give one column per site.",
        )
    if not (values >= 0).all():
        raise Malformed(
            thing,
            found="a negative or undefined figure",
            expected="0 or more",
            remedy="Mend the site's figures.",
        )
    return np.broadcast_to(values, shape)
