"""The venue's own books: participants, proved capacity, and the ledger rows that the venue writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.rows import CODE_MASK, ROW_WORDS, Row, kind_word
from ciyuan.exchange.state import TIME_MAX_NS
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.messages import AccountFlag, Command, Event, Flag
from ciyuan.ledger.messages import Refusal as LedgerRefusal
from ciyuan.venue.accounts import MONEY, RECEIPTS_ASSET, STANDARD_TOKENS_ASSET, ChartOfAccounts, House
from ciyuan.venue.messages import Reason, VenueEvent, VenueRefusal

Out = list[Row]
Leg = tuple[int, int, int, Reason]
"""Debit, credit, amount, and why: one row of a chain."""
Answer = VenueEvent | VenueRefusal | None
"""What a handler says of a command: done by this event, refused, or None: it has said it all itself."""
KEY_MAX = 2**60 - 1
"""A caller's keys are 1 .. this."""
LAPSE_KEYS = 2**60
"""The keys of lapses start here."""
LEDGER_KEY_BASE = 2**62 + 2**61
"""The venue's ledger keys: above the meter's (under 2**62) and the clearing house's (2**62 plus a count)."""
LEG_KEYS = 3
"""The keys of the venue's other rows are 4 x a count plus this: below the clearing house's, between the meter's."""
OVERDRAFT_ALLOWED = 0
NO_OVERDRAFT = int(AccountFlag.NO_OVERDRAFT)
OVERFLOWS = (LedgerRefusal.DEBITS_OVERFLOW, LedgerRefusal.CREDITS_OVERFLOW)
PARTS = {"participants": 5, "capacity": 6, "keyed": 7, "lapsed": 2, "legs": 1}
"""The parts of the books' snapshot and their widths."""


@dataclass(slots=True)
class Books:
    """Participants by number: (roles, group, clearing role, settings). Capacity by (participant, grade, month): [proved, issued,
    redeemed] receipts; issued and redeemed are what it still has to answer for, or a substitute in its place.

    `keyed` holds the content (code and words 3-7) of each keyed command that was done, by its key; `lapsed` the (grade, month)
    pairs whose receipts have lapsed; `legs` counts the ledger rows that have no command's key.
    """

    ledger: Ledger
    chart: ChartOfAccounts
    participants: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    capacity: dict[tuple[int, int, int], list[int]] = field(default_factory=dict)
    keyed: dict[int, tuple[int, ...]] = field(default_factory=dict)
    lapsed: set[tuple[int, int]] = field(default_factory=set)
    legs: int = 0

    def open_house(self) -> None:
        """Open the house's accounts, in the chart's order, in an empty ledger."""
        for account in House:
            self.open_account(
                0, MONEY, OVERDRAFT_ALLOWED if account in (House.WORLD, House.RECEIVABLES) else NO_OVERDRAFT
            )
        for grade in self.chart.grades:
            self.open_account(0, RECEIPTS_ASSET + grade, OVERDRAFT_ALLOWED)
            self.open_account(0, RECEIPTS_ASSET + grade, NO_OVERDRAFT)
            self.open_account(0, STANDARD_TOKENS_ASSET + grade, OVERDRAFT_ALLOWED)

    def open_account(self, time_ns: int, asset: int, flags: int) -> int:
        """Open the ledger's next account; returns its number."""
        number = self.ledger.account_count + 1
        event = self._one((int(Command.OPEN), time_ns, number, asset, flags, 0, 0, 0))
        if event[0] & CODE_MASK != Event.OPENED:
            raise InvariantBroken(
                "the venue opens accounts in order", f"account {number}: refusal {event[7]}"
            )
        return number

    def seen(self, row: Sequence[int]) -> VenueEvent | VenueRefusal | None:
        """Whether a keyed command was done before: REPEATED; its key was used for another; or None: it is new."""
        content = self.keyed.get(row[2])
        if content is None:
            return None
        return VenueEvent.REPEATED if content == content_of(row) else VenueRefusal.KEY_USED_OTHERWISE

    def transfer(
        self, row: Sequence[int], debit: int, credit: int, amount: int, reason: Reason
    ) -> VenueRefusal | None:
        """Move `amount` for a new keyed command: None if it moved, and the command is remembered; else why not."""
        answer = self._transfer(row[1], row[2], debit, credit, amount, reason)
        if answer is None:
            self.keyed[row[2]] = content_of(row)
        return answer

    def lapse(self, time_ns: int, key: int, debit: int, credit: int, amount: int) -> None:
        """Move lapsed receipts; `key` counts from the first of the lapses' keys."""
        if self._transfer(time_ns, LAPSE_KEYS + key, debit, credit, amount, Reason.LAPSE) is not None:
            raise InvariantBroken("receipts lapse once", f"ledger account {debit}, key {key}")

    def move(self, time_ns: int, debit: int, credit: int, amount: int, reason: Reason) -> None:
        """Move what is there, under no caller's key."""
        if self.chain(time_ns, 0, [(debit, credit, amount, reason)]) is not None:
            raise InvariantBroken("what is there can be moved", f"ledger account {debit}: {amount}")

    def chain(self, time_ns: int, key: int, legs: Sequence[Leg]) -> VenueRefusal | None:
        """Move all the legs or none; the first has the ledger key of a caller's `key` (0: it has none, like the others). None
        if they moved, else why not. Legs of 0 are left out.
        """
        some = [leg for leg in legs if leg[2]]
        if not some:
            return None
        rows, count = [], self.legs
        for place, (debit, credit, amount, reason) in enumerate(some):
            own = key > 0 and place == 0
            count += not own
            ledger_key = LEDGER_KEY_BASE + key if own else 4 * count + LEG_KEYS
            kind = kind_word(Command.TRANSFER, Flag.LINKED if place < len(some) - 1 else 0, reason)
            rows.append((kind, time_ns, ledger_key, debit, credit, amount, 0, 0))
        events = self.ledger.apply(np.array(rows, dtype=np.int64)).tolist()[-len(rows) :]
        if all(event[0] & CODE_MASK == Event.TRANSFERRED for event in events):
            self.legs = count
            return None
        at = next(place for place, event in enumerate(events) if event[7] != LedgerRefusal.CHAIN_FAILED)
        return self._refusal(events[at], rows[at][3], rows[at][5])

    def _transfer(
        self, time_ns: int, key: int, debit: int, credit: int, amount: int, reason: Reason
    ) -> VenueRefusal | None:
        row = (
            kind_word(Command.TRANSFER, 0, reason),
            time_ns,
            LEDGER_KEY_BASE + key,
            debit,
            credit,
            amount,
            0,
            0,
        )
        event = self._one(row)
        if event[0] & CODE_MASK == Event.TRANSFERRED:
            return None
        return self._refusal(event, debit, amount)

    def _refusal(self, event: Sequence[int], debit: int, amount: int) -> VenueRefusal:
        """Why the ledger did not move an amount."""
        if event[0] & CODE_MASK == Event.REFUSED and event[7] == LedgerRefusal.OVERDRAWN:
            return VenueRefusal.INSUFFICIENT_BALANCE
        if event[0] & CODE_MASK == Event.REFUSED and event[7] in OVERFLOWS:
            return self._overflow(debit, amount)
        raise InvariantBroken(
            "a venue transfer is made, or refused for lack of money or room", f"ledger answered {event}"
        )

    def _overflow(self, debit: int, amount: int) -> VenueRefusal:
        """The first refusal that applies to a transfer that some account's sums have no room for."""
        account = self.ledger.account(debit)
        if account.flags & NO_OVERDRAFT and account.available < amount:
            return VenueRefusal.INSUFFICIENT_BALANCE
        return VenueRefusal.AMOUNT_OVERFLOW

    def _one(self, row: Row) -> list[int]:
        """Have the ledger apply one row; its own event is the last (holds that expire come before it)."""
        events: list[list[int]] = self.ledger.apply(np.array([row], dtype=np.int64)).tolist()
        return events[-1]

    def go_round(self, end: int) -> None:
        """Number the rows without a caller's key from beyond the keys of requests before `end`, which are closed."""
        self.legs = max(self.legs, end - 1)

    def snapshot(self) -> dict[str, NDArray[np.int64]]:
        """The books as matrices, each sorted: one row an entry, its key first (`PARTS` has their widths)."""
        entries: dict[str, list[tuple[int, ...]]] = {
            "participants": [(number, *entry) for number, entry in self.participants.items()],
            "capacity": [(*key, *entry) for key, entry in self.capacity.items()],
            "keyed": [(key, *content) for key, content in self.keyed.items()],
            "lapsed": list(self.lapsed),
            "legs": [(self.legs,)],
        }
        return {
            name: np.array(sorted(entries[name]), dtype=np.int64).reshape(-1, width)
            for name, width in PARTS.items()
        }

    def restore(self, parts: Mapping[str, NDArray[np.int64]]) -> None:
        """Inverse of `snapshot`. Raises Malformed for matrices of another width."""
        for name, width in PARTS.items():
            if name not in parts or parts[name].ndim != 2 or parts[name].shape[1] != width:
                raise Malformed(
                    f"venue snapshot, {name}",
                    found=getattr(parts.get(name), "shape", None),
                    expected=f"(n, {width})",
                    remedy="Take another snapshot.",
                )
        rows = {name: [tuple(row) for row in parts[name].tolist()] for name in PARTS}
        self.participants = {
            number: (roles, group, role, settings)
            for number, roles, group, role, settings in rows["participants"]
        }
        self.capacity = {(who, grade, month): entry for who, grade, month, *entry in rows["capacity"]}
        self.keyed = {key: tuple(content) for key, *content in rows["keyed"]}
        self.lapsed = {(grade, month) for grade, month in rows["lapsed"]}
        self.legs = max((count for (count,) in rows["legs"]), default=0)


def content_of(row: Sequence[int]) -> tuple[int, ...]:
    """What makes two commands of one key the same: their code and words 3-7."""
    return (row[0] & CODE_MASK, *row[3:8])


def key_fault(key: int) -> VenueRefusal | None:
    """Whether a caller's key may not be used."""
    return None if 0 < key <= KEY_MAX else VenueRefusal.KEY_OUT_OF_RANGE


def words(row: Sequence[int], *, event: VenueEvent, refusal: int = 0) -> Row:
    """An event that repeats its command's words; word 7 is the refusal, if there is one."""
    return (int(event), row[1], row[2], row[3], row[4], row[5], row[6], refusal or row[7])


def check_rows(rows: NDArray[np.int64], last_ns: int) -> None:
    """Refuse (Malformed) what is not a batch of rows in order of time from `last_ns` on."""
    if rows.ndim != 2 or rows.shape[1] != ROW_WORDS or rows.dtype != np.int64:
        raise Malformed(
            "batch",
            found=f"{rows.dtype} {rows.shape}",
            expected=f"int64 (n, {ROW_WORDS})",
            remedy="Build it from rows.",
        )
    times = rows[:, 1]
    if len(times) and times[-1] > TIME_MAX_NS:
        raise Malformed(
            "batch",
            found=int(times[-1]),
            expected=f"times to {TIME_MAX_NS} ns",
            remedy="Stamp rows as they arrive.",
        )
    if len(times) and (times[0] < last_ns or (times[1:] < times[:-1]).any()):
        raise Malformed("batch", found="a row earlier than the one before it", expected=f"times from {last_ns} ns on, in order",
                        remedy="Stamp rows as they arrive.")  # fmt: skip
