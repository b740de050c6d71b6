"""The model in a path of Bedrock's runtime."""

from __future__ import annotations

from urllib.parse import quote as quote_by_urllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.bedrock.paths import path, quote, unquote
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


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "/", "/:"]))
def test_quoting_is_that_of_the_standard_library(text: str, safe: str) -> None:
    """What `urllib` encodes is encoded, and comes back."""
    assert quote(text, safe) == quote_by_urllib(text, safe=safe)
    assert unquote(quote(text)) == text


@pytest.mark.parametrize(
    ("text", "plain"), [("a:b/c", "a:b/c"), ("100%", "100%"), ("%zz%3a", "%zz:"), ("%ff", "\ufffd")]
)
def test_what_is_not_encoded_stays(text: str, plain: str) -> None:
    """A name that was decoded before is not decoded to something else."""
    assert unquote(text) == plain
