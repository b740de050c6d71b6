"""The model in a path of Bedrock's runtime."""

from __future__ import annotations

import pytest

from tokenway.dialects.bedrock.paths import path
from tokenway.model.catalog import Operation
from tokenway.model.errors import Refusal

ARN = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-v1:0"


@pytest.mark.parametrize(
    ("model", "stream", "expected"),
    [
        ("amazon.nova-micro-v1:0", False, "/model/amazon.nova-micro-v1%3A0/converse"),
        ("mistral.pixtral", True, "/model/mistral.pixtral/converse-stream"),
        (
            ARN,
            True,
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.claude-v1%3A0/converse-stream",
        ),
    ],
)
def test_a_model_is_one_step_of_the_path(model: str, stream: bool, expected: str) -> None:
    """Colons and slashes of an id are encoded, once."""
    assert path(Operation.CHAT, model, stream) == expected


def test_converse_only_chats() -> None:
    """There is no path for embeddings."""
    with pytest.raises(Refusal) as raised:
        path(Operation.EMBEDDING, "m", stream=False)
    assert raised.value.problem.status == 400
