"""What the registry's commands have in common: their options, their store, doubts that a person is asked about."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.basics.errors import Malformed

if TYPE_CHECKING:
    from ciyuan.services.door.registry import Registry
    from ciyuan.services.door.registry_directory import Directory

STATUS = "Exit status: 0 done, 1 found different, 2 malformed input, 5 failed disk or database."
DIFFERENT = 1
STORE = "runs/gateway"
REGISTRY = "registry.sqlite"

Store = Annotated[
    str, typer.Option(envvar="CIYUAN_STORE", help="Folder of the gateway's store, or postgresql://...")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Yes = Annotated[bool, typer.Option("--yes", help="Take what looks like a wrong unit without asking.")]
Under = Annotated[
    str | None, typer.Argument(help="Path of a spender: it and all below it.", show_default=False)
]


def command_group(what: str) -> typer.Typer:
    """An empty group of commands."""
    return typer.Typer(help=what, no_args_is_help=True, add_completion=False)


def has_registry(store: str) -> bool:
    """Whether a store has a registry; a server is taken to have one, since it is made there at the first word."""
    from ciyuan.services.door.registry_database import is_url

    return is_url(store) or (Path(store) / REGISTRY).exists()


def opened(store: str, *, new: bool = False) -> "Registry":
    """The registry of a store; Malformed if there is none and none is to be made."""
    from ciyuan.services.door.registry import Registry
    from ciyuan.services.door.registry_database import is_url

    if not new and not has_registry(store):
        raise Malformed(f"store {store}", found="no registry", expected=f"a folder with {REGISTRY} in it",
                        remedy="Say --store, or begin one: ciyuan key create NAME --organisation NAME --new.")  # fmt: skip
    return Registry.open(store if is_url(store) else Path(store) / REGISTRY)


def directory_of(store: str) -> "Directory":
    """The directory of a store, as it is now."""
    with opened(store) as registry:
        return registry.directory()


def number_of(directory: "Directory", path: str | None) -> int:
    """The spender at a path; ROOT, above all, without one."""
    from ciyuan.services.door.registry_spenders import ROOT

    return ROOT if path is None else directory.tree.find(path).number


def ask_about(doubts: Sequence[str], yes: bool) -> None:
    """Ask a person about what looks like a wrong unit; where there is nobody to ask, it is refused."""
    if not doubts or yes:
        return
    if sys.stdin.isatty():
        typer.echo("\n".join(doubts))
        if typer.confirm("Is that meant?"):
            return
    raise Malformed(
        "unit", found="; ".join(doubts), expected="what is meant", remedy="Mend it, or say --yes."
    )


def moment_of(text: str | None, now_ns: int) -> int | None:
    """A moment of a span from now, a date (its midnight in UTC) or a moment with a zone."""
    from ciyuan.basics.calendar import day_from_iso
    from ciyuan.basics.time import NS_PER_DAY, ns_from_iso
    from ciyuan.services.door.registry_words import parse_span

    if text is None:
        return None
    if text[-1:] in {"m", "h", "d", "s"}:
        return now_ns + parse_span(text)
    return ns_from_iso(text) if "T" in text or " " in text else day_from_iso(text) * NS_PER_DAY


def print_json(shown: object) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
