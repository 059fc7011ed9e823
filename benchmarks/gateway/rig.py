"""Processes of the benchmark: each held on one core, its processor time and memory read from /proc, ended by its own number.

The gateway has a core for itself; the supplier and the load share the other. Where there is one core only, all share it.
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path(__file__).parents[2]
OUT: Final = ROOT / "benchmarks" / "out"
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_END_S: Final = 15.0
_POLL_S: Final = 0.1


class NotMeasured(Exception):
    """What stands in the way of measuring something, in words for the reader of the results."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The numbers of the two cores."""

    gateway: int
    load: int

    def __str__(self) -> str:
        """As the results say it."""
        if self.gateway == self.load:
            return "gateway, supplier and load on one core (there is no second)"
        return "the gateway alone on one core, supplier and load on another"


def cores() -> Cores:
    """The last usable core for the gateway (the first one takes more of the machine's interrupts), the first for the rest."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(gateway=usable[-1], load=usable[0])


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """The command held on a core, with all that it starts. Raises NotMeasured where there is no `taskset`."""
    if shutil.which("taskset") is None:
        raise NotMeasured("there is no taskset on this machine (Debian: util-linux)")
    return ["taskset", "--cpu-list", str(core), *command]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tree(root: int) -> list[int]:
    """A process and all its descendants, by number."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (words := _stat(int(entry.name))):
            children.setdefault(int(words[1]), []).append(int(entry.name))
    found = [root]
    for number in found:
        found += children.get(number, ())
    return found


def _stat(number: int) -> list[str]:
    """The words of /proc/N/stat from the state on (word 3 of proc(5)); none if the process is gone."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_s(root: int) -> float:
    """User and system seconds of a process tree, of children that have ended too (utime, stime, cutime, cstime of proc(5))."""
    return sum(int(word) for number in tree(root) for word in _stat(number)[11:15]) / _TICKS_PER_S


def resident_kib(root: int, field: str = "VmRSS") -> int:
    """Resident memory of a process tree (`RssAnon`: what is not of files); pages that two share count twice."""
    total = 0
    for number in tree(root):
        with suppress(OSError):
            lines = Path(f"/proc/{number}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
    return total


class Process(AbstractContextManager["Process"]):
    """A started process, its output in a file. On leaving it is asked to end, and after _END_S made to."""

    def __init__(
        self, name: str, core: int, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        """Start it. The name is that of its log under benchmarks/out."""
        self.log = OUT / "gateway" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                pinned(core, command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                cwd=ROOT,
            )
        self.number = self._process.pid

    def __enter__(self) -> Self:
        """The started process."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.end()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def end(self) -> int:
        """Ask it to end (SIGTERM), after _END_S end its whole session; the exit status."""
        self._process.terminate()
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.number, signal.SIGKILL)
            return self._process.wait()

    def last_words(self) -> str:
        """The last line that it wrote."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "no word"


def asked(
    port: int, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body of one request to 127.0.0.1 over a connection of its own. Raises OSError or http.client.HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Supplier(Process):
    """The mock supplier, on the load's core."""

    def __init__(self, core: int) -> None:
        """Started and answering."""
        self.port = free_port()
        super().__init__(
            "supplier", core, [sys.executable, "-m", "benchmarks.gateway.supplier", str(self.port)]
        )
        try:
            wait_until_serving(self, self.port, "/count", 20)
        except NotMeasured:
            self.end()
            raise

    @property
    def count(self) -> int:
        """How many requests it has answered."""
        return int(asked(self.port, "GET", "/count")[1])

    def set_gap(self, gap_ms: int) -> None:
        """Milliseconds between two events of a stream from now on; 0: a turn of the loop."""
        asked(self.port, "GET", f"/gap/{gap_ms}")


def wait_until_serving(process: Process, port: int, path: str, limit_s: float) -> None:
    """Return when a GET of this path is answered 200. Raises NotMeasured if the process ends first or takes too long."""
    last = time.monotonic() + limit_s
    while time.monotonic() < last:
        if not process.alive:
            raise NotMeasured(f"it ended while it started: {process.last_words()}")
        with suppress(OSError, http.client.HTTPException):
            if asked(port, "GET", path)[0] == http.HTTPStatus.OK:
                return
        time.sleep(_POLL_S)
    raise NotMeasured(f"it did not serve within {limit_s:.0f} s: {process.last_words()}")
