"""A ladder against a sorted list."""

from hypothesis import given
from hypothesis import strategies as st

from ciyuan.exchange.book import Ladder, Order, Participant

BASE = 90
steps = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "fill"]), st.integers(0, 20), st.integers(1, 9)), max_size=60
)


def sorted_orders(orders, is_sell):
    return sorted(
        orders, key=lambda order: (order.limit_ticks if is_sell else -order.limit_ticks, order.number)
    )


@given(steps=steps, is_sell=st.sampled_from([0, 1]))
def test_a_ladder_is_a_sorted_list(steps, is_sell):
    ladder, owner, orders = Ladder(is_sell, BASE), Participant(1), []
    for number, (what, where, lots) in enumerate(steps):
        if what == "add":
            order = Order(owner, number, 1, is_sell, BASE + where, lots, 0, number)
            ladder.add(order)
            orders.append(order)
        elif orders and what == "remove":
            ladder.remove(orders.pop(where % len(orders)))
        elif orders:
            first = ladder.first()
            ladder.fill_first(first, min(first.left, lots))
            orders = [order for order in orders if order.left]
        standing = sorted_orders(orders, is_sell)
        prices = list(dict.fromkeys(order.limit_ticks for order in standing))
        assert ladder.best == (prices[0] if prices else 0)
        assert list(ladder.prices()) == prices
        assert sorted(ladder.levels) == sorted(prices)
        for level in ladder.levels.values():
            assert level.lots == sum(order.left for order in level.orders.values())
        assert [order for price in prices for order in ladder.levels[price].orders.values()] == standing
        assert not standing or ladder.first() is standing[0]
