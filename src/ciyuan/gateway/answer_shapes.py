"""What an error's body may hold, whatever the protocol, as `answer` reads it.

These kinds stand apart from who reads them because a compiled reader (docs/guide/gateway.md) can't define them: msgspec makes
them of annotations, which compiled classes do not keep.
"""

import msgspec


class ErrorBody(msgspec.Struct):
    """The body of an error's answer: one of these says what is wrong."""

    error: object = None
    message: object = None
    detail: object = None
