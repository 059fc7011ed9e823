"""How a long command shows how far it is: a bar, JSON lines on standard error, or nothing.

A playing month is as far as its simulated time; a verification is as far as its rows; other work as far as it says.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from ciyuan.basics.time import iso_from_ns

Show = Callable[[int, int], None]


class Progress(StrEnum):
    """How a long command shows how far it is."""

    bar = "bar"
    json = "json"
    none = "none"


@contextmanager
def shown_progress(kind: str, first_ns: int, last_ns: int) -> Iterator[Show]:
    """A function to call with (simulated time, rows acknowledged so far). `kind` is "bar", "json" or "none"."""
    if kind == "json":
        yield _hour_line
    else:
        with _shown(
            kind, "the month", first_ns, last_ns, lambda until_ns: iso_from_ns(until_ns)[:10]
        ) as show:
            yield show


@contextmanager
def shown_rows(kind: str, rows_total: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the rows replayed so far, of `rows_total`. `kind` as above."""
    if kind == "json":
        yield lambda rows: _line({"replayed_rows": rows, "rows": rows_total})
    else:
        with _shown(kind, "the journal", 0, rows_total, lambda _: "the journal") as show:
            yield lambda rows: show(rows, rows)


@contextmanager
def shown_work(kind: str, task: str, total: int) -> Iterator[Show]:
    """A function to call with how much of `total` is done, and the rows so far. `kind` as above."""
    if kind == "json":
        yield lambda done, rows: _line({"task": task, "done": done, "of": total, "rows": rows})
    else:
        with _shown(kind, task, 0, total, lambda _: task) as show:
            yield show


@contextmanager
def _shown(kind: str, task: str, first: int, last: int, describe: Callable[[int], str]) -> Iterator[Show]:
    """A bar from `first` to `last`, named by `describe` of where it is; or nothing."""
    if kind == "none":
        yield lambda at, rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
               TextColumn("{task.fields[rows]:>10,} rows"), TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        shown = bar.add_task(task, total=max(last - first, 1), rows=0)
        yield lambda at, rows: bar.update(shown, completed=at - first, rows=rows, description=describe(at))


def _hour_line(until_ns: int, rows: int) -> None:
    """One line a simulated hour: the rows it names are durable when it is read."""
    _line({"until": iso_from_ns(until_ns), "acknowledged_rows": rows})


def _line(said: dict[str, object]) -> None:
    sys.stderr.write(json.dumps(said) + "\n")
    sys.stderr.flush()
