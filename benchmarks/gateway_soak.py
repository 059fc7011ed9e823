"""The gateway for an hour at half of what it can: `python -m benchmarks.gateway_soak`, or SECONDS=60 in the environment for less.

First its maximum is measured (32 connections, JSON and streams), then half of it is played to it steadily, one request in ten
streamed. Every 10 s its resident memory is read and a line is written to benchmarks/out/gateway/soak.json; once a minute one is
shown. Exit code 1 if memory grew by more than GROWTH_MAX_MB after warm-up, if anything was refused or broken, or if the
supplier's count is not the load's.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

from benchmarks.gateway.load import header_lines, loaded, require_wrk
from benchmarks.gateway.measure import check_answers, when_still
from benchmarks.gateway.ours import OurGateway
from benchmarks.gateway.peers import Gateway, Served
from benchmarks.gateway.rig import OUT, ROOT, Cores, NotMeasured, Supplier, cores, pinned, resident_kib
from benchmarks.gateway.steady import STREAM_EVERY, WINDOW_S

HOUR_S: Final = 3600.0
GROWTH_MAX_MB: Final = 20.0
_MAXIMUM_S: Final = 5
_WARM_SHARE: Final = 0.1
_SMOOTHED: Final = 6
"""So many windows make a figure at the start and one at the end: their median."""
_SHOWN_EVERY: Final = 6


@dataclass(frozen=True, slots=True)
class Sample:
    """One window: seconds since the start, resident memory at its end (all, and what is not of files), what the load said."""

    at_s: float
    resident_mb: float
    anonymous_mb: float
    answered: int
    refused: int
    broken: int
    p50_us: int
    p99_us: int
    max_us: int


def half_of_maximum(served: Served, on: Cores) -> float:
    """Half of the requests a second that the steady mix could reach: of what it takes for each kind, by its share."""
    whole, streamed = (
        loaded(on.load, served.port, served.headers, 32, _MAXIMUM_S, streamed=streamed)
        for streamed in (False, True)
    )
    share = 1 / STREAM_EVERY
    seconds_each = (1 - share) * whole.seconds / whole.requests + share * streamed.seconds / streamed.requests
    return 0.5 / seconds_each


def samples(served: Served, on: Cores, rate: float, seconds: float) -> Iterator[Sample]:
    """One sample a window while the load is played. Raises NotMeasured if the gateway ends."""
    assert served.process is not None
    command = [sys.executable, "-m", "benchmarks.gateway.steady", str(served.port), str(rate), str(seconds)]
    environment = {**os.environ, "BENCH_HEADERS": header_lines(served.headers)}
    with subprocess.Popen(
        pinned(on.load, command), stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as load:
        assert load.stdout is not None
        for number, line in enumerate(load.stdout, 1):
            if not served.process.alive:
                load.terminate()
                raise NotMeasured(f"the gateway ended: {served.process.last_words()}")
            resident, anonymous = (
                resident_kib(served.process.number, field) * 1024 / 1e6 for field in ("VmRSS", "RssAnon")
            )
            yield Sample(number * WINDOW_S, resident, anonymous, **json.loads(line))


def growth_mb(taken: Sequence[Sample]) -> float:
    """Resident memory at the end less that after warm-up (a tenth of the time), each the median of up to _SMOOTHED windows."""
    warm = taken[int(len(taken) * _WARM_SHARE) :]
    return median(one.resident_mb for one in warm[-_SMOOTHED:]) - median(
        one.resident_mb for one in warm[:_SMOOTHED]
    )


def shown(sample: Sample) -> str:
    """A sample as one line."""
    return (
        f"{sample.at_s / 60:6.1f} min  {sample.resident_mb:7.1f} MB ({sample.anonymous_mb:.1f} not of files)  "
        f"{sample.answered / WINDOW_S:8,.0f}/s  p50 {sample.p50_us / 1e3:.2f} ms  p99 {sample.p99_us / 1e3:.2f} ms  "
        f"max {sample.max_us / 1e3:.1f} ms  refused {sample.refused}  broken {sample.broken}"
    )


def verdict(taken: Sequence[Sample], given: int) -> tuple[list[str], bool]:
    """What is said at the end, and whether all is well."""
    grown = growth_mb(taken)
    answered, refused, broken = (
        sum(getattr(one, name) for one in taken) for name in ("answered", "refused", "broken")
    )
    tenth = max(1, len(taken) // 10)
    by_tenth = [max(one.p99_us for one in taken[at : at + tenth]) / 1e3 for at in range(0, len(taken), tenth)]
    held = "met" if grown <= GROWTH_MAX_MB else "MISSED"
    lines = [
        f"memory grew by {grown:.1f} MB after warm-up; at most {GROWTH_MAX_MB:.0f}: {held}",
        f"{answered:,} answered, {refused} refused, {broken} broken; the supplier gave {given:,}",
        f"worst p99 of a window, by tenths of the time: {', '.join(f'{p99:.1f}' for p99 in by_tenth)} ms",
    ]
    return lines, grown <= GROWTH_MAX_MB and not refused and not broken and given == answered


def soak(gateway: Gateway, seconds: float) -> bool:
    """Soak a gateway; whether all is well. Raises NotMeasured."""
    require_wrk()
    gateway.installed()
    on = cores()
    with Supplier(on.load) as supplier:
        served = gateway.started(on.gateway, supplier.port)
        if served.process is None:
            raise NotMeasured(f"{gateway.name} is no process")
        with served.process:
            check_answers(served)
            rate = half_of_maximum(served, on)
            print(
                f"soak: {gateway.name}, {rate:,.0f} requests/s for {seconds:,.0f} s, one in {STREAM_EVERY} streamed; {on}"
            )
            before, taken = when_still(served, supplier)[0], []
            for sample in samples(served, on, rate, seconds):
                taken.append(sample)
                if len(taken) % _SHOWN_EVERY == 1:
                    print(shown(sample), flush=True)
            lines, well = verdict(taken, supplier.count - before)
    (OUT / "gateway" / "soak.json").write_text(json.dumps([asdict(one) for one in taken], indent=1) + "\n")
    print("\n".join(lines))
    return well


def main() -> int:
    """Exit code 0 if all is well, 1 if not, 2 if it could not be run."""
    try:
        return 0 if soak(OurGateway(), float(os.environ.get("SECONDS", HOUR_S))) else 1
    except NotMeasured as reason:
        print(f"soak: {reason}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
