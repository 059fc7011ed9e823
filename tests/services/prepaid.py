"""One customer's prepaid balance and one supplier's prices, as rows that set up a gateway's venue, and the holds on it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import TIME
from ciyuan.gateway.messages import MeterEvent, hold_row, parties_word, prices_row
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, Role, VenueCommand
from ciyuan.venue.terms import VenueTerms, house_accounts
from tests.services.exchanged import NOW
from tests.venue.market import TERMS, matrix, own

SUPPLIER, CUSTOMER, GRADE = 1, 2, 5
TOKENS = 100
CODE_MASK = 0xFFFF


def gateway_venue() -> Venue:
    """A venue that meters and keeps money, and lists nothing to trade."""
    clearing = replace(TERMS.clearing, house=house_accounts(()))
    return Venue(
        VenueTerms(calendar=TERMS.calendar, grades=(), contracts=(), clearing=clearing, index=TERMS.index)
    )


def set_up_rows(prepaid_micro: int) -> NDArray[np.int64]:
    """A supplier with prices, a customer with so much on its prepaid account; the times are left open."""
    rows = [
        own(VenueCommand.PARTICIPANT, 0, SUPPLIER, Role.SUPPLIER),
        own(VenueCommand.PARTICIPANT, 0, CUSTOMER, Role.CUSTOMER),
        prices_row(0, 1, GRADE, price_in=10**6, price_cached=10**6, price_out=10**6, valid_from_ns=NOW),
        own(VenueCommand.DEPOSIT, 0, 900_001, CUSTOMER, Purse.CASH, 10**12),
        own(VenueCommand.MOVE, 0, 900_002, CUSTOMER, Purse.CASH, prepaid_micro, Purse.PREPAID),
    ]
    return matrix(rows)


def hold_rows(first: int, count: int) -> NDArray[np.int64]:
    """Holds of the requests `first` on, each at the same most that it may cost; the times are left open."""
    parties = parties_word(CUSTOMER, SUPPLIER, GRADE)
    return matrix(hold_row(0, first + place, parties, TOKENS, TOKENS) for place in range(count))


def held_micro() -> int:
    """What one hold takes of the balance."""
    venue = gateway_venue()
    rows = np.concatenate([set_up_rows(10**6), hold_rows(1, 1)])
    rows[:, TIME] = NOW
    venue.apply(rows)
    return 10**6 - available_micro(venue)


def available_micro(venue: Venue) -> int:
    """What the customer can still spend."""
    return venue.ledger.available(venue.terms.chart.purse(CUSTOMER, Purse.PREPAID))


def held_count(events: NDArray[np.int64]) -> int:
    """How many of the events say that a request is held."""
    return int(np.count_nonzero((events[:, 0] & CODE_MASK) == MeterEvent.HELD))
