"""A small world: the catalogue's month of October 2026 with four trading days, few traders and 300 requests."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar, day_from_iso, month_days
from ciyuan.basics.rows import TIME
from ciyuan.services.world import Files, assemble
from ciyuan.simulation.auditor import Auditor
from ciyuan.simulation.month import Month
from ciyuan.simulation.scenario import Scenario
from ciyuan.simulation.world import World
from ciyuan.venue.machine import Venue
from ciyuan.venue.terms import VenueTerms

SMALL = Scenario(
    requests=300,
    buyers=3,
    makers=1,
    traders=2,
    maker_levels=1,
    noise_orders_per_minute=2.0,
    bundle_calls=40_000,
)
TRADING_DAYS = ("2026-10-01", "2026-10-30")
"""The month's business days; its other weekdays are holidays. Two business days of September come before."""


@cache
def small_world(seed: int = SMALL.seed) -> tuple[World, VenueTerms]:
    """The world of a seed, and its venue's terms."""
    assembled = assemble(replace(SMALL, seed=seed), Files())
    offset = assembled.terms.calendar.utc_offset_ns
    open_days = {day_from_iso(day) for day in TRADING_DAYS}
    first, last = month_days(SMALL.month)
    holidays = frozenset(day for day in range(first, last + 1) if day not in open_days)
    calendar = Calendar(offset, holidays)
    return replace(assembled.world, calendar=calendar), replace(assembled.terms, calendar=calendar)


class ExchangeView:
    """What traders can see of a venue's exchange."""

    def __init__(self, venue: Venue) -> None:
        self.best_bid = venue.exchange.best_bid
        self.best_ask = venue.exchange.best_ask
        self.limits = venue.exchange.limits


@dataclass
class Played:
    """A month that was played, with every batch of rows and events, under an auditor that checked after each piece."""

    world: World
    venue: Venue
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    events: list[NDArray[np.int64]] = field(default_factory=list)
    pieces: int = 0

    def __post_init__(self) -> None:
        self.auditor = Auditor(self.venue)
        self.month = Month(self.world, self.submit, ExchangeView(self.venue), (self.keep,))
        self.one_by_one: Callable[[int], bool] = lambda time_ns: False

    def submit(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Apply a batch, or where `one_by_one` says so of its first moment each of its rows alone, and audit after each."""
        pieces = np.split(rows, len(rows)) if self.one_by_one(int(rows[0, TIME])) else [rows]
        return np.concatenate([self._audited(piece) for piece in pieces])

    def _audited(self, piece: NDArray[np.int64]) -> NDArray[np.int64]:
        self.venue.check(piece)
        events = self.venue.apply(piece)
        self.auditor.hear(piece, events)
        self.auditor.check()
        self.venue.clearing.check()
        self.pieces += 1
        return events

    def keep(self, rows: NDArray[np.int64], events: NDArray[np.int64]) -> None:
        self.rows.append(rows)
        self.events.append(events)

    def of(self, code: int) -> list[list[int]]:
        """The events of a code, in order."""
        events = np.concatenate(self.events)
        found: list[list[int]] = events[(events[:, 0] & 0xFFFF) == code].tolist()
        return found


def played(seed: int = SMALL.seed, one_by_one: Callable[[int], bool] = lambda time_ns: False) -> Played:
    """Play the small world of a seed on a new venue."""
    world, terms = small_world(seed)
    run = Played(world, Venue(terms))
    run.one_by_one = one_by_one
    run.month.play()
    return run
