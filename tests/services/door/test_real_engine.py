"""A real engine behind the gateway, not a mock: llama.cpp, whose usage the audit counts again and confirms."""

import json
import urllib.request
from typing import Any

import openai
import pytest

from tests.services.door.engine import Engine, vocabulary, write_model
from tests.services.door.served import Served, ciyuan, company

SUPPLIERS = """
[supplier.llama]
base_url = "http://127.0.0.1:{port}/v1"
dialect = "openai"

[[supplier.llama.model]]
model = "noise"
tier = "free"
protocols = ["chat", "completions"]
context_tokens = 2048
output_tokens_max = 256
tokenizer = "deepseek-v4"
price_source = "made for a test"
price_observed_on = 2026-11-21

[supplier.llama.model.price]
input = "1.00"
output = "4.00"
"""
ASKED = "Which of the harbours was the first to be lit by electricity, and when? 哪一座港口最先用上电灯？"
CALLS = 12


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    write_model(folder / "noise.gguf")
    store = str(folder / "store")
    secret = company(store)
    with Engine(folder / "noise.gguf") as engine:
        path = folder / "suppliers.toml"
        path.write_text(SUPPLIERS.format(port=engine.port))
        with Served(store, path, "--audit-percent", "100") as served:
            served.secret = secret
            yield served
            assert served.stop() == 0


def words() -> dict[str, int]:
    """A bias towards whole words with a blank before them: however they follow each other, they are counted as they were made."""
    tokens = vocabulary()["model"]["vocab"]
    wanted = ("the", "of", "and", "harbour", "first", "light", "when", "it", "was", "city", "water", "night")
    return {str(tokens[f"Ġ{word}"]): 100 for word in wanted if f"Ġ{word}" in tokens}


def test_a_real_engines_usage_is_confirmed_by_the_audit(gateway):
    bias, used_in, used_out = words(), 0, 0
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.secret, max_retries=0) as client:
        for number in range(CALLS):
            question: Any = {"model": "noise", "messages": [{"role": "user", "content": f"{ASKED} {number}"}], "max_tokens": 20,
                        "logit_bias": bias, "seed": number}  # fmt: skip
            if number % 2:
                chunks = list(
                    client.chat.completions.create(
                        stream=True, stream_options={"include_usage": True}, **question
                    )
                )
                usage = chunks[-1].usage
            else:
                usage = client.chat.completions.create(**question).usage
            used_in, used_out = used_in + usage.prompt_tokens, used_out + usage.completion_tokens
    assert used_out == 20 * CALLS
    report = audited(gateway)
    assert report["calls"] == CALLS
    assert report["alarms"] == []
    assert (report["input"]["claimed"], report["output"]["claimed"]) == (used_in, used_out)
    assert report["input"]["counted"] == used_in
    assert report["output"]["counted"] == used_out
    assert billed(gateway) == (used_in, used_out, used_in + 4 * used_out)


def audited(gateway) -> dict:
    """What the audit has found of the engine, once it has heard every call."""
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/audit") as page:
            found = json.loads(page.read())
        if found["heard"] == CALLS:
            return dict(found["suppliers"][0])


def billed(gateway) -> tuple[int, int, int]:
    """Tokens in and out, and micro-USD, of all usage."""
    while True:
        told = json.loads(ciyuan("usage", "--by", "model", "--store", gateway.store, "--json").stdout)
        if told["total"]["requests"] == CALLS:
            total = told["total"]
            return total["tokens_in"], total["tokens_out"], total["charged_micro"]
