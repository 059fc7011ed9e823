"""Offers: which supplier serves which model, how well, how much of it, at what price; and which offers a client's word means.

| word | means |
|---|---|
| a model's name | its offers, of every supplier and tier |
| an alias of the policy, as `auto:cheapest` | the offers of each model or pattern in its list |
| a pattern, as `kimi-*` | the offers of every model whose name matches; `*` is any text |

A name goes before an alias, and an alias before a pattern. An alias of an alias is refused when it is set up.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import Service
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.leg_prices import LegPrices
from ciyuan.gateway.messages import GRADE_MAX, SUPPLIER_MAX

WEIGHT_MAX = 1_000_000
RATE_MAX = 10**9
"""The highest limit of requests or tokens a minute, and of requests at once: above it, say that there is none."""
PATTERNS_KEPT_MAX = 1_024
"""Patterns of clients whose offers are remembered."""
NO_SERVICE = Service(0, 0, 0, 0)
"""A service that asks for nothing."""


class Tier(IntEnum):
    """The tiers of service (rulebook §1.2), the slowest first; ANY in a request that names none."""

    ANY = 0
    FREE = 1
    MEDIUM = 2
    HIGH = 3
    PREMIUM = 4
    ULTRA = 5


class Limits(NamedTuple):
    """What a supplier takes at most; 0: it states no limit."""

    concurrent: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Offer:
    """One supplier's service of one model in one tier.

    `supplier` and `grade` are the meter's numbers, and together are the offer's own. `model` is the name for clients,
    `upstream_model` the supplier's. Offers of one `pool` share its limits. `weight` shares requests among equals.
    `cache_ns` is how long the supplier keeps what it read of a session; 0: it sells no cached input cheaper.
    `hit_bp` is the share of a continued session's input that is expected to be read from the cache, until it is measured,
    in hundredths of a percent. `image_tokens` bounds the tokens of a picture; 0: the model takes none.
    """

    supplier: int
    supplier_name: str
    grade: int
    model: str
    upstream_model: str
    tier: Tier
    dialects: frozenset[Protocol]
    prices: LegPrices
    context_tokens: int
    output_tokens_max: int
    image_tokens: int = 0
    weight: int = 1
    region: str = ""
    pool: int = 0
    limits: Limits = NO_LIMITS
    service: Service = NO_SERVICE
    cache_ns: int = 0
    hit_bp: int = 0
    tokenizer: str = ""

    def __post_init__(self) -> None:
        faults = (
            ("supplier", self.supplier, 1 <= self.supplier <= SUPPLIER_MAX, f"1 to {SUPPLIER_MAX}"),
            ("grade", self.grade, 1 <= self.grade <= GRADE_MAX, f"1 to {GRADE_MAX}"),
            ("model", self.model, bool(self.model) and "*" not in self.model, "a name without *"),
            ("tier", self.tier, self.tier is not Tier.ANY, "a tier of its own"),
            ("dialects", self.dialects, bool(self.dialects), "a protocol or more"),
            ("context_tokens", self.context_tokens, self.context_tokens > 0, "more than 0"),
            ("output_tokens_max", self.output_tokens_max, self.output_tokens_max >= 0, "0 or more"),
            ("image_tokens", self.image_tokens, self.image_tokens >= 0, "0 or more"),
            ("weight", self.weight, 1 <= self.weight <= WEIGHT_MAX, f"1 to {WEIGHT_MAX}"),
            ("limits", self.limits, all(0 <= most <= RATE_MAX for most in self.limits), f"0 to {RATE_MAX}"),
            ("cache_ns", self.cache_ns, self.cache_ns >= 0, "0 or more"),
            ("hit_bp", self.hit_bp, 0 <= self.hit_bp <= 10_000, "0 to 10,000"),
        )
        for name, found, good, expected in faults:
            if not good:
                raise Malformed(f"offer {self.supplier_name} {self.model}, {name}", found=found, expected=expected,
                                remedy="Mend the supplier's entry.")  # fmt: skip

    @property
    def number(self) -> int:
        """The offer's own number: its supplier's and its grade's, as a parties word holds them."""
        return self.supplier << 16 | self.grade

    @property
    def pool_key(self) -> tuple[int, int]:
        """What shares the limits: the pool, or the offer alone if it has none."""
        return (0, self.pool) if self.pool else (1, self.number)


class ListedModel(NamedTuple):
    """A model as `/v1/models` tells it: what the most generous of its offers takes, and its tiers."""

    name: str
    suppliers: tuple[str, ...]
    context_tokens: int
    output_tokens_max: int
    tiers: tuple[Tier, ...]


def _clash(thing: str, found: object, expected: str) -> Malformed:
    return Malformed(thing, found=found, expected=expected, remedy="Mend one of the two entries.")


class Offers:
    """All offers, and the words that clients may use for them. Raises Malformed for offers or aliases that clash."""

    def __init__(self, offers: Sequence[Offer], aliases: Mapping[str, Sequence[str]] | None = None) -> None:
        self.all = tuple(offers)
        self.aliases = {name: tuple(meant) for name, meant in (aliases or {}).items()}
        self._by_model: dict[str, tuple[Offer, ...]] = {}
        self._patterns: dict[str, tuple[Offer, ...]] = {}
        self._check_numbers()
        for offer in self.all:
            self._by_model[offer.model] = (*self._by_model.get(offer.model, ()), offer)
        self._meant = {name: self._of_list(name, meant) for name, meant in self.aliases.items()}

    def _check_numbers(self) -> None:
        seen: dict[int, Offer] = {}
        pools: dict[tuple[int, int], Offer] = {}
        grades: dict[int, Offer] = {}
        for offer in self.all:
            other = seen.setdefault(offer.number, offer)
            if other is not offer:
                raise _clash(
                    f"offers of supplier {offer.supplier_name}",
                    offer.model,
                    f"each grade once, not {offer.grade} again",
                )
            other = pools.setdefault(offer.pool_key, offer)
            if other.limits != offer.limits:
                raise _clash(f"limits of {offer.supplier_name} {offer.model}", offer.limits,
                             f"those of {other.model}, with which it shares them: {other.limits}")  # fmt: skip
            other = grades.setdefault(offer.grade, offer)
            if (other.model, other.tier) != (offer.model, offer.tier):
                raise _clash(f"grade {offer.grade}", f"{offer.model} {offer.tier.name}",
                             f"one model and one tier: {other.model} {other.tier.name}")  # fmt: skip

    def _of_list(self, name: str, meant: tuple[str, ...]) -> tuple[Offer, ...]:
        if name in self._by_model:
            raise Malformed(f"alias {name}", found=name, expected="a name that no model has",
                            remedy="Rename the alias: a model's name means that model.")  # fmt: skip
        found: dict[int, Offer] = {}
        for word in meant:
            offers = self._by_model.get(word) or self._matching(word)
            if not offers:
                raise Malformed(f"alias {name}", found=word, expected="models that are offered, or patterns of their names",
                                remedy=f"Mend the word; offered are {', '.join(sorted(self._by_model))}.")  # fmt: skip
            found.update((offer.number, offer) for offer in offers)
        return tuple(found.values())

    def _matching(self, pattern: str) -> tuple[Offer, ...]:
        if "*" not in pattern:
            return ()
        parts = re.sub(r"\*+", "*", pattern).split("*")
        wanted = re.compile("(?s:" + ".*".join(map(re.escape, parts)) + r")\Z") if len(parts) <= 4 else None
        if wanted is None:  # many stars would make a matcher search long; nobody writes them
            return ()
        return tuple(offer for offer in self.all if wanted.match(offer.model))

    def of(self, word: str) -> tuple[Offer, ...]:
        """The offers that a client's word means, in the order they were given; none if it means nothing here."""
        offers = self._by_model.get(word) or self._meant.get(word) or self._patterns.get(word)
        if offers is None:
            offers = self._matching(word)
            if offers:
                if len(self._patterns) >= PATTERNS_KEPT_MAX:
                    self._patterns.clear()
                self._patterns[word] = offers
        return offers

    def models(self) -> tuple[ListedModel, ...]:
        """Every model by its own name, then every alias, each sorted by name."""
        named = [*sorted(self._by_model.items()), *sorted(self._meant.items())]
        return tuple(
            ListedModel(
                name,
                tuple(dict.fromkeys(offer.supplier_name for offer in offers)),
                max(offer.context_tokens for offer in offers),
                max(offer.output_tokens_max for offer in offers),
                tuple(sorted({offer.tier for offer in offers})),
            )
            for name, offers in named
        )
