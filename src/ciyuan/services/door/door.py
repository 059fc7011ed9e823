"""The door: what a request has to pass before it becomes a call, and what all calls share.

| step | refused as |
|---|---|
| the path | 404 |
| the key: known, not expired, allowed to speak this protocol | KEY_MISSING, KEY_UNKNOWN, KEY_EXPIRED, NOT_PERMITTED |
| the body: readable, bounded | the first fourteen of `DoorRefusal` |
| the model and tier that the key may use | MODEL_UNKNOWN, NOT_PERMITTED |
| the firewall, and what the key's agents may do | CONTENT_BLOCKED, NOT_PERMITTED |
| an offer that has room (`Router`) | MODEL_UNKNOWN, SUPPLY_SHORT |
| rates, budgets, balance: the meter's HOLD | RATE_LIMITED, BUDGET_SPENT, BALANCE_SPENT |

Nothing that is refused before the hold costs anything or is journaled; nothing that is refused at all reaches a supplier.

Invariants: every call that was begun ends exactly once, and is told to the observers then; every attempt that was sent is watched
until it has ended; when `drain` returns no call is under way.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ciyuan.gateway.answer import Closed, Told
from ciyuan.gateway.ask import Ask, read_ask
from ciyuan.gateway.ask_plain import plain_ask
from ciyuan.gateway.door_refusals import PATHS, DoorRefusal, Protocol, Refused
from ciyuan.gateway.firewall import Placeholders
from ciyuan.gateway.route_endings import Result
from ciyuan.gateway.route_lane import Wanted
from ciyuan.gateway.usage import Leg, Provenance, Usage, estimated_tokens, usage_from
from ciyuan.services.door.call import DRAIN_NS, Call, Question, refusal_answer
from ciyuan.services.door.numbering import Numbers

if TYPE_CHECKING:
    from ciyuan.gateway.route import Router
    from ciyuan.gateway.route_queue import Ticket
    from ciyuan.services.door.attempt import Attempt
    from ciyuan.services.door.client_connection import Answering, ClientConnection, Request
    from ciyuan.services.door.door_words import Words
    from ciyuan.services.door.firewall_desk import FirewallDesk
    from ciyuan.services.door.group_host import GroupHost
    from ciyuan.services.door.idempotency import Claiming, Idempotency
    from ciyuan.services.door.pages import Pages
    from ciyuan.services.door.registry import Directory, Key
    from ciyuan.services.door.supplier_site import SupplierSite

SWEEP_S = 0.25
"""How often deadlines are looked at: they are given in seconds."""
CENTIBYTES_PER_TOKEN = 400
"""Bytes of text per token where nothing is known of a vocabulary: four, as vendors say of English
(help.openai.com/en/articles/4936856); `docs/spec/audit.md` says what is learnt from there."""
RETRY_AFTER_DIGITS = 6
BODY_BYTES_MAX: Final = 64 * 2**20
"""The longest body that is taken."""
_BEARER = b"bearer "


class Door:
    """See the module's page. One thread's: the event loop's."""

    body_bytes_max = BODY_BYTES_MAX

    def __init__(
        self,
        host: "GroupHost",
        router: "Router",
        sites: "dict[int, SupplierSite]",
        directory: "Directory",
        pages: "Pages",
        words: "Words",
        numbers: Numbers,
        clock: Callable[[], int],
        *,
        firewall: "FirewallDesk | None" = None,
        idempotency: "Idempotency | None" = None,
    ) -> None:
        self.host, self.router, self.sites, self.directory = host, router, sites, directory
        self.pages, self.words, self.now_ns = pages, words, clock
        self.firewall, self.idempotency = firewall, idempotency
        self.numbers = numbers
        self.calls: dict[int, Call] = {}
        self.draining = False
        self.on_attempt: list[Callable[[Attempt], None]] = []
        """Told of every attempt that has ended, before it is settled."""
        self.on_call: list[Callable[[Call], None]] = []
        """Told of every call that has ended, and of every refusal before one."""
        self.keeps_calls = False
        """Whether one who was told of a call looks at its attempts later."""
        self.on_refusal: list[Callable[[DoorRefusal, Key | None], None]] = []
        self.keeps_text: Callable[[int], bool] = _never
        """Whether what an attempt delivers is kept until it has been counted, by the attempt's request."""
        self.counter: Callable[[Attempt], Usage | None] | None = None
        """Counts an attempt with its model's vocabulary, if that is at hand."""
        self.on_unsettled: list[Callable[[Attempt, Sequence[int] | None], None]] = []
        self._watched: set[Attempt] = set()
        self._empty: asyncio.Event | None = None

    # --- a request ---

    def handle(self, connection: "ClientConnection", request: "Request") -> "Answering | None":
        """Answer a request: at once if it is refused or asks for a page, else by a call."""
        path = request.target.partition(b"?")[0].decode("latin-1")
        protocol = PATHS.get(path)
        if protocol is None or request.method != b"POST":
            self.pages.answer(self, connection, request, path)
            return None
        key = self.key_of(request)
        if isinstance(key, Refused):
            self.refuse(connection, protocol, key, None)
            return None
        question = self._screened(protocol, key, request)
        if isinstance(question, Refused):
            self.refuse(connection, protocol, question, key)
            return None
        if self.idempotency is not None and b"idempotency-key" in request.headers:
            return self.idempotency.answer(self, connection, question)
        return self.begin(connection, question)

    def _screened(self, protocol: Protocol, key: "Key", request: "Request") -> Question | Refused:
        """A request read, permitted and searched."""
        host = self.host
        if self.draining:
            return Refused(DoorRefusal.DRAINING)
        if host.failure is not None or host.stalled is not None:
            return Refused(DoorRefusal.UNAVAILABLE, message=self.failure_words())
        plain = plain_ask(request.body) if protocol is Protocol.CHAT else None
        ask = plain or read_ask(protocol, request.body, self.body_bytes_max)
        if isinstance(ask, Refused):
            return ask
        refused = self._permits(key, ask)
        if refused is not None:
            return refused
        if self.firewall is None:
            return Question(key, ask, request, request.body)
        placeholders = Placeholders()
        body = self.firewall.screen(key, ask, request.body, placeholders)
        if isinstance(body, Refused):
            return body
        ask.body_bytes = max(ask.body_bytes, len(body))
        return Question(key, ask, request, body, placeholders)

    def begin(
        self, connection: "ClientConnection", question: Question, keeping: "Claiming | None" = None
    ) -> Call | None:
        """Begin a call; None if it has ended already."""
        spender = self.directory.spender_for(question.key, question.request.headers.get(b"x-ciyuan-app", b""))
        call = Call(self, connection, question, spender, self.numbers.next(), keeping)
        self.calls[call.logical] = call
        call.start()
        return None if call.done else call

    def key_of(self, request: "Request") -> "Key | Refused":
        """Whose request it is."""
        headers = request.headers
        given = headers.get(b"authorization", b"")
        secret = given[7:].strip() if given[:7].lower() == _BEARER else headers.get(b"x-api-key", b"")
        if not secret:
            return Refused(DoorRefusal.KEY_MISSING)
        key = self.directory.find(secret)
        if key is None:
            return Refused(DoorRefusal.KEY_UNKNOWN)
        if key.expires_ns and key.expires_ns <= self.now_ns():
            return Refused(DoorRefusal.KEY_EXPIRED)
        return key

    def _permits(self, key: "Key", ask: Ask) -> Refused | None:
        if not key.may_speak(ask.protocol):
            return Refused(
                DoorRefusal.NOT_PERMITTED, message=f"The key may not use {ask.protocol.name.lower()}."
            )
        if not key.permits(ask.model, ask.service_tier):
            return Refused(DoorRefusal.NOT_PERMITTED, "model", f"The key may not use {ask.model}.")
        return None

    def refuse(
        self, connection: "ClientConnection", protocol: Protocol, refused: Refused, key: "Key | None"
    ) -> None:
        """Answer with a refusal."""
        self._tell(self.on_refusal, refused.refusal, key)
        status, headers, body = refusal_answer(refused, protocol, "", 1)
        connection.respond(status, headers, body)

    def malformed(self, connection: "ClientConnection", status: int, message: str) -> None:
        """Answer what is no request."""
        self.pages.problem(connection, status, message)

    # --- what calls and attempts ask for ---

    def wait_for_room(self, call: Call) -> bool:
        """Give a call a place in the queue, if there is one."""
        call.ticket = self.router.wait(call.wanted, self.now_ns())
        return call.ticket is not None

    def leave_queue(self, call: Call) -> None:
        """A call that waits for room does not any more."""
        if call.ticket is not None:
            self.router.leave(call.ticket)
            call.ticket = None

    def wake(self) -> None:
        """There may be room: let those go on who wait for it."""
        if not self.router.queue.size:
            return
        now_ns = self.now_ns()
        for ticket in self.router.late(now_ns):
            call = self._waiting(ticket)
            if call is not None:
                call.no_room()
        for ticket, routed in self.router.wake(now_ns):
            call = self._waiting(ticket)
            if call is None:
                self.router.ended(routed, Result.CALLED_OFF, now_ns)
            else:
                call.make(routed)

    def _waiting(self, ticket: "Ticket") -> Call | None:
        """The call that waits with this ticket, which it gives up."""
        wanted = ticket.payload
        call = self.calls.get(wanted.request) if isinstance(wanted, Wanted) else None
        if call is not None:
            call.ticket = None
        return call

    def may_try_again(self, call: Call, attempt: "Attempt") -> bool:
        """Whether another attempt is allowed."""
        return not self.draining and self.router.try_again(
            call.wanted, attempt.result, self.now_ns(), passed=call.connection.begun
        )

    def may_hedge(self, call: Call, attempt: "Attempt") -> None:
        """Where the tier hedges, see to it that a late first token calls a second attempt."""
        at_ns = self.router.hedge_at_ns(attempt.routed) if call.ask.stream else None
        if at_ns is not None:
            asyncio.get_running_loop().call_later(max(0, at_ns - self.now_ns()) / 1e9, call.hedge)

    def count(self, attempt: "Attempt") -> Usage:
        """What we make of an attempt ourselves: by the model's vocabulary where that is at hand, else from bytes."""
        if self.counter is not None:
            try:
                counted = self.counter(attempt)
            except Exception as fault:
                self.report(fault, "an answer could not be counted with its model's vocabulary")
                counted = None
            if counted is not None:
                return counted
        return self.estimated(attempt)

    @staticmethod
    def estimated(attempt: "Attempt") -> Usage:
        """An attempt's tokens from its bytes: no more than were held."""
        follower, held = attempt.follower, attempt.held
        octets = 0 if follower is None else follower.tally.octets_all - follower.tally.octets[Told.AUDIO]
        tokens_in = estimated_tokens(attempt.call.ask.text_bytes, CENTIBYTES_PER_TOKEN)
        tokens_out = estimated_tokens(octets, CENTIBYTES_PER_TOKEN)
        legs = {Leg.INPUT: min(tokens_in, held.tokens_in), Leg.OUTPUT: min(tokens_out, held.tokens_out)}
        return usage_from(Provenance.ESTIMATED, legs)

    def words_of_refusal(self, event: Sequence[int], attempt: "Attempt") -> Refused:
        """A refusal of the meter, as the client is told it."""
        return self.words.of_meter(event, attempt.call.key, attempt.offer, attempt.held)

    def words_of_failure(self, attempt: "Attempt") -> Refused:
        """A supplier's failure, as the client is told it: not in the supplier's words, which may name what is ours."""
        throttled = attempt.status in {429, 503}
        if throttled:
            return Refused(DoorRefusal.SUPPLY_SHORT, message=f"{attempt.site.name} has no room for this now.")
        if attempt.why.startswith(("nothing in", "silent for", "no whole")):
            return Refused(DoorRefusal.SUPPLIER_TIMED_OUT, message=f"{attempt.site.name}: {attempt.why}.")
        why = attempt.why or (f"status {attempt.status}" if attempt.status >= 400 else "its answer broke off")
        return Refused(DoorRefusal.SUPPLIER_FAILED, message=f"{attempt.site.name}: {why}.")

    def failure_words(self) -> str:
        """Why the journal takes nothing, for the client: not where it lies."""
        if self.host.failure is not None:
            return "The gateway's journal takes no more rows."
        return "The gateway cannot reach its journal for now." if self.host.stalled is not None else ""

    def _tell(self, observers: Sequence[Callable[..., None]], *what: object) -> None:
        """Tell those who watch. One that fails fails alone: neither the answer nor its charge waits for it."""
        for observe in observers:
            try:
                observe(*what)
            except Exception as fault:
                self.report(fault, "one who watches the door failed")

    @staticmethod
    def report(fault: Exception, message: str) -> None:
        """Something of ours failed, and was contained."""
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": fault})

    def heard_leg(self, event: Sequence[int] | None) -> None:
        """The meter's answer to a row that goes before a DELIVER: what is wrong with it, the DELIVER's answer says too."""

    def unsettled(self, attempt: "Attempt", event: Sequence[int] | None) -> None:
        """A settlement was not taken."""
        self._tell(self.on_unsettled, attempt, event)

    def attempt_ended(self, attempt: "Attempt") -> None:
        """An attempt has ended: the router learns from it, and those who wait for room may have it."""
        outcome = attempt.outcome
        usage = None if outcome is None else outcome.usage
        self.router.ended(
            attempt.routed, attempt.result, self.now_ns(), usage, retry_after_ns(attempt.headers)
        )
        self._tell(self.on_attempt, attempt)
        self.wake()

    def ended(self, call: Call) -> None:
        """A call has ended."""
        self.calls.pop(call.logical, None)
        self._tell(self.on_call, call)
        if not self.calls and self._empty is not None:
            self._empty.set()

    # --- time ---

    def watch(self, attempt: "Attempt") -> None:
        """An attempt was sent."""
        self._watched.add(attempt)

    def unwatch(self, attempt: "Attempt") -> None:
        """It has ended."""
        self._watched.discard(attempt)

    def sweep(self) -> None:
        """Call off what is overdue, and what nobody waits for any more."""
        self.wake()
        now_ns = self.now_ns()
        if self.host.stalled is not None:
            for call in list(self.calls.values()):
                call.hold_overdue(now_ns)
        for attempt in list(self._watched):
            why = attempt.overdue(now_ns)
            left_ns = attempt.call.left_ns
            if why:
                attempt.call_off(Closed.BY_DEADLINE, why)
            elif left_ns and now_ns - left_ns > DRAIN_NS:
                attempt.call_off(Closed.BY_CLIENT, "the client left")

    async def drain(self, within_s: float) -> int:
        """Take no more requests, and wait for the calls under way; how many there still are after `within_s`."""
        self.draining = True
        if self.calls:
            self._empty = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), within_s)
        return len(self.calls)


def _never(_: int) -> bool:
    return False


def retry_after_ns(headers: dict[bytes, bytes]) -> int:
    """How long a supplier asks to be left alone, by its `Retry-After` in seconds; 0 if it does not say, or says a date."""
    said = headers.get(b"retry-after", b"")
    return int(said) * 10**9 if said.isdigit() and len(said) <= RETRY_AFTER_DIGITS else 0
