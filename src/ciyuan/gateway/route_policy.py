"""The router's policy: every number that an operator may set, with its default and where that is from.

| number | default | from |
|---|---|---|
| `attempts_max` | 3 | this project: a first attempt and two others |
| `retry_bp`, `retries_per_s_min` | 20%, 1 | Finagle's retry budget: 20% (finagle.github.io/blog/2016/02/08/retry-budgets) |
| `hedge_bp` | 5% | Dean and Barroso, The Tail at Scale (2013): past the 95th percentile, one request in twenty is sent twice |
| `failures_in_a_row` | 5 | Envoy's outlier detection, `consecutive_5xx` |
| `failure_bp`, `failure_volume` | 50%, 20 | Hystrix: `errorThresholdPercentage`, `requestVolumeThreshold` |
| `backoff_ns`, `backoff_ns_max` | 5 s, 5 min | this project; Envoy's `max_ejection_time` |
| `half_life_ns` | 1 min | this project: what is known "now" |
| `exam_window_ns`, `exam_answers_min` | 1 h, 100 | this project |
| `probation_bp`, `probation_answers_min` | 2%, 20 | this project |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.gateway.route_offers import Tier

ALL_BP = 10_000
ATTEMPTS_MAX = 15
"""The most attempts of a request: four bits of its key number them."""
_NO_TIERS = frozenset[Tier]()


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """How requests are routed. Shares are in hundredths of a percent; times in nanoseconds.

    `strict_tiers` are refused rather than served below their grade's service. `fallbacks` names, for a model, the models to
    try after it, in order. `hedge_tiers` are those whose slow requests are sent twice. `queue_places` says how many may wait
    in a tier (a tier that is absent does not wait) and `queue_wait_ns` how long. `processes` is how many doors share the
    suppliers' limits: each takes its part.
    """

    attempts_max: int = 3
    retry_bp: int = 2_000
    retries_per_s_min: int = 1
    hedge_tiers: frozenset[Tier] = _NO_TIERS
    hedge_bp: int = 500
    failures_in_a_row: int = 5
    failure_bp: int = 5_000
    failure_volume: int = 20
    backoff_ns: int = 5 * NS_PER_SECOND
    backoff_ns_max: int = 5 * NS_PER_MINUTE
    half_life_ns: int = NS_PER_MINUTE
    exam_window_ns: int = NS_PER_HOUR
    exam_answers_min: int = 100
    probation_bp: int = 200
    probation_answers_min: int = 20
    strict_tiers: frozenset[Tier] = _NO_TIERS
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    queue_places: Mapping[Tier, int] = field(default_factory=dict)
    queue_wait_ns: int = 10 * NS_PER_SECOND
    sessions_max: int = 100_000
    processes: int = 1

    def __post_init__(self) -> None:
        whole = ("failures_in_a_row", "failure_volume", "backoff_ns", "half_life_ns", "exam_window_ns", "exam_answers_min",
                 "probation_answers_min", "queue_wait_ns", "sessions_max", "processes")  # fmt: skip
        for name in whole:
            self._check(name, getattr(self, name) >= 1, "1 or more")
        for name in ("retry_bp", "hedge_bp", "failure_bp", "probation_bp"):
            self._check(name, 0 <= getattr(self, name) <= ALL_BP, "0 to 100 percent")
        self._check("failure_bp", self.failure_bp > 0, "more than 0")
        self._check("attempts_max", 1 <= self.attempts_max <= ATTEMPTS_MAX, f"1 to {ATTEMPTS_MAX}")
        self._check("retries_per_s_min", self.retries_per_s_min >= 0, "0 or more")
        self._check("backoff_ns_max", self.backoff_ns_max >= self.backoff_ns, "the first backoff or more")
        self._check(
            "queue_places",
            all(places > 0 for places in self.queue_places.values()),
            "1 or more in each tier named",
        )

    def _check(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise Malformed(f"policy of routing, {name}", found=getattr(self, name), expected=expected,
                            remedy="Mend the number.")  # fmt: skip
