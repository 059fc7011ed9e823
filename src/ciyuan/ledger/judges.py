"""The kernel's judges: plain integers in, 0 or a `Refusal` out. Compiled into the loop, they cost a few comparisons.

Within each, and from each to the next in the order of this page, the tests stand in the order in which `Refusal` declares them.
"""

from numba import njit

from ciyuan.basics.rows import CODE_MASK, FLAG_MASK, FLAG_SHIFT, INT64_MAX, REASON_SHIFT
from ciyuan.ledger.messages import AccountFlag, Command, Flag, HoldStatus, Refusal

KIND_BITS = 40
"""Bits of a kind word; whatever stands above them makes the kind unknown."""


@njit(cache=True)
def fault_of_form(
    kind: int,
    code: int,
    flags: int,
    time: int,
    key: int,
    debit: int,
    credit: int,
    amount: int,
    pending_key: int,
    timeout: int,
) -> int:
    """What is wrong with a row that can be seen without the books.

    OPEN's asset and flags stand in `debit` and `credit`, CLOSE's range in `key` and `debit`.
    """
    if kind >> KIND_BITS or code < Command.OPEN or code > Command.CLOSE:
        return Refusal.KIND_UNKNOWN
    if code == Command.CLOSE:
        return _fault_of_close(flags, key, debit, credit | amount | pending_key | timeout)
    if flags & ~(Flag.LINKED | Flag.KEEP if code == Command.POST else Flag.LINKED):
        return Refusal.FLAG_NOT_ALLOWED
    if code == Command.TICK:
        return Refusal.UNUSED_WORD_NOT_ZERO if key | debit | credit | amount | pending_key | timeout else 0
    if (
        (pending_key if code < Command.POST else 0)
        | (timeout if code != Command.HOLD else 0)
        | (amount if code == Command.OPEN or code == Command.VOID else 0)
    ):
        return Refusal.UNUSED_WORD_NOT_ZERO
    if key <= 0:
        return Refusal.KEY_NOT_POSITIVE
    if code >= Command.POST and pending_key <= 0:
        return Refusal.PENDING_KEY_NOT_POSITIVE
    if amount < 0 or (
        amount == 0 and (code == Command.TRANSFER or code == Command.HOLD or flags & Flag.KEEP)
    ):
        return Refusal.AMOUNT_NOT_POSITIVE
    if timeout < 0:
        return Refusal.TIMEOUT_NEGATIVE
    if timeout > INT64_MAX - time:
        return Refusal.TIMEOUT_OVERFLOW
    if code == Command.OPEN and debit <= 0:
        return Refusal.ASSET_NOT_POSITIVE
    if code == Command.OPEN and credit & ~AccountFlag.NO_OVERDRAFT:
        return Refusal.ACCOUNT_FLAG_UNKNOWN
    return 0


@njit(cache=True)
def _fault_of_close(flags: int, first: int, end: int, unused: int) -> int:
    if flags:
        return Refusal.FLAG_NOT_ALLOWED
    if unused:
        return Refusal.UNUSED_WORD_NOT_ZERO
    if first <= 0:
        return Refusal.KEY_NOT_POSITIVE
    return Refusal.RANGE_EMPTY if end <= first else 0


@njit(cache=True)
def fault_of_number(number: int, account_count: int) -> int:
    """Of an account number that is not taken."""
    return 0 if number == account_count + 1 else Refusal.ACCOUNT_OUT_OF_ORDER


@njit(cache=True)
def fault_of_kinds(differing: int) -> int:
    """From the bits in which two kind words differ."""
    if differing & CODE_MASK:
        return Refusal.EXISTS_WITH_DIFFERENT_KIND
    if differing >> FLAG_SHIFT & FLAG_MASK:
        return Refusal.EXISTS_WITH_DIFFERENT_FLAGS
    return Refusal.EXISTS_WITH_DIFFERENT_REASON if differing >> REASON_SHIFT else 0


@njit(cache=True)
def fault_of_reopening(kind_bits: int, asset_differs: bool, flags_differ: bool) -> int:
    """From what differs between an OPEN and the account of its number. 0: it is a repeat."""
    fault = fault_of_kinds(kind_bits)
    if fault != 0:
        return fault
    if asset_differs:
        return Refusal.EXISTS_WITH_DIFFERENT_ASSET
    return Refusal.EXISTS_WITH_DIFFERENT_ACCOUNT_FLAGS if flags_differ else 0


@njit(cache=True)
def fault_of_repeat(
    kind_bits: int, debit: bool, credit: bool, amount: bool, pending_key: bool, timeout: bool
) -> int:
    """From what differs between a row and the accepted one of the same key. 0: it is a repeat."""
    fault = fault_of_kinds(kind_bits)
    if fault != 0:
        return fault
    if debit:
        return Refusal.EXISTS_WITH_DIFFERENT_DEBIT
    if credit:
        return Refusal.EXISTS_WITH_DIFFERENT_CREDIT
    if amount:
        return Refusal.EXISTS_WITH_DIFFERENT_AMOUNT
    if pending_key:
        return Refusal.EXISTS_WITH_DIFFERENT_PENDING_KEY
    return Refusal.EXISTS_WITH_DIFFERENT_TIMEOUT if timeout else 0


@njit(cache=True)
def fault_of_resolution(
    debit: int, held_debit: int, credit: int, held_credit: int, amount: int, remaining: int
) -> int:
    """`remaining` is the hold's word of `held`: minus its status once it has ended."""
    if debit != 0 and debit != held_debit:
        return Refusal.PENDING_HAS_DIFFERENT_DEBIT
    if credit != 0 and credit != held_credit:
        return Refusal.PENDING_HAS_DIFFERENT_CREDIT
    if remaining == -HoldStatus.POSTED:
        return Refusal.PENDING_ALREADY_POSTED
    if remaining == -HoldStatus.VOIDED:
        return Refusal.PENDING_ALREADY_VOIDED
    if remaining == -HoldStatus.EXPIRED:
        return Refusal.PENDING_ALREADY_EXPIRED
    return Refusal.AMOUNT_OVER_REMAINING if amount > remaining else 0


@njit(cache=True)
def fault_of_accounts(debit: int, credit: int, account_count: int) -> int:
    """Of two account numbers."""
    if debit < 1 or debit > account_count:
        return Refusal.DEBIT_UNKNOWN
    if credit < 1 or credit > account_count:
        return Refusal.CREDIT_UNKNOWN
    return Refusal.ACCOUNTS_SAME if debit == credit else 0


@njit(cache=True)
def fault_of_movement(
    assets_differ: bool, amount: int, debits: int, credits_there: int, debit_flags: int, covered: int
) -> int:
    """`debits` of the debit account and `credits_there` of the other, pending and posted; `covered`: its posted credits."""
    if assets_differ:
        return Refusal.ASSETS_DIFFER
    if amount > INT64_MAX - debits:
        return Refusal.DEBITS_OVERFLOW
    if amount > INT64_MAX - credits_there:
        return Refusal.CREDITS_OVERFLOW
    return Refusal.OVERDRAWN if debit_flags & AccountFlag.NO_OVERDRAFT and amount > covered - debits else 0
