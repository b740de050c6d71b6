"""Keys: what models are called with. A secret is shown when it is made, and never again."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from msgspec import UNSET
from pydantic import Field
from starlette.responses import Response

from tokenway.control.api import once
from tokenway.control.api.callers import Caller, Gateway, Guarded, Who
from tokenway.control.api.limits import Bound, LimitShown
from tokenway.control.api.limits import shown as shown_limit
from tokenway.control.api.paging import LIMIT, Cursor, Cursors, Limit, Page
from tokenway.control.api.problems import Problem
from tokenway.control.api.publishing import IfMatch, version_in
from tokenway.control.api.services import Services
from tokenway.control.api.types import (
    IDENTITY,
    WHOLE,
    Body,
    Identity,
    Labels,
    Money,
    Shown,
    Text,
    Time,
    Versioned,
    moment_of,
    nano,
    shown_moment,
    shown_time,
    usd,
)
from tokenway.control.sign_up import narrowed
from tokenway.store.accounts.records import KeyFilter, KeyRow, KeyState, KeyTerms, NewKey

router = APIRouter(route_class=Guarded, tags=["keys"])

Reference = Annotated[str, Path(pattern=IDENTITY, description="The id of a key.")]
Names = Annotated[list[Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]], Field(max_length=200)]
Networks = Annotated[list[Annotated[str, Field(pattern=r"^[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?$")]], Field(max_length=200)]


class KeyShown(Shown):
    """A key, without its secret."""

    id: str
    name: str
    project: str
    user: str | None = Field(description="Whose it is; null for nobody's.")
    prefix: str = Field(description="How its secret begins.")
    state: str = Field(description="`active`, `expired`, `revoked` or `archived`.")
    created: str
    expires: str | None
    revoked: str | None
    archived: str | None
    last_used: str | None
    former_ends: str | None = Field(description="Until when the secret before the last rotation is good.")
    max_cost: str | None = Field(description="The most that one call may cost, USD.")
    models: list[str] | None = Field(description="What it may ask for; null for all.")
    endpoints: list[str] | None = Field(
        description="Where it may be served: endpoints' ids or providers; null for all."
    )
    addresses: list[str] | None = Field(description="Networks from which it may be used; null for all.")
    labels: dict[str, str]
    version: int


class KeyMade(Shown):
    """A key with its secret, which is shown this once."""

    key: KeyShown
    secret: str
    limits: list[LimitShown]


class KeyTermsBody(Body):
    """What may be said of a key."""

    expires: Time | None = None
    max_cost: Money | None = None
    models: Names | None = None
    endpoints: Names | None = None
    addresses: Networks | None = None


class NewKeyBody(KeyTermsBody):
    """A key to make."""

    name: Text
    project: Identity = "default"
    user: Identity | None = Field(default=None, description="Whose it is: an id or name. A member's own when left out.")
    labels: Labels = {}
    limits: Annotated[list[Bound], Field(max_length=20)] = []


class KeyChange(KeyTermsBody, Versioned):
    """What is to be different; what is left out stays, null takes a bound away."""

    name: Text | None = None
    labels: Labels | None = None


class Rotation(Body):
    """How a secret is replaced."""

    overlap: Annotated[int, Field(ge=0, le=366 * 86400), WHOLE] = Field(
        default=0, description="Seconds for which the former secret goes on."
    )


@router.get("/keys")
async def list_keys(
    who: Who,
    services: Gateway,
    project: Annotated[str | None, Query(pattern=IDENTITY)] = None,
    user: Annotated[str | None, Query(pattern=IDENTITY, description="The id of a user.")] = None,
    state: Annotated[Literal["active", "expired", "revoked", "archived"] | None, Query()] = None,
    label: Annotated[str | None, Query(max_length=300, description="A label's name, or `name=text`.")] = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Page[KeyShown]:
    """Keys, oldest first; ended ones too. Who is no admin asks for one project's."""
    if project is not None:
        who.reach(project)
    elif not who.is_admin:
        raise Problem(422, "say which project's keys: only admins see those of all", field="project")
    name, has_text, text = (label or "").partition("=")
    which = KeyFilter(
        project=project,
        user_id=user,
        label=(name, text if has_text else None) if label else None,
        state=KeyState(state) if state is not None else None,
    )
    cursors, listed = Cursors(services.seal), f"keys {project} {user} {state} {label}"
    page = partial(services.accounts.keys.page, which, cursor=cursors.read(listed, cursor), size=limit)
    now = services.clock()
    return cursors.page(listed, await services.run(page), lambda row: shown(row, now))


@router.post("/keys", status_code=201, response_model=KeyMade)
async def create_key(request: Request, who: Who, services: Gateway, body: NewKeyBody, key: once.Key = None) -> Response:
    """Makes a key. Members make their own; an admin of the project makes them for anybody, or for nobody."""
    owner = body.user
    if owner is not None:
        owner = (await services.run(services.accounts.users.find, owner)).id if who.is_admin else _own(who, owner)
    elif not who.is_admin:
        owner = who.user.id
    who.reach(body.project, owner=owner)
    terms = KeyTerms(
        user_id=owner if owner is not None else UNSET,
        labels=body.labels,
        expires=None if body.expires is None else moment_of(body.expires),
        max_cost=None if body.max_cost is None else nano(body.max_cost),
        models=_tuple(body.models),
        endpoints=_tuple(body.endpoints),
        addresses=_tuple(body.addresses),
    )
    if not who.is_admin:
        terms = narrowed(services.settings().signup, who.user, terms, is_new=True)
    bounds = [each.terms() for each in body.limits]

    def work() -> KeyMade:
        new = services.accounts.keys.create(body.name, by=who.actor, project=body.project, terms=terms, limits=bounds)
        return made(new, services)

    return await once.create(services, request, who.user.id, key, work)


@router.get("/keys/{key_id}")
async def show_key(response: Response, who: Who, services: Gateway, key_id: Reference) -> KeyShown:
    """One key."""
    row = await _reach(who, services, key_id)
    response.headers["etag"] = f'"{row.version}"'
    return shown(row, services.clock())


@router.patch("/keys/{key_id}")
async def change_key(
    who: Who, services: Gateway, key_id: Reference, body: KeyChange, if_match: IfMatch = None
) -> KeyShown:
    """Changes a key; all workers go by it within two seconds."""
    row = await _reach(who, services, key_id)
    said = body.model_fields_set
    terms = KeyTerms(
        name=UNSET if body.name is None else body.name,
        labels=UNSET if body.labels is None else body.labels,
        expires=UNSET if "expires" not in said else None if body.expires is None else moment_of(body.expires),
        max_cost=UNSET if "max_cost" not in said else None if body.max_cost is None else nano(body.max_cost),
        models=_tuple(body.models) if "models" in said else UNSET,
        endpoints=_tuple(body.endpoints) if "endpoints" in said else UNSET,
        addresses=_tuple(body.addresses) if "addresses" in said else UNSET,
    )
    if not who.is_admin:
        terms = narrowed(services.settings().signup, who.user, terms, is_new=False)
    version = body.agreed(if_match)
    change = partial(services.accounts.keys.update, row.id, terms, by=who.actor, version=version)
    return shown(await services.run(change), services.clock())


@router.post("/keys/{key_id}/rotate", status_code=201, response_model=KeyMade)
async def rotate_key(
    request: Request,
    who: Who,
    services: Gateway,
    key_id: Reference,
    body: Rotation,
    if_match: IfMatch = None,
    key: once.Key = None,
) -> Response:
    """Another secret for the same key; the former one ends at once, or goes on for a while."""
    row = await _reach(who, services, key_id)
    version = version_in(if_match)

    def work() -> KeyMade:
        overlap = float(body.overlap)
        new = services.accounts.keys.rotate(row.id, by=who.actor, overlap=overlap, version=version)
        return made(new, services)

    return await once.create(services, request, who.user.id, key, work)


@router.post("/keys/{key_id}/revoke")
async def revoke_key(who: Who, services: Gateway, key_id: Reference, if_match: IfMatch = None) -> KeyShown:
    """Ends a key now, on all workers."""
    row = await _reach(who, services, key_id)
    end = partial(services.accounts.keys.revoke, row.id, by=who.actor, version=version_in(if_match))
    return shown(await services.run(end), services.clock())


@router.post("/keys/{key_id}/archive")
async def archive_key(who: Who, services: Gateway, key_id: Reference, if_match: IfMatch = None) -> KeyShown:
    """Ends a key for ever and takes it out of the way; what was counted for it stays."""
    row = await _reach(who, services, key_id)
    end = partial(services.accounts.keys.archive, row.id, by=who.actor, version=version_in(if_match))
    return shown(await services.run(end), services.clock())


@router.delete("/keys/{key_id}", status_code=204)
async def delete_key(who: Who, services: Gateway, key_id: Reference, if_match: IfMatch = None) -> None:
    """Removes a key that was never used, with its limits; archive it otherwise."""
    row = await _reach(who, services, key_id)
    await services.run(partial(services.accounts.keys.delete, row.id, by=who.actor, version=version_in(if_match)))


async def _reach(who: Caller, services: Services, reference: str) -> KeyRow:
    row: KeyRow = await services.run(services.accounts.keys.find, reference)
    who.reach(row.project, "key", reference, owner=row.user_id)
    return row


def _own(who: Caller, owner: str) -> str:
    """A user is called by name or id; a member may only mean himself, and cannot find out who else there is."""
    return who.user.id if owner in {who.user.id, who.user.name} else owner


def _tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def made(new: NewKey, services: Services) -> KeyMade:
    """A new key as it is shown this once."""
    return KeyMade(
        key=shown(new.row, services.clock()),
        secret=new.secret.reveal(),
        limits=[shown_limit(each) for each in new.limits],
    )


def shown(row: KeyRow, now: float) -> KeyShown:
    """A key as it is shown."""
    return KeyShown(
        id=row.id,
        name=row.name,
        project=row.project,
        user=row.user_id or None,
        prefix=row.prefix,
        state=row.state(now),
        created=shown_time(row.created),
        expires=shown_moment(row.expires),
        revoked=shown_moment(row.revoked),
        archived=shown_moment(row.archived),
        last_used=shown_moment(row.last_used),
        former_ends=shown_moment(row.former_ends),
        max_cost=None if row.max_cost is None else usd(row.max_cost),
        models=None if row.models is None else list(row.models),
        endpoints=None if row.endpoints is None else list(row.endpoints),
        addresses=None if row.addresses is None else list(row.addresses),
        labels=row.labels,
        version=row.version,
    )
