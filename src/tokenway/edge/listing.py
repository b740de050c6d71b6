"""The list of models in the shapes of Anthropic's and Google's APIs: what their clients look for when they start.

OpenAI's shape, with OpenRouter's fields, is made in `cold`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from tokenway.model.catalog import Endpoint, Model

PAGE: Final = 50
"""Models of one page where the caller does not say, as Google has it."""
PAGE_MAX: Final = 1000


def anthropic_page(models: Sequence[Model], limit: int, after: str) -> dict[str, object]:
    """`GET /v1/models` as Anthropic's clients read it, from behind the model `after`."""
    names = [model.name for model in models]
    start = names.index(after) + 1 if after in names else 0
    page = [anthropic_model(model) for model in models[start : start + limit]]
    return {
        "data": page,
        "has_more": start + len(page) < len(models),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def anthropic_model(model: Model) -> dict[str, object]:
    """One model in Anthropic's shape; sizes are left out where no endpoint tells them."""
    able = _first(model).capabilities
    created = datetime.fromtimestamp(model.created, UTC).isoformat().replace("+00:00", "Z")
    shape: dict[str, object] = {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": created,
    }
    if model.description:
        shape["description"] = model.description
    if able.context is not None:
        shape["max_input_tokens"] = able.context
    if able.max_output is not None:
        shape["max_tokens"] = able.max_output
    return shape


def gemini_page(models: Sequence[Model], size: int, token: str) -> dict[str, object]:
    """`GET /v1beta/models`; `token` is the place where the page begins, as the page before told it."""
    start = int(token) if token.isdigit() else 0
    page: dict[str, object] = {"models": [gemini_model(model) for model in models[start : start + size]]}
    if start + size < len(models):
        page["nextPageToken"] = str(start + size)
    return page


def gemini_model(model: Model) -> dict[str, object]:
    """One model in Google's shape."""
    able = _first(model).capabilities
    shape: dict[str, object] = {
        "name": f"models/{model.name}",
        "baseModelId": model.name,
        "version": "",
        "displayName": model.name,
        "description": model.description,
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
    }
    if able.context is not None:
        shape["inputTokenLimit"] = able.context
    if able.max_output is not None:
        shape["outputTokenLimit"] = able.max_output
    return shape


def _first(model: Model) -> Endpoint:
    return model.endpoints[0] if model.endpoints else Endpoint("", "")
