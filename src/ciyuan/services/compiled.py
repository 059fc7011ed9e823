"""The door compiled: the modules that every request goes through, made machine code by mypyc (`make compile`), if that was done.

    use(Choice)      before any of them is imported: from now on they are the compiled ones
    running()        which run: "compiled" or "interpreted"

A build lies apart from the sources, in build/compiled/KEY, and the key is a digest of every source of the package and the
interpreter's own tag: a build of other sources has another key, so it is never found. The sources stay the truth: compiled,
they do the same, and the same tests say so. What differs: a compiled class takes no attribute that it does not declare,
and an argument of another type than its annotation says is refused with a TypeError.

All of them are compiled, or none: one calls the other's machine code without looking whether it was loaded.
"""

import hashlib
import sys
import sysconfig
from collections.abc import Sequence
from enum import Enum
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from ciyuan.basics.errors import Malformed

ENVIRONMENT = "CIYUAN_COMPILED"
"""1: the compiled door, or none; 0: the interpreted one."""
PACKAGE = Path(__file__).parent.parent
BUILDS = PACKAGE.parent.parent / "build" / "compiled"
GROUP = "ciyuan_door"
"""What the modules' common library is called; mypyc adds `__mypyc`."""
LIBRARY = f"{GROUP}__mypyc"
MODULES = (
    "ciyuan.basics.rows",
    "ciyuan.gateway.answer",
    "ciyuan.gateway.answer_anthropic",
    "ciyuan.gateway.answer_openai",
    "ciyuan.gateway.answer_responses",
    "ciyuan.gateway.ask",
    "ciyuan.gateway.ask_forward",
    "ciyuan.gateway.ask_parts",
    "ciyuan.gateway.ask_plain",
    "ciyuan.gateway.claims",
    "ciyuan.gateway.door_refusals",
    "ciyuan.gateway.ending",
    "ciyuan.gateway.messages",
    "ciyuan.gateway.route",
    "ciyuan.gateway.route_choice",
    "ciyuan.gateway.route_endings",
    "ciyuan.gateway.route_exam",
    "ciyuan.gateway.route_health",
    "ciyuan.gateway.route_lane",
    "ciyuan.gateway.route_limits",
    "ciyuan.gateway.route_measure",
    "ciyuan.gateway.route_price",
    "ciyuan.gateway.route_watch",
    "ciyuan.gateway.settlement",
    "ciyuan.gateway.sse",
    "ciyuan.gateway.usage",
    "ciyuan.services.door.attempt",
    "ciyuan.services.door.call",
    "ciyuan.services.door.client_connection",
    "ciyuan.services.door.counters",
    "ciyuan.services.door.door",
    "ciyuan.services.door.door_words",
    "ciyuan.services.door.group_host",
    "ciyuan.services.door.numbering",
    "ciyuan.services.door.supplier_connection",
    "ciyuan.services.door.supplier_site",
)
"""What is compiled: where a request's time goes. msgspec's kinds (`*_shapes`) are made of annotations, and can't be."""


class Choice(Enum):
    """Which door is asked for."""

    AS_BUILT = None
    """The compiled one, if there is a build of these sources."""
    COMPILED = True
    INTERPRETED = False


def source_of(module: str) -> Path:
    """A module's source."""
    return PACKAGE.parent / f"{module.replace('.', '/')}.py"


def key() -> str:
    """What a build of these sources for this interpreter is called."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_bytes()
        digest.update(b"%b %d\n" % (path.relative_to(PACKAGE).as_posix().encode(), len(source)))
        digest.update(source)
    return f"{sysconfig.get_config_var('SOABI')}-{digest.hexdigest()[:20]}"


def library_in(build: Path, module: str) -> Path:
    """Where a module's compiled file is, in a build."""
    return build / f"{module.replace('.', '/')}{EXTENSION_SUFFIXES[0]}"


def build_of() -> Path | None:
    """The build of exactly these sources, if it was made."""
    if not BUILDS.is_dir():
        return None
    build = BUILDS / key()
    return build if build.is_dir() else None


class Finder(MetaPathFinder):
    """Finds the compiled modules of a build, and nothing else."""

    def __init__(self, build: Path) -> None:
        self._paths = {name: library_in(build, name) for name in (LIBRARY, *MODULES)}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """How to load a module, if it is one of ours."""
        found = self._paths.get(fullname)
        return None if found is None else spec_from_file_location(fullname, found)


def use(choice: Choice) -> None:
    """Let the door be what is asked for. Raises Malformed where the compiled one is, and there is no build of these sources."""
    if choice is Choice.INTERPRETED:
        return
    build = build_of()
    if build is None:
        if choice is Choice.COMPILED:
            raise Malformed("compiled door", found=f"no build of these sources in {BUILDS}", expected=key(),
                            remedy="Run `make compile`, or serve with --interpreted.")  # fmt: skip
        return
    if any(isinstance(each, Finder) for each in sys.meta_path):
        return
    early = [name for name in MODULES if name in sys.modules]
    if early:
        raise Malformed("compiled door", found=f"{early[0]} imported already", expected="none of its modules imported",
                        remedy="Choose the door before anything of it is imported.")  # fmt: skip
    sys.meta_path.insert(0, Finder(build))


def is_stale() -> bool:
    """Whether what was compiled for this interpreter is of other sources."""
    tag = f"{sysconfig.get_config_var('SOABI')}-"
    return (
        BUILDS.is_dir() and build_of() is None and any(each.name.startswith(tag) for each in BUILDS.iterdir())
    )


def running() -> str:
    """Which door runs, by what its modules were loaded from."""
    spec = getattr(sys.modules.get("ciyuan.services.door.door"), "__spec__", None)
    return "compiled" if isinstance(getattr(spec, "loader", None), ExtensionFileLoader) else "interpreted"
