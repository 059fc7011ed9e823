"""The circuit of an offer: closed while it answers, open after it failed, half open while one request tries it again.

| state | requests go | leaves it |
|---|---|---|
| CLOSED | all, once a wait asked for is over | to OPEN: too many failures, in a row or of the last; or it refuses us |
| OPEN | none, until the backoff is over | to HALF_OPEN: the next request that is sent |
| HALF_OPEN | only that one, the probe | to CLOSED: it was answered; to OPEN: it failed, or nothing came of it |

**Backoff** doubles with each opening that follows soon on the last one, up to a cap; an offer that stood closed for as long
as the cap begins anew. **A wait** is not a failure: a supplier that says 429 has no room; it is let alone for as long as it
says (`Retry-After`), or, where it does not say, for a second, two, four and so on.

The share of failures is of a window that decays: every half-life both counts become a half of themselves.

The circuit is asked by one number, `shut_until_ns`: no request goes before it. While a probe is out it lies so far ahead that
no other goes, and near enough that a probe whose ending is never told does not close the offer for good.

Invariants: at most one probe is out; only its ending moves a circuit that is not closed; what says neither for nor against a
supplier (a client that left, a hedge that was called off, a request that was itself at fault) changes no count.

Sources: Nygard, Release It! (2007), the circuit breaker; the defaults' are in `route_policy`.
"""

from enum import IntEnum

from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.gateway.route_policy import ALL_BP, RoutePolicy

WAIT_NS_MAX = NS_PER_HOUR
"""A supplier is let alone for at most this long at a time, whatever it says."""
WAIT_NS_FIRST, WAIT_NS_UNSAID_MAX = NS_PER_SECOND, NS_PER_MINUTE
PROBE_NS_MAX = 10 * NS_PER_MINUTE
"""A probe of which nothing was heard for so long is given up."""
_DOUBLINGS_MAX = 30


class CircuitState(IntEnum):
    """Whether requests go to an offer."""

    CLOSED = 1
    OPEN = 2
    HALF_OPEN = 3


_CLOSED, _OPEN, _HALF_OPEN = CircuitState


class Circuit:
    """One offer's circuit."""

    __slots__ = (
        "_bad",
        "_closed_at_ns",
        "_decay_at_ns",
        "_good",
        "_probe",
        "failures",
        "openings",
        "policy",
        "shut_until_ns",
        "state",
        "waits",
    )

    def __init__(self, policy: RoutePolicy) -> None:
        self.policy = policy
        self.state: CircuitState = _CLOSED
        self.shut_until_ns = 0
        self.failures = 0
        """Failures in a row."""
        self.openings = 0
        """Openings that followed soon on one another."""
        self.waits = 0
        """Waits in a row."""
        self._good = self._bad = 0
        self._decay_at_ns = self._closed_at_ns = self._probe = 0

    def sent(self, now_ns: int) -> int:
        """A request goes out: the number of the probe that it is, 0 if it is none."""
        if self.state is _CLOSED or now_ns < self.shut_until_ns:
            return 0
        self.state = _HALF_OPEN
        self.shut_until_ns = now_ns + PROBE_NS_MAX
        self._probe += 1
        return self._probe

    def answered(self, now_ns: int, probe: int = 0) -> None:
        """The supplier did what it should."""
        if self.state is _CLOSED:
            if now_ns >= self._decay_at_ns:
                self._decay(now_ns)
            self._good += 1
            self.failures = self.waits = 0
        elif self._is_out(probe):
            self.state = _CLOSED
            self.shut_until_ns = 0
            self.failures = self.waits = self._good = self._bad = 0
            self._closed_at_ns = now_ns

    def failed(self, now_ns: int, probe: int = 0, retry_after_ns: int = 0) -> None:
        """It failed: it is counted, and enough of it opens the circuit. If it says when to come back, nothing goes before."""
        closed = self.state is _CLOSED
        if not closed and not self._is_out(probe):
            return
        if closed and not self._too_many(now_ns):
            self._wait(now_ns, retry_after_ns)
            return
        self._open(now_ns)
        self._wait(now_ns, retry_after_ns)

    def refused_us(self, now_ns: int, probe: int = 0) -> None:
        """It takes no request of ours (our key, our money): it is opened at once, and for a minute at least."""
        if self.state is _CLOSED or self._is_out(probe):
            self._open(now_ns)
            self._wait(now_ns, min(NS_PER_MINUTE, self.policy.backoff_ns_max))

    def limited(self, now_ns: int, probe: int = 0, retry_after_ns: int = 0) -> None:
        """It has no room: it is let alone for as long as it says (0: it does not say)."""
        if self._is_out(probe):
            self.state = _OPEN
            self.shut_until_ns = now_ns
        elif self.state is not _CLOSED:
            return
        unsaid_ns = min(WAIT_NS_FIRST << min(self.waits, _DOUBLINGS_MAX), WAIT_NS_UNSAID_MAX)
        self.waits += 1
        self._wait(now_ns, retry_after_ns if retry_after_ns > 0 else unsaid_ns)

    def nothing_said(self, now_ns: int, probe: int = 0) -> None:
        """A request ended that says nothing of the supplier: a probe is out no more, and the next request is one."""
        if self._is_out(probe):
            self.state = _OPEN
            self.shut_until_ns = now_ns

    def _is_out(self, probe: int) -> bool:
        """Whether that is the probe that is out: one that was given up is not."""
        return probe > 0 and probe == self._probe and self.state is _HALF_OPEN

    def _wait(self, now_ns: int, wait_ns: int) -> None:
        if wait_ns > 0:
            self.shut_until_ns = max(self.shut_until_ns, now_ns + min(wait_ns, WAIT_NS_MAX))

    def _too_many(self, now_ns: int) -> bool:
        """Count a failure; whether the circuit is to be opened for it."""
        self._decay(now_ns)
        self._bad += 1
        self.failures += 1
        policy, volume = self.policy, self._good + self._bad
        if self.failures >= policy.failures_in_a_row:
            return True
        return volume >= policy.failure_volume and self._bad * ALL_BP >= volume * policy.failure_bp

    def _open(self, now_ns: int) -> None:
        policy = self.policy
        if self.state is _CLOSED:
            if now_ns - self._closed_at_ns >= policy.backoff_ns_max:
                self.openings = 0
        else:
            self.shut_until_ns = now_ns
        wait_ns = min(policy.backoff_ns << min(self.openings, _DOUBLINGS_MAX), policy.backoff_ns_max)
        self.openings += 1
        self.state = _OPEN
        self.shut_until_ns = max(self.shut_until_ns, now_ns + wait_ns)

    def _decay(self, now_ns: int) -> None:
        half_life_ns = self.policy.half_life_ns
        late_ns = now_ns - self._decay_at_ns
        if late_ns >= 0:
            halvings = late_ns // half_life_ns + 1
            self._good >>= halvings
            self._bad >>= halvings
            self._decay_at_ns += halvings * half_life_ns
