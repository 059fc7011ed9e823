"""The registry as one moment's frozen values: what the door looks up for each request, and what enrolment tells the venue.

    directory = registry.directory()
    key = directory.find(b"sk-ciyuan-...")                # None: not known here
    now_ns >= key.expires_ns                              # expired, revoked, or someone above it was closed
    key.may_speak(Protocol.CHAT), key.permits("kimi-k2.6", "medium")
    directory.spender_for(key, b"nightly-report")         # whom a hold is for
    directory.limit_words(17)                             # "department research: 50.00 USD a month"

Ended secrets stay in it, so that the door can tell "expired" from "unknown"; `expires_ns` is the only thing to ask.

A client names an app of its key as it likes. What a directory does not know yet is spent as the key itself, under the same
limits, and the name is put down in `asked`; who renews the directory makes it a spender (`Registry.make_apps`). Only this grows:
all else is one version of the registry.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from unicodedata import normalize

from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.firewall_agent import AgentPolicy
from ciyuan.services.door.registry_database import Sql
from ciyuan.services.door.registry_keys import FirewallMode, Permissions, Scope, Secret, secrets_in
from ciyuan.services.door.registry_limits import Limit, limits_in
from ciyuan.services.door.registry_parties import GradeName, Participant, grades_in, participants_in
from ciyuan.services.door.registry_schema import SpenderKind, Subject
from ciyuan.services.door.registry_secrets import digest_of
from ciyuan.services.door.registry_spenders import APPS_MAX, Spender, Tree, is_name, tree_in

ASKED_MAX = 256
"""How many names of apps are put down between two versions."""
_OF_PROTOCOL = {Scope(protocol.name.lower()): protocol for protocol in Protocol}


@dataclass(frozen=True, slots=True)
class Key:
    """A secret's key, all that the door needs of it at hand. `customer` is the venue's participant that pays; `spender` is what a
    hold carries. `department` is the nearest; a department or an engineer that there is not is "".
    """

    number: int
    spender: int
    customer: int
    shown: str
    name: str
    organisation: str
    department: str
    engineer: str
    expires_ns: int
    """From when on it is not taken, whatever the cause; `NEVER` if it does not end."""
    permissions: Permissions
    _protocols: frozenset[Protocol] = field(default_factory=frozenset, repr=False)

    @property
    def policy(self) -> AgentPolicy:
        """Which tools and destinations it may use."""
        return self.permissions.policy

    @property
    def firewall(self) -> FirewallMode:
        """What the firewall does about its texts."""
        return self.permissions.firewall

    def may(self, scope: Scope) -> bool:
        """Whether it may use this part of the door."""
        return scope in self.permissions.scopes

    def may_speak(self, protocol: Protocol) -> bool:
        """Whether it may use a protocol."""
        return protocol in self._protocols

    def permits(self, model: str, tier: str = "") -> bool:
        """Whether it may use this model, and at this tier if one is named. Case does not matter."""
        allowed = self.permissions
        return _matches(allowed.models, model) and (not tier or _matches(allowed.tiers, tier))


@dataclass(frozen=True, slots=True)
class Refused:
    """What the venue would not take: of which thing, its content then, and why."""

    subject: Subject
    number: int
    content: str
    reason: str
    told_ns: int


@dataclass(frozen=True, slots=True)
class Directory:
    """The registry at one version. Mappings are by number and not to be changed; `apps` by (key's spender, app's name)."""

    version: int
    by_digest: Mapping[bytes, Key]
    tree: Tree
    limits: Mapping[int, Limit]
    participants: Mapping[int, Participant]
    grades: Mapping[int, GradeName]
    secrets: tuple[Secret, ...]
    apps: Mapping[tuple[int, str], int]
    refused: Mapping[tuple[Subject, int], Refused]
    full: frozenset[int]
    """Spenders of keys that can have no more apps."""
    asked: set[tuple[int, str]] = field(default_factory=set)

    def find(self, secret: bytes) -> Key | None:
        """The key of a secret; None if it is nobody's here."""
        return self.by_digest.get(digest_of(secret))

    def spender_for(self, key: Key, app: bytes) -> int:
        """Whom a hold is for: the app that the client names (in UTF-8), or the key if it names none, or none known here yet."""
        if not app:
            return key.spender
        name = normalize("NFC", app.decode(errors="replace"))
        known = self.apps.get((key.spender, name))
        if known is not None:
            return known
        if key.spender not in self.full and len(self.asked) < ASKED_MAX and is_name(name):
            self.asked.add((key.spender, name))
        return key.spender

    @property
    def spenders(self) -> Mapping[int, Spender]:
        """All spenders."""
        return MappingProxyType(self.tree.by_number)

    def name_of(self, spender: int) -> str:
        """A spender's path, as `acme/research/ada/laptop`; its number in words if it is not known here."""
        return self.tree.path(spender) if spender in self.tree.by_number else f"spender {spender}"

    def limit_words(self, number: int) -> str:
        """A limit as people are told of it, as `department research: 50.00 USD a month`."""
        limit = self.limits.get(number)
        if limit is None:
            return f"limit {number}"
        spender = self.tree.by_number[limit.spender]
        return f"{spender.kind} {spender.name}: {limit}"

    def limits_of(self, spender: int) -> list[Limit]:
        """The limits in force on a spender itself, by number."""
        return [
            limit for limit in self.limits.values() if limit.spender == spender and limit.most is not None
        ]

    def in_use(self, now_ns: int) -> int:
        """How many secrets are taken at this moment."""
        return sum(now_ns < key.expires_ns for key in self.by_digest.values())


def directory_in(sql: Sql) -> Directory:
    """The directory of a moment; all of it is read in one view."""
    tree, secrets = tree_in(sql), tuple(secrets_in(sql))
    keys = {secret.digest: _key_of(secret, tree) for secret in secrets}
    apps = {
        (spender.parent, spender.name): number
        for number, spender in tree.by_number.items()
        if spender.kind is SpenderKind.APP
    }
    refused = [Refused(Subject(row[0]), *row[1:]) for row in sql.rows(
        "SELECT subject, number, content, reason, told_ns FROM refusals ORDER BY subject, number"
    )]  # fmt: skip
    return Directory(
        version_in(sql),
        MappingProxyType(keys),
        tree,
        MappingProxyType(limits_in(sql)),
        MappingProxyType(participants_in(sql)),
        MappingProxyType(grades_in(sql)),
        secrets,
        MappingProxyType(apps),
        MappingProxyType({(each.subject, each.number): each for each in refused}),
        frozenset(key for key, count in Counter(key for key, _ in apps).items() if count >= APPS_MAX),
    )


def version_in(sql: Sql) -> int:
    """The registry's version, which every change raises."""
    return int(sql.value("SELECT version FROM registry_version"))


def _key_of(secret: Secret, tree: Tree) -> Key:
    line = tree.line(secret.spender)
    named = {spender.kind: spender.name for spender in line}
    closed = [spender.closed_ns for spender in line if spender.closed_ns is not None]
    return Key(
        number=secret.number,
        spender=secret.spender,
        customer=line[-1].participant,
        shown=secret.shown,
        name=line[-1].name,
        organisation=line[0].name,
        department=named.get(SpenderKind.DEPARTMENT, ""),
        engineer=named.get(SpenderKind.ENGINEER, ""),
        expires_ns=min([secret.ends_ns, *closed]),
        permissions=secret.permissions,
        _protocols=_protocols_of(secret.permissions.scopes),
    )


@lru_cache(maxsize=128)
def _protocols_of(scopes: tuple[Scope, ...]) -> frozenset[Protocol]:
    return frozenset(_OF_PROTOCOL[scope] for scope in scopes if scope in _OF_PROTOCOL)


@lru_cache(maxsize=4096)
def _matches(patterns: tuple[str, ...] | None, name: str) -> bool:
    return patterns is None or any(_pattern(each).fullmatch(name) for each in patterns)


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL | re.IGNORECASE)
