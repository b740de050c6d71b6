"""Whether a caller may; see `test_rules.py` for every route and `test_session.py` for who one is."""

from __future__ import annotations

import pytest
from fastapi import APIRouter

from tokenway.control.api.callers import Caller, Guarded
from tokenway.control.api.problems import Problem
from tokenway.control.api.rules import MEETS, Need
from tokenway.store.accounts.records import MemberRole, Role, UserRow


def caller(need: Need, role: Role = Role.USER, roles: dict[str, MemberRole] | None = None) -> Caller:
    """Somebody with these roles in projects, at a route with this need."""
    return Caller(UserRow("usr_1", "u", role, 0.0), roles or {}, "10.0.0.1", need)


def status(who: Caller, project: str, owner: str | None = None) -> int:
    """What becomes of his request."""
    try:
        who.reach(project, owner=owner)
    except Problem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize("need", list(MEETS))
@pytest.mark.parametrize("role", list(MemberRole))
def test_roles_in_projects(need: Need, role: MemberRole) -> None:
    """What is enough says the table; other projects are not there; an admin may everything."""
    who = caller(need, roles={"a": role})
    assert status(who, "a", owner="usr_1") == (200 if role in MEETS[need] else 403)
    assert status(who, "b") == 404
    assert status(caller(need, Role.ADMIN), "b") == 200


def test_owners() -> None:
    """Members have their own, admins of the project all."""
    member, manager = (caller(Need.OWNER, roles={"a": each}) for each in (MemberRole.MEMBER, MemberRole.ADMIN))
    assert [status(member, "a", owner) for owner in ("usr_1", "usr_2", "", None)] == [200, 403, 403, 403]
    assert [status(manager, "a", owner) for owner in ("usr_1", "usr_2", "", None)] == [200] * 4


def test_projects_of_lists() -> None:
    """Those in which the role is enough; all for an admin."""
    roles = {"a": MemberRole.VIEWER, "b": MemberRole.ADMIN}
    assert caller(Need.VIEWER, roles=roles).projects() == ["a", "b"]
    assert caller(Need.MANAGER, roles=roles).projects() == ["b"]
    assert caller(Need.VIEWER, Role.ADMIN).projects() is None


def test_a_route_without_a_rule_is_not_served() -> None:
    """It cannot even be made."""
    router = APIRouter(route_class=Guarded)
    with pytest.raises(LookupError):
        router.add_api_route("/no/rule", lambda: None)


def test_fields_of_admins() -> None:
    """Of the installation, not of the project."""
    with pytest.raises(Problem) as caught:
        caller(Need.MANAGER, roles={"a": MemberRole.ADMIN}).require_fields("project", {"name", "markup"})
    assert caught.value.body.field == "markup"
    caller(Need.MANAGER, Role.ADMIN).require_fields("project", {"markup"})
