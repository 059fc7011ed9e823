"""A team's file: the whole tree of spenders, keys and limits as TOML, to set up two hundred engineers at once and to keep a copy.

    [organisation."acme"]
    limits = ["10,000 USD a month"]

    [department."acme/research"]
    limits = ["2,000 USD a month", "20M tokens a day at +08:00"]

    [engineer."acme/research/ada"]
    limits = ["500 USD a year", "60 requests a minute"]

    [key."acme/research/ada/laptop"]
    models = ["kimi-*"]
    expires = 2027-01-01

| setting | of | without it |
|---|---|---|
| limits | all | limits stay as they are; a list is the whole list, so what it lacks is cleared |
| state, "open" or "closed" | all | as it is; new ones are open |
| models, tiers, scopes, firewall, and the next | keys | none of them: as it is; else what is not said is permitted |
| tools_allowed, tools_denied, hosts_allowed, hosts_denied | keys | |
| expires | keys | as it is; new keys do not expire |

Taking a file in a second time does nothing. What a file does not name stays as it is, and nothing in it makes a revoked key live
again. A plan says every step before it is taken; the steps of a file are taken together or not at all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import iso_from_ns, ns_from_iso
from ciyuan.gateway.firewall_agent import AgentPolicy
from ciyuan.services.catalog_table import Section, member, parsed, reading
from ciyuan.services.door.registry import RegistryChange
from ciyuan.services.door.registry_directory import Directory
from ciyuan.services.door.registry_keys import FirewallMode, NewSecret, Permissions, Scope
from ciyuan.services.door.registry_limits import Limit
from ciyuan.services.door.registry_schema import SpenderKind
from ciyuan.services.door.registry_spenders import ROOT, Spender
from ciyuan.services.door.registry_words import LimitTerms, parse_limit

KINDS = (SpenderKind.ORGANISATION, SpenderKind.DEPARTMENT, SpenderKind.ENGINEER, SpenderKind.KEY)
_PERMISSIONS = (
    "models",
    "tiers",
    "scopes",
    "tools_allowed",
    "tools_denied",
    "hosts_allowed",
    "hosts_denied",
    "firewall",
)
_HEAD = "# Spenders, keys and limits of a ciyuan gateway. Take it in with: ciyuan key import FILE\n"


class State(StrEnum):
    """Whether a spender may spend."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file says of one spender; what it does not say is None."""

    kind: SpenderKind
    path: str
    limits: tuple[LimitTerms, ...] | None = None
    state: State | None = None
    permissions: Permissions | None = None
    expires_ns: int | None = None

    @property
    def parent(self) -> str:
        """The path above; "" of an organisation."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The last name of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan: `+` something new, `-` something that ends, `~` something that changes; of a path, and what."""

    sign: str
    path: str
    what: str
    take: Callable[[RegistryChange], NewSecret | None]


def read_team(path: Path) -> tuple[Entry, ...]:
    """The entries of a team's file, parents before children. Raises Malformed, naming the table and the key."""
    return read_entries(path.name, parsed(path, f"team file {path}", "Check the path."))


def read_entries(place: str, tables: Mapping[str, object]) -> tuple[Entry, ...]:
    """The entries of a file's tables, parents before children."""
    entries: list[Entry] = []
    with reading(place, tables) as top:
        for kind in KINDS:
            if kind not in top:
                continue
            with top.table(kind) as named:
                for path, settings in _named(tables[kind]):
                    with named.table(path) as section:
                        entries.append(_entry(kind, path, section, settings))
    return tuple(sorted(entries, key=lambda entry: (entry.path.count("/"), entry.path)))


def plan(entries: tuple[Entry, ...], directory: Directory, now_ns: int) -> list[Step]:
    """The steps from the registry to the file, in the order in which they can be taken. Raises Malformed for what cannot be."""
    planned: dict[str, SpenderKind] = {}
    steps: list[Step] = []
    closing: list[Step] = []
    for entry in entries:
        known = _known(entry, directory)
        if known is None:
            _check_parent(entry, directory, planned)
            planned[entry.path] = entry.kind
            steps.append(_adding(entry))
        elif entry.kind is SpenderKind.KEY:
            steps += _key_steps(entry, known, directory, now_ns)
        steps += _limit_steps(entry, known, directory)
        (closing if entry.state is State.CLOSED else steps).extend(_state_steps(entry, known))
    return steps + closing  # last: below what is closed nothing can be made


def doubts(entries: tuple[Entry, ...]) -> list[str]:
    """What is odd about the limits of a file, so that they were perhaps typed in the wrong unit."""
    return [
        f"{entry.path}, {terms}: {terms.doubt()}"
        for entry in entries
        for terms in entry.limits or ()
        if terms.doubt() is not None
    ]


def take_steps(steps: list[Step], change: RegistryChange) -> list[tuple[str, NewSecret]]:
    """Take a plan's steps; the secrets of keys that are new, by path."""
    made = [(step.path, step.take(change)) for step in steps]
    return [(path, secret) for path, secret in made if secret is not None]


def team_text(directory: Directory, now_ns: int, under: int = ROOT) -> str:
    """A team's file of the spenders under one (ROOT: all), without apps, and without keys whose secrets have all ended."""
    live = {secret.spender: secret for secret in directory.secrets if secret.ends_ns > now_ns}
    named = [spender for spender in directory.tree.below(under) if spender.kind in KINDS]
    tables = []
    for kind in KINDS:
        for spender in named:
            if spender.kind is kind and (kind is not SpenderKind.KEY or spender.number in live):
                lines = [*_limit_lines(directory, spender)]
                if spender.closed_ns is not None:
                    lines.append('state = "closed"')
                if kind is SpenderKind.KEY:
                    secret = live[spender.number]
                    lines += _permission_lines(secret.permissions)
                    if secret.expires_ns is not None:
                        lines.append(f"expires = {_text(iso_from_ns(secret.expires_ns))}")
                tables.append("\n".join([f"[{kind}.{_text(directory.name_of(spender.number))}]", *lines]))
    return "\n\n".join([_HEAD, *tables]) + "\n"


# --- reading ---


def _named(tables: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The tables inside a kind's; that each is a table is seen when it is read."""
    for path, settings in tables.items() if isinstance(tables, dict) else ():
        yield path, settings if isinstance(settings, dict) else {}


def _entry(kind: SpenderKind, path: str, section: Section, settings: Mapping[str, object]) -> Entry:
    limits = tuple(map(parse_limit, section.texts("limits"))) if "limits" in section else None
    windows = list(map(_measure, limits or ()))
    if len(set(windows)) < len(windows):
        raise Malformed(f"{section.place}, limits", found=[str(terms) for terms in limits or ()],
                        expected="one limit for a unit and window", remedy="Leave one of them out.")  # fmt: skip
    permissions, expires_ns = None, None
    if kind is SpenderKind.KEY:
        permissions = _permissions(section) if any(name in section for name in _PERMISSIONS) else None
        expires_ns = _expires(section, settings)
    state = member(State, section.text("state"), f"{section.place}, state") if "state" in section else None
    return Entry(kind, path, limits, state, permissions, expires_ns)


def _permissions(section: Section) -> Permissions:
    scopes = tuple(Scope)
    if "scopes" in section:
        scopes = tuple(member(Scope, name, f"{section.place}, scopes") for name in section.texts("scopes"))
    firewall = FirewallMode.RULES
    if "firewall" in section:
        firewall = member(FirewallMode, section.text("firewall"), f"{section.place}, firewall")
    policy = AgentPolicy(
        _some(section, "tools_allowed"),
        _some(section, "tools_denied") or (),
        _some(section, "hosts_allowed"),
        _some(section, "hosts_denied") or (),
    )
    return Permissions(scopes, _some(section, "models"), _some(section, "tiers"), policy, firewall)


def _some(section: Section, name: str) -> tuple[str, ...] | None:
    return section.texts(name) if name in section else None


def _expires(section: Section, settings: Mapping[str, object]) -> int | None:
    if "expires" not in section:
        return None
    given = settings["expires"]
    if isinstance(given, datetime):
        raise Malformed(f"{section.place}, expires", found=given.isoformat(),
                        expected="a date as 2027-01-01, or a text in quotes with time and zone",
                        remedy="Put it in quotes.")  # fmt: skip
    if isinstance(given, date):
        return ns_from_iso(f"{section.day('expires')}T00:00:00Z")
    return ns_from_iso(section.text("expires"))


# --- planning ---


def _known(entry: Entry, directory: Directory) -> Spender | None:
    number = ROOT
    for name in entry.path.split("/"):
        child = directory.tree.child(number, name)
        if child is None:
            return None
        number = child.number
    spender = directory.spenders[number]
    if spender.kind is not entry.kind:
        raise Malformed(f"{entry.kind} {entry.path}", found=f"{spender.kind} of that path", expected=f"{entry.kind}",
                        remedy="A spender stays what it is: choose another name.")  # fmt: skip
    return spender


def _check_parent(entry: Entry, directory: Directory, planned: Mapping[str, SpenderKind]) -> None:
    if entry.kind is SpenderKind.ORGANISATION:
        if entry.parent:
            raise Malformed(f"organisation {entry.path}", found=f"below {entry.parent}", expected="a name without /",
                            remedy="Say department, if it is one.")  # fmt: skip
    elif entry.parent not in planned:
        directory.tree.find(entry.parent)


def _adding(entry: Entry) -> Step:
    def take(change: RegistryChange) -> NewSecret | None:
        parent = change.spenders.tree.find(entry.parent).number if entry.parent else ROOT
        if entry.kind is SpenderKind.KEY:
            return change.keys.create(
                parent, entry.name, entry.permissions or Permissions(), entry.expires_ns
            )
        change.spenders.add(entry.kind, entry.name, parent)
        return None

    return Step("+", entry.path, str(entry.kind), take)


def _key_steps(entry: Entry, known: Spender, directory: Directory, now_ns: int) -> Iterator[Step]:
    live = [one for one in directory.secrets if one.spender == known.number and one.ends_ns > now_ns]
    if not live:
        return
    permissions, expires_ns = entry.permissions, entry.expires_ns
    if permissions is not None and any(one.permissions != permissions for one in live):
        yield _step("~", entry, "permissions", lambda change: change.keys.permit(known.number, permissions))
    if expires_ns is not None and live[-1].expires_ns != expires_ns:
        what = f"expires {iso_from_ns(expires_ns)}"
        yield _step("~", entry, what, lambda change: change.keys.expire(live[-1].number, expires_ns))


def _limit_steps(entry: Entry, known: Spender | None, directory: Directory) -> Iterator[Step]:
    if entry.limits is None:
        return
    there = {} if known is None else {_measure(limit): limit for limit in directory.limits_of(known.number)}
    for terms in entry.limits:
        before = there.pop(_measure(terms), None)
        if before is None or before.most != terms.most:
            yield _step("+" if before is None else "~", entry, str(terms), _setting(entry, terms))
    for limit in there.values():
        yield _step("-", entry, str(limit), _clearing(limit.number))


def _measure(limit: LimitTerms | Limit) -> tuple[int, int, int]:
    """What tells a spender's limits apart."""
    return (limit.unit, limit.window, limit.offset_ns)


def _setting(entry: Entry, terms: LimitTerms) -> Callable[[RegistryChange], object]:
    return lambda change: change.limits.set(_number(change, entry), terms)


def _clearing(number: int) -> Callable[[RegistryChange], object]:
    return lambda change: change.limits.clear(number)


def _state_steps(entry: Entry, known: Spender | None) -> Iterator[Step]:
    there = State.OPEN if known is None or known.closed_ns is None else State.CLOSED
    if entry.state is None or entry.state is there:
        return
    if entry.state is State.CLOSED:
        yield _step("-", entry, "closed", lambda change: change.spenders.close(_number(change, entry)))
    else:
        yield _step("+", entry, "open again", lambda change: change.spenders.reopen(_number(change, entry)))


def _number(change: RegistryChange, entry: Entry) -> int:
    return change.spenders.tree.find(entry.path).number


def _step(sign: str, entry: Entry, what: str, do: Callable[[RegistryChange], object]) -> Step:
    def take(change: RegistryChange) -> None:
        do(change)

    return Step(sign, entry.path, what, take)


# --- writing ---


def _limit_lines(directory: Directory, spender: Spender) -> Iterator[str]:
    limits = directory.limits_of(spender.number)
    if limits:
        yield f"limits = {_list([str(limit) for limit in limits])}"


def _permission_lines(permissions: Permissions) -> Iterator[str]:
    policy, default = permissions.policy, Permissions()
    for name, values in (
        ("models", permissions.models),
        ("tiers", permissions.tiers),
        ("scopes", permissions.scopes if permissions.scopes != default.scopes else None),
        ("tools_allowed", policy.tools_allowed),
        ("tools_denied", policy.tools_denied or None),
        ("hosts_allowed", policy.hosts_allowed),
        ("hosts_denied", policy.hosts_denied or None),
    ):
        if values is not None:
            yield f"{name} = {_list(values)}"
    if permissions.firewall is not default.firewall:
        yield f"firewall = {_text(permissions.firewall)}"


def _list(texts: "tuple[str, ...] | list[str]") -> str:
    return f"[{', '.join(map(_text, texts))}]"


def _text(text: str) -> str:
    """A TOML basic string. Names hold printable characters only, so quotes and backslashes are all there is to escape."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
