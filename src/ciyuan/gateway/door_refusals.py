"""Why the door turns a request away, and in whose words: HTTP status and error body, as the client's own SDK expects them.

| protocol | body of an error | an error in a stream that has begun |
|---|---|---|
| OpenAI's | `{"error": {"message", "type", "param", "code"}}` | the same as one `data:`; for responses an event named error |
| Anthropic's | `{"type": "error", "error": {"type", "message"}, "request_id"}` | the same as an event named error |

Both vendors' SDKs try again by themselves after 408, 409, 429 and 5xx, unless a header `x-should-retry: false` forbids it. So
what another attempt cannot mend has none of these statuses, or is told with that header (`RefusalWords.retry`): money that is
spent is 402, which neither retries; only a rate limit that time heals is 429.

Sources: platform.openai.com/docs/guides/error-codes; docs.claude.com/en/api/errors; retries: the base client of both Python SDKs;
409 and 422 for idempotency keys: draft-ietf-httpapi-idempotency-key-header.
"""

from enum import IntEnum
from typing import NamedTuple

import msgspec


class Protocol(IntEnum):
    """What a client speaks, and at which path."""

    CHAT = 1
    COMPLETIONS = 2
    EMBEDDINGS = 3
    RESPONSES = 4
    MESSAGES = 5


PATHS = {
    "/v1/chat/completions": Protocol.CHAT,
    "/v1/completions": Protocol.COMPLETIONS,
    "/v1/embeddings": Protocol.EMBEDDINGS,
    "/v1/responses": Protocol.RESPONSES,
    "/v1/messages": Protocol.MESSAGES,
}
"""The path of each protocol, at a door as at a vendor."""


class DoorRefusal(IntEnum):
    """Why a request is refused. Of several faults the one declared first is named."""

    BODY_TOO_LARGE = 1
    BODY_NOT_JSON = 2
    BODY_NOT_OBJECT = 3
    KEY_MISSING = 4
    KEY_UNKNOWN = 5
    KEY_EXPIRED = 6
    MODEL_MISSING = 7
    FIELD_OF_WRONG_KIND = 8
    INPUT_MISSING = 9
    OUTPUT_MAX_MISSING = 10
    OUTPUT_MAX_TWICE = 11
    OUTPUT_MAX_OUT_OF_RANGE = 12
    CHOICES_OUT_OF_RANGE = 13
    BEST_OF_STREAMED = 14
    STREAM_OPTIONS_WITHOUT_STREAM = 15
    IDEMPOTENCY_KEY_MALFORMED = 16
    IDEMPOTENCY_KEY_REUSED = 17
    IDEMPOTENCY_KEY_IN_FLIGHT = 18
    MODEL_UNKNOWN = 19
    NOT_PERMITTED = 20
    CONTENT_BLOCKED = 21
    INPUT_UNBOUNDED = 22
    BUDGET_SPENT = 23
    BALANCE_SPENT = 24
    RATE_LIMITED = 25
    SUPPLY_SHORT = 26
    SUPPLIER_FAILED = 27
    SUPPLIER_TIMED_OUT = 28
    DOOR_FAILED = 29
    DRAINING = 30
    UNAVAILABLE = 31


class RefusalWords(NamedTuple):
    """A refusal as it is told: status, OpenAI's type and code, Anthropic's type, the default message, and whether to retry."""

    status: int
    openai_type: str
    openai_code: str
    anthropic_type: str
    message: str
    retry: bool = False


_INVALID, _AUTH, _DENIED = "invalid_request_error", "authentication_error", "permission_error"

WORDS: dict[DoorRefusal, RefusalWords] = {
    DoorRefusal.BODY_TOO_LARGE: RefusalWords(
        413, _INVALID, "request_too_large", "request_too_large", "The request is too large."
    ),
    DoorRefusal.BODY_NOT_JSON: RefusalWords(400, _INVALID, "invalid_json", _INVALID, "The body is not JSON."),
    DoorRefusal.BODY_NOT_OBJECT: RefusalWords(
        400, _INVALID, "invalid_json", _INVALID, "The body is not a JSON object."
    ),
    DoorRefusal.KEY_MISSING: RefusalWords(
        401, _INVALID, "missing_api_key", _AUTH, "There is no API key in the request."
    ),
    DoorRefusal.KEY_UNKNOWN: RefusalWords(
        401, _INVALID, "invalid_api_key", _AUTH, "The API key is not known here."
    ),
    DoorRefusal.KEY_EXPIRED: RefusalWords(
        401, _INVALID, "expired_api_key", _AUTH, "The API key has expired or was revoked."
    ),
    DoorRefusal.MODEL_MISSING: RefusalWords(
        400, _INVALID, "missing_required_parameter", _INVALID, "No model is named."
    ),
    DoorRefusal.FIELD_OF_WRONG_KIND: RefusalWords(
        400, _INVALID, "invalid_type", _INVALID, "A field is of the wrong kind."
    ),
    DoorRefusal.INPUT_MISSING: RefusalWords(
        400, _INVALID, "missing_required_parameter", _INVALID, "There is nothing to answer."
    ),
    DoorRefusal.OUTPUT_MAX_MISSING: RefusalWords(
        400, _INVALID, "missing_required_parameter", _INVALID, "max_tokens: Field required"
    ),
    DoorRefusal.OUTPUT_MAX_TWICE: RefusalWords(
        400, _INVALID, "invalid_parameter_combination", _INVALID, "Two limits of the output differ."
    ),
    DoorRefusal.OUTPUT_MAX_OUT_OF_RANGE: RefusalWords(
        400, _INVALID, "invalid_value", _INVALID, "The limit of the output is out of range."
    ),
    DoorRefusal.CHOICES_OUT_OF_RANGE: RefusalWords(
        400, _INVALID, "invalid_value", _INVALID, "The number of choices is out of range."
    ),
    DoorRefusal.BEST_OF_STREAMED: RefusalWords(
        400,
        _INVALID,
        "invalid_parameter_combination",
        _INVALID,
        "What is chosen out of several cannot be streamed.",
    ),
    DoorRefusal.STREAM_OPTIONS_WITHOUT_STREAM: RefusalWords(
        400, _INVALID, "invalid_parameter_combination", _INVALID, "stream_options needs stream."
    ),
    DoorRefusal.IDEMPOTENCY_KEY_MALFORMED: RefusalWords(
        400,
        _INVALID,
        "invalid_idempotency_key",
        _INVALID,
        "An idempotency key is 1 to 255 printable ASCII characters.",
    ),
    DoorRefusal.IDEMPOTENCY_KEY_REUSED: RefusalWords(
        422,
        _INVALID,
        "idempotency_key_reused",
        _INVALID,
        "This idempotency key came before with another body.",
    ),
    DoorRefusal.IDEMPOTENCY_KEY_IN_FLIGHT: RefusalWords(
        409,
        _INVALID,
        "idempotency_key_in_flight",
        _INVALID,
        "The request with this idempotency key is still running.",
        retry=True,
    ),
    DoorRefusal.MODEL_UNKNOWN: RefusalWords(
        404, _INVALID, "model_not_found", "not_found_error", "The model does not exist here."
    ),
    DoorRefusal.NOT_PERMITTED: RefusalWords(
        403, _INVALID, "permission_denied", _DENIED, "The key may not do this."
    ),
    DoorRefusal.CONTENT_BLOCKED: RefusalWords(
        400, _INVALID, "content_blocked", _INVALID, "The request holds what must not leave."
    ),
    DoorRefusal.INPUT_UNBOUNDED: RefusalWords(
        400,
        _INVALID,
        "unbounded_input",
        _INVALID,
        "The request brings in input whose cost cannot be bounded.",
    ),
    DoorRefusal.BUDGET_SPENT: RefusalWords(
        402, "insufficient_quota", "budget_spent", "billing_error", "The budget is spent."
    ),
    DoorRefusal.BALANCE_SPENT: RefusalWords(
        402,
        "insufficient_quota",
        "insufficient_quota",
        "billing_error",
        "The prepaid balance does not cover this request.",
    ),
    DoorRefusal.RATE_LIMITED: RefusalWords(
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        "rate_limit_error",
        "Too many requests or tokens.",
        retry=True,
    ),
    DoorRefusal.SUPPLY_SHORT: RefusalWords(
        503,
        "server_error",
        "supply_short",
        "overloaded_error",
        "No supplier has room for this now.",
        retry=True,
    ),
    DoorRefusal.SUPPLIER_FAILED: RefusalWords(
        502, "server_error", "supplier_failed", "api_error", "The supplier failed.", retry=True
    ),
    DoorRefusal.SUPPLIER_TIMED_OUT: RefusalWords(
        504,
        "server_error",
        "supplier_timed_out",
        "timeout_error",
        "The supplier did not answer in time.",
        retry=True,
    ),
    DoorRefusal.DOOR_FAILED: RefusalWords(
        500, "server_error", "internal_error", "api_error", "The gateway failed."
    ),
    DoorRefusal.DRAINING: RefusalWords(
        503,
        "server_error",
        "draining",
        "overloaded_error",
        "The gateway is closing; come to the next one.",
        retry=True,
    ),
    DoorRefusal.UNAVAILABLE: RefusalWords(
        503,
        "server_error",
        "unavailable",
        "overloaded_error",
        "The gateway cannot keep its books now; come to the next one.",
        retry=True,
    ),
}
"""Every refusal as it is told. One with a status that SDKs retry, and not to be retried, goes with `x-should-retry: false`."""


class Refused(NamedTuple):
    """A refusal of one request: `param` is the field at fault, `message` takes the default's place: which limit, by how much."""

    refusal: DoorRefusal
    param: str = ""
    message: str = ""


def error_body(refused: Refused, protocol: Protocol, request_id: str = "") -> bytes:
    """The body of the answer that tells a refusal."""
    words = WORDS[refused.refusal]
    message = refused.message or words.message
    if protocol is Protocol.MESSAGES:
        if refused.param and not refused.message:
            message = f"{refused.param}: {message}"
        error = {"type": words.anthropic_type, "message": message}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id or None})
    fields = {
        "message": message,
        "type": words.openai_type,
        "param": refused.param or None,
        "code": words.openai_code,
    }
    return msgspec.json.encode({"error": fields})


def error_event(refused: Refused, protocol: Protocol, request_id: str = "") -> bytes:
    """The event that tells an error in a stream that has begun, after which nothing more is sent."""
    if protocol is Protocol.RESPONSES:
        words = WORDS[refused.refusal]
        fields = {
            "type": "error",
            "code": words.openai_code,
            "message": refused.message or words.message,
            "param": refused.param or None,
        }
        return b"event: error\ndata: " + msgspec.json.encode(fields) + b"\n\n"
    name = b"event: error\n" if protocol is Protocol.MESSAGES else b""
    return name + b"data: " + error_body(refused, protocol, request_id) + b"\n\n"
