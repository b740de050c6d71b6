"""Published configurations: what there was, how they differ, a new one, and back to an old one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field, field_validator
from starlette.responses import Response

from tokenway.control.api import once
from tokenway.control.api.callers import Gateway, Guarded, Who
from tokenway.control.api.paging import LIMIT, Cursor, Cursors, Limit, Page
from tokenway.control.api.problems import not_found
from tokenway.control.api.publishing import Difference, Outcome, Publishing, differences, is_plain, publish
from tokenway.control.api.services import Services
from tokenway.control.api.types import Json, Shown, shown_time
from tokenway.control.published import Published
from tokenway.store.documents import DocumentRow

router = APIRouter(route_class=Guarded, tags=["snapshots"])

DRY_RUN: Final[dict[int | str, dict[str, Any]]] = {200: {"model": Outcome, "description": "What it would do."}}
Number = Annotated[int, Path(ge=0, le=2**31 - 1)]


class Snapshot(Shown):
    """One published configuration."""

    version: int
    created: str
    author: str = Field(description="The id of the user who published it.")
    note: str
    in_force: bool


class WholeSnapshot(Snapshot):
    """One with its contents."""

    document: Json = Field(description="Lies over the configuration file; secrets are masked.")


class NewSnapshot(Publishing):
    """A configuration to publish."""

    document: Json = Field(description="Sections as in the configuration file, without server, store, shared and auth.")

    @field_validator("document")
    @classmethod
    def _document(cls, document: Json) -> Json:
        if not is_plain(document):
            raise ValueError("holds half of a character")
        return document


class Diff(Shown):
    """How two configurations differ, both over the file of the machine that answers."""

    from_version: int
    to_version: int
    changes: list[Difference]


@router.get("/snapshots")
async def list_snapshots(services: Gateway, limit: Limit = LIMIT, cursor: Cursor = None) -> Page[Snapshot]:
    """The published configurations, the newest first."""
    cursors = Cursors(services.seal)
    after = cursors.read("snapshots", cursor)
    documents = services.store.documents
    before = None if after is None else int(after)
    rows = await services.run(lambda: documents.heads(before=before, count=limit + 1))
    in_force = await services.run(documents.version)
    more = cursors.make("snapshots", str(rows[limit - 1].version)) if len(rows) > limit else None
    return Page(data=[Snapshot(**_head(row, in_force)) for row in rows[:limit]], next_cursor=more)


@router.post("/snapshots", status_code=201, response_model=Outcome, responses=DRY_RUN)
async def publish_snapshot(
    request: Request, who: Who, services: Gateway, body: NewSnapshot, key: once.Key = None
) -> Response:
    """Publishes a configuration, or says what that would change."""
    return await publish(services, request, who, make=lambda _: body.document, said=body, key=key, status=201)


@router.get("/snapshots/diff")
async def compare_snapshots(
    services: Gateway,
    from_version: Annotated[int, Query(alias="from", ge=0, le=2**31 - 1, description="0 is the file alone.")],
    to_version: Annotated[
        int | None, Query(alias="to", ge=0, le=2**31 - 1, description="The one in force when left out.")
    ] = None,
) -> Diff:
    """How two published configurations differ."""
    to = await services.run(services.store.documents.version) if to_version is None else to_version
    old, new = await _opened(services, from_version), await _opened(services, to)

    def compare() -> list[Difference]:
        configuration = services.configuration
        return differences(configuration.changes(configuration.written(old), configuration.written(new)))

    return Diff(from_version=from_version, to_version=to, changes=await asyncio.to_thread(compare))


@router.get("/snapshots/{version}")
async def show_snapshot(response: Response, services: Gateway, version: Number) -> WholeSnapshot:
    """One published configuration."""
    row = await services.run(services.store.documents.get, version)
    if row is None:
        raise not_found("snapshot", str(version))
    in_force = await services.run(services.store.documents.version)
    response.headers["etag"] = f'"{version}"'
    document = services.configuration.shown(services.configuration.open(row).document)
    return WholeSnapshot(**_head(row, in_force), document=document)


@router.post("/snapshots/{version}/publish", status_code=201, response_model=Outcome, responses=DRY_RUN)
async def publish_again(
    request: Request, who: Who, services: Gateway, version: Number, body: Publishing, key: once.Key = None
) -> Response:
    """Rolls back: publishes the contents of an older configuration as a new one."""
    old = await _opened(services, version)
    document = {} if old is None else old.document
    return await publish(services, request, who, make=lambda _: document, said=body, key=key, status=201)


async def _opened(services: Services, version: int) -> Published | None:
    """A published configuration, secrets open; None for 0, which is the file alone."""
    if version == 0:
        return None
    row: DocumentRow | None = await services.run(services.store.documents.get, version)
    if row is None:
        raise not_found("snapshot", str(version))
    return services.configuration.open(row)


def _head(row: DocumentRow, in_force: int) -> Json:
    return {
        "version": row.version,
        "created": shown_time(row.created),
        "author": row.author,
        "note": row.note,
        "in_force": row.version == in_force,
    }
