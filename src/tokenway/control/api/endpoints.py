"""Endpoints: each offer of a model, as the workers see it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field

from tokenway.control.api.callers import Gateway, Guarded
from tokenway.control.api.listing import page_by_name
from tokenway.control.api.paging import LIMIT, Cursor, Limit, Page
from tokenway.control.api.types import Json, Shown
from tokenway.model.catalog import Endpoint
from tokenway.model.snapshot import Snapshot

router = APIRouter(route_class=Guarded, tags=["endpoints"])

Model = Annotated[str | None, Query(max_length=200, description="Of this model only.")]


class EndpointShown(Shown):
    """One offer of one model."""

    model: str
    id: str = Field(description="`provider/model-there`, as headers and the ledger name it.")
    provider: str
    upstream_model: str
    grade: dict[str, str]
    limits: dict[str, int | None] = Field(description="What it takes: requests and tokens a minute, calls at once.")
    capabilities: Json
    operations: list[str]
    weight: float
    figures: Json = Field(description="Speed and reliability of the last half hour, as in `GET /velocity`.")


@router.get("/endpoints")
async def list_endpoints(
    services: Gateway, model: Model = None, limit: Limit = LIMIT, cursor: Cursor = None
) -> Page[EndpointShown]:
    """The endpoints of all models, or of one, in the order of their models' names."""
    found = offers(services.snapshot(), model)
    figures = services.figures({endpoint.id for _, endpoint in found.values()})

    def shown(key: str) -> EndpointShown:
        name, endpoint = found[key]
        return _shown(name, endpoint, figures.get(endpoint.id, {}))

    return page_by_name(services, f"endpoints {model or ''}", found, shown, limit=limit, cursor=cursor)


def offers(snapshot: Snapshot, model: str | None) -> dict[str, tuple[str, Endpoint]]:
    """Endpoints with the models that they serve, by a text that orders them."""
    return {
        f"{name}\0{number:04d}": (name, endpoint)
        for name, each in snapshot.models.items()
        if model in {None, name}
        for number, endpoint in enumerate(each.endpoints)
    }


def _shown(name: str, endpoint: Endpoint, figures: dict[str, Any]) -> EndpointShown:
    return EndpointShown(
        model=name,
        id=endpoint.id,
        provider=endpoint.provider,
        upstream_model=endpoint.upstream_model,
        grade=msgspec.structs.asdict(endpoint.grade),
        limits=msgspec.structs.asdict(endpoint.limits),
        capabilities=msgspec.structs.asdict(endpoint.capabilities),
        operations=[str(each) for each in endpoint.operations],
        weight=endpoint.weight,
        figures=figures,
    )
