"""A market maker: quotes both sides of every contract around its own view of value, leaning against its inventory.

Quotes are renewed only where the price they should have has moved, so a quiet market is quiet in messages too. A maker sells only
the spot receipts that it has.
"""

from collections.abc import Mapping
from functools import cache
from typing import Protocol

from ciyuan.basics.rows import Row
from ciyuan.simulation.pad import OrderPad

HALF_SPREAD_TICKS = 2
LEVEL_STEP_TICKS = 2
SKEW_TICKS_MAX = 6


class Market(Protocol):
    """What traders can see: the best prices in ticks, 0 where there is none, and the day's limits (lower, upper)."""

    def best_bid(self, contract: int) -> int:
        """The highest price bid."""
        ...

    def best_ask(self, contract: int) -> int:
        """The lowest price offered."""
        ...

    def limits(self, contract: int) -> tuple[int, int]:
        """(lower, upper) price limit of the day."""
        ...


class Glance:
    """A market as it stands at one moment: each figure is asked for once. Nothing trades while the crowd is looking."""

    def __init__(self, market: Market) -> None:
        self.best_bid = cache(market.best_bid)
        self.best_ask = cache(market.best_ask)
        self.limits = cache(market.limits)


class Maker:
    """Quotes `levels` prices a side in each contract; `lots` per quote, by contract."""

    def __init__(
        self, account: int, lots: Mapping[int, int], levels: int, spot: int, bias_ticks: int
    ) -> None:
        self.pad = OrderPad(account)
        self._lots = dict(lots)
        self._levels = levels
        self._spot = spot
        self._bias_ticks = bias_ticks
        self._quote: dict[tuple[int, bool, int], int] = {}

    def act(self, rows: list[Row], time_ns: int, value_ticks: Mapping[int, int], market: Market) -> None:
        """Renew the quotes of the contracts in `value_ticks` (contract -> what it is worth, in ticks)."""
        for contract, value in value_ticks.items():
            lots = self._lots[contract]
            held = self.pad.position.get(contract, 0)
            lean = max(-SKEW_TICKS_MAX, min(SKEW_TICKS_MAX, -held // (4 * lots)))
            middle = value + lean + self._bias_ticks
            lower, upper = market.limits(contract)
            for level in range(self._levels):
                away = HALF_SPREAD_TICKS + level * LEVEL_STEP_TICKS
                self._renew(rows, time_ns, contract, False, level, max(lower, min(upper, middle - away)))
                if contract != self._spot or held >= lots * (level + 1):
                    self._renew(rows, time_ns, contract, True, level, max(lower, min(upper, middle + away)))

    def _renew(
        self, rows: list[Row], time_ns: int, contract: int, is_sell: bool, level: int, price_ticks: int
    ) -> None:
        place = (contract, is_sell, level)
        order_id = self._quote.get(place, 0)
        standing = self.pad.open.get(order_id)
        if standing is not None:
            if standing.price_ticks == price_ticks:
                return
            self.pad.cancel(rows, time_ns, order_id)
        self._quote[place] = self.pad.order(
            rows, time_ns, contract, is_sell, price_ticks, self._lots[contract]
        )
