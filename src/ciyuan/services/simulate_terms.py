"""What `ciyuan factory simulate` is asked, as values, and the cluster and trace that it makes of it."""

import tomllib
from dataclasses import dataclass, fields
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler_terms import (
    Autoscaling,
    Batching,
    Cluster,
    Disaggregation,
    EngineTerms,
    Eviction,
    Order,
    Preemption,
    Routing,
    Slo,
    TierTerms,
)
from ciyuan.factory.scheduler_trace import Trace
from ciyuan.factory.step import StepTime
from ciyuan.services.trace_file import read_trace, shares_of

if TYPE_CHECKING:
    from ciyuan.services.simulate_engine import Replica


@dataclass(frozen=True, slots=True)
class TraceOrder:
    """Which requests: a file, a span of it in seconds after its first request, so many times over, at a mean rate, in tiers.

    With `servegen`, a model of ServeGen, `file` is the folder of its client files, and the span is of its trace's time.
    """

    file: Path
    since_s: float = 0.0
    until_s: float = inf
    times: int = 1
    rate: float | None = None
    tier_shares: str | None = None
    servegen: str | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class PolicyOrder:
    """How they are served; texts as the command line has them ("ttft=2,tpot=0.05", "1:8", "tokens=2.4,positions=4")."""

    replicas: int = 1
    batching: Batching = Batching.CHUNKED
    step_tokens: int = 2048
    prefix_cache: bool = True
    eviction: Eviction = Eviction.LRU
    order: Order = Order.FCFS
    preempt_lower: bool = False
    preemption: Preemption = Preemption.RECOMPUTE
    routing: Routing = Routing.LEAST_REQUESTS
    slos: tuple[str, ...] = ()
    rations: tuple[str, ...] = ()
    speculation: str | None = None
    decode_replicas: int = 0
    transfer_us_per_token: float | None = None
    swap_us_per_token: float = 0.0
    autoscaling: str | None = None
    requests_per_replica: float = 64.0
    start_up_s: float = 120.0
    concurrency: int | None = None


def trace_of_order(order: TraceOrder) -> Trace:
    """The requests that are asked for. Raises Malformed."""
    if order.servegen is not None:
        from ciyuan.services.trace_servegen import Slice, generated

        seconds = order.until_s - order.since_s
        trace = generated(order.file, Slice(order.servegen, order.since_s, seconds), order.seed)
    else:
        trace = read_trace(order.file).between(order.since_s, order.until_s)
    if order.tier_shares is not None:
        trace = trace.with_tiers(shares_of(order.tier_shares))
    if order.times > 1:
        trace = trace.repeated(order.times)
    return trace if order.rate is None else trace.at_rate(order.rate)


def cluster_of_order(order: PolicyOrder, replica: "Replica", trace: Trace) -> Cluster:
    """The cluster that is asked for, of such replicas, for a trace's tiers; without hashes there is no prefix cache.

    Raises Malformed.
    """
    if order.preemption is Preemption.SWAP and not order.swap_us_per_token:
        raise Malformed("option --preemption", found="swap, in no time", expected="the time of moving a token's cache",
                        remedy="Give --swap-us.")  # fmt: skip
    caches = order.prefix_cache and len(trace.blocks) > 0
    spoken = named_numbers(order.speculation, "speculation", {"tokens": 1.0, "positions": 1.0})
    engine = EngineTerms(
        replica.step, order.batching, order.step_tokens, caches, order.eviction, preemption=order.preemption,
        swap_s_per_token=order.swap_us_per_token / 1e6, tokens_per_step=spoken["tokens"], positions=int(spoken["positions"]),
    )  # fmt: skip
    decode = None
    if order.decode_replicas:
        decode = Disaggregation(engine, order.decode_replicas, _transfer_s(order, replica))
    return Cluster(
        engine,
        order.replicas,
        order.order,
        _tiers(order, trace.tiers),
        preempt_lower_tiers=order.preempt_lower,
        routing=order.routing,
        decode=decode,
        autoscaling=_autoscaling(order),
        concurrency=order.concurrency,
    )


def _transfer_s(order: PolicyOrder, replica: "Replica") -> float:
    """Seconds of handing one token's cache over: as told, or by the chip's links."""
    if order.transfer_us_per_token is not None:
        return order.transfer_us_per_token / 1e6
    if replica.transfer_s_per_token is None:
        raise Malformed("option --decode-replicas", found=f"no --transfer-us, and links unknown of {replica.what}",
                        expected="the time of a hand-over", remedy="Give --transfer-us.")  # fmt: skip
    return replica.transfer_s_per_token


def _tiers(order: PolicyOrder, tiers: int) -> tuple[TierTerms, ...]:
    """Terms for each tier: one promise for all, or one each; and likewise rations."""
    for what, given in (("--slo", order.slos), ("--ration", order.rations)):
        if len(given) not in (0, 1, tiers):
            raise Malformed(f"option {what}", found=f"{len(given)} of them", expected=f"none, 1 for all, or {tiers}, one a tier",
                            remedy="Give the highest tier's first.")  # fmt: skip
    terms = []
    for tier in range(tiers):
        slo = named_numbers(_one_of(order.slos, tier), "--slo", {"ttft": inf, "tpot": inf})
        ration = named_numbers(_one_of(order.rations, tier), "--ration", {"share": 1.0, "queue": inf})
        queue_max = None if ration["queue"] == inf else int(ration["queue"])
        terms.append(TierTerms(Slo(slo["ttft"], slo["tpot"]), ration["share"], queue_max))
    return tuple(terms)


def _one_of(given: tuple[str, ...], tier: int) -> str | None:
    return given[min(tier, len(given) - 1)] if given else None


def _autoscaling(order: PolicyOrder) -> Autoscaling | None:
    if order.autoscaling is None:
        return None
    low, _, high = order.autoscaling.partition(":")
    if not (low.isdigit() and high.isdigit()):
        raise Malformed("option --autoscale", found=order.autoscaling, expected="least and most replicas, as 1:8",
                        remedy="Give two whole numbers.")  # fmt: skip
    return Autoscaling(int(low), int(high), order.requests_per_replica, start_up_s=order.start_up_s)


def named_numbers(text: str | None, what: str, known: dict[str, float]) -> dict[str, float]:
    """Numbers by name from "ttft=2,tpot=0.05"; those not named keep their value in `known`. Raises Malformed."""
    found = dict(known)
    for part in text.split(",") if text else ():
        name, _, number = part.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            found["" if name.strip() in known else name.strip()] = 0.0
        if set(found) != set(known):
            raise Malformed(f"option {what}", found=part, expected=", ".join(f"{key}=number" for key in known),
                            remedy="Separate them with commas.")  # fmt: skip
    return found


def read_step(path: Path) -> StepTime:
    """Coefficients of a step from a TOML file with a table [step]: each field of `StepTime` by its name. Raises Malformed."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("step", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Malformed(f"coefficients {path}", found=str(error), expected="a TOML file with a table [step]",
                        remedy="Mend the file or its path.") from None  # fmt: skip
    wanted = {field.name for field in fields(StepTime)}
    if not isinstance(table, dict) or set(table) != wanted:
        differing = sorted(wanted ^ set(table)) if isinstance(table, dict) else [str(table)]
        raise Malformed(f"coefficients {path}, [step]", found=f"missing or unknown: {', '.join(differing)}",
                        expected=f"each of {', '.join(sorted(wanted))}", remedy="Name each once.")  # fmt: skip
    for name, value in table.items():
        whole = name in {"gpus", "context_tokens_max", "sequences_max"}
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise Malformed(f"coefficients {path}, {name}", found=value, expected="a whole number" if whole else "a number",
                            remedy="Mend the value.")  # fmt: skip
    return StepTime(**table)
