"""What the door says to its neighbours: a call to the router as a wanted offer, the meter's refusals to a client as words.

| the meter's refusal | told as |
|---|---|
| INSUFFICIENT_BALANCE | BALANCE_SPENT: what the hold needs, and what there is |
| BUDGET_SPENT, RATE_LIMITED | the same: which limit, and whose |
| any other | DOOR_FAILED: the registry and the venue disagree, which is no fault of the client's |
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ciyuan.basics.money import format_micro
from ciyuan.basics.rows import REASON_MASK, REASON_SHIFT
from ciyuan.gateway.door_refusals import DoorRefusal, Refused
from ciyuan.gateway.messages import REFUSAL, MeterRefusal
from ciyuan.gateway.route import session_of
from ciyuan.gateway.route_lane import Wanted
from ciyuan.gateway.route_offers import Offers, Tier

if TYPE_CHECKING:
    from ciyuan.gateway.route_offers import Offer
    from ciyuan.gateway.settlement import Held
    from ciyuan.services.door.call import Question
    from ciyuan.services.door.registry import Directory, Key

OUTPUT_TOKENS_EXPECTED = 512
"""How much output is expected of a request that sets no lower limit: the router compares prices by it, nothing is charged by it.
A public trace of chat has a mean of 211 (Azure LLM inference trace 2023, conversations); reasoning adds to that."""
BYTES_PER_TOKEN = 4
SESSION_TEXTS, SESSION_CHARS = 2, 4_096
"""A conversation is known by the beginning of its first texts: the system's and the user's first."""
_TIERS = {tier.name.lower().encode(): tier for tier in Tier}
_BALANCE = int(MeterRefusal.INSUFFICIENT_BALANCE)
_LIMITS = {
    MeterRefusal.BUDGET_SPENT: DoorRefusal.BUDGET_SPENT,
    MeterRefusal.RATE_LIMITED: DoorRefusal.RATE_LIMITED,
}


class Words:
    """`available` tells the micro-units that a customer can still hold. `renew` when the offers or the directory change."""

    def __init__(self, offers: Offers, directory: "Directory", available: Callable[[int], int]) -> None:
        self._available = available
        self.renew(offers, directory)

    def renew(self, offers: Offers, directory: "Directory") -> None:
        """Take other offers and another directory."""
        self._directory = directory
        self._sticky = any(offer.cache_ns for offer in offers.all)

    def wanted(self, question: "Question", spender: int, logical: int) -> Wanted:
        """A call as the router sees it; `logical` is its number."""
        key, ask, headers = question.key, question.ask, question.request.headers
        tier = _TIERS.get(headers.get(b"x-ciyuan-tier", b"").lower(), Tier.ANY)
        output_max = (
            OUTPUT_TOKENS_EXPECTED if ask.output_max is None else min(ask.output_max, OUTPUT_TOKENS_EXPECTED)
        )
        session = 0
        if self._sticky and ask.heard.texts:
            beginning = "\0".join(ask.heard.texts[:SESSION_TEXTS])[:SESSION_CHARS]
            session = session_of(spender, beginning.encode("utf-8", "surrogatepass"))
        return Wanted(
            logical,
            ask.model,
            ask.protocol,
            ask.text_bytes // BYTES_PER_TOKEN,
            output_max * ask.choices,
            tier or _TIERS.get(ask.service_tier.encode("ascii", "replace"), Tier.ANY),
            spender,
            session,
            headers.get(b"x-ciyuan-region", b"").decode("latin-1"),
            ask.heard.images_by_url + ask.heard.images_inline,
            permits=key.permits if _is_restricted(key) else None,
        )

    def of_meter(self, event: Sequence[int], key: "Key", offer: "Offer", held: "Held") -> Refused:
        """A refusal of a HOLD at an offer, as the client is told it."""
        fault = event[REFUSAL]
        if fault == _BALANCE:
            there = self._available(key.customer)
            return Refused(DoorRefusal.BALANCE_SPENT,
                           message=f"The request can cost up to {_most(offer, held)} USD; the prepaid balance of "
                           f"{key.organisation} has {format_micro(max(there, 0))} USD left.")  # fmt: skip
        limited = _LIMITS.get(MeterRefusal(fault))
        if limited is None:
            return Refused(
                DoorRefusal.DOOR_FAILED, message=f"The meter refuses the hold: {MeterRefusal(fault).name}."
            )
        limit = self._directory.limit_words(event[0] >> REASON_SHIFT & REASON_MASK)
        if limited is DoorRefusal.RATE_LIMITED:
            return Refused(limited, message=f"Too much at once for {limit}.")
        return Refused(limited, message=f"The request can cost up to {_most(offer, held)} USD, which is more than is left of "
                       f"{limit}.")  # fmt: skip


def _most(offer: "Offer", held: "Held") -> str:
    """What an attempt can cost at most."""
    prices = offer.prices.pico
    return format_micro((held.tokens_in * max(prices[:4]) + held.tokens_out * prices[4]) // 10**6 + 1)


def _is_restricted(key: "Key") -> bool:
    """Whether a key may use some models or tiers only."""
    return key.permissions.models is not None or key.permissions.tiers is not None
