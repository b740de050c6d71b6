"""All who tell what was spent tell the same, to the nano-dollar, after a day of every kind of call.

The day is yesterday's on the gateway's clock, so that it can be invoiced today. A markup lies between what providers
bill and what callers pay.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import httpx2
import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from tests.e2e import sdk_matrix
from tests.e2e.callers import CHAT, RESPONSES, ask, dial, events
from tests.e2e.control import admin_of, clock
from tests.e2e.gateway import PRICE, Gateway, until
from tests.e2e.raw import Raw, chat, post
from tests.e2e.sdk_matrix import DIALECTS, RATES, model
from tests.fake_provider import REPLIES, FakeProvider
from tests.sdks.expected import told
from tokenway.model.money import NANO_PER_USD, marked_up

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY: Final = 86_400
MARKUP: Final = 0.123457
MILLIONTHS: Final = 123_457
CASES: Final = ("text", "cached", "reasoning-tools")
BUDGET: Final = 5.0
RUN: Final = "mixed-1"
BY: Final = ("key,model", "run", "day")


class Day(NamedTuple):
    """What the gateway's callers were told, and its reports of that."""

    gateway: Gateway
    costs: dict[str, int]
    """What each whole answer and each stream says that it costs, by exchange; nano-dollars."""
    left: str
    """The exchange whose caller left."""
    exchanges: list[str]
    """All that were asked."""
    reports: dict[str, int]
    """What was charged in all, by who says so."""


def nano(text: object) -> int:
    """Dollars as they are told, exactly."""
    found = Decimal(str(text)) * NANO_PER_USD
    assert found == found.to_integral_value(), text
    return int(found)


async def ask_everything(http: httpx2.AsyncClient, costs: dict[str, int], exchanges: list[str]) -> None:
    """Every dialect of every other, whole and streamed; vectors; what is refused and what fails."""
    for number, upstream in enumerate((*DIALECTS, *DIALECTS[:2])):
        dialect = DIALECTS[(number + number // len(DIALECTS)) % len(DIALECTS)]
        for case in CASES:
            counts = REPLIES[case].counts
            assert counts is not None
            due = marked_up(RATES.cost(told(counts, upstream)), MILLIONTHS)
            request = ask(dialect, model(upstream, case))
            headers = {"x-tokenway-run": RUN} if case == "text" else {}
            answer = await http.post(request.path, json=request.body, headers=headers)
            assert answer.status_code == 200, answer.text
            identity = answer.headers["x-request-id"]
            exchanges.append(identity)
            costs[identity] = nano(answer.headers["x-tokenway-cost"])
            assert costs[identity] == due
            if dialect in {CHAT, RESPONSES}:
                assert nano(answer.json()["usage"]["cost"]) == due
            more: dict[str, Any] = {"stream_options": {"include_usage": True}} if dialect is CHAT else {}
            request = ask(dialect, model(upstream, case), stream=True, **more)
            answer = await http.post(request.path, json=request.body)
            exchanges.append(answer.headers["x-request-id"])
            costs[exchanges[-1]] = due
            if dialect in {CHAT, RESPONSES}:
                last = [data for _, data in events(answer.content) if data != "[DONE]"][-1]
                assert nano(last.get("response", last)["usage"]["cost"]) == due
    for path, body in (
        ("/v1/embeddings", {"model": "vectors", "input": ["one", "two words"]}),
        ("/v1/chat/completions", {"model": "free", "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/chat/completions", {"model": model(CHAT, "broken"), "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/chat/completions", {"model": model(CHAT, "cut-mid"), "messages": [], "stream": True}),
        ("/v1/chat/completions", {"model": "nobody", "messages": []}),
    ):
        answer = await http.post(path, json=body)
        exchanges.append(answer.headers["x-request-id"])
        if "x-tokenway-cost" in answer.headers:
            costs[exchanges[-1]] = nano(answer.headers["x-tokenway-cost"])


async def leave(gateway: Gateway) -> str:
    """A caller who is gone before the provider has told its usage."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat("slow", stream=True, max_tokens=100)))
        _, headers = await raw.head()
        await raw.chunk()
    return headers["x-request-id"]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def day(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Day]:
    """Yesterday, and what everybody says of it."""
    config = sdk_matrix.configuration(
        provider, retries={"max": 0}, projects={"default": {"markup": MARKUP, "prepaid": True}}
    )
    config["auth"]["keys"][0]["budget"] = BUDGET
    lab = f"lab-{CHAT}"
    for name, endpoint in (
        ("vectors", {"provider": lab, "model": "fake", "price": {"input": 0.02, "output": 0}}),
        ("free", {"provider": lab, "model": "text"}),
        ("slow", {"provider": lab, "model": "fake?chunks=50&gap=0.05", "price": PRICE}),
    ):
        config["models"][name] = {"endpoints": [endpoint]}
    folder = tmp_path_factory.mktemp("agreement")
    gateway = Gateway(folder, config, clock(folder, -DAY))
    await gateway.start()
    await gateway.run("credits", "add", "default", "7.5")
    costs: dict[str, int] = {}
    exchanges: list[str] = []
    async with dial(gateway) as http:

        async def is_paid() -> bool:
            return bool((await http.get("/v1/credits")).json()["data"]["total_credits"] == 7.5)

        await until(is_paid)
        await ask_everything(http, costs, exchanges)
        left = await leave(gateway)
        await gateway.entry(left)
        found = Day(gateway, costs, left, [*exchanges, left], {})
        await ask_callers_own(http, found)
    async with admin_of(gateway) as admin:
        await ask_admins_own(admin, found)
    assert await gateway.stop() == 0
    assert "Traceback" not in gateway.complaints, gateway.complaints
    gateway.environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")  # today
    yield found


async def ask_callers_own(http: httpx2.AsyncClient, day: Day) -> None:
    """What a key is told of itself."""
    key = (await http.get("/v1/key")).json()["data"]
    day.reports["/v1/key"] = round(key["usage"] * NANO_PER_USD)
    kept = round(key["withheld"] * NANO_PER_USD)
    assert kept > 0
    assert round(key["limit_remaining"] * NANO_PER_USD) == nano(BUDGET) - day.reports["/v1/key"] - kept
    wallet = (await http.get("/v1/credits")).json()["data"]
    day.reports["/v1/credits"] = round(wallet["total_usage"] * NANO_PER_USD)
    assert (wallet["withheld"], wallet["prepaid"]) == (key["withheld"], True)
    charged = 0
    for identity in day.exchanges:
        answer = await http.get("/v1/generation", params={"id": identity})
        if answer.status_code == 200:
            charged += round(answer.json()["data"]["total_cost"] * NANO_PER_USD)
    day.reports["/v1/generation"] = charged


async def ask_admins_own(admin: Any, day: Day) -> None:
    """What the control API tells."""
    for by in ("model", "key", "project", "user", "endpoint"):
        rows = (await admin.get("/usage", params={"by": by, "limit": 200})).json()["data"]
        day.reports[f"GET /usage by {by}"] = sum(nano(row["charged"]) for row in rows)
    for interval in ("minute", "hour", "day"):
        rows = (await admin.get("/usage", params={"interval": interval})).json()["data"]
        day.reports[f"GET /usage by {interval}"] = sum(nano(row["charged"]) for row in rows)
    rows = (await admin.get("/ledger", params={"limit": 200})).json()["data"]
    day.reports["GET /ledger"] = sum(nano(row["charged"]) for row in rows)
    day.reports["GET /ledger, by attempt"] = sum(nano(line["charged"]) for row in rows for line in row["attempts"])
    table = csv.DictReader(io.StringIO((await admin.get("/ledger/export")).text))
    day.reports["GET /ledger/export, CSV"] = sum(nano(row["charged"]) for row in table)
    file = await admin.get("/ledger/export", params={"format": "parquet"})
    column = pq.read_table(io.BytesIO(file.content))["charged"]
    day.reports["GET /ledger/export, Parquet"] = sum(nano(value) for value in column.to_pylist())
    balance = (await admin.get("/projects/default/credits")).json()
    day.reports["GET /credits"] = nano(balance["spent"])
    assert nano(balance["left"]) == nano("7.5") - nano(balance["spent"])


async def test_everybody_says_the_same(day: Day, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Callers by their own answers, the control API, the command line, the files, and the invoice."""
    gateway, reports = day.gateway, dict(day.reports)
    reports["what callers were told"] = sum(day.costs.values())
    period = [datetime.fromtimestamp(time.time() - ago, UTC).date().isoformat() for ago in (DAY, 0)]
    words = ("--since", period[0], "--until", period[1])
    file = tmp_path_factory.mktemp("export") / "day.parquet"
    *usage, credits_, invoiced, _ = await asyncio.gather(
        *(gateway.run("usage", "--by", by, "--json") for by in BY),
        gateway.run("credits", "show", "default", "--json"),
        gateway.run("invoices", "create", "default", *words, "--json"),
        gateway.run("ledger", "export", "default", *words, "-o", str(file)),
    )
    for by, rows in zip(BY, usage, strict=True):
        reports[f"tokenway usage --by {by}"] = sum(nano(row["charged_usd"]) for row in json.loads(rows))
    shown, invoice = json.loads(credits_), json.loads(invoiced)
    reports["tokenway credits show"] = nano(shown["spent_usd"])
    reports["its statement"] = -sum(
        nano(line["amount_usd"]) for line in shown["statement"]["lines"] if line["kind"] == "charges"
    )
    reports["the invoice"] = nano(invoice["total_usd"])
    reports["its lines"] = sum(nano(line["charged_usd"]) for line in invoice["lines"])
    reports["tokenway ledger export"] = sum(pq.read_table(file)["charged"].to_pylist())
    reports["the ledger itself"] = sum(entry.charged for entry in gateway.ledger())
    assert Counter(reports.values()).most_common(1)[0][1] == len(reports), reports
    assert len(day.costs) > 40


async def test_what_providers_bill_is_there_too(day: Day) -> None:
    """Without the markup; and nothing is missing, or counted twice."""
    entries = {entry.id: entry for entry in day.gateway.ledger()}
    for identity, cost in day.costs.items():
        entry = entries[identity]
        assert (entry.settlement, entry.charged) == ("delivered", cost)
        assert entry.cost is not None
        assert marked_up(entry.cost, MILLIONTHS) == cost
    assert entries[day.left].charged == 0
    (row,) = json.loads(await day.gateway.run("usage", "--by", "project", "--json"))
    assert nano(row["cost_usd"]) == sum(entry.cost or 0 for entry in entries.values())
    assert (row["requests"], row["unpriced"], row["unmetered"]) == (len(entries), 1, 1)


async def test_the_proof_holds(day: Day) -> None:
    """Also with all of it closed and another day begun."""
    found = json.loads(await day.gateway.run("ledger", "verify", "--json"))
    assert (found["holds"], found["faults"], found["open_reservations"]) == (True, [], [])
    assert found["debits_usd"] == found["credits_usd"]
    assert found["exchanges"] == len(day.gateway.ledger())
