"""The crowd: all simulated traders of a month, told apart by account, acting step by step."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.exchange.messages import ExchangeEvent
from ciyuan.simulation.chance import stream
from ciyuan.simulation.hearing import Sieve
from ciyuan.simulation.makers import Glance, Maker, Market
from ciyuan.simulation.pad import OrderPad
from ciyuan.simulation.scenario import Scenario
from ciyuan.simulation.traders import Hedger, NoiseTrader, ReceiptSeller
from ciyuan.venue.messages import VenueEvent

FILLED, CANCELLED, REFUSED, ISSUED = map(
    int, (ExchangeEvent.FILLED, ExchangeEvent.CANCELLED, ExchangeEvent.REFUSED, VenueEvent.ISSUED)
)
HEARD = Sieve((FILLED, CANCELLED, REFUSED, ISSUED))
MAKER_LOTS = 12
RECEIPT_LOTS = 20
HEDGE_STEPS = 300
"""Steps in which a hedger means to be done: its slices stay well under what the makers show, so it does not walk the book."""


class Crowd:
    """Makers, noise traders, hedgers and receipt sellers. `spot` is the spot contract's number."""

    def __init__(self, scenario: Scenario, contracts: Sequence[int], spot: int, makers: Sequence[int], traders: Sequence[int],
                 hedges: Mapping[int, Mapping[int, int]], sellers: Sequence[int]) -> None:  # fmt: skip
        self._scenario = scenario
        self._spot = spot
        lots = {contract: RECEIPT_LOTS if contract == spot else MAKER_LOTS for contract in contracts}
        self.makers = [
            Maker(account, lots, scenario.maker_levels, spot, place % 2)
            for place, account in enumerate(makers)
        ]
        self.traders = [
            NoiseTrader(account, spot, stream(scenario.seed, "trader", account)) for account in traders
        ]
        self.hedgers = [Hedger(account, target, _slice(target)) for account, target in hedges.items()]
        self._luck = stream(scenario.seed, "crowd")
        agents: tuple[Maker | NoiseTrader | Hedger, ...] = (*self.makers, *self.traders, *self.hedgers)
        self.pads: dict[int, OrderPad] = {agent.pad.account: agent.pad for agent in agents}
        self.sellers = [
            ReceiptSeller(self.pads.setdefault(account, OrderPad(account)), spot, RECEIPT_LOTS, 1)
            for account in sellers
        ]

    def act(
        self,
        rows: list[Row],
        time_ns: int,
        value_ticks: Mapping[int, int],
        market: Market,
        auction: frozenset[int],
    ) -> None:
        """Write this step's orders. `value_ticks`: what each contract that takes orders now is worth; `auction`:
        those in an auction.
        """
        market = Glance(market)
        trading = {contract: value for contract, value in value_ticks.items() if contract not in auction}
        for maker in self.makers:
            maker.act(rows, time_ns, value_ticks, market)
        for seller in self.sellers:
            seller.act(rows, time_ns, value_ticks, market)
        for hedger in self.hedgers:
            hedger.act(rows, time_ns, frozenset(trading), market)
        share = self._scenario.noise_orders_per_minute / max(len(self.traders), 1)
        for trader, orders in zip(
            self.traders, self._luck.poisson(share, len(self.traders)).tolist(), strict=True
        ):
            trader.act(rows, time_ns, trading or value_ticks, market, orders, not trading)

    def hear(self, events: NDArray[np.int64]) -> None:
        """Take in the events that concern the crowd's orders."""
        for event in events[HEARD.of(events)].tolist():
            code = event[0] & CODE_MASK
            if code == ISSUED:
                pad = self.pads[event[3]]
                pad.position[self._spot] = pad.position.get(self._spot, 0) + event[5]
                continue
            pad = self.pads[event[2]]
            if code == FILLED:
                pad.on_fill(event)
            else:
                pad.refused += code == REFUSED
                pad.on_gone(event)


def _slice(target: Mapping[int, int]) -> int:
    return max(1, -(-max(map(abs, target.values()), default=0) // HEDGE_STEPS))
