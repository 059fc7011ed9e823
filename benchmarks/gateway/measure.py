"""One gateway, one round: checked, warmed, loaded case by case; and the medians over the rounds.

Processor time is that of the gateway's process tree over the load, divided by the requests that it worked on: those that wrk saw
completed, and half of those that the supplier has answered beyond them (they were under way when the load ended).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from statistics import median
from typing import Final

from benchmarks.gateway import traffic
from benchmarks.gateway.load import header_lines, loaded
from benchmarks.gateway.peers import Gateway, Served
from benchmarks.gateway.rig import Cores, NotMeasured, Supplier, asked, cpu_s, pinned, resident_kib

_STILL_S, _STILL_LIMIT_S, _STILL_CPU_S = 0.3, 15.0, 0.03
"""A gateway is still when in so many seconds the supplier was asked for nothing and it used no more processor time than this."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of load."""

    name: str
    streamed: bool
    connections: int
    gap_ms: int = 0


CASES: Final = (
    Case("JSON, c=32", streamed=False, connections=32),
    Case("JSON, c=1", streamed=False, connections=1),
    Case("streamed, c=32", streamed=True, connections=32),
    Case("streamed, c=1", streamed=True, connections=1),
    Case("streamed by 5 ms, c=32", streamed=True, connections=32, gap_ms=5),
)
JSON_MANY, JSON_ONE, STREAM_MANY, STREAM_ONE, STREAM_PACED = CASES
FIRST_ONE: Final = Case("first token, c=1", streamed=True, connections=1, gap_ms=1)
"""By `client`, not by wrk: latencies are those of the first byte of body."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Requests a second on the wall, latencies and processor time a request in us (cpu 0 where there is no gateway)."""

    rps: float
    p50_us: float
    p99_us: float
    cpu_us: float

    @property
    def per_cpu_s(self) -> float:
        """Requests a second of processor time of the gateway."""
        return 1e6 / self.cpu_us


@dataclass(frozen=True, slots=True)
class Round:
    """One gateway in one round: figures by the case's name, FIRST_ONE's among them, and its resident memory at the end."""

    figures: Mapping[str, Figures]
    resident_mib: float


def measured(gateway: Gateway, on: Cores, supplier: Supplier, seconds: int) -> Round:
    """One round of all cases, each `seconds` long, times the gateway's patience. Raises NotMeasured."""
    supplier.set_gap(0)
    served = gateway.started(on.gateway, supplier.port)
    try:
        check_answers(served)
        _warm(served, on, gateway.warm_s)
        figures = {}
        for case in CASES:
            supplier.set_gap(case.gap_ms)
            figures[case.name] = _case(served, on, supplier, case, seconds * gateway.patience)
        supplier.set_gap(FIRST_ONE.gap_ms)
        figures[FIRST_ONE.name] = _first_token(served, on, supplier, seconds)
        resident = resident_kib(served.process.number) / 1024 if served.process else 0.0
    finally:
        if served.process:
            served.process.end()
    return Round(figures, resident)


def check_answers(served: Served) -> None:
    """Both answers come through as the supplier gave them, with their usage. Raises NotMeasured if not."""
    readers: Sequence[tuple[bool, Callable[[bytes], tuple[str, int]]]] = (
        (False, traffic.read_answer),
        (True, traffic.read_events),
    )
    for streamed, read in readers:
        status, body = asked(
            served.port, "POST", traffic.PATH, served.headers, traffic.question(streamed=streamed)
        )
        if status != HTTPStatus.OK:
            raise NotMeasured(f"it answered {status}: {body[:200]!r}")
        if read(body) != (traffic.TEXT, traffic.USAGE["completion_tokens"]):
            raise NotMeasured(f"it gave another answer than the supplier: {read(body)}")


def _warm(served: Served, on: Cores, seconds: int) -> None:
    for streamed in (False, True):
        loaded(on.load, served.port, served.headers, 8, max(1, seconds // 2), streamed=streamed)


def _used_s(served: Served) -> float:
    """Processor seconds of the gateway so far; 0 where there is none."""
    return cpu_s(served.process.number) if served.process else 0.0


def when_still(served: Served, supplier: Supplier) -> tuple[int, float]:
    """The supplier's count and the gateway's processor seconds, when what was under way has ended. Raises NotMeasured."""
    last = time.monotonic() + _STILL_LIMIT_S
    count, used_s = supplier.count, _used_s(served)
    while time.monotonic() < last:
        time.sleep(_STILL_S)
        before, before_s = count, used_s
        count, used_s = supplier.count, _used_s(served)
        if count == before and used_s - before_s <= _STILL_CPU_S:
            return count, used_s
    raise NotMeasured(f"it still worked {_STILL_LIMIT_S:.0f} s after the load had ended")


def _case(served: Served, on: Cores, supplier: Supplier, case: Case, seconds: int) -> Figures:
    answered, before_s = when_still(served, supplier)
    load = loaded(on.load, served.port, served.headers, case.connections, seconds, streamed=case.streamed)
    count, used_s = when_still(served, supplier)
    under_way = count - answered - load.requests
    if load.refused or load.broken:
        raise NotMeasured(
            f"{case.name}: of {load.requests} requests {load.refused} were refused and {load.broken} broken"
        )
    if not 0 <= under_way <= case.connections or not load.requests:
        raise NotMeasured(
            f"{case.name}: {load.requests} answers, but the supplier gave {load.requests + under_way}"
        )
    worked_on = load.requests + under_way / 2
    return Figures(
        load.requests / load.seconds, load.p50_us, load.p99_us, (used_s - before_s) * 1e6 / worked_on
    )


def _first_token(served: Served, on: Cores, supplier: Supplier, seconds: int) -> Figures:
    answered, before_s = when_still(served, supplier)
    command = [sys.executable, "-m", "benchmarks.gateway.client", str(served.port), str(seconds)]
    environment = {**os.environ, "BENCH_HEADERS": header_lines(served.headers)}
    ran = subprocess.run(
        pinned(on.load, command), check=True, capture_output=True, text=True, env=environment
    )
    said = json.loads(ran.stdout)
    count, used_s = when_still(served, supplier)
    given = count - answered
    if said["refused"] or said["requests"] != given:
        raise NotMeasured(f"{FIRST_ONE.name}: {said}, but the supplier gave {given}")
    return Figures(given / seconds, said["p50_us"], said["p99_us"], (used_s - before_s) * 1e6 / given)


def medians(rounds: Sequence[Round]) -> dict[str, Figures]:
    """Case by case the median of each figure over the rounds."""
    return {
        name: Figures(*(median(values) for values in zip(*(asdict(one.figures[name]).values() for one in rounds), strict=True)))
        for name in rounds[0].figures
    }  # fmt: skip


def added_us(rounds: Sequence[Round], direct: Sequence[Round], case: str, percentile: str) -> float:
    """The median over the rounds of what a gateway adds to the direct latency of the same round."""
    differences: list[float] = [
        getattr(one.figures[case], percentile) - getattr(other.figures[case], percentile)
        for one, other in zip(rounds, direct, strict=True)
    ]
    return median(differences)
