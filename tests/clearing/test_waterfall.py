"""The waterfall (§10.3): exact, in strict order, and never into a survivor's margin."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.rows import Row, reason_of
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingTerms,
    DefaultTerms,
    FundTerms,
    Layer,
    Reason,
    Standing,
    pledge_row,
)
from ciyuan.clearing.shares import pro_rata
from ciyuan.clearing.waterfall import Covered, layers
from tests.clearing.floor import CAPITAL, DEFAULT_FUND, HOUSE, KIMI, NO_FEES, OCT, RECEIVABLES, USD, Floor
from tests.clearing.watch import Watch, of

AMOUNTS = st.integers(0, 10**12)
SHARES = st.lists(AMOUNTS, max_size=6)

# --- shares ---


@given(amount=AMOUNTS, weights=SHARES)
def test_parts_add_up_and_are_the_quotas_rounded_either_way(amount: int, weights: list[int]):
    parts, total = pro_rata(amount, weights), sum(weights)
    assert sum(parts) == (amount if total else 0)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * total - amount * weight) < max(1, total)
        assert amount > total or part <= weight


def test_what_is_left_over_goes_to_the_largest_remainders_and_then_to_the_first():
    assert pro_rata(10, [1, 1, 1]) == [4, 3, 3]
    assert pro_rata(5, [5, 2, 3]) == [3, 1, 1]  # 2.5, 1, 1.5
    assert pro_rata(1, [1, 2, 2]) == [0, 1, 0]
    assert pro_rata(7, [0, 0]) == [0, 0]


# --- layers ---


@given(
    loss=st.integers(0, 10**13), margin=AMOUNTS, own=AMOUNTS, capital=AMOUNTS, shares=SHARES, cap_bp=st.integers(0, 55_000)
)  # fmt: skip
@settings(max_examples=200)
def test_a_loss_is_paid_exactly_and_each_layer_before_the_next(
    loss: int, margin: int, own: int, capital: int, shares: list[int], cap_bp: int
):
    others = list(enumerate(shares, start=2))
    paid, uncovered = layers(loss, margin, own, capital, others, cap_bp, 1)
    assert sum(each.amount_micro for each in paid) + uncovered == loss
    most = {(Layer.MARGIN, 1): margin, (Layer.OWN_FUND, 1): own, (Layer.CAPITAL, 0): capital}
    most |= {(Layer.OTHERS_FUND, number): share for number, share in others}
    most |= {(Layer.ASSESSMENT, number): share * cap_bp // 10_000 for number, share in others}
    for each in paid:
        assert 0 < each.amount_micro <= most[each.layer, each.payer]
    spent = {layer: sum(each.amount_micro for each in paid if each.layer == layer) for layer in Layer}
    of_layer = {layer: sum(most[key] for key in most if key[0] == layer) for layer in Layer}
    touched = [layer for layer in Layer if spent[layer]]
    before = [layer for layer in Layer if touched and layer < touched[-1]]
    assert all(spent[layer] == of_layer[layer] for layer in before)
    assert not uncovered or spent == of_layer
    assert [each.layer for each in paid] == sorted(each.layer for each in paid)


NASDAQ_2018 = (114, 7, 166, 7, 107)
"""Millions of EUR: the loss beyond the defaulter's own margin and share, junior capital, the members' default fund; then what
capital and the other members' fund paid.

Nasdaq Clearing, commodities, default of 11 September 2018: 107 of 166 (GlobalCapital, "Power trader default hammers Nasdaq, puts
CCPs on trial", 13 September 2018), 107 recapitalised and 7 of junior capital (Reuters, "Nasdaq says Nordic commodity clearing
house funds fully restored", 17 September 2018), about two thirds of the fund (BIS Quarterly Review, December 2018, "Clearing
risks in OTC derivatives markets: the CCP-bank nexus").
"""


@pytest.mark.parametrize("own", [(0, 0), (60, 5)])
def test_the_default_at_nasdaq_clearing_falls_as_it_was_reported(own: tuple[int, int]):
    """What the defaulter itself had is not published; whatever it was, the layers after it paid these sums."""
    beyond, capital, fund, of_capital, of_others = NASDAQ_2018
    members = [(2, 100), (3, 40), (4, 26)]
    assert sum(share for _, share in members) == fund
    paid, uncovered = layers(beyond + sum(own), *own, capital, members, 10_000, 1)
    sums = {layer: sum(each.amount_micro for each in paid if each.layer == layer) for layer in Layer}
    assert (sums[Layer.MARGIN], sums[Layer.OWN_FUND]) == own
    assert (sums[Layer.CAPITAL], sums[Layer.OTHERS_FUND]) == (of_capital, of_others)
    assert (sums[Layer.ASSESSMENT], uncovered) == (0, 0)
    assert 60 < 100 * of_others / fund < 67


OWN = [(Layer.MARGIN, 1, 40), (Layer.OWN_FUND, 1, 10), (Layer.CAPITAL, 0, 20)]
FUND = [(Layer.OTHERS_FUND, 2, 60), (Layer.OTHERS_FUND, 3, 30)]
WORKED = (
    (30, [(Layer.MARGIN, 1, 30)], 0),
    (100, [*OWN, (Layer.OTHERS_FUND, 2, 20), (Layer.OTHERS_FUND, 3, 10)], 0),
    (190, [*OWN, *FUND, (Layer.ASSESSMENT, 2, 20), (Layer.ASSESSMENT, 3, 10)], 0),
    (300, [*OWN, *FUND, (Layer.ASSESSMENT, 2, 60), (Layer.ASSESSMENT, 3, 30)], 50),
)


@pytest.mark.parametrize(("loss", "expected", "left"), WORKED)
def test_the_layers_by_hand(loss: int, expected: list[tuple[Layer, int, int]], left: int):
    """Margin 40, own share 10, capital 20, others' shares 60 and 30, assessed up to once their shares."""
    paid, uncovered = layers(loss, 40, 10, 20, [(2, 60), (3, 30)], 10_000, 1)
    assert paid == [Covered(*each) for each in expected]
    assert uncovered == left


# --- in the machine ---


def ruined(
    mean_usd: int,
    capital_usd: int,
    least_usd: int,
    cash_usd: tuple[int, ...],
    cap_bp: int = 10_000,
    pledged: int = 0,
) -> Watch:
    """Member 2, short 10 lots at 1.500, is in default at 1.700; its position is finally settled at `mean_usd` a lot.

    The others hold the long side, 4 and 6 lots. Nothing is closed in the market or auctioned: a slice comes too late for that.
    """
    terms = ClearingTerms(
        HOUSE,
        futures_fees=NO_FEES,
        fund=FundTerms(least_micro=least_usd * USD),
        default=DefaultTerms(assessment_bp=cap_bp, slice_ns=10**18),
    )
    watch = Watch(cash_usd=cash_usd, capital_usd=capital_usd, terms=terms)
    if pledged:
        watch.tell(pledge_row(watch.tick(), 2, KIMI, pledged))
    watch.trade(1, 2, OCT, 4, 1500)
    watch.trade(3, 2, OCT, 6, 1500)
    watch.next_day(OCT=1700)
    watch.review(90)
    assert watch.house.standing(2) == Standing.DEFAULTED
    while watch.house.life(OCT) < 4:
        watch.next_day()
    watch.final(OCT, mean_usd * 1000)
    return watch


def covered(events: list[Row]) -> list[tuple[int, ...]]:
    return [event[3:7] for event in of(events, ClearingEvent.LOSS_COVERED)]


CASH = (100_000, 4_000, 100_000)


def test_each_layer_pays_and_is_journaled():
    """Cash 4,000, a share of 1,000, 5,000 lost at 2.000: see the layers one by one."""
    watch = ruined(2_300, 500, 1_000, CASH)
    before = watch.ledger.transfer_count
    fees = 2 * 1
    said = watch.review()
    (closed,) = of(said, ClearingEvent.CLOSED_OUT)
    loss = 8_000 * USD - 3_000 * USD + fees  # 4,000 less the share of 1,000 was there
    assert closed[2:5] == (2, loss, 0)
    assessed = loss - (1_000 + 500 + 2_000) * USD
    left = [loss]
    rows = [
        (Layer.OWN_FUND, 2, 1_000 * USD),
        (Layer.CAPITAL, 0, 500 * USD),
        (Layer.OTHERS_FUND, 1, 1_000 * USD),
        (Layer.OTHERS_FUND, 3, 1_000 * USD),
        (Layer.ASSESSMENT, 1, (assessed + 1) // 2),
        (Layer.ASSESSMENT, 3, assessed // 2),
    ]
    for row in rows:
        left.append(left[-1] - row[2])
    assert covered(said) == [(*row, rest) for row, rest in zip(rows, left[1:], strict=True)]
    assert [event[2:7] for event in of(said, ClearingEvent.ASSESSED)] == [
        (1, (assessed + 1) // 2, 2, assessed, 1_000 * USD), (3, assessed // 2, 2, assessed, 1_000 * USD)
    ]  # fmt: skip
    moved = watch.ledger.transfers[before:].tolist()
    sides = [(step[3], step[4], step[5]) for step in moved]
    assert sides == [
        (DEFAULT_FUND, RECEIVABLES, 1_000 * USD), (CAPITAL, RECEIVABLES, 500 * USD), (DEFAULT_FUND, RECEIVABLES, 1_000 * USD),
        (DEFAULT_FUND, RECEIVABLES, 1_000 * USD), (watch.cash(1), RECEIVABLES, (assessed + 1) // 2),
        (watch.cash(3), RECEIVABLES, assessed // 2),
    ]  # fmt: skip
    assert {Reason(reason_of(step[0])).rule for step in moved} == {"§10.3"}
    assert watch.house.owed_micro(2) == watch.ledger.posted(RECEIVABLES) == 0
    assert watch.house.standing(2) == Standing.CLOSED_OUT
    watch.check()


def test_what_nobody_covers_is_nobodys_debt():
    watch = ruined(2_300, 500, 1_000, CASH, cap_bp=0)
    (closed,) = of(watch.review(), ClearingEvent.CLOSED_OUT)
    uncovered = 5_000 * USD + 2 - 3_500 * USD
    assert closed[3:5] == (5_000 * USD + 2, uncovered)
    assert watch.ledger.posted(RECEIVABLES) == -uncovered
    assert [watch.house.owed_micro(number) for number in watch.members] == [0, 0, 0]
    watch.check()


def test_a_defaulter_without_a_loss_gets_its_share_back():
    watch = ruined(1_500, 500, 1_000, CASH)
    said = watch.review()
    (closed,) = of(said, ClearingEvent.CLOSED_OUT)
    assert closed[2:5] == (2, 0, 0)
    assert not covered(said)
    assert watch.money(2) == 4_000 * USD - 2
    assert watch.house.fund_micro(2) == 0
    watch.check()


def test_a_defaulters_cash_is_taken_first():
    watch = ruined(2_300, 500, 1_000, CASH)
    watch.deposit(2, 700 * USD)
    said = watch.review()
    assert covered(said)[0] == (Layer.MARGIN, 2, 700 * USD, 4_300 * USD + 2)
    assert [event[2:4] for event in of(said, ClearingEvent.REPAID)] == [(2, 700 * USD)]
    watch.check()


def test_a_defaulters_collateral_is_sold_before_others_pay():
    """1,000 receipts are worth 1,500 and count for 1,050 after a haircut of 30%: at 1.050 they bring that."""
    watch = ruined(2_300, 500, 1_000, CASH, pledged=1_000)
    assert watch.house.collateral_micro(2) == 1_050 * USD
    said = watch.review()
    assert sum(event[6] for event in of(said, ClearingEvent.DELIVERED)) == 1_000
    assert covered(said)[0] == (Layer.MARGIN, 2, 1_050 * USD, 3_950 * USD + 2)
    assert (watch.house.collateral_micro(2), watch.ledger.posted(watch.purse(2))) == (0, 0)
    watch.check()


def test_an_assessment_leaves_a_survivors_margin_alone():
    """Member 3 has 550 over its requirement when 1,000 is assessed: the rest is owed, and called for."""
    watch = ruined(2_500, 0, 1_000, (100_000, 4_000, 100_000))
    watch.trade(1, 3, 3, 100, 1500)
    watch.deposit(3, -watch.house.excess_micro(3) + 550 * USD)
    said = watch.review()
    paid = {
        event[4]: event[5] for event in of(said, ClearingEvent.LOSS_COVERED) if event[3] == Layer.ASSESSMENT
    }
    assert paid == {1: 1_000 * USD, 3: 1_000 * USD}
    assert [event[2:5] for event in of(said, ClearingEvent.LENT)] == [(3, 450 * USD, 450 * USD)]
    assert [event[2:4] for event in of(said, ClearingEvent.MARGIN_CALL)] == [(3, 450 * USD)]
    assert watch.money(3) - watch.house._books.members[3].accrued_micro == watch.house.requirement_micro(3)
    watch.check()


def test_the_share_of_another_in_default_is_not_touched():
    """Members 2 and 4 are in default at once; the loss of 2 is not 4's to share."""
    terms = ClearingTerms(
        HOUSE, futures_fees=NO_FEES, fund=FundTerms(1_000 * USD), default=DefaultTerms(slice_ns=10**18)
    )
    watch = Watch(cash_usd=(100_000, 4_000, 100_000, 3_500), terms=terms)
    watch.trade(1, 2, OCT, 10, 1500)
    watch.trade(1, 4, 3, 10, 1500)
    watch.next_day(OCT=1700, NOV=1700)
    watch.review(90)
    assert [watch.house.standing(number) for number in (2, 4)] == [Standing.DEFAULTED] * 2
    while watch.house.life(OCT) < 4:
        watch.next_day()
    watch.final(OCT, 2_300_000)
    said = watch.review()
    assert [event[2] for event in of(said, ClearingEvent.CLOSED_OUT)] == [2]
    assert 4 not in {event[4] for event in of(said, ClearingEvent.LOSS_COVERED)}
    assert watch.house.fund_micro(4) == 1_000 * USD
    watch.check()


def test_a_share_spent_is_collected_anew_with_the_next_day():
    watch = ruined(2_300, 500, 1_000, CASH)
    watch.review()
    assert watch.ledger.posted(DEFAULT_FUND) == 0
    watch.trade(1, 3, 3, 2, 1500)
    watch.close()
    assert [watch.house.fund_micro(number) for number in watch.members] == [1_000 * USD, 0, 1_000 * USD]
    assert isinstance(watch, Floor)
    watch.check()
