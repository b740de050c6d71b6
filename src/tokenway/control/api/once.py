"""Creations that are done once for one `Idempotency-Key`, however often and however concurrently they are asked for.

The creation and the memory of it are one transaction: either both are in the database or neither, also when the machine
dies in between, and of two that try at once, on whatever machines, the second finds what the first has done. What is
remembered is sealed, because a creation's answer is where a secret is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Final

import sqlalchemy as sa
from fastapi import Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from tokenway.control.api.problems import Problem
from tokenway.control.api.services import Services
from tokenway.store.schema import idempotency

KEPT_SECONDS: Final = 86400.0
PURPOSE: Final = "idempotency"
REPLAYED: Final = "idempotency-replayed"

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Any text of yours: the same request with the same key is done once, for 24 hours.",
    ),
]


async def create(
    services: Services, request: Request, actor: str, key: str | None, work: Callable[[], BaseModel]
) -> Response:
    """Runs a creation in the store's thread; its answer, or the one that it had before. Raises Problem."""
    digest = await _digest(request)
    text, is_replay = await services.run(_create, services, actor, key, digest, work)
    headers = {REPLAYED: "true"} if is_replay else {}
    return Response(text, 201, headers, "application/json")


def _create(
    services: Services, actor: str, key: str | None, digest: str, work: Callable[[], BaseModel]
) -> tuple[str, bool]:
    if key is None:
        return work().model_dump_json(), False
    mine = (idempotency.c.actor == actor, idempotency.c.key == key)
    # Only one may write at a time, on whatever machine; what `work` writes is part of this transaction.
    with services.store.database.write() as connection:
        connection.execute(idempotency.delete().where(idempotency.c.created <= services.clock() - KEPT_SECONDS))
        row = connection.execute(sa.select(idempotency.c.request, idempotency.c.answer).where(*mine)).first()
        if row is not None:
            if row.request != digest:
                raise Problem(409, "this key was used for another request", field="Idempotency-Key")
            return services.seal.open(row.answer, PURPOSE), True
        answer = work().model_dump_json()
        values = {"actor": actor, "key": key, "request": digest, "status": 201, "created": services.clock()}
        connection.execute(idempotency.insert().values(**values, answer=services.seal.seal(answer, PURPOSE)))
        return answer, False


async def _digest(request: Request) -> str:
    head = f"{request.method} {request.url.path}?{request.url.query}\n"
    return hashlib.sha256(head.encode() + await request.body()).hexdigest()
