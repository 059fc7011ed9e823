"""LOBSTER message files: a day's record of one share, replayed."""

import pytest

from tests.services.orders import refused, replayed, table

NAME = "ACME_2012-06-21_34200000_57600000_message_10.csv"
RECORD = """\
34200.004241176,1,16113575,18,5853300,1
34200.00426064,1,16113584,100,5853200,1
34200.025551909,1,16120456,50,5859100,-1
34200.025579546,1,16120480,18,5859100,-1
34200.201735987,3,16120480,18,5859100,-1
34200.201742395,2,16113584,40,5853200,1
34200.201743336,2,16113584,10,5853200,1
34200.275016159,4,16120456,20,5859100,-1
34200.275016159,4,16113575,18,5853300,1
34200.275057494,4,16113584,5,5853200,1
34200.275072491,5,0,100,5857900,-1
34200.277208060,3,15836282,100,5868900,-1
34200.277699190,4,15847383,100,5853200,1
34200.280395890,1,16183794,18,5857750,1
34200.280424426,3,16183794,18,5857750,1
34200.300000000,6,-1,500,5857000,-1
34200.400000000,7,0,0,-1,-1
34201.000000000,1,16200001,7,1999999900,-1
"""


@pytest.fixture
def record(tmp_path):
    """The record's file."""
    path = tmp_path / NAME
    path.write_text(RECORD)
    return path


def test_what_is_in_the_record_is_replayed(record):
    summary = replayed(record)
    assert (summary["form"], summary["messages"]) == ("lobster", 11)
    assert (summary["orders_accepted"], summary["amended"], summary["cancelled"]) == (7, 2, 1)
    assert (summary["trades"], summary["lots"]) == (3, 43)
    assert summary["first_time"] == "2012-06-21T09:30:00.004241176Z"
    (market,) = summary["contracts"]
    assert (market["code"], market["tick_micro"], market["trading_day"]) == ("ACME", 10_000, "2012-06-21")
    assert (market["best_bid"], market["best_ask"], market["last_ticks"]) == (58_532, 58_591, 58_532)


def test_what_is_not_replayed_is_counted(record):
    assert replayed(record)["left_out"] == {
        "hidden_execution": 1, "cross": 1, "halt": 1, "price_between_ticks": 2, "order_from_before_the_file": 2,
    }  # fmt: skip


def test_a_stub_quote_far_away_is_refused_by_name_and_does_not_widen_the_market(record):
    summary = replayed(record)
    assert summary["refused"] == {"PRICE_LIMIT": 1}
    assert summary["contracts"][0]["upper_limit"] < 200_000


def test_lots_cancelled_in_part_come_off_what_stands(record):
    replayed(record)
    levels = [(row["side"], row["price_ticks"], row["lots"]) for row in table(record.parent / "out", "book")]
    assert levels == [("buy", 58_532, 100 - 40 - 10 - 5), ("sell", 58_591, 30)]


def test_executions_meet_the_orders_that_the_record_names(record):
    summary = replayed(record)
    assert (summary["recorded_lots"], summary["as_recorded_lots"]) == (43, 43)
    sides = [
        (row["stood_order_id"], row["lots"], row["taker_sells"])
        for row in table(record.parent / "out", "fills")
    ]
    assert sides == [(16_120_456, 20, False), (16_113_575, 18, True), (16_113_584, 5, True)]


def test_an_execution_that_meets_another_order_is_noticed(tmp_path):
    path = tmp_path / NAME
    path.write_text("1.0,1,11,5,100000,1\n1.5,1,12,5,100000,1\n2.0,4,12,5,100000,1\n")
    summary = replayed(path)
    assert (summary["trades"], summary["recorded_lots"], summary["as_recorded_lots"]) == (1, 5, 0)


def test_a_finer_tick_lets_prices_between_cents_in(record):
    summary = replayed(record, "--tick", "0.005")
    assert "price_between_ticks" not in summary["left_out"]
    assert summary["contracts"][0]["best_bid"] == 117_064


def test_a_file_of_another_name_needs_a_day_to_be_told(record):
    renamed = record.rename(record.parent / "messages.csv")
    (market,) = replayed(renamed, "--day", "2012-06-22")["contracts"]
    assert (market["code"], market["trading_day"]) == ("messages", "2012-06-22")


def test_buyers_and_sellers_are_never_one_account(record):
    replayed(record)
    for fill in table(record.parent / "out", "fills"):
        assert fill["took_account"] == 129
        assert fill["stood_account"] % 2 == fill["taker_sells"]


@pytest.mark.parametrize(
    ("line", "said_of_it"),
    [
        ("34202.0,8,1,1,5853300,1", "line 19, column type: found '8', expected one of 1 to 7"),
        ("34202.0,1,1,0,5853300,1", "line 19, column size: found '0', expected 1 or more"),
        ("34202.0,1,1,1,5853300,0", "line 19, column direction: found '0', expected 1 of a buyer"),
        ("soon,1,1,1,5853300,1", "line 19, column time: found 'soon', expected a decimal number"),
        ("34202.0,1,1,1,,1", "line 19, column price: found None, expected a number"),
        ("34202.0,1,1,1,5853300", "line 19"),
    ],
)
def test_a_fault_is_named(record, line, said_of_it):
    record.write_text(f"{RECORD}{line}\n")
    assert said_of_it in refused(record)


def test_more_than_one_contract_is_malformed(record):
    terms = record.parent / "contracts.toml"
    terms.write_text('[[contract]]\ncode = "A"\n[[contract]]\ncode = "B"\n')
    assert "expected one contract with tick_micro = 10000" in refused(record, "--contracts", terms)
