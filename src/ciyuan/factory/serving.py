"""Serving points: from a measured run, out of a table, and for a request shape between two that were measured.

Little's law. In a steady state the requests in service are the arrival rate times the time each is in service, so a
run that holds `concurrency` requests, each of `output_tokens` after a time of ttft + tpot * (output_tokens - 1),
delivers concurrency * output_tokens / that time. It is a few percent generous against measured rates, because
requests end early and others have not yet come (data/serving.toml says by how much).

Between two shapes. At one tier a GPU's seconds per request are taken as a * input tokens + b * output tokens; two
shapes that were measured give a and b. This will lie where attention over long inputs makes a token's cost grow with
its place: a shape outside the measured ratios of input to output is refused, never guessed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ciyuan.basics.errors import Malformed
from ciyuan.factory.messages import Provenance, ServingPoint


def output_rate(concurrency: float, output_tokens: float, ttft_ms: float, tpot_ms: float, gpus: int) -> float:
    """Output tokens per second and GPU of a run, by Little's law (see above). All arguments above 0."""
    seconds_in_service = (ttft_ms + tpot_ms * (output_tokens - 1)) / 1000
    return concurrency * output_tokens / seconds_in_service / gpus


def points_at(
    points: Iterable[ServingPoint], chip: str, model: str, precision: str, tier: str
) -> tuple[ServingPoint, ...]:
    """The points of a table for a chip, model, precision and tier, of all request shapes.

    Raises Malformed, naming what was measured, if there is none: absence is never filled.
    """
    table = tuple(points)
    wanted = {"model": model, "chip": chip, "precision": precision, "tier": tier}
    for name, value in wanted.items():
        known = sorted({str(getattr(point, name)) for point in table})
        table = tuple(point for point in table if getattr(point, name) == value)
        if not table:
            raise Malformed(f"serving point of {model} on {chip}, {precision}, {tier}, {name}", found=value,
                            expected=f"one that was measured: {', '.join(known)}",
                            remedy="Choose one of these, or add a measured row to serving.toml.")  # fmt: skip
    return table


@dataclass(frozen=True, slots=True)
class LegSeconds:
    """GPU-seconds per token of each leg, at a tier: the measured counterpart of a conversion vector."""

    input: float
    output: float


def _solve(one: ServingPoint, two: ServingPoint) -> LegSeconds | None:
    """The leg times that make both points' requests come out right, or None if the two shapes cannot tell the legs apart."""
    determinant = one.input_tokens * two.output_tokens - two.input_tokens * one.output_tokens
    if determinant == 0:
        return None
    seconds = (one.output_tokens / one.output_tokens_per_s, two.output_tokens / two.output_tokens_per_s)
    return LegSeconds(
        (seconds[0] * two.output_tokens - seconds[1] * one.output_tokens) / determinant,
        (seconds[1] * one.input_tokens - seconds[0] * two.input_tokens) / determinant,
    )


def leg_seconds(points: Sequence[ServingPoint]) -> LegSeconds:
    """GPU-seconds per input and per output token, from two points of one tier with different shapes (the first two
    that differ).

    Raises Malformed if there are none, or if they contradict each other (a leg that would take no time).
    """
    for one, two in combinations(points, 2):
        legs = _solve(one, two)
        if legs is not None:
            if legs.input <= 0 or legs.output <= 0:
                raise Malformed(f"serving points of {one.model} on {one.chip}, {one.tier}", found=legs,
                                expected="two request shapes whose times agree",
                                remedy="Use one measured shape as it is.")  # fmt: skip
            return legs
    raise Malformed("serving points", found=f"{len(points)} of one shape", expected="two request shapes of one tier",
                    remedy="Add a measured row of another shape, or use the shape that was measured.")  # fmt: skip


def at_shape(points: Sequence[ServingPoint], input_tokens: float, output_tokens: float) -> ServingPoint:
    """The point of one chip, model, precision and tier for requests of `input_tokens` in and `output_tokens` out.

    A shape that was measured comes back as it is. Another is computed from two that were, with the slower of their
    speeds and the later of their first tokens, and says CALIBRATED. Raises Malformed for points of more than one
    tier, chip, model or precision, or a ratio of input to output outside those measured.
    """
    for point in points:
        if (point.input_tokens, point.output_tokens) == (input_tokens, output_tokens):
            return point
    _expect_one_kind(points)
    legs = leg_seconds(points)
    ratios = [point.input_tokens / point.output_tokens for point in points]
    if not (output_tokens > 0 and min(ratios) <= input_tokens / output_tokens <= max(ratios)):
        raise Malformed("request shape", found=f"{input_tokens} in, {output_tokens} out",
                        expected=f"a ratio of input to output from {min(ratios):g} to {max(ratios):g}, as measured",
                        remedy="Choose a shape between those that were measured.")  # fmt: skip
    return replace(
        points[0],
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        output_tokens_per_s=output_tokens / (legs.input * input_tokens + legs.output * output_tokens),
        tokens_per_s_per_user=min(point.tokens_per_s_per_user for point in points),
        ttft_ms=max(point.ttft_ms for point in points),
        gpus_per_replica=max(point.gpus_per_replica for point in points),
        software=" | ".join(sorted({point.software for point in points})),
        provenance=Provenance.CALIBRATED,
        observed_on=max(point.observed_on for point in points),
    )


def _expect_one_kind(points: Sequence[ServingPoint]) -> None:
    kinds = sorted({(point.chip, point.model, point.precision, point.tier) for point in points})
    if len(kinds) != 1:
        raise Malformed("serving points", found=kinds, expected="points of one chip, model, precision and tier",
                        remedy="Choose them with points_at first.")  # fmt: skip
