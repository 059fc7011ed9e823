"""The `[policy]` of an operator's file of suppliers: retries, hedges, circuits, exams, queues, aliases and fallbacks.

Every key may be left out; the defaults and where they are from are in `gateway.route_policy`. Shares are in percent, times in
seconds, either with decimals.

| key | of `RoutePolicy` |
|---|---|
| `attempts_max`, `retry_percent`, `retries_per_s_min` | `attempts_max`, `retry_bp`, `retries_per_s_min` |
| `hedge_tiers`, `hedge_percent`, `strict_tiers` | `hedge_tiers`, `hedge_bp`, `strict_tiers` |
| `failures_in_a_row`, `failure_percent`, `failure_volume` | `failures_in_a_row`, `failure_bp`, `failure_volume` |
| `backoff_s`, `backoff_s_max`, `half_life_s`, `queue_wait_s` | `backoff_ns`, `backoff_ns_max`, `half_life_ns`, `queue_wait_ns` |
| `processes` | `processes` |
| `[policy.queue]`: places by tier, `any` for requests that name none | `queue_places` |
| `[policy.exam]`: `window_s`, `answers_min`, `probation_percent`, `probation_answers_min` | `exam_...`, `probation_...` |
| `[policy.fallbacks]`: a list of models by model | `fallbacks` |
| `[policy.aliases]`: a list of models or patterns by word | (`Offers.aliases`) |
"""

from collections.abc import Mapping
from typing import Any

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.gateway.route_offers import Tier
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.services.catalog_table import Section, member, reading

_WHOLES = ("attempts_max", "retries_per_s_min", "failures_in_a_row", "failure_volume", "processes")
_PERCENTS = {"retry_percent": "retry_bp", "hedge_percent": "hedge_bp", "failure_percent": "failure_bp"}
_SECONDS = {
    "backoff_s": "backoff_ns",
    "backoff_s_max": "backoff_ns_max",
    "half_life_s": "half_life_ns",
    "queue_wait_s": "queue_wait_ns",
}
_LISTS = ("aliases", "fallbacks")
_FREE = (*_LISTS, "queue")
"""The tables whose keys are the operator's own words."""

Words = dict[str, tuple[str, ...]]


def route_policy(file: str, entries: Mapping[str, object]) -> tuple[RoutePolicy, Words]:
    """The policy, and the aliases, of a table `[policy]` as TOML gave it."""
    place = f"{file}, [policy]"
    lists = {name: _words(f"{file}, [policy.{name}]", entries.get(name, {})) for name in _LISTS}
    with reading(place, {key: value for key, value in entries.items() if key not in _FREE}) as table:
        known: dict[str, Any] = {key: table.whole(key) for key in _WHOLES if key in table}
        known |= {name: _bp(table, key) for key, name in _PERCENTS.items() if key in table}
        known |= {name: ns_of(table, key) for key, name in _SECONDS.items() if key in table}
        for key in ("hedge_tiers", "strict_tiers"):
            if key in table:
                known[key] = frozenset(tier_named(name, f"{place}, {key}") for name in table.texts(key))
        if "exam" in table:
            with table.table("exam") as exam:
                known |= _exam(exam)
    known["queue_places"] = _places(f"{file}, [policy.queue]", entries.get("queue", {}))
    return RoutePolicy(fallbacks=lists["fallbacks"], **known), lists["aliases"]


def _exam(table: Section) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if "window_s" in table:
        known["exam_window_ns"] = ns_of(table, "window_s")
    if "answers_min" in table:
        known["exam_answers_min"] = table.whole("answers_min")
    if "probation_percent" in table:
        known["probation_bp"] = _bp(table, "probation_percent")
    if "probation_answers_min" in table:
        known["probation_answers_min"] = table.whole("probation_answers_min")
    return known


def _words(place: str, entries: object) -> Words:
    """A table of lists of texts, by any word."""
    return {name: table.texts(name) for name, table in _any_keys(place, entries)}


def _places(place: str, entries: object) -> dict[Tier, int]:
    named = {name: table.whole(name) for name, table in _any_keys(place, entries)}
    return {Tier.ANY if name == "any" else tier_named(name, place): places for name, places in named.items()}


def _any_keys(place: str, entries: object) -> list[tuple[str, Section]]:
    if not isinstance(entries, dict):
        raise Malformed(place, found=entries, expected="a table", remedy="Mend the value.")
    return [(name, Section(place, entries)) for name in entries]


def tier_named(name: str, place: str) -> Tier:
    """A tier by its name in small letters."""
    tier = member(Tier, name, place)
    if tier is Tier.ANY:
        raise Malformed(place, found=name, expected="a tier of service", remedy="Name one: free to ultra.")
    return tier


def ns_of(table: Section, key: str) -> int:
    """Nanoseconds of a number of seconds above 0, to the nearest."""
    seconds = table.number(key)
    if not 0 < seconds <= 10**9:
        raise Malformed(
            f"{table.place}, {key}", found=seconds, expected="seconds above 0", remedy="Mend the number."
        )
    return max(1, round(seconds * NS_PER_SECOND))


def _bp(table: Section, key: str) -> int:
    return round(table.number(key) * 100)
