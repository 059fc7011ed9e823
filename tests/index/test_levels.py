"""Which data a fixing stands on (§8.2), and why there is none (§8.5)."""

import pytest

from ciyuan.basics.rows import Row, code_of, flags_of, reason_of
from ciyuan.index.messages import (
    RULE_SCREEN,
    RULE_WITHHOLD,
    FixFlag,
    Fixing,
    IndexEvent,
    IndexTerms,
    Leg,
    Level,
    Source,
    Withheld,
)
from tests.index.readings import CENTI_PER_MTOK, DAY, GRADE, TERMS, agreed, fix, new_index, seen, told


def fixed(*rows: Row, terms: IndexTerms = TERMS) -> Fixing:
    index = new_index(terms)
    told(index, *rows, fix())
    return index.versions(GRADE, DAY, Leg.STANDARD)[0]


def quotes(*sellers: int, price: int = 1_100_000, clock: str = "15:01") -> list[Row]:
    return [seen(clock, seller, price, source=Source.QUOTE) for seller in sellers]


def lists(*sellers: int, price: int = 1_200_000, clock: str = "16:00") -> list[Row]:
    return [seen(clock, seller, price, source=Source.LIST) for seller in sellers]


def test_trades_and_deliveries_are_one_level_and_suffice():
    rows = [
        seen("15:01", 1, 1_000_000, source=Source.TRADE),
        *[seen("15:02", seller, 1_020_000) for seller in (2, 3)],
        *[seen("15:03", seller, 1_020_000) for seller in (2, 3)],
    ]
    fixing = fixed(*rows, *quotes(4, 5, 6), *lists(7, 8, 9))
    assert (fixing.value_micro, fixing.level) == (1_020_000, Level.TRANSACTIONS)
    assert (fixing.sellers, fixing.observations) == (3, 5)


def test_quotes_are_added_where_trades_do_not_suffice_and_only_for_those_who_did_not_trade():
    trades = [seen("15:01", seller, 1_000_000) for seller in (1, 2)] * 2
    fixing = fixed(*trades, *quotes(1, 2, 3))
    assert (fixing.level, fixing.sellers, fixing.observations) == (Level.QUOTES, 3, 5)
    assert fixing.value_micro == 1_000_000
    assert fixing.volume_centitokens == 5 * CENTI_PER_MTOK


def test_a_seller_speaks_in_each_partition_by_the_best_that_it_has_there():
    rows = [seen("15:01", 1, 1_000_000), *quotes(1, 2, 3), *quotes(1, 2, 3, clock="15:31", price=1_050_000)]
    fixing = fixed(*rows)
    assert fixing.observations == 6
    assert fixing.value_micro == (1_100_000 + 1_050_000) // 2


def test_list_prices_come_last_and_stand_in_every_partition():
    fixing = fixed(*lists(1, 2, 3))
    assert (fixing.value_micro, fixing.level, fixing.sellers) == (1_200_000, Level.LISTS, 3)
    assert (fixing.observations, fixing.volume_centitokens) == (36, 36 * CENTI_PER_MTOK)


def test_the_list_price_in_force_at_the_end_of_the_window_counts():
    early = [*lists(1, 2, 3, price=5, clock="08:00"), *lists(1, 2, 3, price=7, clock="16:00")]
    assert fixed(*early[3:], *early[:3]).value_micro == 7


def test_else_the_first_one_after_it():
    index = new_index()
    told(
        index, *lists(1, 2, 3, price=9, clock="16:05"), *lists(1, 2, 3, price=11, clock="16:10"), fix("16:10")
    )
    assert index.versions(GRADE, DAY, Leg.STANDARD)[0].value_micro == 9


INSUFFICIENT: list[tuple[Withheld, list[Row]]] = [
    (Withheld.NO_OBSERVATIONS, []),
    (Withheld.TOO_FEW_SELLERS, [seen("15:01", seller, 1) for seller in (1, 2)] * 9),
    (Withheld.TOO_FEW_SELLERS, [seen(f"15:{seller:02d}", seller, 1) for seller in (1, 6, 11)] * 9),
    (Withheld.TOO_FEW_OBSERVATIONS, [seen("15:01", seller, 1) for seller in (1, 2, 3)]),
    (Withheld.SET_ASIDE_LEFT_TOO_FEW, [seen("15:01", seller, 10**seller) for seller in (1, 1, 1, 3, 6)]),
]
"""Observations on which nothing can stand; the third case are three sellers who never speak in one partition."""


@pytest.mark.parametrize(("reason", "rows"), INSUFFICIENT)
def test_nothing_is_published_rather_than_a_guess(reason: Withheld, rows: list[Row]):
    index = new_index()
    events = told(index, *rows, fix())
    assert code_of(events[0][0]) == IndexEvent.WITHHELD
    assert reason_of(events[0][0]) == RULE_WITHHOLD
    assert events[0][2:] == [GRADE, DAY, Leg.STANDARD, reason, 0, 1]
    assert index.fixing(GRADE, DAY, Leg.STANDARD) is None
    assert index.versions(GRADE, DAY, Leg.STANDARD)[0].withheld == reason


def test_every_reason_to_withhold_is_reached():
    assert {reason for reason, _ in INSUFFICIENT} == set(Withheld)


def test_who_is_set_aside_is_listed_with_its_price_and_the_others():
    index = new_index()
    events = told(index, *agreed(sellers=4), seen("15:01", 7, 2_000_001), seen("15:01", 7, 2_000_002), fix())
    assert [code_of(event[0]) for event in events] == [
        IndexEvent.FIXED,
        IndexEvent.FIX_EVIDENCE,
        IndexEvent.SET_ASIDE,
    ]
    assert events[2][2:] == [GRADE, DAY, 7, 2_000_002, 1_000_000, Leg.STANDARD]
    assert reason_of(events[2][0]) == RULE_SCREEN
    assert events[1][5:7] == [4, 8]


def test_where_setting_aside_leaves_too_few_the_next_level_is_asked():
    rows = [
        seen(clock, seller, price)
        for clock in ("15:01", "15:02")
        for seller, price in ((1, 100), (2, 101), (3, 900))
    ]
    fixing = fixed(*rows, *quotes(4, 5, price=102))
    assert (fixing.level, fixing.sellers, fixing.value_micro) == (Level.QUOTES, 4, 101)
    assert fixed(*rows).withheld == Withheld.SET_ASIDE_LEFT_TOO_FEW


def test_what_is_withheld_still_lists_who_was_set_aside():
    rows = [seen("15:01", seller, price) for seller, price in ((1, 100), (2, 101), (3, 900))] * 2
    events = told(new_index(), *rows, fix())
    assert [code_of(event[0]) for event in events] == [IndexEvent.WITHHELD, IndexEvent.SET_ASIDE]
    assert events[1][4:7] == [3, 900, 101]


def test_a_cap_that_cannot_bind_is_said():
    index = new_index()
    three = told(index, *agreed(sellers=3), fix())
    four = told(new_index(), *agreed(sellers=4), fix())
    assert flags_of(three[0][0]) == FixFlag.CAP_RAISED
    assert index.versions(GRADE, DAY, Leg.STANDARD)[0].cap_raised
    assert flags_of(four[0][0]) == 0


def test_one_partition_in_which_it_cannot_bind_is_enough_to_say_so():
    rows = [*agreed(sellers=4), *[seen("15:59", seller, 1_000_000) for seller in (1, 2, 3)]]
    assert fixed(*rows).cap_raised


def test_the_fixing_is_the_mean_of_the_partitions_half_up():
    prices = {"15:01": 100, "15:06": 101, "15:59": 100, "15:44": 101}
    fixing = fixed(*[seen(clock, seller, price) for clock, price in prices.items() for seller in (1, 2, 3)])
    assert fixing.value_micro == 101
    assert fixing.observations == 12


def test_a_partition_where_few_speak_does_not_count():
    rows = [*agreed(), seen("15:59", 1, 1_100_000, mtok=10**6), seen("15:59", 2, 1_100_000)]
    fixing = fixed(*rows)
    assert (fixing.value_micro, fixing.observations) == (1_000_000, 6)


def test_each_leg_and_grade_is_fixed_apart():
    index = new_index()
    told(index, *agreed(price=5), *agreed(price=7, leg=Leg.INPUT), *agreed(price=9, leg=Leg.OUTPUT))
    told(index, *[seen("15:01", seller, 11, grade=2) for seller in (1, 2, 3)] * 2)
    told(index, *[fix(leg=leg) for leg in Leg], fix(grade=2))
    found = [index.fixing(GRADE, DAY, leg) for leg in Leg] + [index.fixing(2, DAY, Leg.STANDARD)]
    assert [fixing.value_micro for fixing in found if fixing] == [5, 7, 9, 11]


def test_the_terms_say_how_many_sellers_and_observations():
    rows = agreed(sellers=3)
    assert fixed(*rows, terms=IndexTerms(sellers_min=4)).withheld == Withheld.TOO_FEW_SELLERS
    assert fixed(*rows, terms=IndexTerms(observations_min=7)).withheld == Withheld.TOO_FEW_OBSERVATIONS
    one_partition = IndexTerms(partitions=1)
    assert (
        fixed(
            *[seen(f"15:0{seller}", seller, 5, 2) for seller in (1, 4, 9)] * 2, terms=one_partition
        ).value_micro
        == 5
    )
