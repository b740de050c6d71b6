"""The description of the API."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api
from tokenway.control.api.app import PREFIX
from tokenway.control.api.rules import RULES, Need

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_description_is_of_every_route(admin: httpx.AsyncClient) -> None:
    """In OpenAPI 3.1, with who may ask and what may go wrong."""
    schema = (await admin.get("/openapi.json", headers={"authorization": ""})).json()
    assert schema["openapi"].startswith("3.1")
    assert schema["servers"] == [{"url": PREFIX}]
    described = {(m.upper(), p) for p, operations in schema["paths"].items() for m in operations}
    assert described == set(RULES)
    names = [o["operationId"] for operations in schema["paths"].values() for o in operations.values()]
    assert len(names) == len(set(names))
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            is_open = RULES[method.upper(), path] is Need.NOTHING
            assert ("security" in operation) is not is_open
            assert operation["summary"]
            assert operation["description"]
            for status, answer in operation["responses"].items():
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"]
    assert not [name for name in schema["components"]["schemas"] if "__" in name], "two shapes have one name"
    assert {"token", "session"} == set(schema["components"]["securitySchemes"])


async def test_no_parameter_is_null(admin: httpx.AsyncClient) -> None:
    """One that is left out is not sent."""
    schema = (await admin.get("/openapi.json")).json()
    for operations in schema["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                assert "anyOf" not in parameter["schema"], parameter


async def test_what_is_beside_the_api(api: Api) -> None:
    """The listener has other pages, and the API only its own."""
    root = api.url.removesuffix("/api")
    async with httpx.AsyncClient(verify=False) as client:
        assert (await client.get(f"{root}/")).status_code == 200
        assert (await client.get(f"{root}/metrics")).status_code == 200
        for path in ("/api", "/api/", "/apis", "/api2/users"):
            assert (await client.get(f"{root}{path}")).status_code == 404
