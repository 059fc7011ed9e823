"""The clearing house's books: its terms, contracts and members, and the day that margin is for. Its parts all work on these.

Where members, markets and positions keep their words is a matter of two kinds of books: `plain.PlainBooks` and
`register.RegisterBooks`, over matrices. All else is here, once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.rows import REASON_SHIFT, Row
from ciyuan.clearing.closeout import Auction, CloseOut
from ciyuan.clearing.coverage_book import Record
from ciyuan.clearing.credits import credits_micro, pairs_of
from ciyuan.clearing.life import TRADABLE, Turn, after
from ciyuan.clearing.margin import BP, stage_of
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingRefusal,
    ClearingTerms,
    Fees,
    Life,
    MemberRole,
    Reason,
)
from ciyuan.clearing.model_book import ModelBook
from ciyuan.clearing.positions import Market, Member, Position
from ciyuan.clearing.scenario_margin import Ints, MarginModel, scenario_margin_micro
from ciyuan.clearing.teller import LedgerBooks, Teller
from ciyuan.clearing.tenders import Tender
from ciyuan.exchange.contract import Contract, ContractKind

Out = list[Row]
"""Where events are appended."""
Command = Sequence[int]
Answer = ClearingRefusal | ClearingEvent | None
"""A refusal, REPEATED, or None: it was done."""
Handler = Callable[[Command, Out], Answer]


def say(
    out: Out, event: ClearingEvent, reason: Reason, time_ns: int, words: Sequence[int], flags: int = 0
) -> None:
    """Append an event of up to six words."""
    a, b, c, d, e, f = (*words, *(0,) * (6 - len(words)))
    out.append((event | flags << 16 | reason << REASON_SHIFT, time_ns, a, b, c, d, e, f))


Legs = tuple[tuple[Market, bool], ...]
"""The markets that an order is open in, each with whether it is on the other side there."""


class SpotOrder:
    """An open order of receipts, at its limit: `left` lots, held for by the ledger's hold `key`.

    `saved` is whether that may hold more than the order may still cost, because some of it was bought at a better price.
    """

    __slots__ = ("is_sell", "key", "left", "market", "price_ticks", "saved")

    def __init__(self, market: Market, is_sell: bool, price_ticks: int, left: int) -> None:
        self.market = market
        self.is_sell = is_sell
        self.price_ticks = price_ticks
        self.left = left
        self.key = 0
        self.saved = False


class Books(ABC):
    """State that the parts of the clearing house share.

    `margin_day` is the trading day that margins and limits are for: the day that trades, or after its settlement the
    next business day. `settled_day` is the last day that was settled. Both are 0 before the first. `uncovered_micro`
    is what defaults have cost that no layer could pay; `coverage` is the back-test by contract; `notices` are margin
    rates in basis points by (contract or 0 for all, first day, last day); `closeouts` are the members in default by
    number, `auctions` the open ones by number, `auction_count` all that ever were, `tenders` by (contract,
    participant). `first_grade` is the first of the terms' spot grades (0: none), the one whose receipts account a
    MEMBER command names. `legs` are those of an order of each contract: an outright has itself, a spread its two
    months. `spread_states` are the exchange's `SessionState`s of spreads, once heard of. `orders` are the open ones of
    receipts by (participant, order id).
    """

    members: Mapping[int, Member]

    def __init__(
        self, ledger: LedgerBooks, contracts: Iterable[Contract], calendar: Calendar, terms: ClearingTerms
    ) -> None:
        self.teller = Teller(ledger)
        self.calendar = calendar
        self.terms = terms
        self.contracts = tuple(contracts)
        self.members = {}
        self.markets: dict[int, Market] = {}
        self.legs: dict[int, Legs] = {}
        self.spread_states: dict[int, int] = {}
        self.orders: dict[tuple[int, int], SpotOrder] = {}
        self.margin_day = self.settled_day = 0
        self.uncovered_micro = 0
        self.scenarios = ModelBook()
        self.coverage: dict[int, Record] = {}
        self.notices: dict[tuple[int, int, int], int] = {}
        self.closeouts: dict[int, CloseOut] = {}
        self.auctions: dict[int, Auction] = {}
        self.auction_count = 0
        self.tenders: dict[tuple[int, int], Tender] = {}
        self.spot_receipts = dict(terms.house.spot_receipts)
        for contract in self.contracts:
            if not contract.is_spread:
                self._list(contract)
        self.legs = {number: ((market, False),) for number, market in self.markets.items()}
        for contract in self.contracts:
            if contract.is_spread:
                self._list_spread(contract)
        self.first_grade = next(iter(self.spot_receipts), 0)

    # --- where words are kept ---

    @abstractmethod
    def new_market(self, contract: Contract, fees: Fees) -> Market:
        """A market of a contract, as listed."""

    @abstractmethod
    def new_member(self, number: int) -> Member:
        """A new member, with nothing yet."""

    @abstractmethod
    def members_in_order(self) -> Sequence[Member]:
        """All members by number."""

    def members_with_pledges(self) -> Sequence[Member]:
        """The members that have pledged receipts, by number."""
        return [member for member in self.members_in_order() if member.pledged]

    def members_looked_at(self) -> Sequence[Member]:
        """The members whose quotes were looked at since the last settlement, by number."""
        return [member for member in self.members_in_order() if member.looks]

    @abstractmethod
    def positions_of(self, market: Market) -> Sequence[Position]:
        """All positions in a market, by member and hedge."""

    @abstractmethod
    def all_positions(self) -> Sequence[Position]:
        """All positions, by member, contract and hedge."""

    @abstractmethod
    def reckon_all(self, market: Market) -> None:
        """Reckon every charge in a market anew."""

    # --- listing ---

    def _list(self, contract: Contract) -> None:
        if contract.number in self.markets:
            raise Malformed("contracts", found=f"two with number {contract.number}", expected="a number for each",
                            remedy="Renumber one of them.")  # fmt: skip
        is_spot = contract.kind == ContractKind.SPOT
        if is_spot and contract.grade not in self.spot_receipts:
            raise Malformed("terms", found=f"no house account for receipts of grade {contract.grade}",
                            expected=f"one, for {contract.code}", remedy="Add it to HouseAccounts.spot_receipts.")  # fmt: skip
        fees = self.terms.spot_fees if is_spot else self.terms.futures_fees
        self.markets[contract.number] = self.new_market(contract, fees)

    def _list_spread(self, contract: Contract) -> None:
        """A spread is bought by buying its near and selling its far month (§2.5)."""
        near, far = self.markets.get(contract.near), self.markets.get(contract.far)
        if contract.number in self.legs or near is None or far is None or near.is_spot or far.is_spot:
            raise Malformed("contracts", found=f"spread {contract.code} of {contract.near} and {contract.far}",
                            expected="its own number, and two listed futures", remedy="Correct its listing.")  # fmt: skip
        self.legs[contract.number] = ((near, False), (far, True))

    # --- what follows ---

    def markets_in_order(self) -> list[Market]:
        """All markets by number."""
        return [self.markets[number] for number in sorted(self.markets)]

    def open_interest(self, market: Market) -> int:
        """Long lots of a contract, which are also the short ones."""
        return sum(position.long for position in self.positions_of(market))

    def limit_lots(self, market: Market, member: Member) -> int:
        """A member's position limit in a market, in lots (§5.2); 0 for none."""
        interest = self.open_interest(market) if market.share_bp else 0
        return market.limit_of(member.role == MemberRole.HEDGER, interest)

    def running_loss_micro(self, member: Member) -> int:
        """min(0, variation since the last settlement, marked at the last trades), in micro-units: a claim on the cash (§5.1)."""
        gained = sum(held.variation_micro(held.market.mark_ticks) for held in self.carried(member))
        return min(0, gained)

    def carried(self, member: Member) -> list[Position]:
        """The member's positions that have a variation: what is held, and what was closed since the last settlement."""
        found = (
            member.find(number, hedge)
            for number, market in self.markets.items()
            if not market.is_spot
            for hedge in (0, 1)
        )
        return [position for position in found if position is not None and (position.lots or position.basis)]

    def equity_micro(self, member: Member) -> int:
        """What stands behind a member's requirement (§5.1): cash that is not held and collateral, less debt, unpaid fees and
        running loss.
        """
        claims = member.owed_micro + member.accrued_micro
        cash = self.teller.ledger.available(member.cash)
        return cash + member.collateral_micro - claims + self.running_loss_micro(member)

    def excess_micro(self, member: Member) -> int:
        """Equity less requirement; negative if the member is short of margin."""
        return self.equity_micro(member) - member.requirement_micro

    @property
    def model(self) -> MarginModel | None:
        """The model that scenario margin stands on; None: the ladder alone (§6.2)."""
        return self.scenarios.model

    @property
    def model_contracts(self) -> tuple[int, ...]:
        """The contract of each of the model's columns."""
        return self.scenarios.contracts

    def net_lots(self, members: Sequence[Member], contracts: Sequence[int]) -> Ints:
        """(members, contracts): net lots, speculative and hedging together."""
        lots = np.zeros((len(members), len(contracts)), dtype=np.int64)
        column = {number: place for place, number in enumerate(contracts)}
        for place, member in enumerate(members):
            for held in member.held():
                if held.market.number in column:
                    lots[place, column[held.market.number]] += held.lots
        return lots

    def scenario_margins(self, members: Sequence[Member]) -> list[int]:
        """The scenario margin of these members' positions, in micro-units (§6.2), by the model in force."""
        if self.model is None:
            raise InvariantBroken("scenario margin stands on a model", "none is in force")
        lots = self.net_lots(members, self.model_contracts)
        margins: list[int] = scenario_margin_micro(lots, self.model).tolist()
        return margins

    def credits(self, members: Sequence[Member]) -> Ints:
        """What the ladder gives these members back for opposite positions, (members,) micro-units (§6.3)."""
        markets = [market for market in self.markets_in_order() if not market.is_spot]
        if not self.terms.credits or not markets:
            return np.zeros(len(members), dtype=np.int64)
        pairs = pairs_of([market.contract for market in markets], self.terms.credits, self.margin_day)
        margins = np.array([market.margin_lot_micro for market in markets], dtype=np.int64)
        return credits_micro(self.net_lots(members, [market.number for market in markets]), margins, pairs)

    def noticed_bp(self, market: Market) -> int:
        """The largest margin rate that a notice asks of a market on the margin day; 0 for none (§6.1)."""
        rates = (
            rate
            for (number, first, last), rate in self.notices.items()
            if number in (0, market.number) and first <= self.margin_day <= last
        )
        return max(rates, default=0)

    def set_margin_day(self, day: int) -> None:
        """Take the ladder's step, the limits and the present prices as the terms of `day`, in every market."""
        self.margin_day = day
        self.notices = {days: rate for days, rate in self.notices.items() if days[2] >= day}
        for market in self.markets.values():
            self.renew_terms(market)

    def renew_terms(self, market: Market) -> None:
        """Take a market's margin, fees and limits anew, for the same day."""
        if not self.margin_day:
            return
        terms, rate = self.terms, BP
        stage = stage_of(market.contract, self.margin_day, terms.ladder, self.calendar)
        if not market.is_spot:
            interest = self.open_interest(market) if terms.ladder.open_interest_steps else 0
            rate = market.rate_bp(stage, terms, interest, self.noticed_bp(market))
        market.set_terms(rate, terms.limits, terms.hedger_limits, stage)
        self.reckon_all(market)

    def suspend_offsets(self, market: Market | None = None) -> None:
        """Ask the whole ladder again of who has positions, in one market or any, until scenario margin is worked out
        anew (§6.2).
        """
        positions = self.all_positions() if market is None else self.positions_of(market)
        found = (position for position in positions if not position.is_empty)
        for member in {position.member.number: position.member for position in found}.values():
            member.adjustment_micro = max(0, member.adjustment_micro)
            member.changed = 1

    def end_trading(self, out: Out, time_ns: int, market: Market, day: int) -> None:
        """After its last day: on to SETTLING, through the states that no session has turned. Spot is settled trade by trade."""
        if market.life not in TRADABLE or day < market.contract.last_day:
            return
        if market.life == Life.LISTED:
            self.turn(out, time_ns, market, Turn.OPENED, day)
        if market.life == Life.TRADING:
            self.turn(out, time_ns, market, Turn.LAST_DAY_CAME, day)
        self.turn(out, time_ns, market, Turn.LAST_DAY_ENDED, day)
        if market.is_spot:
            self.turn(out, time_ns, market, Turn.FINALLY_SETTLED, day)

    def turn(self, out: Out, time_ns: int, market: Market, turn: Turn, day: int) -> None:
        """Move a contract on in its life (§2.6), and say so."""
        before = Life(market.life)
        market.life = after(before, turn)
        words = (market.number, market.life, before, day)
        say(out, ClearingEvent.CONTRACT_STATE, Reason.LIFE, time_ns, words)
