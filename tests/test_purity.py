"""Below services there is no file, socket, clock or chance; in what is owed there is no float; a stage is met by its messages."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.sources import FLOORS, PACKAGE, Source, none_of, package_sources

BELOW_SERVICES = tuple(room for room in FLOORS if room != "services")
OWED_ROOMS = ("ledger", "journal", "gateway", "exchange", "index", "clearing", "venue")
OWED_BASICS = ("money", "tokens", "price", "grade", "time", "calendar", "rows", "ids", "state")
MODELS = frozenset({"clearing/scenarios.py", "clearing/scenario_kernels.py", "clearing/backtest.py"})
"""Models of prices in rooms of what is owed: nothing that they say is owed until a named bridge has made whole ticks of it."""
BRIDGES = {"basics/money.py:micro_half_up"}
"""The one function that takes a float into money, and says in its name how it rounds."""

DOORS = {
    "asyncio", "ctypes", "fcntl", "ftplib", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os", "pathlib",
    "random", "sched", "secrets", "select", "selectors", "shelve", "shutil", "signal", "smtplib", "socket", "socketserver",
    "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "tomllib", "urllib", "uuid", "zoneinfo",
}  # fmt: skip
"""Modules of the standard library that open on the world."""
DOOR_CALLS = {"open", "print", "input", "exec", "eval", "compile", "breakpoint", "__import__"}
DOOR_METHODS = {
    "read_text", "write_text", "read_bytes", "write_bytes", "urandom", "utcnow", "uuid4",
    "fromfile", "tofile", "memmap", "loadtxt", "savetxt", "savez", "genfromtxt",
}  # fmt: skip
DOOR_FUNCTIONS = (
    "datetime.now",
    "datetime.today",
    "date.today",
    "np.load",
    "np.save",
    "numpy.load",
    "numpy.save",
)
SEEDED = {"Generator", "PCG64", "PCG64DXSM", "Philox", "SeedSequence", "default_rng"}
NEEDS_SEED = {"PCG64", "PCG64DXSM", "Philox", "SeedSequence", "default_rng"}


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a chain of attributes; "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module


def door_in(node: ast.AST) -> str:
    """What a node opens on the world, in words; "" for nothing."""
    through = [name for name in imported(node) if name.partition(".")[0] in DOORS]
    if through:
        return f"imports {through[0]}"
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in DOOR_CALLS:
            return f"calls {node.func.id}("
        if isinstance(node.func, ast.Attribute) and node.func.attr in DOOR_METHODS:
            return f"calls .{node.func.attr}("
        if dotted(node.func).endswith(DOOR_FUNCTIONS):
            return f"calls {dotted(node.func)}("
    return ""


def chance_in(node: ast.AST) -> str:
    """What a node draws from unseeded chance; "" for nothing."""
    name = dotted(node)
    if name.startswith(("np.random.", "numpy.random.")) and name.split(".")[2] not in SEEDED:
        return f"draws from {name}"
    if isinstance(node, ast.Call) and not (node.args or node.keywords):
        called = dotted(node.func).rpartition(".")
        if called[2] in NEEDS_SEED and called[0] in {"", "np.random", "numpy.random"}:
            return f"calls {called[2]}() without a seed"
    return (
        "imports numpy.random" if any(module.startswith("numpy.random") for module in imported(node)) else ""
    )


@pytest.mark.parametrize("room", BELOW_SERVICES)
def test_no_file_socket_or_clock_below_services(room: str):
    found = [
        f"{s.at(node)} {door_in(node)}"
        for s in package_sources(room)
        for node in ast.walk(s.tree)
        if door_in(node)
    ]
    none_of(found, "only services may do this; hand its result in as a value.")


@pytest.mark.parametrize("room", BELOW_SERVICES)
def test_no_chance_but_the_seeded_one_of_the_simulation(room: str):
    found = []
    for source in package_sources(room):
        for node in ast.walk(source.tree):
            what = chance_in(node)
            if not what and room != "simulation" and dotted(node) in {"np.random", "numpy.random"}:
                what = "touches np.random"
            if what:
                found.append(f"{source.at(node)} {what}")
    none_of(found, "chance is a seeded np.random.Generator made in simulation, with the seed given.")


def owed_sources() -> list[Source]:
    basics = [source for source in package_sources("basics") if source.path.stem in OWED_BASICS]
    owed = [
        source
        for source in package_sources(*OWED_ROOMS)
        if source.name.removeprefix("src/ciyuan/") not in MODELS
    ]
    return [*owed, *basics]


def without_bridges(source: Source) -> Iterator[ast.AST]:
    """Every node of a source but those inside the named bridge."""
    waiting: list[ast.AST] = [source.tree]
    while waiting:
        node = waiting.pop()
        if (
            isinstance(node, ast.FunctionDef)
            and f"{source.name.removeprefix('src/ciyuan/')}:{node.name}" in BRIDGES
        ):
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def float_in(node: ast.AST) -> str:
    """How a node brings in a float, in words; "" if it does not."""
    if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
        return f"holds {node.value!r}"
    if isinstance(node, ast.Name | ast.Attribute) and dotted(node).rpartition(".")[2] in {
        "float",
        "float32",
        "float64",
        "nan",
        "inf",
    }:
        return f"names {dotted(node)}"
    if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
        return "divides with /"
    return "imports math's floats" if any(name == "statistics" for name in imported(node)) else ""


def test_nothing_owed_is_a_float():
    found = [
        f"{s.at(node)} {float_in(node)}"
        for s in owed_sources()
        for node in without_bridges(s)
        if float_in(node)
    ]
    none_of(
        found,
        f"what is owed is an integer; // or a named division of basics.money. The one bridge is {', '.join(BRIDGES)}.",
    )


def test_the_bridge_is_there():
    names = {
        f"basics/{s.path.name}:{function.name}"
        for s in package_sources("basics")
        for function in s.functions()
    }
    assert names >= BRIDGES


def test_basics_imports_the_standard_library_only():
    found = [
        f"{source.at(node)} imports {name}"
        for source in package_sources("basics")
        for node in ast.walk(source.tree)
        for name in imported(node)
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("ciyuan.basics")
    ]
    none_of(found, "basics is the ground floor.")


@pytest.mark.parametrize("room", FLOORS)
def test_a_stage_opens_with_its_messages_only(room: str):
    found = []
    for source in package_sources(room):
        if source.path != PACKAGE / room / "__init__.py":
            continue
        for node in source.tree.body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            exports = isinstance(node, ast.Assign) and [dotted(target) for target in node.targets] == [
                "__all__"
            ]
            messages = (
                isinstance(node, ast.ImportFrom)
                and node.module == f"ciyuan.{room}.messages"
                and not node.level
            )
            if not (docstring or exports or messages):
                found.append(f"{source.at(node)} {ast.unparse(node).splitlines()[0]}")
    none_of(found, f"ciyuan/{room}/__init__.py re-exports from ciyuan.{room}.messages, and nothing else.")


def test_no_untyped_dictionaries_pass_between_modules():
    found = [
        f"{source.at(node)} {ast.unparse(node)}"
        for source in package_sources(*BELOW_SERVICES)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Subscript) and dotted(node.value).lower() in {"dict", "mapping"}
        if isinstance(node.slice, ast.Tuple) and dotted(node.slice.elts[-1]) == "Any"
    ]
    none_of(found, "a small frozen dataclass says what is in it.")


def test_what_the_stages_say_is_light():
    """Importing every stage loads no compiled kernel, no table format and no plot."""
    rooms = [room for room in BELOW_SERVICES if (PACKAGE / room / "__init__.py").exists()]
    code = f"import json, sys, {', '.join(f'ciyuan.{room}' for room in rooms)}; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    )
    heavy = {"numpy", "numba", "pyarrow", "matplotlib", "rich", "typer", "genai_prices", "pydantic"}
    none_of(sorted(heavy & set(loaded)), "in messages.py import what only a type needs under TYPE_CHECKING.")


@pytest.mark.parametrize(
    ("find", "code"),
    [
        (door_in, "open('x')"),
        (door_in, "import os.path"),
        (door_in, "from time import sleep"),
        (door_in, "datetime.datetime.now()"),
        (door_in, "path.read_text()"),
        (door_in, "print(1)"),
        (door_in, "np.load(name)"),
        (chance_in, "np.random.rand(3)"),
        (chance_in, "np.random.default_rng()"),
        (chance_in, "default_rng()"),
        (chance_in, "from numpy.random import rand"),
        (float_in, "x = 0.5"),
        (float_in, "y = float(x)"),
        (float_in, "y = a / b"),
        (float_in, "y /= b"),
        (float_in, "y = np.float64(x)"),
    ],
)
def test_what_is_forbidden_is_found(find: Callable[[ast.AST], str], code: str) -> None:
    assert [what for node in ast.walk(ast.parse(code)) if (what := find(node))]


@pytest.mark.parametrize(
    ("find", "code"),
    [
        (door_in, "from ciyuan.basics.time import NS_PER_DAY"),
        (door_in, "book.open_row(1)"),
        (door_in, "datetime.fromtimestamp(seconds, UTC)"),
        (chance_in, "np.random.Generator(np.random.PCG64(seed))"),
        (chance_in, "np.random.default_rng(7)"),
        (float_in, "y = a // b"),
        (float_in, "y = '0.5'"),
    ],
)
def test_what_is_allowed_is_left_alone(find: Callable[[ast.AST], str], code: str) -> None:
    assert not [what for node in ast.walk(ast.parse(code)) if (what := find(node))]
