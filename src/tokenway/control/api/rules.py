"""Who may do what: the one table. A route that is not in it is not served.

Admins may do everything. What a project's members may do grows with their role; who is not among them is told that
there is no such project. Where a list is not of one project, it holds what lies in the caller's own projects.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from tokenway.store.accounts.records import MemberRole


class Need(StrEnum):
    """What a caller must be."""

    NOTHING = "nothing"
    """Anybody, signed in or not."""
    USER = "user"
    """Anybody who is signed in; what he sees is his own."""
    VIEWER = "viewer"
    """A member of the project, with any role."""
    MEMBER = "member"
    """A member or an admin of the project."""
    OWNER = "owner"
    """As a member what is his own; as an admin of the project everybody's."""
    MANAGER = "manager"
    """An admin of the project."""
    ADMIN = "admin"
    """An admin of the installation."""


MEETS: Final[dict[Need, frozenset[MemberRole]]] = {
    Need.VIEWER: frozenset(MemberRole),
    Need.MEMBER: frozenset({MemberRole.MEMBER, MemberRole.ADMIN}),
    Need.OWNER: frozenset({MemberRole.MEMBER, MemberRole.ADMIN}),
    Need.MANAGER: frozenset({MemberRole.ADMIN}),
}
"""Which roles in a project are enough."""

ADMINS_FIELDS: Final[dict[str, frozenset[str]]] = {"project": frozenset({"markup", "prepaid"})}
"""Fields that only an admin of the installation changes: a project neither sets its price nor gives itself credit."""

RULES: Final[dict[tuple[str, str], Need]] = {
    ("POST", "/session"): Need.NOTHING,
    ("POST", "/signup"): Need.NOTHING,
    ("GET", "/oidc/login"): Need.NOTHING,
    ("GET", "/oidc/callback"): Need.NOTHING,
    ("GET", "/session"): Need.USER,
    ("DELETE", "/session"): Need.USER,
    ("PUT", "/session/password"): Need.USER,
    ("GET", "/users"): Need.ADMIN,
    ("POST", "/users"): Need.ADMIN,
    ("GET", "/users/{user}"): Need.ADMIN,
    ("PATCH", "/users/{user}"): Need.ADMIN,
    ("PUT", "/users/{user}/password"): Need.ADMIN,
    ("POST", "/users/{user}/archive"): Need.ADMIN,
    ("DELETE", "/users/{user}"): Need.ADMIN,
    ("GET", "/projects"): Need.USER,
    ("POST", "/projects"): Need.ADMIN,
    ("GET", "/projects/{project}"): Need.VIEWER,
    ("PATCH", "/projects/{project}"): Need.MANAGER,
    ("POST", "/projects/{project}/archive"): Need.ADMIN,
    ("DELETE", "/projects/{project}"): Need.ADMIN,
    ("GET", "/projects/{project}/members"): Need.VIEWER,
    ("PUT", "/projects/{project}/members/{user}"): Need.MANAGER,
    ("DELETE", "/projects/{project}/members/{user}"): Need.MANAGER,
    ("GET", "/projects/{project}/credits"): Need.VIEWER,
    ("GET", "/projects/{project}/transfers"): Need.VIEWER,
    ("POST", "/projects/{project}/transfers"): Need.ADMIN,
    ("GET", "/projects/{project}/statement"): Need.VIEWER,
    ("POST", "/projects/{project}/redeem"): Need.MEMBER,
    ("GET", "/invoices"): Need.VIEWER,
    ("POST", "/invoices"): Need.ADMIN,
    ("GET", "/invoices/{invoice}"): Need.VIEWER,
    ("POST", "/invoices/{invoice}/void"): Need.ADMIN,
    ("GET", "/codes"): Need.ADMIN,
    ("POST", "/codes"): Need.ADMIN,
    ("GET", "/keys"): Need.VIEWER,
    ("POST", "/keys"): Need.OWNER,
    ("GET", "/keys/{key_id}"): Need.VIEWER,
    ("PATCH", "/keys/{key_id}"): Need.OWNER,
    ("POST", "/keys/{key_id}/rotate"): Need.OWNER,
    ("POST", "/keys/{key_id}/revoke"): Need.OWNER,
    ("POST", "/keys/{key_id}/archive"): Need.OWNER,
    ("DELETE", "/keys/{key_id}"): Need.OWNER,
    ("GET", "/limits"): Need.VIEWER,
    ("POST", "/limits"): Need.MANAGER,
    ("GET", "/limits/{limit_id}"): Need.VIEWER,
    ("PATCH", "/limits/{limit_id}"): Need.MANAGER,
    ("DELETE", "/limits/{limit_id}"): Need.MANAGER,
    ("GET", "/tokens"): Need.USER,
    ("POST", "/tokens"): Need.USER,
    ("GET", "/tokens/{token}"): Need.USER,
    ("DELETE", "/tokens/{token}"): Need.USER,
    ("GET", "/usage"): Need.VIEWER,
    ("GET", "/ledger"): Need.VIEWER,
    ("GET", "/ledger/export"): Need.VIEWER,
    ("POST", "/ledger/verify"): Need.ADMIN,
    ("POST", "/ledger/{exchange}/settle"): Need.ADMIN,
    ("GET", "/runs"): Need.VIEWER,
    ("GET", "/runs/{run}"): Need.VIEWER,
    ("GET", "/audit"): Need.MANAGER,
    ("GET", "/snapshots"): Need.ADMIN,
    ("POST", "/snapshots"): Need.ADMIN,
    ("GET", "/snapshots/diff"): Need.ADMIN,
    ("GET", "/snapshots/{version}"): Need.ADMIN,
    ("POST", "/snapshots/{version}/publish"): Need.ADMIN,
    ("GET", "/providers"): Need.ADMIN,
    ("GET", "/providers/{name}"): Need.ADMIN,
    ("PUT", "/providers/{name}"): Need.ADMIN,
    ("PATCH", "/providers/{name}"): Need.ADMIN,
    ("DELETE", "/providers/{name}"): Need.ADMIN,
    ("GET", "/models"): Need.USER,
    ("GET", "/models/{name}"): Need.USER,
    ("PUT", "/models/{name}"): Need.ADMIN,
    ("PATCH", "/models/{name}"): Need.ADMIN,
    ("DELETE", "/models/{name}"): Need.ADMIN,
    ("GET", "/aliases"): Need.USER,
    ("GET", "/aliases/{name}"): Need.USER,
    ("PUT", "/aliases/{name}"): Need.ADMIN,
    ("DELETE", "/aliases/{name}"): Need.ADMIN,
    ("GET", "/endpoints"): Need.USER,
    ("GET", "/prices"): Need.USER,
    ("GET", "/velocity"): Need.USER,
    ("GET", "/nodes"): Need.ADMIN,
    ("POST", "/nodes/{node}/retire"): Need.ADMIN,
}


def need_of(method: str, path: str) -> Need:
    """What a route needs; raises LookupError for one without a rule. Parameters' converters do not count."""
    return RULES[method, path.replace(":path}", "}")]
