"""The clearing house, whatever its books are kept in: commands and the exchange's events in, money moved in the
ledger, events out.

Theory of operation. The exchange admits orders by what the clearing house says of accounts and contracts
(`credit_micro`, `receipts_lots`, `risk`), which it is told before each order, and says afterwards what became of it
(`on_event`). Between the two nothing else happens, so what was admitted is still covered when it is accepted. A trade
comes as two FILLED rows; with the second it is novated (§7.1): each side now faces the house.

What a requirement is made of is kept as it changes: an order, a fill or a cancel touches one position (a spread's
two), whose charge goes into its member's requirement. Nothing is summed over members, and over a member's contracts
only the running loss is. Scenario margin (§6.2) is worked out of whole portfolios, when a model is taken, at a
settlement and at a review.

The margin requirement is a claim on the cash account, not a transfer: the money stays the member's, and what moves in
the ledger is only what was won, lost, paid and delivered.

Invariants:

- lots, and bases, of every contract sum to zero over its members;
- a member's ladder is the sum of its charges, and each charge is what `Position.reckon` makes of it;
- the house's variation, spot money and spot receipts accounts are at zero after every command;
- members' debts, and what no layer has covered, are what the receivables account is missing;
- members' shares of the default fund add up to its account.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import CODE_MASK, ROW_WORDS
from ciyuan.basics.state import state_hash
from ciyuan.clearing.books import Books, Out
from ciyuan.clearing.commands import Commands
from ciyuan.clearing.laws import check_books
from ciyuan.clearing.life import Turn
from ciyuan.clearing.messages import Life, MemberRole, Risk, Standing
from ciyuan.clearing.orders import Orders, is_moved
from ciyuan.clearing.positions import Position
from ciyuan.clearing.scenario_margin import MarginModel
from ciyuan.clearing.settlement import Settlement
from ciyuan.clearing.snapshot import parts_of, restored
from ciyuan.exchange.messages import ExchangeEvent, SessionState

Hearer = Callable[[Sequence[int], Out], None]


class House(ABC):
    """Novation, positions, margin, settlement, default, delivery. The rules are in docs/spec/clearing.md.

    `hearers` has for each code of the exchange's events that concerns it the function that takes such an event in.
    """

    def __init__(self, books: Books) -> None:
        self._take(books)

    @abstractmethod
    def _parts(self, books: Books) -> tuple[Orders, Settlement]:
        """What hears orders, and what settles, over these books."""

    @abstractmethod
    def _empty_books(self) -> Books:
        """New books of the same ledger, contracts, calendar and terms."""

    def _take(self, books: Books) -> None:
        self._books = books
        self._members, self._markets = books.members, books.markets
        self._orders, settlement = self._parts(books)
        self._commands = Commands(books, settlement)
        self.hearers: Mapping[int, Hearer] = {
            ExchangeEvent.ACCEPTED: self._orders.on_accepted,
            ExchangeEvent.FILLED: self._orders.on_filled,
            ExchangeEvent.CANCELLED: self._orders.on_cancelled,
            ExchangeEvent.AMENDED: self._orders.on_amended,
            ExchangeEvent.SETTLEMENT_PRICE: self._on_settlement_price,
            ExchangeEvent.SESSION_CHANGED: self._on_session,
            ExchangeEvent.LIMIT_LOCKED: self._on_limit_locked,
            ExchangeEvent.LIMITS: self._on_limits,
            ExchangeEvent.ACTIVITY: self._on_activity,
        }

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply an (n, 8) int64 batch of `ClearingCommand` rows; returns the (m, 8) events."""
        out: Out = []
        for row in rows.tolist():
            self._commands.apply(row, out)
        return np.array(out, dtype=np.int64).reshape(-1, ROW_WORDS)

    def apply_one(self, row: Sequence[int], out: Out) -> None:
        """Apply one command, eight plain ints; events are appended to `out`."""
        self._commands.apply(row, out)

    # --- the exchange's events ---

    def on_event(self, row: Sequence[int], out: Out) -> None:
        """Take in one event of the exchange, eight plain ints; others than those that concern clearing are passed over."""
        hearer = self.hearers.get(row[0] & CODE_MASK)
        if hearer is not None:
            hearer(row, out)

    def _on_settlement_price(self, row: Sequence[int], out: Out) -> None:
        """Keep the price until the day is settled; a contract's last one ends its trading. A spread has none to be settled at."""
        _, time_ns, contract, price_ticks, day, _, upper_ticks, lower_ticks = row
        market = self._markets.get(contract)
        if market is None:
            return
        market.lock_rate_bp = 0
        market.priced_ticks, market.priced_day = price_ticks, day
        market.priced_lower_ticks, market.priced_upper_ticks = lower_ticks, upper_ticks
        self._books.end_trading(out, time_ns, market, day)

    def _on_session(self, row: Sequence[int], out: Out) -> None:
        """A session of a trading day begins: the day's terms hold, and contracts open or come to their last day."""
        _, time_ns, contract, state, day, *_ = row
        if contract in self._markets:
            self._markets[contract].state = state
        elif contract in self._books.legs:
            self._books.spread_states[contract] = state
        if state in (SessionState.CLOSED, SessionState.SETTLEMENT):
            return
        if day > self._books.margin_day:
            self._books.set_margin_day(day)
            self._books.suspend_offsets()
        market = self._markets.get(contract)
        if market is None:
            return
        if market.life == Life.LISTED and market.contract.first_day <= day:
            self._books.turn(out, time_ns, market, Turn.OPENED, day)
        if market.life == Life.TRADING and market.contract.last_day <= day:
            self._books.turn(out, time_ns, market, Turn.LAST_DAY_CAME, day)

    def _on_limit_locked(self, row: Sequence[int], out: Out) -> None:
        """The day ended locked at its limit: the next one's margin is over its limit (§4.5)."""
        self._markets[row[2]].lock_rate_bp = row[6]

    def _on_limits(self, row: Sequence[int], out: Out) -> None:
        """Other daily limits hold from now on, and with them other margins and fees."""
        _, _, contract, lower_ticks, upper_ticks, limit_rate_bp, *_ = row
        market = self._markets.get(contract)
        if market is not None:
            market.take_limits(lower_ticks, upper_ticks, limit_rate_bp)
            self._books.renew_terms(market)
            self._books.suspend_offsets(market)

    def _on_activity(self, row: Sequence[int], out: Out) -> None:
        """A day's messages of an account in a contract: cancels over the free ones cost a fee (§5.3)."""
        member, terms = self._members[row[2]], self._books.terms.cancels
        if member.role != MemberRole.MAKER:
            member.accrued_micro += max(0, row[5] - terms.free) * terms.fee_micro

    # --- what the exchange admits orders by (§5) ---

    @property
    def orders_per_second_max(self) -> int:
        """The most orders of a member in a second of the clock (§5.3); 0: no limit."""
        return self._books.terms.orders_per_second_max

    @property
    def contracts(self) -> tuple[int, ...]:
        """The contracts that positions are held in, in order: all but spreads."""
        return tuple(sorted(self._markets))

    def is_member(self, participant: int) -> bool:
        """Whether it has joined."""
        return participant in self._members

    def is_in_default(self, participant: int) -> bool:
        """Whether its positions are being, or have been, closed (§10.1)."""
        return self._members[participant].is_in_default

    def membership(self, participant: int) -> tuple[int, int, int]:
        """A member's settings (`MemberFlag`), permissions and role."""
        member = self._members[participant]
        return member.flags, member.permissions, member.role

    def is_gross(self, participant: int) -> bool:
        """Whether the member holds long and short apart (§3.4)."""
        return self._members[participant].is_gross

    def credit_micro(self, participant: int) -> int:
        """What backs a member's ladder and its open spot buys, together: equity, and what the buys may still cost, less what
        scenario margin asks over the ladder, or more by what it asks less (§6.2).
        """
        member = self._members[participant]
        return self._books.equity_micro(member) + member.reserved_micro - member.adjustment_micro

    def spot_credit_micro(self, participant: int) -> int:
        """The same for one more spot buy, which is paid in cash: collateral does not count for it (§2.1)."""
        member = self._members[participant]
        cash = self._books.teller.ledger.available(member.cash)
        return min(self.credit_micro(participant), member.ladder_micro + member.reserved_micro + cash)

    def free_micro(self, participant: int) -> int:
        """What may be withdrawn: equity less requirement; nothing while the member is in default (§10.3)."""
        return 0 if self.standing(participant) == Standing.DEFAULTED else self.excess_micro(participant)

    def reserved_micro(self, participant: int) -> int:
        """What a member's open spot buys may still cost: lots left at their limits."""
        return self._members[participant].reserved_micro

    def receipts_lots(self, participant: int, contract_number: int) -> int:
        """Whole lots of a spot contract that the member's receipts make, those held for its open sells in it among them."""
        member, market = self._members[participant], self._markets[contract_number]
        account = member.receipts.get(market.contract.grade)
        if account is None:
            return 0
        found = member.find(contract_number)
        return self._books.teller.ledger.available(account) // market.contract.lot_mtok + (
            found.sells if found else 0
        )

    def risk(self, contract_number: int) -> Risk:
        """Margin and fee of a lot, and the position limits of the day."""
        return self._markets[contract_number].risk

    def is_saving(self, participant: int, order_id: int) -> bool:
        """Whether an order's end may add to the member's credit: it may hold what a better price has saved."""
        order = self._books.orders.get((participant, order_id))
        return order is not None and order.saved

    def spot_order(self, participant: int, order_id: int) -> tuple[int, bool] | None:
        """The contract of an open spot order, and whether it sells; None if there is no such order."""
        order = self._books.orders.get((participant, order_id))
        return (order.market.number, order.is_sell) if order is not None else None

    @property
    def is_review_due(self) -> bool:
        """Whether a price has moved so far since the last review that the next one is due at once (§6.4)."""
        move_bp = self._books.terms.scenario.review_move_bp
        return move_bp > 0 and any(is_moved(market, move_bp) for market in self._markets.values())

    # --- what else can be asked ---

    @property
    def members(self) -> tuple[int, ...]:
        """Participants, in order."""
        return tuple(sorted(self._members))

    @property
    def in_default(self) -> tuple[int, ...]:
        """Members in default whose loss is not shared yet, in order (§10.1)."""
        return tuple(sorted(self._books.closeouts))

    @property
    def trading_day(self) -> int:
        """The trading day that margins and limits are for; 0 before the first session."""
        return self._books.margin_day

    def life(self, contract_number: int) -> Life:
        """Where a contract stands in its life (§2.6)."""
        return Life(self._markets[contract_number].life)

    def position(self, participant: int, contract_number: int) -> int:
        """Lots held, negative if short, hedging ones of a gross member too; 0 if never traded."""
        return sum(held.lots for held in self.positions(participant, contract_number))

    def positions(self, participant: int, contract_number: int) -> list[Position]:
        """What a member has in a contract, speculative and hedging; to be read only."""
        found = (self._members[participant].find(contract_number, hedge) for hedge in (0, 1))
        return [position for position in found if position is not None]

    def open_lots(self, participant: int, contract_number: int) -> tuple[int, int]:
        """Lots in open buy and sell orders, but for those that close lots of a gross member."""
        found = self.positions(participant, contract_number)
        return sum(held.buys for held in found), sum(held.sells for held in found)

    def open_interest(self, contract_number: int) -> int:
        """Long lots of a contract, which are also the short ones."""
        return self._books.open_interest(self._markets[contract_number])

    def settlement_ticks(self, contract_number: int) -> int:
        """The price that margin and variation stand on: of the last settled day, or the initial one."""
        return self._markets[contract_number].settle_ticks

    def margin_lot_micro(self, contract_number: int) -> int:
        """Margin of one lot at the present step and settlement price (§6.1)."""
        return self._markets[contract_number].margin_lot_micro

    def ladder_micro(self, participant: int) -> int:
        """The ladder's part of the requirement: worst cases of its positions and open orders, with fees (§5.1)."""
        return self._members[participant].ladder_micro

    def scenario_micro(self, participant: int) -> int:
        """The scenario margin of its positions at the last review (§6.2); 0 without a model."""
        return self._members[participant].scenario_micro

    @property
    def margin_model(self) -> tuple[MarginModel | None, tuple[int, ...]]:
        """The model that scenario margin stands on, and the contract of each of its columns (§6.2)."""
        return self._books.model, self._books.model_contracts

    @property
    def margin_model_day(self) -> int:
        """The trading day of the model that was taken last; 0 before the first."""
        return self._books.scenarios.day

    def requirement_micro(self, participant: int) -> int:
        """The member's requirement: the ladder's, as scenario margin adjusts it."""
        return self._members[participant].requirement_micro

    def standing(self, participant: int) -> Standing:
        """How the member stands with the house (§10.1)."""
        return Standing(self._members[participant].standing)

    def fund_micro(self, participant: int) -> int:
        """Its share of the default fund (§10.4)."""
        return self._members[participant].fund_micro

    def collateral_micro(self, participant: int) -> int:
        """The value of its pledged receipts after the haircut (§6.5)."""
        return self._members[participant].collateral_micro

    def equity_micro(self, participant: int) -> int:
        """Cash that is not held and collateral, less debt, unpaid fees and the running loss."""
        return self._books.equity_micro(self._members[participant])

    def excess_micro(self, participant: int) -> int:
        """Equity less requirement: what may be withdrawn; negative if the member is short of margin."""
        return self.equity_micro(participant) - self.requirement_micro(participant)

    def owed_micro(self, participant: int) -> int:
        """What the member was lent to meet its settlements and has not repaid (§10.1)."""
        return self._members[participant].owed_micro

    def check(self) -> None:
        """Raise InvariantBroken if one of the machine's invariants does not hold."""
        check_books(self._books)

    # --- snapshot ---

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state as named int64 matrices; what was derived (charges, requirements, margins) is left out."""
        if self._orders.half is not None:
            raise InvariantBroken("a trade has two sides", f"snapshot after one: {tuple(self._orders.half)}")
        return parts_of(self._books)

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take the state of a snapshot of a clearing house with the same contracts and terms, over a ledger restored with it.

        Raises Malformed, and changes nothing, if `parts` are not one.
        """
        books = self._empty_books()
        restored(books, parts)
        self._take(books)

    def state_hash(self) -> str:
        """The fingerprint of the snapshot."""
        return state_hash(self.snapshot())
