"""Joins the control API to the process that it belongs to."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from tokenway.control.addresses import enabled_by
from tokenway.control.api.attempts import HOUR_SECONDS, Attempts, Window
from tokenway.control.api.services import Services
from tokenway.control.aside import Asides
from tokenway.control.configuration import Configuration
from tokenway.model.snapshot import Snapshot
from tokenway.store.open import Store

Run = Callable[..., Awaitable[Any]]


def make_services(
    store: Store,
    *,
    run: Run,
    configuration: Configuration,
    snapshot: Callable[[], Snapshot],
    figures: Callable[[Iterable[str]], dict[str, dict[str, object]]],
    drain: Callable[[], object],
    asides: Asides,
    environment: Mapping[str, str],
) -> Services:
    """What the API is given."""
    return Services(
        run=run,
        store=store,
        seal=configuration.seal,
        configuration=configuration,
        settings=lambda: configuration.settings,
        snapshot=snapshot,
        figures=figures,
        drain=drain,
        asides=asides,
        clock=time.time,
        is_enabled_by_environment=lambda name: name in enabled_by(environment)[0],
        attempts=Attempts(time.monotonic),
        signed_up=Window(time.monotonic, HOUR_SECONDS),
    )
