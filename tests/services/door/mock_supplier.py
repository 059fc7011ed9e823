"""A supplier to test against: an HTTP server of its own that speaks the vendors' dialects, counts what it served, and misbehaves.

What it does with a request is said in the request's model name, after a colon, so that a test says it where it sends:

| model | the supplier |
|---|---|
| `m` | answers |
| `m:status=500` | answers with that status and an error |
| `m:cut=3` | breaks the connection after 3 events of a stream; of a whole answer after its head |
| `m:usage=none`, `zero`, `huge` | leaves out its usage, says 0 tokens, claims 675,947,905 |
| `m:error=3` | sends an error event after 3 events |
| `m:wait=50` | waits 50 ms before it answers; `m:pace=5` 5 ms between events |
| `m:text=...` | says that, one event a character |
| `m:hang` | never answers |

Several are joined by a comma. Usage is true: 7 tokens in, one token out for each event of text.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
TOKENS_IN = 7
HUGE = 675_947_905


class MockSupplier:
    """Serves on a free port of this machine. `served` counts the answers that it ended, by model; `begun` all it began."""

    def __init__(self) -> None:
        self.served: Counter[str] = Counter()
        self.begun: Counter[str] = Counter()
        self.requests: list[tuple[str, dict[str, str], dict]] = []
        self.keep_requests = True
        self.port = self.slow_ms = 0
        self.gate: asyncio.Event | None = None
        """While it is there and not set, requests wait at it; `waiting` says how many."""
        self.waiting = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> "MockSupplier":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    async def drop_idle(self) -> None:
        """Close every connection, as a server that restarts does."""
        for writer in list(self._writers):
            writer.close()
        await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        path = first.split()[1]
        if self.keep_requests:
            self.requests.append((path, headers, body))
        model, _, spoken = body["model"].partition(":")
        how = dict(part.partition("=")[::2] for part in spoken.split(",") if part)
        body = {**body, "model": model}
        self.begun[model] += 1
        if "hang" in how:
            await asyncio.sleep(3600)
        await asyncio.sleep((int(how.get("wait", 0)) + self.slow_ms) / 1000)
        if self.gate is not None:
            self.waiting += 1
            await self.gate.wait()
            self.waiting -= 1
        if "status" in how:
            self._write(writer, int(how["status"]), "application/json", _error(how["status"]))
            return True
        if body.get("stream"):
            return await self._stream(writer, path, body, how, model)
        data = json.dumps(_whole(path, body, how)).encode()
        if "cut" in how:
            writer.write(_head(200, "application/json", len(data)))
            writer.close()
            return False
        self._write(writer, 200, "application/json", data)
        self.served[model] += 1
        return True

    async def _stream(self, writer, path: str, body: dict, how: dict[str, str], model: str) -> bool:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for place, event in enumerate(_events(path, body, how)):
            if place == int(how.get("cut", -1)):
                await writer.drain()
                writer.close()
                return False
            if place == int(how.get("error", -1)):
                event = b'data: {"error":{"message":"the engine died","type":"server_error"}}\n\n'
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await asyncio.sleep(int(how["pace"]) / 1000 if "pace" in how else 0)
            if place == int(how.get("error", -1)):
                break
        writer.write(b"0\r\n\r\n")
        self.served[model] += 1
        await writer.drain()
        return True

    @staticmethod
    def _write(writer: asyncio.StreamWriter, status: int, kind: str, data: bytes) -> None:
        writer.write(_head(status, kind, len(data)) + data)


def _head(status: int, kind: str, length: int) -> bytes:
    return f"HTTP/1.1 {status} Whatever\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n".encode()


def _error(status: str) -> bytes:
    return json.dumps({"error": {"message": f"mock {status}", "type": "mock", "code": status}}).encode()


def _words(body: dict, how: dict[str, str]) -> list[str]:
    if "text" in how:
        return list(how["text"])
    most = body.get("max_tokens") or body.get("max_completion_tokens") or body.get("max_output_tokens") or 8
    return [f"{word} " for word in WORDS[: min(most, len(WORDS))]]


def _usage(how: dict[str, str], out: int, names: tuple[str, str], *, total: bool = True) -> dict | None:
    wanted = how.get("usage")
    if wanted == "none":
        return None
    counts = (0, 0) if wanted == "zero" else (HUGE, out) if wanted == "huge" else (TOKENS_IN, out)
    usage = dict(zip(names, counts, strict=True))
    return {**usage, "total_tokens": sum(counts)} if total else usage


_CHAT, _OTHER = ("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")


def _whole(path: str, body: dict, how: dict[str, str]) -> dict:
    words = _words(body, how)
    text = "".join(words)
    if path.endswith("/embeddings"):
        usage = (
            None if how.get("usage") == "none" else {"prompt_tokens": TOKENS_IN, "total_tokens": TOKENS_IN}
        )
        return {"object": "list", "model": body["model"], "usage": usage,
                "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1.0]}]}  # fmt: skip
    if path.endswith("/messages"):
        return {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "stop_reason": "end_turn",
                "stop_sequence": None, "content": [{"type": "text", "text": text}],
                "usage": _usage(how, len(words), _OTHER, total=False)}  # fmt: skip
    if path.endswith("/responses"):
        return _response(body, "completed", text, _usage(how, len(words), _OTHER))
    if path.endswith("/chat/completions"):
        message: dict = {"role": "assistant", "content": text}
        finish = "stop"
        if body.get("tools"):
            name = body["tools"][0]["function"]["name"]
            message = {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": name, "arguments": '{"city": "Paris"}'}}]}  # fmt: skip
            finish = "tool_calls"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        kind = "chat.completion"
    else:
        choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
        kind = "text_completion"
    answer = {"id": "", "object": kind, "created": 1, "model": body["model"], "choices": [choice]}
    usage = _usage(how, len(words), _CHAT)
    return answer if usage is None else {**answer, "usage": usage}


def _response(body: dict, status: str, text: str, usage: dict | None) -> dict:
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": body["model"],
        "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": status,
                    "content": [{"type": "output_text", "text": text, "annotations": []}]}],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None,
        "usage": None if usage is None else {**usage, **details},
    }  # fmt: skip


def _data(value: object, name: str = "") -> bytes:
    line = f"event: {name}\n" if name else ""
    return f"{line}data: {json.dumps(value)}\n\n".encode()


def _events(path: str, body: dict, how: dict[str, str]) -> list[bytes]:
    words = _words(body, how)
    made: Callable[[dict, dict[str, str], list[str]], list[bytes]] = _chat_events
    if path.endswith("/messages"):
        made = _message_events
    elif path.endswith("/responses"):
        made = _response_events
    return made(body, how, words)


def _chat_events(body: dict, how: dict[str, str], words: list[str]) -> list[bytes]:
    base = {"id": "", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    text = "messages" not in body

    def choice(piece: str | None, finish: str | None = None) -> dict:
        if text:
            return {"index": 0, "text": piece or "", "finish_reason": finish}
        return {"index": 0, "delta": {} if piece is None else {"content": piece}, "finish_reason": finish}

    events = [_data({**base, "choices": [choice(word)]}) for word in words]
    events.append(_data({**base, "choices": [choice(None, "stop")]}))
    usage = _usage(how, len(words), _CHAT)
    if usage is not None and (body.get("stream_options") or {}).get("include_usage"):
        events.append(_data({**base, "choices": [], "usage": usage}))
    return [*events, b"data: [DONE]\n\n"]


def _message_events(body: dict, how: dict[str, str], words: list[str]) -> list[bytes]:
    usage = _usage(how, len(words), _OTHER, total=False)
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": [],
             "stop_reason": None, "stop_sequence": None,
             "usage": {"input_tokens": TOKENS_IN, "output_tokens": 1} if usage else None}  # fmt: skip
    events = [
        _data({"type": "message_start", "message": start}, "message_start"),
        _data({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
              "content_block_start"),
    ]  # fmt: skip
    events += [
        _data({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}},
              "content_block_delta")
        for word in words
    ]  # fmt: skip
    delta: dict = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    if usage is not None:
        delta["usage"] = {"output_tokens": usage["output_tokens"]}
    events.append(_data({"type": "content_block_stop", "index": 0}, "content_block_stop"))
    return [*events, _data(delta, "message_delta"), _data({"type": "message_stop"}, "message_stop")]


def _response_events(body: dict, how: dict[str, str], words: list[str]) -> list[bytes]:
    usage = _usage(how, len(words), _OTHER)
    begun = {
        "type": "response.created",
        "sequence_number": 0,
        "response": _response(body, "in_progress", "", None),
    }
    events = [_data(begun, "response.created")]
    events += [
        _data({"type": "response.output_text.delta", "sequence_number": place, "item_id": "msg_1", "output_index": 0,
               "content_index": 0, "delta": word, "logprobs": []}, "response.output_text.delta")
        for place, word in enumerate(words, 1)
    ]  # fmt: skip
    ended = {"type": "response.completed", "sequence_number": len(words) + 1,
             "response": _response(body, "completed", "".join(words), usage)}  # fmt: skip
    return [*events, _data(ended, "response.completed")]
