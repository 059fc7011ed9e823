"""The compiled scheduler and its plain twin tell the same of every request."""

from hypothesis import given, settings

from ciyuan.factory.scheduler import STEP_BY_STEP, simulate
from ciyuan.factory.scheduler_plain import simulate_plainly
from ciyuan.factory.scheduler_terms import Cluster
from ciyuan.factory.scheduler_trace import Trace
from tests.factory.scheduler_worlds import check_same, clusters, traces

JUMP_TOLERANCE = 1e-9


@settings(max_examples=150, deadline=None)
@given(traces(), clusters())
def test_step_by_step_they_agree_to_the_bit(trace: Trace, cluster: Cluster):
    check_same(simulate(trace, cluster, STEP_BY_STEP), simulate_plainly(trace, cluster), 0.0)


@settings(max_examples=100, deadline=None)
@given(traces(), clusters())
def test_jumping_changes_no_count_and_no_time(trace: Trace, cluster: Cluster):
    check_same(simulate(trace, cluster), simulate_plainly(trace, cluster), JUMP_TOLERANCE)
