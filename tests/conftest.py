"""What all tests share: how many examples the property tests draw.

`TOKENWAY_TEST_PROFILE` chooses: `fast` for `make test-fast`, `deep` for a night's search, else the
default. There is no deadline per example, because a busy machine is not a defect.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers.fixtures"]

_BASE = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("default", _BASE, max_examples=100)
settings.register_profile("fast", _BASE, max_examples=15)
settings.register_profile("deep", _BASE, max_examples=5_000)
settings.load_profile(os.environ.get("TOKENWAY_TEST_PROFILE", "default"))
