"""A gateway that lets through, refuses, prices legs, forgets and is opened again, after `warm`; and what it called beside.

Run by test_warm in a process of its own, where nothing else has called a kernel before. It says in one line of JSON what was
compiled, or read from a cache, that `warm` had not called; the answers' statuses; and the kinds of rows in the journal.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from numba.core.dispatcher import Dispatcher

from ciyuan.basics.rows import CODE_MASK, KIND
from ciyuan.gateway.messages import MeterCommand, close_row
from ciyuan.services.door.registry import Registry
from ciyuan.services.door.registry_keys import Permissions
from ciyuan.services.door.registry_schema import PaymentKind, SpenderKind
from ciyuan.services.door.registry_words import parse_limit
from ciyuan.services.door.serving import Gateway, ServeOrder
from ciyuan.services.store import Store
from ciyuan.services.warm import warm
from tests.services.door.mock_supplier import MockSupplier
from tests.services.door.served import MODEL, SUPPLIER
from tests.services.door.stand import read_answer

LIMITS = {
    "ada": (),
    "bob": ("1 requests a minute", "1000 USD ever"),
    "cy": ("10 tokens a month", "5 USD a day at +08:00"),
    "dee": (),
}
PICTURE = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://x.example/1.png"}},
        ],
    }
]
ASKED = (
    ("ada", "hello", 8),
    ("ada", PICTURE, 8),
    ("bob", "hello", 8),
    ("bob", "hello again", 8),
    ("cy", "more than ten tokens", 8),
    ("dee", "more than there is money for", 1_000),
)


def signatures() -> set[str]:
    """Every compiled function of the package, for every kind of arguments that it was compiled, or read from its cache, for."""
    found = set()
    for name, module in list(sys.modules.items()):
        if name.startswith("ciyuan."):
            for thing in vars(module).values():
                if isinstance(thing, Dispatcher):
                    found |= {
                        f"{thing.py_func.__module__}.{thing.py_func.__name__}{sign}"
                        for sign in thing.signatures
                    }
    return found


def suppliers_file(folder: Path, port: int) -> Path:
    """One supplier; its list has a price of a leg, a step and a piece."""
    model = MODEL.format(supplier="mock", model="m").replace(
        'tier = "medium"', 'tier = "medium"\nimage_tokens = 10'
    )
    legs = 'cache_write = "1.25"\nimage = "0.0001"\n'
    step = '[[supplier.mock.model.price.step]]\nabove_tokens = 50000\ninput = "2.00"\ncached_input = "0.40"\n'
    text = (
        SUPPLIER.format(supplier="mock", port=port)
        + model
        + legs
        + step
        + 'cache_write = "2.50"\noutput = "8.00"\n'
    )
    path = folder / "suppliers.toml"
    path.write_text(text)
    return path


def company(store: Path) -> dict[str, str]:
    """Four engineers with keys and limits, and 0.002 USD for all of them; the keys' secrets."""
    secrets = {}
    with Registry.open(store / "registry.sqlite") as registry, registry.change(1) as change:
        acme = change.spenders.add(SpenderKind.ORGANISATION, "acme")
        for name, limits in LIMITS.items():
            engineer = change.spenders.add(SpenderKind.ENGINEER, name, acme.number)
            secrets[name] = change.keys.create(engineer.number, "laptop", Permissions()).text
            for limit in limits:
                change.limits.set(engineer.number, parse_limit(limit))
        change.payments.ask(PaymentKind.DEPOSIT, acme.participant, 2_000, "the first")
    return secrets


async def ask(port: int, secret: str, content: object, most: int) -> int:
    """One chat completion; its status."""
    messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
    body = json.dumps({"model": "m", "messages": messages, "max_tokens": most}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = (
        "POST /v1/chat/completions HTTP/1.1",
        "host: x",
        f"authorization: Bearer {secret}",
        f"content-length: {len(body)}",
    )
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    try:
        return (await read_answer(reader))[0]
    finally:
        writer.close()


async def served(folder: Path) -> list[int]:
    """Open, ask, close the requests, drain; and all that again from the snapshot; the answers' statuses."""
    supplier, store = await MockSupplier().start(), folder / "store"
    store.mkdir()
    secrets = company(store)
    order = ServeOrder(
        str(store), suppliers_file(folder, supplier.port), port=0, admin_port=0, environ={"MOCK_KEY": "k"}
    )
    statuses = []
    for _ in range(2):
        gateway = Gateway(order)
        await gateway.open()
        try:
            for who, content, most in ASKED:
                statuses.append(await ask(gateway.ports[0], secrets[who], content, most))
            await gateway.host.drained()
            first = max(1, gateway.store.venue.meter.closed[1])
            end = max(gateway.store.venue.meter.requests[:, 0].tolist()) + 1
            gateway.host.submit(close_row(0, first, end), lambda _: None)
            await gateway.host.drained()
            assert gateway.store.venue.meter.closed == (1, end)
        finally:
            await gateway.close(5)
    await supplier.stop()
    return statuses


def main(folder: Path) -> None:
    """Warm, serve, and print what was compiled for it."""
    warm()
    warmed = signatures()
    assert warmed
    statuses = asyncio.run(served(folder))
    with Store.open(folder / "store" / "journal") as store:
        rows = np.concatenate(list(store.read()))
    counts = Counter(rows[:, KIND] & CODE_MASK)
    kinds = sorted(MeterCommand(int(code)).name for code in counts if code in set(MeterCommand))
    said = {"beside": sorted(signatures() - warmed), "statuses": statuses, "kinds": kinds}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
