"""`tokenway keys`: the keys of callers, straight in the store."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from msgspec import UNSET

from tokenway.cli.bounds import Bounds, limit_data, shown_all
from tokenway.cli.options import AsJson
from tokenway.cli.output import NOTHING, Column, money, print_json, print_table, say
from tokenway.cli.place import (
    Place,
    dollars,
    ending,
    every,
    labels,
    listed,
    moment,
    opened,
    seconds,
    shown_labels,
    user_id,
)
from tokenway.model.limits import Measure, Scope
from tokenway.model.money import format_usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tokenway.store.accounts.records import KeyRow, KeyTerms, LimitRow, NewKey

KeyReference = Annotated[str, Parameter(help="A key's id, or its name when only one active key has it.")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class KeyOptions:
    """What a key may be used for."""

    user: Annotated[str | None, Parameter(help="Whose it is: a user's name or id; `none` for nobody's.")] = None
    label: Annotated[
        tuple[str, ...],
        Parameter(help="NAME=TEXT to find it by; may be repeated. NAME= takes one away.", show_default=False),
    ] = ()
    expires: Annotated[str | None, Parameter(help="When it ends, from now: 12h, 30d, never [otherwise never].")] = None
    max_cost: Annotated[str | None, Parameter(help="The most that one call may cost, in US dollars; or `none`.")] = None
    models: Annotated[
        str | None, Parameter(help="The models it may call: names, or beginnings as gpt-*; or `all`.")
    ] = None
    endpoints: Annotated[
        str | None, Parameter(help="The endpoints it may use: provider/model, or a provider's name; or `all`.")
    ] = None
    addresses: Annotated[
        str | None, Parameter(help="The networks it may be used from: 10.1.0.0/16,2001:db8::/32; or `all`.")
    ] = None

    def terms(self, *, name: str | None = None, known: Mapping[str, str] | None = None) -> KeyTerms:
        """What was said; raises BadUsage. `known` are the labels that the key has."""
        from tokenway.store.accounts.records import KeyTerms  # noqa: PLC0415 - the help needs no store

        cost = self.max_cost
        return KeyTerms(
            name=UNSET if name is None else name,
            user_id=UNSET if self.user is None else "" if self.user == "none" else self.user,
            labels=labels(self.label, known) if self.label else UNSET,
            expires=UNSET if self.expires is None else ending(self.expires, "--expires"),
            max_cost=UNSET if cost is None else None if cost == "none" else dollars(cost, "--max-cost"),
            models=UNSET if self.models is None else listed(self.models),
            endpoints=UNSET if self.endpoints is None else listed(self.endpoints),
            addresses=UNSET if self.addresses is None else listed(self.addresses),
        )


def create(
    name: Annotated[str, Parameter(help="What people call it.")],
    /,
    *,
    project: Annotated[str, Parameter(help="Whom its use is counted for.")] = "default",
    bounds: Bounds | None = None,
    options: KeyOptions | None = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Create a key and print it, once.

    Only its hash is stored. In a pipe standard output is the key and nothing
    else.

    For example:
      tokenway keys create laptop
      tokenway keys create ci --budget 5.00 --period month --expires 90d
      tokenway keys create agent --rpm 60 --max-cost 0.50 --models "gpt-*"
    """
    from tokenway.store.accounts.records import CLI, DEFAULT_PROJECT  # noqa: PLC0415 - the help needs no store

    terms = (options or KeyOptions()).terms()
    wanted = (bounds or Bounds()).terms()
    with opened(place, make=True) as store:
        # Before a first start the store is empty; the project that everything defaults to is made here too.
        if project == DEFAULT_PROJECT:
            store.accounts.ensure_default_project(by=CLI)
        made = store.accounts.keys.create(name, by=CLI, project=project, terms=terms, limits=wanted)
    return _show_new(made, made.limits, as_json=as_json)


def list_keys(
    *,
    project: Annotated[str | None, Parameter(help="Only this project's [otherwise all].")] = None,
    user: Annotated[str | None, Parameter(help="Only this user's, by name or id.")] = None,
    label: Annotated[str | None, Parameter(help="Only those with this label: NAME or NAME=TEXT.")] = None,
    state: Annotated[
        Literal["active", "expired", "revoked", "archived"] | None, Parameter(help="Only those in this state.")
    ] = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """List keys, those that have ended too; a key itself is never shown again.

    For example:
      tokenway keys list
      tokenway keys list --project default --state active --json
    """
    from tokenway.store.accounts.records import KeyFilter, KeyState  # noqa: PLC0415 - the help needs no store

    now = time.time()
    name, equals, text = (label or "").partition("=")
    with opened(place) as store:
        keys = store.accounts.keys
        which = KeyFilter(
            project=project,
            user_id=user_id(store.accounts, user),
            label=None if label is None else (name, text if equals else None),
            state=None if state is None else KeyState(state),
        )
        rows = every(lambda cursor, size: keys.page(which, cursor=cursor, size=size))
        limits = store.accounts.limits.of(Scope.KEY, [row.id for row in rows])
    if as_json:
        print_json([_data(row, limits.get(row.id, ()), now) for row in rows])
        return 0
    spare = ("expires", "last used", "limits")
    titles = ("id", "name", "project", "key", "state", "created", *spare)
    columns = tuple(Column(title, spare=title in spare) for title in titles)
    cells = [
        [
            row.id,
            row.name,
            row.project,
            f"{row.prefix}…",
            row.state(now).value,
            moment(row.created) or NOTHING,
            moment(row.expires) or NOTHING,
            moment(row.last_used) or NOTHING,
            shown_all(limits.get(row.id, ())) or NOTHING,
        ]
        for row in rows
    ]
    empty = "There is no such key; make one with `tokenway keys create NAME`."
    print_table(columns, cells, empty=empty)
    return 0


def show(key: KeyReference, /, *, as_json: AsJson = False, place: Place | None = None) -> int:
    """Show everything that is known of a key, but the key itself.

    For example:
      tokenway keys show laptop
    """
    with opened(place) as store:
        row = store.accounts.keys.find(key)
        limits = store.accounts.limits.of(Scope.KEY, [row.id]).get(row.id, [])
    return _show(row, limits, as_json=as_json)


def update(
    key: KeyReference,
    /,
    *,
    name: Annotated[str | None, Parameter(help="What people call it.")] = None,
    bounds: Bounds | None = None,
    options: KeyOptions | None = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Change a key; what is not said stays as it is.

    A budget or rate replaces the one for the same period; `tokenway limits
    delete` takes one away.

    For example:
      tokenway keys update laptop --budget 20 --period month --label team=blue
      tokenway keys update ci --models all --expires never
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    wanted = (bounds or Bounds()).terms()
    with opened(place) as store:
        found = store.accounts.keys.find(key)
        terms = (options or KeyOptions()).terms(name=name, known=found.labels)
        store.accounts.keys.update(found.id, terms, by=CLI)
        for each in wanted:
            store.accounts.limits.set(Scope.KEY, found.id, each, by=CLI)
        row = store.accounts.keys.find(found.id)
        limits = store.accounts.limits.of(Scope.KEY, [row.id]).get(row.id, [])
    return _show(row, limits, as_json=as_json)


def revoke(key: KeyReference, /, *, as_json: AsJson = False, place: Place | None = None) -> int:
    """End a key now.

    Calls that are under way finish.

    For example:
      tokenway keys revoke laptop
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        row = store.accounts.keys.revoke(key, by=CLI)
    return _say(row, "has ended", as_json=as_json)


def archive(key: KeyReference, /, *, as_json: AsJson = False, place: Place | None = None) -> int:
    """End a key now and take it out of the way; what it has spent stays in the ledger.

    For example:
      tokenway keys archive laptop
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        row = store.accounts.keys.archive(key, by=CLI)
    return _say(row, "is archived", as_json=as_json)


def rotate(
    key: KeyReference,
    /,
    *,
    overlap: Annotated[str, Parameter(help="How long the old secret still works: 0, 1h, 2d.")] = "0",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Replace a key's secret; its id, its limits and what it has spent stay.

    Prints the new secret, once. In a pipe standard output is the secret and
    nothing else. If one from an earlier rotation still works, it ends now.

    For example:
      tokenway keys rotate laptop
      tokenway keys rotate ci --overlap 1h
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        made = store.accounts.keys.rotate(key, by=CLI, overlap=seconds(overlap, "--overlap"))
        limits = store.accounts.limits.of(Scope.KEY, [made.row.id]).get(made.row.id, [])
    return _show_new(made, limits, as_json=as_json)


def _show_new(made: NewKey, limits: Iterable[LimitRow], *, as_json: bool) -> int:
    if as_json:
        print_json({**_data(made.row, limits, time.time()), "key": made.secret.reveal()})
    else:
        print(made.secret.reveal())
        say(f"Key {made.row.id} ({made.row.name}) in project {made.row.project}. Keep it: it is not shown again.")
    return 0


def _say(row: KeyRow, done: str, *, as_json: bool) -> int:
    """What became of a key."""
    if as_json:
        print_json(_data(row, (), time.time()))
    else:
        print(f"The key {row.id} ({row.name}) {done}.")
    return 0


def _show(row: KeyRow, limits: Iterable[LimitRow], *, as_json: bool) -> int:
    if as_json:
        print_json(_data(row, limits, time.time()))
        return 0
    lines = {
        "id": row.id,
        "name": row.name,
        "project": row.project,
        "user": row.user_id,
        "key": f"{row.prefix}…",
        "state": row.state(time.time()).value,
        "created": moment(row.created),
        "expires": moment(row.expires),
        "last used": moment(row.last_used),
        "old secret ends": moment(row.former_ends),
        "limits": shown_all(limits),
        "max cost": money(row.max_cost),
        "models": "all" if row.models is None else ",".join(row.models),
        "endpoints": "all" if row.endpoints is None else ",".join(row.endpoints),
        "addresses": "all" if row.addresses is None else ",".join(row.addresses),
        "labels": shown_labels(row.labels),
    }
    print_table((Column("field"), Column("value")), [[name, text or NOTHING] for name, text in lines.items()], empty="")
    return 0


def _data(row: KeyRow, limits: Iterable[LimitRow], now: float) -> dict[str, Any]:
    budget = next((each.limit for each in limits if each.limit.measure is Measure.USD and not each.limit.per_run), None)
    return {
        "id": row.id,
        "name": row.name,
        "project": row.project,
        "user": row.user_id or None,
        "prefix": row.prefix,
        "state": row.state(now).value,
        "created": moment(row.created),
        "expires": moment(row.expires),
        "revoked": moment(row.revoked),
        "archived": moment(row.archived),
        "former_ends": moment(row.former_ends),
        "last_used": moment(row.last_used),
        "labels": row.labels,
        "max_cost_usd": None if row.max_cost is None else format_usd(row.max_cost),
        "models": row.models,
        "endpoints": row.endpoints,
        "addresses": row.addresses,
        "budget_usd": None if budget is None else format_usd(budget.amount),
        "budget_period": None if budget is None else budget.term.value,
        "limits": [limit_data(each) for each in limits],
        "version": row.version,
    }
