"""Projects, and who belongs to them."""

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
from tokenway.control.api.types import IDENTITY, Body, Labels, Markup, Shown, Text, Versioned, shown_moment, shown_time
from tokenway.control.api.users import User
from tokenway.model.limits import OnOutage
from tokenway.model.money import format_share, parse_share
from tokenway.store.accounts.records import MemberRole, MembershipRow, ProjectRow, ProjectTerms

router = APIRouter(route_class=Guarded, tags=["projects"])

SLUG = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
Project = Annotated[str, Path(pattern=IDENTITY, description="The id of a project.")]
Outage = Literal["serve", "refuse"]
MemberRoleName = Literal["admin", "member", "viewer"]


class ProjectShown(Shown):
    """A project: whom use is counted for."""

    id: str
    name: str
    markup: str = Field(description="On top of what a call costs, a decimal string: `0.125` is 12.5 % more.")
    prepaid: bool = Field(description="Whether it spends only what was paid in beforehand.")
    on_outage: str = Field(description="`serve` or `refuse`: what becomes of calls while limits cannot be asked for.")
    labels: dict[str, str]
    created: str
    archived: str | None
    version: int


class NewProject(Body):
    """A project to make."""

    name: Text
    id: Annotated[str, Field(pattern=SLUG)] | None = Field(default=None, description="Made of the name when left out.")
    markup: Markup = "0"
    prepaid: bool = False
    on_outage: Outage = "serve"
    labels: Labels = {}


class ProjectChange(Versioned):
    """What is to be different; what is left out stays. `markup` and `prepaid` are for admins of the installation."""

    name: Text | None = None
    markup: Markup | None = None
    prepaid: bool | None = None
    on_outage: Outage | None = None
    labels: Labels | None = None


class Member(Shown):
    """A user's place in a project."""

    user: str
    project: str
    role: str
    created: str


class NewMember(Body):
    """What a user may do in the project."""

    role: MemberRoleName


@router.get("/projects")
async def list_projects(
    who: Who,
    services: Gateway,
    archived: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Page[ProjectShown]:
    """The caller's projects, oldest first; for an admin all."""
    cursors, listed = Cursors(services.seal), f"projects {archived}"
    user = None if who.is_admin else who.user.id
    after = cursors.read(listed, cursor)
    page = partial(services.accounts.projects.page, archived=archived, user_id=user, cursor=after, size=limit)
    return cursors.page(listed, await services.run(page), shown)


@router.post("/projects", status_code=201, response_model=ProjectShown)
async def create_project(
    request: Request, who: Who, services: Gateway, body: NewProject, key: once.Key = None
) -> Response:
    """Makes a project."""
    terms = ProjectTerms(
        markup=parse_share(body.markup),
        prepaid=body.prepaid,
        on_outage=OnOutage(body.on_outage),
        labels=body.labels,
    )

    def work() -> ProjectShown:
        return shown(services.accounts.projects.create(body.name, by=who.actor, project=body.id, terms=terms))

    return await once.create(services, request, who.user.id, key, work)


@router.get("/projects/{project}")
async def show_project(response: Response, who: Who, services: Gateway, project: Project) -> ProjectShown:
    """One project."""
    who.reach(project)
    row: ProjectRow = await services.run(services.accounts.projects.get, project)
    response.headers["etag"] = f'"{row.version}"'
    return shown(row)


@router.patch("/projects/{project}")
async def change_project(
    who: Who, services: Gateway, project: Project, body: ProjectChange, if_match: IfMatch = None
) -> ProjectShown:
    """Changes a project."""
    who.reach(project)
    who.require_fields("project", body.model_fields_set)
    terms = ProjectTerms(
        name=UNSET if body.name is None else body.name,
        markup=UNSET if body.markup is None else parse_share(body.markup),
        prepaid=UNSET if body.prepaid is None else body.prepaid,
        on_outage=UNSET if body.on_outage is None else OnOutage(body.on_outage),
        labels=UNSET if body.labels is None else body.labels,
    )
    version = body.agreed(if_match)
    change = partial(services.accounts.projects.update, project, terms, by=who.actor, version=version)
    return shown(await services.run(change))


@router.post("/projects/{project}/archive")
async def archive_project(who: Who, services: Gateway, project: Project, if_match: IfMatch = None) -> ProjectShown:
    """Ends a project and its keys; what was counted for it stays."""
    end = partial(services.accounts.projects.archive, project, by=who.actor, version=version_in(if_match))
    return shown(await services.run(end))


@router.delete("/projects/{project}", status_code=204)
async def delete_project(who: Who, services: Gateway, project: Project, if_match: IfMatch = None) -> None:
    """Removes a project that was never used; archive it otherwise."""
    await services.run(partial(services.accounts.projects.delete, project, by=who.actor, version=version_in(if_match)))


@router.get("/projects/{project}/members")
async def list_members(
    who: Who, services: Gateway, project: Project, limit: Limit = LIMIT, cursor: Cursor = None
) -> Page[Member]:
    """Who belongs to a project, oldest first."""
    who.reach(project)
    await services.run(services.accounts.projects.get, project)
    cursors, listed = Cursors(services.seal), f"members {project}"
    after = cursors.read(listed, cursor)
    page = partial(services.accounts.memberships.page, project=project, cursor=after, size=limit)
    return cursors.page(listed, await services.run(page), _member)


@router.put("/projects/{project}/members/{user}")
async def set_member(who: Who, services: Gateway, project: Project, user: User, body: NewMember) -> Member:
    """Makes a user a member, or gives a member another role."""
    who.reach(project)
    role = MemberRole(body.role)
    return _member(await services.run(partial(services.accounts.memberships.set, user, project, role, by=who.actor)))


@router.delete("/projects/{project}/members/{user}", status_code=204)
async def remove_member(who: Who, services: Gateway, project: Project, user: User) -> None:
    """Ends a membership; the keys that the user made in the project stay."""
    who.reach(project)
    await services.run(partial(services.accounts.memberships.remove, user, project, by=who.actor))


def shown(row: ProjectRow) -> ProjectShown:
    """A project as it is shown."""
    return ProjectShown(
        id=row.id,
        name=row.name,
        markup=format_share(row.markup),
        prepaid=row.prepaid,
        on_outage=row.on_outage,
        labels=row.labels,
        created=shown_time(row.created),
        archived=shown_moment(row.archived),
        version=row.version,
    )


def _member(row: MembershipRow) -> Member:
    return Member(user=row.user_id, project=row.project, role=row.role, created=shown_time(row.created))
