"""The month as a user plays it: `ciyuan run` in a process of its own, its wall and CPU time and its peak memory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory

from benchmarks.record import Result, wall_time

WALL_S_MAX, MEMORY_GB_MAX = 60.0, 1.5
OUT = Path(__file__).parent / "out"
CODE = "from ciyuan.services.cli import main; main()"
MEASURED = (
    "import json, resource, sys; from ciyuan.services import cli\n"
    "try: cli.main()\n"
    "finally: sys.stderr.write(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
)


def played(folder: Path) -> tuple[dict[str, float], float, float, float]:
    """The summary of a run with all defaults, its wall and CPU seconds (children's, start and exit counted), its peak GB."""
    command = [sys.executable, "-c", MEASURED, "run", "--out", str(folder), "--progress", "none", "--json"]
    ended: list[subprocess.CompletedProcess[str]] = []
    before = getrusage(RUSAGE_CHILDREN)
    wall_s = wall_time(
        lambda: ended.append(subprocess.run(command, check=True, capture_output=True, text=True)), 1
    )
    after = getrusage(RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(ended[0].stdout), wall_s, cpu_s, int(ended[0].stderr) * 1024 / 1e9


def verified_s(folder: Path) -> float:
    """Seconds on the wall of `ciyuan verify` of that run."""
    command = [sys.executable, "-c", CODE, "verify", str(folder), "--progress", "none", "--json"]
    return wall_time(lambda: subprocess.run(command, check=True, capture_output=True), 1)


def run() -> list[Result]:
    """The month once: time, CPU time and memory beside their limits; and how long it takes to verify it."""
    OUT.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=OUT) as name:
        summary, wall_s, cpu_s, peak_gb = played(Path(name) / "run")
        verify_s = verified_s(Path(name) / "run")
    mix = (
        f"ciyuan run with all defaults: {summary['requests_metered']:,} metered requests, {summary['orders']:,} orders, "
        f"{summary['trades']:,} trades, {summary['journal_rows']:,} journaled rows, {summary['audits']:,} audits, tables and "
        f"report; once, on {len(os.sched_getaffinity(0))} cores that may be shared"
    )
    left_out = "installation; the kernels' first compilation"
    limit = "the limit that the project sets itself"
    again = f"{mix}, replayed from its journal and audited again"
    return [
        Result("month: wall time", wall_s, "s", mix, left_out, WALL_S_MAX, limit, at_most=WALL_S_MAX),
        Result("month: CPU time", cpu_s, "s", mix, left_out, WALL_S_MAX, f"{limit} for wall time"),
        Result(
            "month: peak memory", peak_gb, "GB", mix, left_out, MEMORY_GB_MAX, limit, at_most=MEMORY_GB_MAX
        ),
        Result("month: verified", verify_s, "s", again, left_out, wall_s, "playing it"),
    ]
