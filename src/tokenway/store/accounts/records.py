"""The rows of accounts as their readers get them, and what their writers say.

Times are Unix seconds, money is nano-dollars. A field that is `UNSET` is not said: a new row has its default, and
a row that is changed keeps what it has.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from tokenway.model.limits import Limit, Measure, OnOutage, Term
from tokenway.model.secret import Secret

DEFAULT_PROJECT: Final = "default"

Row = TypeVar("Row")


class Actor(msgspec.Struct, frozen=True):
    """Who makes a change: a user's id, `cli` or `system`; and the address that he calls from."""

    name: str
    address: str = ""


SYSTEM: Final = Actor("system")
CLI: Final = Actor("cli")


class Page(msgspec.Struct, Generic[Row], frozen=True):
    """Some rows of a list, and the cursor that the rest begins after; None when there is no more."""

    rows: list[Row]
    next: str | None = None


class Role(StrEnum):
    """What a user may do in the whole installation."""

    ADMIN = "admin"
    """Everything."""
    USER = "user"
    """What his memberships allow."""


class UserKind(StrEnum):
    """Who a user is."""

    PERSON = "person"
    SERVICE = "service"
    """A program: it has tokens and keys, but no password, and does not sign in."""


class MemberRole(StrEnum):
    """What a user may do in one project, each including the next."""

    ADMIN = "admin"
    """Change the project, its members, keys and limits."""
    MEMBER = "member"
    """Make keys of his own."""
    VIEWER = "viewer"
    """Look."""


class KeyState(StrEnum):
    """Whether a key works, and why not."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
    ARCHIVED = "archived"


class ProjectRow(msgspec.Struct, frozen=True):
    """A project. `markup` is what is added to the cost of a call, in millionths; negative is a discount."""

    id: str
    name: str
    created: float
    markup: int = 0
    prepaid: bool = False
    on_outage: OnOutage = OnOutage.SERVE
    labels: dict[str, str] = {}
    archived: float | None = None
    version: int = 1


class ProjectTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said of a project."""

    name: str | UnsetType = UNSET
    markup: int | UnsetType = UNSET
    prepaid: bool | UnsetType = UNSET
    on_outage: OnOutage | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET


class UserRow(msgspec.Struct, frozen=True):
    """A user. `identity` is the issuer and subject of a foreign identity, joined by a space."""

    id: str
    name: str
    role: Role
    created: float
    kind: UserKind = UserKind.PERSON
    has_password: bool = False
    identity: str | None = None
    labels: dict[str, str] = {}
    archived: float | None = None
    version: int = 1


class UserTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said of a user, but for his password."""

    name: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    identity: str | UnsetType | None = UNSET
    labels: dict[str, str] | UnsetType = UNSET


class Candidate(msgspec.Struct, frozen=True):
    """Who wants to sign in by password: `passwords.check` says whether he may. Both are None for a name of nobody's.

    The hash is a secret: it is for the check only, and is never shown or logged.
    """

    user: UserRow | None
    password: Secret | None


class MembershipRow(msgspec.Struct, frozen=True):
    """A user's place in a project."""

    user_id: str
    project: str
    role: MemberRole
    created: float


class LimitTerms(msgspec.Struct, frozen=True):
    """What a limit bounds; `amount` is in the measure's unit. One row at most for each combination of the others."""

    measure: Measure
    amount: int
    term: Term = Term.TOTAL
    rolling: bool = False
    per_run: bool = False


class LimitRow(msgspec.Struct, frozen=True):
    """A limit as it is stored."""

    limit: Limit
    created: float
    version: int = 1


class KeyRow(msgspec.Struct, frozen=True):
    """A key as it is stored: everything but its secret. What it spends is counted by its id, whatever the secret.

    `digest` is the SHA-256 of the secret in hexadecimal, `prefix` its first eight characters, `revoked` when the
    key stopped. The secret before the last rotation is good until `former_ends`. `user_id` is whose it is, empty for
    nobody's. `max_cost` bounds one call; `models`, `endpoints` and `addresses` (networks in CIDR form) are what it may
    be used for and from, None for all. `last_used` is None when the ledger has nothing of it.
    """

    id: str
    name: str
    project: str
    digest: str
    prefix: str
    created: float
    revoked: float | None = None
    expires: float | None = None
    former_digest: str | None = None
    former_ends: float | None = None
    user_id: str = ""
    labels: dict[str, str] = {}
    max_cost: int | None = None
    models: tuple[str, ...] | None = None
    endpoints: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    archived: float | None = None
    version: int = 1
    last_used: float | None = None

    def is_active(self, now: float) -> bool:
        """Whether the key is good at `now`."""
        return self.state(now) is KeyState.ACTIVE

    def state(self, now: float) -> KeyState:
        """What has become of it by `now`."""
        if self.archived is not None:
            return KeyState.ARCHIVED
        if self.revoked is not None and self.revoked <= now:
            return KeyState.REVOKED
        if self.expires is not None and self.expires <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE


class KeyTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said of a key."""

    name: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    expires: float | UnsetType | None = UNSET
    max_cost: int | UnsetType | None = UNSET
    models: tuple[str, ...] | UnsetType | None = UNSET
    endpoints: tuple[str, ...] | UnsetType | None = UNSET
    addresses: tuple[str, ...] | UnsetType | None = UNSET


class KeyFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys are listed: those that fit everything that is said. `label` is a name, or a name and its value."""

    project: str | None = None
    user_id: str | None = None
    label: tuple[str, str | None] | None = None
    state: KeyState | None = None


class NewKey(msgspec.Struct, frozen=True):
    """A key that was just made. `secret` is shown once and kept nowhere."""

    row: KeyRow
    secret: Secret
    limits: tuple[LimitRow, ...] = ()


class TokenRow(msgspec.Struct, frozen=True):
    """A token of the control API: everything but its secret. `last_used` is true to the minute."""

    id: str
    user_id: str
    name: str
    prefix: str
    created: float
    expires: float | None = None
    revoked: float | None = None
    last_used: float | None = None

    def is_active(self, now: float) -> bool:
        """Whether the token is good at `now`."""
        return (self.revoked is None or now < self.revoked) and (self.expires is None or now < self.expires)


class NewToken(msgspec.Struct, frozen=True):
    """A token that was just made. `secret` is shown once and kept nowhere."""

    row: TokenRow
    secret: Secret


class SessionRow(msgspec.Struct, frozen=True):
    """A browser that has signed in, known by the SHA-256 of its secret in hexadecimal."""

    digest: str
    user_id: str
    created: float
    expires: float


class AuditRow(msgspec.Struct, frozen=True):
    """One change. `detail` says what changed, without secrets: for a field `{"from": …, "to": …}`."""

    id: str
    at: float
    actor: str
    address: str
    action: str
    resource: str
    subject: str
    project: str
    detail: dict[str, object]


class FirstStart(msgspec.Struct, frozen=True):
    """What the first start of a store made. Its secrets are shown once and kept nowhere."""

    project: str
    user: UserRow
    password: Secret
    token: NewToken
    key: NewKey


class SignUpTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who signs up himself gets.

    `project` is the one that all join, with `grant` as their keys' budgets; None gives each one of his own, which is
    prepaid, with `grant` as its first credits.
    """

    project: str | None = None
    grant: int = 0
    limits: tuple[LimitTerms, ...] = ()
    models: tuple[str, ...] | None = None


class SignedUp(msgspec.Struct, frozen=True):
    """Who signed up, his project, and the key that he is shown once."""

    user: UserRow
    project: ProjectRow
    key: NewKey
