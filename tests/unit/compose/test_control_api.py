"""What the API is given by the process that it belongs to; see `control/api` for what it does with it."""

from __future__ import annotations

from pathlib import Path

from tests.unit.control.api.server import serving


async def test_it_knows_what_the_environment_enables(tmp_path: Path) -> None:
    """And has counters of its own."""
    async with serving(tmp_path, environment={"GROQ_API_KEY": "gsk-0123456789"}) as api:
        services = api.services
        assert services.is_enabled_by_environment("groq")
        assert not services.is_enabled_by_environment("lab")
        assert services.attempts.begin("a", "b") == 0.0
        assert services.clock() > 1.7e9
