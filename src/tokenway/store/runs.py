"""Questions about the runs of agents: which there were, and the tree of one.

What a run and each of its agents came to was summed when its calls were written (`runs`, `run_agents`); the calls
themselves are read from the entries. An id of a run means nothing without its key: two keys may use the same one.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.metering.runs import MAIN, Figures, is_seen
from tokenway.model.identity import day_of, ids_of_day
from tokenway.model.probe import PROBE
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.database import Database
from tokenway.store.schema import INLINE_BUCKETS, attempts, exchanges, kinds, run_agents, runs

CALLS_MAX: Final = 2000
"""Calls of a run that are shown one by one; its figures are of all of them."""
AGENTS_MAX: Final = 1000
"""Agents of a run, the first ones, of which more is told than that they asked."""
PAGE: Final = 50
PAGE_MAX: Final = 500
_IDS_PER_QUERY: Final = 500
_FIGURES: Final = tuple(name for name in Figures.__struct_fields__ if name != "usage")

Row = sa.RowMapping | dict[str, Any]


class Run(msgspec.Struct, frozen=True):
    """What a run came to. Times are Unix seconds: when its first call was admitted, and when its last one ended."""

    key: str
    run: str
    project: str
    started: float
    ended: float
    figures: Figures


class Call(msgspec.Struct, frozen=True):
    """One call of a run. `usage` is of all its attempts, `turn` the user's request that it serves, from 1 on.

    `turn_id` is what the client calls that, `shown` whether the user saw the answer; durations are in seconds and
    `speed` in tokens per second, None where they are not known.
    """

    id: str
    at: float
    turn: int
    turn_id: str
    request_class: str
    model: str
    endpoint: str
    operation: str
    settlement: str
    status: int
    finish_reason: str
    error_type: str
    shown: bool
    slow: bool
    attempts: int
    usage: Usage | None
    charged: int
    cost: int | None
    ttft: float | None
    duration: float | None
    speed: float | None


class Agent(msgspec.Struct):
    """An agent of a run with its own calls, in their order, and the agents that work for it.

    `name` is empty for the run's own. Its figures are None where nothing is known of it but that others work for it.
    `goes_on` is whether there is a run of that name, as where clients only tell whom they work for and not the run.
    """

    name: str
    agent_type: str = ""
    started: float | None = None
    ended: float | None = None
    figures: Figures | None = None
    goes_on: bool = False
    calls: list[Call] = []
    agents: list[Agent] = []


class RunTree(msgspec.Struct, frozen=True):
    """A run with those of its agents that work for no other.

    `omitted` calls are in the figures only: the latest of very many, and those of days that are kept no longer.
    """

    run: Run
    agents: list[Agent]
    omitted: int = 0


class RunPage(msgspec.Struct, frozen=True):
    """Some runs, and where the next ones begin; None where there are none."""

    runs: list[Run]
    cursor: str | None = None


class SqlRuns:
    """Reads the runs in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self,
        *,
        key: str | None = None,
        project: str | None = None,
        since: float | None = None,
        limit: int = PAGE,
        cursor: str | None = None,
    ) -> RunPage:
        """Runs by their last call, the latest first: those of a key, of a project, with calls since then.

        Raises ValueError for a cursor that is none.
        """
        table = runs.c
        query = sa.select(runs).order_by(table.ended.desc(), table.key, table.run)
        if key is not None:
            query = query.where(table.key == key)
        query = query.where(table.project != PROBE if project is None else table.project == project)
        if since is not None:
            query = query.where(table.ended >= since)
        if cursor is not None:
            ended, behind_key, behind_run = _place_of(cursor)
            behind = sa.or_(table.key > behind_key, sa.and_(table.key == behind_key, table.run > behind_run))
            query = query.where(sa.or_(table.ended < ended, sa.and_(table.ended == ended, behind)))
        size = max(1, min(limit, PAGE_MAX))
        with self._database.read() as connection:
            found = [_run(row) for row in connection.execute(query.limit(size + 1)).mappings()]
        return RunPage(found[:size], _cursor_of(found[size - 1]) if len(found) > size else None)

    def keys_of(self, run: str) -> list[str]:
        """The keys that have a run of this id."""
        with self._database.read() as connection:
            return list(connection.execute(sa.select(runs.c.key).where(runs.c.run == run)).scalars())

    def show(self, run: str, key: str) -> RunTree | None:
        """One run of this key with its agents and calls; None when there is none."""
        mine = (run_agents.c.key == key, run_agents.c.run == run)
        with self._database.read() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.key == key, runs.c.run == run)).mappings().first()
            if row is None:
                return None
            found = _run(row)
            agents = sa.select(run_agents).where(*mine).order_by(run_agents.c.started).limit(AGENTS_MAX)
            parts = [dict(part) for part in connection.execute(agents).mappings()]
            grown = set(connection.execute(_grown(key, run)).scalars())
            rows = _calls(connection, found, by_day=self._database.has_partitions)
        tops = _tree(run, parts, grown, rows)
        return RunTree(found, tops, max(0, found.figures.calls - len(rows)))


def _grown(key: str, run: str) -> sa.Select[Any]:
    """The agents of a run whose names are those of other runs."""
    is_run = sa.and_(runs.c.key == run_agents.c.key, runs.c.run == run_agents.c.agent, runs.c.run != run)
    query = sa.select(run_agents.c.agent).join(runs, is_run)
    return query.where(run_agents.c.key == key, run_agents.c.run == run)


def _run(row: Row) -> Run:
    return Run(row["key"], row["run"], row["project"], row["started"], row["ended"], _figures(row))


def _figures(row: Row) -> Figures:
    usage = Usage(*(row[name] for name in BUCKETS))
    return Figures(usage=usage, **{name: row[name] for name in _FIGURES})


def _cursor_of(run: Run) -> str:
    return urlsafe_b64encode(msgspec.json.encode((run.ended, run.key, run.run))).decode().rstrip("=")


def _place_of(cursor: str) -> tuple[float, str, str]:
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(text, type=tuple[float, str, str])
    except (ValueError, msgspec.DecodeError):
        raise ValueError("no cursor that was given out") from None


# -- calls -----------------------------------------------------------------------------------------------


def _calls(connection: sa.Connection, run: Run, *, by_day: bool) -> list[dict[str, Any]]:
    """The first calls of a run with what all their attempts used and cost.

    `by_day` is whether entries are in parts of a day each: then only those of the run's days are looked at.
    """
    query = (
        sa.select(exchanges, kinds)
        .join(kinds, kinds.c.id == exchanges.c.kind)
        .where(exchanges.c.run == run.run, kinds.c.key == run.key)
        .order_by(exchanges.c.at, exchanges.c.id)
        .limit(CALLS_MAX)
    )
    if by_day:
        first, last = ids_of_day(day_of(run.started)), ids_of_day(day_of(run.ended) + 1)
        query = query.where(exchanges.c.id >= first, exchanges.c.id < last)
    # Both tables have an `id`; the exchange's comes first.
    columns = [exchanges.c.id.label("exchange"), *(each for each in query.selected_columns if each.name != "id")]
    rows = [dict(row) for row in connection.execute(query.with_only_columns(*columns)).mappings()]
    apart = [row["exchange"] for row in rows if row["inline_attempt"] is None]
    lines: dict[str, list[Row]] = {}
    for start in range(0, len(apart), _IDS_PER_QUERY):
        some = apart[start : start + _IDS_PER_QUERY]
        for line in connection.execute(sa.select(attempts).where(attempts.c.exchange.in_(some))).mappings():
            lines.setdefault(line["exchange"], []).append(line)
    for row in rows:
        if row["inline_attempt"] is None:
            _take_attempts(row, lines.get(row["exchange"], ()))
        else:
            row["usage"] = Usage(**{name: row[name] for name in INLINE_BUCKETS})
    return rows


def _take_attempts(row: dict[str, Any], lines: Iterable[Row]) -> None:
    """Sets what the attempts of a call used and cost, as far as that is known."""
    counted = [line for line in lines if line["input_uncached"] is not None and not line["absurd"]]
    costs = [line["cost"] for line in lines if line["cost"] is not None]
    row["usage"] = Usage(*(sum(line[name] for line in counted) for name in BUCKETS)) if counted else None
    row["cost"] = sum(costs) if costs else None


class _Turns:
    """Counts the user's requests: each is as a client tells it, else it ends with an answer that the user saw."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._last = self._now = 0
        self._is_over = True

    def of(self, turn: str, *, is_main: bool, shown: bool) -> int:
        """The number of the request that the next call serves. `is_main` is whether such a call can begin one."""
        if turn:
            if turn not in self._told:
                self._last = self._told[turn] = self._last + 1
            self._now = self._told[turn]
            self._is_over = False
        elif self._now == 0 or (self._is_over and is_main):
            self._last = self._now = self._last + 1
            self._is_over = False
        self._is_over = self._is_over or shown
        return self._now


def _tree(run: str, parts: list[dict[str, Any]], grown: set[str], rows: list[dict[str, Any]]) -> list[Agent]:
    """The agents that work for no other, with those that work for them."""
    parents = {part["agent"]: part["parent"] or "" for part in parts}
    agents = {part["agent"]: _agent(part, grown) for part in parts}
    turns = _Turns()
    for row in rows:
        name, turn = row["agent"] or "", row["turn"] or ""
        request_class = row["request_class"] or ""
        shown = is_seen(row["settlement"], row["operation"], row["finish_reason"], request_class)
        number = turns.of(turn, is_main=request_class in {"", MAIN}, shown=shown)
        agents.setdefault(name, Agent(name)).calls.append(_call(row, number, shown=shown))
    tops: list[Agent] = []
    for name in list(agents):
        above = _above(name, parents, run)
        if above is None:
            tops.append(agents[name])
            continue
        if above not in agents:  # who asked nothing itself, or nothing that came this way
            agents[above] = Agent(above)
            tops.append(agents[above])
        agents[above].agents.append(agents[name])
    for agent in agents.values():
        agent.agents.sort(key=_order)
    return sorted(tops, key=_order)


def _above(name: str, parents: Mapping[str, str], run: str) -> str | None:
    """Whom an agent works for: by name, empty for the run's own; None for nobody. Who works for itself does so too."""
    parent = parents.get(name, "")
    if not name or not parent:
        return None
    seen, at = {name}, parent
    while at and at != run:
        if at in seen:
            return None
        seen.add(at)
        at = parents.get(at, "")
    return "" if parent == run else parent


def _agent(part: dict[str, Any], grown: set[str]) -> Agent:
    name = part["agent"]
    kind = part["agent_type"] or ""
    return Agent(name, kind, part["started"], part["ended"], _figures(part), goes_on=name in grown, calls=[], agents=[])


def _order(agent: Agent) -> tuple[bool, float, str]:
    """The run's own agent first, then as they came."""
    firsts = (agent.started, *(each.started for each in agent.agents))
    return agent.name != "", min((at for at in firsts if at is not None), default=0.0), agent.name


def _call(row: Row, turn: int, *, shown: bool) -> Call:
    return Call(
        row["exchange"],
        row["at"],
        turn,
        row["turn"] or "",
        row["request_class"] or "",
        row["model"],
        row["endpoint"],
        row["operation"],
        row["settlement"],
        row["status"],
        row["finish_reason"],
        row["error_type"],
        shown,
        bool(row["slow"]),
        row["attempts"],
        row["usage"],
        row["charged"],
        row["cost"],
        row["ttft"],
        row["duration"],
        row["output_speed"],
    )
