"""A small company in a registry, in both dialects: what the tests of the registry, of enrolment and of its commands begin with.

acme                organisation
  research          department         limited to 2,000 USD a month
    ada             engineer
      laptop        key
  ops               department
    bot             key
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ciyuan.basics.time import ns_from_iso
from ciyuan.services.door.registry import Registry, RegistryChange
from ciyuan.services.door.registry_keys import NewSecret, Permissions
from ciyuan.services.door.registry_schema import SpenderKind
from ciyuan.services.door.registry_spenders import Spender
from ciyuan.services.door.registry_words import parse_limit

NOW = ns_from_iso("2026-11-21T12:00:00Z")
DIALECTS = ("sqlite", "postgres")
USD = 10**6


@dataclass
class Cast:
    """The company's spenders and secrets."""

    acme: Spender
    research: Spender
    ops: Spender
    ada: Spender
    laptop: NewSecret
    bot: NewSecret


def company(change: RegistryChange) -> Cast:
    """Set the company up."""
    add = change.spenders.add
    acme = add(SpenderKind.ORGANISATION, "acme")
    research = add(SpenderKind.DEPARTMENT, "research", acme.number)
    ops = add(SpenderKind.DEPARTMENT, "ops", acme.number)
    ada = add(SpenderKind.ENGINEER, "ada", research.number)
    laptop = change.keys.create(ada.number, "laptop", Permissions())
    bot = change.keys.create(ops.number, "bot", Permissions())
    change.limits.set(research.number, parse_limit("2,000 USD a month"))
    return Cast(acme, research, ops, ada, laptop, bot)


@contextmanager
def company_registry(where: "Path | str") -> "Iterator[tuple[Registry, Cast]]":
    """A registry with the company in it."""
    with Registry.open(where) as registry:
        with registry.change(NOW) as change:
            cast = company(change)
        yield registry, cast
