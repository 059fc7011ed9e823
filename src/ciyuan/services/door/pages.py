"""What the door answers without a call: which models there are, whether it is well, and what it does not know.

| method and path | answer |
|---|---|
| GET /v1/models | the models that the key may use, in OpenAI's and Anthropic's shape at once |
| GET /v1/models/NAME | one of them |
| GET /healthz | 200 as long as the process answers |
| GET /readyz | 200 if requests are taken: not while draining, nor when the journal has failed |
| GET /openapi.json | what the door speaks, as OpenAPI 3.1 |
| anything else | 404, or 405 where the path is known and the method is not |

Every error body is OpenAI's, or Anthropic's on Anthropic's path: clients read it with their own SDK.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from ciyuan.gateway.door_refusals import PATHS, DoorRefusal, Protocol, Refused
from ciyuan.services.door.openapi import openapi_document
from ciyuan.services.door.registry_keys import Scope

if TYPE_CHECKING:
    from ciyuan.gateway.route_offers import ListedModel
    from ciyuan.services.door.client_connection import ClientConnection, Request
    from ciyuan.services.door.door import Door
    from ciyuan.services.door.registry import Key

MODELS = "/v1/models"
JSON = b"content-type: application/json\r\n"
_GETS = {MODELS, "/healthz", "/readyz", "/openapi.json"}
_OPENAI_TYPES = {
    400: "invalid_json",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    500: "internal_error",
}
CREATED_S = 1_767_225_600
"""The time of creation that is told of every model (2026-01-01): suppliers do not say, and SDKs want a number."""


class Pages:
    """See the module's page. `models` gives what is on offer now."""

    def __init__(self, models: "Callable[[], tuple[ListedModel, ...]]") -> None:
        self._models = models
        self._openapi = msgspec.json.encode(openapi_document())

    def answer(self, door: "Door", connection: "ClientConnection", request: "Request", path: str) -> None:
        """Answer a request that is no call."""
        if path in PATHS:
            self._method_not_allowed(connection, b"POST")
        elif path not in _GETS and not path.startswith(MODELS + "/"):
            self.problem(connection, 404, f"There is nothing at {path!r:.200}.")
        elif request.method not in {b"GET", b"HEAD"}:
            self._method_not_allowed(connection, b"GET")
        elif path == "/healthz":
            connection.respond(200, JSON, b'{"status":"ok"}')
        elif path == "/readyz":
            self._ready(door, connection)
        elif path == "/openapi.json":
            connection.respond(200, JSON, self._openapi)
        else:
            self._list(door, connection, request, path)

    def problem(self, connection: "ClientConnection", status: int, message: str) -> None:
        """Answer with an error that has no refusal of its own."""
        code = _OPENAI_TYPES.get(status, "bad_request")
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"message": message, "type": kind, "param": None, "code": code}
        connection.respond(status, JSON, msgspec.json.encode({"error": error}))

    def _method_not_allowed(self, connection: "ClientConnection", allowed: bytes) -> None:
        error = {"message": f"Use {allowed.decode()} here.", "type": "invalid_request_error", "param": None,
                 "code": _OPENAI_TYPES[405]}  # fmt: skip
        connection.respond(405, JSON + b"allow: " + allowed + b"\r\n", msgspec.json.encode({"error": error}))

    @staticmethod
    def _ready(door: "Door", connection: "ClientConnection") -> None:
        why = "draining" if door.draining else door.host.failure and "the journal has failed"
        if why:
            connection.respond(503, JSON, msgspec.json.encode({"status": why}))
        else:
            connection.respond(200, JSON, b'{"status":"ready"}')

    def _list(self, door: "Door", connection: "ClientConnection", request: "Request", path: str) -> None:
        key = door.key_of(request)
        protocol = Protocol.MESSAGES if b"anthropic-version" in request.headers else Protocol.CHAT
        if isinstance(key, Refused):
            door.refuse(connection, protocol, key, None)
            return
        if not key.may(Scope.MODELS):
            refused = Refused(DoorRefusal.NOT_PERMITTED, message="The key may not list models.")
            door.refuse(connection, protocol, refused, key)
            return
        listed = [_described(model) for model in self._models() if _may_use(key, model)]
        if path == MODELS:
            first, last = (listed[0]["id"], listed[-1]["id"]) if listed else (None, None)
            page = {"object": "list", "data": listed, "has_more": False, "first_id": first, "last_id": last}
            connection.respond(200, JSON, msgspec.json.encode(page))
            return
        wanted = unquote(path.removeprefix(MODELS + "/"))
        for model in listed:
            if model["id"] == wanted:
                connection.respond(200, JSON, msgspec.json.encode(model))
                return
        refused = Refused(
            DoorRefusal.MODEL_UNKNOWN, "model", f"The model {wanted!r:.200} does not exist here."
        )
        door.refuse(connection, protocol, refused, key)


def _may_use(key: "Key", model: "ListedModel") -> bool:
    return any(key.permits(model.name, tier.name.lower()) for tier in model.tiers)


def _described(model: "ListedModel") -> dict[str, object]:
    """A model as both vendors' SDKs read it."""
    return {
        "id": model.name,
        "object": "model",
        "type": "model",
        "created": CREATED_S,
        "created_at": "2026-01-01T00:00:00Z",
        "display_name": model.name,
        "owned_by": ", ".join(model.suppliers),
        "context_window": model.context_tokens,
        "max_output_tokens": model.output_tokens_max,
        "tiers": [tier.name.lower() for tier in model.tiers],
    }
