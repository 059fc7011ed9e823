"""One model of a supplier in an operator's file, read strictly: a draft of an offer, which has no number yet.

| key | what it is | if it is left out |
|---|---|---|
| `model` | the name for clients | refused |
| `tier` | free, medium, high, premium or ultra | refused |
| `price` | a table (`catalog_supplier_prices`), or "genai-prices" | refused |
| `price_source`, `price_observed_on` | where a typed price was read, and when | refused |
| `context_tokens`, `output_tokens_max` | what the model takes, and gives at most | refused |
| `upstream_model` | the supplier's name for it | `model` |
| `grade` | a code of grades.toml: its service and its vocabulary | |
| `service` | `output_tokens_per_s_p50_min`, `ttft_ms_p95_max`, `availability_bp_min` | the tier's least speed |
| `protocols` | what it is spoken to in | chat, or messages of a supplier of Anthropic's dialect |
| `image_tokens` | the most tokens of a picture | 0: it takes none |
| `tokenizer` | the name of its vocabulary | the grade's, or none |
| `weight` | its share of requests among equals | 1 |
| `limits` | `concurrent`, `requests_per_minute`, `tokens_per_minute` of its own | the supplier's |
| `cache_s`, `cache_hit_percent` | how long a session's input is kept, and what of it is expected to be read again | 0 |
| `price_confirmed` | that a price out of the usual, or none at all, is meant | false |
| `price_provider`, `price_model` | the names in the package of prices | the supplier's, `upstream_model` |
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import Service
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.leg_prices import LegPrices
from ciyuan.gateway.route_offers import NO_LIMITS, Limits, Tier
from ciyuan.services.catalog import grades, tiers
from ciyuan.services.catalog_prices import PACKAGE
from ciyuan.services.catalog_route_policy import ns_of, tier_named
from ciyuan.services.catalog_supplier_prices import check_plausible, price_table, seeded_prices
from ciyuan.services.catalog_table import Section, known, member, reading


class Dialect(StrEnum):
    """What a supplier's address speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Party(NamedTuple):
    """What a model's entry must know of its supplier."""

    name: str
    spoken: frozenset[Protocol]
    own: Protocol
    limits: Limits


@dataclass(frozen=True, slots=True)
class PriceSource:
    """Where an offer's prices were read, and when: a day, or the version of a package."""

    source: str
    observed_on: str


@dataclass(slots=True)
class DraftModel:
    """A model of a supplier, before it has a number."""

    name: str
    upstream: str
    tier: Tier
    dialects: frozenset[Protocol]
    prices: LegPrices
    source: PriceSource
    seed: str
    service: Service
    tokenizer: str
    sizes: tuple[int, int, int]
    weight: int
    limits: Limits
    cache_ns: int
    hit_bp: int


def draft_model(place: str, raw: dict[str, object], supplier: Party, now_ns: int) -> DraftModel:
    """A model as its table has it; the table must be read whole."""
    confirmed = flag(raw, "price_confirmed", place)
    price = raw.pop("price", None)
    with reading(place, raw) as table:
        name = table.text("model")
        upstream = table.text("upstream_model") if "upstream_model" in table else name
        tier = tier_named(table.text("tier"), f"{place}, tier")
        if price == PACKAGE:
            provider = table.text("price_provider") if "price_provider" in table else supplier.name
            prices, seed = seeded_prices(
                provider, table.text("price_model") if "price_model" in table else upstream, now_ns, place
            )
            source = PriceSource(seed.partition(": ")[2].partition(": ")[0], "")
        else:
            prices, seed = price_table(price, place), ""
            source = PriceSource(table.text("price_source"), table.day("price_observed_on"))
        check_plausible(prices, place, confirmed=confirmed)
        limits = limits_of(table)
        if limits != NO_LIMITS and supplier.limits != NO_LIMITS:
            raise Malformed(f"{place}, limits", found=limits,
                            expected=f"limits of the supplier or of its models, not of both: {supplier.limits}",
                            remedy="Remove one of the two.")  # fmt: skip
        context_tokens = whole(table, "context_tokens", least=1)
        service, vocabulary = _service(table, tier, context_tokens)
        return DraftModel(
            name,
            upstream,
            tier,
            _protocols(table, supplier),
            prices,
            source,
            seed,
            service,
            table.text("tokenizer") if "tokenizer" in table else vocabulary,
            (
                context_tokens,
                whole(table, "output_tokens_max", least=0),
                whole(table, "image_tokens", default=0),
            ),
            whole(table, "weight", least=1, default=1),
            limits,
            ns_of(table, "cache_s") if "cache_s" in table else 0,
            100 * whole(table, "cache_hit_percent", default=0, most=100),
        )


@cache
def _tier_speeds() -> dict[str, int]:
    return {name: int(tier.tokens_per_s_per_user_min) for name, tier in tiers().items()}


def _service(table: Section, tier: Tier, context_tokens: int) -> tuple[Service, str]:
    """The least service of a model, and its grade's vocabulary."""
    if "grade" in table:
        facts = known(grades(), table.text("grade"), f"{table.place}, grade", "grades.toml").grade
        if facts.tier != tier.name.lower():
            raise Malformed(f"{table.place}, tier", found=tier.name.lower(), expected=f"{facts.tier}, as grade {facts.code} has",
                            remedy="Mend the tier, or leave the grade out.")  # fmt: skip
        if context_tokens < facts.service.context_tokens_min:
            raise Malformed(f"{table.place}, context_tokens", found=context_tokens,
                            expected=f"{facts.service.context_tokens_min} or more, as grade {facts.code} asks",
                            remedy="Leave the grade out: this is none of it.")  # fmt: skip
        return facts.service, facts.tokenizer
    if "service" not in table:
        return Service(_tier_speeds()[tier.name.lower()], 0, 0, 0), ""
    with table.table("service") as service:
        return Service(
            whole(service, "output_tokens_per_s_p50_min", default=0),
            whole(service, "ttft_ms_p95_max", default=0),
            0,
            whole(service, "availability_bp_min", default=0, most=9_999),
        ), ""


def _protocols(table: Section, supplier: Party) -> frozenset[Protocol]:
    """What a model is spoken to in: its dialect's own conversation, unless the file says more."""
    if "protocols" not in table:
        return frozenset({supplier.own})
    place = f"{table.place}, protocols"
    found = frozenset(member(Protocol, name, place) for name in table.texts("protocols"))
    if not found or found - supplier.spoken:
        names = ", ".join(protocol.name.lower() for protocol in sorted(supplier.spoken))
        raise Malformed(place, found=[protocol.name.lower() for protocol in sorted(found)], expected=f"some of {names}",
                        remedy="The supplier's dialect has no others; give anthropic_base_url for messages.")  # fmt: skip
    return found


def limits_of(table: Section) -> Limits:
    """The table `limits`; no limits if there is none."""
    if "limits" not in table:
        return NO_LIMITS
    with table.table("limits") as limits:
        return Limits(*(whole(limits, name, default=0) for name in Limits._fields))


def whole(table: Section, key: str, *, least: int = 0, most: int = 10**12, default: int | None = None) -> int:
    """A whole number within bounds; `default`, if there is one, where the key is not."""
    if default is not None and key not in table:
        return default
    number = table.whole(key)
    if not least <= number <= most:
        raise Malformed(
            f"{table.place}, {key}",
            found=number,
            expected=f"{least:,} to {most:,}",
            remedy="Mend the number.",
        )
    return number


def flag(raw: dict[str, object], key: str, place: str) -> bool:
    """Take a true or false out of a table; false if it is not there."""
    value = raw.pop(key, False)
    if not isinstance(value, bool):
        raise Malformed(f"{place}, {key}", found=value, expected="true or false", remedy="Mend the value.")
    return value
