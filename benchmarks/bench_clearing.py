"""The clearing house: the end of a day for a million accounts that hold every contract, part by part; and what it hears.

A settlement is all of SETTLE_DAY: positions marked and said, charges at the new margins, the ledger's chain, fees, margin, calls,
large positions and statements of every account, all as events. Beside it in the same run: the plain twin, which says the same
(compared), and what NumPy needs for the bare arithmetic of it.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import process_time

import numpy as np

from benchmarks.clearing_house import (
    CALENDAR,
    FEES_DUE,
    FIRST_DAY,
    HOUSE,
    LOT_MTOK,
    OPEN_ORDERS,
    POOR,
    TICK_MICRO,
    Held,
    Words,
    fund,
    listing,
    loaded,
    open_day,
    orders,
    prices,
    settlement,
)
from benchmarks.record import Result, cpu_time
from ciyuan.clearing import settling
from ciyuan.clearing.columns import BASIS, LONG, MEMBER, MEMBER_WIDTH, PLACE, SHORT
from ciyuan.clearing.house import House
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import ClearingTerms
from ciyuan.clearing.plain import PlainClearingHouse
from ciyuan.ledger.plain import PlainLedger

ACCOUNTS, CONTRACTS, DAYS = 1_000_000, 24, 5
PEER_ACCOUNTS, PEER_DAYS = 2_000, 2
EVENT_TRADES, PEER_TRADES, EVENT_BATCH, EVENT_ROUNDS = 200_000, 4_000, 4_096, 5
GOAL_S = 2.0
STREAM_WORDS = 1 << 27
PARTS = ("look_over", "move_nets", "move_fees", "take_back", "close_members")
LEFT_OUT = "making the accounts, opening the day, the first touch of memory (said apart), journal and network"


class Parts:
    """CPU seconds that each part of a settlement took, since `begin`."""

    def __init__(self, house: ClearingHouse) -> None:
        self.seconds: dict[str, float] = {}
        self._ledger = house._books.teller.ledger

    def begin(self) -> None:
        """Forget what was measured."""
        self.seconds = {}

    def timed(self, name: str, work: Callable[..., object]) -> Callable[..., object]:
        """The same work, which counts its time."""

        def do(*given: object) -> object:
            start = process_time()
            done = work(*given)
            self.seconds[name] = self.seconds.get(name, 0.0) + process_time() - start
            return done

        return do

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within it the loops and the ledger are timed."""
        kept = {name: getattr(settling, name) for name in PARTS}
        for name, loop in kept.items():
            setattr(settling, name, self.timed(name, loop))
        setattr(self._ledger, "apply", self.timed("ledger", self._ledger.apply))  # noqa: B010 (a method, for a while)
        try:
            yield
        finally:
            for name, loop in kept.items():
                setattr(settling, name, loop)
            delattr(self._ledger, "apply")


def settle(house: House, day: int, contracts: int) -> float:
    """CPU seconds of a day's settlement; the events are made and let go."""
    open_day(house, day, contracts)
    command = settlement(day)
    gc.collect()
    return cpu_time(partial(house.apply, command), 1)


def days(house: ClearingHouse, first: int, parts: Parts) -> tuple[float, dict[str, float]]:
    """The best of DAYS settlements, and its parts."""
    best, of_best = float("inf"), dict[str, float]()
    for day in range(first, first + DAYS):
        parts.begin()
        seconds = settle(house, day, CONTRACTS)
        if seconds < best:
            best, of_best = seconds, parts.seconds
    return best, of_best


def shuffle(house: ClearingHouse) -> None:
    """Put the positions' rows in an order of chance, as orders would begin them."""
    register = house.register
    used = register.positions
    order = np.random.Generator(np.random.PCG64(1)).permutation(np.arange(1, used))
    for matrix in (register.tables.hot, register.tables.cold):
        matrix[1:used] = matrix[order]
    cold = register.tables.cold[1:used]
    register.tables.slots[cold[:, MEMBER] * register.places + cold[:, PLACE]] = np.arange(1, used)


def bare_s(house: ClearingHouse) -> float:
    """CPU seconds of NumPy for the arithmetic alone: variation of every position, new bases, each account's sum."""
    hot = house.register.tables.hot[1 : house.register.positions]
    lots = (hot[:, LONG] - hot[:, SHORT]).reshape(ACCOUNTS, CONTRACTS)
    basis = np.ascontiguousarray(hot[:, BASIS]).reshape(ACCOUNTS, CONTRACTS)
    price = prices(FIRST_DAY, CONTRACTS)

    def work() -> None:
        carried = lots * price
        nets = ((carried - basis) * (TICK_MICRO * LOT_MTOK)).sum(axis=1)
        basis[:] = carried
        if nets.sum() != 0:
            raise RuntimeError("the benchmark's variation does not sum to zero")

    return cpu_time(work, 3)


def stream_gb_s() -> float:
    """What one core copies, in gigabytes read and written a second."""
    source = np.ones(STREAM_WORDS, dtype=np.int64)
    target = np.ones_like(source)

    def work() -> None:
        target[:] = source

    return 2 * source.nbytes / cpu_time(work, 5) / 1e9


def touched_gb() -> float:
    """Gigabytes that a settlement must read and write: positions both, their events, places, members both, their events, and the
    ledger's accounts, rows, transfers and events.
    """
    of_position, of_place, line = 3 * 64, 2 * 4, 64
    of_member = 2 * 8 * MEMBER_WIDTH + 5 * line + 6 * line
    return ACCOUNTS * (CONTRACTS * (of_position + of_place) + of_member) / 1e9


# --- the plain twin ---


def plain_of(house: ClearingHouse, held: Held) -> PlainClearingHouse:
    """The plain twin, with the same accounts over a plain ledger."""
    ledger = PlainLedger()
    fund(ledger, held.cash())
    plain = PlainClearingHouse(ledger, listing(held.contracts), CALENDAR, ClearingTerms(HOUSE))
    plain.restore(house.snapshot())
    return plain


def peer() -> tuple[float, float]:
    """The plain twin: CPU seconds of a settlement of PEER_ACCOUNTS, nanoseconds an event heard. Raises RuntimeError unless both
    say the same.
    """
    held = Held(PEER_ACCOUNTS, CONTRACTS)
    house = loaded(held)
    plain = plain_of(house, held)
    best = float("inf")
    for day in range(FIRST_DAY, FIRST_DAY + PEER_DAYS):
        open_day(house, day, CONTRACTS)
        open_day(plain, day, CONTRACTS)
        start = process_time()
        said = plain.apply(settlement(day))
        best = min(best, process_time() - start)
        if not np.array_equal(said, house.apply(settlement(day))):
            raise RuntimeError("the clearing house and its plain twin say different things")
    _, traded = orders(PEER_ACCOUNTS, CONTRACTS, PEER_TRADES)
    events = traded.tolist()

    def hear() -> None:
        for event in events:
            plain.on_event(event, [])

    return best, cpu_time(hear, 1) / len(events) * 1e9


# --- what is heard ---


def heard_ns(house: ClearingHouse, rows: Words) -> float:
    """CPU nanoseconds an event, by batches; the best of EVENT_ROUNDS parts of the rows, since none is heard twice."""
    best = float("inf")
    for part in np.array_split(rows.reshape(-1, 4, 8), EVENT_ROUNDS):
        events = part.reshape(-1, 8)
        batches = [events[start : start + EVENT_BATCH] for start in range(0, len(events), EVENT_BATCH)]

        def hear(batches: list[Words] = batches) -> None:
            for batch in batches:
                house.hear(batch)

        best = min(best, cpu_time(hear, 1) / len(events) * 1e9)
    return best


def hearing(house: ClearingHouse, plain_ns: float) -> list[Result]:
    """ACCEPTED, CANCELLED and FILLED in batches, among all accounts and among few."""
    results = []
    for accounts in (ACCOUNTS, PEER_ACCOUNTS):
        cancelled, traded = orders(accounts, CONTRACTS, EVENT_TRADES)
        against = f"the plain twin with {PEER_ACCOUNTS:,} accounts"
        for name, rows in (("ACCEPTED and CANCELLED", cancelled), ("ACCEPTED and FILLED", traded)):
            value = heard_ns(house, rows)
            mix = (
                f"{len(rows):,} events, half of each, of {accounts:,} of {ACCOUNTS:,} accounts by chance, in {CONTRACTS} "
                f"contracts, in batches of {EVENT_BATCH:,}; best of {EVENT_ROUNDS} parts"
            )
            is_traded = rows is traded
            results.append(
                Result(
                    f"clearing: {name}, {accounts:,} accounts", value, "ns/event", mix, "the exchange, journal and network",
                    plain_ns if is_traded else None, against if is_traded else "",
                )
            )  # fmt: skip
    return results


# --- the results ---


def run() -> list[Result]:
    """The end of the day with its parts, beside NumPy and the plain twin; in a bad order of rows; what is heard."""
    plain_s, plain_ns = peer()
    gb_s = stream_gb_s()
    house = loaded(Held(ACCOUNTS, CONTRACTS))
    bare = bare_s(house)
    first = settle(house, FIRST_DAY, CONTRACTS)
    parts = Parts(house)
    with parts.watched():
        best, of_best = days(house, FIRST_DAY + 1, parts)
    results = day_results(best, of_best, bare, plain_s, gb_s)
    results.append(first_result(first, best))
    shuffle(house)
    settle(house, FIRST_DAY + DAYS + 1, CONTRACTS)
    shuffled, _ = days(house, FIRST_DAY + DAYS + 2, parts)
    results.append(shuffled_result(shuffled, best))
    return results + hearing(house, plain_ns)


def _mix() -> str:
    return (
        f"{ACCOUNTS:,} accounts with {CONTRACTS} positions each, an order open in one of {OPEN_ORDERS}, fees due from one in "
        f"{FEES_DUE} on the first day, one account in {POOR:,} short of margin, nobody lent anything; every event made; "
        f"best of {DAYS} days"
    )


def day_results(
    best: float, parts: dict[str, float], bare: float, plain_s: float, gb_s: float
) -> list[Result]:
    """The end of the day as a whole, by position, and part by part."""
    positions = ACCOUNTS * CONTRACTS
    per_peer = plain_s / (PEER_ACCOUNTS * CONTRACTS) * 1e9
    named = "; ".join(f"{name} {seconds:.3f} s" for name, seconds in parts.items())
    rest = best - sum(parts.values())
    marked, ledger = parts["look_over"] / positions * 1e9, parts["ledger"] / ACCOUNTS * 1e9
    share = touched_gb() / best / gb_s
    moved = f"{touched_gb():.1f} GB at least are read and written, {share:.0%} of what one core copies ({gb_s:.1f} GB/s)"
    numpy_named = "NumPy for lots x price - basis, new bases and each account's sum alone: no events, charges, ledger, statements"
    return [
        Result(
            "clearing: end of day", best, "s", f"{_mix()}. Parts: {named}; the rest {rest:.3f} s. {moved}", LEFT_OUT, bare,
            numpy_named, at_most=GOAL_S,
        ),
        Result(
            "clearing: end of day, by position", best / positions * 1e9, "ns/position", _mix(), LEFT_OUT, per_peer,
            f"the plain twin with {PEER_ACCOUNTS:,} accounts, which says the same",
        ),
        Result("clearing: end of day, by account", best / ACCOUNTS * 1e9, "ns/account", _mix(), LEFT_OUT),
        Result(
            "clearing: marking alone", marked, "ns/position", f"marks, charges, running losses and VARIATION events: {_mix()}",
            f"the rest of the end of day; {LEFT_OUT}", best / positions * 1e9, "the whole end of day",
        ),
        Result(
            "clearing: the ledger's part", ledger, "ns/account", f"one chain of all of the day's steps: {_mix()}",
            f"the rest of the end of day; {LEFT_OUT}", best / ACCOUNTS * 1e9, "the whole end of day",
        ),
    ]  # fmt: skip


def first_result(first: float, best: float) -> Result:
    """The first settlement of a new machine, which has its memory given."""
    return Result(
        "clearing: end of day, the first", first, "s", f"with the first touch of memory: {_mix()}",
        "making the accounts, opening the day, journal and network", best, "a later day",
    )  # fmt: skip


def shuffled_result(shuffled: float, best: float) -> Result:
    """Positions that were begun in an order of chance."""
    return Result(
        "clearing: end of day, positions in an order of chance", shuffled, "s", _mix(), LEFT_OUT, best, "in order of account",
        at_most=GOAL_S,
    )  # fmt: skip
