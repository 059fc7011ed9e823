"""Compile every kernel once, so that no later start compiles anything: `python -m ciyuan.services.warm`.

Numba keeps what it compiled beside the module (`__pycache__`). It looks only at the file a kernel stands in, not at those the
kernel takes constants and helpers from; so whoever changes one of these empties the cache first (the Makefile does).
"""

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.rows import Row, kind_word, row
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import (
    ClearingTerms,
    HouseAccounts,
    Permission,
    final_row,
    member_row,
    model_row,
    moves_rows,
    review_row,
    settle_day_row,
)
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import ExchangeEvent, SessionState, tick_row
from ciyuan.exchange.room import Room
from ciyuan.gateway.machine import Meter
from ciyuan.gateway.messages import PartyRole, enrol_row
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.messages import AccountFlag, open_row


def warm() -> None:
    """Have each compiled kernel apply one row (an empty batch never reaches it) and index what it holds, as growth does."""
    ledger = Ledger()
    ledger.apply(np.array([open_row(0, 1, 1, AccountFlag.NO_OVERDRAFT)], dtype=np.int64))
    meter = Meter(ledger)
    meter.apply(np.array([enrol_row(0, PartyRole.SUPPLIER, 1, 1)], dtype=np.int64))
    contract = Contract(1, "WARM", ContractKind.SPOT, 1, 1, 1, 0, 0, 0, 500, 100, 1)
    exchange = Exchange((contract,), Room(1, 1, 1))
    exchange.apply(np.array([tick_row(0)], dtype=np.int64))
    for machine in (ledger, meter, exchange, _warm_clearing(ledger)):
        machine.restore(machine.snapshot())


def _warm_clearing(ledger: Ledger) -> ClearingHouse:
    """A clearing house that has heard an order, reviewed, settled a day and a contract."""
    day, end = 2, 3
    future = Contract(1, "WARM", ContractKind.CASH_FUTURE, 1, 1, 1, 0, end, 197001, 500, 100, 1)
    terms = ClearingTerms(HouseAccounts(1, 1, 1, 1, 1, 1))
    clearing = ClearingHouse(ledger, (future,), Calendar(0, frozenset()), terms)
    clearing.apply(_rows(member_row(0, 1, 1, 0, Permission.FUTURES)))
    for on in (day, end):
        opened = row(kind_word(ExchangeEvent.SESSION_CHANGED), 0, (1, SessionState.CONTINUOUS, on))
        accepted = row(kind_word(ExchangeEvent.ACCEPTED), 0, (1, 1, 1, 100, 1))
        cancelled = row(kind_word(ExchangeEvent.CANCELLED), 0, (1, 1, 1, 1, 1))
        priced = row(kind_word(ExchangeEvent.SETTLEMENT_PRICE), 0, (1, 100, on, 1, 110, 90))
        limits = row(kind_word(ExchangeEvent.LIMITS), 0, (1, 90, 110, 500))
        clearing.hear(_rows(opened, accepted, cancelled, limits, priced))
        modelled = (*moves_rows(0, 1, (1, -1)), model_row(0, 1, 1, on))
        clearing.apply(_rows(*modelled, review_row(0), settle_day_row(0, on)))
    clearing.apply(_rows(final_row(0, 1, 100, end)))
    return clearing


def _rows(*rows: Row) -> NDArray[np.int64]:
    return np.array(rows, dtype=np.int64)


if __name__ == "__main__":
    print("compiling the kernels (once) ...", flush=True)
    warm()
