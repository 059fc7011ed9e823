"""The exchange in CPU time a message: everything on, and matching alone beside C++ and a peer, on the flows of `exchange_flow`.

Everything on: every order is held against daily limits, circuit breaker, margin, position limits, order rate, its account's own
orders and the numbers used before. None is refused, so that every engine comes to the same trades: a figure of others is none.
"""

import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import exchange_peer
from benchmarks.bare_ladder import TRADED, BareBook, bare_book, play
from benchmarks.exchange_flow import ACCOUNTS, STEP_NS, TICKS, Bare, Flow, Words, digest, made_flow
from benchmarks.record import Result, cpu_time
from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import (
    CONTRACT,
    PRICE,
    ExchangeEvent,
    SessionState,
    account_row,
    credit_row,
    risk_row,
    session_row,
)
from ciyuan.exchange.room import Room

OUT = Path(__file__).parent / "out"
SOURCE = Path(__file__).parent / "reference" / "ladder.cpp"
COMPILERS = ("g++", "clang++")
BATCH = 4_096
ROUNDS, BARE_ROUNDS, PEER_ROUNDS = 5, 9, 3
SINGLES = 100_000
LIVE, DEEP, MANY = 4_000, 100_000, 32
START_NS, DAY = 1_790_000_000 * 10**9, 20_000
INITIAL_TICKS, RATE_BP, BASE_TICK = 20_470, 500, 18_423
"""BASE_TICK is the lower limit: the rate counts twice on a contract's first day, which makes 4,095 ticks between the limits."""
PRICE_BAND_BP, BAND_MINUTES = 2_500, 5
AMPLE_CREDIT, AMPLE_LOTS, AMPLE_RATE = 1 << 61, 1 << 24, 10**9
EVERYTHING_NS, MANY_NS, MATCHING_NS, SINGLE_US, DEEP_TIMES = 90.0, 150.0, 30.0, 3.0, 2.0
"""The project's goals, at most."""
CHECKED = (
    "every order held against daily limits, circuit breaker, margin, position limits, order rate, own orders and used numbers, "
    "both sides' reports and level deltas written"
)
LEFT_OUT = "the adds before the flow, making the flow, the first touch of memory, journal and network"


# --- everything on ---


def opened(flow: Flow, rows: Words) -> Exchange:
    """An exchange in continuous trading with the flow's first adds in its books; its limits are set so that none is met."""
    listed = [
        Contract(
            number, f"B{number}", ContractKind.CASH_FUTURE, grade=1, tick_micro=1_000, lot_mtok=1, first_day=DAY, last_day=DAY,
            month=202612, limit_rate_bp=RATE_BP, initial_price_ticks=INITIAL_TICKS, max_lots_per_order=10_000,
            breaker_bp=PRICE_BAND_BP, breaker_minutes=BAND_MINUTES,
        )
        for number in range(1, flow.contracts + 1)
    ]  # fmt: skip
    accounts = range(1, ACCOUNTS + 1)
    settings: list[Row] = [
        *(account_row(START_NS, account, orders_per_second_max=AMPLE_RATE) for account in accounts),
        *(credit_row(START_NS, account, AMPLE_CREDIT) for account in accounts),
        *(
            risk_row(START_NS, contract.number, margin_lot_micro=2_000_000, fee_lot_micro=2_000, limit_lots=AMPLE_LOTS,
                     hedger_limit_lots=AMPLE_LOTS, share_bp=1_000)
            for contract in listed
        ),
        session_row(START_NS, 0, SessionState.CONTINUOUS, DAY),
    ]  # fmt: skip
    exchange = Exchange(listed, Room(accounts=ACCOUNTS, orders=len(flow.order_id), ladder_ticks=TICKS))
    exchange.prefault()
    exchange.apply(np.array(settings, dtype=np.int64))
    if exchange.limits(1)[0] != BASE_TICK:
        raise RuntimeError(f"the benchmark's market opened with limits {exchange.limits(1)}")
    for batch in batches(rows[: flow.prefill]):
        exchange.apply(batch)
    return exchange


def batches(rows: Words) -> list[Words]:
    """Cut into batches of BATCH rows."""
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def apply_all(exchange: Exchange, work: list[Words]) -> None:
    """Apply every batch; the events are made and let go."""
    for batch in work:
        exchange.apply(batch)


def everything_ns(flow: Flow, rows: Words) -> float:
    """CPU nanoseconds a message with everything on, the best of ROUNDS, each on a new exchange."""
    work = batches(rows[flow.prefill :])
    checked = opened(flow, rows)
    check(flow, np.concatenate([checked.apply(batch) for batch in work]))
    seconds = min(cpu_time(partial(apply_all, opened(flow, rows), work), 1) for _ in range(ROUNDS))
    return seconds / (len(rows) - flow.prefill) * 1e9


def check(flow: Flow, events: Words) -> None:
    """Raises RuntimeError unless nothing was refused and the fills are the flow's trades, one by one."""
    codes = events[:, 0] & CODE_MASK
    if (codes == ExchangeEvent.REFUSED).any():
        raise RuntimeError(
            f"the exchange refused a row of its benchmark: {events[codes == ExchangeEvent.REFUSED][0]}"
        )
    numbers = np.zeros((ACCOUNTS + 1, int(flow.order_id.max()) + 1), dtype=np.int64)
    numbers[flow.account, flow.order_id] = np.arange(len(flow.order_id))
    fills = events[codes == ExchangeEvent.FILLED]
    trades = np.stack(
        [
            numbers[fills[0::2, 2], fills[0::2, 3]],
            numbers[fills[1::2, 2], fills[1::2, 3]],
            fills[0::2, PRICE] - BASE_TICK,
            fills[0::2, 6],
        ],
        axis=1,
    )
    same_contract = np.array_equal(fills[:, CONTRACT], np.repeat(flow.contract[flow.trades[:, 1]], 2))
    if not np.array_equal(trades, flow.trades) or not same_contract:
        raise RuntimeError(
            f"the exchange came to other trades than the flow's: {len(trades):,}, not {len(flow.trades):,}"
        )


def singles_us(flow: Flow, rows: Words) -> tuple[float, float]:
    """CPU microseconds of a call with one message: `apply` of a (1, 8) matrix, and `apply_one` of a tuple. Best of ROUNDS."""
    timed = rows[flow.prefill : flow.prefill + SINGLES]
    matrices = [timed[at : at + 1] for at in range(SINGLES)]
    tuples: list[Row] = [tuple(row) for row in timed.tolist()]

    def one_by_one(exchange: Exchange) -> None:
        said: list[Row] = []
        for row in tuples:
            exchange.apply_one(row, said)
            said.clear()

    def best(play_on: Callable[[Exchange], None]) -> float:
        return min(cpu_time(partial(play_on, opened(flow, rows)), 1) for _ in range(ROUNDS)) / SINGLES * 1e6

    return best(lambda exchange: apply_all(exchange, matrices)), best(one_by_one)


# --- matching alone ---


def matching_ns(flow: Flow) -> float:
    """CPU nanoseconds a message of the exchange's ladder alone, the best of BARE_ROUNDS."""
    timed: list[Bare] = [
        flow.bare[start : start + BATCH] for start in range(flow.prefill, len(flow.bare), BATCH)
    ]

    def play_all(book: BareBook) -> None:
        for rows in timed:
            play(rows, *book)

    best = float("inf")
    for _ in range(BARE_ROUNDS):
        book = bare_book(len(flow.order_id))
        play(flow.bare[: flow.prefill], *book)
        best = min(best, cpu_time(partial(play_all, book), 1))
        if digest(book.trades[: book.counts[TRADED]]) != digest(flow.trades):
            raise RuntimeError("the bare ladder came to other trades than the flow's")
    return best / (len(flow.bare) - flow.prefill) * 1e9


def reference_ns(flow: Flow) -> tuple[float | None, str]:
    """CPU nanoseconds a message of `reference/ladder.cpp`, and how it was built; None where there is no compiler."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        return None, f"no C++ compiler was found ({', '.join(COMPILERS)})"
    OUT.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=OUT) as folder:
        program, messages = Path(folder) / "ladder", Path(folder) / "flow"
        options = ["-std=c++17", "-O3", "-march=native"]
        subprocess.run([compiler, *options, "-o", str(program), str(SOURCE)], check=True)
        flow.bare.tofile(messages)
        command = [str(program), str(messages), str(flow.prefill), str(BARE_ROUNDS)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    due = [len(flow.trades), flow.volume, int(digest(flow.trades))]
    if [int(word) for word in said[1:]] != due:
        raise RuntimeError(f"the C++ ladder came to {said[1:]} (trades, lots, digest), not {due}")
    return float(said[0]), f"{Path(compiler).name} {' '.join(options)}"


# --- the results ---


def run() -> list[Result]:
    """Everything on over one contract, 32 and a deep book; one message a call; matching alone beside C++; the peer."""
    flow = made_flow(LIVE)
    rows = flow.rows(BASE_TICK, START_NS + STEP_NS)
    reference, built = reference_ns(flow)
    one = everything_ns(flow, rows)
    return [
        *everything(flow, one, reference, built),
        *(many(live, one) for live in (LIVE, MANY * LIVE)),
        deep(one),
        *singles(flow, rows),
        *matching(flow, reference, built),
    ]


def _everything_mix(flow: Flow) -> str:
    return f"{flow.mix()}; {CHECKED}; batches of {BATCH:,}, best of {ROUNDS} on a new exchange each"


def everything(flow: Flow, one: float, reference: float | None, built: str) -> list[Result]:
    """One contract with everything on, beside C++ with nothing on; and beside the peer, which matches only."""
    against = "" if reference is None else f"C++ dense ladder ({built}), matching alone"
    left_out = LEFT_OUT if reference is not None else f"{LEFT_OUT}; the C++ baseline: {built}"
    peer = exchange_peer.peer_ns(flow, PEER_ROUNDS)
    mix = _everything_mix(flow)
    measured = [
        Result("exchange: everything on", one, "ns/message", mix, left_out, reference, against, at_most=EVERYTHING_NS)
    ]  # fmt: skip
    if peer is not None:
        named = f"{exchange_peer.NAME}, matching alone, the first {exchange_peer.MESSAGES:,} messages, best of {PEER_ROUNDS}"
        measured.append(Result("exchange: beside a peer", one, "ns/message", mix, LEFT_OUT, peer, named))
    return measured


def many(live: int, one: float) -> Result:
    """Everything on over MANY contracts by turns, with so many live orders in all."""
    flow = made_flow(live, MANY)
    value = everything_ns(flow, flow.rows(BASE_TICK, START_NS + STEP_NS))
    return Result(
        f"exchange: {MANY} contracts, {live:,} live orders in all", value, "ns/message",
        f"{MANY} contracts, each message in one of them by chance; {_everything_mix(flow)}", LEFT_OUT,
        one, f"one contract, {LIVE:,} live orders", at_most=MANY_NS,
    )  # fmt: skip


def deep(one: float) -> Result:
    """Everything on with DEEP live orders in one contract."""
    flow = made_flow(DEEP)
    value = everything_ns(flow, flow.rows(BASE_TICK, START_NS + STEP_NS))
    return Result(
        f"exchange: {DEEP:,} live orders", value, "ns/message", _everything_mix(flow), LEFT_OUT,
        one, f"{LIVE:,} live orders", at_most=DEEP_TIMES * one,
    )  # fmt: skip


def singles(flow: Flow, rows: Words) -> list[Result]:
    """One message a call from Python, in both ways."""
    matrix, single = singles_us(flow, rows)
    mix = f"the first {SINGLES:,} messages of the flow with {LIVE:,} live orders, one a call; {CHECKED}; best of {ROUNDS}"
    as_matrix, as_ints = f"a (1, 8) matrix; {mix}", f"a row of ints, events appended as tuples; {mix}"
    return [
        Result("exchange: one message, apply", matrix, "us/call", as_matrix, LEFT_OUT, at_most=SINGLE_US),
        Result("exchange: one message, apply_one", single, "us/call", as_ints, LEFT_OUT, at_most=SINGLE_US),
    ]


def matching(flow: Flow, reference: float | None, built: str) -> list[Result]:
    """The exchange's ladder alone, beside C++."""
    mix = f"{flow.mix()}; int32 rows in, trades out; batches of {BATCH:,}, best of {BARE_ROUNDS}"
    left_out = f"every check, report and level delta; {LEFT_OUT}"
    against = "" if reference is None else f"C++ dense ladder ({built}), the same trades"
    if reference is None:
        left_out = f"{left_out}; the C++ baseline: {built}"
    value = matching_ns(flow)
    return [
        Result("exchange: matching alone", value, "ns/message", mix, left_out, reference, against, at_most=MATCHING_NS)
    ]  # fmt: skip
