"""Runs the benchmarks: `python -m benchmarks [--only NAME]`; a table on the terminal, and benchmarks/out/results.json."""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from rich.console import Console
from rich.table import Table

from benchmarks.record import Result, machine

HERE = Path(__file__).parent
RESULTS = HERE / "out" / "results.json"
PREFIX = "bench_"


def names() -> list[str]:
    """Every benchmark, by the name that `--only` takes."""
    return sorted(
        module.name.removeprefix(PREFIX)
        for module in iter_modules([str(HERE)])
        if module.name.startswith(PREFIX)
    )


def table(results: list[Result]) -> Table:
    """The results as a person reads them."""
    shown = Table(title=machine(), title_justify="left", show_lines=True)
    for heading in ("benchmark", "value", "baseline", "ratio", "goal"):
        shown.add_column(heading, justify="left" if heading == "benchmark" else "right")
    shown.add_column("what was done, and what is left out", ratio=1)
    for result in results:
        shown.add_row(
            result.name,
            f"{result.value:,.6g} {result.unit}",
            f"{result.baseline:,.6g} {result.unit}\n{result.against}" if result.baseline is not None else "",
            f"{result.ratio:,.4g}" if result.ratio is not None else "",
            result.goal,
            f"{result.mix}\n[dim]left out: {result.exclusions}[/dim]",
        )
    return shown


def main() -> int:
    """Exit code 0; 2 for a name that is no benchmark. A missed goal is shown, not failed: the machine may be shared."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help=f"one of: {', '.join(names())}")
    only = parser.parse_args().only
    if only is not None and only not in names():
        print(f"bench: no benchmark {only!r}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    results: list[Result] = []
    for name in [only] if only else names():
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        results += import_module(f"benchmarks.{PREFIX}{name}").run()
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table(results))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(
        json.dumps([result.as_json() for result in results], indent=2, ensure_ascii=False) + "\n"
    )
    print(f"bench: {len(results)} results in {RESULTS.relative_to(HERE.parent)}")
    return 0


sys.exit(main())
