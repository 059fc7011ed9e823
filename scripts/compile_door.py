"""Compiles the door (`make compile`): the modules that ciyuan.services.compiled lists, with mypyc and a C compiler.

    python scripts/compile_door.py

The build goes to build/compiled/KEY, where the key is a digest of the sources and the interpreter's tag; it is put in place at
once, when it is whole, and earlier builds for the same interpreter go. If there is one of these sources already, nothing is done.
"""

import importlib.util
import os
import shlex
import shutil
import sys
import sysconfig
import time
from pathlib import Path

from ciyuan.services import compiled

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Compile, unless it is done; the exit status."""
    name = compiled.key()
    place = compiled.BUILDS / name
    if place.is_dir():
        sys.stdout.write(f"compile: {place.name} is there\n")
        return 0
    missing = lacking()
    if missing:
        sys.stderr.write(f"compile: {missing}\n")
        return 1
    began = time.monotonic()
    work = compiled.BUILDS / f".work-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    try:
        build(work)
        for old in compiled.BUILDS.glob(f"{sysconfig.get_config_var('SOABI')}-*"):
            shutil.rmtree(old)
        if compiled.key() != name:
            sys.stderr.write("compile: a source changed meanwhile. Remedy: run it again.\n")
            return 1
        (work / "lib").rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    octets = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    sys.stdout.write(
        f"compile: {place.name}: {len(compiled.MODULES)} modules, {octets / 2**20:.1f} MiB, "
        f"{time.monotonic() - began:.0f} s\n"
    )
    return 0


def lacking() -> str | None:
    """What is missing to compile with, and the remedy; None if nothing is."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(command) is None:
        return (
            f"there is no C compiler: looked for `{command}` on the path.\n"
            f"         Remedy (Debian, Ubuntu): apt-get install gcc libc6-dev; or name one in CC.\n"
            "         Without it the door runs interpreted."
        )
    for module in ("mypyc", "setuptools"):
        if importlib.util.find_spec(module) is None:
            return f"there is no {module} in this environment. Remedy: make setup, which installs what is developed with."
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        return (
            f"there are no headers of Python {sys.version_info[0]}.{sys.version_info[1]}: looked for {header}.\n"
            f"         Remedy (Debian, Ubuntu): apt-get install python3-dev. Without them the door runs interpreted."
        )
    return None


def build(work: Path) -> None:
    """Compile into `work`/lib; ends the program with mypyc's or the compiler's words where that fails."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    os.chdir(ROOT)
    extensions = mypycify(
        [
            "--config-file=pyproject.toml",
            "--no-warn-unused-configs",
            *(str(compiled.source_of(name).relative_to(ROOT)) for name in compiled.MODULES),
        ],
        opt_level="2",
        debug_level="0",
        group_name=compiled.GROUP,
        target_dir=str(work / "c"),
    )
    compiling = Distribution({"name": compiled.GROUP, "ext_modules": extensions}).get_command_obj("build_ext")
    compiling.build_lib, compiling.build_temp = str(work / "lib"), str(work / "o")
    compiling.ensure_finalized()
    compiling.run()


if __name__ == "__main__":
    sys.exit(main())
