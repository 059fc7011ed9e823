"""Payments: one reference is one payment, however often it is asked for."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_payments import Payment
from ciyuan.services.door.registry_schema import PaymentKind, PaymentState
from tests.services.door.registry_cast import DIALECTS, NOW, USD, company_registry

pytest_plugins = ("tests.services.postgres",)
DEPOSIT, WITHDRAWAL = PaymentKind


@pytest.fixture(params=DIALECTS)
def where(request, tmp_path):
    return (
        tmp_path / "registry.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )


@pytest.fixture
def opened(where):
    with company_registry(where) as opened:
        yield opened


def ask(registry, kind, participant, micro, reference):
    with registry.change(NOW) as change:
        return change.payments.ask(kind, participant, micro, reference)


def test_money_comes_in_once_however_often_it_is_asked_for(opened, where):
    """Case 32: retried top-ups, from several processes at once."""
    registry, cast = opened

    def deposit(_):
        with Registry.open(where) as other:
            return ask(other, DEPOSIT, cast.acme.participant, 100 * USD, "bank 17")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(deposit, range(12)))
    assert sum(new for _, new in answers) == 1
    assert {payment.number for payment, _ in answers} == {1}
    (payment,) = registry.payments()
    assert (payment.amount_micro, payment.state) == (100 * USD, PaymentState.PENDING)


@pytest.mark.parametrize(
    ("kind", "participant", "micro", "differs"),
    [(WITHDRAWAL, 1, 5, "kind"), (DEPOSIT, 2, 5, "organisation"), (DEPOSIT, 1, 6, "amount"), (WITHDRAWAL, 2, 6, "kind")],
)  # fmt: skip
def test_a_reference_used_for_another_payment_is_refused_by_name(opened, kind, participant, micro, differs):
    registry, _ = opened
    ask(registry, DEPOSIT, 1, 5, "bank 17")
    with pytest.raises(Malformed, match=f"payment bank 17, {differs}"):
        ask(registry, kind, participant, micro, "bank 17")
    assert len(registry.payments()) == 1


@pytest.mark.parametrize(
    ("micro", "reference"), [(0, "a"), (-1, "a"), (2**63, "a"), (5, ""), (5, "a\n"), (5, "x" * 257)]
)
def test_payments_that_cannot_be(opened, micro, reference):
    registry, _ = opened
    with pytest.raises(Malformed):
        ask(registry, DEPOSIT, 1, micro, reference)
    assert registry.payments() == []


def test_what_the_venue_answered_is_kept_and_a_repeat_writes_nothing(opened):
    registry, _ = opened
    ask(registry, DEPOSIT, 1, 5, "bank 17")
    ask(registry, WITHDRAWAL, 1, 500, "refund 3")
    with registry.change(NOW) as change:
        change.payments.settle(1, PaymentState.DONE)
        change.payments.settle(2, PaymentState.REFUSED, "INSUFFICIENT_BALANCE")
    version = registry.version()
    with registry.change(NOW) as change:
        change.payments.settle(1, PaymentState.DONE)
    assert registry.version() == version
    done, refused = registry.payments()
    assert (done.state, done.reason) == (PaymentState.DONE, "")
    assert (refused.state, refused.reason) == (PaymentState.REFUSED, "INSUFFICIENT_BALANCE")
    assert ask(registry, WITHDRAWAL, 1, 500, "refund 3") == (refused, False)


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_key_is_the_references_own(one, other):
    pair = [
        Payment(number, DEPOSIT, 1, 5, text, PaymentState.DONE, "", 0)
        for number, text in ((1, one), (2, other))
    ]
    keys = [payment.key for payment in pair]
    assert all(1 <= key < 2**60 for key in keys)
    assert (keys[0] == keys[1]) is (one == other)
