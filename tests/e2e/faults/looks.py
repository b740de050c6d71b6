"""What is to be seen of a call that met a fault: by its caller, and in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import httpx2
import openai

from tests.e2e.faults.calls import Seen, call_chat, call_messages
from tests.e2e.faults.catalogue import PROMPT, SPARE, Row, Sees
from tests.e2e.gateway import Gateway

IN_TIME: Final = 20.0
"""Seconds that no call may pass: the deadline in all of six, and what a busy machine takes."""


def price(tokens: int | None) -> int:
    """What an answer costs, in nano-dollars."""
    return 0 if tokens is None else PROMPT * 1000 + tokens * 2000


class Look:
    """One call, and what is to be seen of it."""

    def __init__(self, gateway: Gateway, row: Row, seen: Seen, *, is_backed: bool, is_chat: bool) -> None:
        self.gateway, self.row, self.seen = gateway, row, seen
        self.is_backed, self.is_chat = is_backed, is_chat

    async def check(self, sees: Sees) -> None:
        """Fails where the caller sees anything else than the row says."""
        assert self.seen.seconds < IN_TIME
        await CHECKS[sees](self)

    async def answer(self) -> None:
        """The whole answer at the first try, and its price."""
        await self._delivered(self.row.text, attempts=1, charged=price(self.row.tokens))

    async def again(self) -> None:
        """The whole answer of the second try."""
        if self.is_backed:
            await self._spare()
        else:
            await self._delivered(self.row.text, attempts=2, charged=price(self.row.tokens))

    async def error(self) -> None:
        """The fallback's answer; an error where there is none."""
        if self.is_backed:
            await self._spare()
        else:
            await self._refused(self.row.attempts)

    async def refusal(self) -> None:
        """An error after one try, whoever else there is."""
        await self._refused(1)

    async def broken(self) -> None:
        """A stream that says that it is broken, behind what came; or goes on there with the fallback's answer."""
        seen = self.seen
        if self.is_backed and self.row.fallback == "fake" and self.row.in_time:
            assert (seen.status, seen.error) == (200, "")
            assert seen.finish
            assert seen.text.startswith(self.row.text), seen.text
            assert seen.text.endswith(SPARE.text)
            assert seen.text.count(SPARE.text) == 1
            entry = await self.gateway.entry(seen.exchange)
            assert (entry.settlement, entry.attempts, entry.charged) == ("delivered", 2, price(len(SPARE.text)))
            return
        assert (seen.status, seen.finish) == (200, "")
        assert seen.error
        assert seen.text.startswith(self.row.text)
        entry = await self.gateway.entry(seen.exchange)
        assert (entry.status, entry.settlement, entry.charged) == (200, "absorbed", 0)

    async def late(self) -> None:
        """504 in time, or the fallback's answer: who waits for a whole one leaves time for another."""
        if self.is_backed:
            await self._spare()
        else:
            assert self.seen.status == 504
            await self._nothing_owed()

    async def _delivered(self, text: str, *, attempts: int, charged: int) -> None:
        seen = self.seen
        assert (seen.status, seen.error) == (200, "")
        assert seen.text == text
        assert seen.finish
        assert seen.attempts == attempts
        entry = await self.gateway.entry(seen.exchange)
        assert (entry.settlement, entry.attempts, entry.charged) == ("delivered", attempts, charged)

    async def _spare(self) -> None:
        await self._delivered(SPARE.text, attempts=2, charged=price(len(SPARE.text)))
        assert self.seen.headers["x-tokenway-endpoint"] == "spare/fake"

    async def _refused(self, attempts: int) -> None:
        seen, row = self.seen, self.row
        assert seen.status == (row.status if self.is_chat else row.translated or row.status), seen
        assert seen.attempts == attempts
        assert "<" not in seen.error
        if seen.status in {502, 504}:
            assert f"{row.slug}/" in seen.error
            assert seen.headers["x-should-retry"] == "true"
        if row.name.startswith("429"):
            assert seen.headers["retry-after"] == row.script.retry_after
        await self._nothing_owed()

    async def _nothing_owed(self) -> None:
        entry = await self.gateway.entry(self.seen.exchange)
        assert (entry.status, entry.charged) == (self.seen.status, 0)
        assert entry.settlement in {"absorbed", "released"}


CHECKS: Final[dict[Sees, Callable[[Look], Awaitable[None]]]] = {
    Sees.ANSWER: Look.answer,
    Sees.AGAIN: Look.again,
    Sees.ERROR: Look.error,
    Sees.REFUSAL: Look.refusal,
    Sees.BROKEN: Look.broken,
    Sees.LATE: Look.late,
}


async def check(gateway: Gateway, client: openai.AsyncOpenAI, http: httpx2.AsyncClient, row: Row) -> None:
    """Both callers, whole and streamed, alone and backed, see what the row says."""

    async def one(caller: str, form: str, kind: str, sees: Sees) -> None:
        name = f"{row.slug}.{caller}.{form}.{kind}"
        try:
            if caller == "chat":
                seen = await call_chat(client, name, stream=form == "stream")
            else:
                seen = await call_messages(http, name, stream=form == "stream")
            look = Look(gateway, row, seen, is_backed=kind == "backed", is_chat=caller == "chat")
            await look.check(sees)
        except Exception as error:
            error.add_note(name)
            raise

    forms = [(form, sees) for form, sees in (("whole", row.whole), ("stream", row.stream)) if sees is not None]
    calls = [
        one(caller, form, kind, sees)
        for caller in ("chat", "messages")
        for form, sees in forms
        for kind in ("alone", "backed")
    ]
    await asyncio.gather(*calls)
