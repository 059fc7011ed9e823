"""Compile every kernel once, so that no later start compiles anything: `python -m ciyuan.services.warm`.

A kernel is compiled whole at its first row, whatever the row says; what Python asks or makes beside it (views of limits, indexes
of what is restored) is compiled at its own first call. A test counts what a gateway calls that was not called here: nothing.

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
from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_terms import Cluster, EngineTerms
from ciyuan.factory.scheduler_trace import trace_of
from ciyuan.factory.step import StepTime
from ciyuan.gateway.machine import Meter
from ciyuan.gateway.messages import (
    LimitUnit,
    LimitWindow,
    PartyRole,
    close_row,
    deliver_row,
    enrol_row,
    hold_row,
    leg_price_row,
    leg_used_row,
    limit_row,
    parties_word,
    prices_row,
    spender_row,
    void_row,
)
from ciyuan.gateway.usage import Leg
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.messages import AccountFlag, open_row, transfer_row

PAYER, PAID, WORLD = 1, 2, 3
"""Accounts of the ledger that is warmed: a customer's, a supplier's, and where the money is from."""


def warm() -> None:
    """Have each compiled kernel apply rows (an empty batch never reaches it) and index what it holds, as growth does."""
    ledger = Ledger()
    opened = (
        open_row(0, PAYER, 1, AccountFlag.NO_OVERDRAFT),
        open_row(0, PAID, 1),
        open_row(0, WORLD, 1),
    )
    ledger.apply(_rows(*opened, transfer_row(0, 3, WORLD, PAYER, 1_000)))
    meter = _warm_meter(ledger)
    contract = Contract(1, "WARM", ContractKind.SPOT, 1, 1, 1, 0, 0, 0, 500, 100, 1)
    exchange = Exchange((contract,), Room(1, 1, 1))
    exchange.apply(np.array([tick_row(0)], dtype=np.int64))
    for machine in (ledger, meter, exchange, _warm_clearing(ledger)):
        machine.restore(machine.snapshot())
    _warm_scheduler()


def _warm_meter(ledger: Ledger) -> Meter:
    """A meter that has done what a door asks of it: let spenders spend within limits, delivered by legs, refused for want of
    money, by a budget and by a rate, closed what had ended.

    It is given back with something in each of its tables, so that restoring it makes every index.
    """
    parties = parties_word(1, 1, 1)
    meter = Meter(ledger)
    meter.apply(_rows(
        enrol_row(0, PartyRole.CUSTOMER, 1, PAYER),
        enrol_row(0, PartyRole.SUPPLIER, 1, PAID),
        prices_row(0, 1, 1, price_in=10**6, price_cached=10**6, price_out=10**6, valid_from_ns=0),
        leg_price_row(0, 1, 1, int(Leg.SEARCHES), 10**6, valid_from_ns=0, bound=1),
        *(spender_row(0, number, number - 1, 1) for number in (1, 2, 3)),
        limit_row(0, 1, 1, LimitUnit.MONEY, LimitWindow.EVER, 10**6),
        limit_row(0, 2, 2, LimitUnit.TOKENS, LimitWindow.MONTH, 10),
        limit_row(0, 3, 3, LimitUnit.REQUESTS, LimitWindow.MINUTE, 1),
    ))  # fmt: skip
    for number in (1, 2, 3):
        meter.limit(number, 0)
        meter.spender(number)
    meter.apply(_rows(
        hold_row(0, 1, parties, 2, 2, 10**9, 3),
        hold_row(0, 2, parties, 2, 2, 0, 3),  # the minute has had its request
        hold_row(0, 2, parties, 7, 0, 0, 2),  # the month has had its tokens
        hold_row(0, 2, parties, 10**4, 0, 0, 1),  # nobody has so much money
        leg_used_row(0, 1, int(Leg.SEARCHES), 1),
        deliver_row(0, 1, parties, 2, 1, 2),
        hold_row(0, 2, parties, 1, 1),
        void_row(0, 2),
        close_row(0, 1, 3),
        hold_row(0, 3, parties, 1, 1, 10**9, 2),
        leg_used_row(0, 3, int(Leg.SEARCHES), 1),
    ))  # fmt: skip
    return meter


def _warm_scheduler() -> None:
    """A scheduler that has served one request whose prompt has a hash."""
    step = StepTime(1, 1e-3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100, 1)
    simulate(trace_of([0.0], [1], [2], hashes=[["prompt"]]), Cluster(EngineTerms(step)))


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
