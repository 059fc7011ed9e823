"""What is wrong with a row: the ledger's refusals in plain Python, in the order in which `Refusal` declares them.

Only the clock and the chain are not here: they concern when a row comes and with what others (`PlainLedger`).
"""

from ciyuan.basics.rows import INT64_MAX, KIND, TIME, code_of, flags_of, reason_of
from ciyuan.ledger.messages import (
    ACCOUNT_FLAGS,
    AMOUNT,
    ASSET,
    CLOSED_RANGES_MAX,
    CREDIT,
    DEBIT,
    END_KEY,
    FIRST_KEY,
    KEY,
    PENDING_KEY,
    TIMEOUT,
    AccountFlag,
    Command,
    Flag,
    HoldStatus,
    Refusal,
)
from ciyuan.ledger.plain_books import Books, PlainRow

KIND_WORD_END = 1 << 40
"""A kind word uses 40 bits; anything above makes the kind unknown."""
UNUSED = {
    Command.OPEN: (AMOUNT, PENDING_KEY, TIMEOUT),
    Command.TRANSFER: (PENDING_KEY, TIMEOUT),
    Command.HOLD: (PENDING_KEY,),
    Command.POST: (TIMEOUT,),
    Command.VOID: (AMOUNT, TIMEOUT),
    Command.TICK: (KEY, DEBIT, CREDIT, AMOUNT, PENDING_KEY, TIMEOUT),
    Command.CLOSE: (CREDIT, AMOUNT, PENDING_KEY, TIMEOUT),
}
"""The words that a kind does not use; they must be 0."""
FLAGS = {Command.POST: Flag.LINKED | Flag.KEEP, Command.CLOSE: 0}
"""The flags of a kind; of any other kind LINKED."""
RESOLVED = {
    HoldStatus.POSTED: Refusal.PENDING_ALREADY_POSTED,
    HoldStatus.VOIDED: Refusal.PENDING_ALREADY_VOIDED,
    HoldStatus.EXPIRED: Refusal.PENDING_ALREADY_EXPIRED,
}


def refusal_of(books: Books, row: PlainRow) -> Refusal | None:
    """Why the row cannot be done. None: it can, or it is a repeat of what was done."""
    refusal = _form(row)
    if refusal or code_of(row[KIND]) == Command.TICK:
        return refusal
    if code_of(row[KIND]) == Command.OPEN:
        return _open(books, row)
    if code_of(row[KIND]) == Command.CLOSE:
        return _close(books, range(row[FIRST_KEY], row[END_KEY]))
    if row[KEY] in books.index_of:
        return _repeat(row, books.transfers[books.index_of[row[KEY]]])
    if books.is_closed(row[KEY]):
        return Refusal.KEY_CLOSED
    if resolves(row):
        return _resolution(books, row)
    return _movement(books, row)


def resolves(row: PlainRow) -> bool:
    """Whether the row is a POST or a VOID."""
    return code_of(row[KIND]) in (Command.POST, Command.VOID)


def is_within(books: Books, keys: range) -> bool:
    """Whether all the keys are closed already: no two closed ranges touch, so that one of them has them all."""
    return any(other.start <= keys.start and keys.stop <= other.stop for other in books.closed)


def _form(row: PlainRow) -> Refusal | None:
    """What can be seen without the books."""
    code = code_of(row[KIND])
    if not 0 <= row[KIND] < KIND_WORD_END or code not in UNUSED:
        return Refusal.KIND_UNKNOWN
    if flags_of(row[KIND]) & ~FLAGS.get(Command(code), Flag.LINKED):
        return Refusal.FLAG_NOT_ALLOWED
    if any(row[word] for word in UNUSED[Command(code)]):
        return Refusal.UNUSED_WORD_NOT_ZERO
    if code == Command.TICK:
        return None
    if row[KEY] <= 0:
        return Refusal.KEY_NOT_POSITIVE
    if code == Command.CLOSE:
        return Refusal.RANGE_EMPTY if row[END_KEY] <= row[FIRST_KEY] else None
    if resolves(row) and row[PENDING_KEY] <= 0:
        return Refusal.PENDING_KEY_NOT_POSITIVE
    return _amounts(row, code)


def _amounts(row: PlainRow, code: int) -> Refusal | None:
    keeps = bool(flags_of(row[KIND]) & Flag.KEEP)
    if row[AMOUNT] < 0 or (row[AMOUNT] == 0 and (keeps or code in (Command.TRANSFER, Command.HOLD))):
        return Refusal.AMOUNT_NOT_POSITIVE
    if row[TIMEOUT] < 0:
        return Refusal.TIMEOUT_NEGATIVE
    if row[TIME] + row[TIMEOUT] > INT64_MAX:
        return Refusal.TIMEOUT_OVERFLOW
    if code == Command.OPEN and row[ASSET] <= 0:
        return Refusal.ASSET_NOT_POSITIVE
    if code == Command.OPEN and row[ACCOUNT_FLAGS] not in (0, AccountFlag.NO_OVERDRAFT):
        return Refusal.ACCOUNT_FLAG_UNKNOWN
    return None


def _open(books: Books, row: PlainRow) -> Refusal | None:
    account = books.accounts.get(row[KEY])
    if account is None:
        return None if row[KEY] == len(books.accounts) + 1 else Refusal.ACCOUNT_OUT_OF_ORDER
    refusal = _kind(row[KIND], account.opened_kind)
    if refusal:
        return refusal
    if row[ASSET] != account.asset:
        return Refusal.EXISTS_WITH_DIFFERENT_ASSET
    return Refusal.EXISTS_WITH_DIFFERENT_ACCOUNT_FLAGS if row[ACCOUNT_FLAGS] != account.flags else None


def _close(books: Books, keys: range) -> Refusal | None:
    if is_within(books, keys):
        return None
    if any(keys.start < other.stop and other.start < keys.stop for other in books.closed):
        return Refusal.RANGE_OVERLAPS
    if len(books.closed) - len(books.touching(keys)) == CLOSED_RANGES_MAX:
        return Refusal.RANGES_FULL
    pending = any(
        hold.status == HoldStatus.PENDING and books.transfers[index][KEY] in keys
        for index, hold in books.holds.items()
    )
    return Refusal.PENDING_IN_RANGE if pending else None


def _kind(new: int, old: int) -> Refusal | None:
    if code_of(new) != code_of(old):
        return Refusal.EXISTS_WITH_DIFFERENT_KIND
    if flags_of(new) != flags_of(old):
        return Refusal.EXISTS_WITH_DIFFERENT_FLAGS
    return Refusal.EXISTS_WITH_DIFFERENT_REASON if reason_of(new) != reason_of(old) else None


def _repeat(row: PlainRow, old: PlainRow) -> Refusal | None:
    """The field in which a row differs from the accepted one of its key. An account that a POST or VOID leaves 0 does not."""
    refusal = _kind(row[KIND], old[KIND])
    if refusal:
        return refusal
    given = resolves(row)
    if row[DEBIT] != old[DEBIT] and not (given and row[DEBIT] == 0):
        return Refusal.EXISTS_WITH_DIFFERENT_DEBIT
    if row[CREDIT] != old[CREDIT] and not (given and row[CREDIT] == 0):
        return Refusal.EXISTS_WITH_DIFFERENT_CREDIT
    if row[AMOUNT] != old[AMOUNT]:
        return Refusal.EXISTS_WITH_DIFFERENT_AMOUNT
    if row[PENDING_KEY] != old[PENDING_KEY]:
        return Refusal.EXISTS_WITH_DIFFERENT_PENDING_KEY
    return Refusal.EXISTS_WITH_DIFFERENT_TIMEOUT if row[TIMEOUT] != old[TIMEOUT] else None


def _resolution(books: Books, row: PlainRow) -> Refusal | None:
    index = books.index_of.get(row[PENDING_KEY])
    if index is None:
        return Refusal.PENDING_CLOSED if books.is_closed(row[PENDING_KEY]) else Refusal.PENDING_UNKNOWN
    hold, held = books.holds.get(index), books.transfers[index]
    if hold is None:
        return Refusal.PENDING_NOT_A_HOLD
    if row[DEBIT] not in (0, held[DEBIT]):
        return Refusal.PENDING_HAS_DIFFERENT_DEBIT
    if row[CREDIT] not in (0, held[CREDIT]):
        return Refusal.PENDING_HAS_DIFFERENT_CREDIT
    if hold.status != HoldStatus.PENDING:
        return RESOLVED[hold.status]
    return Refusal.AMOUNT_OVER_REMAINING if row[AMOUNT] > hold.remaining else None


def _movement(books: Books, row: PlainRow) -> Refusal | None:
    if row[DEBIT] not in books.accounts:
        return Refusal.DEBIT_UNKNOWN
    if row[CREDIT] not in books.accounts:
        return Refusal.CREDIT_UNKNOWN
    if row[DEBIT] == row[CREDIT]:
        return Refusal.ACCOUNTS_SAME
    debit, credit = books.sides(row)
    if debit.asset != credit.asset:
        return Refusal.ASSETS_DIFFER
    debits_after = debit.debits_pending + debit.debits_posted + row[AMOUNT]
    if debits_after > INT64_MAX:
        return Refusal.DEBITS_OVERFLOW
    if credit.credits_pending + credit.credits_posted + row[AMOUNT] > INT64_MAX:
        return Refusal.CREDITS_OVERFLOW
    guarded = bool(debit.flags & AccountFlag.NO_OVERDRAFT)
    return Refusal.OVERDRAWN if guarded and debits_after > debit.credits_posted else None
