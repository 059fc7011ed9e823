"""The cashier: builds one chain of ledger steps, lending a member what it lacks (§10.1). All steps are done, or none."""

from ciyuan.clearing.books import Books, Out, say
from ciyuan.clearing.messages import ClearingEvent, Reason
from ciyuan.clearing.positions import Member
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
        short = amount - self.available(member.cash)
        if short > 0:
            self._lend(member, short)
        self.move(reason, member.cash, account, amount)

    def pay(self, reason: Reason, member: Member, amount: int) -> None:
        """Pay `amount` from the variation account to the member."""
        self.move(reason, self._house.variation, member.cash, amount)

    def take_back(self, member: Member) -> None:
        """Let the member repay what it owes, as far as its cash goes."""
        amount = min(member.owed_micro, max(0, self.available(member.cash)))
        if amount > 0:
            self.move(Reason.SHORTFALL, member.cash, self._house.receivables, amount)
            self._book_debt(ClearingEvent.REPAID, member, -amount)

    def assess(self, member: Member, amount: int, excess: int) -> None:
        """Take `amount` from a survivor for another's default: from its cash as far as its excess goes, so that its margin
        is not touched, the rest lent (§10.3).
        """
        own = max(0, min(amount, excess, self.available(member.cash)))
        if amount > own:
            self._lend(member, amount - own)
        self.move(Reason.WATERFALL, member.cash, self._house.receivables, amount)
        member.fund_moved_micro += amount

    def settle(self) -> None:
        """Do all the steps, or none."""
        self._teller.chain(self._time_ns, self._steps)
        self._steps = []

    def _lend(self, member: Member, amount: int) -> None:
        self.move(Reason.SHORTFALL, self._house.receivables, member.cash, amount)
        self._book_debt(ClearingEvent.LENT, member, amount)

    def _book_debt(self, event: ClearingEvent, member: Member, change: int) -> None:
        member.owed_micro += change
        member.lent_micro += change
        words = (member.number, abs(change), member.owed_micro, 0, 0, self._day)
        say(self._out, event, Reason.SHORTFALL, self._time_ns, words)

    def move(self, reason: Reason, debit: int, credit: int, amount: int) -> None:
        """Add a step that moves `amount`, 1 or more, between two accounts."""
        self._left[debit] = self.available(debit) - amount
        self._left[credit] = self.available(credit) + amount
        self._steps.append(transfer(reason, debit, credit, amount))

    def available(self, account: int) -> int:
        """What an account will have left after the steps so far."""
        if account not in self._left:
            self._left[account] = self._teller.ledger.available(account)
        return self._left[account]
