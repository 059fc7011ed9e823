"""After every FIX and CORRECT the machine says what the naive recomputation says, on observations made by chance."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import Row, code_of, reason_of
from ciyuan.index.machine import Index
from ciyuan.index.messages import (
    RULE_SCREEN,
    IndexEvent,
    IndexTerms,
    Leg,
    Source,
    correct_row,
    observe_row,
    relate_row,
)
from tests.index.naive import Naive, naive_fixing
from tests.index.readings import DAY, GRADE, TERMS, at, fix, matrix, new_index, told

MINUTE = 60 * 10**9
SELLERS = st.integers(1, 6)
USUAL = st.integers(960_000, 1_040_000)
PRICES = st.one_of(*[USUAL] * 8, st.sampled_from((1, 900_000, 1_200_000, 10**12)))
VOLUMES = st.one_of(st.integers(1, 50), st.sampled_from((10**6, 10**12, 10**15)))
MOVING = st.sampled_from((Source.TRADE, Source.DELIVERY, Source.DELIVERY, Source.QUOTE))


CLOCKS = st.sampled_from(("15:00", "15:02", "15:07", "15:31", "15:58"))


@st.composite
def given_round(draw: st.DrawFn) -> list[Row]:
    """One observation of each of some sellers, in one partition."""
    moment = at(draw(CLOCKS)) + draw(st.integers(0, MINUTE))
    source = draw(MOVING)
    return [
        observe_row(moment, GRADE, seller, draw(PRICES), draw(VOLUMES), Leg.STANDARD, source)
        for seller in sorted(draw(st.sets(SELLERS, min_size=2, max_size=5)))
    ]


@st.composite
def given_lists(draw: st.DrawFn) -> list[Row]:
    """List prices of some sellers, at any moment of the day."""
    sellers = draw(st.lists(SELLERS, max_size=5))
    moments = [at("00:00") + draw(st.integers(0, 24 * 60 - 1)) * MINUTE for _ in sellers]
    return [
        observe_row(moment, GRADE, seller, draw(PRICES), draw(VOLUMES), Leg.STANDARD, Source.LIST)
        for seller, moment in zip(sellers, moments, strict=True)
    ]


ROWS = st.lists(
    st.one_of(given_round(), given_round(), given_round(), given_lists()), min_size=1, max_size=6
).map(lambda rounds: [row for rows in rounds for row in rows])
GROUPS: st.SearchStrategy[dict[int, int]] = st.one_of(
    st.just({}), st.dictionaries(SELLERS, st.integers(1, 3), max_size=4)
)


def check_said(events: Sequence[Sequence[int]], naive: Naive, index: Index) -> None:
    """The events of one version, against the naive figures."""
    by_code = {code_of(event[0]): event for event in events}
    fixing = index.versions(GRADE, DAY, Leg.STANDARD)[-1]
    assert (fixing.value_micro, fixing.level, fixing.sellers) == (naive.value, naive.level, naive.sellers)
    assert (fixing.observations, fixing.volume_centitokens) == (naive.observations, naive.volume)
    if naive.value is None:
        assert by_code[IndexEvent.WITHHELD][2:5] == [GRADE, DAY, Leg.STANDARD]
        assert fixing.withheld > 0
    else:
        assert by_code[IndexEvent.FIXED][2:] == [GRADE, DAY, 0, naive.value, naive.level, fixing.version]
        assert by_code[IndexEvent.FIX_EVIDENCE][5:] == [naive.sellers, naive.observations, naive.volume]
    aside = [
        event
        for event in events
        if code_of(event[0]) == IndexEvent.SET_ASIDE and reason_of(event[0]) == RULE_SCREEN
    ]
    assert {index.group_of(event[4]): tuple(event[5:7]) for event in aside} == naive.aside


@given(ROWS, GROUPS)
def test_a_fixing_is_what_the_rules_say(rows: list[Row], groups: dict[int, int]) -> None:
    index = new_index()
    relations = [relate_row(0, seller, group) for seller, group in groups.items()]
    assert len(told(index, *relations)) == len(groups)
    late = [row for row in rows if row[1] > at("16:00")]
    assert told(index, *[row for row in rows if row not in late]) == []
    events = told(index, fix())
    in_time = [row for row in rows if row not in late]
    check_said(events, naive_fixing(in_time, groups, at("15:00"), TERMS), index)


@given(
    ROWS,
    GROUPS,
    st.sampled_from((1_000, 2_500, 3_000, 4_999)),
    st.integers(3, 5),
    st.sampled_from((0, 100, 2_000)),
)
def test_under_other_terms_too(
    rows: list[Row], groups: dict[int, int], cap_bp: int, sellers: int, floor_bp: int
) -> None:
    terms = IndexTerms(
        cap_bp=cap_bp, sellers_min=sellers, observations_min=2 * sellers, scale_floor_bp=floor_bp
    )
    index = new_index(terms)
    told(index, *[relate_row(0, seller, group) for seller, group in groups.items()], *rows)
    events = told(index, fix("24:00"))
    check_said(events, naive_fixing(rows, groups, at("15:00"), terms), index)


@given(ROWS, ROWS, GROUPS, SELLERS)
def test_a_correction_is_what_the_rules_say_of_what_is_known_by_then(
    first: list[Row], later: list[Row], groups: dict[int, int], struck: int
) -> None:
    index = new_index()
    first = [row for row in first if row[1] < at("16:00")]
    told(index, *first, fix(), *later)
    told(index, *[relate_row(at("24:00"), seller, group) for seller, group in groups.items()])
    known = first + later
    naive = naive_fixing(known, groups, at("15:00"), TERMS)
    events = told(index, correct_row(at("24:00"), GRADE, DAY, Leg.STANDARD))
    if code_of(events[0][0]) == IndexEvent.REPEATED:
        events = []
        assert index.versions(GRADE, DAY, Leg.STANDARD)[-1].value_micro == naive.value
    else:
        check_said(events, naive, index)
    if any(row[3] == struck for row in known):
        told(index, correct_row(at("24:00"), GRADE, DAY, Leg.STANDARD, struck))
        without = naive_fixing([row for row in known if row[3] != struck], groups, at("15:00"), TERMS)
        assert index.versions(GRADE, DAY, Leg.STANDARD)[-1].value_micro == without.value


@given(ROWS, st.lists(st.integers(0, 44), max_size=4))
def test_how_commands_are_cut_into_batches_changes_nothing(rows: list[Row], cuts: list[int]) -> None:
    commands = matrix(
        [
            *rows,
            fix(),
            relate_row(at("24:00"), 1, 2),
            correct_row(at("24:00"), GRADE, DAY, Leg.STANDARD),
            fix("24:00"),
        ]
    )
    whole, pieces = new_index(), new_index()
    events = whole.apply(commands)
    parts = [
        pieces.apply(part) for part in np.split(commands, sorted({min(cut, len(commands)) for cut in cuts}))
    ]
    assert np.concatenate(parts).tolist() == events.tolist()
    assert pieces.state_hash() == whole.state_hash()
