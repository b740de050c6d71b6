"""`tokenway users`: people and service accounts, straight in the store."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from msgspec import UNSET

from tokenway.cli.errors import BadUsage
from tokenway.cli.options import AsJson
from tokenway.cli.output import NOTHING, Column, print_json, print_table, say
from tokenway.cli.place import Place, every, labels, moment, opened, shown_labels
from tokenway.model.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenway.store.accounts.records import MembershipRow, UserRow

User = Annotated[str, Parameter(help="The user's name or id.")]
Labels = Annotated[
    tuple[str, ...], Parameter("--label", help="NAME=TEXT; may be repeated. NAME= takes one away.", show_default=False)
]


def create(
    name: Annotated[str, Parameter(help="What they sign in with: an e-mail address, as a rule.")],
    /,
    *,
    role: Annotated[
        Literal["admin", "user"], Parameter(help="Whether they may do everything, or what their memberships allow.")
    ] = "user",
    service: Annotated[
        bool, Parameter(help="A program, which has keys and tokens but no password.", show_default=False)
    ] = False,
    no_password: Annotated[
        bool, Parameter(help="A person who signs in otherwise, or not yet.", show_default=False)
    ] = False,
    label: Labels = (),
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Create a user and print a password, once.

    Only its hash is stored. In a pipe standard output is the password and
    nothing else.

    For example:
      tokenway users create ann@example.org --role admin
      tokenway users create nightly --service
    """
    from tokenway.store.accounts.passwords import generated  # noqa: PLC0415 - the help needs no store
    from tokenway.store.accounts.records import CLI, Role, UserKind, UserTerms  # noqa: PLC0415 - the same

    password = None if service or no_password else generated()
    kind = UserKind.SERVICE if service else UserKind.PERSON
    terms = UserTerms(role=Role(role), labels=labels(label))
    with opened(place, make=True) as store:
        row = store.accounts.users.create(name, by=CLI, kind=kind, password=password, terms=terms)
    if as_json:
        print_json({**_data(row), "password": None if password is None else password.reveal()})
        return 0
    if password is not None:
        print(password.reveal())
    say(f"User {row.id} ({row.name}). Add them to a project with `tokenway users add-to PROJECT {row.name}`.")
    return 0


def list_users(
    *,
    project: Annotated[str | None, Parameter(help="Only this project's members.")] = None,
    archived: Annotated[bool, Parameter(help="Those that are archived too.", show_default=False)] = False,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """List users.

    For example:
      tokenway users list
      tokenway users list --project default --json
    """
    which = None if archived else False
    with opened(place) as store:
        if project is not None:
            store.accounts.projects.get(project)
        users = store.accounts.users
        rows = every(lambda cursor, size: users.page(archived=which, project=project, cursor=cursor, size=size))
    if as_json:
        print_json([_data(row) for row in rows])
        return 0
    cells = [
        [
            row.id,
            row.name,
            row.kind.value,
            row.role.value,
            _state(row),
            moment(row.created) or NOTHING,
            shown_labels(row.labels) or NOTHING,
        ]
        for row in rows
    ]
    titles = ("id", "name", "kind", "role", "state", "created", "labels")
    columns = [Column(title, spare=title == "labels") for title in titles]
    print_table(columns, cells, empty="There is no user; make one with `tokenway users create NAME`.")
    return 0


def show(user: User, /, *, as_json: AsJson = False, place: Place | None = None) -> int:
    """Show a user with their memberships.

    For example:
      tokenway users show ann@example.org
    """
    with opened(place) as store:
        row = store.accounts.users.find(user)
        memberships = store.accounts.memberships
        found = every(lambda cursor, size: memberships.page(user_id=row.id, cursor=cursor, size=size))
    return _show(row, found, as_json=as_json)


def update(
    user: User,
    /,
    *,
    name: Annotated[str | None, Parameter(help="What they sign in with.")] = None,
    role: Annotated[Literal["admin", "user"] | None, Parameter(help="Whether they may do everything.")] = None,
    identity: Annotated[
        str | None, Parameter(help='Issuer and subject of a foreign identity: "ISSUER SUBJECT"; or `none`.')
    ] = None,
    label: Labels = (),
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Change a user; what is not said stays as it is.

    For example:
      tokenway users update ann@example.org --role admin
    """
    from tokenway.store.accounts.records import CLI, Role, UserTerms  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        known = store.accounts.users.find(user)
        terms = UserTerms(
            name=UNSET if name is None else name,
            role=UNSET if role is None else Role(role),
            identity=UNSET if identity is None else None if identity == "none" else identity,
            labels=labels(label, known.labels) if label else UNSET,
        )
        row = store.accounts.users.update(known.id, terms, by=CLI)
    if as_json:
        print_json(_data(row))
    else:
        print(f"The user {row.name} is at version {row.version}.")
    return 0


def archive(user: User, /, *, as_json: AsJson = False, place: Place | None = None) -> int:
    """End a user's account now, with its keys, tokens and sessions.

    What was counted for them stays in the ledger.

    For example:
      tokenway users archive ann@example.org
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        row = store.accounts.users.archive(user, by=CLI)
    if as_json:
        print_json(_data(row))
    else:
        print(f"The user {row.name} is archived; their keys, tokens and sessions have ended.")
    return 0


def password(
    user: User,
    /,
    *,
    generate: Annotated[bool, Parameter(help="Make one and print it, once.", show_default=False)] = False,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Give a user another password; where they are signed in, they are signed out.

    It is asked for on a terminal, and else read as one line from standard
    input.

    For example:
      tokenway users password admin
      tokenway users password ann@example.org --generate
    """
    from tokenway.store.accounts.passwords import generated  # noqa: PLC0415 - the help needs no store
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the same

    with opened(place) as store:
        row = store.accounts.users.find(user)
        chosen = generated() if generate else _asked()
        row = store.accounts.users.set_password(row.id, chosen, by=CLI)
    if as_json:
        print_json({**_data(row), "password": chosen.reveal() if generate else None})
        return 0
    if generate:
        print(chosen.reveal())
    say(f"The password of {row.name} was changed.")
    return 0


def add_to(
    project: Annotated[str, Parameter(help="The project's id.")],
    user: User,
    /,
    *,
    role: Annotated[
        Literal["admin", "member", "viewer"],
        Parameter(help="Whether they may change the project, make keys of their own, or look."),
    ] = "member",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Make a user a member of a project, or give a member another role.

    For example:
      tokenway users add-to search ann@example.org --role admin
    """
    from tokenway.store.accounts.records import CLI, MemberRole  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        row = store.accounts.memberships.set(user, project, MemberRole(role), by=CLI)
    if as_json:
        print_json(_membership(row))
    else:
        print(f"{user} is {row.role} in the project {project}.")
    return 0


def remove_from(
    project: Annotated[str, Parameter(help="The project's id.")],
    user: User,
    /,
    *,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """End a user's membership in a project; the keys that they made there stay.

    For example:
      tokenway users remove-from search ann@example.org
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        row = store.accounts.memberships.remove(user, project, by=CLI)
    if as_json:
        print_json(_membership(row))
        return 0
    print(f"{user} is no member of the project {project} any more.")
    return 0


def _asked() -> Secret:
    """A password from whoever is there; raises BadUsage when there is none, or it was typed in two ways."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise BadUsage("There is no password on standard input; give it as one line, or say --generate.")
        return Secret(line)
    first = getpass.getpass("New password: ")
    if getpass.getpass("Once more: ") != first:
        raise BadUsage("The two are not the same; nothing was changed.")
    return Secret(first)


def _state(row: UserRow) -> str:
    return "active" if row.archived is None else "archived"


def _show(row: UserRow, found: Sequence[MembershipRow], *, as_json: bool) -> int:
    if as_json:
        print_json({**_data(row), "memberships": [_membership(each) for each in found]})
        return 0
    lines = {
        "id": row.id,
        "name": row.name,
        "kind": row.kind.value,
        "role": row.role.value,
        "state": _state(row),
        "created": moment(row.created),
        "password": "yes" if row.has_password else "no",
        "identity": row.identity,
        "labels": shown_labels(row.labels),
        "projects": ", ".join(f"{each.project} ({each.role})" for each in found),
    }
    print_table((Column("field"), Column("value")), [[name, text or NOTHING] for name, text in lines.items()], empty="")
    return 0


def _membership(row: MembershipRow) -> dict[str, Any]:
    return {"user": row.user_id, "project": row.project, "role": row.role.value, "created": moment(row.created)}


def _data(row: UserRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "kind": row.kind.value,
        "role": row.role.value,
        "state": _state(row),
        "created": moment(row.created),
        "archived": moment(row.archived),
        "has_password": row.has_password,
        "identity": row.identity,
        "labels": row.labels,
        "version": row.version,
    }
