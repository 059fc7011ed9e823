"""A gateway's venue for the tests of usage: real rows through a real `Venue`, and a meter that does as it is told.

`Told` says what the meter would: the tests that need spenders and legs feed its rows and events, which keep to the tables of
`gateway.messages`, to the fold and to a plain count beside it.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import Row, kind_word, row
from ciyuan.gateway.messages import (
    MeterCommand,
    MeterEvent,
    MeterFlag,
    MeterRefusal,
    parties_word,
    prices_row,
)
from ciyuan.gateway.usage import Leg
from ciyuan.services.door.registry_database import Database
from ciyuan.services.door.registry_schema import COMPONENT, MIGRATIONS
from ciyuan.services.door.usage_columns import LEG_COLUMNS
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, Role, VenueCommand, VenueEvent
from ciyuan.venue.terms import VenueTerms, house_accounts
from tests.venue.market import TERMS

Rows = NDArray[np.int64]
HOUR_NS = 3_600 * 10**9
START_NS = 1_793_491_200 * 10**9
"""2026-11-01T00:00:00Z."""


def matrix(rows: list[Row]) -> Rows:
    return np.array(rows, dtype=np.int64).reshape(-1, 8)


@dataclass
class Told:
    """Rows and events of a meter that does as it is told; `rows[i]` gave `answers[i]`, a list of events."""

    rows: list[Row] = field(default_factory=list)
    answers: list[list[Row]] = field(default_factory=list)
    now_ns: int = START_NS
    open: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def say(self, told: Row, *events: Row) -> None:
        self.rows.append(told)
        self.answers.append(list(events))

    def price(self, supplier: int, grade: int, prices: tuple[int, int, int], hundredths: int = 50) -> None:
        words = (supplier, grade, *prices, self.now_ns)
        kind = kind_word(MeterCommand.PRICES, 0, hundredths)
        self.say(
            row(kind, self.now_ns, words),
            row(kind_word(MeterEvent.PRICED, 0, hundredths), self.now_ns, words),
        )

    def hold(self, request: int, spender: int, parties: int, price_list: int = 1) -> None:
        words = (request, parties, 100, 100, 0)
        self.open[request] = (spender, parties, price_list)
        self.say(
            row(kind_word(MeterCommand.HOLD), self.now_ns, (*words, spender)),
            row(kind_word(MeterEvent.HELD, 0, price_list), self.now_ns, (*words, 500)),
        )

    def refuse(self, request: int, spender: int, parties: int, reason: int) -> None:
        words = (request, parties, 100, 100, 0)
        self.say(
            row(kind_word(MeterCommand.HOLD), self.now_ns, (*words, spender)),
            row(kind_word(MeterEvent.REFUSED), self.now_ns, (*words, reason)),
        )

    def leg(self, request: int, leg: Leg, count: int) -> None:
        words = (request, leg, count)
        events = (row(kind_word(MeterEvent.LEG_TOLD), self.now_ns, words),)
        self.say(row(kind_word(MeterCommand.LEG_USED), self.now_ns, words), *events)

    def deliver(
        self, request: int, tokens: tuple[int, int, int], charged: int, *, batch: bool = False
    ) -> None:
        _, parties, price_list = self.open.pop(request)
        flags = MeterFlag.BATCH if batch else 0
        words = (request, parties, *tokens)
        self.say(
            row(kind_word(MeterCommand.DELIVER, flags), self.now_ns, words),
            row(kind_word(MeterEvent.SETTLED, flags, price_list), self.now_ns, (*words, charged)),
        )

    def void(self, request: int) -> None:
        _, parties, price_list = self.open.pop(request)
        words = (request, parties, 100, 100, 0, 500)
        event = row(kind_word(MeterEvent.VOIDED, 0, price_list), self.now_ns, words)
        self.say(row(kind_word(MeterCommand.VOID), self.now_ns, (request,)), event)

    def expire(self, request: int) -> None:
        """A TICK that finds the request expired."""
        _, parties, price_list = self.open.pop(request)
        words = (request, parties, 100, 100, 0, 500)
        self.say(
            row(kind_word(MeterCommand.TICK), self.now_ns),
            row(kind_word(MeterEvent.EXPIRED, 0, price_list), self.now_ns, words),
            row(kind_word(MeterEvent.TICKED), self.now_ns),
        )

    def move(self, code: VenueEvent, key: int, participant: int, micro: int, to_purse: int = 0) -> None:
        words = (key, participant, Purse.CASH if to_purse else Purse.PREPAID, micro, to_purse)
        self.say(row(kind_word(code - 50), self.now_ns, words), row(kind_word(code), self.now_ns, words))

    def part(self, start: int, end: int) -> tuple[Rows, Rows]:
        """Rows start to end, and their events."""
        return matrix(self.rows[start:end]), matrix(
            [event for each in self.answers[start:end] for event in each]
        )


def random_told(seed: int, steps: int) -> Told:
    """A stream of everything that the fold hears, in disorder."""
    chance, told = Random(seed), Told()  # noqa: S311
    told.price(11, 5, (950_000, 160_000, 4_000_000))
    told.move(VenueEvent.DEPOSITED, 1, 2, 10**9)
    for step in range(steps):
        told.now_ns += chance.choice((0, 10**9, HOUR_NS // 2, 7 * HOUR_NS))
        waiting = sorted(told.open)
        do = chance.choice(("hold", "hold", "leg", "deliver", "deliver", "void", "expire", "refuse", "move"))
        parties = parties_word(chance.choice((2, 3)), 11, chance.choice((5, 6)))
        if do == "hold" or (not waiting and do in {"leg", "deliver", "void", "expire"}):
            told.hold((step + 1) << 4 | chance.randrange(16), chance.choice((0, 7, 8, 9)), parties)
        elif do == "refuse":
            told.refuse((step + 1) << 4, 7, parties, chance.choice((46, 47)))
        elif do == "move":
            told.move(VenueEvent.MOVED, 1000 + step, 2, 5, Purse.PREPAID)
        else:
            _end(told, do, chance.choice(waiting), chance)
    return told


def _end(told: Told, do: str, request: int, chance: Random) -> None:
    if do == "leg":
        told.leg(
            request, chance.choice((Leg.REASONING, Leg.CACHE_WRITE_LONG, Leg.IMAGES)), chance.randrange(50)
        )
    elif do == "deliver":
        told.deliver(request, (60, 20, 30), chance.randrange(1000), batch=chance.random() < 0.3)
    elif do == "void":
        told.void(request)
    else:
        told.expire(request)


def counted(told: Told) -> dict[tuple[int, ...], list[int]]:
    """The sums of usage by hour, counted one event at a time: hour, customer, spender, supplier, grade, batch, price list."""
    spenders: dict[int, int] = {}
    legs: dict[int, dict[int, int]] = defaultdict(dict)
    sums: dict[tuple[int, ...], list[int]] = defaultdict(lambda: [0] * (7 + len(LEG_COLUMNS)))
    for said, answers in zip(told.rows, told.answers, strict=True):
        for event in answers:
            code, flags, number = event[0] & 0xFFFF, event[0] >> 16 & 0xFF, event[0] >> 24
            if code == MeterEvent.HELD:
                spenders[event[2]] = said[7]
            if said[0] & 0xFFFF == MeterCommand.LEG_USED:
                legs[said[2]][said[3]] = said[4]
            if code in {MeterEvent.SETTLED, MeterEvent.VOIDED, MeterEvent.EXPIRED}:
                parties = event[3]
                cell = sums[
                    (
                        event[1] // HOUR_NS,
                        parties >> 32,
                        spenders[event[2]],
                        parties >> 16 & 0xFFFF,
                        parties & 0xFFFF,
                        flags,
                        number,
                    )
                ]
                cell[(MeterEvent.SETTLED, MeterEvent.VOIDED, MeterEvent.EXPIRED).index(code)] += 1
                if code == MeterEvent.SETTLED:
                    of_legs = [legs[event[2]].get(Leg[name.upper()], 0) for name in LEG_COLUMNS]
                    for place, value in enumerate((*event[4:7], *of_legs, event[7])):
                        cell[3 + place] += value
    return dict(sums)


# --- a real venue ---


@cache
def gateway_terms() -> VenueTerms:
    """The terms of a venue that sells no receipts and trades nothing: only the meter's and the participants' commands."""
    clearing = replace(TERMS.clearing, house=house_accounts(()))
    return VenueTerms(calendar=TERMS.calendar, grades=(), contracts=(), clearing=clearing, index=TERMS.index)


@dataclass
class Market:
    """A real venue with one supplier (1), one customer (2) and a price list of grade 5; what it was told, and what it said."""

    venue: Venue = field(default_factory=lambda: Venue(gateway_terms()))
    now_ns: int = START_NS
    batches: list[tuple[Rows, Rows]] = field(default_factory=list)

    def tell(self, *rows: Row) -> Rows:
        """Tell rows as one batch, stamped with the time now."""
        told = matrix([(each[0], self.now_ns, *each[2:]) for each in rows])
        events = self.venue.apply(told)
        self.batches.append((told, events))
        return events

    def open(self, prepaid_micro: int = 10**9) -> None:
        """Enrol both, price the grade, pay in."""
        for number, role in ((1, Role.SUPPLIER), (2, Role.CUSTOMER)):
            self.tell(row(kind_word(VenueCommand.PARTICIPANT), 0, (number, role)))
        self.tell(prices_row(0, 1, 5, price_in=950_000, price_cached=160_000, price_out=4_000_000,
                             valid_from_ns=self.now_ns))  # fmt: skip
        self.pay_in(901, prepaid_micro)

    def pay_in(self, key: int, micro: int) -> None:
        """A deposit into the cash purse, and its move to the prepaid one."""
        self.tell(row(kind_word(VenueCommand.DEPOSIT), 0, (key, 2, Purse.CASH, micro)))
        self.tell(row(kind_word(VenueCommand.MOVE), 0, (key + 10_000, 2, Purse.CASH, micro, Purse.PREPAID)))

    def feed(self, fold: object) -> None:
        """Hand all batches to a fold."""
        before = 0
        for rows, events in self.batches:
            fold.take(before, rows, events)  # type: ignore[attr-defined]
            before += len(rows)


REFUSED = MeterRefusal.INSUFFICIENT_BALANCE


def registry(database: Database) -> None:
    """The registry's tables, with a small company: 2 departments, 3 engineers, 4 keys; grade 5; spenders 1 to 10."""
    database.migrate(COMPONENT, MIGRATIONS)
    with database.change() as sql:
        sql.run_many(
            "INSERT INTO participants (number, kind, name, created_ns) VALUES (?, ?, ?, 0)",
            [(1, "supplier", "north"), (2, "customer", "acme"), (3, "customer", "其他")],
        )
        sql.run_many(
            "INSERT INTO spenders (number, kind, name, parent, participant, created_ns) VALUES (?, ?, ?, ?, 2, 0)",
            [
                (1, "organisation", "acme", 0), (2, "department", "research", 1), (3, "department", "销售部", 1),
                (4, "engineer", "ada", 2), (5, "engineer", "bob", 2), (6, "engineer", "chen", 3),
                (7, "key", "default", 4), (8, "key", "default", 5), (9, "key", "crm", 6), (10, "app", "mailer", 9),
            ],
        )  # fmt: skip
        sql.run_many(
            "INSERT INTO grades (number, model, tier) VALUES (?, ?, ?)",
            [(5, "llama", "pro"), (6, "qwen", "max")],
        )
