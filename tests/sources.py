"""The project's own sources as the tests of form read them: parsed once, named by their path from the root."""

import ast
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "ciyuan"

FLOORS = (
    "services", "simulation", "desk", "venue", "clearing", "exchange", "index", "gateway", "dispatch", "factory",
    "ledger", "journal", "basics",
)  # fmt: skip
"""Every room, from the highest floor down (the import contract in pyproject.toml says which may import which)."""
MACHINES = ("ledger", "gateway", "exchange", "index", "clearing", "venue")
"""The stages that have a history."""


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def name(self) -> str:
        """Its path from the root, as failures print it."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @property
    def room(self) -> str:
        """The folder under src/ciyuan that it lies in; "" for the package's own file and for files elsewhere."""
        parts = self.path.relative_to(PACKAGE).parts if self.path.is_relative_to(PACKAGE) else ()
        return parts[0] if len(parts) > 1 else ""

    def at(self, node: ast.AST) -> str:
        """The place of a node, as editors open it."""
        return f"{self.name}:{getattr(node, 'lineno', 0)}"

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function in it, methods and inner ones too."""
        return (
            node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )


@cache
def python_sources(folder: str) -> tuple[Source, ...]:
    """Every Python file under a folder of the root, in order; none if there is no such folder."""
    return tuple(Source(path) for path in sorted((ROOT / folder).rglob("*.py")))


def package_sources(*rooms: str) -> tuple[Source, ...]:
    """Every Python file of the given rooms; of the whole package if none is given."""
    return tuple(source for source in python_sources("src/ciyuan") if not rooms or source.room in rooms)


@cache
def tracked_files() -> tuple[Path, ...]:
    """The files that belong to the project: what git tracks or would track; without git, all but what tools leave behind."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
            "\0"
        )
        paths = [ROOT / name for name in listed if name]
    else:
        left = {".venv", "runs", "out", "__pycache__", ".git"}
        paths = [
            path
            for path in ROOT.rglob("*")
            if not (left | {"build", "dist"}) & set(path.relative_to(ROOT).parts)
        ]
    return tuple(sorted(path for path in paths if path.is_file()))


def text_of(name: str) -> str:
    """The text of a page of the root, as "docs/spec/ledger.md"."""
    return (ROOT / name).read_text(encoding="utf-8")


def cells(line: str) -> list[str]:
    """The cells of a line of a table, without the blanks around them."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def bare(row: list[str]) -> list[str]:
    """Cells without their backquotes."""
    return [cell.strip("`") for cell in row]


def table(text: str, *heads: str) -> list[list[str]]:
    """The cells, row by row, of a page's first table whose heading begins with these cells, backquotes apart; without it."""
    lines = text.splitlines()
    found = [
        place
        for place, line in enumerate(lines)
        if line.startswith("|") and bare(cells(line))[: len(heads)] == list(heads)
    ]
    assert found, f"there is no table | {' | '.join(heads)} |"
    return [cells(line) for line in takewhile(lambda line: line.startswith("|"), lines[found[0] + 2 :])]


def none_of(found: list[str], remedy: str) -> None:
    """Fail with every finding on a line of its own, and the remedy."""
    assert not found, "\n".join([f"{len(found)} found:", *found, f"Remedy: {remedy}"])
