"""The firewall's log on the command line: `ciyuan firewall log`. What is called is imported late."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.services.door.registry_command import (
    STATUS,
    STORE,
    AsJson,
    Store,
    Under,
    command_group,
    number_of,
    opened,
    print_json,
)

if TYPE_CHECKING:
    from ciyuan.services.door.registry_directory import Directory
    from ciyuan.services.door.registry_print import Plain

firewall_app = command_group("What the firewall found: whose, by which rule, in masked surroundings.")


@firewall_app.callback()
def group() -> None:
    """Keep `log` a command of a group of one."""


@firewall_app.command(
    epilog=f"Example:  ciyuan firewall log acme/research --since 7d --rule aws-access-key   ·   {STATUS}"
)
def log(
    under: Under = None,
    since: Annotated[str, typer.Option(help="How far back: 90m, 24h, 7d.")] = "24h",
    rule: Annotated[list[str] | None, typer.Option(help="Of this rule only; several: any of them.")] = None,
    most: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 100,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """List what was found, newest first. The value itself is in no log; equal values have equal digests."""
    from ciyuan.services.door.findings import findings_in
    from ciyuan.services.door.registry_print import print_findings
    from ciyuan.services.door.registry_words import parse_span

    now_ns = time.time_ns()
    span_ns = parse_span(since)
    with opened(store) as registry:
        directory = registry.directory()
        spenders = (
            None
            if under is None
            else {each.number for each in directory.tree.below(number_of(directory, under))}
        )
        found = findings_in(
            registry.database,
            now_ns - span_ns,
            spenders=spenders,
            rules=set(rule) if rule else None,
            most=most,
        )
    lines = [_plain(asdict(finding), directory) for finding in found]
    if as_json:
        print_json({"findings": lines})
    else:
        print_findings(lines, since, most)


def _plain(line: "Plain", directory: "Directory") -> "Plain":
    """With the second in words, and the spender by its path."""
    from ciyuan.basics.time import NS_PER_SECOND, iso_from_ns

    return {
        **line,
        "time": iso_from_ns(line["time_ns"] // NS_PER_SECOND * NS_PER_SECOND),
        "spender": directory.tree.path(line["spender"]),
    }
