"""What the end of an attempt says: of its supplier's health, and whether the request may be tried again elsewhere.

| ended | how | counts | tried again |
|---|---|---|---|
| answered, at its end, at a limit or refused for its content | ANSWERED | for | no |
| error of the supplier (5xx, or in the stream), cut, unreadable | FAILED | against | yes |
| we waited no longer | TIMED_OUT | against | yes |
| 429, 529: no room | LIMITED | a wait, not against | yes |
| 401, 402: our key, our money | REFUSED_US | opens the circuit | yes |
| 403, 404: our rights or our model there, or something in the request | DENIED | against, but not in the exam | yes |
| any other 4xx: the request is at fault | REQUEST_REFUSED | nothing | no |
| the client left, or a hedge was called off | CALLED_OFF | nothing | no |

Tried again is only that of which nothing was passed on to the client and nothing was delivered (docs/spec/endings.md, point
6: its hold is void, so that one attempt at most is ever charged), and only while attempts and their budget last.

Sources: 529: docs.claude.com/en/api/errors; 402 of a supplier whose account is empty:
api-docs.deepseek.com/quick_start/error_codes.
"""

from enum import IntEnum

from ciyuan.gateway.answer import Closed, EndingKind


class Result(IntEnum):
    """How an attempt ended, as its supplier's health sees it."""

    ANSWERED = 1
    FAILED = 2
    TIMED_OUT = 3
    LIMITED = 4
    REFUSED_US = 5
    DENIED = 6
    """No client can bring about a 401 or 402, but some can a 403 (a flagged text) or 404: one of these shuts out nobody else."""
    REQUEST_REFUSED = 7
    CALLED_OFF = 8


TRIED_AGAIN = frozenset({Result.FAILED, Result.TIMED_OUT, Result.LIMITED, Result.REFUSED_US, Result.DENIED})
"""After which a request of which nothing was passed on may be tried again elsewhere."""
_NO_ROOM = (429, 529)
_OURS = (401, 402)
_DENIALS = (403, 404)
_TIMES_OF_SUPPLIER = (408, 409, 425)
_ANSWERS = frozenset({EndingKind.COMPLETE, EndingKind.LENGTH, EndingKind.CONTENT_REFUSED})


def result_of(kind: EndingKind, status: int = 200, closed: Closed | None = None) -> Result:
    """How an attempt ended, by its ending, the HTTP status of its answer (0: none came) and who ended the transfer."""
    if status in _NO_ROOM:
        return Result.LIMITED
    if status in _OURS:
        return Result.REFUSED_US
    if status in _DENIALS:
        return Result.DENIED
    if kind is EndingKind.CLIENT_GONE or (closed is Closed.BY_CLIENT and kind not in _ANSWERS):
        return Result.CALLED_OFF
    if 400 <= status < 500 and status not in _TIMES_OF_SUPPLIER:
        return Result.REQUEST_REFUSED
    if kind in _ANSWERS:
        return Result.ANSWERED
    return Result.TIMED_OUT if closed is Closed.BY_DEADLINE else Result.FAILED


def may_try_again(result: Result, *, passed: bool, delivered: bool = False) -> bool:
    """Whether an ending lets the request be tried at another offer: `passed` is whether any byte of it went to the client."""
    return result in TRIED_AGAIN and not (passed or delivered)
