"""Golden vectors: what vendors' answers say of usage, and what it costs to the pico-dollar, by the prices of that day.

The shapes are those of the vendors' public documentation (named at each group); counts are made up unless an issue is cited.
Prices are genai-prices' for the model and the moment; the cost is written out, so that neither side can drift alone.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from genai_prices import calc_price
from genai_prices import types as genai
from genai_prices.data import providers

from ciyuan.gateway.claims import chat_claim, embeddings_claim, messages_claim, responses_claim
from ciyuan.gateway.leg_prices import LegPrices, Step
from ciyuan.gateway.usage import Claim, Leg, Provenance, Usage, usage_from

READ = {
    "chat": chat_claim,
    "responses": responses_claim,
    "embeddings": embeddings_claim,
    "messages": messages_claim,
}
TOKEN_KEYS = {
    Leg.INPUT: "input_mtok", Leg.CACHE_READ: "cache_read_mtok", Leg.CACHE_WRITE_SHORT: "cache_write_mtok",
    Leg.CACHE_WRITE_LONG: "cache_write_1h_mtok", Leg.OUTPUT: "output_mtok", Leg.REASONING: "output_reasoning_mtok",
    Leg.AUDIO_IN: "input_audio_mtok", Leg.AUDIO_OUT: "output_audio_mtok", Leg.IMAGE_IN: "input_image_mtok",
    Leg.IMAGE_OUT: "output_image_mtok",
}  # fmt: skip
PIECE_KEYS = {Leg.SEARCHES: "web_searches_kcount", Leg.REQUESTS: "requests_kcount"}
TODAY = "2026-11-21T12:00"


@dataclass(frozen=True)
class Golden:
    """One answer's usage and what it costs, in pico-dollars."""

    provider: str
    model: str
    reads: str
    said: dict[str, Any]
    pico: int
    at: str = TODAY
    note: str = ""

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.at).replace(tzinfo=UTC)

    @property
    def claim(self) -> Claim:
        return READ[self.reads](self.said)

    @property
    def usage(self) -> Usage:
        assert self.claim.usage is not None, self.claim
        return self.claim.usage.filled(usage_from(Provenance.COUNTED, {Leg.OUTPUT: 0, Leg.REQUESTS: 1}))

    def model_price(self) -> genai.ModelPrice:
        provider = next(found for found in providers if found.id == self.provider)
        model = next(found for found in provider.models if found.id == self.model)
        return model.get_prices(self.moment)

    def leg_prices(self) -> LegPrices:
        return leg_prices(self.model_price())

    def theirs_pico(self) -> int:
        """What genai-prices makes of the same usage."""
        found = calc_price(
            genai.Usage(**their_usage(self.usage)),
            self.model,
            provider_id=self.provider,
            genai_request_timestamp=self.moment,
        )
        whole = found.total_price * 10**12
        assert whole == int(whole)
        return int(whole)


def leg_prices(prices: genai.ModelPrice) -> LegPrices:
    """A model's prices there as prices by leg: exact, or refused."""
    starts = sorted(
        {
            tier.start
            for key in TOKEN_KEYS.values()
            if isinstance(found := getattr(prices, key), genai.TieredPrices)
            for tier in found.tiers
        }
    )
    steps = tuple(Step(start, LegPrices.of(_prices_at(prices, start + 1))) for start in starts)
    return LegPrices.of(_prices_at(prices, 0), steps=steps)


def _prices_at(prices: genai.ModelPrice, tokens: int) -> dict[Leg, int]:
    found = {
        leg: price
        for leg, key in TOKEN_KEYS.items()
        if (price := _price_at(getattr(prices, key), tokens)) is not None
    }
    whole = {leg: price * 10**6 for leg, price in found.items()}
    whole |= {
        leg: price * 10**9
        for leg, key in PIECE_KEYS.items()
        if (price := _price_at(getattr(prices, key), tokens)) is not None
    }
    assert all(price == int(price) for price in whole.values())
    return {Leg.OUTPUT: 0} | {leg: int(price) for leg, price in whole.items()}


def _price_at(price: Decimal | genai.TieredPrices | None, tokens: int) -> Decimal | None:
    if isinstance(price, genai.TieredPrices):
        above = [tier.price for tier in price.tiers if tokens > tier.start]
        return above[-1] if above else price.base
    return price


def their_usage(usage: Usage) -> dict[str, int]:
    """Our record in their words: their input and output are sums, their parts are parts, and what is 0 is left out."""
    theirs = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.amount(Leg.OUTPUT),
        "cache_read_tokens": usage.amount(Leg.CACHE_READ),
        "cache_write_tokens": usage.amount(Leg.CACHE_WRITE_SHORT) + usage.amount(Leg.CACHE_WRITE_LONG),
        "cache_write_1h_tokens": usage.amount(Leg.CACHE_WRITE_LONG),
        "output_reasoning_tokens": usage.amount(Leg.REASONING),
        "input_audio_tokens": usage.amount(Leg.AUDIO_IN),
        "output_audio_tokens": usage.amount(Leg.AUDIO_OUT),
        "input_image_tokens": usage.amount(Leg.IMAGE_IN),
        "output_image_tokens": usage.amount(Leg.IMAGE_OUT),
        "web_searches": usage.amount(Leg.SEARCHES),
    }
    return {key: value for key, value in theirs.items() if value or key in {"input_tokens", "output_tokens"}}


def chat(prompt: int, completion: int, cached: int = 0, reasoning: int = 0, **more: Any) -> dict[str, Any]:
    """platform.openai.com/docs/api-reference/chat/object: the cache inside the prompt, reasoning inside the completion."""
    inner = {"cached_tokens": cached, "audio_tokens": 0} | more.pop("prompt_details", {})
    outer = {
        "reasoning_tokens": reasoning,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    return {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": inner, "completion_tokens_details": outer | more.pop("completion_details", {}), **more,
    }  # fmt: skip


def response(
    tokens_in: int, out: int, cached: int = 0, reasoning: int = 0, written: int = 0
) -> dict[str, Any]:
    """platform.openai.com/docs/api-reference/responses/object."""
    inner = {"cached_tokens": cached} | ({"cache_write_tokens": written} if written else {})
    return {
        "input_tokens": tokens_in, "input_tokens_details": inner, "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": reasoning}, "total_tokens": tokens_in + out,
    }  # fmt: skip


def message(
    tokens_in: int, out: int, read: int = 0, short: int = 0, lasting: int = 0, searches: int = 0
) -> dict[str, Any]:
    """docs.claude.com/en/docs/build-with-claude/prompt-caching: the cache beside the input, writes by lifetime."""
    return {
        "input_tokens": tokens_in, "cache_read_input_tokens": read, "cache_creation_input_tokens": short + lasting,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": lasting}, "output_tokens": out,
        "server_tool_use": {"web_search_requests": searches} if searches else None, "service_tier": "standard",
    }  # fmt: skip


def deepseek(hit: int, miss: int, completion: int, reasoning: int = 0) -> dict[str, Any]:
    """api-docs.deepseek.com/guides/kv_cache: hits and misses, which are together the prompt."""
    return {
        "prompt_tokens": hit + miss, "completion_tokens": completion, "total_tokens": hit + miss + completion,
        "prompt_tokens_details": {"cached_tokens": hit}, "completion_tokens_details": {"reasoning_tokens": reasoning},
        "prompt_cache_hit_tokens": hit, "prompt_cache_miss_tokens": miss,
    }  # fmt: skip


def apart(prompt: int, completion: int, reasoning: int | None, cached: int = 0) -> dict[str, Any]:
    """Reasoning beside the completion (docs.x.ai/docs/guides/reasoning), or only in the total (Gemini's bridges)."""
    said: dict[str, Any] = {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion + (reasoning or 0),
        "prompt_tokens_details": {"cached_tokens": cached},
    }  # fmt: skip
    return said | (
        {} if reasoning is None else {"completion_tokens_details": {"reasoning_tokens": reasoning}}
    )


def left_out(prompt: int, completion: int, total: int) -> dict[str, Any]:
    """Thoughts that are in the total alone: github.com/Clarifai/clarifai-python/pull/978."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def embedding(tokens: int) -> dict[str, Any]:
    """platform.openai.com/docs/api-reference/embeddings/create."""
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def on(day: date, clock: str) -> str:
    return f"{day.isoformat()}T{clock}"


DAY = date(2026, 11, 20)
VECTORS = (
    Golden("openai", "gpt-4o", "chat", chat(19, 10), 147_500_000),
    Golden("openai", "gpt-4o", "chat", chat(2_006, 300, cached=1_920), 5_615_000_000),
    Golden("openai", "gpt-4o", "chat", chat(1_920, 1, cached=1_920), 2_410_000_000, note="all of it cached"),
    Golden("openai", "gpt-4o-mini", "chat", chat(8, 9), 6_600_000),
    Golden("openai", "gpt-4.1", "chat", chat(1_000_000, 32_768, cached=999_936), 762_240_000_000),
    Golden(
        "openai",
        "o3",
        "chat",
        chat(1_000_000, 100_000),
        14_000_000_000_000,
        at="2025-06-01T00:00",
        note="before the cut of 10 June 2025",
    ),
    Golden(
        "openai",
        "o3",
        "chat",
        chat(1_000_000, 100_000),
        2_800_000_000_000,
        at="2025-06-20T00:00",
        note="after it",
    ),
    Golden(
        "openai",
        "o4-mini",
        "chat",
        chat(75, 1_186, reasoning=1_024),
        5_300_900_000,
        note="reasoning is paid for once",
    ),
    Golden("openai", "gpt-5", "responses", response(36, 87), 915_000_000),
    Golden("openai", "gpt-5", "responses", response(81, 1_035, reasoning=832), 10_451_250_000),
    Golden(
        "openai",
        "gpt-5",
        "responses",
        response(328_000, 4_000, cached=300_032, reasoning=4_000),
        112_464_000_000,
    ),
    Golden("openai", "gpt-5.5", "responses", response(272_000, 1_000), 1_390_000_000_000, note="at the step"),
    Golden("openai", "gpt-5.5", "responses", response(272_001, 1_000), 2_765_010_000_000, note="above it"),
    Golden("openai", "gpt-5.5", "responses", response(400_000, 1_000, cached=399_872), 446_152_000_000),
    Golden("openai", "gpt-5.4", "chat", chat(300_000, 500, cached=100_096), 1_060_818_000_000),
    Golden(
        "openai",
        "gpt-6-sol",
        "responses",
        response(50_000, 700, cached=20_000, written=29_000),
        85_500_000_000,
        note="writes inside the input",
    ),
    Golden(
        "openai",
        "gpt-audio",
        "chat",
        chat(500, 300, prompt_details={"audio_tokens": 400}, completion_details={"audio_tokens": 250}),
        29_550_000_000,
    ),
    Golden(
        "openai",
        "gpt-image-1",
        "chat",
        chat(900, 4_160, prompt_details={"image_tokens": 850}),
        175_150_000_000,
    ),
    Golden(
        "openai",
        "gpt-3.5-turbo-instruct",
        "chat",
        left_out(5, 7, 12),
        21_500_000,
        note="platform.openai.com/docs/api-reference/completions",
    ),
    Golden("openai", "text-embedding-3-small", "embeddings", embedding(8), 160_000),
    Golden("openai", "text-embedding-3-large", "embeddings", embedding(8_191), 1_064_830_000),
    Golden("anthropic", "claude-haiku-4-5", "messages", message(10, 15), 85_000_000),
    Golden(
        "anthropic",
        "claude-haiku-4-5",
        "messages",
        {"input_tokens": 25, "output_tokens": 0},
        25_000_000,
        note="0 is a count",
    ),
    Golden("anthropic", "claude-haiku-4-5", "messages", message(50, 500, short=100_000), 127_550_000_000),
    Golden("anthropic", "claude-haiku-4-5", "messages", message(50, 500, read=100_000), 12_550_000_000),
    Golden(
        "anthropic",
        "claude-opus-4-1",
        "messages",
        message(2_048, 503, read=1_800, short=148, lasting=100),
        76_920_000_000,
    ),
    Golden("anthropic", "claude-opus-5", "messages", message(1, 1, lasting=1_000), 10_030_000_000),
    Golden(
        "anthropic",
        "claude-opus-5",
        "messages",
        {"input_tokens": 5, "cache_creation_input_tokens": 400, "output_tokens": 7},
        2_700_000_000,
    ),
    Golden(
        "anthropic",
        "claude-opus-5",
        "messages",
        message(105, 6_039, searches=1),
        161_500_000_000,
        note="a search is a piece",
    ),
    Golden(
        "anthropic",
        "claude-sonnet-4-5",
        "messages",
        message(100_000, 1_000, read=100_000),
        345_000_000_000,
        note="at the step: all input counts",
    ),
    Golden(
        "anthropic",
        "claude-sonnet-4-5",
        "messages",
        message(100_000, 1_000, read=50_000, short=50_001),
        1_027_507_500_000,
        note="above it",
    ),
    Golden(
        "anthropic",
        "claude-sonnet-5-5",
        "messages",
        message(12, 345, read=6_789, short=1_234, lasting=567),
        9_505_900_000,
    ),
    Golden(
        "deepseek", "deepseek-chat", "chat", deepseek(64, 36, 50), 69_200_000, at=on(DAY, "12:00"), note="day"
    ),
    Golden(
        "deepseek",
        "deepseek-chat",
        "chat",
        deepseek(64, 36, 50),
        34_600_000,
        at=on(DAY, "16:30"),
        note="night begins",
    ),
    Golden(
        "deepseek",
        "deepseek-reasoner",
        "chat",
        deepseek(1_024, 8, 600, 512),
        366_920_000,
        at=on(DAY, "00:29"),
        note="night",
    ),
    Golden(
        "deepseek",
        "deepseek-reasoner",
        "chat",
        deepseek(1_024, 8, 600, 512),
        1_461_760_000,
        at=on(DAY, "00:30"),
        note="day begins",
    ),
    Golden(
        "deepseek",
        "deepseek-v4-pro",
        "chat",
        deepseek(100_000, 4_096, 2_000),
        3_884_260_000,
        at="2026-08-16T23:59",
    ),
    Golden(
        "deepseek",
        "deepseek-v4-pro",
        "chat",
        deepseek(100_000, 4_096, 2_000),
        17_726_720_000,
        at=on(DAY, "03:00"),
        note="peak",
    ),
    Golden(
        "deepseek",
        "deepseek-v4-pro",
        "chat",
        deepseek(100_000, 4_096, 2_000),
        8_863_360_000,
        at=on(DAY, "05:00"),
        note="between the peaks",
    ),
    Golden("deepseek", "deepseek-v4-flash", "chat", deepseek(0, 17, 3), 4_350_000, at=on(DAY, "11:00")),
    Golden(
        "moonshotai",
        "kimi-k2.6",
        "chat",
        chat(777, 333, cached=400),
        1_754_150_000,
        note="the example of docs/spec/meter.md",
    ),
    Golden(
        "moonshotai",
        "kimi-k2.5",
        "chat",
        left_out(19, 21, 40) | {"cached_tokens": 10},
        69_400_000,
        note="cached_tokens outside the details",
    ),
    Golden(
        "moonshotai",
        "kimi-k3",
        "chat",
        chat(9_000, 1_000, cached=4_000, prompt_details={"cache_write_tokens": 3_000}),
        31_200_000_000,
    ),
    Golden(
        "google",
        "gemini-2.5-pro",
        "chat",
        chat(262_960, 1_744, cached=257_955),
        103_161_250_000,
        note="litellm#14849, at the prices of today",
    ),
    Golden(
        "google",
        "gemini-2.5-pro",
        "chat",
        apart(8, 9, 107),
        1_170_000_000,
        note="thoughts beside, as simonw/llm-gemini#75 counts them",
    ),
    Golden(
        "google",
        "gemini-2.5-pro",
        "chat",
        left_out(20, 424, 1_016),
        9_985_000_000,
        note="thoughts left out: Clarifai/clarifai-python#978",
    ),
    Golden(
        "google",
        "gemini-2.5-flash",
        "chat",
        apart(21, 0, 60),
        156_300_000,
        note="all thoughts: CLIProxyAPI#5733",
    ),
    Golden(
        "google",
        "gemini-2.5-flash",
        "chat",
        chat(1_300, 20, prompt_details={"audio_tokens": 1_200}),
        1_280_000_000,
    ),
    Golden(
        "google",
        "gemini-2.5-flash-image",
        "chat",
        chat(10, 1_295, completion_details={"image_tokens": 1_290}),
        38_715_500_000,
    ),
    Golden("google", "gemini-3-pro-preview", "chat", apart(200_001, 100, 900), 818_004_000_000),
    Golden(
        "x-ai",
        "grok-4-0709",
        "chat",
        chat(125, 48, cached=98),
        874_500_000,
        note="docs.x.ai, prompt caching: usage and pricing",
    ),
    Golden(
        "x-ai", "grok-3-mini", "chat", apart(32, 9, 94), 61_100_000, note="reasoning beside the completion"
    ),
    Golden("x-ai", "grok-4.5", "chat", apart(250_000, 500, 1_500, cached=249_984), 174_054_400_000),
    Golden("mistral", "mistral-large-2512", "chat", left_out(14, 30, 44), 52_000_000),
    Golden("mistral", "mistral-embed", "embeddings", embedding(15), 1_500_000),
    Golden("zai", "GLM-4.6", "chat", chat(1_200, 300, cached=800), 988_000_000),
    Golden(
        "minimax",
        "MiniMax-M2",
        "messages",
        message(108, 91, read=14_813, short=300),
        698_490_000,
        note="platform.minimax.io, prompt caching",
    ),
    Golden("minimax", "minimax-m3", "chat", chat(600_000, 10), 360_024_000_000),
    Golden("groq", "openai/gpt-oss-120b", "chat", chat(78, 300, reasoning=200), 191_700_000),
    Golden(
        "perplexity", "sonar-pro", "chat", left_out(14, 500, 514), 21_542_000_000, note="a price of the call"
    ),
    Golden(
        "perplexity",
        "sonar-deep-research",
        "chat",
        chat(19, 74_448, reasoning=73_000),
        230_622_000_000,
        note="reasoning at a price of its own",
    ),
)
