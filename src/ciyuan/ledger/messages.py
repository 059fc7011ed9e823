"""What the ledger hears and says: one row of eight int64 a message.

| word | a command | an event |
|---|---|---|
| 0 | kind word: code, flags, reason | the event's code with the command's flags and reason |
| 1 | time_ns | the same (EXPIRED: the nanosecond at which the hold ended) |
| 2 | key (CLOSE: the range's first) | key (EXPIRED: the hold's) |
| 3 | debit account (OPEN: asset; CLOSE: one past the last key) | debit account, filled in where a POST or VOID left it 0 |
| 4 | credit account (OPEN: account flags) | credit account, filled in likewise |
| 5 | amount (VOID: 0) | amount moved, held or released (CLOSED: how many rows were forgotten) |
| 6 | pending_key (POST, VOID: the hold's key) | pending_key (EXPIRED: the hold's key) |
| 7 | timeout_ns (HOLD; 0 = never expires) | HELD, POSTED: what the hold still holds; REFUSED: the `Refusal`; else 0 |

An amount is in the smallest unit of the accounts' asset (micro-units of a currency, receipts). Account numbers start at 1.
The rules are in docs/spec/ledger.md.
"""

from dataclasses import dataclass
from enum import IntEnum

from ciyuan.basics.rows import INT64_MAX, Row, kind_word, row

KEY = 2
DEBIT = 3
CREDIT = 4
AMOUNT = 5
PENDING_KEY = 6
TIMEOUT = 7
REMAINING = 7
REFUSAL = 7
ASSET = 3
ACCOUNT_FLAGS = 4
FIRST_KEY = 2
END_KEY = 3

MAX_AMOUNT = INT64_MAX
CLOSED_RANGES_MAX = 8
"""Most ranges of keys that a ledger has closed at once; those that touch are one."""


class Command(IntEnum):
    """Codes of what the ledger hears."""

    OPEN = 101
    TRANSFER = 102
    HOLD = 103
    POST = 104
    VOID = 105
    TICK = 106
    CLOSE = 107


class Event(IntEnum):
    """Codes of what the ledger says. One event answers each command row; EXPIRED comes of itself, before the answer."""

    OPENED = 151
    TRANSFERRED = 152
    HELD = 153
    POSTED = 154
    VOIDED = 155
    EXPIRED = 156
    TICKED = 157
    REPEATED = 158
    REFUSED = 159
    CLOSED = 160


class Flag(IntEnum):
    """Flags of a command row. LINKED: all or none with the next row. KEEP (POST only): the rest of the hold stays held."""

    LINKED = 1
    KEEP = 2


class AccountFlag(IntEnum):
    """Flags of an account. NO_OVERDRAFT: debits, pending and posted, never exceed the posted credits."""

    NO_OVERDRAFT = 1


class HoldStatus(IntEnum):
    """Where a hold stands (the `holds` part of a snapshot)."""

    PENDING = 0
    POSTED = 1
    VOIDED = 2
    EXPIRED = 3


class Refusal(IntEnum):
    """Why a command was refused. Of several faults at once the one declared first is named."""

    CHAIN_OPEN = 1
    CHAIN_FAILED = 2
    CHAIN_TIME_DIFFERS = 3
    TIME_BACKWARDS = 4
    KIND_UNKNOWN = 5
    FLAG_NOT_ALLOWED = 6
    UNUSED_WORD_NOT_ZERO = 7
    KEY_NOT_POSITIVE = 8
    PENDING_KEY_NOT_POSITIVE = 9
    AMOUNT_NOT_POSITIVE = 10
    TIMEOUT_NEGATIVE = 11
    TIMEOUT_OVERFLOW = 12
    ASSET_NOT_POSITIVE = 13
    ACCOUNT_FLAG_UNKNOWN = 14
    EXISTS_WITH_DIFFERENT_KIND = 15
    EXISTS_WITH_DIFFERENT_FLAGS = 16
    EXISTS_WITH_DIFFERENT_REASON = 17
    EXISTS_WITH_DIFFERENT_ASSET = 18
    EXISTS_WITH_DIFFERENT_ACCOUNT_FLAGS = 19
    EXISTS_WITH_DIFFERENT_DEBIT = 20
    EXISTS_WITH_DIFFERENT_CREDIT = 21
    EXISTS_WITH_DIFFERENT_AMOUNT = 22
    EXISTS_WITH_DIFFERENT_PENDING_KEY = 23
    EXISTS_WITH_DIFFERENT_TIMEOUT = 24
    ACCOUNT_OUT_OF_ORDER = 25
    PENDING_UNKNOWN = 26
    PENDING_NOT_A_HOLD = 27
    PENDING_HAS_DIFFERENT_DEBIT = 28
    PENDING_HAS_DIFFERENT_CREDIT = 29
    PENDING_ALREADY_POSTED = 30
    PENDING_ALREADY_VOIDED = 31
    PENDING_ALREADY_EXPIRED = 32
    AMOUNT_OVER_REMAINING = 33
    DEBIT_UNKNOWN = 34
    CREDIT_UNKNOWN = 35
    ACCOUNTS_SAME = 36
    ASSETS_DIFFER = 37
    DEBITS_OVERFLOW = 38
    CREDITS_OVERFLOW = 39
    OVERDRAWN = 40
    KEY_CLOSED = 41
    PENDING_CLOSED = 42
    RANGE_EMPTY = 43
    RANGE_OVERLAPS = 44
    RANGES_FULL = 45
    PENDING_IN_RANGE = 46
    CLOSE_IN_CHAIN = 47


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account at one moment. All four sums are non-negative amounts of `asset`."""

    asset: int
    flags: int
    debits_pending: int
    debits_posted: int
    credits_pending: int
    credits_posted: int

    @property
    def posted(self) -> int:
        """Credits less debits that are final. Negative only where the account may be overdrawn."""
        return self.credits_posted - self.debits_posted

    @property
    def available(self) -> int:
        """What can still be debited: `posted` less what is held."""
        return self.posted - self.debits_pending


def open_row(
    time_ns: int, number: int, asset: int, flags: int = 0, *, reason: int = 0, linked: bool = False
) -> Row:
    """OPEN account `number` (the next free one: 1, 2, 3 ...) in `asset` (1 or more) with `AccountFlag`s."""
    return row(_kind(Command.OPEN, reason, linked), time_ns, (number, asset, flags))


def transfer_row(
    time_ns: int, key: int, debit: int, credit: int, amount: int, *, reason: int = 0, linked: bool = False
) -> Row:
    """TRANSFER `amount` from account `debit` to account `credit` at once."""
    return row(_kind(Command.TRANSFER, reason, linked), time_ns, (key, debit, credit, amount))


def hold_row(
    time_ns: int,
    key: int,
    debit: int,
    credit: int,
    amount: int,
    timeout_ns: int = 0,
    *,
    reason: int = 0,
    linked: bool = False,
) -> Row:
    """HOLD `amount` of account `debit` for account `credit`, until it is posted, voided or `timeout_ns` has passed (0: never)."""
    return row(_kind(Command.HOLD, reason, linked), time_ns, (key, debit, credit, amount, 0, timeout_ns))


def post_row(
    time_ns: int,
    key: int,
    pending_key: int,
    amount: int,
    *,
    keep: bool = False,
    reason: int = 0,
    linked: bool = False,
) -> Row:
    """POST `amount` of the hold `pending_key`; the rest is released, or with `keep` stays held."""
    kind = _kind(Command.POST, reason, linked, Flag.KEEP if keep else 0)
    return row(kind, time_ns, (key, 0, 0, amount, pending_key))


def void_row(time_ns: int, key: int, pending_key: int, *, reason: int = 0, linked: bool = False) -> Row:
    """VOID the hold `pending_key`: all that it still holds is released."""
    return row(_kind(Command.VOID, reason, linked), time_ns, (key, 0, 0, 0, pending_key))


def tick_row(time_ns: int) -> Row:
    """TICK: move the clock, so that holds that are due expire."""
    return row(kind_word(Command.TICK), time_ns)


def close_row(time_ns: int, first_key: int, end_key: int, *, reason: int = 0) -> Row:
    """CLOSE the keys from `first_key` to before `end_key`: their rows are forgotten, and none is accepted under them again."""
    return row(_kind(Command.CLOSE, reason, linked=False), time_ns, (first_key, end_key))


def _kind(code: int, reason: int, linked: bool, flags: int = 0) -> int:
    return kind_word(code, flags | (Flag.LINKED if linked else 0), reason)
