"""A market that stands still, for traders to look at."""

from dataclasses import dataclass, field

from ciyuan.basics.rows import FLAG_SHIFT, Row, code_of
from ciyuan.exchange.messages import ExchangeCommand, FillFlag, OrderFlag

SPOT, OCT, NOV = 1, 2, 3


@dataclass
class FakeMarket:
    """Best prices by contract, 0 where there is none, and one pair of limits."""

    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    lower: int = 900
    upper: int = 1100

    def best_bid(self, contract: int) -> int:
        return self.bids.get(contract, 0)

    def best_ask(self, contract: int) -> int:
        return self.asks.get(contract, 0)

    def limits(self, contract: int) -> tuple[int, int]:
        return self.lower, self.upper


def orders(rows: list[Row]) -> list[tuple[int, bool, int, int]]:
    """(contract, sells, price, lots) of the ORDER rows."""
    return [
        (row[4], bool(row[0] >> FLAG_SHIFT & OrderFlag.SIDE_SELL), row[5], row[6])
        for row in rows
        if code_of(row[0]) == ExchangeCommand.ORDER
    ]


def cancels(rows: list[Row]) -> list[int]:
    """Order ids of the CANCEL rows."""
    return [row[3] for row in rows if code_of(row[0]) == ExchangeCommand.CANCEL]


def filled(
    account: int,
    order_id: int,
    contract: int,
    price: int,
    lots: int,
    *,
    sells: bool = False,
    done: bool = False,
) -> Row:
    """A FILLED event."""
    flags = (FillFlag.SIDE_SELL if sells else 0) | (FillFlag.DONE if done else 0)
    return (355 | flags << FLAG_SHIFT, 1, account, order_id, contract, price, lots, 1)
