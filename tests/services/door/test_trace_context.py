"""W3C trace context: what is read, what goes on, and that no two spans of a journal share a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.services.door.trace_context import (
    TraceParent,
    attempt_span,
    call_span,
    passed_on,
    read_traceparent,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
"""The example of the Recommendation (3.2.3)."""
GOOD = f"00-{TRACE}-{SPAN}-01".encode()
BAD = {
    "nothing": "",
    "a word": "trace",
    "version ff": f"ff-{TRACE}-{SPAN}-01",
    "capitals": f"00-{TRACE.upper()}-{SPAN}-01",
    "no trace": f"00-{'0' * 32}-{SPAN}-01",
    "no span": f"00-{TRACE}-{'0' * 16}-01",
    "a short trace": f"00-{TRACE[1:]}-{SPAN}-01",
    "no flags": f"00-{TRACE}-{SPAN}",
    "more than version 00 has": f"00-{TRACE}-{SPAN}-01-what",
    "a blank before": f" 00-{TRACE}-{SPAN}-01",
    "a newline after": f"00-{TRACE}-{SPAN}-01\n",
}


def test_the_example_of_the_recommendation_is_read():
    assert read_traceparent(GOOD) == TraceParent(int(TRACE, 16), int(SPAN, 16), 1)


@pytest.mark.parametrize("header", BAD.values(), ids=BAD)
def test_what_is_no_traceparent_is_not_taken_nor_passed_on(header):
    assert read_traceparent(header.encode()) is None
    assert passed_on(header.encode(), 5) == b""


def test_a_later_version_is_read_as_far_as_it_is_known():
    found = read_traceparent(f"cc-{TRACE}-{SPAN}-01-what the future will be like".encode())
    assert found == read_traceparent(GOOD)


def test_what_goes_on_names_the_attempt_and_only_flags_that_are_known():
    assert passed_on(f"00-{TRACE}-{SPAN}-ff".encode(), 0xABC) == f"00-{TRACE}-0000000000000abc-03".encode()


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_not(header):
    found = read_traceparent(header)
    assert found is None or (0 < found.trace_id < 2**128 and 0 < found.span_id < 2**64)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3), st.integers(1, 2**60 - 1))
def test_the_trace_and_its_flags_survive_the_door(trace, span, flags, request):
    sent = read_traceparent(passed_on(b"00-%032x-%016x-%02x" % (trace, span, flags), request))
    assert sent == TraceParent(trace, request, flags)


@given(st.integers(1, 2**56 - 1), st.integers(1, 2**56 - 1), st.integers(0, 15))
def test_a_calls_span_is_nobody_elses(one, other, attempt):
    calls = call_span(one), call_span(other)
    assert (calls[0] == calls[1]) == (one == other)
    assert attempt_span(other << 4 | attempt) not in calls
    assert all(0 < each < 2**64 for each in calls)
