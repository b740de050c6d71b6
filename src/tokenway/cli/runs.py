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
from tokenway.cli.usage import start_of
from tokenway.compose.commands import data_directory, stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenway.store.base import KeyRow
    from tokenway.store.runs import Run

_COLUMNS: Final = (
    Column("run"),
    Column("key"),
    Column("project"),
    Column("last call"),
    Column("calls", right=True),
    Column("answers", right=True),
    Column("tokens", right=True),
    Column("amplification", right=True),
    Column("charged", right=True),
)

WhichKey = Annotated[str | None, Parameter("--key", help="Only of this key, by its name or id.")]


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

    Answers are the calls whose answer the user saw; amplification is how many
    tokens were used for each token of these. A run whose id begins with ~ was
    named by nobody: it is told from what its calls have in common.

    For example:
      tokenway runs
      tokenway runs list --key laptop --since 30d
    """
    from tokenway.control import run_view  # noqa: PLC0415 - the help needs none of it
    from tokenway.store.runs import PAGE_MAX  # noqa: PLC0415 - the same

    if not 1 <= limit <= PAGE_MAX:
        raise BadUsage(f"--limit must be from 1 to {PAGE_MAX}.")
    start = start_of(since, time.time())
    with stored(data_directory(data_dir, os.environ), config, os.environ) as store:
        keys = store.keys.keys()
        found = store.runs.page(key=_key_id(key, keys), project=project, since=start, limit=limit)
    if as_json:
        print_json(run_view.page(found, is_ours=True))
        return 0
    names = {row.id: row.name for row in keys}
    print_table(
        _COLUMNS, [_cells(run, names) for run in found.runs], empty="There was no run of an agent in that time."
    )
    return 0


def show(
    run: Annotated[str, Parameter(help="The id of the run.")],
    *,
    key: WhichKey = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> int:
    """Show one run: its agents, their calls in order, and what they came to.

    Calls are grouped by the user's requests (turns). Input counts cached tokens
    too; money is rounded to a millionth, and exact in the JSON.

    For example:
      tokenway runs show nightly-7
      tokenway runs show nightly-7 --key laptop --json
    """
    from tokenway.cli.run_tree import print_tree  # noqa: PLC0415 - the help needs none of it
    from tokenway.control import run_view  # noqa: PLC0415 - the same

    with stored(data_directory(data_dir, os.environ), config, os.environ) as store:
        keys = store.keys.keys()
        names = {row.id: row.name for row in keys}
        whose = _key_id(key, keys)
        owners = [each for each in store.runs.keys_of(run) if whose in {None, each}]
        if len(owners) > 1:
            listed = ", ".join(f"{names.get(each, each)} ({each})" for each in owners)
            raise BadUsage(f"Several keys have a run {run}: {listed}. Say which with --key.")
        found = store.runs.show(run, owners[0]) if owners else None
    if found is None:
        raise CommandError(f"There is no run {run}; `tokenway runs --since all` lists those that there are.")
    if as_json:
        print_json(run_view.tree(found, is_ours=True))
    else:
        print_tree(found, names.get(found.run.key, found.run.key))
    return 0


def _key_id(reference: str | None, keys: Sequence[KeyRow]) -> str | None:
    """The id of a key that is named by its name or id; None for any. A key of the configuration has its id alone."""
    if reference is None:
        return None
    named = [row.id for row in keys if row.name == reference]
    if len(named) > 1 and reference not in {row.id for row in keys}:
        raise BadUsage(f"Several keys are called {reference}; say which by its id: {', '.join(named)}.")
    return named[0] if named else reference


def _cells(run: Run, names: dict[str, str]) -> list[str]:
    figures = run.figures
    return [
        run.run,
        names.get(run.key, run.key),
        run.project,
        f"{datetime.fromtimestamp(run.ended, UTC):%Y-%m-%d %H:%M:%S}",
        f"{figures.calls}",
        f"{figures.shown}",
        f"{figures.tokens}",
        number(figures.amplification),
        money(figures.charged),
    ]
