"""The description of the control API is true and usable: schemathesis finds nothing, and a client is made of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from tests.e2e.gateway import Gateway, configuration, serving
from tests.fake_provider import FakeProvider

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.timeout(900)]

HERE: Final = Path(__file__).parent
EXAMPLES: Final = {"fast": "1", "default": "2", "deep": "100"}
"""For each operation and phase, by the suite's profile."""
SIGN_UP: Final = {"enabled": True, "per_hour": 10_000}
"""So that accounts are made as well."""

USE: Final = '''
"""A few calls with the client that was made of the description."""

from client import AuthenticatedClient
from client.api.keys import create_key, list_keys
from client.api.projects import create_project, show_project
from client.api.session import show_session
from client.models import KeyMade, NewKeyBody, NewProject, PageKeyShown, Problem, ProjectShown, Session


def use(url: str, token: str) -> str:
    client = AuthenticatedClient(base_url=url, token=token)
    session = show_session.sync(client=client)
    assert isinstance(session, Session)
    assert session.role == "admin"
    project = create_project.sync(client=client, body=NewProject(name="Typed", id="typed"))
    assert isinstance(project, ProjectShown)
    made = create_key.sync(client=client, body=NewKeyBody(name="typed", project=project.id))
    assert isinstance(made, KeyMade)
    listed = list_keys.sync(client=client, project=project.id)
    assert isinstance(listed, PageKeyShown)
    assert [each.id for each in listed.data] == [made.key.id]
    missing = show_project.sync(client=client, project="no-such-project")
    assert isinstance(missing, Problem)
    assert missing.status == 404
    return made.secret


if __name__ == "__main__":
    import sys

    print(use(sys.argv[1], sys.argv[2]))
'''


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A real gateway."""
    async with (
        FakeProvider() as provider,
        serving(tmp_path_factory.mktemp("gateway"), configuration(provider.base_url, signup=SIGN_UP)) as running,
    ):
        yield running


def token_of(gateway: Gateway) -> str:
    """The token that the first start made."""
    return str(json.loads((gateway.data_dir / "credentials.json").read_text())["token"])


async def run(*words: str, cwd: Path, **environment: str) -> str:
    """Runs a program to its end; what it said. Fails the test when it fails."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        env=os.environ | environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-20_000:]
    return said.decode()


async def test_a_typed_client_is_made_and_used(gateway: Gateway, tmp_path: Path) -> None:
    """Generated, type-checked with a program that uses it, and run."""
    description = tmp_path / "openapi.json"
    async with httpx.AsyncClient(timeout=60) as client:
        description.write_text((await client.get(f"{gateway.control_url}/api/openapi.json")).text)
    maker = Path(sys.executable).parent / "openapi-python-client"
    words = ("generate", "--path", str(description), "--meta", "none", "--output-path", str(tmp_path / "client"))
    said = await run(str(maker), *words, "--fail-on-warning", cwd=tmp_path)
    assert "WARNING" not in said, said
    (tmp_path / "use.py").write_text(USE)
    await run(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "use.py", cwd=tmp_path)
    url = f"{gateway.control_url}/api"
    secret = await run(sys.executable, "use.py", url, token_of(gateway), cwd=tmp_path)
    assert secret.startswith("tw-")


async def test_schemathesis_finds_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """Every operation, every check, in all phases."""
    url = f"{gateway.control_url}/api"
    headers = {"authorization": f"Bearer {token_of(gateway)}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as admin:
        own: dict[str, Any] = {
            "TOKENWAY_TEST_USER_ID": (await admin.get("/session")).json()["user"],
            "TOKENWAY_TEST_TOKEN_ID": (await admin.get("/tokens")).json()["data"][0]["id"],
        }
    for name in ("hooks.py", "schemathesis.toml"):
        (tmp_path / name).write_bytes((HERE / name).read_bytes())
    examples = EXAMPLES[os.environ.get("TOKENWAY_TEST_PROFILE", "default")]
    await run(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"),
        *(f"{url}/openapi.json", "--url", url, "--checks", "all", "--max-examples", examples, "--no-color"),
        *("--header", f"Authorization: {headers['authorization']}"),
        cwd=tmp_path,
        **own,
    )
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as admin:
        assert (await admin.get("/session")).json()["role"] == "admin", "the one that asked was shut out meanwhile"
    assert "Traceback" not in gateway.complaints
