"""A member's statements held against the ledger: the run's journal is replayed, and every transfer of its cash account listed.

The replay is that of `ciyuan verify`: an empty venue of the run's terms, the journal's rows in their order. Batches are cut
behind each settlement, which changes nothing of what a venue says, so that it is known which transfers a statement has seen.

| line of a statement | reasons of ledger rows |
|---|---|
| deposits less withdrawals | the venue's own: deposits, withdrawals, moves between purses |
| variation | variation, final settlement |
| fees | fees |
| receipts bought, sold | spot payment, delivery, collateral that was sold |
| default fund | default fund, waterfall |
| penalties | penalty |
| lent | shortfall |

Reconciled is: over the period each line is the sum of its rows, and closing less opening the sum of all.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, REASON_MASK, REASON_SHIFT
from ciyuan.basics.time import iso_from_ns
from ciyuan.clearing.messages import ClearingCommand, ClearingEvent
from ciyuan.clearing.messages import Reason as ClearingReason
from ciyuan.ledger.messages import AMOUNT, CREDIT, DEBIT, Command
from ciyuan.services.archive import Archive
from ciyuan.services.clearing_statement import MemberStatement, StatementLines
from ciyuan.services.manifest import JOURNAL, read_manifest
from ciyuan.services.progress import shown_rows
from ciyuan.services.world import venue_terms
from ciyuan.simulation.scenario import scenario_from
from ciyuan.venue.accounts import ChartOfAccounts, House
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, VenueCommand
from ciyuan.venue.messages import Reason as VenueReason

Rows = NDArray[np.int64]

CLOSING_CODES = (int(ClearingCommand.SETTLE_DAY), int(VenueCommand.FINALISE), int(ClearingCommand.DELIVER))
"""Commands that may close a statement."""
MOVED = (int(Command.TRANSFER), int(Command.POST))
"""Ledger rows that move money at once; a hold only reserves it."""
FUND, RECEIPTS = "default fund", "receipts sold less bought"
LINE_OF: dict[int, str] = {
    ClearingReason.VARIATION: "variation",
    ClearingReason.FINAL_SETTLEMENT: "variation",
    ClearingReason.FINAL_BY_RULE: "variation",
    ClearingReason.FEES: "fees",
    ClearingReason.SPOT_PAYMENT: RECEIPTS,
    ClearingReason.DELIVERY: RECEIPTS,
    ClearingReason.COLLATERAL: RECEIPTS,
    ClearingReason.DEFAULT_FUND: FUND,
    ClearingReason.WATERFALL: FUND,
    ClearingReason.PENALTY: "penalties",
    ClearingReason.SHORTFALL: "lent less repaid",
}
TRANSFERRED = "deposits less withdrawals"


@dataclass(frozen=True, slots=True)
class CashMove:
    """A transfer of the member's cash account: `amount_micro` below zero if it went out, the balance after it, and with whom."""

    time: str
    reason: str
    rule: str
    with_account: str
    amount_micro: int
    balance_micro: int


@dataclass(frozen=True, slots=True)
class LineCheck:
    """A line of the statement beside the ledger rows that it is of."""

    line: str
    statement_micro: int
    ledger_micro: int
    rows: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Statements of a period against the ledger."""

    opening_micro: int
    closing_micro: int
    moved_micro: int
    checks: tuple[LineCheck, ...]
    moves: tuple[CashMove, ...]

    @property
    def reconciled(self) -> bool:
        """Whether every line is the sum of its ledger rows, and all of them what the balance changed by."""
        same = all(check.statement_micro == check.ledger_micro for check in self.checks)
        return same and self.moved_micro == self.closing_micro - self.opening_micro


@dataclass(frozen=True, slots=True, eq=False)
class CashBook:
    """The ledger rows of one cash account, (n, 8), and how many of them each of the member's statements has seen."""

    rows: Rows
    seen: tuple[int, ...]
    account: int
    chart: ChartOfAccounts


def cash_book(folder: Path, number: int, progress: str) -> CashBook:
    """Replay a run's journal. Raises JournalCorrupt for a damaged byte, Malformed for a run of other terms."""
    manifest = read_manifest(folder)
    terms = venue_terms(scenario_from(manifest.settings))
    if terms.digest() != manifest.terms_digest:
        raise Malformed("venue terms", found=terms.digest(), expected=f"those that began the run, {manifest.terms_digest}",
                        remedy="Use the version of ciyuan and of its catalogue that began the run.")  # fmt: skip
    archive = Archive.open(folder / JOURNAL, manifest.terms_digest)
    venue, seen, done = Venue(terms), [], 0
    with shown_rows(progress, archive.sequence) as show:
        for rows in archive.read():
            for part in _cut(rows):
                events = venue.apply(part)
                seen += [venue.ledger.transfer_count] * _closed(events, number)
            done += len(rows)
            show(done)
    account = terms.chart.purse(number, Purse.CASH)
    transfers = venue.ledger.transfers
    touching = (transfers[:, DEBIT] == account) | (transfers[:, CREDIT] == account)
    mine = np.flatnonzero(touching & np.isin(transfers[:, 0] & CODE_MASK, MOVED) & (transfers[:, AMOUNT] > 0))
    counts = tuple(np.searchsorted(mine, seen).tolist())
    return CashBook(transfers[mine].copy(), counts, account, terms.chart)


def reconciled(
    statement: MemberStatement, lines: StatementLines, book: CashBook, names: dict[int, str]
) -> Reconciliation:
    """Hold one statement, of a day or of the month, against the ledger rows between its opening and its closing."""
    whole = lines is statement.month
    places = range(len(statement.days)) if whole else (statement.days.index(lines),)
    if len(book.seen) != len(statement.days):
        raise Malformed(f"run {statement.run}, statements of {statement.participant}", found=len(statement.days),
                        expected=f"the {len(book.seen)} that its journal tells", remedy="Play the run again.")  # fmt: skip
    first = book.seen[places[0] - 1] if places[0] else 0
    rows = book.rows[first : book.seen[places[-1]]]
    signed = np.where(rows[:, CREDIT] == book.account, rows[:, AMOUNT], -rows[:, AMOUNT])
    moves = _moves(rows, signed.tolist(), lines.opening_micro, book, names)
    return Reconciliation(
        lines.opening_micro, lines.closing_micro, int(signed.sum()), _checks(lines, rows, signed), moves
    )


def _cut(rows: Rows) -> list[Rows]:
    """A batch in parts that end behind each row that may close statements."""
    places = np.flatnonzero(np.isin(rows[:, 0] & CODE_MASK, CLOSING_CODES)) + 1
    return [part for part in np.split(rows, places) if len(part)]


def _closed(events: Rows, number: int) -> int:
    """How many statements of a member are closed among events."""
    closed = (events[:, 0] & CODE_MASK == ClearingEvent.STATEMENT_CLOSING) & (events[:, 2] == number)
    return int(np.count_nonzero(closed))


def _checks(lines: StatementLines, rows: Rows, signed: Rows) -> tuple[LineCheck, ...]:
    said = {
        TRANSFERRED: lines.transferred_micro,
        "variation": lines.variation_micro,
        "fees": -lines.fees_micro,
        RECEIPTS: lines.sold_micro - lines.bought_micro,
        FUND: -lines.fund_micro,
        "penalties": -lines.penalties_micro,
        "lent less repaid": lines.lent_micro,
    }
    sums: dict[str, int] = defaultdict(int)
    counts: dict[str, int] = defaultdict(int)
    for reason, amount in zip(_reasons(rows), signed.tolist(), strict=True):
        line = LINE_OF.get(reason, TRANSFERRED)
        sums[line] += amount
        counts[line] += 1
    return tuple(LineCheck(line, amount, sums[line], counts[line]) for line, amount in said.items())


def _moves(
    rows: Rows, signed: Sequence[int], opening: int, book: CashBook, names: dict[int, str]
) -> tuple[CashMove, ...]:
    balance, moves = opening, []
    for row, reason, amount in zip(rows.tolist(), _reasons(rows), signed, strict=True):
        balance += amount
        other = row[DEBIT] if amount > 0 else row[CREDIT]
        name, rule = _named(reason)
        moves.append(
            CashMove(iso_from_ns(row[1]), name, rule, account_name(other, book.chart, names), amount, balance)
        )
    return tuple(moves)


def _reasons(rows: Rows) -> list[int]:
    reasons: list[int] = (rows[:, 0] >> REASON_SHIFT & REASON_MASK).tolist()
    return reasons


def _named(reason: int) -> tuple[str, str]:
    """A reason in words, and the clause of the rulebook."""
    if reason in list(VenueReason):
        return VenueReason(reason).name.lower().replace("_", " "), ""
    if reason in list(ClearingReason):
        known = ClearingReason(reason)
        return known.name.lower().replace("_", " "), known.rule
    return f"reason {reason}", ""


def account_name(number: int, chart: ChartOfAccounts, names: dict[int, str]) -> str:
    """A ledger account in words: the house's by its name, a participant's purse by whose it is."""
    if number in list(House):
        return f"house, {House(number).name.lower().replace('_', ' ')}"
    if number <= chart.house_accounts:
        return f"house, account {number}"
    participant, purse = divmod(number - chart.house_accounts - 1, chart.purses)
    kind = Purse(min(purse, Purse.RECEIPTS)).name.lower()
    return f"{names.get(participant + 1, participant + 1)}, {kind}"
