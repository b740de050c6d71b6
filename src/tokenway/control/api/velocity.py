"""Velocity: how fast and how reliable each endpoint is, as measured here."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from tokenway.control.api.callers import Gateway, Guarded
from tokenway.control.api.endpoints import Model, offers
from tokenway.control.api.listing import page_by_name
from tokenway.control.api.paging import LIMIT, Cursor, Limit, Page
from tokenway.control.api.types import Json, Shown

router = APIRouter(route_class=Guarded, tags=["velocity"])


class Velocity(Shown):
    """The figures of one endpoint."""

    endpoint: str
    models: list[str] = Field(description="The models that it serves.")
    figures: Json = Field(
        description="OpenRouter's fields (`latency_last_30m` in ms, `throughput_last_30m` in tokens/s, uptimes in "
        "percent) and `tokenway`: breaker, requests, gaps, what is expected of the next call."
    )


@router.get("/velocity")
async def list_velocity(
    services: Gateway, model: Model = None, limit: Limit = LIMIT, cursor: Cursor = None
) -> Page[Velocity]:
    """Every endpoint's figures, by its id."""
    models: dict[str, list[str]] = {}
    for name, endpoint in offers(services.snapshot(), model).values():
        models.setdefault(endpoint.id, []).append(name)
    figures = services.figures(models)

    def shown(endpoint: str) -> Velocity:
        return Velocity(endpoint=endpoint, models=sorted(models[endpoint]), figures=figures.get(endpoint, {}))

    return page_by_name(services, f"velocity {model or ''}", models, shown, limit=limit, cursor=cursor)
