"""`ciyuan exchange book`: the ladder in the terminal, from a replay's folder or straight from a file of orders."""

import json

import pytest

from ciyuan.services.exchange_ladder import BAR_CELLS, bar_text
from ciyuan.services.exchange_summary import price_text, short_time
from tests.services.orders import HEAD, orders_file, replayed
from tests.services.runs import said

DEEP = tuple(f"order,1,{level},buy,0.{950 - level},{level}," for level in range(1, 16))


def book(*words):
    """What the command says; it must end well."""
    answer = said("exchange", "book", *words, "--progress", "none")
    assert answer.status == 0, answer.err
    return answer.out


def test_the_ladder_shows_both_sides_the_last_price_and_the_state(tmp_path):
    replayed(orders_file(tmp_path))
    shown = book("orders", "--from", tmp_path / "out")
    lines = shown.splitlines()
    assert lines[0] == "orders   continuous, trading day 2026-10-08"
    assert lines[1] == "2026-10-08T01:00:08Z, after 9 messages"
    assert lines[2].startswith("last 0.950   open 0.955   low 0.950   high 0.955   limits 0.001 to ")
    assert lines[3] == "volume 14 lots in 2 trades"
    (offer,) = [line.split() for line in lines if "0.952" in line]
    (bid,) = [line.split() for line in lines if "0.948" in line]
    assert (offer[0], offer[2:]) == ("0.952", ["3", "1"])
    assert (bid[:2], bid[3]) == (["1", "20"], "0.948")
    assert "4 ticks" in shown
    assert shown.index("0.952") < shown.index("4 ticks") < shown.index("0.948 ")


def test_the_folder_and_the_file_show_the_same(tmp_path):
    path = orders_file(tmp_path)
    replayed(path, "--every", 2)
    from_folder = json.loads(book("1", "--from", tmp_path / "out", "--json"))
    assert json.loads(book("orders", "--file", path, "--json")) == from_folder
    assert from_folder["bids"] == [{"price_ticks": 948, "price": "0.948", "lots": 20, "orders": 1}]
    assert (from_folder["state"], from_folder["last_ticks"], from_folder["messages"]) == (
        "continuous",
        950,
        9,
    )


@pytest.mark.parametrize(("depth", "levels"), [(3, 3), (10, 10), (0, 15)])
def test_the_depth_is_as_asked(tmp_path, depth, levels):
    path = orders_file(tmp_path, DEEP)
    assert len(json.loads(book("1", "--file", path, "--depth", depth, "--json"))["bids"]) == levels


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (("order,1,1,buy,0.950,5,",), "no offers"),
        (("order,1,1,sell,0.950,5,",), "no bids"),
        (("cancel,1,1,,,,",), "an empty book"),
    ],
)
def test_a_side_without_orders_is_said(tmp_path, rows, words):
    shown = book("1", "--file", orders_file(tmp_path, rows))
    assert words in shown
    assert "last -" in shown


def test_the_price_of_the_last_trade_stands_out(tmp_path):
    rows = ("order,1,1,sell,0.950,5,", "order,2,1,buy,0.950,2,fak")
    assert "› 0.95 ‹" in book("1", "--file", orders_file(tmp_path, rows))


def test_another_contract_is_malformed(tmp_path):
    path = orders_file(tmp_path, ("order,1,1,buy,0.950,5,,K",), f"{HEAD},contract")
    answer = said("exchange", "book", "L", "--file", path, "--progress", "none")
    assert answer.status == 2
    assert "contract: found 'L', expected one of K, or its number" in answer.err


def test_a_folder_without_a_replay_is_malformed(tmp_path):
    answer = said("exchange", "book", "K", "--from", tmp_path)
    assert answer.status == 2
    assert "expected a readable summary.json" in answer.err


def test_a_folder_without_its_book_is_malformed(tmp_path):
    replayed(orders_file(tmp_path))
    (tmp_path / "out" / "book.parquet").write_bytes(b"PAR1")
    answer = said("exchange", "book", "1", "--from", tmp_path / "out")
    assert answer.status == 2
    assert "expected a readable book.parquet" in answer.err


def test_bars_are_as_long_as_their_lots():
    assert bar_text(100, 100) == "█" * BAR_CELLS
    assert bar_text(50, 100, from_right=True) == "█" * (BAR_CELLS // 2)
    assert bar_text(1, 10**9) == "▏"
    assert bar_text(1, 10**9, from_right=True) == "█"


@pytest.mark.parametrize(
    ("ticks", "tick_micro", "text"),
    [
        (950, 1_000, "0.950"),
        (58_532, 10_000, "585.32"),
        (3, 2_000_000, "6"),
        (-4, 500, "-0.0020"),
        (None, 1, "-"),
    ],
)
def test_prices_have_the_decimals_of_their_tick(ticks, tick_micro, text):
    assert price_text(ticks, tick_micro) == text


def test_times_lose_the_zeros_at_their_end():
    assert short_time("2026-10-08T01:01:02.068000000Z") == "2026-10-08T01:01:02.068Z"
    assert short_time("2026-10-08T01:01:00Z") == "2026-10-08T01:01:00Z"
