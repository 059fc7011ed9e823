"""Where the gateway's processor time goes: `python -m benchmarks.gateway_profile [--streamed] [--seconds 5] [--connections 32]`.

| view | how | what it is good for |
|---|---|---|
| a request | processor time of the process tree over a load, nothing watching | the figure that the others are shares of |
| by shared object and symbol | `perf record`, where perf is there | kernel, interpreter, loop: what is not ours to change |
| by function of Python | cProfile in the process, main thread | ours; short functions look dearer than they are |
"""

import argparse
import cProfile
import os
import pstats
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import thread_time
from typing import Any, Final, cast

from benchmarks.gateway.load import loaded, require_wrk
from benchmarks.gateway.measure import when_still
from benchmarks.gateway.ours import OurGateway
from benchmarks.gateway.peers import Gateway, Served
from benchmarks.gateway.rig import OUT, Cores, NotMeasured, Supplier, cores

WATCHED: Final = "--watched"
SHOWN: Final = 40
_PERF_HZ: Final = 2_000
_WARM_S: Final = 2
_Row = tuple[int, int, float, float, dict[Any, Any]]
"""What pstats keeps of a function: primitive calls, calls, own seconds, seconds with callees, callers."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The load that is watched."""

    streamed: bool
    seconds: int
    connections: int


@contextmanager
def served_by(gateway: Gateway, on: Cores, supplier: Supplier) -> Iterator[Served]:
    """A started gateway that is a process; ended on leaving. Raises NotMeasured."""
    gateway.installed()
    served = gateway.started(on.gateway, supplier.port)
    if served.process is None:
        raise NotMeasured(f"{gateway.name} is no process")
    with served.process:
        yield served


def requests_and_us(
    served: Served,
    on: Cores,
    supplier: Supplier,
    asked: Asked,
    begin: Callable[[Served], None] = lambda _: None,
) -> tuple[int, float]:
    """Requests under one load after a warm-up and `begin`, and us of processor time of each."""
    loaded(on.load, served.port, served.headers, asked.connections, _WARM_S, streamed=asked.streamed)
    count, used_s = when_still(served, supplier)
    begin(served)
    loaded(on.load, served.port, served.headers, asked.connections, asked.seconds, streamed=asked.streamed)
    requests, after_s = when_still(served, supplier)
    return requests - count, (after_s - used_s) * 1e6 / (requests - count)


def by_symbol(served: Served, on: Cores, supplier: Supplier, asked: Asked, request_us: float) -> str:
    """us a request by shared object and by symbol, or why there is no such view."""
    perf = shutil.which("perf")
    if perf is None or served.process is None:
        return "no view by symbol: there is no perf on this machine (Debian: linux-perf)"
    data = str(OUT / "gateway" / "perf.data")
    record = [perf, "record", "--quiet", "--event", "cpu-clock", "--freq", str(_PERF_HZ), "--output", data]
    with subprocess.Popen(
        [*record, "--pid", str(served.process.number)], stderr=subprocess.DEVNULL
    ) as recording:
        loaded(
            on.load, served.port, served.headers, asked.connections, asked.seconds, streamed=asked.streamed
        )
        recording.terminate()
    when_still(served, supplier)
    views = []
    for sort in ("dso", "dso,symbol"):
        report = [perf, "report", "--stdio", "--input", data, "--sort", sort, "--percent-limit", "0.5"]
        said = subprocess.run(report, check=False, capture_output=True, text=True).stdout
        views += [f"  us a request by {sort}", *perf_lines(said, request_us)]
    return "\n".join(views)


def perf_lines(report: str, request_us: float) -> list[str]:
    """The first SHOWN entries of a perf report, their percentages as us of a request."""
    entries = [
        line.split(maxsplit=1) for line in report.splitlines() if line.strip() and not line.startswith("#")
    ]
    return [
        f"  {float(share.rstrip('%')) / 100 * request_us:8.2f}  {' '.join(name.split())}"
        for share, name in (entry for entry in entries if len(entry) == 2 and entry[0].endswith("%"))
    ][:SHOWN]


def by_function(profile: Path, requests: int) -> str:
    """Calls and own us a request by function, the dearest SHOWN, of a cProfile file."""
    stats = cast(dict[tuple[str, int, str], _Row], cast(Any, pstats.Stats(str(profile))).stats)
    rows = sorted(stats.items(), key=lambda item: -item[1][2])[:SHOWN]
    lines = [
        f"  {own_s * 1e6 / requests:8.2f} {calls / requests:8.2f}  {_where(file, line)}{name}"
        for (file, line, name), (_, calls, own_s, _, _) in rows
    ]
    return "\n".join(["  own us    calls  function (a request, as cProfile sees it)", *lines])


def _where(file: str, line: int) -> str:
    return "" if file == "~" else f"{'/'.join(Path(file).parts[-2:])}:{line} "


def watched(profile: str, arguments: list[str]) -> None:
    """Be `ciyuan` with these arguments, under cProfile from SIGUSR1 on; the profile is written at the end."""
    from ciyuan.services.cli import main as ciyuan

    watching = cProfile.Profile(thread_time)
    signal.signal(signal.SIGUSR1, lambda *_: watching.enable())
    sys.argv = ["ciyuan", *arguments]
    try:
        ciyuan()
    finally:
        watching.disable()
        watching.dump_stats(profile)


def profiled(asked: Asked) -> None:
    """Print the three views. Raises NotMeasured."""
    require_wrk()
    on = cores()
    profile = OUT / "gateway" / "profile"
    with Supplier(on.load) as supplier:
        with served_by(OurGateway(), on, supplier) as served:
            _, request_us = requests_and_us(served, on, supplier, asked)
            print(f"profile: {request_us:.1f} us of CPU a request, nothing watching; {asked}; {on}")
            print(by_symbol(served, on, supplier, asked, request_us))
        inside = (sys.executable, "-m", "benchmarks.gateway_profile", WATCHED, str(profile))
        with served_by(OurGateway(inside), on, supplier) as served:
            requests, watched_us = requests_and_us(served, on, supplier, asked, begin=_watch)
    print(f"profile: {watched_us:.1f} us of CPU a request under cProfile")
    print(by_function(profile, requests))


def _watch(served: Served) -> None:
    assert served.process is not None
    os.kill(served.process.number, signal.SIGUSR1)


def main() -> int:
    """Exit code 0; 2 if it could not be measured."""
    if sys.argv[1:2] == [WATCHED]:
        watched(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(
        prog="gateway_profile", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--streamed", action="store_true")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args()
    try:
        profiled(Asked(given.streamed, given.seconds, given.connections))
    except NotMeasured as reason:
        print(f"profile: {reason}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
