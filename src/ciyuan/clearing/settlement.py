"""Settlement: marks become money (§7.2), fees are collected (§7.3), the last mark is the month's mean fixing (§7.4, §2.2).

One settlement is one ledger chain, all or none. Its steps, in order, members by number:

| step | moves |
|---|---|
| losers | a shortfall is lent, then cash -> variation account |
| winners | variation account -> cash |
| fees | cash -> fees account (lent, if the cash is gone) |
| fund | cash -> default fund (lent, if the cash is gone), or back (§10.4) |
| debts | cash -> receivables, as far as cash and debt go |

Collecting comes first, so the variation account is never overdrawn; and variation sums to zero, so it ends as it
began: at zero.

A member that cannot pay is lent the shortfall (§10.1) out of the receivables account, which may be overdrawn, and
pays in full: the winners are paid today all the same. A debt counts against the member's equity until it is repaid,
so that only reducing orders are admitted. Who is short of margin is called, with a deadline; what follows it is in
`default.py`.
"""

from collections.abc import Sequence

from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.books import Books, Out, say
from ciyuan.clearing.cashier import Cashier
from ciyuan.clearing.fund import Fund
from ciyuan.clearing.margin import BP
from ciyuan.clearing.messages import ClearingEvent, ClearingFlag, Reason, Standing
from ciyuan.clearing.model import Margins
from ciyuan.clearing.positions import Market, Member, Position


class Settlement:
    """Marks futures, moves the money, closes the day's books."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._fund = Fund(books)
        self._margins = Margins(books)

    def settle_day(self, out: Out, time_ns: int, day: int) -> None:
        """Settle all futures at their settlement prices, collect fees, and close the day: margin, calls, statements."""
        cashier = self._variation(out, time_ns, day)
        members = self._books.members_in_order()
        for member in members:
            self._collect_fees(cashier, out, time_ns, day, member)
        self._fund.move(cashier, out, time_ns, day)
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
        self.see_margin(out, time_ns, self._books.margin_day, member)

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
        for position in self._books.all_positions():
            market, number = position.market, position.member.number
            if market.is_spot or (final is not None and market is not final):
                continue
            amount = self._mark_position(out, time_ns, day, position, final)
            nets[number] = nets.get(number, 0) + amount
        if sum(nets.values()) != 0:
            raise InvariantBroken("variation sums to zero", f"day {day}: {sum(nets.values())} micro-units")
        return nets

    def _mark_position(
        self, out: Out, time_ns: int, day: int, position: Position, final: Market | None
    ) -> int:
        market, lots = position.market, position.lots
        held, flags = not position.is_flat, ClearingFlag.HEDGE * position.hedge
        if final is None:
            amount, price = position.variation_micro(market.settle_ticks), market.settle_ticks
            position.basis = lots * price
            position.long_today = position.short_today = 0
            reason = Reason.VARIATION
        else:
            price = market.final_micro
            amount = lots * price * market.contract.lot_mtok - position.basis * market.tick_value_micro
            position.clear()
            flags, reason = flags | ClearingFlag.FINAL, final_reason(final)
        if held or amount:
            words = (position.member.number, market.number, amount, lots, price, day)
            say(out, ClearingEvent.VARIATION, reason, time_ns, words, int(flags))
        return amount

    def _collect_fees(self, cashier: Cashier, out: Out, time_ns: int, day: int, member: Member) -> None:
        paid = member.pay_fees()
        if paid[0]:
            cashier.collect(Reason.FEES, member, paid[0], self._books.terms.house.fees)
            say(out, ClearingEvent.FEE, Reason.FEES, time_ns, (member.number, *paid, day))

    def _close(self, out: Out, time_ns: int, day: int) -> None:
        """Margin for the next business day, calls, and every member's statement."""
        self._books.set_margin_day(max(self._books.margin_day, self._books.calendar.next_business(day)))
        members = self._books.members_in_order()
        self._margins.adjust(members)
        for member in members:
            excess = self.see_margin(out, time_ns, day, member)
            self._report_large(out, time_ns, day, member)
            self._state(out, time_ns, day, member, excess)

    def see_margin(self, out: Out, time_ns: int, day: int, member: Member) -> int:
        """Say the member's requirement, call it or see its call met, and return the excess."""
        requirement, owed = member.requirement_micro, member.owed_micro
        equity = self._books.equity_micro(member)
        excess = equity - requirement
        words: Sequence[int] = (member.number, requirement, equity, excess, owed, day)
        say(out, ClearingEvent.MARGIN, Reason.MARGIN, time_ns, words)
        if not member.is_in_default:
            self.call(out, time_ns, day, member, excess)
        return excess

    def call(
        self, out: Out, time_ns: int, day: int, member: Member, excess: int, *, new_only: bool = False
    ) -> None:
        """Call a member that is short of margin, by a deadline that a later call does not put off, or see its call
        met (§10.1). With `new_only` a call is said only if it is a new one, or for more than the one before.
        """
        called = member.standing == Standing.CALLED
        if excess < 0:
            if called and new_only and -excess <= member.called_micro:
                return
            if not called:
                member.standing = Standing.CALLED
                member.deadline_ns = time_ns + self._books.terms.default.call_ns
            due = -excess, member.owed_micro, member.requirement_micro, member.deadline_ns
            say(out, ClearingEvent.MARGIN_CALL, Reason.MARGIN_CALL, time_ns, (member.number, *due, day))
        elif called:
            member.standing, member.deadline_ns = Standing.GOOD, 0
            words = (member.number, excess, 0, 0, 0, day)
            say(out, ClearingEvent.CALL_MET, Reason.MARGIN_CALL, time_ns, words)
        member.called_micro = max(0, -excess)

    # --- in the course of the day (§6.4) ---

    def margin_changed(self) -> int:
        """Work out margin anew of the members whose positions have changed; returns how many. Prices are now seen."""
        books = self._books
        changed = [member for member in books.members_in_order() if member.changed]
        self._margins.adjust(changed)
        for member in changed:
            member.changed = 0
        for market in books.markets.values():
            market.review_ticks = market.mark_ticks
        return len(changed)

    def excesses(self) -> list[tuple[Member, int]]:
        """The members, not in default, of whom something is asked or owed, each with its excess at the marks."""
        return [
            (member, self._books.excess_micro(member))
            for member in self._books.members_in_order()
            if not member.is_in_default
            and (member.ladder_micro or member.owed_micro or member.standing == Standing.CALLED)
        ]

    def recall(self, out: Out, time_ns: int, members: Sequence[Member]) -> None:
        """Call these members, or see their calls met, if that is new."""
        for member in members:
            excess = self._books.excess_micro(member)
            self.call(out, time_ns, self._books.margin_day, member, excess, new_only=True)

    def _report_large(self, out: Out, time_ns: int, day: int, member: Member) -> None:
        """Report positions of `report_bp` of their limit or more (§5.2)."""
        for position in member.held():
            limit, size = self._books.limit_lots(position.market, member), max(position.long, position.short)
            if limit and size * BP >= limit * self._books.terms.report_bp:
                words = (member.number, position.market.number, position.lots, limit, 0, day)
                say(out, ClearingEvent.LARGE_POSITION, Reason.LARGE_POSITION, time_ns, words)

    def _state(self, out: Out, time_ns: int, day: int, member: Member, excess: int) -> None:
        """The member's statement: every change of its cash since the last one, by what it was."""
        closing = self._books.teller.ledger.posted(member.cash)
        variation, fees = member.variation_micro, member.fees_micro
        fund, penalties = member.fund_moved_micro, member.penalties_micro
        known = (
            variation - fees - member.bought_micro + member.sold_micro + member.lent_micro - fund - penalties
        )
        transferred = closing - member.opening_micro - known
        spot = (member.bought_micro, member.sold_micro, member.receipts_bought, member.receipts_sold)
        lines: tuple[tuple[ClearingEvent, Sequence[int]], ...] = (
            (ClearingEvent.STATEMENT_MONEY, (member.opening_micro, transferred, variation, fees)),
            (ClearingEvent.STATEMENT_SPOT, spot),
            (ClearingEvent.STATEMENT_CLOSING, (member.lent_micro, closing, member.requirement_micro, excess)),
            (ClearingEvent.STATEMENT_FUND, (fund, penalties, member.ladder_micro, member.scenario_micro)),
        )
        for event, words in lines:
            say(out, event, Reason.STATEMENT, time_ns, (member.number, day, *words))
        member.start_statement(closing)


def final_reason(market: Market) -> Reason:
    """§7.4, or §8.5 if the price was determined by the rule for missing fixings."""
    return Reason.FINAL_BY_RULE if market.final_rule else Reason.FINAL_SETTLEMENT
