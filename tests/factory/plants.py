"""A small plant with round numbers: two chips, three tiers, 1 MW."""

from dataclasses import replace

import numpy as np

from ciyuan.factory.demand import DemandCurve, FlatDemand, LinearDemand
from ciyuan.factory.facility import Overhead, ServerPower
from ciyuan.factory.losses import GpuSite
from ciyuan.factory.messages import Provenance
from ciyuan.factory.plan import Powering
from ciyuan.factory.plant import Cooling, Fleet, Plant, PriceList, Rental, ServiceOrder, TierOrder, Upkeep
from ciyuan.factory.rates import Rates
from ciyuan.factory.tiers import TierCell, TierRate, Unserved

SERVICE = ServiceOrder("model_a", "fp8", "engine", None, 1000.0, 1000.0, 0.0)
POWERING = Powering(1.25, {"new": 1600.0, "old": 1000.0})


def tier(name: str, price: float, speed: float, demand: DemandCurve, promised: float = 0.0) -> TierOrder:
    return TierOrder(name, PriceList(0.0, 0.0, price), speed, 2.0, SERVICE, demand, promised)


def cell(chip: str, name: str, tokens_per_s: float, busy_w: float) -> TierRate:
    """A rate whose GPU draws `busy_w` of IT power busy (80% of it in the GPU) and a quarter of that waiting."""
    rates = Rates(chip, "model_a", "fp8", "engine 1", 1000.0, 1000.0, 0.0, tokens_per_s, 50.0, 0.1, 0.8 * busy_w,
                  Provenance.MEASURED)  # fmt: skip

    def power(watts: float) -> ServerPower:
        return ServerPower(*(np.asarray(share * watts) for share in (0.8, 0.1, 0.04, 0.04, 0.02)))

    site = GpuSite(power(busy_w), power(0.25 * busy_w), Overhead(np.asarray(0.05), np.asarray(0.2)))
    return TierRate(name, rates, site)


PLANT = Plant(
    "small", 1.0, 40.0, 0.5, Cooling(pue=1.25),
    (Fleet("new", None, 0.5, Rental(2.0)), Fleet("old", 100, None, Rental(1.0))),
    (
        tier("free", 0.0, 20.0, FlatDemand(0.0)),
        tier("medium", 2.0, 40.0, LinearDemand(4.0, 400_000.0)),
        tier("ultra", 90.0, 150.0, FlatDemand(90.0, 200.0)),
    ),
    upkeep=Upkeep(0.1, 8760.0),
)  # fmt: skip
CELLS: tuple[tuple[TierCell, ...], ...] = (
    (
        cell("new", "free", 2000.0, 1600.0),
        cell("new", "medium", 1000.0, 1200.0),
        cell("new", "ultra", 20.0, 800.0),
    ),
    (
        cell("old", "free", 400.0, 1000.0),
        cell("old", "medium", 200.0, 900.0),
        Unserved("old", "ultra", "too slow"),
    ),
)


def promising(tokens_per_s: float) -> Plant:
    """The plant, with so many free tokens promised."""
    return replace(PLANT, tiers=(replace(PLANT.tiers[0], tokens_per_s_min=tokens_per_s), *PLANT.tiers[1:]))
