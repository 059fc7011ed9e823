"""`ciyuan factory simulate --ladder SPEED`: one hardware, one speed for each user, the software changed step by step."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import inf

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.basics.errors import Malformed
from ciyuan.factory.hardware import peak_flops
from ciyuan.factory.model import Precision
from ciyuan.factory.scheduler_ladder import Rung, ladder
from ciyuan.factory.scheduler_terms import Batching, Cluster, Disaggregation, EngineTerms, Routing
from ciyuan.factory.scheduler_trace import Trace
from ciyuan.services.catalog_calibration import shipped
from ciyuan.services.catalog_factory import names
from ciyuan.services.simulate_engine import Machine, replica_of_machine
from ciyuan.services.simulate_terms import named_numbers

WIDTH = 132
KEYNOTE = 5000 / 700
"""The factor of the keynote's example of software alone: from 700 to about 5,000 tokens/s."""

COLUMNS = ("software", "in service", "output tokens/s per GPU", "x the first", "x the row above", "tokens/s per user",
           "TTFT p50")  # fmt: skip


@dataclass(frozen=True, slots=True)
class LadderOrder:
    """What is changed on the way: the machine as it ends (its `precision` empty: the narrowest that the chip and the model have),
    replicas, tokens of a step, seconds to hand a token's cache over, and the most seconds to the median user's first token."""

    machine: Machine
    replicas: int
    step_tokens: int = 2048
    transfer_s_per_token: float | None = None
    ttft_s_max: float = inf


def order_of_options(
    machine: Machine,
    replicas: int,
    step_tokens: int,
    transfer_us: float | None,
    slos: Sequence[str],
    beside: Mapping[str, object],
) -> LadderOrder:
    """The order of the command line's words. Raises Malformed for an option `beside` the ladder that it has no use for."""
    given = [name for name, value in beside.items() if value is not None]
    if given:
        raise Malformed("options", found=f"--ladder and {', '.join(given)}", expected="one or the other",
                        remedy="Run the command twice.")  # fmt: skip
    promised = named_numbers(slos[0] if slos else None, "--slo", {"ttft": inf, "tpot": inf})
    transfer_s = None if transfer_us is None else transfer_us / 1e6
    return LadderOrder(machine, replicas, step_tokens, transfer_s, promised["ttft"])


def rungs(order: LadderOrder, trace: Trace) -> dict[str, Cluster]:
    """The states of the software, each with all that came before it, on the same GPUs.

    The first is a naive server in the wider of the two precisions. What the model, the chip, the trace or the number of
    replicas does not allow is left out: drafting layers, a narrower precision, hashes, a second replica. The last ones, one
    engine over all GPUs and reading apart from decoding, each stand on speculation, not on one another.
    """
    lengths = float(trace.input_tokens.mean()), float(trace.output_tokens.mean())
    known = names()
    chip, model = known.chip(order.machine.chip), known.model(order.machine.model)
    wide = known.precision(order.machine.precision, model)
    machine = order.machine
    step = replica_of_machine(machine, *lengths).step
    last = Cluster(EngineTerms(step, Batching.STATIC, order.step_tokens, prefix_cache=False), order.replicas)
    stack = {f"static batching, {wide}": last}

    def add(name: str, engine: EngineTerms, routing: Routing | None = None) -> None:
        nonlocal last
        last = stack[name] = replace(last, engine=engine, routing=routing or last.routing)

    add("continuous batching", replace(last.engine, batching=Batching.CONTINUOUS))
    add("chunked prefill", replace(last.engine, batching=Batching.CHUNKED))
    if len(trace.blocks):
        add("prefix cache", replace(last.engine, prefix_cache=True), Routing.PREFIX_AFFINITY)
    if (
        chip.fp4_tflops
        and wide is not Precision.FP4
        and peak_flops(chip, Precision.FP4) > peak_flops(chip, wide)
    ):
        machine = replace(machine, precision=Precision.FP4)
        add(
            f"quantised to {Precision.FP4}",
            replace(last.engine, step=replica_of_machine(machine, *lengths).step),
        )
    if model.draft_layers:
        constants = shipped().fitted.constants
        positions = max(2, round(1 + constants.drafted))
        add(
            "speculative decoding",
            replace(last.engine, tokens_per_step=constants.accepted, positions=positions),
        )
    gpus, transfer_s = step.gpus * order.replicas, order.transfer_s_per_token
    if transfer_s is None:
        transfer_s = replica_of_machine(machine, *lengths).transfer_s_per_token or 0.0
    if model.experts and order.replicas > 1:
        with suppress(Malformed):  # attention's weights on every GPU may not fit: then there is no such rung
            spread = replica_of_machine(replace(machine, tensor=1, data=gpus, expert=gpus), *lengths).step
            engine = replace(last.engine, step=spread, step_tokens_max=order.step_tokens * order.replicas)
            stack[f"one engine, experts over {gpus}"] = replace(last, replicas=1, engine=engine)
    for readers in range(1, order.replicas):
        decode = Disaggregation(last.engine, order.replicas - readers, transfer_s)
        stack[f"apart: {readers} read, {order.replicas - readers} decode"] = replace(
            last, replicas=readers, decode=decode
        )
    return stack


def climbed(order: LadderOrder, trace: Trace, speed: float) -> tuple[Rung, ...]:
    """The rungs at one speed."""
    return ladder(trace, rungs(order, trace), speed, order.ttft_s_max)


def told(found: Sequence[Rung], speed: float, what: str) -> dict[str, object]:
    """The rungs for JSON."""
    return {
        "what": what,
        "tokens_per_s_per_user_min": speed,
        "rungs": [asdict(rung) for rung in found],
        "best_factor": best(found),
    }


def best(found: Sequence[Rung]) -> float | None:
    """The best rung's tokens/s per GPU over the first's; None where the first makes none."""
    first = found[0].output_tokens_per_s_per_gpu
    return max(rung.output_tokens_per_s_per_gpu for rung in found) / first if first else None


def print_ladder(found: Sequence[Rung], speed: float, what: str) -> None:
    """Print the rungs, and how far they reach of the keynote's example."""
    table = Table(
        title=f"{what}\nthe most at {speed:g} tokens/s for the median user",
        box=SIMPLE_HEAD,
        title_justify="left",
    )
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "software" else "right", no_wrap=name == "software")
    before = first = found[0].output_tokens_per_s_per_gpu
    for rung in found:
        made = rung.output_tokens_per_s_per_gpu
        factors = [f"{made / base:.2f}" if base else "" for base in (first, before)]
        cells = (
            f"{rung.concurrency:,}",
            f"{made:,.0f}",
            *factors,
            f"{rung.tokens_per_s_per_user:.1f}",
            f"{rung.ttft_s:.2f} s",
        )
        table.add_row(rung.name, *(cells if rung.concurrency else ("too slow", "", "", "", "", "")))
        before = made or before
    console = Console(width=WIDTH)
    console.print(table)
    reached = best(found)
    if reached:
        console.print(
            f"From 700 to 5,000 tokens/s is x {KEYNOTE:.1f}; here software alone is x {reached:.1f}."
        )
