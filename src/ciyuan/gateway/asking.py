"""How the meter's kernel asks the ledger's: one row, one answer."""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, REASON_SHIFT
from ciyuan.gateway.book import Matrix
from ciyuan.gateway.judges import refusal_of_ledger
from ciyuan.ledger.book import Book as LedgerBook
from ciyuan.ledger.kernel import apply_rows


@njit(cache=True)
def ask(
    ledger: LedgerBook,
    asked: Matrix,
    answers: Matrix,
    code: int,
    reason: int,
    time: int,
    key: int,
    debit: int,
    credit: int,
    amount: int,
    pending_key: int,
    timeout: int,
) -> int:
    """Put one row to the ledger; returns 0 if it was done, else the meter's refusal."""
    asked[0, 0] = code | reason << REASON_SHIFT
    asked[0, 1] = time
    asked[0, 2] = key
    asked[0, 3] = debit
    asked[0, 4] = credit
    asked[0, 5] = amount
    asked[0, 6] = pending_key
    asked[0, 7] = timeout
    said = apply_rows(ledger, asked, answers)
    return refusal_of_ledger(answers[said - 1, 0] & CODE_MASK, answers[said - 1, 7])
