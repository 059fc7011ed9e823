"""Money in and out, asked for here and moved by the venue: each under its outside reference, once.

A payment names what it is of outside (a bank's transfer, an invoice): its *reference*. The same reference with the same content
is the same payment, however often it is asked for; with other content it is refused, naming what differs. So a request that was
cut off can be sent again, and money comes in once. Its number is its key at the venue, which keeps the same rule a second time.

| state | means | next |
|---|---|---|
| pending | asked for; the venue has not been told, or has not answered | done, refused |
| done | the venue has moved the money | |
| refused | the venue would not, and why: final; another try is another reference | |
"""

from dataclasses import dataclass
from hashlib import blake2b

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX
from ciyuan.services.door.registry_database import Row, Sql
from ciyuan.services.door.registry_parties import checked_text, next_number
from ciyuan.services.door.registry_schema import PaymentKind, PaymentState
from ciyuan.services.door.registry_words import money_words

DOUBT_MICRO = 10_000_000 * 10**6
"""A payment above ten million USD is most likely typed in micro-USD."""
_COLUMNS = "number, kind, participant, amount_micro, reference, state, reason, created_ns"


@dataclass(frozen=True, slots=True)
class Payment:
    """A deposit or a withdrawal of a customer's prepaid money. `reason` says why it was refused."""

    number: int
    kind: PaymentKind
    participant: int
    amount_micro: int
    reference: str
    state: PaymentState
    reason: str
    created_ns: int

    @property
    def key(self) -> int:
        """The venue's key of it, 1 to 2^60 - 1."""
        digest = blake2b(self.reference.encode(), digest_size=8, person=b"ciyuan payment").digest()
        return (int.from_bytes(digest) >> 4) or 1


class Payments:
    """Payments inside a change."""

    def __init__(self, sql: Sql, now_ns: int) -> None:
        self._sql, self._now_ns = sql, now_ns

    def ask(
        self, kind: PaymentKind, participant: int, amount_micro: int, reference: str
    ) -> tuple[Payment, bool]:
        """Ask for a payment; it, and whether it is new. Raises Malformed for an amount of nothing, or for a reference that was
        used for another payment.
        """
        checked_text(reference, "payment's reference")
        if not 0 < amount_micro <= INT64_MAX:
            raise Malformed(f"{kind} {reference}", found=f"{money_words(amount_micro)} USD", expected="more than 0",
                            remedy="Money that goes out is a withdrawal.")  # fmt: skip
        wanted = Payment(next_number(self._sql, "payments"), kind, participant, amount_micro, reference,
                         PaymentState.PENDING, "", self._now_ns)  # fmt: skip
        known = self.of_reference(reference)
        if known is not None:
            _check_same(known, wanted)
            return known, False
        self._sql.run(
            f"INSERT INTO payments ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, '', ?)",  # noqa: S608 the names are ours
            *(wanted.number, kind, participant, amount_micro, reference, PaymentState.PENDING, self._now_ns),
        )
        return wanted, True

    def of_reference(self, reference: str) -> Payment | None:
        """The payment of that reference."""
        statement = f"SELECT {_COLUMNS} FROM payments WHERE reference = ?"  # noqa: S608 the names are ours
        row = self._sql.row(statement, reference)
        return None if row is None else _payment_of(row)

    def settle(self, number: int, state: PaymentState, reason: str = "") -> None:
        """What the venue has answered. Nothing is written if it is what it answered before."""
        self._sql.run(
            "UPDATE payments SET state = ?, reason = ? WHERE number = ? AND state <> ?",
            *(state, reason, number, state),
        )


def payments_in(sql: Sql) -> list[Payment]:
    """All payments by number."""
    return [_payment_of(row) for row in sql.rows(f"SELECT {_COLUMNS} FROM payments ORDER BY number")]  # noqa: S608


def _check_same(known: Payment, wanted: Payment) -> None:
    differs = (
        ("kind", known.kind, wanted.kind),
        ("organisation", known.participant, wanted.participant),
        ("amount", f"{money_words(known.amount_micro)} USD", f"{money_words(wanted.amount_micro)} USD"),
    )
    for name, before, now in differs:
        if before != now:
            raise Malformed(f"payment {wanted.reference}, {name}", found=str(now),
                            expected=f"{before}, as when the reference was first used",
                            remedy="A reference is one payment's: give this one its own.")  # fmt: skip


def _payment_of(row: Row) -> Payment:
    number, kind, participant, amount_micro, reference, state, *rest = row
    return Payment(
        number, PaymentKind(kind), participant, amount_micro, reference, PaymentState(state), *rest
    )
