"""Control tokens: what this API is spoken to with, in the name of a user."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from tokenway.control.api import once
from tokenway.control.api.callers import Gateway, Guarded, Who
from tokenway.control.api.paging import LIMIT, Cursor, Cursors, Limit, Page
from tokenway.control.api.problems import not_found
from tokenway.control.api.types import IDENTITY, Body, Identity, Shown, Text, Time, moment_of, shown_moment, shown_time
from tokenway.store.accounts.records import TokenRow

router = APIRouter(route_class=Guarded, tags=["tokens"])

Token = Annotated[str, Path(pattern=IDENTITY)]


class TokenShown(Shown):
    """A token, without its secret."""

    id: str
    user: str
    name: str
    prefix: str
    created: str
    expires: str | None
    revoked: str | None
    last_used: str | None


class TokenMade(Shown):
    """A token with its secret, which is shown this once."""

    token: TokenShown
    secret: str


class NewTokenBody(Body):
    """A token to make."""

    name: Text
    user: Identity | None = Field(default=None, description="Whose it is: an id or name; the caller's when left out.")
    expires: Time | None = None


@router.get("/tokens")
async def list_tokens(
    who: Who,
    services: Gateway,
    user: Annotated[str | None, Query(pattern=IDENTITY, description="The id of a user, for admins.")] = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Page[TokenShown]:
    """The caller's tokens, oldest first; for an admin everybody's."""
    if not who.is_admin:
        who.require(user in {None, who.user.id})
        user = who.user.id
    cursors, listed = Cursors(services.seal), f"tokens {user}"
    page = partial(services.accounts.tokens.page, user_id=user, cursor=cursors.read(listed, cursor), size=limit)
    return cursors.page(listed, await services.run(page), shown)


@router.post("/tokens", status_code=201, response_model=TokenMade)
async def create_token(
    request: Request, who: Who, services: Gateway, body: NewTokenBody, key: once.Key = None
) -> Response:
    """Makes a token; it may do what its user may."""
    user = body.user if body.user is not None else who.user.id
    who.require(user in {who.user.id, who.user.name})
    expires = None if body.expires is None else moment_of(body.expires)

    def work() -> TokenMade:
        made = services.accounts.tokens.create(user, body.name, by=who.actor, expires=expires)
        return TokenMade(token=shown(made.row), secret=made.secret.reveal())

    return await once.create(services, request, who.user.id, key, work)


@router.get("/tokens/{token}")
async def show_token(who: Who, services: Gateway, token: Token) -> TokenShown:
    """One token."""
    return shown(await _own(who, services, token))


@router.delete("/tokens/{token}")
async def revoke_token(who: Who, services: Gateway, token: Token) -> TokenShown:
    """Ends a token now."""
    row = await _own(who, services, token)
    return shown(await services.run(partial(services.accounts.tokens.revoke, row.id, by=who.actor)))


async def _own(who: Who, services: Gateway, token: str) -> TokenRow:
    row: TokenRow = await services.run(services.accounts.tokens.get, token)
    if not who.is_admin and row.user_id != who.user.id:
        raise not_found("token", token)
    return row


def shown(row: TokenRow) -> TokenShown:
    """A token as it is shown."""
    return TokenShown(
        id=row.id,
        user=row.user_id,
        name=row.name,
        prefix=row.prefix,
        created=shown_time(row.created),
        expires=shown_moment(row.expires),
        revoked=shown_moment(row.revoked),
        last_used=shown_moment(row.last_used),
    )
