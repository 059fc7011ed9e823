"""Settlement over a register: the same steps as `settlement.Settlement`, each done for all members by a compiled pass.

| step | pass |
|---|---|
| mark positions, reckon charges at the terms of the day to come | `marking.look_over` |
| losers pay, winners are paid; fees; debts | `closing.move_nets`, `move_fees`, `take_back` |
| the default fund | shared: `Fund.move`, over the same chain |
| margin, calls, large positions, statements | `closing.close_members` |

A position is looked at once a settlement: what the close will ask (charges at the new margins, running losses, who is large) is
worked out while it is marked, and put aside until the chain is done. Members' ladders change only then, so whatever comes between
sees those of the day that ends, as in the plain twin.
"""

from dataclasses import dataclass

import numpy as np

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import ROW_WORDS
from ciyuan.clearing.books import Out
from ciyuan.clearing.cashier import Cashier
from ciyuan.clearing.closing import (
    ROWS_OF_A_MEMBER,
    close_members,
    count_steps,
    find_short,
    move_fees,
    move_nets,
    take_back,
)
from ciyuan.clearing.columns import (
    ADJUSTMENT,
    CHANGED,
    LADDER,
    MARK_TICKS,
    REVIEW_TICKS,
    SCENARIO,
    Matrix,
    Words,
    empty_lines,
)
from ciyuan.clearing.marking import FOUND_WORDS, HELD, NEXT_LADDER, look_over, mark_final
from ciyuan.clearing.messages import Reason
from ciyuan.clearing.pages import Pages, PagesOver
from ciyuan.clearing.positions import Market, Member
from ciyuan.clearing.register import RegisterBooks
from ciyuan.clearing.scenario_margin import requirement_micro
from ciyuan.clearing.settlement import Settlement, final_reason
from ciyuan.clearing.teller import LedgerBooks, transfer
from ciyuan.ledger.book import CREDITS_POSTED, DEBITS_PENDING, DEBITS_POSTED
from ciyuan.ledger.machine import Ledger

NO_EVENTS = np.empty((0, ROW_WORDS), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at all positions found: by member (`marking`), at these terms of the markets, and how many are large."""

    terms: Matrix
    found: Matrix
    large: int


class MatrixCashier(Cashier):
    """Builds the chain of a settlement as one matrix. A step that is added singly is one row of it."""

    def __init__(self, books: RegisterBooks, time_ns: int, day: int, out: Pages, found: Matrix) -> None:
        super().__init__(books, time_ns, day, out)
        self._register, self._pages, self._found = books.register, out, found
        self._accounts = balances(books.teller.ledger)
        free = self._accounts[:, CREDITS_POSTED] - self._accounts[:, DEBITS_POSTED]
        self._balances: Words = free - self._accounts[:, DEBITS_PENDING]
        self._count = 0
        steps, self._events = count_steps(self._register.directory, found)
        self._chain = empty_lines(steps, ROW_WORDS)

    def move_nets(self, reason: Reason) -> None:
        """Collect variation from the losers, then pay the winners."""
        house = self._house
        self._count, said = move_nets(
            self._register.directory, self._found, self._chain, self._count, self._balances, self._pages.claim(self._events),
            reason, house.variation, house.receivables, self._time_ns, self._day,
        )  # fmt: skip
        self._pages.keep(said)

    def move_fees(self) -> None:
        """Collect every member's fees."""
        house = self._house
        self._count, said = move_fees(
            self._register.directory, self._chain, self._count, self._balances, self._pages.claim(self._events), house.fees,
            house.receivables, self._time_ns, self._day,
        )  # fmt: skip
        self._pages.keep(said)

    def take_back_all(self) -> None:
        """Let every member repay what it owes."""
        self._reserve(self._register.top)
        self._count, said = take_back(
            self._register.directory, self._chain, self._count, self._balances, self._pages.claim(self._events),
            self._house.receivables, self._time_ns, self._day,
        )  # fmt: skip
        self._pages.keep(said)

    def move(self, reason: Reason, debit: int, credit: int, amount: int) -> None:
        """Add a step that moves `amount`, 1 or more, between two accounts."""
        self._reserve(1)
        kind, debit, credit, amount, pending_key = transfer(reason, debit, credit, amount)
        self._chain[self._count] = (kind, 0, 0, debit, credit, amount, pending_key, 0)
        self._count += 1
        self._balances[debit] -= amount
        self._balances[credit] += amount

    def available(self, account: int) -> int:
        """What an account will have left after the steps so far."""
        return int(self._balances[account])

    def settle(self) -> None:
        """Do all the steps, or none."""
        self._teller.chain_matrix(self._time_ns, self._chain[: self._count])
        self._count = 0

    def _reserve(self, steps: int) -> None:
        if self._count + steps > len(self._chain):
            chain = empty_lines(2 * (self._count + steps), ROW_WORDS)
            chain[: self._count] = self._chain[: self._count]
            self._chain = chain


class RegisterSettlement(Settlement):
    """Settles as `Settlement` does, over a register."""

    _books: RegisterBooks

    def __init__(self, books: RegisterBooks) -> None:
        super().__init__(books)
        self._register = books.register

    def settle_day(self, out: Out, time_ns: int, day: int) -> None:
        """Settle all futures at their settlement prices, collect fees, and close the day: margin, calls, statements."""
        with PagesOver(out) as pages:
            survey = self._survey(pages, time_ns, day, self._next_day(day), marks=True)
            cashier = MatrixCashier(self._books, time_ns, day, pages, survey.found)
            cashier.move_nets(Reason.VARIATION)
            cashier.move_fees()
            self._fund.move(cashier, pages, time_ns, day)
            cashier.take_back_all()
            cashier.settle()
            self._close_all(pages, time_ns, day, survey)

    def _variation(self, out: Out, time_ns: int, day: int, final: Market | None = None) -> Cashier:
        """Mark a contract's positions for the last time, and begin a chain that collects from the losers and pays the winners."""
        if final is None:
            return super()._variation(out, time_ns, day)
        register, found, row = self._register, self._blank(), self._register.rows[final.number]
        with PagesOver(out) as pages:
            said, total = mark_final(
                register.directory, register.places, row, final.final_micro, final_reason(final), found,
                pages.claim(2 * register.top), time_ns, day,
            )  # fmt: skip
            pages.keep(said)
            _check_zero(total, day)
            cashier = MatrixCashier(self._books, time_ns, day, pages, found)
            cashier.move_nets(final_reason(final))
        return cashier

    def _close(self, out: Out, time_ns: int, day: int) -> None:
        """Margin for the next business day, calls, and every member's statement."""
        with PagesOver(out) as pages:
            survey = self._survey(pages, time_ns, day, self._next_day(day), marks=False)
            self._close_all(pages, time_ns, day, survey)

    # --- in the course of the day ---

    def margin_changed(self) -> int:
        """Work out margin anew of the members whose positions have changed; returns how many. Prices are now seen."""
        register, books = self._register, self._books
        changed = np.flatnonzero(register.tables.members[: register.top + 1, CHANGED])
        self._margins.adjust(books.members_at(changed))
        register.tables.members[changed, CHANGED] = 0
        register.tables.markets[:, REVIEW_TICKS] = register.tables.markets[:, MARK_TICKS]
        return len(changed)

    def excesses(self) -> list[tuple[Member, int]]:
        """The members, not in default, that are short of margin at the marks or were called, each with its excess. Of the
        others a review says nothing, and changes nothing.
        """
        register, books = self._register, self._books
        numbers, excesses = np.empty((2, register.top + 1), dtype=np.int64)
        found = find_short(
            register.directory, register.places, balances(books.teller.ledger), numbers, excesses
        )
        return list(zip(books.members_at(numbers[:found]), excesses[:found].tolist(), strict=True))

    # --- the steps ---

    def _next_day(self, day: int) -> int:
        return max(self._books.margin_day, self._books.calendar.next_business(day))

    def _survey(self, pages: Pages, time_ns: int, day: int, terms_day: int, *, marks: bool) -> Survey:
        """Look at all positions, and mark them, with charges at the terms of a day that is not taken yet."""
        register, found, terms = self._register, self._blank(), self._books.terms_on(terms_day)
        events = pages.claim(self._rows_of_a_day()) if marks else NO_EVENTS
        said, total, large = look_over(
            register.directory, register.places, terms, self._books.terms.report_bp, found, marks, events, time_ns, day,
        )  # fmt: skip
        pages.keep(said)
        _check_zero(total, day)
        return Survey(terms, found, large)

    def _rows_of_a_day(self) -> int:
        """At least as many rows as a day's settlement says of its own, so that pages grow once."""
        return 2 * self._register.positions + (ROWS_OF_A_MEMBER + 4) * self._register.top + ROW_WORDS

    def _close_all(self, pages: Pages, time_ns: int, day: int, survey: Survey) -> None:
        register, books = self._register, self._books
        books.take_terms(self._next_day(day))
        register.tables.members[: register.top + 1, LADDER] = survey.found[:, NEXT_LADDER]
        self._adjust_all(survey)
        said = close_members(
            register.directory, register.places, survey.terms, books.terms.report_bp, survey.found,
            balances(books.teller.ledger), pages.claim(ROWS_OF_A_MEMBER * register.top + survey.large),
            books.terms.default.call_ns, time_ns, day,
        )  # fmt: skip
        pages.keep(said)

    def _adjust_all(self, survey: Survey) -> None:
        """`Margins.adjust` of all members, whose ladders of lots held the survey has."""
        books, numbers = self._books, self._register.numbers()
        members, held = self._register.tables.members, survey.found[numbers, HELD]
        scenario, asked = np.zeros(len(numbers), dtype=np.int64), held
        if books.terms.credits:
            asked = held - books.credits(books.members_in_order())
        if books.model is not None:
            scenario = np.array(books.scenario_margins(books.members_in_order()), dtype=np.int64)
            asked = requirement_micro(scenario, asked, books.terms.scenario.floor_bp)
        members[numbers, SCENARIO], members[numbers, ADJUSTMENT] = scenario, asked - held
        members[numbers, CHANGED] = 0

    def _blank(self) -> Matrix:
        return np.zeros((self._register.top + 1, FOUND_WORDS), dtype=np.int64)


def _check_zero(total: int, day: int) -> None:
    if total != 0:
        raise InvariantBroken("variation sums to zero", f"day {day}: {total} micro-units")


def balances(ledger: LedgerBooks) -> Matrix:
    """(accounts + 1, 8): what stands in the columns of `ledger.book`'s accounts, of these debits pending and posted, credits
    posted; a view of the compiled ledger's, worked out of any other.
    """
    if isinstance(ledger, Ledger):
        return ledger.accounts
    rows = np.zeros((ledger.account_count + 1, ROW_WORDS), dtype=np.int64)
    for number in range(1, len(rows)):
        view = ledger.account(number)
        rows[number, DEBITS_PENDING], rows[number, DEBITS_POSTED] = view.debits_pending, view.debits_posted
        rows[number, CREDITS_POSTED] = view.credits_posted
    rows.flags.writeable = False
    return rows
