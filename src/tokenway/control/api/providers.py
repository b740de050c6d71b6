"""Providers: who is called, with secrets that can be written and never read."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from pydantic import Field
from starlette.responses import Response

from tokenway.control.api.callers import Gateway, Guarded, Who
from tokenway.control.api.entries import Entries, entries, entry_of, is_in_file, merged, with_entry, without_entry
from tokenway.control.api.listing import page_by_name
from tokenway.control.api.paging import LIMIT, Cursor, Limit, Page
from tokenway.control.api.problems import not_found
from tokenway.control.api.publishing import IfMatch, Outcome, WithSettings, publish, removal
from tokenway.control.api.services import Services
from tokenway.control.api.types import Json, Shown
from tokenway.model.settings import LOCAL_PROVIDER

router = APIRouter(route_class=Guarded, tags=["providers"])

SECTION: Final = "providers"
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Provider(Shown):
    """A provider as it is in force, and what is written about it."""

    name: str
    source: str = Field(description="`file`, `published`, `environment` (its usual variable is set) or `engine`.")
    in_use: bool = Field(description="Whether it is enabled and known to the workers.")
    dialect: str | None
    base_url: str | None
    settings: Json = Field(description="What is written; secrets are masked.")
    version: int = Field(description="The published configuration in force, which a change must name.")


@router.get("/providers")
async def list_providers(services: Gateway, limit: Limit = LIMIT, cursor: Cursor = None) -> Page[Provider]:
    """All providers, by name."""
    found = await entries(services, SECTION)
    names = found.written.keys() | services.snapshot().providers.keys()
    return page_by_name(
        services, SECTION, names, lambda name: _shown(services, found, name), limit=limit, cursor=cursor
    )


@router.get("/providers/{name}")
async def show_provider(response: Response, services: Gateway, name: Name) -> Provider:
    """One provider."""
    found = await entries(services, SECTION)
    if name not in found.written and name not in services.snapshot().providers:
        raise not_found("provider", name)
    response.headers["etag"] = f'"{found.version}"'
    return _shown(services, found, name)


@router.put("/providers/{name}", response_model=Outcome)
async def set_provider(
    request: Request, who: Who, services: Gateway, name: Name, body: WithSettings, if_match: IfMatch = None
) -> Response:
    """Makes a provider, or writes it anew: publishes the configuration with it."""
    body.agreed(if_match)
    make = with_entry(SECTION, name, body.settings)
    return await _publish(services, request, who, make=make, said=body)


@router.patch("/providers/{name}", response_model=Outcome)
async def change_provider(
    request: Request, who: Who, services: Gateway, name: Name, body: WithSettings, if_match: IfMatch = None
) -> Response:
    """Changes some settings of a provider; those that are null go back to their defaults."""
    body.agreed(if_match)
    found = await entries(services, SECTION)
    written = entry_of(found, "provider", name)
    make = with_entry(SECTION, name, merged(written, body.settings))
    return await _publish(services, request, who, make=make, said=body)


@router.delete("/providers/{name}", response_model=Outcome)
async def delete_provider(
    request: Request, who: Who, services: Gateway, name: Name, if_match: IfMatch = None
) -> Response:
    """Takes a provider away: publishes the configuration without it. What the ledger says of it stays."""
    found = await entries(services, SECTION)
    known = services.snapshot().providers
    if name not in found.written and name not in known:
        raise not_found("provider", name)
    only_there = name not in found.written
    make = without_entry(
        SECTION,
        name,
        is_files=await is_in_file(services, SECTION, name),
        is_enabled_elsewhere=only_there or services.is_enabled_by_environment(name),
    )
    said = removal(name, found.version, if_match)
    return await _publish(services, request, who, make=make, said=said, refusal=409)


async def _publish(services: Services, request: Request, who: Who, **more: Any) -> Response:
    return await publish(services, request, who, field="settings", **more)


def _shown(services: Services, found: Entries, name: str) -> Provider:
    used = services.snapshot().providers.get(name)
    written = found.written.get(name) or {}
    settings = services.configuration.shown({SECTION: {name: written}})[SECTION][name]
    elsewhere = "engine" if name == LOCAL_PROVIDER else "environment"
    return Provider(
        name=name,
        source=found.sources.get(name, elsewhere),
        in_use=used is not None,
        dialect=None if used is None else used.dialect,
        base_url=None if used is None else used.base_url,
        settings=settings if isinstance(settings, dict) else {},
        version=found.version,
    )
