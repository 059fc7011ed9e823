"""Compile every kernel once, so that no later start compiles anything: `python -m ciyuan.services.warm`.

Numba keeps what it compiled beside the module (`__pycache__`). It looks only at the file a kernel stands in, not at those the
kernel takes constants and helpers from; so whoever changes one of these empties the cache first (the Makefile does).
"""

import numpy as np

from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import tick_row
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
    for machine in (ledger, meter, exchange):
        machine.restore(machine.snapshot())


if __name__ == "__main__":
    print("compiling the kernels (once) ...", flush=True)
    warm()
