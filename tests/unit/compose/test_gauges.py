"""The figures that are read when Prometheus asks."""

from __future__ import annotations

import re

from tests.fake_provider import FakeProvider
from tests.unit.compose.running import Launch, becomes, config
from tokenway.model.link import Gauges


async def test_breakers_are_shown_for_every_endpoint(launch: Launch, provider: FakeProvider) -> None:
    """Closed where nothing else is known; endpoints that are not configured any more are gone."""
    running = await launch(config(provider))

    def shown() -> dict[str, float]:
        page = running.gateway.metrics_text().decode()
        return {
            name: float(value)
            for name, value in re.findall(r'^tokenway_breaker_state\{endpoint="(.*)"\} (.*)$', page, re.MULTILINE)
        }

    assert shown() == {"lab/fake": 0.0}
    (worker,) = running.gateway.workers.alive
    worker.gauges = Gauges(0, 0.0, {}, {"lab/fake": 2, "lab/never-configured": 1})
    assert shown() == {"lab/fake": 2.0}
    settings = config(provider)
    settings["models"]["mock"]["endpoints"][0]["model"] = "other"
    running.write(settings)
    running.gateway.reload()
    await becomes(lambda: shown() == {"lab/other": 0.0})


async def test_a_budget_that_is_gone_is_shown_no_more(launch: Launch, provider: FakeProvider) -> None:
    """The gauge of what a worker may spend for a key ends with the key's budget."""

    def is_shown() -> bool:
        return b"tokenway_lease_remaining{" in running.gateway.metrics_text()

    running = await launch(config(provider, budget=1.0))
    assert (await running.ask(max_tokens=4)).status == 200
    await becomes(is_shown)
    running.write(config(provider))
    running.gateway.reload()
    await becomes(lambda: not is_shown())
