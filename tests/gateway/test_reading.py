"""Columns of what was settled: the same integers as basics gives one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector
from ciyuan.basics.price import PriceList, standard_price
from ciyuan.basics.rows import INT64_MAX
from ciyuan.basics.tokens import Legs
from ciyuan.gateway import deliver_row, hold_row, leg_price_row, void_row
from ciyuan.gateway.messages import TOKENS_MAX
from ciyuan.gateway.reading import centitokens, settled_rows, settled_view, standard_prices
from tests.gateway.twins import a_market, list_row, matrix, who

VECTORS = {1: ConversionVector(), 2: ConversionVector(100, 10, 300, 40)}


def column(*values: int):
    return np.array(values, np.int64)


def test_a_view_shows_each_settled_request_with_its_exact_cost():
    twins = a_market()
    twins.say(list_row(0, 2, 5, grade=2, price_in=333_333, price_cached=7, price_out=1, batch_hundredths=25))
    events = matrix([
        tuple(event) for event in twins.say(
            hold_row(9, 1, who(), 1_000, 1_000),
            hold_row(9, 2, who(2, 2, 2), 1_000, 1_000),
            hold_row(9, 3, who(3), 1_000, 1_000),
            hold_row(9, 4, who(3), 1_000, 1_000),
            deliver_row(10, 1, who(), 700, 100, 300),
            deliver_row(11, 2, who(2, 2, 2), 500, 499, 1_000, batch=True),
            void_row(12, 4),
            deliver_row(13, 3, who(3), 0, 0, 0),
        )
    ])  # fmt: skip
    view = settled_view(events, twins.fast.price_lists, VECTORS)
    assert len(view) == len(settled_rows(events)) == 3
    assert view.time_ns.tolist() == [10, 11, 13]
    assert view.request.tolist() == [1, 2, 3]
    assert (view.customer.tolist(), view.supplier.tolist(), view.grade.tolist()) == (
        [1, 2, 3],
        [1, 2, 1],
        [1, 2, 1],
    )
    assert (view.batch.tolist(), view.price_list.tolist()) == ([0, 1, 0], [1, 3, 1])
    lists = {1: PriceList(1, 1, 0, 950_000, 160_000, 4_000_000), 3: PriceList(2, 2, 5, 333_333, 7, 1, 25)}
    used = [Legs(700, 100, 300), Legs(500, 499, 1_000, batch=True), Legs(0, 0, 0)]
    costs = [
        lists[number].cost_pico(legs) for number, legs in zip(view.price_list.tolist(), used, strict=True)
    ]
    centi = [
        VECTORS[grade].standard_centitokens(legs)
        for grade, legs in zip(view.grade.tolist(), used, strict=True)
    ]
    assert view.cost_pico.tolist() == costs
    assert view.centitokens.tolist() == centi
    assert view.price_micro.tolist() == [
        standard_price(costs[0], centi[0]),
        standard_price(costs[1], centi[1]),
        0,
    ]
    assert view.charge_micro.tolist() == [costs[0] // 10**6, costs[1] // 10**6, 0]
    assert [view.tokens_in.tolist(), view.tokens_cached.tolist(), view.tokens_out.tolist()] == [
        [700, 500, 0], [100, 499, 0], [300, 1_000, 0],
    ]  # fmt: skip


TOKENS = st.integers(0, TOKENS_MAX)


@given(TOKENS, st.data(), TOKENS, st.booleans(), st.sampled_from([1, 2]), st.integers(0, 10**16))
def test_centitokens_and_prices_are_those_of_basics(tokens_in, data, out, batch, grade, cost):
    legs = Legs(tokens_in, data.draw(st.integers(0, tokens_in)), out, batch)
    grades, counts = column(grade), (column(legs.input), column(legs.cached), column(legs.output))
    centi = centitokens(grades, *counts, column(int(batch)), VECTORS)
    assert centi.tolist() == [VECTORS[grade].standard_centitokens(legs)]
    expected = standard_price(cost, int(centi[0])) if centi[0] else 0
    assert standard_prices(column(cost), centi).tolist() == [expected]


def test_no_events_make_an_empty_view():
    view = settled_view(np.empty((0, 8), np.int64), np.empty((0, 8), np.int64), {})
    assert len(view) == len(view.price_micro) == 0


def test_what_cannot_be_read_is_named():
    twins = a_market()
    events = matrix(
        [tuple(event) for event in twins.say(hold_row(1, 1, who(), 9, 9), deliver_row(1, 1, who(), 9, 0, 9))]
    )
    with pytest.raises(Malformed, match="one for grade 1"):
        settled_view(events, twins.fast.price_lists, {2: ConversionVector()})
    with pytest.raises(Malformed, match="list 1, by which an event was rated"):
        settled_view(events, twins.fast.price_lists[:0], VECTORS)
    with pytest.raises(Malformed, match="list 1, which has prices of legs"):
        settled_view(events, twins.fast.price_lists, VECTORS, np.array([True, False]))
    twins.say(leg_price_row(1, 2, 1, 5, 9, valid_from_ns=0))
    assert len(settled_view(events, twins.fast.price_lists, VECTORS, twins.fast.has_legs)) == 1
    with pytest.raises(Malformed, match="within 64 bits"):
        standard_prices(column(INT64_MAX), column(1))
