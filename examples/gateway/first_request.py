"""From nothing to a first request, without a network: a supplier, a gateway, a key, money, a question, the bill.

Run it from the project's folder:  .venv/bin/python examples/gateway/first_request.py
Everything is in a temporary folder that is gone afterwards. The same by hand, step by step: docs/guide/gateway.md.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiny_supplier import listening

from ciyuan.basics.money import format_micro

CIYUAN = str(Path(sys.executable).with_name("ciyuan"))
SUPPLIERS = Path(__file__).with_name("tiny.toml")


def ciyuan(*words: str) -> str:
    """What a command of ours says."""
    return subprocess.run([CIYUAN, *words], check=True, capture_output=True, text=True).stdout  # noqa: S603


def balance() -> str:
    """What the company has left, in USD."""
    shown = json.loads(ciyuan("balance", "show", "acme", "--json"))["balances"][0]
    return f"{format_micro(shown['balance_micro'])} USD"


def ask(url: str, secret: str, question: str) -> str:
    """One chat completion through the gateway; the answer."""
    body = {"model": "echo", "max_tokens": 16, "messages": [{"role": "user", "content": question}]}
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return str(json.load(answer)["choices"][0]["message"]["content"])


@contextmanager
def serving(suppliers: Path) -> Iterator[str]:
    """A gateway as a process of its own; where it serves. At the end it drains: what was delivered is charged and written."""
    words = [CIYUAN, "serve", "--suppliers", str(suppliers), "--port", "0", "--admin-port", "0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as gateway:  # noqa: S603
        try:
            yield json.loads(gateway.stdout.readline())["serving"]  # type: ignore[union-attr]  # it is piped
        finally:
            gateway.terminate()


def main() -> None:
    supplier = listening()
    threading.Thread(target=supplier.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CIYUAN_STORE"] = str(Path(folder, "store"))
        suppliers = Path(folder, "suppliers.toml")
        suppliers.write_text(SUPPLIERS.read_text().replace(":8000", f":{supplier.server_port}"))

        made = ciyuan("key", "create", "laptop", "--organisation", "acme", "--department", "research",
                      "--engineer", "ada", "--new", "--limit", "5 USD a month", "--json")  # fmt: skip
        secret = json.loads(made)["secret"]
        ciyuan("balance", "deposit", "acme", "1.00", "--reference", "the first")

        with serving(suppliers) as url:
            print(f"before   {balance()}")
            answer = ask(url, secret, "How much is that in tokens?")
        print(f"asked    How much is that in tokens?\nanswered {answer}\nafter    {balance()}\n")
        print(ciyuan("usage", "--by", "engineer"))
    supplier.shutdown()


if __name__ == "__main__":
    main()
