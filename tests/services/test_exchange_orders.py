"""Files of orders with named columns: what their words mean, and how a fault in them is named."""

import re

import numpy as np
import pytest

from ciyuan.basics.rows import code_of, flags_of
from ciyuan.exchange.messages import ExchangeCommand, OrderFlag
from ciyuan.services.exchange_files import open_orders
from ciyuan.services.exchange_orders import KINDS, KNOWN, SIDES, TYPES, NamedOrders
from tests.services.orders import CLOCK, DAY, HEAD, MARKET, contract, orders_file, refused
from tests.sources import ROOT


def rows_of(path):
    """The commands of a file, as one matrix."""
    source = NamedOrders(open_orders(path))
    source.survey(lambda done, rows: None)
    return np.concatenate(list(source.commands((contract(),))))


def test_every_kind_of_order_is_what_its_words_say(tmp_path):
    head = f"{HEAD},min_lots,shown_lots,trigger,last_day,effect,hedge"
    rows = (
        "order,1,1,buy,0.950,9,,,,,,,",
        "order,1,2,SELL,,9,market,,,,,,",
        "order,1,3,s,0.950,9,fak,4,,,,,",
        "order,1,4,b,0.950,9,fok,,,,,,",
        "order,1,5,buy,0.950,9,post_only,,,,gtc,,",
        "order,1,6,buy,0.950,9,iceberg,,3,,2026-10-09,,",
        "order,1,7,buy,0.950,9,stop,,,0.960,,open,",
        "order,1,8,sell,,9,stop_market,,,0.940,,close_today,1",
    )
    found = rows_of(orders_file(tmp_path, rows, head))
    assert {code_of(word) for word in found[:, 0].tolist()} == {ExchangeCommand.ORDER}
    assert [OrderFlag(flags_of(word)) for word in found[:, 0].tolist()] == [
        OrderFlag.LIMIT, OrderFlag.MARKET | OrderFlag.SIDE_SELL, OrderFlag.FAK | OrderFlag.SIDE_SELL, OrderFlag.FOK,
        OrderFlag.POST_ONLY | OrderFlag.GTC, OrderFlag.ICEBERG, OrderFlag.STOP,
        OrderFlag.STOP | OrderFlag.MARKET | OrderFlag.SIDE_SELL,
    ]  # fmt: skip
    assert found[:, 7].tolist() == [0, 0, 4, 0, 0, 3, 960, 940]
    assert (found[:, 4] >> 32).tolist() == [0, 0, 0, 0, 0, DAY + 1, 0, 0]
    assert (found[:, 0] >> 24).tolist() == [0, 0, 0, 0, 0, 0, 1, 3 | 4]


def test_commands_that_are_no_orders_have_only_their_own_words(tmp_path):
    head = f"{HEAD},contract,state,day"
    rows = (
        "session,,,,,,,,continuous,2026-10-08",
        "session,,,,,,,K,break,2026-10-08",
        "cancel,4,9,buy,0.950,3,,,,",
        "mass_cancel,4,,,,,,K,,",
        "mass_cancel,4,,,,,,,,",
        "disconnect,4,,,,,,,,",
        "kill,4,,,,,,,,",
        "amend,4,9,,0.951,3,,K,,",
        "close_day,,,,,,,1,,2026-10-08",
        "tick,4,,,,,,,,",
    )
    found = rows_of(orders_file(tmp_path, rows, head))
    assert [ExchangeCommand(code).name for code in found[:, 0].tolist()] == [
        "SESSION", "SESSION", "CANCEL", "MASS_CANCEL", "MASS_CANCEL", "DISCONNECT", "KILL", "AMEND", "CLOSE_DAY", "TICK",
    ]  # fmt: skip
    assert found[:, 2:].tolist() == [
        [0, 5, DAY, 0, 0, 0], [1, 6, DAY, 0, 0, 0], [4, 9, 0, 0, 0, 0], [4, 1, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0],
        [4, 0, 0, 0, 0, 0], [4, 1, 0, 0, 0, 0], [4, 9, 0, 951, 3, 0], [1, 0, DAY, 0, 0, 0], [0, 0, 0, 0, 0, 0],
    ]  # fmt: skip


def test_without_ids_an_orders_id_is_the_number_of_its_row(tmp_path):
    head = "time,account,side,price,lots"
    found = rows_of(orders_file(tmp_path, ("1,buy,0.950,1", "2,buy,0.951,1"), head))
    assert found[:, 3].tolist() == [1, 2]


FAULTS = [
    ("order,1,1,buy,0.950,ten,", "line 3, column lots: found 'ten', expected a whole number"),
    (
        "order,1,1,buy,0.9501234,1,",
        "line 3, column price: found '0.9501234', expected a decimal number with at most 6 decimals",
    ),
    ("order,1,1,up,0.950,1,", "line 3, column side: found 'up', expected one of buy, sell"),
    ("order,1,1,,0.950,1,", "line 3, column side: found None, expected one of buy, sell"),
    ("order,1,1,buy,0.950,1,peg", "line 3, column kind: found 'peg', expected one of limit, market"),
    ("ordr,1,1,buy,0.950,1,", "line 3, column type: found 'ordr', expected one of order, cancel"),
    ("order,x,1,buy,0.950,1,", "line 3, column account: found 'x', expected a whole number"),
    ("order,1,1,buy,0.950,1", "line 3"),
    ("order,1,1,buy,0.950,1,,,", "line 3"),
    ("order,99999999999,1,buy,0.950,1,", "account 99,999,999,999"),
]


@pytest.mark.parametrize(("row", "said_of_it"), FAULTS, ids=[row for row, _ in FAULTS])
def test_a_fault_is_named_before_anything_is_written(tmp_path, row, said_of_it):
    assert said_of_it in refused(orders_file(tmp_path, (MARKET[0], row, MARKET[1])))


def test_the_last_of_many_rows_is_judged_too(tmp_path):
    rows = [f"{2 + number},1,{number},buy,950,1" for number in range(1, 200_000)]
    path = tmp_path / "many.csv"
    path.write_text(
        "\n".join(["time_ns,account,order_id,side,price_ticks,lots", *rows, "", "9,1,3,buy,,one"]) + "\n"
    )
    assert f"line {len(rows) + 3}, column lots: found 'one'" in refused(path)


@pytest.mark.parametrize(
    ("head", "said_of_it"),
    [
        ("time,account,side,price", "column lots"),
        ("when,account,side,price,lots", "column time_ns"),
        ("time,account,side,price,lots,colour", "Remove or rename the column colour"),
        ("time,account,side,price,price_ticks,lots", "price_ticks or price, not both"),
        ("time,account,side,price,price,lots", "each column once"),
    ],
)
def test_columns_that_are_not_those_of_orders_are_named(tmp_path, head, said_of_it):
    assert said_of_it in refused(orders_file(tmp_path, (), head))


def test_a_time_needs_its_zone(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(f"{HEAD}\n2026-10-08T01:00:00,{MARKET[0]}\n")
    assert "line 2, column time: found '2026-10-08T01:00:00', expected ISO 8601 with a zone" in refused(path)


def test_a_price_between_ticks_is_named_with_its_tick(tmp_path):
    message = refused(orders_file(tmp_path), "--tick", "0.002")
    assert "column price: found '0.955', expected a multiple of the contract's tick, 0.002" in message


def test_a_contract_that_is_not_listed_is_named(tmp_path):
    terms = tmp_path / "contracts.toml"
    terms.write_text('[[contract]]\ncode = "K"\n')
    path = orders_file(tmp_path, ("order,1,1,buy,0.950,5,,K", "order,1,2,buy,0.950,5,,L"), f"{HEAD},contract")
    assert "line 3, column contract: found 'L', expected one of K, or its number" in refused(
        path, "--contracts", terms
    )


@pytest.mark.parametrize(
    ("content", "said_of_it"),
    [
        (b"", "an empty file"),
        (b"\x1f\x8b\x08broken", "undamaged gzip"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"PAR1nothing", "orders file"),
        (b"time,account,side,price,lots\n", "no rows"),
        (HEAD.encode() + b"\n" + CLOCK.format(1).encode() + b",order,1,1,b\xff,1,1,\n", "orders file"),
    ],
    ids=["empty", "gzip", "bytes", "parquet", "rows", "utf-8"],
)
def test_a_file_that_is_damaged_is_malformed(tmp_path, content, said_of_it):
    path = tmp_path / "orders.bin"
    path.write_bytes(content)
    assert said_of_it in refused(path)


def test_a_file_that_is_not_there_is_malformed(tmp_path):
    assert "No such file" in refused(tmp_path / "none.csv")


def test_the_guide_explains_every_column():
    page = (ROOT / "docs" / "guide" / "market.md").read_text(encoding="utf-8")
    rows = page.partition("| column | is | if it is not there |")[2].partition("\n\n")[0]
    explained = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in rows.splitlines()[2:]))
    assert sorted(explained) == sorted(KNOWN)
    assert all(f"`{word}`" in rows for word in (*TYPES, *KINDS, *SIDES))
