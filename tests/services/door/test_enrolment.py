"""Enrolment: what the registry wants, told to a real venue, until it has it."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import cast as cast_to

import numpy as np
import pytest

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.rows import INT64_MAX, code_of
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.clearing.messages import ClearingTerms
from ciyuan.gateway.leg_prices import LegPrices, Step
from ciyuan.gateway.messages import (
    LimitUnit,
    LimitWindow,
    MeterCommand,
    MeterEvent,
    PartyRole,
    hold_row,
    parties_word,
)
from ciyuan.gateway.usage import Leg
from ciyuan.index.messages import IndexTerms
from ciyuan.services.door.enrolment import (
    GROUP_ROWS,
    Enrolment,
    Has,
    Said,
    answers,
    bring_back,
    check_enforced,
    check_kin,
    due,
    has_of,
    price_rows,
    wanted_of,
)
from ciyuan.services.door.group_host import GroupHost
from ciyuan.services.door.group_log import SharedLog
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_database import DatabaseFailed
from ciyuan.services.door.registry_keys import Permissions
from ciyuan.services.door.registry_prices import LEAD_NS, Listing
from ciyuan.services.door.registry_schema import PaymentKind, PaymentState, SpenderKind, Subject
from ciyuan.services.door.registry_words import parse_limit
from ciyuan.services.store import Store
from ciyuan.venue.accounts import ChartOfAccounts
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, VenueCommand
from ciyuan.venue.terms import VenueTerms, house_accounts
from tests.services.door.registry_cast import NOW, USD, company

pytest_plugins = ("tests.services.postgres",)

TERMS = VenueTerms(Calendar(), (), (), ClearingTerms(house_accounts(())), IndexTerms())
PLAIN = LegPrices.per_mtok({Leg.INPUT: "0.95", Leg.CACHE_READ: "0.16", Leg.OUTPUT: "4"})
WITH_LEGS = LegPrices.of(
    {Leg.INPUT: 10**6, Leg.CACHE_WRITE_SHORT: 125 * 10**4, Leg.OUTPUT: 5 * 10**6, Leg.SEARCHES: 10**10, Leg.REQUESTS: 7},
    steps=(Step(200_000, LegPrices.of({Leg.INPUT: 2 * 10**6, Leg.OUTPUT: 8 * 10**6, Leg.SEARCHES: 10**10, Leg.REQUESTS: 7})),),
)  # fmt: skip
NOTHING = Has({}, {}, {}, frozenset())


@pytest.fixture
def registry(tmp_path):
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        yield registry


def change(registry, do, now_ns=NOW):
    with registry.change(now_ns) as under_way:
        return do(under_way)


def supplied(registry, prices=PLAIN, now_ns=NOW):
    """A supplier, a grade and a list."""

    def do(change):
        return change.prices.post(
            change.parties.supplier("vllm"), change.parties.grade("kimi", "high"), prices
        )

    return change(registry, do, now_ns)


def paid(registry, cast, micro=100 * USD, reference="bank 17", kind=PaymentKind.DEPOSIT):
    return change(
        registry, lambda change: change.payments.ask(kind, cast.acme.participant, micro, reference)
    )[0]


def bare(registry):
    """A customer without spenders below it, as a meter without spenders can take it: only its participant is there."""
    from ciyuan.services.door.registry_schema import ParticipantKind

    return change(registry, lambda change: change.parties.participant(ParticipantKind.CUSTOMER, "acme"))


def told(venue, said, now_ns=NOW):
    rows = np.array([each.row for each in said], dtype=np.int64).reshape(-1, 8)
    rows[:, 1] = now_ns
    return venue.apply(rows).tolist()


def settle(registry, venue, now_ns=NOW, **more):
    """One round: tell a venue what is due, and bring its answers back."""
    wanted = wanted_of(registry)
    said = due(wanted, has_of(venue, wanted), **more)
    return said, bring_back(registry, said, told(venue, said, now_ns), now_ns)


def prepaid(venue, participant=1):
    return venue.ledger.posted(ChartOfAccounts(()).purse(participant, Purse.PREPAID))


# --- rows, in order ---


def test_what_a_venue_without_anything_is_told_and_in_which_order(registry):
    cast = change(registry, company)
    listing, payment = supplied(registry), paid(registry, cast)
    said = due(wanted_of(registry), NOTHING)
    assert [(each.subject, each.number) for each in said] == [
        (Subject.PARTICIPANT, 1),
        (Subject.PARTICIPANT, 2),
        *((Subject.SPENDER, number) for number in range(1, 7)),
        (Subject.LIMIT, 1),
        (Subject.PRICES, 1),
        (Subject.PAYMENT, 1),
    ]
    rows = {(each.subject, each.number): each.row for each in said}
    assert rows[Subject.PARTICIPANT, 2] == (int(VenueCommand.PARTICIPANT), 0, 2, 2, 0, 0, 0, 0)
    assert rows[Subject.SPENDER, 2] == (MeterCommand.SPENDER, 0, 2, 1, 1, 0, 0, 0)
    assert rows[Subject.LIMIT, 1] == (
        MeterCommand.LIMIT,
        0,
        1,
        cast.research.number,
        1 | 4 << 8,
        2_000 * USD,
        0,
        0,
    )
    assert rows[Subject.PRICES, 1][2:] == (2, 1, 950_000, 160_000, 4_000_000, listing.valid_from_ns)
    assert rows[Subject.PAYMENT, 1] == (
        int(VenueCommand.DEPOSIT),
        0,
        payment.key,
        1,
        Purse.PREPAID,
        100 * USD,
        0,
        0,
    )


def test_what_is_there_already_is_not_told(registry):
    cast = change(registry, company)
    listing = supplied(registry)
    wanted = wanted_of(registry)
    has = Has(
        {1: PartyRole.CUSTOMER, 2: PartyRole.SUPPLIER},
        {number: (one.parent, one.participant) for number, one in wanted.directory.spenders.items()},
        {1: (cast.research.number, LimitUnit.MONEY, LimitWindow.MONTH, 2_000 * USD, 0)},
        frozenset({(2, 1, listing.valid_from_ns)}),
    )
    assert due(wanted, has) == []
    check_kin(wanted, has)
    check_enforced(wanted, has)


@pytest.mark.parametrize(
    ("there", "is_due"),
    [
        ({}, False),
        ({1: (2, LimitUnit.MONEY, LimitWindow.MONTH, 2_000 * USD, 0)}, True),
        ({1: (2, LimitUnit.MONEY, LimitWindow.MONTH, INT64_MAX, 0)}, False),
    ],
)
def test_a_cleared_limit_is_told_only_where_it_limits(registry, there, is_due):
    change(registry, company)
    change(registry, lambda change: change.limits.clear(1))
    said = [
        each
        for each in due(wanted_of(registry), replace(NOTHING, limits=there))
        if each.subject is Subject.LIMIT
    ]
    assert [each.row[5] for each in said] == ([INT64_MAX] if is_due else [])


def test_every_leg_of_a_list_is_told_with_it():
    listing = Listing(1, 2, 3, NOW, WITH_LEGS, 5, "", 0)
    head, *legs = price_rows(listing, "prices")
    assert head[2:] == (2, 3, 10**6, 10**6, 5 * 10**6, NOW)
    assert {code_of(leg[0]) for leg in legs} == {MeterCommand.LEG_PRICE}
    assert all(leg[7] == NOW for leg in legs)
    said = {(leg[4] >> 8, Leg(leg[4] & 0xFF)): (leg[5], leg[6]) for leg in legs}
    assert said[0, Leg.CACHE_WRITE_LONG] == (125 * 10**4, 0)
    assert said[0, Leg.SEARCHES] == (10**10, 5)
    assert said[0, Leg.REQUESTS] == (7, 1)
    assert (0, Leg.IMAGES) not in said
    assert (0, Leg.INPUT) not in said
    assert said[1, Leg.INPUT] == (2 * 10**6, 200_000)
    assert (1, Leg.SEARCHES) not in said


@pytest.mark.parametrize("hundredths", [0, 101])
def test_a_discount_that_the_meter_reads_otherwise_is_refused(hundredths):
    prices = replace(PLAIN, batch_hundredths=hundredths)
    with pytest.raises(Malformed, match="batch"):
        price_rows(Listing(1, 2, 3, NOW, prices, 5, "", 0), "prices")


# --- case 9: nothing that cannot be enforced is served ---


def test_a_budget_on_nobody_stops_start_up_by_name(registry):
    """Case 9: a configured budget that cannot be enforced is not silently ignored."""
    change(registry, company)
    wanted = wanted_of(registry)
    orphan = replace(wanted.directory.limits[1], spender=99)
    broken = replace(wanted, directory=replace(wanted.directory, limits={1: orphan}))
    with pytest.raises(Malformed, match=r"limit 1, 2,000\.00 USD a month: found 'spender 99"):
        due(broken, NOTHING)


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({}, "nothing of it in the venue"),
        ({1: (3, LimitUnit.MONEY, LimitWindow.MONTH, 2_000 * USD, 0)}, "the venue has"),
        ({1: (2, LimitUnit.MONEY, LimitWindow.MONTH, 1, 0)}, "the venue has"),
    ],
)
def test_a_budget_that_is_not_in_the_venue_stops_start_up_by_name(registry, limits, why):
    change(registry, company)
    with pytest.raises(Malformed, match=rf"limit department research: 2,000\.00 USD a month.*{why}"):
        check_enforced(wanted_of(registry), replace(NOTHING, limits=limits))


def test_a_budget_that_was_refused_stops_start_up_with_the_reason(registry):
    change(registry, company)
    change(registry, lambda change: change.refuse(Subject.LIMIT, 1, "content", "LIMITS_FULL"))
    with pytest.raises(Malformed, match="refused by the venue: LIMITS_FULL"):
        check_enforced(wanted_of(registry), NOTHING)


def test_prices_that_are_not_in_the_venue_stop_start_up_by_name(registry):
    supplied(registry)
    with pytest.raises(Malformed, match="supplier vllm, prices of kimi high"):
        check_enforced(wanted_of(registry), NOTHING)


@pytest.mark.parametrize(
    "has",
    [
        replace(NOTHING, participants={1: PartyRole.SUPPLIER}),
        replace(NOTHING, participants={7: PartyRole.CUSTOMER}),
        replace(NOTHING, spenders={2: (0, 1)}),
        replace(NOTHING, spenders={7: (1, 1)}),
    ],
)
def test_a_registry_of_another_journal_is_refused(registry, has):
    change(registry, company)
    with pytest.raises(Malformed, match="not an older one"):
        check_kin(wanted_of(registry), has)


# --- with a real venue ---


def test_money_comes_in_once_however_often_it_is_told(registry):
    """Case 32, at the venue: a payment is told again after each start, and moves money once."""
    bare(registry)
    change(registry, lambda change: change.payments.ask(PaymentKind.DEPOSIT, 1, 100 * USD, "bank 17"))
    venue = Venue(TERMS)
    said, refused = settle(registry, venue)
    assert ([each.subject for each in said], refused) == ([Subject.PARTICIPANT, Subject.PAYMENT], [])
    assert prepaid(venue) == 100 * USD
    assert registry.payments()[0].state is PaymentState.DONE
    assert settle(registry, venue) == ([], [])
    said, refused = settle(registry, venue, afresh=True)
    assert ([each.subject for each in said], refused) == ([Subject.PAYMENT], [])
    assert prepaid(venue) == 100 * USD
    other = Venue(TERMS)
    settle(registry, other, afresh=True)
    assert prepaid(other) == 100 * USD


def test_a_crash_between_telling_and_noting_moves_money_once(registry):
    """Case 32: what was told and not noted is told again; the venue repeats, and it is noted then."""
    bare(registry)
    change(registry, lambda change: change.payments.ask(PaymentKind.DEPOSIT, 1, 5 * USD, "bank 17"))
    change(registry, lambda change: change.payments.ask(PaymentKind.WITHDRAWAL, 1, 2 * USD, "refund 1"))
    venue, wanted = Venue(TERMS), wanted_of(registry)
    told(venue, due(wanted, has_of(venue, wanted)))
    assert {payment.state for payment in registry.payments()} == {PaymentState.PENDING}
    assert settle(registry, venue)[1] == []
    assert {payment.state for payment in registry.payments()} == {PaymentState.DONE}
    assert prepaid(venue) == 3 * USD


def test_a_withdrawal_of_what_is_not_there_is_refused_and_final(registry):
    bare(registry)
    change(registry, lambda change: change.payments.ask(PaymentKind.DEPOSIT, 1, 5 * USD, "bank 17"))
    change(registry, lambda change: change.payments.ask(PaymentKind.WITHDRAWAL, 1, 6 * USD, "refund 1"))
    change(registry, lambda change: change.payments.ask(PaymentKind.WITHDRAWAL, 1, 2 * USD, "refund 2"))
    venue = Venue(TERMS)
    _, refused = settle(registry, venue)
    assert [(each.number, reason) for each, reason in refused] == [(2, "INSUFFICIENT_BALANCE")]
    assert [payment.state for payment in registry.payments()] == [
        PaymentState.DONE,
        PaymentState.REFUSED,
        PaymentState.DONE,
    ]
    assert prepaid(venue) == 3 * USD
    assert settle(registry, venue) == ([], [])


def test_a_registry_that_was_set_back_gives_no_money_twice_and_loses_none(registry, tmp_path):
    """Its next payment has a number that the venue has heard; the key is the reference's, so the venue knows it for another."""
    venue = Venue(TERMS)
    bare(registry)
    change(registry, lambda change: change.payments.ask(PaymentKind.DEPOSIT, 1, 5 * USD, "bank 17"))
    settle(registry, venue)
    with Registry.open(tmp_path / "set back.sqlite") as older:
        bare(older)
        change(older, lambda change: change.payments.ask(PaymentKind.DEPOSIT, 1, 5 * USD, "bank 18"))
        change(older, lambda change: change.payments.ask(PaymentKind.DEPOSIT, 1, 5 * USD, "bank 17"))
        settle(older, venue)
    assert prepaid(venue) == 10 * USD


def test_what_was_refused_is_told_again_only_when_it_has_changed(registry):
    change(registry, company)
    said = [each for each in due(wanted_of(registry), NOTHING) if each.subject is Subject.LIMIT]
    refusal = (int(MeterEvent.REFUSED), NOW, *said[0].row[2:7], 41)
    assert bring_back(registry, said, [refusal], NOW) == [(said[0], "ASSETS_DIFFER")]
    assert registry.directory().refused[Subject.LIMIT, 1].reason == "ASSETS_DIFFER"
    assert all(each.subject is not Subject.LIMIT for each in due(wanted_of(registry), NOTHING))
    change(registry, lambda change: change.limits.set(2, parse_limit("7 USD a month")))
    said = [each for each in due(wanted_of(registry), NOTHING) if each.subject is Subject.LIMIT]
    taken = (261, NOW, *said[0].row[2:7], 0)
    assert bring_back(registry, said, [taken], NOW) == []
    assert registry.directory().refused == {}


def test_every_row_has_its_answer():
    row = (int(VenueCommand.PARTICIPANT), 0, 1, 1, 0, 0, 0, 0)
    said = [Said(Subject.PARTICIPANT, 1, row)]
    enrolled, expired = (int(MeterEvent.ENROLLED), 0, 1, 2, 1, 0, 0, 0), (int(MeterEvent.EXPIRED), *(0,) * 7)
    added = (651, 0, 1, 1, 1, 0, 8, 0)
    assert answers(said, [expired, enrolled, added]) == [(said[0], "")]
    with pytest.raises(InvariantBroken, match="1 rows, 0 answers"):
        answers(said, [expired, enrolled])


def test_new_prices_come_into_force_and_a_late_list_is_put_off(registry):
    customer, listing = bare(registry), supplied(registry)
    change(registry, lambda change: change.payments.ask(PaymentKind.DEPOSIT, customer, 100 * USD, "bank 17"))
    venue = Venue(TERMS)
    assert settle(registry, venue)[1] == []
    later = supplied(registry, replace(PLAIN, batch_hundredths=60), NOW + 10)
    parties = parties_word(customer, listing.supplier, listing.grade)
    held = told(venue, [Said(Subject.PRICES, 0, hold_row(0, 16, parties, 100, 100))], later.valid_from_ns + 1)
    assert code_of(held[0][0]) == MeterEvent.HELD
    now_ns = later.valid_from_ns + NS_PER_SECOND
    _, refused = settle(registry, venue, now_ns)
    assert [reason for _, reason in refused] == ["PRICES_BACKDATED"]
    assert registry.directory().refused == {}
    assert registry.price_lists()[-1].valid_from_ns == now_ns + LEAD_NS
    said, refused = settle(registry, venue, now_ns)
    assert (len(said), refused) == (1, [])
    check_enforced(wanted_of(registry), has_of(venue, wanted_of(registry)))


# --- by the host, over a journal ---


class Stand:
    """A host over a store in a folder, as the door has it."""

    def __init__(self, folder, registry):
        self.registry, self.now_ns = registry, NOW
        self.venue = Venue(TERMS)
        new = not folder.exists()
        self.store = Store.create(folder, TERMS.digest()) if new else Store.open(folder, TERMS.digest())
        for rows in () if new else self.store.read():
            self.venue.apply(rows)
            self.now_ns = max(self.now_ns, int(rows[-1, 1]))
        self.host = GroupHost(self.venue, self.store, lambda: self.now_ns, last_ns=self.now_ns)
        self.enrolment = Enrolment(self.host, registry, lambda: self.now_ns)

    async def __aenter__(self):
        self.host.start(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *_):
        await self.host.close()
        self.store.close()


def test_a_store_is_begun_closed_and_begun_again(registry, tmp_path):
    bare(registry)
    supplied(registry)
    change(registry, lambda change: change.payments.ask(PaymentKind.DEPOSIT, 1, 100 * USD, "bank 17"))

    async def play():
        async with Stand(tmp_path / "journal", registry) as stand:
            enrolled = await stand.enrolment.begin()
            assert enrolled.refused == ()
            assert not await stand.enrolment.is_behind(enrolled.directory)
            change(registry, lambda change: change.payments.ask(PaymentKind.DEPOSIT, 1, 7 * USD, "bank 18"))
            assert await stand.enrolment.is_behind(enrolled.directory)
            enrolled = await stand.enrolment.renew(enrolled.directory)
            assert enrolled.directory.version == registry.version()
            assert prepaid(stand.venue) == 107 * USD
            hash_before, rows = stand.venue.state_hash(), stand.host.applied
        async with Stand(tmp_path / "journal", registry) as stand:
            assert stand.venue.state_hash() == hash_before
            await stand.enrolment.begin()
            assert prepaid(stand.venue) == 107 * USD
            assert stand.host.applied == rows + 2
        return True

    assert asyncio.run(play())


def test_a_host_that_takes_no_rows_is_a_failure(registry, tmp_path):
    bare(registry)

    async def play():
        async with Stand(tmp_path / "journal", registry) as stand:
            stand.store.close()
            await stand.enrolment.begin()

    with pytest.raises(DatabaseFailed, match="journal"):
        asyncio.run(play())


def test_many_rows_go_as_several_batches_and_no_list_in_two(registry):
    from ciyuan.services.door.enrolment import _groups

    lists = [
        Said(Subject.PRICES, number, (int(MeterCommand.LEG_PRICE), *(0,) * 7))
        for number in range(200)
        for _ in range(7)
    ]
    groups = list(_groups(lists))
    assert [each for group in groups for each in group] == lists
    assert all(GROUP_ROWS <= len(group) < GROUP_ROWS + 7 for group in groups[:-1])
    for one, other in pairwise(groups):
        assert one[-1].number != other[0].number
    assert list(_groups([])) == []


# --- spenders, limits and legs ---


def test_the_whole_company_is_taken_by_the_venue_and_said_once(registry):
    cast = change(registry, company)
    supplied(registry, WITH_LEGS)
    paid(registry, cast)
    for sentence in ("60 requests a minute", "20M tokens a day at +08:00", "5 USD ever", "1M tokens an hour"):
        change(registry, lambda change, text=sentence: change.limits.set(cast.ada.number, parse_limit(text)))
    venue = Venue(TERMS)
    said, refused = settle(registry, venue)
    assert refused == []
    assert settle(registry, venue) == ([], [])
    wanted = wanted_of(registry)
    check_enforced(wanted, has_of(venue, wanted))
    check_kin(wanted, has_of(venue, wanted))
    said, refused = settle(registry, venue, afresh=True)
    assert [each.subject for each in said] == [Subject.PAYMENT]


def test_limits_hold_are_changed_and_cleared(registry):
    cast = change(registry, company)
    listing = supplied(registry)
    paid(registry, cast)
    venue, spender = Venue(TERMS), cast.laptop.kept.spender
    parties = parties_word(cast.acme.participant, listing.supplier, listing.grade)

    def hold(key):
        row = hold_row(0, key, parties, 1_000, 1_000, spender=spender)
        return told(venue, [Said(Subject.SPENDER, 0, row)], NOW)[-1]

    limit = change(
        registry, lambda change: change.limits.set(cast.ada.number, parse_limit("0.005 USD a month"))
    )
    assert settle(registry, venue)[1] == []
    assert code_of(hold(16)[0]) == MeterEvent.HELD
    refused = hold(32)
    assert code_of(refused[0]) == MeterEvent.REFUSED
    assert refused[0] >> 24 & 0xFFFF == limit.number
    change(registry, lambda change: change.limits.set(cast.ada.number, parse_limit("0.01 USD a month")))
    assert settle(registry, venue)[1] == []
    assert code_of(hold(48)[0]) == MeterEvent.HELD
    assert code_of(hold(64)[0]) == MeterEvent.REFUSED
    change(registry, lambda change: change.limits.clear(limit.number))
    assert settle(registry, venue)[1] == []
    assert code_of(hold(80)[0]) == MeterEvent.HELD


def test_a_client_names_an_app_and_the_venue_knows_it_before_the_door(registry, tmp_path):
    cast = change(registry, company)

    async def play():
        async with Stand(tmp_path / "journal", registry) as stand:
            directory = (await stand.enrolment.begin()).directory
            key = directory.find(cast.laptop.text.encode())
            assert key is not None
            assert directory.spender_for(key, b"report") == key.spender
            assert await stand.enrolment.is_behind(directory)
            directory = (await stand.enrolment.renew(directory)).directory
            app = directory.spender_for(key, b"report")
            assert app != key.spender
            wanted = wanted_of(registry)
            assert has_of(stand.venue, wanted).spenders[app] == (key.spender, key.customer)
            assert not await stand.enrolment.is_behind(directory)
        return True

    assert asyncio.run(play())


def test_a_registry_that_is_older_than_its_journal_is_refused(registry, tmp_path):
    change(registry, company)
    venue = Venue(TERMS)
    settle(registry, venue)
    with Registry.open(tmp_path / "older.sqlite") as older:
        change(older, lambda change: change.spenders.add(SpenderKind.ORGANISATION, "acme"))
        wanted = wanted_of(older)
        with pytest.raises(Malformed, match="spender 2"):
            check_kin(wanted, has_of(venue, wanted))


def test_processes_that_share_a_journal_tell_the_same_and_end_in_one_state(postgres_url):
    """Case 32 by several processes at once: each tells all that it finds due; money comes in once, and limits are the same."""
    from ciyuan.services.postgres_journal import PostgresJournal

    with Registry.open(postgres_url) as registry:
        cast = change(registry, company)
        supplied(registry, WITH_LEGS)
        paid(registry, cast)
    PostgresJournal.create(postgres_url, TERMS.digest()).close()

    async def play():
        journals = [PostgresJournal.open(postgres_url, TERMS.digest()) for _ in range(3)]
        registries = [Registry.open(postgres_url) for _ in journals]
        hosts = [GroupHost(Venue(TERMS), cast_to(SharedLog, journal), lambda: NOW) for journal in journals]
        for host in hosts:
            host.start(asyncio.get_running_loop())
        enrolments = [
            Enrolment(host, opened, lambda: NOW) for host, opened in zip(hosts, registries, strict=True)
        ]
        enrolled = await asyncio.gather(*(enrolment.begin() for enrolment in enrolments))
        for host in hosts:
            host.catch_up()
            await host.drained()
        found = [(prepaid(host.venue), host.venue.state_hash()) for host in hosts]
        for host, journal, opened in zip(hosts, journals, registries, strict=True):
            await host.close()
            journal.close()
            opened.close()
        return enrolled, found

    enrolled, found = asyncio.run(play())
    assert len(set(found)) == 1
    assert found[0][0] == 100 * USD
    assert [each.refused for each in enrolled] == [(), (), ()]


def test_two_hundred_engineers_are_enrolled_in_one_go(registry):
    def two_hundred(change):
        cast = company(change)
        for number in range(200):
            person = change.spenders.add(SpenderKind.ENGINEER, f"engineer {number:03}", cast.ops.number)
            change.keys.create(person.number, "laptop", Permissions())
            change.limits.set(person.number, parse_limit("500 USD a year"))

    change(registry, two_hundred)
    venue = Venue(TERMS)
    said, refused = settle(registry, venue)
    assert (len(said), refused) == (1 + 6 + 400 + 201, [])
    assert settle(registry, venue) == ([], [])
