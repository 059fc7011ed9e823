"""Our own gateway as the benchmark runs it: `ciyuan serve` on the embedded store, set up by the commands that a user has.

The store is a new folder each time, on the disk on which the results are written: the journal is synced to it. With the firewall
it is a gateway of its own in the results; the project's goals are of the one without, as those of LiteLLM, which has none either.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.gateway import traffic
from benchmarks.gateway.peers import JSON_TYPE, Served, serving
from benchmarks.gateway.rig import OUT, NotMeasured, free_port
from ciyuan import __version__
from ciyuan.services.compiled import ENVIRONMENT, build_of

CIYUAN: Final = (sys.executable, "-c", "from ciyuan.services.cli import main; main()")
"""The command line of this checkout."""
NAME: Final = "ciyuan"
ON: Final = "key, budget, hold, meter, synced posting and audit on"
_STORE: Final = OUT / "gateway" / "store"
_ENVIRONMENT: Final = {"CIYUAN_STORE": str(_STORE), "BENCH_SUPPLIER_KEY": "sk-supplier"}
_BUDGET, _BALANCE_USD = "100000000 USD a year", "100000000"
_SUPPLIERS: Final = """\
[supplier.bench]
base_url = "http://127.0.0.1:{port}/v1"
dialect = "openai"
key = "env:BENCH_SUPPLIER_KEY"
region = "own"

[[supplier.bench.model]]
model = "{model}"
tier = "medium"
context_tokens = 40960
output_tokens_max = 16384
price_source = "invented for the benchmark"
price_observed_on = 2026-11-21
service = {{}}

[supplier.bench.model.price]
input = "0.50"
cached_input = "0.10"
output = "2"
"""


class OurGateway:
    """`ciyuan serve` with one engineer's key, its budget, a balance, and the benchmark's supplier."""

    warm_s, patience = 3, 1

    def __init__(self, command: Sequence[str] = CIYUAN, *, firewall: bool = False) -> None:
        """`command` stands for `ciyuan` when it serves: the profile puts a watched one in its place."""
        self._command = command
        self._firewall = firewall
        self.name = f"{NAME} with firewall" if firewall else NAME

    def installed(self) -> str:
        """It is here. Raises NotMeasured if the command line has no `serve`."""
        said = ciyuan("serve", "--help")
        if said.returncode:
            raise NotMeasured("this command line has no `serve`")
        built = build_of() is not None and os.environ.get(ENVIRONMENT) != "0"
        return f"{self.name} {__version__}{', compiled' if built else ''}"

    def started(self, core: int, supplier_port: int) -> Served:
        """Serve on this core, from a new store."""
        shutil.rmtree(_STORE, ignore_errors=True)
        _STORE.parent.mkdir(parents=True, exist_ok=True)
        file = _STORE.with_name("suppliers.toml")
        file.write_text(suppliers(supplier_port))
        made = _done(
            "key",
            "create",
            "laptop",
            "--organisation",
            "bench",
            "--engineer",
            "ada",
            "--new",
            "--limit",
            _BUDGET,
        )
        _done("balance", "deposit", "bench", _BALANCE_USD, "--reference", "benchmark")
        port = free_port()
        switch = "--firewall" if self._firewall else "--no-firewall"
        order = [
            "serve",
            "--suppliers",
            str(file),
            "--port",
            str(port),
            "--admin-port",
            "0",
            switch,
            "--drain-s",
            "5",
        ]
        headers = {**JSON_TYPE, "Authorization": f"Bearer {made['secret']}"}
        return serving(self.name, core, [*self._command, *order], port, "/healthz", headers, _ENVIRONMENT)


def suppliers(port: int) -> str:
    """The suppliers' file: the mock at this port of 127.0.0.1."""
    return _SUPPLIERS.format(port=port, model=traffic.MODEL)


def ciyuan(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this checkout on the benchmark's store."""
    return subprocess.run(
        [*CIYUAN, *arguments], check=False, capture_output=True, text=True, env={**os.environ, **_ENVIRONMENT}
    )


def _done(*arguments: str) -> Mapping[str, str]:
    """What a command says as JSON. Raises NotMeasured with its words if it fails."""
    ran = ciyuan(*arguments, "--yes", "--json")
    if ran.returncode:
        raise NotMeasured(
            f"`ciyuan {' '.join(arguments[:2])}` failed: {' '.join((ran.stderr or ran.stdout).split())}"
        )
    said: Mapping[str, str] = json.loads(ran.stdout)
    return said
