"""Requests: who asks for how many tokens, when, of which supplier; and the meter rows that this makes.

`Traffic` holds the month's requests as columns, sorted by time. A request becomes two rows: a HOLD at its arrival,
for its worst case, and a DELIVER when its last token has gone out. Rows are made for an interval at a time, so a
month of them is never in memory.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import ROW_WORDS
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from ciyuan.gateway.messages import TOKENS_MAX, MeterCommand
from ciyuan.simulation.chance import stream
from ciyuan.simulation.scenario import Scenario

HOLD_TIMEOUT_NS = 30 * NS_PER_MINUTE
"""How long a hold stands at least; a long answer's stands twice as long as it takes."""
FIRST_TOKEN_NS = NS_PER_SECOND
TOKEN_NS = 25 * NS_PER_MS
"""Time per output token at 40 tokens/s, the speed of the default grade's service."""
ANSWER_NS_MAX = 20 * NS_PER_MINUTE
"""The longest that an answer takes: a row of more tokens than fit stands for calls that were answered side by side."""
LEAST_OUTPUT_MAX = 64


@dataclass(frozen=True, slots=True)
class Sizes:
    """Request sizes to draw from: pairs of input and output tokens of one call, shape (k,) each."""

    input: NDArray[np.int64]
    output: NDArray[np.int64]
    source: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """The month's requests, each column of shape (n,), sorted by `time_ns`. `customer` counts from 0."""

    time_ns: NDArray[np.int64]
    finish_ns: NDArray[np.int64]
    customer: NDArray[np.int64]
    input: NDArray[np.int64]
    cached: NDArray[np.int64]
    output: NDArray[np.int64]
    output_max: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time_ns)


def simulated_traffic(
    scenario: Scenario, sizes: Sizes, hour_ns: NDArray[np.int64], weekday: NDArray[np.int64]
) -> Traffic:
    """`scenario.requests` requests over the hours that start at `hour_ns` (H,), whose local weekday is `weekday`
    (H,), 0 = Monday.

    Buyers differ in size (Zipf) and in the hour of their day; weekends are quieter. A request's size is a drawn pair
    of `sizes` times `bundle_calls`; a share of the calls reads a part of its input from a cache.
    """
    luck = stream(scenario.seed, "traffic")
    n, buyers = scenario.requests, scenario.buyers
    hours = np.arange(len(hour_ns))
    phase = luck.uniform(-0.12, 0.12, buyers)
    cycle = 1 + scenario.daily_swing * np.cos(2 * np.pi * (hours[:, None] / 24 - 0.6 + phase[None, :]))
    cycle *= np.where(weekday >= 5, scenario.weekend_share, 1.0)[:, None]
    weight = cycle / np.arange(1, buyers + 1)[None, :] ** 0.7
    cells = np.repeat(np.arange(weight.size), luck.multinomial(n, (weight / weight.sum()).ravel()))
    hour, customer = np.divmod(cells, buyers)
    time_ns = hour_ns[hour] + luck.integers(0, NS_PER_HOUR, n)
    order = np.argsort(time_ns, kind="stable")
    pick = luck.integers(0, len(sizes.input), n)
    hit = luck.random(n) < scenario.cached_share
    calls = scenario.bundle_calls
    inputs = sizes.input[pick] * calls
    cached = np.where(hit, (inputs * scenario.cached_depth).astype(np.int64), 0)
    return with_limits(
        time_ns[order], customer[order], inputs[order], cached[order], sizes.output[pick][order], calls
    )


def with_limits(time_ns: NDArray[np.int64], customer: NDArray[np.int64], inputs: NDArray[np.int64], cached: NDArray[np.int64],
                output_per_call: NDArray[np.int64], calls: int = 1) -> Traffic:  # fmt: skip
    """Traffic with the limits that clients set: the most output a call may give is the next power of two, 64 at least."""
    limit = np.maximum(
        LEAST_OUTPUT_MAX, 1 << np.ceil(np.log2(np.maximum(output_per_call, 1))).astype(np.int64)
    )
    most = max(int((limit * calls).max(initial=0)), int(inputs.max(initial=0)))
    if most > TOKENS_MAX:
        raise Malformed("request size", found=f"{most:,} tokens of a leg", expected=f"at most {TOKENS_MAX:,} in a request",
                        remedy="Make the bundles smaller (scenario, bundle_calls), or split the row.")  # fmt: skip
    finish_ns = time_ns + np.minimum(FIRST_TOKEN_NS + output_per_call * TOKEN_NS, ANSWER_NS_MAX)
    return Traffic(time_ns, finish_ns, customer, inputs, cached, output_per_call * calls, limit * calls)


class MeterRows:
    """The month's meter rows, made for an interval at a time: HOLD at arrival, DELIVER at the finish, in order of time."""

    def __init__(self, traffic: Traffic, parties: NDArray[np.int64], last_ns: int) -> None:
        """`parties` (n,): each request's parties word. A request that would finish after `last_ns` finishes then, or at
        once if it arrives later.
        """
        self._traffic = traffic
        self._parties = parties
        finish_ns = np.maximum(np.minimum(traffic.finish_ns, last_ns), traffic.time_ns)
        moments = np.concatenate([traffic.time_ns, finish_ns])
        self._timeout_ns = np.maximum(HOLD_TIMEOUT_NS, 2 * (finish_ns - traffic.time_ns))
        self._order = np.argsort(moments, kind="stable")
        self._moments = moments[self._order]

    def between(self, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """The rows of start_ns <= time < end_ns, shape (k, 8)."""
        first, last = np.searchsorted(self._moments, [start_ns, end_ns])
        return self._rows(self._order[first:last], self._moments[first:last])

    def _rows(self, which: NDArray[np.int64], moments: NDArray[np.int64]) -> NDArray[np.int64]:
        traffic = self._traffic
        done = which >= len(traffic)
        request = np.where(done, which - len(traffic), which)
        rows = np.zeros((len(which), ROW_WORDS), dtype=np.int64)
        rows[:, 0] = np.where(done, int(MeterCommand.DELIVER), int(MeterCommand.HOLD))
        rows[:, 1] = moments
        rows[:, 2] = request + 1
        rows[:, 3] = self._parties[request]
        rows[:, 4] = traffic.input[request]
        rows[:, 5] = np.where(done, traffic.cached[request], traffic.output_max[request])
        rows[:, 6] = np.where(done, traffic.output[request], self._timeout_ns[request])
        return rows
