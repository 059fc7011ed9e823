"""What the door speaks, as an OpenAPI 3.1 document: paths, security, the fields that it reads, every status that it can answer.

The fields that the door does not read go on to the supplier as they are, so every schema is open (`additionalProperties`). The
vendors' own documents say what those mean.
"""

from ciyuan import __version__
from ciyuan.gateway.door_refusals import PATHS, WORDS, Protocol

_TEXT: dict[str, object] = {"type": "string"}
_COUNT: dict[str, object] = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
_MESSAGES: dict[str, object] = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "object", "required": ["role"], "properties": {"role": _TEXT}},
}
_SPOKEN: dict[str, object] = {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": {}}]}
_COMMON = {"model": {"type": "string", "minLength": 1, "maxLength": 256}}
_STREAM = {"stream": {"type": ["boolean", "null"]}}
_FIELDS: dict[Protocol, tuple[list[str], dict[str, object]]] = {
    Protocol.CHAT: (
        ["model", "messages"],
        {**_COMMON, **_STREAM, "messages": _MESSAGES, "max_tokens": _COUNT, "max_completion_tokens": _COUNT,
         "n": {"type": "integer", "minimum": 1, "maximum": 128}},
    ),
    Protocol.COMPLETIONS: (["model", "prompt"], {**_COMMON, **_STREAM, "prompt": _SPOKEN, "max_tokens": _COUNT}),
    Protocol.EMBEDDINGS: (["model", "input"], {**_COMMON, "input": _SPOKEN}),
    Protocol.RESPONSES: (["model", "input"], {**_COMMON, **_STREAM, "input": _SPOKEN, "max_output_tokens": _COUNT}),
    Protocol.MESSAGES: (["model", "messages", "max_tokens"],
                        {**_COMMON, **_STREAM, "messages": _MESSAGES, "max_tokens": _COUNT}),
}  # fmt: skip
_ANSWERS = {
    Protocol.CHAT: ["id", "object", "choices"],
    Protocol.COMPLETIONS: ["id", "object", "choices"],
    Protocol.EMBEDDINGS: ["object", "data"],
    Protocol.RESPONSES: ["id", "object", "output"],
    Protocol.MESSAGES: ["id", "type", "content"],
}


def openapi_document() -> dict[str, object]:
    """The document, as JSON's own types."""
    paths: dict[str, object] = {path: {"post": _operation(protocol)} for path, protocol in PATHS.items()}
    model: dict[str, object] = {
        "type": "object",
        "required": ["id", "object"],
        "properties": {"id": _TEXT, "object": {"const": "model"}},
    }
    models: dict[str, object] = {
        "type": "object",
        "required": ["data"],
        "properties": {"data": {"type": "array", "items": model}},
    }
    paths["/v1/models"] = {
        "get": _page("listModels", "The models that the key may use.", models, secured=True)
    }
    one = _page("getModel", "One model.", model, secured=True)
    one["parameters"] = [
        {"name": "model", "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}}
    ]
    paths["/v1/models/{model}"] = {"get": one}
    status: dict[str, object] = {"type": "object", "required": ["status"], "properties": {"status": _TEXT}}
    for path, words in (
        ("/healthz", "Whether the process answers."),
        ("/readyz", "Whether requests are taken."),
    ):
        paths[path] = {"get": _page(path[1:], words, status, secured=False)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "ciyuan gateway", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "schemas": {"Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "object"}}}},
        },
    }  # fmt: skip


def _operation(protocol: Protocol) -> dict[str, object]:
    required, fields = _FIELDS[protocol]
    schema = {"type": "object", "required": required, "properties": fields, "additionalProperties": True}
    answer = {"type": "object", "required": _ANSWERS[protocol], "additionalProperties": True}
    content: dict[str, object] = {"application/json": {"schema": answer}}
    if protocol is not Protocol.EMBEDDINGS:
        content["text/event-stream"] = {"schema": {"type": "object", "required": ["data"]}}
    responses: dict[str, object] = {"200": {"description": "The supplier's answer.", "content": content}}
    for status in sorted({words.status for words in WORDS.values()}):
        told = sorted(words.openai_code for words in WORDS.values() if words.status == status)
        responses[str(status)] = _error(f"Refused: {', '.join(dict.fromkeys(told))}.")
    responses["default"] = _error("What the supplier says of a request that it refuses.")
    return {
        "operationId": protocol.name.lower(),
        "security": [{"bearer": []}, {"header": []}],
        "parameters": [
            {"name": "Idempotency-Key", "in": "header", "required": False,
             "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}},
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": responses,
    }  # fmt: skip


def _error(words: str) -> dict[str, object]:
    return {
        "description": words,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _page(name: str, words: str, schema: dict[str, object], *, secured: bool) -> dict[str, object]:
    answers: dict[str, object] = {
        "200": {"description": words, "content": {"application/json": {"schema": schema}}}
    }
    if secured:
        answers |= {status: _error("Refused.") for status in ("401", "403", "404")}
    elif name == "readyz":
        answers["503"] = {
            "description": "Not now.",
            "content": {"application/json": {"schema": schema}},
        }
    operation: dict[str, object] = {"operationId": name, "responses": answers}
    if secured:
        operation["security"] = [{"bearer": []}, {"header": []}]
    return operation
