"""The queue of requests that wait for room: by tier, and within a tier fairly between spenders.

**Order.** Higher tiers first. Within a tier it is start-time fair queueing (Goyal, Vin and Cheng, 1996): a ticket gets a
start tag,

    start = max(virtual time of the tier, finish tag of the spender's ticket before it)
    finish = start + cost / weight

and the least start tag goes first; the virtual time is the start tag of the ticket that went last. So of two spenders that
both wait all the time, what each was served, divided by its weight, never differs by more than its largest ticket and the
other's together, however many tickets either brings: who sends a thousand requests does not stand before who sends one. A
spender's own tickets go in turn.

**Bounds.** So many places a tier; one spender has at most half of them (one at least). A ticket leaves when it is served,
when its deadline has come, or when its client leaves: it is in one of these states for good.

**Skipping.** `next` is told which tickets can be served now. A spender whose first ticket cannot be (it waits for another
model, or wants a price nobody asks) holds up nobody but itself.

Invariants: tickets waiting are those joined less those that went, left or were too late; a ticket is handed out once; none is
handed out at or after its deadline; no ticket goes before another of its spender and tier that joined first.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.route_offers import Tier

TAG_PER_COST = 2**20
"""Fineness of the tags: a weight of up to a million divides a cost of one."""
FINISHES_PER_PLACE = 8
"""Beyond so many remembered tags a place, those that virtual time has passed are forgotten: they say nothing any more."""


class TicketState(IntEnum):
    """What became of a ticket."""

    WAITING = 1
    SERVED = 2
    LEFT = 3
    LATE = 4


class Ticket:
    """A place in the queue. `start` is its tag; `payload` is the caller's."""

    __slots__ = ("cost", "deadline_ns", "joined_ns", "number", "payload", "spender", "start", "state", "tier")

    def __init__(
        self, number: int, tier: Tier, spender: int, cost: int, times_ns: tuple[int, int], payload: object
    ) -> None:
        self.number, self.tier, self.spender, self.cost = number, tier, spender, cost
        self.joined_ns, self.deadline_ns = times_ns
        self.payload = payload
        self.start = 0
        self.state = TicketState.WAITING


class _Line:
    """The tickets of one tier."""

    __slots__ = ("finish", "places", "virtual", "waiting", "waits")

    def __init__(self, places: int) -> None:
        self.places = places
        self.waiting: dict[int, deque[Ticket]] = {}
        self.finish: dict[int, int] = {}
        self.virtual = 0
        self.waits = 0

    def heads(self) -> list[Ticket]:
        """Each spender's first ticket, in the order in which they may go."""
        return sorted(
            (line[0] for line in self.waiting.values()), key=lambda ticket: (ticket.start, ticket.number)
        )

    def remove(self, ticket: Ticket, state: TicketState) -> None:
        line = self.waiting[ticket.spender]
        line.remove(ticket)
        ticket.state = state
        self.waits -= 1
        if not line:
            del self.waiting[ticket.spender]
        if not self.waits:  # the busy time is over: everybody begins anew
            self.finish.clear()
            self.virtual = 0
        elif len(self.finish) > FINISHES_PER_PLACE * self.places:
            self.finish = {
                spender: tag
                for spender, tag in self.finish.items()
                if tag > self.virtual or spender in self.waiting
            }


class Queue:
    """Requests that wait for room. `places` says how many may wait in each tier; in a tier without places nobody waits."""

    def __init__(self, places: Mapping[Tier, int]) -> None:
        self._lines: dict[Tier, _Line] = {}
        self._count = 0
        self.size = 0
        """How many wait."""
        self.set(places)

    def set(self, places: Mapping[Tier, int]) -> None:
        """Take other places. Those who wait keep theirs, and go as they would."""
        for tier, line in self._lines.items():
            line.places = places.get(tier, 0)
        lines = self._lines | {tier: _Line(most) for tier, most in places.items() if tier not in self._lines}
        self._lines = {tier: lines[tier] for tier in sorted(lines, reverse=True)}

    def waiting(self, tier: Tier) -> int:
        """How many wait in a tier or above it."""
        return sum(line.waits for own, line in self._lines.items() if own >= tier)

    def tickets(self) -> Iterator[Ticket]:
        """Every ticket that waits, the highest tier's first, each spender's in turn."""
        for line in self._lines.values():
            for tickets in line.waiting.values():
                yield from tickets

    def join(self, tier: Tier, spender: int, now_ns: int, deadline_ns: int, *, cost: int = 1, weight: int = 1,
             payload: object = None) -> Ticket | None:  # fmt: skip
        """A place for a request that is expected to cost `cost` (1 or more, tokens say); None if there is none.

        Raises Malformed for a cost or weight below 1.
        """
        if cost < 1 or weight < 1:
            raise Malformed("place in the queue", found=(cost, weight), expected="a cost and a weight of 1 or more",
                            remedy="A request costs one token at least.")  # fmt: skip
        line = self._lines.get(tier)
        if line is None or deadline_ns <= now_ns or line.waits >= line.places:
            return None
        own = line.waiting.get(spender)
        if own is not None and len(own) >= max(1, line.places // 2):
            return None
        self._count += 1
        ticket = Ticket(self._count, tier, spender, cost, (now_ns, deadline_ns), payload)
        ticket.start = max(line.virtual, line.finish.get(spender, 0))
        line.finish[spender] = ticket.start + cost * TAG_PER_COST // weight
        if own is None:
            line.waiting[spender] = deque((ticket,))
        else:
            own.append(ticket)
        line.waits += 1
        self.size += 1
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The client of a ticket has gone. One that waits no more is left as it is."""
        if ticket.state is TicketState.WAITING:
            self._remove(ticket, TicketState.LEFT)

    def late(self, now_ns: int) -> list[Ticket]:
        """The tickets whose deadline has come: they wait no more."""
        late = [ticket for ticket in self.tickets() if ticket.deadline_ns <= now_ns]
        for ticket in late:
            self._remove(ticket, TicketState.LATE)
        return late

    def deadline_ns(self) -> int | None:
        """When the next ticket will be late; None if nobody waits."""
        return min((ticket.deadline_ns for ticket in self.tickets()), default=None)

    def next(self, now_ns: int, fits: Callable[[Ticket], bool] | None = None) -> Ticket | None:
        """The ticket that goes now, of those that fit; None if none does. It waits no more. Take out the late ones first."""
        for line in self._lines.values():
            for ticket in line.heads():
                if ticket.deadline_ns > now_ns and (fits is None or fits(ticket)):
                    line.virtual = max(line.virtual, ticket.start)
                    self._remove(ticket, TicketState.SERVED)
                    return ticket
        return None

    def _remove(self, ticket: Ticket, state: TicketState) -> None:
        self._lines[ticket.tier].remove(ticket, state)
        self.size -= 1
