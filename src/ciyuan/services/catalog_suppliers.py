"""The suppliers of a gateway, from the operator's own file (`suppliers.toml`), read strictly into offers and a policy of routing.

    [supplier.NAME]              base_url, dialect, and if need be anthropic_base_url, key, region, headers, plain_http
    [supplier.NAME.timeouts]     connect_s, first_token_s, idle_s, total_s
    [supplier.NAME.limits]       concurrent, requests_per_minute, tokens_per_minute: shared by its models
    [[supplier.NAME.model]]      one for each model: `catalog_supplier_models`
    [policy]                     `catalog_route_policy`

A key at a supplier is never in the file: `key = "env:NAME"` or `"file:PATH"` says where it is, and the same goes for a
header's value. What looks like a secret is refused, and not repeated in the error. A key does not go over plain HTTP to
another machine unless `plain_http = true` says that it may.

The least service of a model is its grade's (`grade`, a code of grades.toml), or the table `service`, or else its tier's least
speed.

Numbers are the registry's: it is asked for them, by name, only when the whole file has been found good.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.gateway.door_refusals import PATHS, Protocol
from ciyuan.gateway.route_offers import NO_LIMITS, Limits, Offer, Offers, Tier
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.services.catalog_route_policy import ns_of, route_policy
from ciyuan.services.catalog_supplier_address import Reference, address, headers_of, reference_of
from ciyuan.services.catalog_supplier_models import (
    Dialect,
    DraftModel,
    Party,
    PriceSource,
    draft_model,
    flag,
    limits_of,
)
from ciyuan.services.catalog_table import Section, member, parsed, reading

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class SupplierTimeouts:
    """How long the door waits for a supplier, in nanoseconds: to connect, for a first token, between bytes, for all of it."""

    connect_ns: int = 5 * NS_PER_SECOND
    first_token_ns: int = 120 * NS_PER_SECOND
    idle_ns: int = 60 * NS_PER_SECOND
    total_ns: int = 600 * NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Supplier:
    """A supplier as the file has it. `headers` go with every request; a value may be a reference, as the key is."""

    number: int
    name: str
    base_url: str
    dialect: Dialect
    anthropic_base_url: str
    key: Reference | None
    region: str
    headers: tuple[tuple[str, str | Reference], ...]
    timeouts: SupplierTimeouts
    limits: Limits

    @property
    def spoken(self) -> frozenset[Protocol]:
        """The protocols that its addresses speak; a model may be served in fewer."""
        openai = self.dialect is Dialect.OPENAI
        return frozenset(
            protocol
            for protocol in Protocol
            if (openai if protocol is not Protocol.MESSAGES else not openai or bool(self.anthropic_base_url))
        )

    def url_of(self, protocol: Protocol) -> str:
        """The address of a protocol, as the vendors' SDKs join it: OpenAI's base ends in its version, Anthropic's not.

        Raises InvariantBroken for one that is not spoken here.
        """
        if protocol not in self.spoken:
            raise InvariantBroken("suppliers", f"{self.name} does not speak {protocol.name}")
        path = next(path for path, spoken in PATHS.items() if spoken is protocol)
        if protocol is Protocol.MESSAGES:
            return (self.anthropic_base_url or self.base_url) + path
        return self.base_url + path.removeprefix("/v1")


@dataclass(frozen=True, slots=True)
class SupplierCatalogue:
    """All that the file says. `sources` is by offers' numbers; `seeds` are lines on prices that a package gave, to be printed."""

    suppliers: tuple[Supplier, ...]
    offers: Offers
    policy: RoutePolicy
    sources: Mapping[int, PriceSource]
    seeds: tuple[str, ...]


def read_suppliers(path: Path, supplier_number: Callable[[str], int], grade_number: Callable[[str, str], int],
                   now_ns: int) -> SupplierCatalogue:  # fmt: skip
    """Read the file. Numbers are asked for a supplier by name and for a grade by model and tier; `now_ns` dates seeds.

    Raises Malformed for whatever is wrong, naming file, table and key, both sides and the remedy.
    """
    file = path.name
    tables = parsed(path, f"suppliers' file {file}", "Begin with examples/gateway/suppliers.toml.")
    unknown = sorted(tables.keys() - {"supplier", "policy"})
    if unknown:
        raise Malformed(
            f"{file}, {unknown[0]}",
            found=unknown[0],
            expected="[supplier.NAME] and [policy]",
            remedy="Mend the table's name.",
        )
    policy, aliases = route_policy(file, _table(tables.get("policy", {}), f"{file}, policy"))
    drafts = [
        _supplier(file, name, entries, now_ns)
        for name, entries in _table(tables.get("supplier", {}), f"{file}, supplier").items()
    ]
    if not drafts:
        raise Malformed(
            file,
            found="no supplier",
            expected="a table [supplier.NAME] or more",
            remedy="Add one: see examples/gateway.",
        )
    _check(file, drafts, policy, aliases)
    suppliers, offers, sources = [], [], {}
    for draft, models in drafts:
        supplier = replace(draft, number=supplier_number(draft.name))
        suppliers.append(supplier)
        for model in models:
            offer = _offer(supplier, model, grade_number(model.name, model.tier.name.lower()))
            offers.append(offer)
            sources[offer.number] = model.source
    seeds = tuple(model.seed for _, models in drafts for model in models if model.seed)
    return SupplierCatalogue(tuple(suppliers), Offers(offers, aliases), policy, sources, seeds)


_Draft = tuple[Supplier, list[DraftModel]]


def _check(
    file: str, drafts: list[_Draft], policy: RoutePolicy, aliases: Mapping[str, tuple[str, ...]]
) -> None:
    """What can only be seen with all tables read: checked with numbers of its own, before any is asked for."""
    grade_numbers: dict[tuple[str, Tier], int] = {}
    offers = []
    for number, (draft, models) in enumerate(drafts, 1):
        seen: set[tuple[str, Tier]] = set()
        for model in models:
            grade = (model.name, model.tier)
            if grade in seen:
                raise Malformed(f"{file}, [supplier.{draft.name}]",
                                found=f"{model.name} in tier {model.tier.name.lower()}, twice",
                                expected="each model and tier of a supplier once", remedy="Remove one.")  # fmt: skip
            seen.add(grade)
            number_of = grade_numbers.setdefault(grade, len(grade_numbers) + 1)
            offers.append(_offer(replace(draft, number=number), model, number_of))
    every = Offers(offers, aliases)
    for name, others in policy.fallbacks.items():
        for word in (name, *others):
            if not every.of(word):
                raise Malformed(f"{file}, [policy.fallbacks], {name}", found=word,
                                expected="a model or alias that is offered",
                                remedy="Mend the word, or offer the model.")  # fmt: skip


def _offer(supplier: Supplier, model: DraftModel, grade: int) -> Offer:
    own = model.limits != NO_LIMITS
    context_tokens, output_tokens_max, image_tokens = model.sizes
    return Offer(
        supplier=supplier.number,
        supplier_name=supplier.name,
        grade=grade,
        model=model.name,
        upstream_model=model.upstream,
        tier=model.tier,
        dialects=model.dialects,
        prices=model.prices,
        context_tokens=context_tokens,
        output_tokens_max=output_tokens_max,
        image_tokens=image_tokens,
        weight=model.weight,
        region=supplier.region,
        pool=0 if own else supplier.number,
        limits=model.limits if own else supplier.limits,
        service=model.service,
        cache_ns=model.cache_ns,
        hit_bp=model.hit_bp,
        tokenizer=model.tokenizer,
    )


def _supplier(file: str, name: str, entries: object, now_ns: int) -> _Draft:
    place = f"{file}, [supplier.{name}]"
    if not _NAME.fullmatch(name):
        raise Malformed(
            place,
            found=name,
            expected="a name of small letters, digits, dots and hyphens",
            remedy="Rename it.",
        )
    raw = dict(_table(entries, place))
    plain_http = flag(raw, "plain_http", place)
    models = raw.pop("model", None)
    with reading(place, raw) as table:
        key = reference_of(table, "key") if "key" in table else None
        headers = tuple(headers_of(table)) if "headers" in table else ()
        plain_http |= key is None and not any(isinstance(value, Reference) for _, value in headers)
        draft = Supplier(
            number=0,
            name=name,
            base_url=address(table, "base_url", may_be_plain=plain_http),
            dialect=member(Dialect, table.text("dialect"), f"{place}, dialect"),
            anthropic_base_url=address(table, "anthropic_base_url", may_be_plain=plain_http)
            if "anthropic_base_url" in table
            else "",
            key=key,
            region=table.text("region") if "region" in table else "",
            headers=headers,
            timeouts=_timeouts(table),
            limits=limits_of(table),
        )
    if not isinstance(models, list) or not models:
        raise Malformed(
            place, found="no model", expected=f"a table [[supplier.{name}.model]] or more", remedy="Add one."
        )
    own = Protocol.CHAT if draft.dialect is Dialect.OPENAI else Protocol.MESSAGES
    party = Party(draft.name, draft.spoken, own, draft.limits)
    places = [f"{file}, [[supplier.{name}.model]] {index}" for index in range(1, len(models) + 1)]
    return draft, [
        draft_model(at, dict(_table(one, at)), party, now_ns) for at, one in zip(places, models, strict=True)
    ]


def _timeouts(table: Section) -> SupplierTimeouts:
    if "timeouts" not in table:
        return SupplierTimeouts()
    names = {
        "connect_s": "connect_ns",
        "first_token_s": "first_token_ns",
        "idle_s": "idle_ns",
        "total_s": "total_ns",
    }
    with table.table("timeouts") as timeouts:
        return SupplierTimeouts(
            **{name: ns_of(timeouts, key) for key, name in names.items() if key in timeouts}
        )


def _table(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Malformed(place, found=value, expected="a table", remedy="Put it into a table.")
    return value
