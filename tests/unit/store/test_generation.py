"""An exchange as OpenRouter's callers know it; what a store gives for it is tested with the questions to the ledger."""

from __future__ import annotations

from tokenway.model.usage import BUCKETS
from tokenway.store.generation import generation

ROW = {
    "id": "gen-1",
    "run": None,
    "operation": "chat",
    "model": "mock",
    "endpoint": "",
    "stream": 1,
    "settlement": "released",
    "status": 503,
    "at": 0.0,
    "finish_reason": "",
    "ttft": None,
    "duration": None,
    "charged": 0,
    "error_type": "",
    "output_speed": None,
}


def test_what_is_not_known_is_none() -> None:
    """An exchange that no provider was reached for has no tokens, no times and no cost."""
    found = generation(dict(ROW), [])

    assert (found["id"], found["streamed"], found["created_at"]) == ("gen-1", True, "1970-01-01T00:00:00.000Z")
    assert [found[name] for name in ("tokens_prompt", "latency", "upstream_inference_cost", "endpoint")] == [None] * 4


def test_usage_that_is_not_believed_is_not_told() -> None:
    """Absurd counts are kept in the ledger, and no caller is told them."""
    line = dict.fromkeys(BUCKETS, 7) | {"settlement": "delivered", "absurd": 1, "cost": None, "service": ""}
    line |= {"endpoint": "lab/mock", "status": 200, "fault": ""}

    assert generation(dict(ROW), [line])["tokens_prompt"] is None
    assert generation(dict(ROW), [line | {"absurd": 0}])["tokens_prompt"] == 6 * 7
