"""The gateway beside LiteLLM, Portkey and nginx: what one core answers, whole and streamed, and what it adds to a request.

    make bench ONLY=gateway                        3 rounds of 3 s a case: about ten minutes, installing the peers not counted
    ROUNDS=1 SECONDS=1 make bench ONLY=gateway     while developing

Each round takes every gateway in turn, so that what else the machine does falls on all alike; figures are medians of the rounds.
All of them, by round, are written to benchmarks/out/gateway/rounds.json. What could not be measured is named with its reason.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.gateway import measure, ours, traffic
from benchmarks.gateway.load import require_wrk
from benchmarks.gateway.measure import Case, Figures, Round
from benchmarks.gateway.peers import Direct, Gateway, LiteLlm, Nginx, Portkey
from benchmarks.gateway.rig import OUT, Cores, NotMeasured, Supplier, cores
from benchmarks.record import Result

ROUNDS, SECONDS = 3, 3
GOALS: Final[Mapping[str, Mapping[str, float]]] = {
    measure.JSON_MANY.name: {"LiteLLM": 150.0, "nginx": 0.25},
    measure.STREAM_MANY.name: {"LiteLLM": 150.0, "nginx": 0.4},
}
"""The project's own: at least so many times the peer's requests a CPU-second."""
ADDED_P50_MS, ADDED_P99_MS = 0.5, 3.0
"""And at most so much over direct at c=1."""
LEFT_OUT: Final = (
    "start and warm-up; TLS; a network; accounts in nginx and Portkey, LiteLLM's database (neither is there)"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """All rounds of all gateways that could be measured, by name, and why the others could not."""

    rounds: Mapping[str, Sequence[Round]]
    versions: Mapping[str, str]
    reasons: Mapping[str, str]
    how: str

    def figures(self, name: str) -> dict[str, Figures]:
        """The medians of one gateway."""
        return measure.medians(self.rounds[name])

    @property
    def left_out(self) -> str:
        """What every result leaves out, the gateways that were not measured among it."""
        missing = "".join(f"; {name} was not measured: {reason}" for name, reason in self.reasons.items())
        return f"{LEFT_OUT}{missing}"


def measured(gateways: Sequence[Gateway], on: Cores, rounds: int, seconds: int) -> Measured:
    """Every gateway in every round. One that fails once is not measured; why is told."""
    versions, reasons = _installed(gateways)
    taken: dict[str, list[Round]] = {gateway.name: [] for gateway in gateways}
    with Supplier(on.load) as supplier:
        for number in range(1, rounds + 1):
            for gateway in gateways:
                if gateway.name in reasons:
                    continue
                _tell(f"round {number} of {rounds}, {gateway.name}")
                try:
                    taken[gateway.name].append(measure.measured(gateway, on, supplier, seconds))
                except NotMeasured as failed:
                    reasons[gateway.name] = str(failed)
    for name, reason in reasons.items():
        _tell(f"{name} was not measured: {reason}")
    how = f"{on}; wrk, keep-alive, {seconds} s a case, medians of {rounds} round{'s' * (rounds > 1)}, each with every gateway"
    complete = {name: of for name, of in taken.items() if name not in reasons}
    return Measured(complete, versions, reasons, how)


def _installed(gateways: Sequence[Gateway]) -> tuple[dict[str, str], dict[str, str]]:
    versions, reasons = {}, {}
    for gateway in gateways:
        _tell(f"{gateway.name}: installing what is missing")
        try:
            versions[gateway.name] = gateway.installed()
        except NotMeasured as reason:
            reasons[gateway.name] = str(reason)
    return versions, reasons


def _tell(line: str) -> None:
    print(f"bench: gateway: {line}", file=sys.stderr, flush=True)


# --- the results ---


def mix(measured: Measured, case: Case, name: str) -> str:
    """What was done, for one gateway."""
    size = (
        f"a stream of {traffic.EVENTS} events, one write each"
        if case.streamed
        else "one chat completion, 400 bytes"
    )
    pace = f", {case.gap_ms} ms apart" if case.gap_ms else ""
    on = f"; {ours.ON}" if name.startswith(ours.NAME) else ""
    return f"{measured.versions[name]}: {size}{pace}, {case.connections} connections{on}; {measured.how}"


def by_cpu(measured: Measured, case: Case) -> list[Result]:
    """Requests a CPU-second of ours beside each peer; while ours is not there, of each peer beside nginx."""
    subject = ours.NAME
    pairs = [(subject, peer) for peer in measured.rounds if peer not in {subject, Direct.name}]
    if subject not in measured.rounds:
        pairs = [
            (peer, Nginx.name) for _, peer in pairs if peer != Nginx.name and Nginx.name in measured.rounds
        ]
    results = []
    for name, peer in pairs:
        value, baseline = (measured.figures(one)[case.name].per_cpu_s for one in (name, peer))
        times = GOALS.get(case.name, {}).get(peer) if name == subject else None
        results.append(
            Result(
                f"gateway: {name} beside {peer}, {case.name}", value, "requests/CPU-s", mix(measured, case, name),
                measured.left_out, baseline, measured.versions[peer], at_least=times and times * baseline,
            )
        )  # fmt: skip
    return results


def on_the_wall(measured: Measured, name: str) -> list[Result]:
    """Requests a second of one gateway beside direct; not a goal: supplier and load are slower than a fast gateway."""
    return [
        Result(
            f"gateway: {name}, {case.name}", measured.figures(name)[case.name].rps, "requests/s", mix(measured, case, name),
            measured.left_out, measured.figures(Direct.name)[case.name].rps, "the load asks the supplier directly",
        )
        for case in (measure.JSON_ONE, measure.JSON_MANY, measure.STREAM_ONE, measure.STREAM_MANY)
    ]  # fmt: skip


def added(measured: Measured, name: str) -> list[Result]:
    """What one gateway adds to the latency of direct at c=1, beside nginx where it was measured."""
    goals = (
        (measure.JSON_ONE, "p50_us", ADDED_P50_MS),
        (measure.JSON_ONE, "p99_us", ADDED_P99_MS),
        (measure.FIRST_ONE, "p50_us", None),
    )
    direct = measured.rounds[Direct.name]
    beside = Nginx.name if Nginx.name in measured.rounds else None
    results = []
    for case, percentile, goal in goals:
        value = measure.added_us(measured.rounds[name], direct, case.name, percentile) / 1e3
        baseline = (
            measure.added_us(measured.rounds[beside], direct, case.name, percentile) / 1e3 if beside else None
        )
        results.append(
            Result(
                f"gateway: {name} adds, {case.name}, {percentile.removesuffix('_us')}", value, "ms",
                f"{mix(measured, case, name)}; direct of the same round is taken off", measured.left_out,
                baseline, f"what {beside} adds" if beside else "", at_most=goal if name == ours.NAME else None,
            )
        )  # fmt: skip
    return results


def side_by_side(measured: Measured) -> Table:
    """A column a gateway: us of CPU a request, requests a second, what it adds to direct's latency at c=1, memory."""
    shown = Table(title=f"gateways side by side: {measured.how}", title_justify="left")
    shown.add_column("")
    for name in measured.rounds:
        shown.add_column(name, justify="right")
    figures = {name: measured.figures(name) for name in measured.rounds}
    for case in (*measure.CASES, measure.FIRST_ONE):
        shown.add_row(
            f"us of CPU a request, {case.name}", *(f"{of[case.name].cpu_us:,.0f}" for of in figures.values())
        )
    for case in measure.CASES:
        shown.add_row(f"requests/s, {case.name}", *(f"{of[case.name].rps:,.0f}" for of in figures.values()))
    direct = measured.rounds[Direct.name]
    for case in (measure.JSON_ONE, measure.FIRST_ONE):
        for percentile in ("p50_us", "p99_us"):
            over = (measure.added_us(of, direct, case.name, percentile) for of in measured.rounds.values())
            shown.add_row(
                f"us added to direct, {case.name}, {percentile.removesuffix('_us')}",
                *(f"{us:,.0f}" for us in over),
            )
    shown.add_row("resident MiB", *(f"{of[-1].resident_mib:,.0f}" for of in measured.rounds.values()))
    return shown


def write_rounds(measured: Measured) -> None:
    """Every figure of every round, to look at."""
    rounds = {name: [asdict(one) for one in of] for name, of in measured.rounds.items()}
    written = {
        "versions": measured.versions,
        "not measured": measured.reasons,
        "how": measured.how,
        "rounds": rounds,
    }
    (OUT / "gateway" / "rounds.json").write_text(json.dumps(written, indent=2) + "\n")


def run() -> list[Result]:
    """All gateways side by side; without wrk there is no load, which is said, and no result."""
    try:
        require_wrk()
    except NotMeasured as reason:
        _tell(f"nothing was measured: {reason}")
        return []
    gateways: list[Gateway] = [
        Direct(),
        Nginx(),
        LiteLlm(),
        LiteLlm(granian=True),
        Portkey(),
        ours.OurGateway(),
        ours.OurGateway(firewall=True),
    ]
    rounds, seconds = (
        int(os.environ.get(name, default)) for name, default in (("ROUNDS", ROUNDS), ("SECONDS", SECONDS))
    )
    taken = measured(gateways, cores(), rounds, seconds)
    write_rounds(taken)
    if Direct.name not in taken.rounds:
        return []
    Console(stderr=True, width=None if sys.stderr.isatty() else 160).print(side_by_side(taken))
    results = [
        line
        for case in (measure.JSON_MANY, measure.STREAM_MANY, measure.STREAM_PACED)
        for line in by_cpu(taken, case)
    ]
    if ours.NAME in taken.rounds:
        results += [*on_the_wall(taken, ours.NAME), *added(taken, ours.NAME)]
    return results
