"""A request read: what the door must know of its body before it holds money.

| known | from |
|---|---|
| the model, whether the answer is to be streamed, the service tier | `model`, `stream`, `service_tier` |
| the most output that may come | `max_tokens`, `max_completion_tokens`, `max_output_tokens`, times `n` or `best_of` |
| the most input that it can be | the bytes of its body, below |
| what it says, for the firewall: every text, every tool's name, every address | the whole body |
| what brings in input that the body does not show | files by address, what the supplier keeps, its own tools |
| whether the client asked to be told the usage of a stream | `stream_options.include_usage` |

The bound of the input rests on this: each token of a vocabulary over bytes covers a byte or more of the text, and JSON is never
shorter than the text it holds. What the supplier adds (roles, marks, a prompt that explains tools) is bounded by constants. Data
in base64 are no text and are left out; a picture is bounded by the caller, by its model. (A vocabulary that first normalises its
text, as some for embeddings do, can make more of a few rare ligatures than their bytes: the hold's slack covers them.)

A request is read leniently: what the door need not know passes. It is refused only for what no vendor would take or for what
would make its bound a lie.
"""

from dataclasses import dataclass, field

import msgspec

from ciyuan.gateway.ask_parts import Heard, hear, hear_all, hear_tools
from ciyuan.gateway.door_refusals import DoorRefusal, Protocol, Refused

BODY_BYTES_MAX = 64 * 2**20
MODEL_CHARS_MAX = 256
CHOICES_MAX = 128
OUTPUT_TOKENS_MAX = 2**31 - 1
"""The meter's own bound of a leg (`gateway.messages.TOKENS_MAX`)."""
MESSAGE_TOKENS = 16
"""What a chat template may add to a message: its role and marks (5 tokens with Qwen's and Llama 3's templates)."""
REQUEST_TOKENS = 64
"""What it may add to a request."""
TOOLS_TOKENS = 1_024
"""What a supplier may add if there are tools: Anthropic's own prompt for them is some hundreds of tokens
(docs.claude.com/en/docs/agents-and-tools/tool-use/overview)."""
_OUTPUT_MAX = {
    Protocol.CHAT: ("max_completion_tokens", "max_tokens"),
    Protocol.COMPLETIONS: ("max_tokens",),
    Protocol.EMBEDDINGS: (),
    Protocol.RESPONSES: ("max_output_tokens",),
    Protocol.MESSAGES: ("max_tokens",),
}
_INPUT = {
    Protocol.CHAT: ("messages",),
    Protocol.COMPLETIONS: (),
    Protocol.EMBEDDINGS: ("input",),
    Protocol.RESPONSES: ("input", "previous_response_id", "conversation", "prompt"),
    Protocol.MESSAGES: ("messages",),
}
_SPOKEN = ("system", "instructions", "messages", "input", "prompt", "suffix", "prediction")
_HEARD_ELSEWHERE = {*_SPOKEN, "model", "stream", "stream_options", "service_tier", "tools", "functions"}
_BRINGING = (
    "previous_response_id",
    "conversation",
    "web_search_options",
    "plugins",
    "mcp_servers",
    "container",
)
"""Fields that bring in what the supplier keeps or looks up."""


@dataclass(slots=True)
class Ask:
    """What is known of a request. Counts are of the whole request; `output_max` is of one choice, None if nobody limited it."""

    protocol: Protocol
    body_bytes: int
    model: str = ""
    stream: bool = False
    usage_asked: bool = False
    output_max: int | None = None
    output_max_field: str = ""
    choices: int = 1
    messages: int = 0
    heard: Heard = field(default_factory=Heard)
    text_chars: int = 0
    text_bytes: int = 0
    service_tier: str = ""

    def input_tokens_max(self, image_tokens: int = 0) -> int | None:
        """The most input tokens that this can be, a picture at most `image_tokens`; None if it brings in what is not shown."""
        heard = self.heard
        if heard.unseen:
            return None
        bound = self.body_bytes - heard.inline_bytes + REQUEST_TOKENS + MESSAGE_TOKENS * self.messages
        bound += TOOLS_TOKENS if heard.tools else 0
        return bound + image_tokens * (heard.images_by_url + heard.images_inline)

    def output_tokens_max(self, model_max: int) -> int:
        """The most output tokens that may come, from a model that gives at most `model_max` for a choice."""
        if self.protocol is Protocol.EMBEDDINGS:
            return 0
        return self.choices * (model_max if self.output_max is None else min(self.output_max, model_max))


class _Refuse(Exception):
    def __init__(self, refusal: DoorRefusal, param: str = "", message: str = "") -> None:
        self.refused = Refused(refusal, param, message)
        super().__init__(param)


def read_ask(protocol: Protocol, body: bytes, body_bytes_max: int = BODY_BYTES_MAX) -> Ask | Refused:
    """What is to be known of a request, or why it is refused."""
    if len(body) > body_bytes_max:
        return Refused(
            DoorRefusal.BODY_TOO_LARGE,
            message=f"The body has {len(body)} bytes; at most {body_bytes_max} are taken.",
        )
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        return Refused(DoorRefusal.BODY_NOT_JSON, message=f"The body is not JSON: {fault}")
    if not isinstance(fields, dict):
        return Refused(DoorRefusal.BODY_NOT_OBJECT)
    ask = Ask(protocol, len(body))
    try:
        _read_head(ask, fields)
        _read_output(ask, fields)
        _read_input(ask, fields)
        hear_tools(ask.heard, fields.get("tools") or fields.get("functions"))
        _measure(ask)
    except _Refuse as found:
        return found.refused
    except RecursionError:
        return Refused(DoorRefusal.BODY_NOT_JSON, message="The body is nested too deeply.")
    return ask


def _read_head(ask: Ask, fields: dict[str, object]) -> None:
    model = fields.get("model")
    if model is None or model == "":
        raise _Refuse(DoorRefusal.MODEL_MISSING, "model")
    if not isinstance(model, str) or len(model) > MODEL_CHARS_MAX:
        raise _Refuse(DoorRefusal.FIELD_OF_WRONG_KIND, "model")
    ask.model = model
    stream, options, tier = fields.get("stream"), fields.get("stream_options"), fields.get("service_tier")
    if not (stream is None or isinstance(stream, bool)):
        raise _Refuse(DoorRefusal.FIELD_OF_WRONG_KIND, "stream")
    ask.stream = bool(stream)
    if options is not None:
        if not isinstance(options, dict):
            raise _Refuse(DoorRefusal.FIELD_OF_WRONG_KIND, "stream_options")
        if not ask.stream:
            raise _Refuse(DoorRefusal.STREAM_OPTIONS_WITHOUT_STREAM, "stream_options")
        ask.usage_asked = options.get("include_usage") is True
    ask.service_tier = tier if isinstance(tier, str) else ""


def _read_output(ask: Ask, fields: dict[str, object]) -> None:
    for name in _OUTPUT_MAX[ask.protocol]:
        said = _whole(fields, name)
        if said is None:
            continue
        least = 0 if ask.protocol is Protocol.COMPLETIONS else 1
        if not least <= said <= OUTPUT_TOKENS_MAX:
            raise _Refuse(
                DoorRefusal.OUTPUT_MAX_OUT_OF_RANGE,
                name,
                f"{name} is {said}; it may be {least} to {OUTPUT_TOKENS_MAX}.",
            )
        if ask.output_max is not None and said != ask.output_max:
            raise _Refuse(DoorRefusal.OUTPUT_MAX_TWICE, name)
        if ask.output_max is None:
            ask.output_max, ask.output_max_field = said, name
    if ask.protocol is Protocol.MESSAGES and ask.output_max is None:
        raise _Refuse(DoorRefusal.OUTPUT_MAX_MISSING, "max_tokens")
    _read_choices(ask, fields)


def _read_choices(ask: Ask, fields: dict[str, object]) -> None:
    if ask.protocol not in {Protocol.CHAT, Protocol.COMPLETIONS}:
        return
    n = _whole(fields, "n")
    best_of = _whole(fields, "best_of") if ask.protocol is Protocol.COMPLETIONS else None
    ask.choices = max(1 if n is None else n, 1 if best_of is None else best_of)
    for name, said in (("n", n), ("best_of", best_of)):
        if said is not None and not 1 <= said <= CHOICES_MAX:
            raise _Refuse(
                DoorRefusal.CHOICES_OUT_OF_RANGE, name, f"{name} is {said}; it may be 1 to {CHOICES_MAX}."
            )
    if best_of is not None and best_of < (n or 1):
        raise _Refuse(DoorRefusal.CHOICES_OUT_OF_RANGE, "best_of", f"best_of is {best_of}, less than n, {n}.")
    if best_of is not None and best_of > (n or 1) and ask.stream:
        raise _Refuse(DoorRefusal.BEST_OF_STREAMED, "best_of")
    prompts = fields.get("prompt") if ask.protocol is Protocol.COMPLETIONS else None
    if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):
        ask.choices *= len(prompts)  # each prompt of a list is answered


def _read_input(ask: Ask, fields: dict[str, object]) -> None:
    wanted = _INPUT[ask.protocol]
    if wanted and not any(fields.get(name) for name in wanted):
        raise _Refuse(DoorRefusal.INPUT_MISSING, wanted[0])
    if ask.protocol in {Protocol.CHAT, Protocol.MESSAGES} and not isinstance(fields["messages"], list):
        raise _Refuse(DoorRefusal.FIELD_OF_WRONG_KIND, "messages")
    turns = fields.get("input") if ask.protocol is Protocol.RESPONSES else fields.get("messages")
    ask.messages = len(turns) if isinstance(turns, list) else 1
    for name in _SPOKEN:
        if name in fields:
            hear(ask.heard, fields[name])
    aside = Heard()
    for name, value in fields.items():
        if name not in _HEARD_ELSEWHERE:
            hear_all(aside, value)
    ask.heard.asides = aside.texts
    ask.heard.unseen += [name for name in _BRINGING if fields.get(name)]
    if isinstance(fields.get("prompt"), dict):
        ask.heard.unseen.append("prompt")


def _measure(ask: Ask) -> None:
    texts = ask.heard.texts
    ask.text_chars = sum(map(len, texts))
    ask.text_bytes = sum(len(text) if text.isascii() else len(text.encode()) for text in texts)


def _whole(fields: dict[str, object], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise _Refuse(DoorRefusal.FIELD_OF_WRONG_KIND, name)
    return value
