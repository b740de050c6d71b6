"""`tokenway runs`: which runs of agents there were, and the tree of one, straight from the ledger."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from tokenway.cli.errors import BadUsage, CommandError
from tokenway.cli.options import AsJson, ConfigFile, DataDir
from tokenway.cli.output import Column, money, number, print_json, print_table
from tokenway.cli.place import start_of
from tokenway.compose.commands import data_directory, stored
from tokenway.control.quotas import fixed_key_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenway.store.runs import Run

_COLUMNS: Final = (
    Column("run"),
    Column("key"),
    Column("last call"),
    Column("calls", right=True),
    Column("tokens", right=True),
    Column("amplified", right=True),
    Column("charged", right=True),
)

_FIXED: Final = fixed_key_id("")
"""How the ids of keys begin that are in the configuration."""
WhichKey = Annotated[str | None, Parameter("--of-key", help="Only of this key, by its name or id.")]


def list_runs(
    *,
    key: WhichKey = None,
    project: Annotated[str | None, Parameter(help="Only of this project.")] = None,
    since: Annotated[str, Parameter(help="How far back: 30m, 12h, 7d, a date such as 2026-01-31, or all.")] = "7d",
    limit: Annotated[int, Parameter(help="How many at most.")] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> int:
    """List the runs of agents, the latest first.

    Amplified is how many tokens were used for each token of the answers that the
    user saw. A run whose id begins with ~ was named by nobody: it is told from
    what its calls have in common. Times are UTC.

    For example:
      tokenway runs
      tokenway runs list --of-key laptop --since 30d
    """
    from tokenway.control import run_view  # noqa: PLC0415 - the help needs none of it
    from tokenway.store.runs import PAGE_MAX  # noqa: PLC0415 - the same

    if not 1 <= limit <= PAGE_MAX:
        raise BadUsage(f"--limit must be from 1 to {PAGE_MAX}.")
    start = start_of(since, time.time())
    with stored(data_directory(data_dir, os.environ), config, os.environ) as store:
        names = store.accounts.keys.names()
        found = store.runs.page(key=_key_id(key, names), project=project, since=start, limit=limit)
    if as_json:
        print_json(run_view.page(found, is_ours=True))
        return 0
    print_table(
        _COLUMNS, [_cells(run, names) for run in found.runs], empty="There was no run of an agent in that time."
    )
    return 0


def show(
    run: Annotated[str, Parameter(help="The id of the run.")],
    /,
    *,
    key: WhichKey = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> int:
    """Show one run: its agents, their calls in order, and what they came to.

    Calls are grouped by the user's requests (turns), and an answer is a call
    whose answer the user saw. Input counts cached tokens too.

    For example:
      tokenway runs show nightly-7
      tokenway runs show nightly-7 --of-key laptop --json
    """
    from tokenway.cli.run_tree import print_tree  # noqa: PLC0415 - the help needs none of it
    from tokenway.control import run_view  # noqa: PLC0415 - the same

    with stored(data_directory(data_dir, os.environ), config, os.environ) as store:
        names = store.accounts.keys.names()
        whose = _key_id(key, names)
        owners = [each for each in store.runs.keys_of(run) if whose in {None, each}]
        if len(owners) > 1:
            listed = ", ".join(f"{_name(each, names)} ({each})" for each in owners)
            raise BadUsage(f"Several keys have a run {run}: {listed}. Say which with --of-key.")
        found = store.runs.show(run, owners[0]) if owners else None
    if found is None:
        raise CommandError(f"There is no run {run}; `tokenway runs --since all` lists those that there are.")
    if as_json:
        print_json(run_view.tree(found, is_ours=True))
    else:
        print_tree(found, _name(found.run.key, names))
    return 0


def _key_id(reference: str | None, names: Mapping[str, str]) -> str | None:
    """The id of a key that is named by its name or id; one that the store does not have is the configuration's."""
    if reference is None or reference in names:
        return reference
    named = [key for key, name in names.items() if name == reference]
    if len(named) > 1:
        raise BadUsage(f"Several keys are called {reference}; say which by its id: {', '.join(named)}.")
    return named[0] if named else fixed_key_id(reference.removeprefix(_FIXED))


def _name(key: str, names: Mapping[str, str]) -> str:
    return names.get(key) or key.removeprefix(_FIXED)


def _cells(run: Run, names: Mapping[str, str]) -> list[str]:
    figures = run.figures
    return [
        run.run,
        _name(run.key, names),
        f"{datetime.fromtimestamp(run.ended, UTC):%Y-%m-%d %H:%M}",
        f"{figures.calls}",
        f"{figures.tokens}",
        number(figures.amplification),
        money(figures.charged),
    ]
