"""What a benchmark reports, and the clocks it may use.

    def run() -> list[Result]        # in a module benchmarks/bench_<name>.py: that is all it takes to join `make bench`

`Result.ratio` compares `value` with a `baseline` that was measured in the same run on the same machine: a figure without one
says more about the machine than about the code.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time


@cache
def machine() -> str:
    """This machine in one line: processor, usable cores, memory, system and the versions that decide speed."""
    cpu = _proc_field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
    memory_kib = int((_proc_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0])
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} cores, {memory_kib / 2**20:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, NumPy {version('numpy')}, Numba {version('numba')}"
    )


def _proc_field(path: str, name: str) -> str:
    """The first value of a `name : value` line of a file under /proc, or "" where there is none."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


@dataclass(frozen=True, slots=True)
class Result:
    """One measured figure.

    `value` and `baseline` are in `unit`; `against` says what the baseline is; both are absent (None, "") where nothing
    comparable exists. `mix` is what was done, `exclusions` what the figure leaves out. `at_least` or `at_most` is the
    project's own goal.
    """

    name: str
    value: float
    unit: str
    mix: str
    exclusions: str
    baseline: float | None = None
    against: str = ""
    at_least: float | None = None
    at_most: float | None = None
    machine: str = field(default_factory=machine)

    def __post_init__(self) -> None:
        if not (self.name and self.unit and self.mix and self.exclusions and self.machine):
            raise ValueError(
                f"benchmark {self.name!r}: name, unit, mix, exclusions and machine must all be said"
            )
        if (self.baseline is None) != (not self.against):
            raise ValueError(
                f"benchmark {self.name!r}: a baseline needs `against` to say what it is, and the other way round"
            )

    @property
    def ratio(self) -> float | None:
        """`value` / `baseline`; None without a baseline."""
        return self.value / self.baseline if self.baseline else None

    @property
    def goal(self) -> str:
        """The goal and whether it was met, or "" without one."""
        if self.at_least is not None:
            return f"≥ {self.at_least:,.6g}: {'met' if self.value >= self.at_least else 'MISSED'}"
        if self.at_most is not None:
            return f"≤ {self.at_most:,.6g}: {'met' if self.value <= self.at_most else 'MISSED'}"
        return ""

    def as_json(self) -> dict[str, str | float | None]:
        """The seven fields that benchmarks/out/results.json holds; what is left out, and the baseline's name, close `mix`."""
        against = f" Baseline: {self.against}." if self.against else ""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "baseline": self.baseline,
            "ratio": self.ratio,
            "mix": f"{self.mix}. Leaves out: {self.exclusions}.{against}",
            "machine": self.machine,
        }


def cpu_time(work: Callable[[], object], repeats: int = 5) -> float:
    """CPU seconds of this process for one call of `work`: the best of `repeats`. For what computes."""
    return min(_elapsed(work, process_time) for _ in range(repeats))


def wall_time(work: Callable[[], object], repeats: int = 5) -> float:
    """Seconds on the wall for one call of `work`: the best of `repeats`. For what waits."""
    return min(_elapsed(work, perf_counter) for _ in range(repeats))


def _elapsed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start
