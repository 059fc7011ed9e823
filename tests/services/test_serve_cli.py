"""`ciyuan serve`: its options become an order, it says where it serves, and ends with a status that says how."""

import json
import os
import signal
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from ciyuan.services import serve_cli
from ciyuan.services.cli import app
from ciyuan.services.door.serving import ServeOrder
from tests.services.door.served import CIYUAN, Mocks, Served, ciyuan, company, suppliers_file

RUNNER = CliRunner()


@pytest.fixture
def ordered(monkeypatch):
    """The orders that the command gives, none of which is served."""
    orders: list[ServeOrder] = []

    def run(order, *, as_json):
        orders.append(order)
        return 0

    monkeypatch.setattr(serve_cli, "_run", run)
    return orders


def given(ordered, *words: str) -> ServeOrder:
    done = RUNNER.invoke(app, ["serve", *words])
    assert done.exit_code == 0, done.output
    order: ServeOrder = ordered[-1]
    return order


def test_without_options_it_listens_on_this_machine_only_with_firewall_and_audit(ordered):
    order = given(ordered, "--suppliers", "s.toml")
    assert (order.host, order.port, order.admin_host, order.admin_port) == (
        "127.0.0.1",
        8080,
        "127.0.0.1",
        9090,
    )
    assert (order.firewall, order.words, order.opaque_allowed, order.audit_share) == (True, (), True, 1_000)
    assert (order.process, order.drain_s, order.suppliers.name) == (0, 60.0, "s.toml")


def test_every_option_is_in_the_order(ordered, tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY_OF_OURS", "x")
    words = tmp_path / "words.txt"
    words.write_text("Project Heron\n\n  白鹭计划  \r\n", encoding="utf-8")
    order = given(ordered, "--suppliers", "s.toml", "--store", "postgresql://db/x", "--host", "0.0.0.0", "--port", "0",  # noqa: S104
                  "--admin-host", "10.0.0.1", "--admin-port", "1", "--process", "15", "--no-firewall", "--words", str(words),
                  "--refuse-opaque", "--audit-percent", "12.34", "--drain-s", "0.5")  # fmt: skip
    assert (order.store, order.host, order.port, order.admin_host, order.admin_port, order.process) == (
        "postgresql://db/x", "0.0.0.0", 0, "10.0.0.1", 1, 15,  # noqa: S104
    )  # fmt: skip
    assert (order.firewall, order.opaque_allowed, order.audit_share, order.drain_s) == (
        False,
        False,
        1_234,
        0.5,
    )
    assert order.words == ("Project Heron", "白鹭计划")
    assert order.environ["A_KEY_OF_OURS"] == "x"


@pytest.mark.parametrize("words", [
    [], ["--suppliers", "s", "--port", "65536"], ["--suppliers", "s", "--process", "16"],
    ["--suppliers", "s", "--audit-percent", "101"],
    ["--suppliers", "s", "--drain-s", "-1"],
])  # fmt: skip
def test_what_cannot_be_an_option_is_refused(ordered, words):
    assert RUNNER.invoke(app, ["serve", *words]).exit_code == 2
    assert ordered == []


def test_a_file_of_words_that_is_not_there_is_malformed(ordered, tmp_path):
    done = ciyuan("serve", "--suppliers", "s.toml", "--words", str(tmp_path / "none.txt"), check=False)
    assert done.returncode == 2
    assert "none.txt" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_it_says_when_it_serves(capsys):
    offers = SimpleNamespace(models=lambda: [SimpleNamespace(name="m"), SimpleNamespace(name="n")])
    order = SimpleNamespace(
        host="127.0.0.1", admin_host="127.0.0.1", store="postgresql://ada:hidden@db/x", firewall=False
    )
    gateway: Any = SimpleNamespace(
        ports=[8080, 9090], order=order, catalogue=SimpleNamespace(offers=offers, seeds=["price of m: 1.00"]),
        host=SimpleNamespace(applied=12_345),
    )  # fmt: skip
    serve_cli._print_ready(gateway, as_json=False)
    told = capsys.readouterr().out
    assert told.startswith("price of m: 1.00\n")
    for words in (
        "12,345 rows",
        "m, n",
        "firewall off",
        "http://127.0.0.1:9090/status",
        "http://127.0.0.1:8080/v1",
    ):
        assert words in told
    assert "hidden" not in told
    serve_cli._print_ready(gateway, as_json=True)
    page = json.loads(capsys.readouterr().out)
    assert (page["serving"], page["admin"], page["port"], page["admin_port"]) == (
        "http://127.0.0.1:8080/v1", "http://127.0.0.1:9090", 8080, 9090,
    )  # fmt: skip
    assert "hidden" not in page["store"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store with a company, mock suppliers and their file."""
    folder = tmp_path_factory.mktemp("serve")
    mocks, store = Mocks(), str(folder / "store")
    secret = company(store)
    yield SimpleNamespace(
        folder=folder, mocks=mocks, store=store, secret=secret, suppliers=suppliers_file(folder, mocks, ["m"])
    )
    mocks.close()


def test_it_serves_until_it_is_told_to_end_and_ends_well(place):
    with Served(place.store, place.suppliers, "--no-firewall") as gateway:
        assert gateway.port > 0
        assert gateway.admin_port > 0
        assert gateway.stop() == 0


def test_what_keeps_it_from_serving_is_said_in_one_line_with_status_2(place, tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[supplier")
    for suppliers in (wrong, tmp_path / "none.toml"):
        done = ciyuan("serve", "--store", place.store, "--suppliers", str(suppliers), check=False)
        assert done.returncode == 2
        assert suppliers.name in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_a_key_that_is_not_set_is_named_and_not_shown(place):
    environ = {name: value for name, value in os.environ.items() if name != "MOCK_KEY"}
    words = [
        "serve",
        "--store",
        place.store,
        "--suppliers",
        str(place.suppliers),
        "--port",
        "0",
        "--admin-port",
        "0",
        "--no-firewall",
    ]
    done = subprocess.run([*CIYUAN, *words], capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 2
    assert "env:MOCK_KEY" in done.stderr


def test_a_store_that_is_served_from_is_refused_to_a_second(place):
    with Served(place.store, place.suppliers, "--no-firewall") as gateway:
        done = ciyuan("serve", "--store", place.store, "--suppliers", str(place.suppliers), "--port", "0", "--admin-port", "0",
                      check=False)  # fmt: skip
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert gateway.stop() == 0


def test_a_hang_up_does_not_end_it(place):
    with Served(place.store, place.suppliers, "--no-firewall") as gateway:
        assert gateway.process is not None
        assert gateway.process.stderr is not None
        gateway.process.send_signal(signal.SIGHUP)
        assert "read again" in gateway.process.stderr.readline()
        assert gateway.stop() == 0
