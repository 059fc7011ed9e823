"""The vendors' own SDKs, unmodified, against a running gateway."""

import json
import urllib.request

import anthropic
import openai
import pytest

from tests.services.door.mock_supplier import TOKENS_IN
from tests.services.door.served import Mocks, Served, company, suppliers_file

TEXT = "one two three four five six seven eight "
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
]
MODELS = ["m", "m:status=500", "m:error=3"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    store, mocks = str(folder / "store"), Mocks()
    secret = company(store, "0.60")
    with Served(store, suppliers_file(folder, mocks, MODELS)) as gateway:
        gateway.secret = secret
        yield gateway
        assert gateway.stop() == 0
    mocks.close()


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.secret, max_retries=0) as made:
        yield made


@pytest.fixture
def claude(served):
    with anthropic.Anthropic(base_url=served.url, api_key=served.secret, max_retries=0) as made:
        yield made


def ask(**more):
    return {"model": "m", "messages": [{"role": "user", "content": "count"}], "max_tokens": 8, **more}


def test_openai_chat(client):
    answer = client.chat.completions.create(**ask())
    assert answer.choices[0].message.content == TEXT
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (TOKENS_IN, 8)


def test_openai_chat_streamed(client):
    stream = client.chat.completions.create(**ask(stream=True, stream_options={"include_usage": True}))
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert chunks[-1].usage.completion_tokens == 8


def test_openai_tools(client):
    answer = client.chat.completions.create(**ask(tools=TOOLS))
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"


def test_openai_completions_embeddings_responses_models(client):
    assert client.completions.create(model="m", prompt="count", max_tokens=8).choices[0].text == TEXT
    assert client.embeddings.create(model="m", input="some").data[0].embedding == [0.25, -0.5, 1.0]
    response = client.responses.create(model="m", input="count", max_output_tokens=8)
    assert (response.output_text, response.usage.output_tokens) == (TEXT, 8)
    with client.responses.create(model="m", input="count", max_output_tokens=8, stream=True) as stream:
        events = list(stream)
    assert events[-1].response.output_text == TEXT
    assert [model.id for model in client.models.list()] == sorted(MODELS)
    assert client.models.retrieve("m").id == "m"


def test_openai_errors(served, client):
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(**ask(model="nothing"))
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**ask(max_tokens=0))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**ask(model="m:status=500"))
    with pytest.raises(openai.APIError, match="the engine died"):
        list(client.chat.completions.create(**ask(model="m:error=3", stream=True)))
    stranger = openai.OpenAI(base_url=f"{served.url}/v1", api_key="sk-none", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    stranger.close()


def refusals(served, name: str) -> float:
    """How often the gateway says that it has refused so."""
    found = [
        line
        for line in page_of(served, "metrics").splitlines()
        if line.startswith(f'ciyuan_refusals_total{{refusal="{name}"}}')
    ]
    return float(found[0].split()[-1]) if found else 0.0


def page_of(served, name: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{served.admin_port}/{name}") as page:
        return str(page.read().decode())


def test_openai_asks_once_for_what_the_money_does_not_cover(served):
    """402 with `x-should-retry: false`: an SDK that would try three times more does not."""
    before = refusals(served, "BALANCE_SPENT")
    dear = ask(max_tokens=1000, n=128, messages=[{"role": "user", "content": "x" * 99_000}])
    keen = openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.secret, max_retries=3)
    with keen, pytest.raises(openai.APIStatusError) as caught:
        keen.chat.completions.create(**dear)
    assert caught.value.status_code == 402
    assert refusals(served, "BALANCE_SPENT") == before + 1


def test_anthropic_messages(claude):
    answer = claude.messages.create(**ask())
    assert (answer.content[0].text, answer.usage.output_tokens, answer.stop_reason) == (TEXT, 8, "end_turn")


def test_anthropic_streamed(claude):
    with claude.messages.stream(**ask()) as stream:
        assert "".join(stream.text_stream) == TEXT
        assert stream.get_final_message().usage.output_tokens == 8


def test_anthropic_errors_and_models(served, claude):
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(**ask(model="nothing"))
    assert [model.id for model in claude.models.list()] == sorted(MODELS)
    with (
        anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        stranger.messages.create(**ask())


def test_what_was_used_is_counted_where_an_operator_looks(served, client):
    client.chat.completions.create(**ask())
    assert 'ciyuan_calls_total{outcome="answered",protocol="chat",streamed="no"}' in page_of(
        served, "metrics"
    )
    status = json.loads(page_of(served, "status"))
    assert (status["calls_in_flight"], status["journal"]["failure"]) == (0, None)
