"""API keys on the command line: `ciyuan key create | list | rotate | revoke | import | export`."""

import csv
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.basics.errors import Malformed
from ciyuan.services.door.registry_command import (
    DIFFERENT,
    STATUS,
    STORE,
    AsJson,
    Store,
    Under,
    Yes,
    ask_about,
    command_group,
    directory_of,
    moment_of,
    number_of,
    opened,
    print_json,
)

if TYPE_CHECKING:
    from ciyuan.services.door.registry import RegistryChange
    from ciyuan.services.door.registry_directory import Directory
    from ciyuan.services.door.registry_keys import NewSecret
    from ciyuan.services.door.registry_spenders import Spender

GRACE = "7d"

key_app = command_group("API keys: made, listed, rotated, revoked; a whole team's from one file.")

Key = Annotated[
    str,
    typer.Argument(
        help="A key's path, its number, or the beginning of its secret as listed.", show_default=False
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(help="When it ends: a span (90d, 12h), a date (2027-01-01), or a moment with its zone."),
]


@key_app.command(epilog="Example:  ciyuan key create laptop --organisation acme --department research --engineer ada --new "
                        f"--model 'kimi-*' --limit '50 USD a month'   ·   {STATUS}")  # fmt: skip
def create(
    name: Annotated[
        str, typer.Argument(help="The key's name, as laptop or nightly-build.", show_default=False)
    ],
    organisation: Annotated[str, typer.Option(help="Whose balance pays.")],
    department: Annotated[
        list[str] | None, typer.Option(help="Department; again for a department in it.")
    ] = None,
    engineer: Annotated[
        str | None, typer.Option(help="Whose key it is; without it the department's.")
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Make the organisation, department, engineer if missing.")
    ] = False,
    model: Annotated[
        list[str] | None, typer.Option(help="Models that it may use; * is any text. Else all.")
    ] = None,
    tier: Annotated[list[str] | None, typer.Option(help="Tiers that it may use. Else all.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may use: chat, completions, embeddings, responses, messages, models. Else all."
        ),
    ] = None,
    tool: Annotated[list[str] | None, typer.Option(help="Tools that its agents may use. Else all.")] = None,
    deny_tool: Annotated[list[str] | None, typer.Option(help="Tools that they may not.")] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="Hosts that they may reach, as *.example.com. Else all.")
    ] = None,
    deny_host: Annotated[list[str] | None, typer.Option(help="Hosts that they may not.")] = None,
    firewall: Annotated[
        str, typer.Option(help="rules (as they say), report, block (any finding), off.")
    ] = "rules",
    limit: Annotated[
        list[str] | None, typer.Option(help="A budget or rate of it, as '50 USD a month'.")
    ] = None,
    expires: Expires = None,
    yes: Yes = False,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is shown once."""
    from ciyuan.gateway.firewall_agent import AgentPolicy
    from ciyuan.services.catalog_table import member
    from ciyuan.services.door.registry_keys import FirewallMode, Permissions, Scope
    from ciyuan.services.door.registry_words import parse_limit

    now_ns = time.time_ns()
    policy = AgentPolicy(_some(tool), _some(deny_tool) or (), _some(host), _some(deny_host) or ())
    scopes = tuple(member(Scope, each, "--scope") for each in scope) if scope else tuple(Scope)
    mode = member(FirewallMode, firewall, "--firewall")
    permissions = Permissions(scopes, _some(model), _some(tier), policy, mode)
    limits = [parse_limit(text) for text in limit or ()]
    ask_about([f"{terms}: {terms.doubt()}" for terms in limits if terms.doubt()], yes)
    with opened(store, new=new) as registry, registry.change(now_ns) as change:
        above = _above(change, organisation, department or [], engineer, new=new)
        made = change.keys.create(above[-1].number, name, permissions, moment_of(expires, now_ns))
        for terms in limits:
            change.limits.set(made.kept.spender, terms)
        path = change.spenders.tree.path(made.kept.spender)
        fresh = [f"{spender.kind} {spender.name}" for spender in above if spender.created_ns == now_ns]
    _tell_secret(path, made, as_json, new=fresh, limits=[str(terms) for terms in limits])


@key_app.command("list", epilog=f"Example:  ciyuan key list acme/research --json   ·   {STATUS}")
def list_keys(
    under: Under = None,
    ended: Annotated[bool, typer.Option("--all", help="Revoked and expired ones too.")] = False,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """List keys, and what each may use."""
    from ciyuan.services.door.registry_keys import Scope
    from ciyuan.services.door.registry_print import key_lines, print_keys

    directory = directory_of(store)
    lines = key_lines(directory, time.time_ns(), number_of(directory, under), ended=ended)
    if as_json:
        print_json({"keys": lines})
    else:
        print_keys(lines, len(Scope))


@key_app.command(epilog=f"Example:  ciyuan key rotate acme/research/ada/laptop --grace 7d   ·   {STATUS}")
def rotate(
    key: Key,
    grace: Annotated[
        str, typer.Option(help="How long the secret before it goes on, as 7d; 0 not at all.")
    ] = GRACE,
    expires: Expires = None,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Give a key another secret; the one before it goes on for a while. Budgets and usage go on as one."""
    from ciyuan.services.door.registry_words import parse_span

    now_ns = time.time_ns()
    grace_ns = 0 if grace == "0" else parse_span(grace)
    with opened(store) as registry, registry.change(now_ns) as change:
        directory = change.directory()
        spender, _ = _key(directory, key, now_ns)
        made = change.keys.rotate(spender, grace_ns, moment_of(expires, now_ns))
        path = change.spenders.tree.path(spender)
    _tell_secret(path, made, as_json)


@key_app.command(epilog=f"Example:  ciyuan key revoke acme/research/ada/laptop   ·   {STATUS}")
def revoke(
    keys: Annotated[
        list[str],
        typer.Argument(
            help="Paths, numbers or beginnings of secrets. A path of a department or an engineer: all below it.",
            show_default=False,
        ),
    ],
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Revoke keys, at once: a running gateway refuses them within a second."""
    now_ns = time.time_ns()
    with opened(store) as registry, registry.change(now_ns) as change:
        directory = change.directory()
        numbers = sorted({number for word in keys for number in _secrets(directory, word, now_ns)})
        count = change.keys.revoke(numbers)
    if as_json:
        print_json({"revoked": numbers})
    else:
        typer.echo(f"revoked: {count} {'secret' if count == 1 else 'secrets'}")


@key_app.command("import", epilog=f"Example:  ciyuan key import team.toml --dry-run   ·   {STATUS}")
def import_team(
    file: Annotated[
        Path, typer.Argument(help="TOML file of a team (`ciyuan key export` writes one).", show_default=False)
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say the steps and take none; status 1 if there are any.")
    ] = False,
    secrets: Annotated[
        Path | None, typer.Option(help="Write new keys' secrets to this CSV, for its owner's eyes only.")
    ] = None,
    yes: Yes = False,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Set up a whole team at once: spenders, keys and limits as the file says. A second time does nothing."""
    from ciyuan.services.door.registry_print import print_secret, print_steps
    from ciyuan.services.door.registry_team import doubts, plan, read_team, take_steps

    now_ns = time.time_ns()
    entries = read_team(file)
    ask_about(doubts(entries), yes)
    with opened(store, new=not dry_run) as registry:
        if dry_run:
            steps, made = plan(entries, registry.directory(), now_ns), []
        else:
            # The file is made before the keys are, so that no secret is lost for want of a place.
            with _secret_file(secrets) as write, registry.change(now_ns) as change:
                steps = plan(entries, change.directory(), now_ns)
                made = take_steps(steps, change)
                write(made)
    if as_json:
        shown = [] if secrets else [{"key": path, "secret": new.text} for path, new in made]
        print_json({"steps": [{"sign": step.sign, "path": step.path, "what": step.what} for step in steps],
                     "taken": not dry_run, "secrets": shown})  # fmt: skip
    else:
        print_steps(steps, taken=not dry_run)
        for path, new in [] if secrets else made:
            print_secret(path, new.text, new.kept.shown)
    if dry_run and steps:
        raise typer.Exit(DIFFERENT)


@key_app.command("export", epilog=f"Example:  ciyuan key export --out team.toml   ·   {STATUS}")
def export_team(
    under: Under = None,
    out: Annotated[Path | None, typer.Option(help="File to write; else it is printed.")] = None,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Write spenders, keys and limits as a team's file. No secret is in it."""
    from ciyuan.services.door.registry_team import team_text

    directory = directory_of(store)
    text = team_text(directory, time.time_ns(), number_of(directory, under))
    if out is not None:
        out.write_text(text, encoding="utf-8")
    if as_json:
        print_json({"out": None if out is None else str(out), "team": text})
    else:
        typer.echo(text if out is None else f"written: {out}", nl=out is not None)


def _above(
    change: "RegistryChange",
    organisation: str,
    departments: Sequence[str],
    engineer: str | None,
    *,
    new: bool,
) -> "list[Spender]":
    """The spenders above a key, from the organisation down; made if `new`, else Malformed for one that is not there."""
    from ciyuan.services.door.registry_schema import SpenderKind
    from ciyuan.services.door.registry_spenders import ROOT, checked_name

    named = [
        (SpenderKind.ORGANISATION, organisation),
        *((SpenderKind.DEPARTMENT, each) for each in departments),
    ]
    named += [(SpenderKind.ENGINEER, engineer)] if engineer is not None else []
    line: list[Spender] = []
    for kind, name in named:
        parent = line[-1].number if line else ROOT
        found = change.spenders.tree.child(parent, checked_name(name, kind))
        if found is None and new:
            found = change.spenders.add(kind, name, parent)
        if found is None:
            path = "/".join([*(spender.name for spender in line), name])
            found = change.spenders.tree.find(path)
        if found.kind is not kind:
            raise Malformed(f"--{kind} {name}", found=f"a {found.kind} of that name", expected=f"a {kind}",
                            remedy=f"Say it as --{found.kind}, or choose another name.")  # fmt: skip
        line.append(found)
    return line


def _key(directory: "Directory", word: str, now_ns: int) -> tuple[int, list[int]]:
    """The spender of the one key that a word means, and its secrets in use."""
    numbers = _secrets(directory, word, now_ns)
    spenders = {one.spender for one in directory.secrets if one.number in numbers}
    if len(spenders) != 1:
        raise Malformed(f"key {word}", found=f"{len(spenders)} keys", expected="one key in use",
                        remedy="Say its path or number, as `ciyuan key list` shows.")  # fmt: skip
    return spenders.pop(), numbers


def _secrets(directory: "Directory", word: str, now_ns: int) -> list[int]:
    """The secrets in use that a word means: a number, the beginning of a secret, the whole of one, or a path."""
    from ciyuan.services.door.registry_secrets import PREFIX, digest_of

    live = [one for one in directory.secrets if now_ns < directory.by_digest[one.digest].expires_ns]
    if word.isdecimal():
        found = [one.number for one in live if one.number == int(word)]
    elif word.startswith(PREFIX):
        begin = word.rstrip("…")
        found = [
            one.number for one in live if one.shown.rstrip("…") == begin or one.digest == digest_of(word)
        ]
    else:
        below = {spender.number for spender in directory.tree.below(directory.tree.find(word).number)}
        found = [one.number for one in live if one.spender in below]
    if not found:
        shown = f"{word[: len(PREFIX) + 6]}…" if word.startswith(PREFIX) else word
        raise Malformed(f"key {shown}", found="no secret in use", expected="a key in use",
                        remedy="See `ciyuan key list --all`.")  # fmt: skip
    return found


@contextmanager
def _secret_file(path: Path | None) -> "Iterator[Callable[[list[tuple[str, NewSecret]]], None]]":
    """A new file that its owner alone can read, to write secrets to; it goes if what is done inside fails, or makes none."""
    if path is None:
        yield lambda _made: None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Malformed(f"file of secrets {path}", found="a file", expected="none yet",
                        remedy="Put it away, or say another.") from None  # fmt: skip
    kept = False
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:

        def write(made: "list[tuple[str, NewSecret]]") -> None:
            nonlocal kept
            lines = csv.writer(file)
            lines.writerows([("key", "secret"), *((key, new.text) for key, new in made)])
            file.flush()
            os.fsync(file.fileno())
            kept = bool(made)

        try:
            yield write
        except BaseException:
            kept = False
            raise
        finally:
            if not kept:
                path.unlink()


def _some(texts: list[str] | None) -> tuple[str, ...] | None:
    return tuple(texts) if texts else None


def _tell_secret(path: str, made: "NewSecret", as_json: bool, **more: list[str]) -> None:
    from ciyuan.services.door.registry_print import print_secret

    if as_json:
        print_json(
            {
                "key": path,
                "number": made.kept.number,
                "spender": made.kept.spender,
                "secret": made.text,
                **more,
            }
        )
        return
    for name in more.get("new", ()):
        typer.echo(f"new: {name}")
    print_secret(path, made.text, made.kept.shown)
