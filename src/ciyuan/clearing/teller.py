"""The clearing house's hand in the ledger: its keys, its rows, and the law that what it asks is done.

Keys count up from `LEDGER_KEY_BASE`, so they are a function of the commands alone. The clearing house asks only for what it knows
to be covered: an answer that is a refusal is a broken invariant, and the machine stops before it writes a lie.

A ledger's answer may hold more rows than were asked: holds of others that fell due meanwhile. Their owners keep their own time.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT, KIND, REASON_SHIFT, ROW_WORDS, TIME, Row
from ciyuan.clearing.messages import LEDGER_KEY_BASE, Reason
from ciyuan.ledger.messages import KEY, AccountView, Command, Event, Flag

Step = tuple[int, int, int, int, int]
"""Kind word, debit, credit, amount, pending key: a ledger row without its time, key and timeout."""

TRANSFER, HOLD, POST, VOID, REFUSED = map(
    int, (Command.TRANSFER, Command.HOLD, Command.POST, Command.VOID, Event.REFUSED)
)
LINKED = Flag.LINKED << FLAG_SHIFT
KEEP = Flag.KEEP << FLAG_SHIFT
REFUSAL = 7


class LedgerBooks(Protocol):
    """What the clearing house needs of a ledger: `Ledger` and `PlainLedger` both have it."""

    @property
    def account_count(self) -> int:
        """Accounts that are open: numbers 1 to this."""
        ...

    def apply(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply (n, 8) command rows; returns the (m, 8) events."""
        ...

    def account(self, number: int) -> AccountView:
        """The account as it stands."""
        ...

    def available(self, number: int) -> int:
        """What the account can still be debited."""
        ...

    def posted(self, number: int) -> int:
        """The account's final balance."""
        ...


def transfer(reason: Reason, debit: int, credit: int, amount: int) -> Step:
    """Move `amount` from account `debit` to account `credit`."""
    return (TRANSFER | reason << REASON_SHIFT, debit, credit, amount, 0)


def post(reason: Reason, hold_key: int, amount: int, *, keep: bool) -> Step:
    """Move `amount` of a hold; the rest stays held with `keep`, else is released."""
    return (POST | (KEEP if keep else 0) | reason << REASON_SHIFT, 0, 0, amount, hold_key)


class Teller:
    """Writes to the ledger. `key` is the last key that was used: the teller's whole state."""

    def __init__(self, ledger: LedgerBooks) -> None:
        self.ledger = ledger
        self.key = LEDGER_KEY_BASE
        self._one = np.zeros((1, ROW_WORDS), dtype=np.int64)

    def hold(self, time_ns: int, reason: Reason, debit: int, credit: int, amount: int) -> int:
        """Hold `amount` of account `debit` for account `credit`, until it is posted or voided. Returns the hold's key."""
        self.key += 1
        self._write((HOLD | reason << REASON_SHIFT, time_ns, self.key, debit, credit, amount, 0, 0))
        return self.key

    def void(self, time_ns: int, reason: Reason, hold_key: int) -> None:
        """Release what a hold still holds."""
        self.key += 1
        self._write((VOID | reason << REASON_SHIFT, time_ns, self.key, 0, 0, 0, hold_key, 0))

    def chain(self, time_ns: int, steps: Sequence[Step]) -> None:
        """Do all the steps or none, in order."""
        if not steps:
            return
        last, key = len(steps) - 1, self.key
        rows = np.array(
            [
                (
                    kind | (LINKED if place < last else 0),
                    time_ns,
                    key + place + 1,
                    debit,
                    credit,
                    amount,
                    pending,
                    0,
                )
                for place, (kind, debit, credit, amount, pending) in enumerate(steps)
            ],
            dtype=np.int64,
        )
        self.key += len(steps)
        self._see_done(self.ledger.apply(rows))

    def chain_matrix(self, time_ns: int, rows: NDArray[np.int64]) -> None:
        """Do all the steps or none, in order: (n, 8) ledger rows of which kind, accounts and amount are filled in. What else is
        in them is written here.
        """
        if not len(rows):
            return
        rows[:, KIND] |= LINKED
        rows[-1, KIND] ^= LINKED
        rows[:, TIME] = time_ns
        rows[:, KEY] = np.arange(self.key + 1, self.key + 1 + len(rows))
        self.key += len(rows)
        self._see_done(self.ledger.apply(rows))

    def _write(self, row: Row) -> None:
        self._one[0] = row
        self._see_done(self.ledger.apply(self._one))

    def _see_done(self, answers: NDArray[np.int64]) -> None:
        if int(answers[-1, KIND]) & CODE_MASK == REFUSED:
            refused = answers[(answers[:, KIND] & CODE_MASK) == REFUSED]
            raise InvariantBroken(
                "what the clearing house asks of the ledger is covered", f"refused: {refused.tolist()}"
            )
