"""A month of a small company at exact prices, for the tests of invoices: a fold of a stream whose charges a meter would make."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from ciyuan.basics.money import carry_charge, div_half_up
from ciyuan.basics.rows import kind_word, row
from ciyuan.gateway.messages import MeterCommand, MeterEvent, parties_word
from ciyuan.services.door.registry_database import Database
from ciyuan.services.door.usage_fold import UsageFold
from ciyuan.services.door.usage_names import Names
from ciyuan.services.door.usage_tables import UsageTables
from ciyuan.venue.messages import Purse, VenueEvent
from tests.services.door.usage_market import HOUR_NS, START_NS, Told, registry

PRICES = {5: (950_000, 160_000, 4_000_000), 6: (2_000_001, 200_000, 8_000_000)}
END_NS = START_NS + 30 * 24 * HOUR_NS
PAID_MICRO = 100_000_000


def tick(told: Told, time_ns: int) -> None:
    """A row at a moment, so that the journal has passed it."""
    told.now_ns = time_ns
    told.say(row(kind_word(MeterCommand.TICK), time_ns), row(kind_word(MeterEvent.TICKED), time_ns))


def month(seed: int = 1, requests: int = 300, first_ns: int = START_NS - 40 * HOUR_NS) -> Told:
    """Requests of three keys, some before the month; a deposit before it, and one and a withdrawal in it."""
    chance, told, carry = Random(seed), Told(), 0  # noqa: S311
    told.now_ns = first_ns
    for grade, prices in PRICES.items():
        told.price(1, grade, prices)
    told.move(VenueEvent.DEPOSITED, 1, 2, PAID_MICRO)
    told.move(VenueEvent.MOVED, 2, 2, PAID_MICRO, Purse.PREPAID)
    step = (END_NS - HOUR_NS - first_ns) // requests
    for request in range(1, requests + 1):
        told.now_ns = first_ns + request * step - chance.randrange(step // 2)
        grade, key = chance.choice((5, 6)), request << 4
        told.hold(key, chance.choice((7, 8, 9)), parties_word(2, 1, grade), grade - 4)
        if request % 20 == 0:
            told.void(key)
            continue
        batch, tokens_in, tokens_out = chance.random() < 0.3, chance.randrange(3_000), chance.randrange(900)
        cached = chance.randrange(tokens_in + 1)
        asked = [div_half_up(price * 50, 100) if batch else price for price in PRICES[grade]]
        cost = sum(
            count * price
            for count, price in zip((tokens_in - cached, cached, tokens_out), asked, strict=True)
        )
        charged, carry = carry_charge(cost, carry)
        told.deliver(key, (tokens_in, cached, tokens_out), charged, batch=batch)
        if request == requests // 2:
            told.move(VenueEvent.DEPOSITED, 3, 2, 5_000_000)
            told.move(VenueEvent.WITHDRAWN, 4, 2, 1_000_000)
    tick(told, END_NS)
    return told


def settled(told: Told, start_ns: int = START_NS, end_ns: int = END_NS) -> int:
    """Sum of SETTLED in a span."""
    events = [event for answers in told.answers for event in answers]
    return sum(
        event[7]
        for event in events
        if event[0] & 0xFFFF == MeterEvent.SETTLED and start_ns <= event[1] < end_ns
    )


@contextmanager
def books(folder: Path | str, told: Told) -> Iterator[tuple[UsageTables, Names]]:
    """The registry and the tables of usage with the stream in them."""
    where = folder / "registry.sqlite" if isinstance(folder, Path) else folder
    with Database.open(where) as database:
        registry(database)
        with database.change() as sql:
            sql.run(
                "INSERT INTO payments VALUES (1, 'deposit', 2, ?, 'wire 4711', 'done', '', 0)", PAID_MICRO
            )
        tables = UsageTables(database)
        fold = UsageFold(tables)
        fold.take(0, *told.part(0, len(told.rows)))
        assert fold.flush(len(told.rows))
        yield tables, Names.read(database)
