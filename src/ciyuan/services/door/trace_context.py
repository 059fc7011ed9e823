"""W3C trace context at the door: where a client's trace is, and where it goes on at a supplier.

| header | of a client | to a supplier, where the door makes spans | where it makes none |
|---|---|---|---|
| traceparent | the parent of the call's span, if it can be read | the same trace, the attempt's span as the parent | as it came |

A span's number is the number of what it is of, so that nothing has to be remembered between the sending of a request and the
making of its span: an attempt's is its request key (under 2^60), a call's its logical number with the top bit set. Both are
unique among all processes that share a journal, and neither is ever 0.

Source: www.w3.org/TR/trace-context (Recommendation of 2021): the form in 3.2; who makes spans must put its own in place of the
parent (4.3), who makes none passes the header on untouched (4.4).
"""

import re
from typing import NamedTuple

SAMPLED = 0x01
_KNOWN_FLAGS = 0x03
"""Sampled, and (level 2) a random trace id: what else is set is not passed on, as the Recommendation asks (3.2.2.5.2)."""
_CALL_BIT = 1 << 63
_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)


class TraceParent(NamedTuple):
    """A place in a trace: the trace (128 bits), the span that is the parent (64 bits), and the flags."""

    trace_id: int
    span_id: int
    flags: int


def read_traceparent(header: bytes) -> TraceParent | None:
    """What a header says; None if it is none: a version of ff, zeros, capitals, or more than version 00 has."""
    found = _FORM.fullmatch(header)
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5] is not None):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    return TraceParent(trace_id, span_id, int(found[4], 16)) if trace_id and span_id else None


def passed_on(header: bytes, request: int) -> bytes:
    """A client's traceparent as an attempt with this request key passes it on; b"" if it cannot be read, and then neither does
    tracestate go on.
    """
    parent = read_traceparent(header)
    if parent is None:
        return b""
    return b"00-%032x-%016x-%02x" % (parent.trace_id, attempt_span(request), parent.flags & _KNOWN_FLAGS)


def attempt_span(request: int) -> int:
    """The number of an attempt's span, by its request key."""
    return request


def call_span(logical: int) -> int:
    """The number of a call's span, by its logical number."""
    return _CALL_BIT | logical
