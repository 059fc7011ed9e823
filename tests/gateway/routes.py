"""Offers, requests and answers for the tests of routing."""

from ciyuan.basics.grade import Service
from ciyuan.basics.time import NS_PER_MS, NS_PER_SECOND
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.leg_prices import LegPrices
from ciyuan.gateway.route import Router
from ciyuan.gateway.route_endings import Result
from ciyuan.gateway.route_lane import Attempt, Wanted
from ciyuan.gateway.route_offers import Offer, Offers, Tier
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.gateway.usage import Leg, Provenance, Usage, usage_from

NOW = 1_800_000_000 * NS_PER_SECOND
SERVICE = Service(40, 5_000, 0, 9_950)
CHAT = frozenset({Protocol.CHAT})


def priced(input_price=1_000_000, output_price=4_000_000, cached=None, **more):
    prices = {Leg.INPUT: input_price, Leg.OUTPUT: output_price}
    if cached is not None:
        prices[Leg.CACHE_READ] = cached
    return LegPrices.of(prices | {Leg[name.upper()]: price for name, price in more.items()})


def offer(
    supplier=1,
    *,
    model="kimi",
    grade=None,
    tier=Tier.MEDIUM,
    dialects=CHAT,
    prices=None,
    context=100_000,
    **more,
):
    """An offer; a model and a tier have one grade number."""
    grade = grade or 1 + sum(model.encode()) % 1_000 * len(Tier) + tier
    return Offer(
        supplier,
        f"s{supplier}",
        grade,
        model,
        f"up-{model}",
        tier,
        dialects,
        prices or priced(),
        context,
        8_000,
        **more,
    )


def wanted(request=1, model="kimi", tokens=(1_000, 200), **more):
    return Wanted(request, model, Protocol.CHAT, *tokens, **more)


def router(*offers, aliases=None, **policy):
    return Router(Offers(offers, aliases), RoutePolicy(**policy))


def chosen(made, asked, now_ns=NOW):
    """The number of the supplier that is chosen; the name of the refusal if none is."""
    found = made.choose(asked, now_ns)
    return found.supplier if isinstance(found, Offer) else found.refused.refusal.name


def send(made, asked, now_ns=NOW):
    found = made.choose(asked, now_ns)
    assert isinstance(found, Offer), found
    return made.sent(asked, found, now_ns)


def used(input_tokens=1_000, output_tokens=200, read=0, written=0):
    counts = {
        Leg.INPUT: input_tokens - read - written,
        Leg.CACHE_READ: read,
        Leg.CACHE_WRITE_SHORT: written,
        Leg.OUTPUT: output_tokens,
    }
    return usage_from(Provenance.SUPPLIER, counts)


def play(
    made, attempt: Attempt, now_ns: int, *, ttft_ms=300, tokens_per_s=100, usage: Usage | None = None
) -> int:
    """An answer of 200 tokens streamed to its end; when it ended."""
    first_ns = now_ns + ttft_ms * NS_PER_MS
    made.first_token(attempt, first_ns)
    usage = usage or used()
    end_ns: int = first_ns + (usage.amount(Leg.OUTPUT) - 1) * NS_PER_SECOND // tokens_per_s
    made.ended(attempt, Result.ANSWERED, end_ns, usage)
    return end_ns
