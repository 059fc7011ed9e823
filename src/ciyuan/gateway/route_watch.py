"""The watch on an offer's service: how fast its answers come now, and whether that is what its grade asks for.

| measure | of | kept as |
|---|---|---|
| time to first token | streams: from sending to the first token | moving mean, 95th percentile |
| time per output token | longer streams: from the first token to the end, over the tokens after it | moving mean, median |

The service is *below* its grade when first tokens later than the bound, or answers slower than it, are more than the grade
allows beyond chance, by two standard deviations, of the samples of late: counts become a half of themselves every
half-life. An offer that is below gets few requests or none, so its measures would never mend: it counts as below only for as
long as it would take its samples to decay to too few to judge by. Then it is tried as any other.

Invariants: counts of late and slow are no more than what they are of; `below_until_ns` is in the past or 0 unless a judgement
stands.
"""

from ciyuan.basics.grade import Service
from ciyuan.basics.time import NS_PER_MS, NS_PER_SECOND
from ciyuan.gateway.route_exam import SPEED_BP, TTFT_BP
from ciyuan.gateway.route_measure import Recent, more_often

SAMPLES_MIN = 8
"""Fewer samples say nothing of a service."""
SIGMAS = 2
OUTPUT_TOKENS_MIN = 16
"""Answers with fewer tokens after the first say nothing of speed."""


class ServiceWatch:
    """What is known of the service of one offer now."""

    __slots__ = (
        "_decay_at_ns",
        "_late",
        "_late_ns",
        "_slow",
        "_speed_min",
        "_timed",
        "_tokened",
        "below_until_ns",
        "half_life_ns",
        "pace",
        "pace_mean_ns",
        "ttft",
        "ttft_mean_ns",
    )  # fmt: skip

    def __init__(self, service: Service, half_life_ns: int) -> None:
        self.half_life_ns = half_life_ns
        self._late_ns = service.ttft_ms_p95_max * NS_PER_MS
        self._speed_min = service.output_tokens_per_s_p50_min
        self._tokened = self._late = self._timed = self._slow = 0
        self._decay_at_ns = 0
        self.below_until_ns = 0
        """Until when the service counts as below its grade."""
        self.ttft, self.pace = Recent(TTFT_BP), Recent(SPEED_BP)

    def first_token(self, ttft_ns: int, now_ns: int) -> bool | None:
        """A stream's first token came; whether it was late, None if the grade does not say what is."""
        if now_ns >= self._decay_at_ns:
            self._decay(now_ns)
        self.ttft.add(ttft_ns)
        if not self._late_ns:
            return None
        self._tokened += 1
        late = ttft_ns > self._late_ns
        if late:
            self._late += 1
        if late or self.below_until_ns:
            self._judge(now_ns)
        return late

    def streamed(self, tokens: int, took_ns: int, now_ns: int) -> bool | None:
        """A stream ended whose `tokens` after the first took so long; whether it was slow, None if that cannot be told."""
        if tokens < OUTPUT_TOKENS_MIN or took_ns <= 0:
            return None
        if now_ns >= self._decay_at_ns:
            self._decay(now_ns)
        self.pace.add(took_ns // tokens)
        if not self._speed_min:
            return None
        self._timed += 1
        slow = tokens * NS_PER_SECOND < self._speed_min * took_ns
        if slow:
            self._slow += 1
        if slow or self.below_until_ns:
            self._judge(now_ns)
        return slow

    @property
    def speed_median(self) -> int | None:
        """Tokens a second of the median answer of late; None without samples."""
        pace_ns = self.pace.quantile()
        return None if pace_ns is None else NS_PER_SECOND // max(1, pace_ns)

    def _judge(self, now_ns: int) -> None:
        tokened, timed = self._tokened, self._timed
        below = (tokened >= SAMPLES_MIN and more_often(self._late, tokened, TTFT_BP, SIGMAS)) or (
            timed >= SAMPLES_MIN and more_often(self._slow, timed, SPEED_BP, SIGMAS)
        )
        if below:
            half_lives = (max(tokened, timed) // SAMPLES_MIN).bit_length()
            self.below_until_ns = now_ns + half_lives * self.half_life_ns
        else:
            self.below_until_ns = 0

    def _decay(self, now_ns: int) -> None:
        halvings = (now_ns - self._decay_at_ns) // self.half_life_ns + 1
        self._decay_at_ns += halvings * self.half_life_ns
        self._tokened >>= halvings
        self._late >>= halvings
        self._timed >>= halvings
        self._slow >>= halvings
