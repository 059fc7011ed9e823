"""`ciyuan exchange replay`: a file of orders through a market, and what it leaves in its folder."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from ciyuan.basics.rows import CODE_MASK
from ciyuan.basics.time import NS_PER_DAY, NS_PER_SECOND
from ciyuan.exchange.messages import ExchangeCommand, ExchangeEvent, Side
from ciyuan.exchange.plain import PlainExchange
from ciyuan.exchange.room import Room
from ciyuan.services.exchange_files import open_orders
from ciyuan.services.exchange_orders import NamedOrders
from tests.services.orders import DAY, HEAD, contract, orders_file, refused, replayed, table
from tests.services.runs import said


def test_a_replay_counts_what_came_of_every_message(tmp_path):
    summary = replayed(orders_file(tmp_path))
    counted = [summary[name] for name in ("messages", "orders_accepted", "amended", "cancelled")]
    assert counted == [9, 6, 1, 1]
    assert summary["refused"] == {"UNKNOWN_ORDER": 1}
    assert (summary["repeated"], summary["left_out"]) == (0, {})
    assert (summary["trades"], summary["lots"]) == (2, 14)
    assert summary["recorded_lots"] is None
    assert 20 < summary["peak_memory_mb"] < 10_000
    assert (summary["first_time"], summary["last_time"]) == ("2026-10-08T01:00:00Z", "2026-10-08T01:00:08Z")
    (market,) = summary["contracts"]
    assert (market["code"], market["tick_micro"], market["state"], market["trading_day"]) == (
        "orders",
        1_000,
        "continuous",
        "2026-10-08",
    )
    assert (market["best_bid"], market["best_ask"], market["last_ticks"], market["volume"]) == (
        948,
        952,
        950,
        14,
    )
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary


def test_fills_name_both_sides(tmp_path):
    replayed(orders_file(tmp_path))
    first, second = table(tmp_path / "out", "fills")
    assert first == {
        "time": DAY * NS_PER_DAY + 3_602 * NS_PER_SECOND, "trade": 1, "contract": "orders", "price_ticks": 955,
        "price_micro": 955_000, "lots": 4, "stood_account": 1, "stood_order_id": 1, "took_account": 2,
        "took_order_id": 1, "taker_sells": False, "auction": False, "leg": False,
    }  # fmt: skip
    told = [second[name] for name in ("price_ticks", "lots", "stood_order_id", "taker_sells")]
    assert told == [950, 10, 2, True]


def test_refusals_and_the_final_book_are_told(tmp_path):
    replayed(orders_file(tmp_path))
    (refusal,) = table(tmp_path / "out", "refusals")
    assert (refusal["account"], refusal["order_id"], refusal["refusal"]) == (1, 7, "UNKNOWN_ORDER")
    levels = [
        (row["side"], row["level"], row["price_micro"], row["lots"])
        for row in table(tmp_path / "out", "book")
    ]
    assert levels == [("buy", 1, 948_000, 20), ("sell", 1, 952_000, 3)]
    assert {row["message"] for row in table(tmp_path / "out", "book")} == {9}


def test_the_book_is_written_on_the_way_if_asked(tmp_path):
    replayed(orders_file(tmp_path), "--every", 3, "--depth", 1)
    messages = [row["message"] for row in table(tmp_path / "out", "book") if row["side"] == "sell"]
    assert messages == [3, 6, 9]
    assert [row["lots"] for row in table(tmp_path / "out", "book") if row["side"] == "sell"] == [6, 6, 3]


def test_csv_gzip_and_parquet_say_the_same(tmp_path):
    path = orders_file(tmp_path)
    zipped = tmp_path / "zipped.csv.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    columns = pacsv.read_csv(path)
    times = columns["time"].cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
    parquet = tmp_path / "orders.parquet"
    pq.write_table(columns.set_column(0, "time_ns", times), parquet)
    digests = {
        replayed(file, out=tmp_path / file.name.replace(".", "-"))["fills_digest"]
        for file in (path, zipped, parquet)
    }
    assert len(digests) == 1


def test_the_replay_is_what_the_plain_exchange_says(tmp_path):
    random = np.random.default_rng(5)
    count = 3_000
    kinds = np.array(["limit", "fak", "post_only", "market"], dtype=object)[random.integers(0, 4, count)]
    orders = pa.table({
        "time_ns": pa.array(DAY * 86_400 * 10**9 + np.arange(count)),
        "type": pa.array(np.array(["order", "cancel", "amend"], dtype=object)[np.minimum(random.integers(0, 5, count), 2) % 3]),
        "account": pa.array(random.integers(1, 6, count)),
        "order_id": pa.array(random.integers(1, 900, count)),
        "side": pa.array(np.array(["buy", "sell"], dtype=object)[random.integers(0, 2, count)]),
        "price_ticks": pa.array(np.where(kinds == "market", 0, random.integers(95, 106, count))),
        "lots": pa.array(random.integers(1, 9, count)),
        "kind": pa.array(kinds),
    })  # fmt: skip
    path = tmp_path / "flow.parquet"
    pq.write_table(orders, path)
    summary = replayed(path)
    (market,) = summary["contracts"]
    source = NamedOrders(open_orders(path))
    survey = source.survey(lambda done, rows: None)
    listed = contract(initial_price_ticks=market["upper_limit"] // 3, limit_rate_bp=10_000)
    plain = PlainExchange([listed], Room(accounts=survey.accounts, orders=count), everyone=True)
    opening = np.array([[ExchangeCommand.SESSION, survey.first_ns, 0, 5, DAY, 0, 0, 0]], dtype=np.int64)
    events = np.concatenate([plain.apply(rows) for rows in (opening, *source.commands((listed,)))])
    codes = events[:, 0] & CODE_MASK
    fills = events[codes == ExchangeEvent.FILLED]
    assert summary["trades"] == len(fills) // 2 > 100
    assert summary["lots"] == fills[::2, 6].sum()
    assert sum(summary["refused"].values()) == (codes == ExchangeEvent.REFUSED).sum() > 100
    told = table(tmp_path / "out", "fills")
    assert [(row["price_ticks"], row["took_order_id"]) for row in told] == list(
        zip(fills[::2, 5], fills[1::2, 3], strict=True)
    )
    bids = [row for row in table(tmp_path / "out", "book") if row["side"] == "buy"]
    shown = [(row["price_ticks"], row["lots"], row["orders"]) for row in bids]
    assert shown == [
        (level.price_ticks, level.lots, level.orders) for level in plain.book(1).levels(Side.BUY)
    ]


def test_sessions_of_the_file_open_and_close_its_days(tmp_path):
    head = f"{HEAD},state,day"
    rows = (
        "session,,,,,,,auction_entry,2026-10-08",
        "order,1,1,buy,0.950,5,,,",
        "order,2,1,sell,0.950,3,,,",
        "session,,,,,,,auction_match,2026-10-08",
        "session,,,,,,,closing,2026-10-08",
        "session,,,,,,,settlement,2026-10-08",
        "close_day,,,,,,,,2026-10-08",
        "session,,,,,,,closed,2026-10-08",
        "order,1,2,buy,0.950,5,,,",
    )
    summary = replayed(orders_file(tmp_path, rows, head))
    (fill,) = table(tmp_path / "out", "fills")
    assert (fill["auction"], fill["lots"]) == (True, 3)
    assert summary["refused"] == {"WRONG_STATE": 1}
    assert summary["contracts"][0]["state"] == "closed"


def test_contracts_are_inferred_one_for_each_that_is_named(tmp_path):
    head = f"{HEAD},contract"
    rows = (
        "order,1,1,buy,0.95,5,,K10",
        "order,1,2,buy,12.5,5,,K11",
        "order,2,1,sell,12.5,5,,K11",
        "order,2,3,sell,0.85,1,,K10",
    )
    first, second = replayed(orders_file(tmp_path, rows, head))["contracts"]
    assert [(market["number"], market["code"], market["tick_micro"]) for market in (first, second)] == [
        (1, "K10", 10_000),
        (2, "K11", 100_000),
    ]
    assert (first["last_ticks"], second["last_ticks"], second["best_bid"]) == (95, 125, None)


def test_a_file_of_contracts_says_what_is_traded(tmp_path):
    terms = tmp_path / "contracts.toml"
    terms.write_text(
        '[[contract]]\nnumber = 7\ncode = "K"\ntick_micro = 1000\ninitial_price_ticks = 950\nlimit_rate_bp = 100\n'
    )
    rows = ("order,1,1,buy,0.950,5,,7", "order,1,2,buy,0.970,5,,K")
    summary = replayed(orders_file(tmp_path, rows, f"{HEAD},contract"), "--contracts", terms)
    (market,) = summary["contracts"]
    assert (market["number"], market["lower_limit"], market["upper_limit"]) == (7, 931, 969)
    assert summary["refused"] == {"PRICE_LIMIT": 1}


def test_an_earlier_replay_is_kept_unless_it_is_to_be_replaced(tmp_path):
    path = orders_file(tmp_path)
    replayed(path)
    again = said("exchange", "replay", path, "--out", tmp_path / "out", "--progress", "none")
    assert again.status == 2
    assert "summary.json of an earlier replay" in again.err
    assert "--replace" in again.err
    assert replayed(path, "--replace")["trades"] == 2


def test_progress_is_a_line_a_batch(tmp_path):
    answer = said(
        "exchange", "replay", orders_file(tmp_path), "--out", tmp_path / "out", "--json", "--progress", "json"
    )
    lines = [json.loads(line) for line in answer.err.splitlines()]
    assert [line["task"] for line in lines] == ["reading orders.csv", "replaying"]
    assert lines[-1] == {"task": "replaying", "done": 9, "of": 9, "rows": 9}


def test_the_bar_names_what_is_done(tmp_path):
    bar = said(
        "exchange", "replay", orders_file(tmp_path), "--out", tmp_path / "out", "--json", "--progress", "bar"
    ).err
    assert "reading orders.csv" in bar
    assert "replaying" in bar
    assert "9 rows" in bar


def test_a_contract_that_is_only_opened_is_listed_too(tmp_path):
    head = f"{HEAD},contract,state,day"
    rows = (
        "session,,,,,,,K,continuous,2026-10-08",
        "session,,,,,,,L,continuous,2026-10-08",
        "order,1,1,buy,0.95,5,,K,,",
    )
    assert [market["code"] for market in replayed(orders_file(tmp_path, rows, head))["contracts"]] == [
        "K",
        "L",
    ]


def test_the_terminal_shows_the_counts(tmp_path):
    shown = said(
        "exchange", "replay", orders_file(tmp_path), "--out", tmp_path / "out", "--progress", "none"
    ).out
    for words in (
        "9 (named), 2026-10-08T01:00:00Z to 2026-10-08T01:00:08Z",
        "1: UNKNOWN_ORDER 1",
        "2, 14",
        "messages/s",
        "0.952",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("words", "said_of_it"),
    [
        (("--bars", "often"), "interval of the bars"),
        (("--day", "soon"), "date: found 'soon'"),
        (("--tick", "0"), "an amount of money over 0"),
    ],
)
def test_options_that_cannot_be_are_malformed(tmp_path, words, said_of_it):
    assert said_of_it in refused(orders_file(tmp_path), *words)
