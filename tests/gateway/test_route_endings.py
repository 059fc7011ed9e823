"""What an ending says of a supplier, and whether it is tried again: as docs/spec/routing.md has it, by real answers."""

import itertools

import pytest

from ciyuan.gateway.answer import Closed, EndingKind
from ciyuan.gateway.answer_openai import ChoicesFollower
from ciyuan.gateway.ending import Charge, outcome_of
from ciyuan.gateway.route_endings import TRIED_AGAIN, Result, may_try_again, result_of
from ciyuan.gateway.usage import Standing
from tests.gateway.recorded import CHAT_STREAM, OPENAI_ERROR, encoded, sse

WHOLE, CUT = sse(*CHAT_STREAM), sse(*CHAT_STREAM[:3], done=False)


def ended(body, status=200, closed=Closed.BY_SUPPLIER, streamed=True):
    follower = ChoicesFollower(streamed=streamed, status=status)
    if body:
        follower.feed(body)
    follower.end(closed)
    return result_of(follower.ending().kind, status, closed)


@pytest.mark.parametrize(
    ("status", "result"),
    [*[(status, Result.REQUEST_REFUSED) for status in (400, 405, 413, 422)],
     *[(status, Result.REFUSED_US) for status in (401, 402)],
     *[(status, Result.DENIED) for status in (403, 404)],
     *[(status, Result.LIMITED) for status in (429, 529)],
     *[(status, Result.FAILED) for status in (408, 409, 425, 500, 502, 503, 504)]],
)  # fmt: skip
def test_a_status_says_whose_fault_it_is(status, result):
    assert ended(encoded(OPENAI_ERROR), status) is result


@pytest.mark.parametrize(
    ("body", "closed", "result"),
    [
        (WHOLE, Closed.BY_SUPPLIER, Result.ANSWERED),
        (WHOLE, Closed.BY_CLIENT, Result.ANSWERED),
        (CUT, Closed.BY_SUPPLIER, Result.FAILED),
        (CUT, Closed.BY_CLIENT, Result.CALLED_OFF),
        (CUT, Closed.BY_DEADLINE, Result.TIMED_OUT),
        (b"", Closed.BY_SUPPLIER, Result.FAILED),
        (b"", Closed.BY_DEADLINE, Result.TIMED_OUT),
        (b"", Closed.BY_CLIENT, Result.CALLED_OFF),
        (b"data: {not json\n\n", Closed.BY_SUPPLIER, Result.FAILED),
        (b'data: {"error": {"message": "overloaded"}}\n\n', Closed.BY_SUPPLIER, Result.FAILED),
    ],
)
def test_an_ending_says_what_the_supplier_did(body, closed, result):
    assert ended(body, closed=closed) is result


def test_a_connection_that_never_was_is_a_failure():
    assert result_of(EndingKind.CUT_BEFORE_TOKEN, 0) is Result.FAILED


def test_only_what_is_void_and_unseen_is_tried_again():
    for result, passed, delivered in itertools.product(Result, (True, False), (True, False)):
        allowed = may_try_again(result, passed=passed, delivered=delivered)
        assert allowed is (result in TRIED_AGAIN and not passed and not delivered)


def test_what_is_tried_again_is_never_charged():
    """Of every ending after which another attempt may be made, the hold is void: docs/spec/endings.md, point 6."""
    kinds = [
        EndingKind.ERROR_BEFORE_TOKEN,
        EndingKind.CUT_BEFORE_TOKEN,
        EndingKind.UNREADABLE,
        EndingKind.REQUEST_REFUSED,
    ]
    seen = set()
    for kind, status, closed in itertools.product(EndingKind, (200, 400, 401, 404, 429, 500), Closed):
        if result_of(kind, status, closed) in TRIED_AGAIN and kind in kinds:
            seen.add(kind)
            for standing in Standing:
                assert outcome_of(kind, standing, delivered=False).charge is Charge.VOID
    assert seen == set(kinds)
