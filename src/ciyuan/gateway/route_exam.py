"""The exam: a supplier is admitted to a grade, and kept in it, by the service that was measured (rulebook §1.6).

An exam is of one offer, and goes window by window. A window is as long as the policy says, and goes on until it has answers
enough to be judged by. In it four things are counted, each against the grade's least service (rulebook §1.2):

| counted | of | may be at most |
|---|---|---|
| requests that failed | all requests | what the availability leaves |
| first tokens later than the bound of the 95th percentile | first tokens of streams | 5% |
| answers slower than the bound of the median | answers long enough to tell | 50% |

So a quantile is judged exactly, by how many lie beyond its bound, and no distribution is kept. A window is *failed* where a
count is more than chance explains, by three standard deviations (`route_measure.more_often`): an honest supplier at the very
bound fails about one window in seven hundred. The standing follows:

| standing | window judged | becomes |
|---|---|---|
| ADMITTED | passed | ADMITTED |
| ADMITTED | failed | SUSPENDED, with the reason named first above |
| SUSPENDED | every count within its bound, without an allowance for chance | ADMITTED |
| SUSPENDED | anything else | SUSPENDED |

While suspended an offer gets a small share of requests on probation, and its windows need fewer answers.

Invariants: a standing changes only at the end of a window; a window of too few answers changes nothing; counts are of the
open window only, and none is more than what it is counted of.
"""

from enum import IntEnum
from typing import NamedTuple

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import Service
from ciyuan.gateway.route_measure import ALL_BP, more_often
from ciyuan.gateway.route_policy import RoutePolicy

SIGMAS = 3
TTFT_BP, SPEED_BP = 500, 5_000
"""What may lie beyond the bound of a 95th percentile, and of a median."""


class Reason(IntEnum):
    """Why a window was failed: of several the one declared first is named."""

    NONE = 0
    AVAILABILITY = 1
    TTFT = 2
    SPEED = 3


class Counts(NamedTuple):
    """What was counted in a window."""

    requests: int = 0
    failed: int = 0
    first_tokens: int = 0
    late: int = 0
    timed: int = 0
    slow: int = 0

    def beyond(self, service: Service, sigmas: int) -> Reason:
        """Which count is beyond its bound by that many standard deviations, of those whose bound the service states."""
        available = service.availability_bp_min
        if available and more_often(self.failed, self.requests, ALL_BP - available, sigmas):
            return Reason.AVAILABILITY
        if service.ttft_ms_p95_max and more_often(self.late, self.first_tokens, TTFT_BP, sigmas):
            return Reason.TTFT
        if service.output_tokens_per_s_p50_min and more_often(self.slow, self.timed, SPEED_BP, sigmas):
            return Reason.SPEED
        return Reason.NONE


class Verdict(NamedTuple):
    """A window that was judged: when it began and ended, what was counted, and why the offer is suspended after it, if it is."""

    began_ns: int
    ended_ns: int
    counts: Counts
    reason: Reason


class Exam:
    """The exam of one offer. `reason` is NONE while it is admitted; `verdict` is of the last window judged, if one was."""

    __slots__ = ("_began_ns", "_counts", "policy", "reason", "service", "verdict")

    def __init__(self, service: Service, policy: RoutePolicy) -> None:
        self.service = service
        self.policy = policy
        self._began_ns = 0
        self._counts = [0] * len(Counts._fields)
        self.reason = Reason.NONE
        self.verdict: Verdict | None = None

    def ended(self, now_ns: int, *, failed: bool, late: bool | None = None, slow: bool | None = None) -> bool:
        """A request ended: whether it failed, whether its first token was late, whether it was slow; None: cannot be told.

        Tells whether the standing has changed.
        """
        changed = False
        counts = self._counts
        if not counts[0]:
            self._began_ns = now_ns
        counts[0] += 1
        if failed:
            counts[1] += 1
        if late is not None:
            counts[2] += 1
            counts[3] += late
        if slow is not None:
            counts[4] += 1
            counts[5] += slow
        if now_ns - self._began_ns >= self.policy.exam_window_ns:
            changed = self._judge(now_ns)
        return changed

    @property
    def counts(self) -> Counts:
        """What was counted in the open window."""
        return Counts(*self._counts)

    def _judge(self, now_ns: int) -> bool:
        policy, counts = self.policy, self.counts
        suspended = self.reason is not Reason.NONE
        if counts.requests < (policy.probation_answers_min if suspended else policy.exam_answers_min):
            return False
        before = self.reason
        self.reason = counts.beyond(self.service, 0 if suspended else SIGMAS)
        self.verdict = Verdict(self._began_ns, now_ns, counts, self.reason)
        self._counts = [0] * len(counts)
        return (before is Reason.NONE) is not (self.reason is Reason.NONE)

    def snapshot(self) -> tuple[int, ...]:
        """The standing and the open window as whole numbers, (8,): reason, when the window began, counts."""
        return (int(self.reason), self._began_ns, *self._counts)

    def restore(self, state: tuple[int, ...]) -> None:
        """The inverse of `snapshot`. Raises Malformed for what is none."""
        reason, began_ns, *counts = state if len(state) == 2 + len(self._counts) else (-1, 0)
        whole = Counts(*counts) if counts else Counts(requests=-1)
        parts = ((whole.failed, whole.requests), (whole.late, whole.first_tokens), (whole.slow, whole.timed))
        if reason not in Reason._value2member_map_ or not all(0 <= part <= of for part, of in parts):
            raise Malformed("state of an exam", found=state, expected="reason, time and six counts, each part within its whole",
                            remedy="Leave the state out: the exam begins anew.")  # fmt: skip
        self.reason, self._began_ns, self._counts = Reason(reason), began_ns, list(counts)
