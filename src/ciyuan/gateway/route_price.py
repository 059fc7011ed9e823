"""The effective price of an offer: what a request is expected to cost there, given what the supplier's cache has saved so far.

    cost = input tokens x input price + output tokens x output price + price of the call       (pico-units)
    input price = (1 - r - w) p_input + r p_read + w p_write, in pico-units per token, rounded up

r and w are the shares of the input that were read from and written to the cache: of the tokens of the offer's calls of late,
apart for calls of a session that the offer has served lately (its prefix should be there) and for all others. Before a call
was heard of, r is what the offer declares for a continued session and 0 for another, and that counts as PRIOR_TOKENS heard.
So keeping a session where it was falls out of price, and stops when another offer is cheaper even without its cache.

Prices by length of context hold for the whole call, so a long request is priced by the step it falls in.

Nothing here is owed: the meter charges by the list and the usage. Source of the idea: OpenRouter sorts by measured effective
price (openrouter.ai/docs, provider routing).
"""

from ciyuan.basics.money import div_ceil
from ciyuan.gateway.leg_prices import LegPrices
from ciyuan.gateway.route_measure import ALL_BP
from ciyuan.gateway.usage import Leg, Usage

NO_STEP = 2**62
"""Where the prices of a list without steps change: never."""
PRIOR_TOKENS = 10_000
"""What is declared of a cache weighs as much as so many tokens heard."""
CALLS_HALVED = 64
"""After so many calls what was heard weighs a half."""
_CALLS_CLOSE, _CALLS_BETWEEN = 32, 7
"""The prices follow what is heard at each of the first calls, then at every eighth."""
_INPUT, _READ, _WRITE, _WRITE_LONG = map(
    int, (Leg.INPUT, Leg.CACHE_READ, Leg.CACHE_WRITE_SHORT, Leg.CACHE_WRITE_LONG)
)
_OUTPUT, _REQUESTS = int(Leg.OUTPUT), int(Leg.REQUESTS)


class CacheShares:
    """What was heard of an offer's cache, in tokens of input of late: all, those read from it, those written to it.

    Invariants: 0 <= read, 0 <= written, read + written <= whole, 0 < whole.
    """

    __slots__ = ("calls", "read", "whole", "written")

    def __init__(self, read_bp: int = 0) -> None:
        self.calls = 0
        self.whole = PRIOR_TOKENS
        self.read = PRIOR_TOKENS * read_bp // ALL_BP
        self.written = 0

    @property
    def read_bp(self) -> int:
        """Share of the input that is read from the cache, in hundredths of a percent."""
        return self.read * ALL_BP // self.whole

    def heard(self, read: int, written: int, whole: int) -> bool:
        """A call had `whole` (> 0) tokens of input, of which so many were read and written; whether to price anew by it."""
        self.read += read
        self.written += written
        self.whole += whole
        self.calls += 1
        if self.calls & _CALLS_BETWEEN and self.calls > _CALLS_CLOSE:
            return False
        if not self.calls % CALLS_HALVED:
            self.read >>= 1
            self.written >>= 1
            self.whole -= self.whole >> 1
        return True

    def input_price(self, prices: LegPrices) -> int:
        """Pico-units that a token of input is expected to cost, rounded up."""
        pico = prices.pico
        plain = (self.whole - self.read - self.written) * pico[_INPUT]
        return div_ceil(plain + self.read * pico[_READ] + self.written * pico[_WRITE], self.whole)


class Prices:
    """What an offer's tokens are expected to cost now: `fresh` for any call, `kept` for one of a session it served lately."""

    __slots__ = (
        "_caches",
        "continued",
        "fresh",
        "kept",
        "list",
        "other",
        "output",
        "request",
        "step_above",
    )

    def __init__(self, prices: LegPrices, hit_bp: int = 0, *, caches: bool = False) -> None:
        self.list = prices
        self._caches = caches
        self.other, self.continued = CacheShares(), CacheShares(hit_bp if caches else 0)
        self.output = prices.pico[_OUTPUT]
        self.request = prices.pico[_REQUESTS]
        self.step_above = prices.steps[0].above_tokens if prices.steps else NO_STEP
        self.fresh = self.other.input_price(prices)
        self.kept = self.continued.input_price(prices)

    def heard(self, usage: Usage, *, continued: bool) -> None:
        """Learn from what a call used; one without input tells nothing."""
        counts = usage.counts
        read = counts[_READ] or 0
        written = (counts[_WRITE] or 0) + (counts[_WRITE_LONG] or 0)
        whole = (counts[_INPUT] or 0) + read + written
        if whole <= 0 or not (self._caches or read or written):
            return
        shares = self.continued if continued else self.other
        if shares.heard(read, written, whole):
            self.fresh = self.other.input_price(self.list)
            self.kept = self.continued.input_price(self.list)

    def expected_pico(self, input_tokens: int, output_tokens: int, *, continued: bool = False) -> int:
        """What a call of that size is expected to cost, in pico-units."""
        if input_tokens > self.step_above:
            prices = self.list.for_input(input_tokens)
            shares = self.continued if continued else self.other
            return (
                input_tokens * shares.input_price(prices)
                + output_tokens * prices.pico[_OUTPUT]
                + prices.pico[_REQUESTS]
            )
        return (
            input_tokens * (self.kept if continued else self.fresh)
            + output_tokens * self.output
            + self.request
        )
