"""The page of the thirty-six cases: none is missing, each has its thread and its tests, and every test that it names is there."""

import ast
import re
from functools import cache

from tests.sources import ROOT, bare, none_of, text_of

PAGE = "docs/spec/gateway_cases.md"
CASES = 36
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
THREAD = re.compile(r"\([\w-]+(?:/[\w.-]+)?(?:#| PR )\d+")


def cases() -> dict[int, tuple[str, str, str]]:
    """Number to what happened, what is done here, and the tests."""
    rows = ROW.findall(text_of(PAGE))
    assert len({number for number, *_ in rows}) == len(rows), "a case stands twice"
    return {int(number): (happened, here, tests) for number, happened, here, tests in rows}


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of a file's test functions."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def test_every_case_is_there_with_its_thread_and_what_is_done():
    told = cases()
    assert sorted(told) == list(range(1, CASES + 1))
    none_of(
        [str(number) for number, (happened, _, _) in told.items() if not THREAD.search(happened)],
        "name the thread",
    )
    none_of([str(number) for number, (_, here, _) in told.items() if len(here) < 20], "say what is done here")


def test_every_case_has_a_test_that_is_there():
    lost = []
    for number, (_, _, shown) in cases().items():
        named = NAMED.findall(shown)
        assert named, f"case {number} names no test"
        assert re.sub(r"[\s,]", "", NAMED.sub("", shown)) == "", f"case {number}: {bare([shown])}"
        lost += [
            f"case {number}: {path}::{name}"
            for path, name in named
            if not (ROOT / path).is_file() or name not in names_in(path)
        ]
    none_of(lost, "write the test, or name the one that shows it")


def test_the_tests_that_were_written_for_a_case_are_named():
    """No test of tests/services/door/test_cases_*.py is left out of the page."""
    named = {f"{path}::{name}" for _, _, shown in cases().values() for path, name in NAMED.findall(shown)}
    written = {
        f"{path.relative_to(ROOT).as_posix()}::{name}"
        for path in (ROOT / "tests" / "services" / "door").glob("test_cases_*.py")
        for name in names_in(path.relative_to(ROOT).as_posix())
    }
    assert written
    none_of(sorted(written - named), "name it on the page")
