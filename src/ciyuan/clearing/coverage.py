"""The daily back-test (§6.2): is the model's margin exceeded as seldom as it says?

With each MODEL the scenario margin of one lot, long and short, of every future is noted beside its settlement price.
Two settlements later, which is the model's horizon, it is held against what the lot has lost since: more than the
margin is an exception. The counts are said and kept; whether they are too many is a matter of Kupiec's test
(`backtest.kupiec`), at 1%. Add-ons are part of the margin noted, the floor and the ladder are not: it is the model
that is tested.
"""

from collections.abc import Sequence

import numpy as np

from ciyuan.clearing.books import Books, Out, say
from ciyuan.clearing.coverage_book import Noted, Record
from ciyuan.clearing.messages import ClearingEvent, Reason
from ciyuan.clearing.positions import Market
from ciyuan.clearing.scenario_margin import scenario_margin_micro
from ciyuan.clearing.section import Section, not_a_section

HORIZON = 2
"""Settlements until a margin is held against what was lost (§6.2: two days)."""


class Coverage:
    """Notes margins, and counts exceptions."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def note(self) -> None:
        """Note the margin of a lot of every contract of the model that was just taken."""
        books = self._books
        if books.model is None:
            return
        one = np.eye(len(books.model_contracts), dtype=np.int64)
        longs, shorts = (scenario_margin_micro(lots, books.model).tolist() for lots in (one, -one))
        for number, long, short in zip(books.model_contracts, longs, shorts, strict=True):
            record = books.coverage.setdefault(number, Record())
            record.noted = [noted for noted in record.noted if noted.age] + [
                Noted(0, books.markets[number].settle_ticks, long, short)
            ]

    def count(self, out: Out, time_ns: int, day: int) -> None:
        """At a settlement, with its prices taken: hold what has come of age against its loss, and say the counts."""
        for number, record in sorted(self._books.coverage.items()):
            market = self._books.markets[number]
            if market.priced_day != day:
                continue
            for noted in record.noted:
                noted.age += 1
            due = [noted for noted in record.noted if noted.age >= HORIZON]
            record.noted = [noted for noted in record.noted if noted.age < HORIZON]
            for noted in due:
                self._hold(out, time_ns, day, market, record, noted)

    def _hold(self, out: Out, time_ns: int, day: int, market: Market, record: Record, noted: Noted) -> None:
        won = (market.settle_ticks - noted.settle_ticks) * market.tick_value_micro
        record.days += 1
        record.long_exceptions += -won > noted.long_micro
        record.short_exceptions += won > noted.short_micro
        words = (market.number, record.days, record.long_exceptions, record.short_exceptions, won, day)
        say(out, ClearingEvent.BACKTESTED, Reason.SCENARIOS, time_ns, words)


# --- snapshot ---


def _rows(books: Books) -> list[tuple[int, ...]]:
    """Of each contract its counts (kind 0), then what is noted (kind 1 and on)."""
    rows: list[tuple[int, ...]] = []
    for number, record in sorted(books.coverage.items()):
        rows.append((number, 0, record.days, record.long_exceptions, record.short_exceptions, 0))
        rows += [
            (number, place, noted.age, noted.settle_ticks, noted.long_micro, noted.short_micro)
            for place, noted in enumerate(record.noted, start=1)
        ]
    return rows


def _restore(books: Books, rows: Sequence[Sequence[int]]) -> None:
    for number, place, *words in rows:
        if number not in books.markets or place < 0 or min(words) < 0:
            raise not_a_section("coverage", (number, place), "listed contracts, and words of 0 or more")
        record = books.coverage.setdefault(number, Record())
        if place:
            record.noted.append(Noted(*words))
        else:
            record.days, record.long_exceptions, record.short_exceptions, _ = words


SECTIONS = (Section("coverage", 6, _rows, _restore),)
