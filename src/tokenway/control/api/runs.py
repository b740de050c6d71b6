"""Runs of agents: what each came to, and its tree."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from tokenway.control.api.callers import Caller, Gateway, Guarded, Who
from tokenway.control.api.paging import LIMIT, Cursor, Cursors, Limit, Page
from tokenway.control.api.problems import Problem, not_found
from tokenway.control.api.types import IDENTITY, Json, Shown, Time, moment_of
from tokenway.control.run_view import page, tree
from tokenway.store.runs import RunPage, RunTree

router = APIRouter(route_class=Guarded, tags=["runs"])


class RunShown(Shown):
    """One run."""

    id: str
    guessed: bool = Field(description="Whether no client told the id, and it was made of what requests have in common.")
    key: str
    project: str
    started_at: str
    ended_at: str
    wall_seconds: float
    calls: int
    shown_calls: int = Field(description="Those whose answer the user saw.")
    errors: int
    slow_calls: int
    usage: dict[str, int]
    tokens: int
    shown_tokens: int
    amplification: float | None = Field(description="All tokens for each that the user saw.")
    hidden_calls_per_request: float | None
    cache_hit_share: float | None
    cost: str = Field(description="What the key pays, USD.")
    provider_cost: str | None = Field(description="What providers bill, USD; null for who is no admin.")
    model_seconds: float
    ttft_seconds: float | None
    output_tps: float | None


class RunTreeShown(RunShown):
    """One run with its agents and their calls."""

    omitted_calls: int = Field(description="The latest calls, which are in the figures only.")
    agents: list[Json]


@router.get("/runs")
async def list_runs(
    who: Who,
    services: Gateway,
    project: Annotated[str | None, Query(pattern=IDENTITY)] = None,
    key: Annotated[str | None, Query(max_length=200)] = None,
    since: Annotated[Time | None, Query(description="Those with a call since then.")] = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Page[RunShown]:
    """Runs, the latest first. Who is no admin asks for one project's."""
    if project is not None:
        who.reach(project)
    elif not who.is_admin:
        raise Problem(422, "say which project's runs: only admins see those of all", field="project")
    moment = None if since is None else moment_of(since)
    cursors, listed = Cursors(services.seal), f"runs {project} {key} {moment}"
    after = cursors.read(listed, cursor)
    find = partial(services.store.runs.page, key=key, project=project, since=moment, limit=limit, cursor=after)
    await services.run(services.drain)
    found: RunPage = await services.run(find)
    more = None if found.cursor is None else cursors.make(listed, found.cursor)
    shown = page(found, is_ours=True)["data"]
    return Page(data=[RunShown(**_for(who, each)) for each in shown], next_cursor=more)


@router.get("/runs/{run:path}")
async def show_run(
    who: Who,
    services: Gateway,
    run: Annotated[str, Path(min_length=1, max_length=300)],
    key: Annotated[
        str | None, Query(max_length=200, description="Whose run it is, where several keys have one.")
    ] = None,
) -> RunTreeShown:
    """One run with the tree of its agents."""
    await services.run(services.drain)
    keys = [key] if key is not None else await services.run(services.store.runs.keys_of, run)
    found: list[RunTree] = []
    for each in keys[:100]:
        one: RunTree | None = await services.run(services.store.runs.show, run, each)
        if one is not None and (who.is_admin or one.run.project in (who.projects() or ())):
            found.append(one)
    if not found:
        raise not_found("run", run)
    if len(found) > 1:
        names = ", ".join(each.run.key for each in found)
        raise Problem(409, f"several keys have a run of this id: say which key ({names})", field="key")
    return RunTreeShown(**_for(who, tree(found[0], is_ours=who.is_admin), found[0]))


def _for(who: Caller, shown: Json, found: RunTree | None = None) -> Json:
    whose = {} if found is None else {"key": found.run.key, "project": found.run.project}
    return {**shown, **whose, "provider_cost": shown.get("provider_cost") if who.is_admin else None}
