"""The router in random flows: requests that are sent, wait, end in every way, are tried again and hedged, while time passes."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ciyuan.basics.time import NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from ciyuan.gateway.route_endings import TRIED_AGAIN, Result
from ciyuan.gateway.route_offers import Limits, Offer, Tier
from tests.gateway.routes import NOW, SERVICE, offer, priced, router, used, wanted

CACHED = priced(2_000_000, 4_000_000, cached=200_000)


class RouterFlow(RuleBasedStateMachine):
    """Requests that are sent, wait, end in every way, are tried again and hedged, while time passes."""

    LIMITS = (Limits(2), Limits(3, 6, 9_000), Limits(1, 0, 4_000))

    def __init__(self):
        super().__init__()
        pooled = {"pool": 5, "limits": self.LIMITS[1]}
        self.made = router(
            offer(1, tier=Tier.HIGH, limits=self.LIMITS[0], service=SERVICE, prices=CACHED, cache_ns=NS_PER_MINUTE),
            offer(2, tier=Tier.HIGH, service=SERVICE, **pooled),
            offer(2, model="other", service=SERVICE, **pooled),
            offer(3, tier=Tier.HIGH, limits=self.LIMITS[2], region="eu"),
            aliases={"any": ["kimi", "other"]}, fallbacks={"other": ("kimi",)}, hedge_tiers=frozenset({Tier.HIGH}),
            hedge_bp=5_000, queue_places={Tier.ANY: 4, Tier.HIGH: 3}, exam_answers_min=8, probation_answers_min=4,
            exam_window_ns=NS_PER_MINUTE, probation_bp=2_000,
        )  # fmt: skip
        self.now_ns = NOW
        self.running = []
        self.tickets = []
        self.count = 0

    @rule(passed_ns=st.sampled_from((0, NS_PER_MS, NS_PER_SECOND, 9 * NS_PER_SECOND, NS_PER_MINUTE)))
    def time_passes(self, passed_ns):
        self.now_ns += passed_ns

    @rule(
        word=st.sampled_from(("kimi", "other", "any", "k*", "none")),
        tier=st.sampled_from((Tier.ANY, Tier.HIGH, Tier.ULTRA)),
        tokens=st.sampled_from(((10, 10), (1_000, 200), (5_000, 100))),
        session=st.integers(0, 2),
        region=st.sampled_from(("", "eu")),
    )
    def come(self, word, tier, tokens, session, region):
        self.count += 1
        asked = wanted(
            self.count, word, tokens, tier=tier, session=session, region=region, spender=self.count % 3
        )
        self.try_to_send(asked)

    def try_to_send(self, asked):
        found = self.made.choose(asked, self.now_ns)
        assert self.made.choose(asked, self.now_ns) == found, "asking changes nothing"
        if isinstance(found, Offer):
            assert found.tier >= asked.tier
            assert asked.region in {"", found.region}
            self.running.append(self.made.sent(asked, found, self.now_ns))
        elif found.retry_at_ns:
            assert found.retry_at_ns > self.now_ns
            ticket = self.made.wait(asked, self.now_ns) if not asked.attempts else None
            if ticket is not None:
                self.tickets.append(ticket)

    @precondition(lambda self: self.running)
    @rule(
        data=st.data(),
        result=st.sampled_from(Result),
        first=st.booleans(),
        retry_ns=st.sampled_from((0, NS_PER_SECOND)),
    )
    def end(self, data, result, first, retry_ns):
        attempt = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        if first:
            self.made.first_token(attempt, self.now_ns)
            self.now_ns += NS_PER_SECOND
        usage = (
            used(500, 50, read=data.draw(st.sampled_from((0, 400)))) if result is Result.ANSWERED else None
        )
        verdict = self.made.ended(attempt, result, self.now_ns, usage, retry_ns)
        assert verdict is None or verdict.reason is attempt.lane.exam.reason
        if self.made.try_again(attempt.wanted, result, self.now_ns, passed=first):
            assert result in TRIED_AGAIN
            assert not first
            self.try_to_send(attempt.wanted)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def hedge(self, data):
        attempt = self.running[data.draw(st.integers(0, len(self.running) - 1))]
        found = self.made.hedge(attempt, self.now_ns)
        if found is not None:
            assert found.number not in attempt.wanted.tried
            self.running.append(self.made.sent(attempt.wanted, found, self.now_ns))

    @rule()
    def wake(self):
        self.tickets = [ticket for ticket in self.tickets if ticket not in self.made.late(self.now_ns)]
        for ticket, attempt in self.made.wake(self.now_ns):
            assert ticket.payload is attempt.wanted
            self.running.append(attempt)
        at_ns = self.made.wake_at_ns(self.now_ns)
        assert (at_ns is None) is (not self.made.queue.size)
        assert at_ns is None or at_ns > self.now_ns

    @rule(data=st.data())
    def leave(self, data):
        if self.tickets:
            self.made.leave(data.draw(st.sampled_from(self.tickets)))

    @rule()
    def renew(self):
        self.made.renew(self.made.offers)

    @invariant()
    def what_is_in_flight_is_what_was_sent_and_has_not_ended(self):
        by_offer = Counter(attempt.offer.number for attempt in self.running)
        by_pool = Counter(attempt.offer.pool_key for attempt in self.running)
        for state in self.made.states(self.now_ns):
            assert state.in_flight == by_offer[state.offer.number]
            most = state.offer.limits.concurrent
            assert not most or by_pool[state.offer.pool_key] <= most
        by_request = Counter((attempt.wanted.request, attempt.offer.number) for attempt in self.running)
        assert not by_request or max(by_request.values()) == 1
        assert all(attempt.wanted.attempts <= self.made.policy.attempts_max for attempt in self.running)

    @invariant()
    def those_who_wait_are_counted(self):
        queued: Counter[tuple[int, Tier]] = Counter()
        for ticket in self.made.queue.tickets():
            for number in self.made._numbers(ticket):
                queued[number, ticket.tier] += 1
        for number, lane in self.made._lanes.items():
            assert lane.queued == [queued[number, tier] for tier in Tier]


RouterFlow.TestCase.settings = settings(max_examples=60, stateful_step_count=50)
TestRouterFlow = RouterFlow.TestCase
