"""The two meters are one: any flow of commands, however it is cut, gives the same events and states; so does a restored one."""

import random
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import CODE_MASK, KIND, Row
from ciyuan.gateway import (
    LimitUnit,
    LimitWindow,
    MeterCommand,
    MeterEvent,
    MeterRefusal,
    PartyRole,
    RequestState,
    close_row,
    deliver_row,
    enrol_row,
    hold_row,
    leg_price_row,
    leg_used_row,
    limit_row,
    spender_row,
    tick_row,
    void_row,
)
from ciyuan.gateway.machine import Meter
from ciyuan.gateway.plain import PlainMeter
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.messages import tick_row as ledger_tick_row
from ciyuan.ledger.messages import transfer_row
from ciyuan.ledger.messages import void_row as ledger_void_row
from ciyuan.ledger.plain import PlainLedger
from tests.gateway.twins import (
    ADA,
    BOB,
    NORTH,
    SOUTH,
    WORLD,
    Twins,
    a_market,
    code,
    list_row,
    matrix,
    refusal,
    who,
)

USUAL = (who(), who(1, 2), who(2), who(2, 2), who(3, 1, 2), who(3, 2))
UNUSUAL = st.sampled_from([who(), who(2), who(4), who(1, 3), who(1, 1, 3), -1])
KEYS = st.integers(1, 6)
MOST = st.sampled_from([0, 3, 100, 100, 100, 101, 101, 12_345])
USED = st.sampled_from([0, 1, 2, 2, 3, 99, 100])
ODD = st.sampled_from([-1, 0, 1, 7, 100, 101, 2**31, 2**63 - 1])
DAY = 86_400 * 10**9
TIMEOUTS = st.sampled_from([0, 0, 0, 4, 9, 9, 3 * DAY])
SPENDERS = st.sampled_from([0, 0, 1, 2, 3, 3, 4])
"""As in `SPENDER_ROWS`: 1 is below nobody, each of the others below the one before; 4 is another customer's."""
LATER = st.sampled_from([0] * 12 + [1] * 4 + [3, 3, -1, 20 * 10**9, 3_000 * 10**9, DAY, 32 * DAY])


def untimed(row: Row) -> tuple[int, ...]:
    return (row[KIND], *row[2:])


def with_odd_words(row: tuple[int, ...], odd: dict[int, int]) -> tuple[int, ...]:
    return tuple(odd.get(place, word) for place, word in enumerate(row))


HOLDS = st.builds(
    lambda key, *rest: untimed(hold_row(0, key, USUAL[key - 1], *rest)), KEYS, MOST, MOST, TIMEOUTS, SPENDERS
)
DELIVERIES = st.builds(
    lambda batch, key, *counts: untimed(deliver_row(0, key, USUAL[key - 1], *counts, batch=batch == 0)),
    st.integers(0, 3),
    KEYS,
    USED,
    st.sampled_from([0, 0, 0, 1, 2]),
    USED,
)
VOIDS = st.builds(lambda key: untimed(void_row(0, key)), KEYS)
ENROLMENTS = st.builds(
    lambda *args: untimed(enrol_row(0, *args)),
    st.sampled_from(PartyRole),
    st.integers(1, 4),
    st.integers(0, 9),
)
LISTS = st.builds(
    lambda supplier, grade, begins, price, batch: untimed(
        list_row(0, supplier, begins, grade, price_in=price, price_out=3 * price, batch_hundredths=batch)
    ),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(-1, 12),
    st.sampled_from([0, 333_333, 10**6, 10**12]),
    st.sampled_from([0, 1, 50, 100]),
)
SPENDER_ROWS = st.builds(
    lambda number: untimed(spender_row(0, number, 0 if number == 4 else number - 1, 2 if number == 4 else 1)),
    st.integers(1, 4),
)
LIMITS = st.builds(
    lambda *args: untimed(limit_row(0, *args)),
    st.integers(1, 6),
    st.integers(1, 4),
    st.sampled_from(LimitUnit),
    st.sampled_from(LimitWindow),
    st.sampled_from([0, 1, 2, 150, 250, 1_000, 10**5]),
    st.sampled_from([0, 0, 8 * 3_600 * 10**9]),
)
LEG_PRICES = st.builds(
    lambda supplier, grade, leg, step, price, bound, begins: untimed(
        leg_price_row(0, supplier, grade, leg, price, valid_from_ns=begins, step=step, bound=bound)
    ),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(0, 12),
    st.sampled_from([0, 0, 1, 2]),
    st.sampled_from([0, 333_333, 10**7, 10**12]),
    st.sampled_from([0, 0, 2, 50]),
    st.integers(0, 12),
)
LEGS_USED = st.builds(
    lambda key, leg, count: untimed(leg_used_row(0, key, leg, count)), KEYS, st.integers(2, 12), USED
)
GOOD = st.one_of(
    SPENDER_ROWS,
    LIMITS,
    LEG_PRICES,
    LEGS_USED,
    HOLDS,
    HOLDS,
    HOLDS,
    DELIVERIES,
    DELIVERIES,
    DELIVERIES,
    VOIDS,
    ENROLMENTS,
    LISTS,
    st.just(untimed(tick_row(0))),
)
ODDITIES = st.one_of(
    st.builds(with_odd_words, GOOD, st.dictionaries(st.integers(1, 6), ODD, min_size=1, max_size=2)),
    st.builds(lambda row, parties: with_odd_words(row, {2: parties}), st.one_of(HOLDS, DELIVERIES), UNUSUAL),
    st.builds(
        lambda row, bits: (row[0] | bits, *row[1:]),
        GOOD,
        st.sampled_from([1 << 16, 2 << 16, 1 << 24, 101 << 24, 1 << 40, 8]),
    ),
)
COMMANDS = st.one_of(GOOD, GOOD, GOOD, GOOD, ODDITIES)
STEPS = st.lists(st.tuples(COMMANDS, LATER), max_size=12)


def at_times(steps: list[tuple[tuple[int, ...], int]], clock: int) -> list[tuple[int, ...]]:
    rows = []
    for (kind, *words), later in steps:
        clock = max(clock + later, 0)
        rows.append((kind, clock, *words))
    return rows


def money_comes_and_goes(twins: Twins, choice: int, step: int) -> None:
    """What others do to the ledger meanwhile: pay in, move its clock, end a hold of the meter's, use a key of the meter's."""
    clock = twins.fast.ledger.clock_ns
    if choice == 0:
        twins.ledger(transfer_row(clock, 2**61 + 100 + step, WORLD, ADA, 50_000))
    elif choice == 1:
        twins.ledger(ledger_tick_row(clock + 2))
    elif choice == 2:
        twins.ledger(ledger_void_row(clock, 2**61 + 100 + step, 4 * (1 + step % 6)))
    elif choice == 3:
        twins.ledger(transfer_row(clock, 4 * (1 + step % 6), WORLD, BOB, 7))


FLOWS = st.lists(st.tuples(STEPS, st.integers(0, 9)), min_size=1, max_size=9)


@given(FLOWS, st.sampled_from([0, 400, 100_000, 10**9]))
def test_both_meters_say_and_become_the_same(flow, balance):
    twins = a_market(balance)
    for step, (steps, choice) in enumerate(flow):
        rows = at_times(steps, twins.fast.clock_ns)
        twins.say(*rows)
        money_comes_and_goes(twins, choice, step)
        check_conserved(twins)


@given(STEPS, STEPS, st.data())
def test_how_rows_are_cut_into_batches_changes_nothing(before, after, data):
    rows = at_times(before + after, 0)
    one, many = a_market(20_000), a_market(20_000)
    whole = one.say(*rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    parts = [many.say(*rows[start:end]) for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    assert [event for part in parts for event in part] == whole
    assert one.fast.state_hash() == many.fast.state_hash()


@given(STEPS, STEPS)
def test_a_restored_meter_has_the_same_future(before, after):
    twins = a_market(20_000)
    twins.say(*at_times(before, 0))
    plain, fast = PlainMeter(PlainLedger()), Meter(Ledger())
    for meter, source in ((plain, twins.fast), (fast, twins.plain)):  # each from the other's snapshot
        meter.ledger.restore(twins.fast.ledger.snapshot())  # type: ignore[attr-defined]
        meter.restore(source.snapshot())
        assert meter.state_hash() == twins.fast.state_hash()
    rows = matrix(at_times(after, twins.fast.clock_ns))
    expected = twins.say(*rows.tolist())
    assert plain.apply(rows).tolist() == fast.apply(rows).tolist() == expected
    assert plain.state_hash() == fast.state_hash() == twins.fast.state_hash()
    assert fast.ledger.state_hash() == twins.fast.ledger.state_hash()


# --- long traffic ---


class Traffic:
    """Seeded commands that mostly make sense: holds, their deliveries and voids, repeats of these, true or altered."""

    def __init__(self, seed: int, twins: Twins) -> None:
        self.twins = twins
        self.chance = random.Random(seed)  # noqa: S311
        self.clock = self.request = 0
        self.said: list[Row] = []
        self.open: list[Row] = []

    def row(self) -> Sequence[int]:
        self.clock += self.chance.choice((0, 0, 0, 0, 1, 2))
        move = self.chance.choice(
            ("hold",) * 12
            + ("deliver",) * 10
            + (
                "void",
                "again",
                "altered",
                "again",
                "altered",
                "altered",
                "prices",
                "tick",
                "spender",
                "limit",
                "leg_price",
                "leg_used",
                "close",
            )
        )
        made: Sequence[int] = getattr(self, move)()
        self.said.append(made)  # type: ignore[arg-type]
        return made

    def hold(self) -> Row:
        self.request += 1
        parties = who(self.chance.randint(1, 3), self.chance.randint(1, 2))
        most = (self.chance.randint(0, 2_000), self.chance.randint(0, 900))
        spender = 10 * (parties >> 32) + self.chance.randint(0, 3) if self.chance.random() < 0.5 else 0
        timeout = self.chance.choice((0, 0, 5, 40))
        self.open.append(hold_row(self.clock, self.request, parties, *most, timeout, spender))
        return self.open[-1]

    def spender(self) -> Row:
        customer, level = self.chance.randint(1, 3), self.chance.randint(0, 3)
        return spender_row(
            self.clock, 10 * customer + level, 10 * customer + level - 1 if level else 0, customer
        )

    def limit(self) -> Row:
        """Each number is always of one spender, unit and window; what it lets through changes."""
        number = self.chance.randint(1, 24)
        unit, window = LimitUnit(1 + number % 3), LimitWindow(1 + number % 6)
        most = self.chance.choice((0, 5, 3_000, 10**5, 10**6, 10**7, 10**9))
        return limit_row(self.clock, number, 10 * (1 + number // 4 % 3) + number % 4, unit, window, most)

    def leg_price(self) -> Row:
        lists = [row for row in self.said if row[0] & CODE_MASK == MeterCommand.PRICES]
        supplier, grade, begins = (lists[-1][2], lists[-1][3], lists[-1][7]) if lists else (1, 1, 0)
        leg, step = self.chance.randint(0, 12), self.chance.choice((0, 0, 1, 2))
        bound = 100 * step if step else self.chance.choice((0, 3)) if leg > 9 else 0
        price = self.chance.randint(0, 10**7)
        return leg_price_row(
            self.clock, supplier, grade, leg, price, valid_from_ns=begins, step=step, bound=bound
        )

    def leg_used(self) -> Row:
        held = self.chance.choice(self.open[-3:]) if self.open else self.hold()
        leg = self.chance.choice((2, 3, 5, 6, 7, 8, 9, 10, 11, 12))
        return leg_used_row(self.clock, held[2], leg, self.chance.choice((0, 1, 5, 900)))

    def close(self) -> Row:
        """What is older than the oldest request that is held; if that is nothing, it is voided; now and then a later one."""
        requests, first = self.twins.fast.requests, self.twins.fast.closed[1] or 1
        held = requests[requests[:, 7] & CODE_MASK == RequestState.HELD, 0]
        oldest = int(held.min()) if len(held) else self.request + 1
        if self.chance.random() < 0.1:
            return close_row(self.clock, first, first + 900)
        return close_row(self.clock, first, oldest) if oldest > first else void_row(self.clock, oldest)

    def deliver(self) -> Row:
        held = self.open.pop(self.chance.randrange(len(self.open))) if self.open else self.hold()
        tokens_in, tokens_out = (
            self.chance.randint(0, most + (self.chance.random() < 0.02)) for most in held[4:6]
        )
        cached, batch = self.chance.randint(0, tokens_in), self.chance.random() < 0.3
        return deliver_row(self.clock, held[2], held[3], tokens_in, cached, tokens_out, batch=batch)

    def void(self) -> Row:
        return void_row(self.clock, self.open.pop()[2] if self.open else 1)

    def again(self) -> Sequence[int]:
        first = self.chance.choice(self.said) if self.said else self.tick()
        return (first[0], self.clock, *first[2:])

    def altered(self) -> Sequence[int]:
        row = list(self.again())
        row[self.chance.choice((2, 3, 4, 5, 6))] += self.chance.choice((-1, 1))
        return row

    def prices(self) -> Row:
        begins, price = self.clock + self.chance.randint(-1, 9), self.chance.randint(1, 10**7)
        return list_row(self.clock, self.chance.randint(1, 2), begins, price_in=price, price_out=3 * price)

    def tick(self) -> Row:
        return tick_row(self.clock)


SEEDS = range(6)


@cache
def answers_to_traffic(seed: int) -> frozenset[object]:
    """What both said to a long traffic, which leaves them the same all the while."""
    twins = a_market(150_000)
    traffic = Traffic(seed, twins)
    answers: set[object] = set()
    for step in range(80):
        rows = [traffic.row() for _ in range(traffic.chance.choice((1, 2, 9, 30)))]
        answers |= {refusal(event) or code(event) for event in twins.say(*rows)}
        if step % 9 == 0:
            twins.ledger(
                transfer_row(twins.fast.ledger.clock_ns, 2**61 + 100 + step, WORLD, ADA + step % 3, 20_000)
            )
        check_conserved(twins)
    return frozenset(answers)


@pytest.mark.parametrize("seed", SEEDS)
def test_long_traffic_is_the_same_to_both(seed):
    assert answers_to_traffic(seed) >= {MeterEvent.SETTLED, MeterEvent.CLOSED, MeterEvent.LEG_TOLD}


def test_long_traffic_reaches_every_event_and_many_refusals():
    answers = frozenset.union(*map(answers_to_traffic, SEEDS))
    assert answers >= {*MeterEvent} - {MeterEvent.ENROLLED, MeterEvent.REFUSED}
    assert answers >= {
        MeterRefusal.RATE_LIMITED,
        MeterRefusal.BUDGET_SPENT,
        MeterRefusal.REQUEST_HELD,
        MeterRefusal.REQUEST_CLOSED,
        MeterRefusal.LEGS_EXCEED_WHOLE,
        MeterRefusal.INSUFFICIENT_BALANCE,
        MeterRefusal.HOLD_EXPIRED,
        MeterRefusal.EXISTS_WITH_DIFFERENT_TOKENS_IN,
    }


# --- conservation ---


def check_conserved(twins: Twins) -> None:
    """What customers were charged is what suppliers earned and what the ledger posted, but for what is closed; and the use of
    a limit is never below 0.
    """
    assert np.all(twins.fast.snapshot()["limits"][:, 7] >= 0)
    meter, ledger = twins.fast, twins.fast.ledger
    parties = meter.parties.tolist()
    charged = sum(row[4] for row in parties if row[0] == PartyRole.CUSTOMER)
    earned = sum(row[4] for row in parties if row[0] == PartyRole.SUPPLIER)
    posted = [row for row in ledger.transfers.tolist() if row[KIND] >> 24 == MeterCommand.DELIVER]
    assert charged == earned
    assert sum(row[5] for row in posted) == int(meter.deliveries[:, 3].sum())
    assert int(meter.deliveries[:, 3].sum()) == charged or meter.closed[1] > 0
    assert len(posted) == int(np.count_nonzero(meter.requests[:, 7] & CODE_MASK == 2))
    for account in range(2, 5):
        assert ledger.available(account) >= 0


TRAFFIC = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(1, 2),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.integers(0, 10**5),
        st.booleans(),
    ),
    max_size=25,
)


@given(TRAFFIC, *[st.integers(0, 10**7)] * 3, st.integers(1, 100))
def test_charges_never_drift_from_the_exact_cost(traffic, price_in, price_cached, price_out, hundredths):
    twins = a_market(10**15 // 3)
    prices = {
        "price_in": price_in,
        "price_cached": price_cached,
        "price_out": price_out,
        "batch_hundredths": hundredths,
    }
    twins.say(list_row(0, 1, grade=2, **prices), list_row(0, 2, grade=2, **prices))
    exact = {1: Fraction(0), 2: Fraction(0), 3: Fraction(0)}
    rows = []
    for request, (customer, supplier, tokens_in, cached, out, batch) in enumerate(traffic, 1):
        cached = min(cached, tokens_in)
        parties = who(customer, supplier, 2)
        rows.append(hold_row(request, request, parties, tokens_in, out))
        rows.append(deliver_row(request, request, parties, tokens_in, cached, out, batch=batch))
        legs = ((tokens_in - cached, price_in), (cached, price_cached), (out, price_out))
        exact[customer] += sum(
            Fraction(tokens * ((2 * price * hundredths + 100) // 200 if batch else price), 10**6)
            for tokens, price in legs
        )
    twins.say(*rows)
    for role, number, account, carry_pico, charged, *_ in twins.fast.parties.tolist():
        if role == PartyRole.CUSTOMER:
            assert charged + Fraction(carry_pico, 10**6) == exact[number]
            assert charged == exact[number] // 1
            assert twins.posted(account) == 10**15 // 3 - charged
    check_conserved(twins)
    assert twins.posted(NORTH) + twins.posted(SOUTH) == sum(cost // 1 for cost in exact.values())
