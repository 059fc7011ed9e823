"""Compile every kernel once, so that no later start compiles anything: `python -m ciyuan.services.warm`.

Numba keeps what it compiled beside the module (`__pycache__`). It looks only at the file a kernel stands in, not at those the
kernel takes constants and helpers from; so whoever changes one of these empties the cache first (the Makefile does).
"""

import numpy as np

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
    for machine in (ledger, meter):
        machine.restore(machine.snapshot())


if __name__ == "__main__":
    print("compiling the kernels (once) ...", flush=True)
    warm()
