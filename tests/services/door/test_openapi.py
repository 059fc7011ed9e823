"""The OpenAPI document: whole, its references resolved, and of what the door really speaks and answers."""

import json

import pytest
from jsonschema_rs import Draft202012Validator, meta

from ciyuan import __version__
from ciyuan.gateway.ask import read_ask
from ciyuan.gateway.door_refusals import PATHS, WORDS, Protocol, Refused
from ciyuan.services.door.openapi import openapi_document

DOCUMENT = openapi_document()
SMALLEST: dict[Protocol, dict] = {
    Protocol.CHAT: {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    Protocol.COMPLETIONS: {"model": "m", "prompt": "x"},
    Protocol.EMBEDDINGS: {"model": "m", "input": "x"},
    Protocol.RESPONSES: {"model": "m", "input": "x"},
    Protocol.MESSAGES: {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1},
}


def operation(protocol: Protocol) -> dict:
    path = next(path for path, spoken in PATHS.items() if spoken is protocol)
    paths = DOCUMENT["paths"]
    assert isinstance(paths, dict)
    found = paths[path]["post"]
    assert isinstance(found, dict)
    return found


def schema(protocol: Protocol) -> dict:
    found = operation(protocol)["requestBody"]["content"]["application/json"]["schema"]
    assert isinstance(found, dict)
    return found


def within(value: object) -> list[dict]:
    """Every object in a document."""
    if isinstance(value, dict):
        return [value, *(each for inner in value.values() for each in within(inner))]
    return [each for inner in value for each in within(inner)] if isinstance(value, list) else []


def test_it_is_of_this_version_and_is_json():
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    assert DOCUMENT["openapi"] == "3.1.0"
    info = DOCUMENT["info"]
    assert isinstance(info, dict)
    assert info["version"] == __version__


def test_every_path_of_the_door_is_in_it_and_no_other():
    paths = DOCUMENT["paths"]
    assert isinstance(paths, dict)
    assert set(paths) == {*PATHS, "/v1/models", "/v1/models/{model}", "/healthz", "/readyz"}
    names = [each["operationId"] for each in within(paths) if "operationId" in each]
    assert len(names) == len(set(names)) == len(paths)


def test_every_reference_leads_somewhere_and_every_schema_is_one():
    for each in within(DOCUMENT):
        if "$ref" in each:
            found: object = DOCUMENT
            for part in each["$ref"].removeprefix("#/").split("/"):
                assert isinstance(found, dict)
                found = found[part]
        if isinstance(each.get("schema"), dict):
            assert meta.is_valid(each["schema"])


@pytest.mark.parametrize("protocol", Protocol)
def test_every_refusals_status_is_among_the_answers(protocol):
    told = operation(protocol)["responses"]
    for refusal, words in WORDS.items():
        assert words.openai_code in told[str(words.status)]["description"], refusal


@pytest.mark.parametrize("protocol", Protocol)
def test_the_smallest_request_is_taken_and_without_a_required_field_refused(protocol):
    """What the document calls required is what the door wants, and the other way round."""
    body = SMALLEST[protocol]
    check = Draft202012Validator(schema(protocol))
    assert check.is_valid(body)
    assert not isinstance(read_ask(protocol, json.dumps(body).encode()), Refused)
    for field in schema(protocol)["required"]:
        less = {name: value for name, value in body.items() if name != field}
        assert not check.is_valid(less)
        if (protocol, field) != (
            Protocol.COMPLETIONS,
            "prompt",
        ):  # a vendor takes none for the beginning of a text
            assert isinstance(read_ask(protocol, json.dumps(less).encode()), Refused), field


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize(("field", "value"), [
    ("model", ""), ("model", "x" * 257), ("model", 1), ("stream", "yes"), ("max_tokens", 2**31), ("max_tokens", -1),
    ("max_completion_tokens", 0), ("n", 129), ("max_output_tokens", 0),
])  # fmt: skip
def test_a_value_that_the_document_forbids_is_refused(protocol, field, value):
    body = {**SMALLEST[protocol], field: value}
    if not Draft202012Validator(schema(protocol)).is_valid(body):
        assert isinstance(read_ask(protocol, json.dumps(body).encode()), Refused)
    else:
        assert field not in schema(protocol)["properties"]


def test_streams_are_told_of_all_but_embeddings():
    streamed = {protocol for protocol in Protocol
                if "text/event-stream" in operation(protocol)["responses"]["200"]["content"]}  # fmt: skip
    assert streamed == set(Protocol) - {Protocol.EMBEDDINGS}


def test_only_health_is_told_without_a_key():
    paths = DOCUMENT["paths"]
    assert isinstance(paths, dict)
    free = {path for path, methods in paths.items() for each in methods.values() if "security" not in each}
    assert free == {"/healthz", "/readyz"}
