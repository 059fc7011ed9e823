"""The plain twin's state: accounts, accepted rows, holds and a clock, as a person would write them down."""

from dataclasses import dataclass, field
from typing import TypeAlias

from ciyuan.ledger.messages import CREDIT, DEBIT, KEY, HoldStatus

PlainRow: TypeAlias = tuple[int, ...]
"""A row as eight plain integers."""


@dataclass(slots=True)
class Account:
    """One account; all sums are non-negative."""

    asset: int
    flags: int
    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0
    opened_kind: int = 0
    opened_ns: int = 0

    def row(self) -> PlainRow:
        """The account's row of the accounts matrix."""
        sums = (self.debits_pending, self.debits_posted, self.credits_pending, self.credits_posted)
        return (self.asset, self.flags, *sums, self.opened_kind, self.opened_ns)


@dataclass(slots=True)
class Hold:
    """One hold: how much of it is still held, when it expires (None: never), how it stands."""

    remaining: int
    expires_ns: int | None
    status: HoldStatus = HoldStatus.PENDING


@dataclass(slots=True)
class Books:
    """The whole state. `transfers` are the accepted rows in order; `holds` are by index into them; `closed` are ranges of keys,
    each from its first to before its end, in order, no two of which touch.
    """

    accounts: dict[int, Account] = field(default_factory=dict)
    transfers: list[PlainRow] = field(default_factory=list)
    index_of: dict[int, int] = field(default_factory=dict)
    holds: dict[int, Hold] = field(default_factory=dict)
    closed: list[range] = field(default_factory=list)
    clock_ns: int = 0

    def copy(self) -> "Books":
        """An independent copy."""
        accounts = {number: Account(*account.row()) for number, account in self.accounts.items()}
        holds = {
            index: Hold(hold.remaining, hold.expires_ns, hold.status) for index, hold in self.holds.items()
        }
        return Books(
            accounts, self.transfers.copy(), self.index_of.copy(), holds, self.closed.copy(), self.clock_ns
        )

    def is_closed(self, key: int) -> bool:
        """Whether the key lies in a closed range."""
        return any(key in keys for keys in self.closed)

    def touching(self, keys: range) -> list[range]:
        """The closed ranges that end where `keys` begin or begin where they end."""
        return [other for other in self.closed if other.stop == keys.start or other.start == keys.stop]

    def close(self, keys: range) -> int:
        """Forget the rows with such a key, and close the keys; returns how many rows it were. None is a pending hold."""
        joined = [keys, *self.touching(keys)]
        apart = [other for other in self.closed if other not in joined]
        whole = range(min(part.start for part in joined), max(part.stop for part in joined))
        self.closed = sorted([*apart, whole], key=lambda part: part.start)
        kept = [index for index, row in enumerate(self.transfers) if row[KEY] not in keys]
        forgotten = len(self.transfers) - len(kept)
        self.holds = {place: self.holds[index] for place, index in enumerate(kept) if index in self.holds}
        self.transfers = [self.transfers[index] for index in kept]
        self.index_of = {row[KEY]: index for index, row in enumerate(self.transfers)}
        return forgotten

    def sides(self, row: PlainRow) -> tuple[Account, Account]:
        """The accounts that a row debits and credits."""
        return self.accounts[row[DEBIT]], self.accounts[row[CREDIT]]

    def due(self, time_ns: int) -> list[int]:
        """The pending holds that have expired by `time_ns`, by expiry and then by age."""
        expiries = [
            (hold.expires_ns, index)
            for index, hold in self.holds.items()
            if hold.status == HoldStatus.PENDING
            and hold.expires_ns is not None
            and hold.expires_ns <= time_ns
        ]
        return [index for _, index in sorted(expiries)]
