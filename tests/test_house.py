"""The house stands: floors, pinned dependencies, sourced facts, and nothing in it that belongs to one machine."""

import ast
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest

from tests.sources import FLOORS, PACKAGE, ROOT, none_of, package_sources, tracked_files

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
FACTS = sorted((PACKAGE / "data").glob("*.toml"))


def test_every_room_has_a_floor_and_every_floor_a_room():
    rooms = {
        path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name not in {"data", "__pycache__"}
    }
    assert rooms == set(FLOORS), (
        "a new folder needs a floor in pyproject.toml and in tests/sources.py; each floor needs its folder"
    )
    none_of(
        [room for room in FLOORS if not (PACKAGE / room / "__init__.py").exists()],
        "an __init__.py with a docstring",
    )
    contract = next(c for c in PYPROJECT["tool"]["importlinter"]["contracts"] if c["id"] == "floors")
    assert contract["exhaustive"] is True
    assert tuple(room for layer in contract["layers"] for room in layer.split(" | ")) == FLOORS


def test_the_floors_hold():
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    linted = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


def canonical(requirement: str) -> str:
    """The name in a requirement, as registries compare names."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def declared() -> set[str]:
    """Every package that pyproject.toml asks for: to run, to develop, to measure, to build."""
    project = PYPROJECT["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    return {
        canonical(name)
        for name in [*project["dependencies"], *extras, *PYPROJECT["build-system"]["requires"]]
    }


def test_the_lock_pins_every_dependency():
    pinned = {canonical(line) for line in LOCK.splitlines() if re.match(r"[A-Za-z0-9]", line)}
    none_of(sorted(declared() - pinned), "make lock")


def test_the_lock_is_digests_and_nothing_else():
    entries = re.sub(r"\\\n", " ", LOCK).splitlines()
    pins = [line for line in entries if line and not line.lstrip().startswith("#")]
    found = [
        line[:60]
        for line in pins
        if not re.fullmatch(r"[\w.-]+==[\w.]+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", line)
    ]
    none_of(found, "make lock: each line is name==version and its digests; no option, no address.")
    assert len(pins) > len(declared())


def test_every_dependency_is_explained() -> None:
    """Each has its row in docs/dependencies.md, and the release there is the one that is locked."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", LOCK, re.MULTILINE))
    rows = [f"| {name} | {locked.get(name, '')} |" for name in sorted(declared())]
    none_of(
        [row for row in rows if row not in text],
        "a row in docs/dependencies.md: what for, why this one, its licence",
    )


@pytest.mark.parametrize("path", FACTS, ids=lambda path: path.name)
def test_facts_carry_source_and_date(path: Path):
    facts = tomllib.loads(path.read_text())
    found = []
    for name, value in facts.items():
        entries = value if isinstance(value, list) else [value]
        if not all(isinstance(entry, dict) for entry in entries):
            found.append(f"{path.name}: {name} stands outside any table")
            continue
        for entry in entries:
            inner = (
                [entry] if "source" in entry else [part for part in entry.values() if isinstance(part, dict)]
            )
            if not inner or not all(said_when_and_where(part) for part in inner):
                found.append(f"{path.name}: [{name}]")
    none_of(found, "each table says `source` (where it was read) and `observed_on` (a date).")


def said_when_and_where(entry: dict[str, object]) -> bool:
    """Whether an entry of facts names a source and a date."""
    when = entry.get("observed_on")
    dated = isinstance(when, date) or (
        isinstance(when, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", when) is not None
    )
    return dated and bool(entry.get("source"))


def test_only_the_catalogue_reads_the_facts():
    found = [
        f"{source.at(node)} {ast.unparse(node)}"
        for source in package_sources()
        if not source.name.startswith("src/ciyuan/services/catalog")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom | ast.Import) and "importlib.resources" in ast.unparse(node)
    ]
    none_of(found, "facts in src/ciyuan/data are read by services/catalog, and handed on as values.")


def texts() -> list[tuple[str, str]]:
    """Every tracked text file but the licence: (path from the root, text)."""
    shown = []
    for path in tracked_files():
        try:
            shown.append((path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return [(name, text) for name, text in shown if name != "LICENSE"]


def findings(pattern: str) -> list[str]:
    wanted = re.compile(pattern)
    return [
        f"{name}:{number} {line.strip()[:100]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if wanted.search(line)
    ]


def test_no_registry_is_named():
    hosts = [
        "pypi" + r"\.org",
        "python" + "hosted",
        r"registry\.npm" + "js",
        r"deb\." + "debian",
        r"ghcr\." + "io",
    ]
    options = ["--(extra-)?index" + "-url", "--find" + "-links", "--trusted" + "-host"]
    none_of(
        findings("|".join([*hosts, *options])),
        "the machine's own configuration says where packages come from.",
    )


def test_no_path_of_one_machine():
    folders = "|".join(["wo" + "rk", "ro" + "ot", "op" + "t", "tm" + "p", "ho" + "me"])
    none_of(
        findings(rf"(?<![\w.~)}}<>/-])/({folders})(/|\b)"),
        "a path from the root of the project, or one the user gives.",
    )


def test_there_is_one_lock():
    others = {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock"}
    none_of([path.name for path in tracked_files() if path.name in others], "requirements.lock is the lock.")


def test_the_command_is_installed():
    from importlib.metadata import entry_points, version

    import ciyuan

    (command,) = entry_points(group="console_scripts", name="ciyuan")
    assert callable(command.load())
    assert version("ciyuan") == ciyuan.__version__


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert set(phony[1].split()) == {line.split()[1] for line in shown.splitlines()}
