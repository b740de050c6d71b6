"""The machines of the installation, and the configuration that each has in force."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from tokenway.control.api.callers import Gateway, Guarded
from tokenway.control.api.listing import page_by_name
from tokenway.control.api.paging import LIMIT, Cursor, Limit, Page
from tokenway.control.api.types import Shown, shown_time

router = APIRouter(route_class=Guarded, tags=["nodes"])


class Node(Shown):
    """One machine."""

    id: str
    name: str
    started: str
    seen: str = Field(description="When it last said that it lives.")
    workers: int
    release: str
    is_this: bool = Field(description="Whether it is the one that answers.")
    configuration: int = Field(description="The published configuration that is in force there; 0 is its file alone.")
    fault: str = Field(description="Why the newest one is not; empty when it is.")


@router.get("/nodes")
async def list_nodes(services: Gateway, limit: Limit = LIMIT, cursor: Cursor = None) -> Page[Node]:
    """The machines that share the database, by id."""
    found = {row.id: row for row in await services.run(services.store.nodes.all)}

    def shown(identity: str) -> Node:
        row = found[identity]
        is_this = identity == services.store.nodes.node
        return Node(
            id=row.id,
            name=row.name,
            started=shown_time(row.started),
            seen=shown_time(row.seen),
            workers=row.workers,
            release=row.release,
            is_this=is_this,
            configuration=services.configuration.version if is_this else row.configuration,
            fault=services.configuration.fault if is_this else row.fault,
        )

    return page_by_name(services, "nodes", found, shown, limit=limit, cursor=cursor)
