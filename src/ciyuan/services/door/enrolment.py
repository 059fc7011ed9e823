"""Enrolment: what the registry wants, less what the venue has, is what the venue has still to be told.

    enrolment = Enrolment(host, registry, clock)
    door.directory = (await enrolment.begin()).directory          # or it raises, and the door does not open
    ...                                                           # every second:
    if await enrolment.is_behind(door.directory):                 # the registry has changed, or a client has named an app
        door.directory = (await enrolment.renew(door.directory)).directory    # told, heard; only now held by

| order | told | because |
|---|---|---|
| 1 | PARTICIPANT: customers, suppliers | everything hangs on them, and the venue counts them |
| 2 | SPENDER: parents before children | a limit hangs on one |
| 3 | LIMIT | whoever may spend is limited before there is anything to spend |
| 4 | PRICES, LEG_PRICE | without a list nothing can be held |
| 5 | DEPOSIT to prepaid, WITHDRAW from it | under a key that its outside reference gives: once |

Theory of operation. What the venue has is asked of the venue itself, whose state is its journal's; no word is kept here of what
was told. So a crash between telling and noting, a journal that was restored from an older copy, another process that tells the
same: all end in the same state, because each row carries its number and a second telling does nothing. Only payments are noted
as done; at start-up all of them are told again (`afresh`), and the venue repeats or makes good each.

What the venue refuses is noted with the content that it refused, and not told again until that content changes. A price list that
came too late for its moment is put off instead.

Invariants: rows are a function of the arguments; what `due` gives, once taken, is due no more; a limit or a price list that is
configured and not in the venue stops start-up with its name.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.rows import CODE_MASK, Row, code_of, kind_word, row
from ciyuan.gateway.messages import (
    LimitUnit,
    LimitWindow,
    MeterEvent,
    MeterRefusal,
    PartyRole,
    leg_price_row,
    limit_row,
    prices_row,
    spender_row,
)
from ciyuan.gateway.usage import Leg
from ciyuan.services.door.group_host import GroupHost
from ciyuan.services.door.registry import Directory, Registry
from ciyuan.services.door.registry_database import DatabaseFailed
from ciyuan.services.door.registry_limits import Limit
from ciyuan.services.door.registry_payments import Payment
from ciyuan.services.door.registry_prices import Listing
from ciyuan.services.door.registry_schema import ParticipantKind, PaymentKind, PaymentState, Subject
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, Role, VenueCommand, VenueEvent, VenueRefusal

ROUNDS_MAX = 16
"""How often what is due is told: more than twice only if it changes meanwhile."""
GROUP_ROWS = 512
"""How many rows go to the journal as one batch, or a few more: the door waits while they are applied."""
_AMONG = frozenset({int(MeterEvent.ENROLLED), int(MeterEvent.EXPIRED)})
"""Events that come beside the answers: a participant's enrolment with the meter, holds that were due."""
_REFUSED = frozenset({int(MeterEvent.REFUSED), int(VenueEvent.REFUSED)})
_ROLES = {
    ParticipantKind.CUSTOMER: (PartyRole.CUSTOMER, Role.CUSTOMER),
    ParticipantKind.SUPPLIER: (PartyRole.SUPPLIER, Role.SUPPLIER),
}
"""What a participant is to the meter, and to the venue."""
_PIECES = (Leg.IMAGES, Leg.SEARCHES, Leg.REQUESTS)
_OWN_WORDS = (Leg.INPUT, Leg.CACHE_READ, Leg.OUTPUT)
"""The legs that PRICES says itself."""


@dataclass(frozen=True, slots=True)
class Has:
    """What a venue has of what it can be told."""

    participants: Mapping[int, PartyRole]
    spenders: Mapping[int, tuple[int, int]]
    """(parent, customer) of those that were asked about"""
    limits: Mapping[int, tuple[int, LimitUnit, LimitWindow, int, int]]
    """(spender, unit, window, most, offset_ns) of those that were asked about"""
    lists: frozenset[tuple[int, int, int]]
    """(supplier, grade, valid_from_ns)"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the registry wants the venue to have: of price lists those in force."""

    directory: Directory
    payments: Sequence[Payment]
    listings: Sequence[Listing]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of it: the directory that the door may go by, and what the venue refused now, with its reasons."""

    directory: Directory
    refused: tuple[tuple["Said", str], ...]


@dataclass(frozen=True, slots=True)
class Said:
    """One row to be told, and what of the registry it is about: with `content`, what a refusal is of."""

    subject: Subject
    number: int
    row: Row

    @property
    def content(self) -> str:
        """All that the row says, but for when; a price list is one content, whichever of its rows was refused."""
        return "" if self.subject is Subject.PRICES else " ".join(map(str, (self.row[0], *self.row[2:])))


class Enrolment:
    """Keeps a venue told of what a registry wants. One thread's, the event loop's; the registry is asked in another.

    Methods raise DatabaseFailed when the registry cannot be asked or the host takes no rows, Malformed for prices that the meter
    has no words for.
    """

    def __init__(self, host: GroupHost, registry: Registry, clock: Callable[[], int]) -> None:
        self._host, self._registry, self._clock = host, registry, clock
        self._known: dict[int, tuple[int, int]] = {}

    async def begin(self) -> Enrolled:
        """Tell the venue everything that is due, and every payment again; what it then lacks, or has otherwise, is Malformed."""
        wanted = await self._wanted()
        if len(unknown_in(wanted, self._has(wanted))):
            wanted = (
                await self._wanted()
            )  # another process may have told of a spender that is newer than the first reading
        check_kin(wanted, self._has(wanted))
        enrolled, wanted = await self._tell(afresh=True)
        check_enforced(wanted, self._has(wanted))
        return enrolled

    async def is_behind(self, directory: Directory) -> bool:
        """Whether the registry has changed since a directory, or clients have named apps that it does not know."""
        return bool(directory.asked) or await asyncio.to_thread(self._registry.version) != directory.version

    async def renew(self, directory: Directory) -> Enrolled:
        """Make the apps that clients have named, and tell the venue what is due. What it refuses is in the answer, and the door
        goes on with the limits that were there before.
        """
        if directory.asked:
            await asyncio.to_thread(self._registry.make_apps, set(directory.asked), self._clock())
        enrolled, _ = await self._tell(afresh=False)
        return enrolled

    async def _tell(self, *, afresh: bool) -> tuple[Enrolled, Wanted]:
        """Tell until nothing is due: once, as a rule, and more often only if the registry changes meanwhile."""
        wanted = await self._wanted()
        refused: list[tuple[Said, str]] = []
        said = due(wanted, self._has(wanted), afresh=afresh)
        for _ in range(ROUNDS_MAX):
            if not said:
                break
            for group in _groups(said):
                events = await self._submitted(group)
                refused += await asyncio.to_thread(bring_back, self._registry, group, events, self._clock())
            wanted = await self._wanted()
            said = due(wanted, self._has(wanted))
        if said:
            raise DatabaseFailed("registry", f"it changed {ROUNDS_MAX} times while the venue was told of it")
        return Enrolled(wanted.directory, tuple(refused)), wanted

    async def _wanted(self) -> Wanted:
        return await asyncio.to_thread(wanted_of, self._registry)

    def _has(self, wanted: Wanted) -> Has:
        has = has_of(self._host.venue, wanted, self._known)
        self._known.update(has.spenders)
        return has

    async def _submitted(self, said: Sequence[Said]) -> list[list[int]]:
        heard: asyncio.Future[list[list[int]] | None] = asyncio.get_running_loop().create_future()
        self._host.submit_group([each.row for each in said], heard.set_result)
        events = await heard
        if events is None:
            raise DatabaseFailed("journal", self._host.failure or "it takes no rows")
        return events


def has_of(venue: Venue, wanted: Wanted, known: Mapping[int, tuple[int, int]] | None = None) -> Has:
    """What a venue has of what is wanted. Spenders that are `known` to be there are not asked about: they do not change."""
    meter, directory = venue.meter, wanted.directory
    spenders, limits = dict(known or {}), {}
    for number in (*directory.spenders, max(directory.spenders, default=0) + 1):
        if number not in spenders and (spender := meter.spender(number)) is not None:
            spenders[number] = (spender.parent, spender.customer)
    for number in directory.limits:
        if (one := meter.limit(number, meter.clock_ns)) is not None:
            limits[number] = (one.spender, one.unit, one.window, one.most, one.offset_ns)
    return Has(
        participants={int(one[1]): PartyRole(int(one[0])) for one in meter.parties},
        spenders=spenders,
        limits=limits,
        lists=frozenset((one[0], one[1], one[5]) for one in meter.price_lists.tolist()),
    )


def _groups(said: Sequence[Said]) -> Iterator[list[Said]]:
    """Batches for the journal, the rows of one thing never in two: a price list is there whole or not at all."""
    group: list[Said] = []
    for each in said:
        ended = not group or (group[-1].subject, group[-1].number) != (each.subject, each.number)
        if ended and len(group) >= GROUP_ROWS:
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def wanted_of(registry: Registry) -> Wanted:
    """What a registry wants. Its directory is read last, so it knows whatever the others name."""
    payments, last = registry.payments(), {}
    for listing in registry.price_lists():
        last[listing.supplier, listing.grade] = listing
    return Wanted(registry.directory(), payments, tuple(last.values()))


def due(wanted: Wanted, has: Has, *, afresh: bool = False) -> list[Said]:
    """What the venue has still to be told, in order. `afresh`: payments that are done are told again.

    Raises Malformed, by name, for a limit on nobody, or prices that the meter has no words for.
    """
    directory = wanted.directory
    rows = [
        *_participants(directory, has),
        *_spenders(directory, has),
        *_limits(directory, has),
        *_prices(wanted, has),
        *_payments(wanted.payments, afresh=afresh),
    ]
    return [each for each in rows if not _was_refused(directory, each)]


def unknown_in(wanted: Wanted, has: Has) -> list[str]:
    """What a venue has that a registry never named, or named otherwise."""
    people, spenders = wanted.directory.participants, wanted.directory.spenders
    ours = {number: _ROLES[one.kind][0] for number, one in people.items()}
    trees = {number: (one.parent, one.participant) for number, one in spenders.items()}
    found = [
        f"participant {number}" for number, role in has.participants.items() if ours.get(number) is not role
    ]
    return found + [
        f"spender {number}" for number, place in has.spenders.items() if trees.get(number) != place
    ]


def check_kin(wanted: Wanted, has: Has) -> None:
    """Raises Malformed if venue and registry are not of one store."""
    unknown = unknown_in(wanted, has)
    if unknown:
        raise Malformed("registry", found=f"nothing of the journal's {unknown[0]}, or another one",
                        expected="all that the journal names",
                        remedy="Restore the registry that belongs to this journal, not an older one.")  # fmt: skip


def check_enforced(wanted: Wanted, has: Has) -> None:
    """Raises Malformed, naming it, if a limit in force or a price list is not in the venue as it is configured."""
    directory = wanted.directory
    for limit in directory.limits.values():
        if limit.most is not None and has.limits.get(limit.number) != _words_of(limit):
            raise Malformed(f"limit {directory.limit_words(limit.number)}", found=_why_missing(directory, limit, has),
                            expected="a limit that the meter holds before the first request",
                            remedy="Mend or clear it (`ciyuan budget`); the door stays closed until then.")  # fmt: skip
    for listing in wanted.listings:
        if (listing.supplier, listing.grade, listing.valid_from_ns) not in has.lists:
            refused = directory.refused.get((Subject.PRICES, listing.number))
            raise Malformed(_price_name(directory, listing), found=refused.reason if refused else "no such list in the venue",
                            expected="a list that the meter charges by",
                            remedy="Mend the supplier's prices; the door stays closed until then.")  # fmt: skip


def answers(said: Sequence[Said], events: Sequence[Sequence[int]]) -> list[tuple[Said, str]]:
    """Each row with why it was refused, in the machine's word; "" if it was taken or was there already."""
    own = [event for event in events if event[0] & CODE_MASK not in _AMONG]
    if len(own) != len(said):
        raise InvariantBroken("each row of an enrolment is answered", f"{len(said)} rows, {len(own)} answers")
    return [(each, _refusal_in(event)) for each, event in zip(said, own, strict=True)]


def bring_back(
    registry: Registry, said: Sequence[Said], events: Sequence[Sequence[int]], now_ns: int
) -> list[tuple[Said, str]]:
    """Note in the registry what the venue answered; what it refused, and why."""
    answered = answers(said, events)
    before = registry.directory().refused
    late = {each.number for each, reason in answered if reason == MeterRefusal.PRICES_BACKDATED.name}
    with registry.change(now_ns) as change:
        for number in sorted(late):
            change.prices.put_off(number)
        for each, reason in answered:
            if each.subject is Subject.PAYMENT:
                state = PaymentState.REFUSED if reason else PaymentState.DONE
                change.payments.settle(each.number, state, reason)
            elif each.subject is Subject.PRICES and each.number in late:
                continue
            elif reason:
                change.refuse(each.subject, each.number, each.content, reason)
            elif (each.subject, each.number) in before:
                change.accept(each.subject, each.number)
    return [(each, reason) for each, reason in answered if reason]


# --- what is due ---


def _participants(directory: Directory, has: Has) -> Iterator[Said]:
    for number, participant in directory.participants.items():
        if number not in has.participants:
            words = (number, int(_ROLES[participant.kind][1]), 0, 0, 0)
            yield Said(Subject.PARTICIPANT, number, row(kind_word(VenueCommand.PARTICIPANT), 0, words))


def _spenders(directory: Directory, has: Has) -> Iterator[Said]:
    """A parent's number is below its children's, so in order of number each finds its parent."""
    for number, spender in directory.spenders.items():
        if number not in has.spenders:
            told = spender_row(0, number, spender.parent, spender.participant)
            yield Said(Subject.SPENDER, number, told)


def _limits(directory: Directory, has: Has) -> Iterator[Said]:
    for number, limit in directory.limits.items():
        known = has.limits.get(number)
        if known == _words_of(limit) or (known is None and limit.most is None):
            continue
        if limit.spender not in directory.spenders:
            raise Malformed(f"limit {number}, {limit}", found=f"spender {limit.spender}, who is not in the registry",
                            expected="one who is", remedy="Restore the registry from a copy.")  # fmt: skip
        yield Said(Subject.LIMIT, number, limit_row(0, number, *_words_of(limit)))


def _prices(wanted: Wanted, has: Has) -> Iterator[Said]:
    for listing in wanted.listings:
        if (listing.supplier, listing.grade, listing.valid_from_ns) not in has.lists:
            for each in price_rows(listing, _price_name(wanted.directory, listing)):
                yield Said(Subject.PRICES, listing.number, each)


def _payments(payments: Sequence[Payment], *, afresh: bool) -> Iterator[Said]:
    for payment in payments:
        if payment.state is PaymentState.PENDING or (afresh and payment.state is PaymentState.DONE):
            command = VenueCommand.DEPOSIT if payment.kind is PaymentKind.DEPOSIT else VenueCommand.WITHDRAW
            words = (payment.key, payment.participant, int(Purse.PREPAID), payment.amount_micro)
            yield Said(Subject.PAYMENT, payment.number, row(kind_word(command), 0, words))


def price_rows(listing: Listing, name: str) -> list[Row]:
    """A price list's PRICES row, and LEG_PRICE rows for what it does not say. Raises Malformed for what the meter cannot say."""
    prices, supplier, grade = listing.prices, listing.supplier, listing.grade
    if not 1 <= prices.batch_hundredths <= 100 or any(
        step.prices.batch_hundredths != prices.batch_hundredths for step in prices.steps
    ):
        raise Malformed(f"{name}, batch", found=prices.batch_hundredths,
                        expected="one discount, 1 to 100 hundredths of the price",
                        remedy="Mend the supplier's prices.")  # fmt: skip
    pico = prices.pico
    head = prices_row(
        0, supplier, grade, price_in=pico[Leg.INPUT], price_cached=pico[Leg.CACHE_READ], price_out=pico[Leg.OUTPUT],
        valid_from_ns=listing.valid_from_ns, batch_hundredths=prices.batch_hundredths,
    )  # fmt: skip
    if prices.as_price_list(supplier, grade, listing.valid_from_ns) is not None:
        return [head]
    legs = [(leg, 0, pico[leg], 0) for leg in Leg if leg not in (*_OWN_WORDS, *_PIECES)]
    legs += [
        (leg, 0, pico[leg], 1 if leg is Leg.REQUESTS else listing.pieces_max) for leg in _PIECES if pico[leg]
    ]
    for place, step in enumerate(prices.steps, 1):
        legs += [
            (leg, place, step.prices.pico[leg], step.above_tokens)
            for leg in Leg
            if leg not in _PIECES or step.prices.pico[leg] != pico[leg]
        ]
    begins = listing.valid_from_ns
    return [head, *(
        leg_price_row(0, supplier, grade, leg, price, valid_from_ns=begins, step=step, bound=bound)
        for leg, step, price, bound in legs
    )]  # fmt: skip


def _was_refused(directory: Directory, said: Said) -> bool:
    refused = directory.refused.get((said.subject, said.number))
    return refused is not None and refused.content == said.content


def _why_missing(directory: Directory, limit: Limit, has: Has) -> str:
    refused = directory.refused.get((Subject.LIMIT, limit.number))
    if refused is not None:
        return f"refused by the venue: {refused.reason}"
    known = has.limits.get(limit.number)
    return "nothing of it in the venue" if known is None else f"the venue has {known}"


def _price_name(directory: Directory, listing: Listing) -> str:
    supplier, grade = directory.participants.get(listing.supplier), directory.grades.get(listing.grade)
    seller = f"supplier {listing.supplier}" if supplier is None else f"supplier {supplier.name}"
    return (
        f"{seller}, prices of {f'grade {listing.grade}' if grade is None else f'{grade.model} {grade.tier}'}"
    )


def _words_of(limit: Limit) -> tuple[int, LimitUnit, LimitWindow, int, int]:
    return (limit.spender, limit.unit, limit.window, limit.most_told, limit.offset_ns)


def _refusal_in(event: Sequence[int]) -> str:
    code = code_of(event[0])
    if code not in _REFUSED:
        return ""
    return (MeterRefusal if code == MeterEvent.REFUSED else VenueRefusal)(event[7]).name
