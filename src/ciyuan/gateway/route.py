"""The router: which supplier a request goes to now, what becomes of that, and what is tried when it fails.

    choose(wanted) ─▶ Offer ─▶ sent ─▶ Attempt ─▶ first_token ─▶ ended ─▶ try_again? ─▶ choose(wanted) ...
                  └─▶ NoOffer ─▶ wait ─▶ Ticket ─▶ wake ─▶ (Ticket, Attempt)

**The choice.** Of the offers of the model, in the request's own protocol, those that will do for it (tier, region, pictures,
price) and can take it now (circuit closed, room in the pool, not tried yet by this request), the one that stands best, and of
those the one whose expected cost is least (`route_price`). Of equals the one that served the session lately; else each by its
weight, spread evenly over the requests' numbers: no chance is drawn. Where none can, the models that the policy names as
fallbacks are tried in their order.

**Probation.** A suspended offer gets a small share of requests, by their numbers, whatever its price: it could not pass an
exam without.

**Waiting.** Where all are full a request may wait (`route_queue`); nobody of its tier or a lower one then passes those who
wait for an offer. What did not fit one of two tickets that want the same does not fit the other: none is overtaken by a
smaller one of its kind.

**Second attempts.** One after a failure that left nothing with the client, or one beside a first attempt whose first token is
later than 95 in 100 were. Both need a budget that requests pay into, and go to an offer that the request has not tried.

The router never holds money and never waits: it is told the time and what happened. Its state is soft: a door that starts
anew knows of no failure, and learns. Only the exams' standings are worth keeping (`exams`, `restore_exams`).

Invariants: every attempt ends once, and a pool's requests in flight are its attempts that have not ended; no request is sent
twice to one offer; attempts of a request are at most the policy's; with equal offers, state, requests and times, the same
choices.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from ciyuan.basics.errors import InvariantBroken
from ciyuan.gateway.door_refusals import Protocol
from ciyuan.gateway.route_choice import NoOffer, cheapest, no_offer, on_probation
from ciyuan.gateway.route_endings import Result, may_try_again
from ciyuan.gateway.route_exam import Reason, Verdict
from ciyuan.gateway.route_lane import Attempt, Lane, LaneState, Wanted, learn
from ciyuan.gateway.route_limits import AttemptBudget, Pool
from ciyuan.gateway.route_offers import Offer, Offers, Tier
from ciyuan.gateway.route_policy import RoutePolicy
from ciyuan.gateway.route_queue import Queue, Ticket, TicketState
from ciyuan.gateway.usage import Leg, Usage

__all__ = ["HEDGE_SAMPLES_MIN", "WORDS_KEPT_MAX", "NoOffer", "Router", "session_of"]

HEDGE_SAMPLES_MIN = 20
"""With fewer first tokens a 95th percentile is not known, and no second attempt starts beside the first."""
WORDS_KEPT_MAX = 4_096
"""Words of clients whose lanes are remembered."""
_OUTPUT = int(Leg.OUTPUT)
_ANSWERED = Result.ANSWERED


def session_of(spender: int, text: bytes) -> int:
    """What stands for a conversation: the same beginning of the same spender is the same session. Never 0."""
    return int.from_bytes(blake2b(text, digest_size=8, salt=spender.to_bytes(8, "big")).digest(), "big") or 1


class Router:
    """Routes the requests of one door. Every method that takes `now_ns` is told a time that does not go back."""

    def __init__(self, offers: Offers, policy: RoutePolicy | None = None) -> None:
        self.policy = policy or RoutePolicy()
        self.queue = Queue({})
        self._retries, self._hedges = AttemptBudget(0, 0), AttemptBudget(0, 0)
        self._sessions: dict[int, tuple[Lane, int]] = {}
        self._lanes: dict[int, Lane] = {}
        self._pools: dict[tuple[int, int], Pool] = {}
        self._suspended = 0
        self.renew(offers, self.policy)

    def renew(self, offers: Offers, policy: RoutePolicy | None = None) -> None:
        """Take other offers, and another policy if one is given.

        An offer that stays keeps what is known of it; attempts at one that goes end as they would.
        """
        if policy is not None:
            self.policy = policy
            self.queue.set(policy.queue_places)
            self._retries.share_bp, self._retries.per_s_min = policy.retry_bp, policy.retries_per_s_min
            self._hedges.share_bp = policy.hedge_bp
            self._hedging = [tier in policy.hedge_tiers for tier in Tier]
            self._strict = [tier in policy.strict_tiers for tier in Tier]
        pools: dict[tuple[int, int], Pool] = {}
        lanes: dict[int, Lane] = {}
        for offer in offers.all:
            key = offer.pool_key
            pool = pools.get(key) or self._pools.get(key) or Pool(offer.limits)
            pool.set(offer.limits, self.policy.processes)
            pools[key] = pool
            lane = self._lanes.get(offer.number)
            if lane is None or lane.offer.service != offer.service:
                lane = Lane(offer, pool, self.policy)
            lane.set(offer, pool, self.policy)
            lanes[offer.number] = lane
        self.offers, self._pools, self._lanes = offers, pools, lanes
        self._tables: list[dict[str, list[Lane]]] = [{} for _ in range(max(Protocol) + 1)]
        self._sessions = {
            session: held for session, held in self._sessions.items() if held[0].number in lanes
        }
        for lane in lanes.values():
            lane.queued = [0] * len(lane.queued)
        for ticket in self.queue.tickets():
            self._count_queued(ticket, 1)
        self._count_suspended()

    def choose(self, wanted: Wanted, now_ns: int) -> Offer | NoOffer:
        """The offer to send a request to, or why there is none. Call `sent` before anything else is chosen."""
        lanes = self._tables[wanted.protocol].get(wanted.model) or self._lanes_of(
            wanted.model, wanted.protocol
        )
        lane = self._pick(self._behind(lanes, wanted) if self.queue.size else lanes, wanted, now_ns)
        return lane.offer if lane is not None else self._fall_back(lanes, wanted, now_ns)

    def sent(self, wanted: Wanted, offer: Offer, now_ns: int) -> Attempt:
        """A request goes to an offer that was chosen for it. Raises InvariantBroken for one that it has tried already."""
        number = offer.supplier << 16 | offer.grade
        if number in wanted.tried:
            raise InvariantBroken(
                "attempts", f"request {wanted.request} was sent to {offer.supplier_name} before"
            )
        lane = self._lanes[number]
        attempt = Attempt(lane, wanted, wanted.attempts, now_ns)
        if not wanted.attempts:
            self._retries.request()
            if self._hedging[wanted.tier]:
                self._hedges.request()
        wanted.attempts += 1
        wanted.tried = (*wanted.tried, number)
        if lane.circuit.shut_until_ns:
            attempt.probe = lane.circuit.sent(now_ns)
        attempt.expected_tokens = tokens = wanted.input_tokens + wanted.output_tokens
        lane.in_flight += 1
        lane.pool.take(tokens, now_ns)
        if wanted.session:
            held = self._sessions.get(wanted.session)
            attempt.continued = held is not None and held[0] is lane and held[1] > now_ns
        return attempt

    def first_token(self, attempt: Attempt, now_ns: int) -> None:
        """The first token of a streamed answer came. Only the first call for an attempt counts."""
        if not attempt.first_ns:
            attempt.first_ns = now_ns
            lane = attempt.lane
            late = attempt.late = lane.watch.first_token(now_ns - attempt.sent_ns, now_ns)
            if late or lane.flaw_until_ns:
                lane.judge()

    def ended(self, attempt: Attempt, result: Result, now_ns: int, usage: Usage | None = None,
              retry_after_ns: int = 0) -> Verdict | None:  # fmt: skip
        """An attempt has ended; `usage` is what it used, if anybody knows. The exam's verdict, if the offer's admission changed.

        Raises InvariantBroken for an attempt that has ended before.
        """
        if attempt.over:
            raise InvariantBroken(
                "attempts", f"attempt {attempt.number} of request {attempt.wanted.request} ended twice"
            )
        attempt.over = True
        lane, wanted = attempt.lane, attempt.wanted
        lane.in_flight -= 1
        used = None
        if lane.counts_tokens:
            if usage is not None:
                used = usage.input_tokens + (usage.counts[_OUTPUT] or 0)
            elif result is not _ANSWERED:
                used = 0
        lane.pool.give_back(attempt.expected_tokens, used)
        verdict = learn(attempt, result, now_ns, usage, retry_after_ns)
        if verdict is not None:
            self._count_suspended()
        if wanted.session and result is _ANSWERED and lane.offer.cache_ns:
            self._keep(wanted.session, lane, now_ns)
        return verdict

    def unsent(self, attempt: Attempt, now_ns: int) -> None:
        """An attempt never reached its supplier (hold refused, connection stale): the offer may be tried again."""
        self.ended(attempt, Result.CALLED_OFF, now_ns)
        attempt.wanted.tried = tuple(
            number for number in attempt.wanted.tried if number != attempt.lane.number
        )

    def try_again(self, wanted: Wanted, result: Result, now_ns: int, *, passed: bool) -> bool:
        """Whether a request whose attempt ended so may be sent elsewhere: by its ending, its attempts and the budget of retries.

        `passed` is whether any byte of the answer went to the client. True takes one retry out of the budget.
        """
        if not may_try_again(result, passed=passed) or wanted.attempts >= self.policy.attempts_max:
            return False
        return self._retries.take(now_ns)

    def hedge_at_ns(self, attempt: Attempt) -> int | None:
        """When a second attempt may start beside this one if no first token has come; None: never."""
        wanted = attempt.wanted
        if attempt.number or not self._hedging[wanted.tier] or self.policy.attempts_max < 2:
            return None
        ttft = attempt.lane.watch.ttft
        late_ns = ttft.quantile() if ttft.count >= HEDGE_SAMPLES_MIN else None
        return None if late_ns is None else attempt.sent_ns + late_ns

    def hedge(self, attempt: Attempt, now_ns: int) -> Offer | None:
        """Where to start the second attempt; None if nobody else meets the service now, or the budget of hedges is empty."""
        at_ns = self.hedge_at_ns(attempt)
        wanted = attempt.wanted
        if (
            attempt.over
            or attempt.first_ns
            or at_ns is None
            or now_ns < at_ns
            or wanted.attempts >= self.policy.attempts_max
        ):
            return None
        lanes = self._behind(self._lanes_of(wanted.model, wanted.protocol), wanted)
        lane = cheapest(lanes, wanted, now_ns, strict=True)
        if lane is None or wanted.input_tokens > lane.context_tokens or not self._hedges.take(now_ns):
            return None
        return lane.offer

    def wait(self, wanted: Wanted, now_ns: int, *, weight: int = 1) -> Ticket | None:
        """A place in the queue for a request that found no room; None if there is none. Its payload is the request."""
        cost = max(1, wanted.input_tokens + wanted.output_tokens)
        deadline_ns = now_ns + self.policy.queue_wait_ns
        ticket = self.queue.join(
            wanted.tier, wanted.spender, now_ns, deadline_ns, cost=cost, weight=weight, payload=wanted
        )
        if ticket is not None:
            self._count_queued(ticket, 1)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The client of a ticket has gone."""
        if ticket.state is TicketState.WAITING:
            self._count_queued(ticket, -1)
        self.queue.leave(ticket)

    def late(self, now_ns: int) -> list[Ticket]:
        """The tickets whose time is over: refuse them."""
        late = self.queue.late(now_ns)
        for ticket in late:
            self._count_queued(ticket, -1)
        return late

    def wake(self, now_ns: int) -> list[tuple[Ticket, Attempt]]:
        """The tickets that go now, each sent already. Call it when something has ended, and at `wake_at_ns`."""
        gone: list[tuple[Ticket, Attempt]] = []
        full: set[tuple[object, ...]] = set()
        found: list[Lane] = []

        def fits(ticket: Ticket) -> bool:
            wanted = _wanted(ticket)
            kind = (wanted.model, wanted.protocol, wanted.tier, wanted.region, wanted.images > 0, wanted.input_price_max,
                    wanted.output_price_max, wanted.permits)  # fmt: skip
            if kind in full:
                return False
            lane = self._pick(self._lanes_of(wanted.model, wanted.protocol), wanted, now_ns)
            if lane is None:
                full.add(kind)
                return False
            found.append(lane)
            return True

        while self.queue.size and (ticket := self.queue.next(now_ns, fits)) is not None:
            self._count_queued(ticket, -1)
            gone.append((ticket, self.sent(_wanted(ticket), found.pop().offer, now_ns)))
        return gone

    def wake_at_ns(self, now_ns: int) -> int | None:
        """When to call `late` and `wake` even if nothing ends before: a deadline comes or an offer opens. None: nobody waits."""
        deadline_ns = self.queue.deadline_ns()
        if deadline_ns is None:
            return None
        tokens = {
            number: _tokens(ticket) for ticket in self.queue.tickets() for number in self._numbers(ticket)
        }
        times = [deadline_ns]
        for number, most in tokens.items():
            lane = self._lanes[number]
            times += [
                at_ns for at_ns in (lane.circuit.shut_until_ns, lane.pool.opens_at_ns(most)) if at_ns > now_ns
            ]
        return min(times)

    def states(self, now_ns: int) -> tuple[LaneState, ...]:
        """What is known of every offer now."""
        return tuple(lane.state(now_ns) for lane in self._lanes.values())

    def exams(self) -> dict[int, tuple[int, ...]]:
        """The standing and open window of every offer's exam, by its number: what is worth keeping over a restart."""
        return {number: lane.exam.snapshot() for number, lane in self._lanes.items()}

    def restore_exams(self, states: Mapping[int, tuple[int, ...]]) -> None:
        """Take up the exams where they were; those of offers that are no more are left out."""
        for number, state in states.items():
            lane = self._lanes.get(number)
            if lane is not None:
                lane.exam.restore(state)
                lane.judge()
        self._count_suspended()

    def _lanes_of(self, word: str, protocol: Protocol) -> list[Lane]:
        """The lanes that a word means in a protocol, the cheaper lists first."""
        table = self._tables[protocol]
        lanes = table.get(word)
        if lanes is None:
            offers = [offer for offer in self.offers.of(word) if protocol in offer.dialects]
            lanes = sorted((self._lanes[offer.number] for offer in offers), key=_listed)
            if lanes:
                if len(table) >= WORDS_KEPT_MAX:
                    table.clear()
                table[word] = lanes
        return lanes

    def _pick(self, lanes: Sequence[Lane], wanted: Wanted, now_ns: int) -> Lane | None:
        """The lane for a request now; None if none can take it."""
        policy = self.policy
        if self._suspended and not wanted.attempts:
            drawn = on_probation(lanes, wanted, now_ns, policy.probation_bp)
            if drawn is not None:
                return drawn
        kept = None
        if wanted.session:
            held = self._sessions.get(wanted.session)
            if held is not None and held[1] > now_ns:
                kept = held[0]
        return cheapest(lanes, wanted, now_ns, kept, strict=self._strict[wanted.tier])

    def _fall_back(self, lanes: Sequence[Lane], wanted: Wanted, now_ns: int) -> Offer | NoOffer:
        """An offer of the models that stand in for the one wanted, in their order; else why there is none."""
        every = list(lanes)
        for model in self.policy.fallbacks.get(wanted.model, ()):
            others = self._lanes_of(model, wanted.protocol)
            every += others
            lane = self._pick(self._behind(others, wanted), wanted, now_ns)
            if lane is not None:
                return lane.offer
        return no_offer(every, wanted, now_ns)

    def _behind(self, lanes: Sequence[Lane], wanted: Wanted) -> Sequence[Lane]:
        """The lanes for which nobody of this request's tier or a higher one waits."""
        if not self.queue.size:
            return lanes
        tier = wanted.tier
        return [lane for lane in lanes if not sum(lane.queued[tier:])]

    def _keep(self, session: int, lane: Lane, now_ns: int) -> None:
        sessions = self._sessions
        if session in sessions:
            del sessions[session]  # so that it is the youngest again
        elif len(sessions) >= self.policy.sessions_max:
            del sessions[next(iter(sessions))]
        sessions[session] = lane, now_ns + lane.offer.cache_ns

    def _numbers(self, ticket: Ticket) -> list[int]:
        wanted = _wanted(ticket)
        return [lane.number for lane in self._lanes_of(wanted.model, wanted.protocol)]

    def _count_queued(self, ticket: Ticket, change: int) -> None:
        for number in self._numbers(ticket):
            self._lanes[number].queued[ticket.tier] += change

    def _count_suspended(self) -> None:
        self._suspended = sum(lane.exam.reason is not Reason.NONE for lane in self._lanes.values())


def _listed(lane: Lane) -> tuple[int, int]:
    """Where a lane stands in its list: by what four tokens of input and one of output cost, then by number."""
    return 4 * lane.prices.fresh + lane.prices.output, lane.number


def _wanted(ticket: Ticket) -> Wanted:
    if not isinstance(ticket.payload, Wanted):
        raise InvariantBroken("the router's queue", f"ticket {ticket.number} holds no request")
    return ticket.payload


def _tokens(ticket: Ticket) -> int:
    wanted = _wanted(ticket)
    return wanted.input_tokens + wanted.output_tokens
