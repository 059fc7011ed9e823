"""Arrays lent by address are the same memory, in the same order, and stay alive as long as their directory does."""

import gc

import numpy as np
from numba import njit

from ciyuan.gateway.book import BLOCK, CLOCK, MeterBook
from ciyuan.gateway.borrowing import Directory, ledger_at, meter_at, rows_at
from ciyuan.gateway.growth import empty_book
from ciyuan.ledger.machine import Ledger


@njit
def _mark(directory, entries):
    """Write to the first word of each array of a meter's book, and of a matrix after them; returns the lengths."""
    book, rows = meter_at(directory), rows_at(directory, entries)
    for place, matrix in enumerate(
        (
            book.parties,
            book.price_lists,
            book.books,
            book.requests,
            book.deliveries,
            book.spenders,
            book.limits,
        )
    ):
        matrix[0, 0] = 100 + place
    book.leg_steps[0, 0], book.leg_counts[0, 0], book.heap[0, 0] = 107, 108, 114
    for place, slots in enumerate(
        (book.party_slots, book.book_slots, book.request_slots, book.spender_slots, book.limit_slots)
    ):
        slots[0] = 109 + place
    book.scalars[CLOCK] = 115
    book.price_lists[1, BLOCK] = 7
    rows[1, 7] = 116
    return len(book.requests), book.price_lists.shape[1], len(book.request_slots), len(rows)


@njit
def _clock(directory):
    book = ledger_at(directory)
    book.accounts[1, 0] = 5
    return (
        book.scalars[3],
        book.accounts.shape[1],
        book.transfers.shape[1],
        len(book.held),
        len(book.slots),
        len(book.heap),
    )


def test_a_book_is_borrowed_array_by_array():
    book, rows = empty_book({"requests": 100}), np.zeros((3, 8), np.int64)
    lent = Directory(*book, rows)
    assert _mark(lent.entries, len(MeterBook._fields)) == (128, book.price_lists.shape[1], 256, 3)
    firsts = [int(array.flat[0]) for array in book]
    assert firsts == list(range(100, 116))
    assert (book.price_lists[1, BLOCK], rows[1, 7]) == (7, 116)


def test_a_ledger_is_borrowed_too():
    ledger = Ledger()
    ledger.apply(np.array([(106, 77, 0, 0, 0, 0, 0, 0)], np.int64))
    book = ledger.book
    shapes = (8, 8, len(book.held), len(book.slots), len(book.heap))
    assert _clock(Directory(*book).entries) == (77, *shapes)
    assert book.accounts[1, 0] == 5


def test_a_directory_keeps_what_it_lends():
    lent = Directory(*empty_book())
    gc.collect()
    assert _mark(Directory(*lent.arrays, np.zeros((2, 8), np.int64)).entries, len(MeterBook._fields))[0] == 64
    assert lent.arrays[0][0, 0] == 100
