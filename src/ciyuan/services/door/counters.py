"""What the door counts, for those who watch it: plain integers on the way, made into metrics when someone asks.

| metric | labels | counts |
|---|---|---|
| ciyuan_calls_total | protocol, streamed, outcome | calls that ended: `answered`, `failed`, `left` (the client), or the refusal |
| ciyuan_refusals_total | refusal | requests turned away, before or after their hold |
| ciyuan_attempts_total | supplier, model, ending | attempts that were sent |
| ciyuan_alarms_total | supplier, model, alarm | what endings say against a supplier |
| ciyuan_tokens_total | supplier, model, leg | tokens charged |
| ciyuan_charged_usd_total | supplier, model | money charged |
| ciyuan_ttft_seconds, ciyuan_attempt_seconds | supplier, model | histograms: to the first token of a stream; to the end |
| ciyuan_calls_in_flight | | calls under way |
| ciyuan_journal_rows_total, ciyuan_journal_rows_waiting | | rows applied; of these not yet durable |
| ciyuan_build_info | version, door | always 1; `door`: whether the door is `compiled` or `interpreted` |
| ciyuan_unsettled_total | | settlements that the journal did not take: more than 0 is for a person to look at |

The names of what is counted are the operator's (suppliers, models): no key, person or text is a label. Buckets are powers of two.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from ciyuan import __version__
from ciyuan.gateway.ending import Alarm
from ciyuan.gateway.usage import Leg
from ciyuan.services.compiled import running

if TYPE_CHECKING:
    from ciyuan.gateway.door_refusals import DoorRefusal
    from ciyuan.services.door.attempt import Attempt
    from ciyuan.services.door.call import Call
    from ciyuan.services.door.door import Door
    from ciyuan.services.door.registry import Key

CONTENT_TYPE = CONTENT_TYPE_LATEST
LEGS = (Leg.INPUT, Leg.CACHE_READ, Leg.CACHE_WRITE_SHORT, Leg.CACHE_WRITE_LONG, Leg.OUTPUT, Leg.REASONING)
_NS_PER_MS = 10**6
BUCKETS_MS = tuple(2**power for power in range(18))
"""Upper borders in milliseconds: 1 ms to 131 s."""
_Offer = tuple[str, str]


class Spread:
    """Durations by buckets whose borders are powers of two of milliseconds."""

    __slots__ = ("counts", "total_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_MS) + 1)
        self.total_ns = 0

    def add(self, took_ns: int) -> None:
        """One duration."""
        self.counts[min(max(took_ns - 1, 0) // _NS_PER_MS, BUCKETS_MS[-1]).bit_length()] += 1
        self.total_ns += took_ns

    def buckets(self) -> list[tuple[str, float]]:
        """(border in seconds, how many up to it), the last border `+Inf`."""
        told, running = [], 0
        for border, count in zip((*BUCKETS_MS, None), self.counts, strict=True):
            running += count
            told.append(("+Inf" if border is None else f"{border / 1000:g}", float(running)))
        return told


class Counters(Collector):
    """Counts a door's calls and attempts. Hooks itself in; `page` is what a scraper reads."""

    def __init__(self, door: "Door") -> None:
        self._door = door
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.attempts: Counter[tuple[str, str, str]] = Counter()
        self.alarms: Counter[tuple[str, str, str]] = Counter()
        self.tokens: dict[_Offer, list[int]] = {}
        self.charged_micro: Counter[_Offer] = Counter()
        self.ttft: dict[_Offer, Spread] = {}
        self.took: dict[_Offer, Spread] = {}
        self.unsettled = 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        door.on_attempt.append(self._attempt)
        door.on_call.append(self._call)
        door.on_refusal.append(self._refusal)
        door.on_unsettled.append(self._unsettled)

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    # --- hooks ---

    def _attempt(self, attempt: "Attempt") -> None:
        outcome = attempt.outcome
        if outcome is None:
            return
        offer = attempt.offer
        name = offer.supplier_name, offer.model
        self.attempts[*name, outcome.ending.kind.name] += 1
        if outcome.alarm is not Alarm.NONE:
            self.alarms[*name, outcome.alarm.name] += 1
        if attempt.first_ns:
            self._spread(self.ttft, name).add(attempt.first_ns - attempt.sent_ns)
        self._spread(self.took, name).add(attempt.ended_ns - attempt.sent_ns)

    @staticmethod
    def _spread(spreads: dict[_Offer, Spread], name: _Offer) -> Spread:
        spread = spreads.get(name)
        if spread is None:
            spread = spreads[name] = Spread()
        return spread

    def _call(self, call: "Call") -> None:
        choice = call.choice
        if call.refused is not None:
            outcome = call.refused.refusal.name
            self.refusals[outcome] += 1
        elif call.left_ns:
            outcome = "left"
        else:
            outcome = (
                "failed"
                if choice is None or choice.outcome is None or choice.outcome.usage is None
                else "answered"
            )
        ask = call.ask
        self.calls[ask.protocol.name.lower(), "yes" if ask.stream else "no", outcome] += 1
        if choice is None or choice.outcome is None or choice.outcome.usage is None:
            return
        name = choice.offer.supplier_name, choice.offer.model
        usage = choice.outcome.usage.counts
        tokens = self.tokens.get(name)
        if tokens is None:
            tokens = self.tokens[name] = [0] * len(LEGS)
        for place, leg in enumerate(LEGS):
            tokens[place] += usage[leg] or 0
        self.charged_micro[name] += choice.charged_micro

    def _refusal(self, refusal: "DoorRefusal", _: "Key | None") -> None:
        self.refusals[refusal.name] += 1

    def _unsettled(self, _: "Attempt", __: Sequence[int] | None) -> None:
        self.unsettled += 1

    # --- what a scraper reads ---

    def collect(self) -> Iterator[Metric]:
        """The metrics, as they are now."""
        yield _counter(
            "ciyuan_calls", "Calls that ended.", ("protocol", "streamed", "outcome"), self.calls.items()
        )
        yield _counter("ciyuan_refusals", "Requests turned away.", ("refusal",),
                       (((name,), count) for name, count in self.refusals.items()))  # fmt: skip
        yield _counter(
            "ciyuan_attempts",
            "Attempts sent to suppliers.",
            ("supplier", "model", "ending"),
            self.attempts.items(),
        )
        yield _counter(
            "ciyuan_alarms",
            "What endings say against suppliers.",
            ("supplier", "model", "alarm"),
            self.alarms.items(),
        )
        tokens = [
            ((*name, leg.name.lower()), counts[place])
            for name, counts in self.tokens.items()
            for place, leg in enumerate(LEGS)
        ]
        yield _counter("ciyuan_tokens", "Tokens charged.", ("supplier", "model", "leg"), tokens)
        yield _counter("ciyuan_charged_usd", "Money charged, in USD.", ("supplier", "model"),
                       ((name, micro / 1e6) for name, micro in self.charged_micro.items()))  # fmt: skip
        yield _histogram("ciyuan_ttft_seconds", "From sending to the first token of a stream.", self.ttft)
        yield _histogram("ciyuan_attempt_seconds", "From sending to the end of an attempt.", self.took)
        yield InfoMetricFamily("ciyuan_build", "What runs.", {"version": __version__, "door": running()})
        host = self._door.host
        yield GaugeMetricFamily("ciyuan_calls_in_flight", "Calls under way.", len(self._door.calls))
        yield CounterMetricFamily("ciyuan_journal_rows", "Rows applied.", host.applied)
        yield GaugeMetricFamily(
            "ciyuan_journal_rows_waiting", "Rows applied and not yet durable.", host.applied - host.durable
        )
        yield CounterMetricFamily(
            "ciyuan_unsettled", "Settlements that the journal did not take.", self.unsettled
        )


def _counter(
    name: str, words: str, labels: Sequence[str], counts: Iterable[tuple[Sequence[str], float]]
) -> Metric:
    family = CounterMetricFamily(name, words, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family


def _histogram(name: str, words: str, spreads: dict[_Offer, Spread]) -> Metric:
    family = HistogramMetricFamily(name, words, labels=("supplier", "model"))
    for offer, spread in spreads.items():
        family.add_metric(offer, spread.buckets(), spread.total_ns / 1e9)
    return family
