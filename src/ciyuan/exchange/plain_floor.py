"""The plain exchange's floor: everything it knows between two commands, and the mouth with which it says its events."""

from collections.abc import Iterable

from ciyuan.basics.rows import FLAG_SHIFT, REASON_SHIFT, Row
from ciyuan.exchange.contract import Contract, checked_contracts
from ciyuan.exchange.messages import ExchangeEvent, SessionState
from ciyuan.exchange.plain_market import Market
from ciyuan.exchange.plain_state import Account, Order, Position
from ciyuan.exchange.room import Room


class Floor:
    """Markets by number, orders by account and id, accounts, positions, the clock. `now` is the time of what is being said."""

    def __init__(self, contracts: Iterable[Contract], room: Room, *, everyone: bool) -> None:
        listed = checked_contracts(contracts)
        self.room = room
        self.everyone = everyone
        self.markets = {contract.number: Market(contract) for contract in listed}
        self.orders: dict[tuple[int, int], Order] = {}
        self.accounts: dict[int, Account] = {}
        self.positions: dict[tuple[int, int, int], Position] = {}
        self.time_ns = self.numbers = self.trades = 0
        self.now = 0
        self.out: list[Row] = []
        for market in self.markets.values():
            if market.is_spread:
                near, far = self.legs(market)
                market.reference_ticks = near.settlement_ticks - far.settlement_ticks
                market.settlement_ticks = market.reference_ticks
                market.lower_ticks, market.upper_ticks = self.spread_limits(market)

    def say(self, event: ExchangeEvent, *words: int, flags: int = 0, reason: int = 0) -> None:
        """Say an event; the words not given are 0."""
        a, b, c, d, e, f = (*words, *(0,) * (6 - len(words)))
        kind = int(event) | int(flags) << FLAG_SHIFT | int(reason) << REASON_SHIFT
        self.out.append((kind, self.now, a, b, c, d, e, f))

    def say_session(self, market: Market) -> None:
        """SESSION_CHANGED as the contract is now."""
        words = (
            market.number,
            market.state,
            market.day,
            market.lower_ticks,
            market.upper_ticks,
            market.due_ns,
        )
        self.say(ExchangeEvent.SESSION_CHANGED, *words)

    def next_number(self) -> int:
        """A new priority number."""
        self.numbers += 1
        return self.numbers

    def next_trade(self) -> int:
        """A new trade id."""
        self.trades += 1
        return self.trades

    def account(self, number: int) -> Account:
        """The account of a number; one without settings if nothing was heard of it."""
        if number not in self.accounts:
            self.accounts[number] = Account(number)
        return self.accounts[number]

    def knows(self, number: int) -> bool:
        """Whether the account of a number is known here: an ACCOUNT was heard of it, or everyone in the room is let in."""
        if not 1 <= number <= self.room.accounts:
            return False
        return self.everyone or self.account(number).enrolled

    def position(self, account: int, contract: int, hedge: int) -> Position:
        """An account's position in a contract; an empty one if it had none."""
        key = (account, contract, hedge)
        if key not in self.positions:
            self.positions[key] = Position(*key)
        return self.positions[key]

    def positions_in(self, contract: int) -> list[Position]:
        """All positions in a contract, in order of account, speculative first."""
        return [self.positions[key] for key in sorted(self.positions) if key[1] == contract]

    def open_orders(self, account: int) -> list[Order]:
        """The account's open orders."""
        return [
            order for market in self.markets.values() for order in market.open if order.account == account
        ]

    def legs(self, spread: Market) -> tuple[Market, Market]:
        """A spread's near and far month."""
        return self.markets[spread.contract.near], self.markets[spread.contract.far]

    def spreads_of(self, market: Market) -> list[Market]:
        """The spreads that a contract is a leg of, in order of number; of a spread itself: it alone."""
        if market.is_spread:
            return [market]
        return [
            other
            for other in self.markets.values()
            if market.number in {other.contract.near, other.contract.far}
        ]

    def joined(self, spread: Market) -> bool:
        """Whether a spread and both its legs are in CONTINUOUS of one day."""
        together = (spread, *self.legs(spread))
        return all(
            market.state == SessionState.CONTINUOUS and market.day == spread.day for market in together
        )

    def sides(self, market: Market, sell: int) -> list[tuple[Market, int]]:
        """In which outrights an order buys (0) or sells (1): a spread's in the near leg as it says, in the far leg otherwise."""
        if not market.is_spread:
            return [(market, sell)]
        near, far = self.legs(market)
        return [(near, sell), (far, 1 - sell)]

    def spread_limits(self, spread: Market) -> tuple[int, int]:
        """A spread's (lower, upper) limit, as it follows from its legs'."""
        near, far = self.legs(spread)
        return near.lower_ticks - far.upper_ticks, near.upper_ticks - far.lower_ticks

    def ladder_holds(self, lower_ticks: int, upper_ticks: int) -> bool:
        """Whether there is room for every tick between two limits."""
        return upper_ticks - lower_ticks + 1 <= self.room.ladder_ticks
