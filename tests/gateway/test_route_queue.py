"""The queue: higher tiers first, fair between spenders whatever they bring, bounded, and nobody is lost or served twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.route_offers import Tier
from ciyuan.gateway.route_queue import FINISHES_PER_PLACE, Queue, Ticket, TicketState
from tests.gateway.routes import NOW

LATER = NOW + 10**9
WAITING, SERVED, LEFT, LATE = TicketState


def drained(queue, now_ns=NOW):
    order = []
    while (ticket := queue.next(now_ns)) is not None:
        order.append(ticket)
    return order


def joined(queue, spender, deadline_ns=LATER, payload=None) -> Ticket:
    ticket = queue.join(Tier.MEDIUM, spender, NOW, deadline_ns, payload=payload)
    assert isinstance(ticket, Ticket)
    return ticket


def test_higher_tiers_go_first():
    queue = Queue(dict.fromkeys(Tier, 10))
    for tier in (Tier.ANY, Tier.HIGH, Tier.FREE, Tier.ULTRA, Tier.HIGH):
        assert queue.join(tier, 1, NOW, LATER)
    assert [ticket.tier for ticket in drained(queue)] == [
        Tier.ULTRA,
        Tier.HIGH,
        Tier.HIGH,
        Tier.FREE,
        Tier.ANY,
    ]


def test_who_brings_many_does_not_stand_before_who_brings_one():
    queue = Queue({Tier.MEDIUM: 100})
    for _ in range(50):
        queue.join(Tier.MEDIUM, 1, NOW, LATER, cost=100)
    queue.join(Tier.MEDIUM, 2, NOW, LATER, cost=100)
    assert [ticket.spender for ticket in drained(queue)[:3]] == [1, 2, 1]


def test_a_weight_of_three_gets_three_times_as_much():
    queue = Queue({Tier.MEDIUM: 100})
    for spender, weight in ((1, 1), (2, 3)):
        for _ in range(40):
            queue.join(Tier.MEDIUM, spender, NOW, LATER, cost=10, weight=weight)
    assert sum(ticket.spender == 2 for ticket in drained(queue)[:40]) in range(29, 32)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 1_000)), min_size=10, max_size=120),
       st.tuples(*[st.integers(1, 5)] * 3))  # fmt: skip
def test_service_of_two_that_wait_never_differs_by_more_than_their_largest_tickets(joined, weights):
    """Goyal, Vin and Cheng (1996), theorem 1: |W_f / r_f - W_m / r_m| <= l_f / r_f + l_m / r_m while both wait."""
    queue = Queue({Tier.MEDIUM: 1_000})
    largest: dict[int, int] = {}
    left: dict[int, int] = {}
    for spender, cost in joined:
        queue.join(Tier.MEDIUM, spender, NOW, LATER, cost=cost, weight=weights[spender - 1])
        largest[spender] = max(largest.get(spender, 0), cost)
        left[spender] = left.get(spender, 0) + 1
    served = dict.fromkeys(left, 0)
    for ticket in drained(queue):
        served[ticket.spender] += ticket.cost
        left[ticket.spender] -= 1
        both = [spender for spender, count in left.items() if count]
        for first in both:
            for second in both:
                one, two = weights[first - 1], weights[second - 1]
                gap = abs(served[first] * two - served[second] * one)
                assert gap <= largest[first] * two + largest[second] * one + one * two


def test_a_spender_that_was_idle_has_saved_nothing_up():
    queue = Queue({Tier.MEDIUM: 100})
    for _ in range(20):
        queue.join(Tier.MEDIUM, 1, NOW, LATER)
    for _ in range(15):
        queue.next(NOW)
    for _ in range(10):
        queue.join(Tier.MEDIUM, 2, NOW, LATER)
    assert sum(ticket.spender == 2 for ticket in drained(queue)[:8]) in range(3, 6)


def test_places_are_bounded_by_tier_and_by_spender():
    queue = Queue({Tier.HIGH: 4, Tier.FREE: 1})
    assert queue.join(Tier.HIGH, 1, NOW, LATER)
    assert queue.join(Tier.HIGH, 1, NOW, LATER)
    assert queue.join(Tier.HIGH, 1, NOW, LATER) is None, "half of the places"
    assert queue.join(Tier.HIGH, 2, NOW, LATER)
    assert queue.join(Tier.HIGH, 3, NOW, LATER)
    assert queue.join(Tier.HIGH, 4, NOW, LATER) is None, "no place"
    assert queue.join(Tier.FREE, 1, NOW, LATER)
    assert queue.join(Tier.MEDIUM, 1, NOW, LATER) is None, "nobody waits in this tier"
    assert queue.join(Tier.FREE, 2, NOW, NOW) is None
    assert queue.size == 5
    assert [queue.waiting(tier) for tier in (Tier.ANY, Tier.HIGH, Tier.ULTRA)] == [5, 4, 0]


def test_a_ticket_that_does_not_fit_holds_up_its_own_spender_only():
    queue = Queue({Tier.MEDIUM: 10})
    stuck, behind, other = (
        joined(queue, spender, payload=payload) for spender, payload in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert queue.next(NOW, lambda ticket: ticket.payload != "a") is other
    assert queue.next(NOW, lambda ticket: ticket.payload != "a") is None
    assert [ticket.state for ticket in (stuck, behind, other)] == [WAITING, WAITING, SERVED]


def test_what_is_late_is_told_and_never_served():
    queue = Queue({Tier.MEDIUM: 10})
    soon = joined(queue, 1, NOW + 5)
    joined(queue, 2)
    assert queue.deadline_ns() == NOW + 5
    assert queue.late(NOW + 4) == []
    assert queue.late(NOW + 5) == [soon]
    assert soon.state is LATE
    assert queue.deadline_ns() == LATER
    queue.leave(soon)
    assert soon.state is LATE, "it is so for good"
    assert queue.next(LATER) is None
    assert len(queue.late(LATER)) == 1
    assert (queue.size, queue.deadline_ns()) == (0, None)


def test_spenders_that_are_served_are_forgotten():
    queue = Queue({Tier.MEDIUM: 4})
    queue.join(Tier.MEDIUM, 0, NOW, LATER, cost=10**9)
    for spender in range(1, 5_000):
        queue.join(Tier.MEDIUM, spender, NOW, LATER)
        queue.join(Tier.MEDIUM, spender, NOW, LATER)
        queue.next(NOW)
        queue.next(NOW)
    assert len(queue._lines[Tier.MEDIUM].finish) <= FINISHES_PER_PLACE * 4 + 1


@pytest.mark.parametrize("bad", [{"cost": 0}, {"weight": 0}])
def test_a_place_costs_something(bad):
    with pytest.raises(Malformed, match="place in the queue"):
        Queue({Tier.MEDIUM: 1}).join(Tier.MEDIUM, 1, NOW, LATER, **bad)


class QueueFlow(RuleBasedStateMachine):
    """Tickets that join, go, leave and are late, in any order."""

    def __init__(self):
        super().__init__()
        self.queue = Queue({Tier.ANY: 5, Tier.MEDIUM: 6, Tier.ULTRA: 3})
        self.now_ns = NOW
        self.tickets = []
        self.gone = set()

    @rule(
        tier=st.sampled_from(Tier),
        spender=st.integers(1, 3),
        wait_ns=st.integers(0, 50),
        cost=st.integers(1, 9),
        weight=st.integers(1, 3),
    )
    def join(self, tier, spender, wait_ns, cost, weight):
        ticket = self.queue.join(tier, spender, self.now_ns, self.now_ns + wait_ns, cost=cost, weight=weight)
        if ticket is not None:
            self.tickets.append(ticket)

    @rule(passed_ns=st.integers(0, 30))
    def late(self, passed_ns):
        self.now_ns += passed_ns
        for ticket in self.queue.late(self.now_ns):
            assert ticket.deadline_ns <= self.now_ns
            self.leaves(ticket, LATE)

    @rule(refused=st.sets(st.integers(1, 3)))
    def next(self, refused):
        ticket = self.queue.next(self.now_ns, lambda ticket: ticket.spender not in refused)
        open_ones = [
            one for one in self.waiting() if one.spender not in refused and one.deadline_ns > self.now_ns
        ]
        if ticket is None:
            assert all(self.heads_block(one) for one in open_ones)
            return
        assert ticket.spender not in refused
        assert ticket.deadline_ns > self.now_ns
        assert ticket.tier == max(one.tier for one in open_ones if not self.heads_block(one))
        before = [
            one
            for one in self.waiting()
            if (one.tier, one.spender) == (ticket.tier, ticket.spender) and one is not ticket
        ]
        assert all(one.number > ticket.number for one in before)
        self.leaves(ticket, SERVED)

    @rule(data=st.data())
    def leave(self, data):
        if self.tickets:
            ticket = data.draw(st.sampled_from(self.tickets))
            waited = ticket.state is WAITING
            self.queue.leave(ticket)
            if waited:
                self.leaves(ticket, LEFT)

    def waiting(self):
        return [ticket for ticket in self.tickets if ticket.number not in self.gone]

    def heads_block(self, ticket):
        """Whether an overdue ticket of the same spender and tier stands before it."""
        mine = [one for one in self.waiting() if (one.tier, one.spender) == (ticket.tier, ticket.spender)]
        return min(mine, key=lambda one: one.number).deadline_ns <= self.now_ns

    def leaves(self, ticket, state):
        assert ticket.state is state
        assert ticket.number not in self.gone
        self.gone.add(ticket.number)

    @invariant()
    def those_that_wait_are_there(self):
        waiting = self.waiting()
        assert self.queue.size == len(waiting) == self.queue.waiting(Tier.ANY)
        assert {ticket.number for ticket in self.queue.tickets()} == {ticket.number for ticket in waiting}
        assert all(ticket.state is WAITING for ticket in waiting)


QueueFlow.TestCase.settings = settings(max_examples=80, stateful_step_count=50)
TestQueueFlow = QueueFlow.TestCase
