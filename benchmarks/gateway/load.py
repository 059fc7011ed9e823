"""The load: Debian's wrk (closed loop, keep-alive connections, whole responses) and what it says at its end."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.gateway import traffic
from benchmarks.gateway.rig import ROOT, NotMeasured, pinned

_SCRIPT: Final = Path(__file__).parent / "wrk.lua"
_TIMEOUT_S: Final = 30
"""A peer that takes seconds under load is slow, not broken."""
_SAID: Final = "measured "


@dataclass(frozen=True, slots=True)
class Load:
    """One run of wrk: completed requests, seconds, latencies, answers of 400 and above, connections that failed."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    refused: int
    broken: int


def read_load(output: str) -> Load:
    """What `wrk.lua` said. Raises NotMeasured if it did not come so far."""
    said = [line for line in output.splitlines() if line.startswith(_SAID)]
    if not said:
        raise NotMeasured(f"wrk said no result: {output.strip()[-200:]}")
    words = json.loads(said[-1].removeprefix(_SAID))
    return Load(
        int(words["requests"]), words["us"] / 1e6, words["p50_us"], words["p99_us"], int(words["refused"]), int(words["broken"])
    )  # fmt: skip


def header_lines(headers: Mapping[str, str]) -> str:
    """Headers as the load's programs take them from the environment: `name: value`, a line each."""
    return "".join(f"{name}: {value}\n" for name, value in headers.items())


def loaded(
    core: int, port: int, headers: Mapping[str, str], connections: int, seconds: int, *, streamed: bool
) -> Load:
    """Load on a port of 127.0.0.1 from one thread. Raises NotMeasured if wrk fails."""
    command = [
        "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
        "--timeout", f"{_TIMEOUT_S}s", "--script", str(_SCRIPT), f"http://127.0.0.1:{port}{traffic.PATH}",
    ]  # fmt: skip
    environment = {
        "BENCH_BODY": traffic.question(streamed=streamed).decode(),
        "BENCH_HEADERS": header_lines(headers),
    }
    ran = subprocess.run(
        pinned(core, command), check=False, capture_output=True, text=True, env={**os.environ, **environment}
    )
    if ran.returncode:
        raise NotMeasured(f"wrk failed: {ran.stderr.strip() or ran.stdout.strip()}")
    return read_load(ran.stdout)


def require_wrk() -> None:
    """Install Debian's wrk where it is missing and can be. Raises NotMeasured where it cannot."""
    if shutil.which("wrk") is None:
        fetched("wrk")


def fetched(program: str, *arguments: str) -> None:
    """Have scripts/need_load get a Debian program. Raises NotMeasured with its words if it could not."""
    command = ["bash", str(ROOT / "scripts" / "need_load"), program, *arguments]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    if ran.returncode:
        raise NotMeasured(" ".join(ran.stderr.split()))
