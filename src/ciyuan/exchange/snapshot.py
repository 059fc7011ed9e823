"""The exchange's whole state as integer matrices, and back.

| part | a row is | in order of |
|---|---|---|
| `clock` (1, 3) | time_ns, orders accepted, trades | |
| `contracts` | the `FIGURES` of a market | contract number |
| `orders` | the `ORDER_COLUMNS` of an order of the day, open or ended | arrival, which is time priority |
| `past_ids` (n, 3) | contract, account, highest order id of earlier days | contract, account |

The book is not stored apart: an open order stands at its price, behind those that arrived before it.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.exchange.book import OPEN, Ladder, Order
from ciyuan.exchange.floor import Floor
from ciyuan.exchange.market import FIGURES
from ciyuan.exchange.messages import Contract, SessionState

ORDER_COLUMNS = (
    "account", "order_id", "contract", "flags", "limit_ticks", "lots", "min_lots", "number", "left", "end",
)  # fmt: skip
COLUMNS = {"clock": 3, "contracts": len(FIGURES), "orders": len(ORDER_COLUMNS), "past_ids": 3}
"""The width of each part."""
REMEDY = "Restore from a snapshot that an exchange of this version made."


def parts_of(floor: Floor) -> dict[str, NDArray[np.int64]]:
    """The state as named int64 matrices; equal states give equal matrices."""
    markets = floor.markets.values()
    orders = sorted((order for market in markets for order in market.today), key=lambda order: order.number)
    rows = {
        "clock": [(floor.time_ns, floor.arrivals, floor.trades)],
        "contracts": [tuple(getattr(market, name) for name in FIGURES) for market in markets],
        "orders": [tuple(getattr(order, name) for name in ORDER_COLUMNS) for order in orders],
        "past_ids": [
            (market.number, account, market.past_ids[account])
            for market in markets
            for account in sorted(market.past_ids)
        ],
    }
    return {name: np.array(rows[name], dtype=np.int64).reshape(-1, width) for name, width in COLUMNS.items()}


def floor_of(contracts: Iterable[Contract], parts: Mapping[str, NDArray[np.int64]]) -> Floor:
    """A floor in the state that the matrices hold. Raises Malformed for parts that are not of an exchange of these contracts."""
    _check(parts)
    floor = Floor(contracts)
    numbers = parts["contracts"][:, 0].tolist()
    if numbers != list(floor.markets):
        raise Malformed("snapshot, contracts", found=numbers, expected=f"contracts {list(floor.markets)}",
                        remedy="Restore into an exchange of the same contracts.")  # fmt: skip
    floor.time_ns, floor.arrivals, floor.trades = parts["clock"][0].tolist()
    for market, figures in zip(floor.markets.values(), parts["contracts"].tolist(), strict=True):
        for name, figure in zip(FIGURES, figures, strict=True):
            setattr(market, name, figure)
        market.set_state(SessionState(market.state))
        market.clear_book()
    for number, account, order_id in parts["past_ids"].tolist():
        floor.markets[number].past_ids[account] = order_id
    for row in parts["orders"].tolist():
        _place(floor, row)
    return floor


def _place(floor: Floor, row: list[int]) -> None:
    """Bring one order back: to its account, its market's day, and if it is open to its place in the book."""
    account, order_id, contract, flags, limit_ticks, lots, min_lots, number, left, end = row
    market, owner = floor.markets[contract], floor.participant(account)
    if end == OPEN and not (left > 0 and market.lower_ticks <= limit_ticks <= market.upper_ticks):
        raise Malformed(f"snapshot, open order {order_id} of account {account}", found=f"{left} lots at {limit_ticks}",
                        expected=f"lots at {market.lower_ticks} to {market.upper_ticks}", remedy=REMEDY)  # fmt: skip
    order = Order(owner, order_id, contract, flags, limit_ticks, lots, min_lots, number)
    order.left, order.end = left, end
    owner.orders[order_id] = order
    market.today.append(order)
    if end == OPEN:
        owner.open[order_id] = order
        ladder: Ladder = market.sells if order.is_sell else market.buys
        ladder.add(order)


def _check(parts: Mapping[str, NDArray[np.int64]]) -> None:
    """Names, types and shapes, and that what refers to a contract or a state names one."""
    if sorted(parts) != sorted(COLUMNS):
        raise Malformed(
            "snapshot", found=sorted(parts), expected=f"the parts {sorted(COLUMNS)}", remedy=REMEDY
        )
    for name, width in COLUMNS.items():
        part = parts[name]
        if part.dtype != np.int64 or part.ndim != 2 or part.shape[1] != width:
            raise Malformed(f"snapshot, {name}", found=f"{part.dtype} {part.shape}", expected=f"int64 (n, {width})",
                            remedy=REMEDY)  # fmt: skip
    if len(parts["clock"]) != 1:
        raise Malformed("snapshot, clock", found=len(parts["clock"]), expected="one row", remedy=REMEDY)
    numbers = parts["contracts"][:, 0]
    named = np.concatenate([parts["orders"][:, ORDER_COLUMNS.index("contract")], parts["past_ids"][:, 0]])
    if not np.isin(named, numbers).all():
        raise Malformed("snapshot, orders and past_ids", found=sorted({*named.tolist()} - {*numbers.tolist()}),
                        expected="contracts that are in the snapshot", remedy=REMEDY)  # fmt: skip
    states = parts["contracts"][:, FIGURES.index("state")]
    if not np.isin(states, list(SessionState)).all():
        raise Malformed("snapshot, state", found=states.tolist(), expected="session states", remedy=REMEDY)
