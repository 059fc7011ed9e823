"""The whole cluster, one step at a time, with plain objects: the twin of `scheduler_kernel`, slow and obvious."""

from math import ceil, inf, nan

import numpy as np

from ciyuan.basics.errors import require
from ciyuan.factory.scheduler import check_fit
from ciyuan.factory.scheduler_outcome import QUEUE_FULL, SERVED, TOO_LARGE, Outcome
from ciyuan.factory.scheduler_plain_replica import PlainReplica, PlainRequest
from ciyuan.factory.scheduler_terms import TOKEN_PARTS, Cluster, Routing
from ciyuan.factory.scheduler_trace import Trace


class PlainPlace:
    """A replica and whether it is paid for, takes requests, or only ends what it has."""

    def __init__(self, replica: PlainReplica, on: bool, since_s: float) -> None:
        self.replica = replica
        self.on, self.draining = on, False
        self.since_s = self.ready_s = since_s
        self.on_s = 0.0
        self.unfinished: list[PlainRequest] = []

    def takes(self, now_s: float) -> bool:
        """Whether arrivals may be sent here."""
        return self.on and not self.draining and self.ready_s <= now_s

    def switch_off(self, now_s: float) -> None:
        """Stop paying."""
        self.on = self.draining = False
        self.on_s += now_s - self.since_s


class PlainCluster:
    """Replicas, the router, the autoscaler and the clock."""

    def __init__(self, trace: Trace, cluster: Cluster) -> None:
        self.cluster = cluster
        self.waiting = [
            PlainRequest(row, int(trace.input_tokens[row]), int(trace.output_tokens[row]), int(trace.tier[row]),
                         trace.blocks[trace.block_from[row] : trace.block_from[row + 1]].tolist(),
                         nan if cluster.concurrency else float(trace.arrival_s[row]))
            for row in range(trace.requests)
        ]  # fmt: skip
        self.requests = list(self.waiting)
        self.refused: dict[int, int] = {}
        self.moving: list[PlainRequest] = []
        self.seen: dict[int, PlainPlace] = {}
        self.turn = 0
        start_s = 0.0 if cluster.concurrency else float(trace.arrival_s[0])
        growth = cluster.autoscaling
        block_tokens = trace.block_tokens if cluster.engine.prefix_cache and len(trace.blocks) else 0
        self.front = [
            PlainPlace(PlainReplica(number, cluster.engine, cluster, block_tokens, cluster.decode is not None),
                       growth is None or number < growth.replicas_min, start_s)
            for number in range(cluster.most_replicas)
        ]  # fmt: skip
        self.back = [
            PlainPlace(
                PlainReplica(len(self.front) + number, cluster.decode.engine, cluster, 0, False),
                True,
                start_s,
            )
            for number in range(cluster.decode.replicas if cluster.decode else 0)
            if cluster.decode is not None
        ]
        self.places = [*self.front, *self.back]
        self.tick_s = start_s + growth.interval_s if growth else inf
        self.fewer_since_s = inf
        for _ in range(cluster.concurrency or 0):
            self._release(0.0)

    def _release(self, now_s: float) -> None:
        """In a closed loop, the next request comes."""
        later = next((request for request in self.waiting if request.arrival_s != request.arrival_s), None)
        if later is not None and self.cluster.concurrency:
            later.arrival_s = now_s

    # --- the clock ---
    def run(self) -> None:
        """Let everything happen, the soonest first."""
        left = len(self.requests)
        while left:
            place = min(self.places, key=lambda p: p.replica.event_s)
            event_s = place.replica.event_s
            arrival_s = self.waiting[0].arrival_s if self.waiting else inf
            arrival_s = inf if arrival_s != arrival_s else arrival_s
            moving = min(self.moving, key=lambda r: (r.handed_s, r.number), default=None)
            handed_s = moving.handed_s if moving else inf
            soonest = min(arrival_s, handed_s, self.tick_s, event_s)
            require(
                soonest < inf, "a scheduler's work is conserved", "requests are left, but nothing can happen"
            )
            if arrival_s == soonest:
                left -= self._arrive(self.waiting.pop(0), soonest)
            elif moving is not None and handed_s == soonest:
                self.moving.remove(moving)
                self._send(moving, min(self.back, key=lambda p: len(p.unfinished)), soonest)
            elif self.tick_s == soonest:
                self._tick(soonest)
            else:
                left -= self._settle(place)
        end_s = max(place.replica.now_s for place in self.places)
        for place in self.places:
            if place.on:
                place.on_s += max(0.0, end_s - place.since_s)

    def _settle(self, place: PlainPlace) -> int:
        ended, handed = place.replica.settle()
        for request in (*ended, *handed):
            place.unfinished.remove(request)
        for request in handed:
            decode = self.cluster.decode
            if decode is not None:
                context = request.tokens_in + request.made
                request.handed_s = place.replica.now_s + (
                    decode.latency_s + context * decode.transfer_s_per_token
                )
                self.moving.append(request)
        for _ in ended:
            self._release(place.replica.now_s)
        if place.draining and not place.unfinished:
            place.switch_off(place.replica.now_s)
        place.replica.plan()
        return len(ended)

    # --- arrivals ---
    def _arrive(self, request: PlainRequest, now_s: float) -> int:
        """Send a request on its way; 1 if it was refused instead."""
        rule = self.cluster.rule
        request.key = (
            rule.prompt_weight * request.tokens_in
            + rule.output_weight * request.tokens_out
            + rule.tier_wait_s[request.tier]
        ) + rule.arrival_weight * now_s
        engines = [self.cluster.engine, *([self.cluster.decode.engine] if self.cluster.decode else [])]
        tokens = request.tokens_in + request.tokens_out + 1
        if any(
            tokens + 2 * engine.tokens_per_step_parts / TOKEN_PARTS > engine.step.context_tokens_max
            for engine in engines
        ):
            return self._refuse(request, TOO_LARGE, now_s)
        place = self._routed(request, now_s)
        most = self.cluster.tiers[request.tier].queue_max
        if most is not None and sum(other.tier == request.tier for other in place.replica.queue) >= most:
            return self._refuse(request, QUEUE_FULL, now_s)
        self._send(request, place, now_s)
        return 0

    def _refuse(self, request: PlainRequest, why: int, now_s: float) -> int:
        self.refused[request.number] = why
        self._release(now_s)
        return 1

    def _send(self, request: PlainRequest, place: PlainPlace, now_s: float) -> None:
        place.unfinished.append(request)
        place.replica.queue.append(request)
        if place.replica.event_s == inf:
            place.replica.wake(now_s)

    def _routed(self, request: PlainRequest, now_s: float) -> PlainPlace:
        open_ = [place for place in self.front if place.takes(now_s)]
        routing = self.cluster.routing
        if routing is Routing.ROUND_ROBIN:
            while not self.front[self.turn % len(self.front)].takes(now_s):
                self.turn += 1
            self.turn += 1
            return self.front[(self.turn - 1) % len(self.front)]
        if routing is Routing.LEAST_TOKENS:
            return min(open_, key=lambda p: sum(r.tokens_in for r in p.unfinished))
        least = min(open_, key=lambda p: len(p.unfinished))
        if routing is Routing.PREFIX_AFFINITY:
            return self._affine(request, least, now_s)
        return least

    def _affine(self, request: PlainRequest, least: PlainPlace, now_s: float) -> PlainPlace:
        chosen = least
        for block in request.blocks:
            place = self.seen.get(block)
            if place is None:
                break
            if (
                place.takes(now_s)
                and len(place.unfinished) <= len(least.unfinished) + self.cluster.affinity_slack
            ):
                chosen = place
        self.seen.update(dict.fromkeys(request.blocks, chosen))
        return chosen

    # --- autoscaling ---
    def _tick(self, now_s: float) -> None:
        growth = self.cluster.autoscaling
        if growth is None:
            return
        self.tick_s = now_s + growth.interval_s
        alive = sum(place.on and not place.draining for place in self.front)
        load = sum(len(place.unfinished) for place in self.front)
        wanted = min(max(ceil(load / growth.requests_per_replica), growth.replicas_min), growth.replicas_max)
        if wanted >= alive:
            self.fewer_since_s = inf
            draining = [place for place in self.front if place.draining]
            off = [place for place in self.front if not place.on]
            for place in [*draining, *off][: wanted - alive]:
                if not place.on:
                    place.since_s, place.ready_s, place.replica.now_s = (
                        now_s,
                        now_s + growth.start_up_s,
                        now_s,
                    )
                place.on, place.draining = True, False
            return
        if self.fewer_since_s == inf:
            self.fewer_since_s = now_s
        if now_s - self.fewer_since_s >= growth.scale_down_after_s:
            self._drain_one(now_s)

    def _drain_one(self, now_s: float) -> None:
        alive = [place for place in self.front if place.on and not place.draining]
        last = max(alive, key=lambda p: (p.since_s, p.replica.number))
        if [place for place in alive if place.takes(now_s)] == [last]:
            return
        last.draining = True
        if not last.unfinished:
            last.switch_off(now_s)


def simulate_plainly(trace: Trace, cluster: Cluster) -> Outcome:
    """What `scheduler.simulate` gives, worked out step by step."""
    check_fit(trace, cluster)
    world = PlainCluster(trace, cluster)
    world.run()
    requests, replicas = world.requests, [place.replica for place in world.places]
    answer = np.array([world.refused.get(request.number, SERVED) for request in requests], dtype=np.int64)
    return Outcome(
        trace=trace,
        cluster=cluster,
        arrival_s=np.array([request.arrival_s for request in requests]),
        admitted_s=np.array([request.admitted_s for request in requests]),
        first_s=np.array([request.first_s for request in requests]),
        finish_s=np.array([request.finish_s for request in requests]),
        cached_tokens=np.array([request.cached for request in requests], dtype=np.int64),
        preemptions=np.array([request.preempted for request in requests], dtype=np.int64),
        replica=np.array([request.replica for request in requests], dtype=np.int64),
        answer=answer,
        busy_s=np.array([replica.busy_s for replica in replicas]),
        on_s=np.array([place.on_s for place in world.places]),
        sequence_s=np.array([replica.place_s for replica in replicas]),
        steps=np.array([replica.steps for replica in replicas], dtype=np.int64),
        prompt_tokens=np.array([replica.prompt_tokens for replica in replicas], dtype=np.int64),
        held_tokens_max=np.array([replica.held_max for replica in replicas]) / TOKEN_PARTS,
        gpus=np.array([replica.engine.step.gpus for replica in replicas], dtype=np.int64),
    )
