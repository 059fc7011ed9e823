"""Demand curves and plants that tests draw."""

import numpy as np
from hypothesis import strategies as st

from ciyuan.factory.demand import DemandCurve, ElasticDemand, FlatDemand, LinearDemand, SteppedDemand
from ciyuan.factory.tiers import TierRates

PRICES = st.floats(0.05, 200.0)
QUANTITIES = st.floats(1.0, 1e7)


@st.composite
def elastic(draw: st.DrawFn) -> ElasticDemand:
    price, quantity = draw(PRICES), draw(QUANTITIES)
    return ElasticDemand(price, quantity, draw(st.floats(0.2, 5.0)), price * draw(st.floats(1.0, 6.0)),
                         quantity * draw(st.floats(1.0, 20.0)))  # fmt: skip


@st.composite
def stepped(draw: st.DrawFn) -> SteppedDemand:
    blocks = draw(st.lists(st.tuples(PRICES, QUANTITIES), min_size=1, max_size=5))
    prices = sorted((price for price, _ in blocks), reverse=True)
    return SteppedDemand(tuple(prices), tuple(quantity for _, quantity in blocks))


def curves() -> st.SearchStrategy[DemandCurve]:
    """Bounded curves of every kind."""
    flat = st.builds(FlatDemand, st.floats(0.0, 200.0), QUANTITIES)
    return st.one_of(flat, st.builds(LinearDemand, PRICES, QUANTITIES), elastic(), stepped())


def plant_of(seed: int, chips: int, tiers: int) -> tuple[TierRates, list[DemandCurve], np.ndarray, float]:
    """A random plant: rates (a fifth of the cells cannot serve), demand of every kind, GPUs, watts; some power is paid for."""
    chance = np.random.default_rng(seed)
    rates = TierRates(
        chips=tuple(f"chip {place}" for place in range(chips)),
        tiers=tuple(f"tier {place}" for place in range(tiers)),
        tokens_per_s=np.exp(chance.normal(5.0, 1.5, (chips, tiers))) * (chance.random((chips, tiers)) > 0.2),
        watts=chance.uniform(800.0, 2200.0, (chips, tiers)),
        usd_per_hour=chance.normal(0.08, 0.08, (chips, tiers)),
    )
    gpus = np.ceil(np.exp(chance.normal(7.0, 1.0, chips)))
    could = gpus @ rates.tokens_per_s + 1.0
    demand: list[DemandCurve] = []
    for place in range(tiers):
        price, quantity = (
            float(np.exp(chance.normal(1.0, 1.0))),
            float(could[place] * chance.uniform(0.02, 0.7)),
        )
        drawn: list[DemandCurve] = [
            FlatDemand(price, quantity),
            FlatDemand(price),
            LinearDemand(price, quantity),
            ElasticDemand(price, quantity, float(chance.uniform(0.5, 3.0)), 3.0 * price, 5.0 * quantity),
            SteppedDemand((3.0 * price, 2.0 * price, price), (quantity / 3, quantity / 2, quantity)),
        ]
        demand.append(drawn[chance.integers(5)])
    return rates, demand, gpus, float(gpus.sum() * 1500.0 * chance.uniform(0.3, 1.3))
