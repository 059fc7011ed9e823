"""One attempt to have a request answered by a supplier: held, sent, followed, settled. A request of the meter is an attempt.

| state | until | then |
|---|---|---|
| HOLDING | the meter's answer to the HOLD | SENT, or ENDED if it was refused |
| SENT | the answer's end, a failure, a deadline, or being called off | SETTLING |
| SETTLING | the meter's answer to the DELIVER or VOID | ENDED |

Invariants: a hold that was granted is settled by one DELIVER or one VOID, whatever happens to the client, the supplier or the
other attempts; what a client is shown comes from one attempt only, the one that its call chose; after `end` of the follower
nothing of the answer is looked at any more.

An attempt that is called off (the client left, another attempt won, our patience ended) is settled by what it was: what the
client was shown is charged as delivered; what nobody was shown is void.
"""

from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

from ciyuan.basics.rows import CODE_MASK
from ciyuan.gateway.answer import Closed, Ending, EndingKind, Follower, Said
from ciyuan.gateway.answer_anthropic import MessagesFollower
from ciyuan.gateway.answer_openai import ChoicesFollower, EmbeddingsFollower
from ciyuan.gateway.answer_responses import ResponsesFollower
from ciyuan.gateway.answer_screen import AnswerScreen
from ciyuan.gateway.answer_screen_whole import screen_whole
from ciyuan.gateway.door_refusals import WORDS, DoorRefusal, Protocol, Refused
from ciyuan.gateway.ending import Alarm, Charge
from ciyuan.gateway.messages import AMOUNT, MeterEvent, hold_row, parties_word
from ciyuan.gateway.route_endings import Result, result_of
from ciyuan.gateway.settlement import (
    Held,
    Settled,
    believed,
    is_plain,
    nothing_came,
    rows_of,
    settled,
    with_pieces,
)
from ciyuan.gateway.usage import NO_CLAIM, Standing, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ciyuan.basics.rows import Row
    from ciyuan.gateway.route_lane import Attempt as Routed
    from ciyuan.services.door.call import Call
    from ciyuan.services.door.supplier_connection import SupplierConnection
    from ciyuan.services.door.supplier_site import SupplierSite

FOLLOWERS: dict[Protocol, type[Follower]] = {
    Protocol.CHAT: ChoicesFollower,
    Protocol.COMPLETIONS: ChoicesFollower,
    Protocol.EMBEDDINGS: EmbeddingsFollower,
    Protocol.RESPONSES: ResponsesFollower,
    Protocol.MESSAGES: MessagesFollower,
}
_STREAM = b"text/event-stream"
_NOTHING = Usage()
_HELD, _NOT_TAKEN = int(MeterEvent.HELD), frozenset({int(MeterEvent.REFUSED), int(MeterEvent.REPEATED)})


class State(IntEnum):
    """Where an attempt stands."""

    HOLDING = 1
    SENT = 2
    SETTLING = 3
    ENDED = 4


class Attempt:
    """One attempt; `number` counts a call's attempts from 0. See the module's page."""

    def __init__(self, call: "Call", routed: "Routed", site: "SupplierSite", number: int) -> None:
        offer = routed.offer
        self.call, self.routed, self.offer, self.site, self.number = call, routed, offer, site, number
        self.request = call.logical << 4 | number
        self.parties = parties_word(call.key.customer, offer.supplier, offer.grade)
        self.held = Held(call.input_tokens_max(offer), call.ask.output_tokens_max(offer.output_tokens_max))
        self.state = State.HOLDING
        self.held_micro = self.charged_micro = 0
        self.held_at = 0
        """The row up to which the journal must be durable before anything of the answer is shown."""
        self.settled_at = 0
        self.sent_ns = self.first_ns = self.ended_ns = 0
        self.heard_ns = 0
        """When the supplier was last heard of."""
        self.follower: Follower | None = None
        self.connection: SupplierConnection | None = None
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.pieces: list[bytes] = []
        """The answer, or its end, that is kept back until the posting is durable."""
        self.keeps_text = call.door.keeps_text(self.request)
        self.told: list[Said] = []
        """What was delivered, where it may be counted again."""
        self.why = ""
        self.outcome: Settled | None = None
        self.screen: AnswerScreen | None = None
        self.refused: Refused | None = None
        """Why the firewall does not let the answer be shown, or be shown to its end."""
        self.resent = False
        """Whether it was sent once more, on a new connection: the supplier had closed the first while it lay idle."""
        self.result = Result.CALLED_OFF
        """How it ended, as its supplier's health sees it."""

    # --- holding ---

    def hold(self) -> None:
        """Ask for the hold."""
        call, held = self.call, self.held
        row = hold_row(0, self.request, self.parties, *held, self.site.hold_timeout_ns, call.spender)
        call.door.host.submit(row, self._on_held)

    def _on_held(self, event: "Sequence[int] | None") -> None:
        if event is None:
            self.state = State.ENDED
            self.call.hold_refused(
                self, Refused(DoorRefusal.UNAVAILABLE, message=self.call.door.failure_words())
            )
            return
        if event[0] & CODE_MASK != _HELD:
            self._unsent()
            self.call.hold_refused(self, self.call.door.words_of_refusal(event, self))
            return
        self.held_micro, self.held_at = event[AMOUNT], self.call.door.host.applied
        self.call.held(self)

    def _unsent(self) -> None:
        """Nothing is sent: the supplier's room is free again, and nothing is said of it."""
        self.state = State.ENDED
        door = self.call.door
        door.router.unsent(self.routed, door.now_ns())
        door.wake()

    def give_up(self, why: str) -> None:
        """Its hold was granted and is not wanted any more: nothing was sent, all is released."""
        self._unsent()
        self.why, self.state = why, State.SETTLING
        ending = nothing_came(EndingKind.CUT_BEFORE_TOKEN)
        self.outcome = Settled(Charge.VOID, None, Alarm.NONE, ending)
        self.call.door.host.submit(rows_of(self.request, self.parties, None)[0], self._on_settled)

    # --- at the supplier ---

    def send(self) -> None:
        """Send the request to the supplier."""
        self.state = State.SENT
        door = self.call.door
        self.sent_ns = self.heard_ns = self.routed.sent_ns = door.now_ns()
        door.watch(self)
        self._send()

    def _send(self, *, fresh: bool = False) -> None:
        call = self.call
        ask = call.ask
        sent = self.site.request(ask, call.body, call.request.headers, self.offer, self.request)
        self.site.ways[ask.protocol].pool.send(self, sent, self._taken, fresh=fresh)

    def _taken(self, connection: "SupplierConnection") -> None:
        self.connection = connection
        if self.state is not State.SENT:
            connection.drop()

    def connected(self) -> None:
        """The request is on its way."""

    def answer_begins(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The answer's head."""
        call = self.call
        self.status, self.headers = status, headers
        streamed = headers.get(b"content-type", b"").startswith(_STREAM)
        self.heard_ns = call.door.now_ns()
        self.follower = FOLLOWERS[call.ask.protocol](
            streamed=streamed, status=status, withhold_usage=call.withholds_usage
        )
        if call.screening is not None and self.follower.streamed:
            self.screen = AnswerScreen(call.screening)

    def answer_piece(self, piece: bytes) -> None:
        """A piece of the answer's body."""
        follower = self.follower
        if follower is None or self.state is not State.SENT:
            return
        call = self.call
        self.heard_ns = now_ns = call.door.now_ns()
        told = follower.feed(piece)
        if follower.begun and self.first_ns == 0:
            self.first_ns = now_ns
            call.door.router.first_token(self.routed, now_ns)
            call.began(self)
        if self.keeps_text:
            self.told += told
        if not follower.streamed:
            self.pieces.append(piece)
            return
        passing = follower.passing
        if self.screen is not None:
            passing = self._screened(passing)
        if follower.done or follower.failed or self.pieces:
            if passing:
                self.pieces.append(passing)
            if follower.done or follower.failed:
                self._conclude(Closed.BY_SUPPLIER)
        elif self.refused is not None:
            call.cut_off(self, passing)
        elif passing:
            call.show(self, passing, told)

    def _screened(self, passing: bytes, *, last: bool = False) -> bytes:
        """What of a stream may be shown."""
        screen = self.screen
        if screen is None:
            return passing
        screened = screen.feed(passing)
        shown, self.refused = screened.passing, self.refused or screened.refused
        if last:
            rest = screen.finish()
            shown, self.refused = shown + rest.passing, self.refused or rest.refused
        return shown

    def answer_ends(self) -> None:
        """The answer is whole."""
        self.connection = None
        if self.state is State.SENT:
            self._conclude(Closed.BY_SUPPLIER)

    def answer_lost(self, why: str, *, stale: bool) -> None:
        """The answer will not be whole."""
        self.connection = None
        if self.state is not State.SENT:
            return
        if stale and not self.resent:
            self.resent = True
            self._send(fresh=True)
            return
        self.why = why
        self._conclude(Closed.BY_SUPPLIER)

    def call_off(self, closed: Closed, why: str) -> None:
        """It is not waited for any more."""
        if self.state is State.SENT:
            self.why = why
            self._conclude(closed)

    def overdue(self, now_ns: int) -> str:
        """Why it is not to be waited for any longer; "" if it is."""
        limits = self.site.timeouts
        if now_ns - self.sent_ns > limits.total_ns:
            return f"no whole answer in {limits.total_ns // 10**9} s"
        if self.first_ns == 0 and now_ns - self.sent_ns > limits.first_token_ns:
            return f"nothing in {limits.first_token_ns // 10**9} s"
        if now_ns - self.heard_ns > limits.idle_ns and self.follower is not None:
            return f"silent for {limits.idle_ns // 10**9} s"
        return ""

    @property
    def shown_status(self) -> int:
        """The status of a whole answer as the client has it."""
        return self.status if self.refused is None else WORDS[self.refused.refusal].status

    def pause(self) -> None:
        """Read no more of the answer for now."""
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        """Read on."""
        if self.connection is not None:
            self.connection.resume()

    # --- settling ---

    def _conclude(self, closed: Closed) -> None:
        """The answer has ended: what it comes to, and the rows that say so."""
        self.state = State.SETTLING
        door = self.call.door
        self.ended_ns = door.now_ns()
        door.unwatch(self)
        try:
            outcome = self._verdict(closed)
            if outcome.usage is not None:
                pictures = self.call.ask.heard.images_by_url
                outcome = outcome._replace(usage=with_pieces(outcome.usage, pictures, self.offer.prices))
            rows = rows_of(self.request, self.parties, outcome.usage)
        except Exception as fault:
            door.report(fault, f"the verdict on an answer of {self.site.name} failed")
            outcome = self._fallen_back()
            rows = rows_of(self.request, self.parties, outcome.usage)
        self.outcome = outcome
        if not self.call.loses(self):
            self.result = result_of(outcome.ending.kind, self.status, closed)
        if self.connection is not None and not (self.follower is not None and self.follower.done):
            self.connection.drop()
            self.connection = None
        keeping = self.call.keeping
        if keeping is None or outcome.usage is None:
            self._post(rows)
        else:
            keeping.keep(
                self.shown_status,
                self.call.headers(self),
                b"".join(self.pieces),
                rows,
                partial(self._post, rows),
            )
        self.call.concluded(self)

    def _post(self, rows: "Sequence[Row]") -> None:
        """Hand in the rows that settle it."""
        door = self.call.door
        for row in rows[:-1]:
            door.host.submit(row, door.heard_leg)
        door.host.submit(rows[-1], self._on_settled)

    def _fallen_back(self) -> Settled:
        """What an answer comes to on which our verdict failed: what was shown is counted by its bytes, and charged.

        A whole answer that the firewall has not seen is not shown, and not charged.
        """
        follower = self.follower
        unseen = self.call.screening is not None and follower is not None and not follower.streamed
        if follower is None or not follower.begun or unseen or self.call.loses(self):
            self.why, self.pieces = "its answer could not be read", []
            return Settled(Charge.VOID, None, Alarm.ANSWER_UNREADABLE, nothing_came(EndingKind.UNREADABLE))
        ending = Ending(EndingKind.UNREADABLE, Standing.ABSENT, delivered=True, claim=NO_CLAIM)
        return Settled(Charge.DELIVERED, self.call.door.estimated(self), Alarm.ANSWER_UNREADABLE, ending)

    def _verdict(self, closed: Closed) -> Settled:
        follower = self.follower
        if follower is None:
            gone = closed is Closed.BY_CLIENT
            ending = nothing_came(EndingKind.CLIENT_GONE if gone else EndingKind.CUT_BEFORE_TOKEN)
        else:
            told = follower.end(closed)
            if self.keeps_text:
                self.told += told
            if follower.streamed:
                rest = self._screened(follower.passing, last=True)
                if rest:
                    self.pieces.append(rest)
            elif self.call.screening is not None and not self.call.loses(self):
                screened = screen_whole(self.call.screening, b"".join(self.pieces))
                self.pieces, self.refused = [screened.passing], screened.refused
            ending = believed(follower.ending(), self.held)
        if self.call.loses(self):
            return Settled(Charge.VOID, None, Alarm.NONE, ending)
        counted = _NOTHING if is_plain(ending) else self.call.door.count(self)
        return settled(ending, self.held, counted)

    def _on_settled(self, event: "Sequence[int] | None") -> None:
        self.state = State.ENDED
        if event is None or event[0] & CODE_MASK in _NOT_TAKEN:
            self.call.door.unsettled(self, event)
            self.call.posting_failed(self)
            return
        if self.outcome is not None and self.outcome.usage is not None:
            self.charged_micro = event[AMOUNT]
        self.settled_at = self.call.door.host.applied
        self.call.settled(self)
