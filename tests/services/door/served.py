"""A gateway as an operator runs it: `ciyuan key`, `balance` and `serve` as processes, and mock suppliers beside them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.services.door.mock_supplier import MockSupplier

CIYUAN = [sys.executable, "-c", "from ciyuan.services.cli import main; main()"]
READY_S = 60
MODEL = """
[[supplier.{supplier}.model]]
model = "{model}"
tier = "medium"
protocols = ["chat", "completions", "embeddings", "responses", "messages"]
context_tokens = 100000
output_tokens_max = 1000
price_source = "made for a test"
price_observed_on = 2026-11-21

[supplier.{supplier}.model.price]
input = "1.00"
cached_input = "0.20"
output = "4.00"
"""
SUPPLIER = """
[supplier.{supplier}]
base_url = "http://127.0.0.1:{port}/v1"
anthropic_base_url = "http://127.0.0.1:{port}"
dialect = "openai"
key = "env:MOCK_KEY"
"""


def ciyuan(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    done = subprocess.run([*CIYUAN, *words], capture_output=True, text=True, check=False, env=_environ())
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def _environ() -> dict[str, str]:
    return {**os.environ, "MOCK_KEY": "the supplier's key"}


class Mocks:
    """Mock suppliers on an event loop in a thread of their own, so that a test may be plain code."""

    def __init__(self, count: int = 1) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.suppliers = [self.run(MockSupplier().start()) for _ in range(count)]

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        for supplier in self.suppliers:
            self.run(supplier.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def suppliers_file(folder: Path, mocks: Mocks, models: Sequence[str]) -> Path:
    """A suppliers' file for the mocks."""
    text = ""
    for place, mock in enumerate(mocks.suppliers):
        name = f"mock{place}"
        text += SUPPLIER.format(supplier=name, port=mock.port)
        text += "".join(MODEL.format(supplier=name, model=model) for model in models)
    path = folder / "suppliers.toml"
    path.write_text(text)
    return path


class Served:
    """A running gateway."""

    def __init__(self, store: str, suppliers: Path, *options: str) -> None:
        self.store, self.suppliers, self.options = store, suppliers, options
        self.process: subprocess.Popen[str] | None = None
        self.port = self.admin_port = 0
        self.secret = ""
        """The company's key, for whoever asks; set by the test."""

    def start(self) -> Self:
        words = [
            "serve",
            "--store",
            self.store,
            "--suppliers",
            str(self.suppliers),
            "--port",
            "0",
            "--admin-port",
            "0",
            "--json",
        ]
        self.process = subprocess.Popen([*CIYUAN, *words, *self.options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=_environ())  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.stderr.read())
        told = json.loads(line)
        self.port, self.admin_port = told["port"], told["admin_port"]
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it at once, as a machine does that loses its power over processes."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """End it as an operator does; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        self.process.communicate(timeout=READY_S)
        return self.process.returncode

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


def company(store: str, balance: str = "100.00") -> str:
    """A company with a key and money in a store; the key's secret."""
    made = ciyuan("key", "create", "laptop", "--organisation", "acme", "--department", "research", "--engineer", "ada",
                  "--new", "--store", store, "--json")  # fmt: skip
    if balance:
        ciyuan("balance", "deposit", "acme", balance, "--reference", "the first", "--store", store)
    return str(json.loads(made.stdout)["secret"])
