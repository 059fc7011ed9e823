"""The circuit: a hypothesis machine against its invariants, and the sequences that docs/spec/routing.md describes."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.gateway.route_health import PROBE_NS_MAX, WAIT_NS_MAX, Circuit, CircuitState
from ciyuan.gateway.route_policy import RoutePolicy
from tests.gateway.routes import NOW

POLICY = RoutePolicy()
CLOSED, OPEN, HALF_OPEN = CircuitState
FIRST, CAP = POLICY.backoff_ns, POLICY.backoff_ns_max


def opened(now_ns=NOW):
    circuit = Circuit(POLICY)
    for _ in range(POLICY.failures_in_a_row):
        assert circuit.state is CLOSED
        circuit.failed(now_ns)
    assert circuit.state is OPEN
    return circuit


def test_failures_in_a_row_open_it_and_an_answer_begins_the_row_anew():
    circuit = Circuit(POLICY)
    for _ in range(3):
        for _ in range(POLICY.failures_in_a_row - 1):
            circuit.failed(NOW)
        circuit.answered(NOW)
    assert circuit.state is CLOSED
    assert opened().shut_until_ns == NOW + FIRST


def test_a_large_share_of_failures_opens_it_without_a_row():
    circuit = Circuit(POLICY)
    for count in range(POLICY.failure_volume):
        assert circuit.state is CLOSED
        if count % 2:
            circuit.failed(NOW)
        else:
            circuit.answered(NOW)
    assert circuit.state is OPEN


def test_failures_long_ago_weigh_little():
    circuit = Circuit(POLICY)
    for half_life in range(40):
        now_ns = NOW + half_life * POLICY.half_life_ns
        for answered in (False, False, True, True, True):
            (circuit.answered if answered else circuit.failed)(now_ns)
    assert circuit.state is CLOSED


def test_backoff_doubles_to_its_cap_and_begins_anew_after_a_calm_time():
    circuit, now_ns, waits = opened(), NOW, []
    for _ in range(8):
        waits.append(circuit.shut_until_ns - now_ns)
        now_ns = circuit.shut_until_ns
        circuit.failed(now_ns, circuit.sent(now_ns))
    assert waits == [min(FIRST << count, CAP) for count in range(8)]
    now_ns = circuit.shut_until_ns
    circuit.answered(now_ns, circuit.sent(now_ns))
    assert (circuit.state, circuit.shut_until_ns) == (CLOSED, 0)
    for later_ns, wait_ns in ((0, CAP), (CAP, FIRST)):
        now_ns += later_ns
        for _ in range(POLICY.failures_in_a_row):
            circuit.failed(now_ns)
        assert circuit.shut_until_ns - now_ns == wait_ns
        now_ns = circuit.shut_until_ns
        circuit.answered(now_ns, circuit.sent(now_ns))


def test_only_the_probes_ending_moves_an_open_circuit():
    circuit = opened()
    circuit.answered(NOW + 1)
    circuit.failed(NOW + 1)
    circuit.limited(NOW + 1, retry_after_ns=NS_PER_HOUR)
    circuit.refused_us(NOW + 1)
    assert (circuit.state, circuit.shut_until_ns) == (OPEN, NOW + FIRST)
    assert circuit.sent(NOW + FIRST - 1) == 0
    probe = circuit.sent(NOW + FIRST)
    assert (probe, circuit.state) == (1, HALF_OPEN)
    assert circuit.sent(NOW + FIRST) == 0, "one at a time"
    circuit.answered(NOW + FIRST)
    assert circuit.state is HALF_OPEN
    circuit.answered(NOW + FIRST, probe)
    assert circuit.state is CLOSED


def test_a_probe_of_which_nothing_comes_makes_way_for_the_next():
    circuit = opened()
    now_ns = NOW + FIRST
    circuit.nothing_said(now_ns + 1, circuit.sent(now_ns))
    assert (circuit.state, circuit.shut_until_ns) == (OPEN, now_ns + 1)
    lost = circuit.sent(now_ns + 1)
    later_ns = now_ns + 1 + PROBE_NS_MAX
    assert circuit.sent(later_ns - 1) == 0
    second = circuit.sent(later_ns)
    assert second == lost + 1
    circuit.answered(later_ns, lost)
    assert circuit.state is HALF_OPEN, "the lost one decides nothing any more"
    circuit.failed(later_ns, second)
    assert circuit.state is OPEN


@pytest.mark.parametrize(
    ("said_ns", "wait_ns"),
    [
        (30 * NS_PER_SECOND, 30 * NS_PER_SECOND),
        (1, 1),
        (0, NS_PER_SECOND),
        (-5, NS_PER_SECOND),
        (2 * NS_PER_HOUR, WAIT_NS_MAX),
    ],
)
def test_a_supplier_without_room_is_let_alone_as_long_as_it_says(said_ns, wait_ns):
    circuit = Circuit(POLICY)
    circuit.limited(NOW, retry_after_ns=said_ns)
    assert (circuit.state, circuit.shut_until_ns) == (CLOSED, NOW + wait_ns)
    assert circuit.sent(NOW + wait_ns) == 0, "no probe: it did not fail"


def test_without_a_word_the_waits_double_up_to_a_minute_until_an_answer():
    circuit, now_ns, waits = Circuit(POLICY), NOW, []
    for _ in range(8):
        circuit.limited(now_ns)
        waits.append((circuit.shut_until_ns - now_ns) // NS_PER_SECOND)
        now_ns = circuit.shut_until_ns
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    circuit.answered(now_ns)
    circuit.limited(now_ns)
    assert circuit.shut_until_ns - now_ns == NS_PER_SECOND


def test_a_late_shorter_wait_does_not_open_early():
    circuit = Circuit(POLICY)
    circuit.limited(NOW, retry_after_ns=NS_PER_MINUTE)
    circuit.limited(NOW, retry_after_ns=NS_PER_SECOND)
    assert circuit.shut_until_ns == NOW + NS_PER_MINUTE


def test_who_refuses_us_is_shut_at_once_and_for_a_minute():
    circuit = Circuit(POLICY)
    circuit.refused_us(NOW)
    assert (circuit.state, circuit.shut_until_ns) == (OPEN, NOW + NS_PER_MINUTE)


def test_a_failure_that_says_when_to_come_back_is_both():
    circuit = Circuit(POLICY)
    circuit.failed(NOW, retry_after_ns=NS_PER_SECOND)
    assert (circuit.state, circuit.failures, circuit.shut_until_ns) == (CLOSED, 1, NOW + NS_PER_SECOND)
    for _ in range(POLICY.failures_in_a_row - 1):
        circuit.failed(NOW, retry_after_ns=NS_PER_MINUTE)
    assert (circuit.state, circuit.shut_until_ns) == (OPEN, NOW + NS_PER_MINUTE)


def test_a_probe_that_meets_no_room_waits_and_is_tried_again():
    circuit = opened()
    probe = circuit.sent(NOW + FIRST)
    circuit.limited(NOW + FIRST, probe, retry_after_ns=7)
    assert (circuit.state, circuit.shut_until_ns) == (OPEN, NOW + FIRST + 7)


class CircuitFlow(RuleBasedStateMachine):
    """Requests sent and ended in any order, and time that passes."""

    def __init__(self):
        super().__init__()
        self.circuit = Circuit(POLICY)
        self.now_ns = NOW
        self.out = []

    @rule(passed_ns=st.sampled_from((0, 1, NS_PER_SECOND, FIRST, NS_PER_MINUTE, CAP, PROBE_NS_MAX)))
    def time_passes(self, passed_ns):
        self.now_ns += passed_ns

    @precondition(lambda self: self.circuit.shut_until_ns <= self.now_ns)
    @rule()
    def send(self):
        before = self.circuit.state
        probe = self.circuit.sent(self.now_ns)
        assert (probe > 0) is (before is not CLOSED)
        assert not probe or self.circuit.shut_until_ns > self.now_ns
        self.out.append(probe)

    @precondition(lambda self: self.out)
    @rule(
        data=st.data(), how=st.sampled_from(("answered", "failed", "limited", "refused_us", "nothing_said"))
    )
    def end(self, data, how):
        probe = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        circuit = self.circuit
        before = (circuit.state, circuit.shut_until_ns, circuit.failures, circuit.openings)
        decides = circuit.state is CLOSED or (
            circuit.state is HALF_OPEN and probe == max([*self.out, probe]) > 0
        )
        getattr(circuit, how)(self.now_ns, probe)
        after = (circuit.state, circuit.shut_until_ns, circuit.failures, circuit.openings)
        if not decides or (how == "nothing_said" and not probe):
            assert after == before
        if decides and how == "answered":
            assert (circuit.state, circuit.failures) == (CLOSED, 0)

    @invariant()
    def it_opens_again_some_day(self):
        assert self.circuit.shut_until_ns <= self.now_ns + max(CAP, PROBE_NS_MAX, NS_PER_MINUTE)
        assert self.circuit.state is CLOSED or self.circuit.shut_until_ns > 0
        assert 0 <= self.circuit.failures < POLICY.failures_in_a_row or self.circuit.state is not CLOSED


CircuitFlow.TestCase.settings = settings(max_examples=80, stateful_step_count=50)
TestCircuitFlow = CircuitFlow.TestCase
