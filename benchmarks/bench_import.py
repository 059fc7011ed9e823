"""How long a start takes: importing the package, importing what every stage says, and the command line's help."""

import subprocess
import sys
from pkgutil import iter_modules

import ciyuan
from benchmarks.record import Result, wall_time

ROUNDS = 7


def import_s(statement: str) -> float:
    """Seconds that an import statement takes in a fresh interpreter: the best of `ROUNDS`, files cached by the system."""
    code = f"from time import perf_counter as clock; start = clock(); {statement}; print(clock() - start)"
    return min(
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(ROUNDS)
    )


def help_s() -> float:
    """Seconds on the wall of `ciyuan --help`, the interpreter's own start counted: the best of `ROUNDS`."""
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv = ['ciyuan', '--help']; from ciyuan.services.cli import main; main()",
    ]
    return wall_time(lambda: subprocess.run(command, check=True, capture_output=True), ROUNDS)


def run() -> list[Result]:
    """Three starts."""
    numpy_s = import_s("import numpy")
    mix = f"a fresh interpreter each time, best of {ROUNDS}"
    left_out = "the interpreter's own start; a disk that has not read the files before"
    stages = ", ".join(
        module.name for module in iter_modules(ciyuan.__path__, "ciyuan.") if module.name != "ciyuan.services"
    )
    return [
        Result(
            "import ciyuan",
            import_s("import ciyuan"),
            "s",
            mix,
            left_out,
            numpy_s,
            "import numpy",
            at_most=0.2,
        ),
        Result(
            "import all messages",
            import_s(f"import {stages}"),
            "s",
            mix,
            left_out,
            numpy_s,
            "import numpy",
            at_most=0.2,
        ),
        Result(
            "ciyuan --help", help_s(), "s", f"the whole process, best of {ROUNDS}", "a cold disk", at_most=0.3
        ),
    ]
