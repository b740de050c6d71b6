"""Aliases: other names for models."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from pydantic import Field
from starlette.responses import Response

from tokenway.control.api.callers import Gateway, Guarded, Who
from tokenway.control.api.entries import Entries, entries, entry_of, is_in_file, with_entry, without_entry
from tokenway.control.api.listing import page_by_name
from tokenway.control.api.paging import LIMIT, Cursor, Limit, Page
from tokenway.control.api.publishing import IfMatch, Outcome, Publishing, publish, removal
from tokenway.control.api.types import Shown

router = APIRouter(route_class=Guarded, tags=["aliases"])

SECTION: Final = "aliases"
Name = Annotated[str, Path(min_length=1, max_length=200, description="A slash in it may be written as it is.")]


class Alias(Shown):
    """Another name for a model."""

    name: str
    model: str
    source: str = Field(description="`file` or `published`.")
    version: int = Field(description="The published configuration in force, which a change must name.")


class NewAlias(Publishing):
    """What a name stands for."""

    model: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


@router.get("/aliases")
async def list_aliases(services: Gateway, limit: Limit = LIMIT, cursor: Cursor = None) -> Page[Alias]:
    """All aliases, by name."""
    found = await entries(services, SECTION)
    return page_by_name(services, SECTION, found.written, lambda name: _shown(found, name), limit=limit, cursor=cursor)


@router.get("/aliases/{name:path}")
async def show_alias(response: Response, services: Gateway, name: Name) -> Alias:
    """One alias."""
    found = await entries(services, SECTION)
    entry_of(found, "alias", name)
    response.headers["etag"] = f'"{found.version}"'
    return _shown(found, name)


@router.put("/aliases/{name:path}", response_model=Outcome)
async def set_alias(
    request: Request, who: Who, services: Gateway, name: Name, body: NewAlias, if_match: IfMatch = None
) -> Response:
    """Makes an alias, or gives it another model: publishes the configuration with it."""
    body.agreed(if_match)
    make = with_entry(SECTION, name, body.model)
    return await publish(services, request, who, make=make, said=body, field="model")


@router.delete("/aliases/{name:path}", response_model=Outcome)
async def delete_alias(request: Request, who: Who, services: Gateway, name: Name, if_match: IfMatch = None) -> Response:
    """Takes an alias away: publishes the configuration without it."""
    found = await entries(services, SECTION)
    entry_of(found, "alias", name)
    make = without_entry(SECTION, name, is_files=await is_in_file(services, SECTION, name))
    said = removal(name, found.version, if_match)
    return await publish(services, request, who, make=make, said=said, refusal=409)


def _shown(found: Entries, name: str) -> Alias:
    return Alias(name=name, model=str(found.written[name]), source=found.sources[name], version=found.version)
