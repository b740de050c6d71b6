"""Users: people who sign in, and service accounts that have tokens only."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from msgspec import UNSET
from pydantic import Field
from starlette.responses import Response

from tokenway.control.api import once
from tokenway.control.api.callers import Gateway, Guarded, Who
from tokenway.control.api.paging import LIMIT, Cursor, Cursors, Limit, Page
from tokenway.control.api.publishing import IfMatch, version_in
from tokenway.control.api.types import IDENTITY, Body, Labels, Shown, Versioned, shown_moment, shown_time
from tokenway.model.secret import Secret
from tokenway.store.accounts.records import Role, UserKind, UserRow, UserTerms

router = APIRouter(route_class=Guarded, tags=["users"])

User = Annotated[str, Path(pattern=IDENTITY, description="The id or the name of a user.")]
UserName = Annotated[
    str, Field(pattern=r"^[!-~]{1,200}$", description="What they sign in with; an address, as a rule.")
]
Password = Annotated[str, Field(min_length=8, max_length=256)]
ForeignIdentity = Annotated[str, Field(pattern=r"^[!-~]{1,500} [!-~]{1,500}$", description="Issuer, a blank, subject.")]
RoleName = Literal["admin", "user"]


class UserShown(Shown):
    """A user."""

    id: str
    name: str
    role: str = Field(description="`admin` may do everything; `user` what their memberships allow.")
    kind: str = Field(description="`person`, or `service`: it has tokens, and does not sign in.")
    has_password: bool
    identity: str | None = Field(description="Issuer and subject of who they are elsewhere.")
    labels: dict[str, str]
    created: str
    archived: str | None
    version: int


class NewUser(Body):
    """A user to make."""

    name: UserName
    role: RoleName = "user"
    kind: Literal["person", "service"] = "person"
    password: Password | None = Field(default=None, description="Not for service accounts.")
    identity: ForeignIdentity | None = None
    labels: Labels = {}


class UserChange(Versioned):
    """What is to be different; what is left out stays."""

    name: UserName | None = None
    role: RoleName | None = None
    identity: ForeignIdentity | None = None
    labels: Labels | None = None


class NewPassword(Body):
    """Another password."""

    password: Password


@router.get("/users")
async def list_users(
    services: Gateway,
    archived: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
    kind: Annotated[Literal["person", "service"] | None, Query()] = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Page[UserShown]:
    """Users, oldest first."""
    cursors, listed = Cursors(services.seal), f"users {archived} {kind}"
    page = partial(
        services.accounts.users.page,
        archived=archived,
        kind=UserKind(kind) if kind is not None else None,
        cursor=cursors.read(listed, cursor),
        size=limit,
    )
    return cursors.page(listed, await services.run(page), shown)


@router.post("/users", status_code=201, response_model=UserShown)
async def create_user(request: Request, who: Who, services: Gateway, body: NewUser, key: once.Key = None) -> Response:
    """Makes a user."""
    password = Secret(body.password) if body.password is not None else None
    terms = UserTerms(role=Role(body.role), identity=body.identity, labels=body.labels)

    def work() -> UserShown:
        made = services.accounts.users.create(
            body.name, by=who.actor, kind=UserKind(body.kind), password=password, terms=terms
        )
        return shown(made)

    return await once.create(services, request, who.user.id, key, work)


@router.get("/users/{user}")
async def show_user(response: Response, services: Gateway, user: User) -> UserShown:
    """One user."""
    row: UserRow = await services.run(services.accounts.users.find, user)
    response.headers["etag"] = f'"{row.version}"'
    return shown(row)


@router.patch("/users/{user}")
async def change_user(who: Who, services: Gateway, user: User, body: UserChange, if_match: IfMatch = None) -> UserShown:
    """Changes a user. The role of the last admin stays."""
    terms = UserTerms(
        name=UNSET if body.name is None else body.name,
        role=UNSET if body.role is None else Role(body.role),
        identity=body.identity if "identity" in body.model_fields_set else UNSET,
        labels=UNSET if body.labels is None else body.labels,
    )
    version = body.agreed(if_match)
    return shown(
        await services.run(partial(services.accounts.users.update, user, terms, by=who.actor, version=version))
    )


@router.put("/users/{user}/password", status_code=204)
async def set_password(who: Who, services: Gateway, user: User, body: NewPassword, if_match: IfMatch = None) -> None:
    """Gives a user another password, and signs them out everywhere."""
    password = Secret(body.password)
    set_it = partial(services.accounts.users.set_password, user, password, by=who.actor, version=version_in(if_match))
    await services.run(set_it)


@router.post("/users/{user}/archive")
async def archive_user(who: Who, services: Gateway, user: User, if_match: IfMatch = None) -> UserShown:
    """Ends an account with its keys, tokens and sessions; what the ledger says of it stays."""
    return shown(
        await services.run(partial(services.accounts.users.archive, user, by=who.actor, version=version_in(if_match)))
    )


@router.delete("/users/{user}", status_code=204)
async def delete_user(who: Who, services: Gateway, user: User, if_match: IfMatch = None) -> None:
    """Removes a user who was never charged and has no keys; archive them otherwise."""
    await services.run(partial(services.accounts.users.delete, user, by=who.actor, version=version_in(if_match)))


def shown(row: UserRow) -> UserShown:
    """A user as he is shown."""
    return UserShown(
        id=row.id,
        name=row.name,
        role=row.role,
        kind=row.kind,
        has_password=row.has_password,
        identity=row.identity,
        labels=row.labels,
        created=shown_time(row.created),
        archived=shown_moment(row.archived),
        version=row.version,
    )
