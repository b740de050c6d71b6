"""Models: what callers ask for."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from pydantic import Field
from starlette.responses import Response

from tokenway.control.api.callers import Caller, Gateway, Guarded, Who
from tokenway.control.api.entries import Entries, entries, entry_of, is_in_file, merged, with_entry, without_entry
from tokenway.control.api.listing import page_by_name
from tokenway.control.api.paging import LIMIT, Cursor, Limit, Page
from tokenway.control.api.problems import not_found
from tokenway.control.api.publishing import IfMatch, Outcome, WithSettings, publish, removal
from tokenway.control.api.types import Json, Shown

router = APIRouter(route_class=Guarded, tags=["models"])

SECTION: Final = "models"
Name = Annotated[str, Path(min_length=1, max_length=200, description="A slash in it may be written as it is.")]


class Model(Shown):
    """A model as it is in force."""

    name: str
    source: str = Field(description="`file`, `published` or `engine`.")
    in_use: bool
    endpoints: list[str] = Field(description="The ids of its endpoints, as headers and the ledger name them.")
    fallbacks: list[str]
    settings: Json | None = Field(description="What is written, for admins; null for others.")
    version: int = Field(description="The published configuration in force, which a change must name.")


@router.get("/models")
async def list_models(who: Who, services: Gateway, limit: Limit = LIMIT, cursor: Cursor = None) -> Page[Model]:
    """The models of the configuration and of the local engine, by name."""
    found = await entries(services, SECTION)
    names = found.written.keys() | services.snapshot().models.keys()
    return page_by_name(
        services, SECTION, names, lambda name: _shown(services, who, found, name), limit=limit, cursor=cursor
    )


@router.get("/models/{name:path}")
async def show_model(response: Response, who: Who, services: Gateway, name: Name) -> Model:
    """One model."""
    found = await entries(services, SECTION)
    if name not in found.written and name not in services.snapshot().models:
        raise not_found("model", name)
    response.headers["etag"] = f'"{found.version}"'
    return _shown(services, who, found, name)


@router.put("/models/{name:path}", response_model=Outcome)
async def set_model(
    request: Request, who: Who, services: Gateway, name: Name, body: WithSettings, if_match: IfMatch = None
) -> Response:
    """Makes a model, or writes it anew: publishes the configuration with it."""
    body.agreed(if_match)
    make = with_entry(SECTION, name, body.settings)
    return await _publish(services, request, who, make=make, said=body)


@router.patch("/models/{name:path}", response_model=Outcome)
async def change_model(
    request: Request, who: Who, services: Gateway, name: Name, body: WithSettings, if_match: IfMatch = None
) -> Response:
    """Changes some settings of a model; those that are null go back to their defaults."""
    body.agreed(if_match)
    found = await entries(services, SECTION)
    written = entry_of(found, "model", name)
    make = with_entry(SECTION, name, merged(written, body.settings))
    return await _publish(services, request, who, make=make, said=body)


@router.delete("/models/{name:path}", response_model=Outcome)
async def delete_model(request: Request, who: Who, services: Gateway, name: Name, if_match: IfMatch = None) -> Response:
    """Takes a model away: publishes the configuration without it. What the ledger says of it stays."""
    found = await entries(services, SECTION)
    entry_of(found, "model", name)
    make = without_entry(SECTION, name, is_files=await is_in_file(services, SECTION, name))
    said = removal(name, found.version, if_match)
    return await _publish(services, request, who, make=make, said=said, refusal=409)


async def _publish(services: Gateway, request: Request, who: Caller, **more: Any) -> Response:
    return await publish(services, request, who, field="settings", **more)


def _shown(services: Gateway, who: Caller, found: Entries, name: str) -> Model:
    used = services.snapshot().models.get(name)
    written = found.written.get(name)
    return Model(
        name=name,
        source=found.sources.get(name, "engine"),
        in_use=used is not None,
        endpoints=[] if used is None else [each.id for each in used.endpoints],
        fallbacks=[] if used is None else list(used.fallbacks),
        settings=(written if isinstance(written, dict) else {}) if who.is_admin else None,
        version=found.version,
    )
