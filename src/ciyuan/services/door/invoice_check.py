"""The machine's word on a customer's money, beside the sums of usage: the journal played again into an empty venue.

The sums were folded once, as the journal grew. The recount plays the journal's rows up to the end of the span again, adds up what
SETTLED says, and reads the customer's purses in the ledger; it knows neither tables nor hours. An invoice is refused if the two
differ by a micro-unit.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import CODE_MASK, TIME
from ciyuan.gateway.messages import MeterEvent
from ciyuan.services.door.invoice import Statement
from ciyuan.services.door.invoice_statement import OWN_PURSES
from ciyuan.services.door.usage_span import Span
from ciyuan.venue.machine import Venue


@dataclass(frozen=True, slots=True)
class MachineWord:
    """What the machine says of a customer: its charges in a span, and its cash and prepaid money at the span's end."""

    settled_micro: int
    closing_micro: int


def recounted(journal: Iterable[NDArray[np.int64]], venue: Venue, customer: int, span: Span) -> MachineWord:
    """Play a journal's rows (n, 8), in order from its first, into an empty venue, up to the end of a span."""
    start_ns, end_ns = span.bounds_ns
    settled = 0
    for rows in journal:
        part = rows[: int(np.searchsorted(rows[:, TIME], end_ns))]
        if len(part):
            settled += _settled(venue.apply(np.ascontiguousarray(part)), customer, start_ns)
        if len(part) < len(rows):
            break
    purses = (venue.terms.chart.purse(customer, purse) for purse in OWN_PURSES)
    return MachineWord(settled, sum(venue.ledger.posted(account) for account in purses))


def _settled(events: NDArray[np.int64], customer: int, start_ns: int) -> int:
    """Sum of word 7 of a customer's SETTLED events from a moment on."""
    settled = events[(events[:, 0] & CODE_MASK) == MeterEvent.SETTLED]
    own = settled[(settled[:, 3] >> 32 == customer) & (settled[:, TIME] >= start_ns)]
    return int(own[:, 7].sum())


def check_machine(statement: Statement, word: MachineWord) -> None:
    """Raises InvariantBroken if the machine and the sums differ."""
    if word.settled_micro != statement.charged_micro:
        raise InvariantBroken(
            "an invoice is the sum of SETTLED",
            f"journal {word.settled_micro}, invoice {statement.charged_micro} micro-USD",
        )
    if word.closing_micro != statement.closing_micro:
        raise InvariantBroken(
            "the ledger holds what usage leaves",
            f"customer {statement.customer}: ledger {word.closing_micro}, "
            f"statement {statement.closing_micro} micro-USD",
        )
