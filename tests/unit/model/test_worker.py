"""What a worker is told about itself."""

from __future__ import annotations

import msgspec

from tokenway.model.worker import WorkerOptions


def test_it_has_a_name_by_its_number() -> None:
    """And comes over the leash as it was."""
    options = WorkerOptions(7, "journals", "control.sock", tls_cert="cert")
    assert options.name == "edge-7"
    assert msgspec.json.decode(msgspec.json.encode(options), type=WorkerOptions) == options
