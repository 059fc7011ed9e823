"""The documentation is true: its links lead somewhere, its commands exist, its tables say what the code says."""

import ast
import dataclasses
import re
import runpy
import shlex
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main

from ciyuan.services import cli
from ciyuan.simulation.scenario import Scenario
from tests.sources import FLOORS, ROOT, bare, none_of, table, text_of, tracked_files

PAGES = sorted(path for path in tracked_files() if path.suffix == ".md")
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE_BYTES_MAX = 150_000
COMMAND = typer.main.get_command(cli.app)
MAKEFILE = (ROOT / "Makefile").read_text()


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as web sites of repositories make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def shell_lines() -> Iterator[tuple[str, str]]:
    """Every command of the pages: (page, command), from ```sh blocks and (specifications apart) from running text."""
    for name in NAMES:
        text = text_of(name)
        for language, block in FENCE.findall(text):
            if language == "sh":
                yield from ((name, line.strip()) for line in block.splitlines() if line.strip())
        if name.startswith("docs/spec/"):
            continue
        spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
        starts = ("ciyuan ", "make ", ".venv/bin/python ", "python scripts/")
        yield from ((name, span) for span in spans if span.startswith(starts))


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str):
    page = ROOT / name
    lost = []
    for target in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists():
            lost.append(f"{name}: {target}")
        elif anchor and anchor not in anchors(found.read_text(encoding="utf-8")):
            lost.append(f"{name}: {target} has no such heading")
    none_of(lost, "mend the link")


def test_every_page_can_be_found_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        targets = [
            target.partition("#")[0]
            for target in LINK.findall(without_code(page.read_text(encoding="utf-8")))
        ]
        found = [(page.parent / target).resolve() for target in targets if target and "://" not in target]
        for place in found:
            waiting += sorted(place.glob("*.md")) if place.is_dir() else [place]
    kept_apart = {ROOT / "CHANGELOG.md"}
    none_of(
        [page.relative_to(ROOT).as_posix() for page in PAGES if page not in seen | kept_apart],
        "link it from docs/README.md",
    )


def problem_with(command: str) -> str:
    """What is wrong with a command of the documentation; "" if it exists with all its options and files."""
    words = shlex.split(command)
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        wanted = [word for word in words[1:] if "=" not in word]
        return next(
            (f"no target {word}" for word in wanted if not re.search(rf"^{word}:", MAKEFILE, re.MULTILINE)),
            "",
        )
    if program == "python":
        return "" if (ROOT / words[1]).is_file() else f"no file {words[1]}"
    if program != "ciyuan":
        return ""
    meant = COMMAND
    while words[1:] and not words[1].startswith("-") and (commands := getattr(meant, "commands", {})):
        if words[1] not in commands:
            return f"no command {words[1]}"
        meant, words = commands[words[1]], words[1:]
    if meant is COMMAND:
        return ""
    known = {name for option in meant.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    unknown = [word for word in words[1:] if word.startswith("--") and word.partition("=")[0] not in known]
    missing = [word for word in words[1:] if word.startswith("examples/") and not (ROOT / word).is_file()]
    return ", ".join([f"no option {word}" for word in unknown] + [f"no file {word}" for word in missing])


def test_every_command_in_the_documentation_exists():
    commands = list(shell_lines())
    assert len(commands) > 20
    none_of(
        [f"{name}: {command}: {why}" for name, command in commands if (why := problem_with(command))],
        "mend the page",
    )


@pytest.mark.parametrize(
    "command",
    [
        "ciyuan play",
        "ciyuan run --faster",
        "ciyuan exchange haggle",
        "ciyuan exchange replay examples/orders.csv --faster",
        "ciyuan run --scenario examples/none.toml",
        "make coffee",
        "python examples/none.py",
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str):
    assert problem_with(command)


def test_tables_of_results_name_the_command_that_prints_them():
    """In the README each table with figures has, in the paragraph before it, the command that printed them."""
    paragraphs = text_of("README.md").split("\n\n")
    found = []
    for before, figured in pairwise(paragraphs):
        figures = (
            re.search(r"\|[^|]*\d{3}[^|]*\|", re.sub(r"\[.*?\]\(.*?\)|`.*?`", "", figured))
            if figured.startswith("|")
            else None
        )
        if figures and not re.search(r"`(make \w+|ciyuan \w+)[^`]*`", before):
            found.append(figured.splitlines()[0])
    none_of(found, "say in the paragraph above the table which command prints its figures")


def test_every_setting_of_the_scenario_is_explained():
    rows = {
        row[0]: row for row in map(bare, table(text_of("docs/guide/researcher.md"), "setting", "default"))
    }
    fields = {entry.name: entry for entry in dataclasses.fields(Scenario)}
    assert list(rows) == list(fields)
    for name, field in fields.items():
        if name != "sites":
            assert ast.literal_eval(rows[name][1]) == field.default, name
        assert all(rows[name][2:4]), f"{name}: its meaning, and where its number comes from"
    assert rows["sites"][1].split(", ") == [site.name for site in Scenario().sites]


def test_constants_are_what_the_guide_says():
    rows = [bare(row) for row in table(text_of("docs/guide/researcher.md"), "constant", "value")]
    assert rows
    for path, value, *_ in rows:
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name) == ast.literal_eval(value), path


def test_exit_statuses_are_what_the_architecture_says():
    rows = {
        int(status): meaning
        for status, meaning in map(bare, table(text_of("ARCHITECTURE.md"), "exit status", "meaning"))
    }
    assert list(rows) == [
        0,
        cli.DIFFERENT,
        cli.MALFORMED,
        cli.DAMAGED,
        cli.BROKEN,
        cli.FAILED,
        cli.INTERRUPTED,
    ]


def test_the_architecture_shows_every_floor():
    picture = next(block for language, block in FENCE.findall(text_of("ARCHITECTURE.md")) if not language)
    shown = [
        word
        for line in picture.splitlines()
        for word in re.findall(r"^ ?([a-z]+)(?: │ ([a-z]+))?", line)[0]
        if word
    ]
    assert tuple(shown) == FLOORS


def test_the_rulebook_has_every_clause_that_is_cited():
    clauses = set(re.findall(r"^\| (\d+\.\d+) \|", text_of("docs/rulebook.md"), re.MULTILINE))
    assert len(clauses) > 50
    cited = {
        f"{path.relative_to(ROOT).as_posix()} §{clause}"
        for path in tracked_files()
        if path.suffix in {".py", ".md", ".toml", ".txt"}
        for clause in re.findall(r"§(\d+\.\d+)", path.read_text(encoding="utf-8"))
        if clause not in clauses
    }
    none_of(sorted(cited), "the clause is not in docs/rulebook.md")


def test_the_chain_is_drawn_by_its_script():
    chain = runpy.run_path(str(ROOT / "scripts" / "refresh_docs.py"))["chain"]
    assert chain() == (ROOT / "docs" / "pictures" / "chain.svg").read_text(encoding="utf-8"), (
        "run scripts/refresh_docs.py"
    )


def test_pictures_are_small_and_shown():
    pictures = sorted(Path(ROOT / "docs" / "pictures").iterdir())
    shown = {Path(target).name for name in NAMES for target in LINK.findall(text_of(name))}
    none_of([path.name for path in pictures if path.name not in shown], "show it or remove it")
    none_of([path.name for path in pictures if path.stat().st_size > PICTURE_BYTES_MAX], "draw it smaller")
