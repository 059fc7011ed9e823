"""`ciyuan factory simulate`: a trace through a serving cluster. What the command calls is imported late."""

from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.factory.scheduler_terms import Batching, Eviction, Order, Preemption, Routing
from ciyuan.services.pictures import check_picture

if TYPE_CHECKING:
    from ciyuan.factory.scheduler_terms import Cluster
    from ciyuan.factory.scheduler_trace import Trace
    from ciyuan.services.simulate_ladder import LadderOrder

STATUS = "Exit status: 0 done, 2 malformed input (nothing was written)."
EXAMPLE = (
    "Example:  ciyuan factory simulate trace.csv.gz --chip h200_sxm --replicas 4 --rate 40 --slo ttft=2,tpot=0.05"
    f" --compare --plot policies.svg   ·   {STATUS}"
)

TraceFile = Annotated[
    Path, typer.Argument(help="CSV of timestamp_s, input_tokens, output_tokens; also hash_ids, tier; or .gz.", show_default=False)
]  # fmt: skip
ChipName = Annotated[str, typer.Option("--chip", help="Chip of the replicas.")]
ModelName = Annotated[str, typer.Option("--model", help="Model served.")]
PrecisionName = Annotated[
    str, typer.Option("--precision", help="Precision of the weights; empty: the maker's own.")
]
Tensor = Annotated[
    int, typer.Option(min=0, help="GPUs of a tensor group; 0: the smallest replica that fits.")
]
Data = Annotated[int, typer.Option(min=1, help="Attention groups with sequences of their own.")]
Expert = Annotated[int, typer.Option(min=1, help="Ranks that experts are spread over.")]
Coefficients = Annotated[
    Path | None,
    typer.Option(help="TOML with a table [step] of a step's coefficients, instead of chip and model."),
]
Rate = Annotated[float | None, typer.Option(help="Stretch the trace's time to this mean rate, requests/s.")]
Since = Annotated[float, typer.Option(min=0.0, help="Skip this much of the trace, s.")]
Until = Annotated[float, typer.Option(help="Stop at this time of the trace, s.")]
Times = Annotated[int, typer.Option(min=1, help="The trace so many times over.")]
TierShares = Annotated[
    str | None, typer.Option(help="Deal requests out to tiers in these shares, as 0.2,0.8.")
]
ServeGen = Annotated[
    str | None,
    typer.Option(help="TRACE is the folder of ServeGen's client files: generate this model's requests."),
]
Seed = Annotated[int, typer.Option(help="With --servegen: the one number that all chance comes from.")]
Replicas = Annotated[int, typer.Option(min=1, help="Replicas that take requests.")]
BatchingName = Annotated[Batching, typer.Option("--batching", help="How steps are formed.")]
StepTokens = Annotated[int, typer.Option(min=1, help="Tokens of one step, read and decoded.")]
Cache = Annotated[bool, typer.Option(help="Keep prompts' blocks for those who begin alike.")]
EvictionName = Annotated[Eviction, typer.Option("--eviction", help="Which unused block goes first.")]
Policy = Annotated[Order, typer.Option("--policy", help="Who is admitted next.")]
Lower = Annotated[bool, typer.Option("--preempt-lower", help="Higher tiers take the memory of lower ones.")]
PreemptionName = Annotated[
    Preemption, typer.Option("--preemption", help="What becomes of a sequence that gives way.")
]
RoutingName = Annotated[Routing, typer.Option("--routing", help="Which replica an arrival goes to.")]
Promise = Annotated[
    list[str] | None, typer.Option("--slo", help="ttft=S,tpot=S; once for all tiers, or once a tier.")
]
Ration = Annotated[
    list[str] | None,
    typer.Option("--ration", help="share=OF_PLACES,queue=MOST_WAITING; once, or once a tier."),
]
Speculation = Annotated[
    str | None,
    typer.Option(
        "--speculation", help="tokens=EXPECTED_PER_STEP,positions=COMPUTED, as tokens=2.4,positions=4."
    ),
]
DecodeReplicas = Annotated[int, typer.Option(min=0, help="Decode on so many replicas apart; 0: together.")]
Transfer = Annotated[
    float | None,
    typer.Option(
        "--transfer-us", min=0.0, help="Hand-over of a token's cache, us, instead of the chip's links."
    ),
]
Swap = Annotated[
    float, typer.Option("--swap-us", min=0.0, help="Moving a token's cache to the host, microseconds.")
]
Autoscale = Annotated[
    str | None, typer.Option(help="Least and most replicas, as 1:8, instead of --replicas.")
]
PerReplica = Annotated[float, typer.Option(help="With --autoscale: unfinished requests a replica is for.")]
StartUp = Annotated[float, typer.Option(min=0.0, help="With --autoscale: seconds until a new replica works.")]
Concurrency = Annotated[
    int | None, typer.Option(help="Keep so many requests in service; the trace's times are not used.")
]
Compare = Annotated[
    bool,
    typer.Option("--compare", help="The most that each optimisation can promise, one on top of the other."),
]
Ladder = Annotated[
    float | None,
    typer.Option(
        "--ladder", help="The most at this tokens/s per user, after each change of software; closed loop."
    ),
]
Share = Annotated[
    float, typer.Option("--share", help="With --compare: share of a tier's requests that must be kept.")
]
Plot = Annotated[
    Path | None, typer.Option(help="Draw waits, or with --compare goodput by load, into .svg or .png.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def simulate(
    trace: TraceFile,
    chip: ChipName = "h200_sxm",
    model: ModelName = "deepseek-ai/DeepSeek-R1",
    precision: PrecisionName = "",
    tensor: Tensor = 0,
    data: Data = 1,
    expert: Expert = 1,
    coefficients: Coefficients = None,
    rate: Rate = None,
    since: Since = 0.0,
    until: Until = inf,
    times: Times = 1,
    tier_shares: TierShares = None,
    servegen: ServeGen = None,
    seed: Seed = 1,
    replicas: Replicas = 1,
    batching: BatchingName = Batching.CHUNKED,
    step_tokens: StepTokens = 2048,
    cache: Cache = True,
    eviction: EvictionName = Eviction.LRU,
    policy: Policy = Order.FCFS,
    preempt_lower: Lower = False,
    preemption: PreemptionName = Preemption.RECOMPUTE,
    routing: RoutingName = Routing.LEAST_REQUESTS,
    slo: Promise = None,
    ration: Ration = None,
    speculation: Speculation = None,
    decode_replicas: DecodeReplicas = 0,
    transfer_us: Transfer = None,
    swap_us: Swap = 0.0,
    autoscale: Autoscale = None,
    requests_per_replica: PerReplica = 64.0,
    start_up: StartUp = 120.0,
    concurrency: Concurrency = None,
    compare: Compare = False,
    share: Share = 0.99,
    ladder: Ladder = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Serve a trace on a simulated cluster: waits, goodput within the promises, and what each policy adds."""
    from ciyuan.services.simulate_engine import Machine, replica_of
    from ciyuan.services.simulate_ladder import order_of_options
    from ciyuan.services.simulate_terms import PolicyOrder, TraceOrder, cluster_of_order, trace_of_order

    if plot is not None:
        check_picture(plot)
    requests = trace_of_order(TraceOrder(trace, since, until, times, rate, tier_shares, servegen, seed))
    machine = Machine(chip, model, precision, tensor, data, expert)
    if ladder is not None:
        beside = {"--plot": plot, "--coefficients": coefficients, "--compare": compare or None}
        climb = order_of_options(machine, replicas, step_tokens, transfer_us, slo or (), beside)
        return _climb(climb, requests, ladder, as_json)
    replica = replica_of(machine, coefficients, requests)
    order = PolicyOrder(
        replicas, batching, step_tokens, cache, eviction, policy, preempt_lower, preemption, routing, tuple(slo or ()),
        tuple(ration or ()), speculation, decode_replicas, transfer_us, swap_us, autoscale, requests_per_replica, start_up,
        concurrency,
    )  # fmt: skip
    cluster = cluster_of_order(order, replica, requests)
    if compare:
        return _compare(requests, cluster, share, plot, as_json)
    return _run(f"{trace.name} on {cluster.most_replicas} x {replica.what}", requests, cluster, plot, as_json)


def _run(title: str, trace: "Trace", cluster: "Cluster", plot: Path | None, as_json: bool) -> None:
    from ciyuan.factory.scheduler import simulate as simulated
    from ciyuan.factory.scheduler_outcome import summary
    from ciyuan.services.door.registry_command import print_json

    outcome = simulated(trace, cluster)
    run = summary(outcome)
    if plot is not None:
        from ciyuan.services.simulate_plots import draw_waits

        draw_waits(plot, outcome)
    if as_json:
        print_json(finite({"what": title, **asdict(run)}))
    else:
        from ciyuan.services.simulate_print import print_run

        print_run(title, run, cluster.tiers)


def _compare(trace: "Trace", cluster: "Cluster", share: float, plot: Path | None, as_json: bool) -> None:
    from ciyuan.factory.scheduler_capacity import compared, policies
    from ciyuan.services.door.registry_command import print_json

    stack = policies(cluster)
    found = compared(trace, stack, share)
    if plot is not None:
        from ciyuan.services.simulate_plots import draw_compared, load_curves

        draw_compared(plot, load_curves(trace, stack, found), found)
    if as_json:
        print_json(finite({"share_min": share, "policies": [asdict(one) for one in found]}))
    else:
        from ciyuan.services.simulate_print import print_compared

        print_compared(found, share)


def _climb(climb: "LadderOrder", trace: "Trace", speed: float, as_json: bool) -> None:
    from ciyuan.services.door.registry_command import print_json
    from ciyuan.services.simulate_ladder import climbed, print_ladder, told

    found = climbed(climb, trace, speed)
    what = f"{trace.requests:,} requests on {climb.replicas} replicas of {climb.machine.chip}, {climb.machine.model}"
    if as_json:
        print_json(finite(told(found, speed, what)))
    else:
        print_ladder(found, speed, what)


def finite(value: object) -> object:
    """The same with None where a number is not finite: JSON has no word for it."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not abs(value) < inf else value
