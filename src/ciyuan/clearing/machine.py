"""The clearing house as a machine: commands and the exchange's events in, money moved in the ledger, events out.

Theory of operation. The exchange admits orders by what the clearing house says of accounts and contracts (`credit_micro`,
`receipts_lots`, `risk`), which it is told before each order, and says afterwards what became of it (`on_event`). Between the two
nothing else happens, so what was admitted is still covered when it is accepted. A trade comes as two FILLED rows; with the second
it is novated (§7.1): each side now faces the house.

What a requirement is made of is kept as it changes: an order, a fill or a cancel touches one position (a spread's two), whose
charge goes into its member's requirement. Nothing is summed over members, and over a member's contracts only the running loss is.

The margin requirement is a claim on the cash account, not a transfer: the money stays the member's, and what moves in the ledger
is only what was won, lost, paid and delivered.

Invariants:

- lots, and bases, of every contract sum to zero over its members;
- a member's requirement is the sum of its charges, and each charge is what `Position.reckon` makes of it;
- the house's variation, spot money and spot receipts accounts are at zero after every command;
- members' debts add up to what capital lent and what the receivables account is missing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import CODE_MASK, ROW_WORDS
from ciyuan.basics.state import state_hash
from ciyuan.clearing.books import Books, Out
from ciyuan.clearing.commands import Commands
from ciyuan.clearing.laws import check_books
from ciyuan.clearing.life import Turn
from ciyuan.clearing.messages import ClearingTerms, Life, Risk
from ciyuan.clearing.orders import Orders
from ciyuan.clearing.snapshot import parts_of, restored
from ciyuan.clearing.teller import LedgerBooks
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import ExchangeEvent, SessionState

Hearer = Callable[[Sequence[int], Out], None]


class ClearingHouse:
    """Novation, positions, margin, settlement, spot delivery. The rules are in docs/spec/clearing.md.

    `ledger` is the market's ledger, in which the accounts of `terms.house` are open; `contracts` are all that are listed, each
    with its own number; `calendar` says which days are business days. `hearers` has for each code of the
    exchange's events that concerns it the function that takes such an event in.
    """

    def __init__(
        self, ledger: LedgerBooks, contracts: Iterable[Contract], calendar: Calendar, terms: ClearingTerms
    ) -> None:
        self._contracts = tuple(contracts)
        self._take(Books(ledger, self._contracts, calendar, terms))

    def _take(self, books: Books) -> None:
        self._books = books
        self._members, self._markets = books.members, books.markets
        self._orders = Orders(books)
        self._commands = Commands(books)
        self.hearers: Mapping[int, Hearer] = {
            ExchangeEvent.ACCEPTED: self._orders.on_accepted,
            ExchangeEvent.FILLED: self._orders.on_filled,
            ExchangeEvent.CANCELLED: self._orders.on_cancelled,
            ExchangeEvent.AMENDED: self._orders.on_amended,
            ExchangeEvent.SETTLEMENT_PRICE: self._on_settlement_price,
            ExchangeEvent.SESSION_CHANGED: self._on_session,
            ExchangeEvent.LIMIT_LOCKED: self._on_limit_locked,
            ExchangeEvent.LIMITS: self._on_limits,
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
        _, time_ns, contract, price_ticks, day, _, upper_ticks, _ = row
        market = self._markets.get(contract)
        if market is None:
            return
        market.lock_rate_bp = 0
        market.priced_ticks, market.priced_day, market.priced_upper_ticks = price_ticks, day, upper_ticks
        self._books.end_trading(out, time_ns, market, day)

    def _on_session(self, row: Sequence[int], out: Out) -> None:
        """A session of a trading day begins: the day's terms hold, and contracts open or come to their last day."""
        _, time_ns, contract, state, day, *_ = row
        if state in (SessionState.CLOSED, SessionState.SETTLEMENT):
            return
        if day > self._books.margin_day:
            self._books.set_margin_day(day)
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
        _, _, contract, _, upper_ticks, limit_rate_bp, *_ = row
        market = self._markets.get(contract)
        if market is not None:
            market.take_limits(upper_ticks, limit_rate_bp)
            self._books.renew_terms(market)

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

    def credit_micro(self, participant: int) -> int:
        """What backs a member's requirement and its open spot buys, together: equity, and what the buys may still cost."""
        member = self._members[participant]
        return self._books.equity_micro(member) + member.reserved_micro

    def reserved_micro(self, participant: int) -> int:
        """What a member's open spot buys may still cost: lots left at their limits."""
        return self._members[participant].reserved_micro

    def receipts_lots(self, participant: int, contract_number: int) -> int:
        """Whole lots of a spot contract that the member's receipts make, those held for its open sells in it among them."""
        member, market = self._members[participant], self._markets[contract_number]
        account = member.receipts.get(market.contract.grade)
        if account is None:
            return 0
        found = member.positions.get(contract_number)
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
        return (order.contract, order.is_sell) if order is not None and order.spot else None

    # --- what else can be asked ---

    @property
    def members(self) -> tuple[int, ...]:
        """Participants, in order."""
        return tuple(sorted(self._members))

    @property
    def trading_day(self) -> int:
        """The trading day that margins and limits are for; 0 before the first session."""
        return self._books.margin_day

    def life(self, contract_number: int) -> Life:
        """Where a contract stands in its life (§2.6)."""
        return self._markets[contract_number].life

    def position(self, participant: int, contract_number: int) -> int:
        """Lots held, negative if short; 0 if never traded."""
        found = self._members[participant].positions.get(contract_number)
        return found.lots if found else 0

    def open_lots(self, participant: int, contract_number: int) -> tuple[int, int]:
        """Lots in open buy and sell orders."""
        found = self._members[participant].positions.get(contract_number)
        return (found.buys, found.sells) if found else (0, 0)

    def open_interest(self, contract_number: int) -> int:
        """Long lots of a contract, which are also the short ones."""
        return self._markets[contract_number].open_interest

    def settlement_ticks(self, contract_number: int) -> int:
        """The price that margin and variation stand on: of the last settled day, or the initial one."""
        return self._markets[contract_number].settle_ticks

    def margin_lot_micro(self, contract_number: int) -> int:
        """Margin of one lot at the present step and settlement price (§6.1)."""
        return self._markets[contract_number].margin_lot_micro

    def requirement_micro(self, participant: int) -> int:
        """The member's requirement: worst cases of its positions and open orders, with fees (§5.1)."""
        return self._members[participant].requirement_micro

    def equity_micro(self, participant: int) -> int:
        """Cash that is not held, less debt, unpaid fees and the running loss."""
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
        old = self._books
        books = Books(old.teller.ledger, self._contracts, old.calendar, old.terms)
        restored(books, parts)
        self._take(books)

    def state_hash(self) -> str:
        """The fingerprint of the snapshot."""
        return state_hash(self.snapshot())
