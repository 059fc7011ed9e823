"""Listening to the exchange over a register: the compiled loop for orders and trades of futures, shared code for all else."""

from collections.abc import Iterable, Sequence

import numpy as np

from ciyuan.basics.rows import ROW_WORDS
from ciyuan.clearing.books import Out
from ciyuan.clearing.columns import MARGIN_DAY, Matrix, Words, lines
from ciyuan.clearing.hearing import FIRST_EVENT, POSITIONS_OF_A_ROW, hear_rows
from ciyuan.clearing.orders import Orders
from ciyuan.clearing.pages import Pages
from ciyuan.clearing.register import RegisterBooks


class RegisterOrders(Orders):
    """What happens to orders, over a register; event by event, or many at a time."""

    def __init__(self, books: RegisterBooks) -> None:
        super().__init__(books)
        self._register, self._bookkeeping = books.register, books
        self._pair, self._said = lines(2, ROW_WORDS), lines(1, ROW_WORDS)
        self._one, self._after = self._pair[:1], np.zeros(1, dtype=np.int64)

    def on_accepted(self, row: Sequence[int], out: Out) -> None:
        """An order may trade from now on."""
        if not self._took(row):
            super().on_accepted(row, out)

    def on_amended(self, row: Sequence[int], out: Out) -> None:
        """An open order has another limit, or other lots left."""
        if not self._took(row):
            super().on_amended(row, out)

    def on_cancelled(self, row: Sequence[int], out: Out) -> None:
        """What was left of an order may trade no longer."""
        if not self._took(row):
            super().on_cancelled(row, out)

    def _took(self, row: Sequence[int]) -> bool:
        self._one[0] = row
        done, _ = self._hear(self._one, 0, 0, self._said, self._after)
        return done == 1

    def _novate(self, first: Sequence[int], second: Sequence[int], out: Out) -> None:
        """Both sides of a trade now face the house (§7.1)."""
        self._pair[0], self._pair[1] = first, second
        done, _ = self._hear(self._pair, 0, 0, self._said, self._after)
        if done:
            a, b, c, d, e, f, g, h = self._said[0].tolist()
            out.append((a, b, c, d, e, f, g, h))
        else:
            super()._novate(first, second, out)

    def hear(self, rows: Matrix, start: int, concerning: int, pages: Pages) -> tuple[int, Words]:
        """Take in rows from `start` on, up to the first that is for shared code. Returns how many rows are done in all, and
        after how many of them each of the events was said that were added to `pages`.
        """
        room = (len(rows) - start) // 2 + 1
        after = np.empty(room, dtype=np.int64)
        done, said = self._hear(rows, start, concerning, pages.claim(room), after)
        pages.keep(said)
        return done, after[:said]

    def _hear(
        self, rows: Matrix, start: int, concerning: int, events: Matrix, after: Words
    ) -> tuple[int, int]:
        register = self._register
        register.reserve(POSITIONS_OF_A_ROW * (len(rows) - start))
        register.scalar_words[MARGIN_DAY] = self._bookkeeping.margin_day
        done: tuple[int, int] = hear_rows(
            register.directory, register.places, concerning, rows, start, self.half is not None, events, after, 0
        )  # fmt: skip
        return done


def bits_of(codes: Iterable[int]) -> int:
    """A bit for each of the exchange's events, counted from the first."""
    return sum(1 << (code - FIRST_EVENT) for code in codes)
