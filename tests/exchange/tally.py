"""A recount of the event stream: what must be true of it whatever the rules of the day say."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, REASON_SHIFT, Row
from ciyuan.exchange import (
    Contract,
    ContractKind,
    Effect,
    ExchangeCommand,
    ExchangeEvent,
    FillFlag,
    OrderFlag,
    SessionState,
)
from ciyuan.exchange.messages import CONTRACT_MASK, HEDGE_FLAG, LEFT_BEFORE_SHIFT
from ciyuan.exchange.state import CONTRACT_COLUMNS, ORDER_COLUMNS, POSITION_COLUMNS
from tests.exchange.flows import Facts, Parts, facts

E = ExchangeEvent
Key = tuple[int, int]


class Standing:
    """An order as the events tell of it."""

    def __init__(self, row: Row) -> None:
        self.sell = row[0] >> FLAG_SHIFT & 1
        self.contract = row[4] & CONTRACT_MASK
        self.lots = self.left = row[6]


class Tally:
    """Hears commands and what was said to them, and keeps count; `check` holds a snapshot against the count."""

    def __init__(self, contracts: Sequence[Contract]) -> None:
        self.contracts = {listed.number: listed for listed in contracts}
        self.orders: dict[Key, Standing] = {}
        self.nets = Counter[tuple[int, int, int]]()
        self.levels: dict[tuple[int, int], dict[int, tuple[int, int]]] = defaultdict(dict)
        self.sequences = Counter[int]()
        self.trades = 0
        self.first: Row | None = None

    def hear(self, said: Sequence[Row]) -> None:
        """Count what was said to one command."""
        for row in said:
            code = row[0] & CODE_MASK
            assert (self.first is None) or code == E.FILLED, "the two sides of a trade follow each other"
            match code:
                case E.ACCEPTED:
                    known = self.orders.get((row[2], row[3]))
                    assert known is None or not known.left
                    self.orders[row[2], row[3]] = Standing(row)
                case E.FILLED:
                    self._filled(row)
                case E.CANCELLED:
                    order = self._order(row)
                    assert order.left == row[6]
                    order.left = 0
                case E.AMENDED:
                    order = self._order(row)
                    assert row[4] >> LEFT_BEFORE_SHIFT == order.left
                    order.left += row[6] - order.lots
                    order.lots = row[6]
                    assert order.left == row[7] > 0
                case E.RELOADED:
                    assert self._order(row).left == row[7] >= row[6] > 0
                case E.LEVEL:
                    self._level(row)
                case E.SET if row[0] >> REASON_SHIFT == ExchangeCommand.POSITION:
                    self.nets[row[2], row[3], row[0] >> FLAG_SHIFT & HEDGE_FLAG] = row[4] - row[5]

    def _order(self, row: Row) -> Standing:
        order = self.orders[row[2], row[3]]
        assert (order.sell, order.contract) == (row[0] >> FLAG_SHIFT & 1, row[4] & CONTRACT_MASK)
        return order

    def _filled(self, row: Row) -> None:
        flags = FillFlag(row[0] >> FLAG_SHIFT & 0xFF)
        sell = bool(flags & FillFlag.SIDE_SELL)
        hedge = bool(row[0] >> REASON_SHIFT & Effect.HEDGE)
        self.nets[row[2], row[4], int(hedge)] += -row[6] if sell else row[6]
        assert row[6] > 0
        assert not self.contracts[row[4]].is_spread
        if flags & FillFlag.FORCED:
            assert row[3] == 0
        else:
            order = self.orders[row[2], row[3]]
            is_leg = bool(flags & FillFlag.LEG)
            listed = self.contracts[order.contract]
            assert is_leg == listed.is_spread
            if not is_leg or row[4] == listed.near:
                assert sell == order.sell
                order.left -= row[6]
                assert order.left >= 0
                assert is_leg or (order.left == 0) == bool(flags & FillFlag.DONE)
        self._pair(row, flags)

    def _pair(self, row: Row, flags: FillFlag) -> None:
        """The two sides of a trade: of one number, contract, price and lots, on other sides, of two accounts or positions."""
        if self.first is None:
            self.first = row
            assert row[7] == self.trades + 1
            assert not flags & FillFlag.TAKER
            return
        self.trades += 1
        first, self.first = self.first, None
        assert row[4:] == first[4:]
        assert (row[0] ^ first[0]) >> FLAG_SHIFT & FillFlag.SIDE_SELL
        assert bool(flags & FillFlag.FORCED) or row[2] != first[2]
        assert bool(flags & (FillFlag.TAKER | FillFlag.FORCED))

    def _level(self, row: Row) -> None:
        number, price, lots, orders, sequence = row[2:7]
        self.sequences[number] += 1
        assert sequence == self.sequences[number], "levels are numbered without a gap"
        assert (lots > 0) == (orders > 0)
        side = self.levels[number, row[0] >> FLAG_SHIFT & 1]
        side[price] = (lots, orders)
        if not lots:
            del side[price]

    def check(self, parts: Parts) -> None:
        """Hold a snapshot against what was counted."""
        assert self.first is None
        left: dict[Key, int] = {}
        levels: dict[tuple[int, int], dict[int, tuple[int, int]]] = defaultdict(dict)
        best: dict[tuple[int, int], list[Facts]] = defaultdict(list)
        for order in facts(parts["orders"], ORDER_COLUMNS):
            assert (order["end"] == 0) == (order["left"] > 0)
            if order["end"]:
                continue
            left[order["account"], order["order_id"]] = order["left"]
            if order["flags"] & OrderFlag.STOP and not order["triggered"]:
                continue
            key = (order["contract"], order["flags"] & 1)
            lots, orders = levels[key].get(order["limit_ticks"], (0, 0))
            levels[key][order["limit_ticks"]] = (lots + order["shown"], orders + 1)
            best[key].append(order)
        assert left == {key: order.left for key, order in self.orders.items() if order.left}
        assert {key: side for key, side in levels.items() if side} == {
            key: side for key, side in self.levels.items() if side
        }
        self._check_positions(parts)
        self._check_crossed(parts, best)

    def _check_positions(self, parts: Parts) -> None:
        spots = {number for number, listed in self.contracts.items() if listed.kind == ContractKind.SPOT}
        held = {
            (found["account"], found["contract"], found["hedge"]): found["long"] - found["short"]
            for found in facts(parts["positions"], POSITION_COLUMNS)
        }
        assert {key: net for key, net in held.items() if net} == {
            key: net for key, net in self.nets.items() if net and key[1] not in spots
        }

    def _check_crossed(self, parts: Parts, best: dict[tuple[int, int], list[Facts]]) -> None:
        """In continuous trading no bid meets an offer; in an auction none of one account does."""
        for market in facts(parts["contracts"], CONTRACT_COLUMNS):
            buys, sells = best[market["number"], 0], best[market["number"], 1]
            if market["state"] == SessionState.CONTINUOUS and buys and sells:
                assert max(order["limit_ticks"] for order in buys) < min(
                    order["limit_ticks"] for order in sells
                )
            for buy in buys:
                for sell in sells:
                    assert buy["account"] != sell["account"] or buy["limit_ticks"] < sell["limit_ticks"]
