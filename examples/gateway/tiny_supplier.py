"""A supplier that says back what it hears, a token a word: to try the gateway without a network.

Run it from the project's folder:  .venv/bin/python examples/gateway/tiny_supplier.py        (port 8000, or the one you name)
It speaks OpenAI's chat completions and Anthropic's messages, whole and streamed, and says what each call used.
"""

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
Body = dict[str, Any]


def words_of(body: Body) -> tuple[list[str], int]:
    """The words of the answer, and how many were asked."""
    asked = " ".join(str(message["content"]) for message in body["messages"]).split()
    most = body.get("max_tokens") or body.get("max_completion_tokens") or 16
    return [f"{word} " for word in ["You", "said:", *asked][:most]], len(asked)


def chat(body: Body, words: list[str], usage: Body) -> Body:
    """A whole chat completion."""
    message = {"role": "assistant", "content": "".join(words)}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"], "usage": usage,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip


def chat_events(body: Body, words: list[str], usage: Body) -> Iterator[tuple[str, Body]]:
    """The same in pieces; its usage last, if it was asked for."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    for word in words:
        yield "", {**base, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
    yield "", {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield "", {**base, "choices": [], "usage": usage}


def message(body: Body, words: list[str], usage: Body) -> Body:
    """A whole message."""
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None,
            "stop_reason": "end_turn", "content": [{"type": "text", "text": "".join(words)}], "usage": usage}  # fmt: skip


def message_events(body: Body, words: list[str], usage: Body) -> Iterator[tuple[str, Body]]:
    """The same in pieces: what was read at the beginning, what was said at the end."""
    start = {**message(body, [], {**usage, "output_tokens": 0}), "content": [], "stop_reason": None}
    yield "message_start", {"message": start}
    yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
    for word in words:
        yield "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word}}
    yield "content_block_stop", {"index": 0}
    yield "message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}
    yield "message_stop", {}


class TinySupplier(BaseHTTPRequestHandler):
    """One request after another on each connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path not in {CHAT, MESSAGES}:
            self._whole(404, {"error": {"message": f"nothing at {self.path}", "type": "not_found"}})
            return
        words, asked = words_of(body)
        if self.path == CHAT:
            counts = {"prompt_tokens": asked, "completion_tokens": len(words)}
            usage = {**counts, "total_tokens": asked + len(words)}
            whole, events = chat(body, words, usage), chat_events(body, words, usage)
        else:
            usage = {"input_tokens": asked, "output_tokens": len(words)}
            whole, events = message(body, words, usage), message_events(body, words, usage)
        if body.get("stream"):
            self._stream(events)
        else:
            self._whole(200, whole)

    def _whole(self, status: int, answer: Body) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: Iterator[tuple[str, Body]]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for name, event in events:
            said = (
                f"event: {name}\ndata: {json.dumps({'type': name, **event})}"
                if name
                else f"data: {json.dumps(event)}"
            )
            self._chunk(f"{said}\n\n".encode())
        if self.path == CHAT:
            self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the library's name
        """Say nothing."""


def listening(port: int = 0) -> ThreadingHTTPServer:
    """A supplier on this port of this machine (0: any free one); `serve_forever` answers."""
    return ThreadingHTTPServer(("127.0.0.1", port), TinySupplier)


if __name__ == "__main__":
    server = listening(int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    print(f"a tiny supplier at http://127.0.0.1:{server.server_port}/v1    (Ctrl-C: end)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
