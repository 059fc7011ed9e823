"""A small venue for the door's tests: one customer with a prepaid balance, suppliers, price lists; and a clock."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.rows import Row, kind_word, row
from ciyuan.clearing.messages import ClearingTerms
from ciyuan.exchange.room import Room
from ciyuan.gateway.messages import deliver_row, hold_row, parties_word, prices_row
from ciyuan.index.messages import IndexTerms
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, Role, VenueCommand
from ciyuan.venue.terms import VenueTerms, house_accounts

CUSTOMER, SUPPLIER, OTHER = 1, 2, 3
GRADE = 1
PRICE_IN, PRICE_CACHED, PRICE_OUT = 1_000_000, 200_000, 4_000_000
"""Micro-USD per MTok: 1 pico-dollar a token is 1 here."""
START_NS = 1_793_000_000 * 10**9
TERMS = VenueTerms(
    Calendar(0),
    (),
    (),
    ClearingTerms(house_accounts(())),
    IndexTerms(),
    Room(accounts=8, orders=64, ladder_ticks=64),
)
PARTIES = parties_word(CUSTOMER, SUPPLIER, GRADE)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


def opening_rows(
    balance_micro: int, suppliers: Sequence[int] = (SUPPLIER, OTHER), grades: Sequence[int] = (GRADE,)
) -> list[Row]:
    """Participants, prices and the customer's prepaid money; times not set."""
    rows = [row(kind_word(VenueCommand.PARTICIPANT), 0, (CUSTOMER, Role.CUSTOMER, 0, 0, 0))]
    rows += [
        row(kind_word(VenueCommand.PARTICIPANT), 0, (number, Role.SUPPLIER, 0, 0, 0)) for number in suppliers
    ]
    rows += [
        prices_row(
            0,
            supplier,
            grade,
            price_in=PRICE_IN,
            price_cached=PRICE_CACHED,
            price_out=PRICE_OUT,
            valid_from_ns=1,
        )
        for supplier in suppliers
        for grade in grades
    ]
    if balance_micro:
        rows.append(row(kind_word(VenueCommand.DEPOSIT), 0, (1, CUSTOMER, Purse.PREPAID, balance_micro)))
    return rows


def matrix(rows: Sequence[Row], time_ns: int | None = None) -> NDArray[np.int64]:
    """Rows as a batch, at one time if it is given."""
    made = np.array(rows, dtype=np.int64).reshape(-1, 8)
    if time_ns is not None:
        made[:, 1] = time_ns
    return made


def opened(balance_micro: int, time_ns: int = START_NS) -> Venue:
    """A venue whose customer has so much prepaid."""
    venue = Venue(TERMS)
    venue.apply(matrix(opening_rows(balance_micro), time_ns))
    return venue


def prepaid(venue: Venue) -> tuple[int, int]:
    """The customer's prepaid balance, and what of it is not held; micro-USD."""
    account = venue.terms.chart.purse(CUSTOMER, Purse.PREPAID)
    return venue.ledger.posted(account), venue.ledger.available(account)


def hold(request: int, tokens_in: int = 100, tokens_out: int = 100, timeout_ns: int = 0) -> Row:
    return hold_row(0, request, PARTIES, tokens_in, tokens_out, timeout_ns)


def deliver(request: int, tokens_in: int = 100, tokens_out: int = 100) -> Row:
    return deliver_row(0, request, PARTIES, tokens_in, 0, tokens_out)
