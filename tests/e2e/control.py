"""The control API of a real gateway, and a clock on its wall that is the test's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import httpx

from tests.e2e.gateway import WAIT_SECONDS, Gateway

_CLOCK: Final = "import time\n\n_now = time.time\ntime.time = lambda: _now() + {seconds!r}\n"


def caller_of(gateway: Gateway, token: str = "") -> httpx.AsyncClient:
    """A client of the control API that speaks with a token, or with none."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=f"{gateway.control_url}/api", headers=headers, timeout=WAIT_SECONDS)


def admin_of(gateway: Gateway) -> httpx.AsyncClient:
    """The admin that the first start made."""
    return caller_of(gateway, str(json.loads((gateway.data_dir / "credentials.json").read_text())["token"]))


def clock(folder: Path, seconds: float) -> dict[str, str]:
    """The environment of a gateway whose clock on the wall is so many seconds ahead. Its timers are as ever."""
    (folder / "sitecustomize.py").write_text(_CLOCK.format(seconds=seconds))
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}
