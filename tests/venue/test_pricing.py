"""What becomes an observation of the index and what does not, and how the index's mean settles a future."""

from dataclasses import replace

import pytest

from ciyuan.basics.grade import ConversionVector
from ciyuan.basics.rows import reason_of
from ciyuan.clearing.messages import ClearingEvent
from ciyuan.exchange.messages import SessionState, close_day_row, session_row
from ciyuan.gateway.messages import MeterEvent, prices_row
from ciyuan.index.messages import IndexEvent, IndexRefusal, Leg, Level, Source, Withheld, correct_row, fix_row
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import VenueCommand, VenueEvent, VenueRefusal
from tests.venue.market import (
    ADA,
    BO,
    CALENDAR,
    CY,
    DAY,
    DEE,
    EVE,
    KIMI,
    OCT,
    QWEN,
    QWEN_SPOT,
    ROLES,
    SIS,
    SPOT,
    TERMS,
    USD,
    Market,
)

TRADE, DELIVERY, QUOTE, LIST = (int(source) for source in Source)


def in_window(clock: str = "15:10") -> Market:
    """A market with lists, receipts and an open session, in the index's window."""
    return Market().join().listed().receipts().open().at(clock)


# --- deliveries ---


def test_an_order_becomes_a_fill_a_novation_and_an_observation():
    market = in_window()
    market.order(ADA, SPOT, -10, 1500)
    said = market.order(DEE, SPOT, 4, 1520)
    assert market.codes(said) == [352, 355, 355, 452, 361]
    assert said[3][2:] == (1, DEE, ADA, SPOT, 1500, 4)
    assert market.observations() == [[market.now, KIMI, ADA, 1_500_000, 4 * 10**8, Leg.STANDARD, TRADE]]


def test_a_delivery_is_settled_and_observed_leg_by_leg():
    market = in_window()
    said = market.serve(DEE, BO, 1000, 500, cached=100)
    assert market.codes(said) == [MeterEvent.HELD, MeterEvent.SETTLED]
    cost = 900 * 1_000_000 + 100 * 200_000 + 500 * 4_210_000
    assert said[-1][7] == cost // 10**6
    at = market.now
    assert market.observations() == [
        [at, KIMI, BO, cost * 100 // 302_500, 302_500, Leg.STANDARD, DELIVERY],
        [at, KIMI, BO, 1_000_000, 90_000, Leg.INPUT, DELIVERY],
        [at, KIMI, BO, 4_210_000, 50_000, Leg.OUTPUT, DELIVERY],
    ]


@pytest.mark.parametrize(
    ("used", "legs"),
    [
        ((100, 0, 0), [0, 1]),
        ((100, 0, 100), [0]),
        ((0, 10, 0), [0, 2]),
        ((0, 0, 0), []),
        ((100, 10, 100), [0, 2]),
    ],
)
def test_a_leg_that_was_not_used_is_not_observed(used, legs):
    market = in_window()
    tokens_in, tokens_out, cached = used
    market.serve(DEE, BO, tokens_in, tokens_out, cached)
    assert [row[5] for row in market.observations()] == legs


def test_batch_usage_is_another_good_and_is_not_observed():
    market = in_window()
    assert market.codes(market.serve(DEE, BO, 1000, 500, batch=True)) == [253, 254]
    assert market.observations() == []


@pytest.mark.parametrize("clock", ["09:30", "14:59", "16:00"])
def test_outside_the_window_nothing_is_observed(clock):
    market = in_window(clock)
    market.serve(DEE, BO, 1000, 500)
    market.order(ADA, SPOT, -10, 1500)
    market.order(DEE, SPOT, 4, 1500)
    market.ask(VenueCommand.SAMPLE, SPOT)
    assert market.observations() == []
    assert not market.of(IndexEvent.REFUSED)


def test_one_group_deals_with_itself_unobserved():
    market = in_window()
    assert market.codes(market.serve(SIS, ADA, 1000, 500)) == [253, 254]
    market.order(ADA, SPOT, -10, 1500)
    assert market.codes(market.order(SIS, SPOT, 4, 1500)) == [352, 355, 355, 452, 361]
    assert market.observations() == []
    market.serve(SIS, BO, 1000, 500)
    market.order(DEE, SPOT, 1, 1500)
    assert [(row[2], row[6]) for row in market.observations()] == [(BO, DELIVERY)] * 3 + [(ADA, TRADE)]


def test_a_grade_that_is_not_the_venues_is_metered_but_not_observed():
    market = in_window()
    market.tell(
        prices_row(market.tick(), BO, 77, price_in=1, price_cached=1, price_out=1, valid_from_ns=market.now)
    )
    assert market.codes(market.serve(DEE, BO, 1000, 500, of=77)) == [253, 254]
    market.serve(DEE, BO, 1000, 500)
    assert {row[1] for row in market.observations()} == {KIMI}


def test_a_future_is_no_price_of_today():
    market = in_window()
    market.order(EVE, OCT, -1, 1500)
    assert 452 in market.codes(market.order(DEE, OCT, 1, 1500))
    assert market.observations() == []


def test_a_lot_of_two_counts_as_two():
    market = Market().join().receipts(of=QWEN).open().at("15:10")
    market.order(ADA, QWEN_SPOT, -3, 1500)
    market.order(DEE, QWEN_SPOT, 3, 1500)
    assert [row[1:5] for row in market.observations()] == [[QWEN, ADA, 1_500_000, 6 * 10**8]]


# --- quotes ---


def test_the_best_offers_are_sampled_as_quotes():
    market = in_window()
    market.receipts(BO).order(ADA, SPOT, -10, 1501)
    market.order(ADA, SPOT, -5, 1500)
    market.order(DEE, SPOT, 2, 1400)
    said = market.ask(VenueCommand.SAMPLE, SPOT)
    assert [event[2:4] for event in said] == [(SPOT, 1)]
    assert market.observations() == [[market.now, KIMI, ADA, 1_500_000, 5 * 10**8, Leg.STANDARD, QUOTE]]


def test_an_empty_book_is_sampled_as_such():
    market = in_window()
    assert [event[2:4] for event in market.ask(VenueCommand.SAMPLE, SPOT)] == [(SPOT, 0)]
    assert market.observations() == []


@pytest.mark.parametrize("contract", [0, 99])
def test_only_what_is_listed_is_sampled(contract):
    assert in_window().answer(VenueCommand.SAMPLE, contract) == VenueRefusal.UNKNOWN_CONTRACT


# --- fixings ---


@pytest.mark.parametrize(
    ("leg", "prices"),
    [(Leg.STANDARD, [950_000, 1_000_000, 1_050_000]), (Leg.INPUT, [950_000, 1_000_000, 1_050_000]),
     (Leg.OUTPUT, [3_999_500, 4_210_000, 4_420_500])],
)  # fmt: skip
def test_a_fixing_is_fed_the_list_prices_in_force(leg, prices):
    market = Market().join().listed().at("16:00")
    said = market.tell(fix_row(market.tick(), KIMI, DAY, leg))
    assert [row[2:4] for row in market.observations()] == [
        list(pair) for pair in zip((ADA, BO, CY), prices, strict=True)
    ]
    assert {(row[5], row[6]) for row in market.observations()} == {(leg, LIST)}
    assert [event[4:7] for event in market.of(IndexEvent.FIXED, said)] == [(leg, prices[1], Level.LISTS)]


def test_the_list_in_force_is_the_latest_that_has_begun():
    market = Market().join().listed()
    later = CALENDAR.ns_at(DAY, "15:30")
    for price, valid_from in (
        (2_000_000, later),
        (3_000_000, CALENDAR.ns_at(DAY, "17:00")),
        (900_000, market.now - 1),
    ):
        market.tell(
            prices_row(
                market.tick(), BO, KIMI, price_in=price, price_cached=0, price_out=0, valid_from_ns=valid_from
            )
        )
    market.at("16:00").tell(fix_row(market.tick(), KIMI, DAY, Leg.INPUT))
    assert [row[3] for row in market.observations() if row[2] == BO] == [2_000_000]


def test_a_free_list_is_no_price():
    market = Market().join().listed()
    market.tell(
        prices_row(market.tick(), BO, KIMI, price_in=0, price_cached=0, price_out=0, valid_from_ns=market.now)
    )
    said = market.at("16:00").tell(fix_row(market.tick(), KIMI, DAY, Leg.STANDARD))
    assert [row[2] for row in market.observations()] == [ADA, CY]
    assert [event[5] for event in market.of(IndexEvent.WITHHELD, said)] == [Withheld.TOO_FEW_SELLERS]


def test_the_lists_of_a_day_that_was_fixed_are_not_observed_again():
    market = Market().join().listed().at("16:00")
    market.tell(fix_row(market.tick(), KIMI, DAY, Leg.STANDARD))
    before = market.observations()
    assert market.codes(market.tell(fix_row(market.tick(), KIMI, DAY, Leg.STANDARD))) == [IndexEvent.REPEATED]
    assert market.codes(market.tell(correct_row(market.tick(), KIMI, DAY, Leg.STANDARD))) == [
        IndexEvent.REPEATED
    ]
    assert market.observations() == before


@pytest.mark.parametrize(
    ("words", "refusal"),
    [((KIMI, DAY, 3), IndexRefusal.LEG_UNKNOWN), ((0, DAY, 0), IndexRefusal.GRADE_NOT_POSITIVE),
     ((KIMI, DAY - 1, 0), IndexRefusal.NOT_A_BUSINESS_DAY), ((KIMI, DAY + 1, 0), IndexRefusal.WINDOW_NOT_ENDED)],
)  # fmt: skip
def test_the_index_refuses_a_fixing_that_cannot_be(words: tuple[int, int, Leg], refusal: IndexRefusal):
    market = Market().join().at("16:00")
    said = market.tell(fix_row(market.tick(), *words))
    assert [event[7] for event in market.of(IndexEvent.REFUSED, said)] == [refusal]


def test_a_day_of_deliveries_is_fixed_on_deliveries():
    market = in_window("15:00")
    for _ in range(6):
        for supplier in (ADA, BO, CY):
            market.serve(DEE, supplier, 1000, 500)
    said = market.at("16:00").tell(fix_row(market.tick(), KIMI, DAY, Leg.STANDARD))
    fixed = market.of(IndexEvent.FIXED, said)[0]
    assert (fixed[5], fixed[6]) == (1_000_000, Level.TRANSACTIONS)


def test_a_fixing_does_not_hear_one_group_twice():
    """Ada and her sister are one seller: with bo that makes two, which is too few."""
    market = Market().join([ADA])
    roles = int(ROLES[SIS][0]) | 2
    market.ask(VenueCommand.PARTICIPANT, 2, roles, ADA, 2)
    market.ask(VenueCommand.PARTICIPANT, 3, 2, 0, 2)
    said = market.listed().at("16:00").tell(fix_row(market.tick(), KIMI, DAY, Leg.STANDARD))
    assert [event[5] for event in market.of(IndexEvent.WITHHELD, said)] == [Withheld.TOO_FEW_SELLERS]


# --- final settlement ---


def month_end() -> tuple[Market, int]:
    """The last day of October's future is closed and settled; eve is short and dee long three lots from 1.500."""
    last = CALENDAR.last_business_of_month(202610)
    market = Market().join().listed().at("08:00", last).open(last)
    market.order(EVE, OCT, -3, 1500)
    market.order(DEE, OCT, 3, 1500)
    market.at("16:00", last)
    market.tell(fix_row(market.tick(), KIMI, last, Leg.STANDARD))
    market.close(last)
    return market, last


def test_the_mean_of_the_fixings_settles_the_future():
    market, last = month_end()
    before = market.money(DEE), market.money(EVE)
    said = market.ask(VenueCommand.FINALISE, OCT, last)
    mean = market.venue.index.month_mean(KIMI, 202610, Leg.STANDARD)
    assert mean is not None
    final = market.of(ClearingEvent.FINAL_SETTLED, said)[0]
    assert final[2:6] == (OCT, mean.mean_micro, last, 85), (
        "one day of 22 was fixed: the price is determined by rule §8.5"
    )
    paid = 3 * 1000 * (1_500_000 - mean.mean_micro)
    assert (market.money(DEE), market.money(EVE)) == (before[0] - paid, before[1] + paid)
    assert market.venue.clearing.position(DEE, OCT) == 0
    assert market.codes(market.ask(VenueCommand.FINALISE, OCT, last)) == [ClearingEvent.REPEATED]


def test_a_future_is_not_finalised_while_it_trades():
    market = Market().join().listed().open().at("16:00")
    market.tell(fix_row(market.tick(), KIMI, DAY, Leg.STANDARD))
    said = market.ask(VenueCommand.FINALISE, OCT, DAY)
    assert market.codes(said) == [ClearingEvent.REFUSED]


@pytest.mark.parametrize("contract", [SPOT, 0, 99])
def test_only_a_future_is_finalised(contract):
    assert month_end()[0].answer(VenueCommand.FINALISE, contract, DAY) == VenueRefusal.UNKNOWN_CONTRACT


def test_without_a_fixing_there_is_nothing_to_settle_on():
    assert Market().join().answer(VenueCommand.FINALISE, OCT, DAY) == VenueRefusal.NOTHING_TO_SETTLE_ON


def test_the_venue_prices_by_each_grades_own_vector():
    """Output at 2.00 instead of 4.21: the same list costs more per standard token."""
    other = replace(
        TERMS, grades=tuple(replace(grade, vector=ConversionVector(output=200)) for grade in TERMS.grades)
    )
    fixed = []
    for terms in (TERMS, other):
        market = Market(terms).join().listed().at("16:00")
        said = market.tell(fix_row(market.tick(), KIMI, DAY, Leg.STANDARD))
        fixed.append(market.of(IndexEvent.FIXED, said)[0][5])
    assert fixed == [1_000_000, (3 * 1_000_000 + 4_210_000) // 5]


def test_the_clearing_house_hears_of_sessions_and_prices():
    market = Market().join().open()
    assert market.venue.clearing.trading_day == DAY
    market.tell(session_row(market.tick(), OCT, SessionState.CLOSING, DAY))
    market.tell(session_row(market.tick(), OCT, SessionState.SETTLEMENT, DAY))
    said = market.tell(close_day_row(market.tick(), OCT, DAY))
    assert [event[2:4] for event in market.of(358, said)] == [(OCT, 1500)]
    assert isinstance(market.venue, Venue)
    assert {reason_of(event[0]) for event in market.of(VenueEvent.DEPOSITED)} == {0}
    assert market.money(DEE) == 10_000 * USD
