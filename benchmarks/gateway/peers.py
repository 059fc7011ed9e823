"""The peers that run beside ours, each as it comes out of its package.

| peer | what it is here | what is set, and what it leaves out |
|---|---|---|
| direct | no gateway: the load asks the supplier | |
| nginx | a plain reverse proxy | one worker, keep-alive to the supplier, buffering and logs off; no account, no count |
| LiteLLM | its proxy, one worker, on its default server (uvicorn) | a master key, no database: no budgets, no spend is written |
| LiteLLM on granian | the same on the faster of its servers | the same |
| Portkey | the open-source gateway on Node | hono and node-server as in its lock file; no account, no count |

LiteLLM and Portkey are installed once, into build/peers (`make clean` removes it); what they depend on beyond that is not pinned.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from benchmarks.gateway import traffic
from benchmarks.gateway.load import fetched
from benchmarks.gateway.rig import ROOT, NotMeasured, Process, free_port, wait_until_serving

PEERS: Final = ROOT / "build" / "peers"
"""Not under benchmarks/: what is there is checked as ours."""
LITELLM, PORTKEY, HONO, NODE_SERVER = "1.106.2", "1.15.2", "4.9.7", "1.13.5"
"""Portkey takes any newer hono and node-server; with the newest its streams break, with those of its lock file they work."""
JSON_TYPE: Final = {"Content-Type": "application/json"}
_START_S: Final = 90.0
_LAST_WORDS: Final = 300


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that serves: its port, what a request to it must carry, its process (None for direct)."""

    port: int
    headers: Mapping[str, str]
    process: Process | None


class Gateway(Protocol):
    """What can be measured. `installed` and `started` raise NotMeasured with the reason where it cannot be."""

    name: str
    warm_s: int
    """Seconds of load before it is measured: code loaded late, compiled late."""
    patience: int
    """How many times as long as the others it is loaded: of few requests, those under way at the end are a large part."""

    def installed(self) -> str:
        """Install what is missing; the version as the results name it."""
        ...

    def started(self, core: int, supplier_port: int) -> Served:
        """Start it on this core in front of the supplier; it answers by then."""
        ...


class Direct:
    """The supplier itself."""

    name = "direct"
    warm_s, patience = 1, 1

    def installed(self) -> str:
        """Nothing to install."""
        return ""

    def started(self, core: int, supplier_port: int) -> Served:
        """It runs already, on the load's core."""
        del core
        return Served(supplier_port, JSON_TYPE, None)


class Nginx:
    """nginx as a reverse proxy."""

    name = "nginx"
    warm_s, patience = 1, 1

    def __init__(self) -> None:
        """The program on the path, else the unpacked one."""
        self._folder = PEERS / "nginx"
        self.program = shutil.which("nginx") or str(self._folder / "usr" / "sbin" / "nginx")

    def installed(self) -> str:
        """Debian's nginx, unpacked if there is none."""
        if not Path(self.program).exists():
            fetched("nginx", str(self._folder))
        said = _said([self.program, "-v"])
        return f"nginx {said.rpartition('/')[2].split()[0]}"

    def started(self, core: int, supplier_port: int) -> Served:
        """One process, without a master."""
        port = free_port()
        folder = PEERS / "nginx-run"
        folder.mkdir(parents=True, exist_ok=True)
        scratch = " ".join(
            f"{kind}_temp_path {folder / kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"""worker_processes 1; daemon off; master_process off; pid {folder / "pid"}; error_log {folder / "error.log"};
events {{ worker_connections 1024; }}
http {{
    access_log off; tcp_nodelay on; keepalive_requests 100000000; {scratch}
    upstream supplier {{ server 127.0.0.1:{supplier_port}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://supplier; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffering off; proxy_request_buffering off;
        }}
    }}
}}
"""
        )
        command = [self.program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        return serving(self.name, core, command, port, "/v1/models", JSON_TYPE)


class LiteLlm:
    """LiteLLM's proxy."""

    warm_s, patience = 8, 3

    def __init__(self, *, granian: bool = False) -> None:
        """On its default server, or on granian."""
        self.name = "LiteLLM on granian" if granian else "LiteLLM"
        self._server = ["--run_granian"] if granian else []
        self._folder = PEERS / f"litellm-{LITELLM}"

    def installed(self) -> str:
        """A virtual environment of its own with the pinned release."""
        made_once(
            self._folder,
            [sys.executable, "-m", "venv", str(self._folder)],
            [
                str(self._folder / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                f"litellm[proxy]=={LITELLM}",
            ],
        )
        return f"{self.name} {LITELLM}"

    def started(self, core: int, supplier_port: int) -> Served:
        """One worker; it takes its model prices from the package, not from the network."""
        port, key = free_port(), "sk-bench-0123456789"
        config = self._folder / "bench.yaml"
        config.write_text(
            f"""model_list:
  - model_name: {traffic.MODEL}
    litellm_params: {{model: openai/{traffic.MODEL}, api_base: "http://127.0.0.1:{supplier_port}/v1", api_key: sk-supplier}}
litellm_settings: {{telemetry: false}}
general_settings: {{master_key: {key}}}
"""
        )
        command = [
            str(self._folder / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1",
            "--port", str(port), "--num_workers", "1", *self._server,
        ]  # fmt: skip
        environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
        headers = {**JSON_TYPE, "Authorization": f"Bearer {key}"}
        return serving(self.name, core, command, port, "/health/liveliness", headers, environment)


class Portkey:
    """Portkey's gateway."""

    name = "Portkey"
    warm_s, patience = 8, 1

    def __init__(self) -> None:
        """In a folder of its own."""
        self._folder = PEERS / f"portkey-{PORTKEY}"

    def installed(self) -> str:
        """The npm package with the versions that work."""
        npm, node = shutil.which("npm"), shutil.which("node")
        if npm is None or node is None:
            raise NotMeasured("there is no npm and node on this machine")
        wanted = {
            "private": True,
            "dependencies": {"@portkey-ai/gateway": PORTKEY},
            "overrides": {"hono": HONO, "@hono/node-server": NODE_SERVER},
        }
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts"]
        made_once(
            self._folder,
            [npm, "--prefix", str(self._folder), "install", *quiet],
            files={"package.json": json.dumps(wanted)},
        )
        return f"Portkey {PORTKEY} on Node {_said([node, '--version']).strip()}"

    def started(self, core: int, supplier_port: int) -> Served:
        """The supplier is named by headers of the request."""
        port = free_port()
        program = self._folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        headers = {
            **JSON_TYPE,
            "Authorization": "Bearer sk-supplier",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{supplier_port}/v1",
        }
        command = ["node", str(program), f"--port={port}", "--headless"]
        return serving(self.name, core, command, port, "/", headers)


def serving(
    name: str, core: int, command: Sequence[str], port: int, path: str, headers: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
) -> Served:  # fmt: skip
    """Start a command and wait until it answers a GET of this path."""
    process = Process(name.replace(" ", "-").lower(), core, command, environment)
    try:
        wait_until_serving(process, port, path, _START_S)
    except BaseException:
        process.end()
        raise
    return Served(port, headers, process)


def made_once(folder: Path, *commands: Sequence[str], files: Mapping[str, str] | None = None) -> None:
    """Write the files and run the commands, unless all succeeded before. Raises NotMeasured with the words of one that fails."""
    made = folder / ".made"
    if made.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    for command in commands:
        ran = subprocess.run(
            command, check=False, capture_output=True, text=True, env={**os.environ, "CI": "1"}
        )
        if ran.returncode:
            words = " ".join((ran.stderr or ran.stdout).split())[-_LAST_WORDS:]
            raise NotMeasured(f"it could not be installed: {words}")
    made.touch()


def _said(command: Sequence[str]) -> str:
    """What a command writes, on whichever stream."""
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    return ran.stdout + ran.stderr
