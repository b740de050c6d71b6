"""Signing in with a password, and who one is."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import Field

from tokenway.control.api.callers import COOKIE, Doorman, Gateway, Guarded, Who, address_of, roles_of
from tokenway.control.api.problems import Problem
from tokenway.control.api.types import Body, Shown, shown_moment
from tokenway.model.secret import Secret
from tokenway.store.accounts import passwords
from tokenway.store.accounts.records import Actor, MemberRole, SessionRow, UserRow

router = APIRouter(route_class=Guarded, tags=["session"])

SESSION_SECONDS: Final = 12 * 3600.0
"""How long a browser stays signed in."""


class SignIn(Body):
    """A name and its password."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    password: Annotated[str, Field(min_length=1, max_length=1000)]


class PasswordChange(Body):
    """The password of now, and the one to be."""

    current: Annotated[str, Field(min_length=1, max_length=1000)]
    password: Annotated[str, Field(min_length=8, max_length=256)]


class Session(Shown):
    """Who is signed in."""

    user: str
    name: str
    role: str
    projects: dict[str, str] = Field(description="The role in each of the projects.")
    csrf: str | None = Field(description="What changes need in the header `x-csrf-token`; null for a token.")
    expires: str | None = Field(description="When the session ends; null for a token.")


@router.post("/session", status_code=201)
async def sign_in(request: Request, response: Response, body: SignIn, services: Gateway) -> Session:
    """Signs a browser in: its cookie comes with the answer."""
    address = address_of(request)
    wait = services.attempts.begin(body.name, address)
    if wait:
        headers = {"retry-after": str(int(wait) + 1)}
        raise Problem(429, "too many attempts; wait and try again", headers=headers)
    password = Secret(body.password)
    candidate = await services.run(services.accounts.users.candidate, body.name)
    checked = await asyncio.to_thread(passwords.check, candidate.password, password)
    if not checked.is_right or candidate.user is None:
        raise Problem(401, "the name or the password is wrong")
    services.attempts.succeeded(body.name, address)
    by = Actor(candidate.user.id, address)
    if checked.rehashed is not None:
        await services.run(lambda: services.accounts.users.keep_rehashed(candidate, checked.rehashed, by=by))
    return await begin(request, response, services, candidate.user)


async def begin(request: Request, response: Response, services: Gateway, user: UserRow) -> Session:
    """A new session for a user. One that the browser had is ended: nobody can have chosen the new one beforehand."""
    by = Actor(user.id, address_of(request))
    former = Secret(request.cookies.get(COOKIE, ""))

    def work() -> tuple[Secret, SessionRow]:
        if former:
            services.accounts.sessions.end(former, by=by)
        return services.accounts.sessions.create(user.id, SESSION_SECONDS, by=by)

    secret, row = await services.run(work)
    response.set_cookie(
        COOKIE,
        secret.reveal(),
        max_age=int(SESSION_SECONDS),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    roles = await roles_of(services, user.id)
    doorman: Doorman = request.app.state.doorman
    return _shown(user, roles, doorman.csrf(row.digest), row.expires)


@router.get("/session")
async def show_session(request: Request, who: Who, services: Gateway) -> Session:
    """Who one is."""
    # Of an admin `who` has no roles, for he may do everything.
    roles = await roles_of(services, who.user.id)
    if not who.session:
        return _shown(who.user, roles, None, None)
    secret = Secret(request.cookies.get(COOKIE, ""))
    found = await services.run(services.accounts.sessions.find, secret)
    doorman: Doorman = request.app.state.doorman
    return _shown(who.user, roles, doorman.csrf(who.session), None if found is None else found[0].expires)


@router.put("/session/password", status_code=204)
async def change_password(who: Who, services: Gateway, body: PasswordChange) -> None:
    """Changes the caller's own password, and signs them out everywhere else."""
    wait = services.attempts.begin(who.user.name, who.address)
    if wait:
        raise Problem(429, "too many attempts; wait and try again", headers={"retry-after": str(int(wait) + 1)})
    candidate = await services.run(services.accounts.users.candidate, who.user.name)
    checked = await asyncio.to_thread(passwords.check, candidate.password, Secret(body.current))
    if not checked.is_right:
        raise Problem(403, "this is not the password", field="current")
    services.attempts.succeeded(who.user.name, who.address)
    change = partial(services.accounts.users.set_password, who.user.id, Secret(body.password), by=who.actor)
    await services.run(partial(change, keep=who.session or None))


@router.delete("/session", status_code=204)
async def sign_out(request: Request, response: Response, who: Who, services: Gateway) -> None:
    """Signs the browser out; a token is not ended by it."""
    if who.session:
        secret = Secret(request.cookies.get(COOKIE, ""))
        await services.run(lambda: services.accounts.sessions.end(secret, by=who.actor))
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")


def _shown(user: UserRow, roles: dict[str, MemberRole], csrf: str | None, expires: float | None) -> Session:
    projects = {project: str(role) for project, role in roles.items()}
    return Session(
        user=user.id, name=user.name, role=user.role, projects=projects, csrf=csrf, expires=shown_moment(expires)
    )
