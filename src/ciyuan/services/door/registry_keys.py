"""API keys: what a secret may be used for, how it is made, rotated and revoked.

A key is a spender of kind key, and the secrets that speak for it: one as a rule, two while it is rotated. Money, limits and
usage are the spender's, so rotating changes none of them. A secret is told once, when it is made; here is its digest.

| a secret ends | |
|---|---|
| at `expires_ns` | its own time, or the end of the grace when it was rotated |
| at `revoked_ns` | at once |
| with its spender | when the key, or anyone above it, is closed |
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

import msgspec

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.gateway.firewall_agent import AgentPolicy
from ciyuan.gateway.route_offers import Tier
from ciyuan.services.door.registry_database import Row, Sql
from ciyuan.services.door.registry_parties import checked_text, next_number
from ciyuan.services.door.registry_schema import SpenderKind
from ciyuan.services.door.registry_secrets import digest_of, new_secret, shown_of
from ciyuan.services.door.registry_spenders import Spender, Spenders

NEVER = INT64_MAX
"""The moment at which what does not end ends."""
PATTERNS_MAX = 64
TIERS = tuple(tier.name.lower() for tier in Tier if tier is not Tier.ANY)
"""The tiers by name, as keys and suppliers' files write them."""
_COLUMNS = "number, spender, digest, shown, permissions, created_ns, expires_ns, revoked_ns, rotated_from"


class Scope(StrEnum):
    """What of the door a key may use: the protocols by name, and the list of models."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    MESSAGES = "messages"
    MODELS = "models"


class FirewallMode(StrEnum):
    """What the firewall does about a key's texts."""

    RULES = "rules"
    """What each rule says."""
    REPORT = "report"
    """Findings are reported, and nothing is masked or blocked."""
    BLOCK = "block"
    """Any finding blocks."""
    OFF = "off"
    """Texts are not looked at."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a key may do. Models and tiers that are None are all; in a model's pattern `*` stands for anything."""

    scopes: tuple[Scope, ...] = tuple(Scope)
    models: tuple[str, ...] | None = None
    tiers: tuple[str, ...] | None = None
    policy: AgentPolicy = field(default_factory=AgentPolicy)
    firewall: FirewallMode = FirewallMode.RULES

    def __post_init__(self) -> None:
        unknown = [tier for tier in self.tiers or () if tier not in TIERS]
        if unknown:
            raise Malformed("tiers of a key", found=unknown[0], expected=f"some of {', '.join(TIERS)}",
                            remedy="Leave them out to permit all.")  # fmt: skip
        if not self.scopes:
            raise Malformed("scopes of a key", found="none", expected=f"one or more of {', '.join(Scope)}",
                            remedy="Leave them out to permit all.")  # fmt: skip
        policy = self.policy
        tools, hosts = (
            (policy.tools_allowed, policy.tools_denied),
            (policy.hosts_allowed, policy.hosts_denied),
        )
        for patterns in (self.models, self.tiers, *tools, *hosts):
            if patterns is not None and len(patterns) > PATTERNS_MAX:
                raise Malformed("patterns of a key", found=len(patterns), expected=f"at most {PATTERNS_MAX} in a list",
                                remedy="Use patterns with a * in them.")  # fmt: skip
            for pattern in patterns or ():
                checked_text(pattern, "model, tier, tool or host")


@dataclass(frozen=True, slots=True)
class Secret:
    """What is kept of a secret. `expires_ns` and `revoked_ns` are None if it does not end so."""

    number: int
    spender: int
    digest: bytes
    shown: str
    permissions: Permissions
    created_ns: int
    expires_ns: int | None = None
    revoked_ns: int | None = None
    rotated_from: int | None = None

    @property
    def ends_ns(self) -> int:
        """From when on it is not taken, whatever becomes of its spender."""
        return min(NEVER if end is None else end for end in (self.expires_ns, self.revoked_ns))


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret that was just made: its text, which nobody can be told again, and what is kept of it."""

    text: str
    kept: Secret

    def __repr__(self) -> str:
        return f"NewSecret({self.kept.shown}, {self.kept!r})"


class Keys:
    """Secrets inside a change."""

    def __init__(self, sql: Sql, spenders: Spenders, now_ns: int) -> None:
        self._sql, self._spenders, self._now_ns = sql, spenders, now_ns

    def create(
        self, parent: int, name: str, permissions: Permissions, expires_ns: int | None = None
    ) -> NewSecret:
        """A key below a spender, and its secret. A key whose secrets have all ended gets another, under its old number.

        Raises Malformed if there is a key of that name that is in use, if one above it is closed, or for what it cannot be.
        """
        expires_ns = self._expiry(expires_ns)
        tree = self._spenders.tree
        if parent in tree.by_number and tree.closed_ns(parent) is not None:
            raise Malformed(f"key {name}", found=f"{tree.path(parent)}, which is closed", expected="somebody who may spend",
                            remedy='Open it again: state = "open" in a team\'s file.')  # fmt: skip
        spender = tree.child(parent, name) or self._spenders.add(SpenderKind.KEY, name, parent)
        live = self.live(spender.number)
        if spender.kind is not SpenderKind.KEY or live:
            raise Malformed(f"key {tree.path(spender.number)}",
                            found=f"a {spender.kind} in use" + (f", {live[-1].shown}" if live else ""),
                            expected="a new name", remedy="Rotate or revoke it, or choose another name.")  # fmt: skip
        self._spenders.reopen(spender.number)
        return self._make(spender, permissions, expires_ns, None)

    def rotate(self, spender: int, grace_ns: int, expires_ns: int | None = None) -> NewSecret:
        """Another secret of a key, with the same permissions; the one before it goes on for `grace_ns`, no longer than it would.

        Without `expires_ns` the new one lives as long as the one before it was given. Raises Malformed if none is in use.
        """
        live = self.live(spender)
        if not live or self._spenders.tree.closed_ns(spender) is not None:
            raise Malformed(f"key {self._spenders.tree.path(spender)}", found="no secret in use", expected="one to rotate",
                            remedy="Create the key again.")  # fmt: skip
        before = live[-1]
        if expires_ns is None and before.expires_ns is not None:
            expires_ns = self._now_ns + before.expires_ns - before.created_ns
        expires_ns = self._expiry(expires_ns)
        end_ns = min(before.ends_ns, self._now_ns + grace_ns)
        self._sql.run("UPDATE keys SET expires_ns = ? WHERE number = ?", end_ns, before.number)
        return self._make(
            self._spenders.tree.by_number[spender], before.permissions, expires_ns, before.number
        )

    def permit(self, spender: int, permissions: Permissions) -> int:
        """Give all live secrets of a key these permissions; how many changed."""
        text, changed = permissions_text(permissions), 0
        for secret in self.live(spender):
            if secret.permissions != permissions:
                changed += self._sql.run(
                    "UPDATE keys SET permissions = ? WHERE number = ?", text, secret.number
                )
        return changed

    def expire(self, number: int, expires_ns: int) -> None:
        """Give a secret another time to end. Raises Malformed for one that has passed."""
        self._sql.run("UPDATE keys SET expires_ns = ? WHERE number = ?", self._expiry(expires_ns), number)

    def revoke(self, numbers: Iterable[int]) -> int:
        """Secrets that are taken no longer, from this moment on; how many of them were in use."""
        return sum(
            self._sql.run(
                "UPDATE keys SET revoked_ns = ? WHERE number = ? AND revoked_ns IS NULL "
                "AND (expires_ns IS NULL OR expires_ns > ?)",
                *(self._now_ns, number, self._now_ns),
            )
            for number in numbers
        )

    def live(self, spender: int) -> list[Secret]:
        """The secrets of a key that have not ended, the newest last."""
        statement = f"SELECT {_COLUMNS} FROM keys WHERE spender = ? ORDER BY number"  # noqa: S608 the names are ours
        secrets = map(_secret_of, self._sql.rows(statement, spender))
        return [secret for secret in secrets if secret.ends_ns > self._now_ns]

    def _make(
        self, spender: Spender, permissions: Permissions, expires_ns: int | None, rotated_from: int | None
    ) -> NewSecret:
        text = new_secret()
        number = next_number(self._sql, "keys")
        kept = Secret(number, spender.number, digest_of(text), shown_of(text), permissions, self._now_ns, expires_ns,
                      None, rotated_from)  # fmt: skip
        self._sql.run(
            f"INSERT INTO keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)",  # noqa: S608 the names are ours
            *(
                number,
                spender.number,
                kept.digest.hex(),
                kept.shown,
                permissions_text(permissions),
                self._now_ns,
            ),
            *(expires_ns, rotated_from),
        )
        return NewSecret(text, kept)

    def _expiry(self, expires_ns: int | None) -> int | None:
        """A moment to come, to the second, as files write it."""
        if expires_ns is not None and not self._now_ns < expires_ns < NEVER:
            raise Malformed("expiry of a key", found=expires_ns, expected="a moment to come",
                            remedy="Give a later date, or none.")  # fmt: skip
        return None if expires_ns is None else -(-expires_ns // NS_PER_SECOND) * NS_PER_SECOND


def secrets_in(sql: Sql) -> list[Secret]:
    """All secrets of the registry, ended ones too, by number."""
    return [_secret_of(row) for row in sql.rows(f"SELECT {_COLUMNS} FROM keys ORDER BY number")]  # noqa: S608


def permissions_text(permissions: Permissions) -> str:
    """Permissions as the registry keeps them: equal permissions give equal texts."""
    return msgspec.json.encode(permissions, order="deterministic").decode()


def _secret_of(row: Row) -> Secret:
    number, spender, digest, shown, permissions, *rest = row
    return Secret(number, spender, bytes.fromhex(digest), shown, _permissions_in(permissions), *rest)


@lru_cache(maxsize=1024)
def _permissions_in(text: str) -> Permissions:
    """Most keys of a company have one of a few permissions."""
    return msgspec.json.decode(text, type=Permissions)
