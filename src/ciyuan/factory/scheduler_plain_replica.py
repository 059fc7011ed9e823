"""One replica, one step at a time, with plain objects: what `scheduler_replica` compiles, and jumps over, as plain as can be."""

from dataclasses import dataclass, field
from math import inf, nan, sqrt

from ciyuan.factory.scheduler_plain_cache import PlainCache
from ciyuan.factory.scheduler_terms import TOKEN_PARTS, Batching, Cluster, EngineTerms, Preemption


@dataclass(slots=True, eq=False)
class PlainRequest:
    """A request and what has become of it. `held` are the blocks it uses, `private` the parts of memory it has alone."""

    number: int
    tokens_in: int
    tokens_out: int
    tier: int
    blocks: list[int]
    arrival_s: float
    key: float = nan
    admitted_s: float = nan
    first_s: float = nan
    finish_s: float = nan
    handed_s: float = nan
    made: int = 0
    read: int = 0
    goal: int = 0
    private: int = 0
    gained: int = 0
    held: list[int] = field(default_factory=list)
    cached: int = 0
    preempted: int = 0
    replica: int = -1
    admission: int = 0
    ready: bool = False
    swapped: bool = False
    refused: str = ""

    @property
    def context_parts(self) -> int:
        """Tokens that its next step attends to."""
        return (self.tokens_in + self.made) * TOKEN_PARTS + self.gained

    def steps_left(self, parts: int) -> int:
        """Steps until its last token, from when it began to decode."""
        return -(-(self.tokens_out - self.made) * TOKEN_PARTS // parts)


class PlainReplica:
    """A replica's queue, its sequences, its memory and its clock."""

    def __init__(
        self, number: int, engine: EngineTerms, cluster: Cluster, block_tokens: int, hands_over: bool
    ) -> None:
        """`block_tokens` of 0: no prefix cache."""
        self.number, self.engine, self.cluster = number, engine, cluster
        self.block_tokens, self.caches, self.hands_over = block_tokens, block_tokens > 0, hands_over
        self.parts = engine.tokens_per_step_parts
        self.reserves = engine.reserve_output or engine.batching is Batching.STATIC
        self.capacity = engine.step.context_tokens_max * TOKEN_PARTS
        self.cache = PlainCache(engine.eviction)
        self.queue: list[PlainRequest] = []
        self.readers: list[PlainRequest] = []
        self.running: list[PlainRequest] = []
        self.padding: list[PlainRequest] = []  # ended, but keeping their places until the static batch ends
        self.admissions = self.steps = self.prompt_tokens = self.held_max = 0
        self.now_s, self.event_s, self.stall_s, self.busy_s, self.place_s = 0.0, inf, 0.0, 0.0, 0.0
        self.taken: list[tuple[PlainRequest, int]] = []
        self.decodes = self.works = False

    # --- memory ---
    @property
    def held(self) -> int:
        """Parts of memory in use: what sequences have alone, and the blocks that any of them uses."""
        present = (*self.readers, *self.running)
        growth = 0 if self.reserves else sum(request.gained for request in self.running)
        shared = self.cache.parts - self.cache.spare_parts
        return sum(request.private for request in present) + growth + shared

    def _growth(self, sequences: int) -> int:
        return 0 if self.reserves else self.parts * sequences

    def _evict(self) -> None:
        self.held_max = max(self.held_max, self.held)
        while self.held + self.cache.spare_parts > self.capacity:
            self.cache.evict_one()

    # --- admission ---
    def _next(self) -> PlainRequest | None:
        present = [*self.readers, *self.running]
        allowed = [
            request
            for request in self.queue
            if sum(other.tier == request.tier for other in present)
            < max(1, int(self.cluster.tiers[request.tier].sequences_share * self.places_of_tiers))
        ]
        strict = self.cluster.rule.strict
        return min(allowed, key=lambda r: (r.tier if strict else 0, r.key, r.number), default=None)

    @property
    def places_of_tiers(self) -> int:
        """Places that the tiers' shares are of: the most that any replica of the cluster has."""
        decode = self.cluster.decode.engine.step.sequences_max if self.cluster.decode else 0
        return max(self.cluster.engine.step.sequences_max, decode)

    def _admit(self) -> None:
        while (request := self._next()) is not None and (request.ready or not self._reads_enough()):
            known = self.cache.beginning(request.blocks) if self.caches and not request.ready else []
            cached = sum(self.cache.tokens[block] for block in known)
            private = (request.tokens_in + request.made - cached + 1) * TOKEN_PARTS
            if self.reserves:
                private += request.steps_left(self.parts) * self.parts
            spare = (
                sum(self.cache.tokens[block] for block in known if self.cache.is_spare(block)) * TOKEN_PARTS
            )
            if not self._fits(private + spare, []) and not self._take_room(request, private + spare):
                return
            self._enter(request, known, cached, private)

    def _reads_enough(self) -> bool:
        """Whether what is being read fills the next step."""
        budget = self.engine.step_tokens_max
        if self.engine.batching is Batching.CHUNKED:
            budget -= self.engine.positions * len(self.running)
        left = sum(request.goal - request.read for request in self.readers)
        return self.engine.batching is not Batching.STATIC and left >= budget

    def _fits(self, parts: int, without: list[PlainRequest]) -> bool:
        present = len(self.running) + len(self.readers)
        if present - len(without) >= self.engine.step.sequences_max:
            return False
        held = self.held - sum(r.private + (0 if self.reserves else r.gained) for r in without)
        growth = self._growth(len(self.running) + 1)
        if present == len(without):
            return held + parts <= self.capacity
        return held + parts + growth <= int(self.capacity * (1.0 - self.engine.memory_reserve_share))

    def _take_room(self, request: PlainRequest, parts: int) -> bool:
        lower = [other for other in (*self.running, *self.readers) if other.tier > request.tier]
        allowed = self.cluster.preempt_lower_tiers and self.engine.batching is not Batching.STATIC
        if not allowed or not lower or not self._fits(parts, lower):
            return False
        while not self._fits(parts, []):
            self._preempt()
        return True

    def _enter(self, request: PlainRequest, known: list[int], cached: int, private: int) -> None:
        self.queue.remove(request)
        self.admissions += 1
        request.admission, request.replica, request.private = self.admissions, self.number, private
        if request.admitted_s != request.admitted_s:
            request.admitted_s = self.now_s
        if request.ready:
            if request.swapped:
                self.stall_s += (request.tokens_in + request.made) * self.engine.swap_s_per_token
            self._join(request)
        else:
            for block in known:
                self.cache.hold(block)
            request.held = known
            request.cached += cached
            request.goal = request.tokens_in + request.made
            request.read = min(cached, request.goal - 1)
            self.readers.append(request)
        self._evict()

    def _join(self, request: PlainRequest) -> None:
        request.gained = 0
        self.running.append(request)

    # --- giving way ---
    def _preempt(self) -> None:
        request = max((*self.running, *self.readers), key=lambda r: (r.tier, r.admission))
        request.ready = request.swapped = False
        if request in self.running:
            self.running.remove(request)
            request.made += request.gained // TOKEN_PARTS
            if self.engine.preemption is Preemption.SWAP:
                request.ready = request.swapped = True
                self.stall_s += (request.tokens_in + request.made) * self.engine.swap_s_per_token
        else:
            self.readers.remove(request)
        self._let_go(request)
        request.preempted += 1
        self.queue.append(request)

    def _let_go(self, request: PlainRequest) -> None:
        self.cache.let_go(request.held)
        request.held, request.private = [], 0

    # --- one step ---
    def plan(self) -> None:
        """Choose the next step, from `now_s`."""
        if self.engine.batching is Batching.STATIC:
            if not self.running and not self.readers:
                self.padding = []
                self._admit()
        else:
            gave_way = False
            while self.held + self._growth(len(self.running)) > self.capacity:
                self._preempt()
                gave_way = True
            if not gave_way:
                self._admit()
        self.taken = self._prompts()
        self.decodes = bool(self.running) and (not self.taken or self.engine.batching is Batching.CHUNKED)
        self.works = bool(self.taken) or self.decodes
        self.event_s = (self.now_s + self.stall_s) + self._step_s() if self.works else inf

    def wake(self, now_s: float) -> None:
        """Something has come to a replica that does nothing: look at it now."""
        self.event_s, self.taken, self.decodes, self.works = now_s, [], False, False

    def _prompts(self) -> list[tuple[PlainRequest, int]]:
        """Whose prompt is read in this step, and how many tokens of it."""
        batching, budget = self.engine.batching, self.engine.step_tokens_max
        taken: list[tuple[PlainRequest, int]] = []
        if batching is Batching.CHUNKED:
            budget -= self.engine.positions * len(self.running)
        for request in self.readers:
            so_far = sum(tokens for _, tokens in taken)
            left = request.goal - request.read
            if batching is Batching.CHUNKED:
                left = min(left, budget - so_far)
                if left <= 0:
                    break
            elif batching is Batching.CONTINUOUS and taken and so_far + left > budget:
                break
            taken.append((request, left))
        return taken

    def _step_s(self) -> float:
        """The formula of `ciyuan.factory.step`, with `positions` tokens computed for each sequence."""
        cost, positions = self.engine.step, self.engine.positions
        present = [*self.running, *self.padding] if self.decodes else []
        context = sum(request.context_parts for request in present) / TOKEN_PARTS
        prompt = sum(tokens for _, tokens in self.taken)
        attended = 0.0
        for request, tokens in self.taken:
            attended += tokens * request.read + tokens * (tokens + 1) / 2.0
        moved = positions * len(present) + prompt
        memory = (
            cost.weights_s
            + cost.experts_s * (1.0 - cost.expert_miss ** float(moved))
            + cost.context_s * context
        )
        arithmetic = cost.decode_s * (positions * len(present)) + cost.attention_s * positions * context
        besides = (
            cost.prefill_s * prompt
            + cost.prefill_attention_s * attended
            + cost.transfer_s * moved
            + cost.sequence_s * len(present)
            + cost.fixed_s
        )
        return sqrt(memory * memory + arithmetic * arithmetic) + besides

    def settle(self) -> tuple[list[PlainRequest], list[PlainRequest]]:
        """What the step has done: (requests that ended, requests to be handed over)."""
        took_s, self.now_s = self.event_s - self.now_s, self.event_s
        ended: list[PlainRequest] = []
        handed: list[PlainRequest] = []
        if self.works:
            self.busy_s += took_s
            self.place_s += took_s * len(self.running)
            self.stall_s = 0.0
            self.steps += 1
        if self.decodes:
            self._decode(ended)
        for request, tokens in self.taken:
            self.prompt_tokens += tokens
            request.read += tokens
            if request.read == request.goal:
                self.readers.remove(request)
                self._read_out(request, ended, handed)
        return ended, handed

    def _decode(self, ended: list[PlainRequest]) -> None:
        for request in (*self.running, *self.padding):
            request.gained += self.parts
        self._evict()
        done = [r for r in self.running if r.gained >= r.steps_left(self.parts) * self.parts]
        for request in sorted(done, key=lambda r: r.number):
            self.running.remove(request)
            if self.engine.batching is Batching.STATIC:
                self.padding.append(request)
            self._end(request, ended)

    def _end(self, request: PlainRequest, ended: list[PlainRequest]) -> None:
        self._let_go(request)
        request.finish_s = self.now_s
        ended.append(request)

    def _read_out(self, request: PlainRequest, ended: list[PlainRequest], handed: list[PlainRequest]) -> None:
        if self.caches:
            self._publish(request)
        request.made += 1
        if request.first_s != request.first_s:
            request.first_s = self.now_s
        if request.made == request.tokens_out:
            self._end(request, ended)
        elif self.hands_over:
            self._let_go(request)
            request.ready = True
            handed.append(request)
        else:
            self._join(request)

    def _publish(self, request: PlainRequest) -> None:
        whole = self.block_tokens
        for place in range(len(request.held), len(request.blocks)):
            block, tokens = request.blocks[place], min(whole, request.tokens_in - place * whole)
            request.private -= tokens * TOKEN_PARTS
            if block in self.cache.tokens:
                self.cache.hold(block)
            else:
                self.cache.add(block, tokens)
        request.held = list(request.blocks)
