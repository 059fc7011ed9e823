"""The clearing house as a machine: commands and the exchange's events in, money moved in the ledger, events out.

Theory of operation. The exchange asks before an order may rest (`permitted`, `admit`) and tells afterwards what became of it
(`on_event`). Between the two nothing else happens, so what was admitted is still covered when it is accepted. A trade comes as
two FILLED rows; with the second it is novated (§7.1): each side now faces the house.

What admission needs is kept as it changes: an order, a fill or a cancel touches one position, whose charge goes into its member's
requirement. Nothing is summed over members, and over a member's contracts only the running loss is.

The margin requirement is a claim on the cash account, not a transfer: the money stays the member's, and what moves in the ledger
is only what was won, lost, paid and delivered.

Invariants:

- lots, and bases, of every contract sum to zero over its members;
- a member's requirement is the sum of its charges, and each charge is what `Position.reckon` makes of it;
- the house's variation, spot money and spot receipts accounts are at zero after every command;
- members' debts add up to what capital lent and what the receivables account is missing.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, REASON_SHIFT, ROW_WORDS
from ciyuan.basics.state import state_hash
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.clearing.books import Books, Out
from ciyuan.clearing.commands import Commands
from ciyuan.clearing.laws import check_books
from ciyuan.clearing.life import TRADABLE, Turn
from ciyuan.clearing.margin import fill_fee_micro
from ciyuan.clearing.messages import ClearingEvent, ClearingTerms, Life, Reason
from ciyuan.clearing.positions import Member, Position
from ciyuan.clearing.snapshot import parts_of, restored
from ciyuan.clearing.spot import Side, SpotDesk
from ciyuan.clearing.teller import LedgerBooks
from ciyuan.exchange.messages import Contract, ExchangeEvent, FillFlag, Refusal, SessionState

SIDE_SELL, TAKER, DONE = (
    int(flag) << FLAG_SHIFT for flag in (FillFlag.SIDE_SELL, FillFlag.TAKER, FillFlag.DONE)
)
ACCEPTED, FILLED, CANCELLED = map(
    int, (ExchangeEvent.ACCEPTED, ExchangeEvent.FILLED, ExchangeEvent.CANCELLED)
)
NOVATED = ClearingEvent.NOVATED | Reason.NOVATION << REASON_SHIFT


class ClearingHouse:
    """Novation, positions, admission, margin, settlement, spot delivery. The rules are in docs/spec/clearing.md.

    `ledger` is the market's ledger, in which the accounts of `terms.house` are open; `contracts` are all that are listed, each
    with its own number; `calendar` says which days are business days. It implements the exchange's `Admission`.
    """

    def __init__(
        self, ledger: LedgerBooks, contracts: Iterable[Contract], calendar: Calendar, terms: ClearingTerms
    ) -> None:
        self._contracts = tuple(contracts)
        self._take(Books(ledger, self._contracts, calendar, terms))

    def _take(self, books: Books) -> None:
        self._books = books
        self._members, self._markets = books.members, books.markets
        self._orders_per_second_max = books.terms.orders_per_second_max
        self._spot = SpotDesk(books)
        self._commands = Commands(books)
        self._half: Sequence[int] | None = None

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply an (n, 8) int64 batch of `ClearingCommand` rows; returns the (m, 8) events."""
        out: Out = []
        for row in rows.tolist():
            self._commands.apply(row, out)
        return np.array(out, dtype=np.int64).reshape(-1, ROW_WORDS)

    def apply_one(self, row: Sequence[int], out: Out) -> None:
        """Apply one command, eight plain ints; events are appended to `out`."""
        self._commands.apply(row, out)

    # --- admission (§5), asked by the exchange ---

    def permitted(self, account: int, contract_number: int) -> Refusal | None:
        """Whether the participant is a member and may trade the contract. A contract that is not known here is not judged."""
        member = self._members.get(account)
        if member is None:
            return Refusal.UNKNOWN_ACCOUNT
        market = self._markets.get(contract_number)
        if market is None:
            return None
        if not member.permissions & market.permission or market.life not in TRADABLE:
            return Refusal.NOT_PERMITTED
        if market.is_spot and market.contract.grade not in member.receipts:
            return Refusal.NOT_PERMITTED
        return None

    def admit(
        self, time_ns: int, account: int, contract_number: int, is_sell: bool, price_ticks: int, lots: int
    ) -> Refusal | None:
        """Whether the order may rest or trade: position limit (§5.2), order rate (§5.3), worst case covered (§5.1).

        `price_ticks` is the order's limit, of a market order its effective one. The member must be `permitted`.
        """
        member, market = self._members[account], self._markets[contract_number]
        position = member.positions.get(contract_number)
        if position is None:
            position = member.position(market)
        if is_sell:
            longest, shortest = position.lots + position.buys, position.sells + lots - position.lots
            exposure = shortest
        else:
            longest, shortest = position.lots + position.buys + lots, position.sells - position.lots
            exposure = longest
        if exposure > market.limit_of(member.role):
            return Refusal.POSITION_LIMIT
        if self._orders_per_second_max and not self._within_rate(member, time_ns):
            return Refusal.ORDER_RATE
        spent = 0
        if market.is_spot:
            if is_sell:
                return None if self._spot.covered(member, market, lots) else Refusal.MARGIN
            spent = price_ticks * market.tick_value_micro * lots
        elif exposure <= 0:
            return None
        worst = max(shortest, longest)
        charge = worst * market.margin_lot_micro + (longest + shortest) * market.fee_lot_micro
        requirement = member.requirement_micro + charge - position.charge_micro
        return None if self._books.equity_micro(member) - spent >= requirement else Refusal.MARGIN

    def _within_rate(self, member: Member, time_ns: int) -> bool:
        """Count an order in its second of the clock; False if the second is full (§5.3)."""
        second = time_ns // NS_PER_SECOND
        if second != member.second:
            member.second, member.second_orders = second, 0
        if member.second_orders >= self._orders_per_second_max:
            return False
        member.second_orders += 1
        return True

    # --- the exchange's events ---

    def on_event(self, row: Sequence[int], out: Out) -> None:
        """Take in one event of the exchange, eight plain ints; others than those that concern clearing are passed over."""
        code = row[0] & CODE_MASK
        if code == ACCEPTED:
            self._on_accepted(row)
        elif code == FILLED:
            if self._half is None:
                self._half = row
            else:
                self._on_trade(self._half, row, out)
        elif code == CANCELLED:
            self._on_cancelled(row)
        elif code == ExchangeEvent.SETTLEMENT_PRICE:
            self._on_settlement_price(row, out)
        elif code == ExchangeEvent.SESSION_CHANGED:
            self._on_session(row, out)

    def _on_accepted(self, row: Sequence[int]) -> None:
        kind, time_ns, account, order_id, contract, price_ticks, lots, _ = row
        member, market, is_sell = self._members[account], self._markets[contract], kind & SIDE_SELL != 0
        member.position(market).open_order(is_sell, lots)
        if market.is_spot:
            self._spot.on_accepted(time_ns, member, market, order_id, is_sell, price_ticks, lots)

    def _on_cancelled(self, row: Sequence[int]) -> None:
        kind, time_ns, account, order_id, contract, _, lots, _ = row
        member = self._members[account]
        position = member.positions[contract]
        position.open_order(kind & SIDE_SELL != 0, -lots)
        if position.market.is_spot:
            self._spot.on_cancelled(time_ns, member, order_id)

    def _on_trade(self, first: Sequence[int], second: Sequence[int], out: Out) -> None:
        """Novate (§7.1): both sides of a trade now face the house."""
        self._half = None
        buy, sell = (second, first) if first[0] & SIDE_SELL else (first, second)
        _, time_ns, buyer, buy_order, contract, price_ticks, lots, trade_id = buy
        if sell[4:8] != buy[4:8] or buy[0] & SIDE_SELL or not sell[0] & SIDE_SELL:
            raise InvariantBroken("a trade has two sides", f"{tuple(first)} and {tuple(second)}")
        market = self._markets[contract]
        bought, sold = self._members[buyer].positions[contract], self._members[sell[2]].positions[contract]
        _fill(bought, buy[0], price_ticks, lots)
        _fill(sold, sell[0], price_ticks, lots)
        market.mark_ticks = price_ticks
        out.append((NOVATED, time_ns, trade_id, buyer, sell[2], contract, price_ticks, lots))
        if market.is_spot:
            buy_side = Side(bought.member, buy_order, buy[0] & DONE != 0)
            sell_side = Side(sold.member, sell[3], sell[0] & DONE != 0)
            self._spot.on_trade(time_ns, market, buy_side, sell_side, price_ticks, lots)

    def _on_settlement_price(self, row: Sequence[int], out: Out) -> None:
        """Keep the price until the day is settled; a contract's last one ends its trading."""
        _, time_ns, contract, price_ticks, day, _, upper_ticks, _ = row
        market = self._markets[contract]
        market.priced_ticks, market.priced_day, market.priced_upper_ticks = price_ticks, day, upper_ticks
        self._books.end_trading(out, time_ns, market, day)

    def _on_session(self, row: Sequence[int], out: Out) -> None:
        """A session of a trading day begins: the day's terms hold, and contracts open or come to their last day."""
        _, time_ns, contract, state, day, *_ = row
        if state in (SessionState.CLOSED, SessionState.SETTLEMENT):
            return
        if day > self._books.margin_day:
            self._books.set_margin_day(day)
        for market in [self._markets[contract]] if contract else list(self._markets.values()):
            if market.life == Life.LISTED and market.contract.first_day <= day:
                self._books.turn(out, time_ns, market, Turn.OPENED, day)
            if market.life == Life.TRADING and market.contract.last_day <= day:
                self._books.turn(out, time_ns, market, Turn.LAST_DAY_CAME, day)

    # --- what can be asked ---

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
        return sum(held.lots for held in self._markets[contract_number].positions if held.lots > 0)

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
        check_books(self._books, self._spot.holds)

    # --- snapshot ---

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The whole state as named int64 matrices; what was derived (charges, requirements, margins) is left out."""
        if self._half is not None:
            raise InvariantBroken("a trade has two sides", f"snapshot after one: {tuple(self._half)}")
        return parts_of(self._books, self._spot.holds)

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Take the state of a snapshot of a clearing house with the same contracts and terms, over a ledger restored with it.

        Raises Malformed, and changes nothing, if `parts` are not one.
        """
        old = self._books
        books = Books(old.teller.ledger, self._contracts, old.calendar, old.terms)
        holds = restored(books, parts)
        self._take(books)
        self._spot.holds = holds

    def state_hash(self) -> str:
        """The fingerprint of the snapshot."""
        return state_hash(self.snapshot())


def _fill(position: Position, kind: int, price_ticks: int, lots: int) -> None:
    """One side of a trade: open lots become held lots at their price, and a fee accrues (§7.3)."""
    member, market = position.member, position.market
    signed = -lots if kind & SIDE_SELL else lots
    if not market.is_spot:
        position.lots += signed
        position.basis += signed * price_ticks
    turnover = price_ticks * market.tick_value_micro * lots
    fees = market.fees
    if kind & TAKER:
        member.taker_lots += lots
        fee = fill_fee_micro(turnover, lots, fees.taker_lot_micro, fees.taker_turnover_ppm)
    else:
        member.maker_lots += lots
        fee = fill_fee_micro(turnover, lots, fees.maker_lot_micro, fees.maker_turnover_ppm)
    member.accrued_micro += fee
    member.fills += 1
    position.open_order(signed < 0, -lots)
