"""The door's own pages: models for whom they are, health, what it speaks, and what it does not know."""

import asyncio
import json

import pytest

from ciyuan.services.door.openapi import openapi_document
from ciyuan.services.door.registry_keys import Permissions, Scope
from tests.services.door.stand import Stand
from tests.services.door.till import START_NS

ANTHROPIC = {"anthropic-version": "2023-06-01"}


def run(tmp_path, scene, **terms):
    async def play():
        async with Stand(tmp_path, **terms) as stand:
            await scene(stand)

    asyncio.run(play())


async def with_key(stand, name: str, **permissions) -> str:
    """Another key of the company, and its secret."""
    with stand.registry.change(START_NS) as change:
        made = change.keys.create(stand.spenders["engineer"], name, Permissions(**permissions))
    stand.door.directory = (await stand.enrolment.renew(stand.door.directory)).directory
    return str(made.text)


def test_models_are_listed_as_both_vendors_sdks_read_them(tmp_path):
    async def scene(stand):
        status, headers, body = await stand.ask("GET", "/v1/models")
        page = json.loads(body)
        assert (status, headers["content-type"], page["object"], page["has_more"]) == (
            200,
            "application/json",
            "list",
            False,
        )
        assert [model["id"] for model in page["data"]] == ["m", "n"]
        assert (page["first_id"], page["last_id"]) == ("m", "n")
        one = page["data"][0]
        assert (one["object"], one["type"], one["display_name"]) == ("model", "model", "m")
        assert (one["context_window"], one["max_output_tokens"], one["tiers"]) == (100_000, 1_000, ["medium"])
        assert one["owned_by"] == "supplier 2, supplier 3"
        assert isinstance(one["created"], int)

    run(tmp_path, scene, models=["n", "m"])


def test_one_model_is_told_by_its_name_however_it_is_written(tmp_path):
    async def scene(stand):
        for path in ("/v1/models/maker/m%3A1", "/v1/models/maker%2Fm:1", "/v1/models/maker/m:1?x=1"):
            status, _, body = await stand.ask("GET", path)
            assert (status, json.loads(body)["id"]) == (200, "maker/m:1")
        status, _, body = await stand.ask("GET", "/v1/models/else")
        assert (status, json.loads(body)["error"]["code"]) == (404, "model_not_found")

    run(tmp_path, scene, models=["maker/m:1"])


def test_a_key_sees_only_what_it_may_use(tmp_path):
    async def scene(stand):
        secret = await with_key(stand, "some", models=("n*",))
        _, _, body = await stand.ask("GET", "/v1/models", secret=secret)
        assert [model["id"] for model in json.loads(body)["data"]] == ["n1", "n2"]
        assert (await stand.ask("GET", "/v1/models/m", secret=secret))[0] == 404
        none = await with_key(stand, "none", models=("x",))
        page = json.loads((await stand.ask("GET", "/v1/models", secret=none))[2])
        assert (page["data"], page["first_id"], page["last_id"]) == ([], None, None)

    run(tmp_path, scene, models=["m", "n1", "n2"])


def test_a_key_without_the_scope_lists_nothing(tmp_path):
    async def scene(stand):
        secret = await with_key(stand, "chat", scopes=(Scope.CHAT,))
        for path in ("/v1/models", "/v1/models/m"):
            status, _, body = await stand.ask("GET", path, secret=secret)
            assert (status, "may not list" in json.loads(body)["error"]["message"]) == (403, True)

    run(tmp_path, scene)


@pytest.mark.parametrize(
    ("headers", "kind"), [({}, "invalid_request_error"), (ANTHROPIC, "authentication_error")]
)
def test_without_a_key_models_are_refused_in_the_clients_own_shape(tmp_path, headers, kind):
    async def scene(stand):
        status, _, body = await stand.ask("GET", "/v1/models", b"", headers, secret="")
        told = json.loads(body)
        assert (status, told["error"]["type"]) == (401, kind)
        assert (told.get("type") == "error") is bool(headers)

    run(tmp_path, scene)


def test_health_is_told_without_a_key(tmp_path):
    async def scene(stand):
        for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
            code, _, body = await stand.ask("GET", path, secret="")
            assert (code, json.loads(body)) == (200, {"status": status})

    run(tmp_path, scene)


def test_it_is_not_ready_while_it_drains_nor_when_the_journal_has_failed(tmp_path):
    async def scene(stand):
        stand.host._fail(OSError("the disk is full at a path of ours"), [], None)
        code, _, body = await stand.ask("GET", "/readyz")
        assert (code, json.loads(body)) == (503, {"status": "the journal has failed"})
        stand.door.draining = True
        assert json.loads((await stand.ask("GET", "/readyz"))[2]) == {"status": "draining"}
        assert (await stand.ask("GET", "/healthz"))[0] == 200

    run(tmp_path, scene)


def test_what_it_speaks_is_told_as_it_is_documented(tmp_path):
    async def scene(stand):
        status, headers, body = await stand.ask("GET", "/openapi.json", secret="")
        assert (status, headers["content-type"], json.loads(body)) == (
            200,
            "application/json",
            openapi_document(),
        )

    run(tmp_path, scene)


@pytest.mark.parametrize(("method", "path", "allowed"), [
    ("GET", "/v1/chat/completions", "POST"), ("DELETE", "/v1/messages", "POST"), ("PUT", "/v1/embeddings?x", "POST"),
    ("POST", "/v1/models", "GET"), ("DELETE", "/v1/models/m", "GET"), ("POST", "/healthz", "GET"),
    ("PUT", "/openapi.json", "GET"),
])  # fmt: skip
def test_a_method_that_is_not_taken_is_told_which_is(tmp_path, method, path, allowed):
    async def scene(stand):
        status, headers, body = await stand.ask(method, path)
        told = json.loads(body)["error"]
        assert (status, headers["allow"], told["code"]) == (405, allowed, "method_not_allowed")
        assert allowed in told["message"]

    run(tmp_path, scene)


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/chat/completions/", "/v2/models", "/metrics", "/v1/files", "/%00", "*", "/a" * 3_000],
)
def test_what_is_not_here_is_404(tmp_path, path):
    async def scene(stand):
        status, _, body = await stand.ask("GET", path)
        told = json.loads(body)["error"]
        assert (status, told["code"], told["type"]) == (404, "not_found", "invalid_request_error")
        assert len(told["message"]) < 250

    run(tmp_path, scene)


def test_head_is_get_without_the_body(tmp_path):
    async def scene(stand):
        reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
        writer.write(b"HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        whole = await reader.read()
        writer.close()
        assert whole.startswith(b"HTTP/1.1 200")
        assert whole.endswith(b"\r\n\r\n")

    run(tmp_path, scene)
