"""`tokenway projects`: whom use is counted for, straight in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from msgspec import UNSET

from tokenway.cli.bounds import limit_data, shown_all
from tokenway.cli.errors import BadUsage
from tokenway.cli.options import AsJson
from tokenway.cli.output import NOTHING, Column, print_json, print_table
from tokenway.cli.place import Place, every, labels, moment, opened, shown_labels
from tokenway.model.limits import OnOutage, Scope
from tokenway.model.money import MILLIONTHS, format_percent, format_share, parse_percent, parse_share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tokenway.store.accounts.records import LimitRow, MembershipRow, ProjectRow, ProjectTerms

Project = Annotated[str, Parameter(help="The project's id.")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ProjectOptions:
    """What may be said of a project."""

    markup: Annotated[
        str | None,
        Parameter(help="What is charged on top of cost: 12.5%, -2.5%, or as a share 0.125.", allow_leading_hyphen=True),
    ] = None
    prepaid: Annotated[
        bool | None,
        Parameter(help="Whether it spends only what was paid in before.", negative="--no-prepaid", show_default=False),
    ] = None
    on_outage: Annotated[
        Literal["serve", "refuse"] | None, Parameter(help="What becomes of calls while limits cannot be asked for.")
    ] = None
    label: Annotated[
        tuple[str, ...],
        Parameter(help="NAME=TEXT to find it by; may be repeated. NAME= takes one away.", show_default=False),
    ] = ()

    def terms(self, *, name: str | None = None, known: Mapping[str, str] | None = None) -> ProjectTerms:
        """What was said; raises BadUsage. `known` are the labels that the project has."""
        from tokenway.store.accounts.records import ProjectTerms  # noqa: PLC0415 - the help needs no store

        return ProjectTerms(
            name=UNSET if name is None else name,
            markup=UNSET if self.markup is None else _markup(self.markup),
            prepaid=UNSET if self.prepaid is None else self.prepaid,
            on_outage=UNSET if self.on_outage is None else OnOutage(self.on_outage),
            labels=labels(self.label, known) if self.label else UNSET,
        )


def create(
    name: Annotated[str, Parameter(help="What people call it.")],
    /,
    *,
    id: Annotated[str | None, Parameter(help="Its id in reports and files [otherwise made of the name].")] = None,  # noqa: A002 - the option is called so
    options: ProjectOptions | None = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Create a project.

    For example:
      tokenway projects create "Search team" --id search
      tokenway projects create Resale --markup 12.5% --prepaid
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    terms = (options or ProjectOptions()).terms()
    with opened(place, make=True) as store:
        row = store.accounts.projects.create(name, by=CLI, project=id, terms=terms)
    if as_json:
        print_json(_data(row))
    else:
        print(f"The project {row.id} is there; make a key for it with `tokenway keys create NAME --project {row.id}`.")
    return 0


def list_projects(
    *,
    archived: Annotated[bool, Parameter(help="Those that are archived too.", show_default=False)] = False,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """List projects.

    For example:
      tokenway projects list
      tokenway projects list --archived --json
    """
    which = None if archived else False
    with opened(place) as store:
        projects = store.accounts.projects
        rows = every(lambda cursor, size: projects.page(archived=which, cursor=cursor, size=size))
    if as_json:
        print_json([_data(row) for row in rows])
        return 0
    titles = ("id", "name", "state", "created", "prepaid", "on outage", "labels")
    columns = [Column(title, spare=title == "labels") for title in titles]
    cells = [
        [
            row.id,
            row.name,
            _state(row),
            moment(row.created) or NOTHING,
            "yes" if row.prepaid else "no",
            row.on_outage.value,
            shown_labels(row.labels) or NOTHING,
            f"{format_percent(row.markup)} %",
        ]
        for row in rows
    ]
    empty = "There is no project; make one with `tokenway projects create NAME`."
    print_table((*columns, Column("markup", right=True)), cells, empty=empty)
    return 0


def show(project: Project, /, *, as_json: AsJson = False, place: Place | None = None) -> int:
    """Show a project with its members and limits.

    For example:
      tokenway projects show default
    """
    with opened(place) as store:
        accounts = store.accounts
        row = accounts.projects.get(project)
        limits = accounts.limits.of(Scope.PROJECT, [project]).get(project, [])
        members = every(lambda cursor, size: accounts.memberships.page(project=project, cursor=cursor, size=size))
        names = {each.user_id: accounts.users.find(each.user_id).name for each in members}
    return _show(row, limits, members, names, as_json=as_json)


def update(
    project: Project,
    /,
    *,
    name: Annotated[str | None, Parameter(help="What people call it.")] = None,
    options: ProjectOptions | None = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Change a project; what is not said stays as it is.

    For example:
      tokenway projects update resale --markup 15% --on-outage refuse
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        known = store.accounts.projects.get(project)
        terms = (options or ProjectOptions()).terms(name=name, known=known.labels)
        row = store.accounts.projects.update(project, terms, by=CLI)
    if as_json:
        print_json(_data(row))
    else:
        print(f"The project {row.id} is at version {row.version}.")
    return 0


def archive(project: Project, /, *, as_json: AsJson = False, place: Place | None = None) -> int:
    """End a project and its keys now; what was counted for it stays in the ledger.

    For example:
      tokenway projects archive resale
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        row = store.accounts.projects.archive(project, by=CLI)
    if as_json:
        print_json(_data(row))
    else:
        print(f"The project {row.id} is archived, and its keys have ended.")
    return 0


def _markup(text: str) -> int:
    """Millionths. A bare number is a share; whether `15` is one, or means percent, is not guessed."""
    try:
        if text.rstrip().endswith("%"):
            return parse_percent(text)
        share = parse_share(text)
    except ValueError:
        raise BadUsage(
            f"--markup {text} is neither a percentage with at most four decimals nor a share with six; "
            "write e.g. --markup 12.5% or --markup 0.125."
        ) from None
    if abs(share) >= MILLIONTHS:
        bare = text.strip()
        raise BadUsage(
            f"--markup {bare} may mean {bare} % or {format_percent(share)} %; "
            f"write --markup {bare}% or --markup {format_percent(share)}%."
        )
    return share


def _state(row: ProjectRow) -> str:
    return "active" if row.archived is None else "archived"


def _show(
    row: ProjectRow,
    limits: Iterable[LimitRow],
    members: Iterable[MembershipRow],
    names: Mapping[str, str],
    *,
    as_json: bool,
) -> int:
    if as_json:
        people = [{"id": each.user_id, "name": names[each.user_id], "role": each.role.value} for each in members]
        print_json({**_data(row), "members": people, "limits": [limit_data(each) for each in limits]})
        return 0
    lines = {
        "id": row.id,
        "name": row.name,
        "state": _state(row),
        "created": moment(row.created),
        "markup": f"{format_percent(row.markup)} %",
        "prepaid": "yes" if row.prepaid else "no",
        "on outage": row.on_outage.value,
        "labels": shown_labels(row.labels),
        "limits": shown_all(limits),
        "members": ", ".join(f"{names[each.user_id]} ({each.role})" for each in members),
    }
    print_table((Column("field"), Column("value")), [[name, text or NOTHING] for name, text in lines.items()], empty="")
    return 0


def _data(row: ProjectRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "state": _state(row),
        "created": moment(row.created),
        "archived": moment(row.archived),
        "markup": format_share(row.markup),
        "prepaid": row.prepaid,
        "on_outage": row.on_outage.value,
        "labels": row.labels,
        "version": row.version,
    }
