"""An OpenAI-compatible endpoint whose models answer as their names say, with noise by a seed."""

from __future__ import annotations

import json
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

Json = dict[str, Any]
DRIFTS = {"drifted": 0.3}
LENGTH = 20


class ScriptedEndpoint:
    """Models: `good` and `twin` are equal, `drifted` has other log-probabilities for good, `plain` refuses to give any.

    `busy` says 429 to the first request of each prompt, `down` always 500, `mute` answers nothing, `odd` another shape,
    `shut` refuses every key.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[Json, str | None]] = []
        self.most_at_once = 0
        self._running = 0
        self._lock = threading.Lock()
        self._seen: Counter[tuple[str, str]] = Counter()

    def reply(self, body: Json) -> tuple[int, Json]:
        """Status and answer."""
        model, ask = body["model"], body["messages"][0]["content"]
        with self._lock:
            self._seen[model, ask] += 1
            turn = self._seen[model, ask]
        if model == "down" or (model == "busy" and turn == 1):
            return (500 if model == "down" else 429), {"error": {"message": f"The model {model} is {model}."}}
        if model == "shut":
            return 401, {"error": {"message": "No such key."}}
        if model == "plain" and body.get("logprobs"):
            return 400, {"error": {"message": "logprobs are not supported"}}
        if model == "odd":
            return 200, {"choices": "none", "usage": 3}
        return 200, {"choices": [self._choice(body, model, ask, turn)]}

    def _choice(self, body: Json, model: str, ask: str, turn: int) -> Json:
        usual = np.random.default_rng(zlib.crc32(ask.encode()))
        logs = -usual.gamma(0.5, 0.6, LENGTH)
        logs += DRIFTS.get(model, 0.0) * usual.standard_normal(LENGTH)
        own = np.random.default_rng(zlib.crc32(f"{model} {ask} {turn}".encode()))
        logs += 0.01 * own.standard_normal(LENGTH)
        words = [f"word{place}" for place in range(LENGTH)]
        if own.random() < 0.1:
            words[-3:] = ["else"] * 3
        content = "" if model == "mute" else " ".join(words)
        message: Json = {"role": "assistant", "content": content}
        if "tools" in body and model != "mute":
            call = {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
            message["tool_calls"] = [{"id": "c", "type": "function", "function": call}]
        logged = [{"token": f" {word}", "logprob": float(log)} for word, log in zip(words, logs, strict=True)]
        return {"index": 0, "message": message, "logprobs": {"content": logged} if body.get("logprobs") else None}

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serves in a thread; the base URL."""
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Keeps the test's output quiet."""

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with endpoint._lock:
                    endpoint._running += 1
                    endpoint.most_at_once = max(endpoint.most_at_once, endpoint._running)
                    endpoint.requests.append((body, self.headers.get("authorization")))
                status, found = endpoint.reply(body)
                raw = json.dumps(found).encode()
                with endpoint._lock:
                    endpoint._running -= 1
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
