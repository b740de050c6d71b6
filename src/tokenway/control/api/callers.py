"""Who asks: a token, or a browser's session with its token against forged requests; and whether he may.

The check stands before everything else: who may not ask is told so before his request is looked at.
"""

from __future__ import annotations

import functools
import hmac
import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

import msgspec
import sqlalchemy as sa
from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tokenway.control.api.problems import Problem, not_found
from tokenway.control.api.rules import ADMINS_FIELDS, MEETS, Need, need_of
from tokenway.control.api.services import Services
from tokenway.model.secret import Secret
from tokenway.store.accounts.paging import PAGE_MAX
from tokenway.store.accounts.records import Actor, MemberRole, Role, UserRow
from tokenway.store.base import StoreError

log = logging.getLogger("tokenway.control")

COOKIE: Final = "tokenway_session"
CSRF_HEADER: Final = "x-csrf-token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE: Final = {"www-authenticate": 'Bearer realm="tokenway"'}


class Caller(msgspec.Struct, frozen=True):
    """Somebody who is signed in. `session` is the digest of his session; empty where he came with a token."""

    user: UserRow
    roles: dict[str, MemberRole]
    address: str
    need: Need
    session: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether he may do everything."""
        return self.user.role is Role.ADMIN

    @property
    def actor(self) -> Actor:
        """How the audit log names him."""
        return Actor(self.user.id, self.address)

    def reach(self, project: str, what: str = "project", identity: str = "", *, owner: str | None = None) -> None:
        """Refuses what this route needs of the project and the caller has not.

        `what` and `identity` are what he asked for, to say that there is no such thing when he may not know of it.
        `owner` is whose it is, for what members may do with their own only.
        """
        if self.is_admin:
            return
        role = self.roles.get(project)
        if role is None:
            raise not_found(what, identity or project)
        self.require(role in MEETS.get(self.need, frozenset()))
        if self.need is Need.OWNER and role is not MemberRole.ADMIN:
            self.require(owner == self.user.id)

    def projects(self) -> list[str] | None:
        """The projects in which he has what this route needs; None for all."""
        enough = MEETS.get(self.need, frozenset(MemberRole))
        return None if self.is_admin else sorted(each for each, role in self.roles.items() if role in enough)

    def require(self, is_allowed: bool) -> None:  # noqa: FBT001 - reads as a sentence
        """Refuses unless it is so."""
        if not is_allowed and not self.is_admin:
            raise Problem(403, "your role does not allow this")

    def require_fields(self, resource: str, said: set[str]) -> None:
        """Refuses a change of what only admins of the installation may set."""
        for field in sorted(said & ADMINS_FIELDS[resource]):
            if not self.is_admin:
                raise Problem(403, "only an admin of the installation may change this", field=field)


class Doorman:
    """Finds out who a request is from."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def admit(self, request: Request, need: Need) -> Caller | None:
        """The caller, who may use the route as such; None where nobody need be known. Raises Problem."""
        if need is Need.NOTHING:
            return None
        caller = await self._who(request, need)
        if need is Need.ADMIN:
            caller.require(caller.is_admin)
        return caller

    def csrf(self, session: str) -> str:
        """The token against forged requests that belongs to a session, by its digest."""
        return self._services.seal.sign("csrf", session.encode()).hex()[:32]

    async def _who(self, request: Request, need: Need) -> Caller:
        accounts = self._services.accounts
        address = address_of(request)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme:
            used = None
            if scheme.lower() == "bearer" and given.isascii():
                used = await self._services.run(accounts.tokens.use, Secret(given.strip()))
            if used is None:
                raise Problem(401, "this token is not valid", headers=_CHALLENGE)
            return await self._caller(used[1], address, need, "")
        cookie = request.cookies.get(COOKIE, "")
        found = await self._services.run(accounts.sessions.find, Secret(cookie)) if cookie else None
        if found is None:
            raise Problem(401, "sign in, or send a token as `Authorization: Bearer twc-…`", headers=_CHALLENGE)
        session, user = found
        if request.method not in _SAFE:
            sent = request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(sent.encode(), self.csrf(session.digest).encode()):
                raise Problem(403, f"a change needs the session's token in the header {CSRF_HEADER}", field=CSRF_HEADER)
        return await self._caller(user, address, need, session.digest)

    async def _caller(self, user: UserRow, address: str, need: Need, session: str) -> Caller:
        roles = {} if user.role is Role.ADMIN else await roles_of(self._services, user.id)
        return Caller(user, roles, address, need, session)


class Guarded(APIRoute):
    """A route that lets nobody in whom the table does not."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the doorman. Raises LookupError for a route without a rule."""
        handler = super().get_route_handler()
        needs = {method: need_of(method, self.path) for method in self.methods or ()}
        takes_body = self.body_field is not None

        async def guarded(request: Request) -> Response:
            try:
                doorman: Doorman = request.app.state.doorman
                request.state.caller = await doorman.admit(request, needs[request.method])
                if takes_body:
                    _require_json(request)
                return await handler(request)
            except (Problem, HTTPException, StoreError, RequestValidationError):
                raise
            except Exception as error:
                if isinstance(error, sa.exc.StatementError):
                    error.hide_parameters = True  # they are what was sent
                log.exception("%s %s failed", request.method, self.path)
                raise Problem(500, "the gateway could not answer; its log says why") from None

        return guarded


async def roles_of(services: Services, user_id: str) -> dict[str, MemberRole]:
    """What a user may do in each of his projects."""
    found: dict[str, MemberRole] = {}
    page = functools.partial(services.accounts.memberships.page, user_id=user_id, size=PAGE_MAX)
    cursor: str | None = None
    while True:
        rows = await services.run(functools.partial(page, cursor=cursor))
        found |= {row.project: row.role for row in rows.rows}
        cursor = rows.next
        if cursor is None:
            return found


def _require_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "the body must be JSON: content-type: application/json", field="content-type")


def address_of(request: Request) -> str:
    """Where a request comes from, as far as the listener knows."""
    return request.client.host if request.client is not None else ""


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Who = Annotated[Caller, Depends(_caller)]
"""The caller, as a parameter of a handler."""
Gateway = Annotated[Services, Depends(_services)]
"""The control process, as a parameter of a handler."""
