"""The kernel's ladders against sorted lists, over bitsets of one, two and three levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.exchange.book import (
    BEST_BUY,
    HEAD,
    LADDER_WORDS,
    LADDERS,
    LEVEL_LOTS,
    LEVEL_ORDERS,
    MID_WORDS,
    NEXT,
    NONE_HIGH,
    NONE_LOW,
    TICKS,
    Book,
    empty_book,
)
from ciyuan.exchange.ladder import seat, unseat
from ciyuan.exchange.room import Room
from tests.exchange.listings import contract

ORDERS = 60
steps = st.lists(st.tuples(st.booleans(), st.integers(0, 2**18 - 1), st.integers(1, 9)), max_size=ORDERS)


def book_of(ticks: int) -> Book:
    """Two contracts of so many ticks, with nothing in their ladders."""
    book = empty_book(
        [contract(1), contract(2)], Room(accounts=2, orders=ORDERS, ladder_ticks=ticks), everyone=True
    )
    book.markets[:, BEST_BUY : BEST_BUY + LADDERS] = (NONE_LOW, NONE_HIGH, NONE_HIGH, NONE_LOW)
    return book


def sizes(book: Book) -> tuple[int, int, int]:
    ticks, mid, words = book.scalars[[TICKS, MID_WORDS, LADDER_WORDS]].tolist()
    return ticks, mid, words


def put_in(book: Book, place: int, ladder: int, tick: int, slot: int, lots: int) -> None:
    seat(book.orders, book.levels, book.bits, book.markets, place, ladder, tick, slot, lots, *sizes(book))


def take_from(book: Book, place: int, ladder: int, tick: int, slot: int, lots: int) -> None:
    unseat(book.orders, book.levels, book.bits, book.markets, place, ladder, tick, slot, lots, *sizes(book))


def standing(book: Book, place: int, ladder: int) -> list[list[int]]:
    """The slots at each tick of a ladder that has any, best tick first, as its links lead through them."""
    rising = ladder in {1, 2}
    found = []
    for tick in range(book.scalars[TICKS])[:: 1 if rising else -1]:
        level = book.levels[(place * LADDERS + ladder) * book.scalars[TICKS] + tick]
        slots, slot = list[int](), int(level[HEAD])
        while slot:
            slots.append(slot)
            slot = int(book.orders[slot, NEXT])
        assert len(slots) == level[LEVEL_ORDERS]
        if slots:
            found.append(slots)
    return found


@settings(max_examples=30)
@given(
    steps=steps,
    place=st.integers(0, 1),
    ladder=st.integers(0, 3),
    ticks=st.sampled_from([1, 64, 65, 4_096, 5_000]),
)
def test_a_ladder_is_a_sorted_list(steps, place, ladder, ticks):
    book, rising = book_of(ticks), ladder in {1, 2}
    kept: list[tuple[int, int, int]] = []
    in_line: list[tuple[int, int, int]] = []
    for slot, (adds, where, lots) in enumerate(steps, 1):
        if adds or not kept:
            kept.append((where % ticks, slot, lots))
            put_in(book, place, ladder, where % ticks, slot, lots)
        else:
            take_from(book, place, ladder, *kept.pop(where % len(kept)))
        in_line = sorted(kept, key=lambda one: (one[0] if rising else -one[0], one[1]))
        best = int(book.markets[place, BEST_BUY + ladder])
        assert best == (in_line[0][0] if in_line else NONE_HIGH if rising else NONE_LOW)
        for tick in {tick for tick, *_ in kept}:
            level = book.levels[(place * LADDERS + ladder) * ticks + tick]
            assert level[LEVEL_LOTS] == sum(some for at, _, some in kept if at == tick)
    expected = (
        [[slot for at, slot, _ in in_line if at == tick] for tick in dict.fromkeys(at for at, *_ in in_line)]
        if steps
        else []
    )
    assert standing(book, place, ladder) == expected


@pytest.mark.parametrize("ladder", range(LADDERS))
def test_the_next_tick_is_found_however_empty_the_ladder_is(ladder):
    """One order after the other leaves the best tick of the widest ladder that there is."""
    book = book_of(64**3)
    ticks = [0, 1, 63, 64, 4_095, 4_096, 4_097, 64**2 * 40, 64**3 - 65, 64**3 - 1]
    for slot, tick in enumerate(ticks, 1):
        put_in(book, 1, ladder, tick, slot, 1)
    found = []
    for _ in ticks:
        best = int(book.markets[1, BEST_BUY + ladder])
        found.append(best)
        take_from(book, 1, ladder, best, 1 + ticks.index(best), 1)
    assert found == (ticks if ladder in {1, 2} else ticks[::-1])
    assert book.markets[1, BEST_BUY + ladder] == (NONE_HIGH if ladder in {1, 2} else NONE_LOW)
    assert not np.any(book.bits)
    assert book.scalars[LADDER_WORDS] == 1 + book.scalars[MID_WORDS] + 64**2
