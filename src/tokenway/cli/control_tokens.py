"""`tokenway control-tokens`: what the control API is spoken to with, straight in the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tokenway.cli.options import AsJson
from tokenway.cli.output import NOTHING, Column, print_json, print_table, say
from tokenway.cli.place import Place, ending, every, moment, opened, user_id

if TYPE_CHECKING:
    from tokenway.store.accounts.records import TokenRow


def create(
    name: Annotated[str, Parameter(help="What people call it.")],
    /,
    *,
    user: Annotated[str, Parameter(help="In whose name it speaks: a user's name or id.")],
    expires: Annotated[str, Parameter(help="When it ends, from now: 12h, 30d, never.")] = "never",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Create a token of the control API and print it, once.

    It may do what its user may. Only its hash is stored. In a pipe standard
    output is the token and nothing else.

    For example:
      tokenway control-tokens create terraform --user admin --expires 90d
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    ends = ending(expires, "--expires")
    with opened(place) as store:
        made = store.accounts.tokens.create(user, name, by=CLI, expires=ends)
    if as_json:
        print_json({**_data(made.row, time.time()), "token": made.secret.reveal()})
    else:
        print(made.secret.reveal())
        say(f"Token {made.row.id} ({made.row.name}) of {user}. Keep it: it is not shown again.")
    return 0


def list_tokens(
    *,
    user: Annotated[str | None, Parameter(help="Only this user's, by name or id.")] = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """List tokens, those that have ended too; a token itself is never shown again.

    For example:
      tokenway control-tokens list --user admin
    """
    now = time.time()
    with opened(place) as store:
        whose = user_id(store.accounts, user)
        tokens = store.accounts.tokens
        rows = every(lambda cursor, size: tokens.page(user_id=whose, cursor=cursor, size=size))
    if as_json:
        print_json([_data(row, now) for row in rows])
        return 0
    spare = ("expires", "last used")
    columns = [Column(t, spare=t in spare) for t in ("id", "name", "user", "token", "state", "created", *spare)]
    cells = [
        [
            row.id,
            row.name,
            row.user_id,
            f"{row.prefix}…",
            _state(row, now),
            moment(row.created) or NOTHING,
            moment(row.expires) or NOTHING,
            moment(row.last_used) or NOTHING,
        ]
        for row in rows
    ]
    print_table(columns, cells, empty="There is no such token; make one with `tokenway control-tokens create`.")
    return 0


def revoke(
    token: Annotated[str, Parameter(help="The token's id.")],
    /,
    *,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """End a token now.

    For example:
      tokenway control-tokens revoke tok_0123456789abcdef
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        row = store.accounts.tokens.revoke(token, by=CLI)
    if as_json:
        print_json(_data(row, time.time()))
    else:
        print(f"The token {row.id} ({row.name}) has ended.")
    return 0


def _state(row: TokenRow, now: float) -> str:
    if row.is_active(now):
        return "active"
    return "revoked" if row.revoked is not None and row.revoked <= now else "expired"


def _data(row: TokenRow, now: float) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "user": row.user_id,
        "prefix": row.prefix,
        "state": _state(row, now),
        "created": moment(row.created),
        "expires": moment(row.expires),
        "revoked": moment(row.revoked),
        "last_used": moment(row.last_used),
    }
