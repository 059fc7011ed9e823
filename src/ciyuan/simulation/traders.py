"""Everyone else: noise traders, who trade for reasons of their own, and hedgers, who come to lock a price.

A noise trader sends limit, FAK, market and FOK orders near the best prices and takes old ones back. A hedger has a target
position per contract and works towards it with FAK orders at the best opposite price, a slice at a time.
"""

from collections.abc import Mapping

import numpy as np

from ciyuan.basics.rows import Row
from ciyuan.exchange.messages import OrderFlag
from ciyuan.simulation.makers import Market
from ciyuan.simulation.pad import OrderPad

OPEN_ORDERS_MAX = 12
LOTS_MAX = 5
KINDS = (OrderFlag.LIMIT, OrderFlag.FAK, OrderFlag.MARKET, OrderFlag.FOK)
KIND_SHARES = (0.70, 0.20, 0.06, 0.04)
POSITION_MAX = 60


class NoiseTrader:
    """Trades at random in all contracts; leans back towards a flat position, and sells only the spot receipts that it has."""

    def __init__(self, account: int, spot: int, luck: np.random.Generator) -> None:
        self.pad = OrderPad(account)
        self._spot = spot
        self._luck = luck

    def act(
        self,
        rows: list[Row],
        time_ns: int,
        value_ticks: Mapping[int, int],
        market: Market,
        orders: int,
        auction: bool,
    ) -> None:
        """Write `orders` orders on contracts drawn from `value_ticks`; in an auction limit orders only."""
        if not value_ticks or not orders:
            return
        contracts = list(value_ticks)
        luck = self._luck
        which = luck.integers(0, len(contracts), orders)
        kinds = luck.choice(4, orders, p=KIND_SHARES)
        away = luck.geometric(0.25, orders) - 2
        lots = luck.integers(1, LOTS_MAX + 1, orders)
        coin = luck.random(orders)
        for i in range(orders):
            contract = contracts[which[i]]
            held = self.pad.position.get(contract, 0)
            is_sell = bool(coin[i] < 0.5 + 0.4 * max(-1.0, min(1.0, held / POSITION_MAX)))
            size = int(lots[i])
            if contract == self._spot and is_sell and held < size:
                is_sell = False
            kind = OrderFlag.LIMIT if auction else KINDS[kinds[i]]
            price = self._price(market, contract, is_sell, value_ticks[contract], int(away[i]), kind)
            self.pad.order(rows, time_ns, contract, is_sell, price, size, kind=kind)
        if not auction:
            self._take_back(rows, time_ns, value_ticks)

    def _take_back(self, rows: list[Row], time_ns: int, value_ticks: Mapping[int, int]) -> None:
        """Cancel the oldest orders, of contracts that trade now, until there are few enough."""
        too_many = len(self.pad.open) - OPEN_ORDERS_MAX
        oldest = [order.order_id for order in self.pad.open.values() if order.contract in value_ticks]
        for order_id in oldest[: max(too_many, 0)]:
            self.pad.cancel(rows, time_ns, order_id)

    @staticmethod
    def _price(market: Market, contract: int, is_sell: bool, value: int, away: int, kind: OrderFlag) -> int:
        if kind == OrderFlag.MARKET:
            return 0
        if kind == OrderFlag.LIMIT:
            best = (market.best_ask(contract) if is_sell else market.best_bid(contract)) or value
            price = best + away if is_sell else best - away
        else:
            price = (market.best_bid(contract) if is_sell else market.best_ask(contract)) or value
        lower, upper = market.limits(contract)
        return max(lower, min(upper, price))


class Hedger:
    """Works its positions towards `target` (contract -> signed lots), at most `slice_lots` a step, then leaves them be."""

    def __init__(self, account: int, target: Mapping[int, int], slice_lots: int) -> None:
        self.pad = OrderPad(account)
        self.target = dict(target)
        self._slice = slice_lots

    def act(self, rows: list[Row], time_ns: int, contracts: frozenset[int], market: Market) -> None:
        """Take what stands at the best opposite price, towards the target, in the contracts that trade now."""
        for contract, wanted in self.target.items():
            missing = wanted - self.pad.position.get(contract, 0)
            if not missing or contract not in contracts:
                continue
            price = market.best_bid(contract) if missing < 0 else market.best_ask(contract)
            if price:
                self.pad.order(
                    rows,
                    time_ns,
                    contract,
                    missing < 0,
                    price,
                    min(abs(missing), self._slice),
                    kind=OrderFlag.FAK,
                )


class ReceiptSeller:
    """A factory's spot desk: offers the receipts it was issued, `lots` at a time, a little over what they are worth."""

    def __init__(self, pad: OrderPad, spot: int, lots: int, over_ticks: int) -> None:
        self.pad = pad
        self._spot = spot
        self._lots = lots
        self._over_ticks = over_ticks
        self._order_id = 0

    def act(self, rows: list[Row], time_ns: int, value_ticks: Mapping[int, int], market: Market) -> None:
        """Renew the offer where its price should move."""
        if self._spot not in value_ticks:
            return
        lower, upper = market.limits(self._spot)
        price = max(lower, min(upper, value_ticks[self._spot] + self._over_ticks))
        standing = self.pad.open.get(self._order_id)
        if standing is not None:
            if standing.price_ticks == price:
                return
            self.pad.cancel(rows, time_ns, self._order_id)
        if self.pad.position.get(self._spot, 0) >= self._lots:
            self._order_id = self.pad.order(rows, time_ns, self._spot, True, price, self._lots)
