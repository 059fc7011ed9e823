"""The gateway's benchmark measures what it says: supplier, clients, processes, arithmetic, and what is missing."""

import asyncio
import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import bench_gateway, gateway_profile, gateway_soak
from benchmarks.bench_gateway import Measured
from benchmarks.gateway import measure, ours, peers, rig, supplier, traffic
from benchmarks.gateway.client import Body, Reply, first_tokens, percentile, request
from benchmarks.gateway.load import header_lines, read_load
from benchmarks.gateway.measure import Figures, Round
from benchmarks.gateway.peers import JSON_TYPE, Direct, LiteLlm, Portkey
from benchmarks.gateway.rig import NotMeasured, Supplier
from benchmarks.gateway.steady import Steady, Window
from tests.sources import ROOT

LOAD_CORE = rig.cores().load


# --- the traffic and the supplier ---


@pytest.fixture(scope="module")
def desk() -> Iterator[Supplier]:
    with Supplier(LOAD_CORE) as started:
        yield started


def test_both_answers_read_back_as_one_text_and_one_count() -> None:
    due = (traffic.TEXT, traffic.DELTAS)
    assert traffic.read_answer(traffic.answer()) == due
    assert traffic.read_events(b"".join(traffic.events())) == due
    assert len(traffic.events()) == traffic.EVENTS == 22
    assert 350 <= len(traffic.answer()) <= 450


@pytest.mark.parametrize("streamed", [False, True])
def test_the_supplier_answers_what_the_load_expects_and_counts_it(desk: Supplier, streamed: bool) -> None:
    before = desk.count
    status, body = rig.asked(desk.port, "POST", traffic.PATH, JSON_TYPE, traffic.question(streamed=streamed))
    read = traffic.read_events if streamed else traffic.read_answer
    assert (status, read(body)) == (200, (traffic.TEXT, traffic.DELTAS))
    assert desk.count == before + 1


def test_the_supplier_takes_chunked_bodies(desk: Supplier) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", desk.port)
    question = traffic.question(streamed=True)
    connection.request(
        "POST", traffic.PATH, iter([question[:20], question[20:]]), JSON_TYPE, encode_chunked=True
    )
    assert traffic.read_events(connection.getresponse().read()) == (traffic.TEXT, traffic.DELTAS)
    connection.close()


def test_pipelined_requests_are_answered_in_order(desk: Supplier) -> None:
    asked = request(desk.port, JSON_TYPE, streamed=True) + request(desk.port, JSON_TYPE, streamed=False)
    with socket.create_connection(("127.0.0.1", desk.port)) as connection:
        connection.sendall(asked)
        said = b""
        while not said.endswith(traffic.answer()):
            said += connection.recv(65_536)
    assert said == b"".join(supplier.stream()) + supplier.whole(traffic.answer())


def test_the_models_are_listed(desk: Supplier) -> None:
    assert json.loads(rig.asked(desk.port, "GET", "/v1/models")[1])["data"][0]["id"] == traffic.MODEL


class Turns(asyncio.Transport):
    """A transport that keeps each write with the turn of the loop that it came in."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[tuple[int, bytes]] = []
        self.turn = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append((self.turn, bytes(data)))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.writes.append((self.turn, b"closed"))


async def played(asked: bytes, turns: int) -> list[tuple[int, bytes]]:
    connection, transport = supplier.Connection(supplier.Desk()), Turns()
    connection.connection_made(transport)
    connection.data_received(asked)
    for transport.turn in range(1, turns):
        await asyncio.sleep(0)
    return transport.writes


def test_each_event_is_a_write_in_a_turn_of_its_own() -> None:
    writes = asyncio.run(played(request(1, JSON_TYPE, streamed=True), 30))
    turns = [turn for turn, _ in writes]
    assert [data for _, data in writes] == supplier.stream()
    assert len(set(turns)) == traffic.EVENTS


def test_a_chunk_that_is_none_closes_the_connection() -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    writes = asyncio.run(played(head + b"many\r\n", 2))
    assert [data[:12] for _, data in writes] == [b"HTTP/1.1 400", b"closed"]


@given(st.integers(min_value=0), st.booleans())
def test_a_request_ends_where_it_ends(cut: int, chunked: bool) -> None:
    head = (
        b"POST / HTTP/1.1\r\n"
        + (b"transfer-encoding: chunked" if chunked else b"Content-Length: 5")
        + b"\r\n\r\n"
    )
    whole = head + (b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n" if chunked else b"abcde")
    cut %= len(whole)
    assert supplier.request_end(whole[:cut]) == 0
    assert supplier.request_end(whole + b"GET /") == len(whole)


# --- the clients ---


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(min_value=0, max_value=400)), st.booleans())
def test_a_body_ends_with_its_last_byte_however_it_is_cut(
    pieces: list[bytes], cuts: list[int], chunked: bool
) -> None:
    if chunked:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
        sent = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"
    else:
        sent = b"".join(pieces) + b"."
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(sent)
    body, at = Body(head), 0
    for cut in sorted({cut % len(sent) for cut in cuts}):
        assert not body.ended(sent[at:cut])
        at = cut
    assert body.ended(sent[at:])


def test_first_tokens_are_counted_as_the_supplier_counts_them(desk: Supplier) -> None:
    before = desk.count
    said = asyncio.run(first_tokens(desk.port, JSON_TYPE, 0.1))
    assert said["requests"] == desk.count - before > 0
    assert said["refused"] == 0
    assert 0 < said["p50_us"] <= said["p99_us"]


def test_a_closed_connection_is_an_answer_that_broke() -> None:
    heard: list[int] = []

    async def served() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            said = await first_tokens(server.sockets[0].getsockname()[1], JSON_TYPE, 5)
            heard.append(int(said["refused"]))

    asyncio.run(served())
    assert heard == [1]


def test_a_steady_load_loses_nothing(desk: Supplier, capsys: pytest.CaptureFixture[str]) -> None:
    before = desk.count
    asyncio.run(Steady(desk.port, JSON_TYPE, 500).played(0.2))
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(window["answered"] for window in said) == desk.count - before > 50
    assert sum(window["refused"] + window["broken"] for window in said) == 0


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert [percentile(list(range(1, 101)), share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([7], 0.5) == 7


@given(st.lists(st.integers(min_value=0, max_value=10**8), min_size=1))
def test_a_window_keeps_percentiles_to_two_in_a_hundred(latencies_us: list[int]) -> None:
    window = Window()
    for latency_us in latencies_us:
        window.add(Reply(200, 0, 0, latency_us * 1000))
    for share in (0.5, 0.99):
        exact = percentile(sorted(latencies_us), share)
        assert exact * 0.98 - 1 <= window.percentile_us(share) <= exact


def test_a_window_counts_refusals_and_breaks_apart() -> None:
    window = Window()
    for status in (200, 429, 0):
        window.add(Reply(status, 0, 0, 1_000_000))
    said = window.as_json()
    assert (said["answered"], said["refused"], said["broken"], said["max_us"]) == (1, 1, 1, 1000)


def test_what_wrk_says_is_read() -> None:
    said = '{"requests": 90, "us": 2000000, "p50_us": 110.5, "p99_us": 900.0, "refused": 1, "broken": 2}'
    load = read_load(f"Running 2s test\nmeasured {said}\n")
    assert (load.requests, load.seconds, load.p50_us, load.refused, load.broken) == (90, 2.0, 110.5, 1, 2)
    with pytest.raises(NotMeasured, match="unable to connect"):
        read_load("unable to connect to 127.0.0.1:1")


def test_headers_are_lines() -> None:
    assert header_lines({"A": "1", "B": "x y"}) == "A: 1\nB: x y\n"


# --- processes ---


def test_a_process_tree_is_counted_with_its_children() -> None:
    work = "sum(range(5_000_000)); print(1, flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}], check=True)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    try:
        assert len(rig.tree(parent.pid)) == 2
        assert rig.cpu_s(parent.pid) > 0
        assert rig.resident_kib(parent.pid) > rig.resident_kib(parent.pid, "RssAnon") > 0
    finally:
        parent.communicate(b"\n")
    assert parent.returncode == 0
    assert (rig.cpu_s(parent.pid), rig.resident_kib(parent.pid)) == (0, 0)


def test_what_ends_while_it_starts_is_told_with_its_last_words() -> None:
    code = "print('starting'); raise SystemExit('no such file: bench.yaml')"
    with (
        rig.Process("ended", LOAD_CORE, [sys.executable, "-c", code]) as process,
        pytest.raises(NotMeasured, match=r"no such file: bench\.yaml"),
    ):
        rig.wait_until_serving(process, rig.free_port(), "/", 30)


def test_what_cannot_be_installed_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "peer"
    fail = [sys.executable, "-c", "raise SystemExit('no matching distribution')"]
    with pytest.raises(NotMeasured, match="no matching distribution"):
        peers.made_once(folder, fail)
    peers.made_once(folder, [sys.executable, "-c", "pass"], files={"wanted": "1"})
    assert (folder / "wanted").read_text() == "1"
    peers.made_once(folder, fail)


def test_wrong_answers_are_not_measured() -> None:
    async def served() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            wrong = traffic.answer().replace(b"fourteen", b"thirteen")
            writer.write(supplier.whole(wrong))
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await asyncio.to_thread(measure.check_answers, peers.Served(port, JSON_TYPE, None))

    with pytest.raises(NotMeasured, match="another answer than the supplier"):
        asyncio.run(served())


def test_a_gateway_is_still_when_nothing_more_comes(desk: Supplier) -> None:
    served = peers.Served(desk.port, JSON_TYPE, desk)
    before = desk.count
    measure.check_answers(served)
    count, used_s = measure.when_still(served, desk)
    assert count == before + 2
    assert used_s > 0


def test_our_gateway_takes_the_suppliers_file_of_the_benchmark(tmp_path: Path) -> None:
    file = tmp_path / "suppliers.toml"
    file.write_text(ours.suppliers(4321))
    said = ours.ciyuan("supplier", "check", str(file), "--json")
    assert said.returncode == 0, said.stdout + said.stderr
    assert traffic.MODEL in said.stdout


# --- the arithmetic of the results ---


def rounds_of(cpu_us: float, p50_us: float, rounds: int = 3) -> list[Round]:
    names = [case.name for case in (*measure.CASES, measure.FIRST_ONE)]
    return [
        Round(
            {name: Figures(1000.0 + number, p50_us + number, 900.0, cpu_us + number) for name in names}, 40.0
        )
        for number in range(rounds)
    ]


def all_measured(**reasons: str) -> Measured:
    rounds = {
        "direct": rounds_of(0.0, 100.0),
        "nginx": rounds_of(19.0, 150.0),
        "LiteLLM": rounds_of(9_999.0, 9_000.0),
        "ciyuan": rounds_of(49.0, 350.0),
    }
    taken = {name: of for name, of in rounds.items() if name not in reasons}
    return Measured(taken, {name: f"{name} 1.0" for name in rounds}, reasons, "two cores")


def test_medians_are_case_by_case() -> None:
    figures = measure.medians(rounds_of(20.0, 100.0))[measure.JSON_ONE.name]
    assert figures == Figures(1001.0, 101.0, 900.0, 21.0)
    assert figures.per_cpu_s == pytest.approx(1e6 / 21)


def test_what_is_added_is_added_within_a_round() -> None:
    direct, other = rounds_of(0.0, 100.0), rounds_of(20.0, 180.0)
    assert measure.added_us(other, direct, measure.JSON_ONE.name, "p50_us") == 80.0


def test_the_goals_are_multiples_of_what_the_peers_did_in_the_same_run() -> None:
    by_name = {line.name: line for line in bench_gateway.by_cpu(all_measured(), measure.JSON_MANY)}
    lite, nginx = (by_name[f"gateway: ciyuan beside {peer}, JSON, c=32"] for peer in ("LiteLLM", "nginx"))
    assert [lite.value, lite.baseline, lite.at_least, nginx.at_least] == pytest.approx(
        [20_000, 100, 15_000, 12_500]
    )
    assert lite.goal.endswith("met")
    streamed = bench_gateway.by_cpu(all_measured(), measure.STREAM_MANY)
    assert [line.at_least for line in streamed] == pytest.approx([0.4 * 50_000, 15_000])
    assert all(line.at_least is None for line in bench_gateway.by_cpu(all_measured(), measure.STREAM_PACED))


def test_latency_goals_are_over_direct() -> None:
    half, third, first = bench_gateway.added(all_measured(), "ciyuan")
    assert [half.value, half.baseline, half.at_most] == pytest.approx([0.25, 0.05, 0.5])
    assert (third.at_most, first.at_most) == (3.0, None)


def test_who_was_not_measured_is_named_with_the_reason_in_every_result() -> None:
    measured = all_measured(ciyuan="this command line has no `serve`")
    lines = bench_gateway.by_cpu(measured, measure.JSON_MANY)
    assert [line.name for line in lines] == ["gateway: LiteLLM beside nginx, JSON, c=32"]
    assert "ciyuan was not measured: this command line has no `serve`" in lines[0].exclusions
    assert bench_gateway.by_cpu(all_measured(ciyuan="-", nginx="-"), measure.JSON_MANY) == []


def test_all_gateways_stand_side_by_side() -> None:
    table = bench_gateway.side_by_side(all_measured())
    assert [column.header for column in table.columns] == ["", "direct", "nginx", "LiteLLM", "ciyuan"]
    assert table.row_count == 6 + 5 + 4 + 1


def test_a_gateway_that_fails_once_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Direct):
        name = "failing"

        def started(self, core: int, supplier_port: int) -> peers.Served:
            raise NotMeasured(f"no core {core + supplier_port - supplier_port}")

    class Missing(Direct):
        name = "missing"

        def installed(self) -> str:
            raise NotMeasured("no registry")

    monkeypatch.setattr(measure, "_case", lambda *_: Figures(1.0, 1.0, 1.0, 0.0))
    monkeypatch.setattr(measure, "_first_token", lambda *_: Figures(1.0, 1.0, 1.0, 0.0))
    monkeypatch.setattr(measure, "_warm", lambda *_: None)
    on = rig.cores()
    taken = bench_gateway.measured([Direct(), Failing(), Missing()], on, rounds=2, seconds=1)
    assert {name: len(of) for name, of in taken.rounds.items()} == {"direct": 2}
    assert taken.reasons == {"failing": f"no core {on.gateway}", "missing": "no registry"}


def test_the_peers_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[Sequence[str]], Mapping[str, str] | None]] = []

    def made_once(folder: Path, *commands: Sequence[str], files: Mapping[str, str] | None = None) -> None:
        asked.append((folder.name, list(commands), files))

    monkeypatch.setattr(peers, "made_once", made_once)
    monkeypatch.setattr(shutil, "which", lambda _: sys.executable)
    assert LiteLlm(granian=True).installed() == "LiteLLM on granian 1.106.2"
    assert Portkey().installed().startswith("Portkey 1.15.2 on Node ")
    (lite, lite_commands, _), (portkey, _, files) = asked
    assert (lite, portkey) == ("litellm-1.106.2", "portkey-1.15.2")
    assert lite_commands[1][-1] == "litellm[proxy]==1.106.2"
    assert files is not None
    wanted = json.loads(files["package.json"])
    assert wanted["dependencies"] == {"@portkey-ai/gateway": "1.15.2"}
    assert wanted["overrides"] == {"hono": "4.9.7", "@hono/node-server": "1.13.5"}


def test_without_npm_portkey_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(NotMeasured, match="no npm"):
        Portkey().installed()


# --- soak and profile ---


def soaked(memory_mb: list[float], refused: int = 0) -> list[gateway_soak.Sample]:
    return [
        gateway_soak.Sample(10.0 * number, mb, mb, 100, refused, 0, 500, 900 + number, 2000)
        for number, mb in enumerate(memory_mb, 1)
    ]


def test_growth_is_counted_from_after_warm_up() -> None:
    taken = soaked([10.0] * 10 + [50.0] * 45 + [62.0] * 45)
    assert gateway_soak.growth_mb(taken) == 12.0


@pytest.mark.parametrize(
    ("end_mb", "refused", "lost", "well"),
    [(60.0, 0, 0, True), (71.0, 0, 0, False), (60.0, 1, 0, False), (60.0, 0, 1, False)],
)
def test_a_soak_is_well_if_nothing_grew_and_nothing_was_lost(
    end_mb: float, refused: int, lost: int, well: bool
) -> None:
    taken = soaked([50.0] * 50 + [end_mb] * 50, refused)
    lines, found = gateway_soak.verdict(taken, 100 * 100 + lost)
    assert found is well
    assert ("MISSED" in lines[0]) == (end_mb > 70)
    assert lines[2].count(".") == 10


def test_a_sample_is_one_line() -> None:
    assert "50.0 MB" in gateway_soak.shown(soaked([50.0])[0])


def test_perf_is_read_as_microseconds_of_a_request() -> None:
    report = "# Overhead  Command\n#\n    75.00%  [kernel.kallsyms]   [k] tcp_ack\n\n    25.00%  libpython3.11.so\n"
    assert gateway_profile.perf_lines(report, 40.0) == [
        "     30.00  [kernel.kallsyms] [k] tcp_ack",
        "     10.00  libpython3.11.so",
    ]


WATCHED = """
import signal, sys
from benchmarks import gateway_profile
from ciyuan.services import cli

def before(): pass
def after(): return sorted([3, 2, 1])

def main():
    before()
    signal.raise_signal(signal.SIGUSR1)
    for _ in range(10):
        after()
    raise SystemExit(sys.argv != ["ciyuan", "serve"])

cli.main = main
gateway_profile.watched(sys.argv[1], ["serve"])
"""


def test_a_profile_is_by_function_and_request_from_the_signal_on(tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    ran = subprocess.run(
        [sys.executable, "-c", WATCHED, str(profile)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    said = gateway_profile.by_function(profile, 5)
    assert re.search(r" 2\.00 +<string>:\d+ after$", said, re.MULTILINE)
    assert "before" not in said
