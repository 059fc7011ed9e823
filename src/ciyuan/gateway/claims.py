"""Claims read: the usage object of each protocol, as its vendors write it, made a `Claim`.

| function | reads | where cached tokens are |
|---|---|---|
| `chat_claim` | OpenAI's chat completions and completions, and all who speak like it | inside `prompt_tokens` |
| `responses_claim` | OpenAI's responses | inside `input_tokens` |
| `embeddings_claim` | OpenAI's embeddings | there are none |
| `messages_claim` | Anthropic's messages | beside `input_tokens` |

Who speaks like OpenAI does not count like it. Cache reads are `prompt_tokens_details.cached_tokens`, at DeepSeek also
`prompt_cache_hit_tokens` with `prompt_cache_miss_tokens`, at Moonshot also `cached_tokens`: where several are given they must
agree. Reasoning is inside `completion_tokens` (OpenAI), beside it (xAI, some of Gemini's bridges), or left out of it and only in
`total_tokens` (others of Gemini's): the total decides, so that output always includes reasoning. Where cache reads and
sound or pictures are both in the input and nothing says which were cached, the text is taken to be cached first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from ciyuan.gateway.usage import (
    LEGS,
    NO_CLAIM,
    TOKENS_CLAIM_MAX,
    Claim,
    Leg,
    Provenance,
    Usage,
    UsageFault,
    sources_word,
)

Fields = Mapping[str, object]
_NO_FIELDS: Fields = {}
(
    _INPUT, _CACHE_READ, _CACHE_WRITE_SHORT, _CACHE_WRITE_LONG, _OUTPUT, _REASONING,
    _AUDIO_IN, _AUDIO_OUT, _IMAGE_IN, _IMAGE_OUT, _, _SEARCHES, _,
) = map(int, Leg)  # fmt: skip
"""The places of the legs as plain integers: a look-up in an enumeration costs as much as reading a field."""


_NO_PARTS = (None,) * (LEGS - _OUTPUT - 1)
_PLAIN_SOURCES = Provenance.SUPPLIER << 2 * _INPUT | Provenance.SUPPLIER << 2 * _OUTPUT
_CACHED_SOURCES = _PLAIN_SOURCES | Provenance.SUPPLIER << 2 * _CACHE_READ


class _Impossible(Exception):
    def __init__(self, fault: UsageFault, found: str) -> None:
        self.fault, self.found = fault, found
        super().__init__(found)


@dataclass(frozen=True, slots=True)
class _Spelling:
    input: str
    output: str
    input_details: str
    output_details: str


_CHAT = _Spelling("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
_RESPONSES = _Spelling("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")


def chat_claim(said: object, tokens_max: int = TOKENS_CLAIM_MAX, *, final: bool = True) -> Claim:
    """The claim in the `usage` of a chat completion or a completion; None and an empty object claim nothing."""
    return _inside(said, _CHAT, tokens_max, final=final)


def responses_claim(said: object, tokens_max: int = TOKENS_CLAIM_MAX, *, final: bool = True) -> Claim:
    """The claim in the `usage` of a response."""
    return _inside(said, _RESPONSES, tokens_max, final=final)


def embeddings_claim(said: object, tokens_max: int = TOKENS_CLAIM_MAX) -> Claim:
    """The claim in the `usage` of embeddings. Their output is 0, and that is counted, not said."""
    if said is None:
        return NO_CLAIM
    try:
        fields = _object(said, "usage")
        prompt, total = (
            _count(fields, "prompt_tokens", tokens_max),
            _count(fields, "total_tokens", tokens_max),
        )
        whole = _agreed("tokens of the input", prompt, total)
    except _Impossible as found:
        return Claim(None, found.fault, found.found)
    if whole is None:
        return NO_CLAIM
    counts: list[int | None] = [None] * LEGS
    counts[_INPUT], counts[_OUTPUT] = whole, 0
    return Claim(Usage(tuple(counts), Provenance.SUPPLIER << 2 * _INPUT | Provenance.COUNTED << 2 * _OUTPUT))


def messages_claim(said: object, tokens_max: int = TOKENS_CLAIM_MAX, *, final: bool = True) -> Claim:
    """The claim in the `usage` of a message. A stream's is first merged: `merged_usage`."""
    if said is None:
        return NO_CLAIM
    try:
        counts = _beside_counts(_object(said, "usage"), tokens_max)
    except _Impossible as found:
        return Claim(None, found.fault, found.found)
    return _claim(counts, final=final)


def merged_usage(earlier: Fields, later: object) -> Fields:
    """The usage of a stream of messages so far: its counts are cumulative, so a later one replaces an earlier one.

    What is no object, and nulls, change nothing. A count that went back to less stays as it was and leaves the mark
    `went_back`, which makes the claim impossible; a 0 after a count is taken for a field the sender left empty.
    """
    if not isinstance(later, dict):
        return earlier
    merged = dict(earlier)
    for name, value in cast("dict[str, object]", later).items():
        known = merged.get(name)
        if isinstance(value, dict) and isinstance(known, dict):
            merged[name] = merged_usage(known, value)
        elif type(value) is int and type(known) is int and value < known:
            if value != 0:
                merged["went_back"] = f"{name} from {known} to {value}"
        elif value is not None:
            merged[name] = value
    return merged


def _inside(said: object, spelling: _Spelling, tokens_max: int, *, final: bool) -> Claim:
    if said is None:
        return NO_CLAIM
    plain = _plain_claim(said, spelling, tokens_max, final=final)
    if plain is not None:
        return plain
    try:
        counts, apart = _inside_counts(_object(said, "usage"), spelling, tokens_max)
    except _Impossible as found:
        return Claim(None, found.fault, found.found)
    return _claim(counts, final=final, apart=apart)


def _plain_claim(said: object, spelling: _Spelling, tokens_max: int, *, final: bool) -> Claim | None:
    """The claim in a usage that says input, output, their sum, and at most what of the input was cached, as nearly all do; None
    for any other, and for one that cannot be: that is looked at field by field.
    """
    if type(said) is not dict or not 3 <= len(said) <= 4:
        return None
    fields = cast("Fields", said)
    prompt, completion = fields.get(spelling.input), fields.get(spelling.output)
    if (
        type(prompt) is not int
        or type(completion) is not int
        or fields.get("total_tokens") != prompt + completion
    ):
        return None
    cached: int | None = None
    if len(fields) == 4:
        details = fields.get(spelling.input_details)
        if type(details) is not dict or len(details) != 1:
            return None
        read = details.get("cached_tokens")
        if type(read) is not int or not 0 <= read <= prompt:
            return None
        cached = read
    if not 0 <= prompt <= tokens_max or not 0 <= completion <= tokens_max:
        return None
    row = (prompt - (cached or 0), cached, None, None, completion, *_NO_PARTS)
    return Claim(Usage(row, _PLAIN_SOURCES if cached is None else _CACHED_SOURCES), final=final)


def _claim(counts: list[int | None], *, final: bool, apart: bool = False) -> Claim:
    row = tuple(counts)
    if row[_INPUT] is None and row[_OUTPUT] is None:
        return NO_CLAIM
    return Claim(Usage(row, sources_word(row, Provenance.SUPPLIER)), final=final, apart=apart)


def _inside_counts(fields: Fields, spelling: _Spelling, tokens_max: int) -> tuple[list[int | None], bool]:
    """The legs of a usage whose input includes the cache, and whether reasoning had to be added to the output."""
    prompt, completion = (
        _count(fields, spelling.input, tokens_max),
        _count(fields, spelling.output, tokens_max),
    )
    total = _count(fields, "total_tokens", 2 * tokens_max)
    of_input, of_output = (
        _object(fields.get(spelling.input_details), ""),
        _object(fields.get(spelling.output_details), ""),
    )
    reasoning = _agreed("reasoning", _count(of_output, "reasoning_tokens", tokens_max),
                        _count(fields, "reasoning_tokens", tokens_max))  # fmt: skip
    output, reasoning, apart = _output_with_reasoning(prompt, completion, total, reasoning)
    counts: list[int | None] = [None] * LEGS
    counts[_OUTPUT], counts[_REASONING] = output, reasoning
    _put_input(counts, prompt, fields, of_input, tokens_max)
    counts[_AUDIO_OUT] = _count(of_output, "audio_tokens", tokens_max)
    counts[_IMAGE_OUT] = _count(of_output, "image_tokens", tokens_max)
    parts = (reasoning or 0) + (counts[_AUDIO_OUT] or 0) + (counts[_IMAGE_OUT] or 0)
    if parts > (output or 0):
        raise _Impossible(
            UsageFault.PART_EXCEEDS_WHOLE, f"{parts} of reasoning, sound and pictures in {output} of output"
        )
    return counts, apart


def _output_with_reasoning(
    prompt: int | None, completion: int | None, total: int | None, reasoning: int | None
) -> tuple[int | None, int | None, bool]:
    """All output, reasoning as a part of it, and whether it was apart; the total says what was left out of the completion."""
    if completion is None or prompt is None or total is None or total == prompt + completion:
        return completion, reasoning, False
    left_out = total - prompt - completion
    if left_out > 0 and (reasoning is None or reasoning == left_out):
        return completion + left_out, left_out, True
    raise _Impossible(
        UsageFault.TOTAL_DISAGREES, f"{prompt} + {completion} and {reasoning} of reasoning in {total}"
    )


def _put_input(
    counts: list[int | None], prompt: int | None, fields: Fields, of_input: Fields, tokens_max: int
) -> None:
    """Fill the legs of the input from its sum and what is said of the cache, of sound and of pictures."""
    cached = _cached(fields, of_input, prompt, tokens_max)
    written = _agreed("cache writes", _count(of_input, "cache_write_tokens", tokens_max),
                      _count(of_input, "cache_creation_input_tokens", tokens_max))  # fmt: skip
    if prompt is None:
        return
    if (cached or 0) + (written or 0) > prompt:
        raise _Impossible(UsageFault.CACHE_EXCEEDS_INPUT, f"{cached} read and {written} written in {prompt}")
    lasting = _count(_object(of_input.get("cache_write_tokens_details"), ""), "ttl_12h_tokens", tokens_max)
    if (lasting or 0) > (written or 0):
        raise _Impossible(UsageFault.WRITES_DISAGREE, f"{lasting} for long of {written} in all")
    rest = prompt - (cached or 0) - (written or 0)
    counts[_INPUT], counts[_CACHE_READ], counts[_CACHE_WRITE_LONG] = rest, cached, lasting
    counts[_CACHE_WRITE_SHORT] = None if written is None else written - (lasting or 0)
    sound, pictures = (
        _count(of_input, "audio_tokens", tokens_max),
        _count(of_input, "image_tokens", tokens_max),
    )
    if (sound or 0) + (pictures or 0) > prompt:
        raise _Impossible(
            UsageFault.PART_EXCEEDS_WHOLE, f"{sound} of sound and {pictures} of pictures in {prompt}"
        )
    counts[_AUDIO_IN] = None if sound is None else min(sound, rest)
    counts[_IMAGE_IN] = None if pictures is None else min(pictures, rest - (counts[_AUDIO_IN] or 0))


def _cached(fields: Fields, of_input: Fields, prompt: int | None, tokens_max: int) -> int | None:
    hit, miss = (
        _count(fields, "prompt_cache_hit_tokens", tokens_max),
        _count(fields, "prompt_cache_miss_tokens", tokens_max),
    )
    if hit is not None and miss is not None and prompt is not None and hit + miss != prompt:
        raise _Impossible(UsageFault.SPELLINGS_DISAGREE, f"cache: {hit} hit and {miss} missed of {prompt}")
    inner, outer = _count(of_input, "cached_tokens", tokens_max), _count(fields, "cached_tokens", tokens_max)
    return _agreed("cache reads", _agreed("cache reads", inner, outer), hit)


def _beside_counts(fields: Fields, tokens_max: int) -> list[int | None]:
    """The legs of a usage whose input excludes the cache."""
    if "went_back" in fields:
        raise _Impossible(UsageFault.WENT_BACK, str(fields["went_back"]))
    counts: list[int | None] = [None] * LEGS
    counts[_INPUT], counts[_OUTPUT] = (
        _count(fields, "input_tokens", tokens_max),
        _count(fields, "output_tokens", tokens_max),
    )
    counts[_CACHE_READ] = _count(fields, "cache_read_input_tokens", tokens_max)
    written, by_lifetime = (
        _count(fields, "cache_creation_input_tokens", tokens_max),
        _object(fields.get("cache_creation"), ""),
    )
    short = _count(by_lifetime, "ephemeral_5m_input_tokens", tokens_max)
    lasting = _count(by_lifetime, "ephemeral_1h_input_tokens", tokens_max)
    if written is not None and (short or 0) + (lasting or 0) > written:
        raise _Impossible(UsageFault.WRITES_DISAGREE, f"{short} and {lasting} written of {written}")
    counts[_CACHE_WRITE_SHORT] = short if written is None else written - (lasting or 0)
    counts[_CACHE_WRITE_LONG] = lasting
    counts[_REASONING] = _count(
        _object(fields.get("output_tokens_details"), ""), "thinking_tokens", tokens_max
    )
    if (counts[_REASONING] or 0) > (counts[_OUTPUT] or 0):
        raise _Impossible(
            UsageFault.PART_EXCEEDS_WHOLE, f"{counts[_REASONING]} of thinking in {counts[_OUTPUT]}"
        )
    counts[_SEARCHES] = _count(_object(fields.get("server_tool_use"), ""), "web_search_requests", tokens_max)
    return counts


def _object(value: object, name: str) -> Fields:
    """A JSON object; an absent one of details (name "") is empty."""
    if isinstance(value, dict):
        return cast("Fields", value)
    if value is None:
        return _NO_FIELDS
    raise _Impossible(UsageFault.NOT_AN_OBJECT, f"{name or 'details'}: {value!r:.40}")


def _count(fields: Fields, name: str, tokens_max: int) -> int | None:
    """A count; None if it is absent or null."""
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise _Impossible(UsageFault.NOT_AN_INTEGER, f"{name} {value!r:.40}")
    if value < 0:
        raise _Impossible(UsageFault.NEGATIVE, f"{name} {value}")
    if value > tokens_max:
        raise _Impossible(UsageFault.OVER_BOUND, f"{name} {value}, at most {tokens_max} are believed")
    return value


def _agreed(what: str, one: int | None, other: int | None) -> int | None:
    """What two fields that mean the same say."""
    if one is None or other is None:
        return other if one is None else one
    if one != other:
        raise _Impossible(UsageFault.SPELLINGS_DISAGREE, f"{what}: {one} and {other}")
    return one
