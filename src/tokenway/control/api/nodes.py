"""The machines of the installation, and the configuration that each has in force."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from tokenway.control.api.callers import Gateway, Guarded, Who
from tokenway.control.api.listing import page_by_name
from tokenway.control.api.paging import LIMIT, Cursor, Limit, Page
from tokenway.control.api.services import Services
from tokenway.control.api.types import IDENTITY, Shown, shown_moment, shown_time
from tokenway.store.nodes import Node as StoredNode

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
    retired: str | None = Field(description="When it was declared gone; null for one that was not.")


@router.get("/nodes")
async def list_nodes(services: Gateway, limit: Limit = LIMIT, cursor: Cursor = None) -> Page[Node]:
    """The machines that share the database, by id."""
    found = {row.id: row for row in await services.run(services.store.nodes.all)}
    return page_by_name(
        services, "nodes", found, lambda name: _shown(found[name], services), limit=limit, cursor=cursor
    )


@router.post("/nodes/{node}/retire")
async def retire_node(who: Who, services: Gateway, node: Annotated[str, Path(pattern=IDENTITY)]) -> Node:
    """Declares a machine gone, so that what it holds of limits is free within a minute and not after days.

    409 for one that was heard of in the last half minute. A machine that lives all the same takes this back.
    """
    return _shown(await services.run(partial(services.store.nodes.retire, node, by=who.actor)), services)


def _shown(row: StoredNode, services: Services) -> Node:
    is_this = row.id == services.store.nodes.node
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
        retired=shown_moment(row.retired),
    )
