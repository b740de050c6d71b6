"""Clients that are built upon the vendors' protocols read the fake provider as well."""

from __future__ import annotations

import pytest

from tests.fake_provider import REPLIES, FakeProvider
from tests.fake_provider.reply import Said
from tests.sdks.programs import PROGRAMS, Saw, run

pytestmark = pytest.mark.slow

EXPECTED: Saw = {
    "whole": REPLIES["text"].joined(Said),
    "streamed": REPLIES["text"].joined(Said),
    "input": 11,
    "output": 7,
    "tool": "get_weather",
}
"""What every program must see."""


@pytest.mark.parametrize("package", PROGRAMS)
async def test_a_program_sees_the_replies(package: str) -> None:
    """Text, whole and streamed, its counts, and the name of a tool that is called, in each dialect it speaks."""
    dialects = PROGRAMS[package]
    async with FakeProvider() as provider:
        saw = await run(package, provider.origin, "sk-fake", [(dialect, "text", "tools") for dialect in dialects])
        assert saw == [EXPECTED] * len(dialects)
        assert {request.ask.dialect for request in provider.requests} == {*dialects}
        assert provider.errors == []
