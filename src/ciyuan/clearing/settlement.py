"""Settlement: marks become money (§7.2), fees are collected (§7.3), the last mark is the month's mean fixing (§7.4, §2.2).

One settlement is one ledger chain, all or none. Its steps, in order, members by number:

    1  losers:   a shortfall is lent, then cash -> variation account
    2  winners:  variation account -> cash
    3  fees:     cash -> fees account (lent, if the cash is gone)
    4  debts:    cash -> receivables -> capital, as far as cash and debt go

Collecting comes first, so the variation account is never overdrawn; and variation sums to zero, so it ends as it began: at zero.

A member that cannot pay is lent the shortfall (§10.1): the house's own capital pays into the receivables account, and that to the
member, who then pays in full. What capital no longer has stays missing in the receivables account, which may be overdrawn: the
winners are paid today all the same. A debt counts against the member's equity until it is repaid, so that only reducing orders
are admitted. Closing the positions of who stays short, and sharing the loss (§10.1 to §10.4), are not built yet.
"""

from collections.abc import Sequence

from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.books import Books, Out, say
from ciyuan.clearing.messages import ClearingEvent, ClearingFlag, Reason
from ciyuan.clearing.positions import Market, Member, Position
from ciyuan.clearing.teller import Step, transfer


class Cashier:
    """Builds the chain of one settlement. Knows what every account will have left as the steps are added."""

    def __init__(self, books: Books, time_ns: int, day: int, out: Out) -> None:
        self._teller = books.teller
        self._house = books.terms.house
        self._time_ns, self._day, self._out = time_ns, day, out
        self._left: dict[int, int] = {}
        self._steps: list[Step] = []

    def collect(self, reason: Reason, member: Member, amount: int, account: int) -> None:
        """Take `amount` from the member, lending it what it lacks."""
        short = amount - self._available(member.cash)
        if short > 0:
            self._lend(member, short)
        self._move(reason, member.cash, account, amount)

    def pay(self, reason: Reason, member: Member, amount: int) -> None:
        """Pay `amount` from the variation account to the member."""
        self._move(reason, self._house.variation, member.cash, amount)

    def take_back(self, member: Member) -> None:
        """Let the member repay what it owes, as far as its cash goes: first what nobody funded, then the house's capital."""
        amount = min(member.owed_micro, max(0, self._available(member.cash)))
        if amount == 0:
            return
        missing = max(0, -self._available(self._house.receivables))
        to_capital = max(0, amount - missing)
        self._move(Reason.SHORTFALL, member.cash, self._house.receivables, amount)
        if to_capital:
            self._move(Reason.SHORTFALL, self._house.receivables, self._house.capital, to_capital)
        self._book_debt(ClearingEvent.REPAID, member, -amount, to_capital)

    def settle(self) -> None:
        """Do all the steps, or none."""
        self._teller.chain(self._time_ns, self._steps)
        self._steps = []

    def _lend(self, member: Member, amount: int) -> None:
        from_capital = min(amount, max(0, self._available(self._house.capital)))
        if from_capital:
            self._move(Reason.SHORTFALL, self._house.capital, self._house.receivables, from_capital)
        self._move(Reason.SHORTFALL, self._house.receivables, member.cash, amount)
        self._book_debt(ClearingEvent.LENT, member, amount, from_capital)

    def _book_debt(self, event: ClearingEvent, member: Member, change: int, capital: int) -> None:
        member.owed_micro += change
        member.lent_micro += change
        words = (member.number, abs(change), member.owed_micro, capital, 0, self._day)
        say(self._out, event, Reason.SHORTFALL, self._time_ns, words)

    def _move(self, reason: Reason, debit: int, credit: int, amount: int) -> None:
        self._left[debit] = self._available(debit) - amount
        self._left[credit] = self._available(credit) + amount
        self._steps.append(transfer(reason, debit, credit, amount))

    def _available(self, account: int) -> int:
        if account not in self._left:
            self._left[account] = self._teller.ledger.available(account)
        return self._left[account]


class Settlement:
    """Marks futures, moves the money, closes the day's books."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def settle_day(self, out: Out, time_ns: int, day: int) -> None:
        """Settle all futures at their settlement prices, collect fees, and close the day: margin, calls, statements."""
        cashier = self._variation(out, time_ns, day)
        members = self._books.members_in_order()
        for member in members:
            self._collect_fees(cashier, out, time_ns, day, member)
        for member in members:
            cashier.take_back(member)
        cashier.settle()
        self._close(out, time_ns, day)

    def settle_final(self, out: Out, time_ns: int, day: int, market: Market) -> None:
        """Settle a contract at its `final_micro` and close its positions.

        It is a part of the day's statement, if the day is not settled yet; else it closes a second one.
        """
        self._variation(out, time_ns, day, market).settle()
        if day <= self._books.settled_day:
            self._close(out, time_ns, day)

    def collect(self, out: Out, time_ns: int, member: Member) -> None:
        """Let one member repay what it owes now, and see where it stands."""
        cashier = Cashier(self._books, time_ns, self._books.margin_day, out)
        cashier.take_back(member)
        cashier.settle()
        self._see_margin(out, time_ns, self._books.margin_day, member)

    def _variation(self, out: Out, time_ns: int, day: int, final: Market | None = None) -> Cashier:
        """Mark positions, and begin a chain that collects from the losers and then pays the winners."""
        nets = self._mark(out, time_ns, day, final)
        reason = Reason.VARIATION if final is None else final_reason(final)
        cashier, variation = Cashier(self._books, time_ns, day, out), self._books.terms.house.variation
        members = [
            (member, nets[member.number])
            for member in self._books.members_in_order()
            if member.number in nets
        ]
        for member, net in members:
            if net < 0:
                cashier.collect(reason, member, -net, variation)
        for member, net in members:
            if net > 0:
                cashier.pay(reason, member, net)
            member.variation_micro += net
        return cashier

    def _mark(self, out: Out, time_ns: int, day: int, final: Market | None) -> dict[int, int]:
        """Say each position's variation, carry it at the new price, and return each member's sum."""
        nets: dict[int, int] = {}
        for member in self._books.members_in_order():
            for number in sorted(member.positions):
                position = member.positions[number]
                if position.market.is_spot or (final is not None and position.market is not final):
                    continue
                amount = self._mark_position(out, time_ns, day, position, final)
                nets[member.number] = nets.get(member.number, 0) + amount
        if sum(nets.values()) != 0:
            raise InvariantBroken("variation sums to zero", f"day {day}: {sum(nets.values())} micro-units")
        return nets

    def _mark_position(
        self, out: Out, time_ns: int, day: int, position: Position, final: Market | None
    ) -> int:
        market, lots = position.market, position.lots
        if final is None:
            amount, price = position.variation_micro(market.settle_ticks), market.settle_ticks
            position.basis = lots * price
        else:
            price = market.final_micro
            amount = lots * price * market.contract.lot_mtok - position.basis * market.tick_value_micro
            position.lots = position.basis = 0
            position.reckon()
        if lots or amount:
            reason, flags = (
                (Reason.VARIATION, 0) if final is None else (final_reason(final), int(ClearingFlag.FINAL))
            )
            words = (position.member.number, market.number, amount, lots, price, day)
            say(out, ClearingEvent.VARIATION, reason, time_ns, words, flags)
        return amount

    def _collect_fees(self, cashier: Cashier, out: Out, time_ns: int, day: int, member: Member) -> None:
        paid = member.pay_fees()
        if paid[0]:
            cashier.collect(Reason.FEES, member, paid[0], self._books.terms.house.fees)
            say(out, ClearingEvent.FEE, Reason.FEES, time_ns, (member.number, *paid, day))

    def _close(self, out: Out, time_ns: int, day: int) -> None:
        """Margin for the next business day, calls, and every member's statement."""
        self._books.set_margin_day(max(self._books.margin_day, self._books.calendar.next_business(day)))
        for member in self._books.members_in_order():
            excess = self._see_margin(out, time_ns, day, member)
            self._report_large(out, time_ns, day, member)
            self._state(out, time_ns, day, member, excess)

    def _see_margin(self, out: Out, time_ns: int, day: int, member: Member) -> int:
        """Say the member's requirement, call it or see its call met, and return the excess."""
        requirement, owed, equity = (
            member.requirement_micro,
            member.owed_micro,
            self._books.equity_micro(member),
        )
        excess = equity - requirement
        words: Sequence[int] = (member.number, requirement, equity, excess, owed, day)
        say(out, ClearingEvent.MARGIN, Reason.MARGIN, time_ns, words)
        if excess < 0:
            words = (member.number, -excess, owed, requirement, 0, day)
            say(out, ClearingEvent.MARGIN_CALL, Reason.MARGIN_CALL, time_ns, words)
        elif member.called_micro:
            say(
                out,
                ClearingEvent.CALL_MET,
                Reason.MARGIN_CALL,
                time_ns,
                (member.number, excess, 0, 0, 0, day),
            )
        member.called_micro = max(0, -excess)
        return excess

    def _report_large(self, out: Out, time_ns: int, day: int, member: Member) -> None:
        """Report positions of `report_bp` of their limit or more (§5.2)."""
        for number in sorted(member.positions):
            position = member.positions[number]
            limit = position.market.limit_of(member.role)
            if limit and position.lots and abs(position.lots) * 10_000 >= limit * self._books.terms.report_bp:
                words = (member.number, number, position.lots, limit, 0, day)
                say(out, ClearingEvent.LARGE_POSITION, Reason.LARGE_POSITION, time_ns, words)

    def _state(self, out: Out, time_ns: int, day: int, member: Member, excess: int) -> None:
        """The member's statement: every change of its cash since the last one, by what it was."""
        closing = self._books.teller.ledger.posted(member.cash)
        variation, fees = member.variation_micro, member.fees_micro
        known = variation - fees - member.bought_micro + member.sold_micro + member.lent_micro
        transferred = closing - member.opening_micro - known
        head = (member.number, day)
        spot = (member.bought_micro, member.sold_micro, member.receipts_bought, member.receipts_sold)
        lines = (
            (ClearingEvent.STATEMENT_MONEY, (*head, member.opening_micro, transferred, variation, fees)),
            (ClearingEvent.STATEMENT_SPOT, (*head, *spot)),
            (
                ClearingEvent.STATEMENT_CLOSING,
                (*head, member.lent_micro, closing, member.requirement_micro, excess),
            ),
        )
        for event, words in lines:
            say(out, event, Reason.STATEMENT, time_ns, words)
        member.start_statement(closing)


def final_reason(market: Market) -> Reason:
    """§7.4, or §8.5 if the price was determined by the rule for missing fixings."""
    return Reason.FINAL_BY_RULE if market.final_rule else Reason.FINAL_SETTLEMENT
