"""Prices as they are in force, and where each comes from."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import APIRouter
from pydantic import Field

from tokenway.control.api.callers import Gateway, Guarded
from tokenway.control.api.endpoints import Model, offers
from tokenway.control.api.listing import page_by_name
from tokenway.control.api.paging import LIMIT, Cursor, Limit, Page
from tokenway.control.api.types import Json, Shown, usd
from tokenway.model.catalog import Endpoint, Price
from tokenway.model.settings import LOCAL_PROVIDER, Settings
from tokenway.model.shape import Kind, Shape, fields_of, shape_of
from tokenway.model.snapshot import Snapshot

router = APIRouter(route_class=Guarded, tags=["prices"])

_MONEY: Final = frozenset({Kind.RATE, Kind.MONEY})


class PriceShown(Shown):
    """What one model costs at one provider."""

    model: str = Field(description="What callers ask for; `provider/model` where the configuration has no name for it.")
    endpoint: str
    source: str = Field(
        description="`configuration`, `price_book` (the list prices that come with Tokenway), `engine` (free), or "
        "`none`: its calls are unpriced."
    )
    price: Json | None = Field(
        description="USD per million tokens, by bucket, and USD for each `request`, `search` and `image`; a bucket "
        "that is left out costs what its parent costs."
    )


@router.get("/prices")
async def list_prices(
    services: Gateway, model: Model = None, limit: Limit = LIMIT, cursor: Cursor = None
) -> Page[PriceShown]:
    """The price of every endpoint, and the list prices of the other models of the enabled providers."""
    snapshot, settings = services.snapshot(), services.settings()
    found = offers(snapshot, model)
    listed = _listed(snapshot, model)

    def shown(key: str) -> PriceShown:
        if key in listed:
            return listed[key]
        name, endpoint = found[key]
        source = _source(settings, name, endpoint)
        return PriceShown(model=name, endpoint=endpoint.id, source=source, price=shown_price(endpoint.price))

    names = {**found, **listed}
    return page_by_name(services, f"prices {model or ''}", names, shown, limit=limit, cursor=cursor)


def shown_price(price: Price | None) -> Json | None:
    """A price with its money as decimal strings, without what it does not say."""
    return None if price is None else _record(price, shape_of(Price))


def _record(value: msgspec.Struct, shape: Shape) -> Json:
    fields = fields_of(shape.target)
    return {
        name: _value(found, field.shape)
        for name, field in fields.items()
        if (found := getattr(value, name)) is not None and found != field.default
    }


def _value(value: Any, shape: Shape) -> Any:
    if shape.kind in _MONEY:
        return usd(value)
    if shape.kind is Kind.RECORD:
        return _record(value, shape)
    if shape.kind is Kind.LIST and shape.inner is not None:
        return [_value(each, shape.inner) for each in value]
    return value


def _source(settings: Settings, name: str, endpoint: Endpoint) -> str:
    written = settings.models.get(name)
    offer = [each for each in written.endpoints if f"{each.provider}/{each.model}" == endpoint.id] if written else []
    if any(each.price is not None for each in offer[:1]):
        return "configuration"
    if endpoint.price is None:
        return "none"
    return "engine" if endpoint.provider == LOCAL_PROVIDER else "price_book"


def _listed(snapshot: Snapshot, model: str | None) -> dict[str, PriceShown]:
    """What the price book has of the enabled providers' own names, after the models of the configuration."""
    return {
        f"\U0010ffff{provider}/{row.name}": PriceShown(
            model=f"{provider}/{row.name}",
            endpoint=f"{provider}/{row.name}",
            source="price_book" if row.price is not None else "none",
            price=shown_price(row.price),
        )
        for provider, rows in snapshot.listings.items()
        for row in rows
        if row.is_listed and model in {None, f"{provider}/{row.name}"}
    }
