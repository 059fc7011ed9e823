import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.desk.exposure import exposure_of, use_of
from tests.desk.ledgers import FIRST, LAST, MONTH

DELIVERIES = st.lists(
    st.tuples(
        st.integers(1, 4), st.integers(FIRST - 3, LAST + 3), st.integers(0, 10**12), st.integers(0, 10**12)
    ),
    max_size=30,
)


def column(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@given(DELIVERIES)
def test_every_delivery_is_in_one_customers_day(deliveries: list[tuple[int, int, int, int]]) -> None:
    columns = [column(*(entry[place] for entry in deliveries)) for place in range(4)]
    use = use_of(*columns)
    assert use.centitokens.shape == use.charge_micro.shape == (len(use.customers), len(use.days))
    assert int(use.centitokens.sum()) == sum(entry[2] for entry in deliveries)
    assert int(use.charge_micro.sum()) == sum(entry[3] for entry in deliveries)
    for customer in (1, 2, 3, 4, 99):
        mine = [entry for entry in deliveries if entry[0] == customer and FIRST <= entry[1] <= LAST]
        exposure = exposure_of(use, customer, MONTH)
        assert exposure.days.tolist() == list(range(FIRST, LAST + 1))
        assert exposure.total_centitokens == sum(entry[2] for entry in mine)
        for place, day in enumerate(exposure.days.tolist()):
            assert exposure.charge_micro[place] == sum(entry[3] for entry in mine if entry[1] == day)


def test_without_deliveries_there_is_no_exposure():
    use = use_of(*[column()] * 4)
    assert use.customers.shape == use.days.shape == (0,)
    exposure = exposure_of(use, 1, MONTH)
    assert (exposure.total_centitokens, exposure.total_charge_micro, exposure.price_micro) == (0, 0, None)


def test_the_price_is_that_of_a_whole_mtok_half_up():
    use = use_of(column(1, 1), column(FIRST, LAST), column(10**8, 2 * 10**8), column(1_000_000, 1_000_001))
    assert exposure_of(use, 1, MONTH).price_micro == 666_667


def test_columns_of_different_lengths_are_malformed():
    with pytest.raises(Malformed, match="one length"):
        use_of(column(1), column(1), column(1, 2), column(1))


@pytest.mark.parametrize(("tokens", "charge"), [(-1, 0), (0, -1)])
def test_negative_counts_are_malformed(tokens: int, charge: int):
    with pytest.raises(Malformed, match="0 or more"):
        use_of(column(1), column(FIRST), column(tokens), column(charge))
