"""Taste as a test: how long a file and a function may be, what may be named how, what must be said."""

import ast
import re
from statistics import median, quantiles

import pytest

from tests.sources import MACHINES, ROOT, Source, none_of, package_sources, python_sources, tracked_files

FILE_LINES_MEDIAN, FILE_LINES_P90, FILE_LINES_MAX = 150, 450, 600
FUNCTION_LINES_MEDIAN, FUNCTION_LINES_P90, FUNCTION_LINES_MAX = 10, 35, 70
ATTICS = {"util", "utils", "common", "core", "helper", "helpers", "manager", "managers", "misc"}
MACHINE_ESSAY_CHARACTERS_MIN = 400

KERNEL_LOOPS: tuple[str, ...] = ("ledger/kernel.py:apply_rows",)
"""Compiled loops that may be longer than a function may: "ledger/kernel.py:apply_rows". Splitting them would cost their speed."""


def everywhere() -> tuple[Source, ...]:
    return tuple(
        source for folder in ("src", "tests", "benchmarks", "examples") for source in python_sources(folder)
    )


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def p90(counts: list[int]) -> float:
    return quantiles(counts, n=10, method="inclusive")[-1] if len(counts) > 1 else counts[0]


def loop_name(source: Source, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"{source.name.removeprefix('src/ciyuan/')}:{function.name}"


def test_no_file_is_longer_than_a_reader_bears():
    found = [
        f"{source.name}: {source.lines} lines" for source in everywhere() if source.lines > FILE_LINES_MAX
    ]
    none_of(found, f"at most {FILE_LINES_MAX} lines: one noun per module, so move a noun out.")


def test_most_files_are_short():
    counts = [source.lines for source in package_sources()]
    assert median(counts) <= FILE_LINES_MEDIAN, (
        f"the median file has {median(counts)} lines; at most {FILE_LINES_MEDIAN}"
    )
    assert p90(counts) <= FILE_LINES_P90, (
        f"one file in ten has over {p90(counts):.0f} lines; at most {FILE_LINES_P90}"
    )


def test_no_function_is_longer_than_a_screen():
    found = [
        f"{source.at(function)} {function.name}: {lines_of(function)} lines"
        for source in everywhere()
        for function in source.functions()
        if lines_of(function) > FUNCTION_LINES_MAX and loop_name(source, function) not in KERNEL_LOOPS
    ]
    none_of(
        found,
        f"at most {FUNCTION_LINES_MAX} lines; only a compiled loop named in KERNEL_LOOPS may be longer.",
    )


def test_most_functions_are_short():
    counts = [lines_of(function) for source in package_sources() for function in source.functions()]
    assert median(counts) <= FUNCTION_LINES_MEDIAN, (
        f"the median function has {median(counts)} lines; at most 10"
    )
    assert p90(counts) <= FUNCTION_LINES_P90, (
        f"one function in ten has over {p90(counts):.0f} lines; at most 35"
    )


def test_each_exempt_kernel_loop_is_there_compiled_and_long():
    found = {
        loop_name(source, function): source.at(function)
        for source in package_sources()
        for function in source.functions()
        if lines_of(function) > FUNCTION_LINES_MAX
        and any("njit" in ast.unparse(d) for d in function.decorator_list)
    }
    none_of(
        [name for name in KERNEL_LOOPS if name not in found],
        "take it out of KERNEL_LOOPS: it needs no exemption now.",
    )


def test_there_is_no_attic():
    found = [
        path.relative_to(ROOT).as_posix()
        for path in tracked_files()
        if ATTICS & {part.partition(".")[0].lower() for part in path.relative_to(ROOT).parts}
    ]
    none_of(found, f"name the file for the noun in it; {', '.join(sorted(ATTICS))} are attics.")


def test_each_module_of_the_package_says_what_it_is():
    found = [source.name for source in package_sources() if not ast.get_docstring(source.tree)]
    none_of(
        found, "open the module with a docstring: what it is, and the table of its arithmetic or messages."
    )


@pytest.mark.parametrize("stage", MACHINES)
def test_each_machine_opens_with_its_invariants(stage: str):
    found = []
    for source in package_sources(stage):
        if source.path.name == "machine.py":
            essay = ast.get_docstring(source.tree) or ""
            if len(essay) < MACHINE_ESSAY_CHARACTERS_MIN or "Invariants" not in essay:
                found.append(
                    f"{source.name}: {len(essay)} characters, Invariants {'named' if 'Invariants' in essay else 'not named'}"
                )
    none_of(
        found,
        f"say why, in {MACHINE_ESSAY_CHARACTERS_MIN} characters or more, and list what always holds under 'Invariants'.",
    )


def asserts_something(function: ast.AST) -> bool:
    """An assert, pytest's own, or a call of something named for checking (check_..., assert_..., none_of)."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"raises", "warns", "fail", "none_of"} or re.match(r"_?(check|assert)", called):
                return True
    return False


def test_every_test_asserts():
    found = [
        f"{source.at(function)} {function.name}"
        for source in python_sources("tests")
        for function in source.functions()
        if function.name.startswith("test_") and not asserts_something(function)
    ]
    none_of(
        found,
        "a test without an assertion passes whatever happens; assert, or call a function named check_ or assert_.",
    )


def test_nothing_is_left_for_later():
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "NotImplemented" + "Error")
    later = re.compile(r"\b(" + "|".join(words) + r")\b")
    found = [
        f"{source.name}:{number} {line.strip()}"
        for source in everywhere()
        for number, line in enumerate(source.text.splitlines(), 1)
        if later.search(line)
    ]
    none_of(found, "finish it, or leave it out and say so in the documentation.")


def test_no_tests_watch_a_clock():
    clocks = {
        "time",
        "perf_counter",
        "perf_counter_ns",
        "monotonic",
        "monotonic_ns",
        "process_time",
        "process_time_ns",
        "time_ns",
    }
    found = [
        f"{source.at(node)} from time import {alias.name}"
        for source in python_sources("tests")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
        if alias.name in clocks
    ]
    none_of(found, "a test that measures time fails on a busy machine; measure in benchmarks/.")
