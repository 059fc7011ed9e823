"""The compiled loop where the twins' comparison does not reach: other kernels that call it."""

import numpy as np
from numba import njit

from ciyuan.ledger import Event, close_row, hold_row, open_row, post_row, transfer_row, void_row
from ciyuan.ledger.book import Book, Matrix
from ciyuan.ledger.kernel import apply_rows
from ciyuan.ledger.machine import Ledger
from tests.ledger.flows import POOR, WORLD, matrix, opened


@njit
def settle_each(book: Book, rows: Matrix, row: Matrix, events: Matrix) -> int:
    """Another kernel: one row at a time through the ledger, counting what was not refused."""
    accepted = 0
    for place in range(len(rows)):
        row[0] = rows[place]
        said = apply_rows(book, row, events)
        accepted += events[said - 1, 0] & 0xFFFF != Event.REFUSED
    return accepted


def test_another_kernel_can_call_it_row_by_row():
    flow = [
        hold_row(1, 4, WORLD, POOR, 100, 20),
        hold_row(1, 8, WORLD, POOR, 100, 5),
        post_row(2, 5, 4, 60),
        transfer_row(3, 12, POOR, WORLD, 61),
        void_row(9, 10, 8),
        open_row(9, 7, 1),
        close_row(9, 1, 9),
    ]
    called, direct = opened(Ledger()), opened(Ledger())
    rows = matrix(flow)
    called.reserve(len(rows))
    events = np.empty((called.events_room(len(rows), 9), 8), dtype=np.int64)
    assert settle_each(called.book, rows, np.empty((1, 8), dtype=np.int64), events) == 5
    direct.apply(rows)
    assert called.state_hash() == direct.state_hash()
