"""Signing in at an identity provider: the two halves of the way there and back."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from tokenway.control.api.callers import Gateway, Guarded, address_of
from tokenway.control.api.problems import Problem
from tokenway.control.api.services import Services
from tokenway.control.api.session import begin
from tokenway.control.oidc import PENDING_SECONDS, Oidc, OidcFault, Pending, Person, is_installed
from tokenway.model.settings import OidcSettings
from tokenway.store.accounts.records import Actor, Role, UserRow, UserTerms
from tokenway.store.base import InUse, StoreError
from tokenway.store.seal import SealFault

router = APIRouter(route_class=Guarded, tags=["session"])

COOKIE: Final = "tokenway_oidc"
PURPOSE: Final = "oidc"
_CALLBACK: Final = "/api/oidc/callback"

Code = Annotated[str | None, Query(max_length=2000)]
Word = Annotated[str | None, Query(max_length=200)]
Sentence = Annotated[str | None, Query(max_length=1000)]


@router.get("/oidc/login", status_code=303, response_class=Response)
async def go_to_provider(request: Request, services: Gateway) -> Response:
    """Sends the browser to the identity provider."""
    oidc = _client(request, services)
    redirect = oidc.settings.redirect_url or str(request.base_url.replace(path=_CALLBACK, query=""))
    try:
        url, pending = await oidc.begin(redirect)
    except OidcFault as error:
        raise Problem(503, str(error)) from None
    response = RedirectResponse(url, 303)
    kept = services.seal.seal(msgspec.json.encode(pending).decode(), PURPOSE)
    response.set_cookie(
        COOKIE,
        kept,
        max_age=int(PENDING_SECONDS),
        path=_CALLBACK,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return response


@router.get("/oidc/callback", status_code=303, response_class=Response)
async def come_back(
    request: Request,
    services: Gateway,
    code: Code = None,
    state: Word = None,
    error: Word = None,
    error_description: Sentence = None,
) -> Response:
    """Signs the browser in, and sends it to the console."""
    oidc = _client(request, services)
    said = {"code": code, "state": state, "error": error, "error_description": error_description}
    try:
        pending = msgspec.json.decode(services.seal.open(request.cookies.get(COOKIE, ""), PURPOSE), type=Pending)
        person = await oidc.finish(pending, {name: value for name, value in said.items() if value is not None})
    except (SealFault, msgspec.MsgspecError):
        raise Problem(403, "this sign-in was not begun in this browser; begin it again") from None
    except OidcFault as fault:
        raise Problem(403, str(fault)) from None
    user = await services.run(partial(_user, services, oidc.settings, person, address_of(request)))
    response = RedirectResponse("/", 303)
    await begin(request, response, services, user)
    response.delete_cookie(COOKIE, path=_CALLBACK, httponly=True, samesite="lax")
    return response


def _client(request: Request, services: Services) -> Oidc:
    """The client of the settings in force."""
    settings = services.settings().auth.oidc
    if settings is None:
        raise Problem(404, "sign-in at an identity provider is not configured (auth.oidc)")
    if not is_installed():
        raise Problem(503, "sign-in at an identity provider needs more packages: install tokenway[oidc]")
    known: Oidc | None = getattr(request.app.state, "oidc", None)
    if known is None or known.settings != settings:
        known = request.app.state.oidc = Oidc(settings)
    return known


def _user(services: Services, settings: OidcSettings, person: Person, address: str) -> UserRow:
    """Whose identity this is, made if need be; his role follows his groups where groups give roles."""
    users = services.accounts.users
    role = Role.ADMIN if set(person.groups) & set(settings.admin_groups) else Role.USER
    found = users.of_identity(person.identity)
    if found is None:
        if not settings.create:
            raise Problem(403, "you have no account here; an admin can make one with your identity")
        try:
            terms = UserTerms(role=role, identity=person.identity)
            return users.create(person.name, by=Actor("oidc", address), terms=terms)
        except StoreError as error:
            # A name that is taken is not proof of being the same person.
            raise Problem(409, f"{error}; an admin can give that user your identity") from None
    if settings.admin_groups and found.role is not role:
        try:
            return users.update(found.id, UserTerms(role=role), by=Actor("oidc", address))
        except InUse:
            return found  # the last admin stays one
    return found
