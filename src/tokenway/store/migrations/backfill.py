"""What revision 0006 counts of the exchanges that were there before it: spending, roll-ups, balances and runs.

Written for the schema of that revision and for no other. Each table is filled by statements that the database works off
by itself, so memory does not grow with the ledger; only facets and accounts, of which there are few, come through here.
Exchanges of that time knew no user, no agent and nothing withheld.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa

_BUCKETS: Final = (
    *("input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "output_text", "reasoning"),
    *("audio_in", "audio_out", "image_in", "image_out", "requests", "searches", "images", "sound_ms", "characters"),
)
_INLINE: Final = frozenset({"input_uncached", "cache_read", "output_text", "reasoning", "requests"})
_PAYABLE: Final = "('delivered', 'upstream_billed')"
_ERROR: Final = "((k.status >= 400 OR k.error_type <> '') AND k.status <> 499)"
_INPUT: Final = ("input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "audio_in", "image_in")
_OUTPUT: Final = ("output_text", "reasoning", "audio_out", "image_out")
_TOKENS: Final = (
    "COALESCE(x.output_text + x.reasoning, (SELECT a.output_text + a.reasoning + a.audio_out + a.image_out "  # noqa: S608
    f"FROM attempts a WHERE a.exchange = x.id AND a.settlement IN {_PAYABLE} ORDER BY a.attempt LIMIT 1))"
)
_SEEN: Final = (
    "COALESCE(x.output_text, (SELECT a.output_text + a.audio_out + a.image_out FROM attempts a "
    "WHERE a.exchange = x.id AND a.settlement = 'delivered' AND a.absurd = 0 AND a.input_uncached IS NOT NULL "
    "ORDER BY a.attempt LIMIT 1), 0)"
)
_SHOWN: Final = (
    "(k.settlement = 'delivered' AND k.operation IN ('chat', 'completion') "
    "AND k.finish_reason NOT IN ('tool_calls', 'tool_use', 'function_call', 'pause_turn'))"
)
_IS_INLINE: Final = "k.inline_attempt IS NOT NULL"
_CALLS: Final = "FROM exchanges x JOIN kinds k ON k.id = x.kind"
_TRIED: Final = (
    "FROM attempts a JOIN exchanges x ON x.id = a.exchange JOIN kinds k ON k.id = x.kind WHERE a.attempt <> -1"
)
_TIMES: Final = {
    "ttft_us": "COALESCE(CAST(x.ttft * 1000000.0 AS BIGINT), 0)",
    "first_tokens": "CASE WHEN x.ttft IS NULL THEN 0 ELSE 1 END",
    "timed_tokens": f"CASE WHEN x.output_speed IS NULL THEN 0 ELSE {_TOKENS} - 1 END",
    "timed_us": f"CASE WHEN x.output_speed IS NULL THEN 0 "
    f"ELSE CAST(({_TOKENS} - 1) / x.output_speed * 1000000.0 AS BIGINT) END",
    "duration_us": "COALESCE(CAST(x.duration * 1000000.0 AS BIGINT), 0)",
}


def _if(condition: str, value: str = "1") -> str:
    return f"CASE WHEN {condition} THEN {value} ELSE 0 END"


def _believed(name: str) -> str:
    return _if("a.absurd = 0", f"COALESCE(a.{name}, 0)")


_INLINE_USAGE: Final = {name: f"COALESCE(x.{name}, 0)" if name in _INLINE else "0" for name in _BUCKETS}
_USAGE: Final = {name: _believed(name) for name in _BUCKETS}
_OF_CALLS: Final = {
    "calls": "1",
    "attempts": _if(_IS_INLINE),
    "errors": _if(_ERROR),
    "slow": "k.slow",
    "unmetered": "0",
    "unpriced": _if(f"{_IS_INLINE} AND x.cost IS NULL"),
    "expired": _if("k.settlement = 'expired'"),
    "charged": _if(f"{_IS_INLINE} OR k.attempts = 0", "x.charged"),
    "withheld": "0",
    "cost": "COALESCE(x.cost, 0)",
    "absorbed": _if("k.settlement = 'absorbed'", "COALESCE(x.cost, 0)"),
    **_INLINE_USAGE,
    **_TIMES,
}
_OF_ATTEMPTS: Final = {
    **dict.fromkeys(_OF_CALLS, "0"),
    "attempts": "1",
    "unmetered": _if(f"a.settlement IN {_PAYABLE} AND a.input_uncached IS NULL"),
    "unpriced": _if("a.input_uncached IS NOT NULL AND a.cost IS NULL AND a.absurd = 0"),
    "charged": "a.charged",
    "cost": "COALESCE(a.cost, 0)",
    "absorbed": _if("a.settlement = 'absorbed'", "COALESCE(a.cost, 0)"),
    **_USAGE,
}
_RUN_OF_CALLS: Final = {
    "calls": "1",
    "shown": _if(_SHOWN),
    "shown_tokens": _if(_SHOWN, _SEEN),
    "errors": _if(_ERROR),
    "slow": "k.slow",
    "charged": "x.charged",
    "withheld": "0",
    "cost": "COALESCE(x.cost, 0)",
    **_INLINE_USAGE,
    **_TIMES,
}
_RUN_OF_ATTEMPTS: Final = {**dict.fromkeys(_RUN_OF_CALLS, "0"), "cost": "COALESCE(a.cost, 0)", **_USAGE}


def count_again(execute: Callable[[str], Any], connection: sa.Connection) -> None:
    """Fills the tables of sums, which are empty, from the entries."""
    _facets(connection)
    for grain in (60, 3_600, 86_400):
        execute(_rollups(grain))
    for scope, column in (("key", "key"), ("project", "project"), ("model", "model")):
        for grain in (3_600, 86_400, 0):
            execute(_spend(scope, column, grain))
    for table, place in (("runs", ("key", "run")), ("run_agents", ("key", "run", "agent"))):
        execute(_runs(table, place))
    _balances(connection)


def _facets(connection: sa.Connection) -> None:
    """One for each key, project, model and endpoint that is spoken of."""
    query = (
        "SELECT k.key, k.project, k.model, k.endpoint FROM kinds k UNION "
        "SELECT k.key, k.project, k.model, a.endpoint FROM attempts a JOIN exchanges x ON x.id = a.exchange "
        "JOIN kinds k ON k.id = x.kind"
    )
    statement = sa.text(
        "INSERT INTO facets (id, key, project, user_id, model, endpoint) VALUES (:id, :key, :project, '', :model, :at)"
    )
    for key, project, model, endpoint in connection.execute(sa.text(query)).all():
        values = {"id": _digest((key, project, "", model, endpoint)), "key": key, "project": project}
        connection.execute(statement, values | {"model": model, "at": endpoint})


def _digest(values: tuple[str, ...]) -> int:
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1 or 1


def _rollups(grain: int) -> str:
    bucket = f"CAST(x.at AS BIGINT) / {grain} AS bucket, k.key AS key, k.project AS project, k.model AS model"
    both = _both(
        f"SELECT {bucket}, k.endpoint AS endpoint, {_named(_OF_CALLS)} {_CALLS}",
        f"SELECT {bucket}, a.endpoint AS endpoint, {_named(_OF_ATTEMPTS)} {_TRIED}",
    )
    return (
        f"INSERT INTO rollups (grain, bucket, facet, node, {', '.join(_OF_CALLS)}) "  # noqa: S608 - all names are ours
        f"SELECT {grain}, e.bucket, f.id, '', {_sums(_OF_CALLS)} FROM {both} JOIN facets f ON f.key = e.key "
        "AND f.project = e.project AND f.user_id = '' AND f.model = e.model AND f.endpoint = e.endpoint "
        "GROUP BY e.bucket, f.id"
    )


def _spend(scope: str, column: str, grain: int) -> str:
    bucket = f"CAST(x.at AS BIGINT) / {grain}" if grain else "0"
    place = f"k.{column} AS subject, {bucket} AS bucket"
    is_paid = f"k.settlement IN {_PAYABLE}"
    calls = {
        "calls": "1",
        "charged": "x.charged",
        "input_tokens": _if(is_paid, "COALESCE(x.input_uncached + x.cache_read, 0)"),
        "output_tokens": _if(is_paid, "COALESCE(x.output_text + x.reasoning, 0)"),
    }
    attempts = {
        "calls": "0",
        "charged": "0",
        "input_tokens": " + ".join(map(_believed, _INPUT)),
        "output_tokens": " + ".join(map(_believed, _OUTPUT)),
    }
    both = _both(
        f"SELECT {place}, x.at AS last_used, {_named(calls)} {_CALLS} WHERE k.settlement <> 'expired'",
        f"SELECT {place}, x.at AS last_used, {_named(attempts)} {_TRIED} AND a.settlement IN {_PAYABLE}",
    )
    return (
        f"INSERT INTO spend (scope, subject, grain, bucket, node, withheld, {', '.join(calls)}, last_used) "  # noqa: S608
        f"SELECT '{scope}', e.subject, {grain}, e.bucket, '', 0, {_sums(calls)}, MAX(e.last_used) FROM {both} "
        "WHERE e.subject <> '' GROUP BY e.subject, e.bucket"
    )


def _runs(table: str, place: tuple[str, ...]) -> str:
    named = "k.key AS key, x.run AS run, k.project AS project, '' AS agent, x.at AS started"
    named += ", x.at + COALESCE(x.duration, 0.0) AS ended"
    both = _both(
        f"SELECT {named}, {_named(_RUN_OF_CALLS)} {_CALLS} WHERE x.run IS NOT NULL",
        f"SELECT {named}, {_named(_RUN_OF_ATTEMPTS)} {_TRIED} AND x.run IS NOT NULL",
    )
    project = ("project",) if table == "runs" else ()
    places = ", ".join(f"e.{name}" for name in place)
    shown = ", ".join((places, *(f"MIN(e.{name})" for name in project), "MIN(e.started)", "MAX(e.ended)"))
    columns = ", ".join((*place, *project, "started", "ended", *_RUN_OF_CALLS))
    return f"INSERT INTO {table} ({columns}) SELECT {shown}, {_sums(_RUN_OF_CALLS)} FROM {both} GROUP BY {places}"  # noqa: S608


def _balances(connection: sa.Connection) -> None:
    """Each exchange's two transfers: wallet to sales, and cost, or what is absorbed, to providers."""
    query = (
        "SELECT f.project, f.endpoint, SUM(r.charged), SUM(r.cost), SUM(r.absorbed) FROM rollups r "
        "JOIN facets f ON f.id = r.facet WHERE r.grain = 86400 GROUP BY f.project, f.endpoint"
    )
    accounts: dict[str, list[int]] = {}

    def post(debit: str, credit: str, amount: int) -> None:
        if amount:
            accounts.setdefault(debit, [0, 0])[0] += amount
            accounts.setdefault(credit, [0, 0])[1] += amount

    for project, endpoint, charged, cost, absorbed in connection.execute(sa.text(query)).all():
        provider = f"provider:{endpoint.partition('/')[0]}"
        post(f"wallet:{project}", "sales", int(charged))
        post("cost", provider, int(cost - absorbed))
        post("absorbed", provider, int(absorbed))
    statement = sa.text("INSERT INTO balances (account, node, debits, credits) VALUES (:account, '', :d, :c)")
    for account, (debits, credited) in sorted(accounts.items()):
        connection.execute(statement, {"account": account, "d": debits, "c": credited})


def _both(first: str, second: str) -> str:
    return f"({first} UNION ALL {second}) e"


def _named(values: Mapping[str, str]) -> str:
    return ", ".join(f"{value} AS {name}" for name, value in values.items())


def _sums(names: Mapping[str, str]) -> str:
    return ", ".join(f"SUM(e.{name})" for name in names)
