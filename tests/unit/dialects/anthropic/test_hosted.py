"""Claude at a host that names the model in the path."""

from __future__ import annotations

import pytest

from tokenway.dialects.anthropic.hosted import hosted_body, hosted_path
from tokenway.model.catalog import Operation

VERSION = "vertex-2023-10-16"


@pytest.mark.parametrize(
    ("operation", "stream", "expected"),
    [
        (Operation.CHAT, False, "/models/claude-sonnet-4-5@20250929:rawPredict"),
        (Operation.CHAT, True, "/models/claude-sonnet-4-5@20250929:streamRawPredict"),
        (Operation.COUNT, False, "/models/count-tokens:rawPredict"),
    ],
)
def test_the_path_says_what_the_body_says_elsewhere(operation: Operation, stream: bool, expected: str) -> None:
    """The model, with its date behind an at sign, and whether the answer streams."""
    assert hosted_path(operation, "claude-sonnet-4-5@20250929", stream) == expected


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    """What would end the segment is encoded."""
    assert hosted_path(Operation.CHAT, "a/../b:c;d?e", stream=False) == "/models/a%2F..%2Fb%3Ac%3Bd%3Fe:rawPredict"


def test_only_the_model_leaves_the_body_and_only_the_version_comes() -> None:
    """Every other byte stays: a prompt cache and a signature would notice."""
    body = b'{"model": "m" ,"messages": [ {"model":"x"} ],"max_tokens":1e1}'
    expected = b'{"messages": [ {"model":"x"} ],"max_tokens":1e1,"anthropic_version":"vertex-2023-10-16"}'
    assert hosted_body(Operation.CHAT, body, VERSION) == expected


def test_a_version_that_the_caller_wrote_gives_way() -> None:
    """It was meant for another address."""
    body = b'{"anthropic_version":"bedrock-2023-05-31","max_tokens":1}'
    assert hosted_body(Operation.CHAT, body, VERSION) == b'{"max_tokens":1,"anthropic_version":"vertex-2023-10-16"}'


def test_a_count_keeps_its_model() -> None:
    """Its path has no place for one."""
    body = b'{"model":"m","messages":[]}'
    assert hosted_body(Operation.COUNT, body, VERSION) == body[:-1] + b',"anthropic_version":"vertex-2023-10-16"}'
