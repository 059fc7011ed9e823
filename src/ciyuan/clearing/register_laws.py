"""What must always hold in a register, beside `laws.py`: that what is kept twice agrees."""

import numpy as np

from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.columns import KNOWN, LONG, LONG_LOTS, MEMBER, PLACE
from ciyuan.clearing.register import Register


def check_register(register: Register) -> None:
    """Raise InvariantBroken with the law's name if a law does not hold."""
    tables, used = register.tables, np.arange(1, register.positions)
    number, place = tables.cold[used, MEMBER], tables.cold[used, PLACE]
    if not (tables.slots[number * register.places + place] == used).all():
        raise InvariantBroken("a position is where its row says", f"{len(used)} positions")
    if np.count_nonzero(tables.slots) != len(used) or not tables.members[number, KNOWN].all():
        raise InvariantBroken("each place of a member has its own position", f"{len(used)} positions")
    sums = np.zeros(len(tables.markets), dtype=np.int64)
    np.add.at(sums, place // 2, tables.hot[used, LONG])
    if not (sums == tables.markets[:, LONG_LOTS]).all():
        kept = tables.markets[:, LONG_LOTS].tolist()
        raise InvariantBroken("open interest is all long lots", f"kept {kept}, found {sums.tolist()}")
