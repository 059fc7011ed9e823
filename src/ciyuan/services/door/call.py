"""One call of a client: its attempts at suppliers, and the one answer that it gets.

Theory of operation. A call makes one attempt after another, or two side by side where its tier hedges, until one has something
to show; from then on that attempt is the call's *choice*, the others are called off, and their holds are freed. So the client
sees one answer, and pays one.

| shown | when |
|---|---|
| nothing | before the hold of the choice is durable |
| pieces of a stream | as they come, each once |
| the last piece, or a whole answer | when the posting is durable |
| a refusal | when nothing was shown, and no attempt is left to make |

A client that leaves ends nothing at once: its suppliers are heard to their end, within `DRAIN_NS`, so that what they delivered is
metered by what they say of it. After that they are called off.
"""

from typing import TYPE_CHECKING, NamedTuple

from ciyuan.basics.money import div_ceil
from ciyuan.gateway.answer import Closed, Said
from ciyuan.gateway.ask_forward import needs_usage_asked
from ciyuan.gateway.door_refusals import WORDS, DoorRefusal, Protocol, Refused, error_body, error_event
from ciyuan.gateway.ending import Charge
from ciyuan.gateway.firewall import Placeholders
from ciyuan.gateway.route import NoOffer
from ciyuan.gateway.route_endings import TRIED_AGAIN
from ciyuan.services.door.attempt import Attempt, State

if TYPE_CHECKING:
    from ciyuan.gateway.answer_screen_terms import Screening
    from ciyuan.gateway.ask import Ask
    from ciyuan.gateway.route_lane import Attempt as Routed
    from ciyuan.gateway.route_offers import Offer
    from ciyuan.gateway.route_queue import Ticket
    from ciyuan.services.door.client_connection import ClientConnection, Request
    from ciyuan.services.door.door import Door
    from ciyuan.services.door.idempotency import Claiming
    from ciyuan.services.door.registry import Key

DRAIN_NS = 30 * 10**9
"""How long a supplier is heard after the client has left."""
HOLD_NS = 5 * 10**9
"""How long a call waits for its hold while the journal cannot be had."""
ATTEMPTS_MAX = 16
"""An attempt's number has four bits in the request's key."""
_JSON = b"content-type: application/json\r\n"


class Question(NamedTuple):
    """A request that has passed the door: whose, what is known of it, as it came, the body that may go on.

    `placeholders` are what was masked in it, for its answer; None where no firewall has looked.
    """

    key: "Key"
    ask: "Ask"
    request: "Request"
    body: bytes
    placeholders: Placeholders | None = None


class Call:
    """One call. `logical` is its number, which its attempts' request keys begin with. See the module's page."""

    def __init__(
        self,
        door: "Door",
        connection: "ClientConnection",
        question: Question,
        spender: int,
        logical: int,
        keeping: "Claiming | None" = None,
    ) -> None:
        self.door, self.connection, self.spender, self.logical = door, connection, spender, logical
        self.key, self.ask, self.request, self.body, placeholders = question
        self.keeping = keeping
        """Where the answer is kept for its idempotency key, if it has one."""
        self.attempts: list[Attempt] = []
        self.choice: Attempt | None = None
        self.withholds_usage = needs_usage_asked(self.ask)
        self.wanted = door.words.wanted(question, spender, logical)
        self.screening: Screening | None = None
        """What the answer is screened by; None: by nothing."""
        if door.firewall is not None and placeholders is not None:
            self.screening = door.firewall.screening(self.key, self.ask.protocol, placeholders, self.name)
        self._cut = False
        self.ticket: Ticket | None = None
        """The place in the queue, while there is no room."""
        self.retry_at_ns = 0
        self.left_ns = 0
        """When the client left; 0: it is there."""
        self.refused: Refused | None = None
        self.done = False
        self._early: list[bytes] = []
        self._full = False

    # --- attempts ---

    def start(self) -> None:
        """Make the first attempt."""
        self._attempt(None)

    def _attempt(self, after: Refused | None) -> None:
        """Make an attempt at the best offer. Without one wait for room, or end: with `after`, or with why there is none."""
        door = self.door
        found = door.router.choose(self.wanted, door.now_ns())
        if not isinstance(found, NoOffer):
            self.make(door.router.sent(self.wanted, found, door.now_ns()))
        elif after is not None:
            self._refuse(after)
        elif not found.retry_at_ns or not door.wait_for_room(self):
            self.retry_at_ns = found.retry_at_ns
            self._refuse(found.refused)

    def make(self, routed: "Routed") -> None:
        """Make an attempt where the router sends it."""
        attempt = Attempt(self, routed, self.door.sites[routed.offer.supplier], len(self.attempts))
        self.attempts.append(attempt)
        attempt.hold()

    def no_room(self) -> None:
        """The call has waited for room as long as it may."""
        self._refuse(Refused(DoorRefusal.SUPPLY_SHORT, message="No supplier has had room for this in time."))

    def input_tokens_max(self, offer: "Offer") -> int:
        """The most input that an attempt at this offer can be: by the body's bytes, and never more than the model takes."""
        bound = self.ask.input_tokens_max(offer.image_tokens)
        return offer.context_tokens if bound is None else min(bound, offer.context_tokens)

    def held(self, attempt: Attempt) -> None:
        """An attempt's hold was granted."""
        if self.done or self.left_ns or self.choice is not None:
            attempt.give_up("it is not wanted any more")
            return
        attempt.send()
        if attempt.number == 0:
            self.door.may_hedge(self, attempt)

    def hold_refused(self, attempt: Attempt, refused: Refused) -> None:
        """An attempt's hold was refused: there is nothing to release."""
        if not self.done and self.choice is None and not self._running():
            self._refuse(refused)

    def hold_overdue(self, now_ns: int) -> None:
        """The journal cannot be had: a call whose hold has waited long enough is refused; a hold granted later is given up."""
        waits = self.choice is None and all(attempt.state is State.HOLDING for attempt in self.attempts)
        if waits and not self.done and now_ns - self.request.received_ns > HOLD_NS:
            self._refuse(Refused(DoorRefusal.UNAVAILABLE, message=self.door.failure_words()))

    def hedge(self) -> None:
        """The first attempt is late: make a second one beside it, unless there is something to show by now."""
        if self.done or self.choice is not None or self.left_ns or len(self.attempts) != 1:
            return
        router, now_ns = self.door.router, self.door.now_ns()
        offer = router.hedge(self.attempts[0].routed, now_ns)
        if offer is not None:
            self.make(router.sent(self.wanted, offer, now_ns))

    def began(self, attempt: Attempt) -> None:
        """An attempt has its first token: it is the choice, if there is none; the others are called off."""
        if self.choice is None:
            self.choice = attempt
            for other in self.attempts:
                if other is not attempt:
                    other.call_off(Closed.BY_DEADLINE, "another attempt was first")

    def loses(self, attempt: Attempt) -> bool:
        """Whether nothing of an attempt will ever be shown, because another is."""
        return self.choice is not None and self.choice is not attempt

    def _running(self) -> bool:
        return any(attempt.state in {State.HOLDING, State.SENT} for attempt in self.attempts)

    # --- what comes of them ---

    def show(self, attempt: Attempt, piece: bytes, told: list[Said]) -> None:
        """Show a piece of a stream."""
        if self.loses(attempt):
            return
        if self.choice is None:
            self.choice = attempt
        if self.keeping is not None:
            self.keeping.shown(piece)
        if self.left_ns or self._cut:
            return
        connection = self.connection
        if connection.begun:
            connection.pass_on(piece)
        elif self._early:
            self._early.append(piece)
        elif attempt.held_at <= self.door.host.durable:
            connection.begin(attempt.status, self.headers(attempt))
            connection.pass_on(piece)
        else:
            self._early.append(piece)
            self.door.host.when_durable(attempt.held_at, self._show_early)

    def cut_off(self, attempt: Attempt, piece: bytes) -> None:
        """The firewall ends a stream: show what says so, and nothing after it. The supplier is heard to its end, and paid."""
        self.show(attempt, piece, [])
        self._cut = True

    def _show_early(self) -> None:
        """The choice's hold is durable: show what has come meanwhile."""
        if self._early and not self.left_ns and self.choice is not None and not self.done:
            self.connection.begin(self.choice.status, self.headers(self.choice))
            self.connection.pass_on(b"".join(self._early))
        self._early.clear()

    def concluded(self, attempt: Attempt) -> None:
        """An attempt has ended: try again where that helps, or let it be settled and shown."""
        self.door.attempt_ended(attempt)
        outcome = attempt.outcome
        if self.done or outcome is None or self.loses(attempt):
            return
        nothing = outcome.charge is Charge.VOID and attempt.result in TRIED_AGAIN and not self.left_ns
        if nothing and self._running():
            return  # the other attempt goes on
        if nothing and len(self.attempts) < ATTEMPTS_MAX and self.door.may_try_again(self, attempt):
            self._attempt(self.door.words_of_failure(attempt))
            return
        self.began(attempt)

    def settled(self, attempt: Attempt) -> None:
        """An attempt's settlement is known; it is shown when it is durable."""
        if attempt is self.choice and not self.done:
            self.door.host.when_durable(attempt.settled_at, self._finish)

    def posting_failed(self, attempt: Attempt) -> None:
        """The journal did not take an attempt's settlement: its answer must not be shown whole."""
        if attempt is self.choice and not self.done:
            if self.connection.begun:
                self._end()
                self.connection.break_off()
            else:
                self._refuse(Refused(DoorRefusal.UNAVAILABLE, message=self.door.failure_words()))

    def _finish(self) -> None:
        """The choice's settlement is durable: its last piece, or the whole answer."""
        attempt, connection = self.choice, self.connection
        if attempt is None or attempt.outcome is None or self.done:
            return
        if self._early:
            self._show_early()
        self._end()
        if self.left_ns:
            return
        ending, body = attempt.outcome.ending, b"".join(attempt.pieces)
        follower = attempt.follower
        failed = attempt.result in TRIED_AGAIN
        if connection.begun or (follower is not None and follower.streamed and ending.delivered):
            if not connection.begun:
                connection.begin(attempt.status, self.headers(attempt))
            if failed and attempt.refused is None and (follower is None or not follower.error):
                body += error_event(self.door.words_of_failure(attempt), self.ask.protocol, self.name)
            connection.finish(body)
        elif failed and not ending.delivered:
            self._tell(self.door.words_of_failure(attempt))
        else:
            connection.respond(attempt.shown_status, self.headers(attempt), body)
        if len(self.attempts) == 1 and not self.door.keeps_calls:
            self._let_go()

    def _let_go(self) -> None:
        """Point no more at the one attempt, which points back: what points in a circle waits for the collector of cycles, whose
        search costs more than all else that is done to end a call.
        """
        self.attempts.clear()
        self.choice = None

    # --- the client ---

    def client_left(self) -> None:
        """The client has gone: its suppliers are heard for a while longer."""
        self.left_ns = self.door.now_ns()
        self._early.clear()
        if self.ticket is not None:
            self.door.leave_queue(self)
            self._end()
        for attempt in self.attempts:
            attempt.resume()

    def client_full(self) -> None:
        """The client takes no more: neither do we of the supplier."""
        if self.choice is not None:
            self.choice.pause()

    def client_ready(self) -> None:
        """The client takes more again."""
        if self.choice is not None:
            self.choice.resume()

    @property
    def name(self) -> str:
        """What the call is called to its client, and in the logs."""
        return f"req_{self.logical:015x}"

    def headers(self, attempt: Attempt) -> bytes:
        """The header lines of what an attempt answers."""
        kind = attempt.headers.get(b"content-type", b"application/json")
        if attempt.refused is not None and attempt.follower is not None and not attempt.follower.streamed:
            return _JSON + b"x-request-id: %b\r\nx-should-retry: false\r\n" % self.name.encode()
        return b"content-type: %b\r\nx-request-id: %b\r\nx-ciyuan-supplier: %b\r\n" % (
            kind, self.name.encode(), attempt.site.name_bytes,
        )  # fmt: skip

    def _refuse(self, refused: Refused) -> None:
        """Nothing was shown, and no attempt is left."""
        self.refused = refused
        self._end()
        self._tell(refused)

    def _tell(self, refused: Refused) -> None:
        if not self.left_ns:
            wait_ns = self.retry_at_ns - self.door.now_ns() if self.retry_at_ns else 0
            status, headers, body = refusal_answer(
                refused, self.ask.protocol, self.name, max(1, div_ceil(wait_ns, 10**9))
            )
            self.connection.respond(status, headers, body)

    def _end(self) -> None:
        self.done = True
        if self.keeping is not None:
            choice = self.choice
            self.keeping.settled(charged=choice is not None and choice.outcome is not None
                                 and choice.outcome.usage is not None and choice.settled_at > 0)  # fmt: skip
        self.door.ended(self)


def refusal_answer(
    refused: Refused, protocol: Protocol, name: str, retry_after_s: int
) -> tuple[int, bytes, bytes]:
    """A refusal as an answer: status, header lines, body."""
    words = WORDS[refused.refusal]
    headers = _JSON + (b"x-request-id: %b\r\n" % name.encode() if name else b"")
    if words.retry and words.status in {429, 503}:
        headers += b"retry-after: %d\r\n" % retry_after_s
    if not words.retry:
        headers += b"x-should-retry: false\r\n"
    return words.status, headers, error_body(refused, protocol, name)
