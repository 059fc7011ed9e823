"""What may be sent: a pool's room at its supplier, and the budgets of attempts beyond the first.

**A pool** is what a supplier takes at most: requests at once, requests and tokens a minute. The two rates are buckets of a
minute's worth that fill all the time (Anthropic's limits are such: docs.claude.com/en/api/rate-limits), kept as the time at
which the bucket would be full again (GCRA's theoretical arrival time, ATM Forum Traffic Management 4.0). A request takes its
expected tokens when it is sent, and gives back or takes the difference when it has ended. One that is larger than the bucket
waits until it is full.

**An attempt budget** keeps an outage from being doubled: every request pays a share of an attempt in, every second attempt
takes a whole one out. A floor by time lets a quiet door retry too; what is saved is bounded, so that a calm hour does not pay
for a storm.

Invariants: requests in flight are those taken and not yet given back; no rate's bucket is ever below empty by more than what
ended requests had used beyond what was expected; attempts granted are at most the share of requests, plus the floor, plus
what was saved.
"""

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.money import div_ceil
from ciyuan.basics.time import NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.gateway.route_offers import Limits

UNLIMITED = 2**62
SAVED_ATTEMPTS_MAX = 10
"""Attempts that a budget saves at most: some seconds' worth, as the ten seconds of Finagle's."""
_WHOLE_BP = 10_000


class Pool:
    """A supplier's room. `concurrent_max` is UNLIMITED if none is stated; `free_at_ns` is when the next may go by rate."""

    __slots__ = (
        "_request_ns",
        "_request_tat_ns",
        "_token_ns",
        "_token_tat_ns",
        "concurrent_max",
        "free_at_ns",
        "in_flight",
    )

    def __init__(self, limits: Limits, processes: int = 1) -> None:
        self.in_flight = 0
        self.free_at_ns = 0
        self._request_tat_ns = self._token_tat_ns = 0
        self.concurrent_max = UNLIMITED
        self._request_ns = self._token_ns = 0
        self.set(limits, processes)

    def set(self, limits: Limits, processes: int = 1) -> None:
        """Take other limits; what is in flight and what was used stays. Each of `processes` doors takes its part, at least 1."""
        self.concurrent_max = max(1, limits.concurrent // processes) if limits.concurrent else UNLIMITED
        self._request_ns = _interval_ns(limits.requests_per_minute, processes)
        self._token_ns = _interval_ns(limits.tokens_per_minute, processes)
        self.free_at_ns = self._request_tat_ns + self._request_ns - NS_PER_MINUTE if self._request_ns else 0

    @property
    def counts_tokens(self) -> bool:
        """Whether there is a limit of tokens."""
        return self._token_ns > 0

    def opens_at_ns(self, tokens: int) -> int:
        """When a request of so many tokens may go by the rates; at most now if it may go at once."""
        if not self._token_ns:
            return self.free_at_ns
        taken = min(tokens * self._token_ns, NS_PER_MINUTE)
        return max(self.free_at_ns, self._token_tat_ns + taken - NS_PER_MINUTE)

    def take(self, tokens: int, now_ns: int) -> None:
        """A request goes out."""
        self.in_flight += 1
        if self._request_ns:
            tat = self._request_tat_ns
            self._request_tat_ns = tat = (max(now_ns, tat)) + self._request_ns
            self.free_at_ns = tat + self._request_ns - NS_PER_MINUTE
        if self._token_ns:
            self._token_tat_ns = max(self._token_tat_ns, now_ns) + tokens * self._token_ns

    def give_back(self, expected: int, used: int | None) -> None:
        """A request has ended, that took `expected` tokens and used `used`; None: nobody knows, and nothing is corrected."""
        if self.in_flight < 1:
            raise InvariantBroken("pools", "a request ended that was not in flight")
        self.in_flight -= 1
        if self._token_ns and used is not None:
            self._token_tat_ns += (used - expected) * self._token_ns


def _interval_ns(per_minute: int, processes: int) -> int:
    """Nanoseconds between two at that rate, rounded up, of one of so many processes; 0 without a limit."""
    return div_ceil(NS_PER_MINUTE * processes, per_minute) if per_minute else 0


class AttemptBudget:
    """Attempts beyond the first: a share of requests, and so many a second at least."""

    __slots__ = ("_level", "_since_ns", "per_s_min", "share_bp")

    def __init__(self, share_bp: int, per_s_min: int) -> None:
        self.share_bp, self.per_s_min = share_bp, per_s_min
        self._level = SAVED_ATTEMPTS_MAX * _WHOLE_BP
        self._since_ns = 0

    def request(self) -> None:
        """A request came: it pays its share in."""
        if self._level < SAVED_ATTEMPTS_MAX * _WHOLE_BP:
            self._level += self.share_bp

    def take(self, now_ns: int) -> bool:
        """Take an attempt out, if one is there. With a share of 0 there never is one."""
        if not self.share_bp:
            return False
        passed_ns = max(0, now_ns - self._since_ns)
        if self.per_s_min and passed_ns:
            earned = min(
                passed_ns * self.per_s_min * _WHOLE_BP // NS_PER_SECOND, SAVED_ATTEMPTS_MAX * _WHOLE_BP
            )
            if earned:
                self._since_ns = now_ns
                self._level = min(self._level + earned, SAVED_ATTEMPTS_MAX * _WHOLE_BP)
        if self._level < _WHOLE_BP:
            return False
        self._level -= _WHOLE_BP
        return True
